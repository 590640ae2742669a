"""The effect of a transform on objects and images that were held out of its training."""

import numpy as np
import torch

from glocal import losses, triplets
from glocal.evaluation import baselines, geometry, shared_objects
from glocal.evaluation.frames import first_split
from glocal.features.published import origin
from glocal.training import grid_search, objective
from glocal.training.grid_search import RULES
from glocal.transform import unit_norm


def evaluate(experiment, fits: dict) -> dict:
    """Measure every fit of the grid search on held-out objects and images (paper, section 3).

    fits: of `grid_search.run`. Returns {"alignment": DataFrame}, one row per setting and fold. Odd-one-out accuracy and triplet
    loss are measured on held-out objects, the local loss on context images that no fit used. `chosen` marks the choice of the
    config's rule, which uses no downstream score. Baselines have one row per fold and no setting; the rule does not see them,
    and `baselines.similarity` says how they answer triplets. Raises GlocalError for missing features, triplets or context
    images.
    """
    import pandas as pd

    settings, folds = experiment.config["alignment"], grid_search.fold_data(experiment)
    measured = {fold: (x, test, images) for fold, (x, _, _, (test, images)) in folds.items()}
    trials = [(o, fold, fits.get(o, {}).get(fold)) for fold in folds for o in ("original", *settings["objectives"])]
    calls: list = [(_of_objective, (experiment, o, fold, fit, *measured[fold]), {}) for o, fold, fit in trials]
    rows = [row for rows in grid_search.side_by_side(experiment, calls) for row in rows]
    best = grid_search.choose(pd.DataFrame(rows, columns=grid_search.COLUMNS), settings["choose"])
    if experiment.baselines:
        fitted = baselines.fit(experiment, grid_search.final_fits(experiment, fits, best))
        of_folds = [(name, fold, t) for (fold, name), t in fitted.items() if fold in folds]
        calls = [(_of_baseline, (experiment, name, fold, t, *measured[fold]), {}) for name, fold, t in of_folds]
        rows += grid_search.side_by_side(experiment, calls)
    table = pd.DataFrame(rows, columns=grid_search.COLUMNS)
    return dict(alignment=table.assign(chosen=grid_search.is_chosen(table, best)))


def save(experiment, fits: dict, chosen: dict) -> None:
    """Write all transforms of an experiment, of the chosen settings and the baselines, each with the encoder of its features.

    fits: of `grid_search.run`, chosen: of `grid_search.choose`.
    """
    about, final = origin(experiment.features().header), grid_search.final_fits(experiment, fits, chosen)
    for (fold, name), t in (final | baselines.fit(experiment, final)).items():
        experiment.save_transform(fold, name, t, **about)


def _of_objective(experiment, objective: str, fold: str, trials, x, test, images) -> list[dict]:
    """The rows of one objective and fold: all settings; without `trials` the original features."""
    place, unseen = dict(encoder=experiment.encoder, objective=objective, fold=fold), experiment.held_out(fold)
    if trials is None:
        return [place | measure(x, unit_norm(x), test, unseen, images, images, experiment.config["alignment"]["kl_tau"])]
    return [place | row for row in of_settings(experiment, trials, x, test, unseen, images)]


def of_settings(experiment, trials: list, x, test, unseen, images) -> list[dict]:
    """A row for each (setting, transform) of `trials`: the setting, and what it does to held-out objects and images."""
    settings, rows = experiment.config["alignment"], []
    for point, t in trials:
        features = (x, t.transform(x), test, unseen, t.local(images), t.transform(images))
        measured = measure(*features, settings["kl_tau"], point.get("tau"), rule=settings["choose"])
        rows.append(dict(point, **measured, iterations=len(t.history_), converged=t.converged_))
    return rows


def _of_baseline(experiment, name: str, fold: str, t, x, test, images) -> dict:
    """The row of a baseline's transform t in one fold."""
    z = unit_norm(t.transform(x)) if baselines.similarity(name) == "cosine" else t.transform(x)
    features = (x, z, test, experiment.held_out(fold), t.local(images), t.transform(images))
    measured = measure(*features, experiment.config["alignment"]["kl_tau"])
    return dict(encoder=experiment.encoder, objective=name, fold=fold, **measured)


def means(table):
    """Mean accuracy, neighbour overlap and local KL of every setting over the folds of the first split, chosen settings last."""
    rows = first_split(table)
    keys = ["objective", "chosen", *(s for s in grid_search.SETTINGS if s in rows)]
    columns = [c for c in ("odd_one_out", "neighbour_overlap", "local_kl") if c in rows]
    return rows.groupby(keys, dropna=False, sort=False)[columns].mean().reset_index().sort_values("chosen")


def measure(x, z, table, held_out, y, mapped, kl_tau: float, tau: float | None = None, k: int = 10, rule: str = RULES[1]) -> dict:
    """Measures of a transform on held-out objects and images.

    x, z: (n, p) objects before and after, table: (m, 3) triplets among the held-out ones, held_out: (n,) bool;
    y, mapped: (q, p) held-out context images before and after. Odd-one-out by dot product, as in the paper.
    tau: the setting's own temperature, None without a local loss. `monitored`, what the rule compares, is the triplet loss,
    plus, where there is a tau, what the rule names (`grid_search.RULES`).
    """
    z_, y_, mapped_ = (torch.tensor(np.asarray(a), dtype=torch.float64) for a in (z, y, mapped))
    loss = objective.triplet_loss(z_, torch.as_tensor(table).long()).item()
    accuracy, low, high = shared_objects.interval(triplets.score(z, table), table)
    return dict(
        odd_one_out=accuracy,
        odd_one_out_low=low,
        odd_one_out_high=high,
        triplet_loss=loss,
        local_kl=_kl(y_, mapped_, kl_tau),
        neighbour_overlap=geometry.neighbour_overlap(x[held_out], z[held_out], k),
        monitored=loss + (_local(y_, mapped_, tau, kl_tau, rule) if tau else 0.0),
    )


def _local(y, mapped, tau: float, kl_tau: float, rule: str) -> float:
    """What a rule adds to the triplet loss of a setting with a local loss at the temperature tau."""
    if rule == "triplet_loss + local_loss":
        return losses.local_loss(y, mapped, tau).item()
    return _kl(y, mapped, kl_tau if rule.endswith("at kl_tau") else tau)


def _kl(y, mapped, tau: float) -> float:
    return max(losses.local_kl(y, mapped, tau).item(), 0.0)
