"""The table at the top of docs/explanation/results.md: what holds, as lines of Markdown, from the committed tables."""

import pandas as pd
from study_tables import TABLES, markdown, points, read

from glocal.reporting.encoders import COMMON, FEW_SHOT

ACCURACY, SHOT = "odd-one-out accuracy", "5-shot, logistic regression"
TO_HUMAN = ("to_human", "to_human_low", "to_human_high")


def summary() -> list[str]:
    """One row a question: the numbers that answer it, and yes, no, or not shown where an interval contains 0."""
    people = read("human_differences").query("dataset == 'held-out objects (object)' and metric == @ACCURACY")
    people = people.query("transform == 'glocal'").set_index("versus")
    kept = read("alignment").query("chosen").groupby("objective")["neighbour_overlap"].mean()
    few = read("few_shot_gains").query("classifier == 'logistic regression' and shots == 5 and task != 'entity13-per-class'")
    shift = read("anomaly_summary").query("mode == 'shift'").rename(columns={"dataset": "task"})
    curve = read("trade_off_differences").query("objective == 'glocal' and variation == 'curve' and measure == 'odd_one_out'")
    answers = read("controls").query("transform == 'glocal' and answers == 'text'").fillna({"task": ""})
    answers = answers.set_index(["measure", "task"])
    rows = [
        ["Does gLocal agree better with people, on held-out objects?", *_gain(people.loc["original"])],
        ["Does it keep more neighbours than naive?", "{:.1f} % and {:.1f} %".format(*100 * kept[["glocal", "naive"]]),
         _answer(kept["glocal"] > kept["naive"], kept["glocal"] < kept["naive"])],
        ["Does it help at few shots?", *_gain(_of_encoder("clip-b32", FEW_SHOT))],
        ["... more than centring or whitening, which need no judgments?", *_counted(_above_baselines(few), "tasks")],
        ["Does it help to detect anomalies (shift)?", *_gain(_of_encoder("clip-b32", "shift AUROC"))],
        ["... more than centring or whitening?", *_counted(_above_baselines(shift), "tasks")],
        ["Does it agree better with people than global, which has no local loss?", *_gain(people.loc["global"])],
        ["... where both keep as many neighbours?", *_counted(curve.dropna(subset="difference"), "settings")],
        ["Does the agreement need people's answers? (a text model's answers, less people's)",
         *_needed(answers, [(ACCURACY, "")])],
        ["Do few-shot gains on BREEDS need them? (entity13; entity30)",
         *_needed(answers, [(SHOT, "entity13"), (SHOT, "entity30")])],
        ["Does it help at few shots on a network trained on ImageNet's labels (EfficientNet-Lite0)?",
         *_gain(_of_encoder("efficientnet-lite0", FEW_SHOT))],
    ]  # fmt: skip
    return markdown(["Question (CLIP ViT-B/32)", "Numbers", "Answer"], rows)


def _answer(yes, no) -> str:
    return "**yes**" if yes and not no else "**no**" if no and not yes else "not shown"


def _gain(row) -> tuple[str, str]:
    return f"{points(row)} points", _answer(row["ci_low"] > 0, row["ci_high"] < 0)


def _counted(rows, of: str) -> tuple[str, str]:
    """On how many rows the interval lies above 0, and below."""
    above, below = (rows["ci_low"] > 0).sum(), (rows["ci_high"] < 0).sum()
    return f"better on {above}, worse on {below} of {len(rows)} {of}", _answer(above > below, below > above)


def _needed(answers, keys) -> tuple[str, str]:
    """What other answers than people's give, less what people's give."""
    rows = [answers.loc[key] for key in keys]
    return f"{'; '.join(points(row, TO_HUMAN) for row in rows)} points", _answer(all(r["to_human_high"] < 0 for r in rows), False)


def _of_encoder(encoder: str, measure: str):
    """gLocal's gain, the mean over the tasks that all encoders have."""
    rows = pd.read_csv(TABLES.parents[1] / "encoders.csv")
    asked = rows.query("encoder == @encoder and transform == 'glocal' and measure == @measure")
    return asked[asked["task"] == COMMON].iloc[0]


def _above_baselines(rows):
    """gLocal less the better one of centred and whitened, in its favour: a row a task."""
    others = rows.query("versus == 'original' and transform in ['centred', 'whitened']").sort_values("difference")
    best = others.groupby("task")["transform"].last()
    return rows[(rows["transform"] == "glocal") & (rows["versus"] == rows["task"].map(best))]
