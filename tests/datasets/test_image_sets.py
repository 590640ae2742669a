"""Image sets of every kind: rows in order, labels that fit, faults named; features of them that survive what happens."""

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from helpers import needs_data
from PIL import Image

from glocal.datasets import archives, image_sets, imagenet, loaders, things
from glocal.datasets.image_sets import KINDS, image_set
from glocal.datasets.loaders import superclasses
from glocal.datasets.registry import image_registry
from glocal.errors import GlocalError
from glocal.features import jobs, store
from glocal.features.lite import to_square
from glocal.system.paths import resolve
from glocal.workflow.config import load_config


def paint(path, value=0, size=(12, 10)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((size[1], size[0], 3), value, np.uint8)).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """cat/a.png, cat/b.png, dog/c.png, dog/big/d.png, of grey 0, 1, 2, 3, and a file that is no image."""
    for i, name in enumerate(("cat/a", "cat/b", "dog/c", "dog/big/d")):
        paint(tmp_path / "pictures" / f"{name}.png", i)
    (tmp_path / "pictures" / "notes.txt").write_text("hello")
    return tmp_path / "pictures"


def greys(result):
    return [np.asarray(result[i])[0, 0, 0] for i in range(len(result))]


def test_a_folder(folder):
    result = image_set({"kind": "folder", "folder": str(folder)})
    assert list(result.rows["picture"]) == ["cat/a.png", "cat/b.png", "dog/big/d.png", "dog/c.png"]
    assert list(result.rows["class"]) == ["cat", "cat", "dog", "dog"] and greys(result) == [0, 1, 3, 2]
    deep = image_set({"kind": "folder", "folder": str(folder), "label": "path"})
    assert list(deep.rows["class"]) == ["cat", "cat", "dog/big", "dog"]


def test_the_digest_sees_names_and_contents_but_not_dates(folder, monkeypatch):
    digest = lambda: image_set({"kind": "folder", "folder": str(folder)}).about["images"]
    first = digest()
    os.utime(folder / "cat" / "a.png", ns=(1, 1))  # as a copy leaves it
    assert digest() == first
    image = folder / "cat" / "a.png"
    image.write_bytes(image.read_bytes()[:-1] + b"x")  # the same size
    digests = [first, digest()]
    monkeypatch.setattr(loaders, "READ_WHOLE", 10)
    digests.append(digest())
    image.write_bytes(image.read_bytes()[:-1] + b"y")
    assert digest() == digests[-1]  # a large set: names and sizes
    paint(image, 0, size=(120, 100))
    digests.append(digest())
    image.rename(folder / "cat" / "z.png")
    assert len({*digests, digest()}) == 5


def test_hidden_files_and_folders_are_no_images(folder):
    before = image_set({"kind": "folder", "folder": str(folder)})
    paint(folder / ".ipynb_checkpoints" / "a.png")
    (folder / "cat" / "._a.png").write_bytes(b"what macOS leaves on other disks")
    after = image_set({"kind": "folder", "folder": str(folder)})
    assert list(after.rows["picture"]) == list(before.rows["picture"]) and after.about == before.about


@pytest.mark.parametrize("name", [b"a\rb.png", b"a\nb.png", b"a\xff.png"])
def test_a_file_name_that_no_table_can_hold_is_refused(folder, name):
    shutil.copy(folder / "cat" / "a.png", os.fsencode(folder) + b"/cat/" + name)
    with pytest.raises(GlocalError, match=r"the file name 'cat/a.*\.png' has control characters or is not UTF-8") as error:
        image_set({"kind": "folder", "folder": str(folder)})
    assert str(error.value).isprintable()


def test_an_error_inside_a_loader_is_no_wrong_field(folder, monkeypatch):
    def broken(name, folder):
        return len(None)

    monkeypatch.setitem(KINDS, "folder", broken)
    with pytest.raises(TypeError, match="has no len"):
        image_set({"kind": "folder", "folder": str(folder)})


def test_a_list_file_and_a_label_file(folder, tmp_path):
    table = pd.DataFrame({"picture": ["dog/c.png", "cat/a.png"], "mood": ["calm", "cross"]})
    table.to_csv(tmp_path / "list.csv", index=False)
    result = image_set({"kind": "list", "file": str(tmp_path / "list.csv"), "folder": str(folder)})
    pd.testing.assert_frame_equal(result.rows, table)
    assert greys(result) == [2, 0]
    with pytest.raises(GlocalError, match=r'lists the image "dog/c\.png", which is not below its folder'):
        image_set({"kind": "list", "file": str(tmp_path / "list.csv")})
    names = ["dog/c.png", "cat/a.png", "cat/b.png", "dog/big/d.png"]
    pd.DataFrame({"picture": names, "class": list("wxyz")}).to_csv(tmp_path / "labels.csv", index=False)
    labelled = image_set({"kind": "folder", "folder": str(folder), "labels": str(tmp_path / "labels.csv")})
    assert dict(zip(labelled.rows["picture"], labelled.rows["class"], strict=True)) == dict(zip(names, "wxyz", strict=True))


@pytest.mark.parametrize(
    "text, words",
    [
        ("", "cannot be read as a table"),
        ('picture\n"cat', "cannot be read as a table"),
        ("picture,class\ncat/a.png,x\n", '"cat/b.png" has no row in it .3 in all'),
        ("picture\ncat/a.png\ncat/b.png\ndog/c.png\ndog/big/d.png\nowl.png\n", '"owl.png" is no image of the folder'),
        ("picture\ncat/a.png\ncat/a.png\n", 'names "cat/a.png" twice'),
        ("file,class\ncat/a.png,x\n", "lacks the column picture; its columns are: file, class"),
        (None, "no such file"),
    ],
)
def test_a_label_file_that_does_not_fit(folder, tmp_path, text, words):
    if text is not None:
        (tmp_path / "labels.csv").write_text(text)
    with pytest.raises(GlocalError, match=f"labels.csv: .*{words}"):
        image_set({"kind": "folder", "folder": str(folder), "labels": str(tmp_path / "labels.csv")})


@pytest.mark.parametrize(
    "spec, words",
    [
        ({"kind": "foldr"}, 'Did you mean "folder"'),
        ({"kind": "folder", "folder": "no/where"}, "my-set: no/where is no folder"),
        ({"kind": "folder", "folder": "EMPTY"}, "holds no images"),
        ({"kind": "folder", "fodler": "x"}, "other fields .*fodler"),
        ({"kind": "folder", "folder": "EMPTY", "only": "EMPTY/x.txt"}, "no such file; it lists the images"),
        ({"kind": "list", "file": "EMPTY/x.csv"}, "no such file"),
        ({"kind": "torchvision", "dataset": "CIFAR11", "folder": "EMPTY"}, 'Did you mean "CIFAR10'),
        ({"kind": "torchvision", "dataset": "CIFAR10", "folder": "EMPTY", "download": False}, "lacks the files of CIFAR10"),
        ({"kind": "torchvision", "dataset": "DTD", "split": "tset", "folder": "EMPTY"}, "does not take these options"),
        ({"kind": "huggingface", "dataset": "x", "split": "train"}, "needs the package datasets"),
        ({"kind": "things", "folder": "EMPTY.zip"}, "no such file; download the archive by hand"),
        ({"kind": "flickr30k", "folder": "EMPTY", "captions": "EMPTY/c.token"}, "is no file; put the captions"),
        ("cifra10-train", 'Did you mean "cifar10-train"'),
    ],
)
def test_faults_are_named(tmp_path, monkeypatch, spec, words):
    monkeypatch.setitem(sys.modules, "datasets", None)  # as if it were not installed
    (tmp_path / "EMPTY").mkdir()
    if isinstance(spec, dict):
        spec = {k: v.replace("EMPTY", str(tmp_path / "EMPTY")) if isinstance(v, str) else v for k, v in spec.items()}
    with pytest.raises(GlocalError, match=words):
        image_set(spec, "my-set")


def test_broken_pictures_are_an_error_or_skipped_by_name(folder, tmp_path, capsys):
    (folder / "dog" / "c.png").write_bytes(b"broken")
    spec = {"kind": "folder", "folder": str(folder)}
    with pytest.raises(GlocalError, match=r"dog/c\.png: cannot be read as an image"):
        jobs.image_features(Toy(), image_set(spec), tmp_path / "x")
    result = jobs.image_features(Toy(), image_set(spec | {"skip_broken": True}), tmp_path / "x")
    assert list(result.rows["picture"]) == ["cat/a.png", "cat/b.png", "dog/big/d.png"] and result.x[:, 0].tolist() == [0, 1, 3]
    assert result.header["skipped"] == ["dog/c.png"] and "skipped: " in capsys.readouterr().out
    for path in folder.rglob("*.png"):
        path.write_bytes(b"broken")
    with pytest.raises(GlocalError, match="no image can be read; see the reasons printed above"):
        image_set(spec | {"skip_broken": True})


# -- features ----------------------------------------------------------------------------------------------------------


class Toy:
    """An encoder whose features are the first pixels."""

    name, layer, seen = "toy", "first pixels", 0

    def prepare(self, image):
        return to_square(image)

    def encode(self, batch):
        Toy.seen += len(batch)
        return torch.from_numpy(np.ascontiguousarray(batch[:, :, 0, 0])).float() + torch.tensor([0.0, 0.25, 0.5])

    def header(self):
        return {"encoder": "toy", "layer": "first pixels", "preprocessing": "224", "digest": "0"}


def test_features_of_a_set_are_made_once_and_anew_when_a_picture_changes(folder, tmp_path):
    spec = {"kind": "folder", "folder": str(folder)}
    first = jobs.image_features(Toy(), image_set(spec), tmp_path / "x", batch=2)
    np.testing.assert_array_equal(first.x, np.array([[0], [1], [3], [2]]) + [0, 0.25, 0.5])
    assert first.header["digest"] == "0" and len(first.header["images"]) == 64
    before = Toy.seen
    jobs.image_features(Toy(), image_set(spec), tmp_path / "x", batch=2)
    assert Toy.seen == before
    paint(folder / "cat" / "a.png", 9, size=(240, 250))
    again = jobs.image_features(Toy(), image_set(spec), tmp_path / "x", batch=2)
    assert again.x[0, 0] == 9 and Toy.seen > before


RUN = """
import os, sys, time
sys.path[:0] = [{here!r}, {here!r} + "/../support"]
from test_image_sets import Toy, image_set, jobs
class Slow(Toy):
    def encode(self, batch):
        time.sleep(0.2)
        os.write(1, b"batch\\n")  # in one piece: several threads are here at once
        return super().encode(batch)
jobs.image_features(Slow(), image_set(dict(kind="folder", folder={folder!r})), {stem!r}, batch=1)
"""


def test_a_killed_extraction_goes_on_to_the_same_bytes(tmp_path):
    for i in range(24):
        paint(tmp_path / "many" / f"{i:02}.png", i)
    code = RUN.format(here=os.path.dirname(__file__), folder=str(tmp_path / "many"), stem=str(tmp_path / "x"))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    while not (tmp_path / "x.part.json").exists():
        assert process.stdout.readline() == "batch\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = json.loads((tmp_path / "x.part.json").read_text())["done"]
    result = image_set({"kind": "folder", "folder": str(tmp_path / "many")})
    Toy.seen = 0
    jobs.image_features(Toy(), result, tmp_path / "x", batch=1)
    assert 0 < done < 24 and Toy.seen < 24 - done + 13  # 12 for the check of the batch order: 4 images in three ways
    jobs.image_features(Toy(), result, tmp_path / "whole", batch=1)
    for end in (".npy", ".csv", ".json"):
        assert (tmp_path / f"x{end}").read_bytes() == (tmp_path / f"whole{end}").read_bytes()


# -- libraries and the paper's sets --------------------------------------------------------------------------------------


def test_a_torchvision_set(tmp_path):
    """DTD as it lies on disk: three images, two classes, the official list of one split."""
    for i, name in enumerate(("banded/banded_1.jpg", "dotted/dotted_1.jpg", "dotted/dotted_2.jpg")):
        paint(tmp_path / "dtd" / "dtd" / "images" / name, 50 * i)
    labels = tmp_path / "dtd" / "dtd" / "labels"
    labels.mkdir()
    (labels / "test1.txt").write_text("banded/banded_1.jpg\ndotted/dotted_2.jpg\n")
    result = image_set({"kind": "torchvision", "dataset": "DTD", "split": "test", "folder": str(tmp_path), "download": False})
    assert list(result.rows["class"]) == ["banded", "dotted"] and greys(result) == [0, 100]
    assert "DTD" in result.about["images"] and "test" in result.about["images"]


def test_cifar_has_coarse_labels_and_the_halves_of_the_shift(tmp_path, monkeypatch):
    import pickle

    from torchvision.datasets import CIFAR100

    top = tmp_path / "cifar-100-python"
    top.mkdir()
    names = sorted(superclasses("cifar100")["class"])
    assert names[:5] == ["apple", "aquarium_fish", "baby", "bear", "beaver"] and names[-2:] == ["woman", "worm"]
    pixels = np.repeat(np.arange(100, dtype=np.uint8), 3072).reshape(100, 3072)
    (top / "test").write_bytes(pickle.dumps({"data": pixels, "fine_labels": list(range(100))}))
    (top / "meta").write_bytes(pickle.dumps({"fine_label_names": names}))
    monkeypatch.setattr(CIFAR100, "_check_integrity", lambda self: True)
    monkeypatch.setattr("torchvision.datasets.cifar.check_integrity", lambda *a: True)
    result = image_set({"kind": "torchvision", "dataset": "CIFAR100", "train": False, "folder": str(tmp_path),
                       "superclasses": "cifar100"})  # fmt: skip
    assert greys(result)[:3] == [0, 1, 2] and list(result.rows["class"]) == names
    row = result.rows.set_index("class").loc["beaver"]
    assert (row["superclass"], row["part"]) == ("aquatic_mammals", "source")


def test_superclasses_by_count_and_disjointness():
    cifar = superclasses("cifar100")
    assert cifar["class"].nunique() == len(cifar) == 100 and cifar["superclass"].value_counts().eq(5).all()
    halves = cifar.groupby(["superclass", "part"])["class"].nunique().unstack()
    assert len(halves) == 20 and halves["source"].eq(3).all() and halves["target"].eq(2).all()
    for _, group in cifar.groupby("superclass"):  # fine classes 0 to 2 by number, and numbers go by name
        assert list(group.sort_values("class")["part"]) == ["source"] * 3 + ["target"] * 2
    thirty = superclasses("imagenet30")
    assert len(thirty) == thirty["class"].nunique() == 30 == thirty["superclass"].nunique()


@needs_data
def test_imagenet30_names_are_those_of_its_numbers():
    names = imagenet.imagenet_names()
    for number, name in superclasses("imagenet30")[["class", "superclass"]].itertuples(index=False):
        assert names[int(number)].lower().replace("-", " ") in (name.lower(), f"{name} telephone".lower()), (number, name)


@needs_data
def test_an_imagenet_folder_has_the_hierarchies(tmp_path):
    wnids = sorted(w for _, w, _ in json.loads(things.fetch("breeds-classes").read_text()))
    for wnid in wnids:
        (tmp_path / wnid).mkdir()
        (tmp_path / wnid / "x.JPEG").write_bytes(b"")  # never opened here
    result = image_set({"kind": "imagenet", "folder": str(tmp_path)})
    assert list(result.rows["class"]) == list(range(1000)) and (result.rows["imagenet30"] != "").sum() == 30
    for task in imagenet.TASKS:
        superclass, part, names = imagenet.split(task)
        assert list(result.rows[task]) == [names[s] if s >= 0 else "" for s in superclass]
        assert list(result.rows[f"{task}_part"]) == list(part)
    (tmp_path / wnids[0] / "x.JPEG").unlink()
    with pytest.raises(GlocalError, match="999 folders of images, but ImageNet has 1,000"):
        image_set({"kind": "imagenet", "folder": str(tmp_path)})


def test_imagenet_archives_are_unpacked_once_and_whole(tmp_path, monkeypatch):
    (tmp_path / "ILSVRC2012_img_val.tar").touch()

    def unpack(root, split):
        if not (root / "ILSVRC2012_devkit_t12.tar.gz").exists():
            raise RuntimeError("The archive ILSVRC2012_devkit_t12.tar.gz is not present")
        (root / split / "n01440764").mkdir(parents=True)

    monkeypatch.setattr("torchvision.datasets.ImageNet", unpack)
    with pytest.raises(GlocalError, match=r"in: .* lacks an archive of ImageNet .*devkit"):
        archives.unpack_imagenet(tmp_path / "val", "val", "in")
    assert not (tmp_path / "val").exists()
    (tmp_path / "ILSVRC2012_devkit_t12.tar.gz").touch()
    for _ in range(2):
        archives.unpack_imagenet(tmp_path / "val", "val", "in")
    assert [path.name for path in (tmp_path / "val").iterdir()] == ["n01440764"]


@needs_data
@pytest.mark.parametrize("layout", ["flat", "folders", "zip"])
def test_things_in_any_layout_comes_in_corrected_order(tmp_path, layout, monkeypatch):
    concepts = list(things.things_objects()["object"])
    names = {"flat": "{0}_01b.jpg", "folders": "{0}/{0}_01b.jpg", "zip": "object_images/{0}/{0}_01b.jpg"}[layout]
    (tmp_path / "made").mkdir()
    for name in (*concepts[::-1], "unrelated"):
        for file in (names.format(name), names.format(name).replace("_01b", "_02s")):
            (tmp_path / "made" / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / "made" / file).write_bytes(name.encode())
    where = tmp_path / "made"
    if layout == "zip":
        with zipfile.ZipFile(tmp_path / "things.zip", "w") as archive:
            for path in where.rglob("*.jpg"):
                archive.write(path, path.relative_to(where))
        where = tmp_path / "things.zip"
    if layout == "zip":  # an interrupted run leaves another folder, which is ignored
        (tmp_path / "things.unpacking").mkdir()
        assert not (tmp_path / "things").exists()
    result = image_set({"kind": "things", "folder": str(where)})
    if layout == "zip":
        assert image_set({"kind": "things", "folder": str(tmp_path / "things")}).items == result.items
    assert [item.read_bytes().decode() for item in result.items] == concepts == list(result.rows["object"])
    if layout == "folders":
        (where / concepts[7] / f"{concepts[7]}_01b.jpg").unlink()
        assert image_set({"kind": "things", "folder": str(where)}).items[7].name.endswith("_02s.jpg")
        (where / concepts[7] / f"{concepts[7]}_02s.jpg").unlink()
        with pytest.raises(GlocalError, match=f'no image of "{concepts[7]}" .1 of 1,854'):
            image_set({"kind": "things", "folder": str(where)})


def test_flickr30k_has_its_captions(tmp_path):
    for name in ("1.jpg", "2.jpg"):
        paint(tmp_path / "images" / name)
    lines = [f"{n}.jpg#{i}\tCaption {n} {i} ." for n in (2, 1) for i in range(5)]
    (tmp_path / "c.token").write_text("\n".join(lines))
    spec = {"kind": "flickr30k", "folder": str(tmp_path / "images"), "captions": str(tmp_path / "c.token")}
    result = image_set(spec)
    assert result.rows.loc[1, "caption_3"] == "Caption 2 3 ." and list(result.rows["picture"]) == ["1.jpg", "2.jpg"]
    paint(tmp_path / "images" / "3.jpg")
    with pytest.raises(GlocalError, match=r'"3\.jpg" is in one of them only'):
        image_set(spec)


def test_a_hugging_face_set(tmp_path):
    library = pytest.importorskip("datasets", reason="the package datasets is not installed")
    images = [Image.fromarray(np.full((4, 4, 3), v, np.uint8)) for v in (5, 6)]
    kinds = library.Features({"image": library.Image(), "label": library.ClassLabel(names=["cat", "dog"])})
    made = library.Dataset.from_dict({"image": images, "label": [1, 0]}, features=kinds)
    library.DatasetDict({"test": made}).save_to_disk(tmp_path / "saved")
    result = image_set({"kind": "huggingface", "dataset": "x", "split": "test", "folder": str(tmp_path / "saved")})
    assert list(result.rows["class"]) == ["dog", "cat"] and greys(result) == [5, 6]


def test_the_registry_of_image_sets():
    known = image_registry()
    assert all(row["kind"] in KINDS and row["get"] in ("download", "by hand") and row["licence"] for row in known.values())
    tables = set(pd.read_csv(resolve("data/superclasses.csv"))["table"])
    assert {row["superclasses"] for row in known.values()} <= tables | {""}
    config = load_config("config/paper.yaml")
    used = {part["images"] for settings in config["encoders"].values() for part in settings["sets"].values()}
    assert used <= set(known) and len(config["encoders"]) == 12


def test_pictures_of_several_shapes_in_a_batch_are_named(folder, tmp_path):
    paint(folder / "cat" / "a.png", size=(30, 10))
    loose = Toy()
    loose.prepare = lambda image: np.asarray(image).transpose(2, 0, 1)
    with pytest.raises(GlocalError, match="must bring all to one size"):
        jobs.image_features(loose, image_set({"kind": "folder", "folder": str(folder)}), tmp_path / "x")


def test_a_named_set_that_is_not_whole(tmp_path, monkeypatch):
    row = {"kind": "folder", "folder": str(tmp_path), "options": {}, "superclasses": "", "images": "3"}
    monkeypatch.setattr(image_sets, "image_registry", lambda: {"three": row})
    paint(tmp_path / "a.png"), paint(tmp_path / "b.png")
    with pytest.raises(GlocalError, match=r"three: .* holds 2 images, the set has 3"):
        image_set("three", "three")
    paint(tmp_path / "c.png")
    assert len(image_set("three")) == 3


def test_the_lists_of_a_partition(folder, tmp_path):
    (tmp_path / "part.txt").write_text("/cat/b.png\ndog/c.png\n\n")
    spec = {"kind": "folder", "folder": str(folder), "only": str(tmp_path / "part.txt"), "label": "path"}
    assert list(image_set(spec).rows["picture"]) == ["cat/b.png", "dog/c.png"]
    (tmp_path / "part.txt").write_text("cat/x.png\n")
    with pytest.raises(GlocalError, match=r'lists "cat/x\.png", which is not among the images'):
        image_set(spec)


def test_extract_all_makes_objects_with_folds_and_sets(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("glocal.features.encoders.encoder", lambda spec: Toy())
    images = {"mine": {"kind": "folder", "folder": str(folder)}}
    settings = {"model": {"source": "toy"}, "objects": "mine", "sets": {"other": {"images": "mine"}}, "dtype": "float16"}
    jobs.model_features(lambda name: tmp_path / "f" / name, settings, images, folds=2)
    objects, other = (store.read(tmp_path / "f" / name) for name in ("objects", "other"))
    assert sorted(objects.rows["object_fold"]) == [0, 0, 1, 1] and "object_fold" not in other.rows
    assert objects.x.dtype == np.float16 and objects.header["source"] == "mine"
