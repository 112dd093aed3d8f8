"""Stems: positions are interpolated for other sizes than the trained one."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from openbind.errors import InputError
from openbind.model.config import PatchStem, TokenStem, WindowStem
from openbind.model.stems import Patches, Tokens, Windows, resize_grid, resize_line

WIDTH = 8


def randomize(stem: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in stem.parameters():
        nn.init.normal_(parameter)
    return stem.eval()


def build_patches(**more: object) -> Patches:
    values: dict[str, object] = {"channels": 3, "kernel": (4, 4), "stride": (3, 4)}
    config = PatchStem(**{**values, "size": (13, 24), **more})  # type: ignore[arg-type]
    return randomize(Patches(config, WIDTH))  # type: ignore[return-value]


def expected_tokens(stem: Patches, patches_BND: Tensor) -> Tensor:
    normed = patches_BND if stem.norm is None else stem.norm(patches_BND)
    assert stem.cls_token is not None
    return torch.cat([stem.cls_token.expand(len(normed), -1, -1), normed], 1) + stem.positions


@pytest.mark.parametrize("norm", [False, True])
def test_patches(norm: bool) -> None:
    """Patches are a strided convolution, row-major, then norm, cls token and positions."""
    stem, x = build_patches(norm=norm), torch.randn(2, 3, 13, 24)
    patches_BND = F.conv2d(x, stem.weight, stride=(3, 4)).flatten(2).transpose(1, 2)
    assert patches_BND.shape[1] == 4 * 6
    torch.testing.assert_close(stem(x), expected_tokens(stem, patches_BND))


def test_still_is_a_repeated_frame() -> None:
    """A still input, a clip of one frame and a clip of equal frames are the same."""
    stem, x = build_patches(frames=2), torch.randn(2, 3, 13, 24)
    clip = x.unsqueeze(2).expand(-1, -1, 2, -1, -1)
    patches_BND = F.conv3d(clip, stem.weight, stride=(2, 3, 4)).flatten(2).transpose(1, 2)
    expected = expected_tokens(stem, patches_BND)
    for form in (x, x.unsqueeze(2), clip):
        torch.testing.assert_close(stem(form), expected, rtol=1e-4, atol=1e-4)


def test_long_clips_repeat_positions() -> None:
    """Each step in time of a longer clip has the tokens of that step alone."""
    stem, clip = build_patches(frames=2), torch.randn(1, 3, 6, 13, 24)
    tokens_BND = stem(clip)
    steps = [stem(clip[:, :, start : start + 2])[:, 1:] for start in (0, 2, 4)]
    torch.testing.assert_close(tokens_BND[:, 1:], torch.cat(steps, dim=1), rtol=1e-4, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(rows=st.integers(4, 40), columns=st.integers(4, 40), steps=st.integers(1, 3))
def test_any_size(rows: int, columns: int, steps: int) -> None:
    """Inputs of any size and aspect ratio have one token per patch."""
    stem = build_patches(frames=2)
    tokens_BND = stem(torch.randn(1, 3, 2 * steps, rows, columns))
    assert tokens_BND.shape == (1, 1 + steps * ((rows - 4) // 3 + 1) * (columns // 4), WIDTH)
    assert tokens_BND.isfinite().all()


def test_resize_grid() -> None:
    """Equal grids keep positions bit-exactly; others are bicubic, constants stay constant."""
    positions = torch.randn(1, 12, WIDTH)
    assert torch.equal(resize_grid(positions, (3, 4), (3, 4)), positions)
    image = positions.view(3, 4, WIDTH).permute(2, 0, 1)[None]
    expected = F.interpolate(image, size=(5, 2), mode="bicubic").flatten(2).transpose(1, 2)
    torch.testing.assert_close(resize_grid(positions, (3, 4), (5, 2)), expected)
    constant = resize_grid(torch.full((1, 12, 1), 0.5, dtype=torch.bfloat16), (3, 4), (7, 9))
    assert torch.equal(constant, torch.full((1, 63, 1), 0.5, dtype=torch.bfloat16))


def test_resize_line() -> None:
    """A ramp of positions stays a ramp between its ends."""
    ramp = torch.arange(4.0).view(1, 4, 1)
    assert resize_line(ramp, 8).flatten().tolist() == [0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3]


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((2, 3, 13), "expected .B, C, H, W."),
        ((2, 1, 13, 24), "3 channels"),
        ((2, 3, 3, 24), "at least one patch"),
        ((2, 3, 3, 13, 24), "multiple of 2"),
        ((2, 3, 0, 13, 24), "multiple of 2"),
    ],
)
def test_bad_grids(shape: tuple[int, ...], message: str) -> None:
    """Inputs that can't be split into patches are refused with what was expected."""
    with pytest.raises(InputError, match=message):
        build_patches(frames=2)(torch.zeros(shape))


def test_clips_need_a_stem_for_frames() -> None:
    """A stem of single frames refuses clips."""
    with pytest.raises(InputError, match=r"expected \(B, C, H, W\)$"):
        build_patches()(torch.zeros(1, 3, 2, 13, 24))


def test_windows() -> None:
    """Windows are a strided 1-D convolution, then norm, cls token and positions."""
    stem = randomize(Windows(WindowStem(channels=6, kernel=8, steps=40), WIDTH))
    x_BCT = torch.randn(2, 6, 40)
    windows_BND = F.conv1d(x_BCT, stem.weight.view(WIDTH, 6, 8), stride=8).transpose(1, 2)
    expected = torch.cat([stem.cls_token.expand(2, -1, -1), stem.norm(windows_BND)], 1)
    torch.testing.assert_close(stem(x_BCT), expected + stem.positions, rtol=1e-4, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(steps=st.integers(8, 100))
def test_any_length(steps: int) -> None:
    """Any length of at least one window works; a shorter remainder is ignored."""
    stem = randomize(Windows(WindowStem(channels=6, kernel=8, steps=40), WIDTH))
    x_BCT = torch.randn(1, 6, steps)
    tokens_BND = stem(x_BCT)
    assert tokens_BND.shape[1] == 1 + steps // 8
    assert torch.equal(tokens_BND, stem(x_BCT[..., : steps // 8 * 8]))


@pytest.mark.parametrize("shape", [(6, 40), (2, 5, 40), (2, 6, 7)])
def test_bad_series(shape: tuple[int, ...]) -> None:
    """Wrong axes, wrong channels and series shorter than a window are refused."""
    with pytest.raises(InputError):
        Windows(WindowStem(channels=6, kernel=8, steps=40), WIDTH)(torch.zeros(shape))


def test_tokens() -> None:
    """Ids become their vector plus their position's, at any length."""
    stem = randomize(Tokens(TokenStem(vocabulary=10, context=5), WIDTH))
    ids_BN = torch.tensor([[3, 9, 3]])
    expected = stem.embedding.weight[[3, 9, 3]] + stem.positions[0, :3]
    torch.testing.assert_close(stem(ids_BN)[0], expected)


def test_end_of_sequence() -> None:
    """Without an explicit id the first highest one ends a row; with one, its first occurrence."""
    ids_BN = torch.tensor([[1, 9, 9, 0], [1, 2, 3, 2]])
    assert Tokens(TokenStem(vocabulary=10, context=5), 2).end_of(ids_BN).tolist() == [1, 2]
    explicit = Tokens(TokenStem(vocabulary=10, context=5, eot=2), 2)
    assert explicit.end_of(ids_BN[1:]).tolist() == [1]
    with pytest.raises(InputError, match="id 2"):
        explicit.end_of(ids_BN)


@pytest.mark.parametrize(
    "ids", [torch.zeros(2, 6).long(), torch.zeros(2, 3), torch.zeros(3).long(), torch.zeros(2, 0)]
)
def test_bad_ids(ids: Tensor) -> None:
    """Rows longer than the context, fractions, single rows and empty rows are refused."""
    stem = Tokens(TokenStem(vocabulary=10, context=5), WIDTH)
    for use in (stem, stem.end_of):
        with pytest.raises(InputError):
            use(ids)
