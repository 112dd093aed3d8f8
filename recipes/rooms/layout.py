"""A room's floor plan: where furniture stands, without overlaps.

Coordinates are metres: x from west to east, y from south to north, z up, the origin in the
south-west corner of the floor. Side 0 is the north wall, 1 west, 2 south, 3 east. A piece at angle
0 looks south, its back at the north wall; angles turn counter-clockwise.
"""

from __future__ import annotations

import colorsys
from dataclasses import dataclass, field

import numpy as np
from furniture import Model
from meshes import Material, Part
from surfaces import make_box

TRIES = 30
GAP_M = 0.02
Size = tuple[float, float, float]
RGB = tuple[float, float, float]


@dataclass(frozen=True, kw_only=True)
class Tint:
    """A change of a model's colors: a hue rotation in turns, then a factor."""

    hue: float = 0.0
    rgb: RGB = (1.0, 1.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece in the room.

    Args:
        shape: a model of the catalog, or a procedural part.
        size_m: width, depth, height before rotation.
        at_m: center of its bottom.
        degrees: rotation.
        tint: change of its colors.
        shadow: whether it casts one.
    """

    shape: Model | Part
    size_m: Size
    at_m: Size
    degrees: float = 0.0
    tint: Tint = field(default_factory=Tint)
    shadow: bool = True

    def bounds(self) -> np.ndarray:
        """Return (2, 3): the lowest and highest corner of the rotated piece."""
        cos, sin = abs(np.cos(np.radians(self.degrees))), abs(np.sin(np.radians(self.degrees)))
        width, depth, height = self.size_m
        half = np.array([width * cos + depth * sin, width * sin + depth * cos]) / 2
        x, y, z = self.at_m
        return np.array([[x - half[0], y - half[1], z], [x + half[0], y + half[1], z + height]])

    @property
    def top_m(self) -> float:
        """Return the height of the top."""
        return self.at_m[2] + self.size_m[2]

    def toward(self, right: float, front: float) -> tuple[float, float]:
        """Return the point (x, y) at an offset to the right and to the front of the center."""
        angle = np.radians(self.degrees)
        x = self.at_m[0] + right * np.cos(angle) + front * np.sin(angle)
        y = self.at_m[1] + right * np.sin(angle) - front * np.cos(angle)
        return float(x), float(y)


class Plan:
    """A room being furnished.

    Args:
        rng: draws everything unspecified.
        models: role → models to choose from.
        size_m: width (x), depth (y), height.
        distance_m: smallest and largest camera distance.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        models: dict[str, list[Model]],
        size_m: Size,
        distance_m: tuple[float, float],
    ):
        self.rng, self.models, self.size_m = rng, models, size_m
        self.distance_m = distance_m
        self.pieces: list[Piece] = []
        self.keys: list[Piece] = []
        self.taken: list[np.ndarray] = []
        self.tints: dict[str, Tint] = {}
        self.small: set[str] = set()

    def chance(self, share: float) -> bool:
        """Return True with a probability."""
        return bool(self.rng.random() < share)

    def choose(self, role: str) -> Model | None:
        """Draw one of a role's models, or None if this side of the split has none."""
        options = self.models[role]
        return options[int(self.rng.integers(len(options)))] if options else None

    def length(self, side: int) -> float:
        """Return the length of a wall."""
        return self.size_m[side % 2]

    def spot(self, side: int, along: float, away: float) -> tuple[float, float]:
        """Return (x, y) at a distance along a wall, left to right seen from inside, and off it."""
        width, depth = self.size_m[:2]
        places = (
            (along, depth - away),
            (away, along),
            (width - along, away),
            (width - away, depth - along),
        )
        return places[side]

    def is_free(self, piece: Piece, margin: float = GAP_M) -> bool:
        """Return whether a piece is inside the room and touches nothing."""
        low, high = piece.bounds()
        inside = (low > -1e-6).all() and (high < np.array(self.size_m) + 1e-6).all()
        grown_low, grown_high = low - margin, high + margin
        hits = ((grown_low < b[1]).all() and (grown_high > b[0]).all() for b in self.taken)
        return bool(inside) and not any(hits)

    def add(self, piece: Piece, *, key: bool = False, solid: bool = True) -> Piece:
        """Place a piece without checking for overlaps; cameras look at `key` pieces."""
        self.pieces.append(piece)
        if solid:
            self.taken.append(piece.bounds())
        if key:
            self.keys.append(piece)
        return piece

    def reserve(self, piece: Piece, front: float) -> None:
        """Keep the floor in front of a piece free."""
        x, y = piece.toward(0, piece.size_m[1] / 2 + front / 2)
        area = Piece(
            shape=piece.shape,
            size_m=(piece.size_m[0], front, 1.0),
            at_m=(x, y, 0.0),
            degrees=piece.degrees,
        )
        self.taken.append(area.bounds())

    def vary(self, model: Model) -> Size:
        """Draw a model's size, a few percent larger or smaller."""
        scale = self.rng.uniform(0.95, 1.06) * self.rng.uniform(0.97, 1.03, 3)
        width, depth, height = np.array(model.size_m) * scale
        return float(width), float(depth), float(height)

    def tint(self, role: str, *, strength: float = 0.5) -> Tint:
        """Return the tint shared by all pieces of a role in this room."""
        if role not in self.tints:
            hue = float(self.rng.normal(0, 0.12)) if self.chance(strength) else 0.0
            rgb: RGB = (1.0, 1.0, 1.0)
            if self.chance(strength):
                saturation, value = self.rng.uniform(0, 0.35), self.rng.uniform(0.65, 1)
                rgb = colorsys.hsv_to_rgb(self.rng.random(), saturation, value)
            self.tints[role] = Tint(hue=hue, rgb=rgb)
        return self.tints[role]

    def against_wall(
        self,
        role: str,
        *,
        side: int | None = None,
        along: float | None = None,
        elevation: float | None = None,
        key: bool = False,
        front: float = 0.0,
        size_m: Size | None = None,
        strength: float = 0.0,
    ) -> Piece | None:
        """Place a model of a role with its back to a wall; None if there is no space.

        Unspecified values are tried (side, center along the wall) or taken from the catalog
        (elevation, size). Cameras look at `key` pieces; `front` is the depth of floor kept free;
        `strength` is the probability of a color change.
        """
        if (model := self.choose(role)) is None:
            return None
        size = size_m or self.vary(model)
        for _ in range(TRIES if along is None or side is None else 1):
            wall = int(self.rng.integers(4)) if side is None else side
            if self.length(wall) < size[0]:
                continue
            place = self.rng.uniform(size[0] / 2, self.length(wall) - size[0] / 2)
            x, y = self.spot(wall, place if along is None else along, size[1] / 2 + 0.005)
            piece = Piece(
                shape=model,
                size_m=size,
                at_m=(x, y, model.elevation_m if elevation is None else elevation),
                degrees=90.0 * wall,
                tint=self.tint(role, strength=strength),
            )
            if self.is_free(piece, margin=0.0 if along is not None else GAP_M):
                self.add(piece, key=key)
                if front:
                    self.reserve(piece, front)
                return piece
        return None

    def stand(
        self,
        role: str,
        place: tuple[float, float],
        degrees: float,
        *,
        elevation: float = 0.0,
        key: bool = False,
        strength: float = 0.0,
        model: Model | None = None,
        size_m: Size | None = None,
        check: bool = True,
    ) -> Piece | None:
        """Place a model at (x, y); None if it would overlap another piece.

        Args:
            role: of the model.
            place: center.
            degrees: rotation.
            elevation: height of its bottom.
            key: cameras look at it.
            strength: probability of a color change.
            model: instead of any of the role's.
            size_m: instead of the model's own.
            check: False allows overlaps.
        """
        chosen = model or self.choose(role)
        if chosen is None:
            return None
        piece = Piece(
            shape=chosen,
            size_m=size_m or self.vary(chosen),
            at_m=(*place, elevation),
            degrees=degrees,
            tint=self.tint(role, strength=strength),
        )
        if check and not self.is_free(piece):
            return None
        return self.add(piece, key=key)

    def stand_in_corner(self, role: str) -> None:
        """Place a model in a free corner, facing the center of the room."""
        model = self.choose(role)
        if model is None:
            return
        size = self.vary(model)
        away = max(size[:2]) * 0.6 + 0.05
        for corner in (int(c) for c in self.rng.permutation(4)):
            place, turned = self.spot(corner, away, away), 90.0 * corner + 45
            if self.stand(role, place, turned, model=model, size_m=size, strength=0.4):
                return

    def put_on(
        self,
        role: str,
        under: Piece,
        right: float = 0.0,
        front: float = 0.0,
        *,
        scale: float = 1.0,
        repeats: bool = True,
        overhang: float = 0.08,
    ) -> None:
        """Place a model that fits on top of a piece; without `repeats`, one not used so far."""
        fitting = [
            model
            for model in self.models[role]
            if (repeats or model.name not in self.small)
            and model.size_m[0] * scale < under.size_m[0] + overhang
            and model.size_m[1] * scale < under.size_m[1] + overhang
        ]
        if not fitting:
            return
        model = fitting[int(self.rng.integers(len(fitting)))]
        width, depth, height = np.array(model.size_m) * scale
        size = (float(width), float(depth), float(height))
        slack = np.maximum((np.array(under.size_m[:2]) - size[:2]) / 2, 0)
        right, front = (float(v) for v in np.clip((right, front), -slack, slack))
        piece = Piece(
            shape=model,
            size_m=size,
            at_m=(*under.toward(right, front), under.top_m + 0.002),
            degrees=under.degrees + float(self.rng.normal(0, 6)),
        )
        if self.is_free(piece, margin=-0.005):
            self.small.add(model.name)
            self.add(piece)

    def block(
        self,
        size_m: Size,
        at_m: Size,
        degrees: float,
        material: Material,
        *,
        tile_m: tuple[float, float] | None = None,
        solid: bool = False,
        shadow: bool = False,
    ) -> Piece:
        """Place a procedural box."""
        part = make_box(size_m, material, tile_m)
        piece = Piece(shape=part, size_m=size_m, at_m=at_m, degrees=degrees, shadow=shadow)
        return self.add(piece, solid=solid)
