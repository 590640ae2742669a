"""An experiment answers with the right rows: of a set, of a fold, of a context, of a task."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers import DEMO

from glocal.errors import GlocalError
from glocal.features import store
from glocal.workflow.experiment import Experiment, _usable, halves


@pytest.fixture
def house(tmp_path, monkeypatch):
    """A repository root; returns a function that opens an experiment on a changed config."""
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))

    def experiment(encoder=None, **changes):
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(DEMO | changes))
        return Experiment("tiny.yaml", encoder)

    return experiment


@pytest.fixture
def demo(house):
    """Ten objects whose feature 0 is their number; subgroup folds 0 0 0 0 0 1 1 1 1 1, picture folds 0 1 0 1 ..."""
    e = house()
    rows = pd.DataFrame({"subgroup_fold": np.arange(10) // 5, "picture_fold": np.arange(10) % 2, "group": list("aaabbbbccd")})
    store.write(e.stem("objects"), numbered(10), rows)
    return e


@pytest.fixture
def public(house):
    """An encoder with a set of 30 other images, of which the context may use 20."""
    sets = {"images": {"cache": "imagenet", "part": "train"}}
    context = {"set": "images", "where": 'part != "target"', "images": 12, "held_out": 6}
    net = {"objects": "things-clip-b32", "downstream": True, "context": context, "sets": sets}
    e = house(source="public", downstream="all", encoders={"net": net}, alignment=DEMO["alignment"] | {"splits": ["object"]})
    rows = pd.DataFrame({"part": ["source", "target", "other"] * 10, "superclass": [0, 1, -1] * 10})
    store.write(e.stem("images"), numbered(30), rows)
    return e


def numbered(n):
    return np.column_stack([np.arange(n), np.random.default_rng(0).normal(size=(n, 2))])


def numbers(x):
    return np.asarray(x)[:, 0].astype(int).tolist()


def test_places(house, tmp_path):
    e = house()
    assert e.stem("a") == tmp_path / "results" / "tiny" / "features" / "net" / "a"
    assert e.table("few_shot") == tmp_path / "results" / "tiny" / "tables" / "net" / "few_shot.csv"
    assert e.figure("x") == tmp_path / "results" / "tiny" / "figures" / "x.png"
    assert e.table("few_shot").parent.is_dir() and e.figure("x").parent.is_dir()
    folder = tmp_path / "results" / "tiny" / "transforms" / "net"
    assert e.transform_paths() == {name: folder / f"{name}.npz" for name in ("naive", "glocal")}
    assert e.transform_path("picture-1", "naive") == folder / "picture-1" / "naive.npz"


def test_encoders(house):
    two = {name: DEMO["encoders"]["net"] for name in ("first", "second")}
    assert house(encoders=two).encoder == "first" and house("second", encoders=two).encoder == "second"
    with pytest.raises(GlocalError, match=r'encoder "secnd" is not in it[.] Did you mean "second"'):
        house("secnd", encoders=two)


@pytest.mark.parametrize(
    "objectives, featured",
    [(["naive", "glocal"], "glocal"), (["glocal", "naive"], "glocal"), (["naive"], "naive"), (["naive", "global"], "global")],
)
def test_what_figures_put_beside_the_original(house, objectives, featured):
    assert house(alignment=DEMO["alignment"] | {"objectives": objectives}).featured == featured


def test_folds(demo, public):
    assert demo.folds == demo.downstream_folds == ["subgroup-0", "subgroup-1", "picture-0", "picture-1"]
    assert public.folds == ["object-0", "object-1"] and public.downstream_folds == ["all"]
    assert demo.held_out("subgroup-1").tolist() == [False] * 5 + [True] * 5


def test_of_the_objects_only_the_held_out_ones(demo):
    part = {"set": "objects"}
    assert numbers(demo.select(part).x) == list(range(10))
    result = demo.select(part, "picture-1")
    assert numbers(result.x) == [1, 3, 5, 7, 9] and result.rows["group"].tolist() == list("abbcd")
    assert list(result.rows.index) == list(range(5))
    assert numbers(demo.select({"set": "objects", "where": 'group == "b"'}, "picture-1").x) == [3, 5]


def test_other_images_have_no_folds(public):
    assert numbers(public.select({"set": "images", "where": 'part == "target"'}, "object-0").x) == list(range(1, 30, 3))


@pytest.mark.parametrize("where", ["prat == 'x'", "part ==", "part == 'x' and"])
def test_a_selection_that_does_not_work_is_named(public, where):
    with pytest.raises(GlocalError, match=r"images: the condition `") as error:
        public.select({"set": "images", "where": where})
    assert "\n" not in str(error.value)


def test_parts_of_a_task_have_labels_and_enough_rows(demo, public):
    pool, test = demo.parts({"label": "group", "pool": {"set": "objects"}, "min_per_class": 3})
    assert numbers(pool.x) == [0, 1, 2, 3, 4, 5, 6] and test is None
    pool, _ = demo.parts({"label": "group", "train": {"set": "objects"}, "min_per_class": 3}, "picture-0")
    assert numbers(pool.x) == []  # five are held out: a a b b c
    source, target = (({"set": "images", "where": f'part == "{p}"'}) for p in ("source", "target"))
    train, test = public.parts({"label": "superclass", "train": source, "test": target})
    assert numbers(train.x) == list(range(0, 30, 3)) and numbers(test.x) == list(range(1, 30, 3))
    everything, _ = public.parts({"label": "superclass", "images": {"set": "images"}})
    assert -1 not in set(everything.rows["superclass"]) and len(everything.x) == 20
    with pytest.raises(GlocalError, match=r'images: has no column "superclas" .* Did you mean "superclass"'):
        public.parts({"label": "superclas", "images": {"set": "images"}})


def test_usable_labels():
    assert _usable(pd.Series(["a", "a", "", None, "b"]), 2).tolist() == [True, True, False, False, False]
    assert _usable(pd.Series([3, -1, 3, 4, -1]), 1).tolist() == [True, False, True, True, False]


def test_the_context_of_objects_is_what_a_fold_trains_on(demo):
    seen, unseen = demo.context("subgroup-0")
    assert numbers(seen) == [5, 6, 7, 8, 9] and numbers(unseen) == [0, 1, 2, 3, 4]
    seen, unseen = demo.context("all")
    assert numbers(seen) == numbers(unseen) == list(range(10))


def test_the_context_of_other_images_is_drawn_once_and_leaves_some_unseen(public):
    seen, unseen = public.context("object-0")
    assert len(seen) == 12 and len(unseen) == 6 and not set(numbers(seen)) & set(numbers(unseen))
    assert all(i % 3 != 1 for i in numbers(seen) + numbers(unseen))  # none of the target classes
    for fold in ("object-1", "all"):
        assert numbers(public.context(fold)[0]) == numbers(seen)
    public.settings["context"]["images"] = 15
    with pytest.raises(GlocalError, match="20 images fit, 21 are needed; lower images"):
        public.context("all")


def test_triplets_and_their_ceiling(demo):
    with pytest.raises(GlocalError, match=r"triplets\.npz: no triplets yet; run `snakemake triplets`"):
        demo.triplets()
    np.savez(demo.folder / "triplets.npz", **{"all": np.array([[0, 1, 2]]), "picture-0-test": np.array([[2, 4, 6]])})
    (demo.folder / "triplets.json").write_text(json.dumps({"noise_ceiling": {"all": 0.67, "picture-0-test": 0.66}}))
    assert {name: t.tolist() for name, t in demo.triplets().items()} == {"all": [[0, 1, 2]], "picture-0-test": [[2, 4, 6]]}
    assert (demo.noise_ceiling(), demo.noise_ceiling("picture-0-test"), demo.noise_ceiling("other")) == (0.67, 0.66, 0.67)


def test_normals_halve_a_set_without_a_test_and_take_another_where_asked(demo, public):
    x, y, test_x, test_y, other, rows = demo.normals({"label": "group", "train": {"set": "objects"}}, "picture-0")
    assert not set(x[:, 0]) & set(test_x[:, 0]) and set(x[:, 0]) | set(test_x[:, 0]) == {0, 2, 4, 6, 8}
    assert other is None and list(rows["group"]) == test_y.tolist() and len(y) == len(x)
    source, target = ({"set": "images", "where": f'part == "{part}"'} for part in ("source", "target"))
    spec = {"label": "superclass", "train": source, "test": target, "against": {"set": "images"}}
    x, y, test_x, test_y, other, _ = public.normals(spec)
    assert set(y) == {0} and set(test_y) == {1} and len(x) == len(test_x) == 10 and len(other) == 30


def test_an_image_of_the_test_is_left_out_of_the_pool(public):
    """Row 3 (a source image) is made a copy of row 1 (a target image)."""
    x = numbered(30)
    x[3] = x[1]
    store.write(public.stem("images"), x, public.features("images").rows)
    source, target = ({"set": "images", "where": f'part == "{part}"'} for part in ("source", "target"))
    pool, test = public.parts({"label": "superclass", "pool": source, "test": target})
    assert pool.x[:][:, 0].tolist() == [0, 6, 9, 12, 15, 18, 21, 24, 27] and len(pool.rows) == 9 and len(test.x) == 10


def test_halves_split_every_class():
    y = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], [10, 7, 1]))
    train, test = halves(y)
    assert sorted([*train, *test]) == list(range(18))
    assert np.bincount(y[train]).tolist() == [5, 4, 1] and np.bincount(y[test], minlength=3).tolist() == [5, 3, 0]
    np.testing.assert_array_equal(train, halves(y)[0])
    assert set(train) != set(halves(y, seed=1)[0])


def test_a_column_that_is_not_there_is_named(demo):
    for spec in ({"label": "grup"}, {"label": "group", "per": "grup"}):
        with pytest.raises(GlocalError, match=r'objects: has no column "grup" for a label\. Did you mean "group"'):
            demo.parts(spec | {"pool": {"set": "objects"}}, "picture-0")


def doubled(x):
    CALLS.append(1)
    return {"twice": 2 * x, "list": [1, "a"]}


CALLS = []


def test_a_damaged_cached_result_is_computed_again(house, monkeypatch, caplog):
    """A bit of it flipped anywhere, a tail of zeros, a cut: a warning of ours, or of joblib where its own file is damaged."""
    monkeypatch.setattr("glocal.workflow.experiment.code_digest", lambda module: "code")
    cached, x = house().cached(doubled), np.arange(2000.0)
    expected = doubled(x)
    CALLS.clear()
    for _ in range(2):
        np.testing.assert_array_equal(cached(x)["twice"], expected["twice"])
    assert len(CALLS) == 1
    path = next((house().folder / "cache").rglob("output.pkl"))
    whole = path.read_bytes()
    flipped = [whole[:i] + bytes([whole[i] ^ 4]) + whole[i + 1 :] for i in range(50, len(whole), len(whole) // 7)]
    for n, damaged in enumerate([*flipped, whole[:-200] + bytes(200), whole[:3000], b""]):
        path.write_bytes(damaged)
        caplog.clear()
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            result = cached(x)
        assert len(caplog.records) + len(said) == 1
        np.testing.assert_array_equal(result["twice"], expected["twice"])
        assert result["list"] == [1, "a"] and len(CALLS) == n + 2 and path.read_bytes() == whole


def test_tables_are_sealed(house):
    from glocal.reporting import tables

    e = house()
    table = pd.DataFrame({name: [1, 2, 3] for name in tables.TABLES["structure"]})
    e.save_table("structure", table)
    assert len(tables.read(e.table("structure"))) == 3
    e.table("structure").write_text("\n".join(e.table("structure").read_text().split("\n")[:3]) + "\n")  # two whole rows
    with pytest.raises(GlocalError, match=r"structure\.csv: damaged: .* delete it, and the same command makes it again"):
        tables.read(e.table("structure"))


@pytest.mark.parametrize(
    ("section", "tasks", "words"),
    [
        (
            "few_shot",
            {"t": {"label": "kind", "pool": {"set": "objects"}}},
            'few_shot.tasks.t.pool, set objects: has no column "kind"',
        ),
        ("few_shot", {"t": {"label": "group", "pool": {"set": "objects"}, "per": "x"}}, 'has no column "x"'),
        (
            "few_shot",
            {"t": {"label": "group", "pool": {"set": "objects", "where": "grup == 'a'"}}},
            "few_shot.tasks.t.pool: the condition",
        ),
        ("anomaly", {"s": {"label": "grp", "modes": ["one-vs-rest"], "train": {"set": "objects"}}}, "anomaly.sets.s.train"),
        ("structure", {"s": {"label": "grp", "images": {"set": "objects"}}}, "structure.sets.s.images"),
    ],
)
def test_what_tasks_name_is_checked_before_anything_is_fitted(house, section, tasks, words):
    name = {"few_shot": "tasks"}.get(section, "sets")
    e = house(**{section: DEMO[section] | {name: tasks}})
    rows = pd.DataFrame({"subgroup_fold": [0, 1], "picture_fold": [0, 1], "group": ["a", "b"]})
    store.write(e.stem("objects"), numbered(2), rows)
    with pytest.raises(GlocalError) as error:
        e.check_tasks()
    assert words in str(error.value) and "\n" not in str(error.value)
    house().check_tasks()
