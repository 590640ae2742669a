"""Trying settings: the grid, what is measured on held-out objects, and the rule that picks one."""

from itertools import product

import numpy as np
import torch

from glocal import losses, structure, triplets
from glocal.transform import GLocalTransform

SETTINGS = ("lam", "alpha", "tau")


def grid(values: dict) -> list[dict]:
    """Every combination of {setting: [values]}, in order: [{"lam": .., "alpha": .., "tau": ..}, ...]."""
    named = {s: values[s] for s in SETTINGS if s in values}  # one order, whatever the order in the file
    return [dict(zip(named, point, strict=True)) for point in product(*named.values())]


def fit(objective: str, point: dict, x, table, context) -> GLocalTransform:
    """One transform: `point` has the settings and the solver's options. Made a function of its own so that it can be cached."""
    return GLocalTransform(objective, **point).fit(x, table, context=context)


def measure(x, z, table, held_out, y, mapped, kl_tau: float, tau: float | None = None, k: int = 10) -> dict:
    """What a transform does to what it never saw.

    x, z: (n, p) objects before and after, table: (m, 3) triplets among the held-out ones, held_out: (n,) bool;
    y, mapped: (q, p) held-out context images before and after. Odd-one-out by dot product, as in the paper.
    tau: the setting's own temperature, for `monitored`: triplet loss + local KL at tau, or the triplet loss alone.
    """
    z_, y_, mapped_ = (torch.as_tensor(np.asarray(a)).double() for a in (z, y, mapped))
    loss = losses.triplet_loss(z_, torch.as_tensor(table).long()).item()
    return dict(
        odd_one_out=triplets.accuracy(z, table),
        triplet_loss=loss,
        local_kl=max(losses.local_kl(y_, mapped_, kl_tau).item(), 0.0),
        neighbour_overlap=structure.neighbour_overlap(x[held_out], z[held_out], k),
        monitored=loss + (max(losses.local_kl(y_, mapped_, tau).item(), 0.0) if tau else 0.0),
    )


def choose(table, rule: str) -> dict:
    """objective -> its best setting {lam, alpha, tau}, by the mean over folds (table: rows of alignment.csv, a DataFrame).

    rule "triplet_loss + local_kl": the lowest `monitored`; "triplet_loss": the lowest held-out triplet loss, for all
    objectives. Ties go to the first setting of the grid.
    """
    column = "monitored" if rule == "triplet_loss + local_kl" else rule
    fitted = table[table["objective"] != "original"].fillna({"alpha": -1, "tau": -1})
    means = fitted.groupby(["objective", *SETTINGS], sort=False)[column].mean().reset_index()
    best = means.loc[means.groupby("objective", sort=False)[column].idxmin()]
    return {row["objective"]: {s: float(row[s]) for s in SETTINGS if row[s] >= 0} for _, row in best.iterrows()}


def is_chosen(table, best: dict) -> np.ndarray:
    """(rows,) bool: the rows of the chosen settings, and those of the original features."""
    return np.array([
        row["objective"] == "original" or all(row[name] == value for name, value in best[row["objective"]].items())
        for _, row in table.iterrows()
    ])  # fmt: skip
