"""The result of a run: the starting space with the trained towers, and its card."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from openbind.checkpoints.adapters import hash_tower, save_adapters
from openbind.configs import from_dict
from openbind.errors import ConfigError
from openbind.evaluation.metrics import fraction_interval
from openbind.modalities import MODALITIES
from openbind.space.card import Card, Measurement, Source, is_permissive
from openbind.space.config import Binding, SpaceConfig, TowerSpec
from openbind.space.space import Space
from openbind.training.lora import adapters_of, as_peft
from openbind.training.recipe import PairPlan, Recipe
from openbind.training.state import RunFolder
from openbind.training.trained_tower import TrainedTower
from openbind.training.validation import Retrieval

UNSTATED = "The license of {}, which the space was trained onto, isn't stated."


def finished_space(
    start: Space,
    name: str,
    trained_towers: Mapping[str, TrainedTower],
    weights: Mapping[str, Mapping[str, Tensor]],
    scales: Mapping[str, float],
) -> Space:
    """Return a space with the trained towers, on their device.

    Args:
        start: the starting space; not modified.
        name: of the new one.
        trained_towers: modality → its tower.
        weights: modality → state of its tower, see `TrainedTower.state`.
        scales: modality → logit scale.
    """
    towers = {m: (t.spec, t.finished_tower(weights[m])) for m, t in trained_towers.items()}
    settings = {modality: tower.settings for modality, tower in trained_towers.items()}
    return extend_space(start, name, towers, settings, scales)


def extend_space(
    space: Space,
    name: str,
    towers: Mapping[str, tuple[TowerSpec, torch.nn.Module]],
    settings: Mapping[str, Any],
    scales: Mapping[str, float],
) -> Space:
    """Return a space with some modalities' towers added or replaced.

    Args:
        space: the starting one; not modified.
        name: of the new one.
        towers: modality → its spec and network.
        settings: modality → its preprocessing.
        scales: modality → logit scale.
    """
    specs, bindings = dict(space.config.towers), dict(space.config.modalities)
    modules = dict(space.towers)
    for modality, (spec, module) in towers.items():
        tower = MODALITIES.get(modality).tower
        shared = [m for m, b in bindings.items() if b.tower == tower and m != modality]
        # A tower shared with other modalities stays theirs.
        tower = f"{tower}_{modality}" if shared else tower
        specs[tower], modules[tower] = spec, module
        bindings[modality] = Binding(
            tower=tower, settings=settings[modality], scale=scales[modality]
        )
    used = {binding.tower for binding in bindings.values()}
    config = SpaceConfig(
        name=name,
        dim=space.dim,
        towers={tower: spec for tower, spec in specs.items() if tower in used},
        modalities=bindings,
        dtype=space.config.dtype,
    )
    kept = {tower: module for tower, module in modules.items() if tower in used}
    return Space(config, kept, space.card, space.folder)


def write_adapters(
    folder: RunFolder,
    start: Space,
    result: Space,
    trained_towers: Mapping[str, TrainedTower],
    weights: Mapping[str, Mapping[str, Tensor]],
) -> None:
    """Write the adapters of the towers that were trained by LoRA, by themselves.

    Args:
        folder: of the run.
        start: the space that they adapt.
        result: the trained one.
        trained_towers: modality → its tower.
        weights: modality → state of its tower.
    """
    for modality, tower in trained_towers.items():
        if tower.plan.train == "lora":
            old, binding = (space.config.modalities[modality] for space in (start, result))
            save_adapters(
                folder.adapters / modality,
                adapters_of(weights[modality]),
                as_peft(tower.plan.lora),
                modality,
                binding,
                hash_tower(start.config.towers[old.tower], start.towers[old.tower]),
            )


def write_card(
    space: Space, recipe: Recipe, start: Space, results: Sequence[Retrieval], rows: int
) -> Card:
    """Return the card of a result: its sources, trained pairs, and measurements.

    Args:
        space: the result.
        recipe: of the run.
        start: the starting space.
        results: retrieval on validation rows, of modalities trained together and of others.
        rows: number of training rows.
    """
    card = start.card
    trained = {tuple(plan.pair) for plan in recipe.pairs}
    retrained = {plan.pair[1] for plan in recipe.pairs}
    kept = [pair for pair in card.trained_pairs if not retrained & set(pair)]
    pairs = (*kept, *sorted(trained))
    together = {frozenset(pair) for pair in pairs}
    emergent = [f"{a}–{b}" for a, b in combinations(space.modalities, 2) if {a, b} not in together]
    summary = recipe.card.summary or (
        f"{start.name} with {' and '.join(sorted(retrained))} bound to it on {rows:,} pairs "
        f"({recipe.schedule.describe()}, batch size {recipe.batch_size}, seed {recipe.seed})."
    )
    if emergent:
        summary += f" Emergent, never trained together: {', '.join(emergent)}."
    sources = [from_dict(Source, dict(source), "card.data") for source in recipe.card.data]
    sources = sources or [_unstated_source(plan) for plan in recipe.pairs]
    replaced = {name for name, plan in recipe.towers.items() if plan.start == "scratch"}
    valid = [source for source in card.sources if not _only_of(source.use, replaced)]
    return replace(
        card,
        summary=summary,
        license=recipe.card.license or card.license,
        trained_pairs=tuple((a, b) for a, b in pairs),
        sources=(*valid, *(s for s in sources if s not in valid)),
        measurements=(
            *_still_valid(card, retrained & set(start.modalities)),
            *_measurements(results),
        ),
        unrelated=tuple(own for own in card.unrelated if not retrained & set(own.modalities)),
        limits=(
            *(limit for limit in card.limits if not _begins_with(limit, retrained)),
            *([] if card.license or not recipe.card.license else [UNSTATED.format(start.name)]),
            *(limit for limit in recipe.card.limits if limit not in card.limits),
        ),
    )


def check_license(recipe: Recipe, start: Space) -> None:
    """Refuse a permissive license of a result whose starting space has a stricter one.

    Raises:
        ConfigError: the starting space's license is known, and isn't permissive.
    """
    stated = start.card.license
    if stated and is_permissive(recipe.card.license) and not is_permissive(stated):
        raise ConfigError(
            f"card.license: {recipe.card.license}, but {start.name} has the license {stated}, "
            "which permits less; without one it is kept; or state one that both allow"
        )


def _unstated_source(plan: PairPlan) -> Source:
    """Return an entry for a pair's data where the recipe says nothing about them."""
    use = f"{'-'.join(plan.pair)} pairs"
    return Source(name=f"data of the recipe's {plan.name}", use=use, license="", origin="")


def _only_of(use: str, replaced: set[str]) -> bool:
    """Return whether a source served only towers that aren't there any more.

    What it served is read from its `use`: "audio tower", "image-audio and text-audio pairs". A pair
    is of the modality that was trained, whose tower is replaced.
    """
    uses = re.findall(r"[\w-]+(?= tower)|\w+-\w+", use)
    found = [set(use.split("-")) & {*MODALITIES.names(), *replaced} for use in uses]
    known = [modalities for modalities in found if modalities]
    return bool(known) and all(modalities & replaced for modalities in known)


def _begins_with(limit: str, modalities: set[str]) -> bool:
    """Return whether a limit is about a modality, which is how it begins then."""
    return limit.partition(" ")[0].strip(",:").lower() in modalities


def _still_valid(card: Card, replaced: set[str]) -> list[Measurement]:
    """Return the starting space's measurements that no replaced tower affects.

    A measurement without modalities may depend on any tower.
    """
    if not replaced:
        return list(card.measurements)
    return [m for m in card.measurements if m.modalities and not replaced & set(m.modalities)]


def _measurements(results: Sequence[Retrieval]) -> list[Measurement]:
    return [
        Measurement(
            task=metric.rpartition(" ")[0],
            metric=metric.rpartition(" ")[2],
            value=value,
            interval=fraction_interval(value, result.queries(metric)),
            count=result.queries(metric),
            chance=result.chance[metric],
            data=f"{result.rows} validation rows, {result.items} items; "
            + ("trained together" if result.together else "never trained together"),
            modalities=result.pair,
        )
        for result in results
        for metric, value in result.recall.items()
    ]
