"""The figures of alignment, agreement and structure, a function each: table in, figure out.

`task_figures` has those of few-shot classification and anomaly detection, `image_figures` those of images; `style` has the look,
`panels` what stands in a panel. Of tables with several splits the first is shown. Transforms are those that a table has, in the
order of `style.LOOKS`.
"""

import textwrap

from glocal.evaluation.frames import ACCURACY, ALL_TRIPLETS, first_split
from glocal.evaluation.structure import overlaps, separations
from glocal.reporting import panels, style
from glocal.reporting.style import INK, NAMES, order


def features(cosines, encoder: str):
    """Cosines of pairs within a superclass against pairs between superclasses. cosines: of `geometry.cosine_histogram`."""
    import seaborn as sns

    fig, (ax,) = style.figure(width=4.5)
    bins = dict(bins=len(cosines) // 2, binrange=(-1, 1))
    look = dict(palette=["#0072B2", INK], element="step", alpha=0.25, stat="density", common_norm=False)
    sns.histplot(cosines, x="cosine", hue="pairs", weights="count", ax=ax, **bins, **look)
    shown = cosines[cosines["count"] > 0]["cosine"]
    labels = dict(xlabel="cosine of two objects' features", ylabel="density of pairs", title=f"{encoder}, original features")
    ax.set(**labels, xlim=(shown.min() - 0.02, shown.max() + 0.02))
    ax.get_legend().set_title("")
    return fig


def alignment(table, means, ceiling: float, title: str):
    """Accuracy on held-out objects, points: folds; and what it costs in neighbours, over the grid, large: chosen.

    table: alignment; means: of `evaluation.alignment.means`; ceiling: the noise ceiling of the first split.
    """
    import seaborn as sns

    rows = first_split(table).rename(columns={"objective": "transform"})
    rows = rows[rows["chosen"]]
    kinds = order(rows["transform"])
    fig, (left, right) = style.figure(2, height=max(2.4, style.height(1, len(kinds))))
    panels.dots(left, rows, "transform", "odd_one_out")
    look = dict(color=INK, size=2.5, jitter=False, alpha=0.6, order=[NAMES[t] for t in kinds])
    sns.stripplot(rows.assign(transform=rows["transform"].map(NAMES)), x="odd_one_out", y="transform", ax=left, **look)
    _bounds(left, ceiling)
    split = rows["fold"].iloc[0].rsplit("-", 1)[0]
    left.set(xlabel=f"odd-one-out accuracy, held-out objects ({split})", ylabel="")
    panels.trade_off(right, means.rename(columns={"objective": "transform"}), "neighbour_overlap", "odd_one_out")
    right.set(xlabel="10-NN overlap with original", ylabel="odd-one-out accuracy")
    right.set_title("all settings of the grid (large: chosen)", pad=12)
    fig.suptitle(title, fontsize=9)
    return fig


def training(history, step: str):
    """Learning curves of the chosen settings: lines on training data, dotted on what is held out.

    history: of `grid_search.learning_curves`, with the column kl_tau, the temperature of its local KL; step: an iteration.
    """
    import seaborn as sns

    fig, axes = style.figure(3, height=2.5)
    rows, tau = history.rename(columns={"objective": "transform"}), history["kl_tau"].iloc[0]
    titles = {"loss": "objective", "triplet_loss": "triplet loss (nats)", "local_kl": f"local KL at tau {tau:g} (nats)"}
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        for line, column in (("-", name), (":", f"held_out_{name}")):
            if column in rows:
                sns.lineplot(**style.hues(rows), x="iteration", y=column, linestyle=line, errorbar=None, ax=ax)
        ax.set(xlabel=step, ylabel=title)
        ax.grid(axis="y")
    axes[2].set_yscale("log")
    panels.legend(fig, rows["transform"], [("-", "training"), (":", "held out")], dots=False)
    return fig


def human(table):
    """Odd-one-out accuracy with chance, noise ceiling and references, and the other metrics; lines: 95 % intervals.

    table: human.
    """
    known = (table["transform"] != "reference") & (table["dataset"] != ALL_TRIPLETS)
    rows, metrics = table[known], list(dict.fromkeys(table[known]["metric"]))
    sizes = [rows[rows["metric"] == m]["dataset"].nunique() for m in metrics]
    kinds = order(rows["transform"])
    fig, axes = style.figure(
        len(metrics), height=style.height(max(sizes), len(kinds)), width_ratios=[3, *[2] * (len(metrics) - 1)]
    )
    for ax, metric in zip(axes, metrics, strict=True):
        part = rows[rows["metric"] == metric]
        part = part.assign(dataset=part["dataset"].str.replace(r" \(|(?<=-ceiling) ", lambda m: "\n" + m[0][1:], regex=True))
        panels.dots(ax, part, "dataset", "value", ("ci_low", "ci_high"), kinds)
        ax.set_xlabel(metric if metric == ACCURACY else textwrap.fill(f"{metric} (Spearman correlation)", 32))
    _bounds(axes[0], rows["ceiling"].max())
    references = table[table["transform"] == "reference"]
    if len(references):
        axes[0].axvline(references["value"].min(), color=INK, linestyle="-.", linewidth=0.8)
    panels.legend(fig, kinds, [("-.", ", ".join(dict.fromkeys(references["encoder"])))] if len(references) else [])
    return fig


def structure(table):
    """Neighbours kept over the number of neighbours, and the separation of superclasses by set, with the std over folds.

    table: structure.
    """
    import seaborn as sns

    kept, apart = overlaps(table), separations(table)
    kinds, sets = order(kept["transform"]), apart["dataset"].nunique()
    fig, (left, right) = style.figure(2, height=max(2.7, style.height(sets, len(kinds))))
    look = dict(errorbar=None, dashes=False, markersize=5, markeredgewidth=0)
    sns.lineplot(**style.hues(kept, lines=True), x="k", y="value", ax=left, **look)
    left.set(xscale="log", xlabel="neighbours k", ylabel="k-NN overlap with original", title="local structure", ylim=(0, 1.03))
    ticks = sorted(kept["k"].unique())
    left.set_xticks(ticks, ticks)
    left.minorticks_off()
    left.grid(axis="y")
    panels.dots(right, apart, "dataset", "value")
    right.set(xlabel="separation of superclasses (sd)", title="global structure: within - between", xlim=(0, None))
    panels.legend(fig, kinds)
    return fig


def similarity(table):
    """Similarity matrices, a panel a transform. table: similarity, of `structure.similarities`."""
    kinds = order(table["transform"])
    fig, axes = style.figure(len(kinds), height=2.9)
    for ax, kind in zip(axes, kinds, strict=True):
        rows = table[table["transform"] == kind].set_index("label")
        panels.similarity_matrix(ax, rows.drop(columns=["encoder", "transform"]), names=ax is axes[0])
        ax.set_title(NAMES[kind])
    return fig


def _bounds(ax, ceiling: float):
    panels.reference(ax, 1 / 3, "chance", ":")
    panels.reference(ax, ceiling, "noise ceiling")
