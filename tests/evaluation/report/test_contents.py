"""A report is plain values, and its JSON has every number of the page and no media."""

from __future__ import annotations

import dataclasses
import json

import pytest

from openbind.evaluation.report.contents import Report, plain_report


def test_frozen(report: Report) -> None:
    """Neither a report nor what it holds can be changed."""
    for part in (report, report.points[0], report.queries[0], report.queries[0].parts[0]):
        name = dataclasses.fields(part)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, None)


def test_is_json_without_media(report: Report) -> None:
    """It survives being written and read, and is small."""
    text = json.dumps(plain_report(report), allow_nan=False)
    assert "base64" not in text
    assert len(text) < 100_000
    found = json.loads(text)
    assert found["modalities"]["imu"] == 4
    assert found["warnings"] == list(report.warnings)
    assert found["trained_pairs"] == [list(pair) for pair in report.card.trained_pairs]


def test_cells_and_suites(report: Report) -> None:
    """A cell's numbers stand by metric, a suite's beside the published ones."""
    found = plain_report(report)
    cell, plain = report.cells[0], found["emergence"][0]
    assert (plain["query"], plain["target"], plain["trained"]) == ("image", "video", True)
    for raw, centered, shuffled in zip(cell.raw, cell.centered, cell.shuffled, strict=True):
        numbers = plain["metrics"][raw.metric]
        assert (numbers["value"], numbers["chance"]) == (raw.value, raw.chance)
        assert (numbers["centered"], numbers["shuffled"]) == (centered.value, shuffled.value)
    ours, theirs = found["suites"]
    assert ours["scores"][0]["published"]["value"] == 0.669
    assert ours["scores"][1]["published"] is None
    assert ours["confusions"][0]["counts"] == [[0, 0, 3], [0, 1, 1], [1, 1, 4]]
    assert theirs["overlaps"] == []
    unseen = found["unseen_classes"]
    assert [each["task"] for each in unseen] == [m.task for m in report.card.unseen]
    assert {each["source"] for each in unseen} <= {"model card"}
