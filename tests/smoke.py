"""Smoke test of an installed package: no pytest, nothing of the source tree.

Run by the interpreter of the environment where openbind is installed, from any folder:

    python smoke.py

It embeds one item per modality with the model that ships, compares two of them on the command
line, and starts the service, sends it one request and ends it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np

import openbind
from openbind.catalog import shipped

HELD_OUT = shipped("held_out")
ITEMS = {
    "image": HELD_OUT / "single_things" / "043-dog.png",
    "video": HELD_OUT / "rooms" / "kitchen.mp4",
    "text": "a dog",
    "audio": HELD_OUT / "single_things" / "079-dog.ogg",
    "depth": HELD_OUT / "rooms" / "kitchen-1.png",
    "thermal": HELD_OUT / "rooms" / "kitchen-1-heat.jpg",
    "imu": HELD_OUT / "basicmotions" / "20-walking.csv",
}
COMMAND = [sys.executable, "-m", "openbind"]


def check_place() -> None:
    """The package is the one of this environment, typed, with its command."""
    prefix, package = Path(sys.prefix).resolve(), Path(str(openbind.__file__)).resolve()
    assert prefix in package.parents, f"{package} is outside {prefix}"
    assert (package.parent / "py.typed").is_file()
    assert (Path(sys.executable).parent / "openbind").is_file()


def check_encode() -> None:
    """One item per modality gives a unit vector."""
    space = openbind.load("starter", device="cpu")
    assert set(ITEMS) == set(space.modalities)
    for modality, item in ITEMS.items():
        vector_E = space.encode(modality, item)
        assert vector_E.shape == (space.dim,)
        assert abs(float(np.linalg.norm(vector_E)) - 1) < 1e-4, modality


def check_compare() -> None:
    """The command prints a matrix with ones on its diagonal."""
    options = ["compare", "--text", "a dog", "--image", str(ITEMS["image"]), "--json"]
    done = subprocess.run([*COMMAND, *options], stdout=subprocess.PIPE, check=True)
    assert np.allclose(np.diag(json.loads(done.stdout)["cosine"]), 1, atol=1e-3)


def check_serve() -> None:
    """The service starts, embeds a text over HTTP, and ends on SIGTERM."""
    program = subprocess.Popen(
        [*COMMAND, "serve", "--port", "0"], stderr=subprocess.PIPE, text=True
    )
    assert program.stderr is not None
    try:
        output = ""
        while not (found := re.search(r"http://[\w.:]+/", output)):
            line = program.stderr.readline()
            assert line, f"the service ended: {output}"
            output += line
        body = json.dumps({"input": "a dog"}).encode()
        request = Request(f"{found[0]}v1/embeddings", body, {"Content-Type": "application/json"})
        with urlopen(request, timeout=120) as response:
            (row,) = json.load(response)["data"]
        assert abs(float(np.linalg.norm(row["embedding"])) - 1) < 1e-4
        program.send_signal(signal.SIGTERM)
        assert program.wait(60) in (0, -signal.SIGTERM)
    finally:
        program.kill()
        program.wait()
        program.stderr.close()


def main() -> None:
    """Run all checks; an assertion that fails ends the program with its message."""
    os.environ.pop("PYTHONPATH", None)
    for check in (check_place, check_encode, check_compare, check_serve):
        check()
        print(f"{check.__name__}: ok", flush=True)


if __name__ == "__main__":
    main()
