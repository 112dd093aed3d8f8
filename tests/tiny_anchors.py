"""Tiny models in Transformers' own layout, with random or quickly trained weights."""

from __future__ import annotations

import json
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


def write_tipsv2(folder: Path) -> Path:
    """Write a TIPSv2 of images and text with random weights: 32 dimensions, 28 pixels."""
    from transformers import Tipsv2Config, Tipsv2Model, Tipsv2Tokenizer

    torch.manual_seed(0)
    vision = {
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 56,
        "patch_size": 14,
    }
    text = {**TEXT, "max_position_embeddings": 16, "bos_token_id": None, "eos_token_id": None}
    model = Tipsv2Model(Tipsv2Config(text_config=text, vision_config=vision))
    with torch.no_grad():  # otherwise all patches of a color are alike, and registers zeros
        model.vision_model.embeddings.register_tokens.normal_()
    model.save_pretrained(folder)
    pieces = ["<pad>", "<unk>", "▁", *"abcdefghilnoprtuw", "▁a", "▁re", "▁red"]
    merges = [("▁", "a"), ("▁", "r"), ("r", "e"), ("▁", "re"), ("▁re", "d")]
    vocabulary = {piece: index for index, piece in enumerate(dict.fromkeys([*pieces, "▁r", "re"]))}
    Tipsv2Tokenizer(vocabulary, merges).save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# A tiny TIPSv2\n")
    return folder


PE_LAYER = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "head_dim": 16,
}


def make_pe_av(vision: Any) -> Any:
    """Return a PE-AV with random weights: 32 dimensions, 16 kHz, steps of 8 samples.

    Args:
        vision: config of its tower of frames; in released models timm's.
    """
    from transformers import PeAudioVideoConfig, PeAudioVideoModel

    torch.manual_seed(0)
    dac = {
        "model_type": "dac",
        "encoder_hidden_size": 8,
        "downsampling_ratios": [2, 4],
        "decoder_hidden_size": 16,
        "hidden_size": 16,
        "sampling_rate": 16_000,
        "n_codebooks": 1,
        "codebook_size": 16,
        "codebook_dim": 4,
    }
    text = {
        "model_type": "modernbert",
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "vocab_size": len(WORDS),
        "max_position_embeddings": 64,
        "pad_token_id": 0,
        "bos_token_id": 2,
        "eos_token_id": 3,
        "cls_token_id": 2,
        "sep_token_id": 3,
    }
    audio = {**PE_LAYER, "model_type": "pe_audio_encoder", "dac_config": dac}
    video = {**PE_LAYER, "model_type": "pe_video_encoder", "vision_config": vision}
    both = {**PE_LAYER, "audio_config": audio, "video_config": video}
    model = PeAudioVideoModel(PeAudioVideoConfig(text_config=text, audio_video_config=both)).eval()
    with torch.no_grad():  # a norm of ones before the head's own would change nothing
        model.text_model.final_norm.weight.uniform_(0.5, 2)
    return model


def make_frames_tower() -> Any:
    """Return the config of a tower of frames that needs no timm: 32 pixels, 24 outputs."""
    from transformers import ViTConfig

    return ViTConfig(
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=32,
        patch_size=16,
        num_labels=24,
    )


def write_pe_av(folder: Path, vision: Any) -> Path:
    """Write such a PE-AV, with its tokenizer and the settings of its processors."""
    make_pe_av(vision).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    sounds = {"feature_extractor_type": "PeAudioFeatureExtractor", "sampling_rate": 16_000}
    frames = {"size": {"height": 32, "width": 32}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(sounds))
    (folder / "video_preprocessor_config.json").write_text(json.dumps(frames))
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n\n# A tiny PE-AV\n")
    return folder


CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.content is string %}{{ m.content }}"
    "{% else %}{% for c in m.content %}"
    "{% if c.type == 'image' %}<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif c.type == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in c %}{{ c.text }}{% endif %}{% endfor %}{% endif %}<|im_end|>\n{% endfor %}"
)


def write_qwen3_vl(folder: Path) -> Path:
    """Write a Qwen3-VL of text, images and video with random weights; it needs torchvision."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import (
        PreTrainedTokenizerFast,
        Qwen3VLConfig,
        Qwen3VLModel,
        Qwen3VLProcessor,
        Qwen3VLVideoProcessor,
    )
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    torch.manual_seed(0)
    marks = ["im_start", "im_end", "vision_start", "vision_end", "image_pad", "video_pad"]
    special = ["<|endoftext|>", *(f"<|{mark}|>" for mark in marks)]
    pieces = [*special, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    vocabulary = {piece: index for index, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=special[1:],
    )
    text = {
        "vocab_size": len(pieces),
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "head_dim": 16,
        "rope_scaling": {
            "rope_type": "default",
            "mrope_section": [4, 2, 2],
            "mrope_interleaved": True,
        },
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_heads": 2,
        "patch_size": 16,
        "out_hidden_size": 32,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0],
    }
    ids = {f"{mark.replace('pad', 'token')}_id": vocabulary[f"<|{mark}|>"] for mark in marks[4:]}
    ends = {f"{mark}_token_id": vocabulary[f"<|{mark}|>"] for mark in marks[2:4]}
    config = Qwen3VLConfig(text_config=text, vision_config=vision, **ids, **ends)
    Qwen3VLModel(config).save_pretrained(folder)
    images = Qwen2VLImageProcessorPil(
        size={"shortest_edge": 32**2, "longest_edge": 64**2}, patch_size=16
    )
    frames = Qwen3VLVideoProcessor(size={"shortest_edge": 4 * 32**2, "longest_edge": 16 * 64**2})
    Qwen3VLProcessor(images, fast, frames, chat_template=CHAT).save_pretrained(folder)
    return folder
