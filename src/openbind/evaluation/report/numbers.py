"""The numbers of a report as plain values for JSON, without media."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from openbind.evaluation.emergence import Cell
from openbind.evaluation.report.contents import Report
from openbind.evaluation.tasks import Confusion

if TYPE_CHECKING:
    from openbind.evaluation.run import SuiteResult


def plain_numbers(report: Report) -> dict[str, Any]:
    """Return what JSON can hold of a report: everything but the map and the neighbors.

    Args:
        report: to be written.
    """
    return {
        "title": report.title,
        "space": report.space,
        "dim": report.dim,
        "trained_pairs": [list(pair) for pair in report.card.trained_pairs],
        "modalities": {kind.modality: kind.count for kind in report.kinds},
        "warnings": list(report.warnings),
        "suites": [_plain_result(result) for result in report.results],
        "emergence": [_plain_cell(cell) for cell in report.cells],
        "named_by_words": [
            {
                "modality": naming.modality,
                "set": naming.set,
                "trained": naming.trained,
                "accuracy": dataclasses.asdict(naming.accuracy),
                **_plain_confusion(naming.confusion),
            }
            for naming in report.namings
        ],
    }


def _plain_result(result: SuiteResult) -> dict[str, Any]:
    scores = []
    for score in result.scores:
        published = result.published_for(score)
        beside = None if published is None else dataclasses.asdict(published)
        scores.append({**dataclasses.asdict(score), "published": beside})
    return {
        "suite": result.suite,
        "space": result.space,
        "scores": scores,
        "confusions": [_plain_confusion(confusion) for confusion in result.confusions],
        "excluded": result.excluded,
        "skipped": result.skipped,
        "overlaps": list(result.overlaps),
    }


def _plain_confusion(confusion: Confusion) -> dict[str, Any]:
    return {
        "task": confusion.task,
        "classes": list(confusion.classes),
        "counts": confusion.counts_CC.tolist(),
    }


def _plain_cell(cell: Cell) -> dict[str, Any]:
    rows = zip(cell.raw, cell.centerd, cell.shuffled, strict=True)
    return {
        "query": cell.query,
        "target": cell.target,
        "trained": cell.trained,
        "pools": [dataclasses.asdict(pool) for pool in cell.pools],
        "queries": cell.count,
        "gap": cell.gap,
        "hubness": cell.hubness,
        "metrics": {
            raw.metric: {
                "value": raw.value,
                "interval": raw.interval,
                "centerd": centerd.value,
                "centerd_interval": centerd.interval,
                "shuffled": shuffled.value,
                "chance": raw.chance,
            }
            for raw, centerd, shuffled in rows
        },
    }
