"""Whole figures: any number of tasks, tasks at fewer shots labelled, many pictures or few."""

import matplotlib
import numpy as np
import pandas as pd
import pytest

from glocal.evaluation import alignment, anomaly
from glocal.reporting import figures

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


def summary(which):
    rows = [
        dict(task=task, shots=s, transform=t, mean=0.4 + s / 20 + i / 50, std=0.02, chance=0.1, reported=most)
        for task, most in which.items() for s in (1, 2, 5) if s <= most for i, t in enumerate(TRANSFORMS)
    ]  # fmt: skip
    return pd.DataFrame(rows)


def drawn(fig):
    fig.canvas.draw()  # raises where the layout does not work out
    return [ax for ax in fig.axes if ax.axison]


@pytest.mark.parametrize("n", [1, 2, 9])
def test_few_shot_of_any_number_of_tasks(n):
    which = tasks(n)
    (ax,) = drawn(figures.few_shot(summary(which), "accuracy"))
    names = [label.get_text() for label in ax.get_xticklabels()]
    assert names == [f"{t}\n(2 shots)" if s == 2 else t for t, s in which.items()]  # in the order of the config
    heights = [bar.get_height() for c in ax.containers if c.get_label() == "original" for bar in c]
    assert heights == pytest.approx([0.4 + s / 20 for s in which.values()])
    assert ax.get_ylabel() == "5-shot accuracy" and len(ax.collections) >= n


@pytest.mark.parametrize("n", [1, 2, 4, 9])
def test_few_shot_curves_of_any_number_of_tasks(n):
    which = tasks(n)
    axes = drawn(figures.few_shot_curves(summary(which), "accuracy"))
    assert [ax.get_title() for ax in axes] == list(which)
    assert [len(ax.lines[0].get_xdata()) for ax in axes] == [3 if s == 5 else 2 for s in which.values()]


@pytest.mark.parametrize("n", [1, 2, 9])
def test_few_shot_classes_of_the_first_two_tasks(n):
    rows = [dict(task=t, shots=s, mean=0.1, std=0.01) | {"class": c} for t, s in tasks(n).items() for c in ("ant", "bee")]
    axes = drawn(figures.few_shot_classes(pd.DataFrame(rows).assign(transform="global")))
    titles = [f"{t} (2 shots)" if s == 2 else t for t, s in tasks(n).items()]
    assert [ax.get_title() for ax in axes] == titles[:2]
    assert axes[0].get_xlabel() == "global - original, points"


@pytest.mark.parametrize("modes", [["one-vs-rest"], ["one-vs-rest", "reverse", "set"]])
def test_anomaly_bars_of_the_first_split(modes):
    rows = [
        dict(split=split, mode=mode, dataset=f"d{i}", transform=t, auroc=level, auroc_low=level - 0.1, auroc_high=level + 0.1)
        for split, level in (("a", 0.8), ("b", 0.3)) for mode in modes for i in range(2) for t in TRANSFORMS
    ]  # fmt: skip
    axes = drawn(figures.anomaly(pd.DataFrame(rows)))
    assert [ax.get_title() for ax in axes] == modes
    assert {bar.get_height() for ax in axes for bar in ax.patches} == {0.8}
    assert axes[0].get_ylim() == pytest.approx((0.18, 1))  # room for the lowest interval of all splits


def test_anomaly_classes_are_points_against_the_original():
    wide = pd.DataFrame({"mode": ["a", "a", "b"], "original": [0.5, 0.6, 0.7], "glocal": [0.6, 0.7, 0.8]})
    axes = drawn(figures.anomaly_classes(wide))
    assert [ax.get_title() for ax in axes] == ["a", "b"]
    np.testing.assert_array_equal(axes[0].lines[0].get_data(), [[0.5, 0.6], [0.6, 0.7]])


class Pictures(np.ndarray):
    """Pixels (n, h, w, 3) with a line of credit."""

    credit = "drawn by nobody"


@pytest.mark.parametrize("n, shown", [(100, 32), (10, 10), (5, 4), (1, 0)])
def test_anomaly_moved_of_many_and_few(n, shown):
    change = np.random.default_rng(0).permutation(n) - n / 2
    pictures = np.random.default_rng(0).integers(0, 255, (n, 8, 8, 3)).astype(np.uint8).view(Pictures)
    images = pd.DataFrame({"change": change, "normal": change > 0})
    fig = figures.anomaly_moved(anomaly.Moved("objects", "ant", images), pictures)
    axes = drawn(fig)
    assert len(axes) == shown and fig.get_suptitle().startswith("normal: ant (framed)")
    assert fig.texts[-1].get_text() == "drawn by nobody"
    moved = [float(ax.get_title()) for ax in axes]
    best, worst = moved[: shown // 2], moved[shown // 2 :]
    assert best == sorted(best, reverse=True) and worst == sorted(worst)
    if shown:
        assert best[0] == round(change.max()) and worst[0] == round(change.min())
        np.testing.assert_array_equal(axes[0].images[0].get_array(), pictures[change.argmax()])


def test_structure_and_similarity():
    overlaps = pd.DataFrame({"k": [1, 10, 1, 10], "transform": ["original"] * 2 + ["naive"] * 2, "value": [1, 1, 0.4, 0.5]})
    separations = pd.DataFrame({"dataset": "d", "transform": ["original", "naive"], "mean": [1.0, 2.0], "std": [0.1, 0.1]})
    left, right = drawn(figures.structure(overlaps, separations))
    assert [t.get_text() for t in left.get_xticklabels()] == ["1", "10"] and left.lines[1].get_ydata().tolist() == [0.4, 0.5]
    assert [bar.get_height() for bar in right.patches] == [1, 2]
    matrix = pd.DataFrame(np.eye(4), list("aabb"), list("aabb"))
    axes = drawn(figures.similarity({"original": matrix, "glocal": matrix}))
    assert [ax.get_title() for ax in axes[:2]] == ["original", "gLocal"]
    assert [t.get_text() for t in axes[0].get_yticklabels()] == ["a", "b"] and len(axes[1].get_yticklabels()[0].get_text()) == 0


@pytest.mark.parametrize("references", [0, 2])
def test_human_agreement_between_chance_and_ceiling(references):
    interval = dict(encoder="net", ci_low=0.4, ci_high=0.6, ceiling=0.67)
    rows = [interval | dict(dataset=d, transform=t, metric="odd-one-out accuracy", value=0.5)
            for d in ("held-out objects (object)", "all triplets") for t in TRANSFORMS]  # fmt: skip
    rows += [rows[-1] | dict(encoder=f"r{i}", transform="reference", value=0.6 + i / 50) for i in range(references)]
    rows += [rows[0] | dict(metric="RSA with SPoSE-66", value=0.3, ci_low=0.2, ci_high=0.4)]
    left, right = drawn(figures.human(pd.DataFrame(rows)))
    assert [t.get_text() for t in left.get_xticklabels()] == ["held-out objects\n(object)"]
    levels = [line.get_ydata()[0] for line in left.lines if len(line.get_ydata()) == 2 and line.get_linestyle() != "None"]
    assert levels == pytest.approx([1 / 3, 0.67] + ([0.6] if references else []))
    assert right.get_title() == "RSA with SPoSE-66"


def test_alignment_and_its_learning_curves():
    rows = [dict(objective=o, chosen=c, lam=lam, fold=f"subgroup-{i}", odd_one_out=value + i / 10, neighbour_overlap=0.5)
            for o, c, lam, value in (("original", True, None, 0.4), ("naive", False, 1.0, 0.5), ("naive", True, 2.0, 0.6))
            for i in range(2)]  # fmt: skip
    table = pd.DataFrame(rows)
    left, right = drawn(figures.alignment(table, alignment.means(table), 0.67, "net"))
    assert [bar.get_height() for bar in left.patches] == pytest.approx([0.45, 0.65])
    assert [t.get_text() for t in left.get_xticklabels()] == ["original", "naive"] and "(subgroup)" in left.get_title()
    assert len(right.lines) == 3
    measures = {name: [1.0, 0.5] for name in ("loss", "triplet_loss", "local_kl", "held_out_loss")}
    history = pd.DataFrame(dict(iteration=[0, 1], objective="naive", **measures))
    axes = drawn(figures.training(history, 0.25, "epoch"))
    assert [ax.get_ylabel() for ax in axes] == ["objective", "triplet loss (nats)", "local KL at tau 0.25 (nats)"]
    assert [ax.get_xlabel() for ax in axes] == ["epoch"] * 3 and axes[2].get_yscale() == "log"


def test_features_and_images():
    pairs = pd.DataFrame({"cosine": [0.1, 0.2, 0.8, 0.9], "within": [False, False, True, True]})
    (ax,) = drawn(figures.features(pairs, "net"))
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["between superclasses", "within a superclass"]
    assert ax.get_title() == "net, original features"
    pictures = np.random.default_rng(0).integers(0, 255, (30, 8, 8, 3)).astype(np.uint8).view(Pictures)
    rows = pd.DataFrame({"group": ["a"] * 26 + ["b"] * 4}, index=range(5, 35))
    fig = figures.images(rows, pictures)
    fig.canvas.draw()
    shown = [np.array([ax.images[0].get_array() for ax in fig.axes[i : i + 12] if ax.images]) for i in (0, 12)]
    np.testing.assert_array_equal(shown[0], pictures[:24:2])
    np.testing.assert_array_equal(shown[1], pictures[26:])
