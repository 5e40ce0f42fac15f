"""Videos: every frame is the right one, at its time, whatever way it is reached."""

from __future__ import annotations

import struct
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from clips import write_video

av = pytest.importorskip("av")

from holdstill.sources import Frame, SourceError, grey_from_rgb  # noqa: E402
from holdstill.sources import open as open_source  # noqa: E402
from holdstill.sources.video import VideoPicture  # noqa: E402

BITS = 8
WIDTH, HEIGHT = 12 * BITS, 64


def picture_of(number: int) -> np.ndarray:
    """An RGB picture whose vertical bars are the binary digits of its number."""
    image = np.full((HEIGHT, WIDTH, 3), 40, np.uint8)
    for bit in range(BITS):
        if number >> bit & 1:
            image[:, bit * 12 : (bit + 1) * 12] = 200
    return image


def number_in(grey: np.ndarray) -> int:
    return sum(int(grey[:, b * 12 + 3 : b * 12 + 9].mean() > 120) << b for b in range(BITS))


def numbered_video(
    path: Path,
    frames: int = 60,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
    **given: object,
) -> Path:
    """Encode numbered pictures, each twelfth of them a keyframe."""
    pictures = (picture_of(number) for number in range(frames))
    options = {"g": "12", "threads": "1"} | (options or {})
    return write_video(path, pictures, codec, options, **given)


def packets_of(path: Path) -> list[tuple[int, int, int]]:
    """(frame number, position in the file, size) of each packet, in the order of the file."""
    with av.open(str(path)) as container:
        found = [(p.pts, p.pos, p.size) for p in container.demux(video=0) if p.size]
    order = sorted(pts for pts, _, _ in found)
    return [(order.index(pts), position, size) for pts, position, size in found]


def damage(path: Path, numbers: set[int], sound: float = 0.0) -> None:
    """Overwrite the packets of these frames with noise, after a sound fraction of each."""
    content = bytearray(path.read_bytes())
    for number, position, size in packets_of(path):
        if number in numbers:
            first = position + int(sound * size)
            noise = np.random.default_rng(number).integers(
                0, 256, position + size - first, np.uint8
            )
            content[first : position + size] = noise.tobytes()
    path.write_bytes(content)


@pytest.fixture
def b_frames(tmp_path: Path) -> Path:
    path = numbered_video(tmp_path / "b.mp4", options={"bf": "3"})
    stored = [number for number, _, _ in packets_of(path)]
    assert stored != sorted(stored), "the encoder made no B-frames"
    return path


def same(a: Frame, b: Frame) -> bool:
    if (a.source, a.frame, a.time, a.error) != (b.source, b.frame, b.time, b.error):
        return False
    return a.error is not None or np.array_equal(a.grey(), b.grey())


def test_frames_with_b_frames_come_in_order_of_presentation(b_frames: Path) -> None:
    with open_source(b_frames) as source:
        assert len(source) == 60
        assert [(s.name, s.frames) for s in source.streams] == [(str(b_frames), 60)]
        for number, frame in enumerate(source):
            assert (frame.source, frame.frame) == (str(b_frames), number)
            assert number_in(frame.grey()) == number
            assert frame.time == pytest.approx(number / 25)


def test_random_access_gives_the_frames_of_the_sequential_pass(b_frames: Path) -> None:
    source = open_source(b_frames)
    frames = list(source)
    for position in np.random.default_rng(0).permutation(60):
        assert same(source[int(position)], frames[position])
    assert same(source[-1], frames[-1])
    with pytest.raises(IndexError, match="60 frames"):
        source[60]
    with pytest.raises(TypeError, match="integer"):
        source[1.5]  # type: ignore[index]


@pytest.mark.parametrize(("start", "stop", "every"), [(13, 47, 1), (5, 60, 7), (0, 999, 25)])
def test_a_range_of_a_stream_gives_its_frame_numbers(
    b_frames: Path, start: int, stop: int, every: int
) -> None:
    frames = list(open_source(b_frames).read(0, start, stop, every))
    assert [frame.frame for frame in frames] == list(range(start, min(stop, 60), every))
    assert [number_in(frame.grey()) for frame in frames] == [frame.frame for frame in frames]


def test_start_stop_and_every_select_frames_within_each_stream(b_frames: Path) -> None:
    source = open_source([b_frames, b_frames], start=10, stop=40, every=15)
    assert [frame.frame for frame in source] == [10, 25, 10, 25]
    assert [number_in(frame.grey()) for frame in source] == [10, 25, 10, 25]
    assert source.numbers == (range(10, 40, 15),) * 2
    assert source[3].frame == 25


def test_variable_frame_rate_keeps_its_true_timestamps(tmp_path: Path) -> None:
    times = np.cumsum(np.random.default_rng(1).integers(1, 30, 50)).tolist()
    path = numbered_video(tmp_path / "vfr.mkv", 50, times=times, options={"bf": "2"})
    source = open_source(path)
    frames = list(source)
    assert [number_in(frame.grey()) for frame in frames] == list(range(50))
    assert [frame.time for frame in frames] == pytest.approx([t / 100 for t in times], abs=1e-3)
    assert all(same(source[k], frames[k]) for k in (31, 2, 49, 17))


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("v.mpg", "mpeg1video", {"bf": "2"}),
        ("v.ts", "mpeg2video", {"bf": "2"}),
        ("v.ts", "libx264", {"bf": "3", "x264-params": "open-gop=1"}),
        ("v.avi", "mpeg4", {"bf": "2"}),
        ("v.avi", "ffv1", {}),
        ("v.mov", "libx264", {"g": "1"}),
        ("v.webm", "libvpx", {"b": "200k"}),
        ("v.webm", "libvpx-vp9", {"b": "200k", "cpu-used": "8"}),
    ],
)
def test_frame_numbers_are_exact_in_every_container(
    tmp_path: Path, name: str, codec: str, options: dict[str, str]
) -> None:
    try:
        path = numbered_video(tmp_path / name, codec=codec, options=options)
    except av.codec.codec.UnknownCodecError:
        pytest.skip(f"this PyAV has no {codec}")
    source = open_source(path)
    frames = list(source)
    assert [number_in(frame.grey()) for frame in frames] == list(range(60))
    assert np.diff([frame.time for frame in frames]) == pytest.approx(1 / 25, abs=2e-3)
    for position in np.random.default_rng(2).permutation(60)[:20]:
        assert same(source[int(position)], frames[position])


def test_raw_video_without_timestamps_keeps_its_order(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "v.h264", options={"bf": "3"})
    source = open_source(path)
    assert [number_in(frame.grey()) for frame in source] == list(range(60))
    assert [number_in(source[k].grey()) for k in (40, 7, 59)] == [40, 7, 59]


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [((0, 1, -1, 0), -1), ((0, -1, 1, 0), 1), ((-1, 0, 0, -1), 2)],
    ids=["clockwise", "counterclockwise", "half"],
)
def test_rotation_metadata_turns_the_picture_as_a_player_would(
    tmp_path: Path, matrix: tuple[int, ...], turns: int
) -> None:
    # The matrix {a b u c d v x y w} of ISO/IEC 14496-12 shows pixel (p, q) at (ap + cq, bp + dq).
    path = numbered_video(tmp_path / "v.mp4", 3, options={"bf": "0"})
    upright = [frame.image for frame in open_source(path)]
    content = bytearray(path.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    at = content.index(b"tkhd") + 4 + 40
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(content)
    for frame, before in zip(open_source(path), upright, strict=True):
        assert frame.image is not None and before is not None
        assert np.array_equal(frame.image, np.rot90(before, turns))
        assert frame.grey().shape == frame.image.shape[:2]


@pytest.mark.parametrize("sound", [0.0, 0.5], ids=["whole", "half"])
@pytest.mark.parametrize("damaged", [{21}, {24}, {14, 15, 33}, {0}, {59}, {24, 36}])
def test_a_damaged_packet_costs_its_frames_and_decoding_goes_on(
    b_frames: Path, damaged: set[int], sound: float
) -> None:
    damage(b_frames, damaged, sound)
    source = open_source(b_frames)
    frames = list(source)
    assert [frame.frame for frame in frames] == list(range(60))
    unreadable = {frame.frame for frame in frames if frame.error}
    assert damaged <= unreadable
    for number in damaged:
        assert frames[number].image is None and "packet" in (frames[number].error or "")
        with pytest.raises(ValueError, match="unreadable"):
            frames[number].grey()
    # Whole groups of pictures, from keyframe to keyframe, without damage are those of the sound
    # video.
    whole = [n for n in range(60) if not {n // 12} & {d // 12 for d in damaged}]
    assert [number_in(frames[n].grey()) for n in whole if n not in unreadable] == [
        n for n in whole if n not in unreadable
    ]
    assert len(unreadable) <= 12 * len(damaged)
    for number in reversed(range(60)):
        assert same(source[number], frames[number])


@pytest.mark.parametrize("codec", ["mpeg4", "mpeg2video", "libx265"])
def test_damage_to_a_keyframe_looks_alike_from_wherever_decoding_begins(
    tmp_path: Path, codec: str
) -> None:
    path = numbered_video(tmp_path / "v.mp4", codec=codec, options={"b": "300k"})
    with av.open(str(path)) as container:
        keyframes = [k for k, p in enumerate(container.demux(video=0)) if p.is_keyframe]
    assert len(keyframes) > 2
    damage(path, {packets_of(path)[keyframes[2]][0]})
    source = open_source(path)
    frames = list(source)
    assert any(frame.error for frame in frames)
    for number in reversed(range(60)):
        assert same(source[number], frames[number])


def test_packets_that_are_never_shown_have_no_frame_number(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "v.webm", codec="libvpx", options={"b": "200k"})
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0)]
    # Bit 4 of a VP8 frame's first byte is show_frame (RFC 6386 §9.1).
    content[content.index(packets[20])] &= ~0x10
    path.write_bytes(content)
    shown = [frame.error or number_in(frame.grey()) for frame in open_source(path)]
    assert shown == [number for number in range(60) if number != 20]


def test_a_truncated_mp4_without_its_index_cannot_be_opened(b_frames: Path) -> None:
    b_frames.write_bytes(b_frames.read_bytes()[:-800])
    with pytest.raises(SourceError, match="cannot be opened as a video"):
        open_source(b_frames)


def test_a_box_that_claims_more_than_there_are_offsets_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "huge.mp4"
    # 28 bytes of an index, then a box whose size has 64 bits. Found by fuzzing.
    path.write_bytes(
        bytes.fromhex(
            "0000001c6d6f6f7669732d6d0000069b6d10604d8d0d6d190000000000000001"
            "00ffffffffffffff000000000000019b6d"
        )
    )
    with pytest.raises(SourceError, match="has no video stream"):
        open_source(path)


def test_a_truncated_mp4_with_its_index_keeps_numbers_and_times(tmp_path: Path) -> None:
    path = numbered_video(
        tmp_path / "v.mp4", options={"bf": "3"}, container={"movflags": "faststart"}
    )
    times = [frame.time for frame in open_source(path)]
    packets = packets_of(path)
    _, position, size = packets[40]
    path.write_bytes(path.read_bytes()[: position + size // 2])
    source = open_source(path)
    frames = list(source)
    lost = {number for number, _, _ in packets[40:]}
    assert {frame.frame for frame in frames if frame.error} == lost
    assert all("truncated" in (frames[number].error or "") for number in lost)
    assert [frame.time for frame in frames] == times
    assert all(number_in(f.grey()) == f.frame for f in frames if f.readable)
    assert same(source[59], frames[59]) and same(source[30], frames[30])
    source.close()


def test_an_edit_list_hides_frames_without_harming_the_others(tmp_path: Path) -> None:
    path = numbered_video(tmp_path / "v.mp4", options={"bf": "0"})
    content = bytearray(path.read_bytes())
    # edts/elst: one edit; its media time is moved on by five frames.
    at = content.index(b"elst") + 4 + 8
    duration, media_time = struct.unpack(">Ii", content[at : at + 8])
    with av.open(str(path)) as container:
        step = int(container.streams.video[0].time_base.denominator / 25)
    content[at : at + 8] = struct.pack(">Ii", duration * 55 // 60, media_time + 5 * step)
    path.write_bytes(content)
    source = open_source(path)
    shown = [number_in(frame.grey()) for frame in source]
    assert shown == list(range(5, 60))
    assert number_in(source[20].grey()) == 25


def test_a_file_without_a_video_stream_says_so(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 4096), np.float32), "fltp", "mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(SourceError, match=r"sound\.mp4: has no video stream"):
        open_source(path)


@pytest.mark.parametrize("name", ["notes.txt", "notes.mp4", "notes"])
def test_text_is_not_a_video(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("not a video\n" * 500)
    with pytest.raises(SourceError, match=f"{name}: "):
        open_source(path)


def test_threads_that_read_ranges_at_once_get_the_frames_of_one(b_frames: Path) -> None:
    source = open_source(b_frames)
    frames = list(source)
    results: dict[int, list[Frame]] = {}

    def read(part: int) -> None:
        results[part] = list(source.read(0, part * 15, (part + 1) * 15))
        for frame in results[part]:
            frame.grey()

    threads = [threading.Thread(target=read, args=(part,)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    together = [frame for part in range(4) for frame in results[part]]
    assert all(same(a, b) for a, b in zip(together, frames, strict=True))


def test_grey_of_a_video_is_the_luma_of_its_colours(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    colours = np.kron(rng.integers(30, 226, (4, 6, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
    for space in ("itu601", "itu709"):
        for depth, pixels in ((8, "yuv444p"), (10, "yuv444p10le")):
            path = tmp_path / f"{space}{depth}.mkv"
            with av.open(str(path), "w") as container:
                stream = container.add_stream("ffv1", rate=25)
                stream.width, stream.height, stream.pix_fmt = 96, 64, pixels
                stream.codec_context.colorspace = 5 if space == "itu601" else 1
                frame = av.VideoFrame.from_ndarray(colours, "rgb24")
                frame = frame.reformat(format=pixels, dst_colorspace=space)
                container.mux(stream.encode(frame))
                container.mux(stream.encode())
            frame = open_source(path)[0]
            scale = 1 if depth == 8 else 257
            assert frame.image is not None
            assert frame.image.dtype == (np.uint8 if depth == 8 else np.uint16)
            assert np.abs(frame.image / scale - colours).max() <= 3
            difference = frame.grey().astype(float) - grey_from_rgb(frame.image)
            assert np.abs(difference).max() <= 2 * scale
            assert np.abs(frame.grey() / scale - grey_from_rgb(colours)).max() <= 2


def test_a_long_video_is_read_in_constant_memory(b_frames: Path) -> None:
    source = open_source([b_frames] * 4)
    tracemalloc.start()
    peaks = []
    for frame in source:
        frame.grey()
        if frame.frame % 20 == 19:
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.reset_peak()
    tracemalloc.stop()
    assert max(peaks[3:]) - peaks[1] < 10 * HEIGHT * WIDTH
    assert sys.getrefcount(frame) < 5


def test_the_125_clips_of_one_speaker_have_9374_frames(data_dir: Path) -> None:
    source = open_source(data_dir / "grid_s1" / "*.mpg")
    assert len(source) == 9374
    assert [s.frames for s in source.streams].count(75) == 124
    assert [s.name for s in source.streams] == sorted(s.name for s in source.streams)
    clip = source.read(7, 0, 75)
    for number, frame in enumerate(clip):
        assert (frame.frame, frame.error, frame.grey().shape) == (number, None, (288, 360))
        if number % 20 == 10:
            assert same(frame, source[7 * 75 + number])


def test_real_clips_agree_with_plain_sequential_decoding(data_dir: Path) -> None:
    path = data_dir / "clips" / "weekly_address.mp4"
    source = open_source(path)
    with av.open(str(path)) as container:
        plain = [(f.time, f.to_ndarray(format="gray")) for f in container.decode(video=0)]
    assert len(source) == len(plain) == 147
    for frame, (time, grey) in zip(source, plain, strict=True):
        assert frame.time == time and np.array_equal(frame.grey(), grey)
    for number in (140, 3, 77):
        assert np.array_equal(source[number].grey(), plain[number][1])


@pytest.mark.parametrize("pixels", ["yuv420p", "yuv422p", "yuv444p", "nv12", "yuvj420p", "gray"])
@pytest.mark.parametrize("color_range", [0, 1, 2])
@pytest.mark.parametrize("space", [1, 2, 5, 6, 9])
def test_the_luma_plane_is_what_a_conversion_to_grey_gives(
    pixels: str, color_range: int, space: int
) -> None:
    width = 266  # rows of the planes are padded
    frame = av.VideoFrame(width, 6, pixels)
    for plane in frame.planes:
        np.frombuffer(memoryview(plane), np.uint8)[:] = 128
    luma = np.frombuffer(memoryview(frame.planes[0]), np.uint8).reshape(
        -1, frame.planes[0].line_size
    )
    luma[:, :width] = np.arange(width) % 256
    frame.colorspace, frame.color_range = space, color_range
    converted = frame.reformat(format="gray", dst_color_range="JPEG").to_ndarray()
    assert np.array_equal(VideoPicture(frame).grey(), converted)
