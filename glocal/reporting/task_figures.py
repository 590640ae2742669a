"""The figures of few-shot classification and anomaly detection, a function each: table in, figure out."""

from glocal.evaluation import few_shot_tables
from glocal.evaluation.frames import first_split, to_original
from glocal.reporting import panels, style
from glocal.reporting.style import INK, NAMES, order

DIFFERENCE = ["difference", "ci_low", "ci_high"]


def few_shot(table, gains, measure: str):
    """Few-shot accuracy by task, each at its reported number of shots, and what each transform adds to the original.

    Left, mean and standard deviation over repetitions and folds, dotted: chance; right, paired differences with 95 % intervals.
    table, gains: few_shot, few_shot_gains. measure: what the accuracy is. A task at fewer shots than the others has them in its
    label.
    """
    rows = few_shot_tables.by_shots(table)
    rows = rows[rows["shots"] == rows["reported"]]
    tasks = rows.drop_duplicates("task")
    names = shot_names(dict(zip(tasks["task"], tasks["reported"], strict=True)), "\n")
    change = few_shot_tables.reported(table, few_shot_tables.main(to_original(gains)))
    kinds = order(rows["transform"])
    fig, (left, right) = style.figure(2, height=style.height(len(tasks), len(kinds)), sharey=True)
    panels.dots(left, rows.assign(task=rows["task"].map(names)), "task", "accuracy")
    panels.chance(left, tasks["chance"])
    left.set(xlabel=f"{tasks['reported'].max()}-shot {measure}", xlim=(0, 1))
    _differences(right, change.assign(task=change["task"].map(names)), "task", kinds)
    panels.legend(fig, kinds, [(":", "chance")])
    return fig


def few_shot_curves(table, measure: str):
    """Accuracy over the number of shots, a panel a task; bands: standard deviation; dotted: chance. table: few_shot."""
    import seaborn as sns
    from matplotlib.ticker import FixedLocator, MaxNLocator

    rows = few_shot_tables.by_shots(table)
    shots, tasks = sorted(rows["shots"].unique()), rows["task"].unique()
    columns = min(4, len(tasks))
    lines = -(-len(tasks) // columns)
    fig, axes = style.figure(columns, lines, height=0.5 + 2.0 * lines)
    for ax, task in zip(axes, tasks, strict=False):
        part = rows[rows["task"] == task]
        band = dict(errorbar="sd", err_kws={"alpha": 0.12, "linewidth": 0}, markersize=5, markeredgewidth=0)
        sns.lineplot(**style.hues(part, lines=True), x="shots", y="accuracy", dashes=False, ax=ax, **band)
        ax.axhline(part["chance"].iloc[0], color=INK, linestyle=":", linewidth=1)
        ax.set(title=task, xlabel="shots per class", ylabel=measure, ylim=(0, None))
        ax.xaxis.set_major_locator(FixedLocator(shots) if len(shots) < 5 else MaxNLocator(4, integer=True))
        ax.grid(axis="y")
    for ax in axes[len(tasks) :]:
        ax.axis("off")
    panels.legend(fig, rows["transform"], [(":", "chance")])
    return fig


def few_shot_classes(changes):
    """What a transform adds to the original by class, for the first two tasks. changes: few_shot_changes."""
    tasks, transform = changes.drop_duplicates("task"), changes["transform"].iloc[0]
    names = shot_names(dict(zip(tasks["task"], tasks["shots"], strict=True)))
    fig, axes = style.figure(min(2, len(names)), height=3.6)
    for ax, (task, name) in zip(axes, names.items(), strict=False):
        panels.class_gains(ax, changes[changes["task"] == task], transform)
        ax.set(title=name, xlabel=f"{NAMES[transform]} - original (points)", ylabel="")
    return fig


def anomaly(summary):
    """Mean AUROC by set and what each transform adds to the original's, two panels a mode; lines: 95 % intervals.

    summary: the table anomaly_summary.
    """
    rows = first_split(to_original(summary))
    modes, kinds = list(dict.fromkeys(rows["mode"])), order(rows["transform"])
    sizes = [rows[rows["mode"] == mode]["dataset"].nunique() for mode in modes]
    grid = dict(sharex="col", sharey="row", height_ratios=sizes)
    height = sum(style.height(n, len(kinds)) for n in sizes) - 0.75 * (len(modes) - 1)
    fig, axes = style.figure(2, len(modes), height=height, **grid)
    for (left, right), mode in zip(axes.reshape(-1, 2), modes, strict=True):
        part = rows[rows["mode"] == mode]
        panels.dots(left, part, "dataset", "auroc", ("auroc_low", "auroc_high"))
        panels.reference(left, 0.5, "chance" if mode == modes[0] else "", ":")
        _differences(right, part, "dataset", kinds)
        left.set_title(mode, loc="left", fontweight="bold", pad=12)
    axes[-2].set(xlabel="mean AUROC over classes", xlim=(min(0.48, summary["auroc_low"].min() - 0.02), 1.005))
    for ax in axes[:-2]:
        ax.set_xlabel("")
    panels.legend(fig, kinds)
    return fig


def anomaly_classes(wide):
    """AUROC by normal class, transforms against the original, a panel a mode. wide: of `anomaly.by_class`, not empty."""
    import seaborn as sns

    modes, kinds = list(dict.fromkeys(wide["mode"])), [t for t in order(set(wide) & set(NAMES)) if t != "original"]
    long = wide.melt(["mode", "original"], kinds, "transform", "aligned")
    low = wide[["original", *kinds]].min().min()
    fig, axes = style.figure(len(modes), width=min(7, 2.5 * len(modes)), height=3, sharex=True, sharey=True)
    for ax, mode in zip(axes, modes, strict=True):
        rows = style.hues(long[long["mode"] == mode], lines=True)
        sns.scatterplot(**rows, x="original", y="aligned", s=14, alpha=0.6, linewidth=0, ax=ax)
        ax.axline((low, low), slope=1, color=INK, linewidth=0.8, zorder=0)
        ax.set(title=mode, xlabel="AUROC, original", ylabel="AUROC, aligned", aspect="equal")
    panels.legend(fig, kinds)
    return fig


def shot_names(which: dict, space: str = " ") -> dict[str, str]:
    """{task: its name in tables and figures}, from {task: shots}; after `space`, a task at fewer shots than others says so."""
    most = max(which.values(), default=0)
    return {task: task if n == most else f"{task}{space}({n} shot{'s' if n > 1 else ''})" for task, n in which.items()}


def _differences(ax, rows, by: str, kinds):
    """What each transform adds to the original, in points, with its interval and a line at 0."""
    rows = rows[rows["transform"] != "original"]
    points = rows.assign(**{name: 100 * rows[name] for name in DIFFERENCE})
    panels.dots(ax, points, by, "difference", ("ci_low", "ci_high"), kinds)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ax.set_xlabel("difference to original (points)")
