"""Several processes, as torchrun starts them: who is who, what they exchange, who holds what."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel
from torch.utils._pytree import tree_map_only

from openbind.catalog import pick_device
from openbind.errors import ConfigError
from openbind.model.trunk import Block

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a run.

    Args:
        rank: number of this process, from 0.
        size: how many there are.
        device: where this process computes.
    """

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def is_first(self) -> bool:
        """Return whether this is the process that writes files and reports."""
        return self.rank == 0

    def gather(self, x: Tensor) -> Tensor:
        """Stack what all processes bring, without gradients; all must call.

        Args:
            x: of one shape and type in all of them.

        Returns:
            (processes, ...), the same in all of them.
        """
        if self.size == 1:
            return x.detach()[None]
        stacked = x.new_empty(self.size, *x.shape)
        dist.all_gather(list(stacked.unbind()), x.detach().contiguous())
        return stacked

    def wait(self) -> None:
        """Go on once all processes are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def join_world(device: str = "auto") -> Iterator[World]:
    """Find the other processes that torchrun started, and leave them at the end.

    What was shared should be out of use by then: build and train in a function called inside.

    Args:
        device: "auto" takes the fastest; of several CUDA devices each process takes its own.

    Raises:
        ConfigError: the environment lacks what torchrun puts there.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    kind = pick_device(device)
    if size == 1:
        yield World(device=torch.device(kind))
        return
    missing = [name for name in ("RANK", "LOCAL_RANK", "MASTER_ADDR") if name not in os.environ]
    if missing:
        raise ConfigError(
            f"WORLD_SIZE is {size}, but {', '.join(missing)} isn't set: start with torchrun, "
            "or unset WORLD_SIZE"
        )
    own = torch.device("cpu")
    if kind == "cuda":
        own = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(own)
    dist.init_process_group("nccl" if kind == "cuda" else "gloo")
    yield World(rank=int(os.environ["RANK"]), size=size, device=own)
    # Not after an error: the others may still wait for this process, and leaving would wait for
    # them; torchrun ends them. Shared networks are parts of cycles and hold on to gloo's threads:
    # were they found only when Python ends, a thread that drops its last tensor then would abort.
    gc.collect()
    dist.destroy_process_group()


def gather_objects(value: T, world: World) -> list[T]:
    """Exchange anything that can be pickled; all processes must call.

    Returns:
        each process's value, by rank.
    """
    if world.size == 1:
        return [value]
    found: list[Any] = [None] * world.size
    dist.all_gather_object(found, value)
    return found


def share(module: nn.Module, world: World, parallel: Literal["ddp", "fsdp"]) -> nn.Module:
    """Let all processes train one network: gradients become their mean over processes.

    Args:
        module: on the world's device, with the same weights in all processes.
        world: the processes; with one, the module is given back as it is.
        parallel: "ddp" keeps all weights in each process. "fsdp" keeps a share of every weight in
            each and brings them together block by block (FSDP2); it changes the module in place.

    Raises:
        ConfigError: this PyTorch has no FSDP2.
    """
    if world.size == 1:
        return module
    if parallel == "ddp":
        return DistributedDataParallel(module)
    try:
        from torch.distributed.fsdp import fully_shard
    except ImportError as error:
        raise ConfigError(
            f"parallel: 'fsdp' needs PyTorch 2.6 or newer, found {torch.__version__}"
        ) from error
    mesh = init_device_mesh(world.device.type, (world.size,))
    for part in [m for m in module.modules() if isinstance(m, Block)]:
        fully_shard(part, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def unsynchronized(module: nn.Module) -> AbstractContextManager[None]:
    """Gradients of this backward pass stay in the process; the next one outside exchanges both."""
    if isinstance(module, DistributedDataParallel):
        return module.no_sync()
    if hasattr(module, "set_requires_gradient_sync"):
        return _unsynchronized_shares(module)
    return nullcontext()


@contextmanager
def _unsynchronized_shares(module: Any) -> Iterator[None]:
    module.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        module.set_requires_gradient_sync(True)


def full_state(module: nn.Module) -> dict[str, Tensor]:
    """Copy the weights of a network, shared or not, to the CPU; all processes must call.

    Returns:
        whole tensors under the names of the network before it was shared, in every process.
    """
    state: dict[str, Tensor] = _copy_whole(_inner(module).state_dict())
    return dict(state)


def load_full_state(module: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Set the weights of a network, shared or not, from what `full_state` gave; all must call.

    Raises:
        RuntimeError: names or shapes don't fit.
    """
    inner = _inner(module)
    own = inner.state_dict()
    placed = {name: _place(x, own[name]) if name in own else x for name, x in state.items()}
    inner.load_state_dict(placed)


def full_optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Copy an optimizer's state to the CPU with whole tensors; all processes must call.

    Returns:
        what `optimizer.state_dict()` gives in a run of one process, in every process.
    """
    state: dict[str, Any] = _copy_whole(optimizer.state_dict())
    return state


def load_full_optimizer_state(optimizer: torch.optim.Optimizer, state: Mapping[str, Any]) -> None:
    """Set an optimizer's state from what `full_optimizer_state` gave; all processes must call.

    Args:
        optimizer: of the same weights in the same order, shared or not.
        state: is not changed.

    Raises:
        ValueError: the groups or the numbers of weights differ.
    """
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    placed = {
        index: {name: _place(value, weight) for name, value in state["state"][index].items()}
        for index, weight in enumerate(weights)
        if index in state["state"]
    }
    optimizer.load_state_dict({**state, "state": placed})


def whole(x: Tensor) -> Tensor:
    """Bring the shares of a tensor together; all processes must call. Others stay as they are."""
    full: Tensor = x.full_tensor() if hasattr(x, "full_tensor") else x
    return full


def _inner(module: nn.Module) -> nn.Module:
    return module.module if isinstance(module, DistributedDataParallel) else module


def _copy_whole(state: Any) -> Any:
    return tree_map_only(Tensor, lambda x: whole(x.detach()).to("cpu", copy=True), state)


def _place(value: Any, weight: Any) -> Any:
    """Copy a whole tensor, shared as a weight is if it has the weight's shape."""
    if not isinstance(value, Tensor):
        return value
    if not hasattr(weight, "full_tensor") or value.shape != weight.shape:
        return value.clone()
    from torch.distributed.tensor import distribute_tensor

    return distribute_tensor(value.to(weight.device), weight.device_mesh, weight.placements)
