"""Thumbnails of a feature set: the demo draws its own, image sets open theirs, features alone have none; nothing crashes."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from glocal.datasets import image_sets, openmoji
from glocal.errors import GlocalError
from glocal.reporting import thumbnails

MODEL = {"source": "timm", "model": "resnet18"}


@pytest.fixture
def folder(tmp_path):
    """cat/0.png ... of 30 x 20 pixels, of grey 0, 10, 20, 30."""
    for i, name in enumerate(("cat/0", "cat/1", "dog/2", "dog/3")):
        path = tmp_path / "pictures" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((20, 30, 3), 10 * i, np.uint8)).save(path)
    return tmp_path / "pictures"


def experiment(folder, **changes):
    """What `thumbnails.of` asks of an experiment: its config and its encoder's settings."""
    images = {"own": {"kind": "folder", "folder": str(folder)}}
    settings = {"model": MODEL, "objects": "own", "sets": {"mine": {"images": "own"}}}
    return SimpleNamespace(config={"source": "public", "images": images}, settings=settings | changes)


@pytest.mark.parametrize("name", ["mine", "objects"])
def test_rows_of_an_image_set_in_their_order(folder, name):
    rows = pd.DataFrame({"picture": ["dog/3.png", "cat/1.png"]})
    found = thumbnails.of(experiment(folder), name, rows)
    assert len(found) == 2 and found.credit == ""
    for picture, grey in zip(found, (30, 10), strict=True):
        assert picture.shape == (224, 224, 3) and picture.dtype == np.uint8
        assert (picture[112, 112] == grey).all() and (picture[0] == 255).all()  # the whole image, white above it


def test_only_what_a_figure_asks_for_is_opened(folder):
    found = thumbnails.of(experiment(folder), "mine", pd.DataFrame({"picture": ["cat/0.png", "cat/1.png"]}))
    (folder / "cat" / "0.png").write_bytes(b"broken")
    assert (found[1][112, 112] == 10).all()
    with pytest.raises(GlocalError, match=r"0\.png: cannot be read as an image"):
        found[0]


def test_the_demo_draws_its_own_and_names_whose_they_are():
    rows = openmoji.emojis().iloc[[5, 3]]
    found = thumbnails.of(SimpleNamespace(config={"source": "demo"}, settings={}), "objects", rows)
    np.testing.assert_array_equal(found[1], openmoji.rasterise(rows["picture"].iloc[1]))
    assert len(found) == 2 and "OpenMoji" in found.credit


def test_a_config_may_forbid_them(folder, capsys):
    """Photographs whose rights do not allow it must not stand in a figure that is published."""
    forbidden = experiment(folder)
    forbidden.config["thumbnails"] = False
    assert thumbnails.of(forbidden, "mine", pd.DataFrame({"picture": ["cat/1.png"]})) is None
    assert capsys.readouterr().out == ""


def test_features_alone_have_none(folder, capsys):
    rows = pd.DataFrame({"picture": ["cat/0.png"]})  # a column of that name proves nothing
    settings = {"objects": "things-clip-b32", "sets": {"mine": {"cache": "dtd", "part": "val"}}}
    public = SimpleNamespace(config={"source": "public"}, settings=settings)
    assert thumbnails.of(public, "mine", rows) is None and thumbnails.of(public, "objects", rows) is None
    assert capsys.readouterr().out == ""


def test_images_that_are_gone_are_a_sentence(folder, capsys):
    rows = pd.DataFrame({"picture": ["cat/0.png", "dog/2.png", "dog/3.png"]})
    (folder / "dog" / "3.png").unlink()
    assert thumbnails.of(experiment(folder), "mine", rows) is None
    assert 'mine: no thumbnails, since the images are not at hand (own: "dog/3.png" is gone' in capsys.readouterr().out
    folder.rename(folder.with_name("elsewhere"))
    assert thumbnails.of(experiment(folder), "mine", rows) is None
    assert "is no folder" in capsys.readouterr().out


def test_nothing_is_downloaded_for_a_figure(tmp_path, monkeypatch, capsys):
    spec = {"kind": "torchvision", "dataset": "CIFAR10", "folder": str(tmp_path / "c"), "download": True}
    asked = experiment(tmp_path)
    asked.config["images"]["own"] = spec
    monkeypatch.setattr("torchvision.datasets.CIFAR10.download", lambda self: pytest.fail("a download"))
    assert thumbnails.of(asked, "mine", pd.DataFrame({"picture": ["0"]})) is None
    assert "lacks the files of CIFAR10" in capsys.readouterr().out


def test_a_hub_that_cannot_be_reached_is_a_sentence(monkeypatch, folder, capsys):
    def offline(*_):
        raise ConnectionError("no route")

    monkeypatch.setattr(image_sets, "on_disk", offline)
    assert thumbnails.of(experiment(folder), "mine", pd.DataFrame({"picture": ["cat/0.png"]})) is None
    assert "no route" in capsys.readouterr().out
