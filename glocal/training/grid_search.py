"""Grid search: all settings on all folds, what is measured on held-out objects, and the rule that chooses one."""

import warnings
from itertools import product

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from glocal.errors import GlocalError
from glocal.system.parallel import parallel
from glocal.training import parameters
from glocal.transform import GLocalTransform

SETTINGS = ("lr", "lam", "alpha", "tau")
COLUMNS = ("encoder", "objective", "lam", "alpha", "tau", "fold", "odd_one_out", "triplet_loss", "local_kl", "neighbour_overlap",
           "monitored", "iterations", "converged", "lr",
           "odd_one_out_low", "odd_one_out_high")  # fmt: skip
# Of every fit of an experiment, whatever the cores: the last bits of a sum, and so of a transform, depend on how many share it.
THREADS = 2
WIDE = 2048  # features with more columns are fitted one after the other, with all threads: a fit of 4,096 needs gigabytes
# How a setting is chosen: the lowest of these on held-out objects and images. Naive and global have no local loss: triplet_loss.
# The KL at a setting's own tau shrinks as tau grows, whatever happens to the neighbours, so the rule by its name picks the
# largest tau; at one temperature, the config's kl_tau, settings can be compared.
RULES = (
    "triplet_loss",
    "triplet_loss + local_kl at kl_tau",
    "triplet_loss + local_kl",  # at the setting's own tau
    "triplet_loss + local_loss",  # all of the local loss, at the setting's own tau: what the authors' code monitors
)


def grid(values: dict) -> list[dict]:
    """Every combination of {setting: [values]}, in order: [{"lam": .., "alpha": .., "tau": ..}, ...]."""
    named = {s: values[s] for s in SETTINGS if s in values}  # one order, whatever the order in the file
    return [dict(zip(named, point, strict=True)) for point in product(*named.values())]


def path(values: dict, objective: str = "glocal") -> list[dict]:
    """The grid in an order in which neighbours differ in one setting, by one step: lam from strong to weak in the outer loop,
    temperatures and shares up and down within it. Measured: other orders need twice as many iterations.

    For naive lam goes from weak to strong. A strong ||W||^2 empties directions of W, and where W is empty the gradient is
    zero, since dot products are quadratic in W: on CLIP, the opposite order recovered late and ended worse.
    """
    if "lr" in values:
        raise GlocalError("grid: lr is not a setting of recipe converged, which has no step size; leave it out.")
    points: list[dict[str, float]] = [{}]
    ordered = sorted(values.get("lam", []), reverse=objective != "naive")
    for name, steps in ({"lam": ordered} | {s: sorted(values[s]) for s in ("tau", "alpha") if s in values}).items():
        points = [p | {name: v} for i, p in enumerate(points) for v in (steps if i % 2 == 0 else steps[::-1])]
    return [{s: p[s] for s in SETTINGS if s in p} for p in points]


def fit(objective: str, point: dict, x, table, context, held_out=None, init=None) -> GLocalTransform:
    """One transform: `point` has the settings and the solver's options. A separate function, so that it can be cached.

    Whether it converged stands in the table of results, so that no warning is needed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return GLocalTransform(objective, **point).fit(x, table, context=context, held_out=held_out, init=init)


def fit_stack(objective: str, points: list[dict], options: dict, x, table, context, held_out=None, checkpoint=None) -> list:
    """Recipe `paper`: all settings as one batched problem; a transform for each."""
    return GLocalTransform(objective, **options).fit_stack(points, x, table, context, held_out, checkpoint)


def search(objective: str, values: dict, options: dict, data: tuple, cached=lambda f: f, checkpoint=None) -> list[tuple]:
    """All settings of a grid on one fold: [(point, transform)] in the grid's order.

    data: (x, triplets, context, held_out) as arguments of `GLocalTransform.fit`. Recipe `converged` follows `path`, each fit
    from the solution of the last: on CLIP's grid in a third of the time of as many cold starts. Recipe `paper` trains the
    settings as one stack. options: arguments of GLocalTransform that all share. cached: a cache around the fits, so that an
    interrupted search resumes; checkpoint: a path, so that a long stack resumes, too.
    """
    (*table, held_out), points = data, grid(values)
    if options.get("recipe") in parameters.SGD:
        stack = cached(fit_stack)(objective, points, options, *table, held_out, checkpoint=checkpoint)
        return list(zip(points, stack, strict=True))
    fitted, last = {}, None
    watched = () if held_out is None or (unwatched(options) and len(points) > 1) else (held_out,)
    for point in path(values, objective):
        last = fitted[tuple(point.values())] = cached(fit)(objective, options | point, *table, *watched, init=last)
    return [(point, fitted[tuple(point.values())]) for point in points]


def unwatched(options: dict) -> bool:
    """Whether fits need no held-out measures, which can cost as much as their steps: the last iteration is kept, not the best.

    The first fold's are made all the same where the grid has one setting: `learning_curves` shows them.
    """
    return options.get("restore_best") is False


def search_experiment(experiment, folds: dict, name: str = "", progress=lambda n: None, **options) -> dict:
    """`search` of every objective of an experiment, with its cache: {objective: {fold: [(setting, transform)]}}.

    folds: as for `search`. name: tells the checkpoints of long stacks apart from those of another search of the encoder.
    options: arguments of GLocalTransform, in place of the experiment's. progress(n): called after n fits, a fold's at once.
    """
    objectives = experiment.config["alignment"]["objectives"]
    fits: dict[str, dict[str, list]] = {objective: {} for objective in objectives}
    options, first = experiment.fit_options | options, next(iter(folds))
    data = {fold: d if fold == first or not unwatched(options) else (*d[:3], None) for fold, d in folds.items()}
    places = list(product(objectives, data))
    calls: list = [(_search, (experiment, objective, fold, data[fold], name, options), {}) for objective, fold in places]
    for (objective, fold), trials in zip(places, side_by_side(experiment, calls), strict=True):
        fits[objective][fold] = trials
        progress(len(trials))
    return fits


def _search(experiment, objective: str, fold: str, data: tuple, name: str, options: dict) -> list:
    """`search` of one objective on one fold."""
    file = experiment.folder / "cache" / f"{experiment.encoder}{name}-{fold}-{objective}"
    return search(objective, experiment.config["alignment"]["grid"][objective], options, data, experiment.cached, file)


def side_by_side(experiment, calls: list):
    """Yield the results of `calls` that fit transforms, in order, on all cores; on a GPU, and if `WIDE`, one after the other."""
    alone = experiment.device != "cpu" or experiment.features().x.shape[1] > WIDE
    jobs, threads = (1, experiment.threads) if alone else (experiment.threads, THREADS)
    return parallel(calls, jobs, threads)


def fold_data(experiment, folds=None) -> dict:
    """What `search` fits and measures on: {fold: (objects, training triplets, context, (test triplets, held-out context))}.

    A fold's training triplets use only its training objects, its test triplets only the held-out ones. folds: default all.
    """
    x, tables, data = np.asarray(experiment.features().x), experiment.triplets(), {}
    for fold in folds or experiment.folds:
        context, held_out = experiment.context(fold)
        data[fold] = (x, tables[f"{fold}-train"], context, (tables[f"{fold}-test"], held_out))
    return data


def run(experiment) -> dict:
    """Every setting of an experiment's grid on every fold: {objective: {fold: [(setting, transform)]}}. Fits are cached.

    Raises GlocalError where features or triplets are missing, and for settings that `GLocalTransform` refuses.
    """
    from tqdm import tqdm

    settings, folds = experiment.config["alignment"], fold_data(experiment)
    total = len(folds) * sum(len(grid(settings["grid"][objective])) for objective in settings["objectives"])
    with tqdm(total=total, desc=f"align {experiment.encoder}") as line:
        return search_experiment(experiment, folds, progress=line.update)


def final_fits(experiment, fits: dict, chosen: dict) -> dict:
    """The transforms of the chosen settings: {(fold, objective): transform}, and with fold "all" the one for other images.

    fits: of `run`, chosen: of `choose`. Each goes on from the fit of the search under the options of `alignment.final`, if the
    config has them: the search stops early, where settings can be compared, and what is exported shall be the optimum. The
    one for other images is fitted on all objects, or, with `final_fit: last fold`, is the last fold's, as in the authors' code.
    The folds of `Experiment.human_folds` are fitted with the chosen settings alone.
    """
    settings, folds = experiment.config["alignment"], fold_data(experiment)
    final: dict[tuple[str, str], GLocalTransform] = {}
    calls: dict[tuple[str, str], tuple] = {}
    refit, options = experiment.cached(fit), experiment.fit_options | settings.get("final", {})
    more = {"all": "all"} if settings["final_fit"] == "all objects" else {}
    more |= {fold: f"{fold}-train" for fold in experiment.human_folds}
    for objective, point in chosen.items():
        for fold, trials in fits[objective].items():
            t, data = next(t for setting, t in trials if setting == point), folds[fold][: 3 if unwatched(options) else 4]
            final[fold, objective] = t
            if "final" in settings:
                calls[fold, objective] = (refit, (objective, options | point, *data), {"init": t})
        for fold, table in more.items():
            data = (np.asarray(experiment.features().x), experiment.triplets()[table], experiment.context(fold)[0])
            calls[fold, objective] = (refit, (objective, options | point, *data), {})
    final |= zip(calls, side_by_side(experiment, list(calls.values())), strict=True)
    last = {("all", objective): final[experiment.folds[-1], objective] for objective in chosen}
    return last | final


def curve_tau(experiment, chosen: dict) -> float:
    """The temperature of the local KL in `learning_curves`: gLocal's, or, where it is not fitted, the config's kl_tau."""
    settings = experiment.config["alignment"]
    return chosen.get("glocal", settings).get("tau", settings["kl_tau"])


def learning_curves(experiment, chosen: dict):
    """The history of the chosen settings on the first fold, from a cold start: a DataFrame, one row an iteration.

    loss, triplet_loss, local_kl and their held_out_ counterparts, with encoder and objective.
    """
    import pandas as pd

    options, data = experiment.fit_options, fold_data(experiment)[experiment.folds[0]]
    options, curves, refit = options | {"tau": curve_tau(experiment, chosen)}, [], experiment.cached(fit)
    calls = [(refit, (objective, options | point, *data), {"init": None}) for objective, point in chosen.items()]
    for objective, t in zip(chosen, side_by_side(experiment, calls), strict=True):
        curve = pd.DataFrame(t.history_).rename(columns={"objective": "loss", "held_out_objective": "held_out_loss"})
        curves.append(curve.assign(encoder=experiment.encoder, objective=objective))
    return pd.concat(curves, ignore_index=True)


def choose(table, rule: str) -> dict:
    """objective -> its best setting {lam, alpha, tau}, by the mean over folds (table: rows of alignment.csv, a DataFrame).

    Rows without settings (the original features, baselines) take no part.

    rule "triplet_loss + ...": the lowest `monitored`; "triplet_loss": the lowest held-out triplet loss, for all objectives.
    Ties go to the first setting of the grid.
    """
    column = rule if rule == "triplet_loss" else "monitored"
    settings = [s for s in SETTINGS if s in table]
    fitted = table[table["lam"].notna()].fillna(dict.fromkeys(settings, -1))
    means = fitted.groupby(["objective", *settings], sort=False)[column].mean().reset_index()
    best = means.loc[means.groupby("objective", sort=False)[column].idxmin()]
    return {row["objective"]: {s: float(row[s]) for s in settings if row[s] >= 0} for _, row in best.iterrows()}


def is_chosen(table, best: dict) -> np.ndarray:
    """(rows,) bool: the rows of the chosen settings, and those that have none: the original features, baselines."""
    return np.array([
        np.isnan(row["lam"]) or all(row[name] == value for name, value in best[row["objective"]].items())
        for _, row in table.iterrows()
    ])  # fmt: skip
