"""The report of an alignment of your own encoder: one HTML file that needs nothing else, and says first whether it helped."""

import base64
import html
from pathlib import Path
from string import Template

from glocal._version import __version__
from glocal.evaluation.frames import ACCURACY, first_split
from glocal.reporting import draw, style, tables
from glocal.system.files import write_text

PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title><style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.7rem; line-height: 1.2 }
table { border-collapse: collapse; display: block; overflow-x: auto }
th, td { padding: .2rem .5rem; text-align: right; white-space: nowrap; border-bottom: 1px solid #8886 }
th:first-child, td:first-child { text-align: left }
.figure { overflow-x: auto }
img { width: 100%; min-width: 40rem; background: #fff; border-radius: 4px }
.verdict { font-size: 1.2rem; border-left: 4px solid $colour; padding-left: 1rem }
pre { background: #8882; border-radius: 4px; padding: .3rem .6rem; white-space: pre-wrap; overflow-wrap: anywhere }
</style></head><body>
<h1>$title</h1>
<p class="verdict">$verdict</p>
<h2>Held-out objects</h2>
<p>$caption</p>
$table
<h2>Differences on the same triplets, in points</h2>
$differences
$figures
<h2>Use it</h2>
<pre>glocal transform $transform features.npy --out aligned</pre>
<h2>How it was made</h2>
<p>glocal $version. $images images, $triplets triplets, encoder $encoder. Each fold holds out a third of the images; a triplet
counts only if its three images are on one side. $choice</p>
<details><summary>Its config</summary><pre>$config</pre></details>
</body></html>
""")


TITLES = {"human": "Agreement with the judgments", "alignment": "What it costs in neighbours", "training": "Learning curves",
          "structure": "Neighbours and classes"}  # fmt: skip
WHOSE = {"human": "human judgments", "simulated observer": "the judgments of a simulated observer"}
CHOICES = {
    True: "The settings are those with the best held-out triplet loss (gLocal: plus the local KL); the column "
    '"chosen on inner folds" repeats the choice without the objects that report it.',
    False: "The settings were fixed beforehand.",
}


def figures(config: dict) -> list[str]:
    """The figures of a report, by name, in its order."""
    return ["human", "alignment", "training", *(["structure"] if "structure" in config else [])]


def write(experiment, path: Path) -> Path:
    """Write the report of an experiment whose tables and figures exist.

    Parameters
    ----------
    experiment : workflow.experiment.Experiment
    path : Path

    Returns
    -------
    Path
        The HTML file; the figures are in it.
    """
    human, differences = (tables.read(experiment.table(name)) for name in ("human", "human_differences"))
    words, settings = verdict(differences), (experiment.folder / "config.yaml").read_text()
    about = experiment.features().header
    values = dict(
        title=f"{experiment.encoder_name} and {WHOSE.get(experiment.observer, experiment.observer)}",
        verdict=words, colour=style.COLOURS["glocal" if words.startswith("Alignment helped") else "naive"],
        caption=_caption(experiment, human), choice=CHOICES["nested" in experiment.config["alignment"]], version=__version__,
        images=f"{about['n']:,}", triplets=f"{len(experiment.triplets()['all']):,}", encoder=experiment.encoder_name,
        config=settings, transform=str(experiment.transform_path("all", experiment.featured)),
    )  # fmt: skip
    values = {name: html.escape(str(value)) for name, value in values.items()}
    pictures = "".join(_picture(draw.path(experiment, name), name) for name in figures(experiment.config))
    values |= dict(table=_table(_headline(experiment, human)), differences=_table(_differences(differences)), figures=pictures)
    write_text(path, PAGE.substitute(values))
    return path


def verdict(differences, transforms=("glocal", "global")) -> str:
    """In words, which of `transforms` is above the original features and above centring, on held-out objects."""
    rows = differences[differences["metric"] == ACCURACY].set_index(["transform", "versus"])
    compared = {t: [v for v in ("original", "centred", "global") if (t, v) in rows.index] for t in transforms}
    helped = [
        t for t, versus in compared.items() if versus and all(rows.loc[(t, v), "ci_low"] > 0 for v in versus if v != "global")
    ]
    start = "Alignment did not show that it helps." if not helped else "Alignment helped."
    if helped and transforms[0] not in helped:
        start = f"Alignment helped with {' and '.join(style.NAMES[t] for t in helped)}, not with {style.NAMES[transforms[0]]}."
    parts = [f"{style.NAMES[t]} is {'; '.join(_compared(rows.loc[(t, v)], v) for v in vs)}." for t, vs in compared.items() if vs]
    return " ".join([start, "On objects that the fit has not seen,", *parts])


def _compared(row, versus: str) -> str:
    words = "better than" if row["ci_low"] > 0 else "worse than" if row["ci_high"] < 0 else "not to be told from"
    points = _points(*row[["difference", "ci_low", "ci_high"]], "{:+.1f} points [{:+.1f}, {:+.1f}]")
    return f"{words} {style.NAMES[versus]} ({points})"


def _caption(experiment, human) -> str:
    ceiling = human["ceiling"].max()
    known = f"The noise ceiling is {100 * ceiling:.1f} %." if ceiling == ceiling else "The noise ceiling is unknown."
    return f"Odd-one-out accuracy in %, with 95 % intervals over objects; chance is 33.3 %. {known}"


def _headline(experiment, human):
    """Accuracy on held-out objects, also by the nested choice, and the neighbours kept: a row a transform."""
    import pandas as pd

    held = human[human["dataset"].str.startswith("held-out") & (human["metric"] == ACCURACY)].set_index("transform")
    chosen = tables.read(experiment.table("alignment")).query("chosen").rename(columns={"objective": "transform"})
    kept = first_split(chosen).groupby("transform")["neighbour_overlap"].mean()
    inner = tables.read(experiment.table("alignment_nested")).groupby("objective")["odd_one_out"].mean()
    nested = {t: {"chosen on inner folds": f"{100 * value:.1f}"} for t, value in inner.items()}
    rows = [{
        "": style.NAMES[t],
        "accuracy": _points(*held.loc[t, ["value", "ci_low", "ci_high"]], "{:.1f} [{:.1f}, {:.1f}]"),
        "10-NN overlap": f"{100 * kept.get(t, 1.0):.0f}",
    } | nested.get(t, {}) for t in style.order(held.index)]  # fmt: skip
    return pd.DataFrame(rows).fillna("")


def _differences(table):
    rows = table[table["metric"] == ACCURACY]
    text = [_points(*row) for row in rows[["difference", "ci_low", "ci_high"]].to_numpy()]
    names = rows["transform"].map(style.NAMES) + " - " + rows["versus"].map(style.NAMES)
    return rows.assign(**{"": names, "difference": text})[["", "difference"]]


def _points(value, low, high, words="{:+.1f} [{:+.1f}, {:+.1f}]") -> str:
    return words.format(100 * value, 100 * low, 100 * high)


def _table(rows) -> str:
    return rows.to_html(index=False, border=0)


def _picture(path: Path, name: str) -> str:
    content = base64.b64encode(path.read_bytes()).decode()
    return (
        f'<h2>{TITLES[name]}</h2><div class="figure"><img alt="{html.escape(name)}" src="data:image/png;base64,{content}"></div>'
    )
