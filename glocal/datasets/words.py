"""Public vectors of words from the text tower of an encoder, for the words that name one object of THINGS.

    objects, x = object_names("devbench-words-clip")     (k,) numbers of objects, (k, p) float32

DevBench (Tan et al. 2024) publishes the vectors of 1,413 words of CLIP ViT-B/32, in the space of its images (also of those of
`things-clip-b32`, which is the same network). Those that it publishes of BLIP and CVCL are in no space that they share with
images: by cosine they find the right object no more often than by chance.
"""

import numpy as np

from glocal.datasets import things
from glocal.datasets.registry import fetch
from glocal.errors import GlocalError, did_you_mean

LISTS = {"devbench-words-clip": "devbench-words"}  # the vectors, and the words of their rows


def object_names(name: str) -> tuple[np.ndarray, np.ndarray]:
    """The objects whose name is one of the words and no other object's, and the vectors of these names, scaled as published.

    Raises GlocalError if `name` has no vectors of words.
    """
    import pandas as pd

    if name not in LISTS:
        raise GlocalError(f'human.words: "{name}" has no vectors of words.{did_you_mean(name, LISTS)}')
    words = pd.read_csv(fetch(LISTS[name]), keep_default_na=False)["text1"]
    row_of = dict(zip(words, range(len(words)), strict=True))
    names = things.things_objects()["name"]
    objects = np.flatnonzero(names.isin(words) & ~names.duplicated(keep=False))
    vectors = np.load(fetch(name), allow_pickle=False).reshape(len(words), -1)
    return objects, vectors[[row_of[names[i]] for i in objects]].astype(np.float32)
