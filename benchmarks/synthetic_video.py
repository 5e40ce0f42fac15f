"""A video of the synthetic talking head, of any length, and its initial transforms."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from looped_video import FRAMES_PER_SECOND, Loop

import holdstill
from holdstill.synthetic import TalkingHead


@dataclass(frozen=True)
class SyntheticVideo:
    """Frames of the head that a video repeats, forwards and backwards."""

    frames: npt.NDArray[np.uint8]
    initial: npt.NDArray[np.float64]
    shape: tuple[int, int]

    @classmethod
    def render(cls, n: int, size: tuple[int, int], shape: tuple[int, int]) -> SyntheticVideo:
        """Render the frames that a video repeats."""
        head = TalkingHead(n, size=size, shape=shape, seed=3)
        return cls(np.stack(list(head)), head.initial(), shape)

    def position(self, frame: int) -> int:
        """Which of the rendered frames a frame of the video shows: to and fro, without a jump."""
        return Loop(len(self.frames)).position(frame)

    def initial_of(self, frame: holdstill.Frame) -> npt.NDArray[np.float64]:
        """The initial transform of a frame of the video."""
        return np.asarray(self.initial[self.position(frame.frame)])

    def write(self, path: Path, n: int) -> None:
        """Encode n frames."""
        height, width = self.frames.shape[1:3]
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=FRAMES_PER_SECOND)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.bit_rate = 4 * width * height * FRAMES_PER_SECOND // 8
            stream.codec_context.time_base = Fraction(1, FRAMES_PER_SECOND)
            for number in range(n):
                picture = av.VideoFrame.from_ndarray(self.frames[self.position(number)], "rgb24")
                picture.pts = number
                container.mux(stream.encode(picture))
            container.mux(stream.encode())

    def write_initial(self, path: Path, n: int) -> None:
        """Write the initial transforms of n frames as CSV."""
        names = ",".join(f"h{row}{column}" for row in range(3) for column in range(3))
        lines = [f"frame,{names}"]
        for number in range(n):
            entries = self.initial[self.position(number)].ravel().tolist()
            lines.append(f"{number}," + ",".join(map(repr, entries)))
        path.write_text("\n".join(lines) + "\n")

    def fit(self, **options: object) -> holdstill.Dictionary:
        """A dictionary of the rendered frames."""
        chosen = {"features": "grey", "roi": "full", **options}
        return holdstill.fit(self.frames, self.initial, shape=self.shape, **chosen)  # type: ignore[arg-type]
