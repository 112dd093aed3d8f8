"""A run extends the starting space; killed anywhere, it resumes bit-exactly."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import openbind
from openbind.errors import CheckpointError, ConfigError, TrainingError
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train
from openbind.training.state import RunFolder, load_state
from openbind.training.trainer import Trainer
from tests.warm import Warm, run_ranks

World = Any


def run(world: World, output: Path, resume: bool = False, **changes: str) -> RunFolder:
    dotted = {key.replace("__", "."): value for key, value in changes.items()}
    recipe = read_recipe(world.recipe, dotted)
    assert train(recipe, world.folder, output, resume=resume) == output
    return RunFolder(output)


def losses(folder: RunFolder) -> list[tuple[int, float]]:
    lines = map(json.loads, folder.log.read_text().splitlines())
    return [(line["step"], line["loss"]) for line in lines if "loss" in line]


def weights(folder: RunFolder) -> dict[str, torch.Tensor]:
    return openbind.load(folder.path).towers["imu"].state_dict()


def assert_same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> None:
    assert a.keys() == b.keys()
    assert all(torch.equal(a[key], b[key]) for key in a)


@pytest.fixture(scope="module")
def whole(world: World, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """An uninterrupted run."""
    return run(world, tmp_path_factory.mktemp("runs") / "whole")


def test_result(world: World, whole: RunFolder) -> None:
    """The space has the old modalities, bit-exactly, and the new one, whose loss fell."""
    start, space = openbind.load(world.folder / "start"), openbind.load(whole.path)
    assert space.modalities == ("image", "imu")
    image = world.folder / "7.png"
    assert np.array_equal(space.encode("image", [image]), start.encode("image", [image]))
    assert space.encode("imu", [world.folder / "7.csv"]).shape == (1, 16)
    assert space.config.modalities["imu"].scale == pytest.approx(10)
    found = losses(whole)
    assert [step for step, _ in found] == list(range(1, 13))
    assert found[-1][1] < found[0][1]


def test_files(whole: RunFolder) -> None:
    """The folder has the recipe, the log, TensorBoard's events and checkpoints."""
    names = {path.name for path in whole.path.iterdir()}
    assert names == {"recipe.yaml", "space", "log.jsonl", "events", "state", "samples"}
    assert load_state(whole.last)["step"] == 12
    assert load_state(whole.best)["step"] in (6, 12)
    assert read_recipe(whole.recipe).name == "tiny-run"


def test_card(whole: RunFolder) -> None:
    """The card has the trained pairs, the number of rows and the validation results."""
    card = openbind.load(whole.path).card
    assert card.trained_pairs == (("image", "imu"),)
    assert "32 pairs" in card.summary
    assert {m.task for m in card.measurements} == {"imu→image", "image→imu"}
    assert all(0 < m.chance < 1 for m in card.measurements)
    assert "8 validation rows" in card.measurements[0].data


def test_again(world: World, whole: RunFolder, tmp_path: Path) -> None:
    """The same recipe gives the same weights and the same losses, bit-exactly."""
    again = run(world, tmp_path / "again")
    assert losses(again) == losses(whole)
    assert_same(weights(again), weights(whole))


def test_where_the_data_lie_does_not_count(world: World, tmp_path: Path) -> None:
    """What is drawn is the same under another spelling of the folder, and for a resumed run."""
    link = tmp_path / "link"
    link.symlink_to(world.folder)
    changes = {"pairs.0.views": "{count: 2, crop: [0.3, 0.6]}", "schedule.steps": "6"}
    recipe = read_recipe(world.recipe, changes)
    folders = [RunFolder(tmp_path / name) for name in ("a", "b")]
    train(recipe, world.folder, folders[0].path)
    train(recipe, link, folders[1].path)
    assert losses(folders[0]) == losses(folders[1])
    longer = read_recipe(world.recipe, {**changes, "schedule.steps": "8"})
    for folder, data in zip(folders, (world.folder, link), strict=True):
        train(longer, data, folder.path, resume=True)
    assert losses(folders[0])[-2:] == losses(folders[1])[-2:]


def test_another_seed(world: World, whole: RunFolder, tmp_path: Path) -> None:
    """Another seed gives another run."""
    other = run(world, tmp_path / "other", seed="1")
    assert losses(other) != losses(whole)


def test_workers(world: World, whole: RunFolder, tmp_path: Path) -> None:
    """Worker processes read the same rows; results may differ by rounding."""
    other = run(world, tmp_path / "other", hardware__num_workers="2")
    assert np.allclose([v for _, v in losses(other)], [v for _, v in losses(whole)], atol=1e-4)


KILLED = """
import os, signal, sys
from pathlib import Path
from openbind.training import trainer
from openbind.training.recipe_file import read_recipe
from openbind.training.run import train

recipe, data, output, last = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])
take_step = trainer.Trainer.take_step

def take_or_die(self, step, batch):
    if step == last:
        os.kill(os.getpid(), signal.SIGKILL)
    return take_step(self, step, batch)

trainer.Trainer.take_step = take_or_die
train(read_recipe(recipe), Path(data), Path(output))
"""


@pytest.mark.slow
@pytest.mark.parametrize("last", [1, 7])
def test_killed(world: World, whole: RunFolder, tmp_path: Path, last: int, warm: Warm) -> None:
    """Killed before or between checkpoints, a run resumes to the same losses and weights."""
    output = tmp_path / "killed"
    died = warm.run(KILLED, world.recipe, world.folder, output, last)
    assert died.returncode == -signal.SIGKILL, died.stderr
    folder = run(world, output, resume=True)
    assert losses(folder) == losses(whole)
    assert_same(weights(folder), weights(whole))


def test_several_pairs(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted between checkpoints, a run with a batch of every pair resumes bit-exactly."""
    pair = "{pair: [image, imu], data: {manifest: pairs.csv}, split: train, OWN}"
    pairs = ", ".join(pair.replace("OWN", own) for own in ("weight: 0.5", "batch_size: 4"))
    changes = {"pairs": f"[{pairs}]", "each_step": "all", "logging__validate_every": "12"}
    changes["schedule__lr_factors"] = '{"*head*": 0.5}'
    whole = run(world, tmp_path / "whole", **changes)
    lines = [json.loads(line) for line in whole.log.read_text().splitlines()]
    for line in lines:
        assert line["loss"] == pytest.approx(0.5 * line["losses"][0] + line["losses"][1])
    assert lines[-1]["loss"] < lines[0]["loss"]
    take_step = Trainer.take_step

    def take_or_die(self: Trainer, step: int, batches: Any) -> Any:
        if step == 7:
            raise InterruptedError
        return take_step(self, step, batches)

    with monkeypatch.context() as patched, pytest.raises(InterruptedError):
        patched.setattr(Trainer, "take_step", take_or_die)
        run(world, tmp_path / "part", **changes)
    resumed = run(world, tmp_path / "part", resume=True, **changes)
    assert losses(resumed) == losses(whole)
    assert_same(weights(resumed), weights(whole))


KILLED_WRITING = """
import os, signal, sys
import openbind.training.run
from openbind.cli.main import main

fsync = os.fsync

def fsync_or_die(descriptor):
    global files
    files -= 1
    if files == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return fsync(descriptor)

# Forks, so that libraries are imported once.
for files in map(int, sys.argv[1].split(",")):
    child = os.fork()
    if child == 0:
        os.fsync = fsync_or_die
        sys.exit(main(sys.argv[2:]))
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
def test_killed_while_writing(world: World, whole: RunFolder, tmp_path: Path, warm: Warm) -> None:
    """Killed while it writes files, several times, a run resumes to the same end."""
    output = tmp_path / "killed"
    verb = ["train", str(world.recipe), "--resume"]
    verb += ["--data", str(world.folder), "--output", str(output)]
    done = warm.run(KILLED_WRITING, "1,3,4,2", *verb)
    assert done.returncode == 0, done.stderr
    folder = RunFolder(output)
    assert losses(folder) == losses(whole)
    assert_same(weights(folder), weights(whole))


@pytest.mark.slow
def test_micro_batches(world: World, whole: RunFolder, tmp_path: Path) -> None:
    """Without dropout, micro-batches with gradient caching give the losses of whole batches."""
    plain = {
        "towers__imu__config__trunk__drop_path": "0.0",
        "towers__imu__config__head__dropout": "0",
    }
    one = run(world, tmp_path / "one", **plain)
    parts = run(world, tmp_path / "parts", hardware__micro_batch="3", **plain)
    assert np.allclose([v for _, v in losses(one)], [v for _, v in losses(parts)], atol=1e-4)


@pytest.mark.slow
def test_processes(world: World, tmp_path: Path, warm: Warm) -> None:
    """Two processes prepare and validate a part of the rows each, with the results of one.

    Every step has a batch of each of two pairs, of which one is validated.
    """
    pair = "{pair: [image, imu], data: {manifest: pairs.csv}, split: train, OWN}"
    owns = ("validation: val, weight: 0.5", "batch_size: 4")
    changes = {
        "pairs": f"[{', '.join(pair.replace('OWN', own) for own in owns)}]",
        "each_step": "all",
        "towers.imu.config.trunk.drop_path": "0",
        "towers.imu.config.head.dropout": "0",
        "logging.validate_every": "2",
    }
    one = run(world, tmp_path / "one", **{k.replace(".", "__"): v for k, v in changes.items()})
    options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    verb = ["train", str(world.recipe), "--output", str(tmp_path / "two")]
    run_ranks(warm, [*verb, *options])
    two = RunFolder(tmp_path / "two")
    np.testing.assert_allclose(np.array(losses(one)), np.array(losses(two)), rtol=1e-4)
    recalls = [
        [json.loads(line)["validation"] for line in folder.log.read_text().splitlines()
         if "validation" in line]
        for folder in (one, two)
    ]  # fmt: skip
    assert len(recalls[0]) == 6
    assert recalls[0][0] == recalls[1][0]


def test_refused(world: World, whole: RunFolder, tmp_path: Path) -> None:
    """A folder with a run isn't overwritten; resuming with a changed recipe names the key."""
    with pytest.raises(ConfigError, match="--resume"):
        run(world, whole.path)
    with pytest.raises(ConfigError, match=r"schedule\.lr: the run was started with 0\.003"):
        run(world, whole.path, resume=True, schedule__lr="1e-3")
    broken = RunFolder(tmp_path / "broken")
    broken.last.parent.mkdir(parents=True)
    broken.last.write_bytes(whole.last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="truncated"):
        run(world, broken.path, resume=True)


def test_extended(world: World, tmp_path: Path) -> None:
    """A finished run goes on to a greater length; with a constant rate as if planned so.

    A smaller length than what was taken is refused.
    """
    constant = {"schedule__min_lr_ratio": "1", "schedule__warmup_steps": "0"}
    whole = run(world, tmp_path / "whole", schedule__steps="9", **constant)
    part = run(world, tmp_path / "part", schedule__steps="6", **constant)
    assert len(losses(part)) == 6
    run(world, part.path, resume=True, schedule__steps="9", **constant)
    assert losses(part) == losses(whole)
    assert_same(weights(part), weights(whole))
    with pytest.raises(ConfigError, match="the run has taken 9"):
        run(world, part.path, resume=True, schedule__steps="6", **constant)


def test_patience(world: World, tmp_path: Path) -> None:
    """Without a better validation the run ends, and ends again when it is resumed."""
    still = {"schedule__lr": "1e-12", "logging__validate_every": "2", "logging__patience": "2"}
    folder = run(world, tmp_path / "run", **still)
    assert load_state(folder.last)["step"] == 6
    assert [step for step, _ in losses(folder)] == [1, 2, 3, 4, 5, 6]
    assert openbind.load(folder.path).modalities == ("image", "imu")
    run(world, folder.path, resume=True, **still)
    assert load_state(folder.last)["step"] == 6


def test_same_modalities(world: World, tmp_path: Path) -> None:
    """Two pairs of the same modalities have results of their own; the space has one scale."""
    pair = "{pair: [image, imu], data: {manifest: pairs.csv}, split: train, validation: val, OWN}"
    pairs = ", ".join(pair.replace("OWN", f"temperature: {t}") for t in (0.1, 0.5))
    changes = {"pairs": f"[{pairs}]", "schedule__steps": "2", "schedule__warmup_steps": "0"}
    folder = run(world, tmp_path / "run", **changes)
    lines = [json.loads(line) for line in folder.log.read_text().splitlines()]
    assert set(lines[-1]["validation"]) == {"image-imu", "image-imu-2"}
    assert openbind.load(folder.path).config.modalities["imu"].scale == pytest.approx(10)
    assert {path.name for path in folder.samples.iterdir()} == {
        "0000002-image-imu.jpg",
        "0000002-image-imu-2.jpg",
    }


def test_too_few(world: World, tmp_path: Path) -> None:
    """Too few rows for a batch are an error before training."""
    with pytest.raises(ConfigError, match="32 rows are too few for a batch of 64"):
        run(world, tmp_path / "few", batch_size="64")


def test_not_finite(world: World, tmp_path: Path) -> None:
    """A loss that is NaN stops the run; the error names step, pair and rows."""
    with pytest.raises(TrainingError, match=r"step \d+, image-imu: the .* is nan"):
        run(world, tmp_path / "nan", schedule__lr="1e30", schedule__max_grad_norm="null")


def test_best(world: World, tmp_path: Path) -> None:
    """The result has weights and scale of the best checkpoint, not of the last."""
    changes = {"pairs__0__learn_temperature": "true", "schedule__lr": "0.05"}
    logging = "{validate_every: 1, save_every: 1, keep: best}"
    folder = run(world, tmp_path / "best", schedule__steps="6", logging=logging, **changes)
    best, last = load_state(folder.best), load_state(folder.last)
    assert best["step"] < last["step"] == 6
    scales = [float(state["losses"][0]["log_scale"].exp()) for state in (best, last)]
    assert openbind.load(folder.path).config.modalities["imu"].scale == pytest.approx(scales[0])
    assert scales[0] != pytest.approx(scales[1])
    for name, weight in weights(folder).items():
        assert torch.equal(weight, best["towers"]["imu"][name])


def test_broken_items(world: World, tmp_path: Path) -> None:
    """Unusable items are skipped and listed with their reasons."""
    lines = (world.folder / "pairs.csv").read_text().splitlines()
    (world.folder / "bad.png").write_bytes(b"no image")
    (world.folder / "bad.csv").write_text("seconds,ax\n0,1\n")
    bad = ["bad.png,3.csv,red,train", "4.png,bad.csv,red,train"]
    (world.folder / "bad-pairs.csv").write_text("\n".join([*lines, *bad]) + "\n")
    changes = {"pairs__0__data": "{manifest: bad-pairs.csv}"}
    folder = run(world, tmp_path / "broken", **changes)
    listed = [json.loads(line) for line in folder.skipped.read_text().splitlines()]
    assert len(listed) == 2
    assert "bad.png" in listed[0]["item"]
    assert listed[1]["item"] == "43"  # the manifest's line
    assert "bad.csv: expected" in listed[1]["reason"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"pairs__0__positives": "label", "pairs__0__negatives": "corpus"}, "labels, corpus"),
        ({"pairs__0__loss": "sigmoid", "pairs__0__learn_temperature": "true"}, "sigmoid"),
        ({"pairs__0__views": "{count: 3, crop: [0.5, 1.0], flip: 0.5}"}, "several views"),
        ({"schedule__ema_decay": "0.9"}, "moving average"),
        ({"hardware__activation_checkpointing": "true"}, "activation checkpointing"),
        ({"hardware__precision": "bfloat16", "logging__keep": "best"}, "half precision"),
        ({"dtype": "float16", "schedule__steps": "null", "schedule__epochs": "3",
          "schedule__warmup_steps": "1", "pairs__0__repeat": "2"}, "epochs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_options(world: World, tmp_path: Path, changes: dict[str, str], rule: str) -> None:
    """With every option of a recipe the loss falls."""
    folder = run(world, tmp_path / "run", **changes)
    found = losses(folder)
    assert found[-1][1] < found[0][1]
    assert np.isfinite(openbind.load(folder.path).encode("imu", [world.folder / "3.csv"])).all()
    if "schedule__epochs" in changes:
        assert len(found) == 3 * (32 * 2 // 8)


def assert_adapters(start: RunFolder, folder: RunFolder, item: Path) -> None:
    """Merged into the starting space on demand, the adapters are the result."""
    adapters = {"imu": folder.adapters / "imu"}
    merged, result = openbind.load(start.path, adapters=adapters), openbind.load(folder.path)
    assert merged.config.modalities == result.config.modalities
    np.testing.assert_allclose(
        merged.encode("imu", [item]), result.encode("imu", [item]), atol=1e-6
    )
    with pytest.raises(CheckpointError, match="other weights"):
        openbind.load(folder.path, adapters=adapters)


@pytest.mark.slow
def test_fine_tuning(world: World, whole: RunFolder, tmp_path: Path) -> None:
    """A trained modality is fine-tuned: its head alone, by LoRA, or in full."""
    before = weights(whole)
    start = {"start": str(whole.path), "towers__imu": "{start: space, train: TRAIN}"}
    for how in ("head", "lora", "full"):
        changes = {**start, "towers__imu": start["towers__imu"].replace("TRAIN", how)}
        after = weights(run(world, tmp_path / how, **changes))
        assert after.keys() == before.keys()
        moved = {key for key in after if not torch.equal(after[key], before[key])}
        if how == "head":
            assert moved == {"head.proj.weight"}
        elif how == "lora":
            assert_adapters(whole, RunFolder(tmp_path / how), world.folder / "7.csv")
            assert "trunk.blocks.0.attention.in_proj.weight" in moved
            assert "stem.weight" not in moved
        else:
            assert moved == set(after)
