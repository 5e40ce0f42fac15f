"""The run's plots, as SVG that follows the page's theme."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill.evaluate import Evaluation
from holdstill.pictures import grey_as_shown, white_of_means
from holdstill.report import sections
from holdstill.report.markup import data_uri, escape
from holdstill.run_folder import INITIAL_TRANSFORMS, Run

WIDTH, WIDE = 5.6, 11.2
"""Of a plot and of one over the whole page, inches: so text is of one size in all of them."""

MOST_VECTORS = 2000
"""A curve or cloud of more points is drawn as an image inside of its plot."""

log = logging.getLogger("holdstill")


def plot_section(
    run: Run,
    found: Evaluation,
    points: npt.ArrayLike | None,
    eye_corners: Sequence[int],
) -> str:
    """What alignment changed: a table, the mean of the frames, plots."""
    means = "\n".join(_means(found))
    parts = [sections.figures(found), f'<div class="figures means">{means}</div>' if means else ""]
    try:
        plots = "\n".join(_plots(run, found, points, eye_corners))
    except ImportError as error:
        log.warning("the report has no plots: %s", error)
        parts.append(f'<p class="muted small">No plots: {escape(error)}</p>')
    else:
        parts.append(f'<div class="figures">{plots}</div>' if plots else "")
    body = "\n".join(part for part in parts if part)
    return (
        '<section aria-labelledby="plots-title">\n'
        '<h2 id="plots-title">What alignment changed</h2>\n'
        f"{body}\n</section>"
    )


def _means(found: Evaluation) -> Iterator[str]:
    both = {"before": found.mean_image.before, "after": found.mean_image.after}
    sides = {name: image for name, image in both.items() if image is not None}
    white = white_of_means(*sides.values())
    for name, image in sides.items():
        text = escape(f"Mean of {found.pictures:,} frames, {name} alignment")
        content = _jpeg(grey_as_shown(image, white))
        picture = f'<img src="{data_uri("image/jpeg", content)}" alt="">'
        yield f"<figure>{picture}<figcaption>{text}</figcaption></figure>"


def _jpeg(grey: npt.NDArray[np.uint8]) -> bytes:
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(grey).save(file, format="JPEG", quality=88)
    return file.getvalue()


def _plots(
    run: Run,
    found: Evaluation,
    points: npt.ArrayLike | None,
    eye_corners: Sequence[int],
) -> Iterator[str]:
    from holdstill import plot

    before, after = found.transforms.before, run.frame_from_canonical
    if points is not None and found.eye_corners:
        compared = found.per_frame["compared"][:, None, None]
        sides = {"after": after} if before is None else {"before": before, "after": after}
        counted = {name: np.where(compared, side, np.nan) for name, side in sides.items()}
        axes = plot.eye_corner_scatter(counted, points, eye_corners=eye_corners)
        yield themed_figure(
            axes[0], "eyes", "Eye corners about their means, in the canonical frame.", WIDE, 3.3
        )
    if not run.independent and found.compared > 1:
        moved = before if found.before == INITIAL_TRANSFORMS else None
        axes = plot.transforms(run, before=moved)
        yield themed_figure(axes[0], "transforms", "The transforms over time.", WIDTH, 5.6)
    if found.variance:
        text = "Share of the region's variance in its first principal components."
        yield themed_figure(plot.accumulated_variance(found), "variance", text, WIDTH, 3.8)


def themed_figure(ax: Any, name: str, caption: str, width: float, height: float) -> str:
    """The figure that axes are in, as an element; it is closed."""
    import matplotlib.pyplot as plt

    figure = ax.figure
    try:
        figure.set_size_inches(width, height)
        for part in (*figure.findobj(_is_large),):
            part.set_rasterized(True)
        file = io.StringIO()
        with plt.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
            figure.savefig(file, format="svg", dpi=144, metadata={"Date": None, "Creator": None})
    finally:
        plt.close(figure)
    picture = _themed(file.getvalue(), name, caption)
    kind = scrolled = ""
    if width == WIDE:  # on a phone it is scrolled to the side, by keys as well
        kind = ' class="wide"'
        scrolled = f' tabindex="0" role="group" aria-label="{escape(caption)}"'
    return (
        f'<figure{kind}><div class="scroller"{scrolled}>{picture}</div>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _is_large(part: Any) -> bool:
    from matplotlib.collections import PathCollection
    from matplotlib.lines import Line2D

    if isinstance(part, Line2D):
        return len(np.asarray(part.get_xdata())) > MOST_VECTORS
    return isinstance(part, PathCollection) and len(np.asarray(part.get_offsets())) > MOST_VECTORS


def _themed(svg: str, name: str, caption: str) -> str:
    """An SVG of matplotlib's for use inside of the page, where ids are shared and ink varies."""
    from holdstill.plot.style import INK

    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'\bid="', f'id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = svg.replace("url(#", f"url(#{name}-").replace(INK, "var(--muted)")
    svg = re.sub(r"(font: [^;\"]*?px) [^;\"]+", r"\1 sans-serif", svg)
    return svg.replace("<svg", f'<svg role="img" aria-label="{escape(caption)}"', 1)
