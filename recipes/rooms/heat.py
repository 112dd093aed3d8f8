"""Synthetic thermal images of rooms: temperatures follow from the kind of object.

Every piece has one temperature: the room's, or one that its use suggests. There are no reflections
and no heat flow. Nothing is trained on these images.
"""

from __future__ import annotations

import os

os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is imported

import mujoco
import numpy as np
from furniture import ROLES, Model
from layout import Plan
from render import HEIGHT, WIDTH
from scipy import ndimage

ROOM_CELSIUS = 21.0
DEVIATIONS_CELSIUS = {"furniture": 0.8, "walls": 0.3}
SHOWN_CELSIUS = 17.0, 27.0  # mapped to black and white; hotter values are clipped
CELSIUS = {
    "window": 14.0,
    "plant": 19.0,
    "fridge": 24.0,
    "bath": 24.0,
    "towels": 26.0,
    "washer": 27.0,
    "kitchen_item": 29.0,
    "tv": 33.0,
    "computer": 34.0,
    "stove": 36.0,
    "table_lamp": 38.0,
    "hanging_lamp": 38.0,
    "fireplace": 45.0,
}
SHADING = 0.35  # reduction for surfaces that face away from the camera
SPREAD = (1, 99)  # percentiles mapped to black and white, like a camera's automatic gain
BLUR_PIXELS, GRAIN = 0.8, 0.015


def render_heat(model: mujoco.MjModel, plan: Plan, rng: np.random.Generator) -> np.ndarray:
    """Render the camera's current view (HEIGHT, WIDTH), 8-bit, hotter is lighter.

    Args:
        model: of the room; its colors are overwritten.
        plan: of the room.
        rng: draws each piece's temperature and the sensor noise.
    """
    celsius = choose_celsius(plan, rng)
    low, high = SHOWN_CELSIUS
    for material in range(model.nmat):
        name = mujoco.mj_id2name(model, mujoco.mjtObj.mjOBJ_MATERIAL, material)
        model.mat_rgba[material, :3] = (celsius[int(name.split("-")[0])] - low) / (high - low)
        model.mat_emission[material] = 1 - SHADING
    model.mat_texid[:] = -1
    model.mat_specular[:] = model.mat_shininess[:] = 0
    model.light_active[:] = 0
    model.vis.headlight.ambient[:] = 0
    model.vis.headlight.diffuse[:] = SHADING
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    with mujoco.Renderer(model, HEIGHT, WIDTH) as renderer:
        renderer.update_scene(data, camera="eye")
        warm_HW = renderer.render()[..., 0] / 255
    warm_HW = ndimage.gaussian_filter(warm_HW, BLUR_PIXELS)
    black, white = np.percentile(warm_HW, SPREAD)
    warm_HW = (warm_HW - black) / max(white - black, 1e-6) + rng.normal(0, GRAIN, warm_HW.shape)
    heat_HW: np.ndarray = np.round(warm_HW.clip(0, 1) * 255).astype(np.uint8)
    return heat_HW


def choose_celsius(plan: Plan, rng: np.random.Generator) -> list[float]:
    """Choose a temperature for each piece of a plan, within the displayed range."""
    role_of = {name: role for role, names in ROLES.items() for name in names.split()}
    found = []
    for piece in plan.pieces:
        is_model = isinstance(piece.shape, Model)
        deviation = DEVIATIONS_CELSIUS["furniture" if is_model else "walls"]
        own = float(rng.normal(ROOM_CELSIUS, deviation))
        role = role_of[piece.shape.name] if isinstance(piece.shape, Model) else ""
        found.append(np.clip(CELSIUS.get(role, own), *SHOWN_CELSIUS))
    return found
