"""OBJ and MTL files → triangles by material, upright, in metres."""

from __future__ import annotations

import io
import posixpath
import zipfile
from dataclasses import dataclass, replace

import numpy as np
from furniture import Model
from PIL import Image

TEXTURE_PIXELS = 256
CREASE = float(np.cos(np.radians(40)))
MAX_VALENCE = 24  # triangles considered at one point
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True, kw_only=True)
class Material:
    """The appearance of a surface.

    Args:
        rgba: color and opacity, 0–1; the texture is multiplied by it.
        texture_HWC: 8-bit RGB or None; its first row is at v = 0.
        shininess: 0–1.
        emission: 0–1, fraction of its color that it emits.
    """

    rgba: tuple[float, float, float, float] = (0.7, 0.7, 0.7, 1.0)
    texture_HWC: np.ndarray | None = None
    shininess: float = 0.0
    emission: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Part:
    """The triangles of one material.

    Args:
        points_N3: corners, metres, z up, the front towards -y, the origin in the middle of the
            bottom.
        normals_N3: unit normals of the vertices.
        places_N2: texture coordinates, v downwards.
        faces_T3: vertex indices, counter-clockwise from outside.
        material: of all its triangles.
    """

    points_N3: np.ndarray
    normals_N3: np.ndarray
    places_N2: np.ndarray
    faces_T3: np.ndarray
    material: Material


def read_parts(model: Model) -> list[Part]:
    """Read a model, scaled to its catalog size."""
    with zipfile.ZipFile(model.archive) as archive:
        lines = archive.read(model.path).decode("latin-1").splitlines()
        tables, groups, libraries = parse_obj(lines)
        materials: dict[str, Material] = {}
        for library in libraries:
            materials |= read_materials(archive, posixpath.dirname(model.path), library)
    points, places, normals = tables
    points_N3 = np.array(points)[:, :3] @ model.rotation_33.T
    normals_N3 = np.array(normals or [[0.0, 0, 0]])[:, :3] @ model.rotation_33.T
    places_N2 = np.array([p[:2] for p in places] or [[0.0, 0]])
    used = np.unique([corner[0] for corners in groups.values() for t in corners for corner in t])
    points_N3 = stand_upright(points_N3, points_N3[used], model.size_m)
    normals_N3 = normals_N3[:, [0, 2, 1]] * [1, -1, 1]
    return [
        make_part(triangles, points_N3, places_N2, normals_N3, materials.get(name, Material()))
        for name, triangles in groups.items()
        if triangles
    ]


def stand_upright(
    points_N3: np.ndarray, used_N3: np.ndarray, size_m: tuple[float, float, float]
) -> np.ndarray:
    """Scale y-up points to width, depth, height and rotate them z-up, front to -y."""
    low, high = used_N3.min(0), used_N3.max(0)
    width, depth, height = size_m
    scale = np.array([width, height, depth]) / np.maximum(high - low, 1e-9)
    origin = np.array([(low[0] + high[0]) / 2, low[1], (low[2] + high[2]) / 2])
    scaled_N3: np.ndarray = (points_N3 - origin) * scale
    upright_N3: np.ndarray = scaled_N3[:, [0, 2, 1]] * np.array([1, -1, 1])
    return upright_N3


Triangle = tuple[tuple[int, int, int], ...]


def parse_obj(
    lines: list[str],
) -> tuple[tuple[list[list[float]], ...], dict[str, list[Triangle]], list[str]]:
    """Return (points, places, normals), material → triangles of index triples, and libraries.

    Polygons are triangulated as fans. A missing index is -1.
    """
    tables: dict[str, list[list[float]]] = {"v": [], "vt": [], "vn": []}
    groups: dict[str, list[Triangle]] = {}
    libraries, name = [], ""
    for line in lines:
        words = line.split()
        if not words:
            continue
        if words[0] in tables:
            tables[words[0]].append([float(word) for word in words[1:4]])
        elif words[0] == "f":
            corners = [read_corner(word, tables) for word in words[1:]]
            fan = ((corners[0], corners[i], corners[i + 1]) for i in range(1, len(corners) - 1))
            groups.setdefault(name, []).extend(fan)
        elif words[0] == "usemtl":
            name = line.strip()[6:].strip()
        elif words[0] == "mtllib":
            libraries.append(line.strip()[6:].strip())
    return (tables["v"], tables["vt"], tables["vn"]), groups, libraries


def read_corner(word: str, tables: dict[str, list[list[float]]]) -> tuple[int, int, int]:
    """Return the zero-based indices of point, texture coordinate and normal of `v/vt/vn`."""
    fields = [*word.split("/"), "", ""][:3]
    found = []
    for field, table in zip(fields, tables.values(), strict=True):
        index = int(field) if field else 0
        found.append(index - 1 if index > 0 else len(table) + index if index < 0 else -1)
    return found[0], found[1], found[2]


def make_part(
    triangles: list[Triangle],
    points_N3: np.ndarray,
    places_N2: np.ndarray,
    normals_N3: np.ndarray,
    material: Material,
) -> Part:
    """Gather the vertices of some triangles, each combination of indices once."""
    corners_C3 = np.array(triangles).reshape(-1, 3)
    corner_points_C3 = points_N3[corners_C3[:, 0]]
    if (corners_C3[:, 2] >= 0).all():
        normals_C3 = normals_N3[corners_C3[:, 2]]
        lengths_C1 = np.linalg.norm(normals_C3, axis=1, keepdims=True)
        normals_C3 = np.where(lengths_C1 > 1e-6, normals_C3 / np.maximum(lengths_C1, 1e-6), UP)
    else:
        normals_C3 = smooth_normals(corner_points_C3)
    keys_C5 = np.hstack([corners_C3[:, :2], np.round(normals_C3 * 100).astype(np.int64)])
    _, first_N, where_C = np.unique(keys_C5, axis=0, return_index=True, return_inverse=True)
    return Part(
        points_N3=corner_points_C3[first_N],
        normals_N3=normals_C3[first_N],
        places_N2=places_N2[np.maximum(corners_C3[first_N, 1], 0)] * [1, -1] + [0, 1],
        faces_T3=where_C.reshape(-1, 3),
        material=material,
    )


def smooth_normals(points_C3: np.ndarray) -> np.ndarray:
    """Return vertex normals of triangles, three each, smooth up to a crease angle.

    A vertex normal is the sum of the area-weighted normals of those triangles at the same point
    whose angle to its own triangle is below `CREASE`.
    """
    edges = points_C3.reshape(-1, 3, 3)
    areas_T3 = np.cross(edges[:, 1] - edges[:, 0], edges[:, 2] - edges[:, 0])
    area_C3 = np.repeat(areas_T3, 3, axis=0)
    unit_C3 = area_C3 / np.maximum(np.linalg.norm(area_C3, axis=1, keepdims=True), 1e-12)
    _, point_C = np.unique(np.round(points_C3 * 1e5), axis=0, return_inverse=True)
    order = np.argsort(point_C.ravel(), kind="stable")
    sorted_points = point_C.ravel()[order]
    total_C3 = area_C3.copy()
    # Vertex k of the sorted list is compared with vertex k + step while both are at one point.
    for step in range(1, int(np.bincount(sorted_points).max(initial=1))):
        if step > MAX_VALENCE:
            break
        same = sorted_points[step:] == sorted_points[:-step]
        one, other = order[:-step][same], order[step:][same]
        near = (unit_C3[one] * unit_C3[other]).sum(1) > CREASE
        np.add.at(total_C3, one[near], area_C3[other[near]])
        np.add.at(total_C3, other[near], area_C3[one[near]])
    lengths_C1 = np.linalg.norm(total_C3, axis=1, keepdims=True)
    return np.where(lengths_C1 > 1e-12, total_C3 / np.maximum(lengths_C1, 1e-12), UP)


def read_materials(archive: zipfile.ZipFile, folder: str, library: str) -> dict[str, Material]:
    """Read an MTL file as name → material; empty if the archive lacks it."""
    files = {name.lower(): name for name in archive.namelist()}
    found = {"": Material()}  # some files have statements before the first material
    path = files.get(posixpath.join(folder, library).lower())
    name = ""
    for line in archive.read(path).decode("latin-1").splitlines() if path else []:
        key, _, rest = line.strip().partition(" ")
        rest = rest.strip()
        if key == "newmtl":
            name = rest
            found[name] = Material()
        elif key == "Kd":
            red, green, blue = (float(v) for v in rest.split()[:3])
            found[name] = replace(found[name], rgba=(red, green, blue, found[name].rgba[3]))
        elif key == "d":
            found[name] = replace(
                found[name], rgba=(*found[name].rgba[:3], float(rest.split()[-1]))
            )
        elif key == "Ns":
            found[name] = replace(found[name], shininess=min(float(rest) / 128, 1.0))
        elif key == "map_Kd":
            image = files.get(posixpath.join(folder, rest.split()[-1]).lower())
            if image:
                white = (1.0, 1.0, 1.0, found[name].rgba[3])
                texture = read_texture(archive.read(image))
                found[name] = replace(found[name], texture_HWC=texture, rgba=white)
    return found


def read_texture(data: bytes) -> np.ndarray:
    """Decode an image as RGB of at most `TEXTURE_PIXELS`; transparent parts get the mean color."""
    image = Image.open(io.BytesIO(data)).convert("RGBA")
    image.thumbnail((TEXTURE_PIXELS, TEXTURE_PIXELS))
    rgba_HWC = np.asarray(image).astype(np.float64)
    alpha_HW1 = rgba_HWC[..., 3:] / 255
    mean_C = (rgba_HWC[..., :3] * alpha_HW1).sum((0, 1)) / max(float(alpha_HW1.sum()), 1e-6)
    rgb_HWC: np.ndarray = rgba_HWC[..., :3] * alpha_HW1 + mean_C * (1 - alpha_HW1)
    return np.asarray(np.round(rgb_HWC), dtype=np.uint8)
