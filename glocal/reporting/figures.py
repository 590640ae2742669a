"""Figures of several panels, a function each: tables in, figure out. `plots` has the style and what stands in a panel."""

import numpy as np

from glocal.reporting import panels, style


def few_shot(summary, which: dict, chance: dict, measure: str):
    """Few-shot accuracy by task, each at its number of shots; dotted: chance.

    summary: DataFrame of task, shots, transform, mean, std. which, chance: {task: number of shots}, {task: 1 / classes}, in
    the order of the tasks; a task at fewer shots than the others has them in its label. measure: what the accuracy is.
    """
    fig, (ax,) = style.figure(height=2.8)
    names, place = panels.shot_names(which, "\n"), {task: i for i, task in enumerate(which)}
    rows = summary[summary["shots"] == summary["task"].map(which)]
    rows = rows.sort_values("task", key=lambda task: task.map(place), kind="stable")
    panels.bars(ax, rows.assign(task=rows["task"].map(names)), "task", "mean", spread="std")
    for task, i in place.items():
        ax.hlines(chance[task], i - 0.45, i + 0.45, color="#333333", linestyle=":", label=None if i else "chance")
    ax.set(ylabel=f"{max(which.values())}-shot {measure}", ylim=(0, 1))
    panels.legend(fig, ax, 5)
    return fig


def few_shot_curves(summary, chance: dict, shots: list[int], measure: str):
    """Accuracy over the number of shots, a panel a task; dotted: chance. summary, chance: as for `few_shot`."""
    columns = min(4, len(chance))
    ticks = shots if len(shots) < 5 else [s for s in shots if s == 1 or s % 4 == 0]
    fig, axes = style.figure(columns, -(-len(chance) // columns), height=2.0)
    for ax, (task, level) in zip(axes, chance.items(), strict=False):
        panels.curves(ax, summary[summary["task"] == task], "shots", "mean", spread="std")
        ax.axhline(level, color="#333333", linestyle=":", label="chance")
        ax.set(title=task, xlabel="shots per class", ylabel=measure, xticks=ticks)
    _blank(axes[len(chance) :])
    panels.legend(fig, axes[0], 5)
    return fig


def few_shot_classes(change, names: dict, kind: str):
    """What `kind` adds to the original by class, for the first two tasks.

    change: DataFrame of mean and std by (task, class), in shares of 1. names: {task: title}.
    """
    fig, axes = style.figure(min(2, len(names)), height=3.6)
    for ax, (task, name) in zip(axes, names.items(), strict=False):
        panels.class_gains(ax, change.loc[task, "mean"], change.loc[task, "std"], kind)
        ax.set(title=name, xlabel=f"{style.NAMES[kind]} - original, points")
    return fig


def most_moved(pictures, change, normal, rows: int = 2, columns: int = 8):
    """Pictures that changed most, with by how much: `rows` of those to the right side, below them as many to the wrong one.

    pictures[i]: uint8 (h, w, 3); change: (n,) from most right to most wrong; normal: (n,) bool, framed. Of few pictures no one
    stands on both sides.
    """
    fig, axes = style.figure(columns, 2 * rows, width=7.0, height=0.95)
    order, half = np.argsort(-change), rows * columns
    n = min(half, len(order) // 2)
    used = [*axes[:n], *axes[half : half + n]]
    for ax, i in zip(used, [*order[:n], *order[::-1][:n]], strict=True):
        panels.picture(ax, pictures[i], f"{change[i]:+.0f}", framed=normal[i])
    _blank([*axes[n:half], *axes[half + n :]])
    return fig


def _blank(axes):
    for ax in axes:
        ax.axis("off")
