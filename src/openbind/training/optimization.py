"""How weights move: AdamW, a warm-up and a cosine, clipped gradients."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Optimizer, rates and length of a run.

    The rate rises linearly and falls along half a cosine. The paper gives AdamW, its betas, the
    peak and two epochs of warm-up (Table 9), not how the rate falls; the cosine is the field's
    convention.

    Args:
        rate: the peak learning rate.
        weight_decay: AdamW's, of weights that multiply (see `group_parameters`).
        betas, eps: AdamW's; the betas are Table 9's.
        epochs: length in passes over the data, or
        steps: in steps; exactly one of the two.
        warmup_epochs, warmup_steps: of the linear rise, at most one of the two.
        clip: largest norm of the gradient; None clips nothing.
        final_rate_share: the rate falls towards this share of the peak.
        ema: decay of an exponential moving average of the weights, which the result then gets;
            None keeps none.
    """

    rate: float
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    epochs: float | None = None
    steps: int | None = None
    warmup_epochs: float | None = None
    warmup_steps: int | None = None
    clip: float | None = None
    final_rate_share: float = 0.0
    ema: float | None = None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of epochs and steps")
        if self.warmup_epochs is not None and self.warmup_steps is not None:
            raise ValueError("give at most one of warmup_epochs and warmup_steps")
        if self.warmup_epochs is not None and self.epochs is None:
            raise ValueError("a length in steps needs warmup_steps, found warmup_epochs")
        for name in ("rate", "eps", "epochs", "steps", "clip"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number greater than 0, found {value}")
        for name in ("weight_decay", "warmup_epochs", "warmup_steps"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name}: expected a number of at least 0, found {value}")
        for name, value in (("betas", self.betas[0]), ("betas", self.betas[1]), ("ema", self.ema)):
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"{name}: expected a number in [0, 1), found {value}")
        if not 0 <= self.final_rate_share <= 1:
            raise ValueError(
                f"final_rate_share: expected a share in [0, 1], found {self.final_rate_share}"
            )

    def describe(self) -> str:
        """The length in words."""
        return f"{self.steps} steps" if self.steps is not None else f"{self.epochs:g} epochs"

    def total_steps(self, steps_per_epoch: float) -> int:
        """Length of the run in steps, at least 1.

        Args:
            steps_per_epoch: steps of one pass over the data.
        """
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(round(self.epochs * steps_per_epoch), 1)

    def rise_steps(self, total: int) -> int:
        """Length of the warm-up in steps, of a run of `total` steps."""
        if self.warmup_epochs is not None and self.epochs is not None:
            return min(round(total * self.warmup_epochs / self.epochs), total)
        return min(self.warmup_steps or 0, total)


def rate_at(step: int, schedule: Schedule, total: int) -> float:
    """Return the learning rate of a step.

    With w steps of warm-up and p = (step - w) / (total - w), the share of the peak is
    (step + 1) / w before w, then final + (1 - final) · (1 + cos πp) / 2: every step learns.

    Args:
        step: from 0 to total - 1.
        schedule: of the run.
        total: steps of the run, as `schedule.total_steps` gives them.
    """
    rise = schedule.rise_steps(total)
    if step < rise:
        return schedule.rate * (step + 1) / rise
    progress = min((step - rise) / max(total - rise, 1), 1.0)
    final = schedule.final_rate_share
    return schedule.rate * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


def group_parameters(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Part what is trained into weights that decay and the rest.

    Only weights that multiply decay: those of Linears, convolutions and tables of ids. Biases,
    norms, cls tokens, positions, learned keys and temperatures don't. The paper doesn't say; it is
    the field's convention.

    Args:
        model: whatever is trained; what needs no gradient is excluded.
        weight_decay: of the first group.

    Returns:
        groups for an optimizer, empty ones excluded.
    """
    decaying: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            multiplies = name.endswith("weight") and parameter.ndim >= 2
            (decaying if multiplies else free).append(parameter)
    groups = [
        {"params": decaying, "weight_decay": weight_decay},
        {"params": free, "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def build_optimizer(model: nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    """Make AdamW for all that is trained in a model; `take_step` sets its rate.

    Raises:
        ValueError: nothing in the model needs a gradient.
    """
    groups = group_parameters(model, schedule.weight_decay)
    if not groups:
        raise ValueError("nothing in the model is trained: no parameter needs a gradient")
    # One pass over the weights in place of ten.
    return torch.optim.AdamW(
        groups, lr=schedule.rate, betas=schedule.betas, eps=schedule.eps, fused=True
    )


def take_step(optimizer: torch.optim.Optimizer, rate: float, clip: float | None) -> torch.Tensor:
    """Clip the gradients, move the weights by them, and drop them.

    Args:
        optimizer: of the weights, whose gradients are there.
        rate: learning rate of this step.
        clip: largest norm of the gradient, all weights together; None clips nothing.

    Returns:
        the norm of the gradient before clipping, a scalar tensor.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, math.inf if clip is None else clip)
    for group in optimizer.param_groups:
        group["lr"] = rate
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
