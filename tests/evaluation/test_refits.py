"""Intervals over draws and folds, whose judgments are drawn and answered, and that choosing sees training objects alone."""

from types import SimpleNamespace

import numpy as np
import pytest
from helpers import needs_data, observed

from glocal import GlocalError, GLocalTransform
from glocal.datasets import judgments, things
from glocal.evaluation import controls, data_efficiency, paired, refits
from glocal.triplets import score

N, ACCURACY = 60, ("accuracy", "")


def fold(number=0, m=4000):
    """A fold that trains on the first 40 of 60 objects and tests on the others."""
    x, table = observed(seed=number, n=N, m=m)
    train, test = ((part == table.shape[1]) for part in ((table < 40).sum(1), (table >= 40).sum(1)))
    return refits.Fold(f"object-{number}", x, table[train], x, table[test])


def hits(rng, table, chance):
    return {ACCURACY: paired.Accuracy((rng.random(len(table)) < chance).astype(float), table)}


def test_one_draw_has_the_interval_of_its_sample():
    rng, folds = np.random.default_rng(0), [fold(0), fold(1)]
    mine, base = ([hits(rng, f.test, chance) for f in folds] for chance in (0.7, 0.5))
    (row,) = refits.summarise([mine], [base])
    pool = [
        paired.Accuracy(*(np.concatenate(part) for part in zip(*(m[ACCURACY] for m in many), strict=True)))
        for many in (mine, base)
    ]
    assert list(row) == refits.MEASURED
    np.testing.assert_allclose([row[c] for c in ("value", "ci_low", "ci_high")], pool[0].interval())
    np.testing.assert_allclose([row[c] for c in ("difference", "diff_low", "diff_high")], pool[0].interval(pool[1]))


def test_the_spread_over_draws_widens_the_interval():
    """Values .5 and .7 in each of two folds: standard error .1 / sqrt(2), two degrees of freedom, t = 4.303."""
    table = np.arange(30).reshape(10, 3)
    constant = lambda level: {ACCURACY: paired.Accuracy(np.full(10, level), table)}
    (row,) = refits.summarise([[constant(0.5)] * 2, [constant(0.7)] * 2], [[constant(0.4)] * 2])
    half = 4.302653 * np.sqrt(0.02 / 4)
    np.testing.assert_allclose([row["value"], row["ci_low"], row["ci_high"]], [0.6, 0.6 - half, 0.6 + half])
    np.testing.assert_allclose([row["difference"], row["diff_high"]], [0.2, 0.2 + half])


def test_shares_count_images_and_correlations_average_folds():
    shares = refits.Shares(np.array([[1.0, 0.0]]), np.array([[30, 10]]))
    few, rsa = ("5-shot", "t"), ("RSA", "")
    found = [{few: shares, rsa: paired.Correlation(np.array([v]), np.full((5, 1), v))} for v in (0.2, 0.4)]
    rows = {row["measure"]: row for row in refits.summarise([found], [found])}
    assert rows["5-shot"]["value"] == pytest.approx(0.75) and rows["RSA"]["value"] == pytest.approx(0.3)
    assert all(row["difference"] == row["diff_low"] == row["diff_high"] == 0 for row in rows.values())


def test_larger_draws_hold_smaller_ones_and_other_draws_differ():
    table = fold().table
    few, more, other = (data_efficiency.drawn(table, n, [1, draw]) for n, draw in ((10, 0), (50, 0), (10, 1)))
    np.testing.assert_array_equal(few, more[:10])
    assert len(np.unique(more, axis=0)) == 50 and (few != other).any()


def test_judgments_of_few_objects_are_of_few_objects():
    data = fold()
    table = data_efficiency.of_objects(data, 0.5, 60, [0])
    assert len(table) == 60 and len(np.unique(table)) <= 20
    np.testing.assert_array_equal(data_efficiency.of_objects(data, 1.0, 60, [0]), data_efficiency.drawn(data.table, 60, [0]))
    with pytest.raises(GlocalError, match="raise objects"):
        data_efficiency.of_objects(data, 0.1, 60, [0])


@pytest.fixture
def experiment(monkeypatch):
    """Fits are short and recorded: (objective, setting, triplets)."""
    settings = dict(lam=[0.3, 30.0, 3.0], shares=[0.1, 1.0], spread=dict(share=0.1, objects=[1.0]), draws=2)
    settings |= dict(objectives=["global"], controls=["shuffled"])
    e = SimpleNamespace(config=dict(judgments=settings), seed=3, threads=1, encoder="net", noise_ceiling=lambda _: 0.9, fits=[])
    data = [fold(0), fold(1)]

    def fit(_, objective, point, data, table, init=None):
        e.fits.append((objective, point, table))
        return GLocalTransform(objective, **point, max_iter=8, device="cpu").fit(data.x, table)

    def measure_all(_, jobs, name):
        for objective, point, data, table in jobs:
            z = fit(e, objective, point, data, table).transform(data.x)
            yield {(refits.ACCURACY, ""): paired.Accuracy(score(z, data.test).astype(float), data.test)}

    original = [{(refits.ACCURACY, ""): paired.Accuracy(np.zeros(len(f.test)), f.test)} for f in data]
    stubs = dict(fit=fit, measure_all=measure_all, folds=lambda _: data, chosen=lambda *_: {"global": {"lam": 0.1}})
    for name, function in stubs.items():
        monkeypatch.setattr(refits, name, function)
    monkeypatch.setattr(refits, "references", lambda *_: {"original": [original]})
    monkeypatch.setattr(data_efficiency, "parallel", lambda calls, jobs: [f(*a, **k) for f, a, k in calls])
    return e


def test_lam_is_chosen_on_objects_that_the_fit_has_not_seen_and_that_train(experiment):
    data = fold()
    assert data_efficiency._pull(experiment, data, 0.1) in experiment.config["judgments"]["lam"]
    assert [point["lam"] for _, point, _ in experiment.fits][:2] == [30.0, 3.0]
    for _, _, table in experiment.fits:
        assert len(np.unique(table)) <= 30 and table.max() < 40 and len(table) == round(0.1 * len(data.table))


def test_more_judgments_are_a_row_with_a_higher_accuracy(experiment):
    table = data_efficiency.evaluate(experiment)["data_efficiency"]
    assert list(table) == data_efficiency.COLUMNS and len(table) == 4
    rows = table[table["part"] == data_efficiency.SHARES].set_index("share")
    assert rows.loc[1.0, "value"] > rows.loc[0.1, "value"] and rows["draws"].tolist() == [2, 1]
    few = table[table["part"] == data_efficiency.SPREAD].iloc[0]  # all objects: the same triplets
    assert few["value"] == rows.loc[0.1, "value"] and few["triplets"] == rows.loc[0.1, "triplets"]


def test_controls_have_the_same_triplets_with_other_answers(experiment):
    table = controls.evaluate(experiment)["controls"]
    human, shuffled = (table[table["answers"] == name].iloc[0] for name in ("human", "shuffled"))
    assert list(table) == controls.COLUMNS and human["to_human"] == 0 and shuffled["to_human"] < -0.05
    assert shuffled["to_human"] == pytest.approx(shuffled["value"] - human["value"])
    (*_, people), _, (*_, drawn), _ = experiment.fits
    np.testing.assert_array_equal(np.sort(people, axis=1), np.sort(drawn, axis=1))
    assert human["as_people"] == 1 and shuffled["as_people"] == pytest.approx(1 / 3, abs=0.05)


def test_the_least_likely_and_the_most_likely_choice():
    similarity = np.array([[9, 5, 1], [5, 9, 2], [1, 2, 9]])
    table = np.array([[2, 0, 1]])
    assert controls.by_similarity(similarity, table)[0, 2] == 2
    assert controls.by_similarity(similarity, table, np.argmin)[0, 2] == 1


@needs_data
@pytest.mark.data
def test_how_often_each_answers_as_people_do():
    table, x = judgments.human_triplets().train, things.object_features("things-clip-b32")
    known = {"human": 1, "spose-66": 0.649, "text": 0.44, "itself": 0.486, "shuffled": 1 / 3, "adversarial": 0.12}
    for name in controls.ANSWERS:
        answered = controls.answer(name, table, x, 0)
        np.testing.assert_array_equal(np.sort(answered, axis=1), np.sort(table, axis=1))
        assert np.mean(answered[:, 2] == table[:, 2]) == pytest.approx(known[name], abs=0.005), name
