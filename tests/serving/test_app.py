"""The routes as clients see them, over a real connection.

Vectors are those of `Space.encode` in every request format; errors have OpenAI's shape and name the
part of the request; files are served by a row's id alone; the openai client works unchanged.
"""

from __future__ import annotations

import base64
import io
import shutil
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import numpy as np
import openai
import pytest
import torch
import uvicorn
from fastapi import FastAPI
from PIL import Image

import openbind
from openbind.evaluation.zero_shot import classify
from openbind.serving.app import create_app
from openbind.serving.limits import Limits
from openbind.serving.server import Server
from openbind.serving.service import Service
from openbind.space.pipeline import Batching

Running = Callable[[FastAPI], AbstractContextManager[httpx.Client]]
ToUrl = Callable[[bytes], str]
EMBED, SEARCH, CLASSIFY = "/v1/embeddings", "/v1/search", "/v1/classify"


def error_of(response: httpx.Response, status: int) -> dict[str, str | None]:
    """Check an error's status and shape, and return it."""
    assert response.status_code == status, response.text
    error: dict[str, str | None] = response.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    return error


@pytest.mark.slow
def test_openai_client(live: httpx.Client, starter: openbind.Space) -> None:
    """OpenAI's own client, which requests base64, gets the vectors of `Space.encode`."""
    client = openai.OpenAI(base_url=f"{live.base_url}/v1", api_key="none", max_retries=0)
    texts = ["a dog", "rain on a roof"]
    found = client.embeddings.create(model="starter", input=texts)
    vectors = np.array([row.embedding for row in found.data])
    np.testing.assert_allclose(vectors, starter.encode("text", texts), atol=1e-6)
    assert found.usage.prompt_tokens == 4 + 6
    assert [model.id for model in client.models.list()] == ["starter"]
    with pytest.raises(openai.NotFoundError) as missing:
        client.embeddings.create(model="text-embedding-3-small", input="x")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError) as tokens:
        client.embeddings.create(model="starter", input=[[1, 2], [3]])
    assert tokens.value.param == "input[0]"
    client.close()


def test_every_modality_as_data_urls(
    live: httpx.Client, starter: openbind.Space, index: openbind.Index, data_url: ToUrl
) -> None:
    """`modality` with data URLs (as in infinity) embeds files of every modality."""
    for hit in index.sample(99, 0)[0]:
        body = {"modality": hit.modality, "input": data_url(hit.path.read_bytes())}
        found = live.post(EMBED, json=body).json()
        expected = starter.encode(hit.modality, str(hit.path))
        np.testing.assert_allclose(found["data"][0]["embedding"], expected, atol=1e-6)
        assert found["usage"]["total_tokens"] == 0


def test_messages_make_one_vector(
    live: httpx.Client, starter: openbind.Space, media: Path, data_url: ToUrl
) -> None:
    """Content parts (as in vLLM) are added, with optional weights."""
    image, audio = media / "dog.webp", media / "dog.ogg"
    content = [
        {"type": "text", "text": "rain", "weight": -0.5},
        {"type": "image_url", "image_url": {"url": data_url(image.read_bytes())}},
        {
            "type": "input_audio",
            "input_audio": {"data": base64.b64encode(audio.read_bytes()).decode(), "format": "ogg"},
        },
    ]
    body = {"messages": [{"role": "user", "content": content}], "encoding_format": "base64"}
    (row,) = live.post(EMBED, json=body).json()["data"]
    found = np.frombuffer(base64.b64decode(row["embedding"]), "<f4")
    parts = [("text", "rain", -0.5), ("image", str(image), 1.0), ("audio", str(audio), 1.0)]
    expected = openbind.combine([(starter.encode(m, item), weight) for m, item, weight in parts])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    plain = live.post(EMBED, json={"messages": [{"content": "rain"}]}).json()
    np.testing.assert_allclose(
        plain["data"][0]["embedding"], starter.encode("text", "rain"), atol=1e-6
    )


PROMPTS, T0 = "labels × templates", "templates[0]"
ITEMS = {"input": "x", "labels": ["a", "b"]}


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (EMBED, {}, "input"),
        (EMBED, {"input": "x", "messages": [{"content": "x"}]}, "input"),
        (EMBED, {"input": [1, 2]}, "input[0]"),
        (EMBED, {"input": []}, "input"),
        (EMBED, {"input": ["a", " "]}, "input[1]"),
        (EMBED, {"input": "x", "modality": "smell"}, "modality"),
        (EMBED, {"input": "x", "dimensions": 64}, "dimensions"),
        (EMBED, {"input": "x", "modle": "starter"}, "modle"),
        (EMBED, {"input": "/etc/passwd", "modality": "image"}, "input[0]"),
        (EMBED, {"input": "http://x/y.png", "modality": "image"}, "input[0]"),
        (EMBED, {"input": "data:image/png,abc", "modality": "image"}, "input[0]"),
        (EMBED, {"input": "data:;base64,a", "modality": "image"}, "input[0]"),
        (EMBED, {"input": "data:;base64,", "modality": "image"}, "input[0]"),
        (EMBED, {"input": "data:;base64,aGVsbG8=", "modality": "image"}, "input[0]"),
        (EMBED, {"messages": [{"content": [{"type": "smell_url"}]}]}, "messages[0].content[0]"),
        (EMBED, {"messages": [{"content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        (EMBED, {"messages": [{"content": [{"type": "text"}]}]}, "messages[0].content[0]"),
        (SEARCH, {"parts": []}, "parts"),
        (SEARCH, {"parts": [{}]}, "parts[0]"),
        (SEARCH, {"parts": [{"input": "x", "weight": 0}]}, "parts"),
        (SEARCH, {"parts": [{"input": "x"}], "top_k": 0}, "top_k"),
        (SEARCH, {"parts": [{"input": "x"}], "top_k": 9999}, "top_k"),
        (SEARCH, {"parts": [{"input": "x"}], "modalities": ["smell"]}, "modalities[0]"),
        (SEARCH, {"parts": [{"input": "x"}], "where": "drop table"}, "where"),
        (SEARCH, {"parts": [{"input": "x"}], "where": "year > 2000 -- recent"}, "where"),
        (SEARCH, {"parts": [{"input": "x"}], "where": "size > 9) OR (size > 0"}, "where"),
        (SEARCH, {"parts": [{"input": "x"}], "where": "color = 'red'"}, "where"),
        (SEARCH, {"parts": [{"input": "x"}], "where": f"{'1+' * 900}1 > 0"}, "where"),
        (SEARCH, {"parts": [{"input": "x"}], "where": {"not": {"op": "~"}}}, "where.not.op"),
        (CLASSIFY, {"input": "x", "labels": ["a"]}, "labels"),
        (CLASSIFY, {"input": "x", "labels": ["a", " "]}, "labels[1]"),
        (CLASSIFY, {**ITEMS, "templates": ["a {}", "{0}{}"]}, "templates[1]"),
        (CLASSIFY, {**ITEMS, "templates": ["a {} in {place}"]}, "templates[0]"),
        (CLASSIFY, {"input": "x", "labels": ["a"] * 2049}, "labels"),
        (CLASSIFY, {"input": "x", "labels": ["a"] * 1025, "templates": ["{}", "a {}"]}, PROMPTS),
        (CLASSIFY, {"input": ["x"] * 200, "labels": ["a"] * 2000}, "input × labels"),
        (CLASSIFY, {"input": "x", "labels": ["a", "b" * 20_000]}, "labels[1]"),
        (CLASSIFY, {"input": "x", "labels": ["ab"] * 2, "templates": ["{}" + "x" * 20_000]}, T0),
    ],
)
def test_invalid_requests(live: httpx.Client, path: str, body: dict[str, Any], param: str) -> None:
    """They get a 400 that names the part of the request."""
    error = error_of(live.post(path, json=body), 400)
    assert error["param"] == param
    assert error["type"] == "invalid_request_error"


def test_not_found(live: httpx.Client) -> None:
    """Unknown models, items, paths, methods, and bodies that aren't JSON."""
    body = {"input": "x", "model": "gpt"}
    assert error_of(live.post(EMBED, json=body), 404)["code"] == "model_not_found"
    body = {"parts": [{"id": "nope"}]}
    assert error_of(live.post(SEARCH, json=body), 404)["code"] == "item_not_found"
    assert error_of(live.get("/v2"), 404)["code"] == "not_found"
    assert error_of(live.put(EMBED), 405)["code"] == "method_not_allowed"
    headers = {"Content-Type": "application/json"}
    assert error_of(live.post(EMBED, content=b"{", headers=headers), 400)
    assert error_of(live.post(EMBED, content=b"\xff\xfe{}", headers=headers), 400)


def test_search(live: httpx.Client, media: Path, data_url: ToUrl) -> None:
    """An image finds itself first; filters of modality, count and condition hold."""
    image = media / "rooster.webp"
    part = {"modality": "image", "input": data_url(image.read_bytes())}
    found = live.post(SEARCH, json={"parts": [part, {"input": "a rooster", "weight": 0.2}]}).json()
    best = found["data"][0]
    assert best["path"] == f"{media.name}/{image.name}"
    order = [row["deviations"] for row in found["data"]]
    assert order == sorted(order, reverse=True)
    similar = {"parts": [{"id": best["id"]}], "modalities": ["audio"], "top_k": 3}
    found = live.post(SEARCH, json={**similar, "where": "size > 0"}).json()["data"]
    assert [row["modality"] for row in found] == ["audio"] * 3
    assert all(row["end_seconds"] > row["start_seconds"] >= 0 for row in found)
    assert live.post(SEARCH, json={**similar, "where": "size > 999999999"}).json()["data"] == []
    tree = {"column": "size", "op": ">", "value": 0}
    assert live.post(SEARCH, json={**similar, "where": tree}).json()["data"] == found


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
    answer = live.post(CLASSIFY, json=body).json()
    rows = answer["data"]
    assert answer["notes"] == []
    expected = classify(starter, "audio", [str(p) for p in paths], labels, templates)
    for row, probabilities in zip(rows, expected, strict=True):
        found = {each["label"]: each["probability"] for each in row["labels"]}
        np.testing.assert_allclose([found[label] for label in labels], probabilities, atol=1e-4)
        assert row["labels"][0]["probability"] == max(found.values())


def test_files_of_items(live: httpx.Client, media: Path) -> None:
    """Media are served whole or by range, thumbnails as images, by id alone."""
    for row in live.post(SEARCH, json={"parts": [{"input": "rain"}], "top_k": 200}).json()["data"]:
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
    """All modalities are on the map, in the unit square; no absolute path is shown."""
    info = live.get("/v1/index").json()
    assert info["files"] == 8
    assert not any("/" in root for root in info["roots"])
    assert error_of(live.get("/v1/atlas", params={"count": 99_999}), 400)["param"] == "count"
    for method in ("tsne", "pca"):
        points = live.get("/v1/atlas", params={"method": method}).json()["data"]
        assert len(points) == info["rows"]
        assert {point["modality"] for point in points} == set(info["by_modality"])
        assert all(0 <= point[axis] <= 1 for point in points for axis in "xy")


def test_state(live: httpx.Client) -> None:
    """Health, models, metrics by route pattern, and a page that loads nothing from elsewhere."""
    assert live.get("/health").json() == {"status": "ok", "model": "starter"}
    row = live.get("/v1/models/starter").json()
    assert row == live.get("/v1/models").json()["data"][0]
    assert {each["name"] for each in row["modalities"] if each["is_text"]} == {"text"}
    assert "image" in {each["name"] for each in row["modalities"]}
    metrics = live.get("/metrics").text
    assert 'openbind_requests_total{route="/v1/models/{name}",status="200"}' in metrics
    assert "openbind_backlog_seconds 0.0" in metrics
    page = live.get("/")
    assert "default-src 'self'" in page.headers["content-security-policy"]


def test_updates_are_seen(
    starter: openbind.Space, media: Path, tmp_path: Path, running: Running
) -> None:
    """What an update adds is found at once; what it removes is gone."""
    root = tmp_path / "live"
    root.mkdir()
    shutil.copy(media / "dog.webp", root)
    index = openbind.Index.create(tmp_path / "index", starter, [root])
    index.update(starter)
    body = {"parts": [{"input": "rain"}]}
    opened = openbind.Index.open(tmp_path / "index")
    with running(create_app(Service(starter, opened))) as client:
        client.get("/")
        (dog,) = client.post(SEARCH, json=body).json()["data"]
        shutil.copy(media / "rain.ogg", root)
        (root / "dog.webp").unlink()
        assert error_of(client.get(dog["media_url"]), 404)["code"] == "file_not_found"
        index.update(starter)
        (rain,) = client.post(SEARCH, json=body).json()["data"]
        assert rain["path"] == "live/rain.ogg"
        assert error_of(client.get(dog["media_url"]), 404)["code"] == "item_not_found"
        assert client.get("/v1/index").json()["files"] == 1


def test_without_an_index(starter: openbind.Space, running: Running) -> None:
    """A service without an index embeds; its other routes name the option to set."""
    with running(create_app(Service(starter))) as client:
        client.get("/")
        assert client.post(EMBED, json={"input": "x"}).status_code == 200
        for response in (
            client.post(SEARCH, json={"parts": [{"input": "x"}]}),
            client.get("/v1/index"),
            client.get("/v1/atlas"),
            client.get("/v1/items/1/media"),
        ):
            error = error_of(response, 404)
            assert error["code"] == "index_not_found"
            assert "--index" in str(error["message"])


def test_overload(starter: openbind.Space, running: Running) -> None:
    """While too much is queued, clients get 503 and Retry-After; admitted requests are answered."""
    texts = [f"text number {n}, long enough to keep the tower busy" for n in range(80)]
    app = create_app(Service(starter, limits=Limits(wait_seconds=0.1)))

    def embed(number: int) -> httpx.Response:
        return client.post(EMBED, json={"input": [f"{number}: {text}" for text in texts]})

    with running(app) as client:
        with ThreadPoolExecutor(12) as pool:
            responses = list(pool.map(embed, range(12)))
        statuses = {response.status_code for response in responses}
        assert statuses == {200, 503}
        for response in responses:
            if response.status_code == 503:
                assert error_of(response, 503)["code"] == "overloaded"
                assert 1 <= int(response.headers["retry-after"]) <= 60
        assert embed(99).status_code == 200


class Sluggish:
    """A space whose every batch takes half a second."""

    def __init__(self, space: openbind.Space) -> None:
        self.space = space

    def __getattr__(self, name: str) -> Any:
        return getattr(self.space, name)

    def batching(self) -> Batching:
        def compute(modality: str, clips: torch.Tensor) -> torch.Tensor:
            time.sleep(0.5)
            return self.space.batching().compute(modality, clips)

        return Batching(compute)


def test_shutdown_with_much_work_left(starter: openbind.Space, in_process: Any) -> None:
    """Requests that are open after the drain time get 503, and the service ends."""
    service = Service(Sluggish(starter), batch_size=1)  # type: ignore[arg-type]
    listener = socket.create_server(("127.0.0.1", 0))
    server = ShortDrain(create_app(service), service)
    running = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    running.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}{EMBED}"
    texts = [f"text number {n}, one of many that take a while" for n in range(1000)]
    with ThreadPoolExecutor(1) as pool:
        response = pool.submit(httpx.post, url, json={"input": texts}, timeout=60)
        while not service.batcher.backlog_seconds:
            assert not response.done()
            time.sleep(0.01)
        server.should_exit = True
        running.join(15)
        assert not running.is_alive()
        assert error_of(response.result(15), 503)["code"] == "overloaded"
    assert service.batcher.backlog_seconds == 0
    listener.close()


class ShortDrain(Server):
    """Waits half a second for open requests."""

    async def shutdown(self, sockets: Any = None) -> None:
        self.service.stop(0.5)
        await uvicorn.Server.shutdown(self, sockets)


def test_a_client_that_leaves(starter: openbind.Space, running: Running) -> None:
    """Its work is given up at once: the place is free for others."""
    service = Service(Sluggish(starter), batch_size=1)  # type: ignore[arg-type]
    with running(create_app(service)) as client:
        texts = [f"text number {n}, one of many that take a while" for n in range(1000)]
        with pytest.raises(httpx.ReadTimeout):
            client.post(EMBED, json={"input": texts}, timeout=1)
        end = time.perf_counter() + 10
        while service.batcher.backlog_seconds:
            assert time.perf_counter() < end
            time.sleep(0.01)


def test_a_request_that_takes_too_long(starter: openbind.Space, running: Running) -> None:
    """Its client gets 503, its work is given up."""
    limits = Limits(request_seconds=0.5)
    service = Service(Sluggish(starter), None, limits, batch_size=1)  # type: ignore[arg-type]
    with running(create_app(service)) as client:
        response = client.post(EMBED, json={"input": ["a text of its own"] * 100})
        assert error_of(response, 503)["code"] == "overloaded"
        assert service.batcher.backlog_seconds == 0


def test_many_labels_on_an_idle_service(live: httpx.Client) -> None:
    """A request isn't charged for its own work: all labels that may be sent are taken."""
    for count in (1000, 2048, 1000):
        labels = [f"label {n}" for n in range(count)]
        response = live.post(CLASSIFY, json={"input": "a dog", "labels": labels})
        assert response.status_code == 200, response.text
        assert len(response.json()["data"][0]["labels"]) == count


def test_many_parts_by_id(live: httpx.Client) -> None:
    """As many as may be sent, all read at once; one unknown id is found."""
    row = live.post(SEARCH, json={"parts": [{"input": "rain"}], "top_k": 1}).json()["data"][0]
    start = time.perf_counter()
    response = live.post(SEARCH, json={"parts": [{"id": row["id"]}] * 2048, "top_k": 1})
    assert response.json()["data"][0]["id"] == row["id"]
    assert time.perf_counter() - start < 30
    body = {"parts": [{"id": row["id"]}, {"id": "0" * 24}]}
    assert error_of(live.post(SEARCH, json=body), 404)["code"] == "item_not_found"


@pytest.mark.parametrize(
    "content",
    [
        b'{"parts": [' + b"{}," * 1_000_000 + b"{}]}",
        b'{"parts": [' + b'{"weight":"x"},' * 1_000_000 + b"{}]}",
        b'{"parts": [{"input": "x"}], "modalities": [' + b'"image",' * 1_000_000 + b'"image"]}',
        b'{"input": [' + b'"",' * 2_000_000 + b'""]}',
        b"[" * 1_000_000,
        b'{"input": ' + b"1" * 1_000_000 + b"}",
    ],
    ids=["parts", "wrong parts", "modalities", "input", "depth", "number"],
)
def test_bodies_of_many_values(live: httpx.Client, content: bytes) -> None:
    """They are refused before they are parsed, and nothing else waits for it."""
    headers = {"Content-Type": "application/json"}
    for path in (EMBED, SEARCH):
        start = time.perf_counter()
        error = error_of(live.post(path, content=content, headers=headers), 400)
        assert len(str(error["message"])) < 1000
        assert time.perf_counter() - start < 20


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (EMBED, r'{"input": "\ud800"}'),
        (EMBED, r'{"input": ["a", "\udc00 \ud800"]}'),
        (EMBED, r'{"input": "x", "\ud800": 1}'),
        (SEARCH, r'{"parts": [{"id": "\ud800"}]}'),
        (SEARCH, r'{"parts": [{"input": "x"}], "where": "path = \ud800"}'),
        (CLASSIFY, r'{"input": "x", "labels": ["a", "\udfff"]}'),
    ],
)
def test_lone_surrogates(live: httpx.Client, path: str, body: str) -> None:
    """They are no Unicode: a 400, wherever they stand."""
    headers = {"Content-Type": "application/json"}
    assert error_of(live.post(path, content=body.encode(), headers=headers), 400)


def test_bodies_that_are_not_json(live: httpx.Client) -> None:
    """A page of another site can send these without asking; none is read."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""):
        response = live.post(EMBED, content=b'{"input": "x"}', headers={"Content-Type": kind})
        error = error_of(response, 415)
        assert (error["param"], error["code"]) == ("body", "unsupported_media_type")
        assert "curl" in error["message"]


def test_long_texts(live: httpx.Client) -> None:
    """Averaged over their parts, cut where that is asked for, or refused; never cut in silence."""
    long = "a dog runs on the beach " * 60 + "while rain falls on the city at night " * 60

    def embed(text: str, **fields: str) -> np.ndarray:
        found = live.post(EMBED, json={"input": text, **fields}).json()
        return np.array(found["data"][0]["embedding"])

    averaged, cut = embed(long), embed(long, truncate="end")
    beginning, end = embed(long[:600]), embed(long[-600:])
    assert cut @ beginning > averaged @ beginning
    assert cut @ end < averaged @ end
    assert np.linalg.norm(averaged) == pytest.approx(1)
    tokens = live.post(EMBED, json={"input": long}).json()["usage"]["prompt_tokens"]
    assert tokens > 800
    refused = live.post(EMBED, json={"input": ["short", long], "truncate": "refuse"})
    assert error_of(refused, 400)["param"] == "input[1]"
    np.testing.assert_allclose(embed("short", truncate="refuse"), embed("short"), atol=1e-6)


def test_pages_of_other_sites(live: httpx.Client, starter: openbind.Space, index: Any) -> None:
    """They can't learn which files are indexed: ids are signed, files need the page's cookie."""
    row = live.post(SEARCH, json={"parts": [{"input": "rain"}], "top_k": 1}).json()["data"][0]
    guess = index.sample(1, 0)[0][0].id
    assert error_of(live.get(f"/v1/items/{guess}"), 404)["code"] == "item_not_found"
    with httpx.Client(base_url=live.base_url) as stranger:
        for key in ("thumbnail_url", "drawing_url", "media_url"):
            assert error_of(stranger.get(row[key]), 403)["code"] == "session_required"
            headers = {"Authorization": "Bearer none"}
            assert stranger.get(row[key], headers=headers).status_code == 200
            found = live.get(row[key])
            assert found.headers["cross-origin-resource-policy"] == "same-origin"
    for site in ("cross-site", "same-site"):
        headers = {"Sec-Fetch-Site": site}
        for path in (row["thumbnail_url"], "/v1/atlas", "/v1/models", "/", "/page/page.js"):
            assert error_of(live.get(path, headers=headers), 403)["code"] == "cross_site"
        link = {**headers, "Sec-Fetch-Mode": "navigate"}
        assert live.get("/", headers=link).status_code == 200
    for site in ("same-origin", "none"):
        assert live.get("/v1/models", headers={"Sec-Fetch-Site": site}).status_code == 200


def test_links_out_of_a_root(
    starter: openbind.Space, media: Path, tmp_path: Path, running: Running
) -> None:
    """Their thumbnails aren't served, as little as their files."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    shutil.copy(media / "dog.webp", outside)
    shutil.copy(media / "rain.webp", root)
    shutil.copy(media / "dog.webp", root)
    index = openbind.Index.create(tmp_path / "index", starter, [root])
    index.update(starter)
    (root / "dog.webp").unlink()
    (root / "dog.webp").symlink_to(outside / "dog.webp")
    with running(create_app(Service(starter, index))) as client:
        client.get("/")
        rows = client.post(SEARCH, json={"parts": [{"input": "rain"}]}).json()["data"]
        statuses = {row["path"]: client.get(row["thumbnail_url"]).status_code for row in rows}
        assert statuses == {"root/rain.webp": 200, "root/dog.webp": 404}


def test_key(starter: openbind.Space, running: Running) -> None:
    """All but the page and the health check need the key, or the cookie of a session."""
    with running(create_app(Service(starter), "secret ünicode")) as client:
        for encoding in ("utf-8", "latin-1"):
            sent = {"Authorization": "Bearer secret ünicode".encode(encoding)}
            assert client.get("/v1/models", headers=sent).status_code == 200
        assert client.get("/health").status_code == 200
        assert client.get("/").status_code == 200
        assert error_of(client.get("/v1/models"), 401)["code"] == "invalid_api_key"
        assert error_of(client.get("/metrics"), 401)
        wrong = {"Authorization": "Bearer other"}
        assert error_of(client.get("/v1/models", headers=wrong), 401)
        assert error_of(client.post("/v1/session", headers=wrong), 401)
    with running(create_app(Service(starter), "secret")) as client:
        right = {"Authorization": "Bearer secret"}
        assert client.get("/v1/models", headers=right).status_code == 200
        session = client.post("/v1/session", headers=right)
        assert "HttpOnly" in session.headers["set-cookie"]
        assert "secret" not in session.headers["set-cookie"]
        assert len(client.cookies) == 1
        assert client.get("/v1/models").status_code == 200


def test_other_hosts_without_a_key(live: httpx.Client) -> None:
    """A page of another site whose name resolves to this machine is rejected (DNS rebinding)."""
    for name in ("evil.example", "evil.example:8000", "localhost.evil.example", ""):
        error = error_of(live.get("/v1/models", headers={"Host": name}), 403)
        assert error["code"] == "host_not_allowed"
    assert live.get("/health", headers={"Host": "localhost:9"}).status_code == 200
