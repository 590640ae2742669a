"""ImageNet's hierarchy: the names of its classes, and the superclasses of the BREEDS tasks.

split("entity13")      the superclass and the half (source or target) of each ImageNet class
imagenet_names()       "tench", "goldfish", ...
"""

import json

import numpy as np

from glocal.datasets.registry import fetch
from glocal.errors import require

LIVING, NONLIVING, ENTITY = "n00004258", "n00021939", "n00001740"
TASKS = {  # depth of the superclasses, subclasses in each, their common ancestor
    "entity13": (3, 20, ENTITY),
    "entity30": (4, 8, ENTITY),
    "living17": (5, 4, LIVING),
    "nonliving26": (5, 4, NONLIVING),
}


def imagenet_names() -> list[str]:
    """The first name of each of the 1,000 ImageNet classes."""
    return [text.split(",")[0].strip() for _, _, text in json.loads(fetch("breeds-classes").read_text())]


def split(task: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The official random split of a BREEDS task (Santurkar et al. 2021): entity13, entity30, living17 or nonliving26.

    Returns superclass (1000,) int, -1 for a class that is not used; part (1000,) of "source", "target" or ""; and the
    names of the superclasses. A superclass is a node at the task's depth, below its ancestor, with at least `size`
    ImageNet classes. In the order of WordNet numbers, one random generator of seed 2 draws `size` of the sorted
    classes of each node: the first half is source, the second target.
    """
    require(task, TASKS, f'"{task}" is not a BREEDS task')
    depth, size, ancestor = TASKS[task]
    number = {wnid: i for i, wnid, _ in json.loads(fetch("breeds-classes").read_text())}
    below = _classes_below(number, depth, ancestor)
    titles = dict(line.split("\t")[:2] for line in fetch("breeds-names").read_text().splitlines())
    superclass, part = np.full(1000, -1), np.full(1000, "", dtype=object)
    names: list[str] = []
    rng = np.random.RandomState(2)
    for node in sorted(node for node, classes in below.items() if len(classes) >= size):
        drawn = [number[wnid] for wnid in rng.choice(sorted(below[node]), size, replace=False)]
        superclass[drawn] = len(names)
        part[drawn[: size // 2]], part[drawn[size // 2 :]] = "source", "target"
        names.append(titles[node].split(",")[0])
    return superclass, part, names


def _classes_below(classes, depth: int, ancestor: str) -> dict[str, list[str]]:
    """{node at `depth` (root: 0) below `ancestor`: the classes under it}; the hierarchy file is a tree."""
    lines = fetch("breeds-hierarchy").read_text().splitlines()
    parent = {child: node for node, child in (line.split() for line in lines)}
    below: dict[str, list[str]] = {}
    for wnid in classes:
        path = [wnid]
        while path[-1] in parent:
            path.append(parent[path[-1]])
        path.reverse()  # from the root to the class
        if len(path) > depth and ancestor in path[: depth + 1]:
            below.setdefault(path[depth], []).append(wnid)
    return below


def add_hierarchy(rows, names: bool = False) -> None:
    """Add name and the columns of the four BREEDS tasks to rows with a column `class` of 0 to 999, in place.

    A superclass is its number, -1 for none; or, with `names`, its name, "" for none.
    """
    c = rows["class"].to_numpy()
    rows["name"] = np.array(imagenet_names(), dtype=object)[c]
    for task in TASKS:
        superclass, part, titles = split(task)
        rows[task] = np.array([*titles, ""], dtype=object)[superclass[c]] if names else superclass[c]  # [-1] is ""
        rows[f"{task}_part"] = part[c]
