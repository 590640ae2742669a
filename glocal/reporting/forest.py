"""A table of dots: a row a task, a column a transform, so that many of both stay apart. Tables in, figure out."""

import numpy as np

from glocal.reporting import panels, style
from glocal.reporting.style import COLOURS, INK, MARKERS, NAMES, face

DIFFERENCE = ["difference", "ci_low", "ci_high"]
ROW, CLOSE = 0.2, 0.14  # inches of a row, and of one of more than 25
PARTS = {"reverse": "reverse: all but one", "shift": "shift: new subclasses", "set": "one set against another"}


def forest(changes, levels, level: str, interval: str):
    """What each transform adds to the original features, beside the level of the original.

    changes: DataFrame of part, task, transform, difference, ci_low, ci_high (0 to 1). levels: of the original features, a row
    for each part and task, in order: part, task, value, low, high, chance (0 to 1); level and interval: what the level is, and
    its line. Left the original's level, dotted: chance; then a column a transform, all on one range in points. An interval
    beyond the range is named at the edge. The random rotation, which changes nothing, has no column.
    """
    kinds = [t for t in style.order(changes["transform"]) if t not in ("original", style.CONTROL)]
    places, labels = _rows(levels)
    widths = [2.2, *[1] * len(kinds)]
    row = ROW if len(labels) <= 25 else CLOSE
    fig, axes = style.figure(len(widths), height=1.3 + row * len(labels), sharey=True, width_ratios=widths)
    _level(axes[0], levels, places)
    axes[0].set(xlabel=f"{level}\n({interval})", title="original")
    points = changes[["part", "task", "transform"]].join(100 * changes[DIFFERENCE])
    ends = style.limits(points[points["transform"].isin(kinds)], *DIFFERENCE[1:])
    for ax, kind in zip(axes[1:], kinds, strict=True):
        _column(ax, points[points["transform"] == kind], kind, places, ends)
        ax.set_title(NAMES[kind].replace(", ", ",\n").replace(" ", "\n", 1), color=INK, fontsize=8)
    _names(axes[0], labels, places, 8 if row == ROW else 6.5)
    middle = axes[1 + (len(kinds) - 1) // 2] if kinds else axes[0]
    middle.set_xlabel("difference to original (points; 95 % interval)", x=1 if len(kinds) % 2 == 0 else 0.5)
    return fig


def _rows(levels) -> tuple[dict, list]:
    """{(part, task): its place}, and the labels of all rows: a part of its own name has a row for it."""
    places, labels = {}, []
    for part, rows in levels.groupby("part", sort=False):
        labels += [PARTS.get(part, part)] if part else []
        for task in rows["task"]:
            places[part, task] = len(labels)
            labels.append(task)
    return places, labels


def _level(ax, levels, places) -> None:
    y = [places[r.part, r.task] for r in levels.itertuples()]
    reach = np.abs(levels[["low", "high"]].to_numpy() - levels[["value"]].to_numpy()).T
    ax.errorbar(levels["value"], y, xerr=reach, fmt="o", color=COLOURS["original"], markersize=4, elinewidth=1)
    ax.vlines(levels["chance"], np.array(y) - 0.4, np.array(y) + 0.4, color=INK, linestyle=":", linewidth=1)
    for value, place in zip(levels["value"], y, strict=True):
        ax.text(1.0, place, f"{value:.2f}"[1:] if value < 0.995 else "1.0", transform=ax.get_yaxis_transform(), fontsize=7,
                ha="right", va="center")  # fmt: skip
    low = min(levels["chance"].min(), levels["low"].min())
    ax.set_xlim(low - 0.04, 1.3 - 0.3 * low)
    ax.set_xticks([t for t in (0, 0.25, 0.5, 0.75, 1) if t >= low - 0.04])
    ax.xaxis.set_major_formatter("{x:g}")
    ax.grid(axis="x")


def _column(ax, rows, kind: str, places, ends) -> None:
    """One transform: dots with intervals on the range `ends`; what lies outside as a number at the edge."""
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    room = 0.04 * (ends[1] - ends[0])  # half a marker
    for r in rows.itertuples():
        y = places[r.part, r.task]
        if ends[0] + room <= r.difference <= ends[1] - room:
            reach = [[max(0, r.difference - r.ci_low)], [max(0, r.ci_high - r.difference)]]
            look = dict(fmt=MARKERS[kind], color=COLOURS[kind], markersize=4, elinewidth=1, markerfacecolor=face(kind))
            ax.errorbar(r.difference, y, xerr=reach, **look)
        else:
            panels.outside(ax, r.difference, y, COLOURS[kind])
    ax.set_xlim(ends)
    ax.grid(axis="x")
    ax.tick_params(axis="y", length=0)
    ax.locator_params(axis="x", nbins=3, integer=True)
    ax.tick_params(axis="x", labelsize=6.5)


def _names(ax, labels, places, size: float) -> None:
    """Names of tasks and, in bold, of parts; the first row is above."""
    ax.set_yticks(range(len(labels)), labels, fontsize=size)
    for n, text in enumerate(ax.get_yticklabels()):
        if n not in places.values():
            text.set_fontweight("bold")
    ax.set_ylim(len(labels) - 0.4, -0.6)
    ax.tick_params(axis="y", length=0)
