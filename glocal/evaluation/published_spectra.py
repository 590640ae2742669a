"""The authors' nine published transforms side by side: what is left of c I, and how much of the space they keep.

Each is near a multiple of the identity, c I with c the mean of the diagonal, to which its objective pulls it. The file of DINOv2
ViT-B/14 is the one of their history: on their main branch stands a copy of DINO ViT-B/16 (`transform_io.is_copied_upstream`).
What the directions encode cannot be read off these nine: no features of the THINGS objects by their encoders are public (for
transforms that are fitted here see `directions`).
"""

import numpy as np

from glocal.datasets.registry import fetch, registry
from glocal.transform import GLocalTransform

PREFIX = "published-"
POINTS = 50  # of a spectrum: the first singular values, ever fewer of the next ones, and the last ten


def evaluate():
    """Two DataFrames: matrices, a row a transform with the columns of `measures`; spectra, its singular values.

    spectra: transform, number (of the singular value, from 1, the largest), relative (singular value / c).
    """
    import pandas as pd

    matrices, spectra = [], []
    for name in sorted(name for name in registry() if name.startswith(PREFIX)):
        row, values = measures(GLocalTransform.load(fetch(name)).weights_)
        matrices.append(dict(transform=name.removeprefix(PREFIX)) | row)
        numbers = np.unique([*np.geomspace(1, len(values), POINTS).astype(int), *range(len(values) - 9, len(values) + 1)])
        spectra += [(matrices[-1]["transform"], number, values[number - 1]) for number in numbers]
    return pd.DataFrame(matrices), pd.DataFrame(spectra, columns=["transform", "number", "relative"])


def measures(weights) -> tuple[dict, np.ndarray]:
    """What describes a matrix W (p, p) beside c I, and its singular values divided by c, (p,).

    dimensions p; mean_diagonal c; distance, the sum of (W - c I)^2; relative_distance, |W - c I| / |c I|; effective_rank, exp of
    the entropy of the normalised singular values (Roy and Vetterli 2007); largest and smallest singular value, and the share of
    them that shrink (are below c), relative to c; asymmetry |W - W'| / |W + W'|; half_of_distance: how many singular directions
    of W - c I hold half of the distance.
    """
    w = np.asarray(weights, np.float64)
    p, c = len(w), np.diag(w).mean()
    rest, values = w - c * np.eye(p), np.linalg.svd(w, compute_uv=False)
    share, energy = values / values.sum(), np.cumsum(np.linalg.svd(rest, compute_uv=False) ** 2)
    row = dict(dimensions=p, mean_diagonal=c, distance=np.square(rest).sum())
    row |= dict(relative_distance=np.linalg.norm(rest) / (abs(c) * np.sqrt(p)))
    row |= dict(effective_rank=np.exp(-(share * np.log(np.maximum(share, 1e-300))).sum()))
    row |= dict(largest=values[0] / c, smallest=values[-1] / c, shrunk=float(np.mean(values < c)))
    row |= dict(asymmetry=np.linalg.norm(w - w.T) / np.linalg.norm(w + w.T))
    return row | dict(half_of_distance=1 + int(np.searchsorted(energy, energy[-1] / 2))), values / c
