"""Encoders of every source, without a network: real open_clip, timm and torchvision code on small or random weights."""

import json
import sys

import numpy as np
import pytest
import torch

from glocal import encoders, zoo
from glocal.config import GlocalError
from glocal.encoders import check_batches, encoder

VISION = {"image_size": 32, "layers": 2, "width": 32, "patch_size": 8, "head_width": 16}
TEXT = {"context_length": 8, "vocab_size": 64, "width": 16, "heads": 2, "layers": 1}


@pytest.fixture(scope="module")
def noise():
    return list(np.random.default_rng(0).integers(0, 256, (4, 40, 48, 3), dtype=np.uint8))


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory):
    """A tiny CLIP of random weights, as open_clip saves one to disk."""
    import open_clip

    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    net = open_clip.CLIP(16, open_clip.CLIPVisionCfg(**VISION), open_clip.CLIPTextCfg(**TEXT))
    torch.save(net.state_dict(), folder / "open_clip_pytorch_model.bin")
    shape = {"model_cfg": {"embed_dim": 16, "vision_cfg": VISION, "text_cfg": TEXT}}
    (folder / "open_clip_config.json").write_text(json.dumps(shape | {"preprocess_cfg": {"mean": [0.5] * 3, "std": [0.5] * 3}}))
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
        ("open_clip:ViT-L-14:openai", "the model to name is ViT-L-14-quickgelu"),
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
        ("efficientnet-lite", 'Did you mean "efficientnet-lite0"'),
        (
            {"source": "torchvision", "model": "alexnet", "weights": "random", "layer": "classifier.9"},
            "no layer.*classifier.4",
        ),
        ({"source": "torchvision", "model": "alexnet", "weights": "random", "layer": "features"}, "gives .*not .b, p.; name"),
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
    net = zoo.build({"source": "torchvision", "model": "alexnet", "weights": "random"}).net.eval()
    with torch.inference_mode():
        by_hand = net.classifier[:5](net.avgpool(net.features(x)).flatten(1))
    torch.testing.assert_close(z, by_hand)


def test_avgpool_and_the_cls_token(noise):
    pooled = encoder({"source": "torchvision", "model": "resnet18", "weights": "random", "layer": "avgpool"}, "cpu")
    assert pooled(noise[:2]).shape == (2, 512) and "resize_size=[256]" in pooled.preprocessing
    spec = {"source": "timm", "model": "vit_tiny_patch16_224", "weights": "random", "layer": "norm", "token": "cls"}
    e = encoder(spec | {"options": {"img_size": 32, "crop_pct": 0.5}}, "cpu")
    net = zoo.build(spec | {"options": {"img_size": 32}}).net.eval()
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
    return (lambda x: x.flatten(1) - x.flatten(1).mean(0)), make()[1]

def bad():
    return Mean(3)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    (tmp_path / "my_model.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
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
    with pytest.raises(GlocalError, match=r"cannot be imported .*nothing"):
        encoder("my_model:nothing")


def test_a_layer_that_looks_at_the_whole_batch_is_refused(own, noise):
    e = encoder("my_model:crowd", "cpu")
    with pytest.raises(GlocalError, match="other features beside other pictures"):
        check_batches(e, np.stack([e.prepare(p) for p in noise]))
    steady = encoder({"source": "torchvision", "model": "resnet18", "weights": "random", "layer": "avgpool"}, "cpu")
    check_batches(steady, np.stack([steady.prepare(p) for p in noise]))


def test_a_layer_is_reached_from_several_threads(noise):
    from concurrent.futures import ThreadPoolExecutor

    e = encoder({"source": "torchvision", "model": "resnet18", "weights": "random", "layer": "avgpool"}, "cpu")
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda p: e([p]), noise * 3))
    torch.testing.assert_close(torch.cat(found[:4]), torch.cat(found[4:8]))
    torch.testing.assert_close(torch.cat(found[:4]), torch.cat([e([p]) for p in noise]))


def test_a_layer_that_is_never_reached():
    class Odd(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.unused = torch.nn.Linear(2, 2)

        def forward(self, x):
            return x.flatten(1)

    with pytest.raises(GlocalError, match='never comes to the layer "unused"'):
        encoders.tap(Odd(), "unused", "odd")(torch.zeros(1, 2))
