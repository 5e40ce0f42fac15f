"""Octaves: dictionaries of really smaller images, and the way from coarse to fine."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import scipy.ndimage
from conftest import SmallHead
from textures import corner_error, displaced, mixed, texture

from holdstill import Dictionary, _core, align_batch, align_frame, rasl, reference
from holdstill.pyramid import at_level, coarse_to_fine, level_shape, n_levels, octave

SHAPE = (64, 72)


def start(scale: float = 1.4) -> np.ndarray:
    at = np.array([scale, 0.2, 74.2, 68.9])
    return _core.matrix_from_parameters(at, np.eye(3), "similarity", SHAPE)


def seen(
    F: np.ndarray, shape: tuple[int, int], features: str, roi: np.ndarray | None = None, n: int = 5
) -> np.ndarray:
    """Textures through F as unit columns."""
    options = {"shape": shape, "motion": "affine", "features": features, "roi": roi}
    return np.stack([_core.linearize(texture(k), F, **options).vector for k in range(n)], axis=1)


@pytest.mark.parametrize(
    ("features", "level", "worst"),
    [("grey", 1, 5e-6), ("grey", 2, 5e-6), ("edges", 1, 2e-4), ("edges", 2, 2e-3)],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_octave_is_the_dictionary_of_smaller_images(
    weighted: bool, features: str, level: int, worst: float
) -> None:
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    roi = ((x - 36) / 34) ** 2 + ((y - 32) / 30) ** 2 < 1
    if weighted:
        roi = (roi * (0.2 + 0.8 * x / SHAPE[1])).astype(np.float32)
    planes = 2 if features == "edges" else 1
    fine = seen(start(), SHAPE, features, roi).astype(np.float32)
    coarse = octave(
        fine, roi, planes=planes, sigma=0.8 if features == "edges" else 0.0, level=level
    )
    assert coarse.roi.shape == level_shape(SHAPE, level)
    assert coarse.roi.dtype == roi.dtype
    expected = seen(at_level(start(), level), coarse.roi.shape, features, coarse.roi)
    assert coarse.atoms.shape == expected.shape
    np.testing.assert_allclose(np.linalg.norm(coarse.atoms, axis=0), 1.0, atol=1e-6)
    assert (coarse.atoms * expected).sum(axis=0).min() > 0.95
    # Where nothing from beyond the region is missing, it is very nearly the same.
    inside = scipy.ndimage.binary_erosion(coarse.roi > 0, iterations=1 + 12 // 2**level)
    assert inside.sum() > 8
    kept = np.tile(inside[coarse.roi > 0], planes)
    a, b = coarse.atoms[kept], expected[kept]
    cosine = (a * b).sum(axis=0) / np.linalg.norm(a, axis=0) / np.linalg.norm(b, axis=0)
    assert cosine.min() > 1 - worst


def test_levels_are_as_many_as_keep_the_region_wide_enough() -> None:
    roi = np.zeros((100, 100), bool)
    assert [n_levels(roi | _square(side)) for side in (8, 12, 23, 24, 47, 48, 96)] == [
        1, 1, 1, 2, 2, 3, 4,
    ]  # fmt: skip
    assert level_shape((200, 101), 1) == (100, 51)
    assert level_shape((200, 101), 2) == (50, 26)


def _square(side: int) -> np.ndarray:
    roi = np.zeros((100, 100), bool)
    roi[:side, :side] = True
    return roi


def test_a_level_keeps_the_pixels_where_they_are() -> None:
    F = start()
    pixel = np.array([5.0, 9.0, 1.0])
    for level in (1, 2, 3):
        fine = pixel * [2**level, 2**level, 1]
        np.testing.assert_allclose(at_level(F, level) @ pixel, F @ fine, rtol=1e-12)
    np.testing.assert_allclose(at_level(at_level(F, 2), -2), F, rtol=1e-12)
    stack = np.stack([F, 2 * F])
    np.testing.assert_allclose(at_level(stack, 1)[1], at_level(2 * F, 1))


@pytest.mark.parametrize("loss", ["l2", "huber"])
@pytest.mark.parametrize("features", ["grey", "edges", "magnitude"])
@pytest.mark.parametrize("motion", ["translation", "similarity", "affine", "homography"])
def test_levels_change_the_way_not_the_end(motion: str, features: str, loss: str) -> None:
    atoms = seen(start(), SHAPE, features, n=8)
    dictionary = Dictionary(
        atoms, shape=SHAPE, motion=motion, features=features, pixel_residual=2e-3
    )
    both = 0
    for seed in range(3):
        initial = displaced(start(), motion, 0.8)
        one, all_levels = (
            align_frame(mixed(seed), dictionary, initial, levels=levels, loss=loss, search=False)
            for levels in (1, None)
        )
        assert one.evaluations == one.iterations
        assert all_levels.evaluations > all_levels.iterations
        if one.status == all_levels.status == "converged":
            both += 1
            ends = all_levels.frame_from_canonical, one.frame_from_canonical
            assert corner_error(*ends, SHAPE) < 1e-3
    assert both >= 2


@pytest.mark.parametrize("levels", [0, -1, 4, 9])
def test_levels_out_of_range_are_named(small_head: SmallHead, levels: int) -> None:
    with pytest.raises(ValueError, match="levels: expected 1 to 3"):
        align_frame(
            small_head.frames[0], small_head.dictionary, small_head.initial[0], levels=levels
        )


def test_driver_starts_each_level_where_the_coarser_one_ended() -> None:
    asked = []

    def solve(level: int, initial: np.ndarray) -> SimpleNamespace:
        asked.append((level, initial.copy()))
        moved = initial.copy()
        moved[0, 2] += 1.0
        return SimpleNamespace(frame_from_canonical=moved)

    last = coarse_to_fine(solve, start(), 3)
    assert [level for level, _ in asked] == [2, 1, 0]
    np.testing.assert_allclose(asked[0][1], at_level(start(), 2))
    moved = start()
    moved[0, 2] += 1.0
    np.testing.assert_allclose(asked[1][1], at_level(moved, 1))
    # A shift of the frame is the same on every level.
    assert asked[2][1][0, 2] == pytest.approx(start()[0, 2] + 2.0)
    assert last.frame_from_canonical[0, 2] == pytest.approx(start()[0, 2] + 3.0)


def test_driver_runs_the_reference_aligner_to_the_core_s_fixed_point() -> None:
    atoms = seen(start(), SHAPE, "grey")
    dictionary = Dictionary(atoms, shape=SHAPE, motion="similarity")
    initial = displaced(start(), "similarity", 2.0)

    def solve(level: int, transform: np.ndarray) -> reference.FrameAlignment | None:
        here = octave(dictionary.atoms, dictionary.weights, planes=1, sigma=0.0, level=level)
        found = reference.align_frame(
            mixed(1), here.atoms, transform, shape=here.roi.shape, motion="similarity",
            roi=here.roi, tolerance=1e-3 if level else 1e-6,
        )  # fmt: skip
        return found if found.status == "converged" else None

    twin = coarse_to_fine(solve, initial, 3)
    assert twin is not None
    core = align_frame(mixed(1), dictionary, initial, levels=3, search=False)
    assert core.status == "converged"
    # Its low-pass is that of the first start, the driver's that of each.
    assert corner_error(core.frame_from_canonical, twin.frame_from_canonical, SHAPE) < 0.05


def test_driver_spares_rasl_its_iterations_at_full_size(small_head: SmallHead) -> None:
    images = list(small_head.frames[:10])
    rng = np.random.default_rng(4)
    initial = small_head.initial[:10].copy()
    initial[:, :2, 2] += rng.normal(0, 5.0, (10, 2))
    options = {"motion": "similarity", "max_iterations": 15}

    def solve(level: int, transforms: np.ndarray) -> object:
        return rasl(images, transforms, shape=level_shape((64, 64), level), **options)

    fine, coarse = (coarse_to_fine(solve, initial, levels) for levels in (1, 3))
    assert coarse.status == fine.status == "converged"
    assert coarse.objective == pytest.approx(fine.objective, rel=1e-3)
    assert coarse.iterations < 0.5 * fine.iterations
    truth = small_head.head.frame_from_canonical[:10]
    assert _spread(coarse.frame_from_canonical, truth) < 0.05 * _spread(initial, truth)


def _spread(found: np.ndarray, truth: np.ndarray) -> float:
    """How far the canonical centre wanders against the truth, canonical pixels."""
    centre = np.array([31.5, 31.5, 1.0])
    back = np.stack([np.linalg.inv(t) @ f @ centre for f, t in zip(found, truth, strict=True)])
    return float(np.linalg.norm(back[:, :2].std(axis=0)))


def turned(F: np.ndarray, shift: float, direction: float, degrees: float) -> np.ndarray:
    """F after a turn about the middle of the canonical frame and a shift, canonical pixels."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    to_middle = np.array([[1, 0, 31.5], [0, 1, 31.5], [0, 0, 1.0]])
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
    move = np.eye(3)
    move[:2, 2] = shift * np.array([np.cos(direction), np.sin(direction)])
    return F @ move @ to_middle @ turn @ np.linalg.inv(to_middle)


@pytest.mark.parametrize(
    ("share", "degrees", "least_lost", "most_lost"), [(0.35, 30.0, 0, 2), (0.43, 40.0, 2, 12)]
)
def test_search_finds_faces_far_from_where_they_are_looked_for(
    small_head: SmallHead, share: float, degrees: float, least_lost: int, most_lost: int
) -> None:
    near = align_batch(small_head.frames, small_head.dictionary, small_head.initial)
    assert near.good.all()
    # The eyes are 32 pixels apart.
    far = np.stack(
        [
            turned(F, share * 32, 2.4 * i, degrees * (-1) ** i)
            for i, F in enumerate(near.frame_from_canonical)
        ]
    )
    lost, found = (
        align_batch(small_head.frames, small_head.dictionary, far, search=search)
        for search in (False, True)
    )
    missed = ~lost.good
    assert least_lost <= missed.sum() <= most_lost
    for i in range(24):
        error = corner_error(found.frame_from_canonical[i], near.frame_from_canonical[i], (64, 64))
        assert error < 1e-3, i
        assert (
            corner_error(lost.frame_from_canonical[i], near.frame_from_canonical[i], (64, 64)) > 3
        ) == missed[i]
    assert found.good.all()
    # And what it finds is where the head truly is.
    assert _spread(found.frame_from_canonical, small_head.head.frame_from_canonical) < 0.2
    # Who needs no search gets the same bytes.
    np.testing.assert_array_equal(
        found.frame_from_canonical[~missed], lost.frame_from_canonical[~missed]
    )


@pytest.mark.parametrize("loss", ["l2", "huber"])
def test_frames_that_show_nothing_end_with_a_status_under_the_search(
    small_head: SmallHead, loss: str
) -> None:
    dictionary, initial = small_head.dictionary, small_head.initial[0]
    nan = small_head.frames[0].astype(np.float32)
    nan[50, 60] = np.nan
    noise = np.random.default_rng(0).integers(0, 256, (160, 200), dtype=np.uint8)
    ends = {}
    for name, frame in {
        "black": np.zeros((160, 200), np.uint8),
        "flat": np.full((160, 200), 77, np.uint8),
        "nan": nan,
        "noise": noise,
        "tiny": noise[:3, :2],
        "pixel": noise[:1, :1],
        "row": noise[:1],
    }.items():
        found = align_frame(frame, dictionary, initial, loss=loss)
        ends[name] = found.status
        assert not found.good
        assert not found.quality >= 0.5
        assert found.frame_from_canonical is not None
        assert np.isfinite(found.frame_from_canonical).all()
    assert (ends["black"], ends["flat"], ends["nan"]) == ("singular", "singular", "unreadable")


@pytest.mark.parametrize("kind", ["nan", "zeros", "far", "huge"])
def test_starts_that_lead_nowhere_end_with_a_status_under_the_search(
    small_head: SmallHead, kind: str
) -> None:
    initial = small_head.initial[0].copy()
    if kind == "nan":
        initial[:] = np.nan
    elif kind == "zeros":
        initial[:2, :2] = 0.0
    elif kind == "far":
        initial[:2, 2] = 1e9
    else:
        initial[:2, :2] *= 1e6
    found = align_frame(small_head.frames[0], small_head.dictionary, initial)
    assert not found.converged
    assert found.quality == 0.0


def test_search_leaves_a_frame_it_cannot_judge_alone(small_head: SmallHead) -> None:
    """Without a yardstick convergence has to do."""
    known = small_head.dictionary
    blind = Dictionary(known.atoms, shape=known.shape, motion=known.motion, roi=known.roi)
    assert blind.misfits is None
    searched, plain = (
        align_frame(small_head.frames[3], blind, small_head.initial[3], search=search)
        for search in (True, False)
    )
    assert np.isnan(searched.quality)
    assert searched.good
    np.testing.assert_array_equal(searched.frame_from_canonical, plain.frame_from_canonical)
    assert searched.evaluations == plain.evaluations


def test_levels_of_the_core_s_aligner_must_fit() -> None:
    atoms = seen(start(), SHAPE, "grey", n=2)
    coarse = octave(atoms.astype(np.float32), np.ones(SHAPE, bool), planes=1, sigma=0.0, level=1)
    options = {"shape": SHAPE, "motion": "affine"}
    fitting = _core.FrameAligner(atoms, coarse=[(coarse.atoms, coarse.roi, 0.0)], **options)
    found = fitting.align(texture(0), displaced(start(), "affine"))
    assert corner_error(found.frame_from_canonical, start(), SHAPE) < 0.05
    with pytest.raises(ValueError, match="atoms: expected shape"):
        _core.FrameAligner(atoms, coarse=[(coarse.atoms[1:], coarse.roi, 0.0)], **options)
    with pytest.raises(ValueError, match="roi: expected"):
        _core.FrameAligner(atoms, coarse=[(coarse.atoms, np.ones((9, 9)), 0.0)], **options)
    with pytest.raises(ValueError, match="coarse: expected 2 atoms on every level"):
        _core.FrameAligner(atoms, coarse=[(coarse.atoms[:, :1], coarse.roi, 0.0)], **options)
