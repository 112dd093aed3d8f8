"""Requests and responses: OpenAI's shapes where there are any, the same style elsewhere."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from openbind.serving.limits import MAX_IMAGES, MAX_ITEMS, MAX_STEPS
from openbind.serving.long_texts import Truncate

Weight = Annotated[float, Field(allow_inf_nan=False, ge=-1000, le=1000)]
"""Of a part of a query; negative weights subtract."""
Text = Annotated[str, Field(min_length=1)]
LIST = "list"
INPUT = "one or more texts, or data URLs (data:image/png;base64,…) for other modalities"
NOTES = "about texts in languages that the model doesn't know"
TRUNCATE = (
    "what becomes of texts in `input` that are longer than the model's context: `average` the "
    "vectors of their parts, keep what comes before the `end` that is cut off, or `refuse` them"
)
INPUT_MODALITY = "modality of the input (default: text)"


class Strict(BaseModel):
    """A request; unknown keys are rejected, so that a misspelt one isn't ignored."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())


class ContentPart(BaseModel):
    """A part of a message: `text`, `X_url` for any other modality X, or `input_audio`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(max_length=64, examples=["image_url", "audio_url"])
    text: str | None = None
    weight: Weight = 1.0


class Message(Strict):
    """A chat message; its role is ignored."""

    role: str = Field("user", max_length=64)
    content: str | Annotated[list[ContentPart], Field(min_length=1, max_length=MAX_ITEMS)]
    name: str | None = None

    def count(self) -> int:
        """Return the number of its parts."""
        return 1 if isinstance(self.content, str) else len(self.content)


class EmbeddingRequest(Strict):
    """Items of one modality, one vector each; or `messages`, whose parts make one vector."""

    model: str | None = Field(None, description="name of the space; a service has one")
    input: str | Annotated[list[Any], Field(max_length=MAX_ITEMS)] | None = Field(
        None, description=INPUT, examples=["a dog barking"]
    )
    modality: str | None = Field(None, description=INPUT_MODALITY)
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_ITEMS)] | None = None
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="base64 encodes little-endian float32"
    )
    dimensions: int | None = Field(None, description="if given, the dimension of the space")
    truncate: Truncate = Field("average", description=TRUNCATE)
    user: str | None = None


class EmbeddingRow(BaseModel):
    """One unit vector."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Number of text tokens; other modalities count none."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingResponse(BaseModel):
    """The vectors, in the order of the input."""

    object: Literal["list"]
    data: list[EmbeddingRow]
    model: str
    usage: Usage


class QueryPart(Strict):
    """An item of any modality, or an indexed item by its id."""

    modality: str | None = Field(None, description=INPUT_MODALITY)
    input: str | None = Field(None, description="a text or a data URL", examples=["waves"])
    id: str | None = Field(None, description="of an indexed item, to find similar ones")
    file: str | None = Field(None, description="of a file that was sent to /v1/files")
    weight: Weight = Field(1.0, description="negative weights subtract")


class SearchRequest(Strict):
    """A weighted sum of parts, and filters of the results."""

    parts: Annotated[list[QueryPart], Field(min_length=1, max_length=MAX_ITEMS)]
    top_k: int = Field(20, ge=1, description="number of results")
    skip: int = Field(0, ge=0, description="number of results to skip before these")
    lanes: bool = Field(False, description="return `top_k` results of each modality")
    modalities: list[str] = Field(
        default_factory=list, max_length=64, description="of results (default: all)"
    )
    where: str | dict[str, Any] | list[str | dict[str, Any]] | None = Field(
        None,
        description="filter on the columns of the index, as text or as a tree (docs/index.md), or "
        "a list of filters that all hold",
        examples=["year > 2020", {"column": "year", "op": ">", "value": 2020}],
    )


class HitRow(BaseModel):
    """A search result."""

    object: Literal["hit"]
    id: str
    modality: str
    path: str = Field(description="relative, the name of the indexed folder first")
    score: float = Field(description="cosine similarity to the query")
    deviations: float | None = Field(
        description="standard deviations above unrelated items; null if the model has no numbers"
    )
    close: bool | None = Field(
        description="whether that exceeds what unrelated items reach by chance; null likewise"
    )
    start_seconds: float | None = Field(description="start of the segment found; null for a whole")
    end_seconds: float | None
    size_bytes: int
    content: str = Field(description="hash of the file's content: equal files have the same")
    modified: str
    taken: str = Field(description="date of a photograph by its camera, else `modified`")
    camera: str | None
    width: int | None
    height: int | None
    duration_seconds: float | None
    media_type: str | None = Field(description="null if browsers can't display or play it")
    media_url: str
    playable_url: str | None = Field(
        description="of audio and video: converted to MP4 where browsers can't play the file"
    )
    thumbnail_url: str
    drawing_url: str


class LocateRequest(Strict):
    """A weighted sum of parts, to be located in an indexed item."""

    parts: Annotated[list[QueryPart], Field(min_length=1, max_length=MAX_ITEMS)]


class Where(BaseModel):
    """Where in an image, or in the best frame of a video, the query is."""

    heat: list[list[float]] = Field(description="rows of a map of cells, in [-1, 1]")
    area: list[float] = Field(description="left, top, right, bottom of the map, as fractions")
    boxes: list[list[float]] = Field(description="x0, y0, x1, y1 in pixels, and score")
    peak: list[int] = Field(description="x and y of the hottest cell, in pixels")
    width: int
    height: int
    present: bool | None = Field(description="null where it isn't known")
    method: str
    seconds: float | None = Field(description="time of the frame; null for images")


class Track(BaseModel):
    """When in a recording the query is."""

    modality: str
    duration_seconds: float
    moments: list[list[float]] = Field(description="start, end, score; best first")
    curve: list[list[float]] = Field(description="seconds and cosine")


class LocateResponse(BaseModel):
    """Where and when."""

    object: Literal["location"]
    modality: str
    where: Where | None
    tracks: list[Track]


class SearchResponse(BaseModel):
    """The results, best first."""

    object: Literal["list"]
    data: list[HitRow]
    totals: dict[str, int] = Field(description="number of files searched, of each modality")
    model: str
    seconds: float = Field(description="time of embedding and search")
    notes: list[str] = Field(description=NOTES)


class ClassifyRequest(Strict):
    """Items of one modality, and the labels to choose from."""

    model: str | None = None
    input: str | Annotated[list[str], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        description=INPUT
    )
    modality: str | None = Field(None, description=INPUT_MODALITY)
    labels: Annotated[list[Text], Field(min_length=2, max_length=MAX_ITEMS)]
    templates: Annotated[list[Text], Field(min_length=1, max_length=MAX_ITEMS)] = Field(
        default=["{}"],
        description="prompt templates with one {} for the label; their embeddings are averaged",
    )


class LabelProbability(BaseModel):
    """A label and its probability."""

    label: str
    probability: float


class ClassifyRow(BaseModel):
    """The labels of one item, most probable first; probabilities sum to 1."""

    object: Literal["classification"]
    index: int
    labels: list[LabelProbability]


class ClassifyResponse(BaseModel):
    """One row per item, in the order of the input."""

    object: Literal["list"]
    data: list[ClassifyRow]
    model: str
    notes: list[str] = Field(description=NOTES)


class ImagesRequest(Strict):
    """What to draw: a text, or a weighted sum of parts of any modality."""

    model: str | None = None
    prompt: Text | None = Field(None, description="a text", examples=["a rooster"])
    parts: Annotated[list[QueryPart], Field(min_length=1, max_length=MAX_ITEMS)] | None = Field(
        None, description="as of a search"
    )
    n: int = Field(1, ge=1, le=MAX_IMAGES, description="number of images")
    candidates: int | None = Field(
        None,
        ge=1,
        le=MAX_IMAGES,
        description="drawn for each image, of which the nearest is kept; default: the decoder's",
    )
    seed: int = Field(0, ge=0, lt=2**53, description="another draws other images")
    steps: int | None = Field(None, ge=1, le=MAX_STEPS, description="default: the decoder's")
    guidance: float | None = Field(
        None, ge=0, le=100, allow_inf_nan=False, description="default: the decoder's"
    )
    response_format: Literal["b64_json"] = "b64_json"
    stream: bool = Field(False, description="respond with server-sent events of progress")
    user: str | None = None


class ImageRow(BaseModel):
    """One image."""

    b64_json: str = Field(description="base64 of a PNG file")


class ImagesResponse(BaseModel):
    """The images."""

    created: int
    data: list[ImageRow]
    notes: list[str] = Field(description=NOTES)


class ModalityRow(BaseModel):
    """A modality of the space."""

    name: str
    is_text: bool = Field(description="whether it takes texts; others take data URLs")
    accepts: str
    extensions: list[str]


class ModelRow(BaseModel):
    """The space, in the shape of OpenAI's models."""

    object: Literal["model"]
    id: str
    created: int
    owned_by: str
    dim: int
    fingerprint: str
    draws: bool = Field(description="whether it draws images of vectors")
    modalities: list[ModalityRow]
    languages: list[str] = Field(description="of texts, as ISO 639-1 codes; empty: not known")


class ModelsResponse(BaseModel):
    """The one space of the service."""

    object: Literal["list"]
    data: list[ModelRow]


class Health(BaseModel):
    """The service is up."""

    status: Literal["ok"]
    model: str


class ErrorBody(BaseModel):
    """What is wrong."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorResponse(BaseModel):
    """An error in OpenAI's shape."""

    error: ErrorBody
