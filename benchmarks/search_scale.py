"""Search of large indexes beside other libraries, in one run; ten million rows by calculation.

Method: vectors of 1,024 dimensions are drawn around 2,000 centers. Centers and what is added to
them have variances that fall as 1/n over the dimensions and the same length on average, then all
are rotated: as in embeddings, few directions have most of the variance (participation ratio about
40) and neighbors have cosines of .5 to .7. Queries are other draws. A random number per row is what
filters compare: 10 % and 1 % of all rows pass. The exact ten nearest, with and without filters, are
faiss's. Every kind of index searches the fewest partitions (usearch: candidates) with a recall@10
of at least 0.97 of those, for each filter; approximate candidates are compared again by their whole
vectors. Building includes training, not writing the vectors. One query at a time, after ten that
aren't counted; p50, p99 and the ratio of p50 to numpy's exact search are printed. openbind chooses
its effort itself, and returns all columns, others numbers.

Of several sizes, lines through their figures give those of ten times the largest.

    python benchmarks/search_scale.py [--rows 250000 500000 1000000] [--kinds ...]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import faiss
import lancedb.index
import numpy as np
from index import COMMIT, DIM, fill_table
from scipy.optimize import nnls
from tables import print_heads, print_row

from openbind.search.ann import Nearest, build_ann
from openbind.search.table import RowTable
from openbind.space.vectors import unit_rows

TOP, CENTERS, WARM, RECALL = 10, 2000, 10, 0.97
FILTERS = {"all": 1.0, "10 %": 0.1, "1 %": 0.01}
HEADS = ("", "built in", "bytes a row", *FILTERS, "recall@10", "effort")
EFFORTS = (4, 8, 16, 32, 64, 128, 256, 512)
REFINE = 10
FACTOR = 10
"""Of the rows that figures are calculated for to the most that are measured."""
Ask = Callable[[np.ndarray, int, float], Iterable[int]]
"""From a query, an effort and the fraction of rows that a filter admits to the nearest rows."""


@dataclass(frozen=True)
class Data:
    """Vectors, queries, and their exact nearest rows.

    Args:
        vectors_KE: unit rows, on disk.
        queries_QE: unit rows.
        marks_K: random numbers below K; filters admit the lowest.
        nearest: fraction admitted → (Q, TOP).
    """

    vectors_KE: np.ndarray
    queries_QE: np.ndarray
    marks_K: np.ndarray
    nearest: dict[float, np.ndarray]


@dataclass(frozen=True)
class Built:
    """An index.

    Args:
        ask: searches it.
        seconds: of building it.
        size: in bytes, without the vectors.
        efforts: that it may take; one for exact search.
        filters: whether it has any.
    """

    ask: Ask
    seconds: float
    size: int
    efforts: Sequence[int] = EFFORTS
    filters: bool = True


@dataclass(frozen=True)
class Figures:
    """What was measured of one kind: times in ms by the name of a filter."""

    rows: int
    seconds: float
    size: int
    effort: dict[str, int]
    median: dict[str, float]
    slowest: dict[str, float]
    recall: dict[str, float]

    def cells(self, base: Figures | None) -> list[str]:
        """Return the cells of a row; with the ratio of p50 to that of exact search by numpy."""
        searched = []
        for name in FILTERS:
            if name not in self.median:
                searched.append("")
                continue
            times = f"{self.median[name]:.3g}, {self.slowest[name]:.3g} ms"
            ratio = f"; {self.median[name] / base.median[name]:.2f}" if base else ""
            searched.append(times + ratio)
        recalls = ", ".join(f"{value:.3f}" for value in self.recall.values())
        efforts = ", ".join(map(str, self.effort.values()))
        built = f"{self.seconds:.0f} s" if self.seconds else ""
        size = f"{self.size / self.rows:,.0f}" if self.size else ""
        return [built, size, *searched, recalls, efforts]


def draw_vectors(target: Path, count: int, seed: int) -> np.ndarray:
    """Draw unit vectors into a file, as the module describes, and map it."""
    rng = np.random.default_rng(0)
    scales_E = np.arange(1, DIM + 1, dtype=np.float32) ** -0.5
    centers_CE = rng.standard_normal((CENTERS, DIM), dtype=np.float32) * scales_E
    turn_EE = np.linalg.qr(rng.standard_normal((DIM, DIM)))[0].astype(np.float32)
    rng = np.random.default_rng(seed)
    mapped = np.lib.format.open_memmap(target, "w+", np.float32, (count, DIM))
    for start in range(0, count, COMMIT):
        size = min(COMMIT, count - start)
        near_NE = centers_CE[rng.integers(CENTERS, size=size)]
        drawn_NE = near_NE + rng.standard_normal((size, DIM), dtype=np.float32) * scales_E
        mapped[start : start + size] = unit_rows(drawn_NE @ turn_EE)
    mapped.flush()
    drawn_KE: np.ndarray = np.load(target, mmap_mode="r")
    return drawn_KE


def find_exactly(queries_QE: np.ndarray, vectors_KE: np.ndarray) -> np.ndarray:
    """Return the nearest rows by inner product, (Q, TOP)."""
    rows_QT: np.ndarray = faiss.knn(queries_QE, vectors_KE, TOP, metric=faiss.METRIC_INNER_PRODUCT)[
        1
    ]
    return rows_QT


def make_data(folder: Path, count: int, queries: int) -> Data:
    """Draw vectors and queries, and find the exact nearest."""
    vectors_KE = draw_vectors(folder / "vectors.npy", count, 1)
    queries_QE = np.array(draw_vectors(folder / "queries.npy", queries + WARM, 2))
    marks_K = np.random.default_rng(3).permutation(count)
    nearest = {}
    for fraction in FILTERS.values():
        rows = np.flatnonzero(marks_K < fraction * count)
        chosen_KE = vectors_KE if fraction == 1 else vectors_KE[rows]
        nearest[fraction] = rows[find_exactly(queries_QE[WARM:], chosen_KE)]
    return Data(vectors_KE, queries_QE, marks_K, nearest)


def measure(data: Data, built: Built) -> Figures:
    """Choose the least effort that finds enough, and time it."""
    median, slowest, recall, efforts = {}, {}, {}, dict[str, int]()
    for name, fraction in FILTERS.items():
        if fraction < 1 and not built.filters:
            continue
        for effort in built.efforts:
            times, found = [], []
            for query_E in data.queries_QE:
                started = time.perf_counter()
                rows = built.ask(query_E, effort, fraction)
                times.append(1000 * (time.perf_counter() - started))
                found.append(set(map(int, rows)))
            pairs = zip(found[WARM:], data.nearest[fraction].tolist(), strict=True)
            recall[name] = float(np.mean([len(own & set(exact)) / TOP for own, exact in pairs]))
            efforts[name] = effort
            if recall[name] >= RECALL:
                break
        low, high = np.percentile(times[WARM:], (50, 99))
        median[name], slowest[name] = float(low), float(high)
    count = len(data.vectors_KE)
    return Figures(count, built.seconds, built.size, efforts, median, slowest, recall)


def numpy_exact(data: Data, _: RowTable, __: Path) -> Built:
    """One product with the mapped vectors."""

    def ask(query_E: np.ndarray, _: int, fraction: float) -> np.ndarray:
        scores_K = data.vectors_KE @ query_E
        if fraction < 1:
            scores_K[data.marks_K >= fraction * len(scores_K)] = -np.inf
        return np.argpartition(-scores_K, TOP)[:TOP]

    return Built(ask, 0, 0, (1,))


def faiss_flat(data: Data, _: RowTable, __: Path) -> Built:
    """All vectors, without a copy of them."""

    def ask(query_E: np.ndarray, _: int, __: float) -> np.ndarray:
        row_T: np.ndarray = find_exactly(query_E[None], data.vectors_KE)[0]
        return row_T

    return Built(ask, 0, 0, (1,), filters=False)


def faiss_rabitq(data: Data, _: RowTable, folder: Path) -> Built:
    """Partitions of one bit per dimension, as many as the square root of the rows."""
    count = len(data.vectors_KE)
    started = time.perf_counter()
    lists = int(np.sqrt(count))
    made = faiss.index_factory(DIM, f"IVF{lists},RaBitQ", faiss.METRIC_INNER_PRODUCT)
    rng = np.random.default_rng(0)
    drawn = np.sort(rng.choice(count, min(count, 64 * lists), replace=False))
    made.train(data.vectors_KE[drawn])
    for start in range(0, count, 20_000):
        made.add(data.vectors_KE[start : start + 20_000])
    seconds = time.perf_counter() - started
    faiss.write_index(made, str(folder / "faiss"))
    passing = {f: np.flatnonzero(data.marks_K < f * count) for f in FILTERS.values() if f < 1}
    chosen = {f: faiss.IDSelectorBatch(rows) for f, rows in passing.items()}

    def ask(query_E: np.ndarray, effort: int, fraction: float) -> np.ndarray:
        settings = faiss.IVFRaBitQSearchParameters()
        settings.nprobe, settings.qb = effort, 8
        if fraction < 1:
            settings.sel = chosen[fraction]
        rows = made.search(query_E[None], REFINE * TOP, params=settings)[1][0]
        rows = np.sort(rows[rows >= 0])
        return rows[np.argsort(-(data.vectors_KE[rows] @ query_E))[:TOP]]

    return Built(ask, seconds, (folder / "faiss").stat().st_size)


def usearch_hnsw(data: Data, _: RowTable, folder: Path) -> Built:
    """A graph of vectors of one byte per dimension; it has no filters."""
    from usearch.index import Index

    started = time.perf_counter()
    made = Index(ndim=DIM, metric="cos", dtype="i8")
    for start in range(0, len(data.vectors_KE), 20_000):
        part_KE = np.array(data.vectors_KE[start : start + 20_000])
        made.add(np.arange(start, start + len(part_KE)), part_KE)
    seconds = time.perf_counter() - started
    made.save(str(folder / "usearch"))

    def ask(query_E: np.ndarray, effort: int, _: float) -> np.ndarray:
        made.expansion_search = effort
        rows = np.sort(made.search(query_E, REFINE * TOP).keys.astype(np.int64))
        return rows[np.argsort(-(data.vectors_KE[rows] @ query_E))[:TOP]]

    return Built(ask, seconds, (folder / "usearch").stat().st_size, filters=False)


def lance(kind: str) -> Callable[[Data, RowTable, Path], Built]:
    """Return the function that builds one of LanceDB's own kinds."""

    def build(data: Data, table: RowTable, _: Path) -> Built:
        before, started = _size_of(table), time.perf_counter()
        settings = getattr(lancedb.index, kind)(distance_type="cosine")
        table.rows.create_index("vector", config=settings)
        seconds = time.perf_counter() - started

        def ask(query_E: np.ndarray, effort: int, fraction: float) -> list[int]:
            query = table.rows.search(query_E).distance_type("cosine").select(["file", "_distance"])
            query = query.nprobes(effort).refine_factor(REFINE).limit(TOP)
            if fraction < 1:
                query = query.where(f"size < {int(fraction * len(data.vectors_KE))}")
            return [int(name) for name in query.to_arrow().column("file").to_pylist()]

        return Built(ask, seconds, _size_of(table) - before)

    return build


def openbind_index(data: Data, table: RowTable, _: Path) -> Built:
    """What an update builds, with the effort that it chose itself."""
    before, started = _size_of(table), time.perf_counter()
    ann = build_ann(table, None)
    seconds = time.perf_counter() - started

    def ask(query_E: np.ndarray, _: int, fraction: float) -> list[int]:
        where = None if fraction == 1 else f"size < {int(fraction * len(data.vectors_KE))}"
        return [int(row["file"]) for row in Nearest(table, query_E, ann).files(TOP, where)]

    effort = ann.probes if ann else 1
    return Built(ask, seconds, _size_of(table) - before, (effort,))


def _size_of(table: RowTable) -> int:
    paths = Path(table.address).rglob("*")
    return sum(path.stat().st_size for path in paths if "_indices" in path.parts)


KINDS: Mapping[str, Callable[[Data, RowTable, Path], Built]] = {
    "numpy": numpy_exact,
    "faiss-flat": faiss_flat,
    "faiss-ivf-rabitq": faiss_rabitq,
    "usearch": usearch_hnsw,
    "lancedb-ivf-sq": lance("IvfSq"),
    "lancedb-ivf-rq": lance("IvfRq"),
    "lancedb-ivf-pq": lance("IvfPq"),
    "lancedb-hnsw-sq": lance("IvfHnswSq"),
    "openbind": openbind_index,
}


def measure_all(count: int, kinds: Sequence[str], queries: int) -> dict[str, Figures]:
    """Measure all kinds over one set of vectors."""
    found: dict[str, Figures] = {}
    with tempfile.TemporaryDirectory() as name:
        folder, started = Path(name), time.perf_counter()
        data = make_data(folder, count, queries)
        drawn = time.perf_counter() - started
        started = time.perf_counter()
        table = fill_table(folder / "table", data.vectors_KE, data.marks_K)
        wrote = time.perf_counter() - started
        print(f"\n{count:,} rows, drawn in {drawn:.0f} s and written to a table in {wrote:.0f} s:")
        print_heads(*HEADS)
        for kind in kinds:
            try:
                found[kind] = measure(data, KINDS[kind](data, table, folder))
                print_row(kind, *found[kind].cells(found.get("numpy")))
            except ImportError:
                print_row(kind, "not installed", *[""] * (len(HEADS) - 2))
    return found


@dataclass(frozen=True)
class Fit:
    """A line through figures of several sizes: value ≈ start + slope · rows.

    Args:
        start, slope: of the least squares of relative errors.
        error: the largest relative error at the sizes themselves.
    """

    start: float
    slope: float
    error: float

    @classmethod
    def of(cls, rows: Sequence[int], values: Sequence[float]) -> Fit:
        """Fit a line whose start and slope aren't negative."""
        rows_N, values_N = np.array(rows, float), np.array(values, float)
        terms_N2 = np.stack([1 / values_N, rows_N / values_N], axis=1)
        start, slope = nnls(terms_N2, np.ones(len(rows)))[0]
        error = np.abs((start + slope * rows_N) / values_N - 1).max()
        return cls(float(start), float(slope), float(error))

    def at(self, rows: int) -> float:
        """Return the value for a number of rows."""
        return self.start + self.slope * rows


def print_calculated(sizes: Sequence[int], found: Sequence[dict[str, Figures]]) -> None:
    """Print what lines through all sizes give for ten times the largest, with their errors.

    LanceDB's partitions have about as many rows in all indexes, and columns that a filter compares
    are read: times of queries, bytes and building all grow linearly where partitions do. The last
    column is what the line through all but the largest size gives there, over what was measured.
    """
    rows = FACTOR * sizes[-1]
    print(f"\n{rows:,} rows by calculation, from lines through {len(sizes)} sizes; in parentheses "
          "the largest error of a line at these:")  # fmt: skip
    print_heads("", "built in", "bytes a row", "p50, all", "p50 at the largest size, calculated")
    for kind in found[-1]:
        series = [each[kind] for each in found if kind in each]
        if len(series) < len(sizes):
            continue
        seconds = [each.seconds for each in series]
        medians = [each.median["all"] for each in series]
        built = Fit.of(sizes, seconds) if all(seconds) else None
        size = Fit.of(sizes, [each.size for each in series]) if series[-1].size else None
        time_ms = Fit.of(sizes, medians)
        check = Fit.of(sizes[:-1], medians[:-1]).at(sizes[-1]) / medians[-1]
        print_row(
            kind,
            f"{built.at(rows):,.0f} s ({built.error:.0%})" if built else "",
            f"{size.at(rows) / rows:,.0f} ({size.error:.0%})" if size else "",
            f"{time_ms.at(rows):,.0f} ms ({time_ms.error:.0%})",
            f"{check:.2f} of the measured",
        )


def main() -> None:
    """Measure, calculate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, nargs="+", default=[250_000, 500_000, 1_000_000])
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    given = parser.parse_args()
    sizes = sorted(given.rows)
    found = [measure_all(size, given.kinds, given.queries) for size in sizes]
    if len(sizes) > 2:
        print_calculated(sizes, found)


if __name__ == "__main__":
    main()
