"""The config's seed reaches every random step: another seed, another draw of each; the same seed, the same."""

import numpy as np
import pytest

from glocal.evaluation import anomaly, few_shot, nested, odd_one_out
from glocal.evaluation.shots import draw
from glocal.workflow import experiment as experiments

OBJECTS = {"set": "objects"}


@pytest.fixture
def seeded(tiny):
    """A function: the small experiment under a seed. Features, triplets and transforms stay as they are."""
    ant, bee, cat = ({"set": "objects", "where": f"group == '{name}'"} for name in ("ant", "bee", "cat"))
    against = {"label": "group", "modes": ["set"], "train": ant, "test": bee, "against": cat}
    own = {"label": "group", "modes": ["one-vs-rest"], "train": OBJECTS}

    def build(seed):
        built = tiny(anomaly={"sets": {"halves": own, "against": against}}, few_shot={"c": [0.01, 1.0, 100.0], "repetitions": 3})
        built.seed = built.config["seed"] = seed
        return built

    return build


def measures(e, monkeypatch) -> dict:
    """What each random step gives, by its name."""
    latent = np.random.default_rng(0).normal(size=(128, 4))
    monkeypatch.setattr(odd_one_out, "rsa_target", lambda experiment: ("noise", latent))
    human, shots, sets = odd_one_out.evaluate(e), few_shot.evaluate(e), anomaly.evaluate(e)
    rsa = human["human"][human["human"]["metric"] == "RSA with noise"]
    summary = sets["anomaly_summary"].set_index("mode")
    data = nested.inner_data(e, "picture-0", 3)
    return {
        "bootstrap of RSA": rsa["ci_low"].to_numpy(),
        "draws of shots": shots["few_shot"]["accuracy"].to_numpy(),
        "bootstrap of gains": (shots["few_shot_gains"]["ci_high"] - shots["few_shot_gains"]["difference"]).to_numpy(),
        "halves of a set without a test": np.concatenate(experiments.halves(e.features().rows["group"], e.seed)),
        "bootstrap over classes": summary.loc["one-vs-rest", "auroc_low"].to_numpy(),
        "bootstrap over images": summary.loc["set", "auroc_low"].to_numpy(),
        "inner folds": data["picture-0-inner-0"][2],
        "batches of the authors' recipe": np.array([e.fit_options["random_state"]]),
    }


def test_every_random_step_follows_the_seed(seeded, monkeypatch):
    first, again, other = (measures(seeded(seed), monkeypatch) for seed in (3, 3, 4))
    for step in first:
        np.testing.assert_array_equal(first[step], again[step], err_msg=step)
        assert first[step].shape != other[step].shape or not np.array_equal(first[step], other[step]), step


def test_intervals_alone_follow_the_seed():
    """With the same draws of images, the bootstrap and the cross-validation of C have the seed, too."""
    from glocal.evaluation import classifiers, statistics

    rng = np.random.default_rng(0)
    difference, weight = rng.normal(size=(5, 9)), np.ones((5, 9))
    a, b = (statistics.paired_interval(difference, weight, seed=seed) for seed in (1, 2))
    assert a[0] == b[0] and a[1] != b[1]
    x, y = rng.normal(size=(40, 6)).astype(np.float32), np.arange(40) % 4
    from glocal.evaluation.logistic_path import Images

    chosen = {classifiers.choose_c(Images(x, y), [0.01, 0.1, 1.0, 10.0, 100.0], 5, seed)[0] for seed in range(8)}
    assert len(chosen) > 1  # of noise, another split prefers another C
    assert draw(y, 2, np.random.default_rng([1, 0])).tolist() != draw(y, 2, np.random.default_rng([2, 0])).tolist()
