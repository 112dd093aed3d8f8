"""The rows of one pair beside its frozen items, each of which stands there once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openbind.data.pairs import Row
from openbind.embedding.items import Item, item_key


@dataclass(frozen=True, slots=True)
class Anchor:
    """A frozen item of a pair.

    Args:
        key: names it, the same in every run: its views depend on it.
        item: what it is.
        span: seconds (start, end) of the recording that is meant; None is all of it.
    """

    key: str
    item: Item
    span: tuple[float, float] | None


@dataclass(frozen=True)
class PairTable:
    """Rows and the frozen items that they are paired with.

    Args:
        rows: of the pair.
        anchors: all frozen items, each once.
        choices: for each row, the indices of its frozen items.
    """

    rows: Sequence[Row]
    anchors: Sequence[Anchor]
    choices: Sequence[tuple[int, ...]]

    def without(self, broken: Mapping[int, str]) -> PairTable:
        """Exclude frozen items that can't be used, and rows that have no other.

        Args:
            broken: index of a frozen item → why.
        """
        if not broken:
            return self
        kept = [index for index in range(len(self.anchors)) if index not in broken]
        place = {index: new for new, index in enumerate(kept)}
        choices = [tuple(place[i] for i in row if i in place) for row in self.choices]
        return PairTable(
            rows=[row for row, choice in zip(self.rows, choices, strict=True) if choice],
            anchors=[self.anchors[index] for index in kept],
            choices=[choice for choice in choices if choice],
        )

    def only(self, rows: Sequence[int]) -> PairTable:
        """Keep some rows; the frozen items stay, with their indices."""
        return PairTable(
            rows=[self.rows[row] for row in rows],
            anchors=self.anchors,
            choices=[self.choices[row] for row in rows],
        )


def tabulate(rows: Sequence[Row], modality: str, others: Sequence[Row] = ()) -> PairTable:
    """Collect the frozen items of rows.

    Args:
        rows: each with items of the modality.
        modality: the frozen one.
        others: rows whose frozen items are wanted too, after those of `rows`, without a partner.
    """
    anchors: dict[str, Anchor] = {}
    places: dict[str, int] = {}
    choices = []
    for row in (*rows, *others):
        chosen = []
        for item in row.items[modality]:
            key = item_key(item) if row.span is None else f"{item_key(item)}@{row.span}"
            if key not in anchors:
                places[key] = len(anchors)
                anchors[key] = Anchor(key, item, row.span)
            chosen.append(places[key])
        choices.append(tuple(chosen))
    return PairTable(rows, list(anchors.values()), choices[: len(rows)])
