"""The effect of a transform on the geometry of images: neighbours kept, separation of superclasses.

tables = structure.evaluate(experiment)      # {name: DataFrame}
"""

import numpy as np

from glocal.evaluation.frames import first_split
from glocal.evaluation.geometry import linear_cka, neighbour_overlap, separation, superclass_similarity
from glocal.transform import aligners

TABLES = ("structure", "layout", "similarity")  # what is written
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
        {name: DataFrame}. structure: one row per measure; for figures, of the first set in the first fold, layout (`layouts`) and
        similarity (`similarities`). All on images that no fit used (of the objects, those held out).

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
    table = pd.DataFrame(rows)[["encoder", "transform", "measure", "value", "dataset", "fold"]]
    return dict(structure=table, layout=layouts(experiment), similarity=similarities(experiment))


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
    """The rows of the separation of superclasses, by set, transform and fold of the first split."""
    rows = first_split(table)
    return rows[rows["measure"] == SEPARATION]


def similarities(experiment, most: int = 240):
    """Cosine similarities under the original, naive and featured transform: a DataFrame, one row an image and transform.

    encoder, transform, label (the superclass, by which images are sorted), "0", "1", ... (the similarity to each in this order).
    Of more than `most` images an evenly spaced part.
    """
    import pandas as pd

    images, labels, transforms = _first_set(experiment)
    ranked = np.argsort(labels, kind="stable")
    ranked = ranked[np.linspace(0, len(ranked) - 1, min(most, len(ranked))).round().astype(int)]
    parts = []
    for transform in [t for t in transforms if t in ("original", "naive", experiment.featured)]:
        z = transforms[transform](images.x[ranked])
        part = pd.DataFrame((z @ z.T).round(4), columns=np.arange(len(z)).astype(str))
        parts.append(pd.concat([_about(experiment, transform, labels[ranked]), part], axis=1))
    return pd.concat(parts, ignore_index=True)


def layouts(experiment, most: int = 2000):
    """t-SNE before and after the featured transform, from the same start: a DataFrame, one row an image and transform.

    encoder, transform, label, x, y; picture: the name of the image, where the features come from images. Of more than `most`
    images an evenly spaced part.
    """
    import pandas as pd
    from sklearn.manifold import TSNE

    images, labels, transforms = _first_set(experiment)
    shown = np.linspace(0, len(labels) - 1, min(most, len(labels))).round().astype(int)
    options = dict(metric="cosine", init="pca", random_state=experiment.seed, perplexity=min(25, (len(shown) - 1) / 3))
    names = images.rows.get("picture", pd.Series("", images.rows.index)).iloc[shown]
    parts = []
    for transform in ("original", experiment.featured):
        xy = TSNE(**options).fit_transform(transforms[transform](images.x[shown])).round(3)
        parts.append(_about(experiment, transform, labels[shown]).assign(x=xy[:, 0], y=xy[:, 1], picture=names.to_numpy()))
    return pd.concat(parts, ignore_index=True)


def _first_set(experiment) -> tuple:
    """The images of the first set in the first fold, their superclasses, and the transforms of that fold."""
    fold, spec = experiment.downstream_folds[0], next(iter(experiment.config["structure"]["sets"].values()))
    images, _ = experiment.parts(spec, fold)
    return images, images.rows[spec["label"]].to_numpy(), aligners(experiment.transform_paths(fold))


def _about(experiment, transform: str, labels):
    import pandas as pd

    return pd.DataFrame({"encoder": experiment.encoder, "transform": transform, "label": labels})


def _images(experiment, spec: dict, fold: str) -> tuple[np.ndarray, np.ndarray]:
    images, _ = experiment.parts(spec, fold)
    return np.asarray(images.x), images.rows[spec["label"]].to_numpy()
