"""The command line: python -m glocal <command>.

extract     pictures through an encoder           python -m glocal extract pictures/ --encoder timm:resnet18 --out features
fit         learn a transform from files          python -m glocal fit features.npy triplets.csv --out t.npz
transform   apply one                             python -m glocal transform t.npz features.npy --out aligned.npy
score       odd-one-out accuracy of features      python -m glocal score features.npy triplets.csv
export      features as HDF5 or safetensors       python -m glocal export features --out features.h5
data        list the public files, fetch them     python -m glocal data --fetch
plan        what a config downloads and needs     python -m glocal plan --config config/paper.yaml
replication our numbers beside the paper's        python -m glocal replication results/clip-b32 --encoder clip-b32 --out page.md
triplets, run-notebook, gather, publish, report   steps of the pipeline, called by Snakemake
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from glocal.errors import GlocalError
from glocal.system.files import refuse_overwriting, replacing, seal, write_array, write_text
from glocal.system.paths import resolve
from glocal.workflow.config import load_config


def main(argv=None) -> int:
    """Run one command. Returns the exit code: 0, or 2 after printing one sentence about what to mend."""
    args = _parser().parse_args(argv)
    try:
        args.command(args)
    except GlocalError as error:
        print(f"glocal: {error}", file=sys.stderr)
        return 2
    return 0


def extract(args):
    from glocal.datasets import image_sets
    from glocal.features import jobs
    from glocal.features.encoders import encoder

    spec = image_sets.named(args.images, args.labels, args.skip_broken)
    e = encoder(args.encoder, args.device, args.layer, args.token)
    images, stem = image_sets.image_set(spec, args.images), Path(args.out).absolute()
    found = jobs.image_features(e, images, stem, batch=args.batch, dtype=args.dtype)
    print(f"{args.out}.npy, .csv, .json: {found.x.shape[0]} pictures x {found.x.shape[1]} features")


def fit(args):
    from glocal.transform import GLocalTransform

    if Path(args.out).suffix not in (".npz", ".safetensors"):  # before the fit, not after it
        raise GlocalError(f"{args.out}: transforms are saved as .npz or .safetensors; change the suffix.")
    inputs = (args.features, args.triplets, args.context, args.held_out)
    for written in filter(None, (args.out, args.checkpoint)):
        refuse_overwriting(written, *inputs)
    t = GLocalTransform(args.objective, args.lam, args.alpha, args.tau, recipe=args.recipe, lr=args.lr, verbose=args.verbose)
    context = _features(args.context, training=True) if args.context else None
    held_out = _triplets(args.held_out) if args.held_out else None
    x, table = _features(args.features, training=True), _triplets(args.triplets)
    t.fit(x, table, context=context, held_out=held_out, checkpoint=args.checkpoint)
    last = t.history_[-1]
    print(f"{t.save(args.out)}: {len(t.history_)} iterations, triplet loss {last['triplet_loss']:.4f}")


def transform(args):
    from glocal.features import published

    out = Path(args.out if args.out.endswith(".npy") else f"{args.out}.npy")
    refuse_overwriting(out, args.transform, args.features)
    z = published.align(args.transform, _features(args.features), args.any_scale, _header(args.features))
    write_array(out, z)
    print(f"{out}: {z.shape[0]} x {z.shape[1]}")


def score(args):
    from glocal import triplets

    x = _features(args.features)
    rows = triplets.check(_triplets(args.triplets), len(x))
    print(f"odd-one-out accuracy {triplets.accuracy(x, rows, args.similarity):.4f} on {len(rows)} triplets (chance 0.3333)")


def export(args):
    from glocal.features.export import export

    refuse_overwriting(args.out, args.features)
    print(export(Path(args.features.removesuffix(".npy")).absolute(), args.out))


def plan(args):
    from glocal.workflow import plan

    print(plan.show(load_config(args.config)))


def data(args):
    from glocal.datasets import registry

    for name in args.names or registry.registry():
        row = registry.entry(name)
        where = registry.fetch(name) if args.fetch else ""
        print(f"{name:28} {int(row['bytes']):>10,} bytes  {row['licence']:.40}  {where}")


def triplets(args):
    config = load_config(args.config)
    if config["source"] == "demo":
        from glocal.datasets import observer as source
    else:
        from glocal.datasets import judgments as source
    tables, about = source.tables(config["alignment"]["splits"], config["alignment"]["folds"], config["seed"])
    out = Path(args.out)
    write_text(out.with_suffix(".json"), json.dumps(about, indent=1) + "\n")
    seal(out.with_suffix(".json"))
    with replacing(out) as draft:
        np.savez_compressed(draft, **{k: v.astype(np.int32) for k, v in tables.items()})
        seal(draft, out)
    for name, table in tables.items():
        print(f"{name:18} {len(table):>8,} triplets")


def run_notebook(args):
    from glocal.workflow import notebooks

    notebooks.run(args.notebook, args.executed, {k: _value(v) for k, v in args.parameter or []}, args.threads)


def gather(args):
    from glocal.reporting import tables

    tables.gather(args.parts, args.out)


def replication(args):
    from glocal.reporting import comparison

    write_text(args.out, comparison.page(resolve(args.folder), args.encoder))


def publish(args):
    from glocal.reporting import tables

    print(f"{args.target}: {len(tables.publish(resolve(args.folder), resolve(args.target)))} figures and tables")


def report(args):
    from glocal.reporting import tables

    config = load_config(args.config)
    folder = resolve("results") / config["profile"]
    if all((folder / f"{name}.csv").exists() for name in tables.TABLES):
        print(tables.show(config, folder))


def _features(path, training: bool = False):
    """(n, p) of a .npy file, memory-mapped. For training no column may be constant; for use that does no harm."""
    from glocal import arrays

    try:
        x = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError) as error:
        reason = " ".join(str(error).split())
        raise GlocalError(f"{path}: cannot be read as features ({reason}); give a .npy file of shape (n, p).") from None
    return arrays.check(x, name=path) if training else arrays.finite(arrays.as_table(np.asarray(x), None, path), path)


def _header(path) -> dict:
    """What `extract` wrote beside a .npy; nothing for a bare one."""
    try:
        found = json.loads(Path(path).with_suffix(".json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _triplets(path):
    from glocal import triplets

    return triplets.read(Path(path).absolute())  # like the features: from where the command is typed


def _value(text: str):
    """A parameter from the command line: a number if it is one, else text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def _positive(text: str) -> int:
    if not (text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text} is no whole number above 0")
    return int(text)


def _parser():
    parser = argparse.ArgumentParser(prog="glocal", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True, metavar="command")

    def command(function, *arguments, name=None):
        p = commands.add_parser(name or function.__name__)
        p.set_defaults(command=function)
        for flags, options in arguments:
            p.add_argument(*flags, **options)

    out = (["--out"], dict(required=True))
    config = (["--config"], dict(default="config/demo.yaml"))
    command(
        extract, (["images"], {}), out, (["--encoder"], dict(default="efficientnet-lite0")), (["--layer"], {}),
        (["--token"], dict(choices=["cls", "mean"])), (["--labels"], {}), (["--skip-broken"], dict(action="store_true")),
        (["--batch"], dict(type=_positive, default=32)), (["--dtype"], dict(default="float32", choices=["float32", "float16"])),
        (["--device"], {}),
    )  # fmt: skip
    command(export, (["features"], {}), out)
    command(plan, config)
    command(
        fit, (["features"], {}), (["triplets"], {}), out, (["--context"], {}),
        (["--objective"], dict(default="glocal")), (["--verbose"], dict(action="store_true")),
        *((["--" + n], dict(type=float, default=d)) for n, d in dict(lam=0.1, alpha=0.1, tau=0.1, lr=1e-3).items()),
        (["--recipe"], dict(default="converged", choices=["converged", "paper"])), (["--held-out"], {}), (["--checkpoint"], {}),
    )  # fmt: skip
    command(transform, (["transform"], {}), (["features"], {}), out, (["--any-scale"], dict(action="store_true")))
    command(score, (["features"], {}), (["triplets"], {}), (["--similarity"], dict(default="dot", choices=["dot", "cosine"])))
    command(data, (["names"], dict(nargs="*")), (["--fetch"], dict(action="store_true")))
    command(triplets, config, out)
    command(
        run_notebook, (["notebook"], {}), (["executed"], {}), (["--threads"], dict(type=int, default=0)),
        (["-p", "--parameter"], dict(nargs=2, action="append", metavar=("NAME", "VALUE"))), name="run-notebook",
    )  # fmt: skip
    command(gather, (["parts"], dict(nargs="+")), out)
    command(replication, (["folder"], {}), (["--encoder"], dict(required=True)), out)
    command(publish, (["folder"], {}), (["target"], {}))
    command(report, config)
    return parser
