"""What decides the clips of a recording, and their spectrograms."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from openbind.configs import Divisor, Range, check_numbers
from openbind.signal.front_ends import KaldiFbank, PowerMel, Waveform


@dataclass(frozen=True, kw_only=True)
class AudioSettings:
    """Everything that decides the mel spectrograms of a tower's input.

    Args:
        features: mel front end, and its sampling rate. A `Waveform` is only cut:
            `frames`, `center`, `mean` and `std` have no effect, and a short recording isn't padded.
        clip_samples: samples per clip at that rate.
        frames: columns of a clip; shorter clips are padded with zeros before normalization.
        clips: number of clips, spread evenly; "cover" takes as many as cover the recording.
        mono: "mix" averages the channels (see `mix`); "first" takes the first, as the reference.
        center: subtract each clip's mean over samples and channels.
        mean, std: normalization of the features.
    """

    features: KaldiFbank | PowerMel | Waveform = field(default_factory=KaldiFbank)
    clip_samples: Annotated[int, Range(1, 10_000_000)] = 32_000
    frames: Annotated[int, Range(1, 10_000)] = 204
    clips: Annotated[int, Range(1, 1_000)] | Literal["cover"] = 3
    mono: Literal["mix", "first"] = "first"
    center: bool = True
    mean: float = -4.268
    std: Divisor = 9.138

    def __post_init__(self) -> None:
        """Check the size of an item.

        Raises:
            ValueError: too many samples, or overlapping frames of them.
        """
        mel, count = self.features, 1 if self.clips == "cover" else self.clips
        if isinstance(mel, Waveform):
            check_numbers(count * self.clip_samples)
            return
        length = mel.fft if isinstance(mel, KaldiFbank) else mel.window
        columns = max(self.frames, self.clip_samples // mel.hop)
        check_numbers(count * columns * max(length, mel.mels))
