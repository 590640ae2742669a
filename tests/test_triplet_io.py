"""Files of triplets: every layout gives the same table; what is not clear is refused in one sentence."""

import json

import numpy as np
import pytest

from glocal import triplet_io
from glocal.errors import GlocalError

NAMES = ["a/cat.png", "a/dog.png", "b/cup.png", "b/dog.jpg", "b/éclair.png"]
TABLE = [[4, 1, 2], [0, 3, 1]]
NAMED = [["éclair", "a/dog.png", "cup.png"], ["cat", "b/dog", "a/dog"]]


def lines(rows, blank):
    return "".join(blank.join(map(str, row)) + "\n" for row in rows)


FILES = {
    **{f"{name}-{i}.csv": lines(TABLE, blank) for i, blank in enumerate([" ", ",", "\t", ";", ", "]) for name in ["plain"]},
    "header.csv": "first,second,ODD\n" + lines(TABLE, ","),
    "odd-first.csv": "odd_one_out;kept;kept\n" + lines([[c, a, b] for a, b, c in TABLE], ";"),
    "marked.txt": "\ufeff" + lines(TABLE, " "),
    "names.csv": lines(NAMED, ","),
    "header-names.tsv": "kept\tkept\todd\n" + lines(NAMED, "\t"),
    "list.json": json.dumps(TABLE),
    "dict.json": json.dumps({"about": "x", "triplets": NAMED}),
}


@pytest.mark.parametrize("name", FILES)
def test_every_layout_is_the_same_table(tmp_path, name):
    (tmp_path / name).write_text(FILES[name], encoding="utf-8")
    np.testing.assert_array_equal(triplet_io.read(tmp_path / name, names=NAMES), TABLE)


def test_arrays_one_row_and_none(tmp_path):
    np.save(tmp_path / "a.npy", np.array(TABLE, np.int16))
    np.savez(tmp_path / "b.npz", np.array(TABLE))
    np.savez(tmp_path / "c.npz", triplets=np.array(TABLE), more=np.zeros(2))
    for name in ("a.npy", "b.npz", "c.npz"):
        assert triplet_io.read(tmp_path / name, 5).tolist() == TABLE
    (tmp_path / "one.txt").write_text("0 1 2\n")
    (tmp_path / "none.txt").write_text("")
    assert triplet_io.read(tmp_path / "one.txt").tolist() == [[0, 1, 2]] and triplet_io.read(tmp_path / "none.txt").shape == (
        0,
        3,
    )


def test_the_first_number_is_declared_or_evident(tmp_path):
    (tmp_path / "t.csv").write_text(lines(np.array(TABLE) + 1, ","))
    assert triplet_io.read(tmp_path / "t.csv", 5, first=1).tolist() == TABLE
    assert triplet_io.read(tmp_path / "t.csv", 6, first=0).tolist() == (np.array(TABLE) + 1).tolist()
    with pytest.raises(GlocalError, match=r"no triplet has object 0, .* --first 1"):
        triplet_io.read(tmp_path / "t.csv", 6)


def test_names_that_are_numbers_count_only_if_they_agree(tmp_path):
    (tmp_path / "t.csv").write_text("0,1,2\n")
    assert triplet_io.read(tmp_path / "t.csv", names=["0.png", "1.png", "2.png"]).tolist() == [[0, 1, 2]]
    with pytest.raises(GlocalError, match="may be object numbers or names"):
        triplet_io.read(tmp_path / "t.csv", names=["2.png", "1.png", "0.png"])


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.npy", b"not numpy", "broken.npy: cannot be read"),
        ("wide.txt", b"0 1 2 3\n", r"wide.txt: shape is \(1, 4\)"),
        ("more.csv", b"a,b,odd,worker\ncat,cup,dog,7\n", r"more.csv: shape is \(1, 4\)"),
        ("hole.csv", b"0,1,\n3,4,0\n", 'hole.csv: triplet 1, "": no image has this name'),
        ("half.csv", b"0,cat,odder\n3,4,0\n", "half.csv: .* no image has this name"),
        ("ragged.csv", b"0,1,2\n0,1\n", "line 2 has 2 columns"),
        ("large.txt", b"0 2 3\n1 2 5\n", r"large.txt: row 1 is \(1, 2, 5\); .* start at 1"),
        ("typo.csv", b"cat,cup,eclair\n", '"eclair": no image has this name. Did you mean "éclair'),
        ("twice.csv", b"cat,cup,dog\n", 'triplet 1, "dog": several images have this name'),
        ("two.json", b'{"a": [], "b": []}', 'none is named "triplets"'),
        ("latin.csv", "caf\xe9,cup,cat\n".encode("latin-1"), "latin.csv: cannot be read"),
    ],
)
def test_faults_name_the_file(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(GlocalError, match=words):
        triplet_io.read(tmp_path / name, names=NAMES)


def test_names_need_a_table_of_names_and_pickles_are_refused(tmp_path):
    (tmp_path / "t.csv").write_text("kept,kept,odd\ncat,cup,dog\n")
    with pytest.raises(GlocalError, match='"cat" is a name, but the features have no names'):
        triplet_io.read(tmp_path / "t.csv", 5)
    np.save(tmp_path / "object.npy", np.array([{}, {}], dtype=object), allow_pickle=True)
    with pytest.raises(GlocalError, match="cannot be read"):
        triplet_io.read(tmp_path / "object.npy")
    with pytest.raises(GlocalError, match="no such file"):
        triplet_io.read(tmp_path / "absent.npy")
