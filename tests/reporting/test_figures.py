"""Whole figures: any number of tasks and transforms, tasks at fewer shots labelled, panels in order."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from glocal.evaluation import alignment, structure
from glocal.reporting import figures, task_figures
from glocal.reporting.forest import PARTS
from glocal.reporting.style import LOOKS

matplotlib.use("Agg")
TRANSFORMS = ("original", "naive", "glocal")


@pytest.fixture(autouse=True)
def closed():
    import matplotlib.pyplot as plt

    yield
    plt.close("all")


def tasks(n):
    """{task: shots}: the last of several can give 2 only."""
    return {f"task number {i}": 2 if n > 1 and i == n - 1 else 5 for i in range(n)}


def with_baseline(table):
    """The table and its rows once more, with differences to a baseline, which no figure shows."""
    return pd.concat([table, table.assign(versus="centred", difference=0.5)])


def few_shot(which, kinds=TRANSFORMS):
    """Rows of few_shot, two repetitions, and of few_shot_gains."""
    rows = pd.DataFrame([
        dict(task=task, shots=s, repetition=r, fold="all", transform=t, accuracy=0.4 + s / 20 + i / 50 + r / 100, classes=10)
        for task, most in which.items() for s in (1, 2, 5) if s <= most for i, t in enumerate(kinds) for r in (0, 1)
    ]).assign(classifier="logistic regression")  # fmt: skip
    gains = rows[(rows["repetition"] == 0) & (rows["transform"] != "original")].drop(columns="repetition")
    return rows, with_baseline(gains.assign(split="all", versus="original", difference=0.02, ci_low=-0.01, ci_high=0.05))


def drawn(fig):
    fig.canvas.draw()  # raises where the layout does not work out
    return [ax for ax in fig.axes if ax.axison]


def dots(ax):
    """The x of the dots of each transform."""
    shown = [np.asarray(line.get_xdata(), float) for line in ax.lines if line.get_marker() not in ("", "None", None)]
    return [x[~np.isnan(x)].tolist() for x in shown]


def flat(ax):
    """The x of all dots of a panel."""
    return [x for xs in dots(ax) for x in xs]


def names(labels):
    return [label.get_text() for label in labels]


@pytest.mark.parametrize("kinds", [TRANSFORMS, ("original", "global"), tuple(LOOKS)])
@pytest.mark.parametrize("n", [1, 9])
def test_few_shot_of_any_number_of_tasks_and_transforms(n, kinds):
    which = tasks(n)
    level, *columns = drawn(task_figures.few_shot(*few_shot(which, kinds), "accuracy"))
    assert names(level.get_yticklabels()) == [f"{t} (2 shots)" if s == 2 else t for t, s in which.items()]  # as in the config
    assert dots(level)[0] == pytest.approx([0.405 + s / 20 for s in which.values()])
    assert level.get_xlabel() == "5-shot accuracy\n(mean, sd)"
    assert [line[0][0] for line in level.collections[-1].get_segments()] == [0.1] * n  # chance
    assert [" ".join(ax.get_title().split()) for ax in columns] == [
        LOOKS[k].name for k in kinds if k not in ("original", "rotated")
    ]
    assert flat(columns[-1]) == pytest.approx([2] * n) and len({ax.get_xlim() for ax in columns}) == 1


def test_what_is_far_outside_is_a_number_at_the_edge():
    rows, gains = few_shot({"a": 5, "b": 5})
    far = (gains["transform"] == "naive") & (gains["task"] == "b")
    gains.loc[far, ["difference", "ci_low", "ci_high"]] = [-0.4, -0.5, -0.3]
    _, naive, glocal = drawn(task_figures.few_shot(rows, gains, "accuracy"))
    assert names(naive.texts) == ["\u25c2\u221240"] and not glocal.texts and naive.get_xlim()[0] > -10
    assert flat(naive) == pytest.approx([2])


@pytest.mark.parametrize("n", [1, 2, 4, 9])
def test_few_shot_curves_are_differences_on_one_range(n):
    which = tasks(n)
    axes = drawn(task_figures.few_shot_curves(*few_shot(which)))
    assert [ax.get_title() for ax in axes] == list(which) and len({ax.get_ylim() for ax in axes}) == 1
    assert [names(ax.get_xticklabels()) for ax in axes] == [["1", "2", "5"] if s == 5 else ["1", "2"] for s in which.values()]
    assert axes[0].lines[0].get_ydata().tolist() == pytest.approx([2, 2, 2])


@pytest.mark.parametrize("n", [1, 2, 9])
def test_few_shot_classes_of_the_first_two_tasks(n):
    rows = [dict(task=t, shots=s, mean=0.1, std=0.01) | {"class": c} for t, s in tasks(n).items() for c in ("ant", "bee")]
    axes = drawn(task_figures.few_shot_classes(pd.DataFrame(rows).assign(transform="global")))
    titles = [f"{t} (2 shots)" if s == 2 else t for t, s in tasks(n).items()]
    assert [ax.get_title() for ax in axes] == titles[:2]
    assert axes[0].get_xlabel() == "global - original (points; mean, sd)"


def test_a_task_at_fewer_shots_says_so():
    assert task_figures.shot_names({"a": 5, "b": 2, "c": 1}) == {"a": "a", "b": "b (2 shots)", "c": "c (1 shot)"}
    assert task_figures.shot_names({"a": 2, "b": 2}) == {"a": "a", "b": "b"} and task_figures.shot_names({}) == {}


@pytest.mark.parametrize("kinds", [TRANSFORMS, tuple(LOOKS)])
@pytest.mark.parametrize("modes", [["one-vs-rest"], ["one-vs-rest", "reverse", "set"]])
def test_anomaly_detection_of_the_first_split(modes, kinds):
    change = dict(versus="original", difference=0.02, ci_low=0.01, ci_high=0.03)
    rows = [
        dict(split=split, mode=mode, dataset=f"d{i}", transform=t, auroc=level, auroc_low=level - 0.1, auroc_high=level + 0.1)
        | change for split, level in (("a", 0.8), ("b", 0.3)) for mode in modes for i in range(2) for t in kinds
    ]  # fmt: skip
    level, *columns = drawn(task_figures.anomaly(with_baseline(pd.DataFrame(rows))))
    rows = [PARTS.get(mode, mode) if i < 0 else f"d{i}" for mode in modes for i in (-1, 0, 1)]
    assert names(level.get_yticklabels()) == rows and dots(level)[0] == pytest.approx([0.8] * 2 * len(modes))
    assert flat(columns[-1]) == pytest.approx([2] * 2 * len(modes))
    assert level.get_xlim()[0] < 0.5 and len(columns) == len(set(kinds) - {"original", "rotated"})


def test_anomaly_classes_are_points_against_the_original():
    wide = pd.DataFrame({"mode": ["a", "a", "b"], "original": [0.5, 0.6, 0.7], "glocal": [0.6, 0.7, 0.8]})
    axes = drawn(task_figures.anomaly_classes(wide))
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    np.testing.assert_array_equal(axes[0].collections[0].get_offsets(), [[0.5, 0.6], [0.6, 0.7]])


def test_structure_and_similarity():
    rows = [dict(transform=t, dataset="d", fold=f"s-{i}", measure=m, value=v + i)
            for t, one, ten, apart in (("original", 1, 1, 1.0), ("naive", 0.4, 0.5, 2.0)) for i in (0, 0.2)
            for m, v in (("1-NN overlap", one), ("10-NN overlap", ten), (structure.SEPARATION, apart))]  # fmt: skip
    left, right = drawn(figures.structure(pd.DataFrame(rows)))
    assert names(left.get_xticklabels()) == ["1", "10"] and left.lines[1].get_ydata().tolist() == pytest.approx([0.5, 0.6])
    assert dots(right) == [pytest.approx([1.1]), pytest.approx([2.1])]


def similarities():
    """Rows of similarity: four objects in two superclasses; aligned as the reference has them, originally the other way round."""
    blocks = np.kron(np.eye(2), np.ones((2, 2))) + np.arange(16).reshape(4, 4) / 1e3
    spaces = {("net", "original"): -blocks, ("net", "glocal"): blocks, ("SPoSE-66", "reference"): blocks}
    about = lambda e, t: pd.DataFrame(dict(encoder=e, transform=t, label=["a, x", "a, x", "b", "b"]))
    return pd.concat([pd.concat([about(*k), pd.DataFrame(m)], axis=1) for k, m in spaces.items()])


def test_similarities_are_on_one_scale_of_ranks():
    axes = drawn(figures.similarity(similarities()))[:3]
    assert [ax.get_title() for ax in axes] == ["original", "gLocal", "people (SPoSE-66)"]
    assert names(axes[0].get_yticklabels()) == ["a", "b"] and not any(names(axes[1].get_yticklabels()))
    assert {ax.images[0].get_clim() for ax in axes} == {(0, 100)}
    assert [ax.get_xlabel() for ax in axes] == ["rank correlation -1.00", "rank correlation 1.00", ""]
    ranks = axes[1].images[0].get_array()
    assert ranks.max() == 100 and ranks[0, 1] > ranks[0, 2]


def test_distances_that_grow_and_shrink_by_superclass():
    ours, people, _ = drawn(figures.distances(similarities()))
    assert ours.get_title().startswith("gLocal\nwithin +") and people.get_title().startswith("people (SPoSE-66)\n")
    change = np.asarray(ours.collections[0].get_array())
    assert (np.diag(change) > 0).all() and change[0, 1] < 0 and change[0, 1] == change[1, 0]
    low, high = ours.collections[0].get_clim()
    assert low == -high == people.collections[0].get_clim()[0]


def test_the_grid_frames_the_chosen_setting_of_each_objective():
    numbers = dict(odd_one_out=0.5, neighbour_overlap=0.5, local_kl=1)
    rows = [numbers | dict(objective=o, lam=lam, alpha=alpha, tau=tau, chosen=lam == 0.1)
            for o, alpha, tau in (("glocal", 0.1, 1.0), ("naive", None, None)) for lam in (1.0, 0.1)]  # fmt: skip
    rows += [rows[0] | dict(objective="centred", lam=None)]
    axes = drawn(figures.grid(pd.DataFrame(rows)))
    assert names(axes[0].get_yticklabels()) == ["naive", "gLocal, alpha 0.1, tau 1"]
    assert [p.get_xy() for p in axes[0].patches] == [(0, 0), (0, 1)] and names(axes[0].get_xticklabels()) == ["0.1", "1"]


@pytest.mark.parametrize("references", [0, 2])
def test_human_agreement_between_chance_and_ceiling(references):
    interval = dict(encoder="net", ci_low=0.4, ci_high=0.6, ceiling=0.67)
    rows = [interval | dict(dataset=d, transform=t, metric="odd-one-out accuracy", value=0.5)
            for d in ("held-out objects (object)", "all triplets") for t in TRANSFORMS]  # fmt: skip
    rows += [rows[-1] | dict(encoder=f"r{i}", transform="reference", value=0.6 + i / 50) for i in range(references)]
    rows += [rows[0] | dict(metric="RSA with SPoSE-66", value=0.3, ci_low=0.2, ci_high=0.4)]
    rows += [rows[0] | dict(metric="RSA with animals", value=0.2, ci_low=0.1, ci_high=0.4)]
    fig = figures.human(pd.DataFrame(rows))
    left, *others = drawn(fig)
    assert names(left.get_yticklabels()) == ["held-out\nobjects"] and dots(left) == [[0.5]] * 3
    levels = [
        line.get_xdata()[0] for line in left.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]
    ]
    assert levels == pytest.approx([1 / 3, 0.67] + ([0.6] if references else []))
    assert [ax.get_xlabel().split("\n")[0][:12] for ax in others] == ["RSA with SPo", "RSA with ani"]
    assert names(fig.legends[0].get_texts())[3:] == (["r0, r1"] if references else [])


def test_alignment_and_its_learning_curves():
    rows = [dict(objective=o, chosen=c, lam=lam, fold=f"subgroup-{i}", odd_one_out=value + i / 10, neighbour_overlap=0.5)
            for o, c, lam, value in (("original", True, None, 0.4), ("naive", False, 1.0, 0.5), ("naive", True, 2.0, 0.6))
            for i in range(2)]  # fmt: skip
    table = pd.DataFrame(rows)
    left, right = drawn(figures.alignment(table, alignment.means(table), 0.67, "net"))
    assert dots(left) == [pytest.approx([0.45]), pytest.approx([0.65])]
    assert names(left.get_yticklabels()) == ["original", "naive"] and "2 folds" in left.get_xlabel()
    assert sorted(len(points.get_offsets()) for points in right.collections) == [1, 2]  # the chosen ones are larger
    measures = {name: [1.0, 0.5] for name in ("loss", "triplet_loss", "local_kl", "held_out_loss")}
    history = pd.DataFrame(dict(iteration=[0, 1], objective="naive", kl_tau=0.25, **measures))
    axes = drawn(figures.training(history, "epoch"))
    assert [ax.get_title() for ax in axes] == ["objective of naive", "triplet loss (nats)", "local KL at tau 0.25 (nats)"]
    assert [ax.get_xlabel() for ax in axes] == ["epoch"] * 3 and axes[2].get_yscale() == "log"
    assert [len(ax.lines) for ax in axes] == [2, 1, 1]  # what is held out is drawn where it is known


def test_features_are_two_densities():
    cosines = pd.DataFrame({"cosine": [-0.5, 0.5] * 2, "pairs": ["within"] * 2 + ["between"] * 2, "count": [0, 4, 1, 3]})
    (ax,) = drawn(figures.features(cosines, "net"))
    assert names(ax.get_legend().get_texts()) == ["within", "between"]
    assert ax.get_title() == "net, original features"
    tops = sorted(max(c.get_paths()[0].vertices[:, 1]) for c in ax.collections)
    assert tops == pytest.approx([0.75, 1])  # each of area 1
