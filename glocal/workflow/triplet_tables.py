"""The triplet tables of a config, whatever its source: made, and written for the other steps."""

import json
from pathlib import Path

import numpy as np

from glocal.datasets import image_sets
from glocal.system.files import replacing, seal, write_text
from glocal.workflow.config import human_folds


def make(config: dict) -> tuple[dict, dict]:
    """{name: (m, 3)}: all triplets, and each fold's; and metadata. Of the demo's observer, people's on THINGS, or your own."""
    from glocal.datasets import judgments, observer, own
    from glocal.datasets.samples import absent_objects

    arguments = [*config["alignment"]["splits"], *human_folds(config)], config["alignment"]["folds"], config["seed"]
    if config["source"] == "own":
        name = next(iter(config["encoders"].values()))["objects"]
        return own.tables(config, image_sets.image_set(config.get("images", {}).get(name, name), name).rows["picture"])
    if config["source"] == "demo":
        return observer.tables(*arguments)
    return judgments.tables(*arguments, without=absent_objects(config))


def write(config: dict, out: Path) -> dict:
    """Write the tables to `out` (.npz), their metadata to a .json of the same name. Returns the tables."""
    tables, about = make(config)
    write_text(out.with_suffix(".json"), json.dumps(about, indent=1) + "\n")
    seal(out.with_suffix(".json"))
    with replacing(out) as draft:
        np.savez_compressed(draft, **{k: v.astype(np.int32) for k, v in tables.items()})
        seal(draft, out)
    return tables
