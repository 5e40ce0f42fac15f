"""``holdstill mouth``: the video it writes, its times and its sound."""

from __future__ import annotations

import json
import logging
import wave
from fractions import Fraction

import numpy as np
import pytest
from runs import write_run

import holdstill
from holdstill import fit
from holdstill.synthetic import TalkingHead
from holdstill.talking.sound import _samples, write_video

av = pytest.importorskip("av")
pytest.importorskip("pyarrow")

RATE = 44100
N, FPS = 20, 25
SIZE = (181, 227)  # odd both ways
HEAD = TalkingHead(N, size=SIZE, shape=(64, 64), occlusion=False, noise=0.5)
CLICK = 0.4
"""Seconds at which the sound begins."""


def sound(seconds, click=CLICK):
    """Silence, then a tone."""
    time = np.arange(round(seconds * RATE)) / RATE
    return (0.5 * np.sin(2 * np.pi * 880 * time) * (time >= click)).astype(np.float32)


def write_clip(path, *, codec="aac", delay=0.0, rate=FPS):
    """A video of the head whose first frame is at `delay`, with sound from 0 unless codec is None.

    The frames are padded: H.264 has even sides only.
    """
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate, options={"crf": "10", "bf": "0"})
        video.height, video.width, video.pix_fmt = SIZE[0] + 1, SIZE[1] + 1, "yuv420p"
        audio = container.add_stream(codec, rate=RATE, layout="mono") if codec else None
        if audio is not None:
            kind = "fltp" if codec == "aac" else "s16"
            samples = sound(N / rate + delay)[None]
            samples = samples if kind == "fltp" else (samples * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), kind, "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, 0, Fraction(1, RATE)
            for packet in [*audio.encode(frame), *audio.encode(None)]:
                container.mux(packet)
        for number, picture in enumerate(HEAD):
            padded = np.pad(picture, ((0, 1), (0, 1), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(padded, format="rgb24")
            frame.time_base = Fraction(1, 90000)
            frame.pts = round((number / rate + delay) * 90000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mouths")


@pytest.fixture(scope="module")
def dictionary():
    return fit(np.stack(list(HEAD)), HEAD.initial(), n=8, shape=(64, 64), motion="similarity")


@pytest.fixture(scope="module")
def clip(folder):
    return write_clip(folder / "clip.mp4")


@pytest.fixture(scope="module")
def run(folder, clip, dictionary):
    return write_run(folder / "run", list(HEAD.frame_from_canonical), dictionary, source=clip)


@pytest.fixture
def mouth(command, run, tmp_path):
    """Replaces mouths: exit code, facts, messages, and the path of the video."""

    def replaced(video, *more, lips="10:20", of=run):
        out = tmp_path / "out.mp4"
        code, shown, said = command(
            "mouth", video, "--run", of.folder, "--lips", lips, "--out", out, "--json", *more
        )
        return code, json.loads(shown) if shown else None, said, out

    return replaced


def heard(path):
    """Samples of a sound track at 44.1 kHz, the time of the first, and the kind of sound."""
    with av.open(str(path)) as container:
        stream = container.streams.audio[0]
        frames = list(container.decode(stream))
        resampler = av.AudioResampler(format="flt", layout="mono", rate=RATE)
        pieces = [piece for frame in [*frames, None] for piece in resampler.resample(frame)]
        samples = np.concatenate([piece.to_ndarray().ravel() for piece in pieces])
        return samples, float(frames[0].pts * frames[0].time_base), stream.codec_context.name


def begins(path):
    samples, first, _ = heard(path)
    return first + np.flatnonzero(np.abs(samples) > 0.2)[0] / RATE


def test_the_video_has_every_frame_at_its_time_and_only_mouths_differ(mouth, clip):
    code, facts, _, out = mouth(clip)
    assert code == 0
    assert (facts["frames"], facts["replaced"], facts["untouched"]) == (N, N, [])
    assert facts["lips"] == [*range(10, 20)] * 2
    with holdstill.open(clip) as before, holdstill.open(out) as after:
        assert [frame.time for frame in before] == [frame.time for frame in after]
        one, two = before[3].image.astype(int), after[3].image
        assert one.shape == two.shape
        x, y = (HEAD.frame_from_canonical[3] @ [32.0, 56.0, 1.0])[:2].astype(int)
        changed = np.abs(one - two).mean(axis=2)
        assert changed[y - 8 : y + 8, x - 12 : x + 12].mean() > 6
        # What is left is the encoder's.
        assert changed[:60].mean() < 2.5


def test_sound_is_kept_as_it_is(mouth, clip):
    _, facts, _, out = mouth(clip)
    assert facts["audio"] == "kept"
    assert begins(out) == pytest.approx(CLICK, abs=0.01)
    samples, _, codec = heard(out)
    assert codec == "aac"
    assert len(samples) / RATE == pytest.approx(N / FPS, abs=0.05)


def test_sound_stays_with_the_frames_that_are_taken(mouth, clip, folder, dictionary):
    run = write_run(
        folder / "later",
        list(HEAD.frame_from_canonical[5:15]),
        dictionary,
        source=clip,
        frames=range(5, 15),
        selection={"start": 5, "stop": 15},
    )
    _, facts, _, out = mouth(clip, of=run, lips="5:10")
    assert facts["frames"] == 10
    assert begins(out) == pytest.approx(CLICK - 5 / FPS, abs=0.03)
    assert len(heard(out)[0]) / RATE == pytest.approx(10 / FPS, abs=0.06)


def test_uneven_times_are_kept_and_sound_with_them(mouth, folder, run):
    late = write_clip(folder / "late.mkv", delay=0.12)
    with holdstill.open(late) as source:
        first = source[0].time
    _, _, _, out = mouth(late)
    with holdstill.open(out) as written:
        assert written[0].time == 0.0
    assert begins(out) == pytest.approx(CLICK - first, abs=0.03)


def test_sound_that_mp4_does_not_hold_becomes_aac(mouth, folder):
    _, facts, _, out = mouth(write_clip(folder / "raw.mkv", codec="pcm_s16le"))
    assert facts["audio"] == "kept"
    assert heard(out)[2] == "aac"
    assert begins(out) == pytest.approx(CLICK, abs=0.03)


def write_track(path, samples, first):
    """A sound track alone, of 16 bits, whose first sample is at `first`."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        for begin in range(0, len(samples), 1000):
            piece = (samples[None, begin : begin + 1000] * 32767).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(piece, "s16", "mono")
            frame.sample_rate, frame.time_base = RATE, Fraction(1, RATE)
            frame.pts = round(first * RATE) + begin
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("kind", ["mkv", "mov"])
@pytest.mark.parametrize("begin", [0.0, 0.15, 0.6, -0.25])
def test_a_track_that_begins_late_is_heard_when_it_was(tmp_path, kind, begin):
    late = write_track(tmp_path / f"late.{kind}", sound(1.5), 0.5)
    pictures = ((np.zeros((16, 16, 3), np.uint8), k / FPS) for k in range(2 * FPS))
    write_video(pictures, tmp_path / "out.mp4", FPS, sound=late, begin=begin)
    assert begins(tmp_path / "out.mp4") == pytest.approx(0.5 + CLICK - begin, abs=0.01)


def test_not_one_sample_of_a_track_is_lost(tmp_path):
    track = write_track(tmp_path / "whole.mkv", sound(1.0, click=0.0), 0.25)
    for begin, seconds in ((0.0, 1.25), (0.75, 0.5), (-2.25, 3.5)):
        with av.open(str(track)) as container:
            stream, layout = container.streams.audio[0], av.AudioLayout("mono")
            pieces = list(_samples(container, stream, layout, begin))
        samples = np.concatenate(pieces, axis=1)[0]
        assert len(samples) == round(seconds * 48000)
        silent = round(max(0.25 - begin, 0.0) * 48000)
        assert not samples[:silent].any()
        time = np.arange(silent, len(samples)) / 48000 - (0.25 - begin)
        tone = 0.5 * np.sin(2 * np.pi * 880 * time)
        assert np.abs(samples[silent:] - tone)[100:-100].max() < 1e-3


def test_sound_from_a_file_is_as_long_as_the_video(mouth, clip, folder):
    with wave.open(str(folder / "speech.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((sound(3.0, click=0.2) * 32767).astype(np.int16).tobytes())
    _, facts, _, out = mouth(clip, "--audio", folder / "speech.wav")
    assert facts["audio"] == f"that of {folder / 'speech.wav'}"
    assert begins(out) == pytest.approx(0.2, abs=0.03)
    assert len(heard(out)[0]) / RATE == pytest.approx(N / FPS, abs=0.06)


def test_without_sound(mouth, clip, folder, caplog):
    _, facts, _, out = mouth(clip, "--audio", "none")
    assert facts["audio"] == "none"
    with av.open(str(out)) as container:
        assert not container.streams.audio
    silent = write_clip(folder / "silent.mp4", codec=None)
    with caplog.at_level(logging.INFO, logger="holdstill"):
        code, facts, _, out = mouth(silent)
    assert code == 0
    assert facts["audio"] == f"none, for {silent} has none"
    assert "sound: none, for" in caplog.text
    with av.open(str(out)) as container:
        assert not container.streams.audio


def test_odd_sides_become_even(mouth, folder):
    np.save(folder / "odd.npy", np.stack(list(HEAD)))
    code, facts, _, out = mouth(folder / "odd.npy", "--frame-size", f"{SIZE[0]}x{SIZE[1]}")
    assert code == 0
    assert "not one video" in facts["audio"]
    with holdstill.open(out) as written:
        assert written[0].image.shape == (SIZE[0] + 1, SIZE[1] + 1, 3)


def test_frames_left_alone_are_told(mouth, clip, folder, dictionary):
    quality = [0.9] * N
    quality[4] = 0.1
    run = write_run(
        folder / "doubtful",
        list(HEAD.frame_from_canonical),
        dictionary,
        quality=quality,
        source=clip,
    )
    _, facts, _, _ = mouth(clip, of=run)
    assert (facts["untouched"], facts["replaced"]) == ([4], N - 1)


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--out", "x.avi"), 2, "--out: expected FILE.mp4"),
        (("--out", "absent/x.mp4"), 4, "its folder does not exist"),
        (("--audio", "absent.wav"), 2, "absent.wav: no such file"),
        (("--lips", "15:25"), 2, "lips: expected frames from 0 to before 20"),
        (("--blend", "hard"), 2, "invalid choice"),
    ],
)
def test_wrong_usage(command, clip, run, tmp_path, arguments, code, message, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = {"--lips": "0:9", "--out": "out.mp4", **dict([arguments])}
    pairs = [text for pair in given.items() for text in pair]
    found, _, said = command("mouth", clip, "--run", run.folder, *pairs)
    assert (found, message in said) == (code, True), said
    assert list(tmp_path.iterdir()) == []


def test_a_file_without_sound_is_refused(command, clip, run, tmp_path):
    silent = write_clip(tmp_path / "silent.mp4", codec=None)
    out = tmp_path / "out.mp4"
    code, _, said = command(
        "mouth", clip, "--run", run.folder, "--lips", "0:9", "--out", out, "--audio", silent
    )
    assert (code, out.exists()) == (2, False)
    assert "has no sound track" in said


def test_an_interruption_leaves_nothing(command, clip, run, tmp_path, monkeypatch):
    def stops(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("holdstill.talking.replacing.feather", stops)
    out = tmp_path / "out.mp4"
    code, *_ = command("mouth", clip, "--run", run.folder, "--lips", "10:20", "--out", out)
    assert code == 130
    assert list(tmp_path.iterdir()) == []
