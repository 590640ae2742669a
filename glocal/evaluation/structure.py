"""The effect of a transform on the geometry of images: neighbours kept, separation of superclasses.

tables = structure.evaluate(experiment)      # {name: DataFrame}
"""

import numpy as np
import pandas as pd

from glocal.arrays import unit_rows
from glocal.evaluation import odd_one_out
from glocal.evaluation.frames import first_split
from glocal.evaluation.geometry import cosine_pairs, linear_cka, neighbour_overlap, separation, superclass_of
from glocal.transform import aligners

TABLES = ("structure", "layout", "similarity")  # what is written
NEIGHBOURS = (1, 2, 5, 10, 20, 50)
OVERLAP, SEPARATION, CKA = "{}-NN overlap", "superclass separation (sd)", "linear CKA"


def evaluate(experiment) -> dict:
    """Measure the geometry of features under every transform: neighbours, superclasses, CKA.

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
    rows = []
    for fold in experiment.downstream_folds:
        transforms = aligners(experiment.transform_paths(fold))
        for name, spec in experiment.config["structure"]["sets"].items():
            images, labels = _images(experiment, spec, fold)
            x = np.asarray(images.x)
            for transform, align in transforms.items():
                about = dict(encoder=experiment.encoder, transform=transform, dataset=name, fold=fold)
                rows += [about | dict(measure=m, value=v) for m, v in measure(x, align(x), labels).items()]
    table = pd.DataFrame(rows)[["encoder", "transform", "measure", "value", "dataset", "fold"]]
    return dict(structure=table, layout=layouts(experiment), similarity=similarities(experiment))


def measure(x, z, labels) -> dict[str, float]:
    """All measures of features before, x (n, p), and after, z (n, p'), with superclasses labels (n,)."""
    within, between = (float(cosines.mean()) for cosines in cosine_pairs(z, labels))
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


def similarities(experiment, most: int = 15, superclasses: int = 12):
    """Cosine similarities of held-out objects: a DataFrame, one row an object and transform.

    The original, naive and featured transform of the first fold, and "reference", what people's judgments (SPoSE-66) or the
    simulated observer's latent say of the same objects, as in the table human. encoder (of the reference: its name), transform,
    label (the superclass), "0", "1", ... (the similarity to each in this order). Of the largest `superclasses` in the fold up to
    `most` objects each, by `clustered`. No reference where nothing but triplets is known of people.
    """
    fold, objects = experiment.folds[0], experiment.features()
    labels = superclass_of(objects.rows).to_numpy()
    rows = _largest(labels, np.flatnonzero(experiment.held_out(fold)), most, superclasses)
    spaces = {t: align(np.asarray(objects.x)[rows]) for t, align in aligners(experiment.transform_paths(fold)).items()}
    parts = {(experiment.encoder, t): spaces[t] for t in spaces if t in ("original", "naive", experiment.featured)}
    if experiment.config["source"] != "own":
        target, reference = odd_one_out.rsa_target(experiment)
        parts[target, "reference"] = reference[rows]
    cosines = {about: unit_rows(z) @ unit_rows(z).T for about, z in parts.items()}
    ranked = clustered(cosines[experiment.encoder, "original"], labels[rows])
    tables = []
    for (encoder, transform), cosine in cosines.items():
        part = pd.DataFrame(cosine[np.ix_(ranked, ranked)].round(4)).rename(columns=str)
        tables.append(pd.concat([_about(experiment, transform, labels[rows][ranked]).assign(encoder=encoder), part], axis=1))
    return pd.concat(tables, ignore_index=True)


def clustered(cosine, labels) -> np.ndarray:
    """(n,) order of rows: by superclass, similar superclasses next to one another (average linkage, optimal leaf order).

    cosine: (n, n); labels: (n,).
    """
    from scipy.cluster.hierarchy import leaves_list, linkage
    from scipy.spatial.distance import squareform

    names, which = np.unique(labels, return_inverse=True)
    member = np.eye(len(names))[which]
    distance = 1 - member.T @ cosine @ member / np.outer(member.sum(0), member.sum(0))  # mean between two superclasses
    np.fill_diagonal(distance, 0)
    leaves = leaves_list(linkage(squareform(distance, checks=False), "average", optimal_ordering=True)) if len(names) > 1 else [0]
    return np.argsort(np.argsort(leaves)[which], kind="stable")


def _largest(labels, rows, most: int, superclasses: int) -> np.ndarray:
    """Of `rows` those of the largest superclasses, evenly spaced ones of each; in order."""
    names, count = np.unique(labels[rows][labels[rows] != ""], return_counts=True)
    groups = [rows[labels[rows] == name] for name in names[np.argsort(-count, kind="stable")[:superclasses]]]
    return np.sort(np.concatenate([g[np.linspace(0, len(g) - 1, min(most, len(g))).round().astype(int)] for g in groups]))


def layouts(experiment, most: int = 2000):
    """t-SNE of original, naive and featured features, all from one start: a DataFrame, one row an image and transform.

    encoder, transform, label, x, y, overlap, separation; picture: the name of the image, where the features come from images.
    The start is the first two principal components of the original features; overlap (`OVERLAP` at the config's k) and
    separation (`SEPARATION`) are of the features that are laid out. Of more than `most` images an evenly spaced part.
    """
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    fold, spec = experiment.downstream_folds[0], next(iter(experiment.config["structure"]["sets"].values()))
    (images, labels), transforms = _images(experiment, spec, fold), aligners(experiment.transform_paths(fold))
    shown = np.linspace(0, len(labels) - 1, min(most, len(labels))).round().astype(int)
    x, k = transforms["original"](images.x[shown]), experiment.config["structure"]["k"]
    start = PCA(2, random_state=experiment.seed).fit_transform(x)
    options = dict(metric="cosine", init=(1e-4 * start / start[:, 0].std()).astype(np.float32), random_state=experiment.seed,
                   perplexity=min(25, (len(shown) - 1) / 3))  # fmt: skip
    names = images.rows.get("picture", pd.Series("", images.rows.index)).iloc[shown]
    parts = []
    for transform in [t for t in transforms if t in ("original", "naive", experiment.featured)]:
        z = transforms[transform](images.x[shown])
        xy = TSNE(**options).fit_transform(z).round(3)
        numbers = dict(overlap=neighbour_overlap(x, z, k), separation=separation(z, labels[shown]))
        about = _about(experiment, transform, labels[shown])
        parts.append(about.assign(x=xy[:, 0], y=xy[:, 1], **numbers, picture=names.to_numpy()))
    return pd.concat(parts, ignore_index=True)


def _about(experiment, transform: str, labels):
    return pd.DataFrame({"encoder": experiment.encoder, "transform": transform, "label": labels})


def _images(experiment, spec: dict, fold: str) -> tuple:
    """The images of a set in a fold, and their superclasses."""
    images, _ = experiment.parts(spec, fold)
    return images, images.rows[spec["label"]].to_numpy()
