"""What a run reports: a progress bar, a log of JSON lines, TensorBoard, and its trackers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from openbind.atomic import atomic_path
from openbind.data.loader import SkippedItem
from openbind.errors import MissingExtraError
from openbind.training.state import RunFolder
from openbind.training.trackers import Tracker


def read_log(path: Path) -> Iterator[dict[str, Any]]:
    """Read the lines of a log, without an incomplete last one."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)


def cut_log(path: Path, step: int) -> None:
    """Delete the lines after a step, which a resumed run writes again."""
    kept = [line for line in read_log(path) if line["step"] <= step]
    with atomic_path(path) as temporary:
        text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in kept)
        temporary.write_text(text, encoding="utf-8")


class SkippedLog:
    """Writes the items that couldn't be used, each once.

    Args:
        path: of a file of JSON lines; lines that it has already aren't written again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: set[str] = set()
        if path.is_file():
            self._known.update(path.read_text(encoding="utf-8").splitlines())

    def write(self, items: Iterable[SkippedItem]) -> None:
        """Append the items that are new."""
        lines = [json.dumps(item.__dict__, ensure_ascii=False) for item in items]
        new = [line for line in dict.fromkeys(lines) if line not in self._known]
        if new:
            self._known.update(new)
            with self._path.open("a", encoding="utf-8") as file:
                file.write("\n".join(new) + "\n")


class RunLog:
    """Writes the numbers of a run; a context manager.

    Args:
        folder: of the run.
        steps: of the whole run.
        start: step to resume from; lines after it are deleted.
        progress: show a bar on stderr.
        name: of the run.
        trackers: get the same numbers as TensorBoard; they are finished at the end.

    Raises:
        MissingExtraError: TensorBoard's writer isn't installed.
    """

    def __init__(
        self,
        folder: RunFolder,
        *,
        steps: int,
        start: int,
        progress: bool,
        name: str = "",
        trackers: Sequence[Tracker] = (),
    ) -> None:
        try:
            from tensorboardX import SummaryWriter
        except ImportError as error:
            raise MissingExtraError("training", "tensorboardX", "train") from error

        self._trackers = trackers
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
        for tracker in self._trackers:
            tracker.finish()

    def step(self, step: int, numbers: Mapping[str, Any] | None = None) -> None:
        """Count a finished step, and write its numbers if there are any."""
        self._bar.update(1)
        if numbers is None:
            return
        self.write(step, numbers)
        self._bar.set_postfix(
            loss=f"{numbers['loss']:.3f}", rows=f"{numbers['rows_per_second']:.0f}/s"
        )

    def write(self, step: int, numbers: Mapping[str, Any]) -> None:
        """Write numbers of a step: one line, and one scalar for each number."""
        self._file.write(json.dumps({"step": step, **numbers}, ensure_ascii=False) + "\n")
        self._file.flush()
        scalars = flatten(numbers)
        for key, value in scalars.items():
            self._events.add_scalar(key, value, step)
        self._events.flush()
        for tracker in self._trackers:
            tracker.log(scalars, step=step)


def flatten(numbers: Mapping[str, Any]) -> dict[str, float]:
    """Return tag → number, as TensorBoard and trackers have them.

    A pair's `loss` is `image-audio/loss`, a nested one `validation/image-audio/audio-to-image-R1`.
    """
    return dict(_scalars(numbers))


def _scalars(numbers: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    pair = numbers.get("pair")
    for key, value in numbers.items():
        if isinstance(value, Mapping):
            yield from ((f"{key}/{inner}", number) for inner, number in _scalars(value))
        elif isinstance(value, int | float):
            # TensorBoard's tags allow neither arrows nor spaces.
            name = key.replace("→", "-to-").replace(" ", "-").replace("@", "")
            yield f"{pair}/{name}" if pair else name, float(value)
