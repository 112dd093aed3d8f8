"""What towers of models of others share: the open model, the texts of their bytes, no weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from openbind.errors import CheckpointError


def read_texts(bytes_BN: Tensor) -> list[str]:
    """Return the texts of rows of UTF-8 bytes, padded with 0.

    Args:
        bytes_BN: uint8. A text that was cut may end within a character, which is dropped.
    """
    rows = bytes_BN.cpu().numpy()
    return [row.tobytes().rstrip(b"\0").decode(errors="ignore") for row in rows]


def no_weights(tower: Any, *_: Any, **__: Any) -> dict[str, Any]:
    """Return an empty state: the weights stay where the tower's config says they are."""
    return {}


@dataclass(frozen=True)
class OpenModel:
    """A network of Transformers that towers share.

    Args:
        network: in evaluation mode.
        tokenize: texts → keywords of its text model.
    """

    network: Any
    tokenize: Callable[[Sequence[str]], dict[str, Tensor]]


class ReferenceTower(nn.Module):
    """One input of a model that other towers share; it has no weights of its own.

    Args:
        config: of the tower; its `name` is the model's.
        model: that towers share; None is a tower that can't embed.
    """

    is_reference = True
    state_dict = no_weights  # type: ignore[assignment]

    def __init__(self, config: Any, model: OpenModel | None = None) -> None:
        super().__init__()
        self.config = config
        self.network = None if model is None else model.network
        self._tokenize = None if model is None else model.tokenize

    def opened(self) -> Any:
        """Return the network.

        Raises:
            CheckpointError: it isn't open.
        """
        if self.network is None:
            raise CheckpointError(self.config.name, "the model of this tower isn't open")
        return self.network

    def tokenize(self, bytes_BN: Tensor) -> dict[str, Tensor]:
        """Return the keywords of the text model for texts, on the network's device."""
        device = next(self.opened().parameters()).device
        assert self._tokenize is not None
        given = self._tokenize(read_texts(bytes_BN))
        return {name: value.to(device) for name, value in given.items()}
