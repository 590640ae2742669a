"""The effect of a transform on the geometry of images: neighbours kept, separation of superclasses.

tables = structure.evaluate(experiment)      # {"structure": DataFrame}
"""

import numpy as np

from glocal.evaluation.frames import first_split
from glocal.evaluation.geometry import linear_cka, neighbour_overlap, separation, superclass_similarity
from glocal.transform import aligners

NEIGHBOURS = (1, 2, 5, 10, 20, 50)
OVERLAP, SEPARATION, CKA = "{}-NN overlap", "superclass separation (sd)", "linear CKA"


def evaluate(experiment) -> dict:
    """Measure the geometry of features under every transform: neighbours, superclasses, CKA.

    Parameters
    ----------
    experiment : workflow.experiment.Experiment
        The profile and the encoder.

    Returns
    -------
    dict
        {"structure": DataFrame}, one row per measure, on images that no fit used (of the objects, those held out).

    Raises
    ------
    GlocalError
        For a missing label or image set.
    """
    import pandas as pd

    rows = []
    for fold in experiment.downstream_folds:
        transforms = aligners(experiment.transform_paths(fold))
        for name, spec in experiment.config["structure"]["sets"].items():
            x, labels = _images(experiment, spec, fold)
            for transform, align in transforms.items():
                about = dict(encoder=experiment.encoder, transform=transform, dataset=name, fold=fold)
                rows += [about | dict(measure=m, value=v) for m, v in measure(x, align(x), labels).items()]
    return dict(structure=pd.DataFrame(rows)[["encoder", "transform", "measure", "value", "dataset", "fold"]])


def measure(x, z, labels) -> dict[str, float]:
    """All measures of features before, x (n, p), and after, z (n, p'), with superclasses labels (n,)."""
    within, between = superclass_similarity(z, labels)
    measures = {OVERLAP.format(k): neighbour_overlap(x, z, k) for k in NEIGHBOURS}
    measures |= {"within-superclass cosine": within, "between-superclass cosine": between}
    return measures | {SEPARATION: separation(z, labels), CKA: linear_cka(x, z)}


def overlaps(table):
    """Neighbours kept by number of neighbours k and transform, mean over folds and sets of the first split."""
    rows = first_split(table)
    rows = rows[rows["measure"].str.endswith(OVERLAP.format(""))]
    rows = rows.assign(k=rows["measure"].str.split("-").str[0].astype(int))
    return rows.groupby(["k", "transform"], sort=False)["value"].mean().reset_index()


def separations(table):
    """Separation of superclasses by set and transform, mean and std over folds of the first split."""
    rows = first_split(table)
    rows = rows[rows["measure"] == SEPARATION]
    return rows.groupby(["dataset", "transform"], sort=False)["value"].agg(["mean", "std"]).reset_index()


def similarities(experiment, transforms: list[str]) -> dict:
    """Cosine similarities of the first set in the first fold, {transform: (n, n) DataFrame}, sorted by superclass.

    transforms: those shown beside the original; index and columns are the superclasses.
    """
    import pandas as pd

    fold, spec = experiment.downstream_folds[0], next(iter(experiment.config["structure"]["sets"].values()))
    x, labels = _images(experiment, spec, fold)
    order = np.argsort(labels, kind="stable")
    tables = {}
    for transform, align in aligners(experiment.transform_paths(fold)).items():
        if transform in ("original", *transforms):
            z = align(x)[order]
            tables[transform] = pd.DataFrame(z @ z.T, labels[order], labels[order])
    return tables


def _images(experiment, spec: dict, fold: str) -> tuple[np.ndarray, np.ndarray]:
    images, _ = experiment.parts(spec, fold)
    return np.asarray(images.x), images.rows[spec["label"]].to_numpy()
