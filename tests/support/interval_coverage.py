"""How often 95 % intervals over triplets that share objects cover a known truth: `python tests/support/interval_coverage.py`."""

from statistics import NormalDist

import numpy as np

from glocal.evaluation.shared_objects import interval


def resample(values, table, draws: int = 1000, seed: int = 42) -> np.ndarray:
    """Means of the columns of `values` (m, t) under `draws` redrawn sets of objects: (draws, t).

    A triplet counts by the product of its objects' counts in the draw.
    """
    values, (used, places) = np.asarray(values, float), np.unique(table, return_inverse=True)
    rng, (i, j, k), n = np.random.default_rng(seed), places.reshape(-1, 3).T, len(used)
    means = np.full((draws, *values.shape[1:]), np.nan)
    for draw in range(draws):
        count = np.bincount(rng.integers(n, size=n), minlength=n).astype(float)
        weight = count[i] * count[j] * count[k]
        if total := weight.sum():
            means[draw] = weight @ values / total
    return means


def simulate(n: int, m: int, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Hits (m,) on random triplets (m, 3) of n objects, whose chance of a hit is .5 plus what its three objects add.

    share: standard deviation of what an object adds, drawn again for each data set, so that the true mean is .5 exactly.
    """
    table = np.argsort(rng.random((m, n)), axis=1)[:, :3] if n < 100 else _distinct(n, m, rng)
    chance = 0.5 + rng.uniform(-1, 1, n)[table].sum(1) * share * np.sqrt(3)
    return (rng.random(m) < chance).astype(float), table


def _distinct(n, m, rng):
    drawn = rng.integers(n, size=(2 * m, 3))
    a, b, c = drawn.T
    return drawn[(a != b) & (b != c) & (a != c)][:m]


def coverage(n: int = 600, m: int = 18_000, share: float = 0.05, samples: int = 400, level: float = 0.95, seed: int = 42,
             draws: int = 0) -> dict:  # fmt: skip
    """How often intervals cover the known truth of `simulate`: {"independent", "objects", "bootstrap": share of samples}.

    draws: of the bootstrap over objects; 0 leaves it out.
    """
    rng, ends, covered = np.random.default_rng(seed), [(1 - level) / 2, (1 + level) / 2], {}
    for sample in range(samples):
        hits, table = simulate(n, m, share, rng)
        half = NormalDist().inv_cdf(ends[1]) * hits.std() / np.sqrt(m)
        intervals = dict(independent=(hits.mean() - half, hits.mean() + half), objects=interval(hits, table, level)[1:])
        intervals |= dict(bootstrap=np.quantile(resample(hits, table, draws, sample), ends)) if draws else {}
        for name, (low, high) in intervals.items():
            covered[name] = covered.get(name, 0) + int(low <= 0.5 <= high)
    return {name: count / samples for name, count in covered.items()}


if __name__ == "__main__":
    print(coverage())
