"""The face subspace's formulas and searches in NumPy, against explicit matrices and differences."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.optimize
import scipy.stats

from holdstill.reference.motion import update
from holdstill.reference.registration import Level, Options, pixels_per_unit, register_frame
from holdstill.reference.simplex import initial_simplex, minimize_simplex
from holdstill.reference.subspace import (
    Subspace,
    distances,
    gauss_newton_step,
    log_likelihood,
    normal_equations,
    precision,
)
from holdstill.reference.warp import linearize

SHAPE = (32, 28)
TURN = np.deg2rad(8.0)
INITIAL = np.array([
    [1.4 * np.cos(TURN), -1.4 * np.sin(TURN), 20.0],
    [1.4 * np.sin(TURN), 1.4 * np.cos(TURN), 16.0],
    [0.0, 0.0, 1.0],
])  # fmt: skip


def random_subspace(rng, size=30, components=4):
    basis, _ = np.linalg.qr(rng.normal(size=(size, components)))
    return Subspace(rng.normal(size=size), basis, rng.uniform(0.5, 4.0, components), 0.3)


def covariance(subspace):
    """The explicit D×D matrix: λ_i on Φ_M, ρ elsewhere."""
    beside = np.eye(len(subspace.mean)) - subspace.basis @ subspace.basis.T
    return (subspace.basis * subspace.variances) @ subspace.basis.T + subspace.rho * beside


def picture(widths, size=(90, 80)):
    """A face of smooth blobs; `widths` make it somebody's."""
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    wave = 10.0 * np.sin(x / 9.0) + 8.0 * np.cos(y / 7.0)
    for (cx, cy), width in zip([(30, 30), (52, 31), (41, 44), (41, 58)], widths, strict=True):
        wave -= 70.0 * np.exp(-(((x - cx) / width) ** 2 + ((y - cy) / 4.0) ** 2))
    return 120.0 + wave


def people(n, seed=0):
    rng = np.random.default_rng(seed)
    return [picture(rng.uniform(4.0, 9.0, 4)) for _ in range(n)]


def level_of(images, features="edges", components=5, transform=INITIAL):
    roi = np.zeros(SHAPE, dtype=bool)
    roi[2:-2, 3:-3] = True
    vectors = np.stack([
        linearize(image, transform, shape=SHAPE, motion="similarity", features=features,
                  roi=roi).vector
        for image in images
    ])  # fmt: skip
    mean = vectors.mean(axis=0)
    _, values, basis = np.linalg.svd(vectors - mean, full_matrices=False)
    variances = values**2 / (len(images) - 1)
    rho = variances[components:-1].mean()
    return Level(Subspace(mean, basis[:components].T, variances[:components], rho), roi)


def test_the_distance_is_mahalanobis_under_the_explicit_covariance():
    rng = np.random.default_rng(1)
    subspace = random_subspace(rng)
    for _ in range(5):
        x = rng.normal(size=30)
        off = x - subspace.mean
        explicit = off @ np.linalg.solve(covariance(subspace), off)
        assert sum(distances(x, subspace)) == pytest.approx(explicit, rel=1e-10)


def test_each_part_is_the_distance_under_its_own_projection():
    rng = np.random.default_rng(2)
    subspace = random_subspace(rng)
    off = rng.normal(size=30)
    difs, dffs = distances(off + subspace.mean, subspace)
    inside = subspace.basis @ subspace.basis.T @ off
    assert difs == pytest.approx(inside @ np.linalg.pinv(covariance(subspace)) @ inside, rel=1e-9)
    assert dffs == pytest.approx(((off - inside) ** 2).sum() / subspace.rho, rel=1e-10)


def test_the_log_likelihood_is_that_of_a_multivariate_normal():
    rng = np.random.default_rng(3)
    subspace = random_subspace(rng)
    x = rng.normal(size=30)
    normal = scipy.stats.multivariate_normal(subspace.mean, covariance(subspace))
    assert log_likelihood(x, subspace) == pytest.approx(normal.logpdf(x), rel=1e-10)


@pytest.mark.parametrize("distance", ["both", "difs", "dffs"])
def test_the_weights_make_the_explicit_precision(distance):
    rng = np.random.default_rng(4)
    subspace = random_subspace(rng)
    inside, outside = precision(subspace, distance)
    made = outside * np.eye(30) + (subspace.basis * inside) @ subspace.basis.T
    projector = subspace.basis @ subspace.basis.T
    full = np.linalg.inv(covariance(subspace))
    part = {"both": np.eye(30), "difs": projector, "dffs": np.eye(30) - projector}[distance]
    np.testing.assert_allclose(made, part @ full @ part, atol=1e-11)


@pytest.mark.parametrize("distance", ["both", "difs", "dffs"])
def test_the_gradient_is_half_the_difference_quotient(distance):
    rng = np.random.default_rng(5)
    subspace = random_subspace(rng)
    x, jacobian = rng.normal(size=30), rng.normal(size=(30, 4))

    def value(delta):
        return normal_equations(x + jacobian @ delta, jacobian, subspace, distance).value

    h = 1e-5
    numeric = [(value(h * e) - value(-h * e)) / (4.0 * h) for e in np.eye(4)]
    gradient = normal_equations(x, jacobian, subspace, distance).gradient
    np.testing.assert_allclose(gradient, numeric, rtol=1e-7)


def test_the_step_is_weighted_least_squares():
    rng = np.random.default_rng(6)
    subspace = random_subspace(rng)
    x, jacobian = rng.normal(size=30), rng.normal(size=(30, 4)) * [1.0, 1e3, 1e-2, 1.0]
    root = np.linalg.cholesky(np.linalg.inv(covariance(subspace))).T
    best, *_ = np.linalg.lstsq(root @ jacobian, -root @ (x - subspace.mean), rcond=None)
    step = gauss_newton_step(normal_equations(x, jacobian, subspace))
    np.testing.assert_allclose(step, best, rtol=1e-8)


@pytest.mark.parametrize("features", ["grey", "edges", "magnitude"])
def test_the_image_s_gradient_is_the_difference_quotient(features):
    """Of the whole chain: warp, feature, unit norm, distance. The Jacobian samples derivative
    images, which differ from the samples' own derivatives by some percent."""
    images = people(12)
    level = level_of(images, features)
    image = picture([5.0, 8.0, 6.0, 7.0])
    at = update(INITIAL, [0.02, 0.01, 0.6, -0.5], "similarity", SHAPE)
    options = {"shape": SHAPE, "motion": "similarity", "features": features, "roi": level.roi}

    def seen(transform):
        now = linearize(image, transform, lowpass_from=INITIAL, **options)
        return normal_equations(now.vector, now.jacobian, level.subspace)

    units = pixels_per_unit(at, "similarity", level)
    numeric = []
    for k in range(4):
        # Over a pixel or so the cells' kinks average out.
        step = np.zeros(4)
        step[k] = 0.25 / units[k]
        ahead, behind = (seen(update(at, s * step, "similarity", SHAPE)).value for s in (1, -1))
        numeric.append((ahead - behind) / 4.0 / 0.25)
    analytic = seen(at).gradient / units
    assert np.abs(analytic - numeric).max() < 0.06 * np.abs(numeric).max()


def test_the_first_simplex_has_the_better_sign_of_every_offset():
    target = np.array([1.0, -2.0, 0.5])
    seen = []

    def objective(point):
        seen.append(point)
        return float(((point - target) ** 2).sum())

    vertices, values = initial_simplex(objective, np.zeros(3), [0.3, 0.4, 0.5])
    assert len(seen) == 7
    np.testing.assert_allclose(vertices[1:], np.diag([0.3, -0.4, 0.5]))
    np.testing.assert_allclose(values, [((v - target) ** 2).sum() for v in vertices])


def test_the_simplex_search_ends_where_scipy_s_does():
    def rosenbrock(x):
        return float(100.0 * (x[1] - x[0] ** 2) ** 2 + (1.0 - x[0]) ** 2)

    count = 0

    def counted(x):
        nonlocal count
        count += 1
        return rosenbrock(x)

    start, offsets = np.array([-1.2, 1.0]), np.array([0.5, 0.5])
    found = minimize_simplex(counted, start, offsets, tolerance=1e-8, max_evaluations=1000)
    assert found.converged and found.evaluations == count
    simplex, _ = initial_simplex(rosenbrock, start, offsets)
    options = {"initial_simplex": simplex, "xatol": 1e-8, "fatol": np.inf, "maxfev": 1000}
    theirs = scipy.optimize.minimize(rosenbrock, start, method="Nelder-Mead", options=options)
    assert found.value < 1e-12 and theirs.fun < 1e-12
    assert abs(found.iterations - theirs.nit) <= 0.1 * theirs.nit


def test_a_simplex_that_may_not_go_on_is_not_converged():
    found = minimize_simplex(lambda x: float(x @ x), [3.0, 4.0], [1.0, 1.0], tolerance=1e-9,
                             max_evaluations=20)  # fmt: skip
    assert not found.converged and 20 <= found.evaluations <= 24


@pytest.mark.parametrize("search", ["gradient", "simplex"])
@pytest.mark.parametrize("features", ["grey", "edges", "magnitude"])
def test_an_unseen_face_is_found_again(search, features):
    level = level_of(people(20), features)
    image = picture([6.0, 5.0, 8.0, 7.5])
    start = update(INITIAL, [0.05, -0.04, 1.5, -1.2], "similarity", SHAPE)
    found = register_frame(image, [level], start, search=search, options=Options(features=features))
    assert found.status == "converged"
    corners = np.array([[3, 2], [24, 2], [3, 29], [24, 29], [14, 16]]) @ np.eye(2)
    apart = (found.frame_from_canonical - INITIAL)[:2]
    assert np.abs(corners @ apart[:, :2].T + apart[:, 2]).max() < 0.5


def test_gradient_and_simplex_end_at_the_same_place():
    level = level_of(people(20))
    start = update(INITIAL, [0.03, 0.03, -1.0, 1.0], "similarity", SHAPE)
    image = picture([5.5, 7.0, 4.5, 8.0])
    first, second = (register_frame(image, [level], start, search=search)
                     for search in ("gradient", "simplex"))  # fmt: skip
    assert abs(first.log_likelihood - second.log_likelihood) < 0.5
    difference = first.frame_from_canonical - second.frame_from_canonical
    assert np.abs(difference[:2, 2]).max() < 0.3
    assert second.evaluations > 3 * first.evaluations


def test_the_likeliest_of_several_starts_counts():
    level = level_of(people(20))
    image = picture([6.0, 6.0, 6.0, 6.0])
    far = update(INITIAL, [0.0, 0.0, 30.0, 25.0], "similarity", SHAPE)
    near = update(INITIAL, [0.0, 0.0, 0.5, 0.5], "similarity", SHAPE)
    alone = register_frame(image, [level], near)
    both = register_frame(image, [level], np.stack([far, near]))
    np.testing.assert_array_equal(both.frame_from_canonical, alone.frame_from_canonical)
    assert both.evaluations > alone.evaluations


def test_the_scores_are_those_of_the_returned_transform():
    level = level_of(people(20))
    image = picture([6.0, 6.5, 7.0, 5.0])
    found = register_frame(image, [level], INITIAL)
    now = linearize(image, found.frame_from_canonical, lowpass_from=INITIAL, shape=SHAPE,
                    motion="similarity", features="edges", roi=level.roi)  # fmt: skip
    assert (found.difs, found.dffs) == pytest.approx(distances(now.vector, level.subspace))
    assert found.log_likelihood == pytest.approx(log_likelihood(now.vector, level.subspace))


@pytest.mark.parametrize(
    ("motion", "offset"),
    [
        ("translation", [1.0, -0.8]),
        ("euclidean", [0.03, 1.0, -0.8]),
        ("affine", [0.04, 0.02, -0.03, 0.05, 1.0, 0.5]),
        ("homography", [0.04, 0.02, -0.03, 0.05, 1.0, 0.5, 1e-4, -1e-4]),
    ],
)
def test_the_other_motion_models_find_it_too(motion, offset):
    level = level_of(people(20))
    start = update(INITIAL, offset, motion, SHAPE)
    found = register_frame(picture([6.0, 5.5, 7.0, 6.0]), [level], start,
                           options=Options(motion=motion))  # fmt: skip
    assert found.status == "converged"
    assert np.abs((found.frame_from_canonical - INITIAL)[:2, 2]).max() < 1.0


@pytest.mark.parametrize("search", ["gradient", "simplex"])
def test_frames_that_cannot_be_registered_get_a_status(search):
    level = level_of(people(8))
    options = Options()
    nan = picture([6.0] * 4)
    nan[5, 5] = np.nan
    away = INITIAL + np.array([[0, 0, 500.0], [0, 0, 0], [0, 0, 0]])
    for image, start, status in (
        (nan, INITIAL, "unreadable"),
        (np.full((90, 80), 7.0), INITIAL, "singular"),
        (picture([6.0] * 4), away, "out_of_frame"),
    ):
        found = register_frame(image, [level], start, search=search, options=options)
        assert found.status == status
        np.testing.assert_array_equal(found.frame_from_canonical, start)
    capped = replace(options, max_iterations=3, tolerance=1e-12)
    found = register_frame(picture([6.0] * 4), [level], INITIAL, search=search, options=capped)
    assert found.status == "max_iterations"


def test_wrong_arguments_are_named():
    level = level_of(people(8))
    image = picture([6.0] * 4)
    with pytest.raises(ValueError, match="search"):
        register_frame(image, [level], INITIAL, search="annealing")
    with pytest.raises(ValueError, match="distance"):
        register_frame(image, [level], INITIAL, options=Options(distance="euclidean"))
    with pytest.raises(ValueError, match="initial"):
        register_frame(image, [level], np.eye(2))
    with pytest.raises(ValueError, match="frame_from_canonical"):
        register_frame(image, [level], np.diag([1.0, 2.0, 1.0]))
