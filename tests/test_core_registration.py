"""The compiled registration against its NumPy twin and against itself, one template at a time."""

import threading

import numpy as np
import pytest

from holdstill import _core
from holdstill.pyramid import at_level, level_roi
from holdstill.reference.motion import map_points, update
from holdstill.reference.registration import Level, Options, register_frame
from holdstill.reference.subspace import Subspace, distances
from holdstill.reference.warp import linearize

SHAPE = (40, 36)
TURN = np.deg2rad(-7.0)
INITIAL = np.array([
    [1.6 * np.cos(TURN), -1.6 * np.sin(TURN), 14.0],
    [1.6 * np.sin(TURN), 1.6 * np.cos(TURN), 22.0],
    [0.0, 0.0, 1.0],
])  # fmt: skip


def picture(widths, size=(110, 100)):
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    wave = 10.0 * np.sin(x / 9.0) + 8.0 * np.cos(y / 7.0)
    for (cx, cy), width in zip([(32, 38), (58, 36), (46, 54), (48, 70)], widths, strict=True):
        wave -= 70.0 * np.exp(-(((x - cx) / width) ** 2 + ((y - cy) / 5.0) ** 2))
    return (120.0 + wave).astype(np.float32)


def people(n, seed=0):
    rng = np.random.default_rng(seed)
    return [picture(rng.uniform(4.0, 9.0, 4)) for _ in range(n)]


def vectors_of(images, transforms, roi, features):
    """(N, D); of vectors alone, the motion model says nothing."""
    options = {"shape": roi.shape, "motion": "homography", "features": features, "roi": roi}
    seen = zip(images, transforms, strict=True)
    return np.stack([linearize(image, at, **options).vector for image, at in seen])


def levels_of(images, features="edges", n_levels=1, soft=False, components=5):
    roi = np.zeros(SHAPE, dtype=np.float32 if soft else bool)
    roi[2:-2, 3:-3] = 1
    if soft:
        roi[:20] *= 0.25
    levels = []
    for octave in range(n_levels):
        mask = level_roi(roi, octave)
        vectors = vectors_of(images, [at_level(INITIAL, octave)] * len(images), mask, features)
        mean = vectors.mean(axis=0)
        _, values, basis = np.linalg.svd(vectors - mean, full_matrices=False)
        variances = values**2 / (len(images) - 1)
        rho = variances[components:-1].mean()
        # What the core keeps of them.
        kept = (mean.astype(np.float32), basis[:components].T.astype(np.float32))
        levels.append(Level(Subspace(*(a.astype(float) for a in kept), variances[:components], rho),
                            mask))  # fmt: skip
    return levels


def registrar_of(levels, templates=None, **options):
    arrays = []
    for octave, level in enumerate(levels):
        mean = level.subspace.mean[:, None] if templates is None else templates[octave]
        arrays.append((level.subspace.basis, level.subspace.variances, level.subspace.rho,
                       mean.astype(np.float32), level.roi))  # fmt: skip
    return _core.FrameRegistrar(arrays, shape=SHAPE, **options)


def apart(first, second):
    corners = np.array([[3.0, 2.0], [32.0, 2.0], [3.0, 37.0], [32.0, 37.0]])
    moved = map_points(first, corners) - map_points(second, corners)
    return float(np.linalg.norm(moved, axis=1).max()) / 1.6


MOTIONS = {
    "translation": [1.4, -1.0],
    "euclidean": [0.05, 1.4, -1.0],
    "similarity": [0.06, -0.05, 1.8, -1.5],
    "affine": [0.04, 0.02, -0.03, 0.05, 1.2, 0.8],
    "homography": [0.04, 0.02, -0.03, 0.05, 1.2, 0.8, 1e-4, -1e-4],
}


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize("features", ["grey", "edges", "magnitude"])
def test_the_gradient_ends_where_the_twin_does(motion, features):
    levels = levels_of(people(16), features)
    image, start = picture([6.0, 5.0, 8.0, 7.5]), update(INITIAL, MOTIONS[motion], motion, SHAPE)
    options = Options(motion=motion, features=features, tolerance=1e-4)
    twin = register_frame(image, levels, start, options=options)
    core = registrar_of(levels, motion=motion, features=features, tolerance=1e-4, acceleration=0)
    found = core.register(image, start)
    assert found.status == twin.status
    assert found.iterations == twin.iterations
    assert apart(found.frame_from_canonical, twin.frame_from_canonical) < 1e-4
    assert found.difs == pytest.approx(twin.difs, rel=1e-3, abs=1e-3)
    assert found.dffs == pytest.approx(twin.dffs, rel=1e-3)
    np.testing.assert_allclose(found.coefficients, twin.coefficients, atol=1e-5)


@pytest.mark.parametrize("distance", ["both", "difs", "dffs"])
@pytest.mark.parametrize("soft", [False, True])
def test_every_distance_and_soft_regions_agree_with_the_twin(distance, soft):
    levels = levels_of(people(16), soft=soft)
    image = picture([6.0, 5.0, 8.0, 7.5])
    start = update(INITIAL, [0.01, -0.01, 0.4, -0.3], "similarity", SHAPE)
    twin = register_frame(
        image, levels, start, options=Options(distance=distance, max_iterations=4)
    )
    core = registrar_of(levels, distance=distance, max_iterations=4, acceleration=0)
    found = core.register(image, start)
    assert (found.status, found.iterations) == (twin.status, twin.iterations)
    assert apart(found.frame_from_canonical, twin.frame_from_canonical) < 1e-3


def test_octaves_are_searched_as_by_the_twin():
    levels = levels_of(people(16), n_levels=2)
    image = picture([6.0, 5.0, 8.0, 7.5])
    start = update(INITIAL, [0.1, -0.1, 5.0, -4.0], "similarity", SHAPE)
    twin = register_frame(image, levels, start)
    found = registrar_of(levels, acceleration=0).register(image, start, levels=2)
    assert (found.status, found.evaluations) == (twin.status, twin.evaluations)
    assert apart(found.frame_from_canonical, twin.frame_from_canonical) < 1e-4


def test_acceleration_changes_the_way_and_not_the_end():
    levels = levels_of(people(16))
    image = picture([6.0, 5.0, 8.0, 7.5])
    start = update(INITIAL, MOTIONS["similarity"], "similarity", SHAPE)
    plain, fast = (registrar_of(levels, tolerance=1e-6, acceleration=depth).register(image, start)
                   for depth in (0, 4))  # fmt: skip
    assert fast.status == plain.status == "converged"
    assert fast.iterations < plain.iterations
    assert apart(fast.frame_from_canonical, plain.frame_from_canonical) < 1e-5


@pytest.mark.parametrize("motion", MOTIONS)
@pytest.mark.parametrize(
    ("features", "distance", "soft"),
    [("grey", "both", False), ("edges", "dffs", True), ("magnitude", "both", True)],
)
def test_accelerated_steps_know_the_same_gradient(motion, features, distance, soft):
    levels = levels_of(people(16), features, soft=soft)
    image = picture([6.0, 5.0, 8.0, 7.5])
    start = update(INITIAL, 0.3 * np.array(MOTIONS[motion]), motion, SHAPE)
    options = {"motion": motion, "features": features, "distance": distance, "tolerance": 1e-5}
    plain, fast = (registrar_of(levels, acceleration=depth, **options).register(image, start)
                   for depth in (0, 2))  # fmt: skip
    assert fast.status == plain.status == "converged"
    assert apart(fast.frame_from_canonical, plain.frame_from_canonical) < 1e-4
    assert fast.dffs == pytest.approx(plain.dffs, rel=1e-4)


def test_a_face_unlike_the_model_s_takes_longer_steps():
    levels = levels_of(people(16))
    image = picture([6.0, 5.0, 8.0, 7.5])
    image[30:52, 40:70] = image[30:52, 40:70][::-1]  # what no component explains
    start = update(INITIAL, 0.3 * np.array(MOTIONS["similarity"]), "similarity", SHAPE)
    plain, fast = (registrar_of(levels, tolerance=1e-5, acceleration=depth).register(image, start)
                   for depth in (0, 2))  # fmt: skip
    assert fast.status == plain.status == "converged"
    assert fast.iterations < 0.8 * plain.iterations
    assert apart(fast.frame_from_canonical, plain.frame_from_canonical) < 1e-3


def test_distances_are_those_of_the_vector_at_the_transform():
    level = levels_of(people(16))[0]
    image, at = (
        picture([6.0, 5.0, 8.0, 7.5]),
        update(INITIAL, [0.02, 0.01, 1, 1], "similarity", SHAPE),
    )
    vector = _core.linearize(image, at, shape=SHAPE, motion="similarity", features="edges",
                             roi=level.roi).vector  # fmt: skip
    found = registrar_of([level]).distances(image, at)
    np.testing.assert_allclose(found, distances(vector, level.subspace), rtol=1e-4)
    assert np.isnan(registrar_of([level]).distances(np.zeros_like(image), at)).all()
    with pytest.raises(ValueError, match="template: expected 0 to 0"):
        registrar_of([level]).distances(image, at, template=1)


@pytest.mark.parametrize("motion", MOTIONS)
def test_the_simplex_takes_the_twin_s_path(motion):
    levels = levels_of(people(16))
    image, start = picture([6.0, 5.0, 8.0, 7.5]), update(INITIAL, MOTIONS[motion], motion, SHAPE)
    twin = register_frame(image, levels, start, search="simplex",
                          options=Options(motion=motion, tolerance=0.05))  # fmt: skip
    core = registrar_of(levels, motion=motion, tolerance=0.05)
    found = core.register(image, start, search="simplex")
    assert found.status == twin.status
    # Rounding may turn a comparison of nearly equal vertices.
    assert abs(found.evaluations - twin.evaluations) <= 0.1 * twin.evaluations
    assert apart(found.frame_from_canonical, twin.frame_from_canonical) < 0.1


@pytest.mark.parametrize("search", ["gradient", "simplex"])
def test_frames_that_cannot_be_registered_get_the_twin_s_status(search):
    levels = levels_of(people(8))
    nan = picture([6.0] * 4)
    nan[5, 5] = np.nan
    away = INITIAL + np.array([[0, 0, 500.0], [0, 0, 0], [0, 0, 0]])
    singular = INITIAL * [[0.0], [0.0], [1.0]]
    for image, start in (
        (nan, INITIAL),
        (np.full((110, 100), 7.0, np.float32), INITIAL),
        (picture([6.0] * 4), away),
    ):
        twin = register_frame(image, levels, start, search=search)
        found = registrar_of(levels).register(image, start, search=search)
        assert found.status == twin.status
        np.testing.assert_array_equal(found.frame_from_canonical, start)
        assert np.isnan(found.dffs) and np.isnan(found.coefficients).all()
    found = registrar_of(levels).register(picture([6.0] * 4), singular, search=search)
    assert found.status == "singular"


def test_a_user_s_template_takes_the_mean_s_place():
    levels = levels_of(people(16))
    images = people(3, seed=5)
    templates = vectors_of(images, [INITIAL] * len(images), levels[0].roi, "edges").T
    core = registrar_of(levels, [templates], acceleration=0)
    start = update(INITIAL, MOTIONS["similarity"], "similarity", SHAPE)
    for k in range(3):
        mean = templates[:, k].astype(np.float32).astype(float)
        own = [levels[0]._replace(subspace=levels[0].subspace._replace(mean=mean))]
        twin = register_frame(images[0], own, start)
        found = core.register(images[0], start, template=k)
        assert (found.status, found.iterations) == (twin.status, twin.iterations)
        assert apart(found.frame_from_canonical, twin.frame_from_canonical) < 1e-4
        assert found.dffs == pytest.approx(twin.dffs, rel=1e-3, abs=1e-3)


def test_all_templates_at_once_know_whose_face_it_is():
    levels = levels_of(people(16))
    images = people(12, seed=5)
    templates = vectors_of(images, [INITIAL] * len(images), levels[0].roi, "edges").T
    core = registrar_of(levels, [templates])
    start = update(INITIAL, [0.02, 0.02, 0.6, -0.6], "similarity", SHAPE)
    for k in (0, 4, 9):
        together = core.register_all(images[k], start, lowpass_from=start)
        assert together["status"][k] == "converged"
        assert int(np.argmin(together["difs"] + together["dffs"])) == k
        alone = core.register(images[k], start, template=k)
        assert apart(together["frame_from_canonical"][k], alone.frame_from_canonical) < 0.1


@pytest.mark.parametrize("motion", ["translation", "euclidean", "similarity", "affine"])
@pytest.mark.parametrize("features", ["grey", "edges"])
def test_all_templates_at_once_end_where_each_does_alone(motion, features):
    levels = levels_of(people(16), features)
    images = people(24, seed=5)
    rng = np.random.default_rng(3)
    # Each template's face sits somewhere else: the ends spread over several expansions.
    away = [update(INITIAL, 0.8 * np.array(MOTIONS[motion]) * rng.uniform(-1, 1), motion, SHAPE)
            for _ in images]  # fmt: skip
    templates = vectors_of(images, away, levels[0].roi, features).T
    core = registrar_of(levels, [templates], motion=motion, features=features, tolerance=1e-3)
    image = picture([6.0, 5.0, 8.0, 7.5])
    together = core.register_all(image, INITIAL, lowpass_from=INITIAL)
    alone = [core.register(image, INITIAL, template=k) for k in range(len(images))]
    ends = together["frame_from_canonical"]
    assert all(end.status == "converged" for end in alone)
    assert (np.array(together["status"]) == "converged").all()
    assert max(apart(INITIAL, end) for end in ends) > 0.6
    for k, end in enumerate(alone):
        assert apart(ends[k], end.frame_from_canonical) < 0.03
        found = together["difs"][k] + together["dffs"][k]
        assert found == pytest.approx(end.difs + end.dffs, rel=0.1, abs=10.0)


def test_the_result_does_not_depend_on_threads():
    core = registrar_of(levels_of(people(16)))
    image = picture([6.0, 5.0, 8.0, 7.5])
    starts = [update(INITIAL, [0.01 * k, 0.0, 0.2 * k, 0.1], "similarity", SHAPE) for k in range(8)]
    alone = [core.register(image, start).frame_from_canonical for start in starts]
    found = [None] * len(starts)

    def run(k):
        found[k] = core.register(image, starts[k]).frame_from_canonical

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(starts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(found, alone)


def test_wrong_arguments_are_named():
    levels = levels_of(people(8))
    core, image = registrar_of(levels), picture([6.0] * 4)
    subspace, roi = levels[0]
    for named, change in (
        ("basis", (subspace.basis[:-1], subspace.variances, 1.0, subspace.mean[:, None], roi)),
        ("variances", (subspace.basis, subspace.variances[:-1], 1.0, subspace.mean[:, None], roi)),
        ("variances", (subspace.basis, -subspace.variances, 1.0, subspace.mean[:, None], roi)),
        ("rho", (subspace.basis, subspace.variances, 0.0, subspace.mean[:, None], roi)),
        ("templates", (subspace.basis, subspace.variances, 1.0, subspace.mean[:-1, None], roi)),
        ("roi", (subspace.basis, subspace.variances, 1.0, subspace.mean[:, None], roi[:-1])),
    ):
        with pytest.raises(ValueError, match=named):
            _core.FrameRegistrar([change], shape=SHAPE)
    for named, options in (
        ("tolerance", {"tolerance": 0.0}), ("max_iterations", {"max_iterations": 0}),
        ("distance", {"distance": "l1"}), ("acceleration", {"acceleration": 99}),
        ("largest_offset", {"largest_offset": -1.0}), ("sigma", {"sigma": -1.0}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=named):
            registrar_of(levels, **options)
    for named, options in (
        ("template", {"template": 1}), ("search", {"search": "luck"}), ("levels", {"levels": 2}),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=named):
            core.register(image, INITIAL, **options)
    with pytest.raises(ValueError, match="initial"):
        core.register(image, np.diag([1.0, 2.0, 1.0]))
    with pytest.raises(ValueError, match="levels"):
        _core.FrameRegistrar([], shape=SHAPE)
    levels = levels_of(people(8), n_levels=2)
    means = [level.subspace.mean[:, None] for level in levels]
    with pytest.raises(ValueError, match="templates: expected 2 on every level"):
        registrar_of(levels, templates=[np.repeat(means[0], 2, axis=1), means[1]])
    with pytest.raises(ValueError, match="lowpass_from"):
        core.register_all(image, INITIAL, lowpass_from=np.diag([1.0, 2.0, 1.0]))
