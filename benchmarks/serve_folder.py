"""`openbind serve` on a folder of mixed files: how soon its page answers, how fast it indexes.

    python benchmarks/serve_folder.py [--files 1000] [--json]

Makes photographs, recordings and videos of what ships (crops, shifts and other levels, so that no
two are equal), serves their folder in a process of its own, and measures

- until the page, what it loads and a first search have been answered, in seconds from the command;
- the time from the first file indexed to the last, beside that of `space.encode` over the
  same files in another process; also in CPU seconds, which say more where others use the machine.

Fails if the page takes longer than 10 s, or indexing is below .9 of `encode`'s speed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import httpx2 as httpx
import numpy as np
import soundfile
from PIL import Image
from tables import print_heads, print_row

from openbind.evaluation.samples import read_samples, samples_folder

PAGE_SECONDS, SPEED = 10.0, 0.9
SHARES = {"image": 0.70, "audio": 0.24, "video": 0.06}
SIZE = (1600, 1200)
"""Of images, in pixels."""
SOUND_FORMATS = ("wav", "flac", "ogg")
VIDEO_SECONDS, FRAME_RATE = 4, 12
ADDRESS = re.compile(r"http://[^/]+")
POLL_SECONDS = 2.0
"""As the page asks for the progress."""
ENCODE = """
import json, resource, sys, time
from pathlib import Path
import openbind
space = openbind.load("starter", device="cpu")
found = {}
def used():
    own = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), own.ru_utime + own.ru_stime
for name in ("image", "audio", "video"):
    paths = sorted(Path(sys.argv[1]).glob(f"{name}-*"))
    wall, cpu = used()
    space.encode(name, paths)
    found[name] = [end - start for end, start in zip(used(), (wall, cpu))]
print(json.dumps(found))
"""


class Maker:
    """Makes files of what ships, each another one.

    Args:
        folder: where to.
    """

    def __init__(self, folder: Path) -> None:
        source = samples_folder()
        rows = read_samples(source)
        self.folder, self.rng = folder, np.random.default_rng(0)
        self.images = [source / row.path for row in rows if row.modality == "image"]
        self.sounds = [source / row.path for row in rows if row.modality == "audio"]

    def image(self, number: int) -> None:
        """Write a JPEG: a part of an image, enlarged, with the grain of a camera."""
        self._view(number, SIZE).save(self.folder / f"image-{number:04}.jpg", quality=88)

    def audio(self, number: int) -> None:
        """Write a recording, shifted and at another level."""
        samples, rate_hz = soundfile.read(self.sounds[number % len(self.sounds)])
        shifted = np.roll(samples, self.rng.integers(len(samples)), axis=0)
        suffix = SOUND_FORMATS[number % len(SOUND_FORMATS)]
        path = self.folder / f"audio-{number:04}.{suffix}"
        soundfile.write(path, shifted * self.rng.uniform(0.5, 0.9), rate_hz)

    def video(self, number: int) -> None:
        """Write an mp4 that moves over an image."""
        view = np.asarray(self._view(number, (480, 360)))
        with av.open(self.folder / f"video-{number:04}.mp4", "w") as out:
            stream = out.add_stream("h264", rate=FRAME_RATE)
            stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
            for step in range(VIDEO_SECONDS * FRAME_RATE):
                part_HWC = np.ascontiguousarray(view[step : step + 240, 2 * step : 2 * step + 320])
                out.mux(stream.encode(av.VideoFrame.from_ndarray(part_HWC)))
            out.mux(stream.encode())

    def _view(self, number: int, size: tuple[int, int]) -> Image.Image:
        with Image.open(self.images[number % len(self.images)]) as opened:
            whole = opened.convert("RGB")
        width, height = whole.size
        left, top = self.rng.integers(0, width // 4), self.rng.integers(0, height // 4)
        box = (int(left), int(top), int(left + 3 * width // 4), int(top + 3 * height // 4))
        pixels = np.asarray(whole.resize(size, Image.Resampling.BICUBIC, box), np.int16)
        grain = self.rng.integers(-6, 7, pixels.shape, np.int8)
        return Image.fromarray(np.clip(pixels + grain, 0, 255).astype(np.uint8))


def make_folder(folder: Path, count: int) -> None:
    """Write so many files."""
    maker = Maker(folder)
    for name, share in SHARES.items():
        make: Callable[[int], None] = getattr(maker, name)
        for number in range(round(count * share)):
            make(number)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process and of the children it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


def measure_service(folder: Path) -> dict[str, Any]:
    """Serve the folder until all of it is indexed."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "openbind", "serve", str(folder), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as service:
        assert service.stderr is not None
        address = next(filter(None, map(ADDRESS.search, service.stderr)))
        try:
            with httpx.Client(base_url=address[0], timeout=60) as client:
                return {**open_page(client, start), **wait_until_indexed(client, service.pid)}
        finally:
            service.terminate()


def open_page(client: httpx.Client, start: float) -> dict[str, float]:
    """Ask for what the page asks for, and search."""
    html = client.get("/").raise_for_status().text
    for name in re.findall(r'"(page/[^"]+)"', html):
        client.get(f"/{name}").raise_for_status()
    for route in ("models", "index", "facets", "sample"):
        client.get(f"/v1/{route}").raise_for_status()
    page = time.perf_counter() - start
    body = {"parts": [{"input": "a dog"}], "lanes": True}
    client.post("/v1/search", json=body).raise_for_status()
    return {"page_seconds": page, "search_seconds": time.perf_counter() - start}


def wait_until_indexed(client: httpx.Client, pid: int) -> dict[str, Any]:
    """Return the time and the files from the first one indexed that is seen to the last."""
    began: tuple[float, float, int] | None = None
    while True:
        found = client.get("/v1/index").raise_for_status().json()
        now, used, state = time.perf_counter(), cpu_seconds(pid), found["updating"]
        assert not found["problem"], found["problem"]
        if state is None:
            assert began is not None
            wall, cpu, done = began
            return {
                "files": found["files"],
                "counted": found["files"] - done,
                "index_seconds": [now - wall, used - cpu],
            }
        if began is None and state["done"]:
            began = now, used, state["done"]
        time.sleep(POLL_SECONDS if began else 0.1)


def measure_encode(folder: Path) -> dict[str, tuple[float, float]]:
    """Return seconds and CPU seconds of `space.encode`, by modality."""
    command = [sys.executable, "-c", ENCODE, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, tuple[float, float]] = json.loads(done.stdout)
    return found


def print_table(found: dict[str, Any]) -> None:
    """Print what was measured, beside what must hold."""
    print_heads(f"{found['files']:,} files", "", "of `space.encode`", "goal")
    page, search = (f"{found[f'{name}_seconds']:.1f} s" for name in ("page", "search"))
    print_row("page with all that it loads, after", page, "", f"{PAGE_SECONDS:.0f} s")
    print_row("first search, after", search, "", "")
    for name, per in (("", "files_per_second"), ("_by_cpu", "files_per_cpu_second")):
        rate, share = f"{found[per]:.1f}", f"{found[f'of_encode{name}']:.2f}"
        print_row(f"indexed, {per.replace('_', ' ')}", rate, share, SPEED if not name else "")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "files"
        folder.mkdir()
        make_folder(folder, given.files)
        found = measure_service(folder)
        encode = measure_encode(folder)
    rates = [found["counted"] / seconds for seconds in found["index_seconds"]]
    own = [given.files / sum(each) for each in zip(*encode.values(), strict=True)]
    found["files_per_second"], found["files_per_cpu_second"] = rates
    found["encode_files_per_second"], found["encode_files_per_cpu_second"] = own
    found["of_encode"], found["of_encode_by_cpu"] = (a / b for a, b in zip(rates, own, strict=True))
    found["encode_seconds"] = encode
    if given.json:
        print(json.dumps(found, indent=1))
    else:
        print_table(found)
    return 0 if found["page_seconds"] <= PAGE_SECONDS and found["of_encode"] >= SPEED else 1


if __name__ == "__main__":
    sys.exit(main())
