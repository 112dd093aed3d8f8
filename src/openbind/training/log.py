"""What a run says while it runs: a bar, a log of JSON lines, TensorBoard, and W&B if asked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from openbind.atomic import atomic_path
from openbind.errors import MissingExtraError
from openbind.training.state import RunFolder


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Read the lines of a log; a last one that was cut off by a crash is excluded."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def cut_log(path: Path, step: int) -> None:
    """Take away what was logged after a step: the run goes on from there."""
    kept = [line for line in read_log(path) if line["step"] <= step]
    with atomic_path(path) as temporary:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept)
        temporary.write_text(text, encoding="utf-8")


class RunLog:
    """Writes the numbers of a run; use it as a context.

    Args:
        folder: of the run.
        steps: of the whole run.
        start: step it goes on from; what was logged later is taken away.
        progress: show a bar on stderr.
        wandb: project of Weights & Biases, or None.
        name: of the run.

    Raises:
        MissingExtraError: TensorBoard's writer, or W&B if asked for, isn't there.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        steps: int,
        start: int,
        progress: bool,
        wandb: str | None = None,
        name: str = "",
    ) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("training", "tensorboardX", "train") from error

        self._wandb = _open_wandb(wandb, name, folder) if wandb else None
        cut_log(folder.log, start)
        self._file = folder.log.open("a", encoding="utf-8")
        self._events = SummaryWriter(str(folder.events), purge_step=start + 1)
        self._bar = tqdm(
            total=steps, initial=start, unit="step", desc=name or "training", disable=not progress
        )

    def __enter__(self) -> RunLog:
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.close()
        self._file.close()
        self._events.close()
        if self._wandb is not None:
            self._wandb.finish()

    def step(self, step: int, numbers: Mapping[str, Any] | None = None) -> None:
        """Count a step that is done, and write its numbers if there are any to be written."""
        self._bar.update(1)
        if numbers is None:
            return
        self.write(step, numbers)
        self._bar.set_postfix(
            loss=f"{numbers['loss']:.3f}", rows=f"{numbers['rows_per_second']:.0f}/s"
        )

    def write(self, step: int, numbers: Mapping[str, Any]) -> None:
        """Write numbers of a step: one line, and a scalar for each number in it."""
        self._file.write(json.dumps({"step": step, **numbers}, ensure_ascii=False) + "\n")
        self._file.flush()
        scalars = dict(_scalars(numbers))
        for key, value in scalars.items():
            self._events.add_scalar(key, value, step)
        self._events.flush()
        if self._wandb is not None:
            self._wandb.log(scalars, step=step)

    def say(self, text: str) -> None:
        """Print a line on stderr without breaking the bar."""
        if not self._bar.disable:
            self._bar.write(text, file=self._bar.fp)


def _scalars(numbers: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Flatten numbers: `loss` of a pair to `image-audio/loss`, nested ones to `a/b`."""
    pair = numbers.get("pair")
    for key, value in numbers.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}/{inner}", number) for inner, number in _scalars(value))
        elif isinstance(value, int | float):
            # TensorBoard's tags know neither arrows nor spaces.
            name = key.replace("→", "-to-").replace(" ", "-").replace("@", "")
            yield f"{pair}/{name}" if pair else name, float(value)


def _open_wandb(project: str, name: str, folder: RunFolder) -> Any:
    try:
        import wandb
    except ImportError as error:
        raise MissingExtraError("logging.wandb", "wandb", "wandb") from error
    return wandb.init(project=project, name=name, dir=str(folder.path), resume="allow")
