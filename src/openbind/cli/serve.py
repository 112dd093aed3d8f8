"""`openbind serve`: embeddings, search in an index, and a page, over HTTP."""

from __future__ import annotations

import argparse
import os
import socket
import sys
from pathlib import Path

from openbind.cli.verb import DEFAULT_SPACE, Verb
from openbind.errors import InputError, MissingExtraError

KEY_VARIABLE = "OPENBIND_API_KEY"
GRACE_SECONDS = 30
"""Time that requests under way have once the service is told to end."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the verb's options."""
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
        from openbind.serving.guards import is_loopback
        from openbind.serving.service import Service
    except ModuleNotFoundError as error:
        raise MissingExtraError("the service", error.name or "fastapi", "serve") from error
    api_key = arguments.api_key or os.environ.get(KEY_VARIABLE) or None
    if api_key is None and not is_loopback(arguments.host):
        raise InputError(
            f"--host {arguments.host}",
            f"other machines could use the service; say a key with {KEY_VARIABLE} or --api-key",
        )

    from openbind.catalog import load
    from openbind.search.index.index import Index

    index = Index.open(arguments.index) if arguments.index else None
    listening = _listen(arguments.host, arguments.port)
    if index and not arguments.space:
        space = index.load_space()
    else:
        space = load(arguments.space or DEFAULT_SPACE)
    service = Service(space, index)
    config = uvicorn.Config(
        create_app(service, api_key),
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    host = f"[{arguments.host}]" if ":" in arguments.host else arguments.host
    what = f"{len(index)} rows of {arguments.index}" if index else f"the space {space.name}"
    print(f"serving {what} at http://{host}:{listening.getsockname()[1]}/", file=sys.stderr)
    uvicorn.Server(config).run(sockets=[listening])
    return 0


def _listen(host: str, port: int) -> socket.socket:
    """Take the address before the model is loaded, so that a taken one is told at once.

    Raises:
        InputError: it can't be had.
    """
    if not 0 <= port <= 65535:
        raise InputError(f"--port {port}", "expected a number from 0 to 65535")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise InputError(f"{host}:{port}", f"can't be listened on ({error})") from error


VERB = Verb(
    "Serve embeddings, search in an index, and a page over HTTP, until interrupted.",
    add_arguments,
    run,
)
