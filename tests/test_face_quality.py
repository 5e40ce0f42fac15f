"""Quality of registered faces: calibrated on images left out, low where there is no face."""

import numpy as np
import pytest
from people import crowd, portrait

from holdstill import FaceModel, register
from holdstill.learning.residuals import yardstick
from holdstill.reference.warp import linearize
from holdstill.registration.quality import DISPLACEMENT, FOLDS, quality


@pytest.fixture(scope="module")
def people():
    return crowd(10, shots=3)


@pytest.fixture(scope="module")
def model(people):
    images, transforms, users = people
    return FaceModel.fit(images, transforms, users=users, components=6)


def vector(model, image, transform):
    return linearize(
        image, transform, shape=model.shape, motion="similarity", features="edges",
        sigma=model.sigma, roi=model.octaves[0].roi,
    ).vector  # fmt: skip


def test_residuals_are_those_of_people_left_out(model, people):
    images, transforms, _ = people
    vectors = np.stack([vector(model, *pair) for pair in zip(images, transforms, strict=True)])
    person = np.repeat(np.arange(10), 3)
    expected = []
    for fold in range(FOLDS):
        others = vectors[person % FOLDS != fold]
        mean = others.mean(axis=0)
        components = np.linalg.svd(others - mean, full_matrices=False)[2][:6]
        held = vectors[person % FOLDS == fold] - mean
        expected += np.linalg.norm(held - held @ components.T @ components, axis=1).tolist()
    np.testing.assert_allclose(model.unseen[:, 0], expected, atol=1e-5)


def test_displaced_faces_fit_worse(model):
    in_place, displaced = model.unseen.T
    assert len(in_place) == 30
    assert (displaced > in_place).all()
    assert DISPLACEMENT * model.shape[1] == pytest.approx(3.2)  # 32 px lie between the eyes


def test_the_curve_goes_through_its_points(model):
    typical, poor = yardstick(*model.unseen.T)
    assert model.quality(typical) == pytest.approx(0.95)
    assert model.quality(poor) == pytest.approx(0.5)
    qualities = [model.quality(residual) for residual in np.linspace(0.1, 1.2, 20)]
    assert (np.diff(qualities) < 0).all() and 0 <= min(qualities) <= max(qualities) <= 1


def test_strangers_are_good_and_what_is_no_face_is_not(model):
    images, transforms, _ = crowd(8, seed=5)
    rng = np.random.default_rng(0)
    for image, transform in zip(images, transforms, strict=True):
        assert register(image, model, transform).good
        noise = rng.normal(100.0, 40.0, image.shape)
        found = register(noise, model, transform)
        assert not found.good and found.quality < 0.2


def test_the_residual_is_what_the_components_leave(model, people):
    images, transforms, _ = people
    found = register(images[4], model, transforms[4])
    octave = model.octaves[0]
    away = vector(model, images[4], found.frame_from_canonical) - octave.mean
    left = np.linalg.norm(away - octave.basis @ (octave.basis.T @ away))
    assert found.residual == pytest.approx(left, rel=2e-3)  # their low-pass differs a little
    assert model.residual(images[4], found.frame_from_canonical) == pytest.approx(left, abs=1e-5)


def test_of_a_user_it_is_still_whether_it_is_a_face(model, people):
    images, transforms, users = people
    general = register(images[0], model, transforms[0])
    own = register(images[0], model, transforms[0], user=users[0])
    assert own.residual != general.residual
    assert own.quality == pytest.approx(general.quality, abs=0.05)
    blank = np.random.default_rng(1).normal(100.0, 40.0, images[0].shape)
    assert register(blank, model, transforms[0], user=users[0]).quality < 0.2


def test_too_few_images_to_leave_some_out_leave_it_unknown():
    images, transforms, _ = crowd(3)
    model = FaceModel.fit(images, transforms, components=1)
    found = register(images[0], model, transforms[0])
    assert model.unseen.shape == (0, 2)
    assert np.isnan(found.quality) and found.good == found.converged
    assert np.isnan(quality(0.5, None))


def test_where_nothing_comes_of_it_nothing_is_known(model):
    black = register(np.zeros((110, 120)), model, np.eye(3))
    assert black.status == "singular"
    assert np.isnan([black.quality, black.residual]).all() and not black.good


def test_a_saved_model_keeps_it(model, people, tmp_path):
    images, transforms, _ = people
    model.save(tmp_path / "faces.npz")
    loaded = FaceModel.load(tmp_path / "faces.npz")
    np.testing.assert_array_equal(loaded.unseen, model.unseen)
    first, again = (register(images[0], each, transforms[0]) for each in (model, loaded))
    assert first.quality == again.quality


def test_a_face_at_the_border_of_its_image_does_not_stop_a_model():
    images, transforms, _ = crowd(6)
    # Nearly half of the face lies below the image; displaced, more than half.
    at = np.array([[1.2, 0.0, 22.0], [0.0, 1.2, 69.4], [0.0, 0.0, 1.0]])
    model = FaceModel.fit([*images, portrait(np.zeros(6), at)], [*transforms, at], components=2)
    assert model.unseen.shape == (0, 2)
