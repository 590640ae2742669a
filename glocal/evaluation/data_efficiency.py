"""How many judgments buy how much? Shares of the training triplets, and one number of them on few or many objects.

The pull lam that suits all triplets is too weak for few. It is chosen again for each share and fold, for global, on judgments of
the fold's own training objects: a quarter of them is held out, and the strongest lam is taken from which a weaker one no longer
lowers the triplet loss on that quarter. gLocal takes global's lam times (1 - alpha), the weight of its triplet loss, so that the
pull against the judgments is the same; alpha and tau are those of the profile. The held-out objects, THINGS-48 and the few-shot
images take no part in it.
"""

import numpy as np
import torch

from glocal.errors import GlocalError
from glocal.evaluation import refits
from glocal.system.parallel import parallel
from glocal.training.objective import triplet_loss
from glocal.triplets import split_objects, within

QUARTERS = 4
COLUMNS = ["encoder", "transform", "part", "share", "triplets", "objects", "draws", "lam", *refits.MEASURED, "ceiling"]
SHARES, SPREAD = "share of triplets", "few or many objects"


def evaluate(experiment) -> dict:
    """What shares of the judgments achieve under the objectives of the config's section `judgments`.

    {"data_efficiency": DataFrame of `COLUMNS`}, a row for each part (`SHARES`, `SPREAD`), amount, transform and measure: means
    over folds and draws of value and difference to the original features, with 95 % intervals (`refits.summarise`). triplets,
    objects: means over folds and draws, objects those that occur; lam: geometric mean over folds. The rows of the original
    features and of `centred` have no amount. Raises GlocalError for missing features, triplets or transforms, and a number of
    judgments that few objects do not have.
    """
    import pandas as pd

    folds, settings = refits.folds(experiment), experiment.config["judgments"]
    references, points = refits.references(experiment, folds), refits.chosen(experiment, settings["objectives"])
    lams, groups = pulls(experiment, folds), [(o, *amount) for o in points for amount in _amounts(settings)]
    jobs = [list(_jobs(experiment, folds, points, lams, *group)) for group in groups]
    measured = refits.measure_all(experiment, [job for group in jobs for job in group], "data efficiency")
    rows = [dict(transform=t) | row for t, draws in references.items() for row in refits.summarise(draws, references["original"])]
    for (objective, part, share, _), own in zip(groups, jobs, strict=True):
        about = dict(transform=objective, part=part, share=share) | _sizes(own, len(folds))
        draws = [[next(measured) for _ in folds] for _ in range(about["draws"])]
        rows += [about | row for row in refits.summarise(draws, references["original"])]
    ceilings = [refits.ceiling(experiment, folds, row["measure"]) for row in rows]
    table = pd.DataFrame(rows).assign(encoder=experiment.encoder, ceiling=ceilings)
    return dict(data_efficiency=table.reindex(columns=COLUMNS))


def pulls(experiment, folds) -> dict[tuple[str, float], float]:
    """{(fold, share): lam of global that judgments of held-out training objects choose}; of the lams in the config."""
    settings = experiment.config["judgments"]
    shares = sorted({*settings["shares"], settings["spread"]["share"]})
    jobs = [(fold, share) for fold in folds for share in shares]
    lams = parallel([(_pull, (experiment, *job), {}) for job in jobs], experiment.threads)
    return {(fold.name, share): lam for (fold, share), lam in zip(jobs, lams, strict=True)}


def _pull(experiment, fold, share: float) -> float:
    """The lam in one fold. Three quarters of its objects have less than half of its triplets: larger shares take all of those."""
    objects = np.unique(fold.table)
    shown, held_out = (objects[part] for part in split_objects(len(objects), QUARTERS, experiment.seed)[0])
    train, test = (fold.table[within(fold.table, part, len(fold.x))] for part in (shown, held_out))
    table = drawn(train, min(round(share * len(fold.table)), len(train)), [experiment.seed, 0])
    lams = sorted(experiment.config["judgments"]["lam"], reverse=True)
    best, lam, t = np.inf, lams[0], None
    for trial in lams:
        t = refits.fit(experiment, "global", dict(lam=trial), fold, table, init=t)
        z = torch.as_tensor(t.transform(fold.x)).double()
        if (loss := triplet_loss(z, torch.as_tensor(test)).item()) >= best:
            break
        best, lam = loss, trial
    return lam


def drawn(table, count: int, seed) -> np.ndarray:
    """`count` rows of `table` (m, 3), without replacement; a smaller count draws the first of a larger one's."""
    return table[np.random.default_rng(seed).permutation(len(table))[:count]]


def of_objects(fold, share: float, count: int, seed) -> np.ndarray:
    """`count` training triplets among a random share of the objects of a fold."""
    objects = np.unique(fold.table)
    some = np.random.default_rng([*seed, 1]).permutation(objects)[: round(share * len(objects))]
    table = fold.table[within(fold.table, some, len(fold.x))]
    if len(table) < count:
        raise GlocalError(f"judgments.spread: {share:g} of the objects of {fold.name} have {len(table)} triplets, {count} are "
                          "asked for; lower share or raise objects.")  # fmt: skip
    return drawn(table, count, seed)


def _amounts(settings: dict) -> list[tuple]:
    """(part, share of the triplets, share of the objects) of each amount."""
    spread = settings["spread"]
    return [(SHARES, share, 1.0) for share in settings["shares"]] + [(SPREAD, spread["share"], n) for n in spread["objects"]]


def _jobs(experiment, folds, points: dict, lams: dict, objective: str, part: str, share: float, objects: float):
    """(objective, setting, fold, triplets) of each draw and, in it, each fold. All of the triplets are drawn once."""
    for draw in range(experiment.config["judgments"]["draws"] if share < 1 else 1):
        for number, fold in enumerate(folds):
            lam = lams[fold.name, share] * (1 - points[objective].get("alpha", 0.0))
            table = of_objects(fold, objects, round(share * len(fold.table)), [experiment.seed, draw, number])
            yield objective, points[objective] | dict(lam=lam), fold, table


def _sizes(jobs: list, folds: int) -> dict:
    sizes = np.mean([(len(table), len(np.unique(table))) for *_, table in jobs], axis=0)
    lam = np.exp(np.mean([np.log(point["lam"]) for _, point, *_ in jobs]))
    return dict(triplets=sizes[0], objects=sizes[1], draws=len(jobs) // folds, lam=lam)
