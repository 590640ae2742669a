"""Text weights: what open_clip itself gives, class by class; features beside the images' that are kept and found again."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers import DEMO
from tiny_clip import save

from glocal.errors import GlocalError
from glocal.features import store, text
from glocal.features.class_names import class_names, has_text, readable_name
from glocal.features.encoders import encoder
from glocal.workflow.experiment import Experiment

NAMES = ["owl", "apple_pie", "b/bakery/shop", "ant"]


def class_embeddings(model, names, templates=text.TEMPLATES):
    """(K, p) of names by the text tower of a spec, or by a tower."""
    tower = model if isinstance(model, text.Tower) else text.text_tower(model)
    return tower.encode(tower.tokens(names, templates)).numpy()


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return save(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="module")
def tower(spec):
    return text.text_tower(spec, "cpu")


# -- embeddings --------------------------------------------------------------------------------------------------------


def test_embeddings_are_what_open_clip_gives_averaged_over_templates(spec, tower):
    import open_clip

    net, _ = open_clip.create_model_from_pretrained(spec["model"])
    tokenize = open_clip.get_tokenizer(spec["model"])
    for said, row in zip(["owl", "apple pie", "bakery shop", "ant"], class_embeddings(tower, NAMES), strict=True):
        total = np.zeros(8)
        for template in text.TEMPLATES:
            with torch.inference_mode():
                z = net.eval().encode_text(tokenize([template.replace("{}", said)]))[0].numpy()
            total += z / np.linalg.norm(z)
        np.testing.assert_allclose(row, total / np.linalg.norm(total), atol=1e-5)


def test_rows_have_unit_norm_and_the_order_of_the_names(tower):
    w = class_embeddings(tower, NAMES)
    assert w.dtype == np.float32 and w.shape == (4, 8)
    np.testing.assert_allclose(np.linalg.norm(w, axis=1), 1, atol=1e-6)
    assert np.abs(w @ w.T - np.eye(4)).max() < 0.999  # the names differ
    np.testing.assert_allclose(class_embeddings(tower, NAMES[::-1]), w[::-1], atol=1e-5)


def test_templates_count(tower):
    one, other = (class_embeddings(tower, ["owl"], [t]) for t in ("{}", "a tiny {} in the snow"))
    both = class_embeddings(tower, ["owl"], ["{}", "a tiny {} in the snow"])
    assert one @ other.T < 0.999
    np.testing.assert_allclose(both, (one + other) / np.linalg.norm(one + other), atol=1e-5)


@pytest.mark.parametrize(
    "label, said",
    [("apple_pie", "apple pie"), ("b/bakery/shop", "bakery shop"), ("c/cabin/outdoor_big", "cabin outdoor big"),
     ("x/owl", "x owl"), ("owl", "owl"), ("a", "a"), ("a {} of  it", "a {} of it")],
)  # fmt: skip
def test_labels_are_spoken(tower, label, said):
    assert readable_name(label) == said
    np.testing.assert_array_equal(class_embeddings(tower, [label]), class_embeddings(tower, [said]))


def test_the_text_is_of_the_same_weights_as_the_images(spec, tower):
    assert class_embeddings(spec, ["owl"]).shape[1] == encoder(spec, "cpu")([np.zeros((40, 40, 3), np.uint8)]).shape[1]
    assert tower.name == encoder(spec, "cpu").name


@pytest.mark.parametrize("layer, same", [("visual.proj", True), ("text_projection", False)])
def test_only_the_weights_of_the_text_count_in_its_digest(tower, tmp_path, layer, same):
    changed = text.text_tower(save(tmp_path / "clip", change=lambda weights: weights[layer].add_(1)), "cpu")
    assert (changed.digest == tower.digest) is same


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda spec: class_embeddings("torchvision:alexnet", ["owl"]), "torchvision:alexnet: has no text tower; only"),
        (lambda spec: class_embeddings("efficientnet-lite0", ["owl"]), "efficientnet-lite0: has no text tower"),
        (lambda spec: class_embeddings("open_clip:ViT-B-23:openai", ["owl"]), 'Did you mean "ViT-B-32"'),
        (lambda spec: class_embeddings({"source": "open_clip"}, ["owl"]), "open_clip has no model"),
        (lambda spec: class_embeddings("open_clip:local-dir:no/where", ["owl"]), "text of .*no/where: cannot be built"),
        (lambda spec: class_embeddings(spec, []), "0 class names, 7 templates"),
        (lambda spec: class_embeddings(spec, ["owl"], ["a photo"]), '"a photo": has no placeholder for the class name'),
    ],
)
def test_faults_are_named(spec, call, words):
    with pytest.raises(GlocalError, match=words) as error:
        call(spec)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "model, has",
    [({"source": "open_clip", "model": "RN50"}, True), ({"source": "open_clip", "model": "RN50", "layer": "visual"}, True),
     ({"source": "open_clip", "model": "RN50", "layer": "visual.ln_post"}, False),
     ({"source": "open_clip", "model": "RN50", "layer": "visual", "token": "cls"}, False),
     ({"source": "timm", "model": "resnet50"}, False), ({"source": "my_model:make"}, False), (None, False)],
)  # fmt: skip
def test_who_has_text(model, has):
    assert has_text({"objects": "things"} | ({"model": model} if model else {})) is has


# -- names of classes --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "rows, result",
    [
        ({"class": ["owl", "apple_pie", "", "owl"]}, {"apple_pie": "apple pie", "owl": "owl"}),
        ({"class": [10, 2, 2, -1], "name": ["sea_lion", "ant", "ant", "ant"]}, {2: "ant", 10: "sea lion"}),
        ({"class": ["n02", "n01"], "name": ["ant", "owl"]}, {"n01": "owl", "n02": "ant"}),
        ({"class": [1.0, np.nan], "name": ["owl", "ant"]}, {1.0: "owl"}),
        ({"class": [1, 2]}, None),
        ({"class": ["1", "2"]}, None),
        ({"class": [1, 1], "name": ["ant", "owl"]}, None),
        ({"class": [1, 2], "name": ["ant", ""]}, None),
    ],
)
def test_names_of_classes(rows, result):
    assert class_names(pd.DataFrame(rows), "class") == result
    assert result is None or list(result) == sorted(result)


# -- features ----------------------------------------------------------------------------------------------------------

ROWS = pd.DataFrame({
    "class": ["owl", "ant", "bee", "ant", "owl", "crow", "ant", "bee"],
    "kind_of": ["bird", "insect", "insect", "insect", "bird", "bird", "insect", ""],
    "code": [1, 2, 3, 2, 1, 4, 2, 3],
    "part": list("aaaabbbb"),
})  # fmt: skip
TASKS = {
    "one": {"label": "class", "pool": {"set": "pictures"}},
    "two": {"label": "kind_of", "pool": {"set": "pictures", "where": 'part == "a"'}, "test": {"set": "pictures"}},
    "three": {"label": "code", "pool": {"set": "pictures"}},
}


@pytest.fixture
def house(tmp_path, monkeypatch, spec):
    """A function that opens an experiment on tasks, with the image features of one set; its text is not extracted yet."""
    monkeypatch.setenv("GLOCAL_ROOT", str(tmp_path))

    def experiment(tasks=TASKS, model=spec, rows=ROWS):
        sets, context = {"pictures": {"images": "cifar10-test"}}, {"set": "pictures", "images": 2, "held_out": 2}
        net = {"model": model, "objects": "things", "downstream": True, "context": context, "sets": sets}
        changes = {"source": "public", "downstream": "all", "encoders": {"clip": net}, "few_shot": DEMO["few_shot"]}
        anomaly = {"k": 5, "sets": {"other": {"label": "part", "modes": ["reverse"], "train": {"set": "pictures"}}}}
        changes |= {"few_shot": DEMO["few_shot"] | {"tasks": tasks}, "anomaly": anomaly}
        changes["alignment"] = DEMO["alignment"] | {"splits": ["object"]}
        (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(DEMO | changes))
        e = Experiment("tiny.yaml")
        store.write(e.stem("pictures"), np.random.default_rng(0).normal(size=(len(rows), 8)), rows)
        return e

    return experiment


@pytest.fixture
def encoded(monkeypatch):
    """Counts the classes that go through the tower."""
    seen, encode = [], text.Tower.encode
    monkeypatch.setattr(text.Tower, "encode", lambda tower, tokens: seen.extend(tokens) or encode(tower, tokens))
    return seen


def test_extraction_writes_text_of_every_label_once(house, encoded, tower, capsys):
    e = house()
    text.extract(e)
    made = {p.stem for p in e.stem("x").parent.glob("text-*.json")}
    assert made == {f"text-pictures-{label}" for label in ("class", "kind_of", "part")}
    result = store.read(e.stem("text-pictures-kind_of"))
    assert result.rows.to_dict("list") == {"class": ["bird", "insect"], "text": ["bird", "insect"]}
    np.testing.assert_allclose(result.x, class_embeddings(tower, ["bird", "insect"]), atol=1e-5)
    assert result.header["digest"] == tower.digest and result.header["templates"] == list(text.TEMPLATES)
    assert "pictures: no text for the label code" in capsys.readouterr().out
    encoded.clear()
    text.extract(e)
    assert not encoded
    text.extract(house(rows=ROWS.replace({"crow": "rook"})))  # another class: the text of that label again, of no other
    assert len(encoded) == 4 and "rook" in list(store.read(e.stem("text-pictures-class")).rows["class"])


@pytest.mark.parametrize("change", ["templates", "tower"])
def test_other_text_or_weights_are_encoded_again(tower, encoded, tmp_path, change):
    names = {"ant": "ant", "bee": "bee"}
    before = np.array(text.write(tower, names, tmp_path / "x", "test").x)
    other = text.text_tower(save(tmp_path / "clip", seed=1), "cpu") if change == "tower" else tower
    templates = text.TEMPLATES[:1] if change == "templates" else text.TEMPLATES
    after = text.write(other, names, tmp_path / "x", "test", templates).x
    assert len(encoded) == 4 and not np.allclose(before, after)


def test_an_encoder_without_text_is_passed_over(house, monkeypatch):
    e = house(model={"source": "timm", "model": "resnet10t"})
    monkeypatch.setattr(text, "text_tower", lambda spec: pytest.fail("nothing to load"))
    text.extract(e)
    assert e.text(TASKS["one"]) is None and not list(e.stem("x").parent.glob("text-*"))


def test_tasks_find_the_text_of_their_classes(house, tower):
    e = house()
    text.extract(e)
    w = dict(zip(["ant", "bee", "crow", "owl"], class_embeddings(tower, ["ant", "bee", "crow", "owl"]), strict=True))
    for changes, classes in [
        ({}, ["ant", "bee", "crow", "owl"]),
        ({"pool": {"set": "pictures", "where": 'part == "a"'}}, ["ant", "bee", "owl"]),
        ({"min_per_class": 3}, ["ant"]),
    ]:
        task = TASKS["one"] | changes
        assert list(np.unique(e.parts(task)[0].rows["class"])) == classes
        np.testing.assert_allclose(e.text(task), [w[c] for c in classes], atol=1e-5)
    train = {"label": "kind_of", "modes": ["shift"], "train": {"set": "pictures"}}
    np.testing.assert_allclose(e.text(train), class_embeddings(tower, ["bird", "insect"]), atol=1e-5)
    assert e.text(TASKS["three"]) is None  # numbers without names


def test_text_that_is_not_there_is_named(house):
    e = house()
    with pytest.raises(GlocalError, match=r"text-pictures-class\.npy: no such file"):
        e.text(TASKS["one"])
    text.extract(e)
    house(rows=ROWS.replace({"crow": "rook"}))  # images of other classes, their text still the old
    with pytest.raises(GlocalError, match=r'clip, text-pictures-class: class "rook" has no text \(1 of 4 .*extraction again'):
        e.text(TASKS["one"])
    with pytest.raises(GlocalError, match=r'pictures: has no column "clas" for a label. Did you mean "class"'):
        text.extract(house(tasks={"one": TASKS["one"] | {"label": "clas"}}))


def test_of_the_objects_only_classes_held_out_of_the_fold(house, tower):
    e = house()
    rows = pd.DataFrame({"superclass": ["bird", "tool", "bird", ""], "object_fold": [0, 1, 1, 1]})
    store.write(e.stem("objects"), np.random.default_rng(0).normal(size=(4, 8)), rows)
    text.write(tower, class_names(rows, "superclass"), e.stem("text-objects-superclass"), "objects")
    task = {"label": "superclass", "pool": {"set": "objects"}}
    assert e.text(task).shape == (2, 8)
    np.testing.assert_allclose(e.text(task, "object-0"), class_embeddings(tower, ["bird"]), atol=1e-5)
