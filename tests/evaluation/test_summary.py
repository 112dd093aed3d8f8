"""Results as text and as plain values: every number once, each in its column."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np

from openbind.evaluation.emergence import Cell, Pool
from openbind.evaluation.results import Confusion, Published, Ranking, Score, SuiteResult
from openbind.evaluation.summary import (
    tabulate,
    tabulate_all,
    tabulate_cells,
    tabulate_unseen,
    to_plain,
)
from openbind.space.card import Card, Measurement


def make_result(space: str, value: float, *extra: Score) -> SuiteResult:
    """An accuracy, and what else there is."""
    accuracy = Score(
        task="zero-shot", metric="accuracy", value=value, chance=0.25, interval=(value, 1), count=4
    )
    rank_Q = np.where(np.arange(4) < 4 * value, 1, 2)
    return SuiteResult(
        suite="esc50",
        space=space,
        scores=(accuracy, *extra),
        published=(
            Published(task="zero-shot", metric="accuracy", value=0.669, where="A, Table 1"),
        ),
        excluded={},
        overlaps=(),
        rankings=(Ranking(task="zero-shot", rank_Q=rank_Q),),
    )


MEDIAN = Score(task="a → b", metric="median rank", value=12.0, chance=50.5)


def test_table() -> None:
    """A column a space; what one lacks is a dash; papers' numbers come last."""
    lines = tabulate([make_result("one", 0.5), make_result("two", 0.75, MEDIAN)])
    cells = [[cell for cell in line.split("  ") if cell] for line in lines]
    assert [cell.strip() for cell in cells[0]] == [
        "esc50",
        "items",
        "chance",
        "one",
        "two",
        "published",
    ]
    assert [cell.strip() for cell in cells[1]] == [
        "zero-shot: accuracy",
        "4",
        "0.250",
        "0.500 (0.500–1.000)",
        "0.750 (0.750–1.000)",
        "0.669 A, Table 1",
    ]
    assert [cell.strip() for cell in cells[2]] == ["a → b: median rank", "–", "50.5", "–", "12.0"]


def test_differences() -> None:
    """Behind each space but the first there is how it differs, with its p."""
    first, second = make_result("one", 0.25, MEDIAN), make_result("two", 0.75, MEDIAN)
    head, accuracy, median = tabulate([first, second], differences=True)
    assert head.split() == ["esc50", "items", "chance", "one", "two", "difference", "published"]
    assert "+0.500 p=0.5 " in accuracy
    assert median.split()[-1] == "+0.000"
    alone = tabulate([first, make_result("two", 0.75)], differences=True)
    assert alone[2].split()[-2:] == ["–", "–"]


def test_plain() -> None:
    """All of it goes through JSON; differences are there when another space is."""
    first, second = make_result("one", 0.25), make_result("two", 0.75)
    plain = json.loads(json.dumps(to_plain(second, first)))
    (score,) = plain["scores"]
    assert score["published"]["value"] == 0.669
    assert score["difference"] == {"value": 0.5, "p": 0.5, "apart": False}
    assert "difference" not in to_plain(second)["scores"][0]
    confusion = Confusion(
        task="t", modality="audio", classes=("a", "b"), counts_KK=np.array([[3, 0], [1, 2]])
    )
    (found,) = to_plain(replace(first, confusions=(confusion,)))["confusions"]
    assert found["counts"] == [[0, 0, 3], [1, 0, 1], [1, 1, 2]]


def test_tables_of_several_suites() -> None:
    """One table for each suite, an empty line between them."""
    first, second = make_result("one", 0.25), make_result("two", 0.75)
    other = replace(first, suite="clotho")
    lines = tabulate_all([first, other, second])
    assert [line.split()[0] for line in lines if line] == [
        *("esc50", "zero-shot:"),
        *("clotho", "zero-shot:"),
    ]
    assert lines[2] == ""
    assert "two" in lines[0]


def test_nothing_published() -> None:
    """Without a paper's number there is no column for it."""
    head, _ = tabulate([replace(make_result("one", 0.5), published=())])
    assert head.split() == ["esc50", "items", "chance", "one"]


def test_cells() -> None:
    """One line a direction, those trained together first, with chance and the control."""

    def scores(value: float) -> tuple[Score, ...]:
        return (Score(task="t", metric="R@1", value=value, chance=0.1, interval=(0.2, 0.4)),)

    pool = Pool(set="s", relevance="class", queries=1200, items=10)
    emergent = Cell(
        query="a",
        target="b",
        trained=False,
        pools=(pool,),
        raw=scores(0.3),
        centered=scores(0.35),
        shuffled=scores(0.11),
        gap=0.5,
        hubness=None,
    )
    lines = tabulate_cells([emergent, replace(emergent, query="b", target="a", trained=True)])
    assert lines[0].split() == ["search", "chance", "R@1", "centered", "shuffled", "queries"]
    assert lines[1].startswith("b → a   trained")
    assert lines[2].split()[3:] == [
        *("emergent", "0.100", "0.300", "(0.200–0.400)", "0.350", "0.110", "1,200")
    ]


def test_unseen_classes() -> None:
    """What the card says about classes excluded from training, marked as the card's; or nothing."""
    seen = Measurement(task="seen", metric="accuracy", value=0.9, chance=0.1, data="d")
    left_out = Measurement(
        task="never heard",
        metric="accuracy",
        value=0.25,
        chance=0.1,
        data="d",
        interval=(0.2, 0.3),
        count=1720,
        unseen=True,
    )
    head, row = tabulate_unseen(Card(measurements=(seen, left_out)))
    assert "card" in head
    assert row.startswith("never heard")
    assert row.split()[-4:] == ["0.100", "0.250", "(0.200–0.300)", "1,720"]
    assert tabulate_unseen(Card(measurements=(seen,))) == []
