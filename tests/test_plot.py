"""Plots: what is drawn, not how it looks."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

import holdstill
from holdstill import align_batch, align_frame, evaluate_run, rasl, read_run
from holdstill.decomposition import decompose
from holdstill.evaluate import map_to_canonical, region_variance

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
pytest.importorskip("pyarrow")
pytest.importorskip("av")

from matplotlib import pyplot as plt  # noqa: E402

from holdstill import plot  # noqa: E402

CORNERS = (0, 1, 2, 3)


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def run(run_folder):
    return read_run(run_folder)


@pytest.fixture(scope="module")
def found(run, clip):
    return evaluate_run(run, points=clip.head.points(), eye_corners=CORNERS, region="eyes")


def line(ax, label):
    (drawn,) = [drawn for drawn in ax.get_lines() if drawn.get_label() == label]
    return drawn


def texts_of(ax):
    return [text.get_text() for text in ax.get_legend().get_texts()]


# --- transforms taken apart -----------------------------------------------------------------------


def test_transforms_are_put_together_again_from_their_parts():
    rng = np.random.default_rng(2)
    transforms = np.tile(np.eye(3), (20, 1, 1))
    transforms[:, :2, :2] = rng.normal(0, 0.3, (20, 2, 2)) + 1.7 * np.eye(2)
    transforms[:, :2, 2] = rng.uniform(0, 300, (20, 2))
    shape = (30, 51)
    parts = decompose(transforms, shape)
    centre = np.array([25.0, 14.5])
    for k, transform in enumerate(transforms):
        angle = np.radians(parts.rotation[k])
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        a, shear = parts.aspect[k], parts.shear[k]
        linear = parts.scale[k] * rotation @ [[a, shear], [0.0, 1.0 / a]]
        np.testing.assert_allclose(linear, transform[:2, :2], atol=1e-12)
        np.testing.assert_allclose(
            linear @ centre + transform[:2, 2], parts.translation[k], atol=1e-9
        )


def test_a_homography_is_taken_apart_at_its_centre():
    bent = np.array([[1.2, 0.1, 30.0], [-0.2, 0.9, 40.0], [2e-3, -1e-3, 0.7]])
    parts = decompose([bent], (41, 61))

    def place(x, y):
        u = bent @ [x, y, 1.0]
        return u[:2] / u[2]

    h = 1e-5
    linear = np.stack(
        [
            (place(30 + h, 20) - place(30 - h, 20)) / (2 * h),
            (place(30, 20 + h) - place(30, 20 - h)) / (2 * h),
        ],
        axis=1,
    )
    np.testing.assert_allclose(parts.translation[0], place(30, 20))
    assert parts.scale[0] == pytest.approx(np.sqrt(np.linalg.det(linear)))
    assert parts.rotation[0] == pytest.approx(np.degrees(np.arctan2(linear[1, 0], linear[0, 0])))


def test_what_is_lost_or_singular_has_no_parts():
    parts = decompose([np.full((3, 3), np.nan), np.diag([0.0, 1.0, 1.0]), np.eye(3)], (9, 9))
    assert np.isnan(parts.scale[:2]).all() and parts.scale[2] == 1.0
    with pytest.raises(ValueError, match="frame_from_canonical: expected shape"):
        decompose(np.eye(3), (9, 9))


# --- curves ---------------------------------------------------------------------------------------


def test_accumulated_variance_draws_the_shares_and_names_the_totals(found):
    ax = plot.accumulated_variance(found)
    before, after = ax.get_lines()
    np.testing.assert_allclose(after.get_ydata(), 100 * np.array(found.variance.after.accumulated))
    assert before.get_xdata().tolist() == list(range(1, 21))
    assert texts_of(ax)[1] == f"after, total {found.variance.after.total:.3g}"
    assert (ax.get_ylabel(), ax.get_title()) == ("accumulated variance (%)", "eyes")
    rng = np.random.default_rng(0)
    curves = {name: region_variance(rng.normal(size=(9, 5))) for name in "abc"}
    given = plt.figure().add_subplot()
    assert plot.accumulated_variance(curves, ax=given) is given
    assert [text[0] for text in texts_of(given)] == ["a", "b", "c"]


def test_the_scatter_holds_every_corner_of_every_good_frame(run, found, clip):
    axes = plot.eye_corner_scatter(run, clip.head.points(), eye_corners=CORNERS)
    assert [ax.get_title() for ax in axes] == [
        "outer left", "inner left", "inner right", "outer right"
    ]  # fmt: skip
    after = [ax.collections[1].get_offsets() for ax in axes]
    assert {len(points) for points in after} == {run.good.sum()}
    mean = np.mean([np.linalg.norm(points, axis=1).mean() for points in after])
    assert mean == pytest.approx(found.eye_corners.after.average.mean)
    mapped = map_to_canonical(run.frame_from_canonical[run.good], clip.head.points()[run.good])
    left = (mapped[:, 0] - mapped[:, 0].mean(axis=0)) * 100 / found.eye_corners.after.eye_distance
    np.testing.assert_allclose(after[0], left)
    assert axes[0].get_ylim()[0] > axes[0].get_ylim()[1]  # y down, as in the picture


def test_the_scatter_is_of_the_frames_that_the_table_is_of(run, clip, tmp_path):
    given = clip.initial.read_text().splitlines()
    (tmp_path / "some.csv").write_text("\n".join(given[:1] + given[60:]))
    some = dataclasses.replace(run, facts={**run.facts, "initial": str(tmp_path / "some.csv")})
    points = clip.head.points()
    found = evaluate_run(some, points=points, eye_corners=CORNERS, frames=False)
    assert 0 < found.compared < run.good.sum()
    axes = plot.eye_corner_scatter(some, points, eye_corners=CORNERS)
    for k, table in enumerate((found.eye_corners.before, found.eye_corners.after)):
        clouds = [ax.collections[k].get_offsets() for ax in axes]
        assert {len(cloud) for cloud in clouds} == {table.n_used} == {found.compared}
        mean = np.mean([np.linalg.norm(cloud, axis=1).mean() for cloud in clouds])
        assert mean == pytest.approx(table.average.mean)


def test_corners_in_one_place_have_no_scale_and_no_cloud():
    axes = plot.eye_corner_scatter(
        {"all": [np.eye(3)] * 5}, np.zeros((5, 4, 2)), eye_corners=CORNERS
    )
    assert not np.isfinite(axes[0].collections[0].get_offsets()).any()


def test_a_timeline_flags_the_frames_that_are_not_good(run, small_head):
    ax = plot.timeline(run, "quality")
    np.testing.assert_array_equal(line(ax, "quality").get_ydata(), run.rows["quality"])
    np.testing.assert_allclose(line(ax, "quality").get_xdata(), run.rows["time"])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "quality")
    frames = small_head.frames[:6].copy()
    frames[2] = np.random.default_rng(1).integers(0, 255, frames[2].shape)  # not a face
    frames[4] = 0
    batch = align_batch(frames, small_head.dictionary, small_head.initial[:6])
    assert np.flatnonzero(~batch.good).tolist() == [2, 4]
    ax = plot.timeline(batch)
    flagged = [drawn.get_xdata().tolist() for drawn in ax.get_lines()[1:]]
    assert sorted(np.concatenate(flagged)) == [2, 4]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("row", "residual ‖v − Ãx‖₂")


def test_a_timeline_of_an_evaluation_or_of_alignments(found, small_head):
    ax = plot.timeline(found, "jitter")
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), found.per_frame["jitter"])
    rows = [
        align_frame(frame, small_head.dictionary, initial)
        for frame, initial in zip(small_head.frames[:3], small_head.initial, strict=False)
    ]
    ax = plot.timeline(rows, "iterations")
    assert ax.get_lines()[0].get_ydata().tolist() == [row.iterations for row in rows]


def test_transforms_over_time(run):
    axes = plot.transforms(run)
    parts, before = decompose(run.frame_from_canonical, run.shape), run.before()[0]
    np.testing.assert_allclose(
        line(axes[0], "x after").get_ydata(), parts.translation[:, 0] - parts.translation[0, 0]
    )
    for ax, name in zip(axes[1:], ("rotation", "scale", "shear"), strict=True):
        np.testing.assert_allclose(line(ax, "after").get_ydata(), getattr(parts, name))
        expected = getattr(decompose(before, run.shape), name)
        np.testing.assert_allclose(line(ax, "before").get_ydata(), expected)
    assert "px" in axes[0].get_ylabel() and "°" in axes[1].get_ylabel()
    alone = plot.transforms(run.frame_from_canonical, shape=run.shape)
    assert len(alone[2].get_lines()) == 1


def test_curves_end_where_a_recording_does(run):
    twice = {name: np.concatenate([column, column]) for name, column in run.rows.items()}
    both, n = dataclasses.replace(run, rows=twice), len(run)
    before = np.tile(np.eye(3), (2 * n, 1, 1))
    curves = [plot.timeline(both, "residual").get_lines()[0]]
    for ax in plot.transforms(both, before=before):
        curves += ax.get_lines()
    assert len(curves) == 1 + 4 + 3 * 2
    for curve in curves:
        assert np.flatnonzero(np.isnan(curve.get_ydata())).tolist() == [n]
        assert (np.diff(curve.get_xdata()) >= 0).all()


def test_the_legend_of_the_translation_lies_above_the_curves(run):
    ax = plot.transforms(run)[0]
    ax.figure.canvas.draw()
    assert ax.get_legend().get_window_extent().y0 >= ax.get_window_extent().y1
    assert set(texts_of(ax)) == {"x before", "x after", "y before", "y after"}


def test_convergence_ends_where_the_alignment_does(small_head):
    arguments = small_head.frames[20], small_head.dictionary, small_head.initial[20]
    objective, step = plot.convergence(*arguments)
    found = align_frame(*arguments, levels=1, search=False)
    values, steps = (ax.get_lines()[0].get_ydata() for ax in (objective, step))
    assert (len(values), values[-1], steps[-1]) == (found.iterations, found.objective, found.step)
    assert values[-1] < values[0]
    assert min(steps[:-1]) > 1e-6 >= steps[-1]
    assert step.get_yscale() == "log"
    with pytest.raises(ValueError, match=r"frame: cannot be aligned .* singular"):
        plot.convergence(np.zeros((160, 200)), *arguments[1:])


# --- pictures -------------------------------------------------------------------------------------


def picture(ax):
    return np.asarray(ax.get_images()[0].get_array())


def test_atoms_are_cropped_to_their_region(run, small_head):
    dictionary = run.dictionary()
    axes = plot.dictionary_atoms(dictionary)
    strength = np.hypot(*dictionary.atom_images()[0])
    ys, xs = np.nonzero(dictionary.mask)
    box = slice(ys.min(), ys.max() + 1), slice(xs.min(), xs.max() + 1)
    np.testing.assert_allclose(picture(axes[0]), strength[box])
    assert len(axes) == dictionary.n_atoms
    grey = plot.dictionary_atoms(small_head.dictionary, n=1)
    np.testing.assert_array_equal(picture(grey[0]), small_head.dictionary.atom_images()[0])


def test_mean_images_say_how_sharp_they_are(found):
    axes = plot.mean_images(found)
    np.testing.assert_array_equal(picture(axes[1]), found.mean_image.after)
    assert f"{100 * found.sharpness.after.kept:.0f} %" in axes[1].get_title()


@pytest.mark.parametrize(
    ("brightest", "white"), [(200.0, 255.0), (0.8, 1.0), (14.0, 14.0), (900.0,) * 2]
)
def test_mean_images_share_a_white_that_fits_their_levels(found, brightest, white):
    ramp = np.linspace(0, brightest, 64, dtype=np.float32).reshape(8, 8)
    means = dataclasses.replace(found.mean_image, before=ramp / 2, after=ramp)
    for ax in plot.mean_images(dataclasses.replace(found, mean_image=means)):
        assert ax.get_images()[0].get_clim() == (0, pytest.approx(white))


def test_a_montage_shows_the_frame_before_and_after(run, clip):
    extra = {"mine": [np.full((32, 32), 9, np.uint8)] * 2}
    axes = plot.montage(run, [3, 200], extra=extra)
    assert axes.shape == (4, 2)
    assert [ax.get_ylabel() for ax in axes[:, 0]] == [
        "input", "initial transforms", "aligned", "mine"
    ]  # fmt: skip
    assert [ax.get_title() for ax in axes[0]] == ["3", "200"]
    with run.open_frames() as frames:
        image = frames[200].image
    np.testing.assert_array_equal(picture(axes[0, 1]), image)
    seen = holdstill.warp(image, run.frame_from_canonical[200], run.shape)
    np.testing.assert_array_equal(picture(axes[2, 1]), seen)
    assert plot.montage(run, n=5).shape == (3, 5)


def test_rasls_parts_add_up(small_head):
    frames, initial = small_head.frames[:6], small_head.initial[:6]
    options = {"shape": (64, 64), "motion": "similarity"}
    result = rasl(frames, initial, **options, max_iterations=2)
    axes = plot.decomposition(result, frames, shape=(64, 64), initial=initial, n=3)
    assert axes.shape == (4, 3)
    names = [ax.get_ylabel() for ax in axes[:, 0]]
    assert names == ["input", "aligned", "low rank", "error × 4"]
    aligned, low_rank, error = (picture(ax) for ax in axes[1:, 0])
    top = result.vectors[:, 0].max()
    inside = (error < 1) & (low_rank > 0) & (low_rank < 1)
    assert inside.mean() > 0.5
    left = np.abs(aligned - low_rank)[inside] - error[inside] / 4
    # D = A + E to the accuracy of the inner solver.
    assert np.abs(left).max() < 1e-3 / top * np.linalg.norm(result.vectors[:, 0])
    with pytest.raises(ValueError, match="images: expected the 6 of the result, got 5"):
        plot.decomposition(result, frames[:5], shape=(64, 64))
    with pytest.raises(ValueError, match="shape, features, roi"):
        plot.decomposition(result, frames, shape=(64, 64), roi="eyes")


# --- what all have --------------------------------------------------------------------------------


def test_figures_have_no_background_and_labels_of_middling_lightness(found):
    ax = plot.accumulated_variance(found)
    assert ax.figure.get_facecolor()[3] == 0.0 and ax.get_facecolor()[3] == 0.0
    for text in (ax.xaxis.label, ax.yaxis.label, ax.title):
        levels = np.array(matplotlib.colors.to_rgb(text.get_color()))
        lightness = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        luminance = lightness @ [0.2126, 0.7152, 0.0722]
        assert 1.05 / (luminance + 0.05) > 3.0  # on white, as WCAG measures contrast
        assert (luminance + 0.05) / 0.05 > 3.0  # on black


def test_wrong_results_are_named(run, run_folder):
    bare = evaluate_run(run_folder, frames=False)
    for call, message in (
        (lambda: plot.timeline(run, "mood"), "column: expected one of residual, quality"),
        (lambda: plot.timeline(run, "jitter"), "column: expected one of residual"),
        (lambda: plot.accumulated_variance(bare), "evaluated without frames"),
        (lambda: plot.mean_images(bare), "evaluated without frames"),
        (lambda: plot.transforms(run.frame_from_canonical), "shape: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="results: expected a Run"):
        plot.timeline(7)
    with pytest.raises(TypeError, match="an Evaluation has no transforms"):
        plot.transforms(bare, shape=(32, 32))
    with pytest.raises(IndexError, match="rows: expected some from 0 to"):
        plot.montage(run, [99999])
    with pytest.raises(ValueError, match="extra: expected 1 pictures for 'x', got 2"):
        plot.montage(run, [0], extra={"x": [np.zeros((2, 2))] * 2})


def test_without_matplotlib_the_command_that_installs_it_is_named():
    code = (
        "import sys; sys.modules['matplotlib'] = None\n"
        "try:\n    import holdstill.plot\nexcept ImportError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == 'holdstill.plot needs matplotlib: pip install "holdstill[plot]"'


def test_pictures_of_nothing_are_refused(run, run_folder):
    with pytest.raises(ValueError, match=r"^n: expected"):
        plot.montage(run, n=0)
    with pytest.raises(TypeError, match="dictionary: expected a Dictionary"):
        plot.dictionary_atoms(run_folder / "dictionary.npz")
