"""Textures of walls, floors, rugs and pictures, and their meshes."""

from __future__ import annotations

import colorsys

import numpy as np
from meshes import Material, Part

PIXELS = 128
CELL_M = 0.35  # lighting is per vertex, so large faces are split into cells of about this size


def paint(rng: np.random.Generator, rgb: tuple[float, float, float]) -> np.ndarray:
    """Draw a plain color, 0–1, with slight noise; 8-bit (PIXELS, PIXELS, 3)."""
    grain_HW1 = rng.normal(0, 0.008, (PIXELS, PIXELS, 1))
    return to_bytes(np.array(rgb) + grain_HW1)


def lay_planks(rng: np.random.Generator) -> np.ndarray:
    """Draw wooden planks: eight rows with staggered joints."""
    base = np.array(colorsys.hsv_to_rgb(rng.uniform(0.05, 0.11), rng.uniform(0.25, 0.6), 1))
    base = base * rng.uniform(0.35, 0.85)
    row_H = np.arange(PIXELS) // 16
    joint_H = rng.integers(0, PIXELS, 8)[row_H]
    board_HW = (np.arange(PIXELS)[None] + joint_H[:, None]) % PIXELS // 64 + 2 * row_H[:, None]
    shade_HW = rng.normal(1, 0.09, 16)[board_HW]
    lines_HW = rng.normal(0, 0.05, (PIXELS, 8)).repeat(16, axis=1)
    shade_HW = shade_HW + lines_HW + rng.normal(0, 0.015, (PIXELS, PIXELS))
    gap_HW = (np.arange(PIXELS)[:, None] % 16 == 0) | (
        (np.arange(PIXELS) + joint_H[:, None]) % 64 == 0
    )
    return to_bytes(base * np.where(gap_HW, 0.6, shade_HW)[..., None])


def lay_tiles(rng: np.random.Generator, rgb: tuple[float, float, float], across: int) -> np.ndarray:
    """Draw square tiles with joints, `across` per side."""
    step = PIXELS // across
    tone_TT1 = rng.normal(1, 0.025, (across, across, 1))
    tone_HW1 = tone_TT1.repeat(step, 0).repeat(step, 1)
    line_H = np.arange(PIXELS) % step == 0
    joint_HW1 = (line_H[:, None] | line_H[None])[..., None]
    grout = np.array(rgb) * 0.75 if min(rgb) > 0.4 else np.array(rgb) * 0.5 + 0.35
    return to_bytes(np.where(joint_HW1, grout, np.array(rgb) * tone_HW1))


def weave(rng: np.random.Generator, rgb: tuple[float, float, float]) -> np.ndarray:
    """Draw a carpet's texture."""
    grain_HW1 = rng.normal(1, 0.10, (PIXELS, PIXELS, 1))
    return to_bytes(np.array(rgb) * grain_HW1)


def print_stripes(rng: np.random.Generator, rgb: tuple[float, float, float]) -> np.ndarray:
    """Draw wallpaper with vertical stripes."""
    stripe_W = np.arange(PIXELS) // int(rng.choice([8, 16, 32])) % 2
    tone_1W1 = np.where(stripe_W, rng.uniform(0.86, 0.96), 1.0)[None, :, None]
    return to_bytes(np.array(rgb) * tone_1W1 * np.ones((PIXELS, 1, 1)))


def knot_rug(rng: np.random.Generator) -> np.ndarray:
    """Draw nested frames in a few colors, with noise."""
    count = int(rng.integers(2, 7))
    colors = np.array([draw_color(rng, 0.1, 0.5, 0.25, 0.85) for _ in range(count)])
    axis = np.abs(np.arange(PIXELS) - (PIXELS - 1) / 2) / (PIXELS / 2)
    ring_HW = np.maximum(axis[:, None], axis[None])
    index_HW = (np.sqrt(ring_HW) * count).astype(int).clip(0, count - 1)
    return to_bytes(colors[index_HW] * rng.normal(1, 0.07, (PIXELS, PIXELS, 1)))


def paint_image(rng: np.random.Generator) -> np.ndarray:
    """Draw a picture for a wall: a sky over hills, or blots of color."""
    y, x = np.mgrid[0:PIXELS, 0:PIXELS] / PIXELS
    top, low = (np.array(draw_color(rng, 0.1, 0.6, 0.5, 1)) for _ in range(2))
    image = top + (low - top) * y[..., None]
    for _ in range(int(rng.integers(2, 6))):
        color = np.array(draw_color(rng, 0.2, 0.8, 0.2, 0.9))
        if rng.random() < 0.5:
            height = rng.uniform(0.4, 0.9) + 0.1 * np.sin(x * rng.uniform(2, 9) + rng.uniform(0, 6))
            mask = y > height
        else:
            center = rng.uniform(0.1, 0.9, 2)
            mask = np.hypot(x - center[0], y - center[1]) < rng.uniform(0.05, 0.25)
        image = np.where(mask[..., None], color, image)
    return to_bytes(image + rng.normal(0, 0.02, image.shape))


def look_outside(rng: np.random.Generator) -> np.ndarray:
    """Draw a bright sky over blurred green, as seen through a window."""
    y = np.linspace(0, 1, PIXELS)[:, None, None]
    sky = np.array([0.80, 0.90, 1.0]) + 0.2 * y
    leaves = np.array([0.45, 0.60, 0.35]) * rng.normal(1, 0.15, (16, 16, 1)).repeat(8, 0).repeat(
        8, 1
    )
    return to_bytes(np.where(y < rng.uniform(0.5, 0.9), sky, leaves + 0.15))


def show_screen(rng: np.random.Generator) -> np.ndarray:
    """Draw a computer's screen: a colored background and a window with lines of text."""
    screen_HWC = np.ones((PIXELS, PIXELS, 1)) * np.array(draw_color(rng, 0.3, 0.8, 0.3, 0.8))
    left, top = rng.integers(4, 40, 2)
    right, low = rng.integers(80, 124, 2)
    screen_HWC[top:low, left:right] = 0.95
    screen_HWC[top : top + 6, left:right] = draw_color(rng, 0.2, 0.8, 0.3, 0.7)
    for y in range(top + 10, low - 4, 5):
        screen_HWC[y : y + 2, left + 4 : int(rng.integers(left + 20, right))] = 0.3
    return to_bytes(screen_HWC)


def draw_color(
    rng: np.random.Generator, s0: float, s1: float, v0: float, v1: float
) -> tuple[float, float, float]:
    """Draw a random hue with saturation and value in ranges, as RGB from 0 to 1."""
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(s0, s1), rng.uniform(v0, v1))


def to_bytes(values: np.ndarray) -> np.ndarray:
    """Convert values from 0 to 1 to 8-bit."""
    return np.asarray(np.round(np.clip(values, 0, 1) * 255), dtype=np.uint8)


def make_box(
    size_m: tuple[float, float, float], material: Material, tile_m: tuple[float, float] | None
) -> Part:
    """Build a box that stands on the origin.

    Args:
        size_m: width (x), depth (y), height (z).
        material: of all faces.
        tile_m: width and height of one repeat of the texture; None stretches it over each face.
    """
    half, axes = np.array(size_m) / 2, np.eye(3)
    points, normals, places, triangles = [], [], [], []
    count = 0
    for n, u, v in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        for sign in (1.0, -1.0):
            # Up is z where possible; right × up points outwards.
            right, up = (axes[u], axes[v]) if n != 1 else (axes[v] * -1, axes[u])
            right = right * sign
            across, tall = float(np.abs(right) @ half) * 2, float(np.abs(up) @ half) * 2
            nu, nv = (int(np.clip(np.ceil(edge / CELL_M), 1, 24)) for edge in (across, tall))
            a, b = np.meshgrid(np.linspace(0, 1, nu + 1), np.linspace(0, 1, nv + 1))
            a, b = a.ravel()[:, None], b.ravel()[:, None]
            middle = axes[n] * sign * half[n] + [0, 0, half[2]]
            points.append(middle + right * (a - 0.5) * across + up * (b - 0.5) * tall)
            normals.append(np.repeat(axes[n][None] * sign, len(a), 0))
            repeats = (across / tile_m[0], tall / tile_m[1]) if tile_m else (1.0, 1.0)
            places.append(np.hstack([a * repeats[0], (1 - b) * repeats[1]]))
            corner = (np.arange(nv)[:, None] * (nu + 1) + np.arange(nu)[None]).ravel()[:, None]
            lower = np.hstack([corner, corner + 1, corner + nu + 2])
            upper = np.hstack([corner, corner + nu + 2, corner + nu + 1])
            triangles.append(np.vstack([lower, upper]) + count)
            count += len(a)
    return Part(
        points_N3=np.vstack(points),
        normals_N3=np.vstack(normals),
        places_N2=np.vstack(places),
        faces_T3=np.vstack(triangles),
        material=material,
    )
