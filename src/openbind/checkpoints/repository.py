"""Small files of a model repository: JSON, the stated license, the id it was fetched by."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from openbind.errors import CheckpointError, first_line
from openbind.names import inside

MAX_BYTES = 16 << 20
"""Of a file of JSON: a table of shards has some 100 bytes a tensor."""


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file.

    Raises:
        CheckpointError: no such file, too large, too deep, or not a JSON object.
    """
    if not path.is_file():
        raise CheckpointError(path, "no such file")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CheckpointError(path, f"expected JSON of at most {MAX_BYTES:,} bytes")
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        if isinstance(error, CheckpointError):
            raise
        raise CheckpointError(path, f"not readable as JSON: {first_line(error)}") from error
    if not isinstance(values, dict):
        raise CheckpointError(path, f"expected a JSON object, found a {type(values).__name__}")
    return values


def read_inside(folder: Path, name: str) -> Path:
    """Return the path of a file of a checkpoint by a name that one of its files has.

    Raises:
        CheckpointError: the name isn't a plain one, or a link out of the folder.
    """
    try:
        return inside(folder, name)
    except ValueError as error:
        raise CheckpointError(folder, str(error)) from error


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


def fetch(repo_id: str, patterns: list[str], revision: str | None) -> Path:
    """Fetch some files of a repository; cached ones are kept.

    Args:
        repo_id: "organization/name".
        patterns: of the files.
        revision: branch, tag or commit; None is the default branch.

    Returns:
        the directory in Hugging Face's cache, named by the commit.

    Raises:
        CheckpointError: no such repository or revision, it is gated, or no connection and not
            cached.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(repo_id, allow_patterns=patterns, revision=revision))
    except Exception as error:  # depends on the client's HTTP library
        found = re.sub(r" \(Request ID: [^)]*\)", "", first_line(error))
        reason = f"can't be fetched from the Hugging Face Hub: {found}{_advise(error)}"
        raise CheckpointError(repo_id, reason) from error


def _advise(error: Exception) -> str:
    """Return what to do about an error of Hugging Face's client."""
    status = getattr(getattr(error, "response", None), "status_code", None)
    refused = "; `hf auth login` with a token that may read it" if status in (401, 403) else ""
    return _ADVICE.get(type(error).__name__, refused)


_ADVICE = {
    "GatedRepoError": "; accept its terms on its page, then `hf auth login`",
    "RepositoryNotFoundError": "; check the name, and for a private one `hf auth login`",
    "RevisionNotFoundError": "; it has no such branch, tag or commit",
    "LocalEntryNotFoundError": "; it isn't cached: connect once to fetch it",
    "OfflineModeIsEnabled": "; it isn't cached: connect once to fetch it",
}
"""Name of an error of Hugging Face's client → what to do."""


def repository_id(folder: Path) -> str:
    """Return "organization/name" of a folder in the hub's cache; "" for any other folder."""
    found = re.fullmatch(r"models--([^/]+?)--([^/]+)", folder.resolve().parent.parent.name)
    return f"{found[1]}/{found[2]}" if found else ""
