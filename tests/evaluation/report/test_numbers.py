"""The JSON has every number that the page has, and no media."""

from __future__ import annotations

import json

from openbind.evaluation.report.contents import Report
from openbind.evaluation.report.numbers import plain_numbers


def test_is_json_without_media(report: Report) -> None:
    """It survives being written and read, and is small."""
    text = json.dumps(plain_numbers(report), allow_nan=False)
    assert "base64" not in text
    assert len(text) < 100_000
    found = json.loads(text)
    assert found["modalities"]["imu"] == 4
    assert found["warnings"] == list(report.warnings)
    assert found["trained_pairs"] == [list(pair) for pair in report.card.trained_pairs]


def test_cells_and_suites(report: Report) -> None:
    """A cell's numbers stand by metric, a suite's beside the published ones."""
    found = plain_numbers(report)
    cell, plain = report.cells[0], found["emergence"][0]
    assert (plain["query"], plain["target"], plain["trained"]) == ("image", "video", True)
    for raw, centerd, shuffled in zip(cell.raw, cell.centerd, cell.shuffled, strict=True):
        numbers = plain["metrics"][raw.metric]
        assert (numbers["value"], numbers["chance"]) == (raw.value, raw.chance)
        assert (numbers["centerd"], numbers["shuffled"]) == (centerd.value, shuffled.value)
    ours, theirs = found["suites"]
    assert ours["scores"][0]["published"]["value"] == 0.669
    assert ours["scores"][1]["published"] is None
    assert ours["confusions"][0]["counts"] == [[3, 1], [0, 4]]
    assert theirs["overlaps"] == []
    named = {naming["modality"]: naming for naming in found["named_by_words"]}
    assert sum(map(sum, named["audio"]["counts"])) == 4
