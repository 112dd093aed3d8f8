"""The card of a space: sources, training data, results and limits; also as a Hub model card."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from openbind.errors import UnknownNameError
from openbind.space.calibration import Unrelated

LIBRARY = "openbind"
HUB = "hf:"
FROZEN = "frozen: "
"""How the use of a source begins whose weights are another model's, and not included."""
PERMISSIVE = frozenset(
    {
        *("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "isc", "cc0-1.0", "cc-by-4.0"),
        "unlicense",
    }
)
"""SPDX ids in lower case, of what one may use and change for any purpose."""
HUB_LICENSES = frozenset(
    {
        *("apache-2.0", "mit", "isc", "unlicense", "cc0-1.0", "mpl-2.0"),
        *("bsd-2-clause", "bsd-3-clause", "gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0"),
        *("cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0"),
        *("cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0"),
    }
)
"""SPDX ids in lower case that the Hugging Face Hub accepts as a model's `license`."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Weights or data that a space was built from.

    Args:
        name: its published name.
        use: its part in this space ("text tower", "pairs image-audio").
        license: an SPDX expression where there is one.
        origin: a package with its version, a paper, a URL, "hf:organization/model" or
            "hf:datasets/organization/name".
        items: file names of the items that were used, if not the whole data set was; evaluation
            skips them.
    """

    name: str
    use: str
    license: str
    origin: str
    items: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """One result, with the chance level.

    Args:
        task: what was measured.
        metric: "accuracy", "recall@1 of 600", ...
        value: the result.
        chance: the result of random guessing, on the same scale.
        data: the data set, then after a semicolon how it was held out from training.
        modalities: of the towers involved; the result becomes invalid when one is retrained.
        interval: of 95 %, from lowest to highest; None if it isn't known.
        count: of items or queries that were measured; 0 if it isn't known.
        unseen: whether it is about classes that were excluded from training, which is what emergent
            alignment is measured by.
    """

    task: str
    metric: str
    value: float
    chance: float
    data: str
    modalities: tuple[str, ...] = ()
    interval: tuple[float, float] | None = None
    count: int = 0
    unseen: bool = False


@dataclass(frozen=True, kw_only=True)
class Card:
    """What to know before using a space.

    Args:
        summary: one paragraph.
        license: of the whole space, as an SPDX expression where possible.
        trained_pairs: pairs of modalities that were trained together; all others are emergent.
        sources: weights and data that it was built from.
        measurements: results, with chance levels.
        limits: known limitations, one sentence each.
        unrelated: cosines of pairs that have nothing to do with each other, by pair of modalities.
        languages: of texts that it understands, as ISO 639-1 codes; empty if they aren't known.
    """

    summary: str = ""
    license: str = ""
    trained_pairs: tuple[tuple[str, str], ...] = ()
    sources: tuple[Source, ...] = ()
    measurements: tuple[Measurement, ...] = ()
    limits: tuple[str, ...] = ()
    unrelated: tuple[Unrelated, ...] = ()
    languages: tuple[str, ...] = ()

    @property
    def unseen(self) -> tuple[Measurement, ...]:
        """The measurements of classes that were excluded from training."""
        return tuple(m for m in self.measurements if m.unseen)

    def find_unrelated(self, a_modality: str, b_modality: str) -> Unrelated | None:
        """Return the cosines of unrelated pairs of two modalities; None if the card has none."""
        pair = frozenset((a_modality, b_modality))
        return next((own for own in self.unrelated if frozenset(own.modalities) == pair), None)

    def calibrate(self, a_modality: str, b_modality: str, cosines: Any) -> np.ndarray:
        """Return cosines in standard deviations above the mean of unrelated pairs.

        Unlike cosines, the results of different pairs of modalities can be compared. What
        unrelated items reach by chance is `find_unrelated(a, b).threshold(items)`.

        Raises:
            UnknownNameError: the card has no unrelated pairs of these modalities.
        """
        found = self.find_unrelated(a_modality, b_modality)
        if found is None:
            pairs = ["–".join(own.modalities) for own in self.unrelated]
            raise UnknownNameError("calibrated pair", f"{a_modality}–{b_modality}", pairs)
        return found.calibrate(np.asarray(cosines))


def is_permissive(license: str) -> bool:
    """Return whether a license, an SPDX expression, lets one use and change the work freely."""
    parts = [part.strip(" ()") for part in re.split(r"\bAND\b", license)]
    return all(part.lower() in PERMISSIVE for part in parts)


def find_stricter(card: Card) -> Source | None:
    """Return a frozen model that doesn't permit what a space's own license does; None if all do."""
    if not is_permissive(card.license):
        return None
    frozen = (source for source in card.sources if source.use.startswith(FROZEN))
    return next((source for source in frozen if not is_permissive(source.license)), None)


def to_model_card(name: str, modalities: Iterable[str], card: Card) -> str:
    """Return a card as the README.md of a model repository, with metadata for the Hub.

    Args:
        name: of the space.
        modalities: of the space.
        card: its card.

    Returns:
        YAML front matter (license, library, tags, base models, data sets, results), then Markdown.
    """
    from huggingface_hub import ModelCard, ModelCardData

    origins = [s.origin.removeprefix(HUB) for s in card.sources if s.origin.startswith(HUB)]
    datasets = [o.removeprefix("datasets/") for o in origins if o.startswith("datasets/")]
    base_models = [o for o in origins if not o.startswith("datasets/")]
    results = [_to_result(measurement) for measurement in card.measurements]
    license, license_name = _license_metadata(card.license)
    data = ModelCardData(
        license=license,
        license_name=license_name,
        language=[*card.languages] or None,
        library_name=LIBRARY,
        pipeline_tag="feature-extraction",
        tags=["embeddings", "multimodal", *modalities],
        base_model=base_models or None,
        datasets=datasets or None,
        model_name=name if results else None,
        eval_results=results or None,
    )
    return str(ModelCard(f"---\n{data.to_yaml()}\n---\n\n{_to_markdown(name, card)}"))


def _license_metadata(license: str) -> tuple[str | None, str | None]:
    """Return the Hub's `license` and `license_name`: an id it knows, else "other" with a name."""
    if not license:
        return None, None
    if license.lower() in HUB_LICENSES:
        return license.lower(), None
    return "other", _slug(license)


def _to_result(measurement: Measurement) -> Any:
    from huggingface_hub import EvalResult

    dataset = measurement.data.partition(";")[0].strip() or "not stated"
    is_recall = measurement.metric.startswith("recall")
    return EvalResult(
        task_type="retrieval" if is_recall else "zero-shot-classification",
        dataset_type=_slug(dataset),
        dataset_name=dataset,
        metric_type=re.split("[ ,]", measurement.metric)[0].replace("@", "_at_"),
        # The task is part of the name, because the Hub merges the tasks of one type and data set.
        metric_name=f"{measurement.task}: {measurement.metric}",
        metric_value=measurement.value,
    )


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text.lower()).strip("-")


def escape(text: str) -> str:
    """Return a text of a card as Markdown that shows it: one line, no HTML, links or formatting.

    Cards come with foreign checkpoints, and are written into a new model card.
    """
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*\[\]|!~])", r"\\\1", line)


def _interval(measurement: Measurement) -> str:
    if measurement.interval is None:
        return "–"
    low, high = measurement.interval
    return f"{low:.3f}–{high:.3f}"


def _to_markdown(name: str, card: Card) -> str:
    license = escape(card.license or "not stated")
    lines = [f"# {escape(name)}", "", escape(card.summary), "", f"License: {license}", ""]
    if card.trained_pairs:
        pairs = ", ".join(f"{escape(a)}–{escape(b)}" for a, b in card.trained_pairs)
        lines += [f"Trained pairs: {pairs}. All other pairs of modalities are emergent.", ""]
    if card.measurements:
        lines += ["## Results", ""]
        lines += [
            "| task | metric | value | 95 % | chance | n | data |",
            "|---|---|---|---|---|---|---|",
        ]
        lines += [
            f"| {escape(m.task)} | {escape(m.metric)} | {m.value:.3f} | {_interval(m)} "
            f"| {m.chance:.3f} | {m.count or '–'} | {escape(m.data)} |"
            for m in card.measurements
        ]
        lines.append("")
    if card.unrelated:
        lines += ["## Cosines of unrelated pairs", ""]
        lines += ["| pair | mean | deviation | 99 % are below | pairs |", "|---|---|---|---|---|"]
        lines += [
            f"| {'–'.join(map(escape, u.modalities))} | {u.mean:.3f} | {u.deviation:.3f} "
            f"| {u.high:.3f} | {u.count:,} |"
            for u in card.unrelated
        ]
        lines.append("")
    if card.sources:
        lines += ["## Sources", ""]
        lines += ["| name | use | license | origin |", "|---|---|---|---|"]
        cells = [(s.name, s.use, s.license, s.origin) for s in card.sources]
        lines += [f"| {' | '.join(map(escape, row))} |" for row in cells]
        lines.append("")
    if card.limits:
        lines += ["## Limitations", "", *(f"- {escape(limit)}" for limit in card.limits), ""]
    return "\n".join(lines)
