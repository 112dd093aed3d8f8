"""A report is plain values, which no one changes."""

from __future__ import annotations

import dataclasses

import pytest

from openbind.evaluation.report.contents import Report


def test_frozen(report: Report) -> None:
    """Neither a report nor what it holds can be changed."""
    for part in (report, report.kinds[0], report.atlas[0], report.queries[0], report.namings[0]):
        name = dataclasses.fields(part)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, name, None)
