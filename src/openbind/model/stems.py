"""Stems: from patches, ids or windows to tokens with positions."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from openbind.errors import InputError
from openbind.model.config import PatchStem, TokenStem, WindowStem
from openbind.model.linear import linear


class Patches(nn.Module):
    """Patches of a grid, in row-major order (frames first, then rows, then columns).

    Positions are interpolated for other input sizes than the trained one (`resize_grid`). Clips of
    more frames than a patch repeat the spatial positions for each step in time, because the
    positions were trained with one step.
    """

    def __init__(self, config: PatchStem, width: int) -> None:
        super().__init__()
        self.config = config
        self.grid = self.grid_of(config.size)
        temporal = (config.frames,) if config.frames > 1 else ()
        self.weight = nn.Parameter(torch.zeros(width, config.channels, *temporal, *config.kernel))
        self.bias = nn.Parameter(torch.zeros(width)) if config.bias else None
        self.norm = nn.LayerNorm(width, eps=config.norm_eps) if config.norm else None
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width)) if config.cls_token else None
        count = self.grid[0] * self.grid[1] + config.cls_token
        self.positions = nn.Parameter(torch.zeros(1, count, width))

    def forward(self, x: Tensor) -> Tensor:
        """Project patches.

        Args:
            x: (B, C, H, W), or (B, C, T, H, W) for stems that span several frames; T is 1 or a
                multiple of `config.frames`. A still input counts as that many equal frames.

        Returns:
            (B, N, D), the cls token first if there is one.

        Raises:
            InputError: another number of axes or channels, fewer pixels than one patch, or a
                number of frames that the stem can't group.
        """
        self._check(x)
        patches_BDTHW = (
            self._embed_still(x) if x.ndim == 4 or x.shape[2] == 1 else self._embed_clip(x)
        )
        grid, steps = patches_BDTHW.shape[3:], patches_BDTHW.shape[2]
        tokens_BND = patches_BDTHW.flatten(2).transpose(1, 2)
        if self.norm is not None:
            tokens_BND = self.norm(tokens_BND)
        if self.cls_token is not None:
            tokens_BND = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), tokens_BND], dim=1)
        return tokens_BND + self._positions_for((grid[0], grid[1]), steps)

    def _embed_still(self, x: Tensor) -> Tensor:
        """Embed equal frames by the kernel's sum over time: exactly one 2-D convolution."""
        weight = self.weight.sum(dim=2) if self.weight.ndim == 5 else self.weight
        frame_BCHW = x if x.ndim == 4 else x[:, :, 0]
        return F.conv2d(frame_BCHW, weight, self.bias, self.config.stride).unsqueeze(2)

    def _embed_clip(self, x_BCTHW: Tensor) -> Tensor:
        stride = (self.config.frames, *self.config.stride)
        return F.conv3d(x_BCTHW, self.weight, self.bias, stride)

    def _positions_for(self, grid: tuple[int, int], steps: int) -> Tensor:
        if grid == self.grid and steps == 1:
            return self.positions
        first = 0 if self.cls_token is None else 1
        spatial_1ND = resize_grid(self.positions[:, first:], self.grid, grid)
        return torch.cat([self.positions[:, :first], spatial_1ND.repeat(1, steps, 1)], dim=1)

    def grid_of(self, size: tuple[int, int]) -> tuple[int, int]:
        """Return the rows and columns of patches of an input of so many rows and columns."""
        (rows, columns), (down, right) = self.config.kernel, self.config.stride
        return (size[0] - rows) // down + 1, (size[1] - columns) // right + 1

    def _check(self, x: Tensor) -> None:
        config = self.config
        axes = "(B, C, H, W)" + (" or (B, C, T, H, W)" if config.frames > 1 else "")
        if x.ndim != 4 and not (x.ndim == 5 and config.frames > 1):
            raise InputError(x, f"expected {axes}")
        if x.shape[1] != config.channels:
            raise InputError(x, f"expected {config.channels} channels in {axes}")
        if x.shape[-2] < config.kernel[0] or x.shape[-1] < config.kernel[1]:
            raise InputError(x, f"expected at least one patch of {config.kernel} pixels")
        if x.ndim == 5 and x.shape[2] != 1 and (x.shape[2] % config.frames or not x.shape[2]):
            raise InputError(x, f"expected 1 frame or a multiple of {config.frames} in {axes}")


class Tokens(nn.Module):
    """One learned vector per id, and one per position."""

    def __init__(self, config: TokenStem, width: int) -> None:
        super().__init__()
        self.config = config
        # A given weight isn't drawn, which would import PyTorch's compiler on the meta device.
        weight = torch.zeros(config.vocabulary, width)
        self.embedding = nn.Embedding.from_pretrained(weight, freeze=False)
        self.positions = nn.Parameter(torch.zeros(1, config.context, width))

    def forward(self, ids_BN: Tensor) -> Tensor:
        """Embed ids.

        Args:
            ids_BN: integers in [0, vocabulary), N at most the context.

        Returns:
            (B, N, D).

        Raises:
            InputError: not two axes of integers, or longer than the context.
        """
        self._check(ids_BN)
        embedded_BND: Tensor = self.embedding(ids_BN)
        return embedded_BND + self.positions[:, : ids_BN.shape[1]]

    def end_of(self, ids_BN: Tensor) -> Tensor:
        """Return the first position of each sequence's end token, (B,).

        Raises:
            InputError: as `forward`; a row without the end token.
        """
        self._check(ids_BN)
        if self.config.eot is None:
            return ids_BN.argmax(dim=-1)  # first position of the highest id
        ends_BN = ids_BN == self.config.eot
        if not torch.compiler.is_compiling() and not bool(ends_BN.any(dim=-1).all()):
            raise InputError(ids_BN, f"a row has no end token (id {self.config.eot})")
        return ends_BN.int().argmax(dim=-1)

    def _check(self, ids_BN: Tensor) -> None:
        if ids_BN.ndim != 2 or ids_BN.is_floating_point() or not ids_BN.shape[1]:
            raise InputError(ids_BN, "expected (B, N) integer ids")
        if ids_BN.shape[1] > self.config.context:
            raise InputError(ids_BN, f"expected at most {self.config.context} ids per row")


class Windows(nn.Module):
    """Adjacent windows of a time series; a remainder shorter than a window is dropped."""

    def __init__(self, config: WindowStem, width: int) -> None:
        super().__init__()
        self.config = config
        self.weight = nn.Parameter(torch.zeros(width, config.channels * config.kernel))
        self.norm = nn.LayerNorm(width, eps=config.norm_eps) if config.norm else None
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(torch.zeros(1, config.steps // config.kernel + 1, width))

    def forward(self, x_BCT: Tensor) -> Tensor:
        """Project windows.

        Args:
            x_BCT: time series of at least one window.

        Returns:
            (B, 1 + T // kernel, D), the cls token first.

        Raises:
            InputError: another number of axes or channels, or fewer steps than one window.
        """
        config = self.config
        if x_BCT.ndim != 3 or x_BCT.shape[1] != config.channels:
            raise InputError(x_BCT, f"expected (B, {config.channels}, T)")
        if x_BCT.shape[2] < config.kernel:
            raise InputError(x_BCT, f"expected at least {config.kernel} time steps")
        windows_BCNT = x_BCT.unfold(-1, config.kernel, config.kernel)
        tokens_BND = linear(windows_BCNT.transpose(1, 2).flatten(2), self.weight)
        if self.norm is not None:
            tokens_BND = self.norm(tokens_BND)
        positions_1ND = self._positions_for(tokens_BND.shape[1])
        cls_B1D = self.cls_token.expand(x_BCT.shape[0], -1, -1)
        return torch.cat([cls_B1D, tokens_BND], dim=1) + positions_1ND

    def _positions_for(self, windows: int) -> Tensor:
        trained = self.positions.shape[1] - 1
        if windows == trained:
            return self.positions
        resized_1ND = resize_line(self.positions[:, 1:], windows)
        return torch.cat([self.positions[:, :1], resized_1ND], dim=1)


def resize_grid(positions_1ND: Tensor, old: tuple[int, int], new: tuple[int, int]) -> Tensor:
    """Interpolate the positions of a grid for another, bicubic without antialiasing.

    Args:
        positions_1ND: (1, old rows · old columns, D).
        old, new: rows and columns of the grids, of any aspect ratio.

    Returns:
        (1, new rows · new columns, D) in the positions' precision, computed in float32; the
        input if the grids are equal.
    """
    if old == new:
        return positions_1ND
    grid_1DHW = positions_1ND.transpose(1, 2).reshape(1, -1, *old).float()
    resized_1DHW = F.interpolate(grid_1DHW, size=new, mode="bicubic", align_corners=False)
    return resized_1DHW.flatten(2).transpose(1, 2).to(positions_1ND.dtype)


def resize_line(positions_1ND: Tensor, count: int) -> Tensor:
    """Interpolate positions along a line: (1, count, D), linear, computed in float32."""
    line_1DN = positions_1ND.transpose(1, 2).float()
    resized_1DN = F.interpolate(line_1DN, size=count, mode="linear", align_corners=False)
    return resized_1DN.transpose(1, 2).to(positions_1ND.dtype)
