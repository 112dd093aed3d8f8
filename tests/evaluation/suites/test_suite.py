"""The contract of suites: layout, license and origin are stated, wrong folders are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.errors import InputError
from openbind.evaluation.suites import SUITES
from openbind.evaluation.suites.suite import Suite, read_table, require

OWN = {"mosaics", "generation"}
"""Suites over what ships, or over the user's files."""
UNPUBLISHED = {"roadscene", "avsbench", "desed"}
"""Suites without published numbers of comparable models; RoadScene isn't in the paper."""


@pytest.mark.parametrize("name", SUITES.names())
def test_contract(name: str, tmp_path: Path) -> None:
    """Every suite names the origin of its data, and refuses folders that lack them."""
    suite: Suite = SUITES.get(name)
    assert suite.title
    assert suite.layout
    assert suite.license
    assert suite.origin.startswith("https://") or name in OWN
    assert bool(suite.published) == (name not in {*OWN, *UNPUBLISHED})
    assert all(0 < number.value <= 1 and number.where for number in suite.published)
    assert all(number.count or number.choices for number in suite.published)
    with pytest.raises(InputError, match="no such folder"):
        suite.read(tmp_path / "gone")
    with pytest.raises(InputError, match=r"missing; .* found nothing"):
        suite.read(tmp_path)


def test_require(tmp_path: Path) -> None:
    """What is missing, what was expected, what there is."""
    (tmp_path / "other").mkdir()
    (tmp_path / "a").mkdir()
    require("It", tmp_path, "a")
    with pytest.raises(InputError, match=r"b: missing; It is read from .* a, b, found a, other"):
        require("It", tmp_path, "a", "b")


def test_read_table(tmp_path: Path) -> None:
    """Columns and rows must be there."""
    path = tmp_path / "table.csv"
    path.write_text("a,b\n1,2\n")
    assert read_table(path, ("a",)) == [{"a": "1", "b": "2"}]
    with pytest.raises(InputError, match="no column c"):
        read_table(path, ("a", "c"))
    path.write_text("a,b\n")
    with pytest.raises(InputError, match="empty table"):
        read_table(path, ("a",))
