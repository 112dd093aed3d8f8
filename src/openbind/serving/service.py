"""Embedding, search and classification for the routes, through the batcher."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from openbind.errors import InputError, UnknownNameError
from openbind.evaluation.projection import Method
from openbind.evaluation.zero_shot import class_probabilities
from openbind.modalities import MODALITIES, TEXT
from openbind.modalities.thumbnails import LARGE, draw_thumbnail
from openbind.search.index import Index
from openbind.search.query import Term
from openbind.search.results import Hit
from openbind.serving.atlas import Atlas
from openbind.serving.batching import Batcher, ItemError
from openbind.serving.drawing import Drawings
from openbind.serving.errors import ApiError, as_param
from openbind.serving.facets import Facets
from openbind.serving.hits import (
    SECRET_BYTES,
    PublicIds,
    leads_out,
    read_secret,
    resolve_path,
)
from openbind.serving.index_schemas import AtlasResponse
from openbind.serving.kept import KeptFiles
from openbind.serving.limits import Limits
from openbind.serving.long_texts import Truncate
from openbind.serving.metrics import Metrics
from openbind.serving.middleware import Stopping
from openbind.serving.parts import read_parts
from openbind.serving.payloads import Payload, read_payload
from openbind.serving.playing import Playables
from openbind.serving.prompts import write_prompts
from openbind.serving.schemas import ModalityRow, ModelRow, QueryPart
from openbind.serving.updating import Updater
from openbind.serving.work import EmbeddingResult
from openbind.space.space import Space
from openbind.space.vectors import combine, unit_rows


class Service:
    """A space and optionally an index, for many concurrent clients.

    Args:
        space: embeds.
        index: of vectors of the same space, or None.
        limits: of requests.
        updater: keeps the index up to date; `start` starts it, `close` ends it.
        batch_size, workers: see `openbind.serving.batching.Batcher`.

    Raises:
        InputError: the index is of another space.
    """

    def __init__(
        self,
        space: Space,
        index: Index | None = None,
        limits: Limits | None = None,
        *,
        updater: Updater | None = None,
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> None:
        if index is not None:
            index.check_space(space)
        self.space = space
        self.index = index
        self.updater = updater
        # Of an index in an object store, each service has its own.
        folder = None if index is None else index.folder
        self.secret = secrets.token_bytes(SECRET_BYTES) if folder is None else read_secret(folder)
        self.ids = PublicIds(self.secret)
        self.atlas = None if index is None else Atlas(index, self.ids)
        self.facets = None if index is None else Facets(index)
        self.limits = limits or Limits()
        self.kept = KeptFiles(self.secret, self.limits)
        self.playables = Playables(self.limits)
        self.started = int(time.time())
        self.metrics = Metrics()
        self.stopping = Stopping()
        self.batcher = Batcher(
            space,
            self.limits,
            self.metrics,
            batch_size=batch_size,
            workers=workers,
        )
        self.drawings = Drawings(self.limits)
        self.metrics.add_gauge(
            "openbind_backlog_seconds",
            "Estimated time until all open requests are answered",
            lambda: self.batcher.backlog_seconds,
        )
        if index is not None:
            self.metrics.add_gauge(
                "openbind_index_rows", "Rows of the index", lambda: float(index.rows)
            )

    def start(self) -> None:
        """Start decoders and the index's update; requests are answered meanwhile."""
        self.batcher.warm()
        if self.updater is not None:
            self.updater.start()

    def stop(self, seconds: float) -> None:
        """Admit no more, and give up what is open in so many seconds; call it in the event loop."""
        self.batcher.queue.refuse()
        self.drawings.refuse()
        self.stopping.begin(seconds)
        asyncio.get_running_loop().call_later(seconds, self.drawings.give_up)

    def close(self, seconds: float | None = None) -> None:
        """Admit no more, answer the open requests, and end all threads and processes.

        Args:
            seconds: what isn't answered by then gets `OverloadedError`; None waits on.
        """
        self.drawings.close()
        self.batcher.close(seconds)
        if self.atlas is not None:
            self.atlas.close()
        if self.updater is not None:
            self.updater.close(seconds)
        self.playables.close()

    def check_model(self, name: str | None) -> None:
        """Check that a request names the space of this service, or none.

        Raises:
            ApiError: 404.
        """
        if name is not None and name != self.space.name:
            raise ApiError(
                404,
                f"no model {name[:80]!r}; this service has {self.space.name!r}",
                param="model",
                code="model_not_found",
            )

    def check_modality(self, name: str | None, param: str = "modality") -> str:
        """Return the modality that a request names, by default text.

        Raises:
            InputError: the space doesn't have it.
        """
        chosen = TEXT if name is None else name
        if chosen not in self.space.modalities:
            known = UnknownNameError(
                f"modality of {self.space.name}", chosen, self.space.modalities
            )
            raise InputError(param, str(known))
        return chosen

    def check_count(self, count: int, name: str) -> None:
        """Check the number of items.

        Raises:
            InputError: more than the limit.
        """
        if count > self.limits.items:
            raise InputError(name, f"{count:,} items exceed the limit of {self.limits.items:,}")

    async def read_items(self, modality: str, given: Sequence[Any], name: str) -> list[Payload]:
        """Decode the items of a request, in a thread: megabytes of base64 take time.

        Args:
            modality: of the items.
            given: strings of the request.
            name: of their list in the request, for errors.

        Raises:
            InputError: none or too many, or one that is neither a text nor a data URL.
        """
        self.check_count(len(given), name)
        if not given:
            raise InputError(name, "expected at least one item")

        def read() -> list[Payload]:
            return [read_payload(modality, item, f"{name}[{at}]") for at, item in enumerate(given)]

        return await asyncio.to_thread(read)

    async def embed(
        self,
        modality: str,
        items: Sequence[Payload],
        name: str,
        client: str = "",
        truncate: Truncate = "average",
    ) -> EmbeddingResult:
        """Embed items of one modality, in batches with those of other requests.

        Args:
            modality: one of the space's.
            items: one or more.
            name: of their list in the request, for errors.
            client: who sent them.
            truncate: what becomes of long texts.

        Raises:
            InputError: an item can't be used.
            OverloadedError: too much work is queued.
        """
        pairs = [(modality, item) for item in items]
        return await self._embed(pairs, lambda at: f"{name}[{at}]", client, truncate)

    async def combine(self, terms: Sequence[Term], name: str, client: str = "") -> EmbeddingResult:
        """Embed terms of any modalities and return their weighted sum; arguments as `embed_terms`.

        Returns:
            one unit vector (1, dim), and the tokens of all texts.
        """
        embedded, tokens = await self.embed_terms(terms, name, client)
        with as_param(name):
            return EmbeddingResult(combine([(t.item, t.weight) for t in embedded])[None], tokens)

    async def embed_terms(
        self, terms: Sequence[Term], name: str, client: str = ""
    ) -> tuple[list[Term], int]:
        """Embed terms of any modalities.

        Args:
            terms: items, or vectors of indexed items.
            name: of their list in the request, for errors.
            client: who sent them.

        Returns:
            the terms with vectors as their items, and the tokens of all texts.

        Raises:
            InputError: a term can't be used.
            OverloadedError: too much work is queued.
        """
        self.check_count(len(terms), name)
        vectors = [term.item for term in terms]
        new = [at for at, item in enumerate(vectors) if not isinstance(item, np.ndarray)]
        tokens = 0
        if new:
            items = [(terms[at].modality, vectors[at]) for at in new]
            found = await self._embed(items, lambda at: f"{name}[{new[at]}]", client)
            tokens = found.tokens
            for at, vector_E in zip(new, found.vectors_NE, strict=True):
                vectors[at] = vector_E
        pairs = zip(terms, vectors, strict=True)
        return [Term(term.modality, vector_E, term.weight) for term, vector_E in pairs], tokens

    async def embed_parts(
        self, parts: Sequence[QueryPart], client: str = ""
    ) -> tuple[list[Term], np.ndarray]:
        """Return the terms of a query with their vectors, and the sum's unit vector (dim,).

        Raises:
            InputError: a part can't be used, or the sum is zero.
            ApiError: 404, no index, or no such item.
            OverloadedError: too much work is queued.
        """
        self.check_count(len(parts), "parts")
        arguments = (parts, self.check_modality, self.need_index, self.ids, self.kept)
        terms = await asyncio.to_thread(read_parts, *arguments)
        embedded, _ = await self.embed_terms(terms, "parts", client)
        with as_param("parts"):
            return embedded, combine([(term.item, term.weight) for term in embedded])

    async def classify(
        self,
        modality: str,
        items: Sequence[Payload],
        labels: Sequence[str],
        templates: Sequence[str],
        client: str = "",
    ) -> np.ndarray:
        """Return the probability of each label, as `openbind.evaluation.zero_shot.classify`.

        Args:
            modality: of the items.
            items: one or more.
            labels: names of the classes.
            templates: prompt templates, see `openbind.evaluation.zero_shot.fill_template`.
            client: who sent them.

        Returns:
            (items, labels) float32, rows sum to 1.

        Raises:
            InputError: an item or a template can't be used, or there are too many.
            OverloadedError: too much work is queued.
        """
        self.check_modality(TEXT)
        prompts = write_prompts(len(items), labels, templates, self.limits)
        pairs = [(modality, item) for item in items] + [(TEXT, prompt) for prompt in prompts]

        def name(at: int) -> str:
            label = (at - len(items)) // len(templates)
            return f"input[{at}]" if at < len(items) else f"labels[{label}]"

        found = await self._embed(pairs, name, client)
        vectors_NE, texts_NE = np.split(found.vectors_NE, [len(items)])
        means_KE = texts_NE.reshape(len(labels), len(templates), -1).mean(axis=1)
        return class_probabilities(self.space, modality, vectors_NE, unit_rows(means_KE))

    async def map(self, count: int, method: Method) -> AtlasResponse:
        """Return a map of the index.

        Raises:
            ApiError: 404, no index.
            OverloadedError: another map is being computed.
        """
        self.need_index()
        assert self.atlas is not None
        future = await asyncio.to_thread(self.atlas.draw, count, method)
        # Others may wait for the same map: a client that leaves doesn't cancel it.
        return await asyncio.shield(asyncio.wrap_future(future))

    def thumbnail(self, hit: Hit) -> bytes | None:
        """Return the thumbnail of a hit; None if it has none, or is a link out of its folder."""
        return None if leads_out(hit) else self.need_index().thumbnail(hit.id)

    def draw(self, hit: Hit) -> bytes | None:
        """Return a large image of a hit, within the limits of uploads; None if it has none.

        Raises:
            ApiError: 404, its file is gone, or a link out of its folder.
        """
        path = resolve_path(hit)
        with self.limits.item.applied():
            return draw_thumbnail(hit.modality, path, LARGE)

    def need_index(self) -> Index:
        """Return the index.

        Raises:
            ApiError: 404, the service has none.
        """
        if self.index is None:
            message = "this service has no index; start it with `openbind serve FOLDER` or --index"
            raise ApiError(404, message, code="index_not_found")
        return self.index

    def model(self) -> ModelRow:
        """Return a description of the space."""
        kinds = {name: MODALITIES.get(name) for name in self.space.modalities}
        return ModelRow(
            object="model",
            id=self.space.name,
            created=self.started,
            owned_by="openbind",
            dim=self.space.dim,
            fingerprint=self.space.fingerprint,
            draws=self.space.generator is not None,
            modalities=[
                ModalityRow(
                    name=name,
                    is_text=name == TEXT,
                    accepts=kind.accepts,
                    extensions=sorted(kind.extensions),
                )
                for name, kind in kinds.items()
            ],
            languages=[*self.space.card.languages],
        )

    async def _embed(
        self,
        items: Sequence[tuple[str, Payload]],
        name: Callable[[int], str],
        client: str,
        truncate: Truncate = "average",
    ) -> EmbeddingResult:
        """Embed the items of a request; errors name an item by its position."""
        try:
            return await asyncio.wrap_future(self.batcher.embed(items, client, truncate))
        except ItemError as error:
            raise InputError(name(error.index), error.reason) from error
