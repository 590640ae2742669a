"""Few-shot classification (paper, section 4.2): a classifier on a few labelled images per class.

    tables = few_shot.evaluate(experiment)      # {name: DataFrame}

A task has a pool to draw from and optionally a test set; without one, the images that were not drawn are the test set.
Each repetition of each fold, task and transform is one call of `repetition`, on one core, and its result is cached.
`few_shot_tables` computes the tables from the repetitions.
"""

import numpy as np

from glocal.evaluation import few_shot_tables
from glocal.evaluation.classifiers import LOGISTIC
from glocal.evaluation.frames import with_split
from glocal.evaluation.repetition import repetition
from glocal.evaluation.shots import draw, task_shots, usable_shots
from glocal.system.parallel import parallel
from glocal.transform import aligners

TABLES = ("few_shot", "few_shot_gains", "few_shot_tests", "few_shot_classes", "few_shot_changes")  # written to results/


def evaluate(experiment) -> dict:
    """Classify from a few images per class under every transform, on all tasks of the config (paper, section 4.2).

    Parameters
    ----------
    experiment : workflow.experiment.Experiment
        The profile and the encoder.

    Returns
    -------
    dict
        {name: DataFrame}. few_shot: one row per repetition (accuracy in 0 to 1); few_shot_gains: differences to the original
        with intervals; few_shot_tests: tests over tasks; few_shot_classes: correct answers by class, at the number of shots
        at which each task is reported; few_shot_changes: change of accuracy by class for the featured transform.

    Raises
    ------
    GlocalError
        For a missing label or image set, and a pool that is too small.
    """
    settings = experiment.config["few_shot"]
    records = repetitions(experiment)
    own = {task: spec for task, spec in settings["tasks"].items() if "per" not in spec} or settings["tasks"]
    tables = dict(
        few_shot=records[few_shot_tables.COLUMNS],
        few_shot_gains=few_shot_tables.gains(records, settings["balanced"], experiment.seed),
        few_shot_tests=few_shot_tables.tests(records, own),
        few_shot_classes=few_shot_tables.classes(records),
        few_shot_changes=few_shot_tables.changes(records, experiment.featured),
    )
    return tables | {name: table.assign(encoder=experiment.encoder) for name, table in tables.items() if name != "few_shot"}


def repetitions(experiment):
    """The records of `repetition` for all folds, tasks and transforms, a DataFrame.

    Added columns: encoder, task, transform, fold, split, and names, (K,) the classes of the counts in `correct`.
    """
    import pandas as pd
    from tqdm import tqdm

    settings, cached, about = experiment.config["few_shot"], experiment.cached(repetition), []

    def calls():  # made as they are needed: of large sets, the features of all tasks together do not fit into memory
        for description, args, kwargs in _work(experiment):
            about.append(description)
            yield cached, args, kwargs

    jobs = len(experiment.downstream_folds) * len(settings["tasks"]) * (1 + len(transforms(experiment)))
    total = jobs * settings["repetitions"]
    results = tqdm(parallel(calls(), experiment.threads), total=total, desc=f"few-shot {experiment.encoder}")
    return with_split(pd.DataFrame([about[i] | row for i, records in enumerate(results) for row in records]))


def accuracies(experiment, task: str, align, fold: str, *, shots: int, draws, classifiers) -> dict[str, float]:
    """{classifier: mean accuracy} of one task under one map, at one number of shots.

    align: function from raw features (k, p) to aligned ones; draws: numbers of the repetitions, so that equal ones draw the
    same images. Raises GlocalError as `evaluate`.
    """
    args, own = _aligned(_data(experiment, fold, task), align)
    kwargs = _kwargs(experiment) | own | dict(shots=[shots], classifiers=classifiers)
    records = [record for number in draws for record in repetition(*args, number=number, **kwargs)]  # faster than a cache's key
    return {c: float(np.mean([r["accuracy"] for r in records if r["classifier"] == c])) for c in classifiers}


def transforms(experiment) -> list[str]:
    """The transforms that are evaluated beside the original: those of the config's `few_shot.transforms` that are fitted.

    Default: all but `rotated`, under which every classifier here answers as under the original.
    """
    wanted = experiment.config["few_shot"].get("transforms", [name for name in experiment.transforms if name != "rotated"])
    return [name for name in wanted if name in experiment.transforms]


def records(experiment, task: str, align, fold: str, *, shots: int, draws, classifiers) -> list[dict]:
    """The records of `repetition` for one task under one map, at one number of shots; not cached.

    align: function from raw features (k, p) to aligned ones; draws: numbers of the repetitions, so that equal ones draw the
    same images. Raises GlocalError as `evaluate`.
    """
    args, own = _aligned(_data(experiment, fold, task), align)
    kwargs = _kwargs(experiment) | own | dict(at=[shots], classifiers=classifiers)
    return [record for number in draws for record in repetition(*args, number=number, **kwargs)]


def _work(experiment):
    """(description, args, kwargs) of every call of `repetition`."""
    settings, kwargs, names = experiment.config["few_shot"], _kwargs(experiment), transforms(experiment)
    at = _reported_shots(experiment)
    for fold in experiment.downstream_folds:
        paths = {name: path for name, path in experiment.transform_paths(fold).items() if name in names}
        aligned = aligners(paths, settings.get("unit_norm", True))
        for task in settings["tasks"]:
            data, drawn = _drawn(_data(experiment, fold, task), settings["repetitions"], experiment.seed)
            about = dict(encoder=experiment.encoder, task=task, fold=fold, names=np.unique(data["labels"]))
            for transform, align in aligned.items():
                args, own = _aligned(data, align)
                for number in range(settings["repetitions"]):
                    trial = dict(number=number, drawn=drawn[number])
                    if number >= settings.get("curve_repetitions", settings["repetitions"]):
                        trial["at"] = [at[task]]
                    yield about | dict(transform=transform), args, kwargs | own | trial


def _reported_shots(experiment) -> dict[str, int]:
    """{task: the number of shots that it is reported at}, which has more draws than the others (`shots.task_shots`)."""
    import pandas as pd

    tasks, folds = experiment.config["few_shot"]["tasks"], experiment.downstream_folds
    usable = [(task, fold, n) for task in tasks for fold in folds for n in _data(experiment, fold, task)["shots"]]
    return task_shots(pd.DataFrame(usable, columns=["task", "fold", "shots"]))


def _kwargs(experiment) -> dict:
    """The keyword arguments of `repetition` that all calls share."""
    settings = experiment.config["few_shot"]
    return dict(
        values=settings["c"],
        folds=settings.get("folds", 5),
        classifiers=settings.get("classifiers", [LOGISTIC]),
        balanced=settings["balanced"],
        device=experiment.device,
        seed=experiment.seed,
    )


def _data(experiment, fold: str, task: str) -> dict:
    """A task's raw features and labels: pool, labels, test and test_labels (or None), per, text (or None), shots.

    Text has unit norm, transforms expect the norm of image features: here it has that of the pool.
    """
    settings = experiment.config["few_shot"]
    spec = settings["tasks"][task]
    pool, test = experiment.parts(spec, fold)
    labels = pool.rows[spec["label"]].to_numpy()
    per = pool.rows[spec["per"]].to_numpy() if "per" in spec else None
    where = f"profile {experiment.profile}, few_shot.tasks.{task}"
    text = experiment.text(spec, fold)
    return dict(
        pool=pool.x,
        labels=labels,
        test=test.x if test else None,
        test_labels=test.rows[spec["label"]].to_numpy() if test else None,
        per=per,
        text=None if text is None else text * np.linalg.norm(pool.x, axis=1).mean(),
        shots=usable_shots(labels if per is None else per, settings["shots"], int(test is None), where),
    )


def _drawn(data: dict, repetitions: int, seed: int) -> tuple[dict, list]:
    """`data` with the images of its pool that a repetition draws, a share of ImageNet's, and the rows that each one draws.

    Without a test set the other images of the pool are tested on: the whole pool, and None for each repetition.
    """
    if data["test"] is None:
        return data, [None] * repetitions
    groups, most = data["labels"] if data["per"] is None else data["per"], max(data["shots"])
    rows = [draw(groups, most, np.random.default_rng([seed, number])) for number in range(repetitions)]
    kept = np.unique(rows)
    of_pool = {name: data[name][kept] for name in ("pool", "labels", "per") if data[name] is not None}
    return data | of_pool, [np.searchsorted(kept, drawn) for drawn in rows]


def _aligned(data: dict, align) -> tuple[tuple, dict]:
    """args and kwargs of `repetition` under one transform."""
    pool, test, text = data["pool"], data["test"], data["text"]
    args = (align(pool), data["labels"], None if test is None else align(test), data["test_labels"])
    return args, dict(shots=data["shots"], per=data["per"], text=None if text is None else align(text))
