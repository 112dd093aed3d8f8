"""The rows of one pair, and its frozen items without duplicates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from openbind.data.pairs import Row
from openbind.embedding.items import Item, item_name


@dataclass(frozen=True, slots=True)
class Anchor:
    """A frozen item of a pair.

    Args:
        key: its name, stable across runs: its views depend on it.
        item: the item.
        span: seconds (start, end) of the recording that it covers; None is all of it.
    """

    key: str
    item: Item
    span: tuple[float, float] | None


@dataclass(frozen=True)
class PairTable:
    """Rows and the frozen items that they are paired with.

    Args:
        rows: of the pair.
        anchors: all frozen items, without duplicates.
        choices: for each row, the indices of its frozen items.
    """

    rows: Sequence[Row]
    anchors: Sequence[Anchor]
    choices: Sequence[tuple[int, ...]]

    def without(self, skipped: Mapping[int, str]) -> PairTable:
        """Drop frozen items that can't be used, and rows that have no other.

        Args:
            skipped: index of a frozen item → reason.
        """
        if not skipped:
            return self
        kept = [index for index in range(len(self.anchors)) if index not in skipped]
        new = {index: position for position, index in enumerate(kept)}
        choices = [tuple(new[i] for i in row if i in new) for row in self.choices]
        return PairTable(
            rows=[row for row, choice in zip(self.rows, choices, strict=True) if choice],
            anchors=[self.anchors[index] for index in kept],
            choices=[choice for choice in choices if choice],
        )

    def only(self, rows: Sequence[int]) -> PairTable:
        """Keep some rows, by index; frozen items keep their indices."""
        return PairTable(
            rows=[self.rows[row] for row in rows],
            anchors=self.anchors,
            choices=[self.choices[row] for row in rows],
        )

    def sample(self, limit: int) -> PairTable:
        """Keep at most `limit` rows, evenly spaced, and only their frozen items."""
        step = max(1.0, len(self.rows) / limit)
        table = self.only([int(i * step) for i in range(min(limit, len(self.rows)))])
        used = {anchor for choice in table.choices for anchor in choice}
        unused = {index: "" for index in range(len(self.anchors)) if index not in used}
        return table.without(unused)


def tabulate(rows: Sequence[Row], modality: str, extra: Sequence[Row] = ()) -> PairTable:
    """Collect the frozen items of rows.

    Args:
        rows: each with items of the modality.
        modality: the frozen one.
        extra: further rows, whose frozen items come after those of `rows` and have no partner.
    """
    anchors: dict[str, Anchor] = {}
    indices: dict[str, int] = {}
    choices = []
    for row in (*rows, *extra):
        chosen = []
        for item in row.items[modality]:
            key = item_name(item) if row.span is None else f"{item_name(item)}@{row.span}"
            if key not in anchors:
                indices[key] = len(anchors)
                anchors[key] = Anchor(key, item, row.span)
            chosen.append(indices[key])
        choices.append(tuple(chosen))
    return PairTable(rows, list(anchors.values()), choices[: len(rows)])
