"""Align an encoder with your own judgments of your own images, from the images to a report.

    align("my/images", "triplets.csv", "my-run", encoder="timm:resnet18")
    demo("demo-run")                                 # the same with embedded images and a simulated observer

The same functions as those of the pipeline, on config/own.yaml with your images, judgments and encoder in it.
"""

import re
import shlex
from pathlib import Path

import yaml

from glocal.datasets import image_sets, observer, openmoji
from glocal.defaults import ALPHA, LAM, TAU
from glocal.errors import GlocalError
from glocal.evaluation import alignment, nested, odd_one_out, structure
from glocal.features import encoders, jobs
from glocal.reporting import draw, report
from glocal.system import files, locks
from glocal.system.paths import root, shipped
from glocal.training import grid_search
from glocal.workflow import provenance, triplet_tables
from glocal.workflow.config import check_config
from glocal.workflow.experiment import Experiment

OUTPUTS = (".csv", ".html", ".json", ".npy", ".npz", ".png", ".svg", ".yaml")


def text(
    images, triplets, encoder: str, first: int | None = None, seed: int = 42, device: str = "auto", name: str = "own"
) -> str:
    """config/own.yaml, with its comments, about your images, triplets and encoder.

    images: a folder of images, whose sub-folders, if it has any, are their classes. triplets: a file of `triplet_io.read`;
    first: the number of the first object in it. encoder: as `glocal extract` takes it. name: the profile.
    """
    judged, model = {"file": str(triplets)} | ({} if first is None else {"first": first}), encoders.parse(encoder)
    key = re.sub(r"[^A-Za-z0-9_-]+", "-", model.get("model") or model["source"]).strip("-") or "encoder"
    content = shipped("config/own.yaml").read_text(encoding="utf-8")
    for example, yours in {
        "profile: own": f"profile: {name}", "seed: 42": f"seed: {seed}", "device: auto": f"device: {device}",
        "{file: my-triplets.csv}": _flow(judged), "{source: timm, model: resnet18}": _flow(model), "  resnet18:": f"  {key}:",
        "{kind: folder, folder: my-images}": _flow({"kind": "folder", "folder": str(images)}),
    }.items():  # fmt: skip
        content = content.replace(example, yours, 1)
    return content


def _flow(value: dict) -> str:
    """A section in one line of YAML."""
    return yaml.safe_dump(value, default_flow_style=True, sort_keys=False, allow_unicode=True, width=10_000).strip()


def config(images, triplets, encoder: str, **settings) -> dict:
    """The config of `align`: that of `text`, with absolute paths, the encoder "own", and only the alignment.

    images, triplets, encoder, settings: as for `text`.
    """
    made = yaml.safe_load(text(Path(images).absolute(), Path(triplets).absolute(), encoder, **settings))
    made["encoders"] = {"own": next(iter(made["encoders"].values()))}
    return {field: value for field, value in made.items() if field != "few_shot"}


def init(path, images, triplets, encoder: str = "efficientnet-lite0", **settings) -> Path:
    """Write a commented config for the pipeline.

    Parameters
    ----------
    path : path
        A file that does not exist; the profile has its name.
    images, triplets, encoder, **settings
        As for `text`. Classes too small for few-shot classification leave it out.

    Returns
    -------
    Path

    Raises
    ------
    GlocalError
        If the file exists, for an unsuitable name, and for images or triplets that cannot be used.
    """
    path = Path(path)
    if path.exists():
        raise GlocalError(f"{path}: exists, and would be overwritten; give another name.")
    images, triplets = (
        p.relative_to(root()) if p.is_relative_to(root()) else p for p in (Path(images).resolve(), Path(triplets).resolve())
    )
    content = text(images, triplets, encoder, name=path.stem, **settings)
    content = content.replace("--configfile config/own.yaml", f"--configfile {shlex.quote(str(path))}", 1)
    made = check_config(yaml.safe_load(content), str(path))
    triplet_tables.make(made)
    classes = image_sets.image_set(made["images"]["my-images"]).rows["class"].value_counts()
    if (classes >= made["alignment"]["folds"] * made["few_shot"]["tasks"]["classes"]["min_per_class"]).sum() < 2:
        content = content[: content.index("\nfew_shot:")]
    files.write_text(path, content)
    return path


def align(images, triplets, out, encoder: str = "efficientnet-lite0", **settings) -> Path:
    """Extract, choose settings, fit, evaluate on held-out objects, and report.

    Parameters
    ----------
    images, triplets, encoder, **settings
        As for `text`.
    out : path
        A folder: config.yaml, features/, tables/, figures/, transforms/, report.html, and run.json for `glocal verify`. A run
        that was interrupted resumes.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    GlocalError
        For images, triplets or an encoder that cannot be used; before the extraction for triplets.
    """
    return _run(config(images, triplets, encoder, **settings), out)


def demo(out) -> Path:
    """`align` on every third image of OpenMoji, with a simulated observer and the default settings: nothing is downloaded.

    Parameters
    ----------
    out : path
        As for `align`; also images/ and judgments.csv.

    Returns
    -------
    Path
        The report.
    """
    folder, drawn = Path(out).absolute(), openmoji.emojis().iloc[::3]
    images, judgments = openmoji.save_images(drawn, folder / "images"), folder / "judgments.csv"
    judged = drawn["code"].to_numpy()[observer.judge(drawn, m=60_000)]
    files.write_text(judgments, "kept,kept,odd\n" + "".join(f"{','.join(row)}\n" for row in judged))
    made = config(images, judgments, "efficientnet-lite0") | {"observer": "simulated observer"}
    made["alignment"]["grid"] = {"naive": {"lam": [LAM]}, "global": {"lam": [LAM]},
                                 "glocal": {"lam": [LAM], "alpha": [ALPHA], "tau": [TAU]}}  # fmt: skip
    made["alignment"].pop("nested", None)  # nothing is chosen
    made["alignment"]["fit"]["tol"] = 1.0e-4  # a demonstration: a looser tolerance
    return _run(made, folder)


def _run(made: dict, out) -> Path:
    """The whole of `align`, for its config."""
    folder = Path(out).absolute()
    with locks.only_writer(folder):
        files.clean(folder)
        whole = yaml.safe_dump(check_config(made, "align"), sort_keys=False, default_flow_style=None, width=100)
        files.write_text(folder / "config.yaml", whole)
        experiment = Experiment(folder / "config.yaml", folder=folder)
        triplet_tables.write(made, folder / "triplets.npz")
        jobs.extract(experiment)
        evaluate(experiment)
        written = report.write(experiment, folder / "report.html")
        _record(made, folder)
    return written


def _record(made: dict, folder: Path) -> None:
    """What `glocal verify` compares: the judgments and the images, and all that was made of them."""
    inputs = [Path(made["triplets"]["file"]), *image_sets.image_set(made["images"]["my-images"]).items]
    outputs = [p for p in sorted(folder.rglob("*.*")) if p.suffix in OUTPUTS and p not in inputs and p.name != "run.json"]
    provenance.record(folder, {"align": (inputs, [p.relative_to(folder) for p in outputs], None)})


def evaluate(experiment) -> None:
    """Fit, choose and measure; writes transforms, tables and figures."""
    import matplotlib.pyplot as plt

    fits = grid_search.run(experiment)
    tables = alignment.evaluate(experiment, fits)
    chosen = grid_search.choose(tables["alignment"], experiment.config["alignment"]["choose"])
    alignment.save(experiment, fits, chosen)
    tables["alignment_nested"] = nested.evaluate(experiment, tables["alignment"])
    tables["history"] = grid_search.learning_curves(experiment, chosen).assign(kl_tau=grid_search.curve_tau(experiment, chosen))
    tables |= odd_one_out.evaluate(experiment)
    if "structure" in experiment.config:
        tables |= structure.evaluate(experiment)
    for name, table in tables.items():
        experiment.save_table(name, table)
    for name in report.figures(experiment.config):
        plt.close(draw.save(experiment, name))  # a notebook would show it
