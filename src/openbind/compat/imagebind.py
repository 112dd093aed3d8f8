"""ImageBind's own interface over a space: scripts written for the reference run unchanged.

    import openbind.compat.imagebind

    openbind.compat.imagebind.install()
    from imagebind import data
    from imagebind.models import imagebind_model

`python -m openbind.compat.imagebind script.py …` runs a script in which not even that is changed.
Source: the calls that public scripts make; docs/integrations.md lists them.
"""

from __future__ import annotations

import os
import runpy
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from openbind.catalog import load
from openbind.compat.imagebind_model import ImageBindModel, ModalityType
from openbind.modalities.text import VOCABULARY
from openbind.presets import PRESETS
from openbind.signal.bpe import ClipTokenizer
from openbind.signal.fbank import kaldi_fbank
from openbind.signal.front_ends import KaldiFbank
from openbind.space.space import Space

NAME = "imagebind"
"""Of the reference's package."""
WEIGHTS = "imagebind_huge"
"""What `imagebind_huge(pretrained=True)` loads, unless something else was installed."""
VARIABLE = "OPENBIND_IMAGEBIND"
"""Names another space to load in its stead."""
DIM = 1024
"""Dimensions of the reference's embedding, which clients may rely on."""
BPE_PATH = str(VOCABULARY)
WINDOW_MS, HOP_MS = 25, 10
"""Of Kaldi's spectrograms."""


class SimpleTokenizer:
    """CLIP's tokenizer, as the reference's class of that name is called.

    Args:
        bpe_path: the list of merges.
        context_length: ids of a text.
    """

    def __init__(self, bpe_path: str = BPE_PATH, context_length: int = 77) -> None:
        self.tokenizer = ClipTokenizer(bpe_path, context_length)
        self.context_length = context_length

    def __call__(self, texts: str | Sequence[str], context_length: int | None = None) -> Tensor:
        """Return ids_BN int64; of one text, ids_N."""
        ids_BN = self.tokenizer([texts] if isinstance(texts, str) else texts)
        ids_BN = ids_BN[:, : context_length or self.context_length]
        return ids_BN[0] if len(ids_BN) == 1 else ids_BN


class Source:
    """The space behind the modules, loaded when it is first needed.

    Args:
        space: a space, or what `openbind.load` takes.
    """

    def __init__(self, space: Space | str) -> None:
        self.given = space

    @cached_property
    def space(self) -> Space:
        """The space; the license of what is loaded is printed to stderr, once."""
        if isinstance(self.given, Space):
            return self.given
        # The reference computes in float32.
        space = load(self.given, device="cpu", dtype="float32")
        print(f"{self.given}: weights under {space.card.license}", file=sys.stderr)
        return space

    @cached_property
    def reader(self) -> Space:
        """A space that preprocesses; that of a named architecture needs no weights."""
        if isinstance(self.given, str) and self.given in PRESETS:
            return Space(PRESETS[self.given](), {})
        return self.space

    def imagebind_huge(self, pretrained: bool = False) -> ImageBindModel:
        """Return the model, in evaluation mode.

        Args:
            pretrained: load weights; otherwise a named architecture has random ones, and a space
                that was installed its own.
        """
        if not pretrained and isinstance(self.given, str) and self.given in PRESETS:
            space = load(self.given, device="cpu", dtype="float32", weights="random")
        else:
            space = self.space
        if space.dim != DIM:
            message = f"{space.name} has {space.dim} dimensions where the reference has {DIM}"
            warnings.warn(message, stacklevel=2)
        model = ImageBindModel(space)
        return model.requires_grad_(True)  # as in the reference: it may be fine-tuned


class Data:
    """Functions of the module `imagebind.data`: files become tensors on a device.

    They return None for None, as the reference's.

    Args:
        source: its preprocessing is used.
    """

    def __init__(self, source: Source) -> None:
        self.source = source

    def load_and_transform_text(self, text: Sequence[str] | None, device: Any) -> Tensor | None:
        """Tokenize texts: ids_BN int64."""
        return self._load("text", text, device)

    def load_and_transform_vision_data(
        self, image_paths: Sequence[Any] | None, device: Any, **others: Any
    ) -> Tensor | None:
        """Read images: image_BCHW; keywords of the reference's forks are ignored with a warning."""
        if others:
            warnings.warn(f"ignored: {', '.join(others)}", stacklevel=2)
        return self._load("image", image_paths, device)

    def load_and_transform_audio_data(
        self,
        audio_paths: Sequence[Any] | None,
        device: Any,
        num_mel_bins: int = 128,
        target_length: int = 204,
        sample_rate: int = 16000,
        clip_duration: float = 2,
        clips_per_video: int = 3,
        mean: float = -4.268,
        std: float = 9.138,
    ) -> Tensor | None:
        """Read recordings: mel_BSCFT. Only what differs from the reference's values is changed.

        Args:
            audio_paths: files, or None.
            device: of the result.
            num_mel_bins: F.
            target_length: T, of a clip.
            sample_rate: in Hz.
            clip_duration: in seconds.
            clips_per_video: S.
            mean, std: normalization.
        """
        changes: dict[str, Any] = _changed(
            frames=(target_length, 204),
            clip_samples=(int(clip_duration * sample_rate), 32000),
            clips=(clips_per_video, 3),
            mean=(mean, -4.268),
            std=(std, 9.138),
        )
        if (sample_rate, num_mel_bins) != (16000, 128):
            changes["features"] = kaldi_config(sample_rate, num_mel_bins)
        return self._load("audio", audio_paths, device, **changes)

    def load_and_transform_video_data(
        self,
        video_paths: Sequence[Any] | None,
        device: Any,
        clip_duration: float = 2,
        clips_per_video: int = 5,
        sample_rate: int = 16000,
    ) -> Tensor | None:
        """Read videos: video_BSCTHW; the sampling rate is that of sound, which isn't read."""
        changes = _changed(clip_seconds=(clip_duration, 2), clips=(clips_per_video, 5))
        return self._load("video", video_paths, device, **changes)

    def _load(self, modality: str, items: Any, device: Any, **changes: Any) -> Tensor | None:
        if items is None:
            return None
        reader = self.source.reader
        if changes:
            reader = reader.with_settings(modality, **changes)
        return reader.preprocess(modality, list(items)).to(device)


def _changed(**values: tuple[Any, Any]) -> dict[str, Any]:
    """Return what was asked for, by name, where it isn't the usual value."""
    return {name: given for name, (given, usual) in values.items() if given != usual}


def waveform2melspec(
    waveform: Tensor, sample_rate: int, num_mel_bins: int, target_length: int
) -> Tensor:
    """Compute the reference's spectrogram of one clip, not normalized.

    Args:
        waveform: samples_CT in [-1, 1]; the first channel is used.
        sample_rate: in Hz.
        num_mel_bins: F.
        target_length: T; longer ones are cut, shorter ones padded with zeros.

    Returns:
        mel_CFT, C = 1.
    """
    samples_CT = waveform - waveform.mean()
    config = kaldi_config(sample_rate, num_mel_bins)
    mel_CFT = kaldi_fbank(samples_CT[:1], config)[..., :target_length]
    return F.pad(mel_CFT, (0, target_length - mel_CFT.shape[-1]))


def kaldi_config(rate_hz: int, mels: int) -> KaldiFbank:
    """Return the reference's spectrograms at another rate or of other bins."""
    window = rate_hz * WINDOW_MS // 1000
    return KaldiFbank(
        rate_hz=rate_hz,
        window=window,
        hop=rate_hz * HOP_MS // 1000,
        fft=1 << (window - 1).bit_length(),
        mels=mels,
        high_hz=rate_hz / 2,
    )


def get_clip_timepoints(
    clip_sampler: Callable[..., Any], duration: float
) -> list[tuple[float, float]]:
    """Return the (start, end) of all clips of a sampler in PyTorchVideo's form.

    Args:
        clip_sampler: (end of the last clip, duration, annotation) → start, end, two more values,
            and whether it is the last.
        duration: in seconds.
    """
    times, end, is_last = [], 0.0, False
    while not is_last:
        start, end, _, _, is_last = clip_sampler(end, duration, annotation=None)
        times.append((start, end))
    return times


class _Module(ModuleType):
    """A module that `install` made."""

    def __init__(self, name: str, content: Mapping[str, Any]) -> None:
        super().__init__(name, f"{name} of the reference, by {__name__}.")
        self.__path__: list[str] = []
        self.__spec__ = ModuleSpec(name, None, is_package=True)
        vars(self).update(content)


def install(space: Space | str | None = None, *, force: bool = False) -> None:
    """Make `import imagebind` find this module's classes.

    Args:
        space: what `imagebind_huge` returns the model of, or its name for `openbind.load`; None
            takes $OPENBIND_IMAGEBIND, else "imagebind_huge", whose weights aren't for commercial
            use.
        force: hide a real package of that name.

    Raises:
        ImportError: there is one.
    """
    existing = sys.modules.get(NAME)
    if not (force or isinstance(existing, _Module)) and (existing or find_spec(NAME)):
        raise ImportError(
            f"a package {NAME!r} is installed; install(force=True) hides it in this process",
            name=NAME,
        )
    source = Source(space or os.environ.get(VARIABLE) or WEIGHTS)
    sys.modules.update(_modules(source))


def _modules(source: Source) -> dict[str, _Module]:
    reader = Data(source)
    functions = {name: getattr(reader, name) for name in dir(reader) if name.startswith("load_")}
    data = _Module(
        f"{NAME}.data",
        {
            **functions,
            "BPE_PATH": BPE_PATH,
            "SimpleTokenizer": SimpleTokenizer,
            "get_clip_timepoints": get_clip_timepoints,
            "waveform2melspec": waveform2melspec,
        },
    )
    model = _Module(
        f"{NAME}.models.imagebind_model",
        {
            "ImageBindModel": ImageBindModel,
            "ModalityType": ModalityType,
            "imagebind_huge": source.imagebind_huge,
        },
    )
    preprocessors = _Module(
        f"{NAME}.models.multimodal_preprocessors", {"SimpleTokenizer": SimpleTokenizer}
    )
    models = _Module(
        f"{NAME}.models", {"imagebind_model": model, "multimodal_preprocessors": preprocessors}
    )
    # Some packages of the reference have the model at the top.
    shared = {"data": data, "imagebind_model": model, "ModalityType": ModalityType}
    package = _Module(NAME, {**shared, "models": models})
    made = {module.__name__: module for module in (package, data, models, model, preprocessors)}
    return {**made, f"{NAME}.imagebind_model": model}


def run_script(arguments: Sequence[str]) -> None:
    """Run a script for the reference, as `python SCRIPT ARGUMENT…` does.

    Args:
        arguments: the script, and its arguments.
    """
    if not arguments:
        raise SystemExit(f"usage: python -m openbind.compat.{NAME} SCRIPT [ARGUMENT …]")
    install()
    sys.argv = list(arguments)
    sys.path.insert(0, str(Path(arguments[0]).resolve().parent))
    runpy.run_path(arguments[0], run_name="__main__")


if __name__ == "__main__":
    run_script(sys.argv[1:])
