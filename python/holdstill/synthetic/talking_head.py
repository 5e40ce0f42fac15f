"""The synthetic talking head: frames rendered on demand, and the truth about them."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from functools import cached_property

import numpy as np
import numpy.typing as npt

from holdstill._typing import FloatArray

from ..canonical import DEFAULT_SHAPE, check_shape
from ..checks import integer
from . import trajectories
from .appearance import BOTTOM, LEFT, RELIEF_STEP, RIGHT, TEXELS_PER_UNIT, TOP, Array, head_texture
from .features import EYE_BOX, MOUTH_BOX, draw_eye, draw_mouth
from .hand import HAND_BOTTOM, HAND_LEFT, HAND_RIGHT, HAND_TOP, hand_from_face, hand_texture
from .rendering import double_resolution, face_displacement, sample_texture, shading, unit_grid
from .scene import backdrop

LANDMARKS = (
    "outer eye corner, image left",
    "inner eye corner, image left",
    "inner eye corner, image right",
    "outer eye corner, image right",
    "nose tip",
    "mouth corner, image left",
    "mouth corner, image right",
)
"""What the columns of `TalkingHead.points` are."""

_LANDMARKS_IN_FACE = np.array(
    [[-50, 0], [-20, 0], [20, 0], [50, 0], [0, 38], [-32, 80], [32, 80]], dtype=np.float64
)
_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # Rec. 601 luma
_NOSE_PARALLAX = (0.45, 0.35)  # face units at full turn and nod


class TalkingHead:
    """A talking head on video, rendered from formulas, whose true motion is known.

    The head nods, turns and comes nearer by smooth affine motions, talks, blinks and glances, under
    lights that wander; a hand passes over it once in a while. Frames are rendered when they are
    asked for and not kept; their trajectories are, less than 400 bytes of each.

    Parameters
    ----------
    n_frames : int
        Number of frames, at least 1.
    size : (int, int)
        Height and width of a frame in pixels, each from 64 to 4096.
    shape : (int, int)
        Height and width of the canonical frame that the truth refers to.
    seed : int
        Seed (>= 0) of motion, expression, light, hand, noise and wall; the person stays the same.
    noise : float
        Standard deviation of the sensor noise in grey levels, at least 0.
    occlusion : bool
        Whether the hand passes.
    beyond_affine : bool
        Whether the nose moves a little against the face (up to 0.8 frame pixels, 0 at the eyes), as
        it does when a head turns. The mouth, jaw, lids and irises move in any case.
    color : bool
        Whether frames are RGB; grey (Rec. 601) otherwise.
    fps : float
        Frames per second, above 0.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> head = TalkingHead(50, seed=1)
    >>> head[7].shape, head[7].dtype.name
    ((576, 720, 3), 'uint8')
    >>> outer_left = head.frame_from_canonical[7] @ [50.0, 90.0, 1.0]
    >>> bool(np.allclose(outer_left[:2], head.points()[7, 0]))
    True
    """

    def __init__(
        self,
        n_frames: int = 320,
        *,
        size: tuple[int, int] = (576, 720),
        shape: tuple[int, int] = DEFAULT_SHAPE,
        seed: int = 0,
        noise: float = 2.0,
        occlusion: bool = True,
        beyond_affine: bool = True,
        color: bool = True,
        fps: float = 25.0,
    ) -> None:
        self.n_frames = integer("n_frames", n_frames, 1, 10_000_000)
        self.size = _size(size)
        self.shape = check_shape(shape)
        self.seed = integer("seed", seed, 0, 2**63 - 1)
        self.noise = _real("noise", noise, 0.0, 255.0)
        self.fps = _real("fps", fps, 1e-3, 1e6)
        self.color = bool(color)
        self.time = np.arange(self.n_frames) / self.fps

        self._frame_from_face, turn = trajectories.frame_from_face(self.time, self.seed, self.size)
        self._nose = turn * _NOSE_PARALLAX if beyond_affine else np.zeros_like(turn)
        self._expression = trajectories.expression(self.time, self.seed)
        self._lights = trajectories.lights(self.time, self.seed)
        self._hand = trajectories.hand(self.time, self.seed) if occlusion else None
        self.frame_from_canonical = self._frame_from_face @ _face_from_canonical(self.shape)
        self.frame_from_canonical.setflags(write=False)

        zoom = min(self.size[0] / 576, self.size[1] / 720)
        blur = round(max(1.0, 1.0 / zoom), 2)
        self._texture, self._hand_texture = head_texture(blur), hand_texture(blur)
        self._backdrop, self._sweater = backdrop(self.size, self.seed)
        # Fresh noise would take half of a frame's time: each frame cuts a piece of a longer strip.
        values = self.size[0] * self.size[1] * (3 if self.color else 1)
        rng = np.random.default_rng([self.seed, 7])
        self._noise_strip = self.noise * rng.standard_normal(values + values // 2, dtype=np.float32)

    def __repr__(self) -> str:
        return (
            f"TalkingHead({self.n_frames}, size={self.size}, shape={self.shape}, seed={self.seed}, "
            f"noise={self.noise:g}, fps={self.fps:g})"
        )

    def __len__(self) -> int:
        return self.n_frames

    def __iter__(self) -> Iterator[npt.NDArray[np.uint8]]:
        return (self[i] for i in range(self.n_frames))

    def __getitem__(self, index: int) -> npt.NDArray[np.uint8]:
        """Render one frame.

        Parameters
        ----------
        index : int
            Its position; negative counts from the end.

        Returns
        -------
        ndarray, shape (H, W, 3), or (H, W) where `color` is False, uint8
        """
        i = operator.index(index)
        if not -self.n_frames <= i < self.n_frames:
            raise IndexError(f"index: expected {-self.n_frames} to {self.n_frames - 1}, got {i}")
        i %= self.n_frames
        brightness = 0.75 + 0.5 * self._lights.ambient[i].mean()
        canvas = self._backdrop * np.float32(brightness)
        self._draw_head(canvas, i)
        if self._hand is not None and self._hand.visible[i]:
            self._draw_hand(canvas, i)
        return self._expose(canvas, i)

    def points(self) -> FloatArray:
        """True positions of the landmarks, of the face at rest, in every frame.

        Returns
        -------
        ndarray, shape (n, 7, 2), float64
            (x, y) in frame pixels in the order of `LANDMARKS`. Talking moves the mouth's corners by
            a few pixels from there; parallax moves the nose tip by less than one.
        """
        homogeneous = np.column_stack([_LANDMARKS_IN_FACE, np.ones(len(_LANDMARKS_IN_FACE))])
        return np.asarray((self._frame_from_face @ homogeneous.T)[:, :2].swapaxes(1, 2))

    def initial(self, error: float = 1.0) -> FloatArray:
        """Initial transforms as a 3D tracker or a detector would leave them.

        Each is the similarity that maps the outer eye corners rightly, disturbed by a similarity
        that partly drifts and partly jitters: another one for another number of frames.

        Parameters
        ----------
        error : float
            1 disturbs by standard deviations of about 2 frame pixels along x and y, 2.5 % of scale
            and 2 degrees; 0 leaves the similarities undisturbed.

        Returns
        -------
        ndarray, shape (n, 3, 3), float64
            `frame_from_canonical`, each a similarity.
        """
        error = _real("error", error, 0.0, 100.0)
        linear = np.zeros_like(self._frame_from_face)
        along_eyes = self._frame_from_face[:, :2, 0]
        linear[:, :2, 0] = along_eyes
        linear[:, 0, 1], linear[:, 1, 1] = -along_eyes[:, 1], along_eyes[:, 0]
        linear[:, :, 2] = self._frame_from_face[:, :, 2]
        disturbed = linear @ trajectories.tracker_error(self.n_frames, self.seed, error)
        return np.asarray(disturbed @ _face_from_canonical(self.shape))

    @cached_property
    def occluded(self) -> npt.NDArray[np.bool_]:
        """Frames in which the hand hides more than a hundredth of the face, (n,); read-only.

        Looked for when it is first asked for, in every frame that the hand may reach into.
        """
        occluded = np.zeros(self.n_frames, dtype=bool)
        if self._hand is not None:
            every_fifth_unit = np.array([[5.0, 0, -100], [0, 5, -85], [0, 0, 1]])
            x, y = unit_grid(every_fifth_unit, (0, 0, 41, 41))
            face = (x / 84) ** 2 + ((y - 10) / 96) ** 2 <= 1
            for i in np.flatnonzero(self._hand.visible).tolist():
                hand = self._sample_hand(every_fifth_unit, (0, 0, 41, 41), i)
                occluded[i] = (hand[3][face] > 0.5).mean() > 0.01
        occluded.setflags(write=False)
        return occluded

    def _sample_hand(
        self, face_from_pixel: FloatArray, box: tuple[int, int, int, int], i: int
    ) -> Array:
        assert self._hand is not None
        wrist, angle, mirrored = self._hand.wrist[i], self._hand.angle[i], self._hand.mirrored[i]
        units_from_pixel = hand_from_face(wrist, angle, mirrored) @ face_from_pixel
        origin = (HAND_LEFT, HAND_TOP)
        return sample_texture(self._hand_texture, origin, TEXELS_PER_UNIT, units_from_pixel, box)

    def _draw_head(self, canvas: Array, i: int) -> None:
        pose = self._frame_from_face[i]
        face_from_frame = np.linalg.inv(pose)
        box = _frame_box(pose, (LEFT, TOP, RIGHT, BOTTOM), self.size)
        x0, y0, x1, y1 = box
        displace = face_displacement(0.75 * self._expression.jaw[i], tuple(self._nose[i]))
        colour, origin = self._texture.colour, (LEFT, TOP)
        head = sample_texture(
            colour, origin, TEXELS_PER_UNIT, face_from_frame, box, displace=displace
        )
        self._draw_features(head, i, box, face_from_frame)
        relief = sample_texture(
            self._texture.relief,
            origin,
            TEXELS_PER_UNIT / RELIEF_STEP,
            face_from_frame,
            (x0, y0, x1 + 2, y1 + 2),
            step=2,
            displace=displace,
        )
        lights = self._lights
        light = shading(relief, lights.ambient[i], lights.direction[i], lights.intensity[i])
        red, green, blue, shine = double_resolution(light, y1 - y0, x1 - x0)
        on_neck = double_resolution(relief[3:], y1 - y0, x1 - x0)[0]
        opacity = head[3] * (1.0 - self._sweater[y0:y1, x0:x1] * on_neck)
        for plane, reflectance, factor in zip(canvas, head, (red, green, blue), strict=False):
            under = plane[y0:y1, x0:x1]
            under += opacity * (reflectance * factor + shine - under)

    def _draw_features(
        self,
        head: Array,
        i: int,
        box: tuple[int, int, int, int],
        face_from_frame: FloatArray,
    ) -> None:
        pose, expression = self._frame_from_face[i], self._expression
        pixel = float(np.sqrt(abs(np.linalg.det(face_from_frame[:2, :2]))))
        glint = 2.6 * self._lights.direction[i, 0, :2]
        for side in (-1, 1):
            x0, y0, x1, y1 = EYE_BOX
            eye = (x0, y0, x1, y1) if side > 0 else (-x1, y0, -x0, y1)
            region = _frame_box(pose, eye, self.size)
            x, y = unit_grid(face_from_frame, region)
            draw_eye(
                _cut(head, region, box),
                side * x,
                y,
                lids=float(expression.lids[i]),
                gaze=(side * float(expression.gaze_x[i]), float(expression.gaze_y[i])),
                glint=(side * float(glint[0]), float(glint[1])),
                pixel=pixel,
            )
        region = _frame_box(pose, MOUTH_BOX, self.size)
        x, y = unit_grid(face_from_frame, region)
        jaw, width = float(expression.jaw[i]), float(expression.width[i])
        draw_mouth(_cut(head, region, box), x, y, jaw=jaw, width=width, pixel=pixel)

    def _draw_hand(self, canvas: Array, i: int) -> None:
        assert self._hand is not None
        pose, hand = self._frame_from_face[i], self._hand
        frame_from_hand = pose @ np.linalg.inv(
            hand_from_face(hand.wrist[i], hand.angle[i], hand.mirrored[i])
        )
        extent = (HAND_LEFT, HAND_TOP, HAND_RIGHT, HAND_BOTTOM)
        box = _frame_box(frame_from_hand, extent, self.size)
        picture = self._sample_hand(np.linalg.inv(pose), box, i)
        light = self._lights.ambient[i] + 0.7 * self._lights.intensity[i].sum(axis=0)
        x0, y0, x1, y1 = box
        for plane, colour, factor in zip(canvas, picture, light.astype(np.float32), strict=False):
            under = plane[y0:y1, x0:x1]
            under += picture[3] * (colour * factor - under)

    def _expose(self, canvas: Array, i: int) -> npt.NDArray[np.uint8]:
        if not self.color:
            canvas = np.tensordot(_GREY, canvas, 1)[None]
        start = int(np.random.default_rng([self.seed, 8, i]).integers(canvas.size // 2))
        canvas += self._noise_strip[start : start + canvas.size].reshape(canvas.shape)
        canvas += 0.5
        np.clip(canvas, 0.0, 255.0, out=canvas)
        planes = canvas.astype(np.uint8)
        return np.ascontiguousarray(planes.transpose(1, 2, 0)) if self.color else planes[0]


def _face_from_canonical(shape: tuple[int, int]) -> FloatArray:
    height, width = shape
    unit = 200.0 / width
    return np.array([[unit, 0, -0.5 * width * unit], [0, unit, -0.45 * height * unit], [0, 0, 1]])


def _frame_box(
    frame_from_units: FloatArray,
    rectangle: tuple[float, float, float, float],
    size: tuple[int, int],
) -> tuple[int, int, int, int]:
    """Frame pixels around a rectangle x0, y0, x1, y1 of the face or the hand, ends excluded."""
    x0, y0, x1, y1 = rectangle
    corners = np.array([[x0, x1, x1, x0], [y0, y0, y1, y1], [1, 1, 1, 1]])
    mapped = (frame_from_units @ corners)[:2]
    height, width = size
    low = np.clip(np.floor(mapped.min(axis=1)), 0, (width, height)).astype(int)
    high = np.clip(np.ceil(mapped.max(axis=1)) + 1, low, (width, height)).astype(int)
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _cut(head: Array, region: tuple[int, int, int, int], box: tuple[int, int, int, int]) -> Array:
    x0, y0, x1, y1 = region
    return head[:, y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]]


def _real(name: str, value: float, low: float, high: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: expected a number, got {value!r}") from None
    if not low <= number <= high:
        raise ValueError(f"{name}: expected {low:g} to {high:g}, got {number!r}")
    return number


def _size(size: tuple[int, int]) -> tuple[int, int]:
    try:
        height, width = size
    except (TypeError, ValueError):
        raise ValueError(f"size: expected (height, width), got {size!r}") from None
    return integer("size", height, 64, 4096), integer("size", width, 64, 4096)
