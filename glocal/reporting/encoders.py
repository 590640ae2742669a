"""The paper's central picture: what alignment gains, and what it costs or gains downstream, for the encoders of all profiles.

Read are the published tables of the profiles; nothing is measured here. A mean over tasks has an interval that takes tasks
which test on the same images (`evaluation.independence`) as entirely dependent, and others as independent.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from glocal.evaluation import few_shot_tables, independence
from glocal.evaluation.frames import ACCURACY, MOVED_MODES, first_split, to_original
from glocal.reporting.names import FAMILY
from glocal.reporting.tables import read

ALIGNMENT, FEW_SHOT = "odd-one-out accuracy, held-out objects", "few-shot accuracy"
AUROC = {f"{mode} AUROC": mode for mode in reversed(MOVED_MODES)}  # measure: mode, the shift first
ALL, COMMON = "mean of all tasks", "mean of common tasks"
NUMBERS = ["difference", "ci_low", "ci_high"]
COLUMNS = ["profile", "encoder", "family", "transform", "measure", "task", "shots", "tasks", *NUMBERS]


def table(profiles: dict):
    """What each transform adds to the original features of each encoder.

    profiles: {folder of a profile's published tables: its config}. A DataFrame, a row per encoder, transform, measure and task:
    profile, family, shots (few-shot), tasks (how many), difference, ci_low, ci_high, all as fractions of 1. The task `ALL` is
    the mean over the encoder's tasks, `COMMON` over those that every encoder with that measure has. An encoder without other
    images has alignment alone.
    """
    parts = [part for folder, config in profiles.items() for part in _parts(Path(folder), config)]
    rows = pd.concat(parts, ignore_index=True)
    downstream = rows[rows["measure"] != ALIGNMENT]
    shared = {measure: common(part) for measure, part in downstream.groupby("measure")}
    in_all = [row.task in shared[row.measure] for row in downstream.itertuples()]
    table = pd.concat([rows, *_means(downstream, ALL), *_means(downstream.loc[in_all], COMMON)], ignore_index=True)
    return table.assign(family=table["encoder"].map(FAMILY).fillna("other"))[COLUMNS]


def _parts(folder: Path, config: dict):
    """The rows of each kind of measurement of a profile, with the group of each task."""
    few_shot, gains = (read(folder / f"{name}.csv") for name in ("few_shot", "few_shot_gains"))
    people, anomaly = (to_original(read(folder / f"{name}.csv")) for name in ("human_differences", "anomaly_summary"))
    about = dict(profile=config["profile"], tasks=1)
    held_out = people[(people["metric"] == ACCURACY) & people["dataset"].str.startswith("held-out objects")]
    yield held_out[held_out["dataset"] == held_out["dataset"].iloc[0]].assign(measure=ALIGNMENT, task="", group="", **about)
    tasks = config["few_shot"]["tasks"]
    tasks = {task: spec for task, spec in tasks.items() if "per" not in spec} or tasks
    for encoder, rows in few_shot.groupby("encoder", sort=False):
        change = few_shot_tables.main(to_original(gains[gains["encoder"] == encoder]))
        yield _grouped(few_shot_tables.reported(rows, change), tasks).assign(measure=FEW_SHOT, **about)
    anomaly = first_split(anomaly[anomaly["transform"] != "original"]).rename(columns={"dataset": "task"})
    for measure, mode in AUROC.items():
        sets = {name: spec for name, spec in config["anomaly"]["sets"].items() if mode in spec["modes"]}
        yield _grouped(anomaly[anomaly["mode"] == mode], sets).assign(measure=measure, **about)


def _grouped(rows, specs: dict):
    """The rows of the tasks that are in the config, with their groups."""
    rows = rows[rows["task"].isin(specs)]
    return rows.assign(group=rows["task"].map(independence.groups(specs)))


def common(rows) -> list[str]:
    """The tasks that all encoders have. rows: of one measure of `table`."""
    tasks = rows[~rows["task"].isin([ALL, COMMON])].groupby(["profile", "encoder"])["task"].agg(set)
    return sorted(set.intersection(*tasks)) if len(tasks) else []


def _means(rows, name: str):
    """The means over tasks of each encoder and transform, as tables of one row, the task `name`."""
    keys = ["profile", "encoder", "transform", "measure"]
    for key, part in rows.groupby(keys, sort=False):
        numbers = dict(zip([*keys, *NUMBERS], [*key, *mean_gain(part, part["group"])], strict=True))
        yield pd.DataFrame([numbers | dict(task=name, tasks=len(part))])


def mean_gain(rows, group) -> tuple[float, float, float]:
    """Mean of the differences of tasks, and the ends of its interval.

    rows: DataFrame, one a task: difference, ci_low, ci_high; group: Series, the group of each. How far the ends are from the
    mean adds up within a group, whose tasks test on the same images, and adds up in squares over groups.
    """
    mean = rows["difference"].mean()
    reach = [np.linalg.norm((rows[end] - rows["difference"]).groupby(group).sum()) for end in NUMBERS[1:]]
    return float(mean), float(mean - reach[0] / len(rows)), float(mean + reach[1] / len(rows))
