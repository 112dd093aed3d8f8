"""Replicas of the service behind one address, with Ray Serve (`pip install 'ray[serve]'`).

    OPENBIND_API_KEY=... python examples/ray_serve.py --replicas 2 --port 8000

Each replica is a process with the whole service, the same routes and limits as `openbind serve`.
All load the same space and may read one index, from a folder that they share or from an object
store (`OPENBIND_INDEX=s3://bucket/media`); one writer updates it, and they see its rows. What a
replica remembers is its own: ids of results are the same in all only if they share the index's
folder, and a client's session stays valid because its key is the same.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from fastapi import FastAPI
from ray import serve

SPACE, INDEX, KEY = "OPENBIND_SPACE", "OPENBIND_INDEX", "OPENBIND_API_KEY"


def make_app() -> FastAPI:
    """Load a replica's space and index, which the environment names, and return its routes."""
    import openbind
    from openbind.serving.app import create_app
    from openbind.serving.service import Service

    key = os.environ[KEY]  # clients come from outside, through Ray's proxy
    index = openbind.Index.open(os.environ[INDEX]) if os.environ.get(INDEX) else None
    space = index.load_space() if index else openbind.load(os.environ.get(SPACE, "starter"))
    service = Service(space, index)
    service.batcher.warm()
    return create_app(service, key)


def deploy(replicas: int, cpus: float = 1, gpus: float = 0) -> Any:
    """Return the deployment.

    Args:
        replicas: number of processes.
        cpus, gpus: that each takes; a part of a GPU is possible.
    """
    names = [name for name in (SPACE, INDEX, KEY) if name in os.environ]
    environment = {"env_vars": {name: os.environ[name] for name in names}}
    options = {"num_cpus": cpus, "num_gpus": gpus, "runtime_env": environment}
    replica = serve.deployment(
        serve.ingress(make_app)(),
        name="openbind",
        num_replicas=replicas,
        ray_actor_options=options,
        max_ongoing_requests=64,
    )
    return replica.bind()


def main() -> None:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--replicas", type=int, default=2)
    parser.add_argument("--cpus", type=float, default=1)
    parser.add_argument("--gpus", type=float, default=0)
    parser.add_argument("--port", type=int, default=8000)
    given = parser.parse_args()
    serve.start(http_options={"host": "127.0.0.1", "port": given.port})
    serve.run(deploy(given.replicas, given.cpus, given.gpus))
    print(f"serving at http://127.0.0.1:{given.port}/", flush=True)
    while True:
        time.sleep(3600)


if __name__ == "__main__":
    main()
