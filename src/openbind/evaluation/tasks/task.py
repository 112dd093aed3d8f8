"""The base class of tasks: items of a data set and how a space is measured on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from openbind.embedding.items import FilePart, Item
from openbind.evaluation.collection import ItemSet
from openbind.evaluation.contamination import identify
from openbind.evaluation.embedder import Embedder
from openbind.evaluation.results import TaskResult


@dataclass(frozen=True, kw_only=True)
class Side:
    """Items in one modality.

    Args:
        modality: what the items are embedded as.
        items: files, texts or parts of files.
        settings: changes of the modality's preprocessing that the protocol prescribes.
    """

    modality: str
    items: Sequence[Item]
    settings: Mapping[str, Any] = field(default_factory=dict)

    def take(self, indices: Sequence[int]) -> Any:
        """Return the same with only some items."""
        return replace(self, items=[self.items[index] for index in indices])


@dataclass(frozen=True, kw_only=True)
class Task(Side, ABC):
    """A task; each kind is a frozen dataclass derived from this one.

    Args:
        name: "zero-shot", "retrieval"; names the task where it is skipped.
    """

    name: str

    per_item: ClassVar[tuple[str, ...]] = ("items",)
    """Fields that are None or have one value for each item."""
    learns: ClassVar[bool] = False
    """Whether measuring trains on labels; such tasks are run on request only."""

    @classmethod
    def build(cls, items: ItemSet) -> Sequence[Task]:
        """Return the tasks of this kind that a set of items supports; by default none."""
        return ()

    def modalities(self) -> tuple[str, ...]:
        """Return the modalities that a space needs for the task."""
        return (self.modality,)

    @abstractmethod
    def measure(self, embedder: Embedder) -> TaskResult:
        """Embed the items and measure.

        Raises:
            InputError: no item can be used.
        """

    def take(self, indices: Sequence[int]) -> Any:
        """Return the same task with only some items."""
        changes: dict[str, Any] = {
            name: [getattr(self, name)[index] for index in indices]
            for name in self.per_item
            if getattr(self, name) is not None
        }
        return replace(self, **changes)

    def without(self, names: Collection[str], identify: Callable[[str], str] = identify) -> Any:
        """Return the same task without the items whose file has one of these names.

        Args:
            names: of files.
            identify: file name → what is compared; by default all but the extension.
        """
        dropped = {identify(name) for name in names}
        files = [_file_name(item) for item in self.items]
        return self.take(
            [n for n, f in enumerate(files) if f is None or identify(f) not in dropped]
        )


def _file_name(item: Item) -> str | None:
    path = item.path if isinstance(item, FilePart) else item
    return path.name if isinstance(path, Path) else None
