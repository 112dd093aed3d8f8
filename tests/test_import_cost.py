"""`import openbind` and `openbind --help` are cheap; a missing extra names its installation."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "numpy", "PIL", "av", "pyarrow", "soundfile", "tokenizers", "jinja2")


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_import_is_light() -> None:
    """Importing the package imports no heavy library."""
    code = f"import openbind, sys; print([m for m in {HEAVY} if m in sys.modules])"
    assert run(code).stdout.strip() == "[]"


def test_help_is_light() -> None:
    """Showing help imports no heavy library, and is fast."""
    code = (
        "import sys\nfrom openbind.cli.main import main\n"
        "try: main(['--help'])\n"
        f"except SystemExit: print([m for m in {HEAVY} if m in sys.modules], file=sys.stderr)"
    )
    start = time.perf_counter()
    done = run(code)
    assert done.stderr.strip() == "[]"
    assert "search" in done.stdout
    assert time.perf_counter() - start < 10.0


def test_public_names_resolve() -> None:
    """Every name in `__all__` resolves, and `__all__` is sorted."""
    import openbind

    assert list(openbind.__all__) == sorted(openbind.__all__)
    for name in openbind.__all__:
        assert getattr(openbind, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        openbind.nonsense  # noqa: B018


def test_rooms_are_reached_by_name() -> None:
    """`openbind.checkpoints.load_imagebind` needs only `import openbind`."""
    code = "import openbind; print(openbind.checkpoints.load_imagebind.__name__)"
    assert run(code).stdout.strip() == "load_imagebind"


@pytest.mark.parametrize(
    ("package", "extra", "code"),
    [
        (
            "pyarrow",
            "parquet",
            "from openbind.search.export import write_parquet\nwrite_parquet([], 'never.parquet')",
        ),
        (
            "diffusers",
            "generate",
            "from openbind.generation.diffusion import load_diffusion\n"
            "load_diffusion(None, None, None, None)",
        ),
    ],
)
def test_missing_extra_names_its_install(package: str, extra: str, code: str) -> None:
    """Without an optional package the error names the pip command that installs it."""
    blocked = f"import sys; sys.modules[{package!r}] = None\n{code}"
    assert f"pip install 'openbind[{extra}]'" in run(blocked).stderr
