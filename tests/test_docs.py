"""README and docs are tested: code blocks run as written, links resolve."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from openbind.cli.main import main
from openbind.evaluation.held_out import held_out_folder
from openbind.evaluation.samples import SampleItem
from tests.tiny_anchors import write_clip, write_tipsv2
from tests.warm import Warm

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
EAGER = {"RAY_worker_niceness": "0"}
"""Ray's workers give way to others' work otherwise: to the other tests."""
SILENT = {
    "ANONYMIZED_TELEMETRY": "False",
    "HAYSTACK_TELEMETRY_ENABLED": "False",
    "LANGSMITH_TRACING": "false",
}
"""Libraries of pages report their use otherwise."""
OURS = re.compile(r"^openbind .*$", re.MULTILINE)
"""Command lines of a block."""


def blocks(language: str, page: str = "README.md") -> list[str]:
    return [code for kind, code in BLOCK.findall((ROOT / page).read_text()) if kind == language]


def commands(page: str) -> list[str]:
    return [line for block in blocks("bash", page) for line in OURS.findall(block)]


@pytest.fixture
def home(samples: Path, sample_items: list[SampleItem], tmp_path: Path, kept_vectors: None) -> Path:
    """A home folder with the files that the README mentions."""
    import soundfile

    from openbind.media.image import read_image

    def first(modality: str, concept: str) -> Path:
        found = next(i for i in sample_items if (i.modality, i.concept) == (modality, concept))
        return samples / found.path

    for folder in ("Images", "Sounds"):
        (tmp_path / folder).mkdir()
    for name, concept in (("dog", "dog"), ("fruit", "fruit"), ("rooster", "rooster")):
        read_image(first("image", concept)).save(tmp_path / f"{name}.jpg")
        shutil.copy(tmp_path / f"{name}.jpg", tmp_path / "Images")
    for name, concept in (("bark", "dog"), ("birds", "bird"), ("rain", "rain")):
        values, rate = soundfile.read(first("audio", concept))
        soundfile.write(tmp_path / f"{name}.wav", values, rate)
        shutil.copy(tmp_path / f"{name}.wav", tmp_path / "Sounds")
    unseen = held_out_folder()
    shutil.copy(unseen / "rooms" / "kitchen-1.png", tmp_path / "room.png")
    shutil.copy(unseen / "basicmotions" / "20-walking.csv", tmp_path / "walk.csv")
    Image.linear_gradient("L").save(tmp_path / "street.png")
    (recipe,) = blocks("yaml")
    assert "steps: 100" in recipe
    (tmp_path / "recipe.yaml").write_text(recipe.replace("steps: 100", "steps: 20"))
    images = {i.concept: samples / i.path for i in sample_items if i.modality == "image"}
    sounds = [(i.concept, samples / i.path) for i in sample_items if i.modality == "audio"]
    rows = [f"{images[concept]},{sound}" for concept, sound in sounds if concept in images]
    (tmp_path / "pairs.csv").write_text("\n".join(["image,audio", *rows]) + "\n")
    return tmp_path


def environment(home: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "HOME": str(home), "PATH": path, **EAGER, **SILENT}


def run(command: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=home, env=environment(home), capture_output=True, text=True, check=False
    )


def run_python(code: str, home: Path, warm: Warm, strict: bool = True) -> str:
    """Run a page's Python at home; return what it prints."""
    done = warm.run(code, folder=home, environment=environment(home), strict=strict)
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def served(line: str, home: Path) -> Iterator[None]:
    """Run a command that serves, as written, until it is up and its folders are indexed."""
    program = subprocess.Popen(
        ["bash", "-ec", f"exec {line}"],
        cwd=home,
        env=environment(home),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert program.stderr is not None
    try:
        awaited = {"serving", "up to date"}
        while awaited:
            output = program.stderr.readline()
            assert output, line
            awaited = {words for words in awaited if words not in output}
        yield
    finally:
        program.terminate()
        program.wait()
        program.stderr.close()


Typed = Callable[[str], str]


@pytest.fixture
def typed(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    few_drawings: None,
    few_held_out: Path,
) -> Typed:
    """Run a command line as if typed at home, in this process; gives what it prints."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("HOME", str(home))

    def call(line: str) -> str:
        _, *words = shlex.split(line, comments=True)
        code = main([os.path.expanduser(word) for word in words])
        printed = capsys.readouterr()
        assert code == 0, f"{line}\n{printed.err}"
        return printed.out

    return call


def assert_same_output(found: str, expected: str) -> None:
    """Compare what a block prints with its `# →` lines; numbers to 0.02."""
    number = re.compile(r"-?\d+(?:\.\d*)?")
    assert number.sub("0", "".join(found.split())) == number.sub("0", "".join(expected.split()))
    values = [[float(value) for value in number.findall(text)] for text in (found, expected)]
    assert values[0] == pytest.approx(values[1], abs=0.02)


def test_python_blocks_run(home: Path) -> None:
    """All Python of the README runs, in order, in one program, and prints the lines after `# →`."""
    code = "\n".join(blocks("python"))
    assert "openbind.load" in code
    done = run([sys.executable, "-W", "error", "-c", code], home)
    assert done.returncode == 0, done.stderr
    expected = re.findall(r"^# → (.*)$", code, re.MULTILINE)
    assert expected
    printed = done.stdout.splitlines()[: len(expected)]
    assert_same_output("\n".join(printed), "\n".join(expected))


SHELL = [found for block in blocks("bash") if (found := OURS.findall(block))]


@pytest.mark.slow
@pytest.mark.parametrize("ours", SHELL, ids=lambda ours: ours[0].split()[1])
def test_shell_blocks_run(ours: list[str], home: Path, typed: Typed) -> None:
    """All commands of a block of the README but the installation run as written, in order."""
    for line in ours:
        if line.startswith("openbind serve"):
            with served(line, home):
                continue
        assert typed(line) or "-o" in line


def test_shell_blocks_are_found() -> None:
    """All that the README shows at a prompt are among them."""
    assert sum(map(len, SHELL)) >= 12


@pytest.mark.slow
def test_page_of_the_index(home: Path, typed: Typed, warm: Warm) -> None:
    """Its commands run in order, then its Python."""
    for line in commands("docs/index.md"):
        assert typed(line)
    run_python("\n".join(blocks("python", "docs/index.md")), home, warm)


@pytest.mark.slow
def test_page_of_localisation(home: Path, typed: Typed, warm: Warm) -> None:
    """Its commands run as written, then its Python."""
    for line in commands("docs/localisation.md"):
        if not line.startswith("openbind evaluate"):
            assert typed(line)
    assert (home / "where.png").stat().st_size > 1000
    run_python("\n".join(blocks("python", "docs/localisation.md")), home, warm)


@pytest.mark.slow
def test_page_of_anchors(home: Path, typed: Typed, warm: Warm) -> None:
    """Its Python runs on a tiny model, its command too, and its recipe is valid."""
    pytest.importorskip("sentence_transformers", reason="the extra st isn't installed")
    from openbind.training.recipe_file import read_recipe

    write_clip(home / "my-model")
    write_tipsv2(home / "tiny-tips")
    run_python("\n".join(blocks("python", "docs/anchors.md")), home, warm, strict=False)
    (line,) = commands("docs/anchors.md")
    assert "siglip2-base" in typed(line)
    (recipe,) = blocks("yaml", "docs/anchors.md")
    (home / "anchored.yaml").write_text(recipe)
    assert read_recipe(home / "anchored.yaml").anchor.truncate_dim == 16


@pytest.mark.slow
def test_page_of_export(home: Path, typed: Typed, warm: Warm) -> None:
    """Its command writes a folder, which its Python opens."""
    pytest.importorskip("onnxscript", reason="the extra onnx isn't installed")
    pytest.importorskip("onnxruntime", reason="the extra onnx isn't installed")
    (line,) = commands("docs/export.md")
    code = "\n".join(blocks("python", "docs/export.md"))
    (expected,) = re.findall(r"^# → (.*)$", code, re.MULTILINE)
    assert "text.onnx" in typed(line)
    assert_same_output(run_python(code, home, warm), expected)


@pytest.mark.slow
def test_page_of_the_cluster(
    home: Path, typed: Typed, warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its command writes on one machine what one process does, for its Python to read."""
    pytest.importorskip("ray", reason="the extra ray isn't installed")
    pq = pytest.importorskip("pyarrow.parquet")
    for name, value in EAGER.items():
        monkeypatch.setenv(name, value)
    (line,) = commands("docs/batch.md")
    typed(line)
    typed("openbind embed ~/Images ~/Sounds -o one.parquet")
    tables = [
        pq.read_table(home / f"{name}.parquet").sort_by("path") for name in ("one", "vectors")
    ]
    for name in ("path", "modality"):
        assert tables[0].column(name).to_pylist() == tables[1].column(name).to_pylist()
    vectors = [np.array(table.column("vector").to_pylist()) for table in tables]
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    code = "\n".join(blocks("python", "docs/batch.md"))
    assert run_python(code, home, warm) == "6 points\n"


@pytest.mark.slow
def test_pages_of_the_service_and_its_client(home: Path, warm: Warm) -> None:
    """The service's command runs, and the client's Python against it."""
    (line,) = commands("docs/service.md")
    code = "\n".join(blocks("python", "docs/client.md"))
    with served(line, home):
        run_python(code, home, warm)


def sections(page: str) -> dict[str, str]:
    """Return the Python of each section of a page, by its heading."""
    parts = re.split(r"^## (.+)$", (ROOT / page).read_text(), flags=re.MULTILINE)[1:]
    found = zip(parts[::2], parts[1::2], strict=True)
    code = {
        title: [c for kind, c in BLOCK.findall(text) if kind == "python"] for title, text in found
    }
    return {title: "\n".join(blocks) for title, blocks in code.items() if blocks}


INTEGRATIONS = sections("docs/integrations.md")
WHY = {"fiftyone": "wants starlette < 1.4, the service a newer one; its MongoDB needs OpenSSL 1.1"}
"""Packages that can't be in the environment of tests."""


@pytest.mark.slow
@pytest.mark.parametrize("title", INTEGRATIONS)
def test_page_of_integrations(home: Path, title: str, warm: Warm) -> None:
    """The Python of each section runs where its packages are installed."""
    code = INTEGRATIONS[title]
    for package in re.findall(r"^(?:import|from) (\w+)", code, re.MULTILINE):
        if package != "imagebind" and find_spec(package) is None:  # openbind stands in for that
            pytest.skip(f"{package} isn't installed: {WHY.get(package, 'the extra dev has it')}")
    assert run_python(code, home, warm, strict=False)


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_resolve(page: Path) -> None:
    """Every relative link of a page is a file of the project."""
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_make_targets_exist() -> None:
    """Every `make x` that a page names is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text()
    for page in PAGES:
        for target in re.findall(r"`make (\w+)`|^make (\w+)", page.read_text(), re.MULTILINE):
            assert re.search(rf"^{target[0] or target[1]}:", makefile, re.MULTILINE)


def test_changelog_has_the_version() -> None:
    """The changelog's newest entry is this version, or not released yet."""
    from openbind import __version__

    newest = re.search(r"^## (.+)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == "Unreleased" or newest[1].startswith(__version__)
