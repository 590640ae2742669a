"""The figures that show images, a function each: table and images in, figure out."""

import numpy as np

from glocal.reporting import panels, style
from glocal.reporting.names import dataset
from glocal.reporting.style import INK


def images(rows, images, by: str = "group", columns: int = 12):
    """Some images of every group, one group a line. rows: DataFrame with the column `by`; images[i]: the image of row i."""
    groups = rows.reset_index(drop=True).groupby(by, sort=False)
    fig, axes = style.figure(columns, groups.ngroups, height=0.62 * groups.ngroups)
    for line, (group, members) in zip(axes.reshape(-1, columns), groups, strict=True):
        for ax, i in zip(line, members.index[:: max(len(members) // columns, 1)], strict=False):
            ax.imshow(images[i])
        _blank(line)
        line[0].set_title(group, loc="left", fontsize=8)
    return credited(fig, images)


def neighbours(images, spaces: dict):
    """Images and their nearest others in two spaces, a line each. spaces: {its name: (m, k) rows of `images`}, itself first."""
    (first, second), names = (np.asarray(near) for near in spaces.values()), list(spaces)
    fig, axes = style.figure(first.shape[1], 2 * len(first), width=5.5, height=1.5 * len(first))
    lines = [line for pair in zip(first, second, strict=True) for line in pair]
    for n, (row, near) in enumerate(zip(axes.reshape(len(lines), -1), lines, strict=True)):
        for ax, i in zip(row, near, strict=True):
            ax.imshow(images[i])
        _blank(row)
        row[0].set_title(names[n % 2], loc="left", fontsize=7)
    return fig


def anomaly_moved(moved, images=None, rows: int = 2, columns: int = 8):
    """The images that moved most, in percentiles: `rows` of those to the correct end of the ranking, as many to the wrong end.

    moved: anomaly_moved; images[i]: uint8 (h, w, 3), the image of row i, and images.credit. Normal images are framed. Of few
    images none is in both halves. Without images: how far normal ones and anomalies moved, as a histogram.
    """
    if images is None:
        return _moved_histogram(moved)
    change, normal = (moved[name].to_numpy() for name in ("change", "normal"))
    fig, axes = style.figure(columns, 2 * rows, height=1.9 * rows)
    ranked, half = np.argsort(-change), rows * columns
    n = min(half, len(ranked) // 2)
    used = [*axes[:n], *axes[half : half + n]]
    for ax, i in zip(used, [*ranked[:n], *ranked[::-1][:n]], strict=True):
        ax.imshow(images[i], interpolation="antialiased")
        ax.set_title(f"{change[i]:+.0f}", fontsize=7, pad=2)
        ax.set(xticks=[], yticks=[])
        ax.spines[:].set(visible=normal[i], color=INK, linewidth=1.2)
    _blank([*axes[n:half], *axes[half + n :]])
    ends = f"Rows 1 to {rows}: moved most to the correct side, in percentiles; the others: to the wrong side"
    fig.suptitle(f"normal: {_normal(moved)} (framed). {ends}", fontsize=8)
    return credited(fig, images)


def _moved_histogram(moved):
    import seaborn as sns

    fig, (ax,) = style.figure(width=4.5)
    rows = moved.assign(image=np.where(moved["normal"], "normal", "anomaly"))
    look = dict(palette={"normal": "#0072B2", "anomaly": INK}, element="step", stat="density", common_norm=False, alpha=0.25)
    sns.histplot(rows, x="change", hue="image", ax=ax, **look)
    ax.axvline(0, color=INK, linewidth=0.8)
    title = f"{dataset(moved['dataset'].iloc[0])}, normal: {_normal(moved)}"
    ax.set(xlabel="move to the correct side (percentiles)", ylabel="density of images", title=title)
    ax.get_legend().set_title("")
    return fig


def _normal(moved) -> str:
    """The name of the normal class; a class that has no name but a number."""
    name = panels.short(moved["normal_class"].iloc[0]).replace("_", " ")
    return f"class {name}" if name.isdecimal() else name


def credited(fig, images):
    """The figure with the line of credit that its images ask for, if any."""
    fig.text(0.005, -0.005, getattr(images, "credit", ""), ha="left", va="top", fontsize=6)
    return fig


def _blank(axes):
    for ax in axes:
        ax.axis("off")
