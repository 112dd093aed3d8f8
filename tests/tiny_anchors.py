"""Tiny models in Transformers' own layout, with random or quickly trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

COLORS = {
    "red": (220, 30, 30),
    "green": (30, 200, 30),
    "blue": (30, 30, 220),
    "yellow": (230, 220, 30),
    "white": (245, 245, 245),
    "black": (12, 12, 12),
}
WORDS = ("[PAD]", "[UNK]", "[BOS]", "[EOS]", *COLORS, "a", "photo", "of", "query", ":")
TEXT = {
    "vocab_size": 32,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
    "pad_token_id": 0,
    "bos_token_id": 2,
    "eos_token_id": 3,
}
VISION = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 8,
}


def make_tokenizer() -> Any:
    """Return a tokenizer of a few whole words."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary = {word: index for index, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[BOS] $A [EOS]", special_tokens=[("[BOS]", 2), ("[EOS]", 3)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        bos_token="[BOS]",
        eos_token="[EOS]",
        model_max_length=32,
    )


def write_clip(folder: Path, steps: int = 0) -> Path:
    """Write a CLIP of images and text, 16 dimensions, that may have learned names of colors.

    Args:
        folder: created.
        steps: of training; 0 leaves the weights random.
    """
    from transformers import CLIPConfig, CLIPModel, CLIPProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    torch.manual_seed(0)
    vision = {**VISION, "image_size": 32}
    model = CLIPModel(CLIPConfig(text_config=TEXT, vision_config=vision, projection_dim=16))
    images = CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor = CLIPProcessor(image_processor=images, tokenizer=make_tokenizer())
    learn_colors(model, processor, steps)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# A tiny CLIP\n")
    return folder


def learn_colors(model: Any, processor: Any, steps: int) -> None:
    """Train a CLIP to name the colors of images."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    texts = processor(text=list(COLORS), return_tensors="pt", padding=True)
    for step in range(steps):
        images = [draw(color, step) for color in COLORS]
        pixels = processor(images=images, return_tensors="pt")
        found = model(**texts, **pixels)
        target = torch.arange(len(COLORS))
        logits = 10 * found.image_embeds @ found.text_embeds.T
        loss = F.cross_entropy(logits, target) + F.cross_entropy(logits.T, target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def draw(color: str, seed: int, size: tuple[int, int] = (40, 36)) -> Image.Image:
    """Draw a noisy image of a color."""
    rng = np.random.default_rng([seed, *COLORS[color]])
    pixels = np.array(COLORS[color]) + rng.normal(0, 12, (size[1], size[0], 3))
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def write_clap(folder: Path) -> Path:
    """Write a CLAP of sounds and text with random weights: 16 dimensions, 16 kHz, 1 s."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, ClapProcessor

    torch.manual_seed(0)
    audio = {
        "spec_size": 64,
        "num_mel_bins": 16,
        "window_size": 4,
        "patch_size": 2,
        "patch_stride": [2, 2],
        "patch_embeds_hidden_size": 16,
        "hidden_size": 32,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
    }
    text = {**TEXT, "max_position_embeddings": 40, "pad_token_id": 1}
    config = ClapConfig(text_config=text, audio_config=audio, projection_dim=16)
    extractor = ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=16_000,
        hop_length=160,
        fft_window_size=512,
        max_length_s=1,
        truncation="rand_trunc",
        padding="repeatpad",
    )
    ClapModel(config).save_pretrained(folder)
    ClapProcessor(extractor, make_tokenizer()).save_pretrained(folder)
    return folder


def write_naflex(folder: Path) -> Path:
    """Write a SigLIP 2 that takes images of any aspect ratio, with random weights."""
    from transformers import Siglip2Config, Siglip2Model, Siglip2Processor
    from transformers.models.siglip2.image_processing_pil_siglip2 import Siglip2ImageProcessorPil

    torch.manual_seed(0)
    # Its processor cuts 256 patches of 16 pixels, whatever the files say.
    vision = {**VISION, "patch_size": 16, "num_patches": 256}
    text = {**TEXT, "projection_size": 32, "max_position_embeddings": 64}
    Siglip2Model(Siglip2Config(text_config=text, vision_config=vision)).save_pretrained(folder)
    images = Siglip2ImageProcessorPil(patch_size=16, max_num_patches=256)
    Siglip2Processor(images, make_tokenizer()).save_pretrained(folder)
    return folder
