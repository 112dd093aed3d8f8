"""Models of others are named by commit or digest; towers with weights of their own are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from openbind.catalog import shipped
from openbind.checkpoints import native
from openbind.checkpoints.references import (
    Reference,
    check_complete,
    digest,
    is_reference,
    open_references,
    opened,
    read_config,
    resolve,
)
from openbind.errors import CheckpointError, MissingExtraError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A directory of a model."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text('{"model_type": "clip"}')
    return tmp_path / "model"


def test_directories(folder: Path) -> None:
    """Their digest changes with names and contents of files, and not with hidden ones."""
    where = resolve("st:", str(folder))
    assert where == Reference(str(folder), digest(folder))
    assert (where.folder, where.commit, where.title) == (folder, None, "model")
    (folder / ".cache").mkdir()
    (folder / ".cache" / "lock").write_text("x")
    assert digest(folder) == where.revision
    (folder / "config.json").rename(folder / "other.json")
    assert digest(folder) != where.revision


def test_repositories() -> None:
    """They have a commit, and no folder of their own."""
    where = Reference("a/b", "0" * 40)
    assert (where.folder, where.commit, where.title) == (None, "0" * 40, "a/b")
    for name in ("b", "a/b/c", "../b"):
        with pytest.raises(CheckpointError, match="organization/name"):
            resolve("st:", name)


def test_card(folder: Path) -> None:
    """A space's card has the license of the model's."""
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    card = resolve("st:", str(folder)).describe("a library", ["text"], ["It is small."])
    assert (card.license, card.sources[0].origin) == ("mit", str(folder))
    assert card.limits[-1] == "It is small."


def test_other_models(folder: Path) -> None:
    """The kind is what config.json says."""
    assert read_config(resolve("", str(folder)), "clip") == {"model_type": "clip"}
    with pytest.raises(CheckpointError, match="expected tipsv2"):
        read_config(resolve("", str(folder)), "tipsv2")


@pytest.mark.parametrize(
    ("error", "found", "message"),
    [
        (ModuleNotFoundError("no", name="transformers"), MissingExtraError, r"openbind\[st\]"),
        (ImportError("X requires the Torchvision library"), CheckpointError, "install torchvision"),
        (ImportError("X requires the timm library"), CheckpointError, "install timm"),
        (KeyError("x"), CheckpointError, "KeyError"),
        (CheckpointError("a", "its own"), CheckpointError, "its own"),
    ],
)
def test_what_goes_wrong(error: Exception, found: type[Exception], message: str) -> None:
    """Whatever a library raises is one error that names the model or the package."""

    def fail() -> None:
        raise error

    with pytest.raises(found, match=message):
        opened("a/b", "transformers", "st", fail)


def test_towers_of_others_stay_outside() -> None:
    """Towers with weights of their own aren't references."""
    starter = native.read_config(shipped("starter"))
    assert open_references(starter.towers, "cpu", None) == {}
    assert not any(is_reference(spec) for spec in starter.towers.values())


def test_missing_weights() -> None:
    """Transformers would draw them at random; only the temperature may be missing."""
    found = {"missing_keys": {"temperature"}, "mismatched_keys": set()}
    check_complete("a/b", found, {"temperature"})
    with pytest.raises(CheckpointError, match=r"norm\.weight"):
        check_complete("a/b", {**found, "missing_keys": ["norm.weight"]}, {"temperature"})
