"""The house keeps its rooms: imports go one way, names stay where they belong, units stay small."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from openbind.modalities import MODALITIES

SOURCE = Path(__file__).parents[1] / "src" / "openbind"
FILES = sorted(SOURCE.rglob("*.py"))

# Rooms from left to right: each imports only from rooms to its right (docs/architecture.md).
# Rooms of one step don't import each other.
STEPS = [
    {"__main__"},
    {"cli"},
    {"serving", "demo"},
    {"training", "search", "testing"},
    {"evaluation"},
    {"data"},
    {"catalog"},
    {"embedding"},
    {"checkpoints"},
    {"presets"},
    {"space"},
    {"modalities"},
    {"model", "media", "signal"},
    {"registry", "atomic", "download"},
    {"configs"},
    {"errors"},
]
STEP_OF = {room: step for step, rooms in enumerate(STEPS) for room in rooms}

# Rooms that may say the name of a modality.
NAMING_ROOMS = {"modalities", "presets", "checkpoints", "evaluation/suites"}
BANNED_FILES = {"utils", "util", "helpers", "helper", "common", "misc"}


def room_of(path: Path) -> str:
    first = path.relative_to(SOURCE).parts[0]
    return first.removesuffix(".py")


def imports_of(tree: ast.AST) -> list[str]:
    """Modules that a file imports, those inside functions included, `TYPE_CHECKING` ones not."""
    typing_only = {
        id(child)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    found = []
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            found += (
                [f"{module}.{a.name}" for a in node.names] if module == "openbind" else [module]
            )
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    """A room imports only from rooms to its right; lazy imports count."""
    room = room_of(path)
    if room == "__init__":
        return
    for module in imports_of(ast.parse(path.read_text())):
        if not module.startswith("openbind."):
            continue
        target = module.split(".")[1]
        if target in (room, "__version__"):
            continue
        assert target in STEP_OF, f"{path}: {module} is in no room of the list"
        assert STEP_OF[target] > STEP_OF[room], f"{path}: {room} imports {target} to its left"


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_modality_names_stay_home(path: Path) -> None:
    """Only the naming rooms spell a modality's name as a value or a variable."""
    where = str(path.relative_to(SOURCE))
    if any(where.startswith(room) for room in NAMING_ROOMS):
        return
    names = set(MODALITIES.names()) | {"video", "depth", "thermal", "imu"}
    names -= MEDIA_WORDS.get(where, set())
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant):
            assert node.value not in names, f"{where}:{node.lineno}: {node.value!r}"


# Files where such a word is another thing: the main part of a media type, an extra of pip.
MEDIA_WORDS = {
    "demo/page.py": {"image", "audio", "text", "video"},
    "media/audio.py": {"video", "audio"},
    "media/video.py": {"video", "audio"},
    "media/containers.py": {"video", "audio"},
}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_units_stay_small(path: Path) -> None:
    """No file over 400 lines, no function over 60, no drawer without a purpose in its name."""
    assert path.stem not in BANNED_FILES
    text = path.read_text()
    assert len(text.splitlines()) <= 400
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            body = node.body[1:] if ast.get_docstring(node) else node.body
            length = (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0
            assert length <= 60, f"{path}:{node.lineno}: {node.name} has {length} lines"


def test_every_module_has_a_test() -> None:
    """tests/ mirrors src/openbind."""
    tests = Path(__file__).parent
    for path in FILES:
        where = path.relative_to(SOURCE)
        if path.stem in ("__init__", "__main__"):
            continue
        expected = tests / where.parent / f"test_{where.name}"
        assert expected.exists(), f"no {expected.relative_to(tests)} for {where}"
