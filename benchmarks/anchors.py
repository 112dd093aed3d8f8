"""Measure what the anchors of docs/anchors.md cost on a CPU, with random weights of the true size.

    OMP_NUM_THREADS=1 python benchmarks/anchors.py [NAME …]

Models are built from Transformers' configs of the released sizes; their count of parameters says
whether the size is the true one. A text has 16 tokens, an image the model's own size, a sound 10 s.
Each number is the processor time of the quickest of several calls on one item, of the networks
alone: without decoding and resizing. Peak memory is that of the process, which has one model.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import torch

RUNS, SECONDS = 5, 20.0
"""At most so many calls, and no more once they took so long."""
Call = Callable[[], Any]
Made = tuple[Any, dict[str, Call]]


def siglip2_base() -> Made:
    """Return SigLIP 2 B/16 at 224 pixels."""
    from transformers import SiglipConfig, SiglipModel

    text = {"vocab_size": 256_000}
    model = SiglipModel(SiglipConfig(text_config=text, vision_config={}))
    ids = torch.ones(1, 64, dtype=torch.long)  # it was trained on padded texts
    return model, {
        "text": lambda: model.get_text_features(ids),
        "image": lambda: model.get_image_features(torch.zeros(1, 3, 224, 224)),
    }


def clap(audio: dict[str, Any]) -> Made:
    """Return a CLAP with an HTSAT of some size."""
    from transformers import ClapConfig, ClapModel

    text = {"vocab_size": 50_265, "max_position_embeddings": 514}
    model = ClapModel(ClapConfig(text_config=text, audio_config=audio))
    mel = torch.zeros(1, 1, 1001, 64)
    return model, {
        "text": lambda: model.get_text_features(torch.full((1, 16), 5)),
        "sound": lambda: model.get_audio_features(mel),
    }


def clap_general() -> Made:
    """Return the CLAP of music, speech and sounds."""
    sizes = {"patch_embeds_hidden_size": 128, "depths": [2, 2, 12, 2], "hidden_size": 1024}
    return clap(sizes)


def embeddinggemma_2() -> Made:
    """Return EmbeddingGemma 2; an image has 280 soft tokens, a sound 250."""
    from transformers import EmbeddingGemma2Config, EmbeddingGemma2Model

    config = EmbeddingGemma2Config(text_config={}, vision_config={}, audio_config={})
    model = EmbeddingGemma2Model(config)
    words, rest = torch.full((1, 16), 5), torch.full((1, 2), 5)

    def with_soft(token: int, count: int) -> Any:
        return torch.cat([rest, torch.full((1, count), token), rest], dim=1)

    rows, columns = 42, 60  # patches of 16 pixels, nine to a token
    at = torch.cartesian_prod(torch.arange(columns), torch.arange(rows))[None]
    pixels = torch.zeros(1, rows * columns, 3 * 16 * 16)
    mel, mask = torch.zeros(1, 1000, 128), torch.ones(1, 1000, dtype=torch.bool)
    return model, {
        "text": lambda: model(words),
        "image": lambda: model(
            with_soft(config.image_token_id, 280), pixel_values=pixels, image_position_ids=at
        ),
        "sound": lambda: model(
            with_soft(config.audio_token_id, 250), input_features=mel, input_features_mask=mask
        ),
    }


def tipsv2_b14() -> Made:
    """Return TIPSv2 B/14 at 448 pixels."""
    from transformers import Tipsv2Config, Tipsv2Model

    model = Tipsv2Model(Tipsv2Config())
    return model, {
        "text": lambda: model.get_text_features(torch.full((1, 16), 5)),
        "image": lambda: model.get_image_features(torch.zeros(1, 3, 448, 448)),
    }


def pe_av_large_audio() -> Made:
    """Return the sounds and texts of PE-AV L; its frames need timm."""
    from transformers import PeAudioConfig, PeAudioModel

    model = PeAudioModel(PeAudioConfig())
    return model, {
        "text": lambda: model.text_model(torch.full((1, 16), 5)),
        "sound": lambda: model.get_audio_embeds(torch.zeros(1, 1, 480_000)),
    }


def qwen3_vl_2b() -> Made:
    """Return Qwen3-VL of 2 billion parameters; an image of 448 pixels has 196 tokens."""
    from transformers import Qwen3VLConfig, Qwen3VLModel

    text = {
        "hidden_size": 2048,
        "num_hidden_layers": 28,
        "intermediate_size": 6144,
        "num_attention_heads": 16,
        "num_key_value_heads": 8,
        "head_dim": 128,
        "rope_parameters": {"rope_type": "default", "mrope_section": [24, 20, 20]},
    }
    vision = {
        "hidden_size": 1024,
        "depth": 24,
        "intermediate_size": 4096,
        "num_heads": 16,
        "out_hidden_size": 2048,
        "deepstack_visual_indexes": [5, 11, 17],
    }
    config = Qwen3VLConfig(text_config=text, vision_config=vision)
    shown = torch.full((1, 200), 5)
    shown[:, 2:198] = config.image_token_id
    patches = {
        "pixel_values": torch.zeros(784, 3 * 2 * 16 * 16),
        "image_grid_thw": torch.tensor([[1, 28, 28]]),
        "mm_token_type_ids": (shown == config.image_token_id).int(),
    }
    model = Qwen3VLModel(config)
    return model, {
        "text": lambda: model(input_ids=torch.full((1, 16), 5)),
        "image": lambda: model(input_ids=shown, **patches),
    }


ANCHORS: dict[str, Callable[[], Made]] = {
    "siglip2-base": siglip2_base,
    "clap-small": lambda: clap({}),
    "clap-general": clap_general,
    "embeddinggemma-2": embeddinggemma_2,
    "qwen3-vl-embedding-2b": qwen3_vl_2b,
    "tipsv2-b14": tipsv2_b14,
    "pe-av-large#audio": pe_av_large_audio,
}


@torch.inference_mode()
def measure(name: str) -> dict[str, Any]:
    """Return millions of parameters, processor seconds of each item, and peak memory in GB."""
    model, calls = ANCHORS[name]()
    model.eval()
    found: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters()) / 1e6}
    for kind, call in calls.items():
        taken: list[float] = []
        while len(taken) < 2 or (len(taken) < RUNS and sum(taken) < SECONDS):
            start = time.process_time()
            call()
            taken.append(time.process_time() - start)
        found[kind] = min(taken)
    found["memory"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2
    return found


def main() -> None:
    """Measure anchors, each in its own process, and print a table."""
    parser = argparse.ArgumentParser(description="Cost of anchors on a CPU.")
    parser.add_argument("names", nargs="*", choices=[*ANCHORS, []], metavar="NAME")
    parser.add_argument("--one", metavar="NAME", help="measure one, and print JSON")
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(measure(arguments.one)))
        return
    print("| anchor | parameters | a text | an image | 10 s of sound | peak memory |")
    print("|---|---|---|---|---|---|")
    for name in arguments.names or ANCHORS:
        command = [sys.executable, "-W", "ignore", __file__, "--one", name]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
        cells = [f"{found[k]:.2f} s" if k in found else "–" for k in ("text", "image", "sound")]
        row = [name, f"{found['parameters']:.0f} M", *cells, f"{found['memory']:.1f} GB"]
        print(f"| {' | '.join(row)} |", flush=True)


if __name__ == "__main__":
    main()
