"""Does the map of the images leave them within reach of words? Retrieval of THINGS objects by the vectors of their names.

A word ranks all objects by cosine. Each word is asked under the transform of the fold that holds its object out, with all
objects in the gallery. Three ways: the transform is applied to "images" only, which leaves the words where they were; to "both",
as if a word were an image; or to "both, centred", where then each side's mean is subtracted, since images and words of CLIP lie
apart (Liang et al. 2022). Intervals are from a bootstrap over words, differences to the original are paired.
"""

import numpy as np

from glocal.arrays import unit_rows
from glocal.datasets import things
from glocal.errors import GlocalError
from glocal.evaluation import odd_one_out, statistics, uncertainty
from glocal.transform import GLocalTransform

SIDES = ("images", "both", "both, centred")
RANKS = (1, 5, 10)
COLUMNS = ["encoder", "transform", "sides", "metric", "value", "ci_low", "ci_high", "difference", "diff_low", "diff_high",
           "words", "objects"]  # fmt: skip


def evaluate(experiment) -> dict:
    """The table of an experiment (workflow.experiment.Experiment) whose config names vectors of words for its encoder.

    {"text_retrieval": DataFrame}: one row a transform, way and metric, R@1, R@5 and R@10 in 0 to 1. The differences are to the
    original features in the same way (to "images" for "both": nothing is applied to the original). Empty without words. Raises
    GlocalError if the vectors of words are of other dimensions than the features.
    """
    import pandas as pd

    name, rows = experiment.config.get("human", {}).get("words", {}).get(experiment.encoder), []
    if name:
        objects, vectors = things.object_names(name)
        x = np.asarray(experiment.features().x)
        if vectors.shape[1] != x.shape[1]:
            sizes = f"{name} has {vectors.shape[1]} dimensions, {experiment.encoder} {x.shape[1]}"
            raise GlocalError(f"human.words: {sizes}; give the vectors of its own text tower.")
        results = {t: _ranks(experiment, t, x, objects, unit_rows(vectors, np.float32)) for t in uncertainty.names(experiment)}
        about = dict(encoder=experiment.encoder, words=len(objects), objects=len(x))
        rows = [about | row for row in _rows(results, experiment.seed)]
    return dict(text_retrieval=pd.DataFrame(rows, columns=COLUMNS))


def ranks(queries, gallery, target) -> np.ndarray:
    """The rank, from 1, of each query's target by cosine. queries: (k, p), gallery: (n, p), target: (k,) rows of the gallery."""
    similarity = unit_rows(queries) @ unit_rows(gallery).T  # (k, n)
    return 1 + (similarity > np.take_along_axis(similarity, np.asarray(target)[:, None], axis=1)).sum(1)


def _ranks(experiment, name: str, x, objects, vectors) -> dict:
    """{way: (k,) ranks} of all words, each under the transform of the fold that holds its object out."""
    results = {side: np.empty(len(objects), int) for side in SIDES}
    for fold in experiment.first_folds:
        here = experiment.held_out(fold)[objects]
        align = (lambda y: y) if name == "original" else GLocalTransform.load(experiment.transform_path(fold, name)).transform
        images, texts = align(x), align(vectors)
        pairs = zip(SIDES, (vectors, texts, texts - texts.mean(0)), (images, images, images - images.mean(0)), strict=True)
        for side, queries, gallery in pairs:
            results[side][here] = ranks(queries[here], gallery, objects[here])
    return results


def _rows(results: dict, seed: int):
    for name, by_side in results.items():
        for side, rank in by_side.items():
            for most in RANKS:
                hits, original = rank <= most, results["original"][side] <= most
                row = dict(transform=name, sides=side, metric=f"R@{most}")
                row |= dict(zip(odd_one_out.INTERVAL, statistics.bootstrap_mean(hits, seed=seed), strict=True))
                if name != "original":
                    gain = statistics.bootstrap_mean(hits.astype(float) - original, seed=seed)
                    row |= dict(zip(("difference", "diff_low", "diff_high"), gain, strict=True))
                yield row
