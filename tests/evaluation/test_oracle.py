"""The oracle is the maximum over the grid, the choice is the rule's, and both come from the alignment stage's own fits."""

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers import observed

from glocal.evaluation import oracle
from glocal.features import store
from glocal.workflow.experiment import Experiment


def test_compare_by_hand():
    rows = [
        ("naive", "lam 1", False, 0.7),
        ("naive", "lam 2", True, 0.6),
        ("glocal", "lam 1", True, 0.8),
        ("glocal", "lam 3", False, 0.5),
    ]
    columns = ["objective", "setting", "chosen", "auroc"]
    table = pd.DataFrame(rows, columns=columns).assign(dataset="d", mode="shift")
    result = oracle.compare(table).set_index("objective")
    assert result.loc["naive", ["settings", "chosen", "oracle", "oracle_setting"]].tolist() == [2, 0.6, 0.7, "lam 1"]
    assert result.loc["glocal", ["chosen", "oracle", "oracle_setting"]].tolist() == [0.8, 0.8, "lam 1"]
    assert list(oracle.compare(table.iloc[:0])) == list(oracle.compare(table))  # the demo has one setting an objective


@pytest.fixture
def experiment(tmp_path, monkeypatch):
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    x, triplets = observed(m=400)
    config = {
        "profile": "tiny", "observer": "simulated observer", "seed": 3, "source": "demo", "downstream": "folds",
        "encoders": {"net": {"objects": "openmoji", "context": {"set": "objects"}}},
        "alignment": {"splits": ["picture"], "folds": 2, "objectives": ["naive"], "grid": {"naive": {"lam": [1.0, 0.1]}},
                      "choose": "triplet_loss", "kl_tau": 0.1, "final_fit": "all objects",
                      "fit": {"recipe": "converged", "max_iter": 5}},
        "few_shot": {"shots": [1], "repetitions": 1, "c": [1.0], "balanced": True, "tasks": {}},
        "anomaly": {"k": 5, "sets": {}}, "structure": {"k": 5, "sets": {}},
    }  # fmt: skip
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setattr(Experiment, "cached", lambda self, function: function)
    e = Experiment("tiny.yaml")
    store.write(e.stem("objects"), x, pd.DataFrame({"picture_fold": np.arange(60) % 2}))
    np.savez(e.folder / "triplets.npz", **{"picture-0-train": triplets[:300], "picture-0-test": triplets[300:]})
    columns = dict(objective="naive", fold="picture-0", chosen=False)
    losses = pd.DataFrame({"lam": [1.0, 0.1], "triplet_loss": [0.9, 0.8]}).assign(**columns)
    losses.to_csv(e.table("alignment"), index=False)
    return e


def test_candidates_are_the_grid_on_the_first_fold(experiment):
    result = oracle.candidates(experiment)
    assert [(c["setting"], c["chosen"]) for c in result] == [({"lam": 1.0}, False), ({"lam": 0.1}, True)]
    x = np.asarray(experiment.features().x)
    mapped = [c["align"](x) for c in result]
    np.testing.assert_allclose([np.linalg.norm(m, axis=1) for m in mapped], 1, rtol=1e-5)
    assert np.abs(mapped[0] - mapped[1]).max() > 1e-3  # two settings, two maps
