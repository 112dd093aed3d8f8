"""The page of benchmarks: complete, and written block by block whatever fails."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "performance.md"
DOCUMENT = """# Speed
before
<!-- python benchmarks/good.py --number 7 -->
| old |
<!-- end -->
<!-- python benchmarks/bad.py -->
<!-- end -->
<!-- python benchmarks/slow.py -->
<!-- end -->
between
<!-- long: python benchmarks/good.py -->
| of last week |
<!-- end -->
<!-- python benchmarks/last.py -->
<!-- end -->
after
"""
SCRIPTS = {
    "good": "import sys; print('\\n| new |'); print(sys.argv[1:])",
    "bad": "import sys; print('| half |'); sys.exit('it broke')",
    "slow": "import time; print('| begun |', flush=True); time.sleep(60)",
    "last": "print('| last |')",
}


@pytest.fixture
def report(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module."""
    spec = importlib.util.spec_from_file_location("report", ROOT / "benchmarks" / "report.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "report", module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def page(report: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page over scripts of which one fails and one takes too long."""
    for name, code in SCRIPTS.items():
        (tmp_path / f"{name}.py").write_text(code)
    (tmp_path / "page.md").write_text(DOCUMENT)
    monkeypatch.setattr(report, "HERE", tmp_path)
    return tmp_path / "page.md"


def call(report: ModuleType, monkeypatch: pytest.MonkeyPatch, page: Path, *options: str) -> int:
    """Run the script."""
    monkeypatch.setattr(sys, "argv", ["report.py", "--document", str(page), *options])
    code: int = report.main()
    return code


def test_document_is_complete(report: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each script has a block or a reason, each block a script, and every block was run."""
    assert call(report, monkeypatch, PAGE, "--check") == 0
    assert len(report.find_blocks(PAGE.read_text())) > 20
    bodies = [found["body"] for found in report.BLOCK.finditer(PAGE.read_text())]
    assert all(body.strip() for body in bodies)


def test_a_failure_loses_nothing(
    report: ModuleType, page: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks that fail or take too long say so; others are written, prose and long ones stay."""
    assert call(report, monkeypatch, page, "--limit", "2") == 1
    bodies = [found["body"] for found in report.BLOCK.finditer(page.read_text())]
    assert bodies[0] == "| new |\n['--number', '7']\n"
    assert all(part in bodies[1] for part in ("| half |", "exit code 1", "it broke"))
    assert all(part in bodies[2] for part in ("| begun |", "2 s"))
    assert bodies[3:] == ["| of last week |\n", "| last |\n"]
    assert re.sub(report.BLOCK, "", page.read_text()) == re.sub(report.BLOCK, "", DOCUMENT)


def test_only(report: ModuleType, page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Named scripts run, long or not; nothing else does."""
    assert call(report, monkeypatch, page, "--only", "good", "last") == 0
    bodies = [found["body"] for found in report.BLOCK.finditer(page.read_text())]
    assert bodies[1:3] == ["", ""]
    assert bodies[3] == "| new |\n[]\n"
    assert call(report, monkeypatch, page, "--only", "god") == 1


def test_check_finds_what_is_missing(
    report: ModuleType,
    page: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A block without a script or an end, and a script without a block, end the check."""
    (page.parent / "bad.py").rename(page.parent / "other.py")
    assert call(report, monkeypatch, page, "--check") == 1
    printed = capsys.readouterr().out
    assert {"bad", "other"} <= {line.partition(":")[0] for line in printed.splitlines()}
    text = page.read_text()
    page.write_text(text[: text.rindex("<!-- end -->")])
    assert call(report, monkeypatch, page) == 1
    assert page.read_text() == text[: text.rindex("<!-- end -->")]


@pytest.mark.slow
def test_a_real_block(report: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The cheapest script of the page writes a table there."""
    page = tmp_path / "page.md"
    page.write_text("<!-- python benchmarks/logmel.py -->\n<!-- end -->\n")
    assert call(report, monkeypatch, page) == 0
    rows = [line.strip("|").split("|") for line in page.read_text().splitlines() if line[:1] == "|"]
    assert [len(row) for row in rows] == [3] * 4
    assert float(rows[3][2].split()[0]) > 1
