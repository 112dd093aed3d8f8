"""Clips of videos on YouTube, found by name wherever they lie below a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from openbind.errors import InputError
from openbind.modalities import MODALITIES

ID_LETTERS = 11
"""Of a video's id."""
NAMES = "<id>.* or <id>_<first second>.*, anywhere below"
"""Names that clips may have; behind the second there may be more, as in <id>_000001_000011.mp4."""


class ClipFolder:
    """The clips in a folder, by their names; the folder is looked through once.

    Args:
        folder: its subfolders are looked through too.
        modalities: whose extensions count.

    Raises:
        InputError: there is no clip at all.
    """

    def __init__(self, folder: Path, *modalities: str) -> None:
        self.folder = folder
        extensions = {end for name in modalities for end in MODALITIES.get(name).extensions}
        self._paths: dict[tuple[str, int | None], Path] = {}
        for root, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                stem, extension = os.path.splitext(name)
                match = re.fullmatch(rf"(.{{{ID_LETTERS}}})(?:_(\d+)(?:_.*)?)?", stem)
                if match and extension.lower() in extensions:
                    second = None if match[2] is None else int(match[2])
                    self._paths[match[1], second] = Path(root, name)
        if not self._paths:
            raise InputError(folder, f"no clips here; expected {NAMES}")

    def find(self, video: str, second: int) -> Path:
        """Return a clip's path; of one that isn't there the path that it is expected at.

        Args:
            video: its id.
            second: where in the video the clip begins.
        """
        for name in ((video, second), (video, None)):
            if name in self._paths:
                return self._paths[name]
        return self.folder / f"{video}_{second:06d}.*"
