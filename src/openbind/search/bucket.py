"""An index in an object store: tables only, one of which has the description, one the lease.

LanceDB commits each version by a conditional write, so of several writers of one version one
succeeds, on S3 as on a disk. That makes a row of the table `writer` a lease: whoever changes it
from expired to its own has it, renews it while it writes, and ends it. A killed writer's
lease ends by itself. Readers need none. Keys, region and endpoint come from the environment, as
LanceDB's store reads them.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from functools import cached_property
from typing import Any

from openbind.errors import InputError, MissingExtraError
from openbind.search.meta import Meta, meta_of, text_of
from openbind.search.table import KEPT_VERSIONS, RowTable, reading

STORES = ("s3", "gs", "az")
DESCRIPTION, WRITER = "description", "writer"
LEASE_SECONDS = 120.0
"""How long a killed writer keeps others out."""
RENEWALS = 4
"""Per lease, so that it outlives failed requests."""
REFRESH = timedelta(seconds=2)
"""After which a reader asks for a newer version: each question is a request."""


class Bucket:
    """A prefix of an object store.

    Args:
        address: as s3://bucket/media.

    Raises:
        InputError: another kind of address.
        MissingExtraError: LanceDB isn't installed.
    """

    folder = None

    def __init__(self, address: str) -> None:
        scheme, _, rest = address.partition("://")
        if scheme not in STORES or not rest.strip("/"):
            expected = "expected s3://bucket/prefix, or gs:// or az://"
            raise InputError(address, f"not an object store that can hold an index; {expected}")
        self.address = f"{scheme}://{rest.strip('/')}"
        self._meta: tuple[int, Meta] | None = None

    def __str__(self) -> str:
        return self.address

    def exists(self) -> bool:
        """Return whether there is an index.

        Raises:
            InputError: the store can't be read.
        """
        try:
            return DESCRIPTION in self._database.table_names(limit=100)
        except (OSError, RuntimeError, ValueError) as error:
            reason = (str(error).splitlines() or ["no reason given"])[0].partition(", /")[0]
            advice = "are the keys, the region and the endpoint in the environment?"
            raise InputError(self.address, f"can't be read ({reason}); {advice}") from error

    def read(self) -> Meta:
        """Return the description, at most as old as `REFRESH`."""
        version = self._description.version
        if self._meta is None or self._meta[0] != version:
            with reading(self.address):
                text = self._description.search().to_arrow().column("json")[0].as_py()
            self._meta = (version, meta_of(text, self.address, None))
        return self._meta[1]

    def write(self, meta: Meta) -> None:
        """Replace the description in one commit."""
        import pyarrow as pa

        made = pa.table({"json": [text_of(meta, None)]})
        mode = "overwrite" if self.exists() else "create"
        self.__dict__["_description"] = self._database.create_table(DESCRIPTION, made, mode=mode)
        self._meta = None

    def open_table(self, dim: int, *, create: bool = False) -> RowTable:
        """Open the tables; readers see a new version after `REFRESH`."""
        return RowTable(self.address, dim, create=create, refresh=REFRESH)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lease of the writer.

        Raises:
            InputError: another process, or thread, holds it; or it was lost, since it couldn't be
                renewed in time.
        """
        table, owner = self._open_writer(), uuid.uuid4().hex
        table.update(where=f"until < {time.time()}", values=_lease(owner))
        holder = table.search().to_arrow().to_pylist()[0]
        if holder["owner"] != owner:
            until = datetime.fromtimestamp(holder["until"], timezone.utc)
            reason = "another process is updating it; wait until it ends"
            reason = f"{reason}, or, if it was killed, until {until:%H:%M:%S} UTC"
            raise InputError(self.address, reason)
        done, lost = threading.Event(), threading.Event()
        arguments = (table, owner, done, lost)
        renewing = threading.Thread(target=_renew, args=arguments, daemon=True)
        renewing.start()
        try:
            yield
        finally:
            done.set()
            renewing.join()
            self._release(table, owner)
        if lost.is_set():
            reason = "the writer's lease ended before the update did, another may have written too"
            raise InputError(self.address, f"{reason}; run `openbind index verify --repair`")

    def size(self) -> int:
        """Return the bytes of the tables' present versions."""
        names = self._database.table_names(limit=100)
        return sum(int(self._database.open_table(n).stats()["total_bytes"]) for n in names)

    def _release(self, table: Any, owner: str) -> None:
        """End the lease, and drop old versions of the small tables."""
        kept = {"cleanup_older_than": KEPT_VERSIONS, "delete_unverified": True}
        table.update(where=f"owner = '{owner}'", values={"until": 0.0})
        with suppress(RuntimeError, ValueError):  # another may have begun to write
            table.optimize(**kept)
            self._description.optimize(**kept)

    def _open_writer(self) -> Any:
        made = [{"owner": "", "until": 0.0}]
        database = self._connect(timedelta(0))
        try:
            return database.open_table(WRITER)
        except (FileNotFoundError, ValueError):
            return database.create_table(WRITER, made, exist_ok=True)

    @cached_property
    def _description(self) -> Any:
        with reading(self.address):
            return self._database.open_table(DESCRIPTION)

    @cached_property
    def _database(self) -> Any:
        return self._connect(REFRESH)

    def _connect(self, refresh: timedelta) -> Any:
        try:
            import lancedb
        except ImportError as error:
            raise MissingExtraError("an index", "lancedb", "index") from error
        return lancedb.connect(self.address, read_consistency_interval=refresh)


def _lease(owner: str) -> dict[str, Any]:
    return {"owner": owner, "until": time.time() + LEASE_SECONDS}


def _renew(table: Any, owner: str, done: threading.Event, lost: threading.Event) -> None:
    """Renew a lease until it isn't needed, or another has it."""
    while not done.wait(LEASE_SECONDS / RENEWALS):
        with suppress(RuntimeError, OSError, ValueError):  # the store may answer next time
            values = {"until": time.time() + LEASE_SECONDS}
            if not table.update(where=f"owner = '{owner}'", values=values).rows_updated:
                lost.set()
                return
