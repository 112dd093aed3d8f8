"""Where a run's numbers go besides its folder: Weights & Biases and trackio, of one interface."""

from __future__ import annotations

import importlib.util
import secrets
from collections.abc import Mapping
from typing import Protocol

from openbind.atomic import atomic_path
from openbind.errors import MissingExtraError
from openbind.training.recipe import Logging
from openbind.training.state import RunFolder


class Tracker(Protocol):
    """A run at a tracker."""

    def log(self, scalars: dict[str, float], step: int) -> object:
        """Take the numbers of a step."""

    def finish(self) -> object:
        """Send what is left, and close the run."""


def require_loggers(logging: Logging) -> None:
    """Check that what a run logs with is installed, before hours of work.

    Raises:
        MissingExtraError: TensorBoard's writer or a tracker that the recipe names isn't.
    """
    wanted = [("training", "tensorboardX", "train")]
    wanted += [(f"logging.{name}", name, name) for name in _projects(logging)]
    for purpose, package, extra in wanted:
        if importlib.util.find_spec(package) is None:
            raise MissingExtraError(purpose, package, extra)


def open_trackers(logging: Logging, name: str, folder: RunFolder) -> list[Tracker]:
    """Open the run at each tracker that the recipe names; a resumed run continues the same one.

    Args:
        logging: of the recipe.
        name: of the run.
        folder: of the run, which keeps its id.

    Raises:
        MissingExtraError: a tracker isn't installed.
    """
    return [
        _OPENERS[tracker](project, name, folder) for tracker, project in _projects(logging).items()
    ]


def _projects(logging: Logging) -> dict[str, str]:
    """Return tracker → project of those that the recipe names."""
    given: Mapping[str, str | None] = {"wandb": logging.wandb, "trackio": logging.trackio}
    return {name: project for name, project in given.items() if project is not None}


def _open_wandb(project: str, name: str, folder: RunFolder) -> Tracker:
    try:
        import wandb
    except ImportError as error:
        raise MissingExtraError("logging.wandb", "wandb", "wandb") from error
    identity = {"id": _run_id(folder), "resume": "allow"}
    run: Tracker = wandb.init(project=project, name=name, dir=str(folder.path), **identity)
    return run


def _open_trackio(project: str, name: str, folder: RunFolder) -> Tracker:
    try:
        import trackio
    except ImportError as error:
        raise MissingExtraError("logging.trackio", "trackio", "trackio") from error
    # A run there is known by its name alone.
    name = f"{name}-{_run_id(folder)}"
    run: Tracker = trackio.init(project=project, name=name, resume="allow", embed=False)
    return run


_OPENERS = {"wandb": _open_wandb, "trackio": _open_trackio}


def _run_id(folder: RunFolder) -> str:
    """Return the id of a run at trackers; drawn once, and kept in its folder."""
    if not folder.tracker_id.is_file():
        folder.tracker_id.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(folder.tracker_id) as temporary:
            temporary.write_text(secrets.token_hex(4), encoding="ascii")
    return folder.tracker_id.read_text(encoding="ascii")
