"""The card of a space: what it was made of and trained on, and the numbers measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Source:
    """Weights or data that a space was made from.

    Args:
        name: as its authors call it.
        use: what it is in this space ("text tower", "pairs image-audio").
        license: an SPDX name where there is one.
        origin: where it can be had: a package with its version, a paper, an address.
    """

    name: str
    use: str
    license: str
    origin: str


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One number, with what chance would give.

    Args:
        task: what was measured, in words.
        metric: "accuracy", "recall@1", ...
        value: the number.
        chance: what guessing gives, on the same scale.
        data: on which data, and how that was kept out of training.
        modalities: whose towers it speaks of; when one is retrained the number isn't true of it.
    """

    task: str
    metric: str
    value: float
    chance: float
    data: str
    modalities: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Card:
    """What a person should know before using a space.

    Args:
        summary: one paragraph.
        license: of the whole, as it may be used.
        trained_pairs: pairs of modalities that were trained together; all others are emergent.
        sources: weights and data that it was made from.
        measurements: numbers, with chance levels.
        limits: what it can't do, one sentence each.
    """

    summary: str = ""
    license: str = ""
    trained_pairs: tuple[tuple[str, str], ...] = ()
    sources: tuple[Source, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    limits: tuple[str, ...] = ()


def to_markdown(name: str, card: Card) -> str:
    """Write a card as the README of a model directory."""
    lines = [f"# {name}", "", card.summary, "", f"License: {card.license or 'not stated'}", ""]
    if card.trained_pairs:
        pairs = ", ".join(f"{a}–{b}" for a, b in card.trained_pairs)
        lines += [f"Trained together: {pairs}. Every other pair of modalities is emergent.", ""]
    if card.measurements:
        lines += ["| task | metric | value | chance | data |", "|---|---|---|---|---|"]
        lines += [
            f"| {m.task} | {m.metric} | {m.value:.3f} | {m.chance:.3f} | {m.data} |"
            for m in card.measurements
        ]
        lines.append("")
    if card.sources:
        lines += ["| made from | used as | license | where |", "|---|---|---|---|"]
        lines += [f"| {s.name} | {s.use} | {s.license} | {s.origin} |" for s in card.sources]
        lines.append("")
    if card.limits:
        lines += ["What it can't do:", "", *(f"- {limit}" for limit in card.limits), ""]
    return "\n".join(lines)
