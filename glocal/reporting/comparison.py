"""The page beside the paper: a row for every number that is known of it, with ours, the difference, and why.

data/paper_numbers.csv has the numbers and where each is from (in %): `paper`, its text; `notebook`, the authors' notebook of
April 2023 (preliminary, 4 shots). data/paper_differences.csv says why ours differ, in a few words and in a note; an empty field
stands for all, `encoder` for the names that begin so, and of several rows that fit the last counts.
"""

from pathlib import Path

from glocal.reporting.style import NAMES
from glocal.reporting.tables import read
from glocal.system.paths import shipped

FIELDS = ["measure", "task", "model"]


def numbers():
    """data/paper_numbers.csv as a DataFrame: measure, task, shots, transform, source, model, before, after (in %)."""
    return _data("paper_numbers").fillna({"task": "", "transform": "", "model": "", "shots": 0})


def reasons():
    """data/paper_differences.csv as a DataFrame: encoder, measure, task, model, why, note."""
    return _data("paper_differences").fillna("")


def reason(known, row, encoder: str) -> tuple[str, str]:
    """(why, note) of a row of `numbers` for our `encoder`; known: `reasons`."""
    known = [r for r in known.itertuples() if encoder.startswith(r.encoder)]
    fits = [r for r in known if all(getattr(r, field) in ("", getattr(row, field)) for field in FIELDS)]
    return (fits[-1].why, fits[-1].note) if fits else ("", "")


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
    """The page as Markdown, from the tables in `folder`; the numbers whose experiment they lack are named at the end."""
    ours, known, lines, notes, missing = here(folder, encoder), reasons(), [], [], []
    for row in numbers().itertuples():
        label = f"{int(row.shots)}-shot {row.task}" if row.shots else f"{row.measure} {row.task}".strip()
        key = (row.measure, row.task, row.shots, row.transform)
        if key not in ours:
            missing.append(label)
            continue
        before, after = ours.get((*key[:3], "original")) if row.before == row.before else None, ours[key]
        theirs, mine = (row.before, row.after) if before else (None, row.after), (before, after)
        why, note = reason(known, row, encoder)
        if note and note not in notes:
            notes.append(note)
        mark = f"[^{notes.index(note) + 1}]" if note else ""
        name = f"{row.model} ({row.source})" if row.model else row.source
        lines.append([f"{label}, {NAMES[row.transform]}" if row.transform else label, name, _cell(*theirs), _cell(*mine),
                      f"{round(_gain(*mine) - _gain(*theirs), 1) + 0.0:+.1f}", why + mark])  # fmt: skip
    head = ["", "whose", "theirs", "here", "difference", "why"]
    table = "\n".join("| " + " | ".join(cells) + " |" for cells in [head, ["---"] * len(head), *lines])
    foot = "\n".join(f"[^{i}]: {note}." for i, note in enumerate(notes, 1))
    absent = f"Not in this run: {', '.join(dict.fromkeys(missing))}."
    return (
        "\n\n".join(filter(None, [f"# {encoder} beside the paper", INTRODUCTION, table, absent if missing else "", foot])) + "\n"
    )


INTRODUCTION = """In %, before → after the transform, with the gain. Difference: our gain less theirs, in points, since between
models only gains compare; where they give one value, our value less theirs. notebook: the authors', of April 2023."""


def _cell(before, after) -> str:
    return f"{before:.1f} → {after:.1f} ({after - before:+.1f})" if before else f"{after:.1f}"


def _gain(before, after) -> float:
    return after - (before or 0)
