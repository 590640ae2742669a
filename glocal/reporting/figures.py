"""The figures of alignment, agreement and structure, a function each: table in, figure out.

`task_figures` has those of few-shot classification and anomaly detection, `image_figures` those of images; `style` has the look,
`panels` what stands in a panel. Of tables with several splits the first is shown. Transforms are those that a table has, in the
order of `style.LOOKS`.
"""

import textwrap

import numpy as np

from glocal.evaluation.frames import ACCURACY, ALL_TRIPLETS, first_split
from glocal.evaluation.structure import overlaps, separations
from glocal.reporting import names, panels, style
from glocal.reporting.style import INK, NAMES, order

GRID = {  # measure: (title, digits, colours)
    "odd_one_out": ("odd-one-out accuracy", 3, "Greens"),
    "neighbour_overlap": ("10-NN overlap", 2, "Blues"),
    "local_kl": ("local KL (nats)", 2, "Greys"),
}


def features(cosines, encoder: str):
    """Cosines of pairs within a superclass against pairs between superclasses. cosines: of `geometry.cosine_histogram`."""
    import seaborn as sns

    fig, (ax,) = style.figure(width=4.5)
    bins = dict(bins=len(cosines) // 2, binrange=(-1, 1))
    look = dict(palette=["#0072B2", INK], element="step", alpha=0.25, stat="density", common_norm=False)
    sns.histplot(cosines, x="cosine", hue="pairs", weights="count", ax=ax, **bins, **look)
    shown = cosines[cosines["count"] > 0]["cosine"]
    title = f"{names.encoder(encoder)}, original features"
    ax.set(xlabel="cosine of two objects' features", ylabel="density of pairs", title=title)
    ax.set_xlim(shown.min() - 0.02, shown.max() + 0.02)
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
    left.set(xlabel=f"odd-one-out accuracy, held-out objects\n(mean, sd; dots: {rows['fold'].nunique()} folds)", ylabel="")
    panels.trade_off(right, means.rename(columns={"objective": "transform"}), "neighbour_overlap", "odd_one_out")
    right.set(xlabel="10-NN overlap with original", ylabel="odd-one-out accuracy")
    right.axhline(ceiling, color=INK, linestyle="--", linewidth=0.8, zorder=1)
    right.text(0, ceiling, "noise ceiling", transform=right.get_yaxis_transform(), fontsize=7, va="bottom", color=INK)
    right.set_title("all settings (large: chosen)", pad=12)
    fig.suptitle(title, fontsize=9)
    return fig


def grid(means):
    """Accuracy, neighbours kept and local KL of every setting of lam, alpha and tau, as heat maps; framed: chosen.

    means: of `evaluation.alignment.means`.
    """
    import seaborn as sns
    from matplotlib.patches import Rectangle

    rows = means.dropna(subset=["lam"])
    own = [f", alpha {r.alpha:g}, tau {r.tau:g}" if r.alpha == r.alpha else "" for r in rows.itertuples()]
    rows = rows.assign(setting=rows["objective"].map(NAMES) + own)  # lam has the columns
    rows = rows.assign(place=rows["objective"].map(list(NAMES).index)).sort_values(["place", "alpha", "tau"])
    order_of = list(rows["setting"].unique())
    lams = sorted(rows["lam"].unique())
    fig, axes = style.figure(3, height=1.3 + 0.24 * len(order_of), sharey=True)
    for ax, (measure, (title, digits, colours)) in zip(axes, GRID.items(), strict=True):
        wide = rows.pivot(index="setting", columns="lam", values=measure).loc[order_of, lams]
        look = dict(annot=True, fmt=f".{digits}f", annot_kws={"size": 6.5}, linewidths=0.5, cbar=False, cmap=colours)
        sns.heatmap(wide, ax=ax, **look)
        for r in rows[rows["chosen"]].itertuples():
            corner = lams.index(r.lam), order_of.index(r.setting)
            ax.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor=INK, linewidth=1.8, clip_on=False, zorder=5))
        ax.set(title=title, xlabel="lam", ylabel="")
        ax.set_xticklabels([f"{lam:g}" for lam in lams], rotation=0)
        ax.tick_params(length=0)
    return fig


def training(history, step: str):
    """Learning curves of the chosen settings: solid on training data, dotted on what is held out.

    Above, each objective on an axis of its own, since their scales have nothing in common; below, its two parts.
    history: of `grid_search.learning_curves`, with the column kl_tau, the temperature of its local KL; step: an iteration.
    """
    rows, tau = history.rename(columns={"objective": "transform"}), history["kl_tau"].iloc[0]
    kinds = order(rows["transform"])
    fig, top, bottom = style.halves(4.5, [1, 1.1])
    for ax, kind in zip(top.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        _curves(ax, rows[rows["transform"] == kind], "loss")
        ax.set(title=f"objective of {NAMES[kind]}", xlabel=step, ylabel="")
    titles = {"triplet_loss": "triplet loss (nats)", "local_kl": f"local KL at tau {tau:g} (nats)"}
    for ax, (name, title) in zip(bottom.subplots(1, 2), titles.items(), strict=True):
        _curves(ax, rows, name)
        ax.set(title=title, xlabel=step, ylabel="")
    ax.set_yscale("log")
    panels.plain_log(ax.yaxis)
    panels.legend(fig, kinds, [("-", "training"), (":", "held out")], dots=False)
    return fig


def _curves(ax, rows, name: str) -> None:
    """A measure on training data and, where it is known, on what is held out, a colour a transform."""
    import seaborn as sns

    for line, column in (("-", name), (":", f"held_out_{name}")):
        if column in rows:
            sns.lineplot(**style.hues(rows), x="iteration", y=column, linestyle=line, errorbar=None, ax=ax)
    ax.set_xlabel("")
    ax.locator_params(axis="x", integer=True, nbins=5)
    ax.grid(axis="y")


def human(table):
    """Odd-one-out accuracy with chance, noise ceiling and references, and the other metrics; lines: 95 % intervals.

    table: human.
    """
    known = (table["transform"] != "reference") & (table["dataset"] != ALL_TRIPLETS)
    rows, metrics = table[known], list(dict.fromkeys(table[known]["metric"]))
    sizes = [rows[rows["metric"] == m]["dataset"].nunique() for m in metrics]
    kinds = order(rows["transform"])
    widths = [3, *[2] * (len(metrics) - 1)]
    fig, axes = style.figure(len(metrics), height=max(2.4, style.height(max(sizes), len(kinds))), width_ratios=widths)
    several = rows["dataset"].str.startswith("held-out").groupby(rows["dataset"]).first().sum() > 1
    for ax, metric in zip(axes, metrics, strict=True):
        part = rows[rows["metric"] == metric]
        shown = part["dataset"] if several else part["dataset"].map(names.held_out)
        panels.dots(ax, part.assign(dataset=shown.str.replace(" ", "\n", n=1)), "dataset", "value", ("ci_low", "ci_high"), kinds)
        ax.set_xlabel(metric if metric == ACCURACY else textwrap.fill(f"{metric} (Spearman correlation)", 32))
    _bounds(axes[0], rows["ceiling"].max())
    references = table[table["transform"] == "reference"]
    if len(references):
        axes[0].axvline(references["value"].min(), color=INK, linestyle="-.", linewidth=0.8)
    of = ", ".join(names.dataset(name) for name in dict.fromkeys(references["encoder"]))
    panels.legend(fig, kinds, [("-.", of)] if len(references) else [])
    return fig


def structure(table):
    """Neighbours kept over the number of neighbours, and the separation of superclasses by set, with the std over folds.

    table: structure.
    """
    import seaborn as sns

    kept, apart = overlaps(table), separations(table)
    kept, apart = (rows[rows["transform"] != style.CONTROL] for rows in (kept, apart))
    kinds, sets = order(kept["transform"]), apart["dataset"].nunique()
    fig, (left, right) = style.figure(2, height=max(2.7, style.height(sets, len(kinds))))
    look = dict(errorbar=None, dashes=False, markersize=5, markeredgewidth=0)
    sns.lineplot(**style.hues(kept, lines=True), x="k", y="value", ax=left, **look)
    style.hollow(left)
    left.set(xscale="log", xlabel="neighbours k", ylabel="k-NN overlap with original", title="local structure", ylim=(0, 1.03))
    ticks = sorted(kept["k"].unique())
    left.set_xticks(ticks, ticks)
    left.minorticks_off()
    left.grid(axis="y")
    panels.dots(right, apart.assign(dataset=apart["dataset"].map(names.dataset)), "dataset", "value")
    right.set(xlabel="cosines within - between superclasses\n(in standard deviations of all cosines)", xlim=(0, None))
    right.set_title("global structure: separation")
    panels.legend(fig, kinds)
    return fig


def similarity(table):
    """Which pairs of held-out objects are similar, in every space and to people, a panel each, on one scale of ranks.

    table: similarity, of `structure.similarities`. Under each, the correlation of its ranks with those of the reference.
    """
    fig, axes = style.figure(table["transform"].nunique(), height=2.75)
    ranks = {about: _ranks(rows) for about, rows in table.groupby(["encoder", "transform"], sort=False)}
    people = next((r for (_, transform), r in ranks.items() if transform == "reference"), None)
    for n, (ax, ((encoder, transform), matrix)) in enumerate(zip(axes, ranks.items(), strict=True)):
        mesh = panels.similarity_matrix(ax, matrix, names=n == 0)
        ax.set_title(_space(encoder, transform))
        if people is not None and transform != "reference":
            r = np.corrcoef(_pairs(matrix), _pairs(people))[0, 1]
            ax.set_xlabel(f"rank correlation {r:.2f}", fontsize=8)
    bar = fig.colorbar(mesh, ax=list(axes), location="bottom", shrink=0.4, aspect=40, pad=0.03)
    bar.set_label("similarity of a pair: its percentile among all pairs of the matrix")
    return fig


def distances(table):
    """Which distances grow and which shrink: mean change of a pair's similarity percentile by two superclasses, a panel a space.

    table: similarity. Diagonal: pairs within a superclass.
    """
    import seaborn as sns

    ranks = {about: _ranks(rows) for about, rows in table.groupby(["encoder", "transform"], sort=False)}
    before = next(r for (_, transform), r in ranks.items() if transform == "original")
    changes = {about: by_superclass(r - before) for about, r in ranks.items() if about[1] != "original"}
    most = max(np.nanmax(np.abs(c.to_numpy())) for c in changes.values())
    fig, axes = style.figure(len(changes), height=3.2, sharey=True)
    for ax, ((encoder, transform), change) in zip(axes, changes.items(), strict=True):
        look = dict(cmap="RdBu_r", vmin=-most, vmax=most, square=True, cbar=False, linewidths=0.3, xticklabels=True)
        sns.heatmap(change, ax=ax, **look)
        inside = np.nanmean(np.diag(change))
        outside = np.nanmean(change.to_numpy()[~np.eye(len(change), dtype=bool)])
        text = f"within {inside:+.1f}, between {outside:+.1f}".replace("-", "\u2212")
        ax.set_title(f"{_space(encoder, transform)}\n{text}")
        ax.set(xlabel="", ylabel="")
        ax.tick_params(labelsize=6, length=0)
    bar = fig.colorbar(axes[0].collections[0], ax=list(axes), location="bottom", shrink=0.4, aspect=40, pad=0.03)
    bar.set_label("closer (red) or farther (blue) than in the original, percentiles of pairs")
    return fig


def _space(encoder: str, transform: str) -> str:
    """The title of a panel; of the reference: who it stands for."""
    if transform != "reference":
        return NAMES[transform]
    return "observer" if "observer" in encoder else f"people ({encoder})"


def _ranks(rows):
    """A similarity matrix as percentiles of its pairs, the superclasses as index; the diagonal is nan."""
    import pandas as pd

    matrix = rows.set_index("label").drop(columns=["encoder", "transform"]).to_numpy()
    above = np.triu_indices(len(matrix), 1)
    ranks = np.full(matrix.shape, np.nan)
    ranks[above] = 100 * pd.Series(matrix[above]).rank(pct=True)
    ranks.T[above] = ranks[above]
    return pd.DataFrame(ranks, index=list(rows["label"]))


def _pairs(matrix) -> np.ndarray:
    return matrix.to_numpy()[np.triu_indices(len(matrix), 1)]


def by_superclass(matrix):
    """Means of a matrix of pairs, its superclasses as index, by two superclasses, in their order."""
    names_of = [panels.short(name) for name in matrix.index]
    rows = matrix.set_axis(names_of, axis=0).groupby(level=0, sort=False).mean()
    return rows.T.set_axis(names_of, axis=0).groupby(level=0, sort=False).mean().T


def _bounds(ax, ceiling: float):
    panels.reference(ax, 1 / 3, "chance", ":")
    panels.reference(ax, ceiling, "noise ceiling")
