"""Run the benchmarks and write their tables into docs/performance.md.

    python benchmarks/report.py [--only NAME ...] [--long] [--limit SECONDS] [--check]

The document has blocks that begin with `<!-- python benchmarks/NAME.py OPTIONS -->` and end with
`<!-- end -->`; what the command prints, Markdown, replaces what is between them, one block after
the other. A command that fails or takes too long leaves its last line there, and the exit code is
1; the other blocks are not lost. Blocks marked `<!-- long: python ... -->` take longer than all
others together; they run with `--long`, or if `--only` names them.

`--check` runs nothing: it fails if a block names no script, or a script of this folder is neither
in the document nor in `ELSEWHERE`.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from openbind.atomic import atomic_path

HERE = Path(__file__).parent
DOCUMENT = HERE.parent / "docs" / "performance.md"
LIMIT_S, LONG_S = 420.0, 7200.0
"""Longest time of a block unless the caller chooses, and of one marked as long."""
ELSEWHERE = {
    "flops": "shared by the others",
    "tables": "shared by the others",
    "report": "writes the document",
    "anchors": "its table is in docs/anchors.md",
    "duplicates": "its figures are in docs/duplicates.md",
    "generate": "its figures are in docs/generation.md",
    "locate": "its figures are in docs/localisation.md",
    "mixed_search": "measures what is found, not speed; docs/outputs.md",
    "moments": "its figures are in docs/localisation.md",
    "screenshots": "draws the images of the README",
    "soak": "hours of load; docs/service.md says how to run it",
    "embed_many": "compares with another tree, which isn't here; else `encode` measures the same",
    "starters": "compares with the starter of another tree, which isn't here",
}
"""Scripts without a block → why."""
BLOCK = re.compile(
    r"<!-- (?P<long>long: )?python benchmarks/(?P<name>\w+)\.py(?P<options>[^\n]*?) -->\n"
    r"(?P<body>.*?)<!-- end -->",
    re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of the document.

    Args:
        name: of the script.
        options: of its command.
        long: whether it only runs on demand.
    """

    name: str
    options: str
    long: bool

    @property
    def command(self) -> str:
        """As the document shows it."""
        return f"python benchmarks/{self.name}.py{self.options}"


def find_blocks(text: str) -> list[Block]:
    """Return the blocks of a document, in order."""
    return [_block(found) for found in BLOCK.finditer(text)]


def _block(found: re.Match[str]) -> Block:
    return Block(found["name"], found["options"], found["long"] is not None)


def replace_block(text: str, block: Block, body: str) -> str:
    """Return the document with another content of a block."""

    def write(found: re.Match[str]) -> str:
        if _block(found) != block:
            return found[0]
        head = found[0].partition("\n")[0]
        return f"{head}\n{body.strip()}\n<!-- end -->"

    return BLOCK.sub(write, text)


def problems(text: str) -> Iterator[str]:
    """Yield what is wrong with the document's blocks, which keeps all from running."""
    blocks = find_blocks(text)
    opened = len(re.findall(r"<!-- (?:long: )?python benchmarks/", text))
    if opened != len(blocks) or len(set(blocks)) != len(blocks):
        yield "a block has no end, or is there twice"
    scripts, names = _scripts(), {block.name for block in blocks}
    for name in sorted(names - scripts):
        yield f"{name}: in the document, but there is no such script"


def missing(text: str) -> Iterator[str]:
    """Yield scripts that neither a block nor `ELSEWHERE` names, or both."""
    scripts, names = _scripts(), {block.name for block in find_blocks(text)}
    for name in sorted(scripts - names - ELSEWHERE.keys()):
        yield f"{name}: neither in the document nor in ELSEWHERE"
    for name in sorted(ELSEWHERE.keys() & names | ELSEWHERE.keys() - scripts):
        yield f"{name}: in ELSEWHERE without need"


def _scripts() -> set[str]:
    return {path.stem for path in HERE.glob("*.py")}


def run(block: Block, limit: float) -> tuple[str, bool]:
    """Run a block's command; return what to write, and whether it ended well."""
    command = [sys.executable, str(HERE / f"{block.name}.py"), *shlex.split(block.options)]
    started = time.monotonic()
    # Files, not pipes, which children that outlive it would keep open.
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        # In a session of its own: what it has started ends with it.
        process = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
        try:
            code = process.wait(limit)
            reason = f"exit code {code}" if code else ""
        except subprocess.TimeoutExpired:
            reason = f"stopped after {limit:.0f} s"
        finally:
            _kill(process)
            process.wait()
        out.seek(0)
        err.seek(0)
        printed, errors = out.read(), err.read()
    print(f"{block.command}: {reason or 'done'}, {time.monotonic() - started:.0f} s", flush=True)
    if not reason:
        return printed, True
    sys.stderr.write(errors[-2000:])
    last = (errors.strip().splitlines() or [""])[-1]
    return f"{printed.strip()}\n\n**This run failed** ({reason}): `{last[:200]}`", False


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def main() -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="scripts to run; all others stay")
    parser.add_argument("--long", action="store_true", help="run blocks marked as long, too")
    parser.add_argument("--limit", type=float, default=LIMIT_S, help="seconds of a block")
    parser.add_argument("--check", action="store_true", help="run nothing, check the document")
    parser.add_argument("--document", type=Path, default=DOCUMENT)
    options = parser.parse_args()
    text = options.document.read_text(encoding="utf-8")
    found, blocks = list(problems(text)), find_blocks(text)
    unknown = set(options.only or ()) - {block.name for block in blocks}
    found += [f"{name}: no block of the document" for name in sorted(unknown)]
    found += missing(text) if options.check else []
    if found or options.check:
        print("\n".join(found) or f"{len(blocks)} blocks, nothing missing")
        return int(bool(found))
    failed = 0
    for block in blocks:
        if block.name in options.only if options.only else options.long or not block.long:
            body, is_well = run(block, LONG_S if block.long else options.limit)
            failed += not is_well
            print(body.strip(), end="\n\n", flush=True)
            # Read again: a run takes long, and prose may have been edited meanwhile.
            text = options.document.read_text(encoding="utf-8")
            with atomic_path(options.document) as temporary:
                temporary.write_text(replace_block(text, block, body), encoding="utf-8")
    print(f"{failed} failed" if failed else "all done")
    return int(failed > 0)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # ends the block, too
    sys.exit(main())
