"""Public data: loaders that bring the files of the registry to one order, numbering and shape.

Two object orders. 21 of the 1,854 THINGS objects (camera*, chicken*, crystal*, hot*, ice*, pepper*) have other
positions in "raw" order (sorted file names) than in "corrected" order (sorted names, that of things_concepts.tsv). The
registry's column `order` says which of the two a file has; all functions here return corrected order.
"""

import numpy as np

from glocal.datasets.registry import embeddings, entry, fetch
from glocal.errors import require

N_OBJECTS = 1854
WORDS = {"devbench-words-clip": "devbench-words"}  # the vectors, and the words of their rows


def sort_index() -> np.ndarray:
    """(1854,) int, 0-based: corrected[i] = raw[sort_index()[i]]."""
    return np.loadtxt(fetch("sortindex")).astype(int)


def ids_to_corrected(ids: np.ndarray) -> np.ndarray:
    """Object numbers of raw order, any shape, as numbers of corrected order: the inverse of `sort_index`."""
    return np.argsort(sort_index())[ids]


def object_features(name: str) -> np.ndarray:
    """(1854, p) float32 in corrected order, scaled as shipped: things-clip-b32, vice, spose-49, spose-66, devbench-*.

    Raises GlocalError if `name` is no embedding of the 1,854 THINGS objects.
    """
    row = entry(name)
    require(name, embeddings(), f'"{name}" has no features of the THINGS objects')
    path = fetch(name)
    x = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path)
    x = x.reshape(N_OBJECTS, -1).astype(np.float32)  # (1854, p)
    return x[sort_index()] if row["order"] == "raw" else x


def things_objects():
    """pandas.DataFrame, one row per object in corrected order: object (unique), name, superclass, categories.

    `categories` are the hand-made ones of 27, joined by ";". `superclass` is the most specific of them, the one with
    the fewest objects (crow: animal;bird -> bird), or "" for the 559 objects that have none.
    """
    import pandas as pd

    concepts = pd.read_csv(fetch("things-concepts"), sep="\t", keep_default_na=False)
    member = pd.read_csv(fetch("things-categories"), sep="\t")  # (1854, 27) of 0 and 1
    small_first = member.columns[np.argsort(member.sum().to_numpy(), kind="stable")]
    named = [[c for c in small_first if row[c]] for row in member.to_dict("records")]
    return pd.DataFrame(
        {
            "object": concepts["uniqueID"],
            "name": concepts["Word"],
            "superclass": [cs[0] if cs else "" for cs in named],
            "categories": [";".join(sorted(cs)) for cs in named],
        }
    )


def descriptions() -> list[str]:
    """What a dictionary says of each object, in corrected order: name, WordNet's synonyms and category, and a definition."""
    import pandas as pd

    concepts = pd.read_csv(fetch("things-concepts"), sep="\t", keep_default_na=False)
    said = ["Word", "WordNet Synonyms", "Top-down Category (WordNet)", "Definition (from WordNet, Google, or Wikipedia)"]
    return concepts[said].agg(" ".join, axis=1).str.replace("_", " ").tolist()


def with_folds(rows, folds: int = 3, seed: int = 42):
    """`rows` of objects with a column object_fold: the fold that holds the object out (KFold, shuffled; the paper's protocol)."""
    from glocal.triplets import split_objects

    fold = np.empty(len(rows), int)
    for i, (_, test) in enumerate(split_objects(len(rows), folds, seed)):
        fold[test] = i
    return rows.assign(object_fold=fold)


def object_names(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The objects whose name is one of the words and no other object's, and the vectors of these names, scaled as published.

    objects: (k,) numbers of objects; vectors: (k, p) float32. DevBench (Tan et al. 2024) publishes the vectors of 1,413 words of
    CLIP ViT-B/32, in the space of its images (also of those of `things-clip-b32`, which is the same network). Those that it
    publishes of BLIP and CVCL are in no space that they share with images: by cosine they find the right object no more often
    than by chance. Raises GlocalError if `name` has no vectors of words.
    """
    import pandas as pd

    require(name, WORDS, f'human.words: "{name}" has no vectors of words')
    words = pd.read_csv(fetch(WORDS[name]), keep_default_na=False)["text1"]
    row_of = dict(zip(words, range(len(words)), strict=True))
    names = things_objects()["name"]
    objects = np.flatnonzero(names.isin(words) & ~names.duplicated(keep=False))
    vectors = np.load(fetch(name), allow_pickle=False).reshape(len(words), -1)
    return objects, vectors[[row_of[names[i]] for i in objects]].astype(np.float32)
