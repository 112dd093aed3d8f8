"""The log of a run as one image."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from openbind.atomic import atomic_path
from openbind.errors import MissingExtraError


def draw_curves(lines: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Draw loss, rate and retrieval over the steps, one color for each pair.

    Args:
        lines: of a run's log.
        path: of the PNG.

    Raises:
        MissingExtraError: matplotlib isn't there.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing curves", "matplotlib", "train") from error

    curves = _collect(lines)
    figure = Figure(figsize=(12, 3.6), layout="constrained")
    for place, (title, series) in enumerate(curves.items(), start=1):
        axes = figure.add_subplot(1, len(curves), place)
        for name, points in sorted(series.items()):
            steps, values = zip(*points, strict=True)
            axes.plot(steps, values, label=name, marker="." if len(points) < 30 else "")
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        if series:
            axes.legend(fontsize="x-small")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=120, format="png")


def _collect(lines: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Sort numbers into curves: title → name → (step, value)."""
    curves: dict[str, dict[str, list[tuple[int, float]]]] = {
        "loss": {},
        "learning rate": {},
        "validation, R@1": {},
    }

    def add(title: str, name: str, step: int, value: float) -> None:
        curves[title].setdefault(name, []).append((step, value))

    for line in lines:
        step = int(line["step"])
        if "loss" in line:
            add("loss", str(line["pair"]), step, float(line["loss"]))
            add("learning rate", "lr", step, float(line["lr"]))
        for numbers in line.get("validation", {}).values():
            for name, value in numbers.items():
                if name.endswith("R@1"):
                    add("validation, R@1", name, step, float(value))
    return curves
