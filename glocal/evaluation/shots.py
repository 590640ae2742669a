"""Numbers of shots: how many a pool allows, which images are drawn, and the number at which a task is reported."""

import numpy as np

from glocal.errors import GlocalError


def usable_shots(labels, shots, spare: int = 0, name: str = "few-shot pool") -> list[int]:
    """The `shots` that leave `spare` images in every class of `labels` (n,). Raises GlocalError if there is none.

    name: the beginning of the message, for example the task's key in the config.
    """
    if len(labels) == 0:
        raise GlocalError(f"{name}: no image with a label is left; check label, where and min_per_class.")
    classes, sizes = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise GlocalError(f'{name}: only the class "{classes[0]}" is left; a task needs two, so lower min_per_class or folds.')
    smallest = sizes.min() - spare
    if not (usable := sorted(s for s in shots if s <= smallest)):
        kept = f" if {spare} is left to test on" if spare else ""
        raise GlocalError(f"{name}: its smallest class has no more than {smallest} images to give{kept}; lower shots.")
    return usable


def draw(labels, shots: int, rng: np.random.Generator) -> np.ndarray:
    """Indices of `shots` images of each class, (classes * shots,). labels: (n,).

    The first k images of a class are the same for every `shots` >= k under one seed. Raises GlocalError for a class
    that has too few.
    """
    labels = np.asarray(labels)
    order = rng.permutation(len(labels))
    chosen = []
    for c in np.unique(labels):
        members = order[labels[order] == c]
        if len(members) < shots:
            raise GlocalError(f"few-shot pool: class {c} has {len(members)} images, {shots} shots are asked for; lower shots.")
        chosen.append(members[:shots])
    return np.concatenate(chosen)


def first(drawn, most: int, shots: int) -> np.ndarray:
    """What `draw` gives for `shots`, of what it gave for `most`: `drawn`, (classes * most,)."""
    return np.reshape(drawn, (-1, most))[:, :shots].ravel()


def task_shots(table, shots: int = 5) -> dict[str, int]:
    """{task: the number of shots that it is reported at}: `shots`, or the largest smaller number that all its folds allow.

    table: rows of few_shot.csv. A task with only larger numbers is reported at the smallest of them.
    """
    at_most = table["shots"].where(table["shots"] <= shots, table.groupby(["task", "fold"])["shots"].transform("min"))
    most = at_most.groupby([table["task"], table["fold"]], sort=False).max()
    return {task: int(n) for task, n in most.groupby(level="task", sort=False).min().items()}


def at_shots(table, which: dict):
    """The rows of a few-shot table (measurements, gains) at each task's own number of shots. which: see `task_shots`."""
    return table[table["shots"] == table["task"].map(which)]
