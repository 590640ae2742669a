"""The authors' nine transforms beside c I: a matrix by hand, and golden numbers."""

import numpy as np
import pytest
from helpers import needs_data

from glocal.evaluation import published_spectra

GOLDEN = {  # mean diagonal, sum (W - c I)^2, relative to c I
    "OpenCLIP_ViT-L-14_laion2b_s32b_b82k": (0.1033, 0.1188, 0.120),
    "OpenCLIP_ViT-L-14_laion400m_e32": (0.0908, 0.1375, 0.147),
    "clip_RN50": (0.0791, 0.1044, 0.128),
    "clip_ViT-L-14": (0.1200, 0.1480, 0.116),
    "dino-vit-base-p16": (0.0702, 0.172, 0.213),
    "dino-vit-base-p8": (0.0723, 0.187, 0.216),
    "dinov2-vit-base-p14": (0.0863, 0.340, 0.244),
    "dinov2-vit-large-p14": (0.0657, 0.358, 0.285),
    "resnet18": (0.0564, 0.151, 0.305),
}


def test_a_matrix_by_hand():
    row, values = published_spectra.measures(np.diag([3.0, 2, 2, 1]))
    assert row["mean_diagonal"] == 2 and row["distance"] == 2 and row["relative_distance"] == pytest.approx(np.sqrt(2) / 4)
    assert values.tolist() == [1.5, 1, 1, 0.5] and row["shrunk"] == 0.25 and row["half_of_distance"] == 1
    assert row["effective_rank"] == pytest.approx(np.exp(-sum(p * np.log(p) for p in (3 / 8, 1 / 4, 1 / 4, 1 / 8))))
    assert row["asymmetry"] == 0 and published_spectra.measures([[1.0, 1], [0, 1]])[0]["asymmetry"] == pytest.approx(
        np.sqrt(2 / 10)
    )


@needs_data
@pytest.mark.data
def test_the_nine_have_the_known_distances():
    matrices, spectra = published_spectra.evaluate()
    found = matrices.set_index("transform")[["mean_diagonal", "distance", "relative_distance"]]
    assert set(found.index) == set(GOLDEN)
    for name, golden in GOLDEN.items():
        assert found.loc[name].tolist() == pytest.approx(golden, abs=6e-4)
    ends = spectra.groupby("transform")["relative"].agg(["first", "last"]).loc[matrices["transform"]]
    np.testing.assert_allclose(ends, matrices[["largest", "smallest"]])
