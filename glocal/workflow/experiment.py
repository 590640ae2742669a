"""The features, triplets, folds and transforms of one profile and encoder of a config.

Notebooks use an `Experiment`; they never build a path. Two kinds of profile share all notebooks:
- `downstream: all` (clip-b32): one transform per objective, fitted on all objects, is applied to sets of other images;
- `downstream: folds` (demo): the transform of a fold is applied only to the images held out of that fold.
"""

import functools
import hashlib
import json
import os
import pickle
import warnings
from pathlib import Path

import numpy as np

from glocal.datasets import human_similarity
from glocal.errors import GlocalError, reading, require
from glocal.features.class_names import class_names, column, has_text, is_class, rows_of, text_set
from glocal.features.store import Features, Rows, also_in, read
from glocal.system.devices import device
from glocal.system.files import read_arrays, seal, verify, write_table
from glocal.system.paths import resolve
from glocal.workflow.config import baselines, human_folds, load_config, task_parts
from glocal.workflow.dependencies import code_digest
from glocal.workflow.selection import rows_where


class Experiment:
    """One profile and one of its encoders.

    config: path of a YAML file; encoder: a name in it (default: the first); folder: of the results (default: results/<profile>).
    """

    def __init__(self, config: str | Path, encoder: str | None = None, folder: Path | None = None):
        self.config = load_config(config)
        self.encoder = encoder or next(iter(self.config["encoders"]))
        require(self.encoder, self.config["encoders"], f'{config}: encoder "{self.encoder}" is not in it')
        self.settings = self.config["encoders"][self.encoder]
        self.profile, self.observer = self.config["profile"], self.config["observer"]
        self.seed = self.config["seed"]
        self.folder = folder or resolve("results") / self.profile
        self.threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)  # those that Snakemake grants, or all

    @functools.cached_property
    def device(self) -> str:
        """Of the config, in steps that compute on it."""
        return str(device(self.config.get("device", "auto")))

    # -- paths ------------------------------------------------------------------------------------------------------

    def stem(self, name: str) -> Path:
        return self.folder / "features" / self.encoder / name

    def table(self, name: str) -> Path:
        """Path of this encoder's part of a results table; the folder is made."""
        path = self.folder / "tables" / self.encoder / f"{name}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def save_table(self, name: str, table) -> None:
        """Write a DataFrame as this encoder's part of a results table, in one step."""
        write_table(self.table(name), table)

    def figure(self, name: str) -> Path:
        path = self.folder / "figures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def transform_path(self, fold: str, objective: str) -> Path:
        """transforms/<encoder>/<objective>.npz for the one fitted on all objects, a sub-folder for each fold."""
        folder = self.folder / "transforms" / self.encoder
        return (folder if fold == "all" else folder / fold) / f"{objective}.npz"

    @property
    def encoder_name(self) -> str:
        """What the encoder is, for a title: its source where it has a model."""
        from glocal.features.encoders import title

        return title(self.settings["model"]) if "model" in self.settings else self.encoder

    @property
    def featured(self) -> str:
        """The objective that figures compare with the original: glocal, or, where it is not fitted, the last of the config's."""
        objectives = self.config["alignment"]["objectives"]
        return "glocal" if "glocal" in objectives else objectives[-1]

    @property
    def baselines(self) -> list[str]:
        """The baselines of the config whose objective, if they follow one, is fitted."""
        return baselines(self.config)

    @property
    def transforms(self) -> list[str]:
        """The objectives and baselines of the config, in its order."""
        return [*self.config["alignment"]["objectives"], *self.baselines]

    def save_transform(self, fold: str, name: str, t, **origin) -> None:
        """Write a transform of this encoder, and seal it. origin: as for `GLocalTransform.save`."""
        seal(t.save(self.transform_path(fold, name), **origin))

    def transform_paths(self, fold: str = "all") -> dict[str, Path]:
        return {name: self.transform_path(fold, name) for name in self.transforms}

    def trained_on(self, fold: str) -> str:
        """The fold whose training objects the transforms of `fold` were fitted on: itself, or for "all" what the config says."""
        last = fold == "all" and self.config["alignment"]["final_fit"] != "all objects"
        return self.folds[-1] if last else fold

    def cached(self, function):
        """`function` with its results cached on disk: an interrupted or repeated run reuses them.

        The key is its arguments and the source of its module and of what that imports, so changed code computes again. Each
        result is stored with its sha256: a damaged one is computed again, with a warning.
        """
        from joblib import Memory

        digest = code_digest(function.__module__)  # mmap_mode: an array has one key, in this process and mapped in a worker
        cached = Memory(self.folder / "cache", verbose=0, mmap_mode="r").cache(_sealed_call)
        return functools.partial(_unsealed, cached, function, digest)

    # -- contents --------------------------------------------------------------------------------------------------

    def features(self, name: str = "objects") -> Features:
        return read(self.stem(name))

    def select(self, part: dict, fold: str = "all") -> Features:
        """The rows of a set that a config part {set, where} names (x: `Rows`); of the objects only those held out of `fold`."""
        features = self.features(part["set"])
        keep = rows_where(features.rows, part["where"], part["set"]) if part.get("where") else np.ones(len(features.x), bool)
        if part["set"] == "objects" and fold != "all":
            keep = keep & self.held_out(fold)
        return _kept(features, keep)

    def parts(self, spec: dict, fold: str = "all") -> list:
        """The feature sets that a task names: its pool (or train) and, if it has one, its test.

        Rows without a label are left out, and images of the pool that are also in the test set (one each in DTD and Flowers).
        """
        pool = self._labelled(spec.get("pool") or spec.get("train") or spec["images"], spec, fold)
        if "per" in spec:
            column(pool.rows, spec["per"], spec["pool"]["set"])  # raises an error if it is missing
        if spec.get("test") is None:
            return [pool, None]
        test = self._labelled(spec["test"], spec, fold)
        return [_kept(pool, ~also_in(pool.x, test.x)), test]

    def _labelled(self, part: dict, spec: dict, fold: str) -> Features:
        """The rows of a part with a label whose class has enough of them."""
        chosen = self.select(part, fold)
        return _kept(chosen, _usable(column(chosen.rows, spec["label"], part["set"]), spec.get("min_per_class", 1)))

    def check_tasks(self) -> None:
        """Raises GlocalError for a task whose image sets lack a column that it names, before any fit."""
        if not (self.settings.get("downstream") or self.config["downstream"] == "folds"):
            return
        rows = functools.cache(lambda name: self.features(name).rows)
        for field, spec, part in task_parts(self.config):
            _check_part(rows(spec[part]["set"]), spec, part, field)

    def normals(self, spec: dict, fold: str = "all") -> tuple:
        """An anomaly task's train x and labels, test x and labels, x of the set of anomalies (`against`) or None, test rows.

        A task without a test part is halved within each class.
        """
        train, test = self.parts(spec, fold)
        labels = train.rows[spec["label"]]
        first, second = halves(labels, self.seed) if test is None else (slice(None), slice(None))
        test = test or train
        rows = test.rows.iloc[second]
        other = self.select(spec["against"], fold).x[:] if "against" in spec else None
        return train.x[first], labels.to_numpy()[first], test.x[second], rows[spec["label"]].to_numpy(), other, rows

    def text(self, spec: dict, fold: str = "all") -> np.ndarray | None:
        """(K, p) of unit norm: the text embeddings of the classes of a task's pool (or train), as np.unique sorts its labels.

        None if the encoder has no text tower, or the labels are numbers without names. Raises GlocalError if the text is not
        extracted, or lacks a class.
        """
        if not has_text(self.settings):
            return None
        images, label = (spec.get("pool") or spec["train"])["set"], spec["label"]
        names = class_names(self.parts(spec, fold)[0].rows, label, images)
        if names is None:
            return None
        name = text_set(images, label)
        return rows_of(self.features(name), list(names), f"{self.encoder}, {name}")

    def triplets(self) -> dict[str, np.ndarray]:
        """(m, 3) tables, the odd one last: "all", and "<fold>-train", "<fold>-test" for each fold."""
        path = self._triplet_file("triplets.npz")
        with reading(path, "triplets", "delete it and run `snakemake triplets` with this config"):
            return read_arrays(path)

    def noise_ceiling(self, table: str = "all") -> float:
        """The best accuracy that any model can reach on a triplet table, because people do not always agree; nan if unknown."""
        known = json.loads(self._triplet_file("triplets.json").read_text())["noise_ceiling"]
        ceiling = known.get(table, known["all"])
        return float("nan") if ceiling is None else ceiling

    def _triplet_file(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            raise GlocalError(f"{path}: no triplets yet; run `snakemake triplets` with this config.")
        verify(path)
        return path

    @property
    def fit_options(self) -> dict:
        """The arguments of GLocalTransform that all fits of the profile share; tau: at which naive and global are watched."""
        settings = self.config["alignment"]
        return {"random_state": self.seed, "tau": settings["kl_tau"]} | settings["fit"] | {"device": self.device}

    @property
    def folds(self) -> list[str]:
        return [f"{s}-{i}" for s in self.config["alignment"]["splits"] for i in range(self.config["alignment"]["folds"])]

    @property
    def first_folds(self) -> list[str]:
        """The folds of the first split, the one that figures show."""
        return self.folds[: self.config["alignment"]["folds"]]

    @property
    def human_folds(self) -> list[str]:
        """Folds whose transforms are judged on other people's similarities of THINGS objects, which they have not seen."""
        return human_folds(self.config)

    @property
    def downstream_folds(self) -> list[str]:
        """The folds whose transforms the downstream tasks use: ["all"], or every fold."""
        return self.folds if self.config["downstream"] == "folds" else ["all"]

    def held_out(self, fold: str) -> np.ndarray:
        """(n,) bool: the objects that are held out of the transform of `fold`."""
        if fold in self.human_folds:
            return human_similarity.held_out(fold)
        split, i = fold.rsplit("-", 1)
        return self.features().rows[f"{split}_fold"].to_numpy() == int(i)

    def context(self, fold: str) -> tuple[np.ndarray, np.ndarray]:
        """Images of the local loss, (q, p), and others that are not in the fit, to measure it on. Fixed by the seed.

        Either a set of other images, or the objects themselves: those that the fold trains on, and those it holds out.
        """
        part = self.settings["context"]
        if part["set"] == "objects":
            x = self.features().x
            held = self.held_out(fold) if fold != "all" else np.zeros(len(x), bool)
            return np.asarray(x[~held]), np.asarray(x[held if held.any() else ~held])
        x = self.select(part).x
        order, n = np.random.default_rng(self.seed).permutation(len(x)), part["images"]
        if len(x) < n + part["held_out"]:
            raise GlocalError(f"context of {self.encoder}: {len(x)} images fit, {n + part['held_out']} are needed; lower images.")
        return x[order[:n]], x[order[n : n + part["held_out"]]]


def _sealed_call(function, digest, args, options) -> tuple[str, bytes]:
    """(sha256, pickle) of a function's result."""
    content = pickle.dumps(function(*args, **options), protocol=5)
    return hashlib.sha256(content).hexdigest(), content


def _unsealed(cached, function, digest, *args, **options):
    """The result of a cached `_sealed_call`, computed again if what is on disk is damaged."""
    seal, content = cached(function, digest, args, options)
    if hashlib.sha256(content).hexdigest() != seal:
        warnings.warn(f"{cached.store_backend.location}: a cached result is damaged; it is computed again.", stacklevel=2)
        (_, content), *_ = cached.call(function, digest, args, options)
    return pickle.loads(content)


def halves(labels, seed: int = 42) -> tuple[np.ndarray, np.ndarray]:
    """Split every class in two, for a set that has no test part: indices of the training half and of the other."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(labels))
    labels = np.asarray(labels)
    first = [m[: (len(m) + 1) // 2] for m in (order[labels[order] == c] for c in np.unique(labels))]
    train = np.sort(np.concatenate(first))
    return train, np.setdiff1d(np.arange(len(labels)), train)


def _kept(features: Features, keep) -> Features:
    """The selected rows of which `keep` (n,) is true."""
    return Features(Rows(features.x, np.flatnonzero(keep)), features.rows[keep].reset_index(drop=True), features.header)


def _check_part(rows, spec: dict, part: str, field: str) -> None:
    """The condition and the columns of one part of a task; `field`, its place in the config, begins the error."""
    if spec[part].get("where"):
        rows_where(rows, spec[part]["where"], field)
    for label in [spec["label"]] * (part != "against") + [spec[n] for n in ("per",) if n in spec and part == "pool"]:
        column(rows, label, f"{field}, set {spec[part]['set']}")


def _usable(labels, minimum: int) -> np.ndarray:
    """(n,) bool: rows with a label whose class has at least `least` rows."""
    named = is_class(labels)
    return (named & (labels.map(labels[named].value_counts()) >= minimum)).to_numpy()
