"""The frozen side of a pair: embedded once for each view, kept on disk, never run again.

An embedding depends on the tower's weights, the preprocessing, the item's content and the view;
its key in the cache is a hash of all four, so that a second run, or a run with other settings
elsewhere, finds it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from tqdm import tqdm

from openbind.atomic import atomic_path
from openbind.data.augment import apply_all
from openbind.data.table import Anchor
from openbind.data.views import ViewPlan, anchor_view, apply_view, view_rng
from openbind.embedding.cache import VectorCache
from openbind.embedding.items import Item, StoredVector, content_key, load_vector, open_item
from openbind.errors import InputError
from openbind.space.decoding import map_ahead
from openbind.space.space import Space

CHUNK = 64
"""Embeddings between two writes to the cache: what a killed run loses at most."""


@dataclass(frozen=True, kw_only=True)
class AnchorPlan:
    """How frozen items become embeddings.

    Args:
        modality: of the items.
        views: what is shown of them.
        operations: augmentations of items, redrawn for each view.
        seed: of views and operations.
    """

    modality: str
    views: ViewPlan
    operations: tuple[Any, ...] = ()
    seed: int = 0


@dataclass(frozen=True)
class Anchors:
    """Embeddings of frozen items.

    Args:
        vectors_KVE: unit vectors (items, views, dim); NaN where an item can't be used.
        broken: index of such an item → why.
    """

    vectors_KVE: torch.Tensor
    broken: dict[int, str]


def embed_anchors(
    space: Space,
    plan: AnchorPlan,
    anchors: Sequence[Anchor],
    cache: VectorCache | None,
    *,
    part: slice = slice(None),
    progress: bool = False,
) -> Anchors:
    """Embed frozen items, or take what the cache has.

    Args:
        space: its towers embed them.
        plan: how.
        anchors: the items.
        cache: where embeddings are found and kept; None does neither.
        part: the items this process takes on; the others' rows are NaN and not in `broken`.
        progress: show a bar on stderr.
    """
    narrow = space.config.narrow([plan.modality])
    fingerprint = Space(narrow, {t: space.towers[t] for t in narrow.towers}).fingerprint
    vectors_KVE = np.full((len(anchors), plan.views.count, space.dim), np.nan, np.float32)
    broken: dict[int, str] = {}
    mine = range(len(anchors))[part]

    @lru_cache(maxsize=256)
    def digest(item: Item) -> bytes:  # a video has many windows
        return b"" if isinstance(item, StoredVector) else content_key(item)

    def key_views(index: int) -> list[bytes]:
        content = digest(anchors[index].item)
        return [_key(fingerprint, plan, anchors[index], v, content) for v in _views(plan)]

    label = f"frozen {plan.modality}"
    bar = tqdm(
        total=len(mine) * plan.views.count, desc=label, unit="view", delay=1, disable=not progress
    )
    keyed = zip(mine, map_ahead(key_views, mine), strict=True)
    per_chunk = max(1, CHUNK // plan.views.count)
    with bar:
        while chunk := list(islice(keyed, per_chunk)):
            wanted: dict[tuple[int, int], bytes] = {}
            for index, keys in chunk:
                try:
                    wanted |= {(index, v): key for v, key in enumerate(keys())}
                except InputError as error:
                    broken[index] = str(error)
            _fill(space, plan, anchors, cache, wanted, vectors_KVE, broken)
            bar.update(len(chunk) * plan.views.count)
    for index in broken:
        vectors_KVE[index] = np.nan
    return Anchors(torch.from_numpy(vectors_KVE), broken)


def _views(plan: AnchorPlan) -> range:
    return range(plan.views.count)


def _key(fingerprint: str, plan: AnchorPlan, anchor: Anchor, view: int, content: bytes) -> bytes:
    shown = anchor_view(anchor, plan.views, plan.seed, view)
    # What operations draw depends on the item's name too; the views alone don't need it.
    drawn = f"{plan.seed}/{anchor.key}/{view}" if plan.operations else ""
    parts = (fingerprint, plan.modality, repr(shown), repr(plan.operations), drawn)
    return hashlib.blake2b("\n".join(parts).encode() + content, digest_size=20).digest()


def _fill(
    space: Space,
    plan: AnchorPlan,
    anchors: Sequence[Anchor],
    cache: VectorCache | None,
    wanted: dict[tuple[int, int], bytes],
    vectors_KVE: np.ndarray,
    broken: dict[int, str],
) -> None:
    """Put the wanted rows in place: from the cache, from files of vectors, or by embedding."""
    found = {} if cache is None else cache.get(wanted.values())
    missing: list[tuple[int, int]] = []
    for place, key in wanted.items():
        item = anchors[place[0]].item
        if isinstance(item, StoredVector):
            try:
                vectors_KVE[place] = load_vector(item, space.dim)
            except InputError as error:
                broken[place[0]] = str(error)
        elif key in found:
            vectors_KVE[place] = found[key]
        else:
            missing.append(place)
    shown: list[Any] = []
    kept: list[tuple[int, int]] = []
    for place, result in zip(missing, map_ahead(_shower(plan, anchors), missing), strict=True):
        try:
            shown.append(result())
            kept.append(place)
        except InputError as error:
            broken[place[0]] = str(error)
    if not kept:
        return

    def report(index: int, error: InputError) -> None:
        broken[kept[index][0]] = str(error)

    rows_NE = space.encode(plan.modality, shown, on_error=report)
    for place, row_E in zip(kept, rows_NE, strict=True):
        vectors_KVE[place] = row_E
    if cache is not None:
        good = [place for place in kept if place[0] not in broken]
        cache.put({wanted[place]: vectors_KVE[place] for place in good})


def _shower(plan: AnchorPlan, anchors: Sequence[Anchor]) -> Callable[[tuple[int, int]], Any]:
    def show_place(place: tuple[int, int]) -> Any:
        anchor, view = anchors[place[0]], place[1]
        seen = anchor_view(anchor, plan.views, plan.seed, view)
        shown = apply_view(plan.modality, open_item(anchor.item), seen)
        rng = view_rng(plan.seed, f"{anchor.key}/operations", view)
        return apply_all(plan.operations, "item", shown, rng)

    return show_place


def plan_digest(space: Space, plan: AnchorPlan, anchors: Sequence[Anchor]) -> str:
    """Hash what a table of embeddings depends on, by the items' names and not their content."""
    digest = hashlib.blake2b(digest_size=20)
    digest.update(f"{space.name}/{space.dim}/{plan!r}".encode())
    for anchor in anchors:
        digest.update(f"{anchor.key}\n".encode())
    return digest.hexdigest()


def write_anchors(path: Path, anchors: Anchors, digest: str) -> None:
    """Write a run's table, so that resuming it reads no item again."""
    notes = {"digest": digest, "broken": json.dumps(anchors.broken)}
    with atomic_path(path) as temporary:
        save_file({"vectors_KVE": anchors.vectors_KVE}, temporary, metadata=notes)


def read_anchors(path: Path, digest: str) -> Anchors | None:
    """Read a run's table; None if there is none of this digest."""
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            notes = file.metadata() or {}
            if notes.get("digest") != digest:
                return None
            broken = {int(k): str(v) for k, v in json.loads(notes["broken"]).items()}
            return Anchors(file.get_tensor("vectors_KVE"), broken)
    except SafetensorError:
        return None
