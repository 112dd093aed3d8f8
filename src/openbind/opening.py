"""`openbind.load`: a space of PyTorch's, or an exported one, which needs no PyTorch."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    from openbind.runtime.exported import ExportedSpace
    from openbind.space.space import Space


@overload
def load(
    name: str | os.PathLike[str],
    *,
    runtime: None = None,
    modalities: Iterable[str] | None = None,
    dtype: Any = "auto",
    **options: Any,
) -> Space: ...


@overload
def load(
    name: str | os.PathLike[str],
    *,
    runtime: str,
    modalities: Iterable[str] | None = None,
    dtype: Any = "auto",
    **options: Any,
) -> ExportedSpace: ...


def load(
    name: str | os.PathLike[str],
    *,
    runtime: str | None = None,
    modalities: Iterable[str] | None = None,
    dtype: Any = "auto",
    **options: Any,
) -> Space | ExportedSpace:
    """Load a space.

    Args:
        name: "starter", a directory, "hf:organization/name", "st:organization/name" and more, see
            `openbind.catalog.load`; with a runtime the folder that `openbind export` wrote.
        runtime: "onnx" or "openvino" compute an exported space without PyTorch; None is PyTorch.
        modalities: load only what these need; None loads all.
        dtype: precision to compute in; "auto" takes the checkpoint's or the machine's.
        options: `device`, `weights`, `accept_license`, `anchor`, `trust_remote_code` and
            `adapters`, as in `openbind.catalog.load`; none with a runtime.

    Raises:
        UnknownNameError: no such name, path, runtime or modality.
        CheckpointError: files can't be used.
        MissingExtraError: the runtime isn't installed.
    """
    if runtime is None:
        from openbind import catalog

        return catalog.load(name, modalities=modalities, dtype=dtype, **options)
    from openbind.runtime.exported import open_exported

    if options:
        raise TypeError(f"load with runtime={runtime!r} takes no {', '.join(options)}")
    return open_exported(name, runtime, modalities=modalities, dtype=dtype)
