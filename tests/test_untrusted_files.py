"""Files made to do harm: no pickle is run, nothing is unfolded without end or written elsewhere (see test_hostile_files.py)."""

import zipfile

import numpy as np
import pytest
import torch

from glocal import transform_io, triplet_io
from glocal.datasets import archives, registry
from glocal.errors import LONGEST, GlocalError
from glocal.features import encoders, files
from glocal.system.files import UNFOLDED
from glocal.workflow import config


class Touch:
    """Its pickle, when it is loaded, makes a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize("kind", ["x.npy", "x.npz", "x.pt", "t.npy", "t.npz", "w.npz", "timm", "torchvision", "open_clip"])
def test_no_pickle_is_run(kind, tmp_path):
    made, path = tmp_path / "made", tmp_path / (kind if "." in kind else "w.pt")
    evil = np.array([[Touch(made)] * 3] * 3)
    np.savez(path, weights=evil) if path.suffix == ".npz" else np.save(path, evil) if path.suffix == ".npy" else None
    if path.suffix == ".pt":
        torch.save({"state_dict": Touch(made)}, path)
    specs = {"timm": {"model": "resnet10t", "weights": str(path)},
             "torchvision": {"model": "resnet18", "options": {"checkpoint": str(path)}},
             "open_clip": {"model": "RN50", "weights": str(path), "options": {"like": "cc12m"}}}  # fmt: skip
    read = {"x": files.read, "t": triplet_io.read, "w": transform_io.read}
    with pytest.raises(GlocalError):
        encoders.encoder({"source": kind} | specs[kind], "cpu") if kind in specs else read[kind[0]](path)
    assert not made.exists()


def test_archives_that_unfold_to_far_more_are_refused(tmp_path):
    """2 MB of zeros for each MB of the limit of a small file: npz, pt, HDF5 and the archive of THINGS."""
    import h5py

    zeros = bytes(2**20)
    for name, member in (("x.npz", "features.npy"), ("x.pt", "x/data/0"), ("t.zip", "a/a_01b.jpg")):
        with zipfile.ZipFile(tmp_path / name, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(member, "w") as file:
            for _ in range(2 * UNFOLDED):
                file.write(zeros)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("features", (10**7, 10**7), "f4", chunks=(100, 100))  # 400 TB, none of it written
    for name, read in (("x.npz", files.read), ("x.pt", files.read), ("x.h5", files.read), ("t.zip", archives.unzip_things)):
        with pytest.raises(GlocalError, match="it would unfold to"):
            read(tmp_path / name)
    torch.save(torch.zeros(1, dtype=torch.float64).expand(10**6, 10**6), tmp_path / "view.pt")
    with pytest.raises(GlocalError, match="it would unfold to"):
        files.read(tmp_path / "view.pt")


def test_an_archive_writes_nothing_outside_its_folder(tmp_path):
    names = ("../../ant_01b.jpg", "/bee_01b.jpg", "a/../../cat_01b.jpg")
    with zipfile.ZipFile(tmp_path / "t.zip", "w") as archive:
        for name in names:
            archive.writestr(name, b"image")
        link = zipfile.ZipInfo("dog_01b.jpg")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    folder = archives.unzip_things(tmp_path / "t.zip")
    assert sorted(p.name for p in folder.iterdir()) == ["ant_01b.jpg", "bee_01b.jpg", "cat_01b.jpg", "dog_01b.jpg"]
    assert not any(p.is_symlink() for p in folder.iterdir()) and len(list(tmp_path.iterdir())) == 2  # zip, folder


LAUGHS = "\n".join(["a0: &a0 [x]", *(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30))])
HUGE = ("seed: 1" + "0" * 30, "seed: 1" + "0" * 5000, "a: .inf", "[" * 10**5)


@pytest.mark.parametrize("text", [LAUGHS, *HUGE, "a: &a [*a]", "a: &a {b: *a}", "1: x", "profile: 2020-13-45"])
def test_a_config_that_recurses_or_has_huge_numbers(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(GlocalError, match=r"c\.yaml: ") as error:
        config.load_config(tmp_path / "c.yaml")
    assert str(error.value).isprintable()


@pytest.mark.parametrize("file", ["../../x", "/etc/passwd", "a/../../x", f"a/{256 * 'x'}"])
def test_a_row_of_the_registry_stays_below_the_data(tmp_path, monkeypatch, file):
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    (tmp_path / "data").mkdir()
    columns = "name,url,archive,sha256,bytes,licence,citation,file,order"
    (tmp_path / "data" / "registry.csv").write_text(f"{columns}\na,u,,s,1,l,c,{file},\n")
    with pytest.raises(GlocalError, match="is no path below a folder"):
        registry.fetch("a")


def test_a_message_is_one_line_whatever_it_quotes():
    message = str(GlocalError("a\r\nb: \x1b[2J\udcff " + "x" * 10**5))
    assert message.isprintable() and message.startswith("a b: \\x1b[2J\\udcff x") and len(message) < LONGEST
