"""The figure over all encoders of all profiles: table in, figure out. The table is that of `encoders`."""

from pathlib import Path

from glocal.evaluation.frames import first_split, to_original
from glocal.reporting import style
from glocal.reporting.encoders import ALIGNMENT, ALL, AUROC, FEW_SHOT, NUMBERS, common
from glocal.reporting.names import ENCODERS as NAMES
from glocal.reporting.names import FAMILIES, dataset
from glocal.reporting.style import COLOURS, INK, face
from glocal.reporting.tables import read
from glocal.reporting.task_figures import anomaly_forest

SHOWN = ("centred", "whitened", "naive", "global", "glocal")  # the transforms of the figure; the table has all
SHAPES = ("D", "^", "s", "v", "P", "X", "<", ">", "p", "h", "*", "8", "d", "o", (4, 1, 45), (6, 1, 0))  # of encoders
MEASURES = [FEW_SHOT, *AUROC]
TICKS = (-30, -10, -3, -1, 0, 1, 3, 10, 30)  # points: the axis is linear from -1 to 1, and logarithmic beyond


def encoders(table):
    """Gain in few-shot classification and anomaly detection against gain in alignment, in points, a row a family of networks.

    table: of `encoders.table`. Shapes: encoders; colours: transforms, hollow for baselines that read no judgment. Large, with 95
    % intervals: the mean over the tasks of the encoder; small: tasks that all encoders have. Below: encoders without other
    images, which have no gain but that of alignment.
    """
    rows = table[table["transform"].isin(SHOWN)]
    rows = rows.assign(**{name: 100 * rows[name] for name in NUMBERS})
    aligned, rest = rows[rows["measure"] == ALIGNMENT], rows[rows["measure"] != ALIGNMENT]
    families = [f for f in (*FAMILIES, "other") if f in set(rest["family"])]
    shapes = {e: SHAPES[n % len(SHAPES)] for n, e in enumerate(dict.fromkeys(rest["encoder"]))}
    alone = aligned[~aligned["encoder"].isin(shapes)]
    fig, grid, strip = _axes(len(families), alone["encoder"].nunique())
    for measure, column in zip(MEASURES, grid.T, strict=True):
        part = _with_alignment(rest[rest["measure"] == measure], aligned)
        for family, ax in zip(families, column, strict=True):
            _gains(ax, part[part["family"] == family], common(part), shapes)
        _label(column, measure.replace(FEW_SHOT, f"{part['shots'].max():.0f}-shot accuracy"))
    for family, line in zip(families, grid, strict=True):
        line[0].set_ylabel(f"trained on {family}\ngain (points)")
    if strip:
        _alone(strip, alone)
    _legends(fig, style.order(rows["transform"]), shapes)
    return fig


def anomaly(profiles):
    """What each map adds to the AUROC of the original features, a row a mode, data set and encoder; 95 % intervals.

    profiles: iterable of folders with the published tables of profiles.
    """
    import pandas as pd

    rows = pd.concat([first_split(to_original(read(Path(f) / "anomaly_summary.csv"))) for f in profiles], ignore_index=True)
    rows = rows[rows["transform"].isin(["original", *SHOWN])]
    for column in ("dataset", "mode"):  # each in the order in which it first occurs
        place = {name: n for n, name in enumerate(dict.fromkeys(rows[column]))}
        rows = rows.sort_values(column, key=lambda names, place=place: names.map(place), kind="stable")
    return anomaly_forest(
        rows.assign(task=[f"{dataset(r.dataset)}, {NAMES.get(r.encoder, r.encoder)}" for r in rows.itertuples()])
    )


def _axes(families: int, alone: int):
    """Figure, axes (families, measures) with one range for all families, and an axis for encoders without other images."""
    columns, below = len(MEASURES), [0.5 + 0.35 * alone] * bool(alone)
    heights = [*[2.2] * families, *below]
    fig, axes = style.figure(columns, len(heights), height=0.8 + sum(heights), height_ratios=heights)
    grid = axes.reshape(-1, columns)
    for ax in grid[:families].ravel():
        ax.sharex(grid[0, 0])
    for column in grid[:families].T:
        for ax in column[1:]:
            ax.sharey(column[0])
    for ax in grid[families:].ravel():
        ax.remove()
    return fig, grid[:families], fig.add_subplot(grid[-1, 0].get_gridspec()[-1, :]) if below else None


def _with_alignment(rows, aligned):
    """The rows of a measure with the gain in alignment of the same encoder and transform: x, x_low, x_high."""
    keys = ["profile", "encoder", "transform"]
    x = aligned[[*keys, *NUMBERS]].rename(columns=dict(zip(NUMBERS, ["x", "x_low", "x_high"], strict=True)))
    return rows.merge(x, on=keys)


def _gains(ax, rows, small, shapes: dict) -> None:
    """One panel: large dots for the means over tasks, with both intervals, small ones for the tasks that all encoders have."""
    ax.axhline(0, color=INK, linewidth=0.8, zorder=1)
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    for r in rows[rows["task"].isin(small)].itertuples():
        ax.plot(r.x, r.difference, ".", color=COLOURS[r.transform], markersize=4, alpha=0.5, markeredgewidth=0)
    for r in rows[rows["task"] == ALL].itertuples():
        reach = dict(xerr=_reach(r.x, r.x_low, r.x_high), yerr=_reach(r.difference, r.ci_low, r.ci_high))
        _dot(ax, r.x, r.difference, shapes[r.encoder], r.transform, **reach)
    ax.grid()


def _label(column, title: str) -> None:
    """The title, the scale and the ticks of the panels of a measure."""
    column[0].set_title(title)
    column[-1].set_xlabel("odd-one-out gain (points)")
    column[0].set_yscale("symlog", linthresh=1, linscale=0.6)
    low, high = column[0].get_ylim()
    shown = [tick for tick in TICKS if low <= tick <= high]
    column[0].set_yticks(shown, [f"{tick:+d}".replace("-", "−") if tick else "0" for tick in shown])


def _alone(ax, rows) -> None:
    """Gain in alignment of encoders without other images, a row each."""
    names, kinds = list(dict.fromkeys(rows["encoder"])), style.order(rows["transform"])
    for r in rows.itertuples():
        y = names.index(r.encoder) + 0.6 * (kinds.index(r.transform) + 0.5) / len(kinds) - 0.3
        _dot(ax, r.difference, y, "o", r.transform, xerr=_reach(r.difference, r.ci_low, r.ci_high))
    ax.axvline(0, color=INK, linewidth=0.8, zorder=1)
    ax.set(xlabel="odd-one-out gain (points); encoders without other images", ylim=(len(names) - 0.5, -0.5))
    ax.set_yticks(range(len(names)), [NAMES.get(name, name) for name in names])
    ax.grid(axis="x")


def _dot(ax, x, y, shape: str, transform: str, **reach) -> None:
    ax.errorbar(x, y, **reach, fmt=shape, elinewidth=0.8, **_look(transform))


def _reach(value, low, high) -> list:
    """The ends of an interval as matplotlib takes them; one that rounding puts beyond the value is at the value."""
    return [[max(0, value - low)], [max(0, high - value)]]


def _look(transform: str) -> dict:
    """The colour of a transform; hollow where no judgment went into it."""
    return dict(color=COLOURS[transform], markersize=5, markerfacecolor=face(transform))


def _legends(fig, kinds, shapes: dict) -> None:
    """Colours above the figure, shapes below it."""
    from matplotlib.lines import Line2D

    colours = {style.NAMES[kind]: dict(marker="o", **_look(kind)) for kind in kinds}
    colours["one task that all encoders have"] = dict(marker=".", color=INK, alpha=0.5)
    names = {NAMES.get(encoder, encoder): dict(marker=shape, color=INK, markersize=5) for encoder, shape in shapes.items()}
    for looks, place in ((colours, "upper"), (names, "lower")):
        handles = [Line2D([], [], linestyle="none", **look) for look in looks.values()]
        kwargs = dict(ncols=min(6, len(looks)), columnspacing=1.2, handletextpad=0.3)
        fig.legend(handles, list(looks), loc=f"outside {place} center", **kwargs)
