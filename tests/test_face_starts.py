"""Where the faces of a frame are looked for: given rows, several of them for one frame."""

import numpy as np
import pytest

from holdstill.registration.starts import face_starts
from holdstill.sources import open as open_source

FRAMES = np.zeros((3, 20, 24), np.uint8)
AT = np.stack([np.diag([scale, scale, 1.0]) for scale in (1.0, 2.0, 3.0)])


@pytest.mark.parametrize("kind", [list, np.array])
def test_rows_about_one_frame_are_its_faces(kind):
    source = open_source(FRAMES)
    table = {"frame": kind([0, 1, 0]), "face": kind([0, 0, 1]), "frame_from_canonical": kind(AT)}
    starts = face_starts(source, (8, 8), table)
    found = [starts(frame, row) for row, frame in enumerate(source)]
    assert [len(proposals) for proposals in found] == [2, 1, 0]
    np.testing.assert_array_equal(found[0], AT[[0, 2]])
    np.testing.assert_array_equal(found[1], AT[[1]])
    assert starts.detections == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame": [0, 1]}, "initial: expected columns of one length"),
        ({"face": [0, 0, 0]}, "some have several faces"),
        ({"frame_from_canonical": AT[:, :2]}, "initial: expected shape"),
    ],
)
def test_rows_that_do_not_fit_are_refused(change, message):
    table = {"frame": [0, 1, 0], "face": [0, 0, 1], "frame_from_canonical": AT, **change}
    with pytest.raises(ValueError, match=message):
        face_starts(open_source(FRAMES), (8, 8), table)
