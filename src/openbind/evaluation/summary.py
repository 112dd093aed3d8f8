"""Results as lines of text and as plain values for JSON."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from openbind.evaluation.compare import Difference, compare
from openbind.evaluation.emergence import Cell
from openbind.evaluation.results import Confusion, Score, SuiteResult, group_by_suite, unique_scores
from openbind.space.card import Card


def tabulate(results: Sequence[SuiteResult], differences: bool = False) -> list[str]:
    """Return a table of results: a line per score, a column per space.

    Args:
        results: of one suite, one for each space.
        differences: add a column after each space but the first: the difference from the first.
    """
    first = results[0]
    head = [first.suite, "items", "chance", first.space]
    for result in results[1:]:
        head += [result.space, "difference"] if differences else [result.space]
    rows = [[*head, "published" if first.published else ""]]
    for score in unique_scores(results):
        cells = [_cell(first.score_of(score.task, score.metric))]
        for result in results[1:]:
            cells.append(_cell(result.score_of(score.task, score.metric)))
            if differences:
                cells.append(_difference(compare(first, result, score)))
        published = first.published_for(score)
        beside = ""
        if published is not None:
            beside = f"{_number(published.value)} {published.describe(score)}"
        count = f"{score.count:,}" if score.count else "–"
        task = f"{score.task}: {score.metric}"
        rows.append([task, count, _number(score.chance), *cells, beside])
    return _align(rows)


def tabulate_cells(cells: Sequence[Cell]) -> list[str]:
    """Return a table of cross-modal alignment, a line per direction, trained ones first.

    R@1 stands beside chance, R@1 of mean-centered vectors, and the control with permuted relevance
    labels, which must give chance.
    """
    rows = [["search", "", "chance", "R@1", "centered", "shuffled", "queries"]]
    for cell in sorted(cells, key=lambda cell: not cell.trained):
        raw = cell.raw[0]
        rows.append(
            [
                f"{cell.query} → {cell.target}",
                "trained" if cell.trained else "emergent",
                _number(raw.chance),
                _cell(raw),
                _number(cell.centered[0].value),
                _number(cell.shuffled[0].value),
                f"{cell.count:,}",
            ]
        )
    return _align(rows)


def tabulate_unseen(card: Card) -> list[str]:
    """Return a table of what the card says about classes excluded from training; none without."""
    rows = [
        ["classes excluded from training (from the model card)", "chance", "named right", "items"]
    ]
    for m in card.unseen:
        score = Score(task="", metric="", value=m.value, chance=m.chance, interval=m.interval)
        items = f"{m.count:,}" if m.count else "–"
        rows.append([f"{m.task}, {m.metric}", _number(m.chance), _cell(score), items])
    return _align(rows) if card.unseen else []


def to_plain(result: SuiteResult, first: SuiteResult | None = None) -> dict[str, Any]:
    """Return a result as plain values for JSON.

    Args:
        result: of one space.
        first: another space's on the same suite; adds the differences from it.
    """
    scores = []
    for score in result.scores:
        published = result.published_for(score)
        plain = dataclasses.asdict(score)
        plain["published"] = published and dataclasses.asdict(published)
        other = first and first.score_of(score.task, score.metric)
        if first and other:
            difference = compare(first, result, other)
            plain["difference"] = difference and dataclasses.asdict(difference)
        scores.append(plain)
    return {
        "space": result.space,
        "suite": result.suite,
        "scores": scores,
        "confusions": [_plain_confusion(confusion) for confusion in result.confusions],
        "excluded": dict(result.excluded),
        "skipped": dict(result.skipped),
        "overlaps": list(result.overlaps),
        "trained_items": result.trained_items,
    }


def tabulate_all(results: Sequence[SuiteResult], differences: bool = False) -> list[str]:
    """Return a table for each suite, with empty lines between them."""
    lines: list[str] = []
    for of_suite in group_by_suite(results).values():
        lines += ["", *tabulate(of_suite, differences)]
    return lines[1:]


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return rows as lines with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _plain_confusion(confusion: Confusion) -> dict[str, Any]:
    return {
        "task": confusion.task,
        "modality": confusion.modality,
        "classes": list(confusion.classes),
        # Sparse, as a matrix of 1,000 classes has a million cells: true class, prediction, count.
        "counts": [
            [int(true), int(predicted), int(confusion.counts_KK[true, predicted])]
            for true, predicted in np.argwhere(confusion.counts_KK)
        ],
    }


def _cell(score: Score | None) -> str:
    if score is None:
        return "–"
    if score.interval is None:
        return _number(score.value)
    low, high = score.interval
    return f"{_number(score.value)} ({_number(low)}–{_number(high)})"


def _difference(difference: Difference | None) -> str:
    if difference is None:
        return "–"
    value = f"{difference.value:+.3f}"
    if difference.p is not None:
        return f"{value} p={difference.p:.2g}"
    if difference.apart is not None:
        return f"{value} intervals {'disjoint' if difference.apart else 'overlap'}"
    return value


def _number(value: float) -> str:
    return f"{value:.3f}" if value <= 1 else f"{value:.1f}"
