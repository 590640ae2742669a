"""Your own judgments of your own images: the triplet tables of a profile with `source: own`."""

import numpy as np

from glocal import triplet_io
from glocal.errors import GlocalError
from glocal.system.paths import located
from glocal.triplets import noise_ceiling, set_code, split_objects, within


def tables(config: dict, names) -> tuple[dict, dict]:
    """The triplets of a config by fold.

    config: triplets has the file (`triplet_io.read`) and, if it says so, the number of its first object. names: of the images,
    in the order of the features. Returns tables, "all": (m, 3), "object-<fold>-train" and "-test": those whose three objects are
    all on that side of the fold; and about them: observer, counts, and noise_ceiling, of the triplets with several answers, None
    where there are too few. Raises GlocalError as `triplet_io.read`, and for a fold without triplets.
    """
    spec, names = config["triplets"], list(map(str, names))
    every = triplet_io.read(located(spec["file"]), len(names), names, spec.get("first"))
    made = {"all": every}
    for i, sides in enumerate(split_objects(len(names), config["alignment"]["folds"], config["seed"])):
        for part, side in zip(("train", "test"), sides, strict=True):
            made[f"object-{i}-{part}"] = every[within(every, side, len(names))]
            if not len(made[f"object-{i}-{part}"]):
                raise GlocalError(f"{spec['file']}: no triplet has all three objects in the {part} part of fold {i}; give more "
                                  f"triplets than {len(every)}, or set alignment.folds to 2.")  # fmt: skip
    counts = {name: len(table) for name, table in made.items()}
    return made, {"observer": config["observer"], "counts": counts, "noise_ceiling": {"all": _ceiling(every, len(names))}}


def _ceiling(table, n: int, least: int = 50) -> float | None:
    """The noise ceiling of the triplets that have at least two answers; None with fewer than `least` of them."""
    _, which, count = np.unique(set_code(table, n), return_inverse=True, return_counts=True)
    return noise_ceiling(table[count[which] > 1]) if (count > 1).sum() >= least else None
