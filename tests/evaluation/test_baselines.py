"""Baselines that stand beside every result: what they are, and the numbers that public data must give."""

import json

import numpy as np
import pandas as pd
import pytest
from helpers import clusters, needs_data
from hypothesis import given
from hypothesis import strategies as st
from sklearn.covariance import ledoit_wolf
from sklearn.linear_model import Ridge

from glocal import triplets
from glocal.arrays import unit_rows
from glocal.datasets import judgments, things
from glocal.errors import GlocalError
from glocal.evaluation import alignment, anomaly, anomaly_scores, baselines, few_shot, odd_one_out, structure
from glocal.evaluation.classifiers import LOGISTIC, MEAN, NEAREST, predict
from glocal.evaluation.geometry import neighbour_overlap
from glocal.features import jobs
from glocal.training import grid_search
from glocal.transform import GLocalTransform, unit_norm
from glocal.workflow.experiment import Experiment

NAMES = ["centred", "whitened", "rotated", "glocal_centred"]


def context(seed=0, q=200, p=12):
    """(q, p) correlated columns of different means and spreads."""
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(q, p)) * np.geomspace(1, 20, p)) @ np.linalg.qr(rng.normal(size=(p, p)))[0] + rng.normal(size=p) * 5


# -- what they are -------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1))
def test_the_mean_of_the_context_is_zero(seed):
    y = context(seed)
    for t in (baselines.centred(y), baselines.whitened(y)):
        z = t.transform(y)
        assert np.abs(z.mean(0)).max() < 1e-4 * np.abs(z).max()
    x = context(seed, q=5)
    np.testing.assert_allclose(unit_rows(baselines.centred(y).transform(x)), unit_rows(x - y.mean(0)), atol=1e-5)


@given(st.integers(0, 2**32 - 1))
def test_without_shrinkage_the_covariance_of_the_context_is_the_identity(seed):
    y = context(seed)
    t = baselines.whitened(y, 0.0)
    np.testing.assert_allclose(np.cov(t.transform(y).T, bias=True), np.eye(12), atol=1e-3)
    np.testing.assert_allclose(t.weights_, t.weights_.T, atol=1e-6)  # ZCA, not PCA: the map nearest to the identity
    assert np.linalg.eigvalsh(t.weights_).min() > 0


def test_shrinkage_goes_from_whitening_to_centring():
    y, x = context(), context(1, q=50)
    whole = unit_rows(baselines.whitened(y, 1.0).transform(x))
    np.testing.assert_allclose(whole, unit_rows(baselines.centred(y).transform(x)), atol=1e-5)
    spread = [np.ptp(np.linalg.eigvalsh(baselines.whitened(y, s).weights_.astype(float))) for s in (0, 0.1, 0.5, 1)]
    assert spread == sorted(spread, reverse=True)
    half = np.cov(((y - y.mean()) / y.std()).T, bias=True)
    half = (half + np.trace(half) / 12 * np.eye(12)) / 2
    w = baselines.whitened(y, 0.5).weights_.astype(float)
    np.testing.assert_allclose(w @ half @ w, np.eye(12), atol=1e-4)


def test_fewer_images_than_dimensions_need_shrinkage():
    y = context(q=8)
    with pytest.raises(GlocalError, match=r"whitened: the covariance of 8 context images in 12 dimensions .* shrinkage above 0"):
        baselines.whitened(y, 0.0)
    assert np.isfinite(baselines.whitened(y, "ledoit-wolf").transform(y)).all()


@given(st.integers(0, 2**32 - 1))
def test_a_rotation_changes_no_cosine(seed):
    y = context(seed)
    t = baselines.rotated(y, seed)
    z = t.transform(y)
    np.testing.assert_allclose(unit_rows(z) @ unit_rows(z).T, unit_rows(y) @ unit_rows(y).T, atol=1e-5)
    assert neighbour_overlap(y, z, 5) > 0.99 and not np.allclose(t.weights_, np.eye(12), atol=0.1)


def test_the_rotation_is_the_seed_s():
    y = context()
    np.testing.assert_array_equal(baselines.rotated(y, 3).weights_, baselines.rotated(y, 3).weights_)
    assert not np.allclose(baselines.rotated(y, 3).weights_, baselines.rotated(y, 4).weights_)


def test_centring_after_a_transform_is_another_bias():
    y, x = context(), context(1, q=5)
    t = GLocalTransform.from_arrays(np.random.default_rng(0).normal(size=(12, 12)), np.ones(12), 2.0, 3.0)
    shifted = baselines.centred_after(t, y)
    np.testing.assert_array_equal(shifted.weights_, t.weights_)
    np.testing.assert_allclose(shifted.transform(x), t.transform(x) - t.transform(y).mean(0), atol=1e-4)


def test_ridge_predicts_the_target_and_fills_up_with_zeros():
    x, rng = context(q=300), np.random.default_rng(1)
    target = x @ rng.normal(size=(12, 3)) / 20 + 1 + 0.01 * rng.normal(size=(300, 3))
    t = baselines.spose_ridge(x[:200], target[:200])
    z = t.transform(x[200:])
    assert z.shape == (100, 12) and not z[:, 3:].any()
    np.testing.assert_allclose(z[:, :3], target[200:], atol=0.1)
    strong = Ridge(1e-9).fit(x[:200], target[:200]).predict(x[200:])
    assert np.corrcoef(z[:, :3].ravel(), strong.ravel())[0, 1] > 0.999
    with pytest.raises(GlocalError, match="spose_ridge: 20 predictions do not fit 12 dimensions"):
        baselines.spose_ridge(x, np.ones((300, 20)))


@pytest.mark.parametrize("rows", [pd.DataFrame({"picture": ["1"]}), pd.DataFrame({"object": ["no such thing"]})])
@needs_data
def test_ridge_wants_the_objects_of_things(rows):
    with pytest.raises(GlocalError, match="spose_ridge: needs the objects of THINGS"):
        baselines.spose(rows)


def test_files_are_those_of_every_transform(tmp_path):
    y = context()
    for name, t in dict(centred=baselines.centred(y), whitened=baselines.whitened(y), rotated=baselines.rotated(y)).items():
        loaded = GLocalTransform.load(t.save(tmp_path / f"{name}.npz"))
        np.testing.assert_array_equal(loaded.transform(y), t.transform(y))


@pytest.mark.parametrize("bad, words", [(np.full((5, 3), np.nan), "NaN"), (np.ones((5, 3)), "column 0")])
def test_a_bad_context_is_named(bad, words):
    for function in (baselines.centred, baselines.whitened, baselines.rotated):
        with pytest.raises(GlocalError, match=f"context: .*{words}"):
            function(bad)


# -- in an experiment ----------------------------------------------------------------------------------------------------


@pytest.fixture
def experiment(tiny):
    grid = {"naive": {"lam": [1.0, 0.1]}, "glocal": {"lam": [1.0], "alpha": [0.1], "tau": [0.25]}}
    e = tiny(alignment={"grid": grid, "fit": {"recipe": "converged", "max_iter": 3}})
    e.config["baselines"] = NAMES
    return e


@pytest.fixture
def saved(experiment):
    """The experiment with all its transforms on disk, as 02_align leaves them; and its alignment table."""
    fits = grid_search.run(experiment)
    table = alignment.evaluate(experiment, fits)["alignment"]
    chosen = grid_search.choose(table, "triplet_loss")
    final = grid_search.final_fits(experiment, fits, chosen)
    for (fold, name), t in (final | baselines.fit(experiment, final)).items():
        t.save(experiment.transform_path(fold, name))
    return experiment, table


def test_the_alignment_table_has_them_and_chooses_among_the_others(saved):
    experiment, table = saved
    rows = table[table["objective"].isin(NAMES)]
    assert len(rows) == len(experiment.folds) * len(NAMES)
    assert rows["chosen"].all() and rows["lam"].isna().all()
    assert set(grid_search.choose(table, "triplet_loss")) == {"naive", "glocal"}
    assert grid_search.choose(table, "triplet_loss") == grid_search.choose(table.drop(rows.index), "triplet_loss")
    value = table.set_index(["objective", "fold"])
    for fold in experiment.folds:
        assert value.loc[("rotated", fold), "odd_one_out"] == value.loc[("original", fold), "odd_one_out"]
        assert value.loc[("rotated", fold), "neighbour_overlap"] > 0.99


def test_decompositions_are_made_once_a_context(experiment, monkeypatch):
    """Of 4,096 columns one takes a minute; folds with the same images, and the steps that measure and save, share it."""
    made = []
    monkeypatch.setattr(baselines.np.linalg, "eigh", lambda c, eigh=np.linalg.eigh: made.append(len(c)) or eigh(c))
    del experiment.cached  # that of the tests keeps nothing
    experiment.config["baselines"] = ["centred", "whitened"]
    for _ in range(2):
        baselines.fit(experiment, {(fold, "naive"): None for fold in [*experiment.folds, "all"]})
    assert len(made) == len(experiment.folds) + 1  # here the objects are the context, others in every fold


def test_they_see_the_context_of_their_fold_alone(saved):
    experiment, _ = saved
    x = np.asarray(experiment.features().x)
    for fold in experiment.folds:
        t = GLocalTransform.load(experiment.transform_path(fold, "centred"))
        seen, unseen = x[~experiment.held_out(fold)], x[experiment.held_out(fold)]
        assert np.abs(t.transform(seen).mean(0)).max() < 1e-5 < np.abs(t.transform(unseen).mean(0)).max()
    everything = GLocalTransform.load(experiment.transform_path("all", "glocal_centred"))
    assert np.abs(everything.transform(x).mean(0)).max() < 1e-4
    assert set(experiment.transform_paths()) == {"naive", "glocal", *NAMES}


def test_the_final_baselines_are_the_last_fold_s_where_the_config_says_so(experiment):
    experiment.config["alignment"]["final_fit"] = "last fold"
    last = "picture-1"
    load = lambda objective: GLocalTransform.load(experiment.transform_path("all", objective))
    final = {(fold, objective): load(objective) for fold in (last, "all") for objective in ("naive", "glocal")}
    found = baselines.fit(experiment, final)
    for name in NAMES:
        np.testing.assert_array_equal(found["all", name].bias_, found[last, name].bias_)


def test_every_stage_has_them_as_further_transforms(saved, monkeypatch):
    experiment, _ = saved
    monkeypatch.setattr(odd_one_out, "rsa_target", lambda e: ("a latent", np.asarray(e.features().x)))
    rows = [row | {"value": row["sample"].interval()[0]} for row in odd_one_out.held_out_objects(experiment)]
    human = pd.DataFrame(rows).set_index(["dataset", "transform"])["value"]
    held_out = human.loc[odd_one_out.HELD_OUT.format("subgroup")]
    assert set(held_out.index) == {"original", "naive", "glocal", *NAMES} and held_out["rotated"] == held_out["original"]
    assert set(structure.evaluate(experiment)["structure"]["transform"]) == {"original", "naive", "glocal", *NAMES}
    gains = few_shot.evaluate(experiment)["few_shot_gains"]
    assert set(gains["transform"]) == {"naive", "glocal", *NAMES} - {"rotated"}
    summary = anomaly.evaluate(experiment)["anomaly_summary"]
    assert set(summary["transform"]) == {"original", "naive", "glocal", *NAMES}
    for table in (gains, summary):
        assert list(dict.fromkeys(table["versus"])) == ["original", "centred", "whitened", "naive"]
        others = table[table["versus"].isin(["centred", "whitened"])]
        assert set(others["transform"]) == {"naive", "glocal", "glocal_centred"}


def test_differences_to_a_baseline_are_differences_of_differences(saved):
    experiment, _ = saved
    for table, keys in (
        (few_shot.evaluate(experiment)["few_shot_gains"], ["split", "task", "shots", "classifier"]),
        (anomaly.evaluate(experiment)["anomaly_summary"], ["split", "mode", "dataset"]),
    ):
        value = table.set_index(["versus", "transform", *keys])["difference"].sort_index()
        expected = value.loc["original", "glocal"] - value.loc["original", "centred"]
        pd.testing.assert_series_equal(value.loc["centred", "glocal"], expected, check_exact=False, atol=1e-9)


def test_few_shot_leaves_out_what_the_config_does_not_ask_for(experiment):
    assert few_shot.transforms(experiment) == ["naive", "glocal", "centred", "whitened", "glocal_centred"]
    experiment.config["few_shot"]["transforms"] = ["global", "glocal", "rotated"]
    assert few_shot.transforms(experiment) == ["glocal", "rotated"]  # global is not fitted here


@pytest.mark.parametrize("classifier", [LOGISTIC, MEAN, NEAREST])
def test_classifiers_do_not_see_a_rotation(classifier):
    x, y = clusters(1.5, 200)
    align = baselines.rotated(x, 1).transform
    kwargs = dict(values=[0.1, 1.0, 10.0], folds=4)
    before, after = (unit_norm(x), unit_norm(align(x)))
    (hits, c), (same, d) = (predict(classifier, z[:40], y[:40], z[40:], **kwargs) for z in (before, after))
    np.testing.assert_array_equal(hits, same)
    np.testing.assert_equal(c, d)


# -- on public data ------------------------------------------------------------------------------------------------------

SHIFT = {
    "original": [90.2, 90.7, 95.0, 85.0],
    "centred": [95.2, 95.2, 96.2, 90.2],
    "whitened": [95.2, 95.5, 97.8, 90.6],
    "rotated": [90.2, 90.7, 95.0, 85.0],
}


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """clip-b32 with the features that the tests need, and its transforms of fold "all" and of the three folds."""
    e = Experiment("config/clip-b32.yaml", "clip-b32")
    e.folder = tmp_path_factory.mktemp("clip")
    settings = e.settings | {"sets": {"imagenet": e.settings["sets"]["imagenet"]}}
    jobs.public_features(e.stem, settings, 3, e.seed)
    tables, about = judgments.tables(["object"], 3, e.seed)
    np.savez(e.folder / "triplets.npz", **tables)
    (e.folder / "triplets.json").write_text(json.dumps(about))
    e.config = e.config | {"baselines": ["centred", "whitened", "rotated", "spose_ridge"]}
    return e, baselines.fit(e, {(fold, "glocal"): None for fold in [*e.folds, "all"]})


def auroc(e, align, task):
    train, train_y, test, test_y, _, _ = e.normals(e.config["anomaly"]["sets"][task])
    return 100 * np.mean([r["auroc"] for r in anomaly_scores.measure(align(train), train_y, align(test), test_y, mode="shift")])


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("name", SHIFT)
def test_shift_auroc_of_clip(clip, name):
    e, found = clip
    align = unit_norm if name == "original" else lambda x: unit_norm(found["all", name].transform(x))
    values = [auroc(e, align, task) for task in ("entity13", "entity30", "living17", "nonliving26")]
    np.testing.assert_allclose(values, SHIFT[name], atol=0.06)


@needs_data
@pytest.mark.data
def test_ledoit_and_wolf_shrink_less_and_do_worse(clip):
    e, _ = clip
    t = baselines.whitened(e.context("all")[0], "ledoit-wolf")
    assert ledoit_wolf(e.context("all")[0])[1] == pytest.approx(0.030, abs=0.0005)
    assert auroc(e, lambda x: unit_norm(t.transform(x)), "entity13") == pytest.approx(93.3, abs=0.1)


@needs_data
@pytest.mark.data
@pytest.mark.parametrize("name, low, high", [
    ("rotated", 0.486, 0.487), ("centred", 0.505, 0.511), ("whitened", 0.42, 0.43), ("spose_ridge", 0.565, 0.575),
])  # fmt: skip
def test_odd_one_out_of_clip_on_held_out_objects(clip, name, low, high):
    e, found = clip
    x, tables = np.asarray(e.features().x), e.triplets()
    how = baselines.similarity(name)
    values = [triplets.accuracy(found[fold, name].transform(x), tables[f"{fold}-test"], how) for fold in e.folds]
    assert low < np.mean(values) < high


@needs_data
@pytest.mark.data
def test_ridge_sees_no_held_out_object(clip):
    e, found = clip
    target, held = things.object_features("spose-66"), e.held_out("object-0")
    x = np.asarray(e.features().x)
    other = baselines.spose_ridge(x[~held], target[~held])
    np.testing.assert_array_equal(found["object-0", "spose_ridge"].weights_, other.weights_)
