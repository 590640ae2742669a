"""The trade-off on a small experiment: what is fitted, on which images, and that all fits of a fold see the same draws."""

import numpy as np
import pandas as pd
import pytest

from glocal.evaluation import trade_off
from glocal.evaluation.frontier import CHOSEN, CURVE, OVERLAP
from glocal.evaluation.statistics import t_interval

POINT = {"lam": 0.1, "alpha": 0.5, "tau": 0.5}
SECTION = {
    "global": {"lam": [1.0, 0.01]}, "glocal": [{"lam": [0.3, 0.03], "alpha": [0.5], "tau": [0.5]}], "at": [POINT],
    "contexts": [20, "objects"], "switches": {"with a bias": {"bias": True}}, "fit": {"max_iter": 5},
    "tasks": ["groups"], "shift": ["groups"], "shots": 2, "draws": 2,
}  # fmt: skip


@pytest.fixture
def experiment(tiny):
    built = tiny(trade_off=SECTION)
    rows = [dict(objective=o, fold=fold, lam=lam, alpha=np.nan, tau=np.nan, chosen=True)
            for fold in built.folds for o, lam in (("original", np.nan), ("naive", 1.0), ("glocal", 0.1))]  # fmt: skip
    pd.DataFrame(rows).to_csv(built.table("alignment"), index=False)
    return built


def test_every_fit_on_every_fold_of_the_first_split(experiment):
    tables = trade_off.evaluate(experiment)
    table = tables["trade_off"]
    assert set(tables) == set(trade_off.TABLES) and set(table["fold"]) == {"subgroup-0", "subgroup-1"}
    counts = table[table["measure"] == OVERLAP].groupby(["objective", "variation"]).size() / 2
    assert counts["global", CURVE] == counts["glocal", CURVE] == 2 and counts["original", CHOSEN] == 1
    varied = {name for _, name in counts.index} - {CURVE, CHOSEN}
    assert varied == {trade_off.AS_CONFIGURED, trade_off.WITHOUT, trade_off.CENTRED, "with a bias", "context: 20 images",
                      "context: 64 objects"}  # fmt: skip
    values = table.set_index(["objective", "variation", "measure"])["value"]
    assert (values["original", CHOSEN, OVERLAP] == 1).all()
    task = "2-shot groups, nearest class mean"
    assert values["original", CHOSEN, task].tolist() == values["naive", CHOSEN, task].tolist()  # tiny's naive changes nothing
    assert values["original", CHOSEN, task].nunique() == 2  # other images and draws in each fold
    assert not table["value"].isna().any()


def test_centring_before_the_map_removes_a_constant_and_takes_features_as_they_come(experiment):
    fold = experiment.folds[0]
    x, table, images, _ = trade_off.grid_search.fold_data(experiment, [fold])[fold]
    experiment.config["trade_off"]["fit"] = {"max_iter": 300, "tol": 1e-9}
    mapped = {}
    for shift in (np.zeros(6), 3.0 * np.eye(6)[0]):  # one number for all would go with the standardisation
        fitted = trade_off._varied(experiment, fold, POINT, x + shift, table, images + shift)
        mapped[shift[0]] = {name: t.transform(x + shift) for name, t in fitted.items()}
    before, after = (m[trade_off.CENTRED] for m in mapped.values())
    np.testing.assert_allclose(before, after, atol=5e-3 * np.abs(before).max())
    as_configured = [m[trade_off.AS_CONFIGURED] for m in mapped.values()]
    assert np.abs(as_configured[0] - as_configured[1]).max() > 0.05 * np.abs(as_configured[0]).max()


def test_no_context_has_an_image_that_the_local_loss_is_measured_on(experiment):
    fold = experiment.folds[0]
    experiment.settings["context"] = {"set": "objects", "where": "picture != '3'", "images": 60, "held_out": 60}
    experiment.context = lambda _: (experiment.features().x[:60], experiment.features().x[60:120])
    every = trade_off.context(experiment, fold, "all")
    assert len(every) == 128 - 60 - 1 and not (every[:, None] == experiment.features().x[60:120][None]).all(-1).any()
    assert len(trade_off.context(experiment, fold, 7)) == 7
    assert len(trade_off.context(experiment, fold, "objects")) == (~experiment.held_out(fold)).sum()


def test_t_interval_of_folds():
    np.testing.assert_allclose(t_interval([1, 2, 3]), [2, 2 - 4.302653 / np.sqrt(3), 2 + 4.302653 / np.sqrt(3)], rtol=1e-6)
    assert t_interval([5.0])[0] == 5 and np.isnan(t_interval([5.0])[1:]).all()
