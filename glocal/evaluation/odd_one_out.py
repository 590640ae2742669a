"""Agreement with people (paper, section 4.1): odd-one-out accuracy and representational similarity of an experiment.

    tables = odd_one_out.evaluate(experiment)      # {"human": DataFrame}

The original features are compared by cosine, aligned ones by dot product, as in the paper (`baselines.similarity`). Each fold's
transform is scored on the triplets of its held-out objects; the answers of the folds of a split are pooled.
"""

import numpy as np

from glocal import triplets
from glocal.datasets import observer, things
from glocal.evaluation import baselines, rsa
from glocal.evaluation.frames import ACCURACY, ALL_TRIPLETS
from glocal.evaluation.statistics import bootstrap_mean
from glocal.transform import GLocalTransform

CEILING, HELD_OUT = "noise-ceiling triplets", "held-out objects ({})"
COLUMNS = ["encoder", "dataset", "transform", "metric", "value", "ci_low", "ci_high", "ceiling"]
INTERVAL = ("value", "ci_low", "ci_high")


def evaluate(experiment) -> dict:
    """Compare every transform with human (or simulated) judgments (paper, section 4.1).

    Parameters
    ----------
    experiment : workflow.experiment.Experiment
        The profile and the encoder.

    Returns
    -------
    dict
        {"human": DataFrame}, one row per data set and transform: value (accuracy in 0 to 1, or a Spearman correlation) with
        a 95 % bootstrap interval over triplets (accuracy) or objects (RSA; mean over the folds).

    Raises
    ------
    GlocalError
        For missing triplets, features or transforms.
    """
    import pandas as pd

    steps = (held_out_objects, all_triplets, noise_ceiling_triplets, references, similarities)
    rows = [dict(encoder=experiment.encoder) | row for step in steps for row in step(experiment)]
    return dict(human=pd.DataFrame(rows)[COLUMNS])


def held_out_objects(experiment):
    """For each split: accuracy on the triplets of objects held out of the transforms' training."""
    tables = experiment.triplets()
    for split in experiment.config["alignment"]["splits"]:
        folds = _folds(experiment, split)
        ceiling = np.mean([experiment.noise_ceiling(f"{fold}-test") for fold in folds])
        for name in _names(experiment):
            hits = [_hits(_features(experiment, name, fold), tables[f"{fold}-test"], name) for fold in folds]
            yield dict(dataset=HELD_OUT.format(split), transform=name) | _accuracy(np.concatenate(hits), ceiling)


def all_triplets(experiment):
    """Accuracy of the original features on all triplets: the transforms were fitted on these objects."""
    hits = _hits(_features(experiment, "original"), experiment.triplets()["all"], "original")
    yield dict(dataset=ALL_TRIPLETS, transform="original") | _accuracy(hits, experiment.noise_ceiling())


def noise_ceiling_triplets(experiment):
    """Accuracy on triplets that many people answered and no fit used: the mean over triplets."""
    if "ceiling" not in (tables := experiment.triplets()):
        return
    answers = tables["ceiling"]
    which = np.unique(np.sort(answers, axis=1), axis=0, return_inverse=True)[1]  # the triplet of each answer
    for name in _names(experiment):
        hits = _hits(_features(experiment, name), answers, name)
        by_triplet = np.bincount(which, hits) / np.bincount(which)
        yield dict(dataset=CEILING, transform=name) | _accuracy(by_triplet, experiment.noise_ceiling())


def references(experiment):
    """Accuracy on all triplets of embeddings that were fitted to the judgments themselves (SPoSE, VICE)."""
    for name in experiment.config.get("references", []):
        hits = triplets.score(things.object_features(name), experiment.triplets()["all"])
        yield dict(encoder=name, dataset=ALL_TRIPLETS, transform="reference") | _accuracy(hits, experiment.noise_ceiling())


def similarities(experiment):
    """RSA on held-out objects of the first split: with the target's similarities, mean over folds."""
    target, features = rsa_target(experiment)
    split = experiment.config["alignment"]["splits"][0]
    for name in _names(experiment):
        intervals = []
        for fold in _folds(experiment, split):
            held = experiment.held_out(fold)
            ours, theirs = (rsa.similarity(z[held]) for z in (_features(experiment, name, fold), features))
            intervals.append(rsa.rsa_interval(ours, theirs, draws=100))
        interval = dict(zip(INTERVAL, np.mean(intervals, axis=0), strict=True))
        yield dict(dataset=HELD_OUT.format(split), transform=name, metric=f"RSA with {target}") | interval


def rsa_target(experiment) -> tuple[str, np.ndarray]:
    """The name and the features (n, d) of the reference for RSA: the simulated observer's latent, or SPoSE-66, as a
    substitute for people's similarity matrix."""
    if experiment.config["source"] == "demo":
        return "the simulated observer's latent", observer.observer(experiment.features().rows, experiment.seed)
    return "SPoSE-66", things.object_features("spose-66")


def _names(experiment) -> list[str]:
    return ["original", *experiment.transform_paths()]


def _folds(experiment, split: str) -> list[str]:
    return [fold for fold in experiment.folds if fold.startswith(f"{split}-")]


def _features(experiment, name: str, fold: str = "all") -> np.ndarray:
    """The objects' features under a transform of a fold, or the original ones."""
    x = np.asarray(experiment.features().x)
    return x if name == "original" else GLocalTransform.load(experiment.transform_path(fold, name)).transform(x)


def _hits(z, table, name: str) -> np.ndarray:
    return triplets.score(z, table, baselines.similarity(name))


def _accuracy(hits, ceiling: float) -> dict:
    return dict(zip(INTERVAL, bootstrap_mean(hits), strict=True)) | dict(metric=ACCURACY, ceiling=ceiling)
