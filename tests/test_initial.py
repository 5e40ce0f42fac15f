"""Where initial transforms come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from holdstill import initial as initial_module
from holdstill.initial import LONGEST_WAIT, make_initial
from holdstill.transforms import from_box

BOX = np.array([40.0, 60.0, 205.0, 205.0])


@dataclass
class FakeFrame:
    frame: int
    source: str = "a.mp4"

    def grey(self):
        return self.frame


class FakeDetector:
    """Finds a face in some frames; knows which it was shown."""

    def __init__(self, visible):
        self.visible = visible
        self.seen = []

    @property
    def calls(self):
        return len(self.seen)

    def detect_all(self, grey):
        self.seen.append(grey)
        return np.array([BOX] if grey in self.visible else []).reshape(-1, 4)


@pytest.fixture
def detector(monkeypatch):
    def install(visible):
        fake = FakeDetector(visible)
        monkeypatch.setattr(initial_module, "FaceDetector", lambda **_: fake)
        return fake

    return install


def matrix(k):
    return np.diag([1.0 + k, 1.0 + k, 1.0])


def run_track(track, numbers, aligns=lambda number, detected=False: True):
    """Propose, retry and accept along a track; the number of a frame is its aligned scale."""
    proposed = []
    for number in numbers:
        start = track.propose(FakeFrame(number), row=number)
        proposed.append(start)
        if start is None:
            continue
        good = aligns(number)
        if not good:
            again = track.retry(FakeFrame(number), row=number)
            good = again is not None and aligns(number, detected=True)
        track.accept(matrix(number) if good else None)
    return proposed


def fails(*numbers, unless_detected=False):
    """What aligns all but these frames, unless they start from a detection."""
    return lambda number, detected=False: number not in numbers or (detected and unless_detected)


def test_a_track_starts_by_detection_and_goes_on_from_the_previous_frame(detector):
    fake = detector(range(100))
    proposed = run_track(make_initial().for_track(), range(5))
    np.testing.assert_array_equal(proposed[0], from_box(BOX))
    for number in range(1, 5):
        np.testing.assert_array_equal(proposed[number], matrix(number - 1))
    assert fake.seen == [0]


def test_every_track_detects_anew_and_detections_are_counted_together(detector):
    detector(range(100))
    initialiser = make_initial()
    for first in (0, 20, 40):
        start = run_track(initialiser.for_track(), range(first, first + 3))[0]
        np.testing.assert_array_equal(start, from_box(BOX))
    assert initialiser.detections == 3


def test_a_lost_face_is_detected_on_the_same_frame(detector):
    fake = detector(range(100))
    aligns = fails(6, unless_detected=True)
    proposed = run_track(make_initial().for_track(), range(10), aligns)
    assert fake.seen == [0, 6]
    np.testing.assert_array_equal(proposed[7], matrix(6))


def test_the_last_good_transform_stands_while_a_face_is_hidden_for_a_moment(detector):
    fake = detector([0])
    hidden = range(5, 5 + LONGEST_WAIT)
    proposed = run_track(make_initial().for_track(), range(40), fails(*hidden, *range(20, 40)))
    for number in (*hidden, hidden.stop):
        np.testing.assert_array_equal(proposed[number], matrix(4))
    np.testing.assert_array_equal(proposed[hidden.stop + 1], matrix(hidden.stop))
    # Lost at 20: the transform of 19 stands for as long again, then there is none.
    assert [number for number in range(20, 40) if proposed[number] is not None] == list(
        range(20, 21 + LONGEST_WAIT)
    )
    assert fake.seen == [0, 5, 6, 8, 12, 20, 21, 23, 27, 35]


def test_a_face_that_stays_lost_is_looked_for_ever_more_rarely(detector):
    fake = detector([])
    assert run_track(make_initial().for_track(), range(40)) == [None] * 40
    assert fake.seen == [0, 1, 3, 7, 15, 23, 31, 39]


def test_a_detection_that_does_not_align_counts_as_a_failed_attempt(detector):
    fake = detector(range(100))
    run_track(make_initial().for_track(), range(16), fails(*range(16)))
    assert fake.seen == [0, 1, 3, 7, 15]


def test_a_face_found_again_is_followed_and_the_waiting_forgotten(detector):
    fake = detector(range(3, 100))
    run_track(make_initial().for_track(), range(20), fails(9, 10, 15))
    assert fake.seen == [0, 1, 3, 9, 10, 15]


def test_independent_frames_are_all_detected(detector):
    fake = detector([0, 2, 9])
    proposed = run_track(make_initial(independent=True).for_track(), range(10))
    assert fake.seen == list(range(10))
    assert [k for k, start in enumerate(proposed) if start is not None] == [0, 2, 9]


def test_an_array_is_in_the_order_of_the_rows_and_nan_is_missing():
    given = np.array([matrix(0), np.full((3, 3), np.nan), matrix(2)])
    track = make_initial(given, n_rows=3).for_track()
    np.testing.assert_array_equal(track.propose(FakeFrame(70), row=2), matrix(2))
    assert track.propose(FakeFrame(0), row=1) is None
    assert track.propose(FakeFrame(0), row=3) is None


def test_given_transforms_do_not_depend_on_what_was_aligned_before():
    track = make_initial(np.array([matrix(0), matrix(1)])).for_track()
    track.propose(FakeFrame(0), row=0)
    track.accept(None)
    np.testing.assert_array_equal(track.propose(FakeFrame(1), row=1), matrix(1))


def test_a_callable_is_asked_for_each_frame():
    def initial(frame):
        return None if frame.frame == 1 else matrix(frame.frame)

    track = make_initial(initial).for_track()
    np.testing.assert_array_equal(track.propose(FakeFrame(3), row=0), matrix(3))
    assert track.propose(FakeFrame(1), row=0) is None


def test_what_a_callable_returns_is_checked():
    infinite = make_initial(lambda _: np.full((3, 3), np.inf)).for_track()
    assert infinite.propose(FakeFrame(0), row=0) is None
    with pytest.raises(ValueError, match=r"initial: .*\(3, 3\).*frame 5 of a\.mp4.*\(2, 3\)"):
        make_initial(lambda _: np.eye(3)[:2]).for_track().propose(FakeFrame(5), row=0)
    with pytest.raises(TypeError, match=r"expected the callable .*frame 5 of a\.mp4.*got str"):
        make_initial(lambda _: "here").for_track().propose(FakeFrame(5), row=0)


def test_a_file_without_sources_goes_by_frame_number(tmp_path: Path):
    path = tmp_path / "boxes.csv"
    path.write_text("frame,x,y,width,height\n7,40,60,205,205\n9,,,,\n")
    track = make_initial(path).for_track()
    np.testing.assert_array_equal(track.propose(FakeFrame(7), row=0), from_box(BOX))
    assert track.propose(FakeFrame(8), row=1) is None
    assert track.propose(FakeFrame(9), row=2) is None
    with pytest.raises(ValueError, match=r"boxes.csv: 2 streams .* expected a column source"):
        make_initial(path, n_streams=2)


def test_boxes_of_a_file_are_read_for_the_canonical_shape(tmp_path: Path):
    path = tmp_path / "boxes.csv"
    path.write_text("frame,x,y,width,height\n0,40,60,205,205\n")
    start = make_initial(path, (100, 80)).for_track().propose(FakeFrame(0), row=0)
    np.testing.assert_array_equal(start, from_box(BOX, (100, 80)))


def table(sources, frames):
    transforms = np.array([matrix(k) for k in range(len(frames))])
    return {
        "source": np.array(sources, dtype=object),
        "frame": np.array(frames),
        "frame_from_canonical": transforms,
    }


def test_sources_match_by_path_first_and_by_file_name_else():
    track = make_initial(table(["x/a.mp4", "y/b.mp4", "C:\\z\\c.mp4"], [0, 0, 0])).for_track()
    for source, k in [("x/a.mp4", 0), ("elsewhere/b.mp4", 1), ("/q/c.mp4", 2)]:
        np.testing.assert_array_equal(track.propose(FakeFrame(0, source), row=0), matrix(k))
    assert track.propose(FakeFrame(1, "x/a.mp4"), row=0) is None
    assert track.propose(FakeFrame(0, "d.mp4"), row=0) is None


def test_equal_file_names_in_different_folders_match_by_path_only():
    track = make_initial(table(["x/a.mp4", "y/a.mp4"], [0, 0]), n_streams=2).for_track()
    np.testing.assert_array_equal(track.propose(FakeFrame(0, "y/a.mp4"), row=0), matrix(1))
    assert track.propose(FakeFrame(0, "z/a.mp4"), row=0) is None


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.zeros((3, 2, 3)), ValueError, r"initial: expected shape \(n, 3, 3\), got \(3, 2, 3\)"),
        (np.eye(3), ValueError, r"initial: expected shape \(n, 3, 3\), got \(3, 3\)"),
        (object(), TypeError, "initial: expected a path, .* got object"),
        ({"frame": np.arange(3)}, ValueError, "initial: expected the keys frame and"),
        (
            {"frame": np.arange(3), "frame_from_canonical": np.zeros((2, 3, 3))},
            ValueError,
            "initial: 3 frame numbers for 2 transforms",
        ),
    ],
)
def test_malformed_initial_transforms_are_refused(bad, error, message):
    with pytest.raises(error, match=message):
        make_initial(bad)


@pytest.mark.parametrize(
    ("column", "what"),
    [("frame", "frame numbers"), ("source", "sources"), ("yaw", "values of yaw")],
)
@pytest.mark.parametrize("length", [1, 2, 4])
def test_columns_of_another_length_are_refused(column, what, length):
    angles = {name: np.zeros(3) for name in ("yaw", "pitch", "roll")}
    given = table(["a.mp4", "a.mp4", "b.mp4"], [0, 1, 0]) | angles
    assert make_initial(given, n_streams=2).has_angles
    given[column] = np.resize(given[column], length)
    with pytest.raises(ValueError, match=f"initial: {length} {what} for 3 transforms"):
        make_initial(given, n_streams=2)


def test_arrays_of_the_wrong_length_or_with_infinities_are_refused():
    with pytest.raises(ValueError, match="each of 5 frames, got 2"):
        make_initial(np.array([matrix(0), matrix(1)]), n_rows=5)
    given = np.array([matrix(0), matrix(1)])
    given[1, 0, 2] = np.inf
    with pytest.raises(ValueError, match=r"initial: expected finite numbers.* first at 1"):
        make_initial(given)


def test_singular_transforms_are_proposed_as_they_are():
    start = make_initial(np.zeros((1, 3, 3))).for_track().propose(FakeFrame(0), row=0)
    np.testing.assert_array_equal(start, np.zeros((3, 3)))
