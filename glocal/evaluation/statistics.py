"""Significance of differences: paired bootstrap intervals over repetitions and classes, and tests over tasks.

Differences are paired: all transforms are evaluated on the same images. An interval covers other draws of images and other
classes of the same kind; a test over tasks asks whether a transform helps on similar tasks, each task counted once.
"""

import numpy as np
import pandas as pd
from scipy import stats
from scipy.stats import wilcoxon

from glocal.arrays import central, numbers, real, table, unit_scale
from glocal.errors import GlocalError
from glocal.evaluation import independence, paired


def bootstrap_mean(values, draws: int = 1000, level: float = 0.95, seed: int = 42) -> tuple[float, float, float]:
    """Mean of `values` (m,) and its percentile bootstrap interval: (mean, low, high); nan of no values.

    For 0/1 values (odd-one-out hits) the resampled count is binomial, which is drawn directly: the same distribution,
    and fast for half a million triplets.
    """
    values = numbers(values)
    rng = np.random.default_rng(seed)
    if len(values) == 0:
        return (float("nan"),) * 3
    if np.isin(values, (0, 1)).all():
        means = rng.binomial(len(values), values.mean(), size=draws) / len(values)
    else:
        means = values[rng.integers(len(values), size=(draws, len(values)))].mean(1)
    low, high = central(means, level)
    return float(values.mean()), float(low), float(high)


def t_interval(values, level: float = 0.95) -> tuple[float, float, float]:
    """Mean of a few `values` (m,), such as folds, and its t interval: (mean, low, high); nan for what too few leave open."""
    values = numbers(values)
    if len(values) < 2:
        return (*values, *[float("nan")] * 3)[:3]
    values, power = unit_scale(values[:, None])
    low, high = values.mean() + stats.sem(values, None) * stats.t.ppf([(1 - level) / 2, (1 + level) / 2], len(values) - 1)
    return float(values.mean()) * power, float(low) * power, float(high) * power


def paired_interval(difference, weight, draws: int = 2000, level: float = 0.95, seed: int = 42) -> tuple[float, float, float]:
    """Mean difference and its bootstrap interval over repetitions and classes: (mean, low, high).

    difference, weight: (R, K), of repetition r on class k; a weight is the number of test images (accuracy) or 1 (balanced).
    Each draw resamples rows and columns, independently and with replacement: R repetitions, K classes.
    """
    w = table(weight, "weight").astype(float)
    d = real(difference, "difference")
    if d.shape != w.shape or not w.any():
        raise GlocalError(f"paired interval: differences {d.shape}, weights {w.shape}; give both (R, K), and a weight above 0.")
    d, power = unit_scale(table(np.where(w > 0, d, 0.0), "difference"))
    rng = np.random.default_rng(seed)
    rows = rng.multinomial(len(d), np.full(len(d), 1 / len(d)), draws)  # (draws, R) times drawn
    columns = rng.multinomial(d.shape[1], np.full(d.shape[1], 1 / d.shape[1]), draws)  # (draws, K)
    means = ((rows @ (d * w)) * columns).sum(1) / np.maximum(((rows @ w) * columns).sum(1), 1e-12)
    value, low, high = power * np.array([(d * w).sum() / w.sum(), *central(means, level)])
    return float(value), float(low), float(high)


def holm(p) -> np.ndarray:
    """Holm's adjusted p-values (1979): control the probability of any false rejection. Raises GlocalError outside 0 to 1."""
    p = numbers(p, "p")
    for bad in p[(p < 0) | (p > 1)]:
        raise GlocalError(f"p: {bad:g} is no p-value; give numbers from 0 to 1.")
    order, adjusted = np.argsort(p), np.empty(len(p))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    return adjusted


def signed_rank(differences) -> float:
    """Two-sided p of Wilcoxon's signed-rank test that the median over tasks is 0; 1 where all differences are 0."""
    differences = numbers(differences, "differences")
    return float(wilcoxon(differences).pvalue) if np.any(differences) else 1.0


def over_tasks(rows, level: str, task: str, value: str, specs: dict):
    """Wilcoxon's test over tasks at each value of the column `level`, one row per pair (transform, versus) of `paired.pairs`.

    rows: DataFrame with the columns level, task, transform and value, of which a task counts the mean; specs: the tasks' entries
    in the config. Tasks that test on the same images count once, by their mean (`independence`). Columns: transform, versus,
    tasks, better (of the tasks), independent (number of groups), median_difference (over groups), p, level, and p_holm, Holm's
    correction for all rows. With n groups the smallest possible p is 2 / 2^n: .0078 for 8, .0625 for 5, .5 for 2.
    """
    means, tests = rows.pivot_table(index=[level, task], columns="transform", values=value, sort=False), []
    for at, part in means.groupby(level=level, sort=False):
        part = part.droplevel(level)
        group_of = independence.groups({name: specs[name] for name in part.index})
        for transform, versus in paired.pairs(part):
            d = part[transform] - part[versus]
            of_group = d.groupby(group_of, sort=False).mean()
            row = dict(transform=transform, versus=versus, tasks=len(d), better=int((d > 0).sum()), independent=len(of_group))
            tests.append(row | {"median_difference": of_group.median(), "p": signed_rank(of_group), level: at})
    table = pd.DataFrame(tests)
    return table.assign(p_holm=holm(table["p"])) if len(table) else table


def gains(table, versus: str = "original", balanced: bool = False, seed: int = 42):
    """Differences of every transform to `versus`, with bootstrap intervals over repetitions and classes: a DataFrame.

    table: DataFrame of the records of `few_shot.repetition`, with the additional columns split, fold, task, transform; the
    folds of a split have different classes or images and are concatenated. One row per split, task, shots, classifier and
    transform: difference, ci_low, ci_high, as fractions of 1.
    """
    rows, keys = [], ["split", "task", "shots", "classifier"]
    for key, part in table.groupby(keys, sort=False, dropna=False):
        share: dict[str, np.ndarray] = {}
        for transform, group in part.sort_values("repetition").groupby("transform", sort=False):
            correct, images = (np.hstack([np.stack(f[c]) for _, f in group.groupby("fold")]) for c in ("correct", "images"))
            share[transform] = correct / np.maximum(images, 1)  # (R, K)
        weight = (images > 0).astype(float) if balanced else images
        for transform in (t for t in share if t != versus):
            interval = paired_interval(share[transform] - share[versus], weight, seed=seed)
            named = zip(("difference", "ci_low", "ci_high"), interval, strict=True)
            rows.append(dict(zip(keys, key, strict=True)) | dict(transform=transform, versus=versus) | dict(named))
    return pd.DataFrame(rows)


def over_classes(table, versus: str = "original", seed: int = 42):
    """Means over classes with bootstrap intervals, and paired differences of every transform to `versus`: a DataFrame.

    table: DataFrame with split, fold, dataset, mode, transform, normal_class, auroc, aupr, fpr95, and, for one set
    against another, resampled (`anomaly_scores.resampled`): then intervals are over images, else over classes. One row per
    split, mode, dataset and transform: classes; auroc, aupr, fpr95, each with _low and _high; difference (of AUROC),
    ci_low, ci_high.
    """
    rows, keys = [], ["split", "mode", "dataset"]
    for key, part in table.groupby(keys, sort=False):
        groups = {t: group.set_index(["fold", "normal_class"]) for t, group in part.groupby("transform", sort=False)}
        interval = _over_images if key[1] == "set" else _over_classes
        for transform, group in groups.items():
            row = dict(zip(keys, key, strict=True)) | dict(transform=transform, versus=versus, classes=len(group))
            for name in ("auroc", "aupr", "fpr95", "difference"):
                measure, base = (name, None) if name != "difference" else ("auroc", groups[versus])
                ends = "ci" if base is not None else name
                row[name], row[f"{ends}_low"], row[f"{ends}_high"] = interval(group, measure, base, seed)
            rows.append(row)
    return pd.DataFrame(rows)


def _over_classes(group, measure, base, seed: int):
    """Mean of a measure over classes (and folds), minus that of base if there is one, and the ends of its interval."""
    return bootstrap_mean(group[measure] if base is None else group[measure] - base[measure], seed=seed)


def _over_images(group, measure, base, _seed, level: float = 0.95):
    """The same, over the test images of one set against another, resampled already; folds are averaged."""
    value, drawn = group[measure].mean(), np.mean([d[measure] for d in group["resampled"]], 0)
    if base is not None:
        value, drawn = value - base[measure].mean(), drawn - np.mean([d[measure] for d in base["resampled"]], 0)
    return float(value), *map(float, central(drawn, level))
