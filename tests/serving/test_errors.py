"""Every error response has OpenAI's shape and reveals nothing about the server."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel
from starlette.testclient import TestClient

from openbind.errors import InputError, MissingExtraError
from openbind.serving.errors import ApiError, add_handlers
from openbind.serving.work import OverloadedError


class Body(BaseModel):
    numbers: list[int]


def make() -> TestClient:
    """Return an application whose routes raise every kind of error."""
    app = FastAPI()
    add_handlers(app)
    errors = {
        "api": ApiError(413, "too large", param="x", code="c", headers={"X-A": "b"}),
        "overloaded": OverloadedError(3.2),
        "input": InputError("input[2]", "not an image"),
        "extra": MissingExtraError("reading videos", "av", "video"),
        "unexpected": RuntimeError("/secret/path"),
    }

    @app.get("/{kind}")
    async def fail(kind: str) -> None:
        raise errors[kind]

    @app.post("/body")
    async def take(body: Body) -> None:
        return None

    return TestClient(app, raise_server_exceptions=False)


def test_errors() -> None:
    """Status, type, param, code and headers of each."""
    client = make()
    expected = {
        "api": (413, "invalid_request_error", "x", "c"),
        "overloaded": (503, "overloaded_error", None, "overloaded"),
        "input": (400, "invalid_request_error", "input[2]", None),
        "extra": (501, "server_error", None, "package_missing"),
        "unexpected": (500, "server_error", None, "internal_error"),
    }
    for path, (status, kind, param, code) in expected.items():
        response = client.get(path)
        error = response.json()["error"]
        assert (response.status_code, error["type"], error["param"], error["code"]) == (
            status, kind, param, code,
        )  # fmt: skip
        assert "secret" not in response.text
    assert client.get("overloaded").headers["retry-after"] == "4"
    assert client.get("api").headers["x-a"] == "b"
    assert "pip install" in client.get("extra").json()["error"]["message"]


def test_problems_of_a_body() -> None:
    """Fields are written as in Python; of many problems the first few are listed."""
    error = make().post("body", json={"numbers": [1, "x"]}).json()["error"]
    assert error["param"] == "numbers[1]"
    assert error["message"].startswith("numbers[1]: Input should be a valid integer")
    many = make().post("body", json={"numbers": ["x"] * 9}).json()["error"]["message"]
    assert many.endswith("; and 6 more")


def test_other_dialects() -> None:
    """Routes of other dialects have errors of their shape."""
    app = FastAPI()
    add_handlers(app)

    @app.get("/vectorize")
    @app.get("/v2/embed")
    @app.get("/v1/embeddings")
    async def fail() -> None:
        raise ApiError(400, "wrong", headers={"X-A": "b"})

    client = TestClient(app)
    found = {path: client.get(path) for path in ("/vectorize", "/v2/embed", "/v1/embeddings")}
    assert found["/vectorize"].json() == {"error": "wrong"}
    assert found["/v2/embed"].json() == {"message": "wrong"}
    assert found["/v1/embeddings"].json()["error"]["message"] == "wrong"
    assert all((each.status_code, each.headers["X-A"]) == (400, "b") for each in found.values())
