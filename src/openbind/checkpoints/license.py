"""The license that a model repository states."""

from __future__ import annotations

import re
from pathlib import Path


def read_license(folder: Path | None) -> str:
    """Read `license:` in the front matter of a folder's README.md; "" if it says none."""
    readme = folder / "README.md" if folder else None
    if readme is None or not readme.is_file():
        return ""
    text = readme.read_text(encoding="utf-8", errors="replace")
    front = re.match(r"---\s*\n(.*?)\n---", text, re.DOTALL)
    stated = re.search(r"^license:\s*[\"']?([\w.-]+)", front[1], re.MULTILINE) if front else None
    return stated[1] if stated else ""
