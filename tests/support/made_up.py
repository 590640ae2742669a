"""Every image set of config/paper.yaml, made up: a few small images a class in the files that its owners give out.

    write(folder)        below folder/data, with folder/data/image_sets.csv: the numbers of images that are there

ImageNet's classes are all there, the reader asks for them; other sets have fewer classes, of the real names where there are any.
"""

import csv
import io
import itertools
import json
import pickle
import tarfile
import zipfile

import numpy as np
from image_profile import pixels
from PIL import Image
from scipy.io import savemat

from glocal.datasets import things
from glocal.datasets.loaders import superclasses
from glocal.datasets.registry import fetch, image_registry

SCENES = ["a/abbey", "b/bakery/shop", "c/church/indoor", "c/church/outdoor", *(f"v/valley_{i}" for i in range(16))]
TEXTURES = ["banded", "bubbly", "cracked", "dotted", "fibrous", "grid", "knitted", "lined", "marbled", "pitted", "woven"]
FLOWERS = 20  # classes


def jpeg(kind: int, c: int, number: int) -> bytes:
    """A small image of a class of a set."""
    file = io.BytesIO()
    Image.fromarray(pixels(2000 * kind + c, number)).save(file, "jpeg")
    return file.getvalue()


def put(path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def write(folder) -> None:
    """All sets below `folder`/data/images, and their table."""
    top = folder / "data" / "images"
    top.mkdir(parents=True)
    images = things_zip(top) | imagenet(top / "imagenet") | sun397(top / "sun397") | dtd(top / "dtd" / "dtd" / "dtd")
    images |= cifar(top, "cifar10", 8, 4) | cifar(top, "cifar100", 3, 1) | flowers(top / "flowers" / "flowers-102")
    rows = [row | {"options": json.dumps(row["options"]), "images": images.get(name, row["images"])}
            for name, row in image_registry().items()]  # fmt: skip
    with open(folder / "data" / "image_sets.csv", "w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def things_zip(top) -> dict:
    with zipfile.ZipFile(top / "things.zip", "w") as archive:
        for i, concept in enumerate(things.things_objects()["object"]):
            for n, end in enumerate(("01b", "02s")):
                archive.writestr(f"object_images/{concept}/{concept}_{end}.jpg", jpeg(0, i, n))
    return {"things": things.N_OBJECTS}


def imagenet(top) -> dict:
    """A tar of a tar a class, a tar of all validation images, and the development kit that says their classes."""
    wnids = sorted(wnid for _, wnid, _ in json.loads(fetch("breeds-classes").read_text()))
    put(top / "ILSVRC2012_img_train.tar", tar({
        f"{wnid}.tar": tar({f"{wnid}_10026.JPEG": jpeg(1, i, 0)}) for i, wnid in enumerate(wnids)}))  # fmt: skip
    order = np.random.default_rng(0).permutation(len(wnids))  # validation images are not sorted by class
    images = {f"ILSVRC2012_val_{n + 1:08}.JPEG": jpeg(1, i, 1000) for n, i in enumerate(order)}
    put(top / "ILSVRC2012_img_val.tar", tar(images))
    kit = io.BytesIO()
    fields = ["ILSVRC2012_ID", "WNID", "words", "gloss", "num_children"]
    rows = [(i + 1, wnid, f"class {i}, another name", "", 0) for i, wnid in enumerate(wnids)]
    synsets = np.array([*rows, (1001, "n00001740", "entity", "", 2)], dtype=[(f, object) for f in fields])
    savemat(kit, {"synsets": synsets[:, None]})
    data = "ILSVRC2012_devkit_t12/data"
    truth = "".join(f"{i + 1}\n" for i in order).encode()
    kit = {f"{data}/meta.mat": kit.getvalue(), f"{data}/ILSVRC2012_validation_ground_truth.txt": truth}
    put(top / "ILSVRC2012_devkit_t12.tar.gz", tar(kit, "w:gz"))
    return {"imagenet-train": len(wnids), "imagenet-val": len(wnids)}


def tar(files: dict, mode="w") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def cifar(top, name: str, train: int, test: int) -> dict:
    """Pickled batches as torchvision reads them. train, test: images a class."""
    coarse, n = name == "cifar100", 100 if name == "cifar100" else 10
    place = top / name / ("cifar-100-python" if coarse else "cifar-10-batches-py")
    table = superclasses("cifar100").sort_values("class")
    groups = sorted(set(table["superclass"]))

    def batch(per_class: int, first: int) -> bytes:
        labels = [c for c in range(n) for _ in range(per_class)]
        shown = [pixels(10_000 + 2000 * coarse + c, first + i)[4:36, 8:40] for i, c in enumerate(labels)]
        content = {"data": np.stack(shown).transpose(0, 3, 1, 2).reshape(len(labels), 3072)}
        of_coarse = {"fine_labels": labels, "coarse_labels": [groups.index(table["superclass"].iloc[c]) for c in labels]}
        return pickle.dumps(content | (of_coarse if coarse else {"labels": labels}))

    if coarse:
        names = {"fine_label_names": list(table["class"]), "coarse_label_names": groups}
        files = {"train": batch(train, 0), "test": batch(test, 10_000), "meta": pickle.dumps(names)}
    else:
        files = {f"data_batch_{i}": batch(train // 5 + (i <= train % 5), 1000 * i) for i in range(1, 6)}
        names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
        files |= {"test_batch": batch(test, 10_000), "batches.meta": pickle.dumps({"label_names": names})}
    for file, content in files.items():
        put(place / file, content)
    return {f"{name}-train": n * train, f"{name}-test": n * test}


def sun397(top) -> dict:
    """Folders by letter, name and, for some, kind; the partition's lists begin each path with a slash. Some images in neither."""
    lists = {"Training_01.txt": [], "Testing_01.txt": []}
    for i, scene in enumerate(SCENES):
        for n in range(8):
            put(top / "SUN397" / scene / f"sun_{i:03}{n}.jpg", jpeg(3, i, n))
            if n < 7:
                lists["Training_01.txt" if n < 5 else "Testing_01.txt"].append(f"/{scene}/sun_{i:03}{n}.jpg")
    for name, paths in lists.items():
        put(top / name, "\n".join(paths))
    return {"sun397-train": len(lists["Training_01.txt"]), "sun397-test": len(lists["Testing_01.txt"])}


def dtd(top) -> dict:
    for i, texture in enumerate(TEXTURES):
        for n in range(8):
            put(top / "images" / texture / f"{texture}_{n:04}.jpg", jpeg(4, i, n))
    parts = {"train": range(5), "val": range(5, 6), "test": range(6, 8)}
    for name, numbers in parts.items():
        put(top / "labels" / f"{name}1.txt", "".join(f"{t}/{t}_{n:04}.jpg\n" for t, n in itertools.product(TEXTURES, numbers)))
    return {f"dtd-{name}": len(TEXTURES) * len(numbers) for name, numbers in parts.items()}


def flowers(top) -> dict:
    """Images numbered from 1, sorted by class; the parts are lists of numbers."""
    labels = np.repeat(np.arange(1, FLOWERS + 1), 8)
    for i, c in enumerate(labels):
        put(top / "jpg" / f"image_{i + 1:05}.jpg", jpeg(5, c, i))
    number = np.arange(len(labels))
    parts = {"trnid": number % 8 < 5, "valid": number % 8 == 5, "tstid": number % 8 > 5}
    savemat(top / "imagelabels.mat", {"labels": labels[None]})
    savemat(top / "setid.mat", {name: number[mask][None] + 1 for name, mask in parts.items()})
    sizes = [int(mask.sum()) for mask in parts.values()]
    return dict(zip(("flowers-train", "flowers-val", "flowers-test"), sizes, strict=True))
