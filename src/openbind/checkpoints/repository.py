"""Small files of a model repository: JSON, the stated license, the id it was fetched by."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from openbind.errors import CheckpointError


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        CheckpointError: no such file, or not a JSON object.
    """
    if not path.is_file():
        raise CheckpointError(path, "no such file")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(path, f"not readable as JSON: {error}") from error
    if not isinstance(values, dict):
        raise CheckpointError(path, f"expected a JSON object, found a {type(values).__name__}")
    return values


def read_license(folder: Path | None) -> str:
    """Return the license in the front matter of a folder's README.md; "" if there is none."""
    from huggingface_hub import ModelCard

    readme = folder / "README.md" if folder else None
    if readme is None or not readme.is_file():
        return ""
    text = readme.read_text(encoding="utf-8", errors="replace")
    try:
        data = vars(ModelCard(text, ignore_metadata_errors=True).data)
    except Exception:  # front matter that is no YAML, or not a mapping
        return ""
    stated = data.get("license")
    name = data.get("license_name") if stated == "other" else None
    return str(name or stated or "")


def repository_id(folder: Path) -> str:
    """Return "organization/name" of a folder in the hub's cache; "" for any other folder."""
    found = re.fullmatch(r"models--([^/]+?)--([^/]+)", folder.resolve().parent.parent.name)
    return f"{found[1]}/{found[2]}" if found else ""
