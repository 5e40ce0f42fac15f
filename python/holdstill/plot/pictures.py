"""Plots of pictures: atoms, means, montages, the parts that RASL finds."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray
from holdstill.alignment import warp
from holdstill.canonical import roi_mask
from holdstill.checks import integer
from holdstill.dictionary import Dictionary, expect_dictionary
from holdstill.evaluate import Evaluation
from holdstill.learning.rasl import RaslResult
from holdstill.pictures import as_rgb8, canonical_picture, white_of_floats, white_of_means
from holdstill.plot.style import INK, grid_of_axes, name_rows, show_picture
from holdstill.reference.warp import n_planes
from holdstill.run_folder import Run


def dictionary_atoms(dictionary: Dictionary, *, n: int | None = None) -> npt.NDArray[Any]:
    """The atoms of a dictionary as pictures, cropped to its region of interest.

    Parameters
    ----------
    dictionary : Dictionary
    n : int, optional
        How many; all by default.

    Returns
    -------
    ndarray of matplotlib Axes, shape (n,)
        Grey levels and magnitudes from black; of edges their strength √(E_x² + E_y²).
    """
    expect_dictionary(dictionary)
    pictures = dictionary.atom_images()[: None if n is None else integer("n", n)]
    if pictures.ndim == 4:
        pictures = np.hypot(pictures[:, 0], pictures[:, 1])
    box = _bounding_box(dictionary.mask)
    shown = [picture[box] for picture in pictures]
    rows = -(-len(shown) // 6)
    columns = -(-len(shown) // rows)
    height, width = shown[0].shape
    _, grid = grid_of_axes(rows, columns, (1.6 * columns, 1.6 * rows * height / width + 0.3 * rows))
    axes = grid.ravel()
    for k, (ax, picture) in enumerate(zip(axes, shown, strict=False)):
        show_picture(ax, picture, title=f"{k + 1}")
    for ax in axes[len(shown) :]:
        ax.remove()
    return np.asarray(axes[: len(shown)])


def mean_images(found: Evaluation) -> npt.NDArray[Any]:
    """The mean of the frames before and after alignment: what moves is blurred.

    Parameters
    ----------
    found : Evaluation

    Returns
    -------
    ndarray of matplotlib Axes, shape (1,) or (2,)

    Raises
    ------
    ValueError
        If the evaluation did not look at the frames.
    """
    sides = {
        name: (getattr(found.mean_image, name), getattr(found.sharpness, name))
        for name in ("before", "after")
        if getattr(found.mean_image, name) is not None
    }
    if not sides:
        raise ValueError("found: has no mean images; was the run evaluated without frames?")
    white = white_of_means(*(picture for picture, _ in sides.values()))
    _, grid = grid_of_axes(1, len(sides), (3.0 * len(sides), 3.3))
    for ax, (name, (picture, sharpness)) in zip(grid[0], sides.items(), strict=True):
        title = f"{name}: {100 * sharpness.kept:.0f} % of the sharpness kept"
        show_picture(ax, picture, title=title, vmin=0, vmax=white)
        ax.title.set_fontsize("small")
    return np.asarray(grid[0])


def montage(
    run: Run,
    rows: Sequence[int] | None = None,
    *,
    n: int = 8,
    extra: Mapping[str, Sequence[npt.ArrayLike]] | None = None,
) -> npt.NDArray[Any]:
    """Frames of a run before and after alignment, side by side (paper A, Fig. 2).

    Parameters
    ----------
    run : Run
        Its sources must still be there.
    rows : sequence of int, optional
        Rows to show; by default `n` of the good ones, evenly chosen.
    n : int
        How many, where no rows are given.
    extra : mapping of str to sequence of pictures, optional
        Further rows of pictures below by their names, one for each row shown.

    Returns
    -------
    ndarray of matplotlib Axes
        A row for the whole frames, one before (where that is known), one after, and those of
        `extra`.

    Raises
    ------
    ValueError, IndexError
        If no row is good, a row does not exist, or `extra` has another number of pictures.
    OSError
        If a source has gone.
    """
    chosen = chosen_rows(run, rows, n, run.good)
    before, what = run.before()
    what = what.removeprefix("the ").removeprefix("a ")
    names = ["input", *([what] if np.isfinite(before[chosen]).any() else []), "aligned"]
    strips: dict[str, list[Any]] = {name: [] for name in names}
    with run.open_frames() as frames:
        for row in chosen:
            frame = frames[int(run.position[row])]
            image = np.zeros((*run.shape, 3), np.uint8) if frame.image is None else frame.image
            strips["input"].append(as_rgb8(image))
            for name, matrices in ((what, before), ("aligned", run.frame_from_canonical)):
                if name in strips:
                    strips[name].append(canonical_picture(frame, matrices[row], run.shape))
    for name, pictures in (extra or {}).items():
        if len(pictures) != len(chosen):
            raise ValueError(
                f"extra: expected {len(chosen)} pictures for {name!r}, got {len(pictures)}"
            )
        strips[name] = [as_rgb8(np.asarray(picture)) for picture in pictures]
    titles = [f"{run.rows['frame'][row]}" for row in chosen]
    return _strips(strips, titles)


def decomposition(
    result: RaslResult,
    images: Sequence[npt.ArrayLike] | npt.NDArray[Any],
    *,
    shape: tuple[int, int],
    features: str = "grey",
    roi: str | os.PathLike[str] | npt.ArrayLike | None = None,
    initial: npt.ArrayLike | None = None,
    rows: Sequence[int] | None = None,
    n: int = 8,
) -> npt.NDArray[Any]:
    """What RASL makes of images: input, aligned, low rank, error.

    Parameters
    ----------
    result : RaslResult
        Of :func:`holdstill.rasl` with the same `shape`, `features` and `roi`.
    images : sequence of array_like (H, W), or array (n, H, W)
        Those it was given.
    shape, features, roi
        As in :func:`holdstill.rasl`.
    initial : array_like, shape (n, 3, 3), optional
        Initial transforms: the input is shown through them; else as it is.
    rows : sequence of int, optional
        Images to show; by default `n`, evenly chosen.
    n : int
        How many, where no rows are given.

    Returns
    -------
    ndarray of matplotlib Axes, shape (4, n)
        The low-rank part in the units of the aligned image; of the error its magnitude, four times
        as bright. Of edges, their strength.

    Raises
    ------
    ValueError
        If the arrays do not fit.
    """
    count = result.vectors.shape[1]
    if len(images) != count:
        raise ValueError(f"images: expected the {count} of the result, got {len(images)}")
    mask = np.asarray(roi_mask(roi, shape) > 0)
    planes = n_planes(features)
    if result.vectors.shape[0] != planes * int(mask.sum()):
        raise ValueError(
            f"shape, features, roi: of {planes * int(mask.sum())} entries, but the result's "
            f"vectors have {result.vectors.shape[0]}"
        )
    if rows is None:
        rows = np.linspace(0, count - 1, min(n, count)).round().astype(int).tolist()
    starts = None if initial is None else np.asarray(initial, dtype=np.float64)
    strips: dict[str, list[Any]] = {"input": [], "aligned": [], "low rank": [], "error": []}
    for k in rows:
        image = np.asarray(images[k])
        strips["input"].append(image if starts is None else warp(image, starts[k], shape))
        aligned = _as_picture(result.vectors[:, k], mask, planes)
        top = np.nanmax(np.abs(aligned))
        for name, vector, gain in (
            ("aligned", result.vectors, 1.0),
            ("low rank", result.low_rank, 1.0),
            ("error", np.abs(result.sparse), 4.0),
        ):
            picture = _as_picture(vector[:, k], mask, planes)
            strips[name].append(np.clip(gain * picture / top, 0.0, 1.0))
    strips["error × 4"] = strips.pop("error")
    return _strips(strips, [f"{k}" for k in rows])


def _as_picture(vector: FloatArray, mask: npt.NDArray[np.bool_], planes: int) -> FloatArray:
    """A feature vector on its pixels, NaN outside of the region; of edges the strength."""
    picture = np.full(mask.shape, np.nan)
    picture[mask] = np.linalg.norm(vector.reshape(planes, -1), axis=0) if planes > 1 else vector
    return picture[_bounding_box(mask)]


def _strips(strips: Mapping[str, Sequence[Any]], titles: Sequence[str]) -> npt.NDArray[Any]:
    """Rows of pictures with their names at the left, and titles above."""
    tallest = [max(p.shape[0] / p.shape[1] for p in pictures) for pictures in strips.values()]
    width = 1.35
    _, axes = grid_of_axes(
        len(strips), len(titles), (width * len(titles) + 0.4, width * sum(tallest) + 0.4),
        gridspec_kw={"height_ratios": tallest},
    )  # fmt: skip
    for line, pictures in zip(axes, strips.values(), strict=True):
        for ax, picture in zip(line, pictures, strict=True):
            options: dict[str, Any] = (
                {"vmin": 0.0, "vmax": white_of_floats(picture)} if picture.dtype.kind == "f" else {}
            )
            show_picture(ax, picture, **options)
    for ax, title in zip(axes[0], titles, strict=True):
        ax.set_title(title, color=INK, fontsize="small")
    name_rows(axes, list(strips))
    return np.asarray(axes)


def chosen_rows(
    run: Run, rows: Sequence[int] | None, n: int, usable: npt.NDArray[np.bool_]
) -> list[int]:
    """The rows to show: those given, else `n` of the usable ones, evenly chosen."""
    if rows is None:
        some = np.flatnonzero(usable)
        if not len(some):
            raise ValueError("run: has no good frame to show; choose rows")
        evenly = np.linspace(0, len(some) - 1, min(integer("n", n), len(some))).round().astype(int)
        return [int(row) for row in some[evenly]]
    chosen = [int(row) for row in rows]
    if not chosen or not all(0 <= row < len(run) for row in chosen):
        raise IndexError(f"rows: expected some from 0 to {len(run) - 1}, got {chosen}")
    return chosen


def _bounding_box(mask: npt.NDArray[np.bool_]) -> tuple[slice, slice]:
    ys, xs = np.nonzero(mask)
    return slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)
