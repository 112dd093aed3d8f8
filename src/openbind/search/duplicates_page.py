"""Groups of duplicates as one HTML page that holds its thumbnails and fetches nothing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import jinja2

from openbind.atomic import atomic_path
from openbind.errors import OpenbindError, printable
from openbind.evaluation.report.drawings import draw_item
from openbind.search.duplicates import Group, Member

SIDE = 200
"""Longest side of a thumbnail in pixels."""
MOST_FILES = 2_000
"""Files that are shown; a thumbnail is 5 to 10 kB."""


def write_duplicates(groups: Sequence[Group], target: str | os.PathLike[str]) -> int:
    """Write the page, whole or not at all.

    Args:
        groups: as from `find_duplicates`; files that can't be drawn have no thumbnail.
        target: the HTML file.

    Returns:
        number of groups that are shown: as many as have `MOST_FILES` files together.

    Raises:
        OSError: the page can't be written.
    """
    shown: list[Group] = []
    files = 0
    for group in groups:
        files += len(group.members)
        if shown and files > MOST_FILES:
            break
        shown.append(group)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("duplicates.html.j2").render(
        groups=shown,
        total=len(groups),
        copies=sum(group.copies for group in groups),
        near=sum(group.near for group in groups),
        draw=_draw,
        name=lambda path: printable(str(path)),
        size=format_size,
    )
    with atomic_path(target) as temporary:
        temporary.write_text(html, encoding="utf-8", errors="backslashreplace")
    return len(shown)


def format_size(count: int) -> str:
    """Return a number of bytes for people: "12 kB", "3.4 MB"."""
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{max(count / 1e3, 0.1):,.3g} kB"


def _draw(member: Member, modality: str) -> str | None:
    try:
        return draw_item(member.path, modality, SIDE)
    except (OpenbindError, OSError):
        return None  # the page is about names; a file may have gone meanwhile
