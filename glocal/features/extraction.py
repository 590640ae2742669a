"""Extraction of features that survives being killed: pictures through an encoder, batch by batch, into a feature set.

`extract` writes `<stem>.part.npy` and counts the finished rows in `<stem>.part.json`; the next run resumes from there,
at a multiple of the batch size, and ends with the same bytes.
"""

import hashlib
import json
import os
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from glocal.arrays import as_table, finite
from glocal.errors import GlocalError
from glocal.features.store import Features, csv_text, publish, read, side, write_json


def extract(images, encode, stem, rows, header: dict, batch: int = 16, dtype: str = "float32") -> Features:
    """Encode all images in batches into the features of `stem`; a finished set with the same key is kept.

    images: images[i:j] is a uint8 batch (j - i, h, w, 3): an array, or a `Lazy`. encode: batch -> (j - i, p), called
    from several threads. rows: DataFrame of n rows, one per image. header: encoder, digest, preprocessing, source...;
    with rows and dtype it is the key. An interrupted run resumes where it stopped; of two at once the second waits.
    Raises GlocalError for unequal lengths, features that are not finite, or batches of another shape.
    """
    stem = Path(stem)
    if len(images) != len(rows) or not len(rows):
        raise GlocalError(f"{stem}: {len(images)} images and {len(rows)} rows; give at least one image, and a row for each.")
    stem.parent.mkdir(parents=True, exist_ok=True)
    key = _key(header, rows, dtype)
    with _alone(stem):
        if not _finished(stem, key):
            part = side(stem, ".part.npy")
            _stream(images, encode, part, f"{key} in batches of {batch}", batch, dtype)
            publish(stem, part, rows, {**header, "key": key})
            side(stem, ".part.json").unlink()
        return read(stem)


def _stream(images, encode, part: Path, key: str, batch: int, dtype: str) -> None:
    """Fill `part` (n, p) from where its counter stands; the counter moves after the data is on disk."""
    from tqdm import tqdm

    n, counter = len(images), part.with_suffix(".json")
    done = _progress(counter, part, key)
    out = np.lib.format.open_memmap(part, mode="r+") if done else None
    with tqdm(total=n, initial=done, unit=" rows", desc=part.name.removesuffix(".part.npy")) as bar:
        work = lambda i: _encoded(encode, images[i : i + batch], dtype, part.name, i)
        for i, z in _in_order(work, range(done, n, batch)):  # z: (b, p)
            if out is None:
                out = _allocated(part, dtype, (n, z.shape[1]))
            out[i : i + len(z)] = z
            out.flush()
            write_json(counter, {"key": key, "done": i + len(z)})
            bar.update(len(z))


def _allocated(part: Path, dtype: str, shape: tuple):
    """An empty memory-mapped npy that has its room on the disk: writing to one that finds none would kill the process."""
    out = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=shape)
    try:
        if hasattr(os, "posix_fallocate"):
            with part.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
    except OSError as error:
        gb = part.stat().st_size / 1e9
        part.unlink()
        raise GlocalError(f"{part}: needs {gb:.1f} GB, which the disk does not give ({error.strerror}); make room.") from None
    return out


def _encoded(encode, images: np.ndarray, dtype: str, name: str, first: int) -> np.ndarray:
    z = encode(images)
    z = z.detach().cpu().numpy() if torch.is_tensor(z) else np.asarray(z)
    with np.errstate(over="ignore"):  # float16 overflow becomes infinity, which _finite reports
        z = as_table(z, len(images), f"{name}: encoder output").astype(dtype)
    return finite(z, name, first)


def _in_order(work, starts: range):
    """(i, work(i)) for each start, in order, made by as many threads as torch may use, each alone on its batch.

    One batch a thread beats many threads on one batch: nothing waits for a slow core, and the bytes do not depend on
    how many there are.
    """
    threads, ahead = torch.get_num_threads(), deque()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for i in starts:
                ahead.append((i, pool.submit(work, i)))
                if len(ahead) > 2 * threads:
                    i, made = ahead.popleft()
                    yield i, made.result()
            for i, made in ahead:
                yield i, made.result()
    finally:
        torch.set_num_threads(threads)


def _progress(counter: Path, part: Path, key: str) -> int:
    """Rows that an earlier run with the same key finished; 0 if there was none or its files cannot be used."""
    try:
        state = json.loads(counter.read_text())
        np.load(part, mmap_mode="r")
        return state["done"] if state["key"] == key else 0
    except (OSError, ValueError, KeyError, TypeError):
        return 0


def _finished(stem: Path, key: str) -> bool:
    try:
        return read(stem).header.get("key") == key
    except GlocalError:
        return False


def _alone(stem: Path):
    """Context that holds `<stem>.lock`; the system frees it when the process ends, however it ends."""
    from filelock import FileLock, Timeout

    lock = FileLock(side(stem, ".lock"))
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        print(f"{stem}: another run is extracting these features; waiting for it.")
        return lock.acquire()


def _key(header: dict, rows, dtype: str) -> str:
    """sha256 of everything that decides what the features are."""
    text = json.dumps([header, str(dtype)], sort_keys=True) + csv_text(rows)
    return hashlib.sha256(text.encode()).hexdigest()
