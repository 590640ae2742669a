"""The command line: glocal <command>, or python -m glocal <command>. `glocal --help` lists the commands.

Paths are relative to the current folder. Each command imports its modules when it runs, so that help is immediate and fit,
transform, score and data need no more than numpy, scipy, scikit-learn and torch. Steps of the pipeline: workflow/steps.py.
"""

import json
import sys
from importlib import import_module
from pathlib import Path

import click

from glocal import __version__
from glocal.errors import GlocalError
from glocal.workflow.steps import STEPS, config_option


def main(argv=None) -> int:
    """Run one command. Returns the exit code: 0, or 2 after one sentence on stderr that names the fix."""
    try:
        return commands.main(argv, "glocal", standalone_mode=False) or 0
    except click.Abort:
        return 130  # interrupted from the keyboard
    except (GlocalError, click.ClickException) as error:
        reason = _usage(error) if isinstance(error, click.UsageError) else str(error)
    except ModuleNotFoundError as error:
        if (error.name or "glocal").split(".")[0] == "glocal":
            raise
        reason = f'this command needs the package {error.name}; run `pip install "glocal[pipeline]"`.'
    print(f"glocal: {reason}", file=sys.stderr)
    return 2


def _usage(error: click.UsageError) -> str:
    """The error of a command line, in one line."""
    where = error.ctx.command_path if error.ctx else "glocal"
    return f"{' '.join(error.format_message().split()).rstrip('.')}; see `{where} --help`."


class Sections(click.Group):
    """A group that lists its commands in the order of the file, the steps of the pipeline in a separate section."""

    def format_commands(self, ctx, formatter):
        own = [name for name in self.commands if name not in STEPS]
        for title, names in {"Commands": own, "Steps of the pipeline, run by Snakemake": STEPS}.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(80)) for name in names])


@click.group(
    cls=Sections,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "show_default": True, "max_content_width": 120},
)
@click.version_option(__version__, prog_name="glocal")
@click.pass_context
def commands(ctx):
    """Align a network's features with human odd-one-out judgments, and preserve their neighbourhoods.

    \b
    glocal extract my/images --encoder timm:resnet18 --out features
    glocal fit features.npy triplets.csv --context features.npy --out transform.npz
    glocal transform transform.npz features.npy --out aligned
    glocal score aligned.npy triplets.csv

    Features are .npy files of shape (n, p). Triplets are .npy, .csv or .txt files with one triplet a row: the two objects
    that were kept, then the odd one out, counted from 0. `glocal COMMAND --help` explains a command.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


@commands.command()
@click.argument("images")
@click.option("--out", metavar="STEM", required=True, help="Where to write: STEM.npy, STEM.csv and STEM.json.")
@click.option(
    "--encoder", metavar="NAME", default="efficientnet-lite0",
    help="efficientnet-lite0, timm:MODEL, torchvision:MODEL, open_clip:MODEL:WEIGHTS, or my_module:function.",
)  # fmt: skip
@click.option("--layer", metavar="NAME", show_default="the last before the classifier", help="Module of the network to read.")
@click.option("--token", type=click.Choice(["cls", "mean"]), show_default="none", help="Which token of a layer of tokens.")
@click.option("--labels", metavar="CSV", show_default="none", help="Labels of the images, by the column `picture`.")
@click.option("--skip-broken", is_flag=True, show_default="off", help="Leave out images that cannot be read, and list them.")
@click.option("--batch", type=click.IntRange(min=1), metavar="N", default=32, help="Images at a time.")
@click.option("--dtype", type=click.Choice(["float32", "float16"]), default="float32", help="Type of the stored numbers.")
@click.option("--device", metavar="DEVICE", show_default="cuda if there is one, else cpu", help="Where the network runs.")
def extract(images, out, encoder, layer, token, labels, skip_broken, batch, dtype, device):
    """Features of images by an encoder.

    IMAGES: a folder, a csv that lists images in its column `picture`, or an image set of data/image_sets.csv. An interrupted
    extraction resumes with the same command.
    """
    from glocal.datasets import image_sets
    from glocal.features import encoders, jobs

    spec = image_sets.parse_spec(images, labels, skip_broken)
    e = encoders.encoder(encoder, device, layer, token)
    features = jobs.image_features(e, image_sets.image_set(spec, images), Path(out).absolute(), batch=batch, dtype=dtype)
    print(f"{out}.npy, .csv, .json: {features.x.shape[0]} images x {features.x.shape[1]} features")


@commands.command()
@click.argument("features")
@click.argument("triplets")
@click.option("--out", metavar="FILE", required=True, help="The transform: .npz or .safetensors.")
@click.option("--context", metavar="NPY", show_default="none", help="Features of other images, for the local loss of glocal.")
@click.option("--objective", metavar="NAME", default="glocal", help="naive, global or glocal.")
@click.option("--lam", type=float, default=0.1, help="Weight of the regulariser.")
@click.option("--alpha", type=float, default=0.1, help="Share of the local loss; glocal only.")
@click.option("--tau", type=float, default=0.1, help="Temperature of the local loss; glocal only.")
@click.option("--lr", type=float, default=1e-3, help="Learning rate; recipes paper and authors.")
@click.option(
    "--recipe", type=click.Choice(["converged", "paper", "authors"]), default="converged",
    help="Full-batch L-BFGS until it converges, the authors' schedule, or all that their code does.",
)  # fmt: skip
@click.option(
    "--held-out", metavar="FILE", show_default="none", help="Triplets to evaluate while fitting; the best weights are restored."
)
@click.option("--checkpoint", metavar="FILE", show_default="none", help="A fit of recipe paper resumes from this file.")
@click.option(
    "--device", metavar="DEVICE", default="auto", help="auto (the GPU, where there is one), cpu, cuda or cuda:<number>."
)
@click.option("--verbose", is_flag=True, show_default="off", help="Show a line of progress.")
def fit(features, triplets, out, context, objective, lam, alpha, tau, lr, recipe, held_out, checkpoint, device, verbose):
    """Learn a transform from features and triplets."""
    from glocal.system.files import refuse_overwriting
    from glocal.transform import GLocalTransform

    if Path(out).suffix not in (".npz", ".safetensors"):  # before the fit, not after it
        raise GlocalError(f"{out}: transforms are saved as .npz or .safetensors; change the suffix.")
    if out.endswith(".safetensors"):
        import_module("safetensors")
    for written in filter(None, (out, checkpoint)):
        refuse_overwriting(written, features, triplets, context, held_out)
    t = GLocalTransform(objective, lam, alpha, tau, recipe=recipe, lr=lr, device=device, verbose=verbose)
    context = _features(context, training=True) if context else None
    held_out = _triplets(held_out) if held_out else None
    x, table = _features(features, training=True), _triplets(triplets)
    t.fit(x, table, context=context, held_out=held_out, checkpoint=checkpoint)
    last = t.history_[-1]
    print(f"{t.save(out)}: {len(t.history_)} iterations, triplet loss {last['triplet_loss']:.4f}")


@commands.command()
@click.argument("transform")
@click.argument("features")
@click.option("--out", metavar="NPY", required=True, help="The aligned features.")
@click.option("--any-scale", is_flag=True, show_default="off", help="Accept features on another scale than those of the fit.")
def transform(transform, features, out, any_scale):
    """Apply a transform to features.

    TRANSFORM: a file, or one of the authors' by its name in data/registry.csv, such as published-clip_ViT-L-14. Features of
    another model are refused.
    """
    from glocal.features import published
    from glocal.system.files import refuse_overwriting, write_array

    out = Path(out if out.endswith(".npy") else f"{out}.npy")
    refuse_overwriting(out, transform, features)
    z = published.align(transform, _features(features), any_scale, _header(features))
    write_array(out, z)
    print(f"{out}: {z.shape[0]} x {z.shape[1]}")


@commands.command()
@click.argument("features")
@click.argument("triplets")
@click.option("--similarity", type=click.Choice(["dot", "cosine"]), default="dot", help="Similarity of two objects.")
def score(features, triplets, similarity):
    """Odd-one-out accuracy of features."""
    from glocal.triplets import accuracy, check

    x = _features(features)
    rows = check(_triplets(triplets), len(x))
    print(f"odd-one-out accuracy {accuracy(x, rows, similarity):.4f} on {len(rows)} triplets (chance 0.3333)")


@commands.command()
@click.argument("features")
@click.option("--out", metavar="FILE", required=True, help=".h5, .hdf5 or .safetensors.")
def export(features, out):
    """Extracted features as HDF5 or safetensors."""
    from glocal.features.export import export
    from glocal.system.files import refuse_overwriting

    refuse_overwriting(out, features)
    print(export(Path(features.removesuffix(".npy")).absolute(), out))


@commands.command()
@click.argument("names", nargs=-1)
@click.option("--fetch", is_flag=True, show_default="off", help="Download them to data/, and show where they are.")
def data(names, fetch):
    """List the public files, or download them.

    NAMES: of data/registry.csv; without a name, all. Downloads are verified, and stored in data/ of the repository, or of the
    current folder outside it; files below the folder that GLOCAL_MIRROR names are not downloaded.
    """
    from glocal.datasets import registry

    for name in names or registry.registry():
        row = registry.entry(name)
        where = registry.fetch(name) if fetch else ""
        print(f"{name:28} {int(row['bytes']):>10,} bytes  {row['licence']:.40}  {where}")


@commands.command()
@config_option
def plan(config):
    """What a config downloads, and what must be fetched by hand."""
    from glocal.workflow import plan
    from glocal.workflow.config import load_config

    print(plan.show(load_config(config)))


@commands.command()
@click.argument("folder")
@click.option("--encoder", metavar="NAME", required=True, help="An encoder of the tables.")
@click.option("--out", metavar="FILE", required=True, help="The page, as Markdown.")
def replication(folder, encoder, out):
    """Compare the numbers of a run with the paper's.

    FOLDER: with the tables of the run, such as results/clip-b32.
    """
    from glocal.reporting import comparison
    from glocal.system.files import write_text

    write_text(out, comparison.page(Path(folder), encoder))


for step in STEPS.values():
    commands.add_command(step)


def _features(path, training: bool = False):
    """(n, p) of a .npy file, memory-mapped. For training no column may be constant; for application that is harmless."""
    import numpy as np

    from glocal import arrays

    try:
        x = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise GlocalError(f"{path}: cannot be read as features ({reason}); give a .npy file of shape (n, p).") from None
    return arrays.check(x, name=path) if training else arrays.finite(arrays.as_table(np.asarray(x), None, path), path)


def _header(path) -> dict:
    """The metadata that `extract` wrote next to a .npy; empty if there is none."""
    try:
        header = json.loads(Path(path).with_suffix(".json").read_text())
    except (OSError, ValueError):
        return {}
    return header if isinstance(header, dict) else {}


def _triplets(path):
    from glocal import triplets

    return triplets.read(path)
