"""Intervals and tests: cases by hand, coverage of what they promise, agreement with what is known."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from glocal.errors import GlocalError
from glocal.evaluation import few_shot_tables, independence, statistics
from glocal.workflow.config import load_config


def test_the_mean_is_weighted_by_test_images():
    difference, weight = np.array([[0.1, 0.3], [0.2, 0.0]]), np.array([[10, 30], [10, 30]])
    mean, low, high = statistics.paired_interval(difference, weight)
    assert mean == pytest.approx((1 + 9 + 2 + 0) / 80) and low <= mean <= high
    assert statistics.paired_interval(difference, np.ones((2, 2)))[0] == pytest.approx(0.15)


def test_no_difference_has_no_interval():
    assert statistics.paired_interval(np.zeros((5, 4)), np.ones((5, 4))) == (0, 0, 0)
    assert statistics.paired_interval(np.full((5, 4), 0.2), np.ones((5, 4))) == pytest.approx((0.2, 0.2, 0.2))


def test_a_class_without_images_counts_for_nothing():
    difference, weight = np.array([[0.1, np.nan], [0.3, np.nan]]), np.array([[5, 0], [5, 0]])
    assert statistics.paired_interval(difference, weight)[0] == pytest.approx(0.2)


def test_the_interval_covers_the_truth():
    """Effects of classes and noise of repetitions: the interval over both covers the mean effect about 19 times in 20."""
    rng, covered = np.random.default_rng(0), 0
    for i in range(200):
        difference = 0.05 + 0.1 * rng.normal(size=(1, 40)) + 0.02 * rng.normal(size=(10, 1)) + 0.05 * rng.normal(size=(10, 40))
        _, low, high = statistics.paired_interval(difference, np.ones((10, 40)), draws=400, seed=i)
        covered += low < 0.05 < high
    assert 178 <= covered <= 199


def test_more_classes_and_repetitions_narrow_it():
    rng = np.random.default_rng(0)
    widths = []
    for r, k in ((5, 10), (5, 200), (40, 200)):
        _, low, high = statistics.paired_interval(rng.normal(size=(r, 1)) + 3 * rng.normal(size=(r, k)), np.ones((r, k)))
        widths.append(high - low)
    assert widths[0] > widths[1] > widths[2]


def test_holm_by_hand():
    """.01 x 4, .02 x 3, .03 x 2, .04 x 1, and none smaller than the one before it."""
    np.testing.assert_allclose(statistics.holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(statistics.holm([0.5, 0.9]), [1.0, 1.0])
    np.testing.assert_allclose(statistics.holm([0.004]), [0.004])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
@settings(deadline=None)
def test_holm_lies_between_p_and_bonferroni(p):
    adjusted = statistics.holm(p)
    assert (adjusted >= np.array(p)).all() and (adjusted <= np.minimum(1, np.array(p) * len(p)) + 1e-12).all()


def test_signed_rank_of_eight_gains():
    assert statistics.signed_rank(np.arange(1, 9) / 100) == pytest.approx(2 / 2**8)
    assert statistics.signed_rank([0.01, 0.02]) == 0.5
    assert statistics.signed_rank([0.0, 0.0]) == 1.0


def over(means, specs=None):
    rows = means.rename_axis("task").melt(var_name="transform", ignore_index=False).reset_index().assign(shots=5)
    return statistics.over_tasks(rows, "shots", "task", "value", specs or {t: {"pool": {"set": str(t)}} for t in means.index})


def test_over_tasks_counts_each_task_once():
    original = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.4])
    means = pd.DataFrame(
        {"original": original, "naive": original - 0.1, "glocal": original + [0.03, 0.02, 0.01, 0.05, 0.04, -0.001]}
    )
    table = over(means).set_index(["transform", "versus"])
    assert list(table.index) == [("naive", "original"), ("glocal", "original"), ("glocal", "naive")]
    assert table.loc[("glocal", "original"), "better"] == 5 and (table["tasks"] == 6).all()
    assert table.loc[("glocal", "original"), "median_difference"] == pytest.approx(0.025)
    assert table.loc[("naive", "original"), "p_holm"] == pytest.approx(3 * 2 / 2**6)


def test_holm_is_for_all_rows_that_are_read():
    rng, tasks = np.random.default_rng(0), list("abcdef")
    rows = [dict(shots=shots, task=task, transform=t, value=rng.random() + (t == "glocal"))
            for shots in (1, 5) for task in tasks for t in ("original", "glocal")]  # fmt: skip
    table = statistics.over_tasks(pd.DataFrame(rows), "shots", "task", "value", {t: {"pool": {"set": t}} for t in tasks})
    assert list(table["shots"]) == [1, 5] and (table["p"] == 2 / 2**6).all()
    assert table["p_holm"].tolist() == pytest.approx([4 / 2**6] * 2)


def test_tasks_on_the_same_images_count_once():
    """Four tasks of one image set and two others: three observations, the first of which is a mean."""
    gain = [0.01, 0.02, 0.03, 0.06, 0.01, -0.005]
    means = pd.DataFrame({"original": 0.5, "glocal": 0.5 + np.array(gain)}, index=list("abcdef"))
    specs = {t: {"pool": {"set": "p"}, "test": {"set": "images" if t in "abcd" else t}} for t in "abcdef"}
    (row,) = over(means, specs).to_dict("records")
    assert (row["tasks"], row["independent"], row["better"]) == (6, 3, 5)
    assert row["median_difference"] == pytest.approx(0.01) and row["p"] == statistics.signed_rank([0.03, 0.01, -0.005]) == 0.5
    (alone,) = over(means).to_dict("records")
    assert alone["independent"] == 6 and alone["p"] < 0.1


def test_groups_of_tasks():
    """By test images, or pool where there is no test; by what stands against; through a third task; by the config's word."""

    def part(name):
        return {"set": name}

    specs = dict(
        a={"pool": part("x"), "test": part("u")}, b={"pool": part("x"), "test": part("v")}, c={"pool": part("v")},
        d={"train": part("w"), "test": part("s"), "against": part("t")}, e={"train": part("t"), "test": part("t")},
        f={"pool": part("y"), "group": "mine"}, g={"pool": part("z"), "group": "mine"}, h={"images": part("q")},
    )  # fmt: skip
    assert independence.groups(specs) == dict(a="a", b="b", c="b", d="d", e="d", f="f", g="f", h="h")
    chain = {"a": {"pool": part("x")}, "b": {"pool": part("y")}, "c": {"test": part("x"), "against": part("y")}}
    assert set(independence.groups(chain).values()) == {"a"}


def test_the_breeds_tasks_are_one():
    config = load_config("config/clip-b32.yaml")
    own = {task: spec for task, spec in config["few_shot"]["tasks"].items() if "per" not in spec}
    assert len(own) == 8 and len(set(independence.groups(own).values())) == 5
    shift = {name: spec for name, spec in config["anomaly"]["sets"].items() if "shift" in spec["modes"]}
    assert len(shift) == 4 and len(set(independence.groups(shift).values())) == 1


def test_holm_takes_p_values_in_any_form_and_nothing_else():
    p = np.array([0.03, 0.01, 0.04, 0.02])
    big, gradient = p.astype(">f8"), torch.as_tensor(p).requires_grad_()
    for form in (
        big,
        p[::-1].copy()[::-1],
        p.astype(np.longdouble),
        p.astype(np.float16),
        torch.as_tensor(p).bfloat16(),
        gradient,
    ):
        np.testing.assert_allclose(statistics.holm(form), statistics.holm(p), rtol=1e-2)
    for value in (-1e-3, 1.01, 1e307, -1e307, np.nan, np.inf, -np.inf):
        with pytest.raises(GlocalError, match="p: "):
            statistics.holm([0.5, value])
    for bad in (p + 1j, p.astype(str), np.full(4, None), np.ones((2, 2)), p.astype(np.longdouble) * np.longdouble("1e400")):
        with pytest.raises(GlocalError):
            statistics.holm(bad)


def covered(repetitions, samples=300):
    """How often `paired_interval` covers a mean effect, with class effects and draws as few-shot tasks have them."""
    rng, inside = np.random.default_rng(0), 0
    for i in range(samples):
        draws, classes = 0.03 * rng.normal(size=(repetitions, 1)), 0.02 * rng.normal(size=(1, 30))
        difference = 0.01 + draws + classes + 0.05 * rng.normal(size=(repetitions, 30))
        _, low, high = statistics.paired_interval(difference, np.ones((repetitions, 30)), draws=300, seed=i)
        inside += low <= 0.01 <= high
    return inside / samples


def test_twenty_draws_cover_what_five_do_not():
    """At five repetitions the bootstrap has too little to resample; at 20, the config's number, it covers nearly as it says."""
    five, twenty = covered(5), covered(20)
    assert five < 0.9 < twenty and twenty > five + 0.03


def records():
    """Two folds of different classes, two repetitions, two transforms; fold 1 counts three images a class, fold 0 one."""
    rows = []
    for fold, images in (("s-0", [1, 1]), ("s-1", [3, 3])):
        for transform, bonus in (("original", 0), ("glocal", 1)):
            for n in range(2):
                correct = np.array([bonus, 0]) if fold == "s-0" else np.array([1 + bonus, 1])
                rows.append(dict(split="s", fold=fold, task="t", shots=5, classifier="1-NN", transform=transform, repetition=n,
                                 correct=correct, images=np.array(images)))  # fmt: skip
    return pd.DataFrame(rows)


def test_gains_put_folds_side_by_side():
    (row,) = statistics.gains(records()).to_dict("records")
    assert row["transform"] == "glocal" and row["versus"] == "original" and row["shots"] == 5
    assert row["difference"] == pytest.approx(2 / 8)  # one more of 2 images, one more of 6
    (row,) = statistics.gains(records(), balanced=True).to_dict("records")
    assert row["difference"] == pytest.approx((1 + 0 + 1 / 3 + 0) / 4)


def test_by_class_sums_repetitions():
    names = {"s-0": ["ant", "bee"], "s-1": ["cat", "dog"]}
    rows = records().assign(classifier="logistic regression")
    table = few_shot_tables.classes(rows.assign(names=rows["fold"].map(names)))
    result = table.set_index(["transform", "class"])[["correct", "images"]]
    assert result.loc[("glocal", "cat")].tolist() == [4, 6] and result.loc[("original", "ant")].tolist() == [0, 2]
    assert len(table) == 8


def anomalies():
    rows = [dict(split="s", fold="s-0", dataset="d", mode="shift", transform=t, normal_class=c, auroc=0.5 + c / 10 + gain,
                 aupr=0.4, fpr95=0.2) for t, gain in (("original", 0), ("glocal", 0.1)) for c in range(3)]  # fmt: skip
    drawn = {name: np.linspace(0.7, 0.9, 41) for name in ("auroc", "aupr", "fpr95")}
    better = {name: values + 0.05 for name, values in drawn.items()}
    whole = dict(split="s", fold="s-0", dataset="a-b", mode="set", normal_class="all", aupr=0.8, fpr95=0.8)
    rows.append(whole | dict(transform="original", auroc=0.8, resampled=drawn))
    return pd.DataFrame([*rows, whole | dict(transform="glocal", auroc=0.85, resampled=better)])


def test_over_classes():
    table = statistics.over_classes(anomalies()).set_index(["mode", "transform"])
    shift = table.loc[("shift", "glocal")]
    assert shift["auroc"] == pytest.approx(0.7) and shift["classes"] == 3
    assert shift["difference"] == pytest.approx(0.1) and shift["ci_low"] == pytest.approx(0.1)  # the same gain in every class
    assert 0.6 <= shift["auroc_low"] < 0.7 < shift["auroc_high"] <= 0.8 + 1e-9
    assert (shift["aupr"], shift["aupr_low"], shift["aupr_high"]) == pytest.approx((0.4, 0.4, 0.4))
    whole = table.loc[("set", "glocal")]
    assert (whole["fpr95"], whole["fpr95_low"], whole["fpr95_high"]) == pytest.approx((0.8, 0.755, 0.945))  # over images
    assert (whole["auroc_low"], whole["auroc_high"]) == pytest.approx((0.755, 0.945))
    assert (whole["difference"], whole["ci_low"], whole["ci_high"]) == pytest.approx((0.05, 0.05, 0.05))  # paired by draw
    assert table.loc[("shift", "original"), "difference"] == 0


# -- the mean ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["hits", "values"])
def test_intervals_cover_as_often_as_they_say(kind):
    rng, covered = np.random.default_rng(0), 0
    for seed in range(400):
        sample = rng.random(300) < 0.6 if kind == "hits" else rng.gamma(2, 0.3, 60)
        mean, low, high = statistics.bootstrap_mean(sample, draws=300, seed=seed)
        assert low <= mean <= high
        covered += low <= 0.6 <= high
    assert 0.90 < covered / 400 < 0.98


def test_hits_are_drawn_as_the_resampling_would():
    hits = (np.random.default_rng(0).random(500) < 0.4).astype(float)
    fast = statistics.bootstrap_mean(hits, draws=20_000)
    slow = statistics.bootstrap_mean(hits + np.where(np.arange(500) == 0, 1e-9, 0), draws=20_000)  # no longer all 0 and 1
    np.testing.assert_allclose(fast, slow, atol=2e-3)


def test_level_seed_and_limits():
    values = np.random.default_rng(0).normal(size=100)
    narrow, wide = statistics.bootstrap_mean(values, level=0.5), statistics.bootstrap_mean(values, level=0.99)
    assert wide[1] < narrow[1] < narrow[2] < wide[2]
    assert statistics.bootstrap_mean(values) == statistics.bootstrap_mean(values) != statistics.bootstrap_mean(values, seed=1)
    assert statistics.bootstrap_mean(np.ones(9)) == (1.0, 1.0, 1.0)
    assert np.isnan(statistics.bootstrap_mean([])).all()
