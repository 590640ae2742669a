"""Transform files: the authors' npz layout (and the same names as safetensors), with checks of their contents.

Ours say where they come from, too: JSON in the array `metadata` of an npz, and in the header of a safetensors file.
"""

import json
from pathlib import Path

import numpy as np

from glocal.errors import GlocalError, reading
from glocal.system.files import read_arrays, replacing, verify

SUFFIXES = (".npz", ".safetensors")


def read(path: Path) -> tuple[dict, dict]:
    """Read a .npz or .safetensors file of a transform, ours or the authors'.

    Returns arrays, as stored: "weights" (p, p), "bias" (p,) if the map has one, and the scalars "mean" and "std"; and the
    metadata of `write`, empty for the authors' files. Raises GlocalError if the file is missing, cannot be read, or lacks these
    arrays.
    """
    if not path.exists():
        raise GlocalError(f"{path}: no such transform file; make one with fit, or check the path.")
    verify(path)
    with reading(path, "a transform", "give a file of fit or of the authors"):
        arrays, metadata = _arrays(path)
    problem = _wrong_with(arrays)
    if problem:
        raise GlocalError(f"{path}: not a gLocal transform: {problem}.")
    return arrays, metadata


def write(path: Path, arrays: dict, metadata: dict | None = None) -> None:
    """Write the arrays of a transform, in one step: an interruption leaves the old file unchanged.

    arrays, metadata: as `read` returns them; without metadata the file is as the authors write it. Raises GlocalError for
    another suffix than .npz or .safetensors, for metadata that is not JSON, and if the file cannot be written.
    """
    if path.suffix not in SUFFIXES:
        raise GlocalError(f"{path}: transforms are saved as .npz or .safetensors; change the suffix.")
    try:
        about = {"metadata": json.dumps(metadata, default=lambda number: number.item())} if metadata else {}
    except (AttributeError, TypeError, ValueError) as error:
        raise GlocalError(f"{path}: the metadata cannot be written as JSON ({error}); give numbers and text.") from None
    with replacing(path) as draft:
        if path.suffix == ".npz":
            np.savez(draft, **(arrays | {name: np.array(text) for name, text in about.items()}))
        else:
            from safetensors.numpy import save

            draft.write_bytes(save({k: np.asarray(v, order="C") for k, v in arrays.items()}, about or None))


def write_onnx(path: Path, weight: np.ndarray, bias: np.ndarray) -> None:
    """Write a linear map as an ONNX model of one Gemm node, from "features" (k, p) to "aligned" (k, p).

    weight (p, p), bias (p,): float32, with mean and standard deviation of the features folded in. Raises GlocalError if the
    package onnx is missing, or the file cannot be written.
    """
    try:
        from onnx import TensorProto, checker, helper, numpy_helper, save
    except ImportError:
        raise GlocalError(f"{path}: writing ONNX needs the package onnx; pip install onnx.") from None

    rows = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["k", len(weight)]) for name in ("features", "aligned")]
    known = [numpy_helper.from_array(weight, "weight"), numpy_helper.from_array(bias, "bias")]
    node = helper.make_node("Gemm", ["features", "weight", "bias"], ["aligned"])
    graph = helper.make_graph([node], "glocal", rows[:1], rows[1:], known)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    checker.check_model(model)
    with replacing(path) as draft:
        save(model, draft)


def is_copied_upstream(path: Path, arrays: dict) -> bool:
    """Whether this is the authors' DINO ViT-B/16 transform under the name of DINOv2 ViT-B/14, as on their main branch.

    path: the file or one of its last two folders is named dinov2..., as in the authors' repository. arrays: of `read`; mean and
    std identify the features of DINO ViT-B/16.
    """
    named = any(part.startswith(("dinov2", "published-dinov2")) for part in path.parts[-3:]) and "dino-vit" not in path.name
    return named and abs(arrays["mean"].item() + 0.0021409) < 1e-6 and abs(arrays["std"].item() - 2.4015791) < 1e-5


def _arrays(path: Path) -> tuple[dict, dict]:
    """The arrays of a file, and its metadata."""
    if path.suffix == ".safetensors":
        from safetensors import safe_open

        with safe_open(path, "numpy") as file:
            names, text = list(file.keys()), (file.metadata() or {}).get("metadata")
            arrays = {name: file.get_tensor(name) for name in names}
    else:
        arrays = read_arrays(path)
        text = str(arrays.pop("metadata")) if "metadata" in arrays else None
    metadata = json.loads(text) if text else {}
    if not isinstance(metadata, dict):
        raise ValueError("its metadata is not a table of names and values")
    return arrays, metadata


def _wrong_with(arrays: dict) -> str:
    """Why these arrays are not a transform, or '' if they are one."""
    missing = {"weights", "mean", "std"} - set(arrays)
    if missing:
        return f'the array "{min(missing)}" is missing (it has {", ".join(sorted(arrays)) or "none"})'
    other = set(arrays) - {"weights", "bias", "mean", "std"}
    if other:
        return f'the array "{min(other)}" does not belong to one'
    wrong = [name for name, a in arrays.items() if a.dtype.kind != "f"]
    if wrong:
        return f"{wrong[0]} has values of type {arrays[wrong[0]].dtype}, not floats"
    w, bias = arrays["weights"], arrays.get("bias")
    if w.ndim != 2 or w.shape[0] != w.shape[1]:
        return f"weights has shape {w.shape}, not (p, p)"
    if bias is not None and bias.shape != (len(w),):
        return f"bias has shape {bias.shape}, not ({len(w)},)"
    if not all(np.isfinite(a).all() for a in arrays.values()):
        return "it holds NaN or infinite values"
    scalars = arrays["mean"].size == arrays["std"].size == 1 and arrays["std"] > 0
    return "" if scalars else "mean and std must be scalars, std above 0"
