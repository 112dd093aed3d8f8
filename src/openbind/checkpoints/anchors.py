"""Named models of others to stand on: permissive ones, each at one published commit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """A model that has a short name.

    Args:
        name: for `openbind.load`.
        reference: what the name stands for, "hf:" or "st:" with a commit.
        license: of the weights, by the model's card.
        modalities: that it embeds.
        dim: of its vectors.
        parameters: how many it has.
        advice: when to choose it.
    """

    name: str
    reference: str
    license: str
    modalities: tuple[str, ...]
    dim: int
    parameters: int
    advice: str


ANCHORS = {
    anchor.name: anchor
    for anchor in (
        Anchor(
            name="siglip2-base",
            reference="hf:google/siglip2-base-patch16-224@75de2d55ec2d0b4efc50b3e9ad70dba96a7b2fa2",
            license="Apache-2.0",
            modalities=("image", "text"),
            dim=768,
            parameters=375_187_970,
            advice="images in many languages; needs no extra",
        ),
        Anchor(
            name="clap-general",
            reference="st:laion/larger_clap_general@ada0c23a36c4e8582805bb38fec3905903f18b41",
            license="Apache-2.0",
            modalities=("text", "audio"),
            dim=512,
            parameters=193_913_882,
            advice="sounds, music and speech",
        ),
        Anchor(
            name="clap-small",
            reference="st:laion/clap-htsat-unfused@8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
            license="Apache-2.0",
            modalities=("text", "audio"),
            dim=512,
            parameters=153_492_890,
            advice="sounds, with the fewest parameters",
        ),
        Anchor(
            name="embeddinggemma-2",
            reference="st:google/embeddinggemma-2@914f7f89142e33e77833254d9c9b90c3cef7303b",
            license="Apache-2.0",
            modalities=("image", "video", "text", "audio"),
            dim=768,
            parameters=744_371_992,
            advice="all four in one space; can be truncated to 512, 256 or 128 dimensions",
        ),
        Anchor(
            name="qwen3-vl-embedding-2b",
            reference="st:Qwen/Qwen3-VL-Embedding-2B@2a50926d213628c727f38025982a76f655673f54",
            license="Apache-2.0",
            modalities=("image", "video", "text"),
            dim=2048,
            parameters=2_127_532_032,
            advice="images and video with instructions; heavy without a GPU",
        ),
    )
}
