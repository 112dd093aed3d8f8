"""Where and when in a file a query is: maps of images, moments of recordings, and drawings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from openbind.errors import InputError
from openbind.localisation.heat import Localisation
from openbind.localisation.moments import Curve, Moment
from openbind.localisation.overlay import draw_curve, draw_overlay
from openbind.modalities import IMAGE, MODALITIES, modality_of_file, tracks_of_recording
from openbind.modalities.spec import View
from openbind.space.locating import find_in_recording
from openbind.space.space import Space

DRAWN = (1024, 1024)
"""Size of drawings at most."""
DIGITS = 4


@dataclass(frozen=True)
class Track:
    """When a query is in one track of a recording.

    Args:
        modality: that the recording was read as.
        moments: (start, end, score), best first.
        curve: over time.
    """

    modality: str
    moments: list[Moment]
    curve: Curve

    def plain(self) -> dict[str, Any]:
        """Return values for JSON."""
        return {
            "modality": self.modality,
            "duration_s": round(self.curve.total, 3),
            "moments": [
                {"start_s": round(start, 3), "end_s": round(end, 3), "score": round(score, DIGITS)}
                for start, end, score in self.moments
            ],
            "curve": [
                [round(float(at), 3), round(float(score), DIGITS)]
                for at, score in zip(self.curve.seconds_T, self.curve.scores_T, strict=True)
            ],
        }


@dataclass(frozen=True)
class Found:
    """Where and when in a file a query is.

    Args:
        path: of the file.
        modality: that it was read as; of a video its first track's.
        where: in an image, or in a video's best frame; None for sounds.
        image: that `where` is in, at most `DRAWN`.
        tracks: of a recording.
        seconds: time of the frame.
    """

    path: Path
    modality: str
    where: Localisation | None = None
    image: Image.Image | None = None
    tracks: tuple[Track, ...] = ()
    seconds: float | None = None

    def plain(self) -> dict[str, Any]:
        """Return values for JSON: of an image where, of a recording its tracks, too."""
        row: dict[str, Any] = {"path": str(self.path), "modality": self.modality}
        where = None if self.where is None else plain_where(self.where)
        if not self.tracks:
            return row | (where or {})
        if where is not None:
            row["where"] = {"seconds": round(self.seconds or 0.0, 3)} | where
        return row | {"tracks": [track.plain() for track in self.tracks]}

    def draw(self) -> Image.Image:
        """Return the map over the image, or the curve."""
        if self.where is not None and self.image is not None:
            return draw_overlay(self.image, self.where)
        track = self.tracks[0]
        return draw_curve(track.curve, track.moments)


def plain_where(where: Localisation) -> dict[str, Any]:
    """Return a map's result as values for JSON."""
    sides = ("x0", "y0", "x1", "y1")
    return {
        "method": where.method,
        "present": where.present,
        "threshold": None if where.threshold is None else round(where.threshold, DIGITS),
        "width": where.size[0],
        "height": where.size[1],
        "peak": list(where.peak),
        "score": round(float(where.heat.max()), DIGITS),
        "boxes": [
            {side: round(value, 1) for side, value in zip(sides, box, strict=False)}
            | {"score": round(box[4], DIGITS)}
            for box in where.boxes
        ],
    }


def locate_file(
    space: Space, path: Path, query_E: np.ndarray, modality: str | None = None, method: str = "auto"
) -> Found:
    """Find where and when in a file a query is.

    Args:
        space: of the query.
        path: an image, or a recording.
        query_E: unit vector.
        modality: of the file; None takes it from its extension. Of a video both the frames and the
            soundtrack are scored.
        method: of images.

    Raises:
        InputError: the file can't be used, or its modality isn't known.
    """
    chosen = modality or modality_of_file(path, space.modalities)
    if chosen is None:
        known = ", ".join(space.modalities)
        raise InputError(path, f"its extension doesn't say what it is; give a modality of {known}")
    if chosen in space.modalities and MODALITIES.get(chosen).duration is None:
        where = space.locate(path, query_E, modality=chosen, method=method)
        return Found(path, chosen, where, draw_item(chosen, path))
    names = [modality] if modality else tracks_of_recording(path, space.modalities)
    tracks = _tracks(space, path, query_E, names)
    first = tracks[0]
    if not is_visual(first.modality) or IMAGE not in space.modalities:
        return Found(path, first.modality, tracks=tracks)
    seconds = best_second(first)
    frame = frame_at(path, seconds, first.curve.total)
    where = space.locate(frame, query_E, method=method)
    frame.thumbnail(DRAWN)
    return Found(path, first.modality, where, frame, tracks, seconds)


def _tracks(
    space: Space, path: Path, query_E: np.ndarray, names: Sequence[str]
) -> tuple[Track, ...]:
    """Return the tracks of a recording; only the first must be there."""
    tracks: list[Track] = []
    for name in names:
        try:
            tracks.append(Track(name, *find_in_recording(space, path, query_E, name)))
        except InputError:
            if not tracks:
                raise
    return tuple(tracks)


def is_visual(modality: str) -> bool:
    """Return whether a recording has frames."""
    return bool(MODALITIES.get(modality).tower == MODALITIES.get(IMAGE).tower)


def best_second(track: Track) -> float:
    """Return when the query is strongest."""
    return float(track.curve.seconds_T[int(track.curve.scores_T.argmax())])


def frame_at(path: Path, seconds: float, total: float) -> Image.Image:
    """Return the frame of a video at a time."""
    view = View(span=(0.0, total), seconds=0.0, moment=min(max(seconds / total, 0.0), 1.0))
    apply_view = MODALITIES.get(IMAGE).apply_view
    assert apply_view is not None
    frame: Image.Image = apply_view(path, view)
    return frame


def draw_item(modality: str, path: Path) -> Image.Image | None:
    """Return an image of a file as people see it, at most `DRAWN`."""
    thumbnail = MODALITIES.get(modality).thumbnail
    return None if thumbnail is None else thumbnail(path, DRAWN).convert("RGB")
