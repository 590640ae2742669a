"""One visual style for every figure: the same colour for the same transform everywhere, labelled axes, reference lines.

Colours are from Okabe and Ito's palette (readable with colour-vision deficiencies); each transform also has a marker.
"""

import numpy as np

from glocal.reporting.style import COLOURS, MARKERS, NAMES, style

SHOTS = "-shot accuracy"  # how a headline's few-shot measures end


def bars(ax, table, by, value, low=None, high=None, spread=None):
    """Grouped bars: one group per value of column `by` (in order of appearance), one bar per transform.

    table: one row per group and transform. Error bars from columns `low` and `high` (ends of an interval), or `spread`
    (half length). Groups keep the order of the table.
    """
    groups = list(dict.fromkeys(table[by]))
    kinds = [t for t in COLOURS if t in set(table["transform"])]
    width = 0.8 / len(kinds)
    for n, kind in enumerate(kinds):
        part = table[table["transform"] == kind].set_index(by).reindex(groups)
        x = np.arange(len(groups)) + (n - (len(kinds) - 1) / 2) * width
        error = None
        if spread:
            error = part[spread]
        elif low:
            error = np.abs(np.vstack([part[value] - part[low], part[high] - part[value]]))
        ax.bar(x, part[value], width * 0.92, color=COLOURS[kind], label=NAMES[kind], yerr=error,
               error_kw=dict(elinewidth=0.8, capsize=1.5, ecolor="#333333"))  # fmt: skip
    crowded = len(groups) > 2 and max(len(line) for name in groups for line in name.split("\n")) > 6
    ax.set_xticks(np.arange(len(groups)), groups, **dict(rotation=30, ha="right", rotation_mode="anchor") if crowded else {})
    ax.grid(axis="x", visible=False)


def curves(ax, table, x, value, spread=None):
    """One line per transform over column x, with a band of +- spread."""
    for kind in [t for t in COLOURS if t in set(table["transform"])]:
        part = table[table["transform"] == kind].sort_values(x)
        ax.plot(part[x], part[value], color=COLOURS[kind], marker=MARKERS[kind], markersize=3.5, label=NAMES[kind])
        if spread:
            low, high = part[value] - part[spread], part[value] + part[spread]
            ax.fill_between(part[x], low, high, color=COLOURS[kind], alpha=0.15, linewidth=0)


def before_after(ax, table, kinds):
    """Each class's value after against the original's, one marker a transform of `kinds` (columns of table); the diagonal."""
    low = table[["original", *kinds]].min().min()
    for kind in kinds:
        style = dict(color=COLOURS[kind], markersize=2.5, alpha=0.6, label=NAMES[kind])
        ax.plot(table["original"], table[kind], MARKERS[kind], **style)
    ax.plot([low, 1], [low, 1], color="#333333", linewidth=0.8)


def picture(ax, pixels, title, framed=False):
    """One picture (h, w, 3) with a short title; framed or not."""
    ax.imshow(pixels, interpolation="antialiased")
    ax.set_title(title, fontsize=7, pad=2)
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set(visible=framed, color="#333333", linewidth=1.2)


def class_gains(ax, gain, spread, kind="glocal", most: int = 20):
    """What `kind` adds to the original in each class, in points, from most to least, with error bars of half length `spread`.

    gain, spread: (classes,) Series, in shares of 1. Of more than `most` classes the outermost.
    """
    gain = gain.sort_values()
    shown = gain if len(gain) <= most else gain.iloc[[*range(most // 2), *range(-(most // 2), 0)]]
    colours = [COLOURS[kind] if g > 0 else COLOURS["original"] for g in shown]
    error = dict(xerr=100 * spread[shown.index], error_kw=dict(elinewidth=0.7, ecolor="#333333"))
    ax.barh(np.arange(len(shown)), 100 * shown, color=colours, **error)
    ax.axvline(0, color="#333333", linewidth=0.8)
    if len(gain) > most:
        ax.axhline(most / 2 - 0.5, color="#333333", linestyle=":", linewidth=0.8)
    ax.set_yticks(np.arange(len(shown)), [str(n).split(",")[0] for n in shown.index], fontsize=7)
    ax.grid(axis="x", visible=True)
    ax.grid(axis="y", visible=False)


def trade_off(ax, table, x, y):
    """One marker a setting, by transform; filled where column `chosen` says so. table: rows of means over folds."""
    for _, row in table.iterrows():
        kind = row["transform"]
        style = dict(markersize=8, zorder=3, markeredgecolor="black") if row["chosen"] else dict(markersize=4.5, fillstyle="none")
        ax.plot(row[x], row[y], MARKERS[kind], color=COLOURS[kind], label=NAMES[kind] if row["chosen"] else None, **style)
    ax.legend(loc="best")


def learning_curves(ax, history, training, held_out):
    """How fits went: columns of a history table (objective, iteration, ...), training as a line, held out as a dotted one."""
    for line, name in (("-", "training"), (":", "held out")):
        ax.plot([], [], line, color="#333333", label=name)
    for kind, rows in history.groupby("objective", sort=False):
        ax.plot(rows["iteration"], rows[training], color=COLOURS[kind], label=NAMES[kind])
        if held_out in rows:
            ax.plot(rows["iteration"], rows[held_out], ":", color=COLOURS[kind])


def reference(ax, level, text, style="--"):
    """A horizontal line with its name in the margin on the right: chance, noise ceiling, an upper bound."""
    ax.axhline(level, color="#333333", linestyle=style, linewidth=0.8, zorder=0.5)
    ax.annotate(text, (1.0, level), xycoords=("axes fraction", "data"), xytext=(3, 0),
                textcoords="offset points", ha="left", va="center", fontsize=7, color="#333333")  # fmt: skip


def legend(fig, ax, columns=4):
    """One legend above the whole figure, from the handles of one of its axes."""
    handles, labels = ax.get_legend_handles_labels()
    fig.legend(handles, labels, loc="outside upper center", ncols=columns)


def similarity_matrix(ax, similarities, names=True):
    """Similarities, (n, n) with the superclasses as index in sorted order, with lines between superclasses and their names."""
    low, high = np.quantile(similarities, [0.02, 0.98])
    image = ax.imshow(similarities, vmin=low, vmax=high, interpolation="nearest")
    labels = similarities.index.to_numpy()
    edges = np.flatnonzero(labels[1:] != labels[:-1]) + 0.5
    for e in edges:
        ax.axhline(e, color="white", linewidth=0.3)
        ax.axvline(e, color="white", linewidth=0.3)
    middles = np.convolve(np.r_[0, edges, len(labels)], [0.5, 0.5], mode="valid")
    ax.set_yticks(middles, [str(name).split(",")[0] for name in dict.fromkeys(labels)] if names else [])
    ax.set_xticks([])
    ax.grid(visible=False)
    return image


def thumbnails(ax, xy, pictures, size=15):
    """Pictures at their places: xy (n, 2), pictures[i]: uint8 (224, 224, 3) on white, which becomes transparent.

    size: width in points. Each is averaged down to 56 pixels first, so that it stays smooth. Where pictures would cover
    one another only the first is drawn, and the others are dots; so of any number of pictures some hundreds are opened.
    """
    from matplotlib.offsetbox import AnnotationBbox, OffsetImage

    unit = np.ptp(xy, axis=0) / np.array([290.0, 290.0])  # a panel is about 290 points wide and high
    shown = _apart(xy / unit, 0.75 * size)
    ax.plot(*xy[~shown].T, ".", color="#CCCCCC", markersize=2, zorder=0)
    for i in np.flatnonzero(shown):
        picture = pictures[i]
        opaque = (picture.min(axis=2, keepdims=True) < 250).astype(float)  # (224, 224, 1)
        rgba = np.concatenate([picture / 255 * opaque, opaque], axis=2).reshape(56, 4, 56, 4, 4).mean(axis=(1, 3))
        rgba[..., :3] /= np.maximum(rgba[..., 3:], 1e-6)
        image = OffsetImage(np.clip(rgba, 0, 1), zoom=size / 56, resample=True, interpolation="antialiased")
        ax.add_artist(AnnotationBbox(image, xy[i], frameon=False, pad=0))
    pad = 0.04 * np.ptp(xy, axis=0)
    ax.set_xlim(xy[:, 0].min() - pad[0], xy[:, 0].max() + pad[0])
    ax.set_ylim(xy[:, 1].min() - pad[1], xy[:, 1].max() + pad[1])
    _bare(ax)


def _apart(xy, distance) -> np.ndarray:
    """(n,) bool: points kept so that no two are nearer than `distance`; earlier ones go first. xy: (n, 2)."""
    kept = np.zeros(len(xy), bool)
    for i, point in enumerate(xy):
        kept[i] = not kept.any() or np.min(np.linalg.norm(xy[kept] - point, axis=1)) >= distance
    return kept


def superclass_points(ax, xy, labels):
    """Points coloured by superclass, for profiles that have no pictures; each superclass's name at its median."""
    import matplotlib as mpl

    shades = mpl.colormaps["tab20"].colors
    groups = [xy[(labels == name).to_numpy()] for name in labels.cat.categories]
    places = _spread(np.array([np.median(here, axis=0) for here in groups]), np.ptp(xy, axis=0) * [0.25, 0.05])
    for n, (name, here, place) in enumerate(zip(labels.cat.categories, groups, places, strict=True)):
        ax.plot(*here.T, ".", color=shades[n % 20], markersize=3)
        box = dict(boxstyle="round,pad=0.15", facecolor="white", edgecolor=shades[n % 20], alpha=0.85, linewidth=0.8)
        ax.text(*place, str(name).split(",")[0], fontsize=6.5, ha="center", va="center", bbox=box)
    _bare(ax)


def _spread(places, room) -> np.ndarray:
    """Places (n, 2) of labels, from the lowest up moved above those that they would cover; room: width and height of one."""
    places = places.copy()
    for n, i in enumerate(order := np.argsort(places[:, 1])):
        for below in places[order[:n]]:
            if (np.abs(places[i] - below) < room).all():
                places[i, 1] = below[1] + room[1]
    return places


def _bare(ax):
    ax.set(xticks=[], yticks=[])
    ax.grid(visible=False)
    ax.spines[:].set_visible(False)


def overview(places, labels, pictures, headline, observer):
    """The story in one figure: t-SNE before and after on the left, alignment, few-shot and anomaly bars on the right.

    places: {transform: (n, 2)} of "original" and another, labels: categorical (n,), pictures: n arrays or None (then coloured
    points), headline: the table of `report.headline`, observer: who judged, as the title of the bars.
    """
    import matplotlib.pyplot as plt

    style()
    fig = plt.figure(figsize=(10.5, 4.6))
    grid = fig.add_gridspec(3, 3, width_ratios=[4, 4, 3])
    for column, (kind, xy) in enumerate(places.items()):
        ax = fig.add_subplot(grid[:, column])
        if pictures:
            thumbnails(ax, xy, pictures)
        else:
            superclass_points(ax, xy, labels)
        ax.set_title(f"{'before' if kind == 'original' else 'after'}: {NAMES[kind]} features (t-SNE)")
    panels = [fig.add_subplot(grid[row, 2]) for row in range(3)]
    for ax, (title, chance, part) in zip(panels, _panels(headline), strict=True):
        bars(ax, part, "task", "mean", spread="sd")
        ax.set(title=title, ylim=(0.85 * part["mean"].min() if chance is None else min(0.95 * chance, part["mean"].min()), None))
        if chance:
            reference(ax, chance, "chance", ":")
    panels[0].set_xticks([])
    handles, names = panels[0].get_legend_handles_labels()
    small = dict(title_fontsize=8, columnspacing=1, handlelength=1.2)
    fig.legend(handles, names, loc="outside upper right", ncols=len(names), title=f"{observer} (bars: mean, sd)", **small)
    return fig


def shot_names(which: dict, space: str = " ") -> dict[str, str]:
    """{task: its name in tables and figures}, from {task: shots}; after `space`, a task at fewer shots than others says so."""
    most = max(which.values(), default=0)
    return {task: task if n == most else f"{task}{space}({n} shot{'s' if n > 1 else ''})" for task, n in which.items()}


def _at_their_shots(part):
    """Few-shot rows of a headline under one measure, that of the most shots; tasks at fewer shots have them in their names."""
    shots = part["measure"].str.extract(r"^(\d+)-shot")[0].astype(int)
    names = shot_names(dict(zip(part["task"], shots, strict=True)), "\n")
    return part.assign(task=part["task"].map(names), measure=f"{shots.max()}{SHOTS}")


def _panels(headline, tasks: int = 3):
    """(title, chance, rows) of the three bar panels: the headline's first split and first tasks of each measure."""
    kinds = (("odd-one-out", "odd-one-out accuracy, held-out objects", 1 / 3), (SHOTS, None, None), ("anomaly", None, 0.5))
    for start, title, chance in kinds:
        part = headline[headline["measure"].str.contains(start)]
        part = part[part["split"] == part["split"].iloc[0]]
        part = _at_their_shots(part) if start == SHOTS else part
        measures = list(dict.fromkeys(part["measure"]))
        part = part[part["measure"] == next((m for m in measures if "shift" in m), measures[0])].fillna({"task": ""})
        part = part[part["task"].isin(list(dict.fromkeys(part["task"]))[:tasks])]
        yield title or part["measure"].iloc[0], chance, part
