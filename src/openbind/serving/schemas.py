"""What goes over the wire: OpenAI's shapes where there are any, ours in the same manner."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Weight = Annotated[float, Field(allow_inf_nan=False, ge=-1000, le=1000)]
"""Of a part of a query; negative ones subtract."""
Text = Annotated[str, Field(min_length=1)]
LIST = "list"


class Strict(BaseModel):
    """A request; keys that it doesn't know are refused, so that no misspelt one is ignored."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ContentPart(BaseModel):
    """A part of a message: text, `image_url` and the like for every modality, `input_audio`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(max_length=64, examples=["image_url", "audio_url"])
    text: str | None = None
    weight: Weight = 1.0


class Message(Strict):
    """A message as chats have them; who says it makes no difference here."""

    role: str = Field("user", max_length=64)
    content: str | Annotated[list[ContentPart], Field(min_length=1)]
    name: str | None = None


class EmbeddingRequest(Strict):
    """Items of one modality, a vector each; or `messages`, all of whose parts make one vector."""

    model: str | None = Field(None, description="the space's name; there is only one")
    input: str | list[Any] | None = Field(
        None,
        description="texts, or for other modalities data URLs (data:image/png;base64,…)",
        examples=["a dog barking"],
    )
    modality: str | None = Field(None, description="what the input is (default: words)")
    messages: Annotated[list[Message], Field(min_length=1)] | None = None
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="base64: of little-endian float32"
    )
    dimensions: int | None = Field(None, description="if given, the space's own number")
    user: str | None = None


class EmbeddingRow(BaseModel):
    """One vector, of unit length."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens that the texts had; other modalities count none."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(BaseModel):
    """The vectors, in the order of the input."""

    object: Literal["list"]
    data: list[EmbeddingRow]
    model: str
    usage: Usage


class QueryPart(Strict):
    """Something to search by: an item of a modality, or an indexed one by its id."""

    modality: str | None = Field(None, description="what the input is (default: words)")
    input: str | None = Field(None, description="a text, or a data URL", examples=["waves"])
    id: str | None = Field(None, description="of an indexed item: more like it")
    weight: Weight = Field(1.0, description="negative: unlike this")


class SearchRequest(Strict):
    """Parts that are added up with their weights, and what may be found."""

    parts: Annotated[list[QueryPart], Field(min_length=1)]
    count: int = Field(20, ge=1, description="how many to find")
    only: list[str] = Field(default_factory=list, description="modalities (default: all)")
    where: str | None = Field(
        None,
        max_length=2000,
        description="a condition on the index's columns, in SQL",
        examples=["year > 2020"],
    )


class HitRow(BaseModel):
    """An indexed item that was found."""

    object: Literal["hit"]
    id: str
    modality: str
    path: str = Field(description="below its root, the root's own name first")
    score: float = Field(description="cosine with the query")
    start_seconds: float | None = Field(description="where in a longer recording it was found")
    end_seconds: float | None
    size_bytes: int
    modified: str
    width: int | None
    height: int | None
    duration_seconds: float | None
    media_type: str | None = Field(description="None for what a browser neither shows nor plays")
    media_url: str
    thumbnail_url: str
    drawing_url: str


class SearchResponse(BaseModel):
    """What was found, the nearest first."""

    object: Literal["list"]
    data: list[HitRow]
    model: str
    seconds: float = Field(description="that embedding and searching took")


class ClassifyRequest(Strict):
    """Items of one modality, and the words they are told apart by."""

    model: str | None = None
    input: str | Annotated[list[str], Field(min_length=1)] = Field(
        description="texts, or for other modalities data URLs"
    )
    modality: str | None = Field(None, description="what the input is (default: words)")
    labels: Annotated[list[Text], Field(min_length=2)]
    templates: Annotated[list[Text], Field(min_length=1)] = Field(
        default=["{}"], description="prompts with one {} for the label; several are averaged"
    )


class LabelChance(BaseModel):
    """A label and its probability."""

    label: str
    probability: float


class ClassifyRow(BaseModel):
    """The labels of one item, the likeliest first; probabilities sum to 1."""

    object: Literal["classification"]
    index: int
    labels: list[LabelChance]


class ClassifyResponse(BaseModel):
    """One row for each item, in the order of the input."""

    object: Literal["list"]
    data: list[ClassifyRow]
    model: str


class ModalityRow(BaseModel):
    """A kind of input that the space takes."""

    name: str
    words: bool = Field(description="whether it takes texts; others take data URLs")
    accepts: str
    extensions: list[str]


class ModelRow(BaseModel):
    """The space, as OpenAI describes a model."""

    object: Literal["model"]
    id: str
    created: int
    owned_by: str
    dim: int
    fingerprint: str
    modalities: list[ModalityRow]


class ModelsResponse(BaseModel):
    """The one space there is."""

    object: Literal["list"]
    data: list[ModelRow]


class IndexResponse(BaseModel):
    """What is indexed."""

    object: Literal["index"]
    space: str
    rows: int
    files: int
    bytes: int
    by_modality: dict[str, int]
    roots: list[str] = Field(description="names of the folders")
    ann: str | None = Field(description="kind of the approximate index; None searches exactly")


class AtlasDot(BaseModel):
    """An indexed item on the map."""

    id: str
    modality: str
    path: str
    x: float
    y: float
    start_seconds: float | None
    thumbnail_url: str


class AtlasResponse(BaseModel):
    """Items drawn from the index, on a plane; the mean of each modality is taken off first."""

    object: Literal["atlas"]
    method: str
    data: list[AtlasDot]


class Health(BaseModel):
    """That the service is up."""

    status: Literal["ok"]
    model: str


class ErrorBody(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    """An error in OpenAI's shape."""

    error: ErrorBody
