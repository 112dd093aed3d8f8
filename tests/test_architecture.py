"""Rooms keep their order: imports go one way, names stay where they belong, units stay small."""

from __future__ import annotations

import ast
import graphlib
import re
import shutil
import statistics
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import FrameType

import pytest

from openbind.catalog import shipped
from openbind.cli.main import main
from openbind.modalities import MODALITIES

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "openbind"
FILES = sorted(SOURCE.rglob("*.py"))

# Rooms from left to right: each imports only from rooms to its right (docs/architecture.md).
# Rooms of one step don't import each other.
STEPS = [
    {"__main__"},
    {"cli"},
    {"serving", "compat", "export"},
    {"training", "search", "testing"},
    {"evaluation"},
    {"data"},
    {"opening"},
    {"catalog"},
    {"embedding", "runtime"},
    {"checkpoints"},
    {"presets"},
    {"space"},
    {"generation", "localisation"},
    {"modalities"},
    {"model", "media", "signal"},
    {"registry", "atomic", "download", "limits", "names"},
    {"configs"},
    {"errors"},
]
STEP_OF = {room: step for step, rooms in enumerate(STEPS) for room in rooms}

# Rooms that may say the name of a modality.
NAMING_ROOMS = {"modalities", "presets", "checkpoints", "evaluation/suites", "compat"}
BANNED_FILES = {"utils", "util", "helpers", "helper", "common", "misc"}


# Limits of units, docstrings included; docs/architecture.md names them.
FILE_LINES, FUNCTION_LINES, MEDIAN_LINES, NINTH_LINES = 390, 61, 10, 26
# Rooms that any other may use; they don't count where a walk is followed.
FOUNDATIONS = set().union(*STEPS[-3:])
WALK_ROOMS = 8
# A name that ends in dimension letters: lower case, then upper case (mel_BSCFT, mean_C111).
LETTERED = re.compile(r"_*[a-z][a-z0-9_]*_([A-Z][A-Z0-9]*)")
# Words of a private dialect and British spellings that don't come back into prose and messages.
DIALECT = re.compile(
    r"\b(?:pictures?|films?|left out|at the most|parted by|hangs? on|anew|to the bit|told by"
    r"|blown up|blotted out|is no number|gives? back|given back|hands? in|handed in|what is there"
    r"|(?:colour|neighbour|behaviour|favour)\w*|licence[sd]?|centre[sd]?"
    r"|(?:general|initial|normal|optim|organ|recogn|summar|visual)is(?:e[sd]?|ing|ation)"
    r"|a (?:array|audio|embedding|IMU|image|index|item))\b",
    re.IGNORECASE,
)
LEGEND = re.compile(r"^\| ([A-Z](?:, [A-Z])*) \|", re.MULTILINE)

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


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
    for module in imports_of(tree_of(path)):
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
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Constant):
            assert node.value not in names, f"{where}:{node.lineno}: {node.value!r}"


# Files where such a word is another thing: the main part of a media type, an extra of pip, a field.
MEDIA_WORDS = {
    "evaluation/report/page.py": {"image", "video"},
    "media/audio.py": {"video", "audio"},
    "serving/cohere.py": {"image"},
    "media/video.py": {"video", "audio"},
    "media/containers.py": {"video", "audio"},
}


def functions_of(path: Path) -> list[tuple[str, int]]:
    """Functions of a file, async ones included, with their lines from `def` to the end."""
    nodes = [node for node in ast.walk(tree_of(path)) if isinstance(node, Function)]
    return [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in nodes]


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_units_stay_small(path: Path) -> None:
    """No long file, no long function, async ones included, and no file without a purpose."""
    assert path.stem not in BANNED_FILES
    assert len(path.read_text().splitlines()) <= FILE_LINES
    assert not [f"{name}: {n} lines" for name, n in functions_of(path) if n > FUNCTION_LINES]


def test_most_functions_are_short() -> None:
    """Half of all functions have at most 10 lines, nine in ten at most 26."""
    lengths = [lines for path in FILES for _, lines in functions_of(path)]
    assert statistics.median(lengths) <= MEDIAN_LINES
    assert statistics.quantiles(lengths, n=10)[-1] <= NINTH_LINES


def module_of(path: Path) -> str:
    parts = path.relative_to(SOURCE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def test_no_module_imports_itself() -> None:
    """Imports, lazy ones included, form no cycle."""
    modules = {module_of(path) for path in FILES}
    graph: dict[str, set[str]] = {}
    for path in FILES:
        imported = {
            m for name in imports_of(tree_of(path)) for m in (name, name.rpartition(".")[0])
        }
        graph[module_of(path)] = (imported & modules) - {module_of(path), "openbind"}
    graphlib.TopologicalSorter(graph).prepare()


def lettered_names(tree: ast.Module) -> set[str]:
    """Names of variables, arguments and attributes that end in dimension letters."""
    found = set()
    for node in ast.walk(tree):
        name = getattr(node, "id", None) or getattr(node, "arg", None) or getattr(node, "attr", "")
        if LETTERED.fullmatch(name):
            found.add(name)
    return found


def test_dimension_letters_are_in_the_legend() -> None:
    """Every letter that names an axis is in docs/shapes.md, and every letter there is used."""
    legend = {
        letter
        for row in LEGEND.findall((ROOT / "docs" / "shapes.md").read_text())
        for letter in row.split(", ")
    }
    used: dict[str, str] = {}
    for path in FILES:
        for name in lettered_names(tree_of(path)):
            letters = re.sub(r"\d", "", LETTERED.fullmatch(name)[1])  # type: ignore[index]
            used |= dict.fromkeys(letters, f"{name} in {path.relative_to(SOURCE)}")
    assert {letter: where for letter, where in used.items() if letter not in legend} == {}
    assert legend <= set(used)


def test_search_crosses_few_rooms(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The calling thread of `openbind search DIR` enters at most eight rooms, foundations aside."""
    samples = shipped("held_out") / "single_things"
    for folder, name in (("first", "044-rain.png"), ("second", "043-dog.png")):
        (tmp_path / folder).mkdir()
        shutil.copy(samples / name, tmp_path / folder)
    command = ["search", "--text", "a dog", "--json"]
    assert main([*command, str(tmp_path / "first")]) == 0  # imports what is imported lazily
    entered: list[str] = []
    rooms = {str(path): room_of(path) for path in FILES}

    def note_room(frame: FrameType, event: str, _: object) -> None:
        room = rooms.get(frame.f_code.co_filename) if event == "call" else None
        if room is not None and room not in entered:
            entered.append(room)

    previous = sys.getprofile()
    sys.setprofile(note_room)
    try:
        assert main([*command, str(tmp_path / "second")]) == 0
    finally:
        sys.setprofile(previous)
    assert "043-dog.png" in capsys.readouterr().out
    assert entered[0] == "cli"
    assert len([room for room in entered if room not in FOUNDATIONS]) <= WALK_ROOMS, entered


def prose() -> Iterator[tuple[str, str]]:
    """Yield the pages, and each docstring, message and other string of the source."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").glob("*.md")]
    yield from ((page.name, page.read_text()) for page in pages)
    for path in FILES:
        for node in ast.walk(tree_of(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path.relative_to(SOURCE)}:{node.lineno}", node.value


def test_prose_is_the_fields() -> None:
    """No page, docstring or message uses words that the field doesn't."""
    found = {where: hit[0] for where, text in prose() for hit in [DIALECT.search(text)] if hit}
    assert found == {}


def test_every_module_has_a_test() -> None:
    """tests/ mirrors src/openbind."""
    tests = Path(__file__).parent
    for path in FILES:
        where = path.relative_to(SOURCE)
        if path.stem in ("__init__", "__main__"):
            continue
        expected = tests / where.parent / f"test_{where.name}"
        assert expected.exists(), f"no {expected.relative_to(tests)} for {where}"
