"""Responses about the index and the model, beside those of searches."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field

from openbind.serving.schemas import HitRow


class SampleResponse(BaseModel):
    """Random items."""

    object: Literal["list"]
    data: list[HitRow]


class Measured(BaseModel):
    """A result of the model on a data set."""

    task: str
    metric: str
    value: float
    chance: float
    data: str
    count: int = Field(description="items or queries measured; 0 if it isn't known")


class CardResponse(BaseModel):
    """What the model was measured on, and what it can't."""

    object: Literal["card"]
    model: str
    summary: str
    limits: list[str]
    languages: list[str] = Field(description="of texts, by name; empty: not known")
    measurements: list[Measured]


class FacetValue(BaseModel):
    """A value that files can be filtered by."""

    label: str
    count: int = Field(description="number of files")
    where: str = Field(description="the filter")


class Facet(BaseModel):
    """A property of files, and its most frequent values."""

    name: str
    values: list[FacetValue]


class FacetsResponse(BaseModel):
    """What an index can be filtered by."""

    object: Literal["facets"]
    data: list[Facet]


class FileResponse(BaseModel):
    """A file that the service keeps for a while."""

    object: Literal["file"]
    id: str
    filename: str
    bytes: int
    expires_at: int = Field(description="seconds since 1970; sooner if newer files need its place")


class Updating(BaseModel):
    """An update of the index that is going on."""

    done: int = Field(description="files")
    total: int = Field(description="files; 0 while they are counted")


class IndexResponse(BaseModel):
    """A summary of the index."""

    object: Literal["index"]
    space: str
    rows: int
    files: int
    bytes: int
    by_modality: dict[str, int]
    roots: list[str] = Field(description="names of the indexed folders")
    ann: str | None = Field(description="approximate index in use; null for exact search")
    summary: dict[str, Any] | None = Field(
        description="what became of the files in the folders: read, others, skipped, folders"
    )
    updating: Updating | None = Field(description="null while the index is up to date")
    problem: str | None = Field(description="why the last update failed")


class AtlasPoint(BaseModel):
    """An indexed item on the map."""

    id: str
    modality: str
    content: str = Field(description="hash of the file's content")
    path: str
    x: float
    y: float
    start_seconds: float | None
    thumbnail_url: str


class AtlasResponse(BaseModel):
    """The index, or a sample of it, on a plane, each modality mean-centered."""

    object: Literal["atlas"]
    method: str
    total: int = Field(description="rows of the index")
    data: list[AtlasPoint]
