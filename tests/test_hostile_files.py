"""Files that nobody meant well: each reader returns, or raises one GlocalError of one line; nothing is run, nothing is unfolded.

Each reader gets 300 seeded mutations of a good file, or as many as GLOCAL_FUZZ says (`make fuzz`: 10,000). Where a format has a
checksum the contents are mutated and packed again, so that the mutation arrives. What `make fuzz` finds it keeps in corpus/, a
folder a reader: commit it with the repair. Every run begins with these files.
"""

import functools
import hashlib
import io
import json
import os
import random
import shutil
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from glocal import transform_io, triplet_io
from glocal.datasets import archives, image_sets, images, registry
from glocal.errors import LONGEST, GlocalError
from glocal.features import files, store
from glocal.reporting import tables
from glocal.system import checkpoints
from glocal.workflow import config

INPUTS, CORPUS = int(os.environ.get("GLOCAL_FUZZ", 300)), Path(__file__).parent / "corpus"
TOKENS = [b"\0", b"\r", b"\n", b'"', b",", b"../../x", b"-1", b"9" * 400, b"1e999", b"nan", b"[" * 3000, b"{", b"(", b"'O'",
          b"&a [*a]", b"\xff\xfe", b"PK\x03\x04", b"\x80\x04.", "é".encode("latin-1"), b"null", b": ", b"\xff" * 8]  # fmt: skip
X, TRIPLETS = np.arange(12, dtype=np.float32).reshape(4, 3) / 7, np.array([[0, 1, 2], [1, 2, 3], [3, 0, 1]])


def saved(write) -> bytes:
    """What `write` writes to a file."""
    content = io.BytesIO()
    write(content)
    return content.getvalue()


def zipped(path, content: bytes, member: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)


def plain(path, content: bytes) -> None:
    path.write_bytes(content)


def checkpoint(path, content: bytes) -> None:
    path.write_bytes(checkpoints.MAGIC + hashlib.sha256(content).hexdigest().encode() + content)


def beside(path, content: bytes) -> None:
    """A header, or a table of rows, beside features that are as they should be."""
    rows, header = b"picture\na\nb\nc\nd\n", json.dumps({"n": 4, "p": 3, "dtype": "float32", "columns": {"picture": "str"}})
    np.save(path.with_suffix(".npy"), X)
    path.with_suffix(".csv").write_bytes(rows)
    path.with_suffix(".json").write_text(header)
    path.write_bytes(content)


def project(path, content: bytes) -> None:
    """data/registry.csv of the project in GLOCAL_ROOT."""
    (path.parent / "data").mkdir(exist_ok=True)
    (path.parent / "data" / path.name).write_bytes(content)


def safetensors(arrays: dict, about: dict | None = None) -> bytes:
    from safetensors.numpy import save

    return save({name: np.asarray(x) for name, x in arrays.items()}, about)


def hdf5() -> bytes:
    import h5py

    with h5py.File("x", "w", driver="core", backing_store=False) as file:
        file["features"] = X
        file["rows/picture"] = ["a", "b", "c", "d"]
        file.flush()
        return file.id.get_file_image()


def labels(path):
    shutil.rmtree(path.parent / "images", ignore_errors=True)
    for name in "abcd":
        images_of(path.parent / "images" / f"{name}.png")
    return image_sets.image_set({"kind": "folder", "folder": str(path.parent / "images"), "labels": str(path)})


def images_of(path):
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(PNG)


def things(path):
    shutil.rmtree(path.with_suffix(""), ignore_errors=True)
    return archives.unzip_things(path)


def named(read):
    """A reader of triplets among four named objects."""
    return functools.partial(read, names=["a.png", "b.png", "c.png", "d.png"])


def picture() -> bytes:
    from PIL import Image

    return saved(lambda file: Image.new("RGB", (5, 4), "red").save(file, "PNG"))


PNG = picture()
TRANSFORM = dict(weights=np.eye(3, dtype=np.float32), mean=np.float64(0), std=np.float64(1))
STATE = saved(lambda file: torch.save({"problem": "p", "state": {"epoch": 1, "w": torch.eye(2)}}, file))
TABLE = b"encoder,dataset,transform,metric,value,ci_low,ci_high,ceiling\nnet,a,naive,x,1,0,2,3\nnet,b,naive,x,1.5,0,2,3\n"
NPY, INTS = saved(lambda file: np.save(file, X)), saved(lambda file: np.save(file, TRIPLETS))
npz = functools.partial(zipped, member="features.npy")

READERS = {  # name: (name of the file, a good file's content, how it is written, reader)
    "features .npy": ("x.npy", NPY, plain, files.read),
    "features .npz": ("x.npz", saved(lambda file: np.savez(file, features=X)), plain, files.read),
    "features in .npz": ("x.npz", NPY, npz, files.read),
    "features .csv": ("x.csv", b"name,a,b\nx,1,2\ny,3,4.5\n", plain, files.read),
    "features .h5": ("x.h5", hdf5(), plain, files.read),
    "features .safetensors": ("x.safetensors", safetensors({"features": X}, {"rows": "name\na\nb\nc\nd"}), plain, files.read),
    "features .pt": ("x.pt", saved(lambda file: torch.save({"features": torch.eye(3)}, file)), plain, files.read),
    "names beside features": ("x.csv", b'picture\na\n"b"\nc\nd\n', beside, lambda path: files.read(path.with_suffix(".npy"))),
    "header of features": ("x.json", b'{"n": 4, "p": 3, "dtype": "float32", "columns": {"picture": "str"}}', beside,
                           lambda path: store.read(path.with_suffix(""))),
    "rows of features": ("x.csv", b"picture\na\nb\nc\nd\n", beside, lambda path: store.read(path.with_suffix(""))),
    "matrix of features": ("x.npy", NPY, beside, lambda path: store.read(path.with_suffix(""))),
    "triplets .npy": ("t.npy", INTS, plain, named(triplet_io.read)),
    "triplets .npz": ("t.npz", saved(lambda file: np.savez(file, triplets=TRIPLETS)), plain, triplet_io.read),
    "triplets in .npz": ("t.npz", INTS, npz, triplet_io.read),
    "triplets .csv": ("t.csv", b"kept,kept2,odd\na,b,c\nb.png,c,d\nd,a,b\n", plain, named(triplet_io.read)),
    "triplets .json": ("t.json", json.dumps({"triplets": TRIPLETS.tolist()}).encode(), plain, triplet_io.read),
    "transform .npz": ("w.npz", saved(lambda file: np.savez(file, **TRANSFORM)), plain, transform_io.read),
    "transform .safetensors": ("w.safetensors", safetensors(TRANSFORM), plain, transform_io.read),
    "checkpoint": ("c.pt", STATE, checkpoint, lambda path: checkpoints.load(path, "p")),
    "config": ("demo.yaml", (registry.shipped("config/demo.yaml")).read_bytes(), plain, config.load_config),
    "table of results": ("human.csv", TABLE, plain, tables.read),
    "registry": ("registry.csv", registry.shipped("data/registry.csv").read_bytes()[:2500].rpartition(b"\n")[0], project,
                 lambda path: [registry.on_disk(row["file"]) for row in registry.registry().values()]),
    "labels": ("l.csv", b"picture,class\na.png,x\nb.png,y\nc.png,x\nd.png,y\n", plain, labels),
    "archive of THINGS": ("t.zip", saved(lambda file: zipped(file, PNG, "ant/ant_01b.jpg")), plain, things),
    "image": ("i.png", PNG, plain, images.read_image),
}  # fmt: skip


def mutations(content: bytes, rng: random.Random, n: int):
    """`n` mutations of `content`: bytes flipped, cut, doubled, or replaced by what parsers stumble on, once or several times."""
    yield from (b"", b"\0" * 100, b"[" * 100_000)
    for _ in range(n - 3):
        data = bytearray(content)
        for _ in range(rng.choice((1, 1, 1, 2, 5, 20))):
            i, j = sorted(rng.randrange(len(data) + 1) for _ in range(2))
            j = min(j, i + rng.choice((1, 2, 8, 64, 10**6)))
            kind = rng.randrange(5)
            if kind == 0 and data:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            elif kind == 1:
                del data[i:j]
            elif kind == 2:
                data[i:i] = data[i:j]
            elif kind == 3:
                data[i:j] = rng.choice(TOKENS)
            else:
                data[i:i] = rng.choice(TOKENS)
        yield bytes(data)


def keep(name: str, data: bytes) -> None:
    """A file that a reader did not survive, for the next runs."""
    if "GLOCAL_FUZZ" in os.environ:
        (CORPUS / name).mkdir(parents=True, exist_ok=True)
        (CORPUS / name / hashlib.sha256(data).hexdigest()[:12]).write_bytes(data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", READERS)
def test_a_mutated_file_is_read_or_refused_in_one_line(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    file, content, write, read = READERS[name]
    path, refused = tmp_path / file, 0
    write(path, content)
    read(path)
    kept = [file.read_bytes() for file in sorted((CORPUS / name).glob("*"))]
    for i, data in enumerate((*kept, *mutations(content, random.Random(zlib.crc32(name.encode())), INPUTS))):
        write(path, data)
        try:
            read(path)
        except GlocalError as error:
            refused += 1
            assert str(error).isprintable() and len(str(error)) <= LONGEST, (i, data)
        except Exception as error:
            error.add_note(f"input {i}: {data[:300]!r}")
            keep(name, data)
            raise
    assert refused > INPUTS / 20
    shutil.rmtree(path, ignore_errors=True) if path.is_dir() else path.unlink(missing_ok=True)
    path.mkdir(exist_ok=True)
    with pytest.raises(GlocalError, match=path.stem) if write is not project else pytest.raises(GlocalError):
        read(path)
