"""Rooms: the catalog is read, sides share no model, pieces stay apart, views are registered."""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[2] / "recipes" / "rooms"
CUBE = """mtllib cube.mtl
usemtl wood
{points}
f 1 2 4 3
f 5 7 8 6
f 1 5 6 2
f 3 4 8 7
f 1 3 7 5
f 2 6 8 4
"""


@pytest.fixture
def furniture(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The catalog's module; the others are imported beside it."""
    monkeypatch.syspath_prepend(str(FOLDER))
    monkeypatch.setenv("MUJOCO_GL", "egl")  # read when mujoco is imported
    return __import__("furniture")


@pytest.fixture
def work(tmp_path: Path, furniture: ModuleType) -> Path:
    """A package in which every model that has a role is a cube."""
    folder = tmp_path / furniture.SOURCE
    folder.mkdir(parents=True)
    names = {name for names in furniture.ROLES.values() for name in names.split()}
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    cube = CUBE.format(points="\n".join(f"v {x} {y} {z}" for x, y, z in corners))
    for short, (file, _) in furniture.ARCHIVES.items():
        own = sorted(name.split("/")[1] for name in names if name.startswith(f"{short}/"))
        lines = []
        for number, name in enumerate(own, 1):
            lines += [f"name#{number}={name}", f"model#{number}=/{name}.obj"]
            lines += [f"{key}#{number}=60" for key in ("width", "depth")]
            lines += [f"height#{number}=80", f"creator#{number}=A"]
        with zipfile.ZipFile(folder / file, "w") as archive:
            archive.writestr(furniture.CATALOG, "\n".join(lines))
            archive.writestr("cube.mtl", "newmtl wood\nKd 0.5 0.4 0.3\n")
            for name in own:
                archive.writestr(f"{name}.obj", cube)
    return tmp_path


def test_sides_share_no_model(furniture: ModuleType, work: Path) -> None:
    """Every role has models to train on; none of them is held out as well."""
    models = furniture.read_models(work)
    seen = furniture.split_models(models, held_out=False)
    unseen = furniture.split_models(models, held_out=True)
    assert all(seen.values())
    for role in furniture.ROLES:
        assert not {m.name for m in seen[role]} & {m.name for m in unseen[role]}
        assert len(seen[role]) == 1 or unseen[role]
    everything = {m.name for role in seen.values() for m in role}
    assert not everything & {m.name for role in unseen.values() for m in role}


def test_models_stand_upright(furniture: ModuleType, work: Path) -> None:
    """A model has its catalog's size, in metres, its bottom at 0."""
    meshes = __import__("meshes")
    model = furniture.read_models(work)["cc0/bed1"]
    assert model.size_m == (0.6, 0.6, 0.8)
    [part] = meshes.read_parts(model)
    assert part.material.rgba == (0.5, 0.4, 0.3, 1.0)
    np.testing.assert_allclose(part.points_N3.min(0), [-0.3, -0.3, 0])
    np.testing.assert_allclose(part.points_N3.max(0), [0.3, 0.3, 0.8])
    np.testing.assert_allclose(np.linalg.norm(part.normals_N3, axis=1), 1)


def test_rooms_follow_from_their_names(furniture: ModuleType, work: Path) -> None:
    """A plan is the same each time, has main pieces, and its tall pieces don't overlap."""
    pytest.importorskip("mujoco", reason="rooms are rendered by mujoco, which recipes need")
    rooms = __import__("write_rooms")
    models = furniture.split_models(furniture.read_models(work), held_out=False)
    for kind in __import__("plans").ROOM_SIZES:
        scene = rooms.Scene(side="train", kind=kind, number=0)
        first, again = (rooms.plan_room(scene, models)[1] for _ in range(2))
        assert [p.at_m for p in first.pieces] == [p.at_m for p in again.pieces]
        assert first.keys


def test_pairs(furniture: ModuleType, work: Path, tmp_path: Path) -> None:
    """Images and depth of the same pixels, in millimetres; what is there isn't made again."""
    pytest.importorskip("mujoco", reason="rooms are rendered by mujoco, which recipes need")
    from PIL import Image

    rooms = __import__("write_rooms")
    models = furniture.split_models(furniture.read_models(work), held_out=False)
    scene = rooms.Scene(side="train", kind="kitchen", number=0)
    writer = rooms.Writer.__new__(rooms.Writer)
    writer.out, writer.models = tmp_path, models
    writer.shelf = __import__("render").PartShelf()
    try:
        writer.write(scene)
    except Exception as error:
        if "EGL" not in str(error) and "GL" not in type(error).__name__:
            raise
        pytest.skip(f"no software renderer (libegl1, libgl1-mesa-dri): {error}")
    image, depth = (tmp_path / path for path in scene.paths(0))
    with Image.open(image) as color, Image.open(depth) as stored:
        depth_HW = np.asarray(stored)
        assert color.size == stored.size == (320, 240)
    assert depth_HW.dtype == np.uint16
    assert 300 < np.median(depth_HW) < 10_000
    assert rooms.is_written(scene, tmp_path)
