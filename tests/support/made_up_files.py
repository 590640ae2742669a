"""Made-up judgments, THINGS' lists and BREEDS' hierarchy in the formats of data/registry.csv, where the real are not at hand.

    write(folder)        below folder/data, with folder/data/registry.csv: their own sha256

The answers follow a made-up embedding of the objects. Every reader and every check of a sha256 is the real one.
"""

import csv
import hashlib
import io
import json

import numpy as np
from scipy.io import savemat

from glocal.datasets.registry import registry

N, TRIPLETS = 1854, 30_000
CONCEPTS = [f"object{i:04}" for i in range(N)]
BRANCHES = (2, 2, 3, 3, 4)  # of ImageNet's tree: living and non-living things, ...; then the classes


def write(folder) -> None:
    rng = np.random.default_rng(0)
    x = rng.gamma(0.5, size=(N, 12))  # what people are thought to know of the objects
    contents = things(x) | judgments(x, rng) | breeds() | similarities(x, rng)
    rows = []
    for name, row in registry().items():
        if name in contents:
            path = folder / "data" / row["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(contents[name])
            row = row | {"sha256": hashlib.sha256(contents[name]).hexdigest(), "bytes": len(contents[name])}
        rows.append(row)
    with open(folder / "data" / "registry.csv", "w", newline="") as file:
        table = csv.DictWriter(file, rows[0])
        table.writeheader()
        table.writerows(rows)


def text(array, fmt="%d", delimiter=" ") -> bytes:
    file = io.StringIO()
    np.savetxt(file, array, fmt, delimiter)
    return file.getvalue().encode()


def mat(**variables) -> bytes:
    file = io.BytesIO()
    savemat(file, variables)
    return file.getvalue()


def cells(*values) -> np.ndarray:
    """MATLAB's cell array, a row."""
    array = np.empty((1, len(values)), object)
    array[0] = values
    return array


def things(x) -> dict:
    """Lists and embeddings of the objects; two of their words occur twice, as camera and file do."""
    words = [concept if i % 900 else "camera" for i, concept in enumerate(CONCEPTS)]
    member = np.arange(N)[:, None] % 40 == np.arange(27)  # two objects of three have a category
    names = "\t".join(f"category {i}" for i in range(27))
    vice = io.BytesIO()
    np.save(vice, x)
    concepts = "".join(f"{word}\t{concept}\n" for word, concept in zip(words, CONCEPTS, strict=True))
    return {
        "things-concepts": f"Word\tuniqueID\n{concepts}".encode(),
        "things-categories": f"{names}\n".encode() + text(member, delimiter="\t"),
        "sortindex": text(np.roll(np.arange(N), 1)),
        "spose-66": text(np.hstack([x] * 6)[:, :66], "%.4f"),
        "spose-49": text(np.hstack([x] * 5)[:, :49], "%.4f"),
        "vice": vice.getvalue(),
    }


def answered(x, triplets) -> np.ndarray:
    """Triplets with the odd one last: that which is least like the two others."""
    s = np.stack([(x[triplets[:, [1, 0, 0][i]]] * x[triplets[:, [2, 2, 1][i]]]).sum(1) for i in range(3)], axis=1)
    order = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[s.argmax(1)]
    return np.take_along_axis(triplets, order, axis=1)


def judgments(x, rng) -> dict:
    """The six files, and 20 answers to each of 1,000 triplets, one of five of them at random."""
    files = [name for name in registry() if name.startswith("triplets-")]
    drawn = [np.sort(rng.permuted(np.tile(np.arange(N), (100, 1)), axis=1)[:, :300].reshape(-1, 3), axis=1) for _ in files]
    few = rng.permuted(np.tile(np.arange(48), (100, 1)), axis=1)[:, :9].reshape(-1, 3)  # on the objects of THINGS-48, too
    result = {name: text(answered(x, np.concatenate([t, few]))) for name, t in zip(files, drawn, strict=True)}
    asked = np.repeat(rng.permuted(np.tile(np.arange(N), (1000, 1)), axis=1)[:, :3], 20, axis=0)
    odd = (asked == answered(x, asked)[:, 2:]).argmax(1)
    choice = np.where(rng.random(len(odd)) < 0.2, rng.integers(0, 3, len(odd)), odd)
    return result | {"noise-ceiling-1": text(np.column_stack([asked + 1, choice + 1, np.arange(len(odd)) % 20]))}


def breeds() -> dict:
    """A tree of ImageNet's 1,000 classes whose nodes at depths 3 to 5 have as many classes as the four tasks need."""
    lines, names, nodes = [], {"n00001740": "entity"}, ["n00001740"]
    for depth, n in enumerate(BRANCHES):
        nodes = [(parent, f"m{depth}{i:07}") for i, parent in enumerate(np.repeat(nodes, n))]
        if depth == 0:
            nodes = [(parent, node) for (parent, _), node in zip(nodes, ["n00004258", "n00021939"], strict=True)]
        lines, names = [*lines, *nodes], names | {node: f"group {node}" for _, node in nodes}
        nodes = [node for _, node in nodes]
    classes = [[i, f"n{i + 1_000_000:08}", f"class {i}, another name"] for i in range(1000)]
    lines += [(nodes[i % len(nodes)], wnid) for i, wnid, _ in classes]
    return {
        "breeds-hierarchy": "".join(f"{a} {b}\n" for a, b in lines).encode(),
        "breeds-classes": json.dumps(classes).encode(),
        "breeds-names": "".join(f"{node}\t{name}\n" for node, name in names.items()).encode(),
    }


def similarities(x, rng) -> dict:
    """THINGS-48 and Mur-92."""
    distance = lambda n: 1 / (1 + x[:n] @ x[:n].T) * (1 - np.eye(n))
    person = [("RDM", object), ("name", object)]
    people = np.array([[(distance(92) * (1 + 0.1 * i), f"person {i}") for i in range(3)]], dtype=person)
    about = [("category", object), *((name, object) for name in ("human", "face", "animal", "natural", "image"))]
    images = rng.integers(0, 255, (92, 40, 40, 3), np.uint8)
    shown = [(f"category {i // 8}", *(i < np.array([24, 12, 48, 70])), image) for i, image in enumerate(images)]
    return {
        "human-things48-rdm": mat(RDM48_triplet=distance(48)),
        "human-things48-words": mat(words48=np.array([[word] for word in ["camera", *CONCEPTS[1:48]]], dtype=object)),
        "human-mur92-rdms": mat(rdms_behav_92=people),
        "human-mur92-images": mat(stimuli_92objs=np.array([shown], dtype=about)),
    }
