"""Human similarity judgments: the two public sets, the layouts of those that a user fetches, and what is said without them."""

import numpy as np
import pytest
from helpers import needs_data
from PIL import Image
from scipy.io import savemat
from scipy.spatial.distance import squareform

from glocal.datasets import human_similarity, things
from glocal.datasets.image_sets import image_set
from glocal.datasets.registry import image_registry
from glocal.errors import GlocalError

public = [needs_data, pytest.mark.data]
N = {name: int(image_registry()[name]["images"]) for name in human_similarity.LAYOUTS}


def matrices(n, people=2, seed=0):
    rng = np.random.default_rng(seed)
    return np.stack([squareform(rng.random(n * (n - 1) // 2)) for _ in range(people)])


@pytest.fixture
def placed(tmp_path, monkeypatch):
    """A function that puts images and a MATLAB file where a set's layout wants them; data/ is below tmp_path."""
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def place(name, variables, file, images=None):
        layout, top = human_similarity.LAYOUTS[name], tmp_path / image_registry()[name]["folder"]
        (top / layout.images).mkdir(parents=True)
        (top / "sim_judgements").mkdir()
        for i in range(images or N[name]):
            Image.new("RGB", (4, 4), (i, 0, 0)).save(top / layout.images / f"{i:03}.png")
        savemat(top / "sim_judgements" / file, variables)

    return place


def test_cichy_118_has_a_matrix_for_each_person(placed):
    judged = matrices(118)
    placed("cichy-118", {"judgments": judged}, "judgments_general.mat")
    found = human_similarity.load("cichy-118")
    np.testing.assert_array_equal(found.dissimilarity, judged)
    assert found.stimuli["picture"].tolist() == sorted(found.stimuli["picture"]) and len(found.images) == 118


def test_king_2019_has_upper_triangles_in_a_structure(placed):
    judged = matrices(144)
    placed("king-2019-set2", {"BEHAVIOR": {"set2": {"pairwisedistances": [squareform(m) for m in judged]}}}, "BEHAVIOR.mat")
    np.testing.assert_array_equal(human_similarity.load("king-2019-set2").dissimilarity, judged)


def test_peterson_has_similarities(placed):
    judged = matrices(120, people=1)[0]
    np.fill_diagonal(judged, 10)
    placed("peterson-animals", {"simMatrix": judged}, "turkResults_CogSci2016.mat")
    found = human_similarity.load("peterson-animals").dissimilarity
    assert found.shape == (1, 120, 120) and (found[0].diagonal() == 0).all() and found.min() == 0
    pair = np.triu_indices(120, 1)
    np.testing.assert_allclose(found[0][pair] + judged[pair], judged[pair].max())


def test_the_images_of_a_set_are_an_image_set(placed):
    placed("peterson-fruits", {"similarity": matrices(120, people=1)[0]}, "fruits.mat")
    images = image_set("peterson-fruits")
    assert len(images) == 120 and images[7].getpixel((0, 0)) == (7, 0, 0)
    assert images.rows["picture"].tolist() == human_similarity.load("peterson-fruits").stimuli["picture"].tolist()


@pytest.mark.parametrize("name", human_similarity.LAYOUTS)
def test_a_set_that_is_not_there_says_where_to_get_it_and_where_to_put_it(name, tmp_path, monkeypatch):
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        GlocalError, match=f"^{name}: not at hand; get it from https://.* and put .*{image_registry()[name]['folder']}"
    ):
        human_similarity.load(name)


def test_what_does_not_fit_is_named(placed):
    placed("cichy-118", {"other": matrices(118)}, "judgments_general.mat")
    with pytest.raises(GlocalError, match=r"no variable judgments; it has: other\."):
        human_similarity.load("cichy-118")
    placed("peterson-fruits", {"sim": matrices(100, people=1)[0]}, "fruits.mat")
    with pytest.raises(GlocalError, match=r"shape \(100, 100\), but \(120, 120\)"):
        human_similarity.load("peterson-fruits")
    placed("peterson-various", {"sim": np.arange(120 * 120).reshape(120, 120)}, "various.mat")
    with pytest.raises(GlocalError, match="must be symmetric"):
        human_similarity.load("peterson-various")
    placed("peterson-furniture", {"sim": matrices(120, people=1)[0]}, "furniture.mat", images=7)
    with pytest.raises(GlocalError, match=r"7 images .*, not 120"):
        human_similarity.load("peterson-furniture")


def test_a_file_that_is_no_matlab_file(placed, tmp_path):
    placed("cichy-118", {"judgments": matrices(118)}, "judgments_general.mat")
    (tmp_path / "data/human/cichy-118/sim_judgements/judgments_general.mat").write_text("no matrix")
    with pytest.raises(GlocalError, match="cannot be read as a MATLAB file"):
        human_similarity.load("cichy-118")


@pytest.mark.parametrize(("name", "words"), [("levels", "odd-one-out choices"), ("mur-29", "mur-92")])
def test_names_that_are_no_set(name, words):
    with pytest.raises(GlocalError, match=words):
        human_similarity.load(name)


class TestPublic:
    pytestmark = public

    def test_things_48_follows_its_list_of_words(self):
        found = human_similarity.load("things-48")
        assert found.dissimilarity.shape == (1, 48, 48) and found.images is None
        assert found.stimuli["object"].tolist()[:3] == ["pizza", "beaver", "macadamia"]
        assert len(set(found.objects)) == 48
        assert things.things_objects()["object"].iloc[found.objects].tolist() == found.stimuli["object"].tolist()
        assert {"camera1", "file1", "music_box"} <= set(found.stimuli["object"])
        assert found.dissimilarity[0, 1, 3] == pytest.approx(0.0238, abs=1e-4)  # beaver and tarantula

    def test_mur_92_has_16_people_and_its_images(self):
        found = human_similarity.load("mur-92")
        assert found.dissimilarity.shape == (16, 92, 92) and (found.dissimilarity >= 0).all()
        assert found.stimuli["animal"].tolist() == [1] * 48 + [0] * 44
        images = image_set("mur-92")
        assert len(images) == 92 and images[5].size == (175, 175) and images[5].mode == "RGB"
        np.testing.assert_array_equal(np.asarray(images[5]), found.images[5])
        assert images.rows["picture"].is_unique

    def test_the_objects_of_things_48_are_no_image_set(self):
        with pytest.raises(GlocalError, match="THINGS objects"):
            image_set({"kind": "human", "dataset": "things-48"})
