"""The figures, a function each: table in, figure out. `style` has the look, `panels` what stands in a panel."""

import numpy as np

from glocal.evaluation.frames import ACCURACY, ALL_TRIPLETS, first_split
from glocal.reporting import panels, style


def features(pairs, encoder: str):
    """Cosines of pairs within a superclass against pairs between superclasses. pairs: of `evaluation.structure.object_pairs`."""
    within, between = pairs["cosine"][pairs["within"]], pairs["cosine"][~pairs["within"]]
    fig, (ax,) = style.figure(width=4.5)
    bins = np.linspace(pairs["cosine"].min(), 1, 80)
    ax.hist(between, bins, density=True, histtype="step", color="#333333", label="between superclasses")
    ax.hist(within, bins, density=True, alpha=0.5, color="#0072B2", label="within a superclass")
    ax.set(xlabel="cosine of two objects' features", ylabel="density of pairs", title=f"{encoder}, original features")
    ax.legend()
    return fig


def images(rows, pictures, by: str = "group", columns: int = 12):
    """Some images of every group, one group a line. rows: DataFrame with the column `by`; pictures[i]: the image of row i."""
    groups = rows.reset_index(drop=True).groupby(by, sort=False)
    fig, axes = style.figure(columns, groups.ngroups, width=7, height=0.62)
    for line, (group, members) in zip(axes.reshape(-1, columns), groups, strict=True):
        for ax, i in zip(line, members.index[:: max(len(members) // columns, 1)], strict=False):
            ax.imshow(pictures[i])
        _blank(line)
        line[0].set_title(group, loc="left", fontsize=8)
    fig.text(0.995, -0.005, pictures.credit, ha="right", va="top", fontsize=6)
    return fig


def alignment(table, means, ceiling: float, title: str):
    """Accuracy on held-out objects, points: folds; and what it costs in neighbours, over the grid, filled: chosen.

    table: alignment; means: of `evaluation.alignment.means`; ceiling: the noise ceiling of the first split.
    """
    fig, (left, right) = style.figure(2, height=2.9)
    rows = first_split(table)
    chosen = rows[rows["chosen"]].groupby("objective", sort=False)["odd_one_out"]
    for place, (kind, accuracy) in enumerate(chosen):
        left.bar(place, accuracy.mean(), color=style.COLOURS[kind], width=0.7)
        left.plot([place] * len(accuracy), accuracy, "o", color="black", markersize=2.5)
    left.set_xticks(range(len(chosen)), [style.NAMES[kind] for kind, _ in chosen])
    panels.reference(left, 1 / 3, "chance", ":")
    panels.reference(left, ceiling, "noise ceiling")
    split = rows["fold"].iloc[0].rsplit("-", 1)[0]
    left.set(ylabel="odd-one-out accuracy", title=f"held-out objects ({split}), points: folds", ylim=(0.3, None))
    panels.trade_off(right, means.rename(columns={"objective": "transform"}), "neighbour_overlap", "odd_one_out")
    labels = dict(xlabel="10-NN overlap with original", ylabel="odd-one-out accuracy")
    right.set(**labels, title="trade-off over the grid (filled: chosen)")
    fig.suptitle(title, fontsize=9)
    return fig


def training(history, tau: float, step: str):
    """Learning curves of the chosen settings: lines on training data, dotted on what is held out.

    history: of `grid_search.learning_curves`; tau: the temperature of its local KL; step: what an iteration is.
    """
    fig, axes = style.figure(3)
    titles = {"loss": "objective", "triplet_loss": "triplet loss (nats)", "local_kl": f"local KL at tau {tau:g} (nats)"}
    for ax, (name, title) in zip(axes, titles.items(), strict=True):
        panels.learning_curves(ax, history, name, f"held_out_{name}")
        ax.set(xlabel=step, ylabel=title)
    axes[2].set_yscale("log")
    panels.legend(fig, axes[0], columns=5)
    return fig


def human(table):
    """Odd-one-out accuracy with chance, noise ceiling and references, and RSA; error bars: 95 % intervals. table: human."""
    fig, (left, right) = style.figure(2, height=2.8, width_ratios=[3, 2])
    accuracy, rsa = table[table["metric"] == ACCURACY], table[table["metric"] != ACCURACY]
    references, accuracy = accuracy[accuracy["transform"] == "reference"], accuracy[accuracy["dataset"] != ALL_TRIPLETS]
    panels.bars(left, accuracy, "dataset", "value", "ci_low", "ci_high")
    names = [t.get_text().replace(" (", "\n(").replace("-ceiling ", "-ceiling\n") for t in left.get_xticklabels()]
    left.set_xticks(left.get_xticks(), names)
    panels.reference(left, 1 / 3, "chance", ":")
    panels.reference(left, accuracy["ceiling"].iloc[0], "noise ceiling")
    if len(references):
        panels.reference(left, references["value"].min(), "VICE, SPoSE", "-.")
    left.set(ylabel=ACCURACY, ylim=(0.3, None))
    panels.bars(right, rsa, "dataset", "value", "ci_low", "ci_high")
    right.set(ylabel="Spearman correlation", title=rsa["metric"].iloc[0])
    right.set_xticks([])
    panels.legend(fig, left)
    return fig


def few_shot(summary, measure: str):
    """Few-shot accuracy by task, each at its reported number of shots; dotted: chance.

    summary: DataFrame of `few_shot_tables.summary`. measure: what the accuracy is. A task at fewer shots than the others has
    them in its label.
    """
    fig, (ax,) = style.figure(height=2.8)
    rows = summary[summary["shots"] == summary["reported"]]
    tasks = rows.drop_duplicates("task")
    names = panels.shot_names(dict(zip(tasks["task"], tasks["reported"], strict=True)), "\n")
    panels.bars(ax, rows.assign(task=rows["task"].map(names)), "task", "mean", spread="std")
    for i, level in enumerate(tasks["chance"]):
        ax.hlines(level, i - 0.45, i + 0.45, color="#333333", linestyle=":", label=None if i else "chance")
    ax.set(ylabel=f"{tasks['reported'].max()}-shot {measure}", ylim=(0, 1))
    panels.legend(fig, ax, 5)
    return fig


def few_shot_curves(summary, measure: str):
    """Accuracy over the number of shots, a panel a task; dotted: chance. summary, measure: as for `few_shot`."""
    shots, tasks = sorted(summary["shots"].unique()), summary["task"].unique()
    columns = min(4, len(tasks))
    ticks = shots if len(shots) < 5 else [s for s in shots if s == 1 or s % 4 == 0]
    fig, axes = style.figure(columns, -(-len(tasks) // columns), height=2.0)
    for ax, task in zip(axes, tasks, strict=False):
        rows = summary[summary["task"] == task]
        panels.curves(ax, rows, "shots", "mean", spread="std")
        ax.axhline(rows["chance"].iloc[0], color="#333333", linestyle=":", label="chance")
        ax.set(title=task, xlabel="shots per class", ylabel=measure, xticks=ticks)
    _blank(axes[len(tasks) :])
    panels.legend(fig, axes[0], 5)
    return fig


def few_shot_classes(changes):
    """What a transform adds to the original by class, for the first two tasks. changes: of `few_shot_tables.changes`."""
    tasks, transform = changes.drop_duplicates("task"), changes["transform"].iloc[0]
    names = panels.shot_names(dict(zip(tasks["task"], tasks["shots"], strict=True)))
    fig, axes = style.figure(min(2, len(names)), height=3.6)
    for ax, (task, name) in zip(axes, names.items(), strict=False):
        rows = changes[changes["task"] == task].set_index("class")
        panels.class_gains(ax, rows["mean"], rows["std"], transform)
        ax.set(title=name, xlabel=f"{style.NAMES[transform]} - original, points")
    return fig


def anomaly(summary):
    """Mean AUROC by set in the first split, a panel a mode; error bars: 95 % intervals; dotted: chance.

    summary: the table anomaly_summary.
    """
    rows = first_split(summary)
    modes = list(dict.fromkeys(rows["mode"]))
    widths = [rows[rows["mode"] == mode]["dataset"].nunique() for mode in modes]
    fig, axes = style.figure(len(modes), height=2.8, sharey=True, width_ratios=widths)
    low = min(0.45, summary["auroc_low"].min() - 0.02)
    for ax, mode in zip(axes, modes, strict=True):
        panels.bars(ax, rows[rows["mode"] == mode], "dataset", "auroc", low="auroc_low", high="auroc_high")
        panels.reference(ax, 0.5, "chance", ":")
        ax.set(title=mode, ylim=(low, 1))
    axes[0].set_ylabel("mean AUROC over classes")
    panels.legend(fig, axes[0])
    return fig


def anomaly_classes(wide):
    """AUROC by normal class, transforms against the original, a panel a mode. wide: of `anomaly.by_class`, not empty."""
    modes, transforms = list(dict.fromkeys(wide["mode"])), [t for t in style.NAMES if t in wide and t != "original"]
    fig, axes = style.figure(len(modes), width=2.4 * len(modes), height=2.4)
    for ax, mode in zip(axes, modes, strict=True):
        panels.before_after(ax, wide[wide["mode"] == mode], transforms)
        ax.set(title=mode, xlabel="AUROC, original", ylabel="AUROC, aligned")
    panels.legend(fig, axes[0])
    return fig


def anomaly_moved(moved, pictures, rows: int = 2, columns: int = 8):
    """The images that moved most, in percentiles: `rows` of those to the correct end of the ranking, as many to the wrong end.

    moved: of `anomaly.moved`; pictures[i]: uint8 (h, w, 3), the image of its row i, and pictures.credit. Normal images are
    framed. Of few images none is in both halves.
    """
    change, normal = (moved.images[name].to_numpy() for name in ("change", "normal"))
    fig, axes = style.figure(columns, 2 * rows, width=7.0, height=0.95)
    order, half = np.argsort(-change), rows * columns
    n = min(half, len(order) // 2)
    used = [*axes[:n], *axes[half : half + n]]
    for ax, i in zip(used, [*order[:n], *order[::-1][:n]], strict=True):
        panels.picture(ax, pictures[i], f"{change[i]:+.0f}", framed=normal[i])
    _blank([*axes[n:half], *axes[half + n :]])
    ends = "Rows 1, 2: moved most to the right side, in percentiles; 3, 4: to the wrong side"
    fig.suptitle(f"normal: {moved.normal_class} (framed). {ends}", fontsize=8)
    fig.text(x=0.005, y=-0.005, s=pictures.credit, ha="left", va="top", fontsize=6)
    return fig


def structure(overlaps, separations):
    """Neighbours kept over the number of neighbours, and the separation of superclasses by set, with the std over folds.

    overlaps, separations: of the functions of these names in `evaluation.structure`.
    """
    fig, (left, right) = style.figure(2, height=2.7)
    panels.curves(left, overlaps, "k", "value")
    left.set(xscale="log", xlabel="neighbours k", ylabel="k-NN overlap with original", title="local structure", ylim=(0, 1.03))
    ticks = sorted(overlaps["k"].unique())
    left.set_xticks(ticks, ticks)
    panels.bars(right, separations, "dataset", "mean", spread="std")
    right.set(ylabel="superclass separation (sd)", title="global structure: within - between")
    panels.legend(fig, left)
    return fig


def similarity(similarities: dict):
    """Similarity matrices, a panel a transform. similarities: of `evaluation.structure.similarities`."""
    fig, axes = style.figure(len(similarities), height=2.6)
    for ax, (transform, matrix) in zip(axes, similarities.items(), strict=True):
        image = panels.similarity_matrix(ax, matrix, names=ax is axes[0])
        ax.set_title(style.NAMES[transform])
        bar = fig.colorbar(image, ax=ax, shrink=0.7, location="bottom")
        bar.ax.tick_params(labelsize=6)
        bar.set_label("cosine", fontsize=7)
    axes[0].tick_params(axis="y", labelsize=6)
    return fig


def _blank(axes):
    for ax in axes:
        ax.axis("off")
