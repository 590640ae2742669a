"""A whole experiment of 128 objects in six dimensions, with features, triplets and transforms, for tests of the stages.

Objects belong to four groups; of three objects the odd one is of another group than the two others. The transforms: `naive`
leaves every feature as it is, `glocal` keeps the four directions that tell the groups apart and drops the two others.
"""

import json

import numpy as np
import pandas as pd
import yaml
from helpers import DEMO, clusters

from glocal import transform_io
from glocal.features import store
from glocal.workflow.experiment import Experiment

N, GROUPS = 128, ("ant", "bee", "cat", "dog")
MAPS = {"naive": np.ones(6), "glocal": np.array([1, 1, 1, 1, 0.1, 0.1])}
OBJECTS = {"set": "objects"}
CONFIG = DEMO | {
    "few_shot": {"shots": [1, 2], "repetitions": 2, "c": [1.0], "balanced": True, "classifiers": ["logistic regression", "1-NN"],
                 "tasks": {"groups": {"label": "group", "pool": OBJECTS}}},
    "anomaly": {"k": 3, "sets": {"groups": {"label": "group", "modes": ["one-vs-rest", "reverse"], "train": OBJECTS}}},
    "structure": {"k": 5, "sets": {"objects": {"label": "group", "images": OBJECTS}}},
}  # fmt: skip


def build(folder, **changes) -> Experiment:
    """The experiment in `folder`, which must be the repository root (GLOCAL_ROOT). changes: of the config, by section."""
    config = CONFIG | {name: CONFIG.get(name, {}) | change for name, change in changes.items()}
    (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
    experiment = Experiment("tiny.yaml")
    experiment.threads, experiment.cached = 1, lambda function: function
    x, group = clusters(2.0, N)
    number = np.arange(N)
    rows = pd.DataFrame({"group": np.array(GROUPS)[group], "picture": number.astype(str)})
    rows["subgroup_fold"], rows["picture_fold"] = number // 4 % 2, number // 8 % 2  # every fold has every group
    store.write(experiment.stem("objects"), x, rows)
    for fold in [*experiment.folds, "all"]:
        for name, scale in MAPS.items():
            arrays = dict(weights=np.diag(scale).astype(np.float32), mean=np.float64(0), std=np.float64(1))
            transform_io.write(experiment.transform_path(fold, name), arrays)
    write_triplets(experiment, group)
    return experiment


def write_triplets(experiment, group, m: int = 2000):
    """triplets.npz and triplets.json: all, and those within the training and the held-out objects of each fold."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(N, size=(m, 3))
    two_alike = (group[drawn[:, 0]] == group[drawn[:, 1]]) & (group[drawn[:, 0]] != group[drawn[:, 2]])
    drawn = drawn[two_alike & (drawn[:, 0] != drawn[:, 1])]
    tables = {"all": drawn}
    for fold in experiment.folds:
        held = experiment.held_out(fold)[drawn]
        tables |= {f"{fold}-train": drawn[~held.any(1)], f"{fold}-test": drawn[held.all(1)]}
    np.savez(experiment.folder / "triplets.npz", **tables)
    (experiment.folder / "triplets.json").write_text(json.dumps({"noise_ceiling": {"all": 0.9}}))
