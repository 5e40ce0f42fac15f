"""Plots of a talking head: its pose, its movement, its mouth."""

from __future__ import annotations

import numpy as np
import pytest
from runs import write_run

from holdstill import fit, replace_mouth, warp
from holdstill.motion import PARAMETERS, compose
from holdstill.motion.spectra import autocorrelations, equal_pieces, power_spectra
from holdstill.synthetic import TalkingHead
from holdstill.talking import MouthSpace, choose_mouths

matplotlib = pytest.importorskip("matplotlib")
matplotlib.use("Agg")
pytest.importorskip("pyarrow")
pytest.importorskip("av")

from matplotlib import pyplot as plt  # noqa: E402
from report_runs import columns_of, run_of  # noqa: E402

from holdstill import plot, read_run  # noqa: E402

FPS, SHAPE = 25.0, (60, 80)
N = 12


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def line(ax, label):
    (drawn,) = [drawn for drawn in ax.get_lines() if drawn.get_label() == label]
    return drawn


def swaying(n, hertz=3.125):
    """A similarity that shifts along x by 5 px and turns by 2 degrees at `hertz`."""
    wave = np.sin(2 * np.pi * hertz * np.arange(n) / FPS)
    values = np.tile([300.0, 200.0, 0.0, -0.2], (n, 1))
    values[:, 0] += 5.0 * wave
    values[:, 2] += np.radians(2.0) * wave
    return compose(values, shape=SHAPE)


# --- how fast -------------------------------------------------------------------------------------


def test_a_spectrum_holds_the_variance_at_its_frequency():
    wave = 3.0 * np.sin(2 * np.pi * 3.125 * np.arange(256) / FPS)  # 16 periods in a window of 128
    noise = np.random.default_rng(0).normal(size=(400, 256))
    at, density = power_spectra(wave.reshape(1, -1, 1), FPS)
    assert at[density[0, :, 0].argmax()] == pytest.approx(3.125)
    step = at[1] - at[0]
    assert density[0, :, 0].sum() * step == pytest.approx(4.5, rel=0.01)  # Parseval
    at, density = power_spectra(noise[..., None], FPS)
    assert at[-1] == FPS / 2
    # White: evenly over the band.
    np.testing.assert_allclose(density[:, 1:-1].mean(axis=(0, 2)), 2.0 / FPS, rtol=0.15)


def test_the_autocorrelation_of_a_known_process():
    rng = np.random.default_rng(1)
    values = np.zeros((60, 3100))
    for t in range(1, 3100):
        values[:, t] = 0.8 * values[:, t - 1] + rng.normal(size=60)
    lags, found = autocorrelations(values[:, 100:, None], FPS)
    np.testing.assert_allclose(lags[:3], [0.0, 0.04, 0.08])
    np.testing.assert_allclose(found.mean(axis=0)[:6, 0], 0.8 ** np.arange(6), atol=0.03)
    assert np.isnan(autocorrelations(np.full((1, 20, 1), 7.3), FPS)[1]).all()


def test_pieces_keep_the_order_and_drop_what_is_left():
    rows = np.arange(11.0)[:, None]
    pieces = equal_pieces([rows[:7], rows[7:]], 3)
    assert pieces[..., 0].tolist() == [[0, 1, 2], [3, 4, 5], [7, 8, 9]]


# --- the head -------------------------------------------------------------------------------------


def test_head_movement_shows_what_moves_in_its_units():
    recorded = swaying(50)
    recorded[20:23] = np.nan
    drawn = swaying(500, hertz=1.0)
    axes = plot.head_movement(recorded, drawn, fps=FPS, shape=SHAPE)
    assert [ax.get_ylabel() for ax in axes] == ["x (px)", "rotation (°)"]
    shown = line(axes[0], "recorded")
    x = 300.0 + 5.0 * np.sin(2 * np.pi * 3.125 * np.arange(50) / FPS)
    np.testing.assert_allclose(shown.get_ydata()[:20], x[:20])
    assert np.isnan(shown.get_ydata()[20])  # one gap, however many frames it has
    np.testing.assert_allclose(shown.get_ydata()[21:], x[23:])
    assert shown.get_xdata()[10] == pytest.approx(0.4)
    assert np.nanmax(line(axes[1], "recorded").get_ydata()) == pytest.approx(2.0, rel=0.01)
    assert len(line(axes[0], "drawn").get_ydata()) == 48
    alone = plot.head_movement(recorded, shape=SHAPE)
    assert alone[-1].get_xlabel() == "good frames"
    assert [text.get_label() for text in alone[0].get_lines()] == ["recorded"]


def test_turns_near_half_a_turn_are_one_movement():
    turned = compose([[9.0, 9.0, np.pi + a, 0.0] for a in (-0.1, 0.1, -0.05)], shape=SHAPE)
    turned = np.concatenate([turned, turned])
    (ax,) = plot.head_movement(turned, fps=FPS, shape=SHAPE)
    assert np.ptp(line(ax, "recorded").get_ydata()) == pytest.approx(np.degrees(0.2))


def test_head_spectra_compare_pieces_of_equal_length():
    recorded = [swaying(128), swaying(128), swaying(40)]
    axes = plot.head_spectra(recorded, swaying(1500, hertz=6.25), fps=FPS, shape=SHAPE)
    assert axes.shape == (2, 2)
    assert [ax.get_title() for ax in axes[0]] == ["x", "rotation"]
    for label, hertz in (("recorded", 3.125), ("drawn", 6.25)):
        peak = line(axes[0, 0], label)
        assert peak.get_xdata()[peak.get_ydata().argmax()] == pytest.approx(hertz)
        wave = line(axes[1, 0], label)
        # A sine comes back after its period, a little weaker: the pieces end.
        period = np.flatnonzero(np.isclose(wave.get_xdata(), round(FPS / hertz) / FPS))[0]
        assert wave.get_ydata()[period] > 0.85
    with pytest.raises(ValueError, match="recorded: expected a head that moves"):
        plot.head_spectra(np.tile(np.eye(3), (50, 1, 1)), fps=FPS, shape=SHAPE)
    plot.head_spectra(recorded, np.tile(np.eye(3), (150, 1, 1)), fps=FPS, shape=SHAPE)
    with pytest.raises(ValueError, match="drawn: expected at least 128 frames"):
        plot.head_spectra(recorded, swaying(100), fps=FPS, shape=SHAPE)
    with pytest.raises(ValueError, match="fps: expected frames per second"):
        plot.head_spectra(recorded, shape=SHAPE)
    with pytest.raises(ValueError, match="a stretch of two good frames"):
        plot.head_spectra(swaying(1), fps=FPS, shape=SHAPE)


def test_head_pose_draws_the_angles_of_the_rows(tmp_path):
    n = 20
    angles = {"yaw": np.linspace(-20, 20, n), "pitch": np.full(n, 5.0), "roll": np.zeros(n)}
    angles["yaw"][4] = np.nan
    run = read_run(run_of(tmp_path / "with", columns_of("a.npy", n, **angles), {}))
    ax = plot.head_pose(run)
    for name, values in angles.items():
        np.testing.assert_array_equal(line(ax, name).get_ydata(), values)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time (s)", "head pose (°)")
    without = read_run(run_of(tmp_path / "without", columns_of("a.npy", n), {}))
    with pytest.raises(ValueError, match="run: has no yaw, pitch, roll"):
        plot.head_pose(without)


# --- the mouth ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def talking(tmp_path_factory):
    """A run with true transforms, and its frames."""
    folder = tmp_path_factory.mktemp("talking")
    head = TalkingHead(N, size=(160, 200), shape=(64, 64), occlusion=False)
    frames = np.stack(list(head))
    np.save(folder / "frames.npy", frames)
    dictionary = fit(frames, head.initial(), n=6, shape=(64, 64), motion="similarity")
    quality = [0.9] * N
    quality[3] = 0.2
    run = write_run(
        folder / "run",
        list(head.frame_from_canonical),
        dictionary,
        source=folder / "frames.npy",
        quality=quality,
    )
    return run, frames


def picture(ax):
    return np.asarray(ax.get_images()[0].get_array())


def test_a_mouth_montage_ends_with_the_aligned_face_and_its_lips(talking):
    run, frames = talking
    replacement = replace_mouth(frames, run, "6:9")
    axes = plot.mouth_montage(run, replacement, [1, 3, 5])
    names = [ax.get_ylabel() for ax in axes[:, 0]]
    assert names == ["input", "fixed crop", "aligned", "mouth replaced"]
    made = dict(enumerate(picture for _, picture in replacement))
    for column, row in enumerate([1, 3, 5]):
        expected = warp(made[row], run.frame_from_canonical[row], run.shape)
        np.testing.assert_array_equal(picture(axes[3, column]), expected)
        differs = (picture(axes[2, column]) != picture(axes[3, column])).any()
        assert differs == (row != 3)  # which is not good, and keeps its lips
    assert [ax.get_xlabel() for ax in axes[3]] == ["lips of 7", "", "lips of 8"]
    some = [int(ax.get_title()) for ax in plot.mouth_montage(run, replacement, n=11)[0]]
    assert some == [row for row in range(N) if row != 3]
    with pytest.raises(ValueError, match=f"replacement: expected one of this run's {N} rows"):
        plot.mouth_montage(run, [None] * 5)


def test_a_mouth_path_is_drawn_beside_what_was_wanted(talking):
    run, frames = talking
    space = MouthSpace.fit(frames, run, components=5)
    path = space.scores[[8, 9, 10, 4, 5, 0]] + 0.5
    chosen = choose_mouths(path, space.scores)
    axes = plot.mouth_path(space, path, chosen)
    assert len(axes) == 1 + 4
    np.testing.assert_array_equal(line(axes[0], "wanted").get_xydata(), path[:, :2])
    np.testing.assert_array_equal(line(axes[0], "chosen").get_xydata(), space.scores[chosen][:, :2])
    for j in range(4):
        np.testing.assert_array_equal(line(axes[1 + j], "wanted").get_ydata(), path[:, j])
        np.testing.assert_array_equal(
            line(axes[1 + j], "chosen").get_ydata(), space.scores[chosen, j]
        )
    three = plot.mouth_path(space, path, [8, 9, 10, 4, 5, 0])
    assert three[1].get_title() == "in 3 pieces"
    cuts = [cut.get_xdata()[0] for cut in three[1].get_lines() if len(cut.get_xdata()) == 2]
    assert cuts == [2.5, 4.5]
    assert len(plot.mouth_path(space, path[:, :1], chosen)) == 1
    for wrong, rows, message in (
        (path[0], chosen, "path: expected shape"),
        (np.zeros((6, 9)), chosen, "k up to 5"),
        (path, chosen[:5], "chosen: expected 6 rows"),
        (path, np.zeros(6), "chosen: expected 6 rows, got float64"),
        (path, [0, 1, 2, 3, 4, 5], "chosen: expected rows with a mouth"),
        (path, [0, 1, 2, 99, 4, 5], "chosen: expected rows with a mouth"),
    ):
        with pytest.raises(ValueError, match=message):
            plot.mouth_path(space, wrong, rows)


def test_every_parameter_of_an_affine_movement_has_its_axes():
    values = np.random.default_rng(0).normal(0.0, 0.01, (30, 6))
    axes = plot.head_movement(compose(values, shape=SHAPE), fps=FPS, shape=SHAPE)
    assert len(axes) == len(PARAMETERS)
