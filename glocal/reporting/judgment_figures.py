"""The figures of what judgments are worth: how many of them, and whose answers. Table in, figure out."""

import numpy as np

from glocal.evaluation.classifiers import MEAN
from glocal.evaluation.data_efficiency import SHARES, SPREAD
from glocal.reporting import panels, style
from glocal.reporting.names import dataset
from glocal.reporting.style import COLOURS, INK, MARKERS

NAMES = {"human": "people", "spose-66": "SPoSE-66", "text": "text of names", "itself": "the encoder itself",
         "shuffled": "at random", "adversarial": "least likely"}  # fmt: skip
APART = {"triplets": 1.15, "objects": 1.025}  # transforms stand beside each other, by this factor
DIFFERENCE = "difference to original (points)"
LINES = {"original": "--", "centred": "-."}


def data_efficiency(table):
    """What is gained in every measure, against the number of triplets, and against the objects that one number of them is about.

    table: data_efficiency, of one encoder. Few-shot accuracy is that of logistic regression. Lines: 95 % intervals.
    """
    rows, parts = _shown(table), [p for p in (SHARES, SPREAD) if (table["part"] == p).any()]
    columns = list(rows.groupby(["measure", "task"], sort=False))
    kinds = style.order(rows["transform"].dropna()[rows["part"].notna()])
    fig, axes = style.figure(len(columns), len(parts), height=0.5 + 2.0 * len(parts), sharey="col", sharex="row")
    for line, part in enumerate(parts):
        for ax, (key, of_measure) in zip(axes[line * len(columns) :], columns, strict=False):
            _curves(ax, of_measure[of_measure["part"] == part], kinds, "triplets" if part == SHARES else "objects")
            _levels(ax.axhline, of_measure)
            ax.set_title(_title(*key) if line == 0 else "")
            count = of_measure[of_measure["part"] == part]["triplets"].mean()
            ax.set_xlabel("triplets" if part == SHARES else f"objects\n({count:,.0f} triplets)")
    _one_range(axes, columns * len(parts), "y")
    fig.supylabel(DIFFERENCE, fontsize=9)
    panels.legend(fig, kinds, _legend(rows))
    return fig


def controls(table):
    """What is gained in every measure, a panel each, by who answered the triplets; lines: 95 % intervals.

    table: controls, of one encoder.
    """
    rows = _shown(table)
    answered = rows[rows["answers"].notna()].assign(answers=rows["answers"].map(NAMES))
    columns, kinds = list(rows.groupby(["measure", "task"], sort=False)), style.order(answered["transform"])
    height = style.height(answered["answers"].nunique(), len(kinds))
    fig, axes = style.figure(len(columns), height=height, sharey=True)
    for ax, ((measure, task), of_measure) in zip(axes, columns, strict=True):
        part = answered[(answered["measure"] == measure) & (answered["task"].fillna("") == task)]
        panels.dots(ax, part, "answers", "value", ("ci_low", "ci_high"), kinds)
        _levels(ax.axvline, of_measure)
        ax.set(title=_title(measure, task), xlabel="")
    _one_range(axes, columns, "x")
    fig.supxlabel(DIFFERENCE, fontsize=9)
    panels.legend(fig, kinds, _legend(rows))
    return fig


def _shown(table):
    """Differences to the original features in points, and how far the ceiling is; without nearest class means.

    Differences, since their intervals are paired: those of the levels are mostly of which objects and images there are.
    """
    rows = table[~table["measure"].str.endswith(MEAN)].fillna({"task": ""})
    level = rows["value"] - rows["difference"]  # of the original features
    shown = {
        "value": rows["difference"],
        "ci_low": rows["diff_low"],
        "ci_high": rows["diff_high"],
        "ceiling": rows["ceiling"] - level,
    }
    return rows.assign(**{name: 100 * column for name, column in shown.items()})


def _title(measure: str, task: str) -> str:
    if task:
        return f"{measure.split(',')[0]} accuracy\n{dataset(task)}"
    return measure.replace(" with ", "\nwith ").replace(" acc", "\nacc")


def _curves(ax, rows, kinds, x: str) -> None:
    """Dots with intervals, joined by a line for each transform; numbers of triplets on a logarithmic axis."""
    for place, kind in enumerate(kinds):
        part = rows[rows["transform"] == kind].sort_values(x)
        beside = part[x] * APART[x] ** (place - (len(kinds) - 1) / 2)
        error = np.abs(part[["ci_low", "ci_high"]].to_numpy() - part[["value"]].to_numpy()).T
        look = dict(color=COLOURS[kind], marker=MARKERS[kind], markersize=4, linewidth=1, elinewidth=1.2)
        ax.errorbar(beside, part["value"], error, **look)
    ax.set_xscale("log" if x == "triplets" else "linear")
    if x == "triplets":
        panels.plain_log(ax.xaxis)
        ax.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
    ax.minorticks_off()
    ax.grid(axis="y")


def _one_range(axes, columns, axis: str) -> None:
    """One range for the panels of tasks, which are compared. columns: ((measure, task), rows) of each panel."""
    tasks = [ax for ax, ((_, task), _) in zip(axes, columns, strict=True) if task]
    ends = [getattr(ax, f"get_{axis}lim")() for ax in tasks]
    for ax in tasks:
        getattr(ax, f"set_{axis}lim")(min(low for low, _ in ends), max(high for _, high in ends))


def _levels(draw, rows) -> None:
    """Lines at the level of the original features, of the centred ones, and of the noise ceiling."""
    for name, line in LINES.items():
        for level in rows[rows["transform"] == name]["value"][:1]:
            draw(level, color=COLOURS[name], linestyle=line, linewidth=1, zorder=1)
    for level in rows["ceiling"].dropna()[:1]:
        draw(level, color=INK, linestyle=":", linewidth=1, zorder=1)


def _legend(rows):
    names = {"--": "original", "-.": "centred", ":": "noise ceiling"}
    known = {line: name for line, name in names.items() if line == ":" or (rows["transform"] == name).any()}
    return [(dict(color=COLOURS.get(name, INK), linestyle=line), name) for line, name in known.items()]
