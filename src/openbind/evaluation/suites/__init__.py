"""Data sets in their own layouts, one file each."""

from openbind.registry import Registry

SUITES = Registry(
    "suite",
    "openbind.suites",
    {
        "esc50": "openbind.evaluation.suites.esc50:SUITE",
        "clotho": "openbind.evaluation.suites.clotho:SUITE",
        "imagenet": "openbind.evaluation.suites.imagenet:SUITE",
        "places365": "openbind.evaluation.suites.places365:SUITE",
        "msrvtt": "openbind.evaluation.suites.msrvtt:SUITE",
    },
)
