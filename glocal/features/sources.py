"""Sources of encoders. Each builds, from a spec of the config, a network and the preprocessing of its weights.

efficientnet-lite0, -lite1, -lite2        the demo's encoder and two larger ones, from packages of the Python index; no download
open_clip    model, weights               any of its names with a pretrained tag, or a file and `options: {like: tag}`, the tag
                                          whose preprocessing it has; hf-hub:... and local-dir:... include both
timm         model, weights               pretrained (default), or a checkpoint file; options: img_size, crop_pct, interpolation
torchvision  model, weights               the name of its weights (ResNet50_Weights.IMAGENET1K_V2; default: the model's default);
                                          options: resize_size, crop_size, the image's in pixels, in place of those of its weights
your own     package.module:function      called with `options`; returns (torch.nn.Module, preprocessing), or a function with
                                          its preprocessing and a text that changes when its weights or code change

`weights: random` initialises them at random (seed 0), for tests, timings and rehearsals; `options: {like: tag}` names the weights
whose preprocessing it has, and `blocks: n` makes it fast, see `_shortened`. A checkpoint of torchvision uses the preprocessing
of named weights: give both, `weights: ResNet50_Weights.IMAGENET1K_V2` and `options: {checkpoint: file.pt}`.
"""

import contextlib
import hashlib
import importlib.util
import json
import re
import sys
from pathlib import Path
from typing import Any, NamedTuple

import torch

from glocal.datasets import downloads
from glocal.errors import GlocalError, did_you_mean, require
from glocal.features import lite
from glocal.system import modules
from glocal.system.paths import located, root

WITH_WEIGHTS = ("hf-hub:", "hf_hub:", "local-dir:")  # model names that say where the weights are


@contextlib.contextmanager
def building(name: str):
    """Around a library's building of a network: any error of its own is one GlocalError that names the network."""
    try:
        yield
    except GlocalError:
        raise
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        raise GlocalError(f"{name}: cannot be built ({type(error).__name__}: {reason}).") from error


class Built(NamedTuple):
    """name, network, preprocessing of a PIL image, sha256 of the weights, description of it, layer of the output."""

    name: str
    net: Any
    transform: Any
    digest: str
    preprocessing: str
    ends_at: str


def build(spec: dict) -> Built:
    """The network of a spec. Raises GlocalError for an unknown source; libraries' own errors pass through."""
    source = spec["source"]
    if source in lite.SIZES:
        return Built(source, *lite.build(source), "pooled features after the convolutional head")
    if ":" in _custom_path(spec):
        return _custom(spec)
    if source not in SOURCES:
        raise GlocalError(f'encoder source "{source}" is not known.{did_you_mean(source, [*lite.SIZES, *SOURCES])} '
                          f"A network of a library is written as timm:{source} or torchvision:{source}.")  # fmt: skip
    if not spec.get("model"):
        raise GlocalError(f"encoder {source}: lacks the field model; add the name of a network.")
    net, transform, ends_at = SOURCES[source](spec["model"], spec.get("weights"), **spec.get("options", {}))
    return Built(_text(spec), net, transform, weights_digest(net), _words(transform), ends_at)


def weights_digest(net: torch.nn.Module) -> str:
    """sha256 over the network's own description and the names, types, shapes and bytes of all parameters and buffers."""
    digest = hashlib.sha256(_words(net).encode())
    for name, value in sorted(net.state_dict().items()):
        value = value.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)} ".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().tobytes() if value.numel() else b"")
    return digest.hexdigest()


def _text(spec: dict) -> str:
    """A spec as one line of JSON: what the features depend on beside the weights."""
    return json.dumps(spec, sort_keys=True)


def _words(transform) -> str:
    """The repr without memory addresses, which change from run to run."""
    return " ".join(re.sub(r" at 0x[0-9a-f]+", "", repr(transform)).split())


# -- libraries ---------------------------------------------------------------------------------------------------------


def _open_clip(model: str, weights: str | None, **options):
    """The image tower, up to its output in the space shared with text ("visual"), not normalised."""
    net, transform = _clip(model, weights, **options)
    return _Visual(net), transform, "visual"


def clip_text(spec: dict):
    """The text tower: name, network with encode_text ((b, length) tokens -> (b, p)), sha256 of its weights, tokenizer."""
    import open_clip

    model, options = spec.get("model", ""), spec.get("options", {})
    net, _ = _clip(model, spec.get("weights"), **options)
    net.visual = None  # so that the digest covers only the weights of the text tower
    tokenizer = open_clip.get_tokenizer(_place(model), context_length=options.get("force_context_length"))
    return _text(spec), net, weights_digest(net), tokenizer


def _clip(model: str, weights: str | None, like: str | None = None, blocks: int | None = None, **options):
    """(the whole network, the preprocessing of its images)."""
    import open_clip

    model, random = _place(model), weights == "random"
    if random and model.startswith(WITH_WEIGHTS):
        raise GlocalError(f"open_clip {model}: includes its weights; leave out weights: random.")
    if not model.startswith(WITH_WEIGHTS) and (like or not random):
        weights, colours = _check_clip(open_clip, model, like if random else weights, like)
        options = colours | options
    if random:
        net, _, transform = _seeded(lambda: open_clip.create_model_and_transforms(model, **options))
        return _shortened(net, blocks), transform
    return open_clip.create_model_from_pretrained(model, weights, **options)


def _place(model: str) -> str:
    """The name of an open_clip model; a folder's path made absolute."""
    local = "local-dir:"
    return f"{local}{located(model.removeprefix(local))}" if model.startswith(local) else model


class _Visual(torch.nn.Module):
    """The image tower of a CLIP: the digest covers only its weights, and its layers keep their names of open_clip."""

    def __init__(self, clip):
        super().__init__()
        self.visual = clip.visual

    def forward(self, x):
        return self.visual(x)


def _check_clip(open_clip, model: str, weights: str | None, like: str | None):
    """Check the name, the tag or file, and the activation that the weights were trained with, before loading anything.

    Returns (tag or path, options): a file does not store the preprocessing, so it is that of the tag `like`.
    """
    require(model, open_clip.list_models(), f'open_clip has no model "{model}"')
    tags = open_clip.list_pretrained_tags_by_model(model)
    if not weights:
        raise GlocalError(f"open_clip {model}: lacks the field weights; give a file or one of: {', '.join(tags)}.")
    file = located(weights) if located(weights).is_file() else None
    pretrained = open_clip.get_pretrained_cfg(model, (like or "") if file else weights)
    if file and not pretrained:
        raise GlocalError(f"open_clip {model}: a file does not store its preprocessing; add options: {{like: tag}}, the "
                          f"tag that it comes from or was trained like, one of: {', '.join(tags)}.")  # fmt: skip
    if not pretrained:
        raise GlocalError(f'open_clip {model}: weights "{weights}" are neither a file nor a tag.{did_you_mean(weights, tags)}')
    quick = bool((open_clip.get_model_config(model) or {}).get("quick_gelu", False))
    other = model.removesuffix("-quickgelu") if quick else f"{model}-quickgelu"
    if bool(pretrained.get("quick_gelu", False)) != quick and other in set(open_clip.list_models()) - {model}:
        raise GlocalError(f'open_clip {model}: "{weights}" were trained with the other GELU; name the model {other}.')
    if not (file or like):
        return weights, {}
    names = dict(mean="image_mean", std="image_std", interpolation="image_interpolation", resize_mode="image_resize_mode")
    return str(file or weights), {names[k]: v for k, v in pretrained.items() if k in names}


def _timm(model: str, weights: str | None, crop_pct=None, interpolation=None, like=None, blocks=None, **options):
    """crop_pct, interpolation: resizing and cropping, where it differs from timm's default (DINO: .875). The name has `like`."""
    import timm

    known = timm.list_models() + timm.list_pretrained()
    if model not in known and not model.startswith(WITH_WEIGHTS):
        raise GlocalError(f'timm has no model "{model}".{did_you_mean(model, known)}')
    if weights == "random":
        net = _shortened(_seeded(lambda: timm.create_model(model, pretrained=False, **options)), blocks)
    elif weights and weights != "pretrained":
        net = timm.create_model(model, checkpoint_path=str(_file(weights, f"timm {model}")), **options)
    else:
        net = timm.create_model(model, pretrained=True, **options)
    settings = dict(img_size=options.get("img_size"), crop_pct=crop_pct, interpolation=interpolation)
    overrides = {k: v for k, v in settings.items() if v}
    transform = timm.data.create_transform(**timm.data.resolve_data_config(overrides, model=net), is_training=False)
    net.reset_classifier(0)
    return net, transform, "pooled features before the classifier"


def _torchvision(model: str, weights: str | None, checkpoint=None, like=None, blocks=None, **options):
    from torchvision import models

    sizes = {name: options.pop(name) for name in ("resize_size", "crop_size") if name in options}
    for option, size in sizes.items():
        if not isinstance(size, int) or size < 1:
            raise GlocalError(f"torchvision {model}: {option} is {size!r}; give a number of pixels, at least 1.")
    require(model, models.list_models(), f'torchvision has no model "{model}"')
    known = models.get_model_weights(model)
    name = (like or "DEFAULT" if weights in (None, "random") else weights).rsplit(".", 1)[-1]
    require(name, known.__members__, f'torchvision {model}: has no weights "{like or weights}"')
    if weights == "random":
        net = _shortened(_seeded(lambda: models.get_model(model, weights=None, **options)), blocks)
    elif checkpoint:
        net = models.get_model(model, weights=None, **options)
        net.load_state_dict(torch.load(_file(checkpoint, f"torchvision {model}"), weights_only=True, map_location="cpu"))
    else:
        with downloads.for_torchvision():
            net = models.get_model(model, weights=known[name], **options)
    return net, known[name].transforms(**sizes), "logits"


SOURCES = {"open_clip": _open_clip, "timm": _timm, "torchvision": _torchvision}


def _seeded(make):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return make()


def _shortened(net: torch.nn.Module, blocks: int | None):
    """`net` with the first `blocks` of every stack of equal blocks, if not None. Layers keep their names, outputs their shape.

    A VGG has no stacks: it loses the convolutions that keep the number of channels.
    """
    for stack in list(net.modules()) if blocks else []:
        if isinstance(stack, torch.nn.Sequential | torch.nn.ModuleList):
            if len({type(block) for block in stack}) == 1:
                del stack[blocks:]
            for name, layer in stack.named_children():
                if isinstance(layer, torch.nn.Conv2d) and layer.in_channels == layer.out_channels:
                    setattr(stack, name, torch.nn.Identity())
    return net


def _file(path: str, name: str) -> Path:
    if not located(path).is_file():
        raise GlocalError(f'{name}: weights "{path}": no such file.')
    return located(path)


def _custom_path(spec: dict) -> str:
    """ "package.module:function" of a spec, or "": given as the source, or split at the colon by the command line."""
    source, model = spec["source"], spec.get("model", "")
    if ":" in source or source in SOURCES:
        return source
    return f"{source}:{model}" if model.isidentifier() else source


def _custom(spec: dict) -> Built:
    """function(**options) returns (net, preprocessing): net maps (b, 3, h, w) to (b, p), preprocessing a PIL image to
    (3, h, w). Modules are also searched below the repository root and the current folder. An edited one, or one that imports
    an edited one, is loaded again.
    """
    path = _custom_path(spec)
    module, _, function = path.partition(":")
    for folder in (str(root()), str(Path.cwd())):
        if folder not in sys.path:
            sys.path.append(folder)
    try:
        code = _loaded_code(module)
        factory = getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, SyntaxError, ValueError) as error:
        raise GlocalError(f'encoder "{path}": cannot be imported ({error}); the form is package.module:function.') from None
    net, transform, version = _check_returned(factory(**spec.get("options", {})), path)
    weights = weights_digest(net) if isinstance(net, torch.nn.Module) else str(version)
    digest = hashlib.sha256(f"{weights} {version}".encode() + code).hexdigest()
    return Built(_text(spec | {"source": path}), net, transform, digest, _words(transform), "its output")


_codes: dict[str, bytes] = {}  # the source with which a module was loaded


def _loaded_code(module: str) -> bytes:
    """The source of a user's module and of what it imports from its own folder; if it was edited, they will be loaded again."""
    importlib.invalidate_caches()
    spec = importlib.util.find_spec(module)
    if spec is None or not spec.has_location or not spec.origin:
        raise ImportError(f"no module named {module!r}")
    base = Path(spec.origin).parents[module.count(".") + (spec.submodule_search_locations is not None)]
    files = modules.below(module, base) if "site-packages" not in base.parts else {module: spec.origin}
    code = b"".join((base / file).read_bytes() for file in files.values())
    for name in files if _codes.get(module) != code else ():
        sys.modules.pop(name, None)
    _codes[module] = code
    return code


def _check_returned(returned, path: str):
    """(net, preprocessing, text or None) from the return value of a user's function."""
    if not (isinstance(returned, tuple) and len(returned) in (2, 3) and all(map(callable, returned[:2]))):
        raise GlocalError(f'encoder "{path}": must return (network, preprocessing), both callable.')
    if len(returned) == 2 and not isinstance(returned[0], torch.nn.Module):
        raise GlocalError(
            f'encoder "{path}": the weights of a function are not visible; return a third value, a text that changes with them.'
        )
    return (*returned, None) if len(returned) == 2 else returned
