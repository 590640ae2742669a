"""Public data: a registry of verified files, and loaders that put them into one order, one numbering, one shape.

    fetch("vice")                       a verified local path, downloaded if need be
    object_features("things-clip-b32")  (1854, p) float32, one row a THINGS object
    things_objects()                    names and superclasses of those rows
    cache("sun397", "train")            (n, 512) float32 CLIP features of images, with a table of their classes
    breeds("entity13")                  the superclass of each ImageNet class and the part of the split it is in

Files. `data/registry.csv` has one row a file: name, url (pinned to a commit), archive (the Software Heritage address
of the same bytes, tried second; not every file need be archived there), sha256, bytes, licence, citation, file,
order. A file is looked for below $GLOCAL_MIRROR, then below `data/`, and is used only if its sha256 is right.

Two object orders. 21 of the 1,854 THINGS objects (camera*, chicken*, crystal*, hot*, ice*, pepper*) stand elsewhere
in "raw" order (sorted file names) than in "corrected" order (sorted names, that of things_concepts.tsv). The
registry's column `order` says which of the two a file has; everything that leaves this module is in corrected order.
"""

import csv
import functools
import hashlib
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from glocal.config import GlocalError, did_you_mean, resolve

N_OBJECTS = 1854
SHOTS = (1, 2, 4, 8, 16)
SAME_IMAGE = 0.985  # cosine of two CLIP features of a class above which they show the same image
STALE_SECONDS = 3600  # a running download writes every few seconds: an older unfinished file was left by a killed run
LIVING, NONLIVING, ENTITY = "n00004258", "n00021939", "n00001740"
BREEDS = {
    "entity13": (3, 20, ENTITY),
    "entity30": (4, 8, ENTITY),
    "living17": (5, 4, LIVING),
    "nonliving26": (5, 4, NONLIVING),
}


# --- registry and downloads -------------------------------------------------------------------------------------------


def registry() -> dict[str, dict]:
    """The rows of `data/registry.csv` by name: of the repository root, else of the folder this module lies in."""
    file = resolve("data/registry.csv")
    if not file.exists():
        file = Path(__file__).resolve().parents[1] / "data" / "registry.csv"
    if not file.exists():
        raise GlocalError(f"{file}: no such file; run from the repository, or set GLOCAL_ROOT to it.")
    with open(file, newline="", encoding="utf-8") as lines:
        return {row["name"]: row for row in csv.DictReader(lines)}


def fetch(name: str) -> Path:
    """Path of a verified local copy of registry entry `name`, downloaded into `data/` if there is none.

    Safe to call from several processes at once and after a killed run. Raises GlocalError for an unknown name, a
    damaged file (one in `data/` is moved aside, one in the mirror stays) and a download that fails at both addresses.
    """
    row = _entry(name)
    mirrored = _mirrored(row["file"])
    if mirrored:
        _require_sha256(
            mirrored, row["sha256"], f"mend the folder that GLOCAL_MIRROR names, or unset it to download {name}"
        )
        return mirrored
    path = resolve("data") / row["file"]
    if not path.exists():
        _download(row, path)
    elif _sha256(path) != row["sha256"]:
        _set_aside(path, row["sha256"])
    return path


def fetch_all(names) -> list[Path]:
    """`fetch` of each name, in order; what is already there is not downloaded again."""
    return [fetch(name) for name in names]


def _entry(name: str) -> dict:
    rows = registry()
    if name not in rows:
        raise GlocalError(f'"{name}" is not in data/registry.csv.{did_you_mean(name, rows)}')
    return rows[name]


def _mirrored(file: str) -> Path | None:
    """The mirror's copy of `file`, or None; a relative GLOCAL_MIRROR starts at the repository root."""
    mirror = os.environ.get("GLOCAL_MIRROR")
    path = resolve(mirror) / file if mirror else None
    return path if path and path.exists() else None


def _sha256(path: Path) -> str:
    """sha256 of a file, computed once a process for each (path, time of change, size)."""
    stat = path.stat()
    return _sha256_of(path, stat.st_mtime_ns, stat.st_size)


@functools.cache
def _sha256_of(path: Path, mtime_ns: int, size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _require_sha256(path: Path, expected: str, mend: str) -> None:
    if _sha256(path) != expected:
        raise GlocalError(f"{path}: sha256 is {_sha256(path)}, not {expected} as in data/registry.csv; {mend}.")


def _set_aside(path: Path, expected: str) -> None:
    """Move a damaged download to `<file>.damaged` and raise."""
    found, aside = _sha256(path), path.with_name(path.name + ".damaged")
    os.replace(path, aside)
    raise GlocalError(
        f"{path}: sha256 is {found}, not {expected} as in data/registry.csv; the damaged file is now {aside}: "
        "run again to download it afresh."
    )


def _download(row: dict, path: Path) -> None:
    """Bring `row` to `path` from its url, else its archive: unfinished or wrong bytes never get the final name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(path)
    failures = []
    for url in filter(None, (row["url"], row["archive"])):
        failure = _try_download(url, path, row["sha256"])
        if failure is None:
            return
        failures.append(f"{url} ({failure})")
    raise GlocalError(
        f"{row['file']}: could not download {' nor '.join(failures)}; download it by hand to {path}, "
        "or set GLOCAL_MIRROR to a folder that has it."
    )


def _try_download(url: str, path: Path, expected: str) -> str | None:
    """None if `path` now has the right bytes, else what went wrong in a few words."""
    from pooch import HTTPDownloader

    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name + ".", suffix=".part", delete=False) as part:
        temporary = Path(part.name)
        try:
            HTTPDownloader(progressbar=sys.stderr.isatty(), chunk_size=1 << 16)(url, part, None)
            part.flush()
            found = _sha256(temporary)
            if found != expected:
                return f"sha256 {found}, not {expected}"
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except OSError as error:  # every error of requests is one
            return " ".join(str(error).split())
        finally:
            temporary.unlink(missing_ok=True)
    return None


def _remove_leftovers(path: Path) -> None:
    """Remove the unfinished files of killed runs beside `path`, but not those that another process is writing."""
    for part in path.parent.glob(f"{path.name}.*.part"):
        try:
            if time.time() - part.stat().st_mtime > STALE_SECONDS:
                part.unlink()
        except FileNotFoundError:
            pass  # another process was quicker


# --- THINGS -----------------------------------------------------------------------------------------------------------


@functools.cache
def _sort_index() -> tuple[int, ...]:
    return tuple(np.loadtxt(fetch("sortindex")).astype(int).tolist())


def sort_index() -> np.ndarray:
    """(1854,) int, 0-based: corrected[i] = raw[sort_index()[i]]."""
    return np.array(_sort_index())


def to_corrected(array: np.ndarray) -> np.ndarray:
    """Rows of a raw-order (1854, ...) array in corrected order. Raises GlocalError for another number of rows."""
    if len(array) != N_OBJECTS:
        raise GlocalError(f"array has {len(array)} rows, not {N_OBJECTS}: one for each THINGS object in raw order.")
    return array[sort_index()]


def ids_to_corrected(ids: np.ndarray) -> np.ndarray:
    """Object numbers of raw order, any shape, as numbers of corrected order: the inverse of `sort_index`."""
    return np.argsort(sort_index())[ids]


def object_features(name: str) -> np.ndarray:
    """(1854, p) float32 in corrected order, scaled as shipped: things-clip-b32, vice, spose-49, spose-66, devbench-*.

    Raises GlocalError if `name` is no embedding of the 1,854 THINGS objects.
    """
    row = _entry(name)
    if not row["order"] or not row["file"].endswith((".npy", "d_sorted.txt")):
        known = [k for k, r in registry().items() if r["order"] and r["file"].endswith((".npy", "d_sorted.txt"))]
        raise GlocalError(f'"{name}" has no features of the THINGS objects.{did_you_mean(name, known)}')
    path = fetch(name)
    x = np.load(path, allow_pickle=False) if path.suffix == ".npy" else np.loadtxt(path)
    x = x.reshape(N_OBJECTS, -1).astype(np.float32)  # (1854, p)
    return to_corrected(x) if row["order"] == "raw" else x


def things_objects():
    """pandas.DataFrame, one row an object in corrected order: object (unique), name, superclass, categories.

    `categories` are the hand-made ones of 27, joined by ";". `superclass` is the most specific of them, the one with
    the fewest objects (crow: animal;bird -> bird), or "" for the 559 objects that have none.
    """
    import pandas as pd

    concepts = pd.read_csv(fetch("things-concepts"), sep="\t", keep_default_na=False)
    member = pd.read_csv(fetch("things-categories"), sep="\t")  # (1854, 27) of 0 and 1
    small_first = member.columns[np.argsort(member.sum().to_numpy(), kind="stable")]
    named = [[c for c in small_first if row[c]] for row in member.to_dict("records")]
    return pd.DataFrame(
        {
            "object": concepts["uniqueID"],
            "name": concepts["Word"],
            "superclass": [cs[0] if cs else "" for cs in named],
            "categories": [";".join(sorted(cs)) for cs in named],
        }
    )


def object_rows(folds: int = 3, seed: int = 42):
    """`things_objects` with a column object_fold: the fold that holds the object out (KFold, shuffled)."""
    from glocal.triplets import split_objects

    rows = things_objects()
    for i, (_, test) in enumerate(split_objects(N_OBJECTS, folds, seed)):
        rows.loc[test, "object_fold"] = i
    return rows.astype({"object_fold": int})


# --- image features ---------------------------------------------------------------------------------------------------


def cache(dataset: str, part: str, keep_repeats: bool = False):
    """CLIP ViT-B/32 features of images: (x (n, 512) float32 of unit norm, rows pandas.DataFrame of n rows).

    `dataset`: imagenet, sun397, dtd, oxford_flowers, caltech101. `part`: "train" is every few-shot draw of it, one
    after the other: rows has class, draw (1, 2, 4, ... images a class) and views = "mean", for each feature is the
    renormalised mean over augmented views of one image. "val" and "test" have class and views = "single". The two
    kinds of views are near but not the same: a classifier trained on the first and tested on the second meets a small
    shift. Draws overlap: an image like an earlier one (same class, cosine above .985) is dropped unless
    `keep_repeats`; rows.attrs["repeats_dropped"] has how many. Rows of imagenet also have `name` and, for each BREEDS
    task t, `t` (superclass or -1) and `t_part` ("source", "target" or ""). Raises GlocalError for a part that is not
    in the registry.
    """
    x, rows = _draws(dataset) if part == "train" else _single_views(dataset, part)
    keep = np.ones(len(x), bool) if part != "train" or keep_repeats else ~_repeats(x, rows["class"].to_numpy())
    rows = rows[keep].reset_index(drop=True)
    if dataset == "imagenet":
        _add_hierarchy(rows)
    rows.attrs["repeats_dropped"] = int((~keep).sum())
    return x[keep], rows


def _single_views(dataset: str, part: str):
    import pandas as pd

    _require_part(dataset, part, f"{dataset}-{part}-features")
    x = _tensor(f"{dataset}-{part}-features").astype(np.float32)  # (n, 512)
    return x, pd.DataFrame({"class": _tensor(f"{dataset}-{part}-labels").astype(int), "views": "single"})


def _draws(dataset: str):
    """Features and rows of all few-shot draws; labels from the one-hot file, else n // K (sorted by class)."""
    import pandas as pd

    known = registry()
    _require_part(dataset, "train", f"{dataset}-keys-1")
    xs, tables = [], []
    for k in (k for k in SHOTS if f"{dataset}-keys-{k}" in known):
        xs.append(_tensor(f"{dataset}-keys-{k}").T.astype(np.float32))  # (n, 512)
        one_hot = f"{dataset}-values-{k}"
        label = _tensor(one_hot).argmax(1) if one_hot in known else np.arange(len(xs[-1])) // k  # (n,)
        tables.append(pd.DataFrame({"class": label, "draw": k, "views": "mean"}))
    return np.concatenate(xs), pd.concat(tables, ignore_index=True)


def _require_part(dataset: str, part: str, name: str) -> None:
    known = registry()
    if name not in known:
        parts = sorted({f"{n.split('-')[0]} {n.split('-')[1]}" for n in known if n.endswith("-features")})
        parts += sorted(f"{n.split('-')[0]} train" for n in known if n.endswith("-keys-1"))
        raise GlocalError(f'no cached features of "{dataset} {part}".{did_you_mean(f"{dataset} {part}", parts)}')


def _tensor(name: str) -> np.ndarray:
    """A .pt file as an array; only tensors are unpickled."""
    import torch

    return torch.load(fetch(name), weights_only=True, map_location="cpu").numpy()


def _repeats(x: np.ndarray, label: np.ndarray) -> np.ndarray:
    """(n,) bool: an earlier row of the same class has cosine above .985. `x` (n, p) has unit norm."""
    repeat = np.zeros(len(x), bool)
    for c in np.unique(label):
        i = np.flatnonzero(label == c)  # (m,)
        repeat[i] = (np.tril(x[i] @ x[i].T, -1) > SAME_IMAGE).any(1)  # (m,) from (m, m)
    return repeat


def _add_hierarchy(rows) -> None:
    """Add name and the columns of the four BREEDS tasks to rows with a column `class`, in place."""
    c = rows["class"].to_numpy()
    rows["name"] = np.array(imagenet_names(), dtype=object)[c]
    for task in BREEDS:
        superclass, part, _ = breeds(task)
        rows[task], rows[f"{task}_part"] = superclass[c], part[c]


# --- ImageNet's hierarchy ---------------------------------------------------------------------------------------------


def imagenet_names(synonyms: bool = False) -> list:
    """The first name of each of the 1,000 ImageNet classes, or the list of all its names."""
    names = [[n.strip() for n in text.split(",")] for _, _, text in json.loads(fetch("breeds-classes").read_text())]
    return names if synonyms else [n[0] for n in names]


def breeds(task: str) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """The official random split of a BREEDS task (Santurkar et al. 2021): entity13, entity30, living17 or nonliving26.

    Returns superclass (1000,) int, -1 for a class that is not used; part (1000,) of "source", "target" or ""; and the
    names of the superclasses. A superclass is a node at the task's depth, below its ancestor, with at least `size`
    ImageNet classes; nodes go by WordNet number, and for each one generator of seed 2 draws `size` of its classes,
    sorted by WordNet number: the first half is source, the second target.
    """
    if task not in BREEDS:
        raise GlocalError(f'"{task}" is not a BREEDS task.{did_you_mean(task, BREEDS)}')
    depth, size, ancestor = BREEDS[task]
    number = {wnid: i for i, wnid, _ in json.loads(fetch("breeds-classes").read_text())}
    below = _classes_below(number, depth, ancestor)
    titles = dict(line.split("\t")[:2] for line in fetch("breeds-names").read_text().splitlines())
    superclass, part, names = np.full(1000, -1), np.full(1000, "", dtype=object), []
    rng = np.random.RandomState(2)
    for node in sorted(node for node, classes in below.items() if len(classes) >= size):
        drawn = [number[wnid] for wnid in rng.choice(sorted(below[node]), size, replace=False)]
        superclass[drawn] = len(names)
        part[drawn[: size // 2]], part[drawn[size // 2 :]] = "source", "target"
        names.append(titles[node].split(",")[0])
    return superclass, part, names


def _classes_below(classes, depth: int, ancestor: str) -> dict[str, list[str]]:
    """{node at `depth` (root: 0) below `ancestor`: the classes under it}; the hierarchy file is a tree."""
    lines = fetch("breeds-hierarchy").read_text().splitlines()
    parent = {child: node for node, child in (line.split() for line in lines)}
    below: dict[str, list[str]] = {}
    for wnid in classes:
        path = [wnid]
        while path[-1] in parent:
            path.append(parent[path[-1]])
        path.reverse()  # from the root to the class
        if len(path) > depth and ancestor in path[: depth + 1]:
            below.setdefault(path[depth], []).append(wnid)
    return below
