"""Configs: the shipped ones pass, and each fault is one sentence that names the file, the field, the value, the fix."""

import copy

import pytest
import yaml

from glocal import errors
from glocal.errors import GlocalError
from glocal.system import paths
from glocal.training.sgd import Schedule
from glocal.workflow import config

OTHER = {"set": "imagenet", "images": 8, "held_out": 4}  # a context of images that the encoder does not have
SHIPPED = ["config/demo.yaml", "config/clip-b32.yaml", "config/paper.yaml"]


@pytest.fixture(scope="module", params=SHIPPED)
def shipped(request):
    return config.load_config(request.param)


@pytest.fixture(scope="module")
def demo():
    return config.load_config(SHIPPED[0])


@pytest.fixture(scope="module")
def public():
    return config.load_config(SHIPPED[1])


def changed(result, path, value):
    """A copy with the field at `path` (names joined by "/") set to `value`, or taken out where value is None."""
    result = copy.deepcopy(result)
    *folders, last = [int(step) if step.isdigit() else step for step in path.split("/")]
    here = result
    for step in folders:
        here = here[step]
    if value is None:
        del here[last]
    else:
        here[last] = value
    return result


def test_shipped_configs_pass(shipped):
    assert config.check_config(shipped) is shipped


@pytest.mark.parametrize(
    "path, value, words",
    [
        ("alignment/fodls", 3, ['unknown field "fodls" in alignment', 'Did you mean "folds"']),
        ("profle", "x", ['unknown field "profle" in the top level', 'Did you mean "profile"']),
        ("alignment/folds", "three", ["alignment.folds is 'three'", "type integer"]),
        ("alignment/folds", 1, ["alignment.folds is 1", "minimum of 2"]),
        ("alignment/fit/tol", "1e-3", ['alignment.fit.tol is the text "1e-3"', "write 1.0e-03"]),
        ("alignment/grid/naive/lr", [0.1], ['alignment.grid.naive is "lr"', "Known: alpha, lam, tau"]),
        ("alignment/fit/schedule", {"epoch": 3}, ['unknown field "epoch" in alignment.fit.schedule', 'Did you mean "epochs"']),
        ("alignment/grid/naive/lam/0", "1e-3", ['alignment.grid.naive.lam.0 is the text "1e-3"', "1.0e-03"]),
        ("alignment/objectives/0", "niave", ['alignment.objectives.0 is "niave"', 'Did you mean "naive"']),
        ("alignment/choose", "accuracy", ['alignment.choose is "accuracy"', "Known: "]),
        ("alignment/splits/0", "object", ['alignment.splits.0 is "object"', "Known: picture, subgroup"]),
        ("encoders/efficientnet-lite0/objects", "openmojis", ["objects is", 'Did you mean "openmoji"']),
        ("encoders/efficientnet-lite0/context", OTHER, ["context.set is", "Known: objects"]),
        ("few_shot/tasks/fine/pool/set", "object", ["few_shot.tasks.fine.pool.set is", 'Did you mean "objects"']),
        ("anomaly/sets/fine/train/set", "cifar", ["anomaly.sets.fine.train.set is", "Known: objects"]),
        ("structure/sets/pictures/images/set", "x", ["structure.sets.pictures.images.set is", "Known: objects"]),
        ("encoders/efficientnet-lite0/context/set", "imagenet", ['context lacks the field "images"', "add it"]),
        ("seed", None, ['the top level lacks the field "seed"', "add it"]),
        ("few_shot/shots", None, ['few_shot lacks the field "shots"']),
        ("few_shot/classifiers", ["svm"], ["few_shot.classifiers.0 is", "svm"]),
        ("anomaly/distance", "cosin", ["anomaly.distance is", 'Did you mean "cosine"']),
        ("anomaly/sets/fine/modes", ["set"], ['anomaly.sets.fine lacks the field "test"']),
        ("encoders", {}, ["encoders is {}"]),
        ("profile", "a/b", ["profile: the name 'a/b' is not allowed"]),
        ("baselines/0", "centered", ['baselines.0 is "centered"', 'Did you mean "centred"']),
        ("baselines/0", "spose_ridge", ['baselines.0 is "spose_ridge"', "Known: centred"]),  # no judgments of people
        ("few_shot/transforms", ["glocal", "centerd"], ['few_shot.transforms.1 is "centerd"', 'Did you mean "centred"']),
        ("shrinkage", 2, ["shrinkage is 2"]),
        ("shrinkage", "ledoit", ["shrinkage is 'ledoit'"]),
    ],
)
def test_faults_of_the_demo_are_named(demo, path, value, words):
    with pytest.raises(GlocalError) as error:
        config.check_config(changed(demo, path, value), "my.yaml")
    message = str(error.value)
    assert message.startswith("my.yaml: ") and "\n" not in message
    assert all(word in message for word in words), message


@pytest.mark.parametrize(
    "path, value, words",
    [
        ("encoders/clip-b32/sets/dtd-val/cache", "dtdd", ["sets.dtd-val.cache", 'Did you mean "dtd"']),
        ("encoders/clip-b32/objects", "things-clip", ["encoders.clip-b32.objects", 'Did you mean "things-clip-b32"']),
        ("encoders/clip-b32/objects", "triplets-test10", ["encoders.clip-b32.objects", "Known: "]),
        ("encoders/blip/context", OTHER, ["encoders.blip.context.set", "Known: objects"]),
        ("few_shot/tasks/dtd/test/set", "dtd-tset", ["few_shot.tasks.dtd.test.set", 'Did you mean "dtd-test"']),
        ("anomaly/sets/dtd/train/set", "dtd", ["anomaly.sets.dtd.train.set", "dtd-val"]),
        ("alignment/splits/0", "picture", ['alignment.splits.0 is "picture"', "Known: object."]),
        ("references/0", "spose", ["references.0", "spose-49"]),
        ("judgments/tasks/0", "entity31", ["judgments.tasks.0", 'Did you mean "entity30"']),
        ("judgments/objectives/0", "glocl", ["judgments.objectives.0", 'Did you mean "glocal"']),
        ("judgments/shares/0", 1.5, ["judgments.shares.0 is 1.5"]),
        ("trade_off/tasks/0", "entity31", ["trade_off.tasks.0", 'Did you mean "entity30"']),
        ("trade_off/shift/0", "entity31", ["trade_off.shift.0", 'Did you mean "entity30"']),
        ("trade_off/contexts/3", "sun397", ["trade_off.contexts.3", 'Did you mean "sun397-']),
        ("trade_off/glocal/0/tau", None, ['trade_off.glocal.0 lacks the field "tau"', "add it"]),
        ("alignment/nested", 3, ["alignment.nested is 3", "type object"]),
    ],
)
def test_faults_of_a_public_profile_are_named(public, path, value, words):
    with pytest.raises(GlocalError) as error:
        config.check_config(changed(public, path, value), "my.yaml")
    assert all(word in str(error.value) for word in ["my.yaml", *words]), str(error.value)


@pytest.mark.parametrize(
    "path, value, words",
    [
        ("encoders/alexnet/objects", "cifar10-test", ["encoders.alexnet.objects", "Known: things"]),
        ("encoders/alexnet/objects", "things-clip-b32", ["encoders.alexnet.objects", "Known: things"]),
        ("encoders/alexnet/model/modle", "x", ['unknown field "modle" in encoders.alexnet.model', 'Did you mean "model"']),
        ("encoders/alexnet/model/token", "first", ["token is", "Known: cls, mean"]),
        ("encoders/alexnet/sets/dtd-test", {"images": "dtd-tset"}, ["sets.dtd-test.images", 'Did you mean "dtd-test"']),
        ("encoders/alexnet/sets/dtd-test", {"cache": "dtd", "part": "test"}, ['sets.dtd-test is "cache"', "Known: images"]),
        ("images", {"mine": {"kind": "foldr"}}, ["images.mine.kind", 'Did you mean "folder"']),
        ("encoders/dino-vit-b8/published/std", 0, ["published.std is 0"]),
    ],
)
def test_faults_of_a_profile_with_models_are_named(path, value, words):
    with pytest.raises(GlocalError) as error:
        config.check_config(changed(config.load_config(SHIPPED[2]), path, value), "my.yaml")
    assert all(word in str(error.value) for word in ["my.yaml", *words]), str(error.value)


def test_sets_of_other_people(public, demo):
    assert config.human_folds(public) == ["things48"] and config.human_folds(demo) == []
    no_images = "no encoder has its images; add mur-92: {images: mur-92}"
    for profile, name, words in [(public, "mur-92", no_images), (public, "mur-93", '"mur-93"'), (demo, "things-48", "not known")]:
        with pytest.raises(GlocalError, match=r"human\.sets") as error:
            config.check_config(profile | {"human": {"sets": [name], "draws": 9}}, "c.yaml")
        assert words in str(error.value)


def test_only_encoders_that_go_downstream_need_the_sets(public):
    assert "sets" not in public["encoders"]["blip"]  # and yet the config passes
    with pytest.raises(GlocalError, match="Known: objects"):
        config.check_config(changed(public, "encoders/blip/downstream", True))


@pytest.mark.parametrize(
    "content, words",
    [
        (b"a: [1, 2", "cannot be read as YAML"),
        (b"a: \xff\xfe", "cannot be read as YAML"),
        (b"", "the top level is None"),
        (b"- 1\n- 2\n", "must be of type object"),
    ],
)
def test_files_that_are_no_config(tmp_path, content, words):
    (tmp_path / "my.yaml").write_bytes(content)
    with pytest.raises(GlocalError, match=f"my.yaml: .*{words}") as error:
        config.load_config(tmp_path / "my.yaml")
    assert "\n" not in str(error.value)


def test_baselines_that_follow_an_objective_are_left_out_with_it(demo):
    names = ["centred", "whitened", "rotated", "global_centred", "glocal_centred"]
    whole = config.check_config(changed(demo, "baselines", names))
    assert config.baselines(whole) == names
    narrow = config.check_config(changed(whole, "alignment/objectives", ["naive", "glocal"]))
    assert config.baselines(narrow) == ["centred", "whitened", "rotated", "glocal_centred"]
    assert config.baselines({"alignment": {"objectives": ["naive"]}}) == []


def test_missing_files_and_folders(tmp_path):
    for path in (tmp_path / "absent.yaml", tmp_path):
        with pytest.raises(GlocalError, match="no such config file; the ones at hand"):
            config.load_config(path)


def test_did_you_mean():
    assert errors.did_you_mean("glocla", ["naive", "glocal"]) == ' Did you mean "glocal"? Known: glocal, naive.'
    assert errors.did_you_mean("zzz", ["naive"]) == " Known: naive."


def test_the_schema_knows_every_field_of_a_schedule():
    fit = yaml.safe_load((paths.root() / "config" / "schema.yaml").read_text())["$defs"]["fit"]
    assert set(fit["properties"]["schedule"]["properties"]) == set(Schedule.__dataclass_fields__)


@pytest.mark.parametrize("name", ["..", ".", "a/b", "$(touch x)", "a b", "-x", ".x", "x.", "x\n", "a..b", "", "ü", "a" * 101])
@pytest.mark.parametrize("place", ["profile", "encoders", "few_shot/tasks", "anomaly/sets", "structure/sets", "images"])
def test_names_are_letters_digits_and_inner_dots(demo, place, name):
    """They become folders, files and words of commands."""
    demo = copy.deepcopy(demo)
    *stage, last = place.split("/")
    part = demo[stage[0]] if stage else demo
    part[last] = name if last == "profile" else {name: next(iter(part.get(last, {"x": {"kind": "folder"}}).values()))}
    with pytest.raises(GlocalError, match=r"the name .* is not allowed; use letters, digits|is too long") as error:
        config.check_config(demo)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["demo", "clip-b32", "v1.5", "A_b", "7"])
def test_ordinary_names(demo, name):
    demo = copy.deepcopy(demo)
    demo["profile"] = name
    demo["encoders"] = {name: next(iter(demo["encoders"].values()))}
    assert config.check_config(demo) is demo


def test_a_condition_is_checked_with_the_config(demo):
    demo = copy.deepcopy(demo)
    demo["few_shot"]["tasks"]["fine"]["pool"]["where"] = "group.to_csv('x')"
    with pytest.raises(GlocalError, match=r"fine\.pool\.where: the condition .* uses Call, which is not allowed"):
        config.check_config(demo)


def test_numbers_inside_command_line_sections():
    tasks = {"a": {"label": "class", "where": "part == 'x: {'"}}
    text = {"repetitions": "2", "c": ["1.0e-3", "1e-3"], "balanced": "true", "tasks": tasks}
    expected = {"repetitions": 2, "c": [0.001, "1e-3"], "balanced": True, "tasks": tasks}
    assert config.with_numbers(text) == config.with_numbers(expected) == expected
