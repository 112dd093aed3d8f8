"""Large decoders at work: Stable unCLIP, and Stable Diffusion with an IP-Adapter, by diffusers.

Only UNet, VAE and settings are loaded. The image encoder isn't needed, since its vectors come from
a space, and the text encoders aren't, since the prompt is always empty.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from openbind.errors import CheckpointError, MissingExtraError, OpenbindError, first_line
from openbind.generation.condition import Condition
from openbind.generation.decoder import Progress, image_seeds, report
from openbind.generation.large import LargeDecoder
from openbind.model.precision import fastest_dtype

WEIGHTS = "diffusion_pytorch_model"
PARTS = ("unet", "vae")


@dataclass(frozen=True, kw_only=True)
class Diffusion:
    """A large decoder that is loaded.

    Args:
        entry: which one.
        pipe: of diffusers.
        prompt_1ND: embedding of the empty prompt.
        condition: prepares vectors.
        size: rows and columns of the images; None takes the model's own.
    """

    entry: LargeDecoder
    pipe: Any
    prompt_1ND: torch.Tensor
    condition: Condition
    size: int | None = None

    @property
    def dim(self) -> int:
        """Dimensions of the vectors that it takes."""
        return self.condition.dim

    @property
    def accepts(self) -> str:
        """The family of encoders that it was trained on."""
        return self.entry.family.name

    @property
    def candidates(self) -> int:
        """One: an image takes minutes."""
        return 1

    def draw(
        self,
        vectors_BE: np.ndarray,
        *,
        modality: str | None,
        n: int,
        candidates: int,
        seed: int,
        steps: int | None,
        guidance: float | None,
        progress: Progress | None,
    ) -> list[list[Any]]:
        """Draw one image at a time, so that none depends on others; see `Decoder.draw`."""
        raw_BD = torch.from_numpy(self.condition.raw(vectors_BE, modality))
        steps = self.entry.steps if steps is None else steps
        count = n * candidates
        total, done = len(raw_BD) * count * steps, 0

        def note(*_: Any) -> dict[str, Any]:
            nonlocal done
            done += 1
            report(progress, min(done, total), total)
            return {}

        options = {
            "num_inference_steps": steps,
            "guidance_scale": self.entry.guidance if guidance is None else guidance,
            "height": self.size,
            "width": self.size,
        }
        level = self.condition.noise_level(modality)
        return [
            [
                self._draw_one(row_D[None], each, level, note, options)
                for each in image_seeds(seed, count)
            ]
            for row_D in raw_BD
        ]

    def _draw_one(
        self,
        raw_1D: torch.Tensor,
        seed: int,
        noise_level: int,
        note: Callable[..., dict[str, Any]],
        options: dict[str, Any],
    ) -> Any:
        unet = self.pipe.unet
        raw_1D = raw_1D.to(unet.device, unet.dtype)
        prompt_1ND = self.prompt_1ND.to(unet.device, unet.dtype)
        given = {
            **options,
            "prompt_embeds": prompt_1ND,
            "negative_prompt_embeds": prompt_1ND,
            "generator": torch.Generator("cpu").manual_seed(seed),
        }
        if self.entry.pipeline == "unclip":
            given |= {"image_embeds": raw_1D, "noise_level": noise_level, "callback": note}
            return self.pipe(**given).images[0]
        guided = options["guidance_scale"] > 1
        both = torch.cat([torch.zeros_like(raw_1D), raw_1D]) if guided else raw_1D
        given |= {"ip_adapter_image_embeds": [both[:, None]], "callback_on_step_end": note}
        if self.entry.pipeline == "sdxl":
            pooled = prompt_1ND.new_zeros(1, pooled_width(unet))
            given |= {"pooled_prompt_embeds": pooled, "negative_pooled_prompt_embeds": pooled}
        return self.pipe(**given).images[0]


def load_diffusion(
    entry: LargeDecoder,
    folder: Path,
    condition: Condition,
    prompt_1ND: torch.Tensor,
    *,
    adapter: Path | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    size: int | None = None,
) -> Diffusion:
    """Load a large decoder from a folder in diffusers' layout.

    Args:
        entry: which one.
        folder: with unet/, vae/ and scheduler/, of unCLIP also the image normalizer's and the
            noising scheduler's.
        condition: prepares vectors.
        prompt_1ND: embedding of the empty prompt.
        adapter: the IP-Adapter's file.
        device: of the networks.
        dtype: of the networks; None takes the device's fastest.
        size: rows and columns of the images; None takes the model's own.

    Raises:
        MissingExtraError: diffusers isn't installed.
        CheckpointError: a file is missing or damaged, or of another kind of model.
    """
    try:
        import diffusers
    except ImportError as error:
        raise MissingExtraError("a large decoder", "diffusers", "generate") from error
    dtype = dtype or fastest_dtype(device)
    try:
        unet = _load_part(diffusers.UNet2DConditionModel, folder, "unet", dtype)
        vae = _load_part(diffusers.AutoencoderKL, folder, "vae", dtype)
        scheduler = diffusers.DPMSolverMultistepScheduler.from_pretrained(
            folder, subfolder="scheduler", local_files_only=True
        )
        parts = {"unet": unet, "vae": vae, "scheduler": scheduler}
        pipe = _build(diffusers, entry.pipeline, folder, parts, dtype)
        if adapter is not None:
            unet._load_ip_adapter_weights([read_adapter(adapter)], low_cpu_mem_usage=False)
    except OpenbindError:
        raise
    except Exception as error:  # diffusers and its formats raise anything
        raise CheckpointError(folder, f"can't be loaded ({first_line(error)})") from error
    _check(entry, unet, folder)
    pipe.set_progress_bar_config(disable=True)
    pipe.to(device)
    return Diffusion(entry=entry, pipe=pipe, prompt_1ND=prompt_1ND, condition=condition, size=size)


def read_adapter(path: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Read an IP-Adapter's safetensors file, in the form that diffusers takes.

    Raises:
        CheckpointError: it isn't one.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(path, f"not a safetensors file ({error})") from error
    found: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in tensors.items():
        part, _, rest = name.partition(".")
        found.setdefault(part, {})[rest] = tensor
    if set(found) != {"image_proj", "ip_adapter"} or not all(found.values()):
        raise CheckpointError(path, "expected the parts image_proj and ip_adapter of an IP-Adapter")
    return found


def pooled_width(unet: Any) -> int:
    """Return the width of the pooled text that an SDXL UNet takes, beside six numbers of size."""
    config = unet.config
    return int(config.projection_class_embeddings_input_dim - 6 * config.addition_time_embed_dim)


def prompt_shape(folder: Path) -> tuple[int, int, int]:
    """Return the shape of a prompt's embedding, by the UNet's settings."""
    import json

    values = json.loads((folder / "unet" / "config.json").read_text())
    return 1, 77, int(values["cross_attention_dim"])


def _load_part(kind: Any, folder: Path, name: str, dtype: torch.dtype) -> Any:
    """Load a network from its safetensors file, in half precision where there is one."""
    half = (folder / name / f"{WEIGHTS}.fp16.safetensors").is_file()
    return kind.from_pretrained(
        folder,
        subfolder=name,
        variant="fp16" if half else None,
        use_safetensors=True,
        local_files_only=True,
        dtype=dtype,
    )


def _build(
    diffusers: Any, pipeline: str, folder: Path, parts: dict[str, Any], dtype: torch.dtype
) -> Any:
    """Return a pipeline without encoders."""
    absent = dict.fromkeys(["tokenizer", "text_encoder", "feature_extractor", "image_encoder"])
    if pipeline == "sd":
        return diffusers.StableDiffusionPipeline(
            **parts, **absent, safety_checker=None, requires_safety_checker=False
        )
    if pipeline == "sdxl":
        more = dict.fromkeys(["tokenizer_2", "text_encoder_2"])
        return diffusers.StableDiffusionXLPipeline(**parts, **absent, **more, add_watermarker=False)
    from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import (
        StableUnCLIPImageNormalizer,
    )

    normalizer = StableUnCLIPImageNormalizer.from_pretrained(
        folder, subfolder="image_normalizer", local_files_only=True, dtype=dtype
    )
    noising = diffusers.DDPMScheduler.from_pretrained(
        folder, subfolder="image_noising_scheduler", local_files_only=True
    )
    absent["image_encoder"] = _NoEncoder().to(dtype)
    return diffusers.StableUnCLIPImg2ImgPipeline(
        **parts, **absent, image_normalizer=normalizer, image_noising_scheduler=noising
    )


class _NoEncoder(torch.nn.Module):
    """Stands for the image encoder, of which the pipeline asks only device and precision."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1), requires_grad=False)

    @property
    def device(self) -> torch.device:
        return self.weight.device

    @property
    def dtype(self) -> torch.dtype:
        return self.weight.dtype


def _check(entry: LargeDecoder, unet: Any, folder: Path) -> None:
    """Check that a UNet takes vectors of the entry's family.

    Raises:
        CheckpointError: it takes others.
    """
    if entry.pipeline == "unclip":
        found = (unet.config.projection_class_embeddings_input_dim or 0) // 2
    else:
        projection = unet.encoder_hid_proj.image_projection_layers[0]
        found = projection.image_embeds.in_features
    if found != entry.family.dim:
        reason = f"takes vectors of {found} dimensions, expected {entry.family.dim} of"
        raise CheckpointError(folder, f"{reason} {entry.family.name}")
