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
        lr: the peak learning rate.
        weight_decay: AdamW's, of weights that multiply (see `group_parameters`).
        betas, eps: AdamW's; the betas are Table 9's.
        epochs: length in passes over the data, or
        steps: in steps; exactly one of the two.
        warmup_epochs, warmup_steps: of the linear rise, at most one of the two.
        max_grad_norm: largest norm of the gradient; None clips nothing.
        min_lr_ratio: the rate falls towards this share of the peak.
        ema_decay: of an exponential moving average of the weights, which the result then has;
            None computes none.
    """

    lr: float
    weight_decay: float = 0.05
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    epochs: float | None = None
    steps: int | None = None
    warmup_epochs: float | None = None
    warmup_steps: int | None = None
    max_grad_norm: float | None = None
    min_lr_ratio: float = 0.0
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("give exactly one of epochs and steps")
        if self.warmup_epochs is not None and self.warmup_steps is not None:
            raise ValueError("give at most one of warmup_epochs and warmup_steps")
        if self.warmup_epochs is not None and self.epochs is None:
            raise ValueError("a length in steps needs warmup_steps, found warmup_epochs")
        for name in ("lr", "eps", "epochs", "steps", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number greater than 0, found {value}")
        for name in ("weight_decay", "warmup_epochs", "warmup_steps"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name}: expected a number of at least 0, found {value}")
        ranges = [("betas", beta) for beta in self.betas] + [("ema_decay", self.ema_decay)]
        for name, value in ranges:
            if value is not None and not 0 <= value < 1:
                raise ValueError(f"{name}: expected a number in [0, 1), found {value}")
        if not 0 <= self.min_lr_ratio <= 1:
            raise ValueError(f"min_lr_ratio: expected a share in [0, 1], found {self.min_lr_ratio}")

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


def lr_at(step: int, schedule: Schedule, total: int) -> float:
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
        return schedule.lr * (step + 1) / rise
    progress = min((step - rise) / max(total - rise, 1), 1.0)
    final = schedule.min_lr_ratio
    return schedule.lr * (final + (1 - final) * (1 + math.cos(math.pi * progress)) / 2)


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
        groups, lr=schedule.lr, betas=schedule.betas, eps=schedule.eps, fused=True
    )


def take_step(
    optimizer: torch.optim.Optimizer, lr: float, max_grad_norm: float | None
) -> torch.Tensor:
    """Clip the gradients, move the weights by them, and drop them.

    Args:
        optimizer: of the weights, whose gradients are there.
        lr: learning rate of this step.
        max_grad_norm: largest norm of the gradient, all weights together; None clips nothing.

    Returns:
        the norm of the gradient before clipping, a scalar tensor.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    max_norm = math.inf if max_grad_norm is None else max_grad_norm
    norm = nn.utils.clip_grad_norm_(parameters, max_norm)
    for group in optimizer.param_groups:
        group["lr"] = lr
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return norm
