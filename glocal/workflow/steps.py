"""The steps of the pipeline as commands: Snakemake's rules call them, and `glocal --help` lists them in a separate section."""

from pathlib import Path

import click

from glocal.errors import GlocalError, require
from glocal.system.paths import located, resolve

config_option = click.option(
    "--config", metavar="YAML", default="config/demo.yaml",
    help="A file of the current folder, else of the repository, else of the package.",
)  # fmt: skip


@click.command()
@config_option
@click.option("--out", metavar="NPZ", required=True, help="The tables; their metadata are written to a .json of the same name.")
def triplets(config, out):
    """The triplet tables of a config: all, and each fold's."""
    from glocal.workflow import triplet_tables
    from glocal.workflow.config import load_config

    tables = triplet_tables.write(load_config(config), Path(out))
    for name, table in tables.items():
        print(f"{name:18} {len(table):>8,} triplets")


@click.command("run-notebook")
@click.argument("notebook")
@click.argument("executed")
@click.option("-p", "--parameter", type=(str, str), multiple=True, metavar="NAME VALUE", show_default="the notebook's defaults",
              help="Set a parameter of the notebook; may be repeated.")  # fmt: skip
@click.option("--threads", type=int, metavar="N", default=0, help="Threads that it may use; 0: as many as there are.")
@click.option("--gpus", type=int, metavar="N", default=0, help="1: where there are several GPUs, one that no other step has.")
def run_notebook(notebook, executed, parameter, threads, gpus):
    """Run a notebook with parameters.

    NOTEBOOK, EXECUTED: the notebook and the copy with its outputs, from the repository root.
    """
    from glocal.workflow import notebooks

    notebooks.run(notebook, executed, dict(parameter), threads, gpus)


@click.command()
@click.argument("folders", nargs=-1, required=True)
@click.option("--table", "names", metavar="NAME", multiple=True, required=True, help="A table of each; may be repeated.")
@click.option("--out", metavar="FOLDER", required=True, help="Where the tables of all encoders are written.")
def gather(folders, names, out):
    """Join the encoders' tables.

    FOLDERS: such as results/demo/tables/efficientnet-lite0, an encoder's each.
    """
    from glocal.reporting import tables

    for name in names:
        tables.gather([Path(folder, f"{name}.csv") for folder in folders], Path(out, f"{name}.csv"))


@click.command()
@click.argument("folder")
@click.argument("target")
def publish(folder, target):
    """Copy the figures and tables of a run to the folder in git.

    FOLDER, TARGET: such as results/clip-b32 and figures/clip-b32, where index.md shows them.
    """
    from glocal.reporting import gallery, tables
    from glocal.system.files import write_text
    from glocal.workflow.config import load_config

    copied = tables.publish(Path(folder), Path(target))
    write_text(Path(target, "index.md"), gallery.index(Path(target), load_config(Path(folder, "config.yaml"))))
    print(f"{target}: {len(copied)} figures and tables")


@click.command()
@click.argument("names", nargs=-1, required=True)
@config_option
@click.option("--encoder", metavar="NAME", show_default="the config's first", help="An encoder of the config.")
def draw(names, config, encoder):
    """Draw figures from the tables of a run.

    NAMES: such as features, few_shot or overview.
    """
    import matplotlib.pyplot as plt

    from glocal.reporting import draw
    from glocal.workflow.experiment import Experiment

    plt.switch_backend("Agg")
    experiment = Experiment(config, encoder)
    for name in names:
        require(name, draw.FIGURES, f'"{name}": no such figure')
        plt.close(draw.save(experiment, name))
        print(draw.path(experiment, name))


@click.command()
@config_option
def report(config):
    """Print the headline table of a finished run."""
    from glocal.reporting import tables
    from glocal.workflow.config import load_config

    config = load_config(config)
    folder = resolve("results") / config["profile"]
    steps = ["alignment", "human", *(name for name in ("few_shot", "anomaly", "structure") if name in config)]
    if all((folder / f"{name}.csv").exists() for name in steps):
        print(tables.show(config, folder))


@click.command()
@config_option
@click.option("--out", metavar="FOLDER", show_default="report/ of the run", help="Where to write; index.html is the first page.")
def site(config, out):
    """The report of a run as a folder of pages.

    Of what the run has made so far. A browser opens it from disk.
    """
    from glocal.reporting import site
    from glocal.workflow import plan
    from glocal.workflow.config import load_config

    config = load_config(config)
    folder = resolve("results") / config["profile"]
    print(site.write(folder, Path(out) if out else folder / "report", config, plan.sources(config)))


@click.command("published")
@click.option("--out", metavar="CSV", required=True, help="The table: one row a measure and transform.")
@click.option("--matrices", metavar="CSV", required=True, help="A table of all published transforms beside c I.")
@click.option("--spectra", metavar="CSV", required=True, help="A table of their singular values.")
def published(out, matrices, spectra):
    """Measure and describe the published transforms."""
    from glocal.evaluation import published_transforms
    from glocal.system.files import write_table

    for path, described in zip((matrices, spectra), published_transforms.matrices(), strict=True):
        write_table(Path(path), described)

    table = published_transforms.evaluate()
    write_table(Path(out), table)
    print(table.to_string(index=False, float_format="{:.4f}".format))


@click.command("encoders")
@click.argument("folder", default="figures")
@click.option("--out", metavar="STEM", default="figures/encoders", help="Writes STEM.csv, STEM.png and STEM_anomaly.png.")
def encoders(folder, out):
    """Draw the encoders of all published profiles.

    A table and two figures: what maps gain in alignment, and downstream. FOLDER: has a folder of each profile, with its tables.
    A profile counts if config/<profile>.yaml says that people judged.
    """
    import matplotlib

    from glocal.reporting import encoder_figure, style
    from glocal.reporting import encoders as of_encoders
    from glocal.system.files import replacing
    from glocal.workflow.config import load_config

    matplotlib.use("Agg")
    named = {path: f"config/{path.parent.name}.yaml" for path in sorted(Path(folder).glob("*/tables"))}
    configs = {path: load_config(config) for path, config in named.items() if located(config).is_file()}
    profiles = {path: config for path, config in configs.items() if config["observer"] == "human"}
    if not profiles:
        raise GlocalError(f"{folder}: no published tables of human judgments; run `snakemake publish` with their config.")
    table = of_encoders.table(profiles)
    with replacing(Path(f"{out}.csv")) as draft:
        table.to_csv(draft, index=False, lineterminator="\n")
    style.save(encoder_figure.encoders(table), f"{out}.png")
    style.save(encoder_figure.anomaly(profiles), f"{out}_anomaly.png")
    print(f"{out}.csv, .png: {', '.join(path.parent.name for path in profiles)}")


STEPS = {str(step.name): step for step in (triplets, run_notebook, gather, draw, publish, report, site, published, encoders)}
