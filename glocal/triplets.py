"""Human odd-one-out judgments: check, split by objects, score, and the agreement between people.

A triplet is three different objects; a person chooses the odd one out. It is stored as a row (i, j, ODD) of object
numbers, from 0: the kept pair first, in any order, the odd one out last. A representation answers a triplet by its most
similar pair: the third object is its odd one out. It agrees with the person if that pair is (i, j); a tie with another
pair counts as wrong.

    accuracy(z, t)                            share of right answers by dot product
    for train, test in split_objects(n):      folds of objects, not of triplets
        t[within(t, test, n)]                 triplets whose three objects are all in `test`

`triplet_io.py` reads files; the public THINGS judgments are in `datasets/judgments.py`.
"""

import numpy as np

from glocal.arrays import plain, relative_lengths, table, unit_rows
from glocal.errors import GlocalError

TABLE_OBJECTS = 8192  # up to this number of objects `score` looks similarities up in one (n, n) table (512 MiB of float64)
BLOCK = 1 << 18  # triplets at a time
TIE = 1e-10  # similarities nearer than this share of the product of a triplet's two longest rows are a tie: it may be rounding


def check(triplets, n: int | None = None, name: str = "triplets") -> np.ndarray:
    """Check triplets.

    Parameters
    ----------
    triplets : (m, 3) array or tensor
        m may be 0.
    n : int, optional
        Number of objects; None checks for negative numbers only.
    name : str
        How errors call the triplets.

    Returns
    -------
    (m, 3) int64 array

    Raises
    ------
    GlocalError
        Names the first bad row: another shape, numbers that are not whole or outside 0..n-1, or an object twice.
    """
    t = plain(triplets, name)
    if t.ndim != 2 or t.shape[1] != 3:
        raise GlocalError(f"{name}: shape is {t.shape}, not (m, 3); give one row a triplet: kept, kept, ODD.")
    if t.dtype.kind not in "iu":
        t = _whole(t, name)
    t = t.astype(np.int64, copy=False)
    limits = "start at 0" if n is None else f"run from 0 to {n - 1} (do yours start at 1?)"
    _refuse((t < 0) | (t >= n) if n is not None else t < 0, t, name, f"object numbers {limits}")
    same = (t[:, 0] == t[:, 1]) | (t[:, 0] == t[:, 2]) | (t[:, 1] == t[:, 2])  # (m,)
    _refuse(same, t, name, "the three objects of a triplet must differ")
    return t


def _whole(t: np.ndarray, name: str) -> np.ndarray:
    if t.dtype.kind != "f":
        raise GlocalError(f"{name}: values are of type {t.dtype}; give whole object numbers.")
    _refuse(~np.isfinite(t) | (t != np.rint(t)), t, name, "object numbers must be whole")
    return t


def _refuse(bad: np.ndarray, t: np.ndarray, name: str, fix: str) -> None:
    """GlocalError for the first row of `t` with anything `bad`, (m, 3) or (m,)."""
    if bad.any():
        row = int(np.argmax(bad.any(1) if bad.ndim == 2 else bad))
        raise GlocalError(f"{name}: row {row} is {tuple(t[row].tolist())}; {fix}.")


def from_choices(images, choice) -> np.ndarray:
    """Triplets from what was shown and chosen.

    Parameters
    ----------
    images : (m, 3) integer array
        Object numbers in the order in which they were shown.
    choice : (m,) integer array
        Position of the odd one out, from 0 to 2.

    Returns
    -------
    (m, 3) array
        Rows kept, kept, ODD.
    """
    images, choice = np.asarray(images), np.asarray(choice)
    order = (choice[:, None] + np.array([1, 2, 0])) % 3  # (m, 3) positions, the odd one's last
    return np.take_along_axis(images, order, axis=1)


def split_objects(n: int, folds: int = 3, seed: int = 42) -> list[tuple[np.ndarray, np.ndarray]]:
    """Split objects, not triplets, into shuffled folds (scikit-learn's KFold), as in the paper.

    Parameters
    ----------
    n : int
        Number of objects.
    folds : int
    seed : int

    Returns
    -------
    list of (train, test)
        Object numbers of every fold.

    Raises
    ------
    GlocalError
        If folds is not from 2 to n.
    """
    from sklearn.model_selection import KFold

    if not 2 <= folds <= n:
        raise GlocalError(f"folds is {folds}; it must be from 2 to the number of objects, {n}.")
    return list(KFold(folds, shuffle=True, random_state=seed).split(np.arange(n)))


def within(triplets: np.ndarray, objects: np.ndarray, n: int) -> np.ndarray:
    """Which triplets have all three objects in a set.

    Parameters
    ----------
    triplets : (m, 3) integer array
    objects : integer array, or (n,) bool array
        Numbers of the objects of the set, or a mask.
    n : int
        Number of all objects.

    Returns
    -------
    (m,) bool array
    """
    member = np.zeros(n, bool)
    member[np.asarray(objects)] = True
    return member[triplets[:, 0]] & member[triplets[:, 1]] & member[triplets[:, 2]]  # (m,)


def score(z, triplets, similarity: str = "dot") -> np.ndarray:
    """Which triplets are answered as people did: the kept pair is strictly the most similar of the three pairs.

    Similarities are float64. Two that differ by less than 1e-10 of the product of the triplet's two longest rows are a tie,
    so that copies of an object tie in spite of rounding. Memory beyond the result does not grow with m.

    Parameters
    ----------
    z : (n, p) array or tensor
        Features, one row per object.
    triplets : (m, 3) integer array or tensor
        Rows kept, kept, ODD.
    similarity : {"dot", "cosine"}
        A row of zeros has cosine 0 to all others.

    Returns
    -------
    (m,) bool array

    Raises
    ------
    GlocalError
        For features that are not a finite (n, p) matrix, and as `check`.
    """
    z = table(z, "features").astype(np.float64, copy=False)
    if similarity not in ("dot", "cosine"):
        raise GlocalError(f'similarity is "{similarity}"; it must be "dot" or "cosine".')
    t, n = check(triplets, len(z)), len(z)
    length = relative_lengths(z) if similarity == "dot" else np.ones(n)  # (n,)
    z = unit_rows(z)
    if n <= TABLE_OBJECTS:
        products, block = (z @ z.T).ravel(), BLOCK
        pair = lambda a, b: products[a * n + b]
    else:
        block = max(1, (1 << 23) // max(1, z.shape[1]))
        pair = lambda a, b: np.einsum("mp,mp->m", z[a], z[b])
    right = np.empty(len(t), bool)
    for start in range(0, len(t), block):
        right[start : start + block] = _kept_pair_wins(pair, length, *t[start : start + block].T)
    return right


def _kept_pair_wins(pair, length, i, j, k) -> np.ndarray:
    """(b,) bool: the dot product of i and j is above those of i, k and j, k. pair(a, b): cosines; length: (n,).

    A dot product is the cosine times both lengths. All three are divided by the product of the two longest rows: then they
    lie in [-1, 1] at any scale, and the margin of a tie is a constant.
    """
    li, lj, lk = np.maximum((length[i], length[j], length[k]), np.finfo(float).tiny)  # a row of zeros has cosine 0 to everything
    shortest = np.minimum(np.minimum(li, lj), lk)  # (b,)
    other = np.maximum(pair(i, k) * (shortest / lj), pair(j, k) * (shortest / li))
    return pair(i, j) * (shortest / lk) > other + TIE


def accuracy(z, triplets, similarity: str = "dot") -> float:
    """Odd-one-out accuracy (paper, section 4.1): the share of triplets that features answer as people did.

    Parameters
    ----------
    z, triplets, similarity
        As for `score`.

    Returns
    -------
    float
        Chance is 1/3; nan if there are no triplets.

    Raises
    ------
    GlocalError
        As `score`.
    """
    right = score(z, triplets, similarity)
    return float(right.mean()) if len(right) else float("nan")


def noise_ceiling(answers) -> float:
    """The highest accuracy that fixed answers can reach: the mean over triplets of the share of the most frequent answer.

    Parameters
    ----------
    answers : (m, 3) integer array
        Rows kept, kept, ODD: several answers for each triplet.

    Returns
    -------
    float

    Raises
    ------
    GlocalError
        If there are no answers, and as `check`.
    """
    t = check(answers, name="answers")
    if not len(t):
        raise GlocalError("answers: there are none; give the answers of several people to each triplet.")
    return float(shares(t)[1].max(1).mean())


def shares(answers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """People's answers by triplet.

    answers: (a, 3), rows kept, kept, ODD: several answers for each triplet. Returns the objects of each triplet (m, 3), the
    share of the answers for which each of them is the odd one (m, 3), and the number of answers (m,).
    """
    n = int(answers.max(initial=0)) + 1
    codes, which = np.unique(set_code(answers, n), return_inverse=True)
    objects = np.stack(np.unravel_index(codes, (n, n, n)), axis=1)
    chosen = objects[which] == answers[:, 2:]  # (a, 3)
    votes = np.stack([np.bincount(which, column, len(objects)) for column in chosen.T], axis=1)
    return objects, votes / votes.sum(1, keepdims=True), votes.sum(1)


def code(t: np.ndarray, n: int) -> np.ndarray:
    """One number for each row of three object numbers below n, (m,)."""
    i, j, k = np.asarray(t, np.int64).T  # in int32, as files have them, the numbers of 1,854 objects would overflow
    return (i * n + j) * n + k


def set_code(t: np.ndarray, n: int) -> np.ndarray:
    """The same number for every order of the same three objects, (m,)."""
    return code(np.sort(t, axis=1), n)


def pairs_left(similarity: np.ndarray, triplets: np.ndarray) -> np.ndarray:
    """(m, 3): of each triplet's pairs the similarities (n, n), in the order of the objects that they leave out."""
    i, j, k = np.asarray(triplets).T
    return np.stack([similarity[j, k], similarity[i, k], similarity[i, j]], axis=1)
