"""The anomaly stage on a small experiment: its tables, an unchanged transform, images that move, labels that are wrong."""

import numpy as np
import pandas as pd
import pytest

from glocal.errors import GlocalError
from glocal.evaluation import anomaly, anomaly_scores
from glocal.reporting.tables import TABLES

OBJECTS = {"set": "objects"}


@pytest.fixture
def experiment(tiny):
    return tiny()


def test_the_tables_have_their_columns_and_a_row_a_class(experiment):
    tables = anomaly.evaluate(experiment)
    assert tuple(tables) == anomaly.TABLES
    for name in TABLES.keys() & tables.keys():
        assert set(TABLES[name]) <= set(tables[name])
    assert {"anomaly", "anomaly_summary", "anomaly_tests", "anomaly_oracle"} <= TABLES.keys()
    table = tables["anomaly"]
    assert len(table) == 4 * 3 * 2 * 4  # folds, transforms, modes, classes
    assert (table["k"] == 3).all() and (table["distance"] == "cosine").all()
    counts = table[["normals", "anomalies"]].sum(axis=1)
    assert (counts == 32).all()  # half of the 64 held-out objects
    assert len(tables["anomaly_oracle"]) == 0  # the config does not ask for it


def test_an_unchanged_transform_changes_nothing_and_a_good_one_helps(experiment):
    tables = anomaly.evaluate(experiment)
    summary = tables["anomaly_summary"].set_index("transform")
    assert (summary.loc["naive", ["difference", "ci_low", "ci_high"]] == 0).all(axis=None)
    assert (summary.loc["glocal", "difference"] > 0).all()
    tests = tables["anomaly_tests"].set_index(["transform", "versus"])
    assert (tests.loc[("naive", "original"), "p"] == 1).all() and set(tests["mode"]) == {"one-vs-rest", "reverse"}


def test_rows_are_the_scores_of_the_features(experiment):
    table = anomaly.evaluate(experiment)["anomaly"]
    spec = experiment.config["anomaly"]["sets"]["groups"]
    x, y, test_x, test_y, *_ = experiment.normals(spec, "picture-1")
    expected = anomaly_scores.measure(x, y, test_x, test_y, k=3)
    rows = table[(table["fold"] == "picture-1") & (table["transform"] == "naive") & (table["mode"] == "one-vs-rest")]
    np.testing.assert_allclose(rows["auroc"], [row["auroc"] for row in expected], atol=1e-6)


def test_one_set_against_another_is_a_row_with_an_interval_over_images(tiny):
    ants, bees, mammals = (OBJECTS | {"where": f"group in {names}"} for names in (["ant"], ["bee"], ["cat", "dog"]))
    spec = {"label": "group", "modes": ["set"], "train": ants, "test": bees, "against": mammals}
    experiment = tiny(anomaly={"sets": {"insects": spec}})
    tables = anomaly.evaluate(experiment)
    assert set(tables["anomaly"]["normal_class"]) == {"all"} and "resampled" not in tables["anomaly"]
    summary = tables["anomaly_summary"]
    assert (summary["auroc_low"] < summary["auroc"]).all() and (summary["auroc"] < summary["auroc_high"]).all()
    assert len(anomaly.by_class(tables["anomaly"], ["glocal"])) == 0
    assert len(tables["anomaly_moved"]) == 0 and "change" in tables["anomaly_moved"]


def test_by_class_and_what_moved(experiment):
    table = anomaly.evaluate(experiment)["anomaly"]
    wide = anomaly.by_class(table, ["naive", "glocal", "absent"])
    assert list(wide)[4:] == ["original", "naive", "glocal"] and len(wide) == 2 * 2 * 4
    np.testing.assert_allclose(wide["original"], wide["naive"])
    moved = anomaly.moved(experiment, table)
    (dataset,), (normal_class,) = moved["dataset"].unique(), moved["normal_class"].unique()
    assert dataset == "objects" and normal_class in ("ant", "bee", "cat", "dog")
    group = experiment.features().rows.set_index("picture").loc[moved["picture"], "group"]
    assert (moved["normal"].to_numpy() == (group == normal_class)).all() and moved["picture"].is_unique
    first = wide[(wide["mode"] == "one-vs-rest") & (wide["fold"] == "subgroup-0")].set_index("normal_class")
    gain = (first["glocal"] - first["original"])[normal_class]
    n, m = moved["normal"].sum(), (~moved["normal"]).sum()
    assert moved["change"].mean() == pytest.approx(100 * gain * 2 * n * m / (n + m) ** 2)


def test_a_wrong_label_is_named(tiny):
    experiment = tiny(anomaly={"sets": {"groups": {"label": "grup", "modes": ["reverse"], "train": OBJECTS}}})
    with pytest.raises(GlocalError, match=r'objects: has no column "grup" for a label\. Did you mean "group"'):
        anomaly.evaluate(experiment)


def test_text_of_the_class_names_is_a_classifier_of_its_own(experiment, monkeypatch):
    """Text that is the mean image of a class, of unit norm: better than chance, and under every transform."""
    x, rows = np.asarray(experiment.features().x), experiment.features().rows
    means = np.stack([x[rows["group"] == name].mean(0) for name in sorted(set(rows["group"]))])
    text = means / np.linalg.norm(means, axis=1, keepdims=True)
    monkeypatch.setattr(type(experiment), "text", lambda self, spec, fold=None: text)
    table = anomaly.measurements(experiment).query("mode == 'zero-shot'")
    assert table.groupby("transform").size().tolist() == [16] * 3 and table["auroc"].mean() > 0.8  # four folds, four classes


def test_text_gets_the_mean_length_of_the_images(experiment, monkeypatch):
    """Transforms have a bias, so that the length of what they map matters."""
    seen, zero_shot, n = [], anomaly_scores.zero_shot, len(set(experiment.features().rows["group"]))
    monkeypatch.setattr(type(experiment), "text", lambda self, spec, fold=None: np.eye(n, self.features().x.shape[1]))
    monkeypatch.setattr(anomaly, "aligners", lambda paths: {"original": lambda x: x})
    monkeypatch.setattr(anomaly_scores, "zero_shot", lambda text, *args: seen.append(text) or zero_shot(text, *args))
    anomaly.measurements(experiment)
    spec = experiment.config["anomaly"]["sets"]["groups"]
    for fold, text in zip(experiment.downstream_folds, seen, strict=True):
        length = np.linalg.norm(experiment.normals(spec, fold)[0], axis=1).mean()
        np.testing.assert_allclose(np.linalg.norm(text, axis=1), length)
        assert abs(length - 1) > 0.1


def test_a_summary_compares_with_the_baseline_what_read_judgments(experiment):
    """And no transform with itself; the original's rows are those without baselines."""
    records = anomaly.measurements(experiment)
    records["transform"] = records["transform"].replace("naive", "centred")
    summary = anomaly.summarise(records)
    pairs = summary.groupby("versus")["transform"].unique().map(set).to_dict()
    assert pairs == {"original": {"original", "centred", "glocal"}, "centred": {"glocal"}}
    assert summary.equals(anomaly.summarise(records, seed=42)) and not summary.equals(anomaly.summarise(records, seed=1))


def test_what_moved_is_of_the_first_set_mode_and_fold(experiment):
    """Elsewhere another class gains more."""
    table = anomaly.evaluate(experiment)["anomaly"].query("transform in ['original', 'glocal']").copy()
    table["auroc"] = table["normal_class"].map({"ant": 0.9}).fillna(0.5)  # the best class gains nothing
    first = (table["dataset"] == "groups") & (table["mode"] == "one-vs-rest") & (table["fold"] == experiment.downstream_folds[0])
    gains = table["transform"] == "glocal"
    table.loc[gains & first & (table["normal_class"] == "bee"), "auroc"] = 0.6
    table.loc[gains & ~first & (table["normal_class"] == "cat"), "auroc"] = 0.9
    elsewhere = table.assign(dataset="others", auroc=table["auroc"].mask(gains & (table["normal_class"] == "dog"), 1.0))
    moved = anomaly.moved(experiment, pd.concat([table, elsewhere], ignore_index=True))
    assert set(moved["normal_class"]) == {"bee"}
