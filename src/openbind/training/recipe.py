"""Recipe: all settings of a training run, one YAML file, validated before anything starts."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal

from openbind.checkpoints.sentence_transformers import AnchorOptions
from openbind.data.sources import PairSource
from openbind.data.views import ViewPlan
from openbind.errors import shorten
from openbind.training.optimization import Schedule
from openbind.training.towers import TowerPlan

MIN_LEARNED_TEMPERATURE = 0.01
"""CLIP's limit (arXiv 2103.00020, section 2.5)."""


@dataclass(frozen=True, kw_only=True)
class KeepPlan:
    """What a trained head keeps: the names that the tower's own classifier gives.

    Learning without forgetting (Li and Hoiem 2016, arXiv 1606.09282): the cross entropy between
    the classifier's probabilities and a softmax over the cosines with its classes' names.

    Args:
        classes: one row for each class of the classifier, in its order; their frozen items are
            the names.
        weight: of this loss beside the pair's own.
    """

    classes: PairSource
    weight: float = 1.0

    def __post_init__(self) -> None:
        if self.weight <= 0:
            raise ValueError(f"weight: expected a number above 0, found {self.weight}")


@dataclass(frozen=True, kw_only=True)
class PairPlan:
    """One pair of modalities: a frozen one, and one that is trained against it.

    Args:
        pair: names of the two modalities, the frozen one first.
        data: where the aligned samples are.
        split: the training split; None takes all rows that validation doesn't.
        validation: a split's name, or the fraction of rows held out; None doesn't validate. Rows
            of one group are held out together, the same for every seed.
        folds, fold: hold out part `fold` (from 0) of `folds`, for cross-validation; instead of
            `validation`.
        views: which parts of an item are used, the same on both sides; `count` embeddings of each
            frozen item are cached.
        augment: modality → operations on its side alone. Those of the frozen side are applied
            before its embeddings are cached.
        loss: a name in `LOSSES`: "info_nce" is the paper's (section 3.1), "sigmoid" SigLIP's
            (arXiv 2303.15343), "cross_entropy" names rows among items, in that direction alone,
            "gram" contrasts the volumes that a row spans with items and their `third` (2412.11959).
        temperature: cosines are divided by it; the modality's logit scale becomes its inverse.
        learn_temperature: learn it, from that value, and the sigmoid's bias with it.
        bias: of the sigmoid's logits; SigLIP starts at -10.
        positives: which frozen items match a row: "item" the one drawn for it, "row" all of its
            own, "label" those of all rows of its label. Only other items are negatives.
        similar: frozen items whose cosine with a row's own is above it aren't its negatives
            either, such as another drawing of the same words; None is none.
        negatives: items besides the batch's: "batch" none, "corpus" all of the frozen side, or how
            many are sampled from it at every step.
        extra_negatives: frozen items without a partner, used as negatives only.
        third: for "gram", another frozen modality, of which each row of the data has an item.
        keep: the tower's own classifier stays a target; None lets it be forgotten.
        weight: frequency of its batches relative to other pairs, None is by its size; with
            `each_step: all` the weight of its loss, None is 1.
        batch_size: rows of its batches; None is the recipe's.
        repeat: passes over its rows in one epoch (Table 9's sample replication).
    """

    pair: tuple[str, str]
    data: PairSource
    split: str | None = None
    validation: str | float | None = None
    folds: int | None = None
    fold: int = 0
    views: ViewPlan = field(default_factory=ViewPlan)
    augment: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    loss: str = "info_nce"
    temperature: float = 0.07
    learn_temperature: bool = False
    bias: float = -10.0
    positives: Literal["item", "row", "label"] = "row"
    similar: float | None = None
    negatives: Literal["batch", "corpus"] | int = "batch"
    extra_negatives: PairSource | None = None
    third: str | None = None
    keep: KeepPlan | None = None
    weight: float | None = None
    batch_size: int | None = None
    repeat: float = 1.0

    def __post_init__(self) -> None:
        if self.pair[0] == self.pair[1]:
            raise ValueError(f"pair: expected two modalities, found {self.pair[0]!r} twice")
        if self.temperature <= 0 or self.repeat <= 0:
            raise ValueError("temperature and repeat must be greater than 0")
        if self.learn_temperature and self.temperature < MIN_LEARNED_TEMPERATURE:
            raise ValueError(
                f"temperature: expected at least {MIN_LEARNED_TEMPERATURE} where it is learned, "
                f"found {self.temperature}"
            )
        if self.batch_size is not None and self.batch_size < 2:
            raise ValueError(f"batch_size: expected at least 2 rows, found {self.batch_size}")
        if self.similar is not None and not 0 < self.similar < 1:
            raise ValueError(f"similar: expected a cosine in (0, 1), found {self.similar}")
        if isinstance(self.negatives, int) and self.negatives < 1:
            raise ValueError("negatives: expected 'batch', 'corpus' or a number of at least 1")
        if self.extra_negatives is not None and self.negatives == "batch":
            raise ValueError(
                "extra_negatives: no effect with negatives: batch; set corpus or a number"
            )
        if (self.loss == "gram") != (self.third is not None):
            raise ValueError("third: the other frozen modality of loss: gram, which needs it")
        if self.third is not None and (self.third in self.pair or self.learn_temperature):
            raise ValueError(
                "third: expected another modality, and a temperature that isn't learned"
            )
        if self.third is not None and (self.negatives, self.similar) != ("batch", None):
            raise ValueError("third: only with negatives: batch, and without similar")
        if isinstance(self.validation, float) and not 0 < self.validation < 1:
            raise ValueError(f"validation: expected a fraction in (0, 1), found {self.validation}")
        if self.folds is not None and (self.folds < 2 or self.validation is not None):
            raise ValueError(f"folds: expected at least 2, without validation, found {self.folds}")
        if not 0 <= self.fold < (self.folds or 1):
            raise ValueError(f"fold: expected a number from 0 below folds, found {self.fold}")
        for modality in self.augment:
            if modality not in self.pair:
                raise ValueError(f"augment.{modality}: the pair is {list(self.pair)}")

    @property
    def name(self) -> str:
        """The pair's name in logs."""
        return "-".join(self.pair)

    def frozen(self) -> tuple[str, ...]:
        """Return the frozen modalities."""
        return (self.pair[0],) if self.third is None else (self.pair[0], self.third)


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """Where and how the run computes; changes results by rounding only, but for random numbers.

    Dropout and stochastic depth draw others for parts of a batch (`micro_batch`), and on a GPU.

    Args:
        device: "auto", "cpu" or "cuda".
        precision: of matrix products; weights and their updates are float32.
        num_workers: processes that decode; with 0 the training process decodes.
        micro_batch: rows that go through the tower at once; None is the whole batch. Fewer need a
            second forward pass (gradient caching), and give the same gradients.
        activation_checkpointing: recompute the transformer blocks' activations in the backward
            pass instead of storing them.
        parallel: with several processes: "ddp" replicates the weights, "fsdp" shards them.
        compile: compile the tower with torch.compile.
        embed_batch_size, embed_workers: clips per batch and decoding threads where items are only
            embedded: the frozen side, a frozen body's features, validation. None is as many threads
            as `num_workers`, or chooses by device.
    """

    device: str = "auto"
    precision: Literal["float32", "bfloat16"] = "float32"
    num_workers: int = 0
    micro_batch: int | None = None
    activation_checkpointing: bool = False
    parallel: Literal["ddp", "fsdp"] = "ddp"
    compile: bool = False
    embed_batch_size: int | None = None
    embed_workers: int | None = None

    @property
    def decoders(self) -> int | None:
        """Decoding threads where items are only embedded; None chooses by device."""
        return self.num_workers or None if self.embed_workers is None else self.embed_workers


@dataclass(frozen=True, kw_only=True)
class EmergencePlan:
    """Retrieval, at each validation, between two modalities that no pair trains together.

    Args:
        pair: the two modalities.
        names: what a row's label becomes, such as "the sound of {}": the label's text is the row's
            item of the first modality, so that R@1 of the second is zero-shot classification.
            Without it the rows have items of both modalities.
        data: of the rows; None is the validation rows of the pair that trains one of the two.
        split: of `data`.
    """

    pair: tuple[str, str]
    names: str | None = None
    data: PairSource | None = None
    split: str | None = None

    def __post_init__(self) -> None:
        if self.names is not None and "{}" not in self.names:
            raise ValueError(
                f"names: expected a text with {{}} for the label, found {self.names!r}"
            )
        if self.split is not None and self.data is None:
            raise ValueError("split: is of data, which isn't given")

    @property
    def name(self) -> str:
        """The pair's name in logs."""
        return "-".join(self.pair)


@dataclass(frozen=True, kw_only=True)
class Logging:
    """How often the run logs, validates and saves, in steps.

    Args:
        log_every: steps between two lines of the log.
        validate_every: steps between two validations; None is one epoch.
        validation_rows: at most so many are used.
        save_every: steps between two checkpoints; None is as often as it validates.
        keep: the weights of the result: "last", or "best" by validation.
        best_by: tag of the number that decides which is best, as TensorBoard has it, such as
            "emergence/text-audio/audio-to-text-R1"; a loss is best when least. None is the mean of
            all recalls of the pairs.
        patience: validations without a better one after which the run stops; None doesn't stop.
        emergence: retrieval between modalities that aren't trained together.
        samples: validation rows that are drawn with their nearest frozen items; 0 draws none.
        wandb, trackio: project of Weights & Biases, of trackio.
    """

    log_every: int = 10
    validate_every: int | None = None
    validation_rows: int = 1_000
    save_every: int | None = None
    keep: Literal["last", "best"] = "last"
    best_by: str | None = None
    patience: int | None = None
    emergence: tuple[EmergencePlan, ...] = ()
    samples: int = 8
    wandb: str | None = None
    trackio: str | None = None

    def __post_init__(self) -> None:
        if self.patience is not None and self.patience < 1:
            raise ValueError(f"patience: expected at least 1 validation, found {self.patience}")
        if self.samples < 0:
            raise ValueError(f"samples: expected at least 0 rows, found {self.samples}")


@dataclass(frozen=True, kw_only=True)
class CardPlan:
    """Parts of the result's model card that the run can't know.

    Args:
        summary: one paragraph; None generates one.
        license: of the result.
        data: name, license and source of each pair's data set.
        limits: known limitations.
    """

    summary: str | None = None
    license: str = ""
    data: tuple[dict[str, str], ...] = ()
    limits: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All settings of a run.

    Args:
        name: of the resulting space.
        start: the space to extend: a name, directory, file or hub id for `openbind.load`.
        anchor: prompts and truncation, where `start` is a model of sentence-transformers.
        pairs: the pairs of modalities.
        each_step: "one" takes a batch of one pair in each step (the paper), "all" a batch of every
            pair, whose losses are added up by weight.
        towers: modality → the tower that is trained for it.
        schedule: optimizer, learning rate and length.
        batch_size: rows of one batch, over all processes.
        seed: of all randomness.
        dtype: of the weights in the resulting space.
        modules: Python files, beside the recipe, that register modalities, operations or losses.
        hardware, logging, card: see there; they may change when the run is resumed.
    """

    name: str
    start: str
    pairs: tuple[PairPlan, ...]
    towers: dict[str, TowerPlan]
    schedule: Schedule
    batch_size: int
    each_step: Literal["one", "all"] = "one"
    seed: int = 0
    dtype: Literal["float32", "float16", "bfloat16"] = "float32"
    anchor: AnchorOptions = field(default_factory=AnchorOptions)
    modules: tuple[str, ...] = ()
    hardware: Hardware = field(default_factory=Hardware)
    logging: Logging = field(default_factory=Logging)
    card: CardPlan = field(default_factory=CardPlan)

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]{0,99}", self.name):
            found = f"expected letters, digits, '.', '_', '-', found {shorten(self.name)}"
            raise ValueError(f"name: {found}")
        if not self.pairs:
            raise ValueError("pairs: expected at least one")
        if self.batch_size < 2:
            raise ValueError(f"batch_size: expected at least 2 rows, found {self.batch_size}")
        trained = {plan.pair[1] for plan in self.pairs}
        for modality in trained - self.towers.keys():
            raise ValueError(f"towers.{modality}: missing, though a pair trains it")
        for modality in self.towers.keys() - trained:
            raise ValueError(f"towers.{modality}: no pair trains it")
        for plan in self.pairs:
            for frozen in plan.frozen():
                if frozen in trained:
                    raise ValueError(f"{plan.name}: {frozen} is trained too, it can't be frozen")
        together = {frozenset(plan.pair) for plan in self.pairs}
        for probe in self.logging.emergence:
            if frozenset(probe.pair) in together or not trained & set(probe.pair):
                raise ValueError(
                    f"logging.emergence: {probe.name}: expected a trained modality and one that it "
                    "isn't trained with; validation of a trained pair is the pair's own"
                )

    def pair_names(self) -> tuple[str, ...]:
        """Return the pairs' names in logs; of several of the same modalities, later ones count."""
        names = [plan.name for plan in self.pairs]
        earlier = [names[:index].count(name) for index, name in enumerate(names)]
        return tuple(
            f"{n}-{count + 1}" if count else n for n, count in zip(names, earlier, strict=True)
        )

    def validates(self) -> bool:
        """Return whether a validation measures anything."""
        held = any(plan.validation is not None or plan.folds for plan in self.pairs)
        return held or any(probe.data is not None for probe in self.logging.emergence)
