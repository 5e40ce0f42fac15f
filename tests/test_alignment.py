"""One by one: against the synthetic head's truth, and the same on every way through the API."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from conftest import SmallHead
from scipy.ndimage import map_coordinates

from holdstill import Dictionary, align, align_batch, align_frame, warp
from holdstill.evaluate import eye_corner_table
from holdstill.threads import run_in_order


def corner_error(small: SmallHead, transforms: np.ndarray) -> float:
    return eye_corner_table(transforms, small.head.points(), (0, 1, 2, 3), (64, 64)).average.mean


def test_true_eye_corners_come_to_rest(small_head: SmallHead) -> None:
    found = list(align(small_head.frames, small_head.dictionary, small_head.initial))
    assert [a.status for a in found] == ["converged"] * 24
    after = corner_error(small_head, np.stack([a.frame_from_canonical for a in found]))
    # Similarity cannot follow the head's shear: its own best fit leaves 0.3 px.
    assert after < 0.35 * corner_error(small_head, small_head.initial)


def test_every_frame_is_certified(small_head: SmallHead) -> None:
    aligned = list(align(small_head.frames, small_head.dictionary, small_head.initial))
    assert len(aligned) == len(small_head.frames)
    for found in aligned:
        assert 0.0 <= found.gap <= 1e-9 * found.objective
        x = found.coefficients
        objective = 0.5 * found.residual**2 + 1e-3 * np.abs(x).sum()
        assert found.objective == pytest.approx(objective, rel=1e-12)
        assert found.n_atoms == np.count_nonzero(x) > 0
        assert found.step <= 1e-6


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_stream_batch_and_single_frames_agree_to_the_last_bit(
    small_head: SmallHead, threads: int
) -> None:
    frames, dictionary, initial = small_head.frames, small_head.dictionary, small_head.initial
    batch = align_batch(frames, dictionary, initial, threads=threads)
    stream = list(align(frames, dictionary, initial, threads=threads))
    assert [a.frame for a in stream] == list(range(24))
    for i, found in enumerate(stream):
        alone = align_frame(frames[i], dictionary, initial[i])
        assert alone.frame_from_canonical is not None
        for other in (alone.frame_from_canonical, batch.frame_from_canonical[i]):
            assert np.array_equal(found.frame_from_canonical, other)
        assert np.array_equal(found.coefficients, batch.coefficients[i])
        assert found.status == batch.status[i]
        assert found.residual == batch.residual[i]


def test_bad_frames_get_a_status_and_lose_no_other(small_head: SmallHead) -> None:
    frames = small_head.frames.astype(np.float32)
    initial = small_head.initial.copy()
    frames[1] = 0.0
    frames[2, 0, 0] = np.nan
    frames[3, 7, 7] = np.inf
    initial[4] = np.nan
    initial[5, :2, 2] += 5000.0
    initial[6, :2, :2] = 0.0
    found = list(align(frames, small_head.dictionary, initial))
    assert [a.status for a in found[:8]] == [
        "converged", "singular", "unreadable", "unreadable", "not_found", "out_of_frame",
        "singular", "converged",
    ]  # fmt: skip
    assert all(a.converged for a in found[7:])
    assert found[4].frame_from_canonical is None


def test_where_nothing_was_solved_a_batch_knows_as_little_as_a_single_frame(
    small_head: SmallHead,
) -> None:
    frames, initial = small_head.frames[:3].copy(), small_head.initial[:3].copy()
    frames[1] = 0
    initial[2, :2, 2] += 5000.0
    batch = align_batch(frames, small_head.dictionary, initial)
    assert batch.status.tolist() == ["converged", "singular", "out_of_frame"]
    black = align_frame(frames[1], small_head.dictionary, initial[1])
    for name in ("residual", "step", "gap", "objective"):
        assert np.isnan(getattr(batch, name)).tolist() == [False, True, True]
        assert np.isnan(getattr(black, name))


def test_a_cap_that_is_reached_is_not_called_converged(small_head: SmallHead) -> None:
    found = align_frame(
        small_head.frames[0], small_head.dictionary, small_head.initial[0], max_iterations=2
    )
    assert (found.status, found.iterations) == ("max_iterations", 2)


def test_colour_is_aligned_as_its_grey(small_head: SmallHead) -> None:
    grey = small_head.frames[5]
    colour = np.repeat(grey[:, :, None], 3, axis=2)
    a = align_frame(grey, small_head.dictionary, small_head.initial[5])
    b = align_frame(colour, small_head.dictionary, small_head.initial[5])
    np.testing.assert_allclose(a.frame_from_canonical, b.frame_from_canonical, atol=1e-3)


def test_brightness_and_contrast_scale_do_not_matter(small_head: SmallHead) -> None:
    frame = small_head.frames[9].astype(np.float32)
    a = align_frame(frame, small_head.dictionary, small_head.initial[9])
    b = align_frame(frame * 37.5, small_head.dictionary, small_head.initial[9])
    np.testing.assert_allclose(a.frame_from_canonical, b.frame_from_canonical, atol=1e-4)


def test_a_mirrored_recording_is_aligned_like_the_original(small_head: SmallHead) -> None:
    # A front camera's mirror image: only a transform that mirrors shows the face as it is.
    settings = small_head.dictionary
    affine = Dictionary(settings.atoms, shape=settings.shape, motion="affine", roi=settings.mask)
    frame, initial = small_head.frames[5], small_head.initial[5]
    flip = np.array([[-1.0, 0.0, frame.shape[1] - 1.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    found = align_frame(frame, affine, initial)
    mirrored = align_frame(frame[:, ::-1], affine, flip @ initial)
    assert found.status == mirrored.status == "converged"
    np.testing.assert_allclose(
        flip @ mirrored.frame_from_canonical, found.frame_from_canonical, atol=1e-3
    )


def test_closing_the_iterator_stops_the_work(small_head: SmallHead) -> None:
    seen: list[int] = []
    results = align(
        small_head.frames,
        small_head.dictionary,
        small_head.initial,
        threads=1,
        progress=lambda done, total: seen.append(done),
    )
    next(results)
    results.close()  # type: ignore[attr-defined]
    assert seen == [1]


def test_progress_counts_every_frame(small_head: SmallHead) -> None:
    seen: list[tuple[int, int]] = []
    for _ in align(
        small_head.frames,
        small_head.dictionary,
        small_head.initial,
        progress=lambda *counts: seen.append(counts),
    ):
        pass
    assert seen == [(i, 24) for i in range(1, 25)]


@pytest.mark.parametrize(
    ("keywords", "error", "message"),
    [
        ({"mu": -1.0}, ValueError, "mu: expected"),
        ({"tolerance": 0.0}, ValueError, "tolerance: expected"),
        ({"mu": "small"}, ValueError, "mu: expected"),
        ({"tolerance": None}, ValueError, "tolerance: expected"),
        ({"max_iterations": 0}, ValueError, "max_iterations: expected"),
        ({"max_iterations": 2.5}, ValueError, "max_iterations: expected"),
        ({"loss": "cubic"}, ValueError, "loss: expected one of l2, huber"),
        ({"levels": 1.5}, ValueError, "levels: expected 1 to 3"),
        ({"threads": 0}, ValueError, "threads: expected"),
        ({"initial": np.zeros((23, 3, 3))}, ValueError, "initial: expected one transform for each"),
        ({"initial": 5}, ValueError, "initial"),
        ({"tollerance": 1.0}, TypeError, "tollerance"),
    ],
)
def test_wrong_arguments_are_named(
    small_head: SmallHead, keywords: dict[str, object], error: type[Exception], message: str
) -> None:
    given = {"initial": small_head.initial, **keywords}
    with pytest.raises(error, match=message):
        list(align(small_head.frames, small_head.dictionary, **given))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frame", "initial", "message"),
    [
        (np.zeros((4, 4, 2), np.uint8), np.eye(3), "image|frame|grey|colour"),
        (np.zeros((4, 4), complex), np.eye(3), "frame|image|dtype"),
        (np.zeros((4, 4), np.uint8), np.eye(2), "initial: expected a 3x3"),
        (np.zeros((4, 4), np.uint8), np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 1]]), "shears"),
    ],
)
def test_wrong_frames_are_named(
    small_head: SmallHead, frame: np.ndarray, initial: np.ndarray, message: str
) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        align_frame(frame, small_head.dictionary, initial)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.float64])
def test_warp_agrees_with_scipy(dtype: type[np.generic]) -> None:
    random = np.random.default_rng(0)
    picture = (random.random((40, 50, 3)) * 250).astype(dtype)
    transform = np.array([[1.1, -0.2, 6.3], [0.15, 0.9, 4.7], [1e-4, -2e-4, 1.0]])
    v, u = np.mgrid[:30, :35]
    at = np.einsum("ij,jkl->ikl", transform, np.stack([u, v, np.ones_like(u)]))
    expected = np.stack(
        [
            map_coordinates(
                picture[..., c].astype(float),
                [at[1] / at[2], at[0] / at[2]],
                order=1,
                mode="nearest",
            )
            for c in range(3)
        ],
        axis=-1,
    )
    warped = warp(picture, transform, (30, 35))
    assert warped.dtype == dtype
    tolerance = 0.5 + 1e-3 if np.issubdtype(dtype, np.integer) else 1e-3
    np.testing.assert_allclose(warped, expected, atol=tolerance)


def test_results_come_in_order_and_few_run_ahead() -> None:
    running, ahead = set[int](), []
    lock = threading.Lock()

    def work(job: int, stopped: object) -> int:
        with lock:
            running.add(job)
        return job

    for result in run_in_order(work, range(50), 3):
        with lock:
            ahead.append(max(running) - result)
    assert len(ahead) == 50
    assert max(ahead) <= 4


def test_an_exception_in_a_thread_reaches_the_caller() -> None:
    def work(job: int, stopped: object) -> int:
        if job == 3:
            raise RuntimeError("frame 3")
        return job

    with pytest.raises(RuntimeError, match="frame 3"):
        list(run_in_order(work, range(10), 2))
