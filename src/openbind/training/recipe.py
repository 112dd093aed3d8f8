"""Recipe: everything that a training run needs, one YAML file, validated before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from openbind.data.sources import PairSource
from openbind.data.views import ViewPlan
from openbind.training.optimization import Schedule
from openbind.training.towers import TowerPlan


@dataclass(frozen=True, kw_only=True)
class PairPlan:
    """One kind of pair: a frozen side, and one that is trained to meet it.

    Args:
        pair: names of the two modalities, the frozen one first.
        data: where the pairs lie.
        split: which split of the data trains; None takes all that validation doesn't.
        validation: a split's name, or the share of rows held out; None validates nothing.
        views: what is shown of an item, of both sides alike; `count` embeddings of each frozen
            item are kept.
        augment: modality → operations on its side alone. Those of the frozen side go into its
            kept embeddings.
        loss: a name in `LOSSES`: "info_nce" is the paper's (section 3.1), "sigmoid" SigLIP's
            (arXiv 2303.15343).
        temperature: cosines are divided by it; the scale of the modality becomes its inverse.
        learn_temperature: start there and learn it, and the sigmoid's bias with it.
        bias: of the sigmoid's logits; SigLIP starts at -10.
        positives: which frozen items match a row: "item" the one drawn for it, "row" all of its
            own, "label" those of all rows of its label. Only other items are negatives.
        negatives: items beside the batch's own that repel: "batch" none, "corpus" all of the
            frozen side, or how many are drawn from it at every step.
        extra_negatives: frozen items that have no partner; they only repel, among the negatives.
        weight: how often its batches come, against other pairs'; None goes by its size.
        repeat: passes through its rows in one epoch (Table 9's sample replication).
    """

    pair: tuple[str, str]
    data: PairSource
    split: str | None = None
    validation: str | float | None = None
    views: ViewPlan = field(default_factory=ViewPlan)
    augment: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    loss: str = "info_nce"
    temperature: float = 0.07
    learn_temperature: bool = False
    bias: float = -10.0
    positives: Literal["item", "row", "label"] = "row"
    negatives: Literal["batch", "corpus"] | int = "batch"
    extra_negatives: PairSource | None = None
    weight: float | None = None
    repeat: float = 1.0

    def __post_init__(self) -> None:
        if self.pair[0] == self.pair[1]:
            raise ValueError(f"pair: expected two modalities, found {self.pair[0]!r} twice")
        if self.temperature <= 0 or self.repeat <= 0:
            raise ValueError("temperature and repeat must be greater than 0")
        if isinstance(self.negatives, int) and self.negatives < 1:
            raise ValueError("negatives: expected 'batch', 'corpus' or a number of at least 1")
        if self.extra_negatives is not None and self.negatives == "batch":
            raise ValueError(
                "extra_negatives: with negatives: batch they'd do nothing; say corpus or a number"
            )
        if isinstance(self.validation, float) and not 0 < self.validation < 1:
            raise ValueError(f"validation: expected a share in (0, 1), found {self.validation}")
        for modality in self.augment:
            if modality not in self.pair:
                raise ValueError(f"augment.{modality}: the pair is {list(self.pair)}")

    @property
    def name(self) -> str:
        """How the pair is called in logs."""
        return "-".join(self.pair)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """On what and how the run computes; nothing here changes what is learned but by rounding.

    Args:
        device: "auto", "cpu", "cuda".
        precision: of products; weights and their updates stay float32.
        num_workers: processes that decode; 0 decodes in the run's own.
        micro_batch: rows that go through the tower at once; None takes the whole batch. Smaller
            ones cost a second pass (gradient caching) and change no gradient.
        activation_checkpointing: recompute the transformer blocks' activations in the backward
            pass instead of storing them.
        parallel: with several processes: "ddp" keeps all weights in each, "fsdp" a share.
    """

    device: str = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    num_workers: int = 0
    micro_batch: int | None = None
    activation_checkpointing: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"


@dataclass(frozen=True, kw_only=True)
class Logging:
    """What is written while it runs, in steps.

    Args:
        log_every: between two lines of the log.
        validate_every: between two retrievals on the validation rows; None does it each epoch.
        validation_rows: how many are looked at, at most.
        save_every: between two checkpoints; None does it when it validates.
        keep: which weights the space gets in the end: the last, or the best by validation.
        wandb: a project of Weights & Biases to send the numbers to.
    """

    log_every: int = 10
    validate_every: int | None = None
    validation_rows: int = 1_000
    save_every: int | None = None
    keep: Literal["last", "best"] = "last"
    wandb: str | None = None


@dataclass(frozen=True, kw_only=True)
class CardPlan:
    """What the result's card says that the run can't know.

    Args:
        summary: one paragraph; None writes one.
        license: of the result, as it may be used.
        data: name of the data set, its license and where it can be had, of each pair.
        limits: what it can't do.
    """

    summary: str | None = None
    license: str = ""
    data: tuple[dict[str, str], ...] = ()
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Everything about a run.

    Args:
        name: of the space that comes out.
        start: the space that it starts from: a name, a directory, a file or a hub id, as
            `openbind.load` takes.
        pairs: what is bound to what.
        towers: modality → the network that is trained for it.
        schedule: optimizer, rates and length.
        batch_size: rows of one step, over all processes.
        seed: of everything random.
        dtype: the weights of the result are stored in it.
        modules: Python files, beside the recipe, that add modalities or operations.
        hardware, logging, card: see there.
    """

    name: str
    start: str
    pairs: tuple[PairPlan, ...]
    towers: dict[str, TowerPlan]
    schedule: Schedule
    batch_size: int
    seed: int = 0
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    modules: tuple[str, ...] = ()
    hardware: Hardware = field(default_factory=Hardware)
    logging: Logging = field(default_factory=Logging)
    card: CardPlan = field(default_factory=CardPlan)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[\w.-]+", self.name):
            raise ValueError(f"name: expected letters, digits, '.', '_', '-', found {self.name!r}")
        if not self.pairs:
            raise ValueError("pairs: expected at least one")
        if self.batch_size < 2:
            raise ValueError("batch_size: a contrast needs at least 2 rows")
        trained = {plan.pair[1] for plan in self.pairs}
        for modality in trained - self.towers.keys():
            raise ValueError(f"towers.{modality}: missing, though a pair trains it")
        for modality in self.towers.keys() - trained:
            raise ValueError(f"towers.{modality}: no pair trains it")
        for plan in self.pairs:
            if plan.pair[0] in trained:
                raise ValueError(f"{plan.name}: {plan.pair[0]} is trained too, it can't be frozen")
