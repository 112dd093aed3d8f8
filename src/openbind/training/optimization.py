"""AdamW, a learning rate with warm-up and cosine decay, clipped gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn

from openbind.errors import ConfigError, shorten


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """Optimizer, learning rate and length of a run.

    The learning rate rises linearly and falls along half a cosine. The paper gives AdamW, its
    betas, the peak and two epochs of warm-up (Table 9), not the decay; the cosine is customary.

    Args:
        lr: the peak learning rate.
        weight_decay: AdamW's, of weight matrices (see `group_parameters`).
        betas, eps: AdamW's; the betas are Table 9's.
        epochs: length in passes over the data, or
        steps: in steps; exactly one of the two.
        warmup_epochs, warmup_steps: length of the linear rise, at most one of the two.
        max_grad_norm: gradients are clipped to this norm; None doesn't clip.
        min_lr_ratio: the learning rate at the end, as a fraction of the peak.
        lr_factors: pattern of weights' names, such as "*mixture.weight" → factor of their learning
            rate; of several that match, the first counts. Others have 1.
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
    lr_factors: dict[str, float] = field(default_factory=dict)
    ema_decay: float | None = None

    def __post_init__(self) -> None:
        if (self.epochs is None) == (self.steps is None):
            raise ValueError("expected exactly one of epochs and steps")
        if self.warmup_epochs is not None and self.warmup_steps is not None:
            raise ValueError("expected at most one of warmup_epochs and warmup_steps")
        if self.warmup_epochs is not None and self.epochs is None:
            raise ValueError("with steps the warm-up is warmup_steps, found warmup_epochs")
        for name in ("lr", "eps", "epochs", "steps", "max_grad_norm"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise ValueError(f"{name}: expected a number greater than 0, found {value}")
        for name in ("weight_decay", "warmup_epochs", "warmup_steps"):
            value = getattr(self, name)
            if value is not None and not 0 <= value < math.inf:
                raise ValueError(f"{name}: expected a number of at least 0, found {value}")
        for name, values in (("betas", self.betas), ("ema_decay", (self.ema_decay,))):
            if not all(value is None or 0 <= value < 1 for value in values):
                raise ValueError(f"{name}: expected numbers in [0, 1), found {values}")
        for pattern, factor in self.lr_factors.items():
            if not 0 < factor < math.inf:
                raise ValueError(f"lr_factors: {pattern}: expected above 0, found {factor}")
        if not 0 <= self.min_lr_ratio <= 1:
            raise ValueError(
                f"min_lr_ratio: expected a fraction in [0, 1], found {self.min_lr_ratio}"
            )

    def describe(self) -> str:
        """Return the length as text."""
        return f"{self.steps} steps" if self.steps is not None else f"{self.epochs:g} epochs"

    def total_steps(self, steps_per_epoch: float) -> int:
        """Return the length of the run in steps, at least 1."""
        if self.steps is not None:
            return self.steps
        assert self.epochs is not None
        return max(round(self.epochs * steps_per_epoch), 1)

    def count_warmup(self, total: int) -> int:
        """Return the length of the warm-up in steps, for a run of `total` steps."""
        if self.warmup_epochs is not None and self.epochs is not None:
            return min(round(total * self.warmup_epochs / self.epochs), total)
        return min(self.warmup_steps or 0, total)


def lr_at(step: int, schedule: Schedule, total: int) -> float:
    """Return the learning rate of a step.

    With w steps of warm-up and p = (step - w) / (total - w), it is the peak times (step + 1) / w
    before w, then times ratio + (1 - ratio) · (1 + cos πp) / 2; it is never 0.

    Args:
        step: from 0 to total - 1.
        schedule: of the run.
        total: steps of the run; see `Schedule.total_steps`.
    """
    warmup = schedule.count_warmup(total)
    if step < warmup:
        return schedule.lr * (step + 1) / warmup
    progress = min((step - warmup) / max(total - warmup, 1), 1.0)
    ratio = schedule.min_lr_ratio
    return schedule.lr * (ratio + (1 - ratio) * (1 + math.cos(math.pi * progress)) / 2)


def group_parameters(
    model: nn.Module, weight_decay: float, factors: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Split the trained parameters by weight decay and factor of the learning rate.

    Only weight matrices decay: of Linears, convolutions and embedding tables. Biases, norms, cls
    tokens, positions, learned keys and temperatures don't. The paper doesn't say; this is usual.

    Args:
        model: parameters without gradients are excluded.
        weight_decay: of the groups that decay, which come first.
        factors: see `Schedule.lr_factors`.

    Returns:
        groups for an optimizer, without empty ones; `factor` is of their learning rate.

    Raises:
        ConfigError: no trained parameter matches a pattern.
    """
    factors, unused = factors or {}, set(factors or ())
    groups: dict[tuple[bool, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            multiplies = name.endswith("weight") and parameter.ndim >= 2
            pattern = next((p for p in factors if fnmatchcase(name, p)), None)
            unused.discard(pattern or "")
            factor = 1.0 if pattern is None else factors[pattern]
            groups.setdefault((not multiplies, factor), []).append(parameter)
    if unused:
        names = [name for name, value in model.named_parameters() if value.requires_grad]
        raise ConfigError(
            f"schedule.lr_factors: nothing matches {shorten(min(unused))}; there are "
            f"{', '.join(names[:20])}"
        )
    return [
        {"params": found, "weight_decay": 0.0 if free else weight_decay, "factor": factor}
        for (free, factor), found in sorted(groups.items(), key=lambda group: group[0])
    ]


def build_optimizer(model: nn.Module, schedule: Schedule) -> torch.optim.AdamW:
    """Return AdamW for all trained parameters of a model; `take_step` sets its learning rate.

    Raises:
        ValueError: no parameter of the model needs a gradient.
    """
    groups = group_parameters(model, schedule.weight_decay, schedule.lr_factors)
    if not groups:
        raise ValueError("nothing in the model is trained: no parameter needs a gradient")
    # Fused: one pass over the weights instead of ten.
    optimizer = torch.optim.AdamW(
        groups, lr=schedule.lr, betas=schedule.betas, eps=schedule.eps, fused=True
    )
    # The initial state that AdamW would create at a weight's first gradient. Created here, every
    # checkpoint has a state of each weight, those of a tower that no batch has reached yet too.
    for weight in (weight for group in groups for weight in group["params"]):
        optimizer.state[weight] = {
            "step": torch.zeros((), dtype=torch.float32, device=weight.device),
            "exp_avg": torch.zeros_like(weight, memory_format=torch.preserve_format),
            "exp_avg_sq": torch.zeros_like(weight, memory_format=torch.preserve_format),
        }
    return optimizer


def take_step(
    optimizer: torch.optim.Optimizer, lr: float, max_grad_norm: float | None
) -> torch.Tensor:
    """Clip the gradients, update the weights and delete the gradients.

    Args:
        optimizer: of weights with gradients.
        lr: learning rate of this step, which a group's `factor` multiplies.
        max_grad_norm: limit of the norm of all gradients together; None doesn't clip.

    Returns:
        the norm before clipping, a scalar tensor.
    """
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    limit = math.inf if max_grad_norm is None else max_grad_norm
    norm = nn.utils.clip_grad_norm_(parameters, limit)
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("factor", 1.0)
    optimizer.step()
    for parameter in parameters:
        parameter.grad = None
    return norm
