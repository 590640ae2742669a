"""Names of classes: from the labels of an image set to words, and to the text features that `text.py` computed from them.

Nothing here needs the text tower: reading text features does not load a network.
"""

import re

import numpy as np

from glocal.errors import GlocalError, require
from glocal.features.store import Features


def has_text(settings: dict) -> bool:
    """Whether an encoder's config entry has a text tower and features in the space that both towers share: open_clip's output."""
    model = settings.get("model") or {}
    return model.get("source") == "open_clip" and model.get("layer", "visual") == "visual" and not model.get("token")


def task_labels(config: dict) -> list[tuple[str, str]]:
    """(image set, label) of all tasks that compare images with classes: few-shot's and anomaly detection's."""
    sections = [("few_shot", "tasks"), ("anomaly", "sets")]
    tasks = [spec for section, field in sections for spec in config.get(section, {}).get(field, {}).values()]
    return sorted({((spec.get("pool") or spec["train"])["set"], spec["label"]) for spec in tasks})


def image_sources(settings: dict) -> dict[str, str]:
    """{feature set: the image set that the model of an encoder's config entry makes it of}; {} without a model."""
    if "model" not in settings:
        return {}
    return {"objects": settings["objects"]} | {name: part["images"] for name, part in settings.get("sets", {}).items()}


def text_set(images: str, label: str) -> str:
    """The name of the text features of a label of an image set, stored beside those of the images."""
    return f"text-{images}-{label}"


def column(rows, label: str, images: str):
    """The labels of a set's rows, (n,). Raises GlocalError if they have no such column."""
    require(label, rows, f'{images}: has no column "{label}" for a label')
    return rows[label]


def is_class(labels) -> np.ndarray:
    """(n,) bool: whether a label is a class; -1, an empty text and a missing value are none."""
    return (labels.notna() & ~labels.isin([-1, ""])).to_numpy()


def class_names(rows, label: str, images: str = "images") -> dict | None:
    """{class: name} in sorted order of the classes of a column of `rows`, or None if they are numbers without names.

    A text label is its own name. Numbers and WordNet numbers (n01440764) are named by the column `name`, if each has
    exactly one name there.
    Raises GlocalError if there is no such column.
    """
    labels = column(rows, label, images)
    labels = labels[is_class(labels)]
    classes = np.unique(labels)
    if labels.dtype.kind not in "biuf" and not all(re.fullmatch(r"n?\d+", str(c)) for c in classes):
        return {c: readable_name(c) for c in classes}
    if "name" not in rows:
        return None
    known = rows.loc[labels.index].groupby(labels)["name"]
    names = known.first()
    if (known.nunique(dropna=False) != 1).any() or not is_class(names).all():
        return None
    return {c: readable_name(names[c]) for c in classes}


def readable_name(name: str) -> str:
    """A label in plain words: "apple_pie" -> "apple pie"; "b/bakery/shop", a class of SUN397 -> "bakery shop"."""
    segments = str(name).split("/")
    if len(segments) > 1 and segments[0] == segments[1][:1]:  # the folder of the first letter
        segments = segments[1:]
    return " ".join(" ".join(segments).replace("_", " ").split())


def rows_of(features: Features, classes, name: str) -> np.ndarray:
    """(K, p) rows of text features in the order of `classes` (K,). Raises GlocalError for a class that has none."""
    place = {c: i for i, c in enumerate(features.rows["class"])}
    missing = [c for c in classes if c not in place]
    if missing:
        raise GlocalError(
            f'{name}: class "{missing[0]}" has no text ({len(missing)} of {len(classes)} classes); run the extraction again.'
        )
    return np.asarray(features.x[[place[c] for c in classes]])
