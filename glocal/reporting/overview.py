"""The story in one figure: images laid out in three spaces, and what each map adds to the results."""

from glocal.reporting import encoders, panels, style
from glocal.reporting.image_figures import credited
from glocal.reporting.style import COLOURS, INK, MARKERS, NAMES, face

SHOWN = ("centred", "whitened", "naive", "global", "glocal")
TITLES = {
    encoders.ALIGNMENT: "agreement with people:\nodd-one-out accuracy",
    encoders.FEW_SHOT: "{shots:.0f}-shot accuracy,\nmean of {tasks} tasks",
    "shift AUROC": "anomalies under shift:\nAUROC, mean of {tasks} tasks",
    "one-vs-rest AUROC": "anomalies, one-vs-rest:\nAUROC, mean of {tasks} tasks",
}


def overview(layout, images, gains, title: str, story: str):
    """t-SNE of original, naive and aligned features, with numbers below; and the gains of each map over the original features.

    layout: of `structure.layouts`; images: of its rows of one transform, without them points; gains: rows of one encoder of
    `encoders.table`; title, story: what the layouts are of, and what the gains are of.
    """
    fig, top, bottom = style.halves(5.9, [3.6, 2.3], width=10)
    kinds = style.order(layout["transform"])
    for ax, kind in zip(top.subplots(1, len(kinds), squeeze=False)[0], kinds, strict=True):
        _layout(ax, layout[layout["transform"] == kind], images)
        ax.set_title(f"{NAMES[kind]} features", fontweight="bold")
    if images:
        _groups(top, layout["label"])
    top.suptitle(title, fontsize=9)
    _results(bottom, gains)
    bottom.suptitle(story, fontsize=9)
    return credited(fig, images)


def _layout(ax, rows, images) -> None:
    """One space: the images or points, and below how many neighbours it keeps and how far superclasses are apart."""
    xy = rows[["x", "y"]].to_numpy()
    if images:
        panels.thumbnails(ax, xy, images, rows["label"])
    else:
        panels.superclass_points(ax, xy, rows["label"])
    kept, apart = rows[["overlap", "separation"]].iloc[0]
    text = f"neighbours kept {100 * kept:.0f} % · separation of groups {apart:.2f} sd"
    ax.text(0.5, -0.02, text, transform=ax.transAxes, ha="center", va="top", fontsize=8, color=INK)


def _groups(fig, labels) -> None:
    """A legend of the groups' colours."""
    from matplotlib.lines import Line2D

    shades = panels.group_colours(labels)
    handles = [Line2D([], [], linestyle="none", marker="o", color=colour, alpha=0.6) for colour in shades.values()]
    fig.legend(handles, list(shades), loc="outside lower center", ncols=8, fontsize=7, columnspacing=1, handletextpad=0.1)


def _results(fig, gains) -> None:
    """A panel a measure, a row a map: the mean gain over tasks in points, with its 95 % interval."""
    shots = gains["shots"].max()
    gains = gains[gains["task"].isin(["", encoders.ALL]) & gains["transform"].isin(SHOWN)]
    kinds, measures = style.order(gains["transform"]), [m for m in TITLES if (gains["measure"] == m).any()]
    for ax, measure in zip(fig.subplots(1, len(measures), sharey=True, squeeze=False)[0], measures, strict=True):
        rows = gains[gains["measure"] == measure]
        for r in rows.itertuples():
            value, low, high = (100 * v for v in (r.difference, r.ci_low, r.ci_high))
            look = dict(fmt=MARKERS[r.transform], color=COLOURS[r.transform], markerfacecolor=face(r.transform), markersize=5)
            ax.errorbar(value, kinds.index(r.transform), xerr=[[max(0, value - low)], [max(0, high - value)]], **look)
        ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
        ax.set_title(TITLES[measure].format(shots=shots, tasks=rows["tasks"].max()), fontsize=8)
        ax.set_yticks(range(len(kinds)), [NAMES[k] for k in kinds])
        ax.set_ylim(len(kinds) - 0.5, -0.5)
        ax.tick_params(axis="y", length=0)
        ax.grid(axis="x")
    fig.supxlabel("difference to the original features (points, 95 % interval)", fontsize=8)
