"""Embedding, search and classification for the routes, through the batcher."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from openbind.errors import InputError, UnknownNameError
from openbind.evaluation.projection import Method
from openbind.evaluation.zero_shot import class_probabilities, fill_template
from openbind.modalities import MODALITIES, TEXT
from openbind.search.index import Index
from openbind.search.query import Term
from openbind.search.results import Hit
from openbind.serving.atlas import Atlas
from openbind.serving.batching import Batcher, ItemError
from openbind.serving.errors import ApiError
from openbind.serving.hits import find_hit
from openbind.serving.limits import Limits
from openbind.serving.metrics import Metrics
from openbind.serving.payloads import Payload, read_payload
from openbind.serving.request_queue import EmbeddingResult
from openbind.serving.schemas import AtlasResponse, ModalityRow, ModelRow, QueryPart, SearchRequest
from openbind.space.space import Space
from openbind.space.vectors import combine, unit_rows


class Service:
    """A space and optionally an index, for many concurrent clients.

    Args:
        space: embeds.
        index: of vectors of the same space, or None.
        limits: of requests.
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
        batch_size: int | None = None,
        workers: int | None = None,
    ) -> None:
        if index is not None:
            index.check_space(space)
        self.space = space
        self.index = index
        self.atlas = None if index is None else Atlas(index)
        self.limits = limits or Limits()
        self.started = int(time.time())
        self.metrics = Metrics()
        self.batcher = Batcher(
            space.with_limits(self.limits.item),
            self.limits,
            self.metrics,
            batch_size=batch_size,
            workers=workers,
        )
        self.metrics.add_gauge(
            "openbind_backlog_seconds",
            "Estimated time until all open requests are answered",
            lambda: self.batcher.backlog_seconds,
        )
        if index is not None:
            self.metrics.add_gauge(
                "openbind_index_rows", "Rows of the index", lambda: float(index.rows)
            )

    def close(self) -> None:
        """Answer the open requests, admit no more, and end all threads."""
        self.batcher.close()
        if self.atlas is not None:
            self.atlas.close()

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
            return [
                read_payload(modality, _as_string(item, f"{name}[{at}]"), f"{name}[{at}]")
                for at, item in enumerate(given)
            ]

        return await asyncio.to_thread(read)

    async def embed(self, modality: str, items: Sequence[Payload], name: str) -> EmbeddingResult:
        """Embed items of one modality, in batches with those of other requests.

        Args:
            modality: one of the space's.
            items: one or more.
            name: of their list in the request, for errors.

        Raises:
            InputError: an item can't be used.
            OverloadedError: too much work is queued.
        """
        try:
            return await asyncio.wrap_future(self.batcher.embed(modality, items))
        except ItemError as error:
            raise InputError(f"{name}[{error.index}]", error.reason) from error

    async def combine(self, terms: Sequence[Term], name: str) -> EmbeddingResult:
        """Embed terms of any modalities and return their weighted sum.

        Args:
            terms: items, or vectors of indexed items.
            name: of their list in the request, for errors.

        Returns:
            one unit vector (1, dim), and the tokens of all texts.

        Raises:
            InputError: a term can't be used, or the sum is zero.
            OverloadedError: too much work is queued.
        """
        self.check_count(len(terms), name)
        found = await _gather(
            self._embed_term(term, f"{name}[{at}]") for at, term in enumerate(terms)
        )
        weighted = [
            (each.vectors_NE[0], term.weight) for each, term in zip(found, terms, strict=True)
        ]
        with _as_param(name):
            return EmbeddingResult(combine(weighted)[None], sum(each.tokens for each in found))

    async def search(self, request: SearchRequest) -> Sequence[Hit]:
        """Find the indexed items nearest to the weighted sum of the parts.

        Raises:
            InputError: a part, a modality or the condition can't be used.
            ApiError: 404, no index, or no such item.
            OverloadedError: too much work is queued.
        """
        index = self.need_index()
        if request.top_k > self.limits.results:
            raise InputError("top_k", f"exceeds the limit of {self.limits.results} results")
        for at, name in enumerate(request.modalities):
            self.check_modality(name, f"modalities[{at}]")
        terms = [await self._read_part(part, at) for at, part in enumerate(request.parts)]
        query_E = (await self.combine(terms, "parts")).vectors_NE[0]

        def find() -> Sequence[Hit]:
            with _as_param("where"):
                return index.search(
                    query_E, request.top_k, modalities=request.modalities, where=request.where
                )

        return await asyncio.to_thread(find)

    async def classify(
        self,
        modality: str,
        items: Sequence[Payload],
        labels: Sequence[str],
        templates: Sequence[str],
    ) -> np.ndarray:
        """Return the probability of each label, as `openbind.evaluation.zero_shot.classify`.

        Args:
            modality: of the items.
            items: one or more.
            labels: names of the classes.
            templates: prompt templates, see `openbind.evaluation.zero_shot.fill_template`.

        Returns:
            (items, labels) float32, rows sum to 1.

        Raises:
            InputError: an item or a template can't be used, or there are too many.
            OverloadedError: too much work is queued.
        """
        self.check_modality(TEXT)
        self.check_count(len(labels) * len(templates), "labels × templates")
        for at, template in enumerate(templates):
            with _as_param(f"templates[{at}]"):
                fill_template(template, "")
        prompts = [fill_template(template, label) for label in labels for template in templates]
        read = await self.read_items(TEXT, prompts, "labels")
        found, texts = await _gather(
            [self.embed(modality, items, "input"), self.embed(TEXT, read, "labels")]
        )
        means_KE = texts.vectors_NE.reshape(len(labels), len(templates), -1).mean(axis=1)
        return class_probabilities(self.space, modality, found.vectors_NE, unit_rows(means_KE))

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

    def need_index(self) -> Index:
        """Return the index.

        Raises:
            ApiError: 404, the service has none.
        """
        if self.index is None:
            message = "this service has no index; start it with `openbind serve --index DIRECTORY`"
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
            modalities=[
                ModalityRow(
                    name=name,
                    is_text=name == TEXT,
                    accepts=kind.accepts,
                    extensions=sorted(kind.extensions),
                )
                for name, kind in kinds.items()
            ],
        )

    async def _read_part(self, part: QueryPart, at: int) -> Term:
        """Return a part of a query: an item, or the vector of an indexed one."""
        name = f"parts[{at}]"
        if (part.input is None) == (part.id is None):
            raise InputError(name, "expected either 'input' or 'id'")
        if part.id is not None:
            index, row_id = self.need_index(), part.id
            hit = await asyncio.to_thread(find_hit, index, row_id)
            vector_E = await asyncio.to_thread(index.vector, row_id)
            return Term(hit.modality, np.asarray(vector_E), part.weight)
        modality = self.check_modality(part.modality, f"{name}.modality")
        (item,) = await self.read_items(modality, [part.input], f"{name}.input")
        return Term(modality, item, part.weight)

    async def _embed_term(self, term: Term, name: str) -> EmbeddingResult:
        if isinstance(term.item, np.ndarray):
            return EmbeddingResult(term.item[None], 0)
        with _as_param(name):
            return await asyncio.wrap_future(self.batcher.embed(term.modality, [term.item]))


async def _gather(
    calls: Iterable[Coroutine[Any, Any, EmbeddingResult]],
) -> list[EmbeddingResult]:
    """Await several calls at once; when one fails, the others are cancelled."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


@contextmanager
def _as_param(name: str) -> Iterator[None]:
    """Make errors name a part of the request, or a place in it."""
    try:
        yield
    except InputError as error:
        place = error.item if error.item.startswith(f"{name}.") else name
        raise InputError(place, error.reason) from error


def _as_string(item: Any, name: str) -> str:
    """Return a string; token ids above all are rejected, as their vocabulary is another one.

    Raises:
        InputError: not a string.
    """
    if isinstance(item, str):
        return item
    if isinstance(item, int | list):
        raise InputError(
            name,
            "token ids are not supported, since vocabularies differ; send the text itself "
            "(LangChain: check_embedding_ctx_length=False)",
        )
    raise InputError(name, f"expected a string, found {type(item).__name__}")
