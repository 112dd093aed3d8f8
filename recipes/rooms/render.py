"""Render rooms as registered images and depth with MuJoCo's software renderer.

Needs `mujoco` and Debian's `libegl1` and `libgl1-mesa-dri`.
Depth is z-depth: metres along the optical axis, not along the ray.
"""

from __future__ import annotations

import colorsys
import os
from collections.abc import Iterator

os.environ.setdefault("MUJOCO_GL", "egl")  # read when mujoco is imported
os.environ.setdefault("LP_NUM_THREADS", "1")  # parallelism is over processes, not threads

import mujoco
import numpy as np
from furniture import Model
from layout import Piece, Plan, Tint
from meshes import Material, Part, read_parts
from scipy import ndimage

WIDTH, HEIGHT = 320, 240
NEAR_M, FAR_M = 0.05, 30.0
EXTENT_M = 8.0
FROM_AFAR = 0.5  # fraction of views from a wall or corner; the others are close to a piece
NEAR_PIECE_M = np.array([0.25, 0.25, 0.15])
OVERVIEWS = 0.25  # fraction of the close ones that look at the center of all main pieces


class PartShelf:
    """A cache of models' parts."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Part]] = {}

    def parts(self, shape: Model | Part) -> list[Part]:
        """Return the parts of a model, or the part itself."""
        if isinstance(shape, Part):
            return [shape]
        if shape.name not in self._parts:
            self._parts[shape.name] = read_parts(shape)
        return self._parts[shape.name]


def compile_room(plan: Plan, shelf: PartShelf) -> mujoco.MjModel:
    """Build MuJoCo's model of a room: a mesh per part of each piece, lights, one camera."""
    spec = mujoco.MjSpec()
    spec.stat.extent, spec.stat.center = EXTENT_M, np.array(plan.size_m) / 2
    spec.visual.map.znear, spec.visual.map.zfar = NEAR_M / EXTENT_M, FAR_M / EXTENT_M
    spec.visual.quality.shadowsize, spec.visual.quality.offsamples = 2048, 4
    getattr(spec.visual, "global").offwidth = WIDTH
    getattr(spec.visual, "global").offheight = HEIGHT
    spec.worldbody.add_camera(name="eye")
    add_lights(spec, plan)
    meshes: dict[tuple[object, ...], str] = {}
    for number, piece in enumerate(plan.pieces):
        for index, part in enumerate(shelf.parts(piece.shape)):
            add_part(spec, piece, part, f"{number}-{index}", meshes)
    return spec.compile()


def add_part(
    spec: mujoco.MjSpec, piece: Piece, part: Part, name: str, meshes: dict[tuple[object, ...], str]
) -> None:
    """Add a part of a piece; pieces of one model, size and tint share meshes and materials."""
    key = (id(part), piece.size_m, piece.tint)
    if key not in meshes:
        meshes[key] = name
        add_mesh(spec, piece, part, name)
        add_material(spec, part.material, piece.tint, name)
    half = np.radians(piece.degrees) / 2
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_MESH,
        meshname=meshes[key],
        material=meshes[key],
        pos=piece.at_m,
        quat=[np.cos(half), 0, 0, np.sin(half)],
        contype=0,
        conaffinity=0,
        castshadow=piece.shadow,
    )


def add_mesh(spec: mujoco.MjSpec, piece: Piece, part: Part, name: str) -> None:
    """Add a part's triangles, scaled to the piece's size."""
    scale = np.ones(3)
    if isinstance(piece.shape, Model):
        scale = np.array(piece.size_m) / piece.shape.size_m
    points_N3, faces_T3 = part.points_N3 * scale, part.faces_T3
    normals_N3 = part.normals_N3 / scale
    normals_N3 = normals_N3 / np.maximum(np.linalg.norm(normals_N3, axis=1, keepdims=True), 1e-9)
    spare = max(0, 4 - len(points_N3))  # MuJoCo needs at least four vertices
    points_N3 = np.vstack([points_N3, points_N3[:1].repeat(spare, 0)])
    normals_N3 = np.vstack([normals_N3, normals_N3[:1].repeat(spare, 0)])
    places_N2 = np.vstack([part.places_N2, part.places_N2[:1].repeat(spare, 0)])
    faces = faces_T3.astype(np.int32).ravel()
    spec.add_mesh(
        name=name,
        uservert=points_N3.astype(np.float32).ravel(),
        usernormal=normals_N3.astype(np.float32).ravel(),
        usertexcoord=places_N2.astype(np.float32).ravel(),
        userface=faces,
        userfacenormal=faces,
        userfacetexcoord=faces,
        inertia=mujoco.mjtMeshInertia.mjMESH_INERTIA_SHELL,
    )


def add_material(spec: mujoco.MjSpec, look: Material, tint: Tint, name: str) -> None:
    """Add a material and its texture, recolored."""
    rgba = recolor(look.rgba, tint)
    material = spec.add_material(
        name=name,
        rgba=rgba,
        shininess=look.shininess,
        specular=0.3 * look.shininess,
        emission=look.emission,
    )
    if look.texture_HWC is not None:
        height, width, _ = look.texture_HWC.shape
        texture = spec.add_texture(
            name=name,
            type=mujoco.mjtTexture.mjTEXTURE_2D,
            width=width,
            height=height,
            nchannel=3,
        )
        texture.data = look.texture_HWC.tobytes()
        textures = [""] * mujoco.mjtTextureRole.mjNTEXROLE
        textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
        material.textures = textures


def recolor(rgba: tuple[float, float, float, float], tint: Tint) -> list[float]:
    """Rotate the hue of a color and multiply it by the tint."""
    hue, saturation, value = colorsys.rgb_to_hsv(*np.clip(rgba[:3], 0, 1))
    turned = colorsys.hsv_to_rgb((hue + tint.hue) % 1, saturation, value)
    return [float(c * t) for c, t in zip(turned, tint.rgb, strict=True)] + [float(rgba[3])]


def add_lights(spec: mujoco.MjSpec, plan: Plan) -> None:
    """Add lights: ambient, a sun through the walls with shadows, lamps without shadows."""
    rng = plan.rng
    warm = np.array([1.0, rng.uniform(0.92, 1.0), rng.uniform(0.82, 1.0)])
    level = float(rng.uniform(0.85, 1.15))
    head = spec.visual.headlight
    head.ambient, head.diffuse = warm * 0.38 * level, warm * 0.10 * level
    head.specular = np.zeros(3)
    width, depth, height = plan.size_m
    tilt = rng.normal(0, 0.35, 2)
    spec.worldbody.add_light(
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=[width / 2, depth / 2, height * 2],
        dir=[tilt[0], tilt[1], -1],
        diffuse=warm * 0.38 * level,
        specular=warm * 0.2,
        ambient=np.zeros(3),
        castshadow=True,
    )
    for _ in range(2):
        spec.worldbody.add_light(
            type=mujoco.mjtLightType.mjLIGHT_SPOT,
            pos=[*rng.uniform(0.25, 0.75, 2) * [width, depth], height - 0.35],
            dir=[0, 0, -1],
            cutoff=180,
            exponent=0,
            attenuation=[0.6, 0.12, 0.05],
            diffuse=warm * 0.30 * level,
            specular=warm * 0.1,
            ambient=np.zeros(3),
            castshadow=False,
        )


def shoot(
    model: mujoco.MjModel, plan: Plan, rng: np.random.Generator, count: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield views: RGB (HEIGHT, WIDTH, 3) 8-bit, and z-depth in metres, 0 where nothing was hit."""
    data = mujoco.MjData(model)
    renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
    for _ in range(count):
        best = None
        for _ in range(6):
            aim_camera(model, plan, rng)
            mujoco.mj_forward(model, data)
            renderer.enable_depth_rendering()
            renderer.update_scene(data, camera="eye")
            depth_HW = renderer.render()
            score = float(np.percentile(depth_HW, 15))
            if best is None or score > best[0]:
                best = (score, model.cam_pos[0].copy(), model.cam_quat[0].copy(), model.cam_fovy[0])
            if score > 0.9:
                break
        assert best is not None
        model.cam_pos[0], model.cam_quat[0], model.cam_fovy[0] = best[1:]
        rgb_HWC, depth_HW = expose(model, data, renderer, rng)
        yield rgb_HWC, np.where(depth_HW < FAR_M * 0.95, depth_HW, 0)
    renderer.close()


def turn(
    model: mujoco.MjModel, plan: Plan, rng: np.random.Generator, degrees: float, count: int
) -> Iterator[np.ndarray]:
    """Yield RGB frames (HEIGHT, WIDTH, 3), 8-bit, of a camera that pans in place.

    Args:
        model: of the room.
        plan: of the room.
        rng: draws its position; the middle frame shows a main piece.
        degrees: from the first to the last frame, left to right.
        count: number of frames.
    """
    data = mujoco.MjData(model)
    renderer = mujoco.Renderer(model, HEIGHT, WIDTH)
    aim_camera(model, plan, rng)
    middle = model.cam_quat[0].copy()
    grain = int(rng.integers(2**32))
    for angle in np.radians(np.linspace(degrees / 2, -degrees / 2, count)):
        upright = np.array([np.cos(angle / 2), 0, 0, np.sin(angle / 2)])
        mujoco.mju_mulQuat(model.cam_quat[0], upright, middle)
        # One white balance for the whole video
        yield expose(model, data, renderer, np.random.default_rng(grain))[0]
    renderer.close()


def expose(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    renderer: mujoco.Renderer,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Render the camera's image, developed, and its z-depth in metres."""
    mujoco.mj_forward(model, data)
    renderer.enable_depth_rendering()
    renderer.update_scene(data, camera="eye")
    depth_HW = renderer.render().astype(np.float64)
    renderer.disable_depth_rendering()
    renderer.update_scene(data, camera="eye")
    return develop(renderer.render(), depth_HW, rng), depth_HW


def aim_camera(model: mujoco.MjModel, plan: Plan, rng: np.random.Generator) -> None:
    """Place the camera at a free spot, looking at the pieces that characterize the room."""
    eye, target = (look_across if rng.random() < FROM_AFAR else approach)(plan, rng)
    forward = target - eye
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0, 0, 1])
    right /= np.linalg.norm(right)
    turn_33 = np.stack([right, np.cross(right, forward), -forward], axis=1)
    quat = np.zeros(4)
    mujoco.mju_mat2Quat(quat, turn_33.ravel())
    model.cam_pos[0], model.cam_quat[0] = eye, quat
    model.cam_fovy[0] = rng.uniform(50, 75)


def look_across(plan: Plan, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return eye and target: from near a wall or corner across the room to its main pieces."""
    width, depth, _ = plan.size_m
    middle = np.mean([piece.at_m for piece in plan.keys], axis=0)
    eye = np.array([width / 2, depth / 2, 1.5])
    for _ in range(60):
        angle, reach = rng.uniform(0, 2 * np.pi), rng.uniform(0.75, 0.98)
        around = np.clip(np.array([np.cos(angle), np.sin(angle)]), -0.71, 0.71) / 0.71
        floor = np.array([width, depth]) / 2 * (1 + reach * around)
        place = np.array([*floor, rng.uniform(1.1, 1.9)])
        far = np.linalg.norm(place[:2] - middle[:2]) > 1.2
        if far and not is_inside(place, plan):
            eye = place
            break
    target = np.array([*(middle[:2] + rng.normal(0, 0.35, 2)), rng.uniform(0.4, 1.1)])
    return eye, target


def approach(plan: Plan, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return eye and target: in front of a main piece, or looking at the center of all."""
    key = plan.keys[0] if rng.random() < 0.6 else plan.keys[int(rng.integers(len(plan.keys)))]
    width, depth, _ = plan.size_m
    target = np.array(key.at_m)
    target[2] += key.size_m[2] * 0.6
    facing = 0.8
    if rng.random() < OVERVIEWS:
        target, facing = np.mean([k.at_m for k in plan.keys], 0) + np.array((0, 0, 0.5)), 0.0
    target[:2] = 0.8 * target[:2] + 0.2 * np.array([width, depth]) / 2
    target += rng.normal(0, [0.2, 0.2, 0.1])
    wanted = rng.uniform(*plan.distance_m)
    angle = np.radians(key.degrees)
    front = np.array([np.sin(angle), -np.cos(angle)])
    best, eye = -np.inf, np.array([width / 2, depth / 2, 1.5])
    for _ in range(60):
        floor = 0.2 + rng.random(2) * [width - 0.4, depth - 0.4]
        place = np.array([*floor, rng.uniform(1.1, 1.8)])
        away = place[:2] - target[:2]
        distance = float(np.linalg.norm(away))
        score = -abs(distance - wanted) + facing * float(front @ away) / max(distance, 1e-6)
        if score > best and distance > 0.8 and not is_inside(place, plan):
            best, eye = score, place
    return eye, target


def is_inside(place: np.ndarray, plan: Plan) -> bool:
    """Return whether a point is inside a tall piece, or so close that it would fill the view."""
    return any(
        (place > low - 0.25).all() and (place < high + NEAR_PIECE_M).all()
        for low, high in plan.taken
        if high[2] > 0.9
    )


def develop(rgb_HWC: np.ndarray, depth_HW: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Develop an image like a camera: vignetting, white balance and noise.

    Points behind their surroundings get less light: depth minus blurred depth, as in depth
    darkening (Luft, Colditz and Deussen 2006).
    """
    shade_HW = np.zeros_like(depth_HW)
    for sigma in (4.0, 12.0):
        behind_HW = depth_HW - ndimage.gaussian_filter(depth_HW, sigma)
        shade_HW += np.clip(behind_HW / 0.6, 0, 1) * 0.22
    light_HWC = rgb_HWC / 255 * (1 - shade_HW)[..., None]
    light_HWC = light_HWC * rng.normal(1, 0.02, 3) * rng.uniform(0.95, 1.1)
    light_HWC = np.clip(light_HWC, 0, 1) ** rng.uniform(0.85, 1.05)
    light_HWC = light_HWC + rng.normal(0, 0.008, light_HWC.shape)
    developed: np.ndarray = np.round(np.clip(light_HWC, 0, 1) * 255).astype(np.uint8)
    return developed
