"""Few-shot benchmarks: the paper's protocol with plain scikit-learn, and with `glocal.logistic`. Both sides on one thread."""

import multiprocessing
import time
import warnings
from collections import Counter
from unittest import mock

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from glocal.evaluation import logistic_path
from glocal.evaluation.classifiers import logistic_regression
from glocal.evaluation.logistic_fits import Fits
from glocal.evaluation.shots import draw
from glocal.transform import aligners
from glocal.workflow.experiment import Experiment

TASKS = ("sun397", "caltech101", "flowers", "entity13", "entity30", "living17", "nonliving26", "dtd")


def plain(x, y, c, tol=1e-6, dtype=np.float64):
    """scikit-learn to convergence: at its default tolerance accuracies at large C are up to two points from the optimum's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return LogisticRegression(C=c, tol=tol, max_iter=20000).fit(x.astype(dtype), y)


class Case:
    """Five shots of one task, transform and repetition, with the folds of the protocol."""

    def __init__(self, experiment, task, transform, number=0):
        spec = experiment.config["few_shot"]["tasks"][task]
        pool, test = experiment.parts(spec)
        align = aligners(experiment.transform_paths())[transform]
        labels = pool.rows[spec["label"]].to_numpy()
        drawn = draw(labels, 5, np.random.default_rng([experiment.seed, number]))
        self.x, self.y = align(pool.x)[drawn], labels[drawn]
        self.test_x, self.test_y = align(test.x), test.rows[spec["label"]].to_numpy()
        self.values = experiment.config["few_shot"]["c"]
        self.folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(self.x, self.y))

    def plain_fold(self, train, test, **options):
        return [plain(self.x[train], self.y[train], c, **options).score(self.x[test], self.y[test]) for c in self.values]

    def plain_choice(self, **options):
        """scikit-learn's C and accuracy."""
        scores = np.mean([self.plain_fold(*fold, **options) for fold in self.folds], 0)
        c = self.values[int(np.argmax(np.round(scores, 9)))]
        return c, plain(self.x, self.y, c, **options).score(self.test_x, self.test_y)

    def choice(self):
        """Ours."""
        predicted, c = logistic_regression(self.x, self.y, self.test_x, self.values, 5)
        return c, (predicted == self.test_y).mean()


def _seconds(function, *arguments, **options):
    start = time.perf_counter()
    result = function(*arguments, **options)
    return time.perf_counter() - start, result


def _path(case, images, train, test):
    """The path of one fold, its accuracies."""
    held_out = np.full(len(case.y), -1)
    held_out[test] = 0
    return [correct[test].mean() for correct, _, _ in images.folds_path(case.values, held_out)]


def speed(row):
    """SUN397, 5 shots, one repetition: eleven C on one of the five folds, for three transforms."""
    experiment = Experiment("config/clip-b32.yaml")
    ours = theirs = loose = products = 0.0
    for transform in ("original", "naive", "glocal"):
        case = Case(experiment, "sun397", transform)
        images = logistic_path.Images(case.x, case.y)
        fold = case.folds[0]
        ours += _seconds(_path, case, images, *fold)[0]
        theirs += _seconds(case.plain_fold, *fold)[0]
        loose += _seconds(case.plain_fold, *fold, tol=1e-4, dtype=np.float32)[0]
        products += _bare(case, images, *fold)
    note = "397 classes, 1 of 5 folds, 11 C, 3 transforms, one thread"
    yield row("few-shot SUN397", ours, theirs, 10.0, "s", f"{note}; baseline: scikit-learn, converged (float64, tol 1e-6)")
    yield row("few-shot SUN397, default tolerance", ours, loose, None, "s", f"{note}; baseline: scikit-learn, float32, tol 1e-4")
    yield row("few-shot SUN397, bare products", ours, products, None, "s", "baseline: the two products of our evaluations")


def _bare(case, images, *fold):
    """Seconds of the two matrix products of every evaluation of a path alone, along as many directions."""
    with mock.patch.object(Fits, "evaluate", autospec=True, side_effect=Fits.evaluate) as evaluations:
        _path(case, images, *fold)
    x, seconds = evaluations.call_args.args[0].x.numpy(), 0.0
    for (_, classes, used), times in Counter(tuple(call.args[1].shape) for call in evaluations.call_args_list).items():
        rng, narrow = np.random.default_rng(0), x[:, :used]
        w, p = rng.random((classes, used), np.float32), rng.random((classes, len(x)), np.float32)
        seconds += times * min(_seconds(lambda: (w @ narrow.T, p @ narrow))[0] for _ in range(5))  # noqa: B023
    return seconds


def agreement(row, pool):
    """The same C and accuracy, at five shots? scikit-learn converged: tol 1e-8; for SUN397, where that takes too long, 1e-6."""
    cases = [(t, kind, n) for t in TASKS for kind in ("naive", "original", "glocal") for n in range(1 if t == "sun397" else 2)]
    result = pool.map(_agree, cases, chunksize=1)
    gaps = {task: np.mean([gap for (t, _, _), (_, gap) in zip(cases, result, strict=True) if t == task]) for task in TASKS}
    same, note = 100 * np.mean([same for same, _ in result]), "; ".join(f"{task} {gap:+.2f}" for task, gap in gaps.items())
    yield row("few-shot, same C as scikit-learn", same, None, None, "%", f"of {len(cases)} cases at 5 shots")
    worst = max(map(abs, gaps.values()))
    yield row("few-shot, accuracy against scikit-learn", max(worst, 1e-6), None, 0.1, "points", f"largest mean of a task: {note}")


def _agree(which) -> tuple[bool, float]:
    """Whether both choose the same C, and our accuracy less scikit-learn's, in points."""
    with threadpool_limits(1):
        case = Case(Experiment("config/clip-b32.yaml"), *which)
        (c, ours), (truth, theirs) = case.choice(), case.plain_choice(tol=1e-6 if which[0] == "sun397" else 1e-8)
    return c == truth, 100 * (ours - theirs)


def rows(row):
    """All of it, in processes of one thread, as in the few-shot stage; what is timed, alone. row: makes a row of the table."""
    spawn = multiprocessing.get_context("spawn")
    with spawn.Pool(1, torch.set_num_threads, (1,)) as pool:
        yield from pool.apply(_on_one_thread, (speed, row))
    with spawn.Pool(initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield from agreement(row, pool)


def _on_one_thread(part, row):
    with threadpool_limits(1):
        return list(part(row))
