"""Search of large indexes beside other libraries, in one run; ten million rows by calculation.

Method: vectors of 1,024 dimensions are drawn around 2,000 centers. Centers and what is added to
them have variances that fall as 1/n over the dimensions and the same length on average, then all
are rotated: as in embeddings, few directions have most of the variance (participation ratio about
40) and neighbors have cosines of .5 to .7. Queries are other draws. A random number per row is what
filters compare: 10 % and 1 % of all rows pass. The exact ten nearest, with and without filters, are
faiss's. Every kind of index searches the fewest partitions (usearch: candidates) with a recall@10
of at least 0.97 of those, for each filter; approximate candidates are compared again by their
whole vectors. Building includes training, not writing the vectors. One query at a time, after ten
that aren't counted. openbind chooses its effort itself, and returns all columns, others numbers.

With `--check`, everything is first measured on two smaller numbers of rows. The figures of `--rows`
are calculated from those (see `calculate`), so that they can be compared with what is measured, and
the figures of ten times the rows from the two larger numbers.

    python benchmarks/search_scale.py [--rows 1000000] [--check 125000 250000] [--kinds ...]
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

from openbind.search.ann import Nearest, build_ann
from openbind.search.table import RowTable
from openbind.space.vectors import unit_rows

TOP, CENTERS, WARM, RECALL = 10, 2000, 10, 0.97
FILTERS = {"all": 1.0, "10 %": 0.1, "1 %": 0.01}
EFFORTS = (4, 8, 16, 32, 64, 128, 256, 512)
REFINE = 10
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

    def __str__(self) -> str:
        recalls = {name: f" {value:.3f}" for name, value in self.recall.items()}
        parts = [
            f"{name}: {self.median[name]:7.1f} {self.slowest[name]:7.1f}{recalls.get(name, '')}"
            f" ({self.effort[name]})"
            for name in self.median
        ]
        size = f"{self.size / self.rows:6.0f} B/row"
        return f"{self.seconds:7.0f} s {size}   {'   '.join(parts)}"


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
        print(f"\n{count:,} rows: drawn in {drawn:.0f} s, written in {wrote:.0f} s", flush=True)
        for kind in kinds:
            try:
                found[kind] = measure(data, KINDS[kind](data, table, folder))
                print(f"{kind:18} {found[kind]}", flush=True)
            except ImportError as error:
                print(f"{kind:18} not installed: {error}", flush=True)
    return found


def calculate(small: Figures, large: Figures, rows: int) -> Figures:
    """Return what to expect of another number of rows from figures of two.

    Times of queries and bytes are taken as a constant and a part that grows with the rows, since
    LanceDB's partitions have about as many rows in all indexes, and the unindexed column that the
    filter compares is read; the time of building as a power of the rows.
    """

    def line(low: float, high: float) -> float:
        slope = max(0.0, (high - low) / (large.rows - small.rows))
        return high + slope * (rows - large.rows)

    seconds = 0.0
    if small.seconds and large.seconds:
        exponent = np.log(large.seconds / small.seconds) / np.log(large.rows / small.rows)
        seconds = large.seconds * float((rows / large.rows) ** exponent)
    return Figures(
        rows=rows,
        seconds=seconds,
        size=int(line(small.size, large.size)),
        effort=large.effort,
        median={name: line(small.median[name], time) for name, time in large.median.items()},
        slowest={name: line(small.slowest[name], time) for name, time in large.slowest.items()},
        recall={},
    )


def main() -> None:
    """Measure, calculate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--check", type=int, nargs=2, help="sizes to calculate the figures from")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), metavar="KIND")
    given = parser.parse_args()
    print("build, bytes beside the vectors; by filter p50 and p99 in ms, recall@10, and the effort")
    sizes = [*(given.check or ()), given.rows]
    found = [measure_all(size, given.kinds, given.queries) for size in sizes]
    for below, above, rows in zip(found, found[1:], [given.rows, 10 * given.rows], strict=False):
        print(f"\n{rows:,} rows, calculated")
        for kind in above:
            print(f"{kind:18} {calculate(below[kind], above[kind], rows)}", flush=True)


if __name__ == "__main__":
    main()
