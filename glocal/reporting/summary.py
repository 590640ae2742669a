"""What a run shows in a minute: the headline with its intervals, on how many tasks each map gains or loses, and the verdict."""

import html
from pathlib import Path

from glocal.evaluation.frames import ACCURACY, to_original
from glocal.reporting import style, tables

KEYS = ["measure", "task", "split", "transform"]


def headline(folder, encoder: str | None = None):
    """The headline table of an encoder, with the paired differences to the original features.

    folder: with the tables of a run; the steps that it lacks have no rows, or no intervals. encoder: default the first one with
    all steps, as for `tables.headline`. A DataFrame: measure, task, split, transform, mean, sd, difference, ci_low, ci_high (95
    %; nan where the tables have none).
    """
    import pandas as pd

    table = tables.headline(folder, encoder=encoder)
    encoder = encoder or tables.first_encoder(folder)
    known = [rows[rows["encoder"] == encoder] for name in _DIFFERENCES if len(rows := _differences(folder, name))]
    if not known:
        return table.assign(difference=float("nan"), ci_low=float("nan"), ci_high=float("nan"))
    known = pd.concat(known)[[*KEYS, "difference", "ci_low", "ci_high"]]
    return table.merge(known, how="left", on=KEYS)


def _differences(folder, name: str):
    """A table of paired differences with the columns of a headline, without rows where the run has not made it."""
    path = Path(folder) / f"{name}.csv"
    return _DIFFERENCES[name](to_original(tables.read(path))) if path.exists() else ()


def _human(table):
    rows = table[(table["metric"] == ACCURACY) & table["dataset"].str.startswith("held-out")]
    split = rows["dataset"].str.extract(r"\((.+)\)")[0]
    return rows.assign(measure="odd-one-out accuracy, held out", task="", split=split)


def _few_shot(table):
    rows = table[table["classifier"] == "logistic regression"]
    return rows.assign(measure=rows["shots"].map("{}-shot accuracy".format))


def _anomaly(table):
    rows = table[table["transform"] != "original"]
    return rows.assign(measure="anomaly AUROC, " + rows["mode"], task=rows["dataset"])


_DIFFERENCES = {"human_differences": _human, "few_shot_gains": _few_shot, "anomaly_summary": _anomaly}


def sign(row) -> int:
    """1: better than the original features, -1: worse, 0: not to be told from them."""
    return int(row["ci_low"] > 0) - int(row["ci_high"] < 0)


def scores(table):
    """On how many tasks each map is better, worse, or not to be told from the original features.

    table: `headline`. Returns a DataFrame with a row for each kind of task and a column for each transform: "5▲ 3○".
    """
    rows = table.dropna(subset=["difference"])
    kind = rows["measure"].str.replace(r"^\d+-shot", "few-shot", regex=True)
    rows = rows.assign(sign=rows.apply(sign, axis=1) if len(rows) else 0, measure=kind)
    counts = rows.groupby(["measure", "transform"], sort=False)["sign"].agg(_counts).unstack(sort=False)
    return counts.reindex(columns=[t for t in style.NAMES if t in counts]).fillna("")


def _counts(signs) -> str:
    return " ".join(f"{(signs == s).sum()}{mark}" for s, mark in ((1, "▲"), (-1, "▼"), (0, "○")) if (signs == s).any())


def verdict(differences, transforms=("glocal", "global")) -> str:
    """In words, which of `transforms` is above the original features and above centring, on held-out objects."""
    rows = differences[differences["metric"] == ACCURACY].set_index(["transform", "versus"])
    compared = {t: [v for v in ("original", "centred", "global") if (t, v) in rows.index] for t in transforms}
    helped = [
        t for t, versus in compared.items() if versus and all(rows.loc[(t, v), "ci_low"] > 0 for v in versus if v != "global")
    ]
    start = "Alignment did not show that it helps." if not helped else "Alignment helped."
    if helped and transforms[0] not in helped:
        start = f"Alignment helped with {' and '.join(style.NAMES[t] for t in helped)}, not with {style.NAMES[transforms[0]]}."
    fell = [style.NAMES[t] for t, vs in compared.items() if "original" in vs and rows.loc[(t, "original"), "difference"] < 0]
    if fell:
        start = f"Warning: with {' and '.join(fell)} the held-out accuracy falls. {start}"
    parts = [f"{style.NAMES[t]} is {'; '.join(_compared(rows.loc[(t, v)], v) for v in vs)}." for t, vs in compared.items() if vs]
    return " ".join([start, "On objects that the fit has not seen,", *parts])


def banner(differences) -> str:
    """The verdict as HTML: green where it helped, red where the held-out accuracy falls, else orange."""
    words = verdict(differences)
    colour = "#009E73" if words.startswith("Alignment helped") else "#D55E00" if words.startswith("Warning") else "#E69F00"
    look = f"font-size: 1.2em; border-left: 4px solid {colour}; padding-left: 1em"
    return f'<p class="verdict" style="{look}">{html.escape(words)}</p>'


def verdict_of(folder, encoder: str) -> str:
    """`verdict` of an encoder of a run, on its first split; empty where the run has no differences."""
    path = Path(folder) / "human_differences.csv"
    if not path.exists():
        return ""
    rows = tables.read(path).query("encoder == @encoder and dataset.str.startswith('held-out')")
    rows = rows[rows["dataset"] == rows["dataset"].iloc[0]] if len(rows) else rows
    return verdict(rows) if len(rows) else ""


def _compared(row, versus: str) -> str:
    words = ("not to be told from", "better than", "worse than")[sign(row)]
    interval = points(*row[["difference", "ci_low", "ci_high"]], words="{:+.1f} points [{:+.1f}, {:+.1f}]")
    return f"{words} {style.NAMES[versus]} ({interval})"


def points(value, low, high, *, words="{:+.1f} [{:+.1f}, {:+.1f}]") -> str:
    """A fraction and its interval, in points."""
    return words.format(*(round(100 * v, 1) + 0.0 for v in (value, low, high)))  # + 0.0: no "-0.0"
