"""What choosing by test score would give: the maximum over the grid, beside the setting that was chosen beforehand.

The authors' anomaly table takes, for each data set, the transform with the best test score (protocol, row 7). The difference
to the pre-declared choice is what that is worth. Both are fits of one fold, as theirs are, so that they can be compared.
"""

import numpy as np

from glocal.training import grid_search
from glocal.transform import unit_norm


def candidates(experiment) -> list[dict]:
    """Every setting of the grid on the first fold: objective, setting, chosen (by the config's rule), align.

    The fits are those of the alignment stage, from its cache. align: function from raw features (k, p) to unit-norm ones.
    """
    import pandas as pd

    settings, fold = experiment.config["alignment"], experiment.folds[0]
    tables, (context, images) = experiment.triplets(), experiment.context(fold)
    data = (np.asarray(experiment.features().x), tables[f"{fold}-train"], context, (tables[f"{fold}-test"], images))
    how = dict(remember=experiment.remember, checkpoint=experiment.folder / "cache" / experiment.encoder)
    best, found = grid_search.choose(pd.read_csv(experiment.table("alignment")), settings["choose"]), []
    for objective in settings["objectives"]:
        fits = grid_search.search(objective, settings["grid"][objective], settings["fit"], {fold: data}, **how)[fold]
        for point, t in fits:
            chosen = all(best[objective].get(s) == v for s, v in point.items())
            found.append(dict(objective=objective, setting=point, chosen=chosen, align=_align(t)))
    return found


def _align(t):
    return lambda x: unit_norm(t.transform(x))


def compare(scores):
    """One row a data set, mode and objective: settings, chosen, oracle (its best score), oracle_setting.

    scores: DataFrame with the columns dataset, mode, objective, setting (text), chosen, auroc, a row a setting.
    """
    import pandas as pd

    rows, keys, more = [], ["dataset", "mode", "objective"], ["settings", "chosen", "oracle", "oracle_setting"]
    for key, part in scores.groupby(keys, sort=False):
        top = part.loc[part["auroc"].idxmax()]
        found = (len(part), part.loc[part["chosen"], "auroc"].iloc[0], top["auroc"], top["setting"])
        rows.append([*key, *found])
    return pd.DataFrame(rows, columns=[*keys, *more])
