"""Figures of agreement with people: table in, figure out."""

import textwrap

import numpy as np

from glocal.evaluation.gains_by_group import CATEGORY, DIMENSION, SUPERCLASS
from glocal.evaluation.human_similarity import EACH
from glocal.evaluation.uncertainty import CORRELATION, CROSS_ENTROPY, ERROR
from glocal.features.published import encoders
from glocal.reporting import panels, style
from glocal.reporting.names import dataset, encoder

FILL = "#DDDDDD"
TITLES = {
    CATEGORY: "triplets with an object of the category",
    SUPERCLASS: "triplets by superclass",
    DIMENSION: "triplets by SPoSE dimension of the choice",
}
BOUNDS = {CORRELATION: "best possible", CROSS_ENTROPY: "people's entropy", ERROR: "a calibrated model"}


def human_similarity(table, kernel: str = "cosine", metric: str = "Spearman"):
    """Correlation with people's similarities: a panel a set, a group an encoder, 95 % intervals.

    table: human_similarity, of one encoder or of all (evaluation/human_similarity.py); kernel, metric: the rows that are shown.
    Grey band: the noise ceiling, where several people judged. Dash-dotted: embeddings fitted to judgments of the very objects
    (SPoSE, VICE), by dot product: what is within reach, not a test.
    """
    people = table["judgments"].eq(EACH) | table["people"].eq(1)  # where several people judged, the mean matrix is not shown
    rows = table[people & (table["metric"] == metric) & (table["kernel"] == kernel) & (table["transform"] != "reference")]
    sets, kinds = list(dict.fromkeys(rows["dataset"])), style.order(rows["transform"])
    height = style.height(max(rows["encoder"].nunique(), 1), len(kinds))
    fig, axes = style.figure(max(len(sets), 1), height=height, sharex=True, sharey=True)
    rows = rows.assign(encoder=rows["encoder"].map(encoder))
    for ax, name in zip(axes, sets, strict=False):
        part = rows[rows["dataset"] == name]
        panels.dots(ax, part, "encoder", "value", ("ci_low", "ci_high"), kinds)
        _bounds(ax, part, table[(table["dataset"] == name) & (table["metric"] == metric)])
        people = part["people"].iloc[0]
        title = f"{dataset(name)}: {part['stimuli'].iloc[0]} stimuli, {f'{people} people' if people > 1 else 'one mean matrix'}"
        ax.set_title(title, pad=12)
        ax.set_xlabel(f"{metric} correlation with people's similarities")
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


def calibration(table, curve):
    """Probabilities of choices beside the shares of people's answers: calibration curve, correlation, cross-entropy.

    table, curve: human_calibration and human_calibration_curve of one encoder (evaluation/uncertainty.py).
    """
    kinds = style.order(table["transform"])
    fig, top, bottom = style.halves(4.6, [1, 1.35])
    for ax, kind in zip(top.subplots(1, max(len(kinds), 1), sharey=True, squeeze=False)[0], kinds, strict=False):
        _calibration_curve(ax, curve[curve["transform"] == kind], kind)
    top.supxlabel("probability of a choice", fontsize=9)
    top.get_axes()[0].set_ylabel("people's share")
    names = table["dataset"].str.split(" (", regex=False).str[0] + "\n" + table["triplets"].map("{:,} triplets".format)
    for ax, (metric, bound) in zip(bottom.subplots(1, 3, sharey=True), BOUNDS.items(), strict=True):
        _with_bound(ax, table.assign(dataset=names)[table["metric"] == metric], kinds, bound)
        ax.set_xlabel(metric)
        if metric == CROSS_ENTROPY:
            ax.set_xlabel(f"{metric} (nats)")
            panels.reference(ax, np.log(3), "chance", ":")
            ax.set_xlim(right=1.02 * np.log(3))
    panels.legend(fig, kinds)
    return fig


def _calibration_curve(ax, rows, kind) -> None:
    """Mean shares of people's answers against mean probabilities by bin."""
    ax.plot([0, 0.9], [0, 0.9], color=style.INK, linestyle="--", linewidth=0.8)
    errors = (rows["share"] - rows["ci_low"], rows["ci_high"] - rows["share"])
    look = dict(color=style.COLOURS[kind], marker=style.MARKERS[kind], markersize=3.5, linewidth=1, elinewidth=0.8)
    look |= dict(markerfacecolor=style.face(kind))
    ax.errorbar(rows["probability"], rows["share"], yerr=errors, **look)
    ax.set(xlim=(0, 0.9), ylim=(0, 0.9), xticks=[0, 0.4, 0.8], yticks=[0, 0.4, 0.8], title=style.NAMES[kind])
    ax.grid()


def _with_bound(ax, rows, kinds, bound: str) -> None:
    """Dots of a metric, and a dashed line in each row for what could be reached, the mean over transforms."""
    panels.dots(ax, rows, "dataset", "value", ("ci_low", "ci_high"), kinds)
    levels = rows.groupby("dataset", sort=False)["bound"].mean()
    for place, level in enumerate(levels):
        ax.plot([level] * 2, [place - 0.48, place + 0.48], color=style.INK, linestyle="--", linewidth=0.8)
    panels.above(ax, levels.iloc[0], textwrap.fill(bound, 10))


def groups(table, most: int = 25):
    """What transforms add to odd-one-out accuracy by category, superclass and SPoSE dimension, in points, 95 % intervals.

    table: human_groups of one encoder (evaluation/gains_by_group.py). Of the SPoSE dimensions the `most` that explain most
    choices.
    """
    import matplotlib.pyplot as plt

    style.style()
    kinds = [kind for kind in style.order(table["transform"]) if kind in ("centred", "naive", "glocal")]
    fig, axes = plt.subplot_mosaic([["left", "top"], ["left", "bottom"]], figsize=(7, 6.4), height_ratios=[6, most])
    shown = {"left": CATEGORY, "top": SUPERCLASS, "bottom": DIMENSION}
    for place, grouping in shown.items():
        part = table[(table["grouping"] == grouping) & table["transform"].isin(kinds)].copy()
        part[["difference", "diff_low", "diff_high"]] *= 100
        if grouping == DIMENSION:
            part = part[part["group"].isin(part.drop_duplicates("group").nlargest(most, "triplets")["group"])]
        if grouping != SUPERCLASS:
            order = part[part["transform"] == kinds[-1]].sort_values("difference", ascending=False)["group"]
            part = part.set_index("group").loc[order].reset_index()
        ax = axes[place]
        panels.dots(ax, part, "group", "difference", ("diff_low", "diff_high"), kinds)
        ax.tick_params(axis="y", labelsize=6.5)
        ax.set_title(TITLES[grouping])
        ax.axvline(0, color=style.INK, linewidth=0.8)
        ax.set_xlabel("" if place == "top" else "difference to original (points)")
    axes["top"].sharex(axes["bottom"])
    panels.legend(fig, kinds)
    return fig


def published(matrices, spectra):
    """The authors' published transforms: singular values relative to c, and the distance from c I.

    matrices, spectra: published_matrices and published_spectra (evaluation/published_transforms.py).
    """
    import seaborn as sns

    known = {transform.removeprefix("published-"): encoder(name) for transform, (name, _) in encoders().items()}
    names = list(matrices.sort_values("relative_distance")["transform"].map(known))
    spectra, matrices = (table.assign(transform=table["transform"].map(known)) for table in (spectra, matrices))
    fig, (left, right) = style.figure(2, height=2.8)
    look = dict(hue="transform", hue_order=names, palette="viridis", legend=False)
    points = look | dict(style="transform", style_order=names, s=40)
    sns.lineplot(spectra, x="number", y="relative", ax=left, linewidth=1, **look)
    sns.scatterplot(spectra[spectra["number"] == 1], x="number", y="relative", ax=left, **points)
    sns.scatterplot(
        matrices.set_index("transform").loc[names].reset_index(), x="relative_distance", y="transform", ax=right, **points
    )
    left.axhline(1, color=style.INK, linestyle=":", linewidth=0.8)
    left.set(
        xscale="log", yscale="log", xlabel="singular value, by size", ylabel="singular value / c", yticks=[0.2, 0.5, 1, 2, 5]
    )
    left.set_xticks([1, 10, 100, 1000])
    left.xaxis.set_major_formatter("{x:g}")
    left.yaxis.set_major_formatter("{x:g}")
    left.minorticks_off()
    right.set(xlabel="distance from c I, relative to c I", ylabel="", xlim=(0, None))
    for ax in (left, right):
        ax.grid()
    return fig
