"""Neighbors stay neighbors on the plane; a seed gives one layout; the extra is asked for."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from openbind.errors import InputError
from openbind.evaluation.report.atlas import project


def draw_clusters() -> np.ndarray:
    generator = np.random.default_rng(0)
    rows_NE = np.repeat(generator.normal(size=(4, 20)), 15, axis=0)
    rows_NE += 0.1 * generator.normal(size=rows_NE.shape)
    return np.asarray(rows_NE / np.linalg.norm(rows_NE, axis=1, keepdims=True))


def test_neighbors_stay() -> None:
    """Clusters stay together, by scikit-learn's measure of it; all is in the unit square."""
    vectors_NE = draw_clusters()
    places_N2 = project(vectors_NE, seed=1)
    assert trustworthiness(vectors_NE, places_N2) > 0.9
    assert (places_N2.min(axis=0), places_N2.max(axis=0)) == (
        pytest.approx([0, 0]),
        pytest.approx([1, 1]),
    )


def test_the_seed_decides() -> None:
    """The same seed gives the same layout."""
    vectors_NE = draw_clusters()[:20]
    assert (project(vectors_NE, seed=1) == project(vectors_NE, seed=1)).all()


@pytest.mark.parametrize("count", [2, 3, 5])
def test_few_items(count: int) -> None:
    """Two items make a map, fewer don't."""
    places_N2 = project(np.eye(count, 8), seed=0)
    assert places_N2.shape == (count, 2)
    assert np.isfinite(places_N2).all()
    with pytest.raises(InputError, match="at least two"):
        project(np.eye(1, 8), seed=0)


def test_missing_extra_names_its_install() -> None:
    """Without scikit-learn the error says what to install."""
    code = (
        "import sys; sys.modules['sklearn'] = None; sys.modules['sklearn.manifold'] = None\n"
        "import numpy as np\nfrom openbind.evaluation.report.atlas import project\n"
        "project(np.eye(3), 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'openbind[report]'" in done.stderr
