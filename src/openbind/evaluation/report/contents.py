"""What a report holds, as plain values: no file is opened, nothing is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from openbind.evaluation.collection import Item
from openbind.evaluation.emergence import Cell
from openbind.evaluation.tasks import Confusion, Score
from openbind.space.card import Card

if TYPE_CHECKING:
    from openbind.evaluation.run import SuiteResult

Match = Literal["scene", "class"]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One modality of the collection.

    Args:
        modality: its name.
        count: how many there are.
    """

    modality: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Dot:
    """One item on the map.

    Args:
        item: what it is.
        modality: of it.
        x, y: its place in 0..1, y upwards.
    """

    item: Item
    modality: str
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class Naming:
    """What the items of one modality and one data set are called by words.

    Args:
        modality: of the items.
        set: their data set.
        trained: whether the modality was trained with words.
        confusion: how many of which class were called what.
        accuracy: the share that was called by its own name.
    """

    modality: str
    set: str
    trained: bool
    confusion: Confusion
    accuracy: Score


@dataclass(frozen=True, kw_only=True)
class Found:
    """An item that a query found.

    Args:
        item: what was found.
        cosine: with the query.
        match: whether it is of the query's scene, or else of its class; None is neither.
    """

    item: Item
    cosine: float
    match: Match | None


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The best of one modality for a query.

    Args:
        modality: of what was found.
        trained: whether it was trained with the query's.
        found: the best first.
    """

    modality: str
    trained: bool
    found: tuple[Found, ...]


@dataclass(frozen=True, kw_only=True)
class Query:
    """An item, and what is nearest to it in every other modality.

    Args:
        modality: of the item.
        item: that is searched with.
        answers: one for each other modality.
    """

    modality: str
    item: Item
    answers: tuple[Answer, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """Everything that the page shows.

    Args:
        title: of the page.
        space: name of the space whose embeddings are shown.
        dim: its dimensions.
        card: what it was made of and trained on.
        kinds: modalities of the collection.
        warnings: what makes the numbers less than they seem, a sentence each.
        results: of suites, of this space and of those it is compared with.
        cells: every modality searched by every other.
        atlas: all items on a plane, the means of their modalities taken off.
        namings: what items are called by words.
        queries: items drawn at random, with what is nearest to them.
    """

    title: str
    space: str
    dim: int
    card: Card
    kinds: tuple[Kind, ...]
    warnings: tuple[str, ...]
    results: tuple[SuiteResult, ...]
    cells: tuple[Cell, ...]
    atlas: tuple[Dot, ...]
    namings: tuple[Naming, ...]
    queries: tuple[Query, ...]
