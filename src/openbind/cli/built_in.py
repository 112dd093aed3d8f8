"""The built-in sets of `openbind evaluate`: what is printed of them, and their report."""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openbind.embedding.cache import VectorCache
    from openbind.evaluation.builtin import BuiltIn
    from openbind.evaluation.report.contents import Report
    from openbind.evaluation.run import SuiteResult
    from openbind.space.space import Space

DEFAULT_REPORT = "openbind-report.html"
SEED = 0
"""Of the control, the map, and the items that are shown."""


@dataclass(frozen=True)
class Measured:
    """What came out of the built-in sets, of each space.

    Args:
        spaces: that were measured.
        found: of each of them.
        report: where the page goes.
    """

    spaces: list[Space]
    found: list[BuiltIn]
    report: Path

    @property
    def suites(self) -> dict[str, list[SuiteResult]]:
        """Title of a set → a result for each space that could be asked."""
        results = [result for built_in in self.found for result in built_in.results]
        titles = dict.fromkeys(result.suite for result in results)
        return {title: [r for r in results if r.suite == title] for title in titles}

    def show(self, suites: list[list[SuiteResult]]) -> None:
        """Print what aligns with what in each space, write the report, and say where it is."""
        import numpy as np

        from openbind.evaluation.emergence import measure_emergence
        from openbind.evaluation.report.composition import find_trained_pairs
        from openbind.evaluation.summary import tabulate_cells

        for space, built_in in zip(self.spaces, self.found, strict=True):
            pairs, generator = find_trained_pairs(space), np.random.default_rng(SEED)
            print(f"\nwhat aligns with what in {space.name}")
            for line in tabulate_cells(measure_emergence(built_in.embedded, pairs, generator)):
                print(line)
        self._write(suites)
        print(f"\nreport: {self.report}")

    def write_plain(
        self, plain: list[dict[str, Any]], suites: list[list[SuiteResult]]
    ) -> dict[str, Any]:
        """Write the report; gives all numbers as what JSON can hold.

        Args:
            plain: the results of suites and sets.
            suites: the same as they are.
        """
        from openbind.evaluation.report.numbers import plain_numbers

        numbers = plain_numbers(self._write(suites))
        return numbers | {"suites": plain, "report": str(self.report)}

    def _write(self, suites: list[list[SuiteResult]]) -> Report:
        """Write the first space's report, with the numbers of the others beside."""
        from openbind.evaluation.report.composition import compose_report
        from openbind.evaluation.report.page import write_report

        # What the items of the sets are called is shown of the collection already.
        shown = {id(result) for built_in in self.found for result in built_in.results}
        results = [
            replace(result, confusions=()) if id(result) in shown else result
            for results in suites
            for result in results
        ]
        report = compose_report(
            self.spaces[0],
            self.found[0].embedded,
            results,
            title=f"What aligns with what in {self.spaces[0].name}",
            warnings=self.found[0].warnings,
            seed=SEED,
        )
        write_report(report, self.report)
        return report


def measure(arguments: argparse.Namespace, cache: VectorCache | None) -> Measured:
    """Measure each space on the built-in sets, and say what they lack.

    Args:
        arguments: of the verb.
        cache: vectors of earlier runs, added to.
    """
    from openbind.catalog import load
    from openbind.evaluation.builtin import find_sets, measure_built_in

    own = arguments.suite is None and arguments.data is not None
    sets = find_sets(Path(arguments.data) if own else None)
    spaces = [load(name) for name in arguments.spaces]
    found = [measure_built_in(space, sets, cache=cache, progress=True) for space in spaces]
    for warning in dict.fromkeys(warning for built_in in found for warning in built_in.warnings):
        print(f"not measured: {warning}", file=sys.stderr)
    return Measured(spaces, found, Path(arguments.report or DEFAULT_REPORT))
