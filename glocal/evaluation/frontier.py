"""Two objectives at equal neighbourhoods: the differences of fits to the curve of another objective."""

import numpy as np
import pandas as pd

from glocal.evaluation.statistics import t_interval

CURVE, CHOSEN, OVERLAP = "curve", "chosen", "neighbour_overlap"
SETTING = ["encoder", "objective", "lam", "alpha", "tau", "variation"]
COLUMNS = [*SETTING, "fold", "measure", "value"]  # of the table trade_off
DIFFERENCES = [*SETTING, "measure", "overlap", "value", "difference", "ci_low", "ci_high", "folds"]


def differences(table, versus: str = "global"):
    """Each fit minus the curve of `versus` where that keeps as many neighbours, fold by fold.

    table: DataFrame of `COLUMNS`, of one encoder; the rows of `versus` with variation "curve" are the curve. Returns a DataFrame
    of `DIFFERENCES`, one row per fit and measure: means over folds, and the t interval (95 %) of the difference. In each fold
    the curve is interpolated linearly in the 10-NN overlap between its fits. A straight line lies below a curve that bends
    downwards, which favours the other fits slightly; `versus` at a chosen setting shows by how much. Where a fit keeps fewer or
    more neighbours than any on the curve, the difference is not defined (nan).
    """
    rows = []
    for _, part in table.groupby("fold", sort=False):
        on_curve = (part["objective"] == versus) & (part["variation"] == CURVE)
        curve = part[on_curve].pivot(index="lam", columns="measure", values="value").sort_values(OVERLAP)
        for key, fit in part[~on_curve].groupby(SETTING, sort=False, dropna=False):
            value = fit.set_index("measure")["value"]
            rows += [dict(zip(SETTING, key, strict=True)) | row for row in _of_fit(value, curve)]
    keys = [*SETTING, "measure"]
    return pd.DataFrame(
        [dict(zip(keys, key, strict=True)) | _over_folds(part)
         for key, part in pd.DataFrame(rows).groupby(keys, sort=False, dropna=False)], columns=DIFFERENCES)  # fmt: skip


def _of_fit(value, curve):
    """One row per measure of a fit in one fold. value: by measure; curve: fits x measures, sorted by overlap."""
    for measure in (name for name in value.index if name != OVERLAP):
        level = np.interp(value[OVERLAP], curve[OVERLAP], curve[measure], left=np.nan, right=np.nan)
        yield dict(measure=measure, overlap=value[OVERLAP], value=value[measure], difference=value[measure] - level)


def _over_folds(part) -> dict:
    inside = part["difference"].notna().all()  # in every fold the curve reaches this overlap
    difference, low, high = t_interval(part["difference"]) if inside else (float("nan"),) * 3
    means = part[["overlap", "value"]].mean().to_dict()
    return means | dict(difference=difference, ci_low=low, ci_high=high, folds=len(part))


def over_folds(table):
    """Mean and t interval (95 %) over folds of every fit and measure: columns mean, ci_low, ci_high. table: `COLUMNS`."""
    keys = [*SETTING, "measure"]
    rows = [
        dict(zip(keys, key, strict=True)) | dict(zip(("mean", "ci_low", "ci_high"), t_interval(part["value"]), strict=True))
        for key, part in table.groupby(keys, sort=False, dropna=False)
    ]
    return pd.DataFrame(rows)


def in_words(differences, measure: str) -> str:
    """Where gLocal's curves part from the other objective's in one measure, in a sentence with numbers.

    differences: of `differences`; at how many settings the interval excludes 0, at which overlaps, and the extremes in points.
    """
    rows = differences[(differences["measure"] == measure) & (differences["variation"] == CURVE)].dropna(subset="difference")
    parts = []
    for name, part in zip(("above", "below"), (rows[rows["ci_low"] > 0], rows[rows["ci_high"] < 0]), strict=True):
        kept = f" (overlap {part['overlap'].min():.2f} to {part['overlap'].max():.2f})" if len(part) else ""
        parts.append(f"{name} at {len(part)}{kept}")
    ends = [_extreme(rows.loc[rows["difference"].agg(end)]) for end in ("idxmax", "idxmin")] if len(rows) else []
    return f"{measure.replace('_', '-')}: of {len(rows)} settings {' and '.join(parts)}{''.join(f'; {end}' for end in ends)}"


def _extreme(row) -> str:
    numbers = 100 * row[["difference", "ci_low", "ci_high"]].astype(float)
    interval = "{:+.1f} [{:+.1f}, {:+.1f}] points".format(*numbers)
    return f"{interval} at lam {row['lam']:g}, alpha {row['alpha']:g}, tau {row['tau']:g} (overlap {row['overlap']:.2f})"
