"""Text weights: a CLIP text tower's embeddings of class names, in the space of its image features.

Each name is inserted into each template; a class is the mean direction of its texts (Radford et al. 2021). Zero-shot anomaly
detection and Tip-Adapter compare images with it. Only encoders of source open_clip have a text tower.
Cost: one forward pass per name and template, about a second per class on two busy cores for ViT-B/32.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import normalize

from glocal.errors import GlocalError
from glocal.features import extraction, sources
from glocal.features.class_names import class_names, has_text, readable_name, task_labels, text_set
from glocal.features.encoders import parse, title
from glocal.features.store import Features

TEMPLATES = (
    "{}.",
    "a photo of a {}.",
    "a photo of the {}.",
    "a picture of a {}.",
    "a close-up photo of a {}.",
    "a photo of a small {}.",
    "a photo of a large {}.",
)
BATCH = 32  # classes


@dataclass(frozen=True)
class Tower:
    """net: has encode_text, (b, length) tokens -> (b, p). digest: sha256 of its weights. tokenizer: b texts -> (b, length)."""

    name: str
    net: Any
    digest: str
    tokenizer: Callable
    device: str = "cpu"

    def tokens(self, names, templates=TEMPLATES) -> np.ndarray:
        """(K, t, length) tokens of K names in t templates. Raises GlocalError for no name, or a template without {}."""
        if not len(names) or not len(templates):
            raise GlocalError(f"{self.name}: {len(names)} class names, {len(templates)} templates; give at least one of each.")
        if wrong := [t for t in templates if "{}" not in t]:
            raise GlocalError(f'text template "{wrong[0]}": has no placeholder for the class name; add {{}}.')
        texts = [t.replace("{}", readable_name(name)) for name in names for t in templates]
        return np.asarray(self.tokenizer(texts)).reshape(len(names), len(templates), -1)

    def encode(self, tokens) -> torch.Tensor:
        """(k, t, length) tokens -> (k, p) float32 on the CPU: the normalised mean over templates of unit vectors."""
        x = torch.as_tensor(tokens, device=self.device)
        with torch.inference_mode():
            z = self.net.encode_text(x.flatten(0, 1)).float()  # (k * t, p)
        z = normalize(z, dim=-1).view(*x.shape[:2], -1)  # (k, t, p)
        return normalize(z.mean(1), dim=-1).cpu()


def text_tower(spec: str | dict, device: str | None = None) -> Tower:
    """The text tower of the open_clip model that an encoder's `model:` names, with the same weights.

    Raises GlocalError for another source, and for a model or tokenizer that is not available.
    """
    spec = parse(spec)
    if spec["source"] != "open_clip":
        raise GlocalError(f"encoder {title(spec)}: has no text tower; only models of source open_clip do.")
    device = device or ("cuda" if torch.cuda.is_available() else "cpu")
    with sources.building(f"text of {title(spec)}"):
        name, net, digest, tokenizer = sources.clip_text(spec)
    return Tower(name, net.eval().requires_grad_(False).to(device), digest, tokenizer, device)


def extract(experiment) -> None:
    """Text features of the classes of each few-shot and anomaly task, in the set "text-<images>-<label>" beside the images'.

    Rows: class (as in the images' rows), text. Encoders without a text tower are skipped, existing features are
    reused, and labels that are numbers without names are skipped with a printed note. The images' features must exist.
    """
    if not has_text(experiment.settings):
        return
    tower = functools.cache(lambda: text_tower(experiment.settings["model"]))  # loaded only if there is something to write
    rows = functools.cache(lambda images: experiment.features(images).rows)
    available = ("objects", *experiment.settings.get("sets", {}))
    for images, label in (pair for pair in task_labels(experiment.config) if pair[0] in available):
        names = class_names(rows(images), label, images)
        if names:
            write(tower(), names, experiment.stem(text_set(images, label)), f"{images} {label}")
        else:
            print(f"{images}: no text for the label {label}: they are numbers, and no column `name` names them.")


def write(tower: Tower, names: dict, stem, source: str, templates=TEMPLATES) -> Features:
    """The text features of {class: name} at `stem`, in order; existing ones of the same tower, names and templates are reused."""
    import pandas as pd

    rows = pd.DataFrame({"class": list(names), "text": list(names.values())})
    about = dict(layer="text", templates=list(templates), source=source, scale="unit norm")
    header = {"encoder": tower.name, "digest": tower.digest, **about}
    return extraction.extract(tower.tokens(rows["text"], templates), tower.encode, stem, rows, header, BATCH)
