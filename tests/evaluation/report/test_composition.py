"""A report has every part, and warns about what limits its numbers."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

import openbind
from openbind.errors import InputError
from openbind.evaluation.builtin import BuiltIn
from openbind.evaluation.report.composition import MOST_POINTS, compose_report, warn_of_result
from openbind.evaluation.report.contents import Query, QueryPart, Report
from openbind.evaluation.results import SuiteResult
from openbind.space.card import Card, Source


def test_every_part(report: Report, measured: BuiltIn) -> None:
    """Six modalities: 30 directions, all items on the map, random queries of each."""
    assert report.cells == measured.cells
    assert len(report.cells) == 30
    assert len(report.points) == sum(len(some.items) for some in measured.embedded) < MOST_POINTS
    assert report.counts == {some.modality: 4 for some in measured.embedded}
    assert {query.parts[0].modality for query in report.queries} == report.counts.keys()
    assert not report.selected
    assert len(report.credited) == 24


def test_warnings(report: Report) -> None:
    """The caller's come first; then overlaps, skipped tasks, and excluded items."""
    first, overlap, skipped, ours, theirs = report.warnings
    assert first == "made up"
    assert "ESC-10" in overlap
    assert "esc50" in overlap
    assert "probe" in skipped
    assert "no items to train on" in skipped
    assert "/data/broken.wav: truncated" in ours
    assert "theirs" in theirs


def test_training_items_are_reported(results: list[SuiteResult]) -> None:
    """The number of items that were skipped because the card lists them."""
    bare = replace(results[1], excluded={}, trained_items=160)
    (note,) = warn_of_result(bare)
    assert "160" in note


@pytest.mark.slow
def test_warns_of_sets_trained_on(starter: openbind.Space, measured: BuiltIn) -> None:
    """A set whose name is in the name of a source, once, whether it has a result or not."""
    source = Source(name="Made, split 1", use="pairs", license="CC0", origin="here")
    space = openbind.Space(starter.config, starter.towers, Card(sources=(source,)))
    (warning,) = compose_report(space, measured, title="x").warnings
    assert "Made, split 1" in warning
    result = SuiteResult(suite="made", space="x", scores=(), overlaps=(source.name,))
    assert len(compose_report(space, measured, [result], title="x").warnings) == 1


@pytest.mark.slow
def test_selected_queries(starter: openbind.Space, measured: BuiltIn) -> None:
    """Queries that are given are shown instead of random ones."""
    part = QueryPart(modality="text", item=measured.embedded[0].items[0])
    query = Query(title="q", parts=(part,), neighbors=())
    report = compose_report(starter, measured, title="x", queries=[query])
    assert (report.queries, report.selected) == ((query,), True)


@pytest.mark.slow
def test_the_seed_decides(starter: openbind.Space, measured: BuiltIn) -> None:
    """The same seed gives the same report."""
    few = replace(measured, embedded=measured.embedded[:2])
    first, again = (compose_report(starter, few, title="x", seed=5) for _ in range(2))
    assert first == again


def test_without_scikit_learn_there_is_no_map(
    starter: openbind.Space, measured: BuiltIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report names the extra to install, and has all other parts."""
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    report = compose_report(starter, measured, title="x")
    assert report.points == ()
    assert any("openbind[report]" in warning for warning in report.warnings)
    assert report.queries


def test_one_item_is_no_collection(starter: openbind.Space, measured: BuiltIn) -> None:
    """Without anything to compare there is no report."""
    some = measured.embedded[0]
    single = replace(some, items=some.items[:1], vectors_NE=some.vectors_NE[:1])
    with pytest.raises(InputError, match="at least two items"):
        compose_report(starter, replace(measured, embedded=(single,)), title="x")
