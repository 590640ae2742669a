"""The page "paper / authors' notebook / here": every number that is known of the paper, beside ours, with the difference.

data/paper_numbers.csv has the numbers and where each is from (in %): `paper`, its text; `notebook`, the authors' notebook of
April 2023 (preliminary, 4 shots).
data/paper_differences.csv says why ours differ, where they do.
"""

from pathlib import Path

from glocal.reporting.style import NAMES
from glocal.reporting.tables import read
from glocal.system.paths import shipped

SOURCES = {"paper": "paper", "notebook": "authors' notebook"}
IMAGENET = ("AlexNet", "VGG-16")  # trained on ImageNet's labels: another family than ours, which gLocal does not help


def numbers():
    """data/paper_numbers.csv as a DataFrame: measure, task, shots, transform, source, model, before, after (in %)."""
    return _data("paper_numbers").fillna({"task": "", "transform": "", "model": "", "shots": 0})


def reasons() -> dict:
    """{(measure, task): why ours differs}; task "" stands for all of a measure."""
    return {(r.measure, r.task): r.why for r in _data("paper_differences").fillna({"task": ""}).itertuples()}


def _data(name):
    import pandas as pd

    return pd.read_csv(shipped(f"data/{name}.csv"))


def here(folder, encoder: str) -> dict:
    """(measure, task, shots, transform) -> our value in %, from the tables in `folder`; "original" among the transforms."""
    a, h, f, d = (read(Path(folder) / f"{n}.csv") for n in ("alignment", "human", "few_shot", "anomaly_summary"))
    f = f[(f["encoder"] == encoder) & (f["classifier"] == "logistic regression")]
    ours = {("few-shot", *key): v for key, v in f.groupby(["task", "shots", "transform"])["accuracy"].mean().items()}
    d = d[d["encoder"] == encoder]
    ours |= {(f"{r.mode} AUROC", r.dataset, 0, r.transform): r.auroc for r in d.itertuples()}
    a = a[(a["encoder"] == encoder) & a["chosen"]]
    ours |= {("odd-one-out", "", 0, t): v for t, v in a.groupby("objective")["odd_one_out"].mean().items()}
    zero = h[(h["encoder"] == encoder) & (h["dataset"] == "all triplets") & (h["transform"] == "original")]
    ours[("odd-one-out", "", 0, "original")] = zero["value"].iloc[0]
    ours[("noise ceiling", "", 0, "")] = h["ceiling"].max()
    return {key: 100 * value for key, value in ours.items()}


def page(folder, encoder: str) -> str:
    """The page as Markdown, from the tables in `folder`; what they lack is named at the end."""
    ours, why, lines, missing = here(folder, encoder), reasons(), [], []
    for key, known in numbers().groupby(["measure", "task", "shots", "transform"], sort=False):
        measure, task, shots, transform = key
        label = f"{int(shots)}-shot {task}" if shots else f"{measure} {task}".strip()
        if key not in ours:
            missing.append(label)
            continue
        before, after = ours.get((measure, task, shots, "original")), ours[key]
        cells = [" · ".join(_cell(r) for r in known[known["source"] == s].itertuples()) for s in SOURCES]
        mine = f"{before:.1f} → {after:.1f}" if transform and before else f"{after:.2f}"
        reason = why.get((measure, task), why.get((measure, ""), ""))
        lines.append([label, NAMES.get(transform, ""), *cells, mine, _difference(known, before, after), reason])
    head = ["", "transform", *SOURCES.values(), "here", "difference", "why"]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *lines])
    absent = "Not at hand here (the images and their features are not public): " + ", ".join(dict.fromkeys(missing))
    return f"# {encoder} beside the paper\n\n{INTRODUCTION}\n\n{table}\n\n{absent}.\n"


INTRODUCTION = """In %, before → after the transform. Values of other models than ours have their names; what compares across
models is the gain. `difference`: our gain less theirs (the mean over their image/text models), in points; where a source has
the value alone, or the same model as ours, our value less theirs. Made by `python -m glocal replication` from the tables."""


def _cell(row) -> str:
    value = f"{row.before:g} → {row.after:g}" if row.before == row.before else f"{row.after:g}"
    return f"{value} ({row.model})" if row.model else value


def _difference(known, before, after) -> str:
    """Ours less theirs, by source: gains where there is a before, of the same model also the values."""
    parts = []
    for _, rows in known[~known["model"].isin(IMAGENET)].groupby("source", sort=False):
        if rows["before"].notna().all():
            parts.append(f"gain {after - before - (rows['after'] - rows['before']).mean():+.1f}")
        else:
            parts.append(f"{after - rows['after'].mean():+.1f}")
    return ", ".join(parts)
