"""A rehearsal of config/paper.yaml: every step of it, on made-up images and on its own networks with random weights.

    python tests/support/rehearsal.py [--encoders alexnet clip-rn50] [--folder data/rehearsal] [snakemake's arguments]

The folder stands for the repository: it has the made-up image sets (made_up.py), links to the code, and gets results and figures.
The config is config/paper.yaml with the changes below. What the networks lose is said at `CUTS`.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path
from unittest import mock

import made_up
import made_up_files
import pandas as pd
import yaml
from helpers import at_hand
from snakemake.utils import update_config

ROOT = Path(__file__).resolve().parents[2]
LINKS = ["CITATION.cff", "NOTICE", "Snakefile", "config", "docs", "figures/captions", "glocal", "notebooks", "profiles", "rules"]
CHECKS = Path(__file__).parent / "without_checksums"
CHANGES = {
    "human": {"draws": 20},
    "alignment": {
        "folds": 2,
        "grid": {"naive": {"lam": [1.0, 0.3]}, "global": {"lam": [1.0]}, "glocal": {"lam": [1.0], "alpha": [0.5], "tau": [0.5]}},
        "fit": {"max_iter": 2},
    },
    "few_shot": {"shots": [1, 2, 5], "repetitions": 2, "curve_repetitions": 1, "c": [0.01, 1.0, 100.0]},
}
CONTEXT = {"images": 384, "held_out": 64}
# One block of each stack, images of a quarter of the size, and of class names and templates the first 16 tokens.
CUTS = {
    "open_clip": {"blocks": 1, "force_image_size": 56, "force_context_length": 16},
    "timm": {"blocks": 1, "img_size": 56},
    "torchvision": {"blocks": 1, "resize_size": 72, "crop_size": 64},
}
# Here a step computes for seconds: two with a core each take less time than one with both. No GPU is shared out, either.
STEPS = [f"{name}_encoder" for name in ("align", "few_shot", "anomaly")]


def paper() -> dict:
    return yaml.safe_load((ROOT / "config" / "paper.yaml").read_text())


def config(encoders=None) -> dict:
    """config/paper.yaml with `CHANGES`, and of its encoders those named."""
    changed = paper()
    update_config(changed, CHANGES)
    changed["encoders"] = {name: changed["encoders"][name] for name in encoders or changed["encoders"]}
    for spec in changed["encoders"].values():
        spec |= {"model": untrained(spec["model"]), "context": spec["context"] | CONTEXT}
    return changed


def untrained(model: dict, cuts=CUTS) -> dict:
    """An encoder's model with random weights, and the preprocessing of its own."""
    like = {"like": model["weights"]} if "weights" in model else {}
    if "dinov2" in model["model"]:
        like["init_values"] = 1.0  # of the residual branches, which start at 1e-5: every image would have the same features
    return model | {"weights": "random", "options": model.get("options", {}) | like | cuts.get(model["source"], {})}


def prepare(folder: Path, encoders=None) -> Path:
    """Make the folder, if it is not there. Returns the path of its config."""
    if not folder.exists():
        (folder / "data").mkdir(parents=True)
        if not at_hand():
            made_up_files.write(folder)
        with mock.patch.dict(os.environ, environment(folder)):
            made_up.write(folder)
    for name in [name for name in LINKS if not (folder / name).exists()]:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).symlink_to(ROOT / name)
    path = folder / "rehearsal.yaml"
    path.write_text(yaml.safe_dump(config(encoders), sort_keys=False))
    return path


def environment(folder: Path) -> dict:
    python = os.pathsep.join([str(CHECKS), str(ROOT), os.environ.get("PYTHONPATH", "")])
    mirror = {"GLOCAL_MIRROR": str(ROOT / os.environ.get("GLOCAL_MIRROR", "data"))}
    mirror = {"GLOCAL_MIRROR": ""} if (folder / "data" / "registry.csv").exists() else mirror  # made-up judgments
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return os.environ | mirror | {"GLOCAL_ROOT": str(folder), "PYTHONPATH": python, "PATH": path}


def run(folder: Path, *arguments, **options) -> subprocess.CompletedProcess:
    """Snakemake, as a user starts it, in the folder of the rehearsal: all figures, and then that of all encoders."""
    steps = STEPS + [f"extract_{encoder}" for encoder in yaml.safe_load((folder / "rehearsal.yaml").read_text())["encoders"]]
    side_by_side = ["--set-threads", *(f"{step}=1" for step in steps), "--resources", "gpu=64"]
    for targets in (["all", "publish"], ["encoders"]):
        command = ["snakemake", *targets, "--configfile", "rehearsal.yaml", *side_by_side, *map(str, arguments)]
        ran = subprocess.run(command, cwd=folder, env=environment(folder), **options)
        if ran.returncode:
            break
    return ran


def used(folder: Path) -> pd.DataFrame:
    """What the steps took, a row a step and encoder: s, core_s (seconds of all cores), mb (largest resident memory)."""
    rows = []
    for file in sorted((folder / "results" / "paper" / "benchmarks").glob("*.tsv")):
        row = pd.read_csv(file, sep="\t", na_values="-").iloc[-1]
        step, _, encoder = file.stem.partition("-")
        rows.append({"step": step, "encoder": encoder, "s": row["s"], "core_s": row["cpu_time"], "mb": row["max_rss"]})
    return pd.DataFrame(rows, columns=["step", "encoder", "s", "core_s", "mb"])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoders", nargs="+")
    parser.add_argument("--folder", type=Path, default=ROOT / "data" / "rehearsal")
    arguments, others = parser.parse_known_args()
    folder = arguments.folder.resolve()
    prepare(folder, arguments.encoders)
    code = run(folder, *others).returncode
    steps = used(folder).groupby("step")
    print(steps[["s", "core_s", "mb"]].max().join(steps["core_s"].sum().rename("core_s of all")).round().to_string())
    return code


if __name__ == "__main__":
    sys.exit(main())
