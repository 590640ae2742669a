"""Transform files: the authors' npz layout (and the same names as safetensors), read with care, and what one says of itself."""

from pathlib import Path

import numpy as np

from glocal.errors import GlocalError
from glocal.system.files import replacing

SUFFIXES = (".npz", ".safetensors")


def read(path: Path) -> dict:
    """{weights, bias?, mean, std} of a transform file, as stored. Raises GlocalError for anything else."""
    if not path.exists():
        raise GlocalError(f"{path}: no such transform file; make one with fit, or check the path.")
    try:
        arrays = _arrays(path)
    except Exception as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
        raise GlocalError(f"{path}: cannot be read as a transform ({reason}); give a file of fit or of the authors.") from None
    problem = _wrong_with(arrays)
    if problem:
        raise GlocalError(f"{path}: not a gLocal transform: {problem}.")
    return arrays


def write(path: Path, arrays: dict) -> None:
    """Write .npz or .safetensors, by the file's suffix. Raises GlocalError for another one."""
    if path.suffix not in SUFFIXES:
        raise GlocalError(f"{path}: transforms are saved as .npz or .safetensors; change the suffix.")
    with replacing(path) as draft:
        if path.suffix == ".npz":
            np.savez(draft, **arrays)
        else:
            from safetensors.numpy import save

            draft.write_bytes(save({k: np.asarray(v, order="C") for k, v in arrays.items()}))


def write_onnx(path: Path, weight: np.ndarray, bias: np.ndarray) -> None:
    """One Gemm node from "features" (k, p) to "aligned" (k, p): weight (p, p) and bias (p,) with mean and std folded in."""
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
    """The file that upstream's main branch has for DINOv2 ViT-B/14 is a copy of DINO ViT-B/16's: told by a file or folder
    named dinov2..., as upstream's are, and the scalar mean and std of the DINO ViT-B/16 features."""
    named = any(part.startswith(("dinov2", "published-dinov2")) for part in path.parts[-3:]) and "dino-vit" not in path.name
    return named and abs(arrays["mean"].item() + 0.0021409) < 1e-6 and abs(arrays["std"].item() - 2.4015791) < 1e-5


def _arrays(path: Path) -> dict:
    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        return load_file(path)
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _wrong_with(arrays: dict) -> str:
    """What keeps these arrays from being a transform, or ''."""
    missing = {"weights", "mean", "std"} - set(arrays)
    if missing:
        return f'the array "{min(missing)}" is missing (found {", ".join(sorted(arrays)) or "none"})'
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
