"""The authors' transform of CLIP RN50 on public features of Caltech-101: golden numbers."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
from helpers import needs_data

from glocal import cli
from glocal.arrays import moments
from glocal.datasets.clip_caches import cache
from glocal.datasets.registry import fetch
from glocal.evaluation import published_transforms
from glocal.evaluation.classifiers import NEAREST
from glocal.transform import GLocalTransform

pytestmark = [needs_data, pytest.mark.data]


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """What `glocal published` writes, with the fastest of its classifiers."""
    files = {name: str(tmp_path_factory.mktemp("published") / f"{name}.csv") for name in ("out", "matrices", "spectra")}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(published_transforms, "evaluate", partial(published_transforms.evaluate, (NEAREST,)))
        assert cli.main(["published", *(word for name, file in files.items() for word in (f"--{name}", file))]) == 0
    assert set(pd.read_csv(files["spectra"])["transform"]) == set(pd.read_csv(files["matrices"])["transform"])
    return pd.read_csv(files["out"]).set_index(["measure", "transform"])


@pytest.mark.parametrize("transform, value", [("original", 85.8), ("published", 86.5), ("centred", 86.8)])
def test_one_nearest_neighbour(table, transform, value):
    assert 100 * table.loc[(f"16-shot accuracy, {NEAREST}", transform), "value"] == pytest.approx(value, abs=0.05)


@pytest.mark.parametrize("transform, value", [("original", 98.6), ("published", 98.8), ("centred", 99.1), ("whitened", 99.6)])
def test_one_class_against_the_others(table, transform, value):
    assert 100 * table.loc[(published_transforms.AUROC, transform), "value"] == pytest.approx(value, abs=0.06)


def test_differences_are_to_the_original_and_within_their_intervals(table):
    for _, rows in table.groupby(level="measure"):
        values = rows.droplevel("measure")
        np.testing.assert_allclose(values["difference"], values["value"] - values.loc["original", "value"], atol=1e-9)
        assert ((values["ci_low"] <= values["difference"] + 1e-12) & (values["difference"] <= values["ci_high"] + 1e-12)).all()


def test_the_features_come_back_to_the_scale_of_the_transform():
    t = GLocalTransform.load(fetch(published_transforms.TRANSFORM))
    x, rows = cache(published_transforms.DATASET, "train", keep_repeats=True)
    assert x.shape == (1600, 1024) and rows["class"].value_counts().unique().tolist() == [16]
    np.testing.assert_allclose(np.linalg.norm(x, axis=1), 1, atol=1e-3)
    mean, std = moments(published_transforms.rescaled(x, t))
    assert std == pytest.approx(t.std_, rel=0.01) and abs(mean) < 0.1 * t.std_
