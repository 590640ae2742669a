"""What stands in a panel: dots with intervals, lines, points, images. Each draws into matplotlib axes, most with seaborn."""

from typing import Any

import numpy as np

from glocal.reporting import style
from glocal.reporting.style import COLOURS, INK, MARKERS, NAMES, face


def dots(ax, table, by: str, value: str, interval: tuple[str, str] | None = None, kinds=None):
    """A row for each value of the column `by`, in order of appearance, and in it a dot and a line for each transform.

    interval: columns with the ends of the lines, of a table with one row for each dot; without it, `table` has the single
    measurements, a dot is their mean and a line one standard deviation to either side. kinds: the transforms that have a place.
    """
    import seaborn as sns

    rows = table
    estimate: dict[str, Any] = dict(errorbar="sd")
    if interval:  # the median of the two ends and the value is the value, their range the interval
        rows = table.melt([by, "transform"], [interval[0], value, interval[1]], value_name="_shown")
        value, estimate = "_shown", dict(estimator="median", errorbar=("pi", 100))
    kinds = kinds or style.order(rows["transform"])
    dodge = 0.75 * (len(kinds) - 1) / len(kinds) if by != "transform" else False
    groups = [NAMES[k] for k in kinds] if by == "transform" else list(dict.fromkeys(rows[by]))
    look = dict(markers=[MARKERS[k] for k in kinds], markersize=4, linestyle="none", err_kws={"linewidth": 1.2})
    sns.pointplot(
        **style.hues(rows, kinds=kinds), x=value, y=by, order=groups, orient="h", dodge=dodge, ax=ax, **look, **estimate
    )
    style.hollow(ax)
    for i in range(1, len(groups) if by != "transform" else 0):
        ax.axhline(i - 0.5, color="#CCCCCC", linewidth=0.6)
    ax.set(ylabel="", ylim=(len(groups) - 0.5, -0.5))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")


def reference(ax, level: float, text: str, line: str = "--"):
    """A vertical line with its name above it: chance, noise ceiling, no difference."""
    ax.axvline(level, color=INK, linestyle=line, linewidth=0.8, zorder=1)
    above(ax, level, text)


def outside(ax, value: float, y: float, colour: str):
    """The number of a dot that lies outside the range of a panel, at the edge on its side, in the row `y`."""
    text, x, side = (f"\u25c2{value:+.0f}", 0.02, "left") if value < 0 else (f"{value:+.0f}\u25b8", 0.98, "right")
    box = dict(facecolor="white", edgecolor="none", pad=0.5)
    place = dict(transform=ax.get_yaxis_transform(), ha=side, va="center", bbox=box)
    ax.text(x, y, text.replace("-", "\u2212"), color=colour, fontsize=7, fontweight="bold", **place)


def above(ax, level: float, text: str):
    """A name at the upper edge of a panel, over the place `level`."""
    place = dict(xycoords=("data", "axes fraction"), xytext=(0, 1), textcoords="offset points", ha="center", va="bottom")
    ax.annotate(text, (level, 1.0), fontsize=7, color=INK, **place)


def legend(fig, transforms, extra=(), dots: bool = True, columns: int = 6, loc: str = "outside upper center", **kwargs):
    """One legend above the whole figure: the transforms, and `extra`, pairs of a line style or look and what it means."""
    from matplotlib.lines import Line2D

    marker = lambda t: dict(linestyle="none", marker=MARKERS[t], markersize=5, markerfacecolor=face(t))
    looks = {t: marker(t) if dots else {} for t in style.order(transforms)}
    handles = [Line2D([], [], color=COLOURS[t], **look) for t, look in looks.items()]
    handles += [Line2D([], [], **({"color": INK, "linestyle": k} if isinstance(k, str) else k)) for k, _ in extra]
    names = [NAMES[t] for t in looks] + [name for _, name in extra]
    columns = -(-len(names) // -(-len(names) // columns)) if names else 1  # no row much shorter than another
    by_row = [i for column in range(columns) for i in range(column, len(names), columns)]  # matplotlib fills column by column
    handles, names = ([entries[i] for i in by_row] for entries in (handles, names))
    fig.legend(handles, names, loc=loc, ncols=columns, columnspacing=1.2, handletextpad=0.5, **kwargs)


def trade_off(ax, table, x: str, y: str):
    """A marker for each row, by transform; large, with an edge, where the column `chosen` says so, the others pale."""
    import seaborn as sns

    for chosen, look in ((False, dict(s=20, alpha=0.4)), (True, dict(s=45, edgecolor="black"))):
        rows = table[table["chosen"] == chosen]
        if len(rows):
            sns.scatterplot(**style.hues(rows, lines=True), x=x, y=y, ax=ax, **look)
    ax.grid()


def class_gains(ax, changes, transform: str, most: int = 20):
    """What `transform` adds to the original in each class, in points, from most to least, with one standard deviation.

    changes: DataFrame with class, mean, std (shares of 1). Of more than `most` classes those at the two ends.
    """
    rows = changes.sort_values("mean", ascending=False)
    half = most // 2
    shown = rows if len(rows) <= most else rows.iloc[[*range(half), *range(len(rows) - half, len(rows))]]
    names = shown["class"].astype(str).str.split(",").str[0].to_numpy()
    gain, spread = 100 * shown["mean"].to_numpy(), 100 * shown["std"].to_numpy()
    look = dict(fmt=MARKERS[transform], color=COLOURS[transform], markersize=4, elinewidth=1)
    ax.errorbar(gain, np.arange(len(gain)), xerr=spread, **look)
    ax.set_ylim(len(gain) - 0.5, -0.5)
    ax.axvline(0, color=INK, linewidth=0.8)
    if len(rows) > most:
        ax.axhline(half - 0.5, color=INK, linestyle=":", linewidth=0.8)
    ax.set_yticks(np.arange(len(gain)), names, fontsize=7)
    ax.grid(axis="x")


def similarity_matrix(ax, matrix, names: bool = True):
    """A matrix (n, n) in percentiles, superclasses as index in blocks, with lines between them and their names; the colours."""
    labels = np.array([short(name) for name in matrix.index])
    from matplotlib import colormaps

    mesh = ax.imshow(matrix.to_numpy(), vmin=0, vmax=100, cmap=colormaps["viridis"].resampled(10), interpolation="none")
    edges = np.flatnonzero(labels[1:] != labels[:-1]) + 0.5
    for draw in (ax.axhline, ax.axvline):
        for edge in edges:
            draw(edge, color="white", linewidth=0.4)
    middles = np.convolve(np.r_[-0.5, edges, len(labels) - 0.5], [0.5, 0.5], mode="valid")
    ax.set_yticks(middles, list(dict.fromkeys(labels)) if names else [""] * len(middles), fontsize=6.5)
    ax.set_xticks([])
    ax.tick_params(length=0)
    return mesh


def short(name) -> str:
    """The first of several names of a class."""
    return str(name).split(",")[0]


def plain_log(axis):
    """Ticks of a logarithmic axis at 1, 2 and 5 times the powers of ten at most, written as plain numbers, none between."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axis.set_major_locator(LogLocator(numticks=6))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def thumbnails(ax, xy, images, labels, size=15, panel=(230, 190)):
    """Images at their places, each on a disc in the colour of its group.

    xy: (n, 2); images[i]: uint8 (224, 224, 3) on white, which becomes transparent; labels: (n,), the group of each. size, panel:
    of an image, and width and height of the panel, in points. Where images would cover one another only the first is drawn, and
    the others are dots; so of any number of images some hundreds are opened.
    """
    labels, shades = np.asarray(labels).astype(str), group_colours(labels)
    place = 0.06 + 0.88 * (xy - xy.min(axis=0)) / np.ptp(xy, axis=0)  # in the panel
    shown = _apart(panel * place, 1.1 * size)
    colours = np.array([shades[label] for label in labels])
    ax.scatter(*place[~shown].T, c=colours[~shown], s=7, linewidth=0, zorder=0)
    ax.scatter(*place[shown].T, c=colours[shown], s=(1.25 * size) ** 2, alpha=0.4, linewidth=0, zorder=1)
    sides = 56 * np.array(panel) // size  # pixels of the panel, with 56 for an image
    canvas = np.zeros((sides[1], sides[0], 4))
    for i in np.flatnonzero(shown):
        column, row = np.clip((sides * place[i]).astype(int) - 28, 0, sides - 56)
        part = canvas[sides[1] - 56 - row : sides[1] - row, column : column + 56]
        small = _cut_out(images[i])
        np.copyto(part, small, where=small[..., 3:] > 0.5)
    ax.imshow(canvas, extent=(0, 1, 0, 1), aspect="auto", interpolation="antialiased", zorder=2)
    ax.set(xlim=(0, 1), ylim=(0, 1))
    ax.axis("off")


def _cut_out(pixels) -> np.ndarray:
    """(56, 56, 4) of an image (224, 224, 3) on white: averaged, so that it stays smooth, with white transparent."""
    opaque = (pixels.min(axis=2, keepdims=True) < 250).astype(float)  # (224, 224, 1)
    rgba = np.concatenate([pixels / 255 * opaque, opaque], axis=2).reshape(56, 4, 56, 4, 4).mean(axis=(1, 3))
    rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-6)
    return np.clip(rgba, 0, 1)


def _apart(xy, distance) -> np.ndarray:
    """(n,) bool: points kept so that no two are nearer than `distance`; earlier ones go first. xy: (n, 2)."""
    kept = np.zeros(len(xy), bool)
    for i, point in enumerate(xy):
        kept[i] = not kept.any() or np.min(np.linalg.norm(xy[kept] - point, axis=1)) >= distance
    return kept


def group_colours(labels) -> dict:
    """A colour for each different label, in sorted order."""
    import seaborn as sns

    names = np.unique(np.asarray(labels).astype(str))
    palette = sns.color_palette("Dark2", 8) if len(names) <= 8 else sns.color_palette("tab20")
    return {name: palette[n % len(palette)] for n, name in enumerate(names)}


def superclass_points(ax, xy, labels):
    """Points coloured by superclass, for profiles that have no images; each superclass's name at its median."""
    labels, shades = np.asarray(labels).astype(str), group_colours(labels)
    ax.scatter(*xy.T, c=[shades[label] for label in labels], s=8, linewidth=0, rasterized=True)
    medians = np.array([np.median(xy[labels == name], axis=0) for name in shades])
    for name, place in zip(shades, _spread(medians, np.ptp(xy, axis=0) * [0.33, 0.055]), strict=True):
        box = dict(boxstyle="round,pad=0.15", facecolor="white", edgecolor=shades[name], alpha=0.85, linewidth=0.8)
        ax.text(*place, short(name), fontsize=6.5, ha="center", va="center", bbox=box)
    ax.axis("off")


def _spread(places, room) -> np.ndarray:
    """Places (n, 2) of labels, from the lowest up moved above those that they would cover; room: width and height of one."""
    places = places.copy()
    for n, i in enumerate(order := np.argsort(places[:, 1])):
        for below in places[order[:n]]:
            if (np.abs(places[i] - below) < room).all():
                places[i, 1] = below[1] + room[1]
    return places
