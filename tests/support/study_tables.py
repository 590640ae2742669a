"""Tables of docs/explanation/results.md about the studies of CLIP ViT-B/32, in Markdown, from figures/clip-b32/tables."""

from pathlib import Path

import pandas as pd

TABLES = Path(__file__).resolve().parents[2] / "figures" / "clip-b32" / "tables"
NAMES = {"original": "original", "centred": "centred", "naive": "naive", "global": "global", "glocal": "gLocal"}
ANSWERS = {"human": "people", "spose-66": "SPoSE-66", "text": "a text model of the names", "itself": "the encoder itself",
           "shuffled": "shuffled", "adversarial": "adversarial"}  # fmt: skip


def read(name: str):
    rows = pd.read_csv(TABLES / f"{name}.csv")
    return rows[rows["encoder"] == "clip-b32"]


def markdown(head: list[str], rows) -> list[str]:
    return ["| " + " | ".join(head) + " |", "| --- " * len(head) + "|", *("| " + " | ".join(row) + " |" for row in rows)]


def points(row, columns=("difference", "ci_low", "ci_high"), digits: int = 1) -> str:
    numbers = [100 * row[c] for c in columns]
    if any(n != n for n in numbers):
        return f"{numbers[0]:+.{digits}f}" if numbers[0] == numbers[0] else ""
    return "{0:+.{3}f} [{1:+.{3}f}, {2:+.{3}f}]".format(*numbers, digits)


def trade_off() -> list[str]:
    """gLocal minus global's curve at equal overlap: a row a setting."""
    rows = read("trade_off_differences").query("objective == 'glocal' and variation == 'curve'")
    wide = rows.set_index(["alpha", "tau", "lam", "measure"]).sort_index()
    measures = [m for m in rows["measure"].unique() if m == "odd_one_out" or ("mean of tasks" in m and "logistic" in m)]
    shift = [m for m in rows["measure"].unique() if "shift" in m or "AUROC" in m][:1]
    head = [
        "alpha",
        "tau",
        "lam",
        "10-NN overlap",
        "odd-one-out",
        "5-shot, mean of entity13 and entity30",
        *(["shift AUROC"] * len(shift)),
    ]
    lines = []
    for alpha, tau, lam in rows[["alpha", "tau", "lam"]].drop_duplicates().itertuples(index=False):
        cells = [wide.loc[alpha, tau, lam, m] for m in [*measures, *shift]]
        lines.append([f"{alpha:g}", f"{tau:g}", f"{lam:g}", f"{100 * cells[0]['overlap']:.1f}", *(points(c) for c in cells)])
    return markdown(head, lines)


def _measures(rows) -> list:
    """The measures of a study: agreement with people, THINGS-48, then one column a task and classifier."""
    return list(rows[["measure", "task"]].fillna("").drop_duplicates().itertuples(index=False, name=None))


def _heads(measures) -> list[str]:
    return [measure + (f", {task}" if task else "") for measure, task in measures]


def _cells(rows, measures, columns=("difference", "diff_low", "diff_high")) -> list[str]:
    found = rows.fillna({"task": ""}).set_index(["measure", "task"])
    return [points(found.loc[key], columns) for key in measures]


def data_efficiency() -> list[str]:
    """What shares of the judgments add to the original features."""
    rows = read("data_efficiency")
    parts = rows[rows["part"] == "share of triplets"]
    measures = _measures(parts)
    lines = [["", "centred, no judgments", *_cells(rows[rows["transform"] == "centred"], measures)]]
    for (transform, share), part in parts.groupby(["transform", "share"], sort=False):
        lines.append([f"{part['triplets'].iloc[0]:,.0f} ({100 * share:g} %)", NAMES[transform], *_cells(part, measures)])
    return markdown(["triplets", "map", *_heads(measures)], lines)


def controls() -> list[str]:
    """What a fit to each kind of answers adds to the original features, and what the answers have in common with people's."""
    rows = read("controls")
    rows = rows[rows["answers"].notna()]
    measures = _measures(rows)
    lines = [
        [ANSWERS[answers], NAMES[transform], f"{100 * part['as_people'].iloc[0]:.1f}", *_cells(part, measures)]
        for (transform, answers), part in rows.groupby(["transform", "answers"], sort=False)
    ]
    return markdown(["answers of", "map", "as people, %", *_heads(measures)], lines)


def uncertainty() -> list[str]:
    """Probabilities of choices beside the spread of people's answers to the repeated triplets."""
    rows = pd.read_csv(TABLES / "human_calibration.csv").query("dataset == 'all objects'")
    lines = []
    for (encoder, metric), part in rows.groupby(["encoder", "metric"], sort=False):
        values = part.set_index("transform")["value"]
        lines.append([encoder, metric, *(f"{values[t]:.3f}" for t in NAMES), f"{part['bound'].min():.3f}"])
    return markdown(["encoder", "", *NAMES.values(), "best possible"], lines)


def words() -> list[str]:
    """Word-to-image retrieval, R@5."""
    rows = read("text_retrieval").query("metric == 'R@5'").set_index(["sides", "transform"])
    sides = dict.fromkeys(rows.index.get_level_values("sides"))
    named = {"images": "images only", "both": "both sides", "both, centred": "both, each side's own mean subtracted"}
    lines = [[named[s], *(f"{100 * rows.loc[(s, t), 'value']:.1f}" for t in NAMES)] for s in sides]
    return markdown(["map on", *NAMES.values()], lines)


def nested() -> list[str]:
    """The choice on inner folds beside the one that shares its folds with the report."""
    rows = read("alignment_nested")
    lines = []
    for objective, part in rows.groupby("objective", sort=False):
        shared, inner = (100 * part[c].mean() for c in ("odd_one_out_not_nested", "odd_one_out"))
        same = f"{int(part['same_setting'].sum())} of {len(part)}"
        lines.append([NAMES[objective], f"{shared:.2f}", f"{inner:.2f}", f"{inner - shared:+.2f}", same])
    return markdown(["", "chosen on all folds", "chosen on inner folds", "difference", "same setting"], lines)


STUDIES = {
    "Chosen on inner folds": nested,
    "gLocal minus global": trade_off,
    "Shares of the judgments": data_efficiency,
    "Other answers": controls,
    "Spread of answers": uncertainty,
    "Words and images": words,
}
