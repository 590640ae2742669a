"""The figure of agreement with other people's similarity judgments: table in, figure out."""

import numpy as np

from glocal.evaluation.human_similarity import EACH
from glocal.reporting import panels, style

FILL = "#DDDDDD"


def human_similarity(table, kernel: str = "cosine", metric: str = "Spearman"):
    """Correlation with people's similarities: a panel a set, a group an encoder, 95 % intervals.

    Parameters
    ----------
    table : DataFrame
        human_similarity, of one encoder or of all (evaluation/human_similarity.py).
    kernel, metric : str
        The rows that are shown.

    Returns
    -------
    matplotlib Figure
        Grey band: the noise ceiling, where several people judged. Dash-dotted: embeddings fitted to judgments of the very
        objects (SPoSE, VICE), by dot product: what is within reach, not a test.
    """
    people = table["judgments"].eq(EACH) | table["people"].eq(1)  # where several people judged, the mean matrix is not shown
    rows = table[people & (table["metric"] == metric) & (table["kernel"] == kernel) & (table["transform"] != "reference")]
    sets = list(dict.fromkeys(rows["dataset"]))
    fig, axes = style.figure(max(len(sets), 1), height=2.8)
    for ax, name in zip(axes, sets, strict=False):
        part = rows[rows["dataset"] == name]
        _points(ax, part)
        _bounds(ax, part, table[(table["dataset"] == name) & (table["metric"] == metric)])
        people = part["people"].iloc[0]
        ax.set(title=f"{name}: {part['stimuli'].iloc[0]} stimuli, {f'{people} people' if people > 1 else 'one mean matrix'}")
    axes[0].set_ylabel(f"{metric} correlation ({kernel})")
    labelled = {label: handle for ax in axes for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    fig.legend(labelled.values(), labelled.keys(), loc="outside upper center", ncols=max(len(labelled), 1))
    return fig


def _points(ax, rows) -> None:
    """A point and its interval for each transform, beside each other within an encoder."""
    encoders, transforms = list(dict.fromkeys(rows["encoder"])), list(dict.fromkeys(rows["transform"]))
    shift = (np.arange(len(transforms)) - (len(transforms) - 1) / 2) * 0.8 / len(transforms)
    for name, dx in zip(transforms, shift, strict=True):
        part = rows[rows["transform"] == name]
        x = np.array([encoders.index(e) for e in part["encoder"]]) + dx
        spread = np.abs(part[["ci_low", "ci_high"]].to_numpy().T - part["value"].to_numpy())
        look = dict(color=style.COLOURS.get(name), marker=style.MARKERS.get(name, "o"), label=style.NAMES.get(name, name))
        ax.errorbar(x, part["value"], spread, linestyle="none", capsize=2, **look)
    ax.set_xticks(range(len(encoders)), encoders)
    ax.set_xlim(-0.6, len(encoders) - 0.4)


def _bounds(ax, rows, every) -> None:
    """The noise ceiling of a set as a band, and the weakest of the references, by dot product, as a line."""
    low, high = rows[["ceiling_low", "ceiling_high"]].iloc[0]
    if np.isfinite(low):
        ax.axhspan(low, high, color=FILL, zorder=0, label="noise ceiling")
    references = every[(every["transform"] == "reference") & (every["kernel"] == "dot")]["value"]
    if len(references):
        panels.reference(ax, references.min(), "VICE, SPoSE", "-.")
