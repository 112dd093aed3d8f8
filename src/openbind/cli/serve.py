"""`openbind serve`: embeddings, search, classification and a web page over HTTP."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from openbind.cli.generate import add_decoder_arguments, check_decoder, with_decoder
from openbind.cli.verb import (
    DEFAULT_SPACE,
    Verb,
    add_compute_arguments,
    check_device,
    compute_options,
    limit_items,
    load_space,
    report_failures,
    space_source,
)
from openbind.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from openbind.search.index import Index
    from openbind.search.update import Changes
    from openbind.serving.updating import Updater
    from openbind.space.space import Space

KEY_VARIABLE = "OPENBIND_API_KEY"
BACKLOG = 2048
"""Connections that may wait to be accepted."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
    parser.add_argument(
        "folders",
        nargs="*",
        metavar="FOLDER",
        help="index these, or update the index in the first of them, while the page is up; later "
        "changes are indexed as well",
    )
    parser.add_argument(
        "--index",
        metavar="DIRECTORY",
        help="an index, the folder that contains one, or s3://bucket/prefix",
    )
    parser.add_argument(
        "--space",
        help=f"name or directory (default: the index's; without an index: {DEFAULT_SPACE})",
    )
    parser.add_argument("--host", default="127.0.0.1", help="address (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=8000, help="0 picks a free one (default: 8000)")
    parser.add_argument(
        "--api-key",
        metavar="KEY",
        help=f"required from clients (default: ${KEY_VARIABLE}, which other users of this machine "
        "can't see); needed with any --host other than this machine",
    )
    add_decoder_arguments(parser)
    add_compute_arguments(parser)


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    try:
        from openbind.serving.access import is_loopback
        from openbind.serving.app import create_app
        from openbind.serving.memory import limit_arenas
        from openbind.serving.server import Server, raise_descriptors
        from openbind.serving.service import Service
    except ModuleNotFoundError as error:
        raise MissingExtraError("the service", error.name or "fastapi", "serve") from error
    check_decoder(arguments)
    api_key = arguments.api_key or os.environ.get(KEY_VARIABLE) or None
    if api_key is None and not is_loopback(arguments.host):
        raise InputError(
            f"--host {arguments.host}",
            f"other machines could use the service; set a key with {KEY_VARIABLE} or --api-key",
        )
    limit_arenas()
    raise_descriptors()
    with _listen(arguments.host, arguments.port) as listener:
        space, index = _open(arguments)
        updater = _updater(arguments, space, index) if arguments.folders and index else None
        service = Service(
            with_decoder(space, arguments),
            index,
            updater=updater,
            batch_size=arguments.batch_size,
            workers=arguments.workers,
        )
        host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
        what = f"{index.rows} rows of {index.place}" if index else f"the space {space.name}"
        print(f"serving {what} at http://{host}:{listener.getsockname()[1]}/", file=sys.stderr)
        Server(create_app(service, api_key), service).run(sockets=[listener])
    return 0


def _open(arguments: argparse.Namespace) -> tuple[Space, Index | None]:
    """Open the space and the index; create the index of folders.

    Raises:
        InputError: both folders and an index are given; or the index is of another space.
    """
    from openbind.search.index import Index, default_folder
    from openbind.search.meta import has_meta

    folders = arguments.folders
    if folders and arguments.index:
        raise InputError(f"--index {arguments.index}", "give folders or an index, not both")
    index = Index.open(arguments.index) if arguments.index else None
    if folders and has_meta(default_folder(folders)):
        index = Index.open(folders[0])
    if index and not arguments.space and arguments.dtype == "auto":
        check_device(arguments.device)
        space = limit_items(index.load_space(device=arguments.device), arguments)
    else:
        space = load_space(arguments, arguments.space or (index.meta.space if index else None))
    if folders and index is None:
        source = space_source(arguments.space or DEFAULT_SPACE)
        index = Index.create(default_folder(folders), space, folders, source=source)
    if folders and index:
        known = index.info().roots
        index.add([each for each in folders if Path(each).expanduser().absolute() not in known])
    return space, index


def _updater(arguments: argparse.Namespace, space: Space, index: Index) -> Updater:
    """Return what embeds the folders' files while the page is up, and reports those that fail."""
    from openbind.serving.updating import Updater

    def report(changes: Changes) -> None:
        report_failures(changes.failures, changes.summary)
        print(f"{index.rows} rows of {index.place} are up to date", file=sys.stderr)

    return Updater(index, space, compute_options(arguments), report)


def _listen(host: str, port: int) -> socket.socket:
    """Bind the address before the model is loaded, so that a port in use is reported at once.

    Raises:
        InputError: it can't be bound.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port {port}", "expected a number from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise InputError(f"{host}:{port}", f"can't listen there ({error})") from error
    # Connections inherit it. asyncio sets it only where a socket's protocol was named; without it
    # every response waits some 40 ms for the client's system to acknowledge its headers.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


VERB = Verb(
    "Serve embeddings, search in an index, and a web page over HTTP, until interrupted.",
    add_arguments,
    run,
)
