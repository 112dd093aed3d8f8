"""Peak memory and time of `space.moments` on long recordings, which are made first.

    python benchmarks/moments.py [--minutes 10 120] [--video]

Noise with a sound of the samples at three quarters of it; with `--video` gray frames of 320 × 180,
two a second, with an image of the samples there. Each recording is scored in a process of its
own. Printed are the best moment, the seconds, and how far the peak of resident memory lies above
what the process held before.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from openbind.evaluation.samples import read_samples, samples_folder
from openbind.media.audio import read_audio
from openbind.media.image import read_image

RATE_HZ = 48_000
MINUTE_S, SHOWN_S, FRAMES_PER_S = 60, 10, 2
SIZE = (320, 180)
SCORE = """
import re, sys, time
from pathlib import Path
import openbind
def memory(name):
    status = Path("/proc/self/status").read_text()
    return int(re.search(name + r":\\s+(\\d+)", status)[1]) / 1024
space = openbind.load("starter", device="cpu").with_limits(seconds=1e6)
query_E = space.encode("text", "a dog")
before, start = memory("VmRSS"), time.perf_counter()
first, last, _ = space.moments(sys.argv[1], query_E)[0]
took = time.perf_counter() - start
above = memory("VmHWM") - before
print(f"{first:9.1f} s –{last:9.1f} s{took:9.0f} s{above:9.0f} MB above {before:.0f} MB")
"""


def find_sample(modality: str) -> Path:
    """Return a sample of a dog."""
    folder = samples_folder()
    rows = read_samples(folder)
    return next(folder / i.path for i in rows if i.modality == modality and i.concept == "dog")


def write_sound(path: Path, minutes: int) -> None:
    """Write noise with a barking dog."""
    audio = read_audio(find_sample("audio"))
    bark_T = audio.samples_CT.mean(0)
    times = np.arange(int(len(bark_T) / audio.rate_hz * RATE_HZ)) * audio.rate_hz / RATE_HZ
    bark_T = np.resize(np.interp(times, np.arange(len(bark_T)), bark_T), SHOWN_S * RATE_HZ)
    generator = np.random.default_rng(0)
    with soundfile.SoundFile(path, "w", RATE_HZ, 1) as file:
        for minute in range(minutes):
            noise_T = 0.02 * generator.standard_normal(MINUTE_S * RATE_HZ)
            if minute == minutes * 3 // 4:
                noise_T[: len(bark_T)] += 0.8 * bark_T / np.abs(bark_T).max()
            file.write(noise_T.clip(-1, 1).astype(np.float32))


def write_video(path: Path, minutes: int) -> None:
    """Write gray frames with an image of a dog."""
    import av

    dog = read_image(find_sample("image")).resize(SIZE)
    gray = Image.new("RGB", SIZE, "gray")
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=FRAMES_PER_S)
        stream.width, stream.height = SIZE
        stream.pix_fmt = "yuv420p"
        begin = minutes * 3 // 4 * MINUTE_S * FRAMES_PER_S
        for number in range(minutes * MINUTE_S * FRAMES_PER_S):
            shown = dog if begin <= number < begin + SHOWN_S * FRAMES_PER_S else gray
            container.mux(stream.encode(av.VideoFrame.from_image(shown)))
        container.mux(stream.encode())


def main() -> None:
    """Make and score the recordings."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=int, nargs="+", default=[10, 120])
    parser.add_argument("--video", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for minutes in given.minutes:
            path = Path(folder) / f"{minutes}.{'mp4' if given.video else 'flac'}"
            (write_video if given.video else write_sound)(path, minutes)
            print(f"{minutes:4} min  ", end="", flush=True)
            subprocess.run([sys.executable, "-c", SCORE, str(path)], check=True)


if __name__ == "__main__":
    main()
