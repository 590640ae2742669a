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
    sets, kinds = list(dict.fromkeys(rows["dataset"])), style.order(rows["transform"])
    height = style.height(max(rows["encoder"].nunique(), 1), len(kinds))
    fig, axes = style.figure(max(len(sets), 1), height=height, sharey=True)
    for ax, name in zip(axes, sets, strict=False):
        part = rows[rows["dataset"] == name]
        panels.dots(ax, part, "encoder", "value", ("ci_low", "ci_high"), kinds)
        _bounds(ax, part, table[(table["dataset"] == name) & (table["metric"] == metric)])
        people = part["people"].iloc[0]
        title = f"{name}: {part['stimuli'].iloc[0]} stimuli, {f'{people} people' if people > 1 else 'one mean matrix'}"
        ax.set_title(title, pad=12)
        ax.set_xlabel(f"{metric} correlation ({kernel})")
    panels.legend(fig, kinds)
    return fig


def _bounds(ax, rows, every) -> None:
    """The noise ceiling of a set as a band, and the weakest of the references, by dot product, as a line."""
    low, high = rows[["ceiling_low", "ceiling_high"]].iloc[0]
    if np.isfinite(low):
        ax.axvspan(low, high, color=FILL, zorder=0)
        panels.above(ax, (low + high) / 2, "noise ceiling")
    references = every[(every["transform"] == "reference") & (every["kernel"] == "dot")]["value"]
    if len(references):
        panels.reference(ax, references.min(), "VICE, SPoSE", "-.")
