"""Human similarity judgments on other stimuli, by other people, than the THINGS triplets (paper, section 4.1, question 4).

    data = load("mur-92")
    data.dissimilarity      (S, n, n): a matrix for each of S people, or S = 1 for the mean over people
    data.stimuli            DataFrame of n rows in the order of the matrices
    data.objects            (n,) rows of the THINGS objects that the stimuli are, or None
    data.images             n images (arrays, or paths of files) in the same order, or None

things-48 and mur-92 are downloaded (data/registry.csv). The judgments of the others are not public together with their
images: `load` says where to ask for them and where to put them (data/image_sets.csv, "Layouts" below).
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from glocal.datasets import things
from glocal.datasets.images import SUFFIXES
from glocal.datasets.registry import fetch, image_registry
from glocal.errors import GlocalError, reading, require
from glocal.system.paths import located

LEVELS = "https://doi.gin.g-node.org/10.12751/g-node.hg4tdz"


@dataclass(frozen=True)
class HumanSimilarity:
    """One set of judgments; see the module's docstring for the fields."""

    name: str
    stimuli: Any
    dissimilarity: np.ndarray
    objects: np.ndarray | None = None
    images: list | None = None


class Layout(NamedTuple):
    """Where the images and the judgments of a set lie in its folder: the layout that the authors' code reads.

    judgments: name or pattern of the file below sim_judgements/; variable: regular expressions of the names on the way to
    the array in it, from outside to inside; similarity: large values mean alike.
    """

    images: str
    judgments: str
    variable: tuple[str, ...]
    similarity: bool


PETERSON = ("animals", "automobiles", "fruits", "furniture", "various", "vegetables")
LAYOUTS = {
    "cichy-118": Layout("images", "judgments_general.mat", ("judgments",), similarity=False),
    "king-2019-set1": Layout("images/set1", "BEHAVIOR.mat", ("BEHAVIOR", "set1", "pairwisedistances"), similarity=False),
    "king-2019-set2": Layout("images/set2", "BEHAVIOR.mat", ("BEHAVIOR", "set2", "pairwisedistances"), similarity=False),
} | {f"peterson-{part}": Layout("images", "*.mat", ("(?i).*sim.*",), similarity=True) for part in PETERSON}
SETS = ("things-48", "mur-92", *LAYOUTS)
FOLDS = {"things-48": "things48"}  # sets of THINGS objects: the fold whose transforms have seen none of them


def load(name: str) -> HumanSimilarity:
    """The judgments of one of `SETS`.

    name: things-48, mur-92, cichy-118, king-2019-set1, king-2019-set2, or peterson-<part> for a part of `PETERSON`. Matrices are
    (S, n, n) dissimilarities, symmetric with zeros on the diagonal, and the n stimuli are in their order. Raises GlocalError for
    an unknown name, for files that are not there (with where to get them and where to put them), or that do not fit each other.
    """
    if name == "levels":
        raise GlocalError(
            f"levels: these are odd-one-out choices, not similarities; get them from {LEVELS}, extract the images with "
            "`glocal extract`, and score the choices with glocal.triplets.score."
        )
    require(name, SETS, f'"{name}" is no set of human similarity judgments')
    readers = {"things-48": _things_48, "mur-92": _mur_92}
    return readers[name]() if name in readers else _from_folder(name)


def held_out(fold: str) -> np.ndarray:
    """(1854,) bool: the THINGS objects that a fold of `FOLDS` keeps from its transforms."""
    (name,) = (name for name, of_set in FOLDS.items() if of_set == fold)
    mask = np.zeros(things.N_OBJECTS, bool)
    mask[load(name).objects] = True
    return mask


def _things_48() -> HumanSimilarity:
    """Hebart et al. 2020: 48 THINGS objects, every triplet of them judged; 1 - the share of trials that kept a pair.

    Rows follow words48.mat (pizza, beaver, ...), not the alphabet. THINGS has two objects of the words camera and file; the
    first of each (the one to photograph with, the tool) is meant: with the other file, the similarities of SPoSE-66 to it fall
    from .86 to .55.
    """
    words = [str(word[0][0]) for word in _mat(fetch("human-things48-words"))["words48"]]
    first = things.things_objects().reset_index().drop_duplicates("name").set_index("name")["index"]
    objects = first[words].to_numpy()
    matrix = _mat(fetch("human-things48-rdm"))["RDM48_triplet"]
    stimuli = things.things_objects().iloc[objects].reset_index(drop=True)
    return HumanSimilarity("things-48", stimuli, _matrices(matrix, 48, "things-48"), objects)


def _mur_92() -> HumanSimilarity:
    """Mur et al. 2013: multi-arrangement of 92 images by 16 people; the first 48 images are animate."""
    import pandas as pd

    people = np.stack([person["RDM"] for person in _mat(fetch("human-mur92-rdms"))["rdms_behav_92"][0]])
    shown = _mat(fetch("human-mur92-images"))["stimuli_92objs"][0]
    stimuli = pd.DataFrame({"class": [str(s["category"][0]) for s in shown]})
    for label in ("animal", "human", "face", "natural"):
        stimuli[label] = [int(s[label][0, 0]) for s in shown]
    stimuli.insert(0, "picture", [f"{i:02}" for i in range(len(shown))])
    return HumanSimilarity("mur-92", stimuli, _matrices(people, 92, "mur-92"), images=[s["image"] for s in shown])


def _from_folder(name: str) -> HumanSimilarity:
    """A set that lies in a folder, in the authors' layout; images in the order of their names."""
    import pandas as pd

    layout, row = LAYOUTS[name], image_registry()[name]
    top = located(row["folder"])
    images = sorted(p for p in (top / layout.images).glob("*") if p.suffix.lower() in SUFFIXES)
    files = sorted((top / "sim_judgements").glob(layout.judgments))
    if not images or not files:
        raise GlocalError(f"{name}: not at hand; get it from {row['source']} ({row['citation']}) and put {row['put']}.")
    if len(images) != int(row["images"]):
        raise GlocalError(f"{name}: {len(images)} images in {top / layout.images}, not {row['images']}; fetch the others.")
    matrices = _matrices(_variable(files[0], layout.variable), len(images), f"{name}, {files[0].name}")
    stimuli = pd.DataFrame({"picture": [p.name for p in images], "class": name})
    if layout.similarity:  # the largest between two images, minus each; zeros on the diagonal
        between = ~np.eye(len(images), dtype=bool)
        matrices = np.where(between, matrices[:, between].max(axis=1)[:, None, None] - matrices, 0.0)
    return HumanSimilarity(name, stimuli, matrices, images=images)


def _variable(file: Path, names: tuple[str, ...]) -> np.ndarray:
    """The array that `names` lead to in a MATLAB file, through structures."""
    value = _mat(file)
    for name in names:
        known = value if isinstance(value, dict) else value.dtype.names or ()
        key = next((k for k in known if re.fullmatch(name, k)), None)
        if key is None:
            raise GlocalError(f"{file}: has no variable {' . '.join(names)}; it has: {', '.join(known) or 'none'}.")
        value = value[key]
        while value.dtype == object and value.size == 1:
            value = value.item()
    return np.asarray(value)


def _mat(file: Path) -> dict:
    """The variables of a MATLAB file. Raises GlocalError if it cannot be read."""
    from scipy.io import loadmat

    with reading(file, "a MATLAB file", "save it as version 7"):
        return {k: v for k, v in loadmat(file).items() if not k.startswith("__")}


def _matrices(array, n: int, name: str) -> np.ndarray:
    """(S, n, n) float64 from (n, n), (S, n, n), or the upper triangles (S, n (n - 1) / 2).

    Raises GlocalError for another shape, values that are not finite, and matrices that are not symmetric.
    """
    from scipy.spatial.distance import squareform

    array = np.asarray(array, np.float64)
    if array.shape[-2:] != (n, n) and array.ndim <= 2 and array.shape[-1] == n * (n - 1) // 2:
        array = np.stack([squareform(row) for row in np.atleast_2d(array)])
    if array.ndim not in (2, 3) or array.shape[-2:] != (n, n):
        raise GlocalError(f"{name}: shape {array.shape}, but ({n}, {n}) for each person are needed: one row an image.")
    array = array.reshape(-1, n, n)
    if not np.isfinite(array).all() or not np.allclose(array, array.transpose(0, 2, 1)):
        raise GlocalError(f"{name}: the matrices must be symmetric and without missing values; check the file.")
    return array
