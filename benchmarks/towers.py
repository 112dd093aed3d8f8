"""Measure the towers' speed relative to plain float32 blocks with `torch.nn.MultiheadAttention`.

Method: both sides have the same random weights and run alternately in one process, so that other
load on the machine affects both; each side's best round counts. The baseline has the reference's
structure: sequence-first tokens, `nn.MultiheadAttention`, separate LayerNorm, Linear and GELU,
float32, every token through every block, all 77 positions of a text. Both share the stem, less than
1 % of the time. FLOPs are those of the linear layers and attention, two per multiply-add, for the
baseline's tokens; shares of the ceiling are ours, of a large product in the same precision
(`machine.py`). bfloat16 is measured only where the processor has instructions for it.

    python benchmarks/towers.py [--towers thermal text] [--batch 8] [--rounds 3]
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from flops import best_times, ceiling
from tables import print_heads, print_row
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
from openbind.model.precision import fastest_dtype
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
    dtypes = list(dict.fromkeys([torch.float32, fastest_dtype("cpu")]))
    peaks = {dtype: ceiling(dtype) for dtype in dtypes}
    columns = [
        head.format(str(dtype).removeprefix("torch."))
        for dtype in dtypes
        for head in ("{}, to the baseline", "of its ceiling", "cosine to the baseline")
    ]
    print(f"Batches of {options.batch}, {torch.get_num_threads()} threads:")
    print_heads("tower", "baseline", *columns)
    for name in options.towers:
        print_row(name, *measure(name, options.batch, options.rounds, peaks))


@torch.inference_mode()
def measure(name: str, batch: int, rounds: int, peaks: dict[torch.dtype, float]) -> list[str]:
    """Time one tower in some precisions; return the cells of its row."""
    config, clips, make = CASES[name]
    exact = initialize(Tower(config), torch.Generator().manual_seed(0)).eval()
    plain, x = PlainTower(exact).eval(), make(batch * clips)
    runs = {"plain": lambda: plain(x), **{str(d): _run(exact, x, d) for d in peaks}}
    best, expected = best_times(runs, rounds), plain(x)
    tokens = TEXT_TOKENS if config.trunk.causal else exact.stem(x[:1]).shape[1]
    operations = 1e9 * batch * clips * gflop(config.trunk, tokens)
    cells = [f"{best['plain'] / batch:.3f} s an item"]
    for dtype, peak in peaks.items():
        took = best[str(dtype)]
        cosine = float(F.cosine_similarity(runs[str(dtype)]().float(), expected).min())
        share = f"{operations / took / peak:.0%}"
        cells += [f"{best['plain'] / took:.1f} ×", share, f"{cosine:.5f}"]
    return cells


def _run(exact: Tower, x: Tensor, dtype: torch.dtype) -> Callable[[], Tensor]:
    """Return a function that runs a copy of a tower, in another precision."""
    if dtype == torch.float32:
        return lambda: exact(x)
    own = Tower(exact.config).eval()
    own.load_state_dict(exact.state_dict())
    own.to(dtype)
    own_x = x.to(dtype) if x.is_floating_point() else x
    return lambda: own(own_x)


def gflop(trunk: TrunkConfig, tokens: int) -> float:
    """Return a trunk's operations for one sample, in units of 1e9."""
    weights = trunk.width * (4 * trunk.width + 2 * trunk.mlp_width)
    return 2e-9 * trunk.depth * tokens * (weights + 2 * tokens * trunk.width)


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
