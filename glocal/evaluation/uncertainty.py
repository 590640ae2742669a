"""Do a model's probabilities of the three choices spread as people's answers do? (Triplets that many people answered.)

The probability of a choice is the softmax over the triplet's three pairs of similarity / temperature: cosines for the original
and the centred features, dot products for aligned ones (`baselines.similarity`). The temperature is one number a transform, the
most likely one on the triplets that its fold trained on. No transform has seen the repeated triplets themselves; those of
"all objects" know their objects from others, those of the folds do not (few triplets: all three objects must be held out).

Every measure is written as a mean over triplets, so that its interval allows for shared objects (`shared_objects`): the
correlation by its influence function (delta method), the calibration error with the bins and signs as measured.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from glocal import triplets
from glocal.arrays import unit_rows
from glocal.evaluation import baselines, odd_one_out, paired, shared_objects
from glocal.transform import GLocalTransform

TRANSFORMS = ("original", "centred", "naive", "global", "glocal")
ALL, HELD_OUT = "all objects", "held-out objects ({})"
CORRELATION, CROSS_ENTROPY, ERROR = "correlation", "cross-entropy", "expected calibration error"
COLUMNS = ["encoder", "dataset", "transform", "metric", "value", "ci_low", "ci_high", "bound", "difference", "diff_low",
           "diff_high", "temperature", "triplets", "answers"]  # fmt: skip
CURVE = ["encoder", "dataset", "transform", "bin", "probability", "share", "ci_low", "ci_high", "choices"]
BINS = 10
SAMPLE = 50_000  # training triplets, every n-th of the sorted table, that a temperature is fitted to


def evaluate(experiment) -> dict:
    """The probabilities of an experiment's transforms (workflow.experiment.Experiment) beside the shares of people's answers.

    human_calibration: one row a set of transforms (`ALL`, `HELD_OUT`), transform and metric, with a 95 % interval over triplets,
    what a model could reach (`bounds`) and the paired difference to the original. human_calibration_curve: of the choices of
    "all objects", by bins of the probability. Empty unless the config asks for it and many people answered.
    """
    import pandas as pd

    rows, curve = [], []
    asked = experiment.config.get("human", {}).get("uncertainty") and "ceiling" in experiment.triplets()
    for dataset, folds in _parts(experiment).items() if asked else ():
        measured = [row for name in names(experiment) for row in _measured(experiment, dataset, folds, name)]
        rows += _with_differences(measured)
        curve += [row for m in measured if dataset == ALL and m["metric"] == ERROR for row in _curve(m)]
    return dict(human_calibration=pd.DataFrame(rows, columns=COLUMNS), human_calibration_curve=pd.DataFrame(curve, columns=CURVE))


def names(experiment) -> list[str]:
    """The original features and the transforms of `TRANSFORMS` that the experiment has."""
    return [name for name in TRANSFORMS if name == "original" or name in experiment.transforms]


def similarities(z, table, similarity: str) -> np.ndarray:
    """(m, 3): of each triplet's pairs, in the order of the objects that they leave out. z: (n, p), "dot" or "cosine"."""
    z = unit_rows(z) if similarity == "cosine" else np.asarray(z, np.float64)
    return triplets.pairs_left(z @ z.T, table)


def temperature(z, table, similarity: str) -> float:
    """The temperature at which the answers of `table` (m, 3), the odd one last, are most likely."""
    s = similarities(z, table[:: -(-len(table) // SAMPLE)], similarity)
    s -= s.max(1, keepdims=True)
    scale = np.log(s.std())
    loss = lambda log_t: -log_softmax(s / np.exp(log_t), axis=1)[:, 2].mean()
    return float(np.exp(minimize_scalar(loss, bounds=(scale - 7, scale + 7), method="bounded").x))


def contributions(log_p, share) -> dict:
    """{metric: (m,) numbers whose mean is the metric}; log_p, share: (m, 3) of the model and of people.

    correlation: Pearson's, over all choices. cross-entropy: of the model's distribution under people's, in nats. expected
    calibration error: over bins of equal numbers of choices, of the difference of mean probability and mean share.
    """
    p = np.exp(log_p)
    a, b = ((x - x.mean()) / x.std() for x in (p, share))
    r = (a * b).mean()
    gap, of_bin = (p - share).ravel(), _bins(p)
    sign = np.sign(np.bincount(of_bin, gap))[of_bin]
    return {
        CORRELATION: r + (a * b - r * (a * a + b * b) / 2).mean(1),
        CROSS_ENTROPY: -(share * log_p).sum(1),
        ERROR: (sign * gap).reshape(p.shape).mean(1),
    }


def bounds(log_p, share, count, table) -> dict:
    """{metric: what a model that knows people's true probabilities is expected to reach}, given the numbers of answers.

    The correlation's: the square root of the share of the variance that is not sampling noise. The cross-entropy's: people's
    entropy by Miller and Madow's correction, since that of a few answers is too low. The calibration error's: that of a
    calibrated model with the same bins, whose differences are as large as their standard errors let them be.
    """
    noise = (share * (1 - share) / (count[:, None] - 1)).mean()  # unbiased, for the variance of a share
    plain = -(share * np.log(np.maximum(share, 1e-300))).sum(1)
    entropy = plain + ((share > 0).sum(1) - 1) / (2 * count)
    gap, of_bin, triplet = (np.exp(log_p) - share).ravel(), _bins(log_p), np.repeat(table, 3, axis=0)
    errors = [shared_objects.standard_error(gap[of_bin == b], triplet[of_bin == b]) for b in range(BINS)]
    chance = np.sqrt(2 / np.pi) * np.mean(errors)  # the mean size of a normal variable
    return {
        CORRELATION: float(np.sqrt(max(1 - noise / share.var(), 0))),
        CROSS_ENTROPY: float(entropy.mean()),
        ERROR: float(chance),
    }


def _bins(p) -> np.ndarray:
    """(3 m,) number of each choice's bin, by rank of its probability."""
    ranks = np.argsort(np.argsort(p.ravel(), kind="stable"), kind="stable")
    return ranks * BINS // p.size


def _parts(experiment) -> dict:
    split = experiment.config["alignment"]["splits"][0]
    return {ALL: ["all"], HELD_OUT.format(split): experiment.first_folds}


def _measured(experiment, dataset: str, folds, name: str):
    """A row for each metric of a transform, over the triplets of all folds."""
    answers, x = experiment.triplets()["ceiling"], np.asarray(experiment.features().x)
    kept, log_p, warmth = [], [], []
    for fold in folds:
        held = answers if fold == "all" else answers[triplets.within(answers, experiment.held_out(fold), len(x))]
        z = x if name == "original" else GLocalTransform.load(experiment.transform_path(fold, name)).transform(x)
        how, trained = baselines.similarity(name), experiment.triplets()["all" if fold == "all" else f"{fold}-train"]
        kept.append(triplets.shares(held))
        warmth.append(temperature(z, trained, how))
        log_p.append(log_softmax(similarities(z, kept[-1][0], how) / warmth[-1], axis=1))
    table, share, count = (np.concatenate(part) for part in zip(*kept, strict=True))
    choices = np.concatenate(log_p)
    reach = bounds(choices, share, count, table)
    about = dict(encoder=experiment.encoder, dataset=dataset, transform=name, temperature=float(np.mean(warmth)))
    about |= dict(triplets=len(table), answers=int(count.sum()), choices=(np.exp(choices), share, table))
    for metric, values in contributions(choices, share).items():
        yield about | dict(metric=metric, bound=reach[metric], sample=paired.Accuracy(values, table))


def _with_differences(measured: list[dict]):
    original = {row["metric"]: row["sample"] for row in measured if row["transform"] == "original"}
    for row in measured:
        ends = dict(zip(odd_one_out.INTERVAL, row["sample"].interval(), strict=True))
        if row["transform"] != "original":
            difference = row["sample"].interval(original[row["metric"]])
            ends |= dict(zip(("difference", "diff_low", "diff_high"), difference, strict=True))
        yield row | ends


def _curve(row: dict):
    """Mean probability and mean share of people's answers by bin, with the share's interval over triplets."""
    p, share, table = row["choices"]
    of_bin, triplet = _bins(p), np.repeat(table, 3, axis=0)
    for number in range(BINS):
        here = of_bin == number
        value, low, high = shared_objects.interval(share.ravel()[here], triplet[here])
        about = {name: row[name] for name in ("encoder", "dataset", "transform")} | dict(bin=number, choices=int(here.sum()))
        yield about | dict(probability=float(p.ravel()[here].mean()), share=value, ci_low=low, ci_high=high)
