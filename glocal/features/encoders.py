"""Encoders: networks that turn pictures into feature rows, with what a features header has to tell about them.

    e = encoder("efficientnet-lite0")
    e = encoder(dict(source="timm", model="vit_base_patch16_224.dino", layer="norm", token="cls"))
    z = e(pictures)                         # PIL pictures or uint8 (h, w, 3) -> float32 (b, p)

Where networks come from is in `zoo.py`: open_clip, timm, torchvision, EfficientNet-Lite0 of the package index, and your own
function. The preprocessing comes with the weights. `layer` names any module of the network; its output is taken by a
forward hook, and what lies behind it is not computed. `token` says what becomes of an output (b, tokens, p).
"""

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from glocal.errors import GlocalError, did_you_mean
from glocal.features import sources

FIELDS = ("source", "model", "weights", "layer", "token", "options")


@dataclass(frozen=True)
class Encoder:
    """prepare: PIL picture -> array (3, h, w). net: float or uint8 (b, 3, h, w) -> (b, p). digest: sha256 of the weights."""

    name: str
    layer: str
    preprocessing: str
    digest: str
    net: Callable
    transform: Callable
    device: str = "cpu"

    def __call__(self, pictures) -> torch.Tensor:
        """pictures: PIL pictures or uint8 arrays (h, w, 3). Returns float32 (b, p) on the CPU."""
        return self.encode(np.stack([self.prepare(picture) for picture in pictures]))

    def prepare(self, picture) -> np.ndarray:
        """A PIL picture or uint8 (h, w, 3) as the network takes it, (3, h, w). Raises GlocalError for anything else."""
        from PIL import Image

        if isinstance(picture, np.ndarray) and picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3:
            picture = Image.fromarray(picture)
        if not isinstance(picture, Image.Image):
            raise GlocalError(f"{self.name}: a picture is {_kind(picture)}; pass PIL pictures or uint8 arrays (h, w, 3).")
        return np.asarray(self.transform(picture.convert("RGB")))

    def encode(self, batch) -> torch.Tensor:
        """Prepared pictures (b, 3, h, w) -> float32 (b, p) on the CPU. May be called from several threads."""
        x = torch.from_numpy(np.ascontiguousarray(batch)).to(self.device)
        with torch.inference_mode():
            return self.net(x).float().cpu()  # (b, p)

    def header(self) -> dict[str, str]:
        """What a features header says about the encoder."""
        return {"encoder": self.name, "layer": self.layer, "preprocessing": self.preprocessing, "digest": self.digest}


def encoder(spec: str | dict, device: str | None = None, layer: str | None = None, token: str | None = None) -> Encoder:
    """The encoder that `spec` describes, in eval mode; without `device` on CUDA where there is one.

    spec: {source, model, weights, layer, token, options} as in the config (see `zoo.py` for each source), or the text
    "source:model" or "source:model:weights", or the name of a source that has one model only; layer and token add to it.
    Raises GlocalError for what is not known, for weights that cannot be had and for a layer that the model lacks.
    """
    spec = parse(spec) | {k: v for k, v in {"layer": layer, "token": token}.items() if v}
    unknown = set(spec) - set(FIELDS)
    if unknown:
        raise GlocalError(f'encoder: unknown field "{min(unknown)}".{did_you_mean(min(unknown), FIELDS)}')
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="IProgress")  # libraries' progress bars, in a notebook without widgets
            name, net, transform, digest, preprocessing, ends_at = sources.build(spec)
        is_module = isinstance(net, torch.nn.Module)
        device = device or ("cuda" if is_module and torch.cuda.is_available() else "cpu")
        net = net.eval().requires_grad_(False).to(device) if is_module else net
    except GlocalError:
        raise
    except Exception as error:  # whatever a library says of its own models, in one sentence
        reason = " ".join(str(error).split())[:300]
        raise GlocalError(f"encoder {title(spec)}: cannot be built ({type(error).__name__}: {reason}).") from error
    layer, token = spec.get("layer"), spec.get("token")
    reach = tap(net, layer, title(spec)) if layer else net
    described = (layer or ends_at) + (f", token {token}" if token else "")
    return Encoder(name, described, preprocessing, digest, lambda x: rows(reach(x), token, title(spec)), transform, device)


def tap(net: torch.nn.Module, layer: str, name: str = "model") -> Callable:
    """A function x -> output of the module called `layer`. The pass ends there: nothing behind it is computed, and no
    ReLU that works in place can touch the output; of a module that is called several times this is the first call.
    Raises GlocalError if there is no such module or it is never reached.
    """
    modules = dict(net.named_modules()) if isinstance(net, torch.nn.Module) else {}
    if layer not in modules:
        raise GlocalError(f'{name}: has no layer "{layer}".{did_you_mean(layer, [m for m in modules if m])}')

    me = object()  # the network may be shared: with other taps, with users of the whole of it, with other threads

    def stop(module, inputs, output):
        if getattr(_active, "tap", None) is me:
            raise _Reached(output)

    modules[layer].register_forward_hook(stop)

    def run(x):
        _active.tap = me
        try:
            net(x)
        except _Reached as reached:
            return reached.output
        finally:
            _active.tap = None
        raise GlocalError(f'{name}: its forward pass never comes to the layer "{layer}"; name another one.')

    return run


_active = threading.local()  # .tap: the one whose pass this thread is in


class _Reached(Exception):
    """Carries a layer's output out of the network; an exception is each thread's own, unlike a shared list."""

    def __init__(self, output):
        self.output = output


def rows(z, token: str | None, name: str) -> torch.Tensor:
    """A layer's output as (b, p): of (b, tokens, p) the token called for (cls: the first, mean: of all); of (b, p, h, w),
    or (b, h, w, p) as Swin has it, the mean over places, or what is there if there is one place; of several outputs the
    first. Raises GlocalError for another shape."""
    z = z[0] if isinstance(z, tuple | list) and len(z) else z
    shape = tuple(z.shape) if torch.is_tensor(z) else type(z).__name__
    if torch.is_tensor(z) and z.ndim == 4 and (token == "mean" or shape[2:] == (1, 1)):
        z = z.mean((1, 2) if shape[1] == shape[2] != shape[3] else (2, 3))
    elif torch.is_tensor(z) and z.ndim == 3 and token:
        z = z[:, 0] if token == "cls" else z.mean(1)
    if not torch.is_tensor(z) or z.ndim != 2:
        raise GlocalError(f"{name}: its layer gives {shape}, not (b, p); name another layer, or a token: cls or mean.")
    return z


def check_batches(e: Encoder, batch: np.ndarray, tolerance: float = 1e-2) -> None:
    """Raises GlocalError if a picture's features depend on its neighbours in the batch: prepared pictures (b, 3, h, w)
    alone, together and reversed must agree within `tolerance` of the features' spread: TF32 products are
    good to about a thousandth, a layer that mixes pictures is off by far more."""
    together, reverse = e.encode(batch), e.encode(batch[::-1]).flip(0)
    alone = torch.cat([e.encode(batch[i : i + 1]) for i in range(len(batch))])
    gap = max((together - reverse).abs().max(), (together - alone).abs().max()) / together.std().clamp_min(1e-12)
    if not gap < tolerance:
        raise GlocalError(
            f'{e.name}: the layer "{e.layer}" gives a picture other features beside other pictures (by {gap:.2g} of their '
            f"spread); it must be in eval mode and look at one picture at a time."
        )


def parse(spec: str | dict) -> dict:
    """A spec as a dict: of the text "source", "source:model", "source:model:weights" or "package.module:function"."""
    if isinstance(spec, dict):
        return {k: v for k, v in spec.items() if v is not None}
    source, _, rest = spec.partition(":")
    if source in ("open_clip", "timm", "torchvision") and not rest.startswith(sources.WITH_WEIGHTS):
        model, _, weights = rest.partition(":")
        return {"source": source, "model": model} | ({"weights": weights} if weights else {})
    return {"source": source} | ({"model": rest} if rest else {})


def title(spec: dict) -> str:
    """A spec as the command line takes it, for messages."""
    return ":".join(str(spec[k]) for k in ("source", "model", "weights") if spec.get(k))


def _kind(picture) -> str:
    return f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
