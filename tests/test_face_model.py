"""Face models: what they learn, keep and refuse; registering to them."""

import json
import pickle
from copy import deepcopy

import numpy as np
import pytest
from people import EYES, MOUTH, crowd

from holdstill.landmarks import mean_shape, similarity_of
from holdstill.principal_components import principal_components
from holdstill.reference.motion import map_points
from holdstill.reference.warp import linearize
from holdstill.registration.model import FaceModel
from holdstill.registration.registering import Registration, identify, register


@pytest.fixture(scope="module")
def model():
    images, transforms, users = crowd(10, shots=3)
    return FaceModel.fit(images, transforms, users=users, components=6)


def displaced(transform, seed=0):
    rng = np.random.default_rng(seed)
    a, b = 1.0 + 0.05 * rng.uniform(-1, 1), 0.05 * rng.uniform(-1, 1)
    g = np.array([[a, -b, rng.uniform(-2, 2)], [b, a, rng.uniform(-2, 2)], [0, 0, 1]])
    return transform @ g


def apart(first, second):
    points = np.concatenate([EYES, MOUTH])
    scale = np.sqrt(np.linalg.det(second[:2, :2]))
    moved = map_points(first, points) - map_points(second, points)
    return float(np.linalg.norm(moved, axis=1).max() / scale)


# What is learnt


@pytest.mark.parametrize(("n", "size"), [(9, 40), (40, 9)])
def test_principal_components_are_those_of_the_covariance(n, size):
    rows = np.random.default_rng(0).normal(size=(n, size))
    rows -= rows.mean(axis=0)
    found = principal_components(rows, n - 1, 5)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    leading = vectors[:, ::-1][:, :5]
    np.testing.assert_allclose(found.eigenvalues, values[::-1][: min(n - 1, size)], rtol=1e-9)
    np.testing.assert_allclose(found.basis @ found.basis.T, leading @ leading.T, atol=1e-9)


def test_a_share_of_variance_takes_as_few_components_as_reach_it():
    rows = np.random.default_rng(0).normal(size=(30, 12)) * np.arange(1, 13)
    rows -= rows.mean(axis=0)
    found = principal_components(rows, 29, 0.7)
    shares = np.cumsum(found.eigenvalues) / found.eigenvalues.sum()
    count = found.basis.shape[1]
    assert shares[count - 2] < 0.7 <= shares[count - 1]


def test_the_model_is_the_mean_and_covariance_of_the_vectors(model):
    images, transforms, users = crowd(10, shots=3)
    vectors = np.stack([
        linearize(image, transform, shape=model.shape, motion="similarity", features="edges",
                  sigma=model.sigma, roi=model.octaves[0].roi).vector
        for image, transform in zip(images, transforms, strict=True)
    ])  # fmt: skip
    octave = model.octaves[0]
    np.testing.assert_allclose(octave.mean, vectors.mean(axis=0), atol=1e-5)
    covariance_trace = np.var(vectors, axis=0, ddof=1).sum()
    assert octave.eigenvalues.sum() == pytest.approx(covariance_trace, rel=1e-4)
    of_user = vectors.reshape(10, 3, -1)
    within = ((of_user - of_user.mean(axis=1, keepdims=True)) ** 2).sum() / (30 - 10)
    assert octave.within_eigenvalues.sum() == pytest.approx(within, rel=1e-4)
    assert model.users == tuple(sorted(set(users)))
    np.testing.assert_allclose(octave.templates, of_user.mean(axis=1), atol=1e-5)


def test_rho_has_both_readings():
    images, transforms, _ = crowd(12)
    by = {rho: FaceModel.fit(images, transforms, components=4, rho=rho)
          for rho in ("existing", "all", 3e-3)}  # fmt: skip
    rhos = {name: model.gaussians()[0].subspace.rho for name, model in by.items()}
    eigenvalues = by["all"].octaves[0].eigenvalues
    size = len(by["all"].octaves[0].mean)
    assert len(eigenvalues) == 11
    assert rhos["existing"] == pytest.approx(eigenvalues[4:].mean())
    assert rhos["all"] == pytest.approx(eigenvalues[4:].sum() / (size - 4))
    assert rhos[3e-3] == 3e-3


def test_points_register_the_images_by_procrustes():
    images, transforms, _ = crowd(12)
    points = np.stack([map_points(t, np.concatenate([EYES, MOUTH])) for t in transforms])
    model = FaceModel.fit(images, points=points, components=4)
    np.testing.assert_allclose(model.landmarks, np.concatenate([EYES, MOUTH]), atol=1e-6)
    given = FaceModel.fit(images, transforms, components=4)
    np.testing.assert_allclose(model.octaves[0].mean, given.octaves[0].mean, atol=1e-6)


def test_the_mean_shape_minimises_what_similarities_leave():
    rng = np.random.default_rng(3)
    faces = np.concatenate([EYES, MOUTH]) + rng.normal(0.0, 1.5, (15, 4, 2))
    mean = mean_shape(faces, (64, 64))
    np.testing.assert_allclose(mean[:2], EYES, atol=1e-9)

    def left(shape):
        fits = [similarity_of(shape, face) for face in faces]
        moved = [map_points(fit, face) for fit, face in zip(fits, faces, strict=True)]
        size = ((shape - shape.mean(axis=0)) ** 2).sum()
        return sum(((m - shape) ** 2).sum() for m in moved) / size

    for _ in range(10):
        assert left(mean + rng.normal(0.0, 0.4, mean.shape)) > left(mean) * (1 - 1e-3)


def test_registered_images_need_no_transforms():
    images, transforms, _ = crowd(8)
    from holdstill import warp

    pictures = [warp(image, t, (64, 64)) for image, t in zip(images, transforms, strict=True)]
    model = FaceModel.fit(np.stack(pictures), components=3)
    assert model.shape == (64, 64)
    found = register(images[0], model, displaced(transforms[0]))
    assert found.converged and apart(found.frame_from_canonical, transforms[0]) < 0.5


# Registration


@pytest.mark.parametrize("search", ["gradient", "simplex"])
def test_people_the_model_has_never_seen_are_registered(model, search):
    images, transforms, _ = crowd(6, seed=77)
    for k, (image, transform) in enumerate(zip(images, transforms, strict=True)):
        found = register(image, model, displaced(transform, k), search=search)
        assert isinstance(found, Registration) and found.converged and found.user is None
        assert apart(found.frame_from_canonical, transform) < 0.7


def test_a_user_enrolled_by_one_image_is_registered_to_it(model):
    images, transforms, _ = crowd(1, seed=5, shots=4, spread=0.4)
    enrolled = model.enrol("new", images[0], transforms[0])
    assert enrolled.users == (*model.users, "new") and "new" not in model.users
    for k in (1, 2, 3):
        start = displaced(transforms[k], k)
        found = register(images[k], enrolled, start, user="new")
        assert found.user == "new" and apart(found.frame_from_canonical, transforms[k]) < 0.7
        others = [register(images[k], enrolled, start, user=user) for user in model.users]
        assert found.log_likelihood > max(other.log_likelihood for other in others)


def test_the_user_s_gaussian_is_the_template_and_the_covariance_within_users(model):
    user = model.users[3]
    for level, octave in zip(model.gaussians(user), model.octaves, strict=True):
        np.testing.assert_array_equal(level.subspace.mean, octave.templates[3])
        np.testing.assert_array_equal(level.subspace.basis, octave.within_basis)
        count = octave.within_basis.shape[1]
        beyond = octave.within_eigenvalues[count:]
        assert level.subspace.rho == pytest.approx(beyond.mean())


def test_a_user_enrolled_again_is_replaced(model):
    images, transforms, _ = crowd(2, seed=5)
    twice = model.enrol("new", images[0], transforms[0]).enrol("new", images[1], transforms[1])
    once = model.enrol("new", images[1], transforms[1])
    assert twice.users == once.users
    np.testing.assert_array_equal(twice.octaves[0].templates, once.octaves[0].templates)
    assert len(twice.thumbnails) == len(twice.users)


def test_octaves_reach_further_than_the_finest_alone(model):
    images, transforms, _ = crowd(4, seed=31)
    shift = np.array([[1.0, 0.0, 16.0], [0.0, 1.0, -12.0], [0.0, 0.0, 1.0]])
    ends = {}
    for levels in (1, 3, None):
        found = [register(i, model, t @ shift, levels=levels)
                 for i, t in zip(images, transforms, strict=True)]  # fmt: skip
        ends[levels] = [apart(f.frame_from_canonical, t)
                        for f, t in zip(found, transforms, strict=True)]  # fmt: skip
    assert max(ends[3]) < 0.7 < max(ends[1])
    assert max(ends[None]) < 0.7


def test_near_starts_are_searched_on_the_finest_octave_alone(model):
    images, transforms, _ = crowd(4, seed=31)
    for image, transform in zip(images, transforms, strict=True):
        near = transform @ np.array([[1.0, 0.0, 0.8], [0.0, 1.0, -0.6], [0.0, 0.0, 1.0]])
        found, finest = (register(image, model, near, levels=levels) for levels in (None, 1))
        assert found.evaluations == finest.evaluations
        np.testing.assert_array_equal(found.frame_from_canonical, finest.frame_from_canonical)


def test_identification_is_registration_to_every_user(model):
    images, transforms, users = crowd(10, shots=3)
    for k in (4, 16, 28):
        start = displaced(transforms[k], k)
        found = identify(images[k], model, start)
        assert found.users == model.users and found.best == users[k]
        index = found.users.index(users[k])
        alone = register(images[k], model, start, user=users[k])
        assert apart(found.frame_from_canonical[index], alone.frame_from_canonical) < 0.1
        assert found.log_likelihood[index] == pytest.approx(alone.log_likelihood, abs=1.0)
    black = identify(np.zeros((50, 50), np.uint8), model, np.eye(3))
    assert black.best is None and set(black.status) == {"singular"}
    with pytest.raises(ValueError, match="refined: expected"):
        identify(images[0], model, transforms[0], refined=-1)
    with pytest.raises(ValueError, match=r"initial: expected shape \(3, 3\), got \(2, 3, 3\)"):
        identify(images[0], model, transforms[:2])
    with pytest.raises(ValueError, match=r"initial: expected numbers of shape \(3, 3\)"):
        identify(images[0], model, "where")
    with pytest.raises(ValueError, match="nobody"):
        identify(images[0], FaceModel.fit(images[:6], transforms[:6], components=2), np.eye(3))


# Files


@pytest.mark.parametrize("copy", [deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_model_travels_after_it_was_used_as_before(model, copy):
    images, transforms, _ = crowd(1, seed=9)
    here = register(images[0], model, transforms[0])
    there = register(images[0], copy(model), transforms[0])
    np.testing.assert_array_equal(there.frame_from_canonical, here.frame_from_canonical)
    assert (there.log_likelihood, there.quality) == (here.log_likelihood, here.quality)


def test_what_was_saved_is_loaded(model, tmp_path):
    path = tmp_path / "faces.npz"
    model.save(path)
    back = FaceModel.load(path)
    assert repr(back) == repr(model) and "10 users" in repr(back)
    images, transforms, _ = crowd(1, seed=9)
    for user in (None, model.users[0]):
        first, second = (register(images[0], m, transforms[0], user=user) for m in (model, back))
        assert first.log_likelihood == second.log_likelihood
        np.testing.assert_array_equal(first.frame_from_canonical, second.frame_from_canonical)
    np.testing.assert_array_equal(back.thumbnails, model.thumbnails)


def test_other_files_are_refused(model, tmp_path):
    from holdstill import Dictionary

    with pytest.raises(FileNotFoundError):
        FaceModel.load(tmp_path / "absent.npz")
    Dictionary(np.eye(16, 2), shape=(4, 4), motion="similarity").save(tmp_path / "d.npz")
    with pytest.raises(ValueError, match="no face model"):
        FaceModel.load(tmp_path / "d.npz")
    model.save(tmp_path / "m.npz")
    with pytest.raises(ValueError, match="no dictionary"):
        Dictionary.load(tmp_path / "m.npz")
    with np.load(tmp_path / "m.npz") as file:
        arrays = dict(file)
    meta = json.loads(str(arrays["meta"][()]))
    later = np.array(json.dumps({**meta, "format_version": 99}))
    np.savez(tmp_path / "later.npz", **{**arrays, "meta": later})
    with pytest.raises(ValueError, match="version 99"):
        FaceModel.load(tmp_path / "later.npz")
    for name, broken in (
        ("mean_0", arrays["mean_0"][:-1]),
        ("basis_1", arrays["basis_1"][:, 0]),
        ("eigenvalues_0", arrays["eigenvalues_0"][:6]),  # none is left for ρ
        ("within_eigenvalues_1", np.zeros(0)),
        ("templates_0", arrays["templates_0"][1:]),
        ("thumbnails", arrays["thumbnails"][1:]),
        ("unseen", arrays["unseen"][:, :1]),
        ("mean_1", np.full_like(arrays["mean_1"], np.nan)),
        ("meta", np.array(json.dumps({**meta, "octaves": 0}))),
    ):
        np.savez(tmp_path / "broken.npz", **{**arrays, name: broken})
        with pytest.raises(ValueError, match=r"readable face model: (octaves|thumb|unseen)"):
            FaceModel.load(tmp_path / "broken.npz")


# Bad input


def test_too_few_images_are_refused():
    images, transforms, _ = crowd(6)
    with pytest.raises(ValueError, match="images: expected at least 3, got 1"):
        FaceModel.fit(images[:1], transforms[:1])
    with pytest.raises(ValueError, match="components: expected at most 4"):
        FaceModel.fit(images, transforms, components=20)
    with pytest.raises(ValueError, match="differ"):
        FaceModel.fit([images[0]] * 5, transforms[[0] * 5])


def test_bad_images_are_named():
    images, transforms, _ = crowd(6)
    flat = [*images[:5], np.full((110, 120), 9.0)]
    with pytest.raises(ValueError, match="image 5 is constant"):
        FaceModel.fit(flat, transforms, components=2)
    away = transforms.copy()
    away[2, 0, 2] += 90.0
    with pytest.raises(ValueError, match="half of face 2"):
        FaceModel.fit(images, away, components=2)
    with pytest.raises(ValueError, match="image 1 has shape"):
        FaceModel.fit([images[0][:64, :64], images[1][:60, :64], images[2][:64, :64]])
    with pytest.raises(ValueError, match="image 0"):
        FaceModel.fit([np.zeros(7)] * 4, transforms[:4])
    broken = [*images[:5], np.where(images[5] > 100.0, np.nan, images[5])]
    with pytest.raises(ValueError, match="image 5"):
        FaceModel.fit(broken, transforms, components=2)


@pytest.mark.parametrize(
    ("named", "keywords"),
    [
        ("features", {"features": "colours"}),
        ("sigma", {"sigma": -1.0}),
        ("rho", {"rho": "some"}),
        ("rho", {"rho": 0.0}),
        ("components", {"components": 0}),
        ("components", {"components": 2.5}),
        ("components", {"components": True}),
        ("components", {"components": np.inf}),
        ("components", {"components": "many"}),
        ("rho", {"rho": None}),
        ("levels", {"levels": 1.5}),
        ("roi", {"roi": "nose"}),
        ("levels", {"levels": 9}),
        ("shape", {"shape": (1, 64)}),
        ("users", {"users": ["a"]}),
        ("users", {"users": [*"abcde", ""]}),
        ("users", {"users": [*"abcde", "all"]}),
        ("points", {"points": np.zeros((6, 2, 2))}),
        ("points", {"points": [np.zeros((k, 2)) for k in range(6)], "frame_from_canonical": None}),
        ("frame_from_canonical", {"frame_from_canonical": [None] * 6}),
    ],
)
def test_bad_arguments_are_named(named, keywords):
    images, transforms, _ = crowd(6)
    with pytest.raises(ValueError, match=f"^{named}: "):
        FaceModel.fit(images, **{"frame_from_canonical": transforms, "components": 2, **keywords})


def test_points_in_fractions_of_the_image_are_refused():
    images, transforms, _ = crowd(6)
    points = np.stack([map_points(t, np.concatenate([EYES, MOUTH])) for t in transforms])
    with pytest.raises(ValueError, match=r"^points: expected pixels, got fractions"):
        FaceModel.fit(images, points=points / points.max(), components=2)


def test_points_whose_axes_are_exchanged_are_suspected(caplog):
    images, transforms, _ = crowd(6)
    points = np.stack([map_points(t, np.concatenate([EYES, MOUTH])) for t in transforms])
    FaceModel.fit(images, points=points, components=2)
    assert not caplog.text
    FaceModel.fit(images, points=points[..., ::-1], components=2)
    assert caplog.text.count("(x, y), not (y, x)") == 1
    assert "of the person" not in caplog.text


@pytest.mark.parametrize("eye_corners", [(0, 4), (-1, 0), (1, 1), (0, 1, 2)])
def test_eye_corners_that_are_no_two_points_are_refused(eye_corners):
    images, transforms, _ = crowd(6)
    points = np.stack([map_points(t, np.concatenate([EYES, MOUTH])) for t in transforms])
    with pytest.raises(ValueError, match=r"^eye_corners: expected two different indices"):
        FaceModel.fit(images, points=points, eye_corners=eye_corners, components=2)
    points[:, 1] = points[:, 0]
    with pytest.raises(ValueError, match=r"^eye_corners: expected points that differ"):
        FaceModel.fit(images, points=points, components=2)


def test_registering_refuses_what_does_not_fit(model):
    images, transforms, _ = crowd(1)
    with pytest.raises(TypeError, match="model"):
        register(images[0], "faces.npz", transforms[0])
    for named, keywords in (
        ("user", {"user": "nobody"}),
        ("search", {"search": "annealing"}),
        ("levels", {"levels": 7}),
        ("tolerance", {"tolerance": 0.0}),
        ("max_iterations", {"max_iterations": 0}),
        ("max_iterations", {"max_iterations": np.nan}),
        ("tolerance", {"tolerance": "small"}),
        ("levels", {"levels": "all"}),
        ("motion", {"motion": "free"}),
        ("distance", {"distance": "euclidean"}),
    ):
        with pytest.raises(ValueError, match=named):
            register(images[0], model, transforms[0], **keywords)
    with pytest.raises(ValueError, match="frame"):
        register(np.zeros(9), model, transforms[0])
    alone = FaceModel.fit(*crowd(6)[:2], components=2)
    with pytest.raises(ValueError, match="fit it with users"):
        alone.enrol("ann", images[0], transforms[0])
    with pytest.raises(ValueError, match="user: 'all' stands for all who are enrolled"):
        model.enrol("all", images[0], transforms[0])


def test_hard_frames_get_a_status_and_no_error(model):
    images, transforms, _ = crowd(1)
    tiny = np.diag([0.04, 0.04, 1.0])
    tiny[:2, 2] = 50.0
    assert register(images[0], model, tiny).status in (
        "converged", "collapsed", "max_iterations", "singular", "out_of_frame"
    )  # fmt: skip
    out = transforms[0].copy()
    out[0, 2] += 100.0
    assert register(images[0], model, out).status == "out_of_frame"
    assert register(np.zeros((50, 50), np.uint8), model, np.eye(3)).status == "singular"
    infinite = np.full((9, 9), np.inf, np.float32)
    for user in (None, model.users[0]):
        found = register(infinite, model, np.eye(3), user=user)
        assert found.status == "unreadable" and np.isnan(found.quality)
