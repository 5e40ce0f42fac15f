"""An evaluation as a table to read."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from holdstill.evaluate.eye_corners import SCALED_EYE_DISTANCE, EyeCornerTable

if TYPE_CHECKING:
    from holdstill.evaluate.evaluation import BeforeAfter, Evaluation

_NAME, _CELL = 40, 13


def as_text(found: Evaluation) -> str:
    """The evaluation as lines: what came of the rows, the figures before and after, the notes."""
    lines = [_counts(found), _solving(found)]
    lines += [line for line in (_speed(found.speed),) if line]
    figures = list(_figures(found))
    if figures:
        head = f"{'':<{_NAME}}{'before':>{_CELL}}{'after':>{_CELL}}{'change':>{_CELL}}"
        lines += ["", head, *figures, "", *_legend(found)]
    return "\n".join([*lines, *found.notes])


def _counts(found: Evaluation) -> str:
    counts = ", ".join(f"{count} {status}" for status, count in found.status.items())
    return f"{found.rows} frames: {counts}; {found.good} good"


def _solving(found: Evaluation) -> str:
    if math.isnan(found.iterations.mean):
        return "none was solved"
    text = f"iterations {found.iterations.mean:.1f} on average, {found.iterations.max:.0f} at most"
    text += f"; residual {found.residual.mean:.4f} on average"
    if not math.isnan(found.quality.median):
        text += (
            f"; quality {found.quality.median:.2f} in the middle, {found.quality.min:.2f} at least"
        )
    return text


def _speed(speed: dict[str, Any]) -> str:
    parts = []
    if "frames_per_second" in speed:
        parts.append(f"{speed['frames_per_second']:.1f} frames/s")
    if "peak_memory_mb" in speed:
        parts.append(f"{speed['peak_memory_mb']:.0f} MB at most")
    for stage, seconds in speed.get("seconds", {}).items():
        if isinstance(seconds, dict):
            within = ", ".join(f"{name} {value:.1f}" for name, value in seconds.items())
            parts[-1] += f" ({within} over all threads)" if within else ""
        else:
            parts.append(f"{stage} {seconds:.1f} s")
    return ", ".join(parts)


def _figures(found: Evaluation) -> Iterator[str]:
    eyes = found.eye_corners
    if eyes:
        yield _row("eye corners: mean error, px", eyes, lambda t: t.average.mean)
        yield _row("  standard deviation", eyes, lambda t: t.average.std)
        yield _row("  largest", eyes, lambda t: t.average.max)
        yield _row("  left eye, mean", eyes, lambda t: t.left.mean)
        yield _row("  right eye, mean", eyes, lambda t: t.right.mean)
    if found.jitter:
        of = "eye corners" if eyes else "transforms"
        yield _row(f"jitter of the {of}, canonical px", found.jitter, lambda j: j.rms)
        if not eyes:
            yield _row("  in the frame, px", found.jitter, lambda j: j.rms_in_frame)
    if found.variance:
        name = f"{os.path.basename(found.region)}: total variance / 1000"
        yield _row(name, found.variance, lambda v: v.total / 1000.0, 1)
        yield _row("  standard deviation a pixel", found.variance, lambda v: v.per_pixel, 2)
        assert found.variance.after is not None  # there is no before without an after
        components = len(found.variance.after.accumulated)
        name = f"  in the first {components} components, %"
        yield _share(name, found.variance, lambda v: v.share)
    if found.sharpness:
        mean = "mean face" if found.of_face else "mean picture"
        yield _row(f"{mean}: squared gradient", found.sharpness, lambda s: s.mean_image, 1)
        yield _share("  of that of its frames, %", found.sharpness, lambda s: s.kept)


def _row(
    name: str, pair: BeforeAfter[Any], value: Callable[[Any], float | None], digits: int = 3
) -> str:
    """A line of the table, with the relative change."""
    before, after = _known(pair, value)
    change = f"{100 * (after / before - 1):+.0f} %" if before and after is not None else ""
    return _line(name, before, after, change, digits)


def _share(name: str, pair: BeforeAfter[Any], value: Callable[[Any], float]) -> str:
    """A line of shares in percent, with the change in percentage points."""
    before, after = _known(pair, lambda side: 100.0 * value(side))
    change = "" if before is None or after is None else f"{after - before:+.1f} points"
    return _line(name, before, after, change, 1)


def _known(
    pair: BeforeAfter[Any], value: Callable[[Any], float | None]
) -> tuple[float | None, float | None]:
    found = pair.map(value)
    before, after = (None if v is None or math.isnan(v) else v for v in vars(found).values())
    return before, after


def _line(name: str, before: float | None, after: float | None, change: str, digits: int) -> str:
    cells = ["" if v is None else _number(v, digits) for v in (before, after)]
    return (f"{name:<{_NAME}}" + "".join(f"{cell:>{_CELL}}" for cell in (*cells, change))).rstrip()


def _number(value: float, digits: int) -> str:
    """With so many decimals; a smaller number, as floats from 0 to 1 have it, with three digits."""
    small = 1e-9 < abs(value) < 10.0 ** (1 - digits)  # what is smaller still is rounding
    return f"{value:.3g}" if small else f"{value:.{digits}f}"


def _legend(found: Evaluation) -> Iterator[str]:
    yield f"before: {found.before}; {found.compared} of {found.rows} frames compared"
    table = found.eye_corners.after
    if table is not None:
        height, width = table.shape
        yield (
            f"eye corners: {table.n_used} frames with points; at {SCALED_EYE_DISTANCE:.0f} px "
            f"between the outer ones ({table.eye_distance:.1f} of {height}x{width})"
        )
    if found.all_eye_corners is not None:
        yield _everything(found.all_eye_corners)
    if found.jitter.after is not None and found.jitter.after.step > 1:
        yield f"jitter: of every {found.jitter.after.step}th frame; other steps do not compare"
    if found.jitter and table is None:
        whose = "the head's" if found.of_face else "the thing's"
        yield f"jitter without points tells how smooth the motion is, {whose} own included"
    if found.pictures:
        thinned = "" if found.pictures == found.compared else ", evenly chosen"
        yield (
            f"variance and sharpness: {found.pictures} frames{thinned}; grey levels 0 to 255, "
            "those of floats as they are"
        )


def _everything(table: EyeCornerTable) -> str:
    error = table.average
    return (
        f"eye corners after, of all {table.n_used} frames with a transform, good or not: "
        f"mean {error.mean:.3f}, standard deviation {error.std:.3f}, largest {error.max:.2f}"
    )
