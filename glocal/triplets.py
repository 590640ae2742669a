"""Human odd-one-out judgments: read, merge, split by objects, score, and how well people agree with each other.

A triplet is three different objects; a person says which one is the odd one out. It is stored as a row (i, j, ODD) of
object numbers, 0-based: the kept pair first, in any order, the odd one last. A representation answers a triplet by
its most similar pair: the object outside that pair is its odd one. It agrees with the person if its most similar pair
is (i, j); a tie with another pair counts as wrong.

    t = read("triplets.csv")                  (m, 3), checked
    accuracy(z, t)                            share of right answers by dot product
    for train, test in split_objects(n):      folds of objects, not of triplets
        t[within(t, test, n)]                 triplets whose three objects are all in `test`

The public THINGS judgments are in `datasets/judgments.py`.
"""

import warnings
from pathlib import Path

import numpy as np

from glocal.arrays import relative_lengths, unit_rows
from glocal.errors import GlocalError

TABLE_OBJECTS = 8192  # up to here `score` looks similarities up in one (n, n) table (512 MiB of float64)
BLOCK = 1 << 18  # triplets at a time
TIE = 1e-10  # similarities nearer than this share of the product of a triplet's two longest rows are a tie: it may be rounding


# --- reading ----------------------------------------------------------------------------------------------------------


def check(triplets, n: int | None = None, name: str = "triplets") -> np.ndarray:
    """`triplets` as (m, 3) int64, m may be 0.

    Raises GlocalError, naming the first bad row, for another shape, numbers that are not whole, object numbers
    outside 0..n-1 (n None: only negative ones) and an object twice in a row.
    """
    t = np.asarray(triplets.detach().cpu() if hasattr(triplets, "detach") else triplets)
    if t.ndim != 2 or t.shape[1] != 3:
        raise GlocalError(f"{name}: shape is {t.shape}, not (m, 3); give one row a triplet: kept, kept, ODD.")
    if t.dtype.kind not in "iu":
        t = _whole(t, name)
    t = t.astype(np.int64, copy=False)
    _refuse((t < 0) | (t >= n) if n is not None else t < 0, t, name, _range_fix(n))
    same = (t[:, 0] == t[:, 1]) | (t[:, 0] == t[:, 2]) | (t[:, 1] == t[:, 2])  # (m,)
    _refuse(same, t, name, "the three objects of a triplet must differ")
    return t


def _whole(t: np.ndarray, name: str) -> np.ndarray:
    if t.dtype.kind != "f":
        raise GlocalError(f"{name}: values are of type {t.dtype}; give whole object numbers.")
    _refuse(~np.isfinite(t) | (t != np.rint(t)), t, name, "object numbers must be whole")
    return t


def _range_fix(n: int | None) -> str:
    return "object numbers start at 0" if n is None else f"object numbers run from 0 to {n - 1} (are yours 1-based?)"


def _refuse(bad: np.ndarray, t: np.ndarray, name: str, fix: str) -> None:
    """GlocalError for the first row of `t` with anything `bad`, (m, 3) or (m,)."""
    if bad.any():
        row = int(np.argmax(bad.any(1) if bad.ndim == 2 else bad))
        raise GlocalError(f"{name}: row {row} is {tuple(t[row].tolist())}; {fix}.")


def read(path, n: int | None = None) -> np.ndarray:
    """(m, 3) triplets of your own file: .npy, or text with one a line (kept kept ODD, 0-based; comma or blank).

    Raises GlocalError for a missing or unreadable file and for what `check` refuses.
    """
    file = Path(path)
    if not file.is_file():
        raise GlocalError(f"{path}: no such file; give a .npy, .csv or .txt with one triplet a row: kept, kept, ODD.")
    try:
        rows = np.load(file, allow_pickle=False) if file.suffix == ".npy" else _read_text(file)
    except (ValueError, OSError, EOFError) as error:
        fix = "it must hold three whole numbers a row, with no header: kept, kept, ODD"
        raise GlocalError(f"{path}: cannot be read ({' '.join(str(error).split())}); {fix}.") from None
    return check(rows, n, str(path))


def _read_text(file: Path) -> np.ndarray:
    """Rows of numbers; (0, 3) for an empty file."""
    with open(file, encoding="utf-8") as lines:
        first = lines.readline()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*no data.*")
        rows = np.loadtxt(file, delimiter="," if "," in first else None, ndmin=2)
    return rows if rows.size else np.zeros((0, 3))


def from_choices(images, choice) -> np.ndarray:
    """(m, 3) rows kept, kept, ODD from `images` (m, 3) as shown and `choice` (m,), the odd one's position 0-2."""
    images, choice = np.asarray(images), np.asarray(choice)
    order = (choice[:, None] + np.array([1, 2, 0])) % 3  # (m, 3) positions, the odd one's last
    return np.take_along_axis(images, order, axis=1)


# --- splitting and scoring --------------------------------------------------------------------------------------------


def split_objects(n: int, folds: int = 3, seed: int = 42) -> list[tuple[np.ndarray, np.ndarray]]:
    """[(train, test) object numbers] of `folds` shuffled folds (KFold): no object is on both sides."""
    from sklearn.model_selection import KFold

    if not 2 <= folds <= n:
        raise GlocalError(f"folds is {folds}; it must be from 2 to the number of objects, {n}.")
    return list(KFold(folds, shuffle=True, random_state=seed).split(np.arange(n)))


def within(triplets: np.ndarray, objects: np.ndarray, n: int) -> np.ndarray:
    """(m,) bool: all three objects of the triplet (m, 3) are in `objects` (numbers, or a mask of length n)."""
    inside = np.zeros(n, bool)
    inside[np.asarray(objects)] = True
    return inside[triplets[:, 0]] & inside[triplets[:, 1]] & inside[triplets[:, 2]]  # (m,)


def score(z, triplets, similarity: str = "dot") -> np.ndarray:
    """(m,) bool: the kept pair is strictly the most similar of the three pairs in `z` (n, p).

    `similarity` is "dot" or "cosine" (an all-zero row has cosine 0 to everything). Similarities are float64, and two
    that differ by less than 1e-10 of the product of the triplet's two longest rows are a tie, so that copies of an object
    tie whatever the rounding. Cost: 4.7 million triplets of 1854 objects in about half a second; memory flat in m up to
    the answer itself.
    """
    z = _features(z, similarity)  # (n, p)
    t = check(triplets, len(z))
    length = relative_lengths(z) if similarity == "dot" else np.ones(len(z))  # (n,)
    z = unit_rows(z)
    pair = _table(z) if len(z) <= TABLE_OBJECTS else _row_products(z)
    block = BLOCK if len(z) <= TABLE_OBJECTS else max(1, (1 << 23) // max(1, z.shape[1]))
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
    """Share of triplets (m, 3) that `z` (n, p) answers as people did; chance is 1/3, nan if there are no triplets."""
    right = score(z, triplets, similarity)
    return float(right.mean()) if len(right) else float("nan")


def noise_ceiling(answers) -> float:
    """The best score that any fixed answers can reach: the mean over triplets of the majority answer's share.

    `answers` (m, 3): rows kept, kept, ODD, several for each triplet. Raises GlocalError if empty.
    """
    t = check(answers, name="answers")
    if not len(t):
        raise GlocalError("answers: there are none; give the answers of several people to each triplet.")
    n = int(t.max()) + 1
    triplet, which = np.unique(set_code(t, n), return_inverse=True)  # (k,), (m,)
    votes, count = np.unique(which * n + t[:, 2], return_counts=True)  # one for each (triplet, odd one)
    best = np.zeros(len(triplet))
    np.maximum.at(best, votes // n, count)
    return float(np.mean(best / np.bincount(which)))


def code(t: np.ndarray, n: int) -> np.ndarray:
    """One number for each row of three object numbers below n, (m,)."""
    return (t[:, 0] * n + t[:, 1]) * n + t[:, 2]


def set_code(t: np.ndarray, n: int) -> np.ndarray:
    """The same number for every order of the same three objects, (m,)."""
    return code(np.sort(t, axis=1), n)


def _features(z, similarity: str) -> np.ndarray:
    """(n, p) float64."""
    z = np.asarray(z.detach().cpu() if hasattr(z, "detach") else z, dtype=np.float64)
    if z.ndim != 2 or z.shape[1] == 0:
        raise GlocalError(f"features: shape is {z.shape}, not (n, p); give one row an object.")
    if not np.isfinite(z).all():
        raise GlocalError(f"features: row {int(np.argmin(np.isfinite(z).all(1)))} has a value that is not finite; fix it.")
    if similarity not in ("dot", "cosine"):
        raise GlocalError(f'similarity is "{similarity}"; it must be "dot" or "cosine".')
    return z


def _table(z: np.ndarray):
    """Similarity of pairs, looked up in one (n, n) table."""
    n, table = len(z), (z @ z.T).ravel()  # (n * n,)
    return lambda a, b: table[a * n + b]


def _row_products(z: np.ndarray):
    """Similarity of pairs, computed pair by pair."""
    return lambda a, b: np.einsum("mp,mp->m", z[a], z[b])
