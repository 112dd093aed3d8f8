"""What every room has: walls, floor, ceiling, windows, a door, pictures, a rug."""

from __future__ import annotations

import colorsys

import numpy as np
from layout import RGB, Piece, Plan
from meshes import Material
from surfaces import (
    draw_color,
    knot_rug,
    lay_planks,
    lay_tiles,
    look_outside,
    paint,
    paint_image,
    print_stripes,
    weave,
)

THICK_M = 0.1
WET = ("bathroom", "kitchen")


def build_shell(plan: Plan, kind: str) -> None:
    """Build walls, floor and ceiling."""
    width, depth, height = plan.size_m
    floor, floor_tile = choose_floor(plan.rng, kind)
    wall, wall_tile = choose_wall(plan.rng, kind)
    white = Material(texture_HWC=paint(plan.rng, (0.93, 0.93, 0.91)), rgba=(1, 1, 1, 1))
    middle = (width / 2, depth / 2)
    slab = (
        width + 2 * THICK_M,
        depth + 2 * THICK_M,
        THICK_M,
    )  # extends under and over the walls to avoid cracks
    plan.block(slab, (*middle, -THICK_M), 0, floor, tile_m=floor_tile)
    plan.block(slab, (*middle, height), 0, white, tile_m=(1.0, 1.0))
    accent = int(plan.rng.integers(4)) if plan.chance(0.25) and kind != "bathroom" else -1
    for side in range(4):
        length = plan.length(side)
        x, y = plan.spot(side, length / 2, -THICK_M / 2)
        look = choose_wall(plan.rng, kind)[0] if side == accent else wall
        size = (length + 2 * THICK_M, THICK_M, height)
        plan.block(size, (x, y, 0.0), 90.0 * side, look, tile_m=wall_tile)
        skirting = Material(rgba=(0.9, 0.9, 0.88, 1))
        x, y = plan.spot(side, length / 2, 0.006)
        if kind != "bathroom":
            plan.block((length, 0.012, 0.08), (x, y, 0.0), 90.0 * side, skirting)


def choose_floor(rng: np.random.Generator, kind: str) -> tuple[Material, tuple[float, float]]:
    """Draw a floor texture and the size of its repeat in metres."""
    if kind == "bathroom" or (kind == "kitchen" and rng.random() < 0.4):
        rgb = colorsys.hsv_to_rgb(
            rng.uniform(0.03, 0.6), rng.uniform(0, 0.25), rng.uniform(0.4, 0.9)
        )
        tile = rng.uniform(0.2, 0.4)
        return Material(texture_HWC=lay_tiles(rng, rgb, 4), rgba=(1, 1, 1, 1)), (tile * 4, tile * 4)
    if rng.random() < (0.6 if kind == "office" else 0.3) and kind not in WET:
        rgb = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.14), rng.uniform(0.4, 0.8))
        return Material(texture_HWC=weave(rng, rgb), rgba=(1, 1, 1, 1)), (0.8, 0.8)
    return Material(texture_HWC=lay_planks(rng), rgba=(1, 1, 1, 1), shininess=0.2), (1.6, 1.0)


def choose_wall(rng: np.random.Generator, kind: str) -> tuple[Material, tuple[float, float]]:
    """Draw a wall texture and the size of its repeat in metres."""
    rgb: RGB = colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.18), rng.uniform(0.75, 0.97))
    if rng.random() < 0.45:
        rgb = (0.92, 0.91, 0.88)
    if kind == "bathroom":
        tile = rng.uniform(0.1, 0.25)
        texture = lay_tiles(rng, rgb, 8)
        return Material(texture_HWC=texture, rgba=(1, 1, 1, 1), shininess=0.3), (tile * 8, tile * 8)
    stripes = kind in ("bedroom", "living room", "dining room") and rng.random() < 0.25
    texture = print_stripes(rng, rgb) if stripes else paint(rng, rgb)
    return Material(texture_HWC=texture, rgba=(1, 1, 1, 1)), (0.8, 0.8)


def cut_windows(plan: Plan, count: int) -> None:
    """Place windows with a view, some with curtains, where walls are free."""
    for _ in range(count):
        model = plan.choose("window")
        if model is None:
            return
        height = min(model.size_m[2], 1.5) * plan.rng.uniform(0.9, 1.0)
        size = (model.size_m[0] * plan.rng.uniform(0.9, 1.3), 0.10, height)
        piece = plan.against_wall("window", elevation=2.2 - height, size_m=size)
        if piece is None:
            continue
        side = round(piece.degrees / 90) % 4
        view = Material(texture_HWC=look_outside(plan.rng), rgba=(1, 1, 1, 1), emission=0.9)
        x, y = piece.toward(0, -size[1] / 2)
        plan.block(
            (size[0] * 0.96, 0.01, height * 0.96), (x, y, piece.at_m[2]), piece.degrees, view
        )
        if plan.chance(0.5):
            for end in (-1, 1):
                hang_curtain(plan, piece, side, end)


def hang_curtain(plan: Plan, window: Piece, side: int, end: int) -> None:
    """Hang a curtain beside a window; left at -1, right at 1."""
    width = float(plan.rng.uniform(0.3, 0.5))
    size = (width, 0.06, 2.2)
    right = end * (window.size_m[0] / 2 + width * 0.3)
    rgb = plan.tints.setdefault("cloth", plan.tint("cloth", strength=1.0)).rgb
    folds = np.abs(np.sin(np.arange(128) * 0.35))[None, :, None] * 0.25 + 0.75
    texture = np.round(np.array(rgb) * folds * np.ones((128, 1, 1)) * 255).astype(np.uint8)
    x, y = window.toward(right, 0.02)
    plan.block(size, (x, y, 0.05), 90.0 * side, Material(texture_HWC=texture, rgba=(1, 1, 1, 1)))


def hang_images(plan: Plan, count: int) -> None:
    """Hang framed pictures where walls are free."""
    for _ in range(count):
        size = (float(plan.rng.uniform(0.35, 1.0)), 0.03, float(plan.rng.uniform(0.35, 0.75)))
        for _ in range(8):
            side = int(plan.rng.integers(4))
            along = float(plan.rng.uniform(size[0], plan.length(side) - size[0]))
            if hang(plan, side, along, float(plan.rng.uniform(1.35, 1.65)), size):
                break


def hang(
    plan: Plan, side: int, along: float, elevation: float, size: tuple[float, float, float]
) -> bool:
    """Hang a framed picture; return False if there is no space."""
    x, y = plan.spot(side, along, size[1] / 2)
    dark = float(plan.rng.uniform(0.05, 0.9))
    frame = Material(rgba=(dark, dark * 0.85, dark * 0.7, 1))
    piece = plan.block(size, (x, y, elevation), 90.0 * side, frame)
    plan.pieces.pop()
    if not plan.is_free(piece):
        return False
    plan.add(piece)
    view = Material(texture_HWC=paint_image(plan.rng), rgba=(1, 1, 1, 1), emission=0.1)
    x, y = plan.spot(side, along, size[1] + 0.003)
    inner = (size[0] - 0.08, 0.006, size[2] - 0.08)
    plan.block(inner, (x, y, elevation + 0.04), 90.0 * side, view)
    return True


def hang_mirror(plan: Plan, under: Piece) -> None:
    """Hang a mirror over a piece at a wall: a bright gradient instead of a reflection."""
    side = round(under.degrees / 90) % 4
    width = float(np.clip(under.size_m[0] * plan.rng.uniform(0.8, 1.1), 0.4, 1.4))
    tone = np.linspace(0.95, 0.7, 128)[:, None, None] * np.array([0.9, 0.96, 1.0])
    texture = np.round(tone * np.ones((1, 128, 1)) * 255).astype(np.uint8)
    glass = Material(texture_HWC=texture, rgba=(1, 1, 1, 1), shininess=0.9, emission=0.15)
    x, y = under.toward(0, -under.size_m[1] / 2 + 0.012)
    rim = plan.block((width + 0.05, 0.02, 0.85), (x, y, 1.2), 90.0 * side, Material())
    plan.pieces.pop()
    if plan.is_free(rim, margin=-0.01):
        plan.add(rim)
        x, y = under.toward(0, -under.size_m[1] / 2 + 0.026)
        plan.block((width, 0.01, 0.8), (x, y, 1.225), 90.0 * side, glass)


def lay_rug(
    plan: Plan, place: tuple[float, float], size: tuple[float, float], degrees: float
) -> None:
    """Place a rug, cropped to the room."""
    x, y = place
    turned = size if round(degrees / 90) % 2 == 0 else size[::-1]
    half = [min(turned[0] / 2, x, plan.size_m[0] - x), min(turned[1] / 2, y, plan.size_m[1] - y)]
    texture = (
        knot_rug(plan.rng)
        if plan.chance(0.6)
        else weave(plan.rng, draw_color(plan.rng, 0, 0.35, 0.3, 0.9))
    )
    material = Material(texture_HWC=texture, rgba=(1, 1, 1, 1))
    plan.block((half[0] * 2 - 0.05, half[1] * 2 - 0.05, 0.012), (x, y, 0.0), 0, material)


def hang_lamp(plan: Plan) -> None:
    """Mount a flat, bright lamp on the ceiling."""
    width, depth, height = plan.size_m
    size = float(plan.rng.uniform(0.25, 0.5))
    glow = Material(rgba=(1, 0.98, 0.92, 1), emission=1.0)
    plan.block((size, size, 0.08), (width / 2, depth / 2, height - 0.08), 0, glow)
