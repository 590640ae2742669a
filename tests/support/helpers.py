"""What several test files share: `needs_data` skips tests of the public data where they are not at hand; small worlds."""

import os

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import strategies as st

from glocal.datasets.registry import registry
from glocal.system.paths import resolve


def at_hand() -> bool:
    """Every file of the registry lies in the mirror or in data/ (nothing is downloaded to find out)."""
    mirror = os.environ.get("GLOCAL_MIRROR")
    folders = [resolve("data")] + ([resolve(mirror)] if mirror else [])
    return all(any((folder / row["file"]).exists() for folder in folders) for row in registry().values())


needs_data = pytest.mark.skipif(
    not at_hand(),
    reason="the public data are not at hand: set GLOCAL_MIRROR to a folder that has them, or download them",
)


# The authors' transforms: mean of the diagonal, sum (W - c I)^2, that relative to c I
PUBLISHED = {
    "OpenCLIP_ViT-L-14_laion2b_s32b_b82k": (0.1033, 0.1188, 0.120),
    "OpenCLIP_ViT-L-14_laion400m_e32": (0.0908, 0.1375, 0.147),
    "clip_RN50": (0.0791, 0.1044, 0.128),
    "clip_ViT-L-14": (0.1200, 0.1480, 0.116),
    "dino-vit-base-p16": (0.0702, 0.172, 0.213),
    "dino-vit-base-p8": (0.0723, 0.187, 0.216),
    "dinov2-vit-base-p14": (0.0863, 0.340, 0.244),
    "dinov2-vit-large-p14": (0.0657, 0.358, 0.285),
    "resnet18": (0.0564, 0.151, 0.305),
}

SCALES = st.floats(-300, 300).map(lambda e: 10.0**e)  # factors that take features to the limits of float64


def world(seed: int = 0, n: int = 9, p: int = 5, m: int = 40, q: int = 7) -> dict:
    """Float64 tensors of every kind that the losses take: x, w, b, y random, triplets of distinct rows of x."""
    rng = np.random.default_rng(seed)
    triplets = np.stack([rng.choice(n, 3, replace=False) for _ in range(m)]) if m else np.zeros((0, 3), int)
    shapes = {"x": (n, p), "w": (p, p), "b": (p,), "y": (q, p)}
    result = {name: torch.tensor(rng.normal(size=shape)) for name, shape in shapes.items()}
    return {**result, "triplets": torch.tensor(triplets)}


def observed(seed: int = 0, n: int = 60, p: int = 24, d: int = 4, m: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Features (n, p) that hide a latent (n, d) among louder directions, and different noiseless triplets (m, 3) about it."""
    rng = np.random.default_rng(seed)
    latent = rng.normal(size=(n, d))
    loud = 3 * rng.normal(size=(n, p - d))
    x = np.hstack([latent, loud]) @ np.linalg.qr(rng.normal(size=(p, p)))[0] + 1.0
    drawn = np.stack([rng.choice(n, 3, replace=False) for _ in range(m + m // 4 + 10)])
    drawn = drawn[np.sort(np.unique(np.sort(drawn, 1), axis=0, return_index=True)[1])[:m]]
    s = latent @ latent.T
    left = np.stack([s[drawn[:, [1, 0, 0][i]], drawn[:, [2, 2, 1][i]]] for i in range(3)], axis=1)  # when i is odd
    order = np.array([[1, 2, 0], [0, 2, 1], [0, 1, 2]])[left.argmax(1)]
    return x, np.take_along_axis(drawn, order, axis=1)


def clusters(distance, n=120, seed=0):
    """Features (n, 6) of four classes, `distance` standard deviations apart, and their labels."""
    random = np.random.default_rng(seed)
    y = np.arange(n) % 4
    return random.normal(size=(n, 6)) + distance * np.eye(6)[y], y


def rows(n):
    """A table of n rows: code (text that looks like a number) and fold."""
    return pd.DataFrame({"code": [str(2600 + i) for i in range(n)], "fold": np.arange(n) % 3})


def cut(path, keep):
    """Leave the first `keep` bytes of a file."""
    path.write_bytes(path.read_bytes()[:keep])


# A config of the demo's kind with one encoder.
DEMO = {
    "profile": "tiny", "observer": "simulated observer", "seed": 3, "source": "demo", "downstream": "folds",
    "encoders": {"net": {"objects": "openmoji", "context": {"set": "objects"}}},
    "alignment": {"splits": ["subgroup", "picture"], "folds": 2, "objectives": ["naive", "glocal"], "grid": {},
                  "choose": "triplet_loss", "kl_tau": 0.1, "final_fit": "all objects", "fit": {"recipe": "converged"}},
    "few_shot": {"shots": [1], "repetitions": 1, "c": [1.0], "balanced": True, "tasks": {}},
    "anomaly": {"k": 5, "sets": {}},
    "structure": {"k": 5, "sets": {}},
}  # fmt: skip
