"""What the routes call: embed, search and classify, through the batcher."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from openbind.errors import InputError, UnknownNameError
from openbind.modalities import MODALITIES, TEXT
from openbind.search.index import Index
from openbind.search.query import Term
from openbind.search.results import Hit
from openbind.serving.atlas import Atlas
from openbind.serving.batching import Batcher, ItemError
from openbind.serving.errors import ApiError
from openbind.serving.files import find_hit
from openbind.serving.limits import Limits
from openbind.serving.metrics import Metrics
from openbind.serving.payloads import Payload, read_payload
from openbind.serving.request_queue import EmbeddingResult
from openbind.serving.schemas import ModalityRow, ModelRow, QueryPart, SearchRequest
from openbind.space.space import Space
from openbind.space.vectors import combine, unit_rows


class Service:
    """A space and, if there is one, an index, for many clients at once.

    Args:
        space: embeds.
        index: of vectors of the same space, or None.
        limits: of requests.

    Raises:
        InputError: the index is of another space.
    """

    def __init__(
        self, space: Space, index: Index | None = None, limits: Limits | None = None
    ) -> None:
        if index is not None:
            index.check_space(space)
        self.space = space
        self.index = index
        self.atlas = None if index is None else Atlas(index)
        self.limits = limits or Limits()
        self.started = int(time.time())
        self.metrics = Metrics()
        self.batcher = Batcher(space, self.limits, self.metrics)
        self.metrics.measure(
            "openbind_backlog_seconds",
            "Work that waits for the model",
            lambda: self.batcher.backlog_seconds,
        )
        if index is not None:
            self.metrics.measure(
                "openbind_index_rows", "Rows of the index", lambda: float(index.rows)
            )

    def close(self) -> None:
        """Finish what was taken, take nothing more."""
        self.batcher.close()

    def check_model(self, name: str | None) -> None:
        """Refuse another model than the one there is.

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
        """Return the modality that was said, or that of words.

        Raises:
            InputError: the space hasn't got it.
        """
        chosen = TEXT if name is None else name
        if chosen not in self.space.modalities:
            known = UnknownNameError(
                f"modality of {self.space.name}", chosen, self.space.modalities
            )
            raise InputError(param, str(known))
        return chosen

    def check_count(self, count: int, name: str) -> None:
        """Refuse too many items.

        Raises:
            InputError: more than the limit.
        """
        if count > self.limits.items:
            raise InputError(name, f"{count:,} items; at most {self.limits.items:,} are taken")

    async def read_items(self, modality: str, given: Sequence[Any], name: str) -> list[Payload]:
        """Take clients' items, in a thread: megabytes of base64 take their time.

        Raises:
            InputError: too many, or one that is no text or data URL.
        """
        self.check_count(len(given), name)
        if not given:
            raise InputError(name, "expected one item or more")

        def read() -> list[Payload]:
            return [
                read_payload(modality, _as_text(item, f"{name}[{at}]"), f"{name}[{at}]")
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
            OverloadedError: too much is waiting.
        """
        try:
            return await asyncio.wrap_future(self.batcher.embed(modality, items))
        except ItemError as error:
            raise InputError(f"{name}[{error.index}]", error.reason) from error

    async def combine(self, parts: Sequence[Term], name: str) -> EmbeddingResult:
        """Embed parts of any modalities and add them with their weights.

        Returns:
            one vector (1, dim), and the tokens of all texts.

        Raises:
            InputError: a part can't be used, or they cancel each other.
            OverloadedError: too much is waiting.
        """
        self.check_count(len(parts), name)
        found = await asyncio.gather(
            *(self._embed_part(part, f"{name}[{at}]") for at, part in enumerate(parts))
        )
        weighted = [
            (each.vectors_NE[0], part.weight) for each, part in zip(found, parts, strict=True)
        ]
        try:
            return EmbeddingResult(combine(weighted)[None], sum(each.tokens for each in found))
        except ValueError as error:
            raise InputError(name, str(error)) from error

    async def search(self, request: SearchRequest) -> Sequence[Hit]:
        """Find what is nearest to the sum of some parts.

        Raises:
            InputError: a part, a modality or the condition can't be used.
            ApiError: 404, no index, or no such item.
            OverloadedError: too much is waiting.
        """
        index = self.need_index()
        if request.count > self.limits.results:
            raise InputError("count", f"at most {self.limits.results} can be found at once")
        for at, name in enumerate(request.only):
            self.check_modality(name, f"only[{at}]")
        parts = [await self._read_part(part, at) for at, part in enumerate(request.parts)]
        query_E = (await self.combine(parts, "parts")).vectors_NE[0]

        def find() -> Sequence[Hit]:
            return index.search(
                query_E, request.count, modalities=request.only, where=request.where
            )

        return await asyncio.to_thread(find)

    async def classify(
        self,
        modality: str,
        items: Sequence[Payload],
        labels: Sequence[str],
        templates: Sequence[str],
    ) -> np.ndarray:
        """Return items a probability for each label, as `openbind.evaluation.zero_shot.classify`.

        Returns:
            (items, labels), rows sum to 1.

        Raises:
            InputError: an item or a template can't be used, or there are too many.
            OverloadedError: too much is waiting.
        """
        self.check_modality(TEXT)
        self.check_count(len(labels) * len(templates), "labels × templates")
        for at, template in enumerate(templates):
            if template.count("{}") != 1 or template.count("{") + template.count("}") != 2:
                raise InputError(f"templates[{at}]", "expected one {} for the label")
        prompts = [template.replace("{}", label) for label in labels for template in templates]
        read = await self.read_items(TEXT, prompts, "labels")
        found, words = await asyncio.gather(
            self.embed(modality, items, "input"), self.embed(TEXT, read, "labels")
        )
        means_KE = words.vectors_NE.reshape(len(labels), len(templates), -1).mean(axis=1)
        bindings = self.space.config.modalities
        scale = max(bindings[modality].scale, bindings[TEXT].scale)
        logits_QK = scale * (found.vectors_NE.astype(np.float64) @ unit_rows(means_KE).T)
        return np.asarray(torch.from_numpy(logits_QK).softmax(dim=1))

    def need_index(self) -> Index:
        """Return the index.

        Raises:
            ApiError: 404, the service was started without.
        """
        if self.index is None:
            raise ApiError(404, "this service has no index: `openbind serve --index DIRECTORY`")
        return self.index

    def model(self) -> ModelRow:
        """Describe the space."""
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
                    words=name == TEXT,
                    accepts=kind.accepts,
                    extensions=sorted(kind.extensions),
                )
                for name, kind in kinds.items()
            ],
        )

    async def _read_part(self, part: QueryPart, at: int) -> Term:
        """Take a part of a query: an item, or the vector of an indexed one."""
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

    async def _embed_part(self, part: Term, name: str) -> EmbeddingResult:
        if isinstance(part.item, np.ndarray):
            return EmbeddingResult(part.item[None], 0)
        try:
            return await asyncio.wrap_future(self.batcher.embed(part.modality, [part.item]))
        except ItemError as error:
            raise InputError(name, error.reason) from error


def _as_text(item: Any, name: str) -> str:
    """Refuse what isn't a string, tokens above all: their vocabulary is another one.

    Raises:
        InputError: not a string.
    """
    if isinstance(item, str):
        return item
    if isinstance(item, int | list):
        raise InputError(
            name,
            "tokens aren't taken, since every model has its own; send the text itself "
            "(LangChain: check_embedding_ctx_length=False)",
        )
    raise InputError(name, f"expected a string, found {type(item).__name__}")
