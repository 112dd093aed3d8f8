"""`openbind models` lists the named spaces."""

from __future__ import annotations

import json

import pytest

from openbind.cli.main import main
from openbind.space.card import is_permissive


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    """One object per name: modalities, dimensions, bytes, license, and whether it is on disk."""
    assert main(["models", "--json"]) == 0
    rows = {row["name"]: row for row in json.loads(capsys.readouterr().out)}
    assert list(rows) == ["starter", "imagebind_huge", "base", "tiny"]
    assert rows["starter"]["on_disk"]
    assert rows["starter"]["languages"] == ["en"]
    thermal = [s for s in rows["starter"]["sources"] if "thermal" in s["use"]]
    assert thermal
    assert all(source["license"] for source in rows["starter"]["sources"])
    huge = rows["imagebind_huge"]
    assert (huge["dim"], huge["bytes"], huge["on_disk"]) == (1024, 4_803_147_960, False)
    assert huge["license"] == "CC-BY-NC-SA-4.0"
    assert huge["url"].startswith("https://")
    assert {"image", "text", "audio"} <= set(huge["modalities"])
    assert (rows["tiny"]["bytes"], rows["tiny"]["path"]) == (0, None)


def test_table(capsys: pytest.CaptureFixture[str]) -> None:
    """One block of lines per name."""
    assert main(["models"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line for line in out.splitlines() if "dimensions" in line}
    for part in ("to download", "4,803 MB", "1024"):
        assert part in rows["imagebind_huge"]
    assert "on disk" in rows["starter"]
    assert "texts in English only" in out
    assert any("thermal" in line and "CC-BY" in line for line in out.splitlines())
    assert "no weights" in rows["tiny"]


def test_all(capsys: pytest.CaptureFixture[str]) -> None:
    """With --all, named models of others too, permissive licenses first."""
    assert main(["models", "--all", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    permissive = [is_permissive(row["license"]) for row in rows]
    assert permissive == sorted(permissive, reverse=True)
    names = [row["name"] for row in rows]
    assert names.index("siglip2-base") < names.index("imagebind_huge")
    assert main(["models", "--all"]) == 0
    out = capsys.readouterr().out
    assert "st:laion/larger_clap_general@" in out
    assert all(any(line.split()[:1] == [name] for line in out.splitlines()) for name in names)


def test_permissive() -> None:
    """Every part of an expression counts; no license is none."""
    assert is_permissive("Apache-2.0 AND CC-BY-4.0")
    assert not is_permissive("Apache-2.0 AND CC-BY-NC-4.0")
    assert not is_permissive("")
