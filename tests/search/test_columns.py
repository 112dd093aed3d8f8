"""The columns of the tables agree with the rows."""

from __future__ import annotations

import pytest

from openbind.search.columns import COLUMNS, DIGEST, SHOWN, failure_schema, row_schema

pytest.importorskip("pyarrow", reason="the extra index isn't installed")


def test_schemas_have_the_columns() -> None:
    """Of rows all fields, the vector and the digest; times are UTC; thumbnails aren't shown."""
    schema = row_schema(8)
    assert schema.names == [*COLUMNS, "vector", DIGEST]
    assert schema.field("vector").type.list_size == 8
    assert schema.field("taken").type == schema.field("modified").type
    assert set(COLUMNS) - set(SHOWN) == {"thumbnail"}
    assert failure_schema().names[-1] == "reason"
