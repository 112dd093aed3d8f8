"""Gradient caching: the gradients of a large batch in the memory of a small one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import TypeVar

import torch
from torch import Tensor, nn

from openbind.training.distributed import unsynchronized

Batch = TypeVar("Batch")


def cached_backward(
    embed: Callable[[Batch], Tensor],
    micro_batches: Sequence[Batch],
    loss_of: Callable[[Tensor], Tensor],
    *,
    module: nn.Module,
) -> Tensor:
    """Backpropagate a loss of all embeddings of a batch in the memory of one micro-batch.

    Gao et al. 2021 (arXiv 2101.06983, section 3): embed all micro-batches without storing
    activations; compute the loss and its gradient at the embeddings; embed each micro-batch again
    and backpropagate its part of the gradient. Random states are replayed, so that dropout and
    stochastic depth are the same in both passes and gradients are those of the whole batch up to
    rounding, for any loss. A layer that mixes the samples of a batch, such as a BatchNorm in
    training mode, sees micro-batches instead. A single micro-batch is embedded once.

    With several processes each has its own rows, in as many micro-batches as the others (FSDP
    gathers weights at each), and gradients are exchanged once, at the end.

    Args:
        embed: a micro-batch → (B, E), through the module, under autocast if wanted.
        micro_batches: the batch in parts.
        loss_of: embeddings of the whole batch (B, E) → a scalar. It may exchange tensors between
            processes and have parameters, which get gradients too.
        module: the trained network, from `share`.

    Returns:
        the loss, detached. Gradients are added to those of the weights.

    Raises:
        ValueError: no micro-batch.
    """
    if not micro_batches:
        raise ValueError("expected at least one micro-batch, found none")
    if len(micro_batches) == 1:
        loss = loss_of(embed(micro_batches[0]))
        loss.backward()
        return loss.detach()
    device = next(module.parameters()).device
    states, parts = [], []
    # Not under no_grad: a tower may split its batch in another way there, and draw other random
    # numbers.
    with unsynchronized(module):
        for batch in micro_batches:
            states.append(_random_states(device))
            parts.append(embed(batch).detach())
    embed_BE = torch.cat(parts).requires_grad_()
    loss = loss_of(embed_BE)
    loss.backward()
    assert embed_BE.grad is not None
    gradients = embed_BE.grad.split([len(part) for part in parts])
    last = len(micro_batches) - 1
    for index, (batch, state) in enumerate(zip(micro_batches, states, strict=True)):
        with (
            unsynchronized(module) if index < last else nullcontext(),
            _replaying(state, device),
        ):
            embed(batch).backward(gradients[index])
    return loss.detach()


def _random_states(device: torch.device) -> list[Tensor]:
    """Return the states of PyTorch's global generators: the CPU's and the device's."""
    states = [torch.get_rng_state()]
    if device.type != "cpu":
        states.append(getattr(torch, device.type).get_rng_state())
    return states


def _set_random_states(states: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(states[0])
    if device.type != "cpu":
        getattr(torch, device.type).set_rng_state(states[1])


@contextmanager
def _replaying(states: list[Tensor], device: torch.device) -> Iterator[None]:
    """Set the generators to given states for a while, then restore them."""
    before = _random_states(device)
    _set_random_states(states, device)
    try:
        yield
    finally:
        _set_random_states(before, device)
