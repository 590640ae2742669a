"""A profile of a user with images and no cache: generated JPEGs in the folders that THINGS, ImageNet and one's own images have.

    write(tmp_path, profile="test-images")        # the images, and the path of the config

Of three few-shot tasks one cannot give what the others give: an image for each ImageNet class is 2 for a superclass of living17.
"""

import json

import numpy as np
import yaml
from PIL import Image

from glocal.datasets import imagenet, things
from glocal.datasets.registry import fetch

BASELINES = ["centred", "whitened", "rotated"]
MODEL = {"source": "timm", "model": "vit_tiny_patch16_224", "weights": "random", "layer": "norm", "token": "cls"}
NOT_TESTED = " and ".join(f'{task}_part != "target"' for task in ("entity13", "entity30", "living17", "nonliving26"))
SOURCE, TARGET = "{}_part == 'source'", "{}_part == 'target'"


def colour(group: int) -> np.ndarray:
    """(3,) what the images of a group have behind their discs; never white."""
    return np.random.default_rng(group).integers(0, 200, 3)


def pixels(group: int, number: int) -> np.ndarray:
    """(40, 48, 3) uint8: a disc of its own colour, place and size before the colour of its group."""
    rng = np.random.default_rng([group, number])
    y, x = np.mgrid[:40, :48]
    inside = (x - rng.integers(8, 40)) ** 2 + (y - rng.integers(8, 32)) ** 2 < rng.integers(3, 15) ** 2
    return np.where(inside[..., None], rng.integers(0, 200, 3), colour(group)).astype(np.uint8)


def draw(path, group: int, number: int) -> None:
    """A JPEG of 48 x 40 pixels."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels(group, number)).save(path)


def draw_all(folder) -> dict:
    """The images, and the config's entries for them: things, imagenet (an image a class), own (four classes of nine)."""
    for i, concept in enumerate(things.things_objects()["object"]):
        draw(folder / "things" / concept / f"{concept}_01b.jpg", i, 0)
    for i, wnid, _ in json.loads(fetch("breeds-classes").read_text()):
        draw(folder / "imagenet" / wnid / f"{wnid}_1.JPEG", i, 1)
    for i in range(36):
        draw(folder / "own" / f"class {i // 9}" / f"{i}.jpg", i // 9, i)
    kinds = {"things": "things", "imagenet": "imagenet", "own": "folder"}
    return {f"drawn-{name}": {"kind": kind, "folder": str(folder / name)} for name, kind in kinds.items()}


def breeds_task(name: str, first: str = "pool") -> dict:
    first = {first: {"set": "imagenet", "where": SOURCE.format(name)}}
    return {"label": name, **first, "test": {"set": "imagenet", "where": TARGET.format(name)}}


def encoder() -> dict:
    context = {"set": "imagenet", "where": NOT_TESTED, "images": 128, "held_out": 64}
    sets = {name: {"images": f"drawn-{name}"} for name in ("imagenet", "own")}
    model = {"model": MODEL | {"options": {"img_size": 32}}}
    model["published"] = {"mean": 0.0, "std": 9.0}  # those of another model, which the extraction notices
    return model | {"objects": "drawn-things", "downstream": True, "context": context, "sets": sets}


def config(images: dict, profile: str) -> dict:
    own = {"label": "class", "pool": {"set": "own"}}
    grid = {"naive": {"lam": [1.0]}, "glocal": {"lam": [1.0], "alpha": [0.5], "tau": [0.5]}}
    return {
        "profile": profile, "observer": "human", "seed": 42, "source": "public", "downstream": "all", "images": images,
        "encoders": {"tiny": encoder()}, "baselines": BASELINES,
        "alignment": {"splits": ["object"], "folds": 2, "objectives": ["naive", "glocal"], "grid": grid, "kl_tau": 0.1,
                      "choose": "triplet_loss", "final_fit": "last fold", "fit": {"recipe": "converged", "max_iter": 3}},
        "few_shot": {"shots": [1, 2, 5], "repetitions": 2, "c": [0.1, 1.0], "balanced": False,
                     "tasks": {"entity13": breeds_task("entity13"), "living17": breeds_task("living17"), "own": own}},
        "anomaly": {"k": 5, "sets": {
            "own": {"label": "class", "modes": ["one-vs-rest", "reverse"], "train": {"set": "own"}},
            "entity13": breeds_task("entity13", "train") | {"modes": ["shift", "set"], "against": {"set": "own"}}}},
        "structure": {"k": 10, "sets": {
            "entity13": {"label": "entity13", "images": {"set": "imagenet", "where": TARGET.format("entity13")}},
            "own": {"label": "class", "images": {"set": "own"}}}},
    }  # fmt: skip


def write(folder, profile: str, **changes):
    """Draws the images below `folder` and writes the config, whose path is returned."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(config(draw_all(folder), profile) | changes))
    return path


def colours_in(figure) -> float:
    """The share of the images of entity13's test classes whose colour an image file has, in at least 20 pixels."""
    pixels = np.asarray(Image.open(figure).convert("RGB")).reshape(-1, 3).astype(int)
    test = np.flatnonzero(imagenet.split("entity13")[1] == "target")
    near = [(np.abs(pixels - colour(i)).max(1) <= 6).sum() >= 20 for i in test]
    return float(np.mean(near))
