"""The report of an alignment of your own encoder: one HTML file that needs nothing else, and says first whether it helped."""

import base64
from pathlib import Path

from glocal.evaluation.frames import ACCURACY, first_split
from glocal.reporting import draw, site, style, tables
from glocal.reporting.summary import banner, points
from glocal.system.files import write_text

TITLES = {"human": "Agreement with the judgments", "alignment": "What it costs in neighbours", "training": "Learning curves",
          "structure": "Neighbours and classes"}  # fmt: skip
CHOICES = {
    True: "The settings are those with the best held-out triplet loss (gLocal: plus the local KL); the column "
    '"chosen on inner folds" repeats the choice without the objects that report it.',
    False: "The settings were fixed beforehand.",
}


def figures(config: dict) -> list[str]:
    """The figures of a report, by name, in its order."""
    return ["human", "alignment", "training", *(["structure"] if "structure" in config else [])]


def write(experiment, path: Path) -> Path:
    """Write the report of an experiment whose tables and figures exist: one HTML file, with the figures in it."""
    human, differences = (tables.read(experiment.table(name)) for name in ("human", "human_differences"))
    settings = (experiment.folder / "config.yaml").read_text()
    about = experiment.features().header
    files = {TITLES[name]: draw.path(experiment, name) for name in figures(experiment.config)}
    pictures = {title: base64.b64encode(file.read_bytes()).decode() for title, file in files.items()}
    page = site.render(
        "align.html", title=draw.title(experiment),
        banner=banner(differences), caption=_caption(experiment, human),
        choice=CHOICES["nested" in experiment.config["alignment"]],
        images=f"{about['n']:,}", triplets=f"{len(experiment.triplets()['all']):,}", encoder=experiment.encoder_name,
        config=settings, transform=experiment.transform_path("all", experiment.featured),
        tables=[headline(experiment), _differences(differences)], pictures=pictures,
    )  # fmt: skip
    write_text(path, page)
    return path


def _caption(experiment, human) -> str:
    ceiling = human["ceiling"].max()
    known = f"The noise ceiling is {100 * ceiling:.1f} %." if ceiling == ceiling else "The noise ceiling is unknown."
    return f"Odd-one-out accuracy in %, with 95 % intervals over objects; chance is 33.3 %. {known}"


def headline(experiment):
    """Accuracy on held-out objects, also by the nested choice, and the neighbours kept: a DataFrame, a row a transform."""
    import pandas as pd

    human = tables.read(experiment.table("human"))
    held = human[human["dataset"].str.startswith("held-out") & (human["metric"] == ACCURACY)].set_index("transform")
    chosen = tables.read(experiment.table("alignment")).query("chosen").rename(columns={"objective": "transform"})
    kept = first_split(chosen).groupby("transform")["neighbour_overlap"].mean()
    inner = tables.read(experiment.table("alignment_nested")).groupby("objective")["odd_one_out"].mean()
    nested = {t: {"chosen on inner folds": f"{100 * value:.1f}"} for t, value in inner.items()}
    rows = [{
        "": style.NAMES[t],
        "accuracy": points(*held.loc[t, ["value", "ci_low", "ci_high"]], words="{:.1f} [{:.1f}, {:.1f}]"),
        "10-NN overlap": f"{100 * kept.get(t, 1.0):.0f}",
    } | nested.get(t, {}) for t in style.order(held.index)]  # fmt: skip
    return pd.DataFrame(rows).fillna("")


def _differences(table):
    rows = table[table["metric"] == ACCURACY]
    text = [points(*row) for row in rows[["difference", "ci_low", "ci_high"]].to_numpy()]
    names = rows["transform"].map(style.NAMES) + " - " + rows["versus"].map(style.NAMES)
    return rows.assign(**{"": names, "difference": text})[["", "difference"]]
