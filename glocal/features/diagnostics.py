"""Are these features of the model, layer and preprocessing of published numbers? Checked by one mean and one standard deviation.

    compare(x, mean=0.0028850, std=0.6941960)    # the check after extracting the 1,854 THINGS images

The authors' transforms carry the scalar mean and standard deviation of the (1854, p) matrix they were fitted on
(`config/paper.yaml` has them); on the same images, ours must be equal.
"""

import warnings

import numpy as np

EQUAL = 0.01  # of the standard deviation; other versions of an image library change a resized image by less


def evaluate(experiment) -> dict:
    """Summary statistics of an experiment's feature sets.

    {"features": DataFrame}, one row per set: set, images, dimensions, mean, std, scale (the mean length of a row, on which all
    sets of an encoder must agree). Where the config has published statistics, also the columns of `compare`, with a warning if
    they are not equal. Raises GlocalError for missing or damaged features.
    """
    import pandas as pd

    names = ["objects", *experiment.settings.get("sets", {})]
    sets = {name: experiment.features(name).x for name in names}
    rows = {name: dict(images=len(x), dimensions=x.shape[1]) | summary(x) for name, x in sets.items()}
    table = pd.DataFrame(rows).T.rename(columns={"length": "scale"}).round(2)
    if published := experiment.settings.get("published"):
        check = compare(sets["objects"], published["mean"], published["std"])
        table.loc["objects", list(check)] = list(check.values())
        if check["verdict"] != "equal":
            warnings.warn(
                f"{experiment.encoder}: features of THINGS are not the published ones: {check['verdict']}", stacklevel=2
            )
    return dict(features=table.rename_axis("set").reset_index())


def summary(x, block: int = 16384) -> dict:
    """{mean, std, length} of x (n, p), length: the mean norm of a row; in blocks, so a memory map is not loaded whole."""
    total = squares = lengths = 0.0
    for i in range(0, len(x), block):
        part = np.asarray(x[i : i + block], np.float64)  # (b, p)
        norms = np.einsum("ij,ij->i", part, part)
        total, squares, lengths = total + part.sum(), squares + norms.sum(), lengths + np.sqrt(norms).sum()
    mean = total / np.size(x)
    return dict(mean=mean, std=max(squares / np.size(x) - mean**2, 0.0) ** 0.5, length=lengths / len(x))


def compare(x, mean: float, std: float) -> dict:
    """{mean, std, published_mean, published_std, verdict}: verdict is "equal" or what is likely wrong. x: (1854, p)."""
    measured = summary(x)
    measured_mean, measured_std = measured["mean"], measured["std"]
    equal = abs(measured_mean - mean) < EQUAL * std and abs(measured_std / std - 1) < EQUAL
    verdict = "equal" if equal else likely(x, mean, std)
    return dict(mean=measured_mean, std=measured_std, published_mean=mean, published_std=std, verdict=verdict)


@np.errstate(over="ignore")
def likely(x, mean: float, std: float) -> str:
    """What is probably wrong with features whose mean and std are not the published ones."""
    x = np.asarray(x[:512], np.float64)
    if np.allclose(np.linalg.norm(x, axis=1), 1, atol=1e-3) and std * x.shape[1] ** 0.5 > 1.1:
        return "rows have length 1: use the layer's output before normalisation"
    if x.min() >= 0 and mean < 2 * std and abs(mean) < 0.5 * std:
        return "no value is negative: this layer is after a ReLU, the published one is not"
    if x.min() < 0 and mean > 0.5 * std:
        return "some values are negative: the published layer is after a ReLU, this one is not"
    if abs(x.std() / std - 1) < 0.1:
        return "nearly equal: probably other preprocessing (crop, interpolation, mean and std of the colours) or other images"
    return "probably another layer or model"
