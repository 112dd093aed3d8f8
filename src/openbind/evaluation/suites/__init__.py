"""Data sets in their own layouts, one file each."""

from openbind.registry import Registry

SUITES = Registry(
    "suite",
    "openbind.suites",
    {
        "esc50": "openbind.evaluation.suites.esc50:SUITE",
        "clotho": "openbind.evaluation.suites.clotho:SUITE",
    },
)
