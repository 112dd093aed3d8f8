"""`openbind serve`: embeddings, search in an index, and a page, over HTTP."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from openbind.cli.verb import DEFAULT_SPACE, Verb, space_source
from openbind.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from openbind.search.index import Index
    from openbind.space.space import Space

KEY_VARIABLE = "OPENBIND_API_KEY"
BACKLOG = 2048
"""Connections that may wait to be accepted."""
GRACE_SECONDS = 30
"""Time that requests under way have once the service is told to end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "folders",
        nargs="*",
        metavar="FOLDER",
        help="index these first, or bring the index that the first of them holds up to date",
    )
    parser.add_argument(
        "--index", type=Path, metavar="DIRECTORY", help="an index, or the folder that holds one"
    )
    parser.add_argument(
        "--space", help="name or directory (default: the index's; without an index: starter)"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one (default: 8000)")
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        help=f"that clients have to know (default: ${KEY_VARIABLE}, which other users of this "
        "machine can't see); needed with any --host but this machine itself",
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until told to end."""
    try:
        import uvicorn

        from openbind.serving.app import create_app
        from openbind.serving.memory import limit_arenas
        from openbind.serving.middleware import is_loopback
        from openbind.serving.service import Service
    except ModuleNotFoundError as error:
        raise MissingExtraError("the service", error.name or "fastapi", "serve") from error
    api_key = arguments.api_key or os.environ.get(KEY_VARIABLE) or None
    if api_key is None and not is_loopback(arguments.host):
        raise InputError(
            f"--host {arguments.host}",
            f"other machines could use the service; say a key with {KEY_VARIABLE} or --api-key",
        )
    limit_arenas()
    with _listen(arguments.host, arguments.port) as listening:
        space, index = _open(arguments)
        config = uvicorn.Config(
            create_app(Service(space, index), api_key),
            log_level="warning",
            server_header=False,
            timeout_graceful_shutdown=GRACE_SECONDS,
        )
        host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        what = f"{index.rows} rows of {index.folder}" if index else f"the space {space.name}"
        print(f"serving {what} at http://{host}:{listening.getsockname()[1]}/", file=sys.stderr)
        uvicorn.Server(config).run(sockets=[listening])
    return 0


def _open(arguments: argparse.Namespace) -> tuple[Space, Index | None]:
    """Open the space and the index asked for; folders are indexed, or their index updated.

    Raises:
        InputError: both folders and an index are given; or the index is of another space.
    """
    from openbind.catalog import load
    from openbind.search.index import Index, default_folder
    from openbind.search.meta import has_meta

    folders = arguments.folders
    if folders and arguments.index:
        raise InputError(f"--index {arguments.index}", "give folders or an index, not both")
    index = Index.open(arguments.index) if arguments.index else None
    if folders and has_meta(default_folder(folders)):
        index = Index.open(folders[0])
    if index and not arguments.space:
        space = index.load_space()
    else:
        space = load(arguments.space or DEFAULT_SPACE)
    if folders and index is None:
        source = space_source(arguments.space or DEFAULT_SPACE)
        index = Index.create(default_folder(folders), space, folders, source=source)
    if folders and index:
        _bring_up(index, space, folders)
    return space, index


def _bring_up(index: Index, space: Space, folders: Sequence[str]) -> None:
    """Bring an index up to date with some folders; files that can't be used are named."""
    known = index.info().roots
    index.add([folder for folder in folders if Path(folder).expanduser().absolute() not in known])
    for failure in index.update(space, progress=True).failures:
        print(f"skipped {failure.path}: {failure.reason}", file=sys.stderr)


def _listen(host: str, port: int) -> socket.socket:
    """Take the address before the model is loaded, so that a taken one is told at once.

    Raises:
        InputError: it can't be had.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port {port}", "expected a number from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise InputError(f"{host}:{port}", f"can't be listened on ({error})") from error
    # Connections inherit it. asyncio sets it only where a socket's protocol was named, and without
    # it every answer would wait some 40 ms for the client's system to acknowledge its head.
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


VERB = Verb(
    "Serve embeddings, search in an index, and a page over HTTP, until interrupted.",
    add_arguments,
    run,
)
