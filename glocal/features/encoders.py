"""Encoders: networks that map images to feature rows, and their metadata for the header of the features.

`sources.py` builds the networks. The preprocessing comes with the weights. `layer` names any module of the network; a forward
hook returns its output, and later modules are not computed. `token` reduces an output (b, tokens, p) to (b, p).
"""

import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from glocal.errors import GlocalError, did_you_mean, require
from glocal.features import sources

FIELDS = ("source", "model", "weights", "layer", "token", "options")


@dataclass(frozen=True)
class Encoder:
    """prepare: PIL image -> array (3, h, w). net: float or uint8 (b, 3, h, w) -> (b, p). digest: sha256 of the weights."""

    name: str
    layer: str
    preprocessing: str
    digest: str
    net: Callable
    transform: Callable
    device: str = "cpu"

    def __call__(self, images) -> torch.Tensor:
        """images: PIL images or uint8 arrays (h, w, 3). Returns float32 (b, p) on the CPU."""
        return self.encode(np.stack([self.prepare(image) for image in images]))

    def prepare(self, image) -> np.ndarray:
        """A PIL image or uint8 (h, w, 3) preprocessed for the network, (3, h, w). Raises GlocalError for anything else."""
        from PIL import Image

        if isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3:
            image = Image.fromarray(image)
        if not isinstance(image, Image.Image):
            raise GlocalError(f"{self.name}: an image is {_kind(image)}; pass PIL images or uint8 arrays (h, w, 3).")
        return np.asarray(self.transform(image.convert("RGB")))

    def encode(self, batch) -> torch.Tensor:
        """Prepared images (b, 3, h, w) -> float32 (b, p) on the CPU. May be called from several threads."""
        x = torch.from_numpy(np.ascontiguousarray(batch)).to(self.device)
        with torch.inference_mode():
            return self.net(x).float().cpu()  # (b, p)

    def header(self) -> dict[str, str]:
        """The encoder's metadata for the header of features."""
        return {"encoder": self.name, "layer": self.layer, "preprocessing": self.preprocessing, "digest": self.digest}


def encoder(spec: str | dict, device: str | None = None, layer: str | None = None, token: str | None = None) -> Encoder:
    """Build an encoder, in eval mode.

    Parameters
    ----------
    spec : str or dict
        {source, model, weights, layer, token, options} as in the config (see `sources.py` for each source), or the text
        "source:model" or "source:model:weights", or the name of a source that has only one model.
    device : str, optional
        By default CUDA where available, else the CPU.
    layer, token : str, optional
        Override those of `spec`.

    Returns
    -------
    Encoder
        Maps b PIL images or uint8 arrays (h, w, 3) to float32 features (b, p) on the CPU.

    Raises
    ------
    GlocalError
        For an unknown field, source or model, unavailable weights, or a layer that the model lacks.
    """
    spec = parse(spec) | {k: v for k, v in {"layer": layer, "token": token}.items() if v}
    unknown = set(spec) - set(FIELDS)
    if unknown:
        raise GlocalError(f'encoder: unknown field "{min(unknown)}".{did_you_mean(min(unknown), FIELDS)}')
    with sources.building(f"encoder {title(spec)}"), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="IProgress")  # libraries' progress bars, in a notebook without widgets
        name, net, transform, digest, preprocessing, ends_at = sources.build(spec)
        is_module = isinstance(net, torch.nn.Module)
        device = device or ("cuda" if is_module and torch.cuda.is_available() else "cpu")
        net = net.eval().requires_grad_(False).to(device) if is_module else net
    layer, token = spec.get("layer"), spec.get("token")
    forward = tap(net, layer, title(spec)) if layer else net
    described = (layer or ends_at) + (f", token {token}" if token else "")
    return Encoder(name, described, preprocessing, digest, lambda x: rows(forward(x), token, title(spec)), transform, device)


def tap(net: Callable, layer: str, name: str = "model") -> Callable:
    """A function x -> output of the module called `layer`. The forward pass ends there: later modules are not computed,
    and no in-place ReLU can change the output. For a module that is called several times, the first call counts.
    Raises GlocalError if there is no such module or it is never reached.
    """
    modules = dict(net.named_modules()) if isinstance(net, torch.nn.Module) else {}
    require(layer, [m for m in modules if m], f'{name}: has no layer "{layer}"')

    this_tap = object()  # the network may be shared with other taps, other users and other threads

    def stop(module, inputs, output):
        if getattr(_active, "tap", None) is this_tap:
            raise _Reached(output)

    modules[layer].register_forward_hook(stop)

    def run(x):
        _active.tap = this_tap
        try:
            net(x)
        except _Reached as reached:
            return reached.output
        finally:
            _active.tap = None
        raise GlocalError(f'{name}: its forward pass never reaches the layer "{layer}"; name another one.')

    return run


_active = threading.local()  # .tap: the tap whose forward pass this thread runs


class _Reached(Exception):
    """Carries a layer's output out of the network; unlike a shared list, an exception belongs to one thread."""

    def __init__(self, output):
        self.output = output


def rows(z, token: str | None, name: str) -> torch.Tensor:
    """A layer's output as (b, p). Of (b, tokens, p): the chosen token (cls: the first, mean: the mean of all). Of
    (b, p, h, w), or (b, h, w, p) as in Swin: the mean over positions, or the only one. Of several outputs: the first.
    Raises GlocalError for another shape."""
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
    """Raises GlocalError if an image's features depend on the others of its batch: prepared images (b, 3, h, w) alone,
    together and reversed must agree within `tolerance` of the features' spread. TF32 products agree to about 1e-3; a layer
    that mixes images differs by much more."""
    together, reverse = e.encode(batch), e.encode(batch[::-1]).flip(0)
    alone = torch.cat([e.encode(batch[i : i + 1]) for i in range(len(batch))])
    gap = max((together - reverse).abs().max(), (together - alone).abs().max()) / together.std().clamp_min(1e-12)
    if not gap < tolerance:
        raise GlocalError(
            f'{e.name}: the layer "{e.layer}" gives an image different features in different batches (by {gap:.2g} of their '
            f"spread); it must be in eval mode and process each image independently."
        )


def parse(spec: str | dict) -> dict:
    """A spec as a dict, from the text "source", "source:model", "source:model:weights" or "package.module:function"."""
    if isinstance(spec, dict):
        return {k: v for k, v in spec.items() if v is not None}
    source, _, remainder = spec.partition(":")
    if source in ("open_clip", "timm", "torchvision") and not remainder.startswith(sources.WITH_WEIGHTS):
        model, _, weights = remainder.partition(":")
        return {"source": source, "model": model} | ({"weights": weights} if weights else {})
    return {"source": source} | ({"model": remainder} if remainder else {})


def title(spec: dict) -> str:
    """A spec in the form of the command line, for messages."""
    return ":".join(str(spec[k]) for k in ("source", "model", "weights") if spec.get(k))


def _kind(image) -> str:
    return f"{image.dtype} {image.shape}" if isinstance(image, np.ndarray) else type(image).__name__
