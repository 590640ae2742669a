"""The public THINGS odd-one-out judgments: six overlapping files of human answers, merged into one table.

t = human_triplets()      t.train: (m, 3) distinct rows, the odd one last
ceiling_answers()         many people's answers to the same 1,000 triplets
"""

from typing import NamedTuple

import numpy as np

from glocal.datasets import human_similarity
from glocal.datasets.registry import fetch, registry
from glocal.datasets.things import N_OBJECTS, ids_to_corrected
from glocal.triplets import check, code, from_choices, noise_ceiling, set_code, split_objects, within

FILES = ("triplets-test10", "triplets-id-a", "triplets-id-b", "triplets-id-c", "triplets-id-d", "triplets-behavior10")


class HumanTriplets(NamedTuple):
    """`train`, `ceiling_rows`: (m, 3) int64, distinct, kept pair sorted, ODD last. `counts`: of the merge."""

    train: np.ndarray
    ceiling_rows: np.ndarray
    counts: dict[str, int]


def human_triplets() -> HumanTriplets:
    """The public THINGS odd-one-out judgments of six overlapping files, in corrected order, each distinct row once.

    A row is a triplet with an answer; people disagree, so a set of three objects can have up to three rows. The files
    share trials, so `trials` counts each row as often as it occurs in the file that has most copies of it. All rows on
    triplets of the two noise-ceiling sets, which many people answered, are held out as `ceiling_rows`. Set 1 is that of
    `ceiling_answers`. Set 2 is not published as a list, so it is recognised by repetition: a triplet that occurs twice
    in one file almost certainly belongs to it. This holds out 992: 984 in the five files that draw on set 2, with up to
    11 answers in a file, and 8 in behavior10, which has none of set 1 and in which about 10 repeat by chance.
    """
    import pandas as pd

    files = [np.column_stack([np.sort(t[:, :2], axis=1), t[:, 2]]) for t in map(_things_file, FILES)]
    rows = np.unique(np.concatenate(files), axis=0)  # (m, 3)
    asked = [pd.Series(set_code(t, N_OBJECTS)) for t in files]
    ceiling = np.concatenate([set_code(ceiling_answers(), N_OBJECTS), *(codes[codes.duplicated()] for codes in asked)])
    sets = set_code(rows, N_OBJECTS)  # (m,)
    held = np.isin(sets, ceiling)  # (m,)
    copies = pd.concat([pd.Series(code(t, N_OBJECTS)).value_counts() for t in files])  # of each row in each file
    trials = int(copies.groupby(level=0).max().sum())
    counts = {"rows": len(rows), "object_sets": len(np.unique(sets)), "trials": trials}
    counts |= {"held_out": int(held.sum()), "train": int((~held).sum())}
    return HumanTriplets(rows[~held], rows[held], counts)


def ceiling_answers() -> np.ndarray:
    """(20000, 3) answers, ODD last, to the 1,000 triplets of noise-ceiling set 1 in corrected order."""
    table = np.loadtxt(fetch("noise-ceiling-1"), dtype=np.int64)  # image1 image2 image3 choice person, all 1-based
    return check(from_choices(ids_to_corrected(table[:, :3] - 1), table[:, 3] - 1), N_OBJECTS, "noise-ceiling-1")


def tables(names, folds: int = 3, seed: int = 42, without=()) -> tuple[dict, dict]:
    """The human triplets by fold: {name: (m, 3)}, and metadata (counts, noise_ceiling).

    "all": every training row. "object-<fold>-train", "-test": those whose three objects are all in that part of the fold.
    "things48-train", "-test" (human_similarity.FOLDS): the same for the objects of THINGS-48, which are the held-out ones.
    "ceiling": the answers to the repeated triplets of noise-ceiling set 1, one row an answer, held out of all others.
    without: numbers of objects whose triplets are left out of every table (the noise ceiling is that of all answers).
    """
    human, answers = human_triplets(), ceiling_answers()
    triplets = {"all": human.train, "ceiling": answers}
    for i, (train, test) in enumerate(split_objects(N_OBJECTS, folds, seed) if "object" in names else []):
        triplets[f"object-{i}-train"] = human.train[within(human.train, train, N_OBJECTS)]
        triplets[f"object-{i}-test"] = human.train[within(human.train, test, N_OBJECTS)]
    for fold in (name for name in names if name in human_similarity.FOLDS.values()):
        held = human_similarity.held_out(fold)
        triplets[f"{fold}-train"] = human.train[within(human.train, ~held, N_OBJECTS)]
        triplets[f"{fold}-test"] = human.train[within(human.train, held, N_OBJECTS)]
    metadata = {"observer": "human", "counts": human.counts, "noise_ceiling": {"all": noise_ceiling(answers)}}
    if not len(without):
        return triplets, metadata
    triplets = {name: table[~np.isin(table, without).any(1)] for name, table in triplets.items()}
    return triplets, metadata | {"without": list(map(int, without)), "left_out": len(human.train) - len(triplets["all"])}


def _things_file(name: str) -> np.ndarray:
    """One public file, (m, 3) in corrected order; a fourth column (the participant) is left out."""
    t = check(np.loadtxt(fetch(name), dtype=np.int64)[:, :3], N_OBJECTS, name)
    return ids_to_corrected(t) if registry()[name]["order"] == "raw" else t
