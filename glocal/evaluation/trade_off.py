"""Does the local loss do anything? gLocal against global at equal neighbourhoods (paper, section 3).

Both objectives pull W towards a scaled identity, and lam alone moves global from much alignment and few neighbours kept to the
reverse. So gLocal is not compared with global at one lam, but with all of global's curve over lam: what does it reach where
global, with another lam, keeps as many neighbours of held-out objects (`frontier.differences`)? The section `trade_off` of
config/schema.yaml names fits and measures; at its settings `at`, features centred by the context's mean before the map and no
local loss are tried, too. Every fit is made on every fold of the first split. Within a fold all fits classify the same draws of
images, each fold has its own, so intervals over folds cover people's objects and draws of images.
"""

import numpy as np
import pandas as pd
from tqdm import tqdm

from glocal.evaluation import alignment, anomaly_scores, few_shot, frontier
from glocal.evaluation.classifiers import LOGISTIC, MEAN
from glocal.evaluation.frontier import CHOSEN, COLUMNS, CURVE, OVERLAP
from glocal.features.store import also_in
from glocal.system.parallel import parallel
from glocal.training import grid_search, parameters
from glocal.transform import GLocalTransform, unit_norm

TABLES = ("trade_off", "trade_off_differences")  # written to results/
AS_CONFIGURED, WITHOUT, CENTRED = "as configured", "no local loss", "centred before the map"
ALL_TASKS = "mean of tasks"
ALIGNMENT = ("odd_one_out", OVERLAP, "triplet_loss", "local_kl")  # of `alignment.measure`


def evaluate(experiment) -> dict:
    """Measure global's and gLocal's curves and the variations on every fold of the first split.

    {name: DataFrame}. trade_off: one row per fit, fold and measure; variation "curve" for the curves, "chosen" for the original
    and the transforms that the other steps use, else what is varied. trade_off_differences: of `frontier.differences`. Raises
    GlocalError for a missing task, label or image set, and for settings that `GLocalTransform` refuses.
    """
    calls = list(_jobs(experiment))
    results = tqdm(parallel(calls, experiment.threads), total=len(calls), desc=f"trade-off {experiment.encoder}")
    table = pd.DataFrame([row for rows in results for row in rows]).assign(encoder=experiment.encoder)[COLUMNS]
    return dict(trade_off=table, trade_off_differences=frontier.differences(table))


def _jobs(experiment):
    """(function, args, kwargs) of every curve and set of variations; each follows one path of fits, on one core."""
    settings = experiment.config["trade_off"]
    for fold in experiment.first_folds:
        yield from ((variations, (experiment, fold, point), {}) for point in settings["at"])
        yield from ((curve, (experiment, fold, "glocal", values), {}) for values in settings["glocal"])
        yield curve, (experiment, fold, "global", settings["global"]), {}
        yield chosen, (experiment, fold), {}


def curve(experiment, fold: str, objective: str, values: dict) -> list[dict]:
    """The rows of a grid of one objective on one fold, each fit from where its neighbour ended."""
    data = grid_search.fold_data(experiment, [fold])[fold]
    trials = grid_search.search(objective, values, _options(experiment), data, experiment.cached)
    return [row for point, t in trials for row in _rows(experiment, fold, data, t, objective, point, CURVE)]


def chosen(experiment, fold: str) -> list[dict]:
    """The rows of the original features and of the fold's transforms in the files that other steps use."""
    table = pd.read_csv(experiment.table("alignment"))
    table, rows = table[table["chosen"] & (table["fold"] == fold)].set_index("objective"), []
    data = grid_search.fold_data(experiment, [fold])[fold]
    for objective in ("original", *experiment.config["alignment"]["objectives"]):
        point = table.loc[objective, ["lam", "alpha", "tau"]].dropna().to_dict()
        t = None if objective == "original" else GLocalTransform.load(experiment.transform_path(fold, objective))
        rows += _rows(experiment, fold, data, t, objective, point, CHOSEN)
    return rows


def variations(experiment, fold: str, point: dict) -> list[dict]:
    """The rows of one gLocal setting on one fold as the config has it, and with one thing varied at a time."""
    data = grid_search.fold_data(experiment, [fold])[fold]
    fitted = _varied(experiment, fold, point, *data[:3])
    return [row for name, t in fitted.items() for row in _rows(experiment, fold, data, t, "glocal", point, name)]


def _varied(experiment, fold: str, point: dict, x, table, images) -> dict:
    """{variation: transform}; converged fits start at the one of the config."""
    settings, cached, options = experiment.config["trade_off"], experiment.cached(grid_search.fit), _options(experiment)
    base = cached("glocal", options | point, x, table, images)
    alone = {"lam": point["lam"] / (1 - point["alpha"])}  # the same objective without its local term, divided by 1 - alpha
    fitted = {AS_CONFIGURED: base, WITHOUT: cached("global", options | alone, x, table, images, init=base)}
    for name in settings.get("contexts", []):
        other = context(experiment, fold, name)
        fitted[f"context: {len(other)} {_of(name)}"] = cached("glocal", options | point, x, table, other, init=base)
    for name, switch in settings.get("switches", {}).items():
        start = None if switch.get("recipe") in parameters.SGD else base
        fitted[name] = cached("glocal", options | point | switch, x, table, images, init=start)
    mean = images.mean(0)
    t = cached("glocal", options | point, x - mean, table, images - mean, init=base)
    bias = t.bias_ - (mean / t.std_) @ t.weights_  # so that it maps features as they come
    return fitted | {CENTRED: GLocalTransform.from_arrays(t.weights_, bias, t.mean_, t.std_)}


def context(experiment, fold: str, name: int | str) -> np.ndarray:
    """Other images of the local loss, (q, p); none of those that the local loss is measured on.

    A number: that many of the config's; "all": all images of their set that the config allows; "objects": the training
    objects; else another set of the encoder, as many of it as of the config's at most.
    """
    images, unseen = experiment.context(fold)
    if isinstance(name, int):
        return images[:name]
    if name == "objects":
        return np.asarray(experiment.features().x[~experiment.held_out(fold)])
    x = np.asarray(experiment.select(experiment.settings["context"] if name == "all" else {"set": name}).x)
    x = x[~also_in(x, unseen)]
    return x if name == "all" else x[np.random.default_rng(experiment.seed).permutation(len(x))[: len(images)]]


def _of(name: int | str) -> str:
    return "images" if isinstance(name, int) or name == "all" else name


def _options(experiment) -> dict:
    return experiment.fit_options | experiment.config["trade_off"].get("fit", {})


def _rows(experiment, fold: str, data, t, objective: str, point: dict, variation: str) -> list[dict]:
    """The rows of a transform on one fold, a measure each; t None: the original features. data: of `grid_search.fold_data`."""
    about = {name: point.get(name, np.nan) for name in ("lam", "alpha", "tau")}
    about |= dict(objective=objective, variation=variation, fold=fold)
    values = _alignment(experiment, fold, data, t) | downstream(experiment, fold, lambda x: unit_norm(t.transform(x) if t else x))
    return [about | dict(measure=measure, value=value) for measure, value in values.items()]


def _alignment(experiment, fold: str, data, t) -> dict[str, float]:
    """The measures of the alignment table that a trade-off needs, on held-out objects and images."""
    x, _, _, (test, y) = data
    maps = (t.transform(x), t.local(y), t.transform(y)) if t else (unit_norm(x), y, y)
    measured = alignment.measure(x, maps[0], test, experiment.held_out(fold), *maps[1:], experiment.config["alignment"]["kl_tau"])
    return {name: measured[name] for name in ALIGNMENT}


def downstream(experiment, fold: str, align) -> dict[str, float]:
    """Few-shot accuracy and shift AUROC under a map, a function from raw features (k, p) to unit-norm ones."""
    settings, config = experiment.config["trade_off"], experiment.config
    where = fold if config["downstream"] == "folds" else "all"
    first = experiment.folds.index(fold) * settings["draws"]
    draws = dict(shots=settings["shots"], draws=range(first, first + settings["draws"]), classifiers=[LOGISTIC, MEAN])
    records = {task: few_shot.records(experiment, task, align, where, **draws) for task in settings["tasks"]}
    mean = lambda rows, c: float(np.mean([r["accuracy"] for r in rows if r["classifier"] == c]))
    results = {task: {c: mean(rows, c) for c in (LOGISTIC, MEAN)} for task, rows in records.items()}
    results[ALL_TASKS] = {c: float(np.mean([f[c] for f in results.values()])) for c in (LOGISTIC, MEAN)}
    values = {f"{settings['shots']}-shot {task}, {c}": value for task, f in results.items() for c, value in f.items()}
    for name in settings["shift"]:
        train, train_y, test, test_y, *_ = experiment.normals(config["anomaly"]["sets"][name], where)
        options = anomaly_scores.options(config["anomaly"])
        rows = anomaly_scores.measure(align(train), train_y, align(test), test_y, mode="shift", **options)
        values[f"shift AUROC {name}"] = float(np.mean([row["auroc"] for row in rows]))
    return values
