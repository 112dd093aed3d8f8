"""Whatever goes wrong, the answer has OpenAI's shape and tells nothing of the server's inside."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.testclient import TestClient

from openbind.errors import InputError, MissingExtraError
from openbind.serving.errors import ApiError, add_handlers
from openbind.serving.request_queue import OverloadedError


class Body(BaseModel):
    numbers: list[int]


def make() -> TestClient:
    """An application whose routes fail in every way."""
    app = FastAPI()
    add_handlers(app)
    errors = {
        "error_response": ApiError(413, "too large", param="x", code="c", headers={"X-A": "b"}),
        "overloaded": OverloadedError(3.2),
        "input": InputError("input[2]", "not a image"),
        "extra": MissingExtraError("reading videos", "av", "video"),
        "fault": RuntimeError("/secret/path"),
    }

    @app.get("/{kind}")
    async def fail(kind: str) -> None:
        raise errors[kind]

    @app.post("/body")
    async def take(body: Body) -> None:
        return None

    return TestClient(app, raise_server_exceptions=False)


def test_errors() -> None:
    """Status, type, place, code and headers of each."""
    client = make()
    expected = {
        "error_response": (413, "invalid_request_error", "x", "c"),
        "overloaded": (503, "overloaded_error", None, "overloaded"),
        "input": (400, "invalid_request_error", "input[2]", None),
        "extra": (501, "server_error", None, None),
        "fault": (500, "server_error", None, None),
    }
    for path, (status, kind, param, code) in expected.items():
        answer = client.get(path)
        error = answer.json()["error"]
        assert (answer.status_code, error["type"], error["param"], error["code"]) == (
            status, kind, param, code,
        )  # fmt: skip
        assert "secret" not in answer.text
    assert client.get("overloaded").headers["retry-after"] == "4"
    assert client.get("error_response").headers["x-a"] == "b"
    assert "pip install" in client.get("extra").json()["error"]["message"]


def test_faults_of_a_body() -> None:
    """The place of each is written as in Python; of many only some are named."""
    error = make().post("body", json={"numbers": [1, "x"]}).json()["error"]
    assert error["param"] == "numbers[1]"
    assert error["message"].startswith("numbers[1]: Input should be a valid integer")
    many = make().post("body", json={"numbers": ["x"] * 9}).json()["error"]["message"]
    assert many.endswith("; and 6 more")
