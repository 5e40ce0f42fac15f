"""How the synthetic head moves: pose, expression, light and hand as smooth functions of time.

Every value of a frame depends on the seed and the frame's time alone, so a longer recording begins
with the same frames as a shorter one. A tracker's error, which no frame shows, is another one for
another number of frames.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from holdstill._typing import FloatArray

MEAN_SCALE = 1.5  # frame pixels per face unit in a frame of 576 x 720
_DRIFT_FRAMES = 12.0  # over which half of the tracker's error is correlated
_HAND_PERIOD = 4.0  # seconds from one pass of the hand to the next
_HAND_SECONDS = 1.1  # from the hand's entry to its exit


@dataclass(frozen=True)
class Expression:
    """Expression per frame, each an array of shape (n,).

    Attributes
    ----------
    jaw : float64
        Drop of the lower lip in face units.
    width : float64
        Relative widening of the mouth, negative when rounded.
    lids : float64
        1 open, 0 closed.
    gaze_x, gaze_y : float64
        Displacement of the irises in face units.
    """

    jaw: FloatArray
    width: FloatArray
    lids: FloatArray
    gaze_x: FloatArray
    gaze_y: FloatArray


@dataclass(frozen=True)
class Lights:
    """Light per frame.

    Attributes
    ----------
    ambient : float64, shape (n, 3)
        Ambient light in red, green and blue.
    direction : float64, shape (n, 2, 3)
        Unit vectors from the face towards the key and the fill light; z towards the viewer.
    intensity : float64, shape (n, 2, 3)
        Their intensity in red, green and blue.
    """

    ambient: FloatArray
    direction: FloatArray
    intensity: FloatArray


@dataclass(frozen=True)
class Hand:
    """Hand per frame: its wrist in face units, and the direction of its fingers.

    Attributes
    ----------
    visible : bool, shape (n,)
        Whether the hand may reach into the picture.
    wrist : float64, shape (n, 2)
        Position of the wrist in face coordinates.
    angle : float64, shape (n,)
        Turn of the fingers from upright in radians, positive to the right.
    mirrored : bool, shape (n,)
        Whether it is the hand with its thumb to the right.
    """

    visible: npt.NDArray[np.bool_]
    wrist: FloatArray
    angle: FloatArray
    mirrored: npt.NDArray[np.bool_]


def smooth_signal(
    time: FloatArray, rng: np.random.Generator, period: float, *, waves: int = 3
) -> FloatArray:
    """Sum of sinusoids with random phases, within [-1, 1].

    Parameters
    ----------
    time : ndarray, shape (n,)
        Seconds.
    rng : Generator
        Source of the periods and phases.
    period : float
        The longest period in seconds.
    waves : int
        Number of sinusoids; each is faster and weaker than the one before.

    Returns
    -------
    ndarray, shape (n,), float64
    """
    total, weight = np.zeros_like(time), 0.0
    for k in range(waves):
        share = 0.55**k
        rate = 1.7**k / period * rng.uniform(0.85, 1.15)
        total += share * np.sin(2 * np.pi * (rate * time + rng.uniform()))
        weight += share
    return np.asarray(total / weight)


def frame_from_face(
    time: FloatArray, seed: int, size: tuple[int, int]
) -> tuple[FloatArray, FloatArray]:
    """Pose per frame, and how far the head is turned.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Seconds.
    seed : int
        Seed of the trajectories.
    size : (int, int)
        Height and width of the frame in pixels.

    Returns
    -------
    transforms : ndarray, shape (n, 3, 3), float64
        Affine maps from face coordinates to the frame (equations §0).
    turn : ndarray, shape (n, 2), float64
        Yaw and nod, each within [-1, 1].
    """
    rng = np.random.default_rng([seed, 1])
    height, width = size
    zoom = min(height / 576, width / 720)
    yaw, nod = (smooth_signal(time, rng, p) for p in (5.1, 3.7))
    scale = zoom * (MEAN_SCALE + 0.2 * smooth_signal(time, rng, 7.3))
    angle = np.deg2rad(10.0) * smooth_signal(time, rng, 4.3)
    along_x = 1.0 - 0.06 * yaw**2
    along_y = 1.0 - 0.05 * nod**2 + 0.015 * smooth_signal(time, rng, 6.1)
    shear = 0.035 * smooth_signal(time, rng, 5.7)

    transforms = np.zeros((len(time), 3, 3))
    cos, sin = np.cos(angle), np.sin(angle)
    rotation = np.stack([np.stack([cos, -sin], -1), np.stack([sin, cos], -1)], axis=-2)
    stretch = np.zeros_like(rotation)
    stretch[:, 0, 0], stretch[:, 0, 1], stretch[:, 1, 1] = along_x, shear, along_y
    transforms[:, :2, :2] = scale[:, None, None] * (rotation @ stretch)
    sway = 26.0 * smooth_signal(time, rng, 6.7) + 16.0 * yaw
    transforms[:, 0, 2] = (width - 1) / 2 + zoom * sway
    bob = 12.0 * smooth_signal(time, rng, 5.3) + 10.0 * nod
    transforms[:, 1, 2] = (height - 1) / 2 + zoom * (bob - 26.0)
    transforms[:, 2, 2] = 1.0
    return transforms, np.stack([yaw, nod], axis=-1)


def expression(time: FloatArray, seed: int) -> Expression:
    """Speech, blinks and glances.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Seconds.
    seed : int
        Seed of the trajectories.

    Returns
    -------
    Expression
    """
    rng = np.random.default_rng([seed, 2])
    phrase = np.clip(0.75 + 0.9 * smooth_signal(time, rng, 3.9), 0.0, 1.0)
    syllable = np.clip(0.35 + smooth_signal(time, rng, 0.55), 0.0, None)
    jaw = 18.0 * phrase * syllable / 1.35
    width = 0.16 * smooth_signal(time, rng, 0.9) * phrase
    lids = 1.0 - 0.1 * (1 + smooth_signal(time, rng, 2.9)) / 2
    for blink, _ in _events(time, [seed, 6], period=2.6, jitter=1.6):
        lids = lids * (1.0 - np.exp(-(((time - blink) / 0.075) ** 4)))
    gaze_x = 2.3 * np.tanh(3.0 * smooth_signal(time, rng, 2.3))
    gaze_y = 1.0 * np.tanh(3.0 * smooth_signal(time, rng, 3.1))
    return Expression(jaw, width, lids, gaze_x, gaze_y)


def lights(time: FloatArray, seed: int) -> Lights:
    """A key and a fill light that wander about the head, and changing ambient light.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Seconds.
    seed : int
        Seed of the trajectories.

    Returns
    -------
    Lights
    """
    rng = np.random.default_rng([seed, 3])
    ambient = 0.56 * (1.0 + 0.16 * smooth_signal(time, rng, 6.3))[:, None] * (0.98, 1.0, 1.05)
    key_azimuth = 0.85 * smooth_signal(time, rng, 7.7)
    key_elevation = 0.42 + 0.34 * smooth_signal(time, rng, 5.9)
    fill_azimuth = -0.5 + 0.9 * smooth_signal(time, rng, 9.1)
    fill_elevation = 0.1 + 0.35 * smooth_signal(time, rng, 8.3)
    key = 0.50 * (1.0 + 0.2 * smooth_signal(time, rng, 4.9))
    fill = 0.20 * (1.0 + 0.5 * smooth_signal(time, rng, 6.9))
    direction = [_unit(key_azimuth, key_elevation), _unit(fill_azimuth, fill_elevation)]
    intensity = [key[:, None] * (1.05, 1.0, 0.93), fill[:, None] * (0.93, 1.0, 1.1)]
    return Lights(ambient, np.stack(direction, axis=1), np.stack(intensity, axis=1))


def _unit(azimuth: FloatArray, elevation: FloatArray) -> FloatArray:
    """Unit vectors, shape (n, 3); azimuth to the right and elevation upwards, in radians."""
    level = np.cos(elevation)
    return np.stack([level * np.sin(azimuth), -np.sin(elevation), level * np.cos(azimuth)], axis=-1)


def hand(time: FloatArray, seed: int) -> Hand:
    """A hand that passes over the mouth or a cheek about once in four seconds.

    Parameters
    ----------
    time : ndarray, shape (n,)
        Seconds.
    seed : int
        Seed of the trajectories.

    Returns
    -------
    Hand
    """
    n = len(time)
    visible, mirrored = np.zeros(n, bool), np.zeros(n, bool)
    wrist, angle = np.zeros((n, 2)), np.zeros(n)
    for middle, rng in _events(time, [seed, 4], period=_HAND_PERIOD, jitter=1.2):
        side = rng.choice([-1.0, 1.0])
        target = np.array([side * rng.uniform(5, 30), rng.uniform(150, 170)])
        tilt = -side * rng.uniform(0.25, 0.5)
        phase = (time - middle) / _HAND_SECONDS + 0.5
        now = (phase > 0) & (phase < 1)
        away = (np.abs(2 * phase[now] - 1) ** 2.2)[:, None]
        wrist[now] = target + away * np.array([side * 190.0, 150.0])
        angle[now] = tilt * (1 - 0.5 * away[:, 0]) + 0.15 * (phase[now] - 0.5)
        visible |= now
        mirrored[now] = side < 0
    return Hand(visible, wrist, angle, mirrored)


def _events(
    time: FloatArray, seed: list[int], *, period: float, jitter: float
) -> Iterator[tuple[float, np.random.Generator]]:
    """One moment in each period, in its middle up to half the jitter, and a generator for it."""
    for k in range(int(time[-1] // period) + 2):
        rng = np.random.default_rng([*seed, k])
        yield period * (k + 0.5) + jitter * (rng.uniform() - 0.5), rng


def tracker_error(n: int, seed: int, magnitude: float) -> FloatArray:
    """Similarities near the identity about the origin of the face, as a tracker's error.

    Half of the variance drifts slowly and half is independent from frame to frame.

    Parameters
    ----------
    n : int
        Number of frames.
    seed : int
        Seed of the error.
    magnitude : float
        1 has standard deviations of 1.5 face units along x and y, 2.5 % of scale, 2 degrees.

    Returns
    -------
    ndarray, shape (n, 3, 3), float64
    """
    rng = np.random.default_rng([seed, 5])
    white = rng.standard_normal((2, n, 4))
    smooth = ndimage.gaussian_filter1d(white[1], _DRIFT_FRAMES, axis=0, mode="wrap")
    drift = smooth * np.sqrt(2 * _DRIFT_FRAMES * np.sqrt(np.pi))  # back to unit deviation
    error = np.sqrt(0.5) * (white[0] + drift)
    scale = np.exp(magnitude * 0.025 * error[:, 0])
    angle = magnitude * np.deg2rad(2.0) * error[:, 1]
    result = np.zeros((n, 3, 3))
    result[:, 0, 0] = result[:, 1, 1] = scale * np.cos(angle)
    result[:, 1, 0] = scale * np.sin(angle)
    result[:, 0, 1] = -result[:, 1, 0]
    result[:, :2, 2] = magnitude * 1.5 * error[:, 2:]
    result[:, 2, 2] = 1.0
    return result
