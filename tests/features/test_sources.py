"""Encoders of every source, without a network: real open_clip, timm and torchvision code on small or random weights."""

import json
import sys

import numpy as np
import pytest
import tiny_clip
import torch

from glocal.errors import GlocalError
from glocal.features import encoders, sources
from glocal.features.encoders import check_batches, encoder
from glocal.workflow import plan


@pytest.fixture(scope="module")
def noise():
    return list(np.random.default_rng(0).integers(0, 256, (4, 40, 48, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    tiny_clip.save(folder)
    return folder


def test_open_clip_from_a_folder_gives_what_open_clip_gives(clip_folder, noise):
    import open_clip
    from PIL import Image

    e = encoder({"source": "open_clip", "model": f"local-dir:{clip_folder}", "layer": "visual"}, "cpu")
    net, prepare = open_clip.create_model_from_pretrained(f"local-dir:{clip_folder}")
    with torch.inference_mode():
        theirs = net.eval().encode_image(torch.stack([prepare(Image.fromarray(x)) for x in noise]))
    torch.testing.assert_close(e(noise), theirs)
    assert "mean=[0.5, 0.5, 0.5]" in e.preprocessing and "0x" not in e.preprocessing  # the folder's own, the same each time
    assert e.header() == encoder(f"open_clip:local-dir:{clip_folder}", "cpu").header() | {
        "layer": "visual",
        "encoder": e.name,
    }


def test_any_layer_by_name(clip_folder, noise):
    spec = {"source": "open_clip", "model": f"local-dir:{clip_folder}"}
    last = encoder(spec | {"layer": "visual.ln_post", "token": "cls"}, "cpu")(noise)
    block = encoder(spec | {"layer": "visual.transformer.resblocks.0", "token": "mean"}, "cpu")(noise)
    assert last.shape == block.shape == (4, 32) and not torch.allclose(last, block)


def test_missing_weights_are_an_error(clip_folder, tmp_path):
    (tmp_path / "open_clip_config.json").write_text((clip_folder / "open_clip_config.json").read_text())
    with pytest.raises(GlocalError, match="cannot be built"):  # open_clip itself would go on with random ones
        encoder(f"open_clip:local-dir:{tmp_path}")


@pytest.mark.parametrize(
    "spec, words",
    [
        ("open_clip:ViT-L-14:openai", "name the model ViT-L-14-quickgelu"),
        ("open_clip:ViT-L-14", "lacks the field weights; give a file or one of: .*laion2b_s32b_b82k"),
        ("open_clip:ViT-L-14:opnai", 'neither a file nor a tag. Did you mean "openai"'),
        ("open_clip:ViT-L-41:openai", 'Did you mean "ViT-L-1.*ViT-L-14'),
        ("timm:resnet81", 'timm has no model "resnet81". Did you mean "resnet'),
        ("timm:resnet18:nothing/here.pt", 'weights "nothing/here.pt": no such file'),
        ("torchvision:alexnett", 'Did you mean "alexnet"'),
        ("torchvision:alexnet:IMAGENET1K_V3", 'no weights "IMAGENET1K_V3".*IMAGENET1K_V1'),
        ({"source": "timm"}, "lacks the field model"),
        ({"source": "timm", "modle": "x"}, 'unknown field "modle". Did you mean "model"'),
        ("tim:resnet18", "cannot be imported"),
        ("efficientnet-lit0", 'Did you mean "efficientnet-lite0"'),
        (
            {"source": "torchvision", "model": "alexnet", "weights": "random", "layer": "classifier.9"},
            "no layer.*classifier.4",
        ),
        ({"source": "torchvision", "model": "alexnet", "weights": "random", "layer": "features"}, "gives .*not .b, p.; name"),
        ({"source": "torchvision", "model": "alexnet", "options": {"crop_size": -3}}, "crop_size is -3; give a number of pixels"),
        ({"source": "torchvision", "model": "alexnet", "options": {"resize_size": "a"}}, "resize_size is 'a'; give a number"),
    ],
)
def test_faults_are_named(spec, words, noise):
    with pytest.raises(GlocalError, match=words) as error:
        encoder(spec, "cpu")(noise[:1])
    assert "\n" not in str(error.value) and len(str(error.value)) < 900


def test_fc7_is_taken_before_the_relu_that_works_in_place(noise):
    e = encoder({"source": "torchvision", "model": "alexnet", "weights": "random", "layer": "classifier.4"}, "cpu")
    z = e(noise)
    assert z.shape == (4, 4096) and (z < 0).any() and e.layer == "classifier.4"
    x = torch.from_numpy(np.stack([e.prepare(p) for p in noise]))
    net = sources.build({"source": "torchvision", "model": "alexnet", "weights": "random"}).net.eval()
    with torch.inference_mode():
        by_hand = net.classifier[:5](net.avgpool(net.features(x)).flatten(1))
    torch.testing.assert_close(z, by_hand)


def test_avgpool_and_the_cls_token(noise):
    pooled = encoder({"source": "torchvision", "model": "resnet18", "weights": "random", "layer": "avgpool"}, "cpu")
    assert pooled(noise[:2]).shape == (2, 512) and "resize_size=[256]" in pooled.preprocessing
    options = {"options": {"resize_size": 64, "crop_size": 48}}
    small = encoder({"source": "torchvision", "model": "resnet18", "weights": "random", "layer": "avgpool"} | options, "cpu")
    assert small(noise[:2]).shape == (2, 512) and small.prepare(noise[0]).shape == (3, 48, 48)
    assert "resize_size=[64]" in small.preprocessing and small.digest == pooled.digest  # the weights are the same
    spec = {"source": "timm", "model": "vit_tiny_patch16_224", "weights": "random", "layer": "norm", "token": "cls"}
    e = encoder(spec | {"options": {"img_size": 32, "crop_pct": 0.5}}, "cpu")
    net = sources.build(spec | {"options": {"img_size": 32}}).net.eval()
    x = torch.from_numpy(np.stack([e.prepare(p) for p in noise]))
    assert x.shape == (4, 3, 32, 32) and "64" in e.preprocessing  # 32 of 64 pixels are kept
    with torch.inference_mode():
        torch.testing.assert_close(e(noise), net.forward_features(x)[:, 0])


def test_weights_of_a_file_count_in_the_digest(tmp_path, noise):
    import timm

    net = timm.create_model("resnet10t", pretrained=False)
    torch.save(net.state_dict(), tmp_path / "a.pt")
    net.conv1[0].weight.data[0, 0, 0, 0] += 1
    torch.save(net.state_dict(), tmp_path / "b.pt")
    a, again, b = (encoder(f"timm:resnet10t:{tmp_path / name}.pt", "cpu") for name in ("a", "a", "b"))
    assert a.digest == again.digest != b.digest
    assert torch.equal(a(noise), again(noise)) and not torch.equal(a(noise), b(noise))


OWN = """
import torch
from torchvision.transforms import v2

class Mean(torch.nn.Module):
    def __init__(self, p):
        super().__init__()
        self.out = torch.nn.Linear(3, p)
        torch.nn.init.constant_(self.out.weight, 0.5)
        torch.nn.init.zeros_(self.out.bias)
    def forward(self, x):
        return self.out(x.mean((2, 3)))

def make(p=5):
    return Mean(p), v2.Compose([v2.Resize((8, 8)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)])

def crowd():
    return (lambda x: x.flatten(1) - x.flatten(1).mean(0)), make()[1], "1"

def untold():
    return (lambda x: x.flatten(1)), make()[1]

NET = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 4), torch.nn.Linear(4, 3))

def shared():
    return NET, make()[1]

def bad():
    return Mean(3)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "my_model.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    sys.modules.pop("my_model", None)


def test_your_own_network(own, noise):
    z = encoder({"source": "my_model:make", "options": {"p": 7}}, "cpu")(noise)
    assert z.shape == (4, 7)
    e = encoder("my_model:make", "cpu")
    grey = np.full((10, 12, 3), 102, np.uint8)
    torch.testing.assert_close(e([grey]), torch.full((1, 5), 0.6))
    assert encoder({"source": "my_model:make", "layer": "out"}, "cpu")([grey]).shape == (1, 5)
    with pytest.raises(GlocalError, match="must return"):
        encoder("my_model:bad")
    with pytest.raises(GlocalError, match="return a third value"):
        encoder("my_model:untold")
    with pytest.raises(GlocalError, match=r"cannot be imported .*nothing"):
        encoder("my_model:nothing")


def test_an_edited_module_is_read_anew(own, tmp_path, noise):
    before = encoder("my_model:make", "cpu")
    (tmp_path / "my_model.py").write_text(OWN.replace("0.5", "0.25").replace("import torch\n", "import torch  # edited\n", 1))
    after = encoder("my_model:make", "cpu")
    assert before.digest != after.digest
    torch.testing.assert_close(after(noise), before(noise) / 2)


def test_a_module_is_loaded_once_and_again_when_a_helper_is_edited(tmp_path, monkeypatch):
    """The module takes its network from a package beside it, which takes it from a relative import."""
    helper = tmp_path / "nets_of_mine" / "deep" / "net.py"
    helper.parent.mkdir(parents=True)
    helper.write_text(OWN)
    (tmp_path / "nets_of_mine" / "entry.py").write_text("from .deep.net import make as made\nimport torch\ntorch.loads += 1\n"
                                                        "make = lambda: made(4)\n")  # fmt: skip
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch, "loads", 0, raising=False)
    first, second = (encoder("nets_of_mine.entry:make", "cpu") for _ in range(2))
    assert torch.loads == 1 and first.digest == second.digest
    helper.write_text(OWN + "# edited\n")
    assert encoder("nets_of_mine.entry:make", "cpu").digest != first.digest and torch.loads == 2
    spec = {"model": {"source": "nets_of_mine.entry:make"}, "objects": "x"}
    assert plan.named_files(spec, {}) == ["nets_of_mine/deep/net.py", "nets_of_mine/entry.py"]


def test_taps_on_one_network_do_not_meet(own, noise):
    import my_model

    net, prepare = my_model.shared()
    x = torch.stack([prepare(zoo_picture(p)) for p in noise])
    first, second = encoders.tap(net, "1"), encoders.tap(net, "2")
    assert first(x).shape == (4, 4) and second(x).shape == (4, 3) == net(x).shape
    torch.testing.assert_close(second(x), net(x))


def zoo_picture(array):
    from PIL import Image

    return Image.fromarray(array)


def test_a_file_of_clip_weights_needs_the_tag_whose_pictures_it_saw(tmp_path):
    import open_clip

    (tmp_path / "w.pt").touch()
    check = lambda model, like: sources._check_clip(open_clip, model, str(tmp_path / "w.pt"), like)
    with pytest.raises(GlocalError, match=r"a file does not store its preprocessing; add options.*laion400m_e32"):
        check("ViT-L-14", None)
    file, settings = check("ViT-L-14", "laion2b_s32b_b82k")  # trained on colours centred otherwise than all the others
    assert file == str(tmp_path / "w.pt") and settings["image_mean"] == settings["image_std"] == (0.5, 0.5, 0.5)
    with pytest.raises(GlocalError, match="name the model ViT-L-14-quickgelu"):
        check("ViT-L-14", "openai")
    assert check("roberta-ViT-B-32", "laion2b_s12b_b32k")[0] == file  # has one name only, whatever its activation


def test_what_a_network_is_counts_in_the_digest(clip_folder, tmp_path):
    config = json.loads((clip_folder / "open_clip_config.json").read_text())
    for quick in (False, True):  # the same weights under another activation are another encoder
        folder = tmp_path / str(quick)
        folder.mkdir()
        (folder / "open_clip_pytorch_model.bin").write_bytes((clip_folder / "open_clip_pytorch_model.bin").read_bytes())
        config["model_cfg"]["quick_gelu"] = quick
        (folder / "open_clip_config.json").write_text(json.dumps(config))
    plain, quick = (encoder(f"open_clip:local-dir:{tmp_path / name}", "cpu") for name in ("False", "True"))
    assert plain.digest != quick.digest


@pytest.mark.parametrize(
    "shape, token, ends",
    [((2, 5, 7), "cls", (2, 7)), ((2, 5, 7), "mean", (2, 7)), ((2, 9, 4, 4), "mean", (2, 9)), ((2, 4, 4, 9), "mean", (2, 9)),
     ((2, 9, 1, 1), None, (2, 9)), ((2, 9), None, (2, 9))],
)  # fmt: skip
def test_layers_of_every_shape_become_rows(shape, token, ends):
    z = torch.arange(float(np.prod(shape))).view(shape)
    assert encoders.rows(z, token, "x").shape == ends == encoders.rows((z, None), token, "x").shape
    if token is None and len(shape) == 2:
        for bad in (z[None], "text", ()):
            with pytest.raises(GlocalError, match="name another layer"):
                encoders.rows(bad, None, "x")


def test_a_layer_that_looks_at_the_whole_batch_is_refused(own, noise):
    e = encoder("my_model:crowd", "cpu")
    with pytest.raises(GlocalError, match="different features in different batches"):
        check_batches(e, np.stack([e.prepare(p) for p in noise]))
    steady = encoder({"source": "torchvision", "model": "resnet18", "weights": "random", "layer": "avgpool"}, "cpu")
    check_batches(steady, np.stack([steady.prepare(p) for p in noise]))


def test_a_layer_is_reached_from_several_threads(noise):
    from concurrent.futures import ThreadPoolExecutor

    e = encoder({"source": "torchvision", "model": "resnet18", "weights": "random", "layer": "avgpool"}, "cpu")
    with ThreadPoolExecutor(4) as pool:
        result = list(pool.map(lambda p: e([p]), noise * 3))
    torch.testing.assert_close(torch.cat(result[:4]), torch.cat(result[4:8]))
    torch.testing.assert_close(torch.cat(result[:4]), torch.cat([e([p]) for p in noise]))


def test_a_layer_that_is_never_reached():
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Linear(2, 2)

        def forward(self, x):
            return x.flatten(1)

    with pytest.raises(GlocalError, match='never reaches the layer "unused"'):
        encoders.tap(Odd(), "unused", "odd")(torch.zeros(1, 2))


def test_random_weights_of_few_blocks_have_layers_outputs_and_preprocessing_of_the_named_ones(noise):
    options = {"like": "ResNet50_Weights.IMAGENET1K_V1", "blocks": 1}
    spec = {"source": "torchvision", "model": "resnet50", "weights": "random", "layer": "avgpool"}
    short, whole = (encoder(spec | o, "cpu") for o in ({"options": options}, {}))
    assert short(noise).shape == whole(noise).shape == (4, 2048)
    assert "resize_size=[256]" in short.preprocessing and "resize_size=[232]" in whole.preprocessing  # that of V2, the default
    vgg = sources.build({"source": "torchvision", "model": "vgg11", "weights": "random", "options": {"blocks": 1}}).net
    assert isinstance(vgg.features[8], torch.nn.Identity) and not isinstance(vgg.features[6], torch.nn.Identity)
    clip = {"source": "open_clip", "model": "ViT-B-32", "weights": "random", "options": {"like": "openai", "blocks": 1}}
    with pytest.raises(GlocalError, match=r'"openai" were trained with the other GELU; name the model ViT-B-32-quickgelu'):
        sources.build(clip)
    built = sources.build(clip | {"options": {"like": "laion2b_s34b_b79k", "blocks": 1}})
    assert len(built.net.visual.transformer.resblocks) == 1 and "mean=(0.4814" in built.preprocessing.replace("[", "(")
