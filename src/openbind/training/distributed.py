"""Several processes, as torchrun starts them: ranks, collectives, DDP and FSDP, whole states."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Literal, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.nn.parallel import DistributedDataParallel

from openbind.catalog import pick_device
from openbind.embedding.many import BatchOptions
from openbind.errors import ConfigError
from openbind.model.trunk import Block

T = TypeVar("T")

TIMEOUT = timedelta(minutes=30)
"""For collectives of the steps: a process that doesn't come by then is taken for dead."""
PATIENCE = timedelta(days=30)
"""For waiting on what takes processes unequal hours: listing, embedding, writing. One that dies is
noticed at once, by its closed connection."""


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a run.

    Args:
        rank: index of this process.
        size: number of processes.
        local_rank: index of this process on its machine.
        patient: the processes as a group on CPUs, whose members wait for each other for
            `PATIENCE`; None is one process.
        device: where this process computes.
        batch_size, workers: of `embed_many`; None chooses by device.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    patient: dist.ProcessGroup | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    batch_size: int | None = None
    workers: int | None = None

    @property
    def embedding(self) -> BatchOptions:
        """Return `batch_size` and `workers` as keywords of `embed_many`."""
        return {"batch_size": self.batch_size, "workers": self.workers}

    @property
    def is_first(self) -> bool:
        """Return whether this process writes files and reports."""
        return self.rank == 0

    def gather(self, x: Tensor) -> Tensor:
        """Stack a tensor of each process, without gradients; all must call.

        Args:
            x: of the same shape and type in all of them.

        Returns:
            (processes, ...), the same in all of them.
        """
        if self.size == 1:
            return x.detach()[None]
        stacked = x.new_empty(self.size, *x.shape)
        dist.all_gather(list(stacked.unbind()), x.detach().contiguous())
        return stacked

    def wait(self) -> None:
        """Wait until all processes have called this, however long that takes."""
        gather_objects(None, self)


@contextmanager
def join_world(
    device: str = "auto", batch_size: int | None = None, workers: int | None = None
) -> Iterator[World]:
    """Join the processes that torchrun started, and leave them at the end.

    Shared networks must be out of scope by then: build and train in a function called inside.

    Args:
        device: "auto" selects the fastest; with several CUDA devices each process has its own.
        batch_size, workers: of `embed_many`; None chooses by device.

    Raises:
        ConfigError: a variable that torchrun sets is missing.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    kind = pick_device(device)
    if size == 1:
        yield World(device=torch.device(kind), batch_size=batch_size, workers=workers)
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
    dist.init_process_group("nccl" if kind == "cuda" else "gloo", timeout=TIMEOUT)
    yield World(
        rank=int(os.environ["RANK"]),
        size=size,
        local_rank=int(os.environ["LOCAL_RANK"]),
        patient=dist.new_group(backend="gloo", timeout=PATIENCE),
        device=own,
        batch_size=batch_size,
        workers=workers,
    )
    # Not after an error: the others may still wait for this process, and leaving would wait for
    # them; torchrun ends them. Shared networks are parts of cycles and hold on to gloo's threads:
    # were they found only when Python ends, a thread that drops its last tensor then would abort.
    gc.collect()
    dist.destroy_process_group()


def gather_objects(value: T, world: World) -> list[T]:
    """Exchange small picklable values; all processes must call, and wait as long as it takes.

    Returns:
        each process's value, by rank.
    """
    if world.size == 1:
        return [value]
    found: list[Any] = [None] * world.size
    dist.all_gather_object(found, value, group=world.patient)
    return found


def share(module: nn.Module, world: World, parallel: Literal["ddp", "fsdp"]) -> nn.Module:
    """Let all processes train one network: gradients become their mean over processes.

    Args:
        module: on the world's device, with the same weights in all processes.
        world: the processes; with one, the module is returned unchanged.
        parallel: "ddp" replicates the weights. "fsdp" shards each weight and gathers them block by
            block (FSDP2); it changes the module in place.

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
    """Keep the gradients of backward passes in the process, until one outside exchanges them."""
    if isinstance(module, DistributedDataParallel):
        return module.no_sync()
    if hasattr(module, "set_requires_gradient_sync"):
        return _unsynchronized_shards(module)
    return nullcontext()


@contextmanager
def _unsynchronized_shards(module: Any) -> Iterator[None]:
    module.set_requires_gradient_sync(False)
    try:
        yield
    finally:
        module.set_requires_gradient_sync(True)


def full_state(module: nn.Module, *, everywhere: bool = False) -> dict[str, Any]:
    """Return a network's whole weights, shared or not; all processes must call.

    Args:
        module: the network.
        everywhere: return them in all processes, on the network's device; otherwise in the first
            alone, on the CPU.

    Returns:
        tensors by the names that they have in the plain network. Those that needn't be moved or
        gathered are the network's own, not copies.
    """
    return get_model_state_dict(module, options=_options(cpu_offload=not everywhere))


def load_full_state(module: nn.Module, state: Mapping[str, Any]) -> None:
    """Set a network's weights, shared or not, from a whole state; all processes must call.

    Raises:
        RuntimeError: names or shapes don't fit.
    """
    set_model_state_dict(module, dict(state), options=_options())


def full_optimizer_state(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
    """Return an optimizer's whole state on the CPU; all processes must call.

    Args:
        model: has the optimizer's weights.
        optimizer: has a state of each weight.

    Returns:
        the state under the names of the weights, whatever shares them; nothing in all processes
        but the first.
    """
    return dict(get_optimizer_state_dict(model, optimizer, options=_options()))


def load_full_optimizer_state(
    model: nn.Module, optimizer: torch.optim.Optimizer, state: Mapping[str, Any]
) -> None:
    """Set an optimizer's state from a whole one; all processes must call.

    Raises:
        RuntimeError: a weight has no state.
    """
    set_optimizer_state_dict(model, optimizer, dict(state), options=_options())


def _options(cpu_offload: bool = True) -> StateDictOptions:
    # With both, PyTorch returns the state in the first process alone.
    return StateDictOptions(full_state_dict=dist.is_initialized(), cpu_offload=cpu_offload)
