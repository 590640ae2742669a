"""Agreement with people (paper, section 4.1): odd-one-out accuracy and representational similarity of an experiment.

    tables = odd_one_out.evaluate(experiment)      # {name: DataFrame}

The original features are compared by cosine, aligned ones by dot product, as in the paper (`baselines.similarity`). Each fold's
transform is scored on the triplets of its held-out objects; the answers of the folds of a split are pooled. Intervals are over
objects: those of accuracy allow for the objects that triplets share (`shared_objects`), those of RSA resample objects, all folds
in each draw.
"""

import numpy as np

from glocal import triplets
from glocal.datasets import observer, things
from glocal.evaluation import baselines, paired, rsa
from glocal.evaluation.frames import ACCURACY, ALL_TRIPLETS
from glocal.transform import GLocalTransform

CEILING, HELD_OUT = "noise-ceiling triplets", "held-out objects ({})"
COLUMNS = ["encoder", "dataset", "transform", "metric", "value", "ci_low", "ci_high", "ceiling"]
INTERVAL = ("value", "ci_low", "ci_high")
TABLES = ("human", "human_differences")  # written to results/
DIFFERENCES = ["encoder", "dataset", "metric", "transform", "versus", "difference", "ci_low", "ci_high"]
DRAWS = 200  # of the objects, for RSA


def evaluate(experiment) -> dict:
    """Compare every transform with human (or simulated) judgments (paper, section 4.1).

    Returns
    -------
    dict
        {name: DataFrame}. human: one row per data set and transform, value (accuracy in 0 to 1, or a Spearman correlation)
        with a 95 % interval over objects. human_differences: paired differences of the transforms to the original features
        and to each other (`paired.PAIRS`), with their intervals.

    Raises
    ------
    GlocalError
        For missing triplets, features or transforms.
    """
    import pandas as pd

    steps = (held_out_objects, all_triplets, noise_ceiling_triplets, references, similarities)
    measured = [dict(encoder=experiment.encoder) | row for step in steps for row in step(experiment)]
    rows = [row | dict(zip(INTERVAL, row["sample"].interval(), strict=True)) for row in measured]
    compared = pd.DataFrame(list(differences(measured)), columns=DIFFERENCES)
    return dict(human=pd.DataFrame(rows, columns=COLUMNS), human_differences=compared)


def differences(measured: list[dict]):
    """A row for each pair of transforms that were measured on the same triplets or objects. measured: rows with a `sample`."""
    groups: dict[tuple, dict] = {}  # {(encoder, dataset, metric): {transform: sample}}
    for row in measured:
        groups.setdefault((row["encoder"], row["dataset"], row["metric"]), {})[row["transform"]] = row["sample"]
    for key, samples in groups.items():
        for transform, versus in paired.pairs(samples):
            interval = samples[transform].interval(samples[versus])
            yield dict(zip(DIFFERENCES, (*key, transform, versus, *interval), strict=True))


def held_out_objects(experiment):
    """For each split: accuracy on the triplets of objects held out of the transforms' training."""
    tables = experiment.triplets()
    for split in experiment.config["alignment"]["splits"]:
        folds = _folds(experiment, split)
        ceiling = np.mean([experiment.noise_ceiling(f"{fold}-test") for fold in folds])
        asked = [tables[f"{fold}-test"] for fold in folds]
        for name in _names(experiment):
            hits = [_hits(_features(experiment, name, fold), table, name) for fold, table in zip(folds, asked, strict=True)]
            sample = paired.Accuracy(np.concatenate(hits), np.concatenate(asked))
            yield dict(dataset=HELD_OUT.format(split), transform=name) | _accuracy(sample, ceiling)


def all_triplets(experiment):
    """Accuracy of the original features on all triplets: the transforms were fitted on these objects."""
    table = experiment.triplets()["all"]
    sample = paired.Accuracy(_hits(_features(experiment, "original"), table, "original"), table)
    yield dict(dataset=ALL_TRIPLETS, transform="original") | _accuracy(sample, experiment.noise_ceiling())


def noise_ceiling_triplets(experiment):
    """Accuracy on triplets that many people answered and no fit used: the mean over triplets."""
    if "ceiling" not in (tables := experiment.triplets()):
        return
    answers = tables["ceiling"]
    table, which = np.unique(np.sort(answers, axis=1), axis=0, return_inverse=True)  # each triplet once, that of each answer
    which = which.ravel()
    for name in _names(experiment):
        hits = _hits(_features(experiment, name), answers, name)
        sample = paired.Accuracy(np.bincount(which, hits) / np.bincount(which), table)
        yield dict(dataset=CEILING, transform=name) | _accuracy(sample, experiment.noise_ceiling())


def references(experiment):
    """Accuracy on all triplets of embeddings that were fitted to the judgments themselves (SPoSE, VICE)."""
    if not (names := experiment.config.get("references")):
        return
    table = experiment.triplets()["all"]
    for name in names:
        sample = paired.Accuracy(triplets.score(things.object_features(name), table), table)
        about = dict(encoder=name, dataset=ALL_TRIPLETS, transform="reference")
        yield about | _accuracy(sample, experiment.noise_ceiling())


def similarities(experiment):
    """RSA on held-out objects of the first split: with the target's similarities, mean over folds."""
    if experiment.config["source"] == "own":
        return  # no similarities but those in the triplets
    target, features = rsa_target(experiment)
    split = experiment.config["alignment"]["splits"][0]
    for name in _names(experiment):
        values, drawn = [], []
        for number, fold in enumerate(_folds(experiment, split)):
            held = experiment.held_out(fold)
            ours, theirs = (rsa.similarity(z[held]) for z in (_features(experiment, name, fold), features))
            values.append(rsa.rsa(ours, theirs))
            drawn.append(rsa.resample(ours, theirs, DRAWS, [experiment.seed, number]))  # the same objects for every transform
        sample = paired.Correlation(np.array(values), np.stack(drawn, axis=1))
        yield dict(dataset=HELD_OUT.format(split), transform=name, metric=f"RSA with {target}", sample=sample)


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


def _accuracy(sample, ceiling: float) -> dict:
    return dict(sample=sample, metric=ACCURACY, ceiling=ceiling)
