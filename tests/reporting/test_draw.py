"""Every figure from the tables that the steps write, without images; which figures a config has."""

from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest

from glocal.evaluation import anomaly, few_shot, geometry, odd_one_out, structure
from glocal.reporting import draw, inventory, thumbnails

matplotlib.use("Agg")
ROOT = Path(__file__).resolve().parents[2]


def write_tables(experiment):
    """The tables of an encoder, those of the alignment with one setting, and the profile's three for the headline."""
    tables = {"cosines": geometry.cosine_histogram(geometry.object_pairs(experiment))}
    for step in (odd_one_out, few_shot, anomaly, structure):
        tables |= step.evaluate(experiment)
    rows = [dict(encoder="net", objective=o, lam=1, alpha=1, tau=1, fold=fold, odd_one_out=0.5, triplet_loss=1, local_kl=1,
                 neighbour_overlap=0.9, chosen=True)
            for o in ("original", "naive", "glocal") for fold in experiment.folds]  # fmt: skip
    history = dict(iteration=[1, 2], loss=1, triplet_loss=1, local_kl=1, objective="naive", kl_tau=0.1)
    for name, table in (tables | {"alignment": pd.DataFrame(rows), "history": pd.DataFrame(history)}).items():
        experiment.save_table(name, table)
        if name in ("alignment", "few_shot", "anomaly", "human_differences", "few_shot_gains", "anomaly_summary"):
            table.to_csv(experiment.folder / f"{name}.csv", index=False)


def test_every_figure_of_a_profile_from_its_tables(tiny, monkeypatch):
    import matplotlib.pyplot as plt

    experiment = tiny()
    target = np.asarray(experiment.features().x)
    monkeypatch.setattr(odd_one_out, "rsa_target", lambda _: ("a latent", target))
    monkeypatch.setattr(thumbnails, "of", lambda *_: None)
    write_tables(experiment)
    names = [*inventory.FIRST_LOOK, *inventory.of_encoder(experiment.config, "net"), "overview"]
    for name in names:
        fig = draw.save(experiment, name)
        signed = any("no human judgments" in text.get_text() for text in fig.texts)
        assert signed == (name not in draw.UNNAMED) and draw.path(experiment, name).exists()
        plt.close(fig)
    assert {path.suffix for path in (experiment.folder / "figures").glob("[!.]*")} == {".png", ".svg"}
    written = {path.name for path in (experiment.folder / "figures").glob("*.png")}
    assert written == {"overview.png", *(f"{name}-net.png" for name in names[:-1])}


def test_which_figures_a_config_has(tiny):
    config = tiny().config
    sections = {"human": {"uncertainty": True, "groups": True}, "trade_off": {}, "judgments": {}}
    sections |= {"alignment": {"grid": {"naive": {"lam": [1, 2]}}}}
    everything = inventory.of_encoder(config | sections, "net")
    assert {*everything, "features"} == set(draw.FIGURES) - set(draw.OF_PROFILE)
    more = set(everything) - set(inventory.of_encoder(config, "net"))
    assert more == {"human_similarity", "grid", *inventory.HUMAN_FIGURES.values(), "trade_off", "data_efficiency", "controls"}
    assert inventory.human_tables(config) == [] and inventory.human_tables({"human": {}}) == ["human_similarity"]
    assert inventory.of_profile(config | {"published_transforms": True})[-1] == "published_spectra"
    assert inventory.of_profile(config) == ["overview", "teaser"] and inventory.first_look(config, "net") == [
        "features",
        "pictures",
    ]
    public = config | {"source": "public", "downstream": "all"}
    assert inventory.of_encoder(public, "net") == ["alignment", "training", "human"]  # no sets of other images
    assert inventory.of_profile(public) == ["overview"] and inventory.first_look(public, "net") == ["features"]
    sets = {"a": {"modes": ["set"]}}
    names = inventory.of_encoder(config | {"anomaly": {"sets": sets}}, "net")
    assert "anomaly" in names and not {"anomaly_classes", "anomaly_moved"} & set(names)


def test_every_figure_has_a_caption_with_its_tables_and_the_command_that_draws_it():
    captions = {path.stem: path.read_text() for path in (ROOT / "figures" / "captions").glob("*.rst")}
    assert set(captions) == {*draw.FIGURES, "encoders", "encoders_anomaly"}
    for name, text in captions.items():
        command = f"``python -m glocal {'encoders' if name.startswith('encoders') else f'draw {name} '}"
        assert ".csv``" in text.split("Drawn from")[1] and command in text


def test_names_of_images_that_look_like_numbers_stay_text(tiny):
    experiment = tiny()
    experiment.save_table("layout", pd.DataFrame({"picture": ["007", "008"], "label": ["1", "02"], "x": np.zeros(2)}))
    table = draw._read(experiment, "layout")
    assert table["picture"].tolist() == ["007", "008"] and table["label"].tolist() == ["1", "02"]


@pytest.mark.parametrize("balanced, recipe, words", [(True, "paper", ("balanced accuracy", "epoch")),
                                                     (True, "authors", ("balanced accuracy", "epoch")),
                                                     (False, "converged", ("accuracy", "L-BFGS iteration"))])  # fmt: skip
def test_what_accuracies_and_iterations_are(tiny, balanced, recipe, words):
    experiment = tiny(few_shot={"balanced": balanced}, alignment={"fit": {"recipe": recipe}})
    assert (draw.accuracy(experiment), draw.step(experiment)) == words
