"""Maps keep neighbors together, lie in the unit square, and depend only on the seed."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import numpy as np
import pytest
from sklearn.manifold import trustworthiness

from openbind.errors import InputError
from openbind.evaluation.projection import Method, center_modalities, project


def draw_clusters() -> np.ndarray:
    generator = np.random.default_rng(0)
    rows_NE = np.repeat(generator.normal(size=(4, 20)), 15, axis=0)
    rows_NE += 0.1 * generator.normal(size=rows_NE.shape)
    return np.asarray(rows_NE / np.linalg.norm(rows_NE, axis=1, keepdims=True))


def test_center_modalities() -> None:
    """Two modalities that differ by an offset coincide once each is centered."""
    shape_NE = np.random.default_rng(0).normal(size=(20, 8)).astype(np.float32)
    shape_NE -= shape_NE.mean(axis=0)
    both_NE = np.concatenate([shape_NE + 5, shape_NE - 3])
    centered_NE = center_modalities(["a"] * 20 + ["b"] * 20, both_NE)
    np.testing.assert_allclose(centered_NE[:20], centered_NE[20:], atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(centered_NE, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(center_modalities(["a"], shape_NE[:1]), 0)


@pytest.mark.slow
def test_tsne_keeps_neighbors() -> None:
    """Clusters stay together, by scikit-learn's measure of it, in the unit square."""
    vectors_NE = draw_clusters()
    points_N2 = project(vectors_NE, seed=1)
    assert trustworthiness(vectors_NE, points_N2) > 0.9
    np.testing.assert_allclose(points_N2.min(axis=0), 0)
    np.testing.assert_allclose(points_N2.max(axis=0), 1)


def test_pca_keeps_directions() -> None:
    """Points on a plane in many dimensions keep their two directions."""
    rng = np.random.default_rng(0)
    plane_N2 = rng.uniform(size=(50, 2)) * [10, 1]
    rotation, _ = np.linalg.qr(rng.normal(size=(8, 8)))
    points_N2 = project((plane_N2 @ rotation[:2]).astype(np.float32), "pca")
    assert (points_N2.min(), points_N2.max()) == (0, 1)
    assert abs(np.corrcoef(points_N2[:, 0], plane_N2[:, 0])[0, 1]) > 0.999


@pytest.mark.parametrize("method", get_args(Method))
@pytest.mark.slow
def test_the_seed_decides(method: Method) -> None:
    """The same seed gives the same layout."""
    vectors_NE = draw_clusters()[:20]
    assert (project(vectors_NE, method, 1) == project(vectors_NE, method, 1)).all()


@pytest.mark.parametrize("method", get_args(Method))
@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.slow
def test_few_items(count: int, method: Method) -> None:
    """Two items make a map, fewer don't."""
    points_N2 = project(np.eye(count, 8), method)
    assert points_N2.shape == (count, 2)
    assert np.isfinite(points_N2).all()
    with pytest.raises(InputError):
        project(np.eye(1, 8), method)


def test_missing_extra_names_its_install() -> None:
    """Without scikit-learn the error names the extra."""
    code = (
        "import sys; sys.modules['sklearn.manifold'] = sys.modules['sklearn'] = None\n"
        "import numpy as np\nfrom openbind.evaluation.projection import project\n"
        "project(np.eye(3))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "pip install 'openbind[report]'" in done.stderr
