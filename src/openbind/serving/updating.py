"""An index that is kept up to date while it is served: at the start, and when its files change."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from openbind.errors import OpenbindError
from openbind.search.index import Index
from openbind.search.update import Changes
from openbind.serving.index_schemas import Updating
from openbind.space.space import Space

if TYPE_CHECKING:
    from openbind.embedding.many import ComputeOptions

QUIET_MS = 2_000
"""Time without changes before files that changed are embedded."""
LONGEST_MS = 30_000
"""Time until they are embedded even if others still change."""
RESCAN_MS = 300_000
"""Time after which folders are listed anyway; without watchfiles the only way to notice changes."""


class ClosedError(Exception):
    """The service ends while an update is going on."""


class Updater:
    """Updates an index in a thread of its own.

    Attributes:
        updating: how far the update is; None if none is going on.
        problem: why the last update failed; None if it didn't.

    Args:
        index: to keep up to date.
        space: of the index.
        options: of its updates.
        on_done: called with the result of each update.
    """

    def __init__(
        self,
        index: Index,
        space: Space,
        options: ComputeOptions,
        on_done: Callable[[Changes], None] = lambda changes: None,
    ) -> None:
        self.updating: Updating | None = Updating(done=0, total=0)
        self.problem: str | None = None
        self._index, self._space, self._options = index, space, options
        self._on_done = on_done
        self._closed, self._changed = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="openbind-serve-update", daemon=True)
        self._watcher = threading.Thread(
            target=self._watch, name="openbind-serve-watch", daemon=True
        )

    def start(self) -> None:
        """Begin."""
        self._watcher.start()
        self._thread.start()

    def close(self, seconds: float | None = None) -> None:
        """End after the file that is being embedded; committed rows are kept."""
        self._closed.set()
        self._changed.set()
        for thread in (self._thread, self._watcher):
            if thread.is_alive():
                thread.join(seconds)

    def _run(self) -> None:
        is_first = True
        while not self._closed.is_set():
            try:
                changes = self._update()
            except ClosedError:
                return
            changed = changes is not None and (
                changes.embedded or changes.moved or changes.copied or changes.removed
            )
            if changes is not None and (changed or is_first):
                self._on_done(changes)
            is_first = False
            if not changed:  # else files may have come before they were watched
                self._changed.wait(RESCAN_MS / 1000)
                self._changed.clear()

    def _update(self) -> Changes | None:
        """Update the index; None if that failed, for the reason `problem`."""
        try:
            changes = self._index.update(self._space, report=self._report, **self._options)
            self.problem = None
            return changes
        except (OpenbindError, OSError) as error:
            self.problem = str(error)
            return None
        finally:
            self.updating = None

    def _report(self, done: int, total: int) -> None:
        if self._closed.is_set():
            raise ClosedError
        self.updating = Updating(done=done, total=total)

    def _watch(self) -> None:
        """Note when files change."""
        try:
            from watchfiles import watch
        except ImportError:
            return  # they are listed from time to time
        own = self._index.folder
        while not self._closed.is_set():
            try:
                changes = watch(
                    *(root.path for root in self._index.meta.roots if root.path.is_dir()),
                    watch_filter=lambda _, path: own not in (Path(path), *Path(path).parents),
                    debounce=LONGEST_MS,
                    step=QUIET_MS,
                    stop_event=self._closed,
                    raise_interrupt=False,
                    ignore_permission_denied=True,
                )
                for _ in changes:
                    self._changed.set()
            except RuntimeError:  # a file whose name isn't UTF-8 has changed
                self._look_again(QUIET_MS)
            except OSError:  # a folder has gone, or the system watches no more
                self._look_again(LONGEST_MS)

    def _look_again(self, after_ms: int) -> None:
        """List folders after a while in which nothing was watched."""
        self._closed.wait(after_ms / 1000)
        self._changed.set()
