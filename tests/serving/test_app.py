"""The routes as clients see them, over a real connection.

Vectors are those of `Space.encode` whichever dialect asks; errors have OpenAI's shape and say which
part of the request is meant; files come by a row's id alone; the openai client works as it is.
"""

from __future__ import annotations

import base64
import io
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import openai
import pytest
from fastapi import FastAPI
from PIL import Image

import openbind
from openbind.evaluation.zero_shot import classify
from openbind.serving.app import create_app
from openbind.serving.limits import Limits
from openbind.serving.middleware import COOKIE
from openbind.serving.service import Service

Running = Callable[[FastAPI], AbstractContextManager[httpx.Client]]
ToUrl = Callable[[bytes], str]
EMBED, SEARCH, CLASSIFY = "/v1/embeddings", "/v1/search", "/v1/classify"


def refused(answer: httpx.Response, status: int) -> str:
    """Check an error's shape; gives its message."""
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return f"{error['param']} | {error['message']}"


def test_openai_client(live: httpx.Client, starter: openbind.Space) -> None:
    """OpenAI's own client, which asks for base64, gets the vectors of `Space.encode`."""
    client = openai.OpenAI(base_url=f"{live.base_url}/v1", api_key="none", max_retries=0)
    texts = ["a dog", "rain on a roof"]
    found = client.embeddings.create(model="starter", input=texts)
    vectors = np.array([row.embedding for row in found.data])
    np.testing.assert_allclose(vectors, starter.encode("text", texts), atol=1e-6)
    assert found.usage.prompt_tokens == 4 + 6
    assert [model.id for model in client.models.list()] == ["starter"]
    with pytest.raises(openai.NotFoundError, match="this service has 'starter'"):
        client.embeddings.create(model="text-embedding-3-small", input="x")
    with pytest.raises(openai.BadRequestError, match="tokens aren't taken"):
        client.embeddings.create(model="starter", input=[[1, 2], [3]])
    client.close()


def test_every_modality_as_data_urls(
    live: httpx.Client, starter: openbind.Space, index: openbind.Index, data_url: ToUrl
) -> None:
    """`modality` with data URLs (infinity's dialect) embeds every kind of file."""
    for hit in index.sample(99, 0)[0]:
        body = {"modality": hit.modality, "input": data_url(hit.path.read_bytes())}
        found = live.post(EMBED, json=body).json()
        expected = starter.encode(hit.modality, str(hit.path))
        np.testing.assert_allclose(found["data"][0]["embedding"], expected, atol=1e-6)
        assert found["usage"]["total_tokens"] == 0


def test_messages_make_one_vector(
    live: httpx.Client, starter: openbind.Space, media: Path, data_url: ToUrl
) -> None:
    """Content parts (the dialect of vLLM) are added up, with weights if there are any."""
    image, sound = media / "dog.webp", media / "dog.ogg"
    content = [
        {"type": "text", "text": "rain", "weight": -0.5},
        {"type": "image_url", "image_url": {"url": data_url(image.read_bytes())}},
        {
            "type": "input_audio",
            "input_audio": {"data": base64.b64encode(sound.read_bytes()).decode(), "format": "ogg"},
        },
    ]
    body = {"messages": [{"role": "user", "content": content}], "encoding_format": "base64"}
    (row,) = live.post(EMBED, json=body).json()["data"]
    found = np.frombuffer(base64.b64decode(row["embedding"]), "<f4")
    parts = [("text", "rain", -0.5), ("image", str(image), 1.0), ("audio", str(sound), 1.0)]
    expected = openbind.combine([(starter.encode(m, item), weight) for m, item, weight in parts])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    plain = live.post(EMBED, json={"messages": [{"content": "rain"}]}).json()
    np.testing.assert_allclose(
        plain["data"][0]["embedding"], starter.encode("text", "rain"), atol=1e-6
    )


@pytest.mark.parametrize(
    ("path", "body", "status", "expected"),
    [
        (EMBED, {}, 400, "expected either 'input' or 'messages'"),
        (EMBED, {"input": "x", "messages": [{"content": "x"}]}, 400, "either"),
        (EMBED, {"input": [1, 2]}, 400, "input[0] | input[0]: tokens"),
        (EMBED, {"input": []}, 400, "one item or more"),
        (EMBED, {"input": ["a", " "]}, 400, "input[1] | input[1]: an empty text"),
        (EMBED, {"input": "x", "modality": "smell"}, 400, "no modality of starter"),
        (EMBED, {"input": "x", "dimensions": 64}, 400, "this space has 512"),
        (EMBED, {"input": "x", "modle": "starter"}, 400, "modle | modle: Extra inputs"),
        (EMBED, {"input": "x", "model": "gpt"}, 404, "model | no model 'gpt'"),
        (EMBED, {"input": "/etc/passwd", "modality": "image"}, 400, "expected a data URL"),
        (EMBED, {"input": "http://x/y.png", "modality": "image"}, 400, "fetches no addresses"),
        (EMBED, {"input": "data:image/png,abc", "modality": "image"}, 400, "expected base64"),
        (EMBED, {"input": "data:;base64,a", "modality": "image"}, 400, "not valid base64"),
        (EMBED, {"input": "data:;base64,", "modality": "image"}, 400, "no bytes"),
        (EMBED, {"input": "data:;base64,aGVsbG8=", "modality": "image"}, 400, "not a image"),
        (EMBED, {"messages": [{"content": [{"type": "smell_url"}]}]}, 400, "image_url"),
        (EMBED, {"messages": [{"content": [{"type": "image_url"}]}]}, 400, "{'url': …}"),
        (EMBED, {"messages": [{"content": [{"type": "text"}]}]}, 400, "the key 'text'"),
        (SEARCH, {"parts": []}, 400, "parts | parts"),
        (SEARCH, {"parts": [{}]}, 400, "either 'input' or 'id'"),
        (SEARCH, {"parts": [{"id": "nope"}]}, 404, "no item 'nope'"),
        (SEARCH, {"parts": [{"input": "x", "weight": 0}]}, 400, "cancel"),
        (SEARCH, {"parts": [{"input": "x"}], "count": 0}, 400, "count"),
        (SEARCH, {"parts": [{"input": "x"}], "count": 9999}, 400, "at most 200"),
        (SEARCH, {"parts": [{"input": "x"}], "only": ["smell"]}, 400, "only[0]"),
        (SEARCH, {"parts": [{"input": "x"}], "where": "drop table"}, 400, "can't filter by that"),
        (CLASSIFY, {"input": "x", "labels": ["a"]}, 400, "labels"),
        (CLASSIFY, {"input": "x", "labels": ["a", " "]}, 400, "labels[1]"),
        (CLASSIFY, {"input": "x", "labels": ["a", "b"], "templates": ["{0}{}"]}, 400, "one {}"),
        (CLASSIFY, {"input": "x", "labels": ["a"] * 2049}, 400, "at most 2,048"),
    ],
)
def test_refusals(
    live: httpx.Client, path: str, body: dict[str, Any], status: int, expected: str
) -> None:
    """What can't be used is refused with the place and the reason."""
    assert expected in refused(live.post(path, json=body), status)


def test_wrong_addresses(live: httpx.Client) -> None:
    """Unknown paths, wrong methods and bodies that are no JSON are answered in the same shape."""
    assert "nothing is at /v2" in refused(live.get("/v2"), 404)
    assert "PUT isn't for" in refused(live.put(EMBED), 405)
    headers = {"Content-Type": "application/json"}
    assert "JSON" in refused(live.post(EMBED, content=b"{", headers=headers), 400)
    assert refused(live.post(EMBED, content=b"\xff\xfe{}", headers=headers), 400)


def test_search(live: httpx.Client, media: Path, data_url: ToUrl) -> None:
    """The rooster's image finds itself first; kinds and counts are kept to."""
    image = media / "rooster.webp"
    part = {"modality": "image", "input": data_url(image.read_bytes())}
    found = live.post(SEARCH, json={"parts": [part, {"input": "a rooster", "weight": 0.2}]}).json()
    best = found["data"][0]
    assert best["path"] == f"{media.name}/{image.name}"
    assert [row["score"] for row in found["data"]] == sorted(
        (row["score"] for row in found["data"]), reverse=True
    )
    like = {"parts": [{"id": best["id"]}], "only": ["audio"], "count": 3, "where": "size > 0"}
    sounds = live.post(SEARCH, json=like).json()["data"]
    assert [row["modality"] for row in sounds] == ["audio"] * 3
    assert all(row["end_seconds"] > row["start_seconds"] >= 0 for row in sounds)


def test_classify(
    live: httpx.Client, starter: openbind.Space, media: Path, data_url: ToUrl
) -> None:
    """Probabilities are those of `evaluation.zero_shot.classify`."""
    paths = sorted(media.glob("*.ogg"))
    labels, templates = ["dog", "rooster", "rain"], ["{}", "the sound of a {}"]
    body = {
        "modality": "audio",
        "input": [data_url(path.read_bytes()) for path in paths],
        "labels": labels,
        "templates": templates,
    }
    rows = live.post(CLASSIFY, json=body).json()["data"]
    expected = classify(starter, "audio", [str(p) for p in paths], labels, templates)
    for row, chances in zip(rows, expected, strict=True):
        found = {each["label"]: each["probability"] for each in row["labels"]}
        np.testing.assert_allclose([found[label] for label in labels], chances, atol=1e-4)
        assert row["labels"][0]["probability"] == max(found.values())


def test_files_of_items(live: httpx.Client, media: Path) -> None:
    """Media come whole or in the range asked for, thumbnails as images, by id alone."""
    for row in live.post(SEARCH, json={"parts": [{"input": "rain"}], "count": 200}).json()["data"]:
        content = (media.parent / row["path"]).read_bytes()
        whole = live.get(row["media_url"])
        assert whole.content == content
        assert whole.headers["content-security-policy"] == "sandbox"
        part = live.get(row["media_url"], headers={"Range": "bytes=10-19"})
        assert (part.status_code, part.content) == (206, content[10:20])
        sides = []
        for url in (row["thumbnail_url"], row["drawing_url"]):
            image = live.get(url)
            assert image.headers["content-type"] == "image/jpeg"
            sides.append(max(Image.open(io.BytesIO(image.content)).size))
        assert sides[0] <= 256 < sides[1]
        assert live.get(f"/v1/items/{row['id']}").json()["path"] == row["path"]
    for trick in ("..%2f..%2fetc%2fpasswd", "%2fetc%2fpasswd", "%2e%2e", "a%00b", "x" * 3000):
        assert live.get(f"/v1/items/{trick}/media").status_code == 404
        assert live.get(f"/page/{trick}").status_code == 404


def test_atlas_and_index(live: httpx.Client) -> None:
    """All kinds are on the map, in the unit square; the index tells its size, no absolute path."""
    info = live.get("/v1/index").json()
    assert info["files"] == 8
    assert not any("/" in root for root in info["roots"])
    for method in ("tsne", "pca"):
        dots = live.get("/v1/atlas", params={"method": method}).json()["data"]
        assert len(dots) == info["rows"]
        assert {dot["modality"] for dot in dots} == set(info["by_modality"])
        assert all(0 <= dot[axis] <= 1 for dot in dots for axis in "xy")


def test_state(live: httpx.Client) -> None:
    """Health, models, metrics by route pattern, and a page that loads nothing from elsewhere."""
    assert live.get("/health").json() == {"status": "ok", "model": "starter"}
    row = live.get("/v1/models/starter").json()
    assert row == live.get("/v1/models").json()["data"][0]
    assert {"text", "image"} < {kind["name"] for kind in row["modalities"]}
    metrics = live.get("/metrics").text
    assert 'openbind_requests_total{route="/v1/models/{name}",status="200"}' in metrics
    assert "openbind_backlog_seconds 0.0" in metrics
    page = live.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_updates_are_seen(
    starter: openbind.Space, media: Path, tmp_path: Path, running: Running
) -> None:
    """What an update writes is found at once; what it takes out is gone."""
    root = tmp_path / "live"
    root.mkdir()
    shutil.copy(media / "dog.webp", root)
    index = openbind.Index.create(tmp_path / "index", starter, [root])
    index.update(starter)
    body = {"parts": [{"input": "rain"}]}
    opened = openbind.Index.open(tmp_path / "index")
    with running(create_app(Service(starter, opened))) as client:
        (dog,) = client.post(SEARCH, json=body).json()["data"]
        shutil.copy(media / "rain.ogg", root)
        (root / "dog.webp").unlink()
        assert "no longer there" in refused(client.get(dog["media_url"]), 404)
        index.update(starter)
        (rain,) = client.post(SEARCH, json=body).json()["data"]
        assert rain["path"] == "live/rain.ogg"
        assert "no item" in refused(client.get(dog["media_url"]), 404)
        assert client.get("/v1/index").json()["files"] == 1


def test_without_an_index(starter: openbind.Space, running: Running) -> None:
    """A service of a space alone embeds, and says how to get an index."""
    with running(create_app(Service(starter))) as client:
        assert client.post(EMBED, json={"input": "x"}).status_code == 200
        for answer in (
            client.post(SEARCH, json={"parts": [{"input": "x"}]}),
            client.get("/v1/index"),
            client.get("/v1/atlas"),
            client.get("/v1/items/1/media"),
        ):
            assert "--index" in refused(answer, 404)


def test_overload(starter: openbind.Space, running: Running) -> None:
    """Who comes while too much waits is told when to come back; the others are answered."""
    texts = [f"a text of some words, number {n}, to keep the tower at work" for n in range(300)]
    app = create_app(Service(starter, limits=Limits(wait_seconds=0.1)))

    def ask(number: int) -> httpx.Response:
        return client.post(EMBED, json={"input": [f"{number}: {text}" for text in texts]})

    with running(app) as client:
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(ask, range(12)))
        statuses = {answer.status_code for answer in answers}
        assert statuses == {200, 503}
        for answer in answers:
            if answer.status_code == 503:
                assert "try again in" in refused(answer, 503)
                assert 1 <= int(answer.headers["retry-after"]) <= 60
        assert ask(99).status_code == 200


def test_key(starter: openbind.Space, running: Running) -> None:
    """With a key all but the page and health ask for it; a session's cookie stands for it."""
    with running(create_app(Service(starter), "secret ünicode")) as client:
        assert client.get("/health").status_code == 200
        assert client.get("/").status_code == 200
        assert "expected the service's key" in refused(client.get("/v1/models"), 401)
        assert refused(client.get("/metrics"), 401)
        wrong = {"Authorization": "Bearer other"}
        assert refused(client.get("/v1/models", headers=wrong), 401)
        assert refused(client.post("/v1/session", headers=wrong), 401)
    with running(create_app(Service(starter), "secret")) as client:
        right = {"Authorization": "Bearer secret"}
        assert client.get("/v1/models", headers=right).status_code == 200
        session = client.post("/v1/session", headers=right)
        assert "HttpOnly" in session.headers["set-cookie"]
        assert "secret" not in session.headers["set-cookie"]
        assert client.cookies[COOKIE]
        assert client.get("/v1/models").status_code == 200


def test_other_names_without_a_key(live: httpx.Client) -> None:
    """A page of another site whose name points here is refused (DNS rebinding)."""
    for name in ("evil.example", "evil.example:8000", "localhost.evil.example", ""):
        assert "isn't called" in refused(live.get("/v1/models", headers={"Host": name}), 403)
    assert live.get("/health", headers={"Host": "localhost:9"}).status_code == 200
