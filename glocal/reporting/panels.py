"""What stands in a panel: dots with intervals, lines, points, images. Each draws into matplotlib axes, most with seaborn."""

import numpy as np

from glocal.reporting import style
from glocal.reporting.style import COLOURS, INK, MARKERS, NAMES


def dots(ax, table, by: str, value: str, interval: tuple[str, str] | None = None, kinds=None):
    """A row for each value of the column `by`, in order of appearance, and in it a dot and a line for each transform.

    interval: columns with the ends of the lines, of a table with one row for each dot; without it, `table` has the single
    measurements, a dot is their mean and a line one standard deviation to either side. kinds: the transforms that have a place.
    """
    import seaborn as sns

    rows, estimate = table, dict(errorbar="sd")
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
    for i in range(1, len(groups) if by != "transform" else 0):
        ax.axhline(i - 0.5, color="#CCCCCC", linewidth=0.6)
    ax.set(ylabel="", ylim=(len(groups) - 0.5, -0.5))
    ax.tick_params(axis="y", length=0)
    ax.grid(axis="x")


def reference(ax, level: float, text: str, line: str = "--"):
    """A vertical line with its name above it: chance, noise ceiling, no difference."""
    ax.axvline(level, color=INK, linestyle=line, linewidth=0.8, zorder=1)
    above(ax, level, text)


def above(ax, level: float, text: str):
    """A name at the upper edge of a panel, over the place `level`."""
    place = dict(xycoords=("data", "axes fraction"), xytext=(0, 1), textcoords="offset points", ha="center", va="bottom")
    ax.annotate(text, (level, 1.0), fontsize=7, color=INK, **place)


def chance(ax, levels):
    """A dotted line in each row of `dots`, at `levels`, from the top row down."""
    places = np.arange(len(levels))
    ax.vlines(levels, places - 0.48, places + 0.48, color=INK, linestyle=":", linewidth=1)


def legend(fig, transforms, extra=(), dots: bool = True, columns: int = 6, loc: str = "outside upper center", **kwargs):
    """One legend above the whole figure: the transforms, and `extra`, pairs of a line style and what it means, row by row."""
    from matplotlib.lines import Line2D

    looks = {t: dict(linestyle="none", marker=MARKERS[t], markersize=5) if dots else {} for t in style.order(transforms)}
    handles = [Line2D([], [], color=COLOURS[t], **look) for t, look in looks.items()]
    handles += [Line2D([], [], color=INK, linestyle=kind) for kind, _ in extra]
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
    import seaborn as sns

    rows = changes.sort_values("mean", ascending=False)
    half = most // 2
    shown = rows if len(rows) <= most else rows.iloc[[*range(half), *range(len(rows) - half, len(rows))]]
    names = shown["class"].astype(str).str.split(",").str[0].to_numpy()
    gain, spread = 100 * shown["mean"].to_numpy(), 100 * shown["std"].to_numpy()
    look = dict(palette={True: COLOURS[transform], False: "#C8C8C8"}, saturation=1, width=0.75, legend=False)
    sns.barplot(x=gain, y=np.arange(len(gain)), hue=gain > 0, orient="h", ax=ax, **look)
    ax.errorbar(gain, np.arange(len(gain)), xerr=spread, fmt="none", ecolor=INK, elinewidth=0.7)
    ax.axvline(0, color=INK, linewidth=0.8)
    if len(rows) > most:
        ax.axhline(half - 0.5, color=INK, linestyle=":", linewidth=0.8)
    ax.set_yticks(np.arange(len(gain)), names, fontsize=7)
    ax.grid(axis="x")


def image(ax, pixels, title: str, framed: bool = False):
    """One image (h, w, 3) with a short title; framed or not."""
    ax.imshow(pixels, interpolation="antialiased")
    ax.set_title(title, fontsize=7, pad=2)
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set(visible=framed, color=INK, linewidth=1.2)


def similarity_matrix(ax, matrix, names: bool = True):
    """Similarities, (n, n) with the superclasses as index in sorted order, with lines between superclasses and their names."""
    import seaborn as sns

    labels, (low, high) = matrix.index.to_numpy(), np.quantile(matrix, [0.02, 0.98])
    bar = dict(location="bottom", shrink=0.7, label="cosine")
    sns.heatmap(matrix.to_numpy(), vmin=low, vmax=high, cmap="viridis", square=True, rasterized=True, cbar_kws=bar, ax=ax,
                xticklabels=False, yticklabels=False)  # fmt: skip
    edges = np.flatnonzero(labels[1:] != labels[:-1]) + 1
    ax.hlines(edges, 0, len(labels), color="white", linewidth=0.3)
    ax.vlines(edges, 0, len(labels), color="white", linewidth=0.3)
    ax.set(xlabel="", ylabel="")
    if names:
        middles = np.convolve(np.r_[0, edges, len(labels)], [0.5, 0.5], mode="valid")
        ax.set_yticks(middles, [str(name).split(",")[0] for name in dict.fromkeys(labels)], fontsize=6, rotation=0)


def thumbnails(ax, xy, images, size=15):
    """Images at their places: xy (n, 2), images[i]: uint8 (224, 224, 3) on white, which becomes transparent.

    size: width in points. Each is averaged down to 56 pixels first, so that it stays smooth. Where images would cover
    one another only the first is drawn, and the others are dots; so of any number of images some hundreds are opened.
    """
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    unit = np.ptp(xy, axis=0) / np.array([290.0, 290.0])  # a panel is about 290 points wide and high
    shown = _apart(xy / unit, 0.75 * size)
    ax.plot(*xy[~shown].T, ".", color="#CCCCCC", markersize=2, zorder=0)
    for i in np.flatnonzero(shown):
        pixels = images[i]
        opaque = (pixels.min(axis=2, keepdims=True) < 250).astype(float)  # (224, 224, 1)
        rgba = np.concatenate([pixels / 255 * opaque, opaque], axis=2).reshape(56, 4, 56, 4, 4).mean(axis=(1, 3))
        rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-6)
        small = OffsetImage(np.clip(rgba, 0, 1), zoom=size / 56, resample=True, interpolation="antialiased")
        ax.add_artist(AnnotationBbox(small, xy[i], frameon=False, pad=0))
    pad = 0.04 * np.ptp(xy, axis=0)
    ax.set_xlim(xy[:, 0].min() - pad[0], xy[:, 0].max() + pad[0])
    ax.set_ylim(xy[:, 1].min() - pad[1], xy[:, 1].max() + pad[1])
    ax.axis("off")


def _apart(xy, distance) -> np.ndarray:
    """(n,) bool: points kept so that no two are nearer than `distance`; earlier ones go first. xy: (n, 2)."""
    kept = np.zeros(len(xy), bool)
    for i, point in enumerate(xy):
        kept[i] = not kept.any() or np.min(np.linalg.norm(xy[kept] - point, axis=1)) >= distance
    return kept


def superclass_points(ax, xy, labels):
    """Points coloured by superclass, for profiles that have no images; each superclass's name at its median."""
    import seaborn as sns

    labels = np.asarray(labels).astype(str)
    names = np.unique(labels)
    shades = {name: sns.color_palette("tab20")[n % 20] for n, name in enumerate(names)}
    sns.scatterplot(x=xy[:, 0], y=xy[:, 1], hue=labels, palette=shades, s=8, linewidth=0, legend=False, ax=ax)
    medians = np.array([np.median(xy[labels == name], axis=0) for name in names])
    for name, place in zip(names, _spread(medians, np.ptp(xy, axis=0) * [0.25, 0.05]), strict=True):
        box = dict(boxstyle="round,pad=0.15", facecolor="white", edgecolor=shades[name], alpha=0.85, linewidth=0.8)
        ax.text(*place, name.split(",")[0], fontsize=6.5, ha="center", va="center", bbox=box)
    ax.axis("off")


def _spread(places, room) -> np.ndarray:
    """Places (n, 2) of labels, from the lowest up moved above those that they would cover; room: width and height of one."""
    places = places.copy()
    for n, i in enumerate(order := np.argsort(places[:, 1])):
        for below in places[order[:n]]:
            if (np.abs(places[i] - below) < room).all():
                places[i, 1] = below[1] + room[1]
    return places
