"""The effect of choosing by test score: the maximum over the grid, compared with the setting chosen without test scores.

The authors' anomaly table reports, for each data set, the transform with the best test score. The difference to the choice
made beforehand is the effect of that selection. Both are fits of one fold, as in their code.
"""

from itertools import product

import numpy as np
import pandas as pd
from tqdm import tqdm

from glocal.evaluation import anomaly_scores
from glocal.system.devices import place
from glocal.training import grid_search
from glocal.transform import unit_norm

SCORES = ["dataset", "mode", "objective", "setting", "chosen", "auroc"]


def evaluate(experiment):
    """Choose by test score on the anomaly sets of the config, for comparison only.

    The result of `compare` (AUROC in 0 to 1), a DataFrame; no rows unless the config sets `oracle`. Raises GlocalError for a
    missing label, image set or table of the alignment.
    """
    settings = experiment.config["anomaly"]
    trials = candidates(experiment) if settings.get("oracle") else []
    jobs = list(product(experiment.downstream_folds[:1], settings["sets"] if trials else []))  # others are in the first's fits
    rows = [row for job in tqdm(jobs, desc="oracle", disable=not jobs) for row in _of_set(experiment, trials, *job)]
    return compare(pd.DataFrame(rows, columns=SCORES))


def _of_set(experiment, trials: list[dict], fold: str, name: str):
    """One row per candidate and mode: its mean AUROC over classes."""
    settings = experiment.config["anomaly"]
    spec, options = settings["sets"][name], anomaly_scores.options(settings)
    train, train_y, test, test_y, other, _ = experiment.normals(spec, fold)
    for trial in trials:
        train_x, test_x, other_x = (
            None if x is None else place(trial["align"](x), experiment.device) for x in (train, test, other)
        )
        setting = ", ".join(f"{s} {v:g}" for s, v in trial["setting"].items())
        for mode in spec["modes"]:
            results = anomaly_scores.measure(train_x, train_y, test_x, test_y, other_x, mode=mode, **options)
            about = dict(dataset=name, mode=mode, objective=trial["objective"], setting=setting, chosen=trial["chosen"])
            yield about | dict(auroc=np.mean([row["auroc"] for row in results]))


def candidates(experiment) -> list[dict]:
    """Every setting of the grid on the first fold: objective, setting, chosen (by the config's rule), align.

    The fits are read from the cache of the alignment step. align: function from raw features (k, p) to unit-norm ones.
    """
    settings, fold = experiment.config["alignment"], experiment.folds[0]
    fits = grid_search.search_experiment(experiment, grid_search.fold_data(experiment, [fold]))
    best, results = grid_search.choose(pd.read_csv(experiment.table("alignment")), settings["choose"]), []
    for objective in settings["objectives"]:
        for point, t in fits[objective][fold]:
            chosen = all(best[objective].get(s) == v for s, v in point.items())
            results.append(dict(objective=objective, setting=point, chosen=chosen, align=_align(t)))
    return results


def _align(t):
    return lambda x: unit_norm(t.transform(x))


def compare(scores):
    """One row per data set, mode and objective: settings, chosen, oracle (its best score), oracle_setting.

    scores: DataFrame with the columns dataset, mode, objective, setting (text), chosen, auroc; one row per setting.
    """
    rows, keys, measures = [], ["dataset", "mode", "objective"], ["settings", "chosen", "oracle", "oracle_setting"]
    for key, part in scores.groupby(keys, sort=False):
        top = part.loc[part["auroc"].idxmax()]
        values = (len(part), part.loc[part["chosen"], "auroc"].iloc[0], top["auroc"], top["setting"])
        rows.append([*key, *values])
    return pd.DataFrame(rows, columns=[*keys, *measures])
