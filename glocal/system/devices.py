"""The device of computations, from the name that the user gives."""

import torch

from glocal.errors import GlocalError


def device(word: str | torch.device = "auto", like=None) -> torch.device:
    """The device that "auto", "cpu", "cuda" or "cuda:<number>" means.

    "auto": where `like` is, if that is a tensor on a GPU; else the GPU, if there is one; else the CPU. Raises GlocalError for
    another word and for a GPU that is not there.
    """
    if str(word) == "auto":
        if isinstance(like, torch.Tensor) and like.is_cuda:
            return like.device
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(word)
    except (RuntimeError, TypeError):
        chosen = None
    if chosen is None or chosen.type not in ("cpu", "cuda"):
        raise GlocalError(f'device: "{word}" is not known; it must be auto, cpu, cuda or cuda:<number>.')
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise GlocalError(f'device: "{word}" is requested, but PyTorch sees {torch.cuda.device_count()} GPUs; use auto or cpu.')
    return chosen


def place(x, where: str):
    """x (numpy) itself for the CPU, whose functions take numpy; a tensor on another device."""
    return x if x is None or where == "cpu" else torch.as_tensor(x, device=where)
