"""Tables computed from few-shot repetitions: differences and tests, classes, and the summaries that figures show.

`gains`, `tests`, `classes` and `changes` need the full records of `few_shot.repetitions`;
`linear`, `main`, `reported` and `by_shots` also accept the table few_shot.csv.
"""

from glocal.evaluation import baselines, statistics
from glocal.evaluation.classifiers import LOGISTIC
from glocal.evaluation.frames import first_split
from glocal.evaluation.shots import at_shots, task_shots

COLUMNS = ["encoder", "task", "shots", "repetition", "transform", "classifier", "accuracy", "fold", "c", "classes", "n_train",
           "n_test"]  # fmt: skip


def linear(table):
    """The rows of logistic regression."""
    return table[table["classifier"] == LOGISTIC]


def main(table):
    """The rows of logistic regression in the first split."""
    return first_split(linear(table))


def reported(table, rows=None):
    """The rows at each task's reported number of shots, determined from `table`, rows of few_shot.csv.

    rows: of any table with the columns task and shots; default `table` itself.
    """
    return at_shots(table if rows is None else rows, task_shots(linear(table)))


def gains(records, balanced: bool, seed: int = 42):
    """Differences of every transform to the original, and of aligned features to baselines and to each other.

    With intervals (`statistics.gains`); the column versus names what is subtracted.
    """
    import pandas as pd

    parts = [statistics.gains(rows, versus, balanced, seed) for versus, rows in baselines.comparisons(records).items()]
    return pd.concat(parts, ignore_index=True)


def tests(records, tasks: dict):
    """`statistics.over_tasks` of `tasks` {name: entry in the config} at each number of shots, by mean accuracy."""
    rows = main(records)
    return statistics.over_tasks(rows[rows["task"].isin(tasks)], "shots", "task", "accuracy", tasks)


def classes(records):
    """Correct answers by class at the reported number of shots, by fold, task and transform, summed over repetitions."""
    rows = linear(reported(records)).rename(columns={"names": "class"}).explode(["class", "correct", "images"])
    counts = rows.astype({"correct": int, "images": int}).groupby(["fold", "task", "transform", "class"], sort=False)
    return counts[["correct", "images"]].sum().reset_index()


def changes(records, transform: str):
    """Accuracy by class, `transform` minus the original: task, shots, class, mean, std over paired repetitions and folds."""
    rows = reported(records, main(records)).rename(columns={"names": "class"}).explode(["class", "correct", "images"])
    rows = rows.assign(share=rows["correct"].astype(float) / rows["images"].astype(float))
    keys = ["task", "shots", "class"]
    share = rows.pivot_table(index=[*keys, "fold", "repetition"], columns="transform", values="share")
    change = (share[transform] - share["original"]).groupby(level=keys).agg(["mean", "std"]).reset_index()
    place = {task: n for n, task in enumerate(rows["task"].unique())}  # tasks in the order of the config
    return change.sort_values("task", key=lambda task: task.map(place), kind="stable").assign(transform=transform)


def by_shots(table):
    """The rows that figures show: of logistic regression in the first split, with two more columns.

    chance: 1 / classes; reported: the number of shots that the task is reported at.
    """
    rows, which = main(table), task_shots(linear(table))
    return rows.assign(chance=1 / rows["classes"], reported=rows["task"].map(which))
