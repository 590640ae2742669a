"""Align an encoder with your own judgments of your own images, from the images to a report.

    align("my/images", "triplets.csv", "my-run", encoder="timm:resnet18")

The same functions as those of the pipeline, on a config that is written to the folder of the run.
"""

from pathlib import Path

import yaml

from glocal.evaluation import alignment, nested, odd_one_out, structure
from glocal.features import encoders, jobs
from glocal.features.published import origin
from glocal.reporting import draw, report
from glocal.system import files
from glocal.training import grid_search
from glocal.workflow import triplet_tables
from glocal.workflow.config import check_config
from glocal.workflow.experiment import Experiment

GRID = {
    "naive": {"lam": [1.0, 0.1]},
    "global": {"lam": [3.0, 1.0, 0.3, 0.1]},
    "glocal": {"lam": [1.0, 0.3, 0.1], "alpha": [0.1, 0.5], "tau": [0.1]},
}


def config(
    images, triplets, encoder: str, first: int | None = None, seed: int = 42, device: str = "auto", name: str = "own"
) -> dict:
    """The config of a run with `source: own`.

    Parameters
    ----------
    images : path
        A folder of images; its sub-folders, if it has any, are their classes.
    triplets : path
        A file of `triplet_io.read`.
    encoder : str
        As `glocal extract` takes it.
    first : {0, 1}, optional
        The number of the first object in the file.
    seed : int
    device : str
    name : str
        The profile.

    Returns
    -------
    dict
    """
    judged = {"file": str(Path(triplets).absolute())} | ({} if first is None else {"first": first})
    fit = {"recipe": "converged", "max_iter": 300, "tol": 1.0e-5, "restore_best": False}
    return {
        "profile": name, "observer": "human", "seed": seed, "device": device, "source": "own", "downstream": "folds",
        "triplets": judged,
        "images": {"own": {"kind": "folder", "folder": str(Path(images).absolute())}},
        "encoders": {"own": {"model": encoders.parse(encoder), "objects": "own", "context": {"set": "objects"}}},
        "baselines": ["centred", "whitened"], "shrinkage": 0.5,
        "alignment": {
            "splits": ["object"], "folds": 3, "objectives": list(GRID), "grid": GRID, "kl_tau": 0.1, "nested": {"folds": 2},
            "choose": "triplet_loss + local_kl at kl_tau", "final_fit": "all objects", "fit": fit,
        },
    }  # fmt: skip


def align(images, triplets, out, encoder: str = "efficientnet-lite0", **settings) -> Path:
    """Extract, choose settings, fit, evaluate on held-out objects, and report.

    Parameters
    ----------
    images, triplets, encoder, **settings
        As for `config`.
    out : path
        A folder: config.yaml, features/, tables/, figures/, transforms/ and report.html. A run that was interrupted resumes.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    GlocalError
        For images, triplets or an encoder that cannot be used; before the extraction for triplets.
    """
    folder = Path(out).absolute()
    with files.lock(folder):
        files.clean(folder)
        made = check_config(config(images, triplets, encoder, **settings), "align")
        files.write_text(folder / "config.yaml", yaml.safe_dump(made, sort_keys=False))
        experiment = Experiment(folder / "config.yaml", folder=folder)
        triplet_tables.write(made, folder / "triplets.npz")
        jobs.extract(experiment)
        evaluate(experiment)
        return report.write(experiment, folder / "report.html")


def evaluate(experiment) -> None:
    """Fit, choose and measure; writes transforms, tables and figures."""
    fits = grid_search.run(experiment)
    tables = alignment.evaluate(experiment, fits)
    chosen = grid_search.choose(tables["alignment"], experiment.config["alignment"]["choose"])
    for (fold, name), t in alignment.transforms(experiment, fits, chosen).items():
        experiment.save_transform(fold, name, t, **origin(experiment.features().header))
    tables["alignment_nested"] = nested.evaluate(experiment, tables["alignment"])
    tables["history"] = grid_search.learning_curves(experiment, chosen).assign(kl_tau=grid_search.curve_tau(experiment, chosen))
    tables |= odd_one_out.evaluate(experiment)
    if "structure" in experiment.config:
        tables |= structure.evaluate(experiment)
    for name, table in tables.items():
        experiment.save_table(name, table)
    for name in report.figures(experiment.config):
        draw.save(experiment, name)
