"""Measure the towers' speed relative to plain float32 blocks with `torch.nn.MultiheadAttention`.

Method: both sides have the same random weights and run alternately in one process, so that other
load on the machine affects both; each side's best round counts. The baseline has the reference's
structure: sequence-first tokens, `nn.MultiheadAttention`, separate LayerNorm, Linear and GELU,
float32, every token through every block, all 77 positions of a text. Both share the stem, less than
1 % of the time. FLOPs are those of the linear layers and attention, two per multiply-add, for the
baseline's tokens; "of peak" divides ours by the speed of one large `F.linear`.

    python benchmarks/towers.py [--towers thermal text] [--batch 8] [--rounds 3]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openbind.model.config import (
    HeadConfig,
    PatchStem,
    TokenStem,
    TowerConfig,
    TrunkConfig,
    WindowStem,
)
from openbind.model.initial import initialize
from openbind.model.tower import Tower

TEXT_TOKENS = 13  # a short caption, with start and end token


class PlainBlock(nn.Module):
    """A pre-norm block of stock PyTorch modules with the weights of one of ours."""

    def __init__(self, config: TrunkConfig, state: dict[str, Tensor]) -> None:
        super().__init__()
        width, bias_kv = config.width, config.bias_kv
        self.norm_1 = nn.LayerNorm(width, eps=config.norm_eps)
        self.attn = nn.MultiheadAttention(width, config.heads, add_bias_kv=bias_kv)
        self.norm_2 = nn.LayerNorm(width, eps=config.norm_eps)
        self.fc1 = nn.Linear(width, config.mlp_width)
        self.fc2 = nn.Linear(config.mlp_width, width)
        renamed = {
            key.replace("attention.in_proj.", "attn.in_proj_")
            .replace("attention.", "attn.")
            .replace("mlp.", ""): value
            for key, value in state.items()
        }
        self.load_state_dict(renamed)

    def forward(self, x_NBD: Tensor, mask_NN: Tensor | None) -> Tensor:
        """Apply the block to (N, B, D) tokens."""
        normed = self.norm_1(x_NBD)
        mixed, _ = self.attn(normed, normed, normed, need_weights=False, attn_mask=mask_NN)
        x_NBD = x_NBD + mixed
        hidden = F.gelu(self.fc1(self.norm_2(x_NBD)))
        return x_NBD + F.linear(hidden, self.fc2.weight, self.fc2.bias)


class PlainTower(nn.Module):
    """The baseline: a straightforward float32 implementation."""

    def __init__(self, tower: Tower) -> None:
        super().__init__()
        trunk = tower.config.trunk
        self.tower = tower
        self.blocks = nn.ModuleList(
            PlainBlock(trunk, block.state_dict()) for block in tower.trunk.blocks
        )

    def forward(self, x: Tensor) -> Tensor:
        """Embed a batch."""
        tower = self.tower
        tokens_BND = tower.stem(x)
        if tower.trunk.pre_norm is not None:
            tokens_BND = tower.trunk.pre_norm(tokens_BND)
        count, mask_NN = tokens_BND.shape[1], None
        if tower.config.trunk.causal:
            mask_NN = torch.full((count, count), -torch.inf).triu(1)
        x_NBD = tokens_BND.transpose(0, 1).contiguous()
        for block in self.blocks:
            x_NBD = block(x_NBD, mask_NN)
        normed_BND = tower.head.norm(x_NBD.transpose(0, 1))
        at_B = x.argmax(-1) if tower.config.trunk.causal else torch.zeros(len(x), dtype=torch.long)
        chosen_BD = normed_BND[torch.arange(len(x)), at_B]
        return F.linear(chosen_BD, tower.state_dict()["head.proj.weight"])


def main() -> None:
    """Measure all towers and print a Markdown row for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--towers", nargs="+", default=list(CASES), choices=list(CASES))
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, batch {options.batch}")
    peaks = {dtype: peak_gflops(dtype) for dtype in (torch.float32, torch.bfloat16)}
    print("peaks: " + ", ".join(f"{d} {c:.0f} GFLOP/s" for d, c in peaks.items()))
    print("| tower | baseline s/item | float32 | bfloat16 | ratio float32 | ratio bfloat16 "
          "| of peak bfloat16 | cosine bfloat16 |\n|" + "---|" * 8)  # fmt: skip
    for name in options.towers:
        print(measure(name, options.batch, options.rounds, peaks[torch.bfloat16]), flush=True)


@torch.inference_mode()
def measure(name: str, batch: int, rounds: int, peak: float) -> str:
    """Time one tower; return its row of the table."""
    config, clips, make = CASES[name]
    exact = initialize(Tower(config), torch.Generator().manual_seed(0)).eval()
    half = Tower(config).eval()
    half.load_state_dict(exact.state_dict())
    half.to(torch.bfloat16)
    plain = PlainTower(exact).eval()
    x = make(batch * clips)
    x_half = x.to(torch.bfloat16) if x.is_floating_point() else x
    sides = {"plain": lambda: plain(x), "f32": lambda: exact(x), "bf16": lambda: half(x_half)}
    best = best_times(sides, rounds)
    cosine = F.cosine_similarity(half(x_half).float(), plain(x), dim=-1).min().item()
    tokens = TEXT_TOKENS if config.trunk.causal else exact.stem(x[:1]).shape[1]
    share = batch * clips * gflop(config.trunk, tokens) / best["bf16"] / peak
    per_item = {side: seconds / batch for side, seconds in best.items()}
    return (
        f"| {name} | {per_item['plain']:.4f} | {per_item['f32']:.4f} | {per_item['bf16']:.4f} "
        f"| {best['plain'] / best['f32']:.2f} | {best['plain'] / best['bf16']:.2f} "
        f"| {share:.0%} | {cosine:.5f} |"
    )


def best_times(
    sides: Mapping[str, Callable[[], object]],
    rounds: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Run all sides alternately; return the seconds of each one's best round."""
    best = dict.fromkeys(sides, float("inf"))
    for _ in range(rounds):
        for side, run in sides.items():
            start = clock()
            run()
            best[side] = min(best[side], clock() - start)
    return best


def gflop(trunk: TrunkConfig, tokens: int) -> float:
    """Return a trunk's operations for one sample, in units of 1e9."""
    weights = trunk.width * (4 * trunk.width + 2 * trunk.mlp_width)
    return 2e-9 * trunk.depth * tokens * (weights + 2 * tokens * trunk.width)


@torch.inference_mode()
def peak_gflops(dtype: torch.dtype) -> float:
    """Measure a large matrix product, as `F.linear` runs it."""
    x, weight = torch.randn(2048, 1280).to(dtype), torch.randn(5120, 1280).to(dtype)
    seconds = best_times({"linear": lambda: F.linear(x, weight)}, 10)["linear"]
    return 2e-9 * x.shape[0] * weight.numel() / seconds


def patches(
    channels: int, kernel: int, stride: int, size: tuple[int, int], frames: int = 1
) -> PatchStem:
    return PatchStem(
        channels=channels,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        size=size,
        frames=frames,
        norm=frames == 1,
    )


def make_ids(batch: int) -> Tensor:
    ids_BN = torch.zeros(batch, 77, dtype=torch.long)
    ids_BN[:, : TEXT_TOKENS - 1] = torch.randint(1, 49406, (batch, TEXT_TOKENS - 1))
    ids_BN[:, TEXT_TOKENS - 1] = 49407
    return ids_BN


def tower(
    stem: PatchStem | TokenStem | WindowStem, width: int, depth: int, heads: int
) -> TowerConfig:
    is_video = isinstance(stem, PatchStem) and stem.frames > 1
    causal = isinstance(stem, TokenStem)
    trunk = TrunkConfig(
        width=width,
        depth=depth,
        heads=heads,
        pre_norm=is_video,
        causal=causal,
        bias_kv=not (is_video or causal),
    )
    head = HeadConfig(embed_dim=1024, pool="eot" if causal else "cls")
    return TowerConfig(stem=stem, trunk=trunk, head=head)


# name → config, clips per item, function that makes the input for a number of clips
CASES: dict[str, tuple[TowerConfig, int, Callable[[int], Tensor]]] = {
    "image": (
        tower(patches(3, 14, 14, (224, 224), frames=2), 1280, 32, 16),
        1,
        lambda n: torch.randn(n, 3, 224, 224),
    ),
    "text": (
        tower(TokenStem(vocabulary=49408, context=77), 1024, 24, 16),
        1,
        make_ids,
    ),
    "audio": (
        tower(patches(1, 16, 10, (128, 204)), 768, 12, 12),
        3,
        lambda n: torch.randn(n, 1, 128, 204),
    ),
    "thermal": (
        tower(patches(1, 16, 16, (224, 224)), 768, 12, 12),
        1,
        lambda n: torch.randn(n, 1, 224, 224),
    ),
    "depth": (
        tower(patches(1, 16, 16, (224, 224)), 384, 12, 8),
        1,
        lambda n: torch.randn(n, 1, 224, 224),
    ),
    "imu": (
        tower(WindowStem(channels=6, kernel=8, steps=2000), 512, 6, 8),
        1,
        lambda n: torch.randn(n, 6, 2000),
    ),
}


if __name__ == "__main__":
    main()
