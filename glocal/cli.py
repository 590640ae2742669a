"""The command line: glocal <command>, or python -m glocal <command>. `glocal --help` lists the commands.

Paths are relative to the current folder. Each command imports its modules when it runs, so that help is immediate and fit,
transform, score and data need no more than numpy, scipy, scikit-learn and torch. Steps of the pipeline: workflow/steps.py.
"""

import os
import sys
import warnings
from importlib import import_module
from pathlib import Path

import click

from glocal import __version__
from glocal.defaults import ALPHA, LAM, TAU
from glocal.errors import GlocalError
from glocal.system.guard import end_with_workflow
from glocal.workflow.steps import STEPS, config_option


def main(argv=None) -> int:
    """Run one command. Returns the exit code: 0, or 2 after one sentence on stderr that names the fix."""
    end_with_workflow()
    # Before torch loads: its threads sleep while they wait for one another. Beside other jobs that halves a fit's CPU time.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
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


first_option = click.option(
    "--first", type=click.IntRange(0, 1), show_default="0, refused if no triplet has object 0",
    help="The number of the first object in files of triplets.",
)  # fmt: skip


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

    Features are what `extract` writes, or a .npy, .npz, .csv, .h5, .safetensors or .pt file of shape (n, p). Triplets are .csv,
    .txt, .npy, .npz or .json files with one triplet a row: the two objects that were kept, then the odd one out, as numbers of
    rows or names of images. `glocal COMMAND --help` explains a command.
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
@click.argument("images")
@click.option("--triplets", metavar="FILE", required=True, help="Odd-one-out choices, as `glocal fit` takes them.")
@click.option("--out", metavar="FOLDER", required=True, help="Features, transforms, tables, figures and report.html.")
@click.option("--encoder", metavar="NAME", default="efficientnet-lite0", help="As for `glocal extract`.")
@first_option
@click.option("--seed", type=int, default=42, help="Seed of the folds.")
@click.option("--device", metavar="DEVICE", default="auto", help="auto (the GPU, where there is one), cpu or cuda.")
def align(images, triplets, out, encoder, first, seed, device):
    """Align an encoder with judgments of images, and report.

    IMAGES: a folder. The settings of naive, global and gLocal are chosen and measured on held-out images, beside the original,
    centred and whitened features. The transform for other images is transforms/own/glocal.npz. The same command resumes.
    """
    from glocal.workflow import own

    print(own.align(images, triplets, out, encoder, first=first, seed=seed, device=device))


@commands.command()
@click.option("--out", metavar="FOLDER", default="demo-run", help="As for `glocal align`, and the images and judgments.")
def demo(out):
    """What align does, on embedded images.

    479 images of OpenMoji (CC BY-SA 4.0), EfficientNet-Lite0 and a simulated observer: nothing is downloaded. Settings are the
    defaults, which real judgments chose.
    """
    from glocal.workflow import own

    print(own.demo(out))


@commands.command()
@click.argument("config")
@click.option("--images", metavar="FOLDER", required=True, help="Images; sub-folders are their classes.")
@click.option("--triplets", metavar="FILE", required=True, help="Odd-one-out choices, as `glocal fit` takes them.")
@click.option("--encoder", metavar="NAME", default="efficientnet-lite0", help="As for `glocal extract`.")
@first_option
def init(config, images, triplets, encoder, first):
    """Write a config of your images for the pipeline.

    CONFIG: a new YAML file, such as mine.yaml, with comments. In the repository, `snakemake -n --configfile mine.yaml` plans it.
    """
    from glocal.workflow import own

    print(own.init(config, images, triplets, encoder, first=first))


@commands.command()
@click.argument("features")
@click.argument("triplets")
@click.option("--out", metavar="FILE", required=True, help="The transform: .npz or .safetensors.")
@click.option("--context", metavar="NPY", show_default="none", help="Features of other images, for the local loss of glocal.")
@click.option("--objective", metavar="NAME", default="glocal", help="naive, global or glocal.")
@click.option("--lam", type=float, default=LAM, help="Weight of the regulariser.")
@click.option("--alpha", type=float, default=ALPHA, help="Share of the local loss; glocal only.")
@click.option("--tau", type=float, default=TAU, help="Temperature of the local loss; glocal only.")
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
@first_option
@click.option(
    "--constant-columns", type=click.Choice(["refuse", "keep"]), default="refuse", help="Columns with one value in all rows."
)
@click.option("--verbose", is_flag=True, show_default="off", help="Show a line of progress.")
def fit(features, triplets, out, context, objective, lam, alpha, tau, lr, recipe, held_out, checkpoint, device, first,
        constant_columns, verbose):  # fmt: skip
    """Learn a transform from features and triplets.

    Its file says which encoder the features are of, if they are what `extract` wrote.
    """
    from glocal.features.published import origin
    from glocal.system.files import refuse_overwriting
    from glocal.transform import GLocalTransform

    if Path(out).suffix not in (".npz", ".safetensors"):  # before the fit, not after it
        raise GlocalError(f"{out}: transforms are saved as .npz or .safetensors; change the suffix.")
    if out.endswith(".safetensors"):
        import_module("safetensors")
    for written in filter(None, (out, checkpoint)):
        refuse_overwriting(written, features, triplets, context, held_out)
    t = GLocalTransform(objective, lam, alpha, tau, recipe=recipe, lr=lr, device=device, constant_columns=constant_columns,
                        verbose=verbose)  # fmt: skip
    keep = constant_columns == "keep"
    context = _features(context, training=True, constant=keep).x if context else None
    table = _features(features, training=True, constant=keep)
    held_out = _triplets(held_out, table, first) if held_out else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what is printed below says whether it converged
        t.fit(table.x, _triplets(triplets, table, first), context=context, held_out=held_out, checkpoint=checkpoint)
    last, end = t.history_[-1], "" if t.converged_ or recipe != "converged" else "; not converged"
    saved = t.save(out, **origin(table.header))
    print(f"{saved}: {len(t.history_)} iterations, triplet loss {last['triplet_loss']:.4f}{end}")


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
    from glocal.features import files, published
    from glocal.system.files import refuse_overwriting, write_array, write_text

    out = Path(out if out.endswith(".npy") else f"{out}.npy")
    refuse_overwriting(out, transform, features)
    table = _features(features)
    with warnings.catch_warnings(record=True, action="always", category=UserWarning) as said:
        z = published.align(transform, table.x, any_scale, table.header)
    write_array(out, z)
    if table.names:
        write_text(out.with_suffix(".csv"), files.names_text(table.names))
    print(f"{out}: {z.shape[0]} x {z.shape[1]}", *(w.message for w in said), sep="\n")


@commands.command()
@click.argument("features")
@click.argument("triplets")
@click.option(
    "--baseline", metavar="FILE", show_default="none", help="Features of the same images to compare with, such as the raw ones."
)
@click.option("--similarity", type=click.Choice(["cosine", "dot"]), default="cosine", help="Similarity of two objects, for both.")
@first_option
def score(features, triplets, baseline, similarity, first):
    """Odd-one-out accuracy of features, also beside a baseline.

    Intervals (95 %) respect that triplets share objects. A gain on the triplets of the fit says nothing: give others, of other
    objects.
    """
    from glocal.evaluation import shared_objects
    from glocal.triplets import score as hits

    table = _features(features)
    rows = _triplets(triplets, table, first)
    right = hits(table.x, rows, similarity)
    mean, low, high = shared_objects.interval(right, rows)
    print(f"odd-one-out accuracy {mean:.4f} [{low:.4f}, {high:.4f}] on {len(rows)} triplets ({similarity}; chance 0.3333)")
    if baseline:
        before = _features(baseline)
        if len(before.x) != len(table.x):
            raise GlocalError(
                f"{baseline}: {len(before.x)} rows, {features} has {len(table.x)}; give features of the same images."
            )
        print(_verdict(right * 1.0 - hits(before.x, rows, similarity), rows, baseline))


def _verdict(difference, rows, baseline) -> str:
    """The paired difference to a baseline, and in words whether it helped."""
    from glocal.evaluation import shared_objects

    mean, low, high = shared_objects.interval(difference, rows)
    helped = "it did not help" if high < 0 else "these triplets do not show that it helps"
    words = "better: it helps" if low > 0 else f"{'worse' if high < 0 else 'no difference'}: {helped}"
    return f"difference to {baseline} {mean:+.4f} [{low:+.4f}, {high:+.4f}]: {words}"


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
def verify(folder):
    """Say which results of a run are stale, altered or gone.

    FOLDER: such as results/clip-b32, whose run.json says what made each file: commit, versions, machine, seconds, and the
    digests of what was read. The exit code is 1 if anything is wrong.
    """
    from glocal.workflow import provenance

    problems = provenance.verify(folder)
    print("\n".join(problems) or f"{folder}: every file is as the run left it, and nothing that it was made of has changed.")
    return int(bool(problems))


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


def _features(path, training: bool = False, constant: bool = False):
    """Features of a file (features.files.Table), checked. For training no column may be constant, unless `constant` is set;
    applied, that is harmless."""

    from glocal import arrays
    from glocal.features import files

    table = files.read(path)
    if training:
        return table._replace(x=arrays.check(table.x, name=path, constant=constant))
    return table._replace(x=arrays.table(table.x, path))


def _triplets(path, features, first=None):
    """Triplets of a file among the rows of features."""
    from glocal import triplet_io

    return triplet_io.read(path, len(features.x), features.names, first)
