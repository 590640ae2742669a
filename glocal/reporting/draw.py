"""Every figure of a profile from its tables: a function each, that reads what `figures` draws.

    draw.save(experiment, "few_shot")        # results/<profile>/figures/few_shot-<encoder>.png

Apart from tables only thumbnails need the images themselves, and go without where these are not at hand.
"""

from functools import partial

import yaml

from glocal.evaluation import alignment as alignment_tables
from glocal.evaluation import anomaly as anomaly_tables
from glocal.reporting import (
    encoders,
    figures,
    human_figures,
    image_figures,
    judgment_figures,
    names,
    style,
    tables,
    task_figures,
    thumbnails,
    trade_off_figures,
)
from glocal.reporting.overview import overview as draw_overview
from glocal.system.files import seal
from glocal.system.paths import resolve
from glocal.training.parameters import SGD

REAL = "clip-b32"  # the profile, and its encoder, whose committed tables stand beside the demo's images in the README's figure
# Figures without the observer's name below: they need none, or have it.
UNNAMED = ("features", "pictures", "overview", "teaser", "published_spectra")


def save(experiment, name: str):
    """Draw the figure `name` of an experiment (workflow.experiment.Experiment), write it, and return it."""
    fig = FIGURES[name](experiment)
    style.save(fig, path(experiment, name), "human" if name in UNNAMED else experiment.observer)
    seal(path(experiment, name))
    return fig


def path(experiment, name: str):
    """Where a figure is: those of a whole profile by their names, the others with the encoder's."""
    return experiment.figure(name if name in OF_PROFILE else f"{name}-{experiment.encoder}")


def features(e):
    return figures.features(_read(e, "cosines"), e.encoder)


def title(e) -> str:
    """The encoder by its published name, else by its source, and who judged."""
    return names.judged(e.encoder if e.encoder in names.ENCODERS else e.encoder_name, e.observer)


def pictures(e):
    rows = e.features().rows
    return image_figures.images(rows, thumbnails.of(e, "objects", rows))


def alignment(e):
    table, ceiling = _read(e, "alignment"), e.noise_ceiling(f"{e.folds[0]}-test")
    return figures.alignment(table, alignment_tables.means(table), ceiling, title(e))


def grid(e):
    return figures.grid(alignment_tables.means(_read(e, "alignment")))


def training(e):
    return figures.training(_read(e, "history"), step(e))


def few_shot(e):
    return task_figures.few_shot(_read(e, "few_shot"), _read(e, "few_shot_gains"), accuracy(e))


def anomaly_classes(e):
    return task_figures.anomaly_classes(anomaly_tables.by_class(_read(e, "anomaly"), ["naive", e.featured]))


def anomaly_moved(e):
    moved = _read(e, "anomaly_moved")
    return image_figures.anomaly_moved(moved, thumbnails.of(e, moved["dataset"].iloc[0], moved))


def overview(e, gains=None, story: str = ""):
    """The layout of this experiment, and the gains of its encoder, or those of another, from `encoders.table`, titled `story`."""
    layout, spec = _read(e, "layout"), next(iter(e.config["structure"]["sets"].items()))
    images = thumbnails.of(e, spec[1]["images"]["set"], layout[layout["transform"] == "original"])
    if gains is None:
        gains = encoders.table({e.folder: e.config})
    own = title(e)
    mine = gains[gains["encoder"] == e.encoder] if not story else gains
    return draw_overview(layout, images, mine, f"{names.dataset(spec[0])} by t-SNE: {own}", story or own)


def teaser(e):
    config = yaml.safe_load(resolve(f"config/{REAL}.yaml").read_text())
    gains = encoders.table({resolve(f"figures/{REAL}/tables"): config})
    return overview(e, gains[gains["encoder"] == REAL], names.judged(REAL, config["observer"]))


def published_spectra(e):
    read = lambda name: tables.read(e.folder / f"{name}.csv")
    return human_figures.published(read("published_matrices"), read("published_spectra"))


def _of_tables(function, made_of, e):
    return function(*(_read(e, name) for name in made_of))


OF_TABLES = {  # figures of an encoder's tables alone: the function, and the tables that it takes
    "human": (figures.human, ["human"]),
    "human_similarity": (human_figures.human_similarity, ["human_similarity"]),
    "human_calibration": (human_figures.calibration, ["human_calibration", "human_calibration_curve"]),
    "human_groups": (human_figures.groups, ["human_groups"]),
    "few_shot_curves": (task_figures.few_shot_curves, ["few_shot", "few_shot_gains"]),
    "few_shot_classes": (task_figures.few_shot_classes, ["few_shot_changes"]),
    "anomaly": (task_figures.anomaly, ["anomaly_summary"]),
    "structure": (figures.structure, ["structure"]),
    "similarity": (figures.similarity, ["similarity"]),
    "distances": (figures.distances, ["similarity"]),
    "data_efficiency": (judgment_figures.data_efficiency, ["data_efficiency"]),
    "controls": (judgment_figures.controls, ["controls"]),
    "trade_off": (trade_off_figures.trade_off, ["trade_off", "trade_off_differences"]),
}
OF_PROFILE = {f.__name__: f for f in (pictures, overview, teaser, published_spectra)}
FIGURES = OF_PROFILE | {name: partial(_of_tables, *made) for name, made in OF_TABLES.items()}
FIGURES |= {f.__name__: f for f in (features, alignment, grid, training, few_shot, anomaly_classes, anomaly_moved)}


def accuracy(experiment) -> str:
    """What the few-shot accuracy is."""
    return "balanced accuracy" if experiment.config["few_shot"]["balanced"] else "accuracy"


def step(experiment) -> str:
    """What an iteration of a fit is."""
    return "epoch" if experiment.config["alignment"]["fit"]["recipe"] in SGD else "L-BFGS iteration"


def _read(experiment, name: str):
    return tables.read(experiment.table(name))
