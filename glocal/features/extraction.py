"""Resumable extraction of features: images through an encoder, batch by batch, into a feature set.

`extract` writes `<stem>.part.npy` and counts the finished rows in `<stem>.part.json`; the next run resumes from there,
at a multiple of the batch size, and ends with the same bytes.
"""

import hashlib
import json
import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from glocal.arrays import as_table, finite
from glocal.errors import GlocalError
from glocal.features.store import Features, csv_text, publish, read, refuse_folders, sibling, write_json
from glocal.system.locks import lock


def extract(images, encode, stem, rows, header: dict, batch: int = 16, dtype: str = "float32") -> Features:
    """Encode all images in batches into the features of `stem`; a finished set with the same key is reused.

    images: images[i:j] is a uint8 batch (j - i, h, w, 3): an array, or a `Lazy`. encode: batch -> (j - i, p), called
    from several threads. rows: DataFrame of n rows, one per image. header: encoder, digest, preprocessing, source...;
    with rows and dtype it is the key. An interrupted run resumes where it stopped; of two runs at once, the second waits.
    Raises GlocalError for unequal lengths, features that are not finite, or batches of another shape.
    """
    stem = Path(stem)
    if len(images) != len(rows) or not len(rows):
        raise GlocalError(f"{stem}: {len(images)} images and {len(rows)} rows; give at least one image, and a row for each.")
    stem.parent.mkdir(parents=True, exist_ok=True)
    refuse_folders(stem)
    key = _key(header, rows, dtype)
    with _locked(stem):
        if not _finished(stem, key):
            part = sibling(stem, ".part.npy")
            _stream(images, encode, part, f"{key} in batches of {batch}", batch, dtype)
            publish(stem, part, rows, {**header, "key": key})
            sibling(stem, ".part.json").unlink()
        return read(stem)


def _stream(images, encode, part: Path, key: str, batch: int, dtype: str) -> None:
    """Fill `part` (n, p) from the row that its counter names; the counter is updated after the data is on disk."""
    from tqdm import tqdm

    n, counter = len(images), part.with_suffix(".json")
    done, digest = _progress(counter, part, key)
    out = np.lib.format.open_memmap(part, mode="r+") if done else None
    with tqdm(total=n, initial=done, unit=" rows", desc=part.name.removesuffix(".part.npy")) as bar:
        work = lambda i: _encoded(encode, images[i : i + batch], dtype, part.name, i)
        for i, z in _in_order(work, range(done, n, batch)):  # z: (b, p)
            if out is None:
                out = _allocated(part, dtype, (n, z.shape[1]))
            out[i : i + len(z)] = z
            out.flush()
            digest.update(z.tobytes())
            write_json(counter, {"key": key, "done": i + len(z), "sha256": digest.hexdigest()})
            bar.update(len(z))


def _allocated(part: Path, dtype: str, shape: tuple):
    """An empty memory-mapped npy with its disk space allocated: writing to a map on a full disk would kill the process."""
    out = np.lib.format.open_memmap(part, mode="w+", dtype=dtype, shape=shape)
    try:
        if hasattr(os, "posix_fallocate"):
            with part.open("rb+") as file:
                os.posix_fallocate(file.fileno(), 0, part.stat().st_size)
    except OSError as error:
        gb = part.stat().st_size / 1e9
        part.unlink()
        raise GlocalError(
            f"{part}: needs {gb:.1f} GB, which the disk does not have ({error.strerror}); free some space."
        ) from None
    return out


def _encoded(encode, images: np.ndarray, dtype: str, name: str, first: int) -> np.ndarray:
    z = encode(images)
    z = z.detach().cpu().numpy() if torch.is_tensor(z) else np.asarray(z)
    with np.errstate(over="ignore"):  # float16 overflow becomes infinity, which `finite` reports
        z = as_table(z, len(images), f"{name}: encoder output").astype(dtype)
    return finite(z, name, first)


def _in_order(work, starts: range):
    """(i, work(i)) for each start, in order, computed by as many threads as torch may use, each on its own batch.

    One batch per thread is faster than many threads on one batch: nothing waits for a slow core, and the bytes do not
    depend on the number of threads.
    """
    threads = torch.get_num_threads()
    pending: deque[tuple[int, Future]] = deque()
    try:
        with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
            for i in starts:
                pending.append((i, pool.submit(work, i)))
                if len(pending) > 2 * threads:
                    i, future = pending.popleft()
                    yield i, future.result()
            for i, future in pending:
                yield i, future.result()
    finally:
        torch.set_num_threads(threads)


def _progress(counter: Path, part: Path, key: str) -> tuple:
    """Number of rows finished by an earlier run with the same key, and their sha256; 0 if there are none or they are damaged."""
    try:
        state = json.loads(counter.read_text())
        if state["key"] == key:
            digest = hashlib.sha256(np.load(part, mmap_mode="r")[: state["done"]])
            if digest.hexdigest() == state["sha256"]:
                return state["done"], digest
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return 0, hashlib.sha256()


def _finished(stem: Path, key: str) -> bool:
    try:
        return read(stem).header.get("key") == key
    except GlocalError:
        return False


def _locked(stem: Path):
    """Context that holds `<stem>.lease`."""
    from filelock import Timeout

    held = lock(sibling(stem, ".lease"))
    try:
        return held.acquire(timeout=1)
    except Timeout:
        print(f"{stem}: another run is extracting these features; waiting for it.")
        return held.acquire()


def _key(header: dict, rows, dtype: str) -> str:
    """sha256 of everything that the features depend on."""
    text = json.dumps([header, str(dtype)], sort_keys=True) + csv_text(rows)
    return hashlib.sha256(text.encode()).hexdigest()
