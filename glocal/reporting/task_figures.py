"""The figures of few-shot classification and anomaly detection, a function each: table in, figure out."""

import numpy as np

from glocal.evaluation import few_shot_tables
from glocal.evaluation.frames import first_split, to_original
from glocal.reporting import panels, style
from glocal.reporting.forest import DIFFERENCE, forest
from glocal.reporting.names import dataset
from glocal.reporting.style import COLOURS, INK, MARKERS, NAMES, face, order

TICKS = [0, 0.25, 0.5, 0.75, 1]


def few_shot(table, gains, measure: str):
    """Few-shot accuracy of the original features by task, at its reported number of shots, and what each transform adds to it.

    table, gains: few_shot, few_shot_gains. measure: what the accuracy is. A task at fewer shots than the others has them in its
    label.
    """
    rows = few_shot_tables.by_shots(table)
    rows = rows[(rows["shots"] == rows["reported"])]
    tasks = rows.drop_duplicates("task")
    shown = shot_names(dict(zip(tasks["task"], tasks["reported"], strict=True)))
    original = rows[rows["transform"] == "original"].groupby("task", sort=False)
    levels = original.agg(value=("accuracy", "mean"), sd=("accuracy", "std"), chance=("chance", "first")).reset_index()
    levels = levels.assign(low=levels["value"] - levels["sd"], high=levels["value"] + levels["sd"])
    change = few_shot_tables.reported(table, few_shot_tables.main(to_original(gains)))
    change, levels = (part.assign(part="", task=part["task"].map(shown)) for part in (change, levels))
    return forest(change, levels, f"{tasks['reported'].max()}-shot {measure}", "mean, sd")


def few_shot_curves(table, gains):
    """What each transform adds to the original over the number of shots, a panel a task on one range; bands: 95 % intervals.

    table, gains: few_shot, few_shot_gains. Dots that lie outside the range are named at the edge.
    """
    rows = few_shot_tables.main(to_original(gains))
    rows = rows[rows["transform"] != "original"]
    points = rows[["task", "shots", "transform"]].join(100 * rows[DIFFERENCE])
    tasks, kinds = list(few_shot_tables.main(table)["task"].unique()), style.order(rows["transform"])
    columns = next(n for n in (5, 4, 3) if len(tasks) % n in (0, n - 1)) if len(tasks) > 5 else len(tasks)
    lines = -(-len(tasks) // columns)
    fig, axes = style.figure(columns, lines, height=0.8 + 1.75 * lines, sharey=True)
    axes[0].set_ylim(style.limits(points, *DIFFERENCE[1:], apart=("naive", "whitened")))
    for ax, task in zip(axes, tasks, strict=False):
        _curves(ax, points[points["task"] == task], kinds)
        ax.set_title(dataset(task), fontsize=8)
    for ax in axes[len(tasks) :]:
        ax.axis("off")
    fig.supxlabel("shots per class", fontsize=9)
    fig.supylabel("difference to original (points)", fontsize=9)
    panels.legend(fig, kinds)
    return fig


def _curves(ax, rows, kinds) -> None:
    """A line with its band for each transform, and a line at 0; at the numbers of shots that the task has."""
    shots = sorted(rows["shots"].unique())
    for kind in kinds:
        part = rows[rows["transform"] == kind].sort_values("shots")
        x = np.searchsorted(shots, part["shots"])
        look = dict(color=COLOURS[kind], marker=MARKERS[kind], markersize=4, markerfacecolor=face(kind), linewidth=1.2)
        ax.plot(x, part["difference"], **look)
        ax.fill_between(x, part["ci_low"], part["ci_high"], color=COLOURS[kind], alpha=0.1, linewidth=0)
        if (part["difference"] < ax.get_ylim()[0]).all():
            text = f"{NAMES[kind]}: {part['difference'].min():.0f} to {part['difference'].max():.0f}".replace("-", "\u2212")
            ax.text(0.5, 0.02 + 0.1 * len(ax.texts), text, color=COLOURS[kind], fontsize=7, ha="center", transform=ax.transAxes)
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    ax.set_xticks(range(len(shots)), shots)
    ax.grid(axis="y")


def few_shot_classes(changes):
    """What a transform adds to the original by class, for the first two tasks. changes: few_shot_changes."""
    tasks, transform = changes.drop_duplicates("task"), changes["transform"].iloc[0]
    names = shot_names(dict(zip(tasks["task"], tasks["shots"], strict=True)))
    fig, axes = style.figure(min(2, len(names)), height=3.6, sharex=True)
    for ax, (task, name) in zip(axes, names.items(), strict=False):
        panels.class_gains(ax, changes[changes["task"] == task], transform)
        ax.set(title=name, xlabel=f"{NAMES[transform]} - original (points; mean, sd)", ylabel="")
    return fig


def anomaly(summary):
    """Mean AUROC of the original features by mode and set, and what each transform adds to it; lines: 95 % intervals.

    summary: the table anomaly_summary.
    """
    rows = first_split(to_original(summary))
    return anomaly_forest(rows.assign(task=rows["dataset"].map(dataset)))


def anomaly_forest(rows):
    """Rows of anomaly_summary with the column task, as a `forest`."""
    rows = rows.rename(columns={"mode": "part"})
    columns = {"auroc": "value", "auroc_low": "low", "auroc_high": "high"}
    levels = rows[rows["transform"] == "original"].rename(columns=columns).assign(chance=0.5)
    return forest(rows, levels, "mean AUROC", "95 % interval")


def anomaly_classes(wide):
    """AUROC by normal class, transforms against the original, a panel a mode. wide: of `anomaly.by_class`, not empty."""
    import seaborn as sns

    modes, kinds = list(dict.fromkeys(wide["mode"])), [t for t in order(set(wide) & set(NAMES)) if t != "original"]
    long = wide.melt(["mode", "original"], kinds, "transform", "aligned")
    low = wide[["original", *kinds]].min().min()
    fig, axes = style.figure(len(modes), width=min(7, 2.5 * len(modes)), height=3, sharex=True, sharey=True)
    for ax, mode in zip(axes, modes, strict=True):
        rows = style.hues(long[long["mode"] == mode], lines=True)
        sns.scatterplot(**rows, x="original", y="aligned", s=14, alpha=0.6, linewidth=0, rasterized=True, ax=ax)
        for draw in (ax.axhline, ax.axvline):
            draw(0.5, color=INK, linestyle=":", linewidth=0.8, zorder=0)
        ax.axline((low, low), slope=1, color=INK, linewidth=0.8, zorder=0)
        ax.set(title=mode, xlabel="AUROC, original", ylabel="AUROC, aligned", aspect="equal")
        ax.set(xticks=TICKS, yticks=TICKS, xlim=(low - 0.03, 1.03), ylim=(low - 0.03, 1.03))
    panels.legend(fig, kinds, [(":", "chance")])
    return fig


def shot_names(which: dict) -> dict[str, str]:
    """{task: its name in figures}, from {task: shots}; a task at fewer shots than others says so."""
    most = max(which.values(), default=0)
    few = {task: f" ({n} shot{'s' if n > 1 else ''})" if n < most else "" for task, n in which.items()}
    return {task: f"{dataset(task)}{text}" for task, text in few.items()}
