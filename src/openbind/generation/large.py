"""Large public decoders: which there are, whose image vectors they take, under which license."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from openbind.registry import Registry

RAIL = "CreativeML Open RAIL++-M"
RAIL_USES = (
    "the CreativeML Open RAIL-M family of licenses, which forbids certain uses (to break laws, "
    "harm or deceive people, …: read it)"
)


@dataclass(frozen=True, kw_only=True)
class Family:
    """Public image encoders that share one embedding, recognized by their architecture.

    Args:
        name: as it is shown.
        width, depth, patch, dim, activation: of the vision transformer; other trainings of the
            same size differ in the activation (OpenAI's and DFN's have quick_gelu, LAION's gelu).
        side: rows and columns of its input.
    """

    name: str
    width: int
    depth: int
    patch: int
    dim: int
    activation: str
    side: int = 224

    def fits(self, config: Any) -> bool:
        """Return whether a tower's config is that of the family."""
        stem, trunk = getattr(config, "stem", None), getattr(config, "trunk", None)
        if stem is None or trunk is None:
            return False
        found = (trunk.width, trunk.depth, trunk.activation, config.head.embed_dim)
        wanted = (self.width, self.depth, self.activation, self.dim)
        return (
            found == wanted
            and getattr(stem, "kernel", None) == (self.patch, self.patch)
            and stem.size == (self.side, self.side)
        )


LAION_H = Family(
    name="CLIP ViT-H/14 (LAION-2B)", width=1280, depth=32, patch=14, dim=1024, activation="gelu"
)
OPENAI_L = Family(
    name="CLIP ViT-L/14 (OpenAI)",
    width=1024,
    depth=24,
    patch=14,
    dim=768,
    activation="quick_gelu",
)
FAMILIES = (LAION_H, OPENAI_L)


@dataclass(frozen=True, kw_only=True)
class LargeDecoder:
    """A large decoder, fetched once from the Hugging Face Hub.

    Args:
        family: whose image vectors it takes.
        pipeline: "unclip", "sd" or "sdxl"; the latter two with an IP-Adapter.
        repository: of the diffusion model; only its UNet, VAE and settings are fetched, and once
            its text encoder where the embedding of an empty prompt can't be had otherwise.
        license: of the weights.
        consent: terms that the user accepts by fetching.
        gigabytes: that are fetched.
        adapter: repository and file of the IP-Adapter.
        steps, guidance: by default.
    """

    family: Family
    pipeline: str
    repository: str
    license: str
    consent: str
    gigabytes: float
    adapter: tuple[str, str] | None = None
    steps: int = 25
    guidance: float = 7.5


UNCLIP_H = LargeDecoder(
    family=LAION_H,
    pipeline="unclip",
    repository="sd2-community/stable-diffusion-2-1-unclip",
    license=RAIL,
    consent=RAIL_USES,
    gigabytes=1.9,
    guidance=10.0,
)
UNCLIP_SMALL = LargeDecoder(
    family=OPENAI_L,
    pipeline="unclip",
    repository="sd2-community/stable-diffusion-2-1-unclip-small",
    license=RAIL,
    consent=RAIL_USES,
    gigabytes=1.9,
    guidance=10.0,
)
IP_ADAPTER_SD15 = LargeDecoder(
    family=LAION_H,
    pipeline="sd",
    repository="stable-diffusion-v1-5/stable-diffusion-v1-5",
    license="CreativeML Open RAIL-M; the adapter Apache-2.0",
    consent=RAIL_USES,
    gigabytes=2.0,
    adapter=("h94/IP-Adapter", "models/ip-adapter_sd15.safetensors"),
)
IP_ADAPTER_SDXL = LargeDecoder(
    family=LAION_H,
    pipeline="sdxl",
    repository="stabilityai/stable-diffusion-xl-base-1.0",
    license=f"{RAIL}; the adapter Apache-2.0",
    consent=RAIL_USES,
    gigabytes=6.0,
    adapter=("h94/IP-Adapter", "sdxl_models/ip-adapter_sdxl_vit-h.safetensors"),
)
DECODERS = Registry(
    "decoder",
    "openbind.decoders",
    {
        "unclip-h": "openbind.generation.large:UNCLIP_H",
        "unclip-small": "openbind.generation.large:UNCLIP_SMALL",
        "ip-adapter-sd15": "openbind.generation.large:IP_ADAPTER_SD15",
        "ip-adapter-sdxl": "openbind.generation.large:IP_ADAPTER_SDXL",
    },
)


def image_families(config: Any) -> tuple[str, ...]:
    """Return the names of the families that an image tower's config is of."""
    return tuple(family.name for family in FAMILIES if family.fits(config))
