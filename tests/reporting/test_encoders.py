"""What alignment gains and costs over encoders: means of tasks with honest intervals, profiles joined, one row a family."""

from pathlib import Path

import matplotlib
import pandas as pd
import pytest

from glocal.cli import main
from glocal.reporting import encoder_figure, encoders
from glocal.workflow.config import load_config

matplotlib.use("Agg")
ROOT = Path(__file__).resolve().parents[2]
CLIP = ROOT / "figures" / "clip-b32" / "tables"


@pytest.fixture(scope="module")
def clip():
    return load_config("config/clip-b32.yaml")


@pytest.fixture(scope="module")
def two(clip, tmp_path_factory):
    """The committed profile and a made-up one: another encoder with two of its few-shot tasks and one data set."""
    folder = tmp_path_factory.mktemp("imagenet")
    for name in ("few_shot", "few_shot_gains", "human_differences", "anomaly_summary"):
        rows = pd.read_csv(CLIP / f"{name}.csv").query("encoder == 'clip-b32'").assign(encoder="efficientnet-lite0")
        kept = rows["task"].isin(["entity13", "dtd"]) if "task" in rows else rows["dataset"].ne("flowers")
        rows[kept].to_csv(folder / f"{name}.csv", index=False)
    return encoders.table({CLIP: clip, folder: clip | {"profile": "imagenet"}})


def _ends(ax):
    """The ends of the vertical intervals of a panel."""
    return [y for lines in ax.containers for y in lines[2][1].get_segments()[0][:, 1]]


def value(table, encoder, measure, task, transform="glocal"):
    rows = table[(table["encoder"] == encoder) & (table["transform"] == transform)]
    return rows[(rows["measure"] == measure) & (rows["task"] == task)].iloc[0]


@pytest.mark.parametrize("groups, reach", [("aa", (1 + 3) / 2), ("ab", (1 + 9) ** 0.5 / 2)])
def test_intervals_add_up_within_a_group_and_in_squares_over_groups(groups, reach):
    rows = pd.DataFrame({"difference": [1.0, 3.0], "ci_low": [0.0, 0.0], "ci_high": [2.0, 6.0]})
    mean, low, high = encoders.mean_gain(rows, pd.Series(list(groups)))
    assert (mean, low, high) == pytest.approx((2.0, 2.0 - reach, 2.0 + reach))


def test_means_are_over_the_encoders_tasks_and_over_those_of_all(two):
    gains = pd.read_csv(CLIP / "few_shot_gains.csv").query("shots == 5 and versus == 'original' and transform == 'glocal'")
    gains = gains[gains["classifier"] == "logistic regression"].set_index("task")["difference"].drop("entity13-per-class")
    every, shared = (value(two, "clip-b32", encoders.FEW_SHOT, task) for task in (encoders.ALL, encoders.COMMON))
    assert every["difference"] == pytest.approx(gains.mean()) and every["tasks"] == 8
    assert shared["difference"] == pytest.approx(gains[["entity13", "dtd"]].mean()) and shared["tasks"] == 2
    assert shared["difference"] == pytest.approx(value(two, "efficientnet-lite0", encoders.FEW_SHOT, encoders.ALL)["difference"])
    assert value(two, "efficientnet-lite0", "one-vs-rest AUROC", encoders.ALL)["tasks"] == 2
    assert set(two[two["encoder"] == "blip"]["measure"]) == {encoders.ALIGNMENT}  # it has no other images
    assert dict(two.drop_duplicates("encoder")[["encoder", "family"]].to_numpy())["efficientnet-lite0"] == "ImageNet labels"


def test_tasks_on_the_same_images_are_one_observation(two):
    """The four shifts test on one set of images: the interval of their mean is as wide as theirs are in the mean."""
    rows = two[(two["measure"] == "shift AUROC") & (two["transform"] == "glocal") & (two["encoder"] == "clip-b32")]
    one, mean = rows[rows["tasks"] == 1], rows[rows["task"] == encoders.ALL].iloc[0]
    assert mean["ci_low"] == pytest.approx(one["ci_low"].mean()) and mean["ci_high"] == pytest.approx(one["ci_high"].mean())


def test_the_figure_has_a_row_a_family_and_one_of_encoders_without_other_images(two):
    import matplotlib.pyplot as plt

    fig = encoder_figure.encoders(two)
    fig.canvas.draw()
    *grid, strip = fig.axes
    assert len(grid) == 6 and grid[0].get_title() == "5-shot accuracy"
    assert grid[0].get_ylim() == grid[3].get_ylim() and grid[0].get_xlim() == grid[5].get_xlim()
    assert [label.get_text() for label in strip.get_yticklabels()] == ["BLIP", "CVCL"]
    assert [len(ax.containers) for ax in grid] == [len(encoder_figure.SHOWN)] * 6  # a large dot a transform
    assert [text.get_text() for text in fig.legends[1].get_texts()] == ["CLIP ViT-B/32", "EfficientNet-Lite0"]
    assert all(ax.get_ylim()[0] < min(y) and max(y) < ax.get_ylim()[1] for ax in grid for y in [_ends(ax)])  # nothing is cut
    alone = encoder_figure.encoders(two[~two["encoder"].isin(["blip", "cvcl"])])
    assert len(alone.axes) == 6
    plt.close("all")


@pytest.mark.parametrize("name", ["clip-b32", "imagenet", "paper"])
def test_every_encoder_of_a_shipped_profile_has_a_name_and_a_family(name):
    assert set(load_config(f"config/{name}.yaml")["encoders"]) <= set(encoders.FAMILY)


def test_the_committed_table_is_of_the_committed_tables(tmp_path, capsys):
    """If this fails: `snakemake encoders` writes figures/encoders.csv and .png again."""
    assert main(["encoders", str(ROOT / "figures"), "--out", str(tmp_path / "x")]) == 0
    assert "demo" not in capsys.readouterr().out  # its observer is simulated
    written, committed = (pd.read_csv(path) for path in (tmp_path / "x.csv", ROOT / "figures" / "encoders.csv"))
    pd.testing.assert_frame_equal(written, committed)
    assert all((tmp_path / f"{name}.png").stat().st_size > 10_000 for name in ("x", "x_anomaly"))
    assert main(["encoders", str(tmp_path)]) == 2
    assert "no published tables of human judgments" in capsys.readouterr().err


def test_anomaly_detection_of_all_encoders_by_mode_and_set(tmp_path):
    import matplotlib.pyplot as plt

    numbers = dict(auroc=0.8, auroc_low=0.7, auroc_high=0.9, difference=0.03, ci_low=0.01, ci_high=0.05, aupr=0.5, fpr95=0.5)
    rows = [numbers | dict(split="all", mode=mode, dataset=name, transform=t, versus="original")
            for mode in ("one-vs-rest", "reverse") for name in ("dtd", "flowers") for t in ("original", "glocal")]  # fmt: skip
    for folder, encoder in (("a", "clip-b32"), ("b", "net")):
        (tmp_path / folder).mkdir()
        table = pd.DataFrame(rows).assign(encoder=encoder)
        table.to_csv(tmp_path / folder / "anomaly_summary.csv", index=False)
    fig = encoder_figure.anomaly([tmp_path / "a", tmp_path / "b"])
    labels = [label.get_text() for label in fig.axes[0].get_yticklabels()]
    one = ["DTD, CLIP ViT-B/32", "DTD, net", "Oxford Flowers, CLIP ViT-B/32", "Oxford Flowers, net"]
    assert labels == ["one-vs-rest", *one, "reverse: all but one", *one] and len(fig.axes) == 2
    plt.close(fig)
