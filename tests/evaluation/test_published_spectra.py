"""The authors' nine transforms beside c I: a matrix by hand, and golden numbers."""

import numpy as np
import pytest
from helpers import PUBLISHED, needs_data

from glocal.evaluation import published_transforms


def test_a_matrix_by_hand():
    row, values = published_transforms.measures(np.diag([3.0, 2, 2, 1]))
    assert row["mean_diagonal"] == 2 and row["distance"] == 2 and row["relative_distance"] == pytest.approx(np.sqrt(2) / 4)
    assert values.tolist() == [1.5, 1, 1, 0.5] and row["shrunk"] == 0.25 and row["half_of_distance"] == 1
    assert row["effective_rank"] == pytest.approx(np.exp(-sum(p * np.log(p) for p in (3 / 8, 1 / 4, 1 / 4, 1 / 8))))
    assert row["asymmetry"] == 0 and published_transforms.measures([[1.0, 1], [0, 1]])[0]["asymmetry"] == pytest.approx(
        np.sqrt(2 / 10)
    )


@needs_data
@pytest.mark.data
def test_the_nine_have_the_known_distances():
    matrices, spectra = published_transforms.matrices()
    found = matrices.set_index("transform")[["mean_diagonal", "distance", "relative_distance"]]
    assert set(found.index) == set(PUBLISHED)
    for name, golden in PUBLISHED.items():
        assert found.loc[name].tolist() == pytest.approx(golden, abs=6e-4)
    ends = spectra.groupby("transform")["relative"].agg(["first", "last"]).loc[matrices["transform"]]
    np.testing.assert_allclose(ends, matrices[["largest", "smallest"]])
