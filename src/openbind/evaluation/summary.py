"""Results of suites as lines of text and as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from openbind.evaluation.compare import Difference, compare
from openbind.evaluation.emergence import Cell
from openbind.evaluation.run import SuiteResult
from openbind.evaluation.tasks import Score


def tabulate(results: Sequence[SuiteResult], differences: bool = False) -> list[str]:
    """Return one line a number, a column a space, the first space's numbers in front.

    Args:
        results: of one suite, one a space.
        differences: put a column behind each space but the first: how it differs from that one.
    """
    first = results[0]
    head = [first.suite, "chance", first.space]
    for result in results[1:]:
        head += [result.space, "difference"] if differences else [result.space]
    rows = [[*head, "published" if first.published else ""]]
    for score in _all_scores(results):
        cells = [_cell(first.score_of(score.task, score.metric))]
        for result in results[1:]:
            cells.append(_cell(result.score_of(score.task, score.metric)))
            if differences:
                cells.append(_difference(compare(first, result, score)))
        published = first.published_for(score)
        beside = "" if published is None else f"{_number(published.value)} {published.where}"
        rows.append([f"{score.task}: {score.metric}", _number(score.chance), *cells, beside])
    return _align(rows)


def tabulate_cells(cells: Sequence[Cell]) -> list[str]:
    """Return one line for each modality searched by another, those trained together first.

    Beside R@1 stand what a random order gives, the same with each side's mean taken off, and the
    control with shuffled answers, which has to be chance.
    """
    rows = [["search", "", "chance", "R@1", "centerd", "shuffled", "queries"]]
    for cell in sorted(cells, key=lambda cell: not cell.trained):
        raw = cell.raw[0]
        rows.append(
            [
                f"{cell.query} → {cell.target}",
                "trained" if cell.trained else "emergent",
                _number(raw.chance),
                _cell(raw),
                _number(cell.centerd[0].value),
                _number(cell.shuffled[0].value),
                f"{cell.count:,}",
            ]
        )
    return _align(rows)


def to_plain(result: SuiteResult, first: SuiteResult | None = None) -> dict[str, Any]:
    """Return a result as what JSON can hold.

    Args:
        result: of one space.
        first: another space's on the same suite, to give the differences from it.
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
        "excluded": result.excluded,
        "skipped": result.skipped,
        "overlaps": list(result.overlaps),
    }


def _all_scores(results: Sequence[SuiteResult]) -> list[Score]:
    """Return each number that any space has, once."""
    found = {(s.task, s.metric): s for result in reversed(results) for s in result.scores}
    order = dict.fromkeys((s.task, s.metric) for result in results for s in result.scores)
    return [found[key] for key in order]


def _align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Write rows with their columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


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
        return f"{value} intervals {'apart' if difference.apart else 'overlap'}"
    return value


def _number(value: float) -> str:
    return f"{value:.3f}" if value <= 1 else f"{value:.1f}"
