"""OWLv2: boxes of things in an image, by text, by an image of it, or of everything.

Minderer et al. 2023, arXiv 2306.09683; the extra "detection". Its vectors aren't those of our
spaces: for a query of another modality its boxes of everything are taken, and what is in them is
embedded by the space (`openbind.space.locating`).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image

from openbind.errors import InputError, MissingExtraError
from openbind.localisation.heat import Box

REPOSITORY = "google/owlv2-base-patch16-ensemble"
MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
PADDING = 128
"""Gray value below and right of an image that isn't square, as in its training."""
MOST = 24
"""Boxes that are returned, the best."""
SMALLEST = 0.01
"""Of a side of the image, in a box."""


@dataclass(frozen=True, eq=False)
class Owlv2:
    """A detector.

    Args:
        model: `Owlv2ForObjectDetection`, in evaluation mode.
        tokenizer: of its texts.
    """

    model: Any
    tokenizer: Any

    @torch.inference_mode()
    def by_text(self, image: Image.Image, text: str) -> list[Box]:
        """Return boxes of what a text says, best first."""
        length = self.model.config.text_config.max_position_embeddings
        tokens = self.tokenizer(
            [text], padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        found = self.model(
            input_ids=tokens["input_ids"],
            attention_mask=tokens["attention_mask"],
            pixel_values=self._pixels(image),
        )
        return to_boxes(found.pred_boxes[0], found.logits[0].amax(dim=-1), image.size)

    @torch.inference_mode()
    def by_image(self, image: Image.Image, query: Image.Image) -> list[Box]:
        """Return boxes of what another image shows, best first."""
        found = self.model.image_guided_detection(
            pixel_values=self._pixels(image), query_pixel_values=self._pixels(query)
        )
        scores_N = found.logits[0].amax(dim=-1)
        return to_boxes(found.target_pred_boxes[0], scores_N, image.size)

    @torch.inference_mode()
    def everything(self, image: Image.Image) -> list[Box]:
        """Return boxes of things, whatever they are; the score is that it is one."""
        feature_map, _ = self.model.image_embedder(pixel_values=self._pixels(image))
        features = feature_map.flatten(1, 2)
        boxes_N4 = self.model.box_predictor(features, feature_map)[0]
        return to_boxes(boxes_N4, self.model.objectness_predictor(features)[0], image.size)

    def _pixels(self, image: Image.Image) -> torch.Tensor:
        """Pad to a square at the bottom and right, resize, normalize."""
        side = max(image.size)
        square = Image.new("RGB", (side, side), (PADDING,) * 3)
        square.paste(image.convert("RGB"), (0, 0))
        size = self.model.config.vision_config.image_size
        resized = square.resize((size, size), Image.Resampling.BILINEAR)
        values = (np.asarray(resized, np.float32) / 255 - MEAN) / STD
        return torch.from_numpy(values.astype(np.float32)).permute(2, 0, 1)[None]


def to_boxes(boxes_N4: torch.Tensor, logits_N: torch.Tensor, size: tuple[int, int]) -> list[Box]:
    """Return the best boxes in pixels of the image, best first.

    Args:
        boxes_N4: middle x and y, width and height, as fractions of the padded square.
        logits_N: their scores before the sigmoid.
        size: width and height of the image.
    """
    side = max(size)
    x, y, width, height = (boxes_N4.float() * side).unbind(dim=-1)
    corners_N4 = torch.stack([x - width / 2, y - height / 2, x + width / 2, y + height / 2], dim=-1)
    corners_N4[:, 0::2] = corners_N4[:, 0::2].clamp(0, size[0])
    corners_N4[:, 1::2] = corners_N4[:, 1::2].clamp(0, size[1])
    found = []
    for number in logits_N.argsort(descending=True).tolist():
        x0, y0, x1, y1 = corners_N4[number].tolist()
        if x1 - x0 >= SMALLEST * size[0] and y1 - y0 >= SMALLEST * size[1]:
            found.append((x0, y0, x1, y1, float(logits_N[number].sigmoid())))
        if len(found) == MOST:
            break
    return found


@lru_cache(maxsize=2)
def load_owlv2(source: str = REPOSITORY) -> Owlv2:
    """Load a detector.

    Args:
        source: a folder, or a repository of the Hub.

    Raises:
        MissingExtraError: transformers isn't installed.
        InputError: there is no such detector.
    """
    try:
        from transformers import AutoTokenizer, Owlv2ForObjectDetection
    except ImportError as error:
        raise MissingExtraError("the method owlv2", "transformers", "detection") from error
    try:
        # `from_pretrained` returns it in evaluation mode.
        model: Any = Owlv2ForObjectDetection.from_pretrained(source, use_safetensors=True)
        return Owlv2(model, AutoTokenizer.from_pretrained(source))
    except (OSError, ValueError) as error:
        reason = f"expected a folder or a repository with an OWLv2 detector ({error})"
        raise InputError(source, reason) from error
