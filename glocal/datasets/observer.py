"""The simulated observer of the demo: odd-one-out answers from a latent, no human judgments.

The latent combines the hierarchy of the images' groups, the words of their names and some noise; answers are drawn from a
softmax whose temperature gives the best answer probability .67 on average, the noise ceiling of THINGS. The observer uses the
hierarchy that also defines the classes, so part of any gain on coarse classes is by construction; folds that hold out whole
subgroups reduce this effect and do not remove it.
"""

import numpy as np
from scipy.special import softmax

from glocal.datasets.openmoji import emojis, splits
from glocal.errors import GlocalError
from glocal.triplets import pairs_left

CEILING = 0.67  # mean probability of the best answer; THINGS (Hebart et al., 2020)


def observer(rows, seed: int = 42) -> np.ndarray:
    """Latent of the simulated observer, (n, d) float64; similarity is the dot product.

    Five blocks: super-group, group, subgroup, tf-idf of the name's words, Gaussian (30). Their squared lengths are
    1, 1, 1, 1 and, in expectation, 0.3.
    """
    import pandas as pd
    from sklearn.feature_extraction.text import TfidfVectorizer

    levels = pd.get_dummies(rows[["supergroup", "group", "subgroup"]], dtype=float)  # (n, 4 + 8 + 96)
    words = TfidfVectorizer().fit_transform(rows["name"]).toarray()  # (n, words), rows of length 1
    noise = np.random.default_rng(seed).standard_normal((len(rows), 30)) * np.sqrt(0.3 / 30)  # (n, 30)
    return np.hstack([levels, words, noise])


def temperature(latent, ceiling: float = CEILING, m: int = 200_000, seed: int = 42) -> float:
    """The temperature at which the best answer has probability `ceiling` on average over m drawn triplets: 1 / 1.77.

    Answers are softmax(similarities / temperature). Raises GlocalError if `ceiling` is not above chance and below 1.
    """
    from scipy.optimize import brentq

    s = pairs_left(latent @ latent.T, _draw(len(latent), m, np.random.default_rng(seed)))  # (m, 3)
    excess = lambda t: softmax(s / t, axis=1).max(axis=1).mean() - ceiling
    if not excess(1e3) < 0 < excess(1e-3):
        raise GlocalError(f"ceiling: no temperature reaches {ceiling}; give a probability between 0.34 and 0.99.")
    return float(brentq(excess, 1e-3, 1e3))


def simulate_triplets(latent, objects, m: int, seed, temperature: float) -> np.ndarray:
    """m answers of the observer about three distinct rows drawn from `objects`: (m, 3) rows of latent, odd one last.

    seed: any seed of numpy.random.default_rng. Raises GlocalError for fewer than three objects.
    """
    objects, rng = np.unique(objects), np.random.default_rng(seed)
    if len(objects) < 3:
        raise GlocalError(f"objects: {len(objects)} given; a triplet needs at least three.")
    drawn = objects[_draw(len(objects), m, rng)]  # (m, 3)
    p = softmax(pairs_left(latent @ latent.T, drawn) / temperature, axis=1)  # (m, 3), of each object to be the odd one
    odd = (rng.random((m, 1)) > p.cumsum(axis=1)[:, :2]).sum(axis=1)  # (m,)
    order = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[odd]  # (m, 3), the odd one last
    return np.take_along_axis(drawn, order, axis=1)


def judge(rows, m: int, seed: int = 42) -> np.ndarray:
    """(m, 3) answers of the observer about the given rows of `emojis()`, in their order; the odd one last."""
    latent = observer(rows, seed)
    return simulate_triplets(latent, np.arange(len(rows)), m, seed, temperature(latent))


def noise_ceiling(latent, triplets, temperature: float) -> float:
    """Mean probability of the best answer over triplets (m, 3): the highest expected accuracy of any model."""
    return float(softmax(pairs_left(latent @ latent.T, triplets) / temperature, axis=1).max(axis=1).mean())


def _draw(n: int, m: int, rng) -> np.ndarray:
    """(m, 3) indices below n, distinct in each row: shift the second and third draw past those before it."""
    a, b, c = (rng.integers(0, n - k, m) for k in range(3))
    b = b + (b >= a)
    low, high = np.minimum(a, b), np.maximum(a, b)
    c = c + (c >= low)
    c = c + (c >= high)
    return np.stack([a, b, c], axis=1)


def tables(names, folds: int = 3, seed: int = 42, m: int = 60_000, m_test: int = 20_000) -> tuple[dict, dict]:
    """The simulated observer's answers, {name: (m, 3) rows of `emojis()`, odd one last}, and metadata.

    "all": among all images. "<split>-<fold>-train", "-test": among those of the other folds, and those held out.
    names: splits, of "subgroup" and "picture". Metadata: observer, temperature, noise_ceiling of each table.
    """
    rows = emojis()
    latent = observer(rows, seed)
    t = temperature(latent)
    samples = {"all": (np.arange(len(rows)), m)}
    for split, fold in splits(rows, folds, seed).items():
        for i in range(folds):
            samples[f"{split}-{i}-train"] = (np.flatnonzero(fold != i), m)
            samples[f"{split}-{i}-test"] = (np.flatnonzero(fold == i), m_test)
    numbered = list(enumerate(samples.items()))  # all splits are numbered, so that a table is the same whatever others are made
    wanted = [(i, item) for i, item in numbered if item[0].rsplit("-", 2)[0] in ("all", *names)]
    triplets = {k: simulate_triplets(latent, o, n, [seed, i], t) for i, (k, (o, n)) in wanted}
    ceilings = {k: round(noise_ceiling(latent, table, t), 4) for k, table in triplets.items()}
    return triplets, {"observer": "simulated observer", "temperature": t, "noise_ceiling": ceilings}
