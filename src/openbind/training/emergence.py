"""Emergence while training: retrieval between modalities that no pair trains together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from openbind.data.listing import read_rows
from openbind.data.pairs import Row
from openbind.data.splits import choose_split
from openbind.data.table import tabulate
from openbind.embedding.many import Entry
from openbind.errors import ConfigError
from openbind.modalities.spec import View
from openbind.space.space import Space
from openbind.training.distributed import World
from openbind.training.pair_state import PairState
from openbind.training.recipe import EmergencePlan, Recipe
from openbind.training.validation import HeldOut, Retrieval, embed_shared, measure_retrieval


@dataclass(frozen=True)
class Probe:
    """Rows of two modalities that aren't trained together.

    Args:
        plan: of the recipe; the modality that isn't trained, if there is one, comes first.
        held_out: the rows, and the first modality's vectors if it isn't trained.
        rows: how many there are, of which these are a sample.
    """

    plan: EmergencePlan
    held_out: HeldOut
    rows: int

    def measure(self, space: Space, world: World) -> Retrieval:
        """Retrieve in both directions; all processes must call.

        Raises:
            ConfigError: no row can be used.
        """
        given = space, self.plan.pair, self.held_out
        return measure_retrieval(*given, world=world, together=False)


def prepare_probes(
    recipe: Recipe, space: Space, root: Path, pairs: Sequence[PairState], world: World
) -> list[Probe]:
    """Read the rows of each plan, and embed the side that isn't trained; all processes must call.

    Args:
        recipe: of the run.
        space: the frozen towers.
        root: data folder.
        pairs: the prepared ones, with the validation rows.
        world: the processes.

    Raises:
        ConfigError, InputError: the rows can't be read as the recipe says, or none can be used.
    """
    return [_prepare(plan, recipe, space, root, pairs, world) for plan in recipe.logging.emergence]


def _prepare(
    plan: EmergencePlan,
    recipe: Recipe,
    space: Space,
    root: Path,
    pairs: Sequence[PairState],
    world: World,
) -> Probe:
    every = _read(plan, root, pairs)
    rows = _sampled(every, recipe.logging.validation_rows)
    if plan.pair[0] in recipe.towers and plan.pair[1] not in recipe.towers:
        plan = replace(plan, pair=plan.pair[::-1])
    first = plan.pair[0]
    table = tabulate(rows, first)
    if first in recipe.towers:
        return Probe(plan, HeldOut(table, None), len(every))
    entries = [Entry(first, own.item, (View(span=own.span),)) for own in table.anchors]
    vectors_KE = embed_shared(space, entries, world)
    broken = np.flatnonzero(np.isnan(vectors_KE).any(axis=1)).tolist()
    table = table.without(dict.fromkeys(broken, ""))
    if not table.rows:
        raise ConfigError(f"logging.emergence: {plan.name}: no {first} can be used")
    return Probe(plan, HeldOut(table, np.delete(vectors_KE, broken, axis=0)), len(every))


def _read(plan: EmergencePlan, root: Path, pairs: Sequence[PairState]) -> list[Row]:
    """Return the rows: a source's, or those held out of the pair that trains one of the two."""
    if plan.data is not None:
        given = plan.pair if plan.names is None else (plan.pair[1], plan.pair[1])
        return _named(plan, choose_split(read_rows(plan.data, given, root).rows, plan.split))
    trains = [pair for pair in pairs if pair.plan.pair[1] in plan.pair and pair.validation]
    if not trains:
        raise ConfigError(
            f"logging.emergence: {plan.name}: no pair that trains one of the two has validation "
            "rows; set pairs[].validation, or data"
        )
    pair = trains[0]
    assert pair.validation is not None
    held = list(pair.validation.table.rows)
    if plan.names is not None:
        return _named(plan, held)
    keys = {row.key for row in held}
    rows = [row for row in read_rows(pair.plan.data, plan.pair, root).rows if row.key in keys]
    if not rows:
        raise ConfigError(f"logging.emergence: {plan.name}: no validation row has both")
    return rows


def _named(plan: EmergencePlan, rows: Sequence[Row]) -> list[Row]:
    """Give rows the names of their labels as items of the first modality.

    Raises:
        ConfigError: no row has a label, or the second modality.
    """
    if plan.names is None:
        return list(rows)
    first, second = plan.pair
    named = [
        replace(row, items={second: row.items[second], first: (plan.names.format(row.label),)})
        for row in rows
        if row.label is not None and second in row.items
    ]
    if not named:
        raise ConfigError(
            f"logging.emergence: {plan.name}: names: no row has a label and {second}; name the "
            "modality of the names first"
        )
    return named


def _sampled(rows: Sequence[Row], limit: int) -> list[Row]:
    """Return at most `limit` rows, evenly spaced."""
    step = max(1.0, len(rows) / limit)
    return [rows[int(index * step)] for index in range(min(limit, len(rows)))]
