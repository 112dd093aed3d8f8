"""Clips of YouTube videos, found by name anywhere in a folder."""

from __future__ import annotations

import os
import re
from pathlib import Path

from openbind.errors import InputError
from openbind.modalities import MODALITIES

ID_LETTERS = 11
"""Characters of a video's id."""
NAMES = "<id>.* or <id>_<first second>.*, anywhere below"
"""Names of clips; the second may be followed by more, as in <id>_000001_000011.mp4."""


class ClipFolder:
    """The clips in a folder by name; the folder is scanned once.

    Args:
        folder: scanned with its subfolders.
        modalities: the modalities of the clips, for their file extensions.

    Raises:
        InputError: it contains no clip.
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
            raise InputError(folder, f"no clips; expected {NAMES}")

    def find(self, video: str, second: int) -> Path:
        """Return a clip's path; for a missing clip the path where it was expected.

        Args:
            video: its id.
            second: start of the clip in the video.
        """
        for name in ((video, second), (video, None)):
            if name in self._paths:
                return self._paths[name]
        return self.folder / f"{video}_{second:06d}.*"
