"""The story in one figure: images laid out before and after alignment, and what alignment does to the three kinds of results."""

from glocal.reporting import panels, style
from glocal.reporting.image_figures import credited
from glocal.reporting.style import NAMES
from glocal.reporting.task_figures import shot_names

SHOTS = "-shot accuracy"  # how a headline's few-shot measures end


def overview(layout, images, headline, observer: str):
    """t-SNE before and after on the left; agreement, few-shot and anomaly detection on the right.

    layout: of `structure.layouts`, of "original" and another; images: of its rows, or None (then coloured points); headline: of
    `tables.headline`; observer: who judged, as the title of the results.
    """
    import matplotlib.pyplot as plt

    style.style()
    parts = list(_panels(headline))
    kinds, groups = style.order(headline["transform"]), [rows["task"].nunique() for _, _, rows in parts]
    fig = plt.figure(figsize=(10.5, max(4.6, 2.4 + 0.1 * len(kinds) * sum(groups))))
    grid = fig.add_gridspec(3, 3, width_ratios=[4, 4, 3], height_ratios=[n + 0.5 for n in groups])
    for column, kind in enumerate(style.order(layout["transform"])):
        rows, ax = layout[layout["transform"] == kind], fig.add_subplot(grid[:, column])
        if images:
            panels.thumbnails(ax, rows[["x", "y"]].to_numpy(), images)
        else:
            panels.superclass_points(ax, rows[["x", "y"]].to_numpy(), rows["label"])
        ax.set_title(f"{'before' if kind == 'original' else 'after'}: {NAMES[kind]} features (t-SNE)")
    for n, (title, chance, rows) in enumerate(parts):
        _result(fig.add_subplot(grid[n, 2]), title, chance, rows)
    look = dict(columns=4, loc="outside upper right", title_fontsize=8)
    panels.legend(fig, kinds, title=f"{observer} (mean, sd)", **look)
    return credited(fig, images)


def _result(ax, title: str, chance: float | None, rows):
    """One kind of result: a row of dots a task."""
    ends = rows.assign(low=rows["mean"] - rows["sd"], high=rows["mean"] + rows["sd"])
    panels.dots(ax, ends, "task", "mean", ("low", "high"))
    if chance:
        panels.reference(ax, chance, "chance", ":")
    ax.set(xlabel=title)


def _panels(headline, tasks: int = 3):
    """(title, chance, rows) of the three panels: the headline's first split and first tasks of each measure."""
    kinds = (("odd-one-out", "odd-one-out accuracy, held-out objects", 1 / 3), (SHOTS, None, None), ("anomaly", None, 0.5))
    for start, title, chance in kinds:
        rows = headline[headline["measure"].str.contains(start)]
        rows = rows[rows["split"] == rows["split"].iloc[0]].fillna({"task": ""})
        rows = _at_their_shots(rows) if start == SHOTS else rows
        measures = list(dict.fromkeys(rows["measure"]))
        rows = rows[rows["measure"] == next((m for m in measures if "shift" in m), measures[0])]
        rows = rows[rows["task"].isin(list(dict.fromkeys(rows["task"]))[:tasks])]
        yield title or rows["measure"].iloc[0], chance, rows


def _at_their_shots(rows):
    """Few-shot rows of a headline under one measure, that of the most shots; tasks at fewer shots have them in their names."""
    shots = rows["measure"].str.extract(r"^(\d+)-shot")[0].astype(int)
    names = shot_names(dict(zip(rows["task"], shots, strict=True)), "\n")
    return rows.assign(task=rows["task"].map(names), measure=f"{shots.max()}{SHOTS}")
