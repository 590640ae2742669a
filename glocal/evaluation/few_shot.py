"""Few-shot classification (paper, section 4.2): a classifier on a few labelled images per class.

    tables = few_shot.evaluate(experiment)      # {name: DataFrame}

A task has a pool to draw from and optionally a test set; without one, the images that were not drawn are the test set.
Each repetition of each fold, task and transform is one call of `classify`, on one core, and its result is cached.
`few_shot_tables` computes the tables from the repetitions.
"""

import numpy as np
import pandas as pd
from tqdm import tqdm

from glocal.evaluation import few_shot_tables
from glocal.evaluation.classifiers import LOGISTIC
from glocal.evaluation.frames import with_split
from glocal.evaluation.repetition import classify, sample
from glocal.evaluation.shots import task_shots, usable_shots
from glocal.features.store import blocks
from glocal.system.parallel import parallel
from glocal.transform import aligners

TABLES = ("few_shot", "few_shot_gains", "few_shot_tests", "few_shot_classes", "few_shot_changes")  # written to results/


def evaluate(experiment) -> dict:
    """Classify from a few images per class under every transform, on all tasks of the config (paper, section 4.2).

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
    """The records of `classify` for all folds, tasks and transforms, a DataFrame.

    Added columns: encoder, task, transform, fold, split, and names, (K,) the classes of the counts in `correct`.
    """
    cached, abouts = experiment.cached(classify), []

    def calls():  # made when a process is free, so that the images of few are in memory
        for about, args, kwargs in _work(experiment):
            abouts.append(about)
            yield cached, args, kwargs

    settings = experiment.config["few_shot"]
    each = len(settings["tasks"]) * settings["repetitions"] * len(experiment.downstream_folds)
    results = parallel(calls(), experiment.threads)
    results = tqdm(results, total=each * (1 + len(transforms(experiment))), desc=f"few-shot {experiment.encoder}")
    return with_split(pd.DataFrame([abouts[i] | row for i, records in enumerate(results) for row in records]))


def transforms(experiment) -> list[str]:
    """The transforms that are evaluated beside the original: those of the config's `few_shot.transforms` that are fitted.

    Default: all but `rotated`, under which every classifier here answers as under the original.
    """
    wanted = experiment.config["few_shot"].get("transforms", [name for name in experiment.transforms if name != "rotated"])
    return [name for name in wanted if name in experiment.transforms]


def records(experiment, task: str, align, fold: str, *, shots: int, draws, classifiers) -> list[dict]:
    """The records of `classify` for one task under one map, at one number of shots; not cached.

    align: function from raw features (k, p) to aligned ones; draws: numbers of the repetitions, so that equal ones draw the
    same images. Raises GlocalError as `evaluate`.
    """
    work = _drawn(_data(experiment, fold, task, [shots]), align, draws, experiment.seed)
    kwargs = _kwargs(experiment) | dict(classifiers=classifiers)
    return [record for args, own in work for record in classify(*args, **kwargs | own)]


def _work(experiment):
    """(description, args, kwargs) of every call of `classify`."""
    settings, kwargs, names = experiment.config["few_shot"], _kwargs(experiment), transforms(experiment)
    at = _reported_shots(experiment)
    for fold in experiment.downstream_folds:
        paths = {name: path for name, path in experiment.transform_paths(fold).items() if name in names}
        aligned = aligners(paths, settings.get("unit_norm", True))
        for task in settings["tasks"]:
            data = _data(experiment, fold, task)
            about = dict(encoder=experiment.encoder, task=task, fold=fold, names=np.unique(data["labels"]))
            for transform, align in aligned.items():
                for args, own in _drawn(data, align, range(settings["repetitions"]), experiment.seed):
                    if own["number"] >= settings.get("curve_repetitions", settings["repetitions"]):
                        own["at"] = [at[task]]
                    yield about | dict(transform=transform), args, kwargs | own


def _reported_shots(experiment) -> dict[str, int]:
    """{task: the number of shots that it is reported at}, which has more draws than the others (`shots.task_shots`)."""
    tasks, folds = experiment.config["few_shot"]["tasks"], experiment.downstream_folds
    usable = [(task, fold, n) for task in tasks for fold in folds for n in _data(experiment, fold, task)["shots"]]
    return task_shots(pd.DataFrame(usable, columns=["task", "fold", "shots"]))


def _kwargs(experiment) -> dict:
    """The keyword arguments of `classify` that all calls share."""
    settings = experiment.config["few_shot"]
    return dict(
        values=settings["c"],
        folds=settings.get("folds", 5),
        classifiers=settings.get("classifiers", [LOGISTIC]),
        balanced=settings["balanced"],
        device=experiment.device,
        seed=experiment.seed,
    )


def _data(experiment, fold: str, task: str, shots=None) -> dict:
    """A task's raw features and labels: pool, labels, test and test_labels (or None), per, text (or None), and shots."""
    settings = experiment.config["few_shot"]
    spec = settings["tasks"][task]
    pool, test = experiment.parts(spec, fold)
    labels = pool.rows[spec["label"]].to_numpy()
    per = pool.rows[spec["per"]].to_numpy() if "per" in spec else None
    where = f"profile {experiment.profile}, few_shot.tasks.{task}"
    return dict(
        pool=pool.x,
        labels=labels,
        test=test.x if test else None,
        test_labels=test.rows[spec["label"]].to_numpy() if test else None,
        per=per,
        text=experiment.text(spec, fold),
        shots=usable_shots(labels if per is None else per, shots or settings["shots"], int(test is None), where),
    )


def _drawn(data: dict, align, numbers, seed: int):
    """(args, kwargs) of `classify` under one transform for the repetitions `numbers`.

    Of a pool with a test set only what is drawn is read and aligned: the pool may be larger than the memory. Text has unit
    norm, transforms expect the norm of image features.
    """
    pool, test, text = data["pool"], data["test"], data["text"]
    if text is not None:
        text = align(text * np.concatenate([np.linalg.norm(block, axis=1) for block in blocks(pool)]).mean())
    pool, test = (align(pool[:]), None) if test is None else (pool, align(test[:]))
    for number in numbers:
        draw = dict(number=number, shots=data["shots"])
        x, *args = sample(pool, data["labels"], test, data["test_labels"], **draw, per=data["per"], seed=seed)
        yield (x if test is None else align(x), *args), draw | dict(text=text)
