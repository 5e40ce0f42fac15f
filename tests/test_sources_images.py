"""Image files: every format becomes the same kind of frame, and a bad file stops nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image")

from holdstill.sources import Frame, grey_from_rgb  # noqa: E402
from holdstill.sources import open as open_source  # noqa: E402

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
COLOUR = RNG.integers(0, 256, (5, 7, 3), np.uint8)
ALPHA = RNG.integers(0, 256, (5, 7), np.uint8)


def image_of(path: Path) -> np.ndarray:
    frame = open_source(path)[0]
    assert frame.error is None, frame.error
    assert (frame.source, frame.frame, frame.time) == (str(path), 0, None)
    assert frame.image is not None
    return frame.image


def test_grey_and_colour_files_give_their_pixels(tmp_path: Path) -> None:
    for name, pixels in (("g.png", GREY), ("c.png", COLOUR), ("c.bmp", COLOUR), ("c.tif", COLOUR)):
        Image.fromarray(pixels).save(tmp_path / name)
        image = image_of(tmp_path / name)
        assert image.dtype == np.uint8 and np.array_equal(image, pixels)


@pytest.mark.parametrize("extension", ["png", "tif", "pgm"])
def test_16_bit_grey_keeps_its_depth(tmp_path: Path, extension: str) -> None:
    deep = RNG.integers(0, 65536, (5, 7), np.uint16)
    path = tmp_path / f"deep.{extension}"
    if extension == "pgm":
        path.write_bytes(b"P5 7 5 65535\n" + deep.astype(">u2").tobytes())
    else:
        Image.fromarray(deep).save(path)
    image = image_of(path)
    assert image.dtype == np.uint16 and np.array_equal(image, deep)


def test_float_tiff_stays_float(tmp_path: Path) -> None:
    values = RNG.normal(size=(5, 7)).astype(np.float32)
    Image.fromarray(values).save(tmp_path / "f.tif")
    image = image_of(tmp_path / "f.tif")
    assert image.dtype == np.float32 and np.array_equal(image, values)


def test_alpha_is_dropped_not_composited(tmp_path: Path) -> None:
    Image.fromarray(np.dstack([COLOUR, ALPHA])).save(tmp_path / "rgba.png")
    assert np.array_equal(image_of(tmp_path / "rgba.png"), COLOUR)
    Image.fromarray(np.dstack([GREY, ALPHA])).save(tmp_path / "la.png")
    assert np.array_equal(image_of(tmp_path / "la.png"), GREY)


def test_palette_and_bilevel_files_are_expanded(tmp_path: Path) -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 100, 50])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=0)
    assert image_of(tmp_path / "p.png").tolist() == [[[10, 20, 30], [200, 100, 50]]]
    Image.fromarray(np.array([[True, False]])).save(tmp_path / "b.png")
    assert image_of(tmp_path / "b.png").tolist() == [[255, 0]]


@pytest.mark.parametrize(
    ("orientation", "upright"),
    [
        (2, np.fliplr),
        (3, lambda x: np.rot90(x, 2)),
        (6, lambda x: np.rot90(x, -1)),
        (8, lambda x: np.rot90(x, 1)),
    ],
)
def test_exif_orientation_is_applied(tmp_path: Path, orientation: int, upright) -> None:  # type: ignore[no-untyped-def]
    picture = Image.fromarray(COLOUR)
    exif = picture.getexif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "o.png", exif=exif)
    assert np.array_equal(image_of(tmp_path / "o.png"), upright(COLOUR))


def test_grey_is_rec_601_luma() -> None:
    expected = COLOUR.astype(float) @ [0.299, 0.587, 0.114]
    assert np.abs(grey_from_rgb(COLOUR) - expected).max() <= 0.51
    deep = COLOUR.astype(np.uint16) * 257
    assert np.abs(grey_from_rgb(deep) - expected * 257).max() <= 2
    assert grey_from_rgb(COLOUR.astype(np.float32)) == pytest.approx(expected, rel=1e-6)
    for value in (0, 1, 254, 255):
        assert (grey_from_rgb(np.full((1, 1, 3), value, np.uint8)) == value).all()
    assert (grey_from_rgb(np.full((1, 1, 3), 65535, np.uint16)) == 65535).all()
    pillow = np.asarray(Image.fromarray(COLOUR).convert("L"))
    assert np.array_equal(grey_from_rgb(COLOUR), pillow)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_floats_of_any_width_are_float32_in_a_frame(dtype: type) -> None:
    picture = COLOUR.astype(dtype)
    frame = Frame("array", 0, None, picture)
    assert frame.image is not None
    assert frame.image.dtype == frame.grey().dtype == np.float32
    assert frame.grey() == pytest.approx(picture.astype(float) @ [0.299, 0.587, 0.114], rel=1e-6)


@pytest.mark.parametrize(
    "bad", [np.zeros((5, 7)), np.zeros((5, 7, 4), np.uint8), np.zeros((2, 2, 3))]
)
def test_grey_of_something_else_is_refused(bad: np.ndarray) -> None:
    with pytest.raises(ValueError, match="rgb: expected"):
        grey_from_rgb(bad)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """img1..img10 with 1..10 columns, and files that are none of them."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for columns in range(1, 11):
        Image.fromarray(np.full((3, columns), columns, np.uint8)).save(folder / f"img{columns}.png")
    (folder / "notes.txt").write_text("not a picture")
    (folder / "._img3.png").write_bytes(b"not a picture")
    np.save(folder / "points.npy", np.zeros((3, 2)))
    return folder


def test_a_folder_is_one_stream_in_natural_order(folder: Path) -> None:
    source = open_source(folder)
    assert [(s.name, s.frames) for s in source.streams] == [(str(folder), 10)]
    assert [frame.frame for frame in source] == list(range(10))
    assert [frame.image.shape for frame in source] == [(3, n) for n in range(1, 11)]  # type: ignore[union-attr]
    assert [Path(frame.source).name for frame in source] == [f"img{n}.png" for n in range(1, 11)]
    assert source[-1].grey().shape == (3, 10)
    assert repr(source) == f"FrameSource({folder}: 10 frames in 1 stream)"


def test_a_glob_and_a_list_give_the_same_stream_as_the_folder(folder: Path) -> None:
    names = [frame.source for frame in open_source(folder)]
    assert [frame.source for frame in open_source(str(folder / "img*.png"))] == names
    assert [frame.source for frame in open_source(sorted(names))] == names


def test_files_that_are_no_images_are_unreadable_frames_in_their_place(folder: Path) -> None:
    (folder / "img4.png").write_text("a text file")
    whole = (folder / "img7.png").read_bytes()
    (folder / "img7.png").write_bytes(whole[:45])
    (folder / "img9.png").write_bytes(b"")
    source = open_source(folder)
    frames = list(source)
    assert [frame.frame for frame in frames if frame.error] == [3, 6, 8]
    assert all(f.image is None and not f.readable for f in frames if f.error)
    assert "identify" in (frames[3].error or "")
    assert source[6].error == frames[6].error
    assert "unreadable" in repr(frames[6])


def test_a_single_pixel_is_an_image(tmp_path: Path) -> None:
    Image.fromarray(np.array([[7]], np.uint8)).save(tmp_path / "1.png")
    assert image_of(tmp_path / "1.png").tolist() == [[7]]


def test_an_empty_folder_and_a_pattern_without_match_say_so(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no image and no video"):
        open_source(tmp_path)
    with pytest.raises(FileNotFoundError, match="no file matches"):
        open_source(tmp_path / "*.png")
    with pytest.raises(FileNotFoundError, match="no such file"):
        open_source(tmp_path / "absent.png")


def test_a_name_with_the_signs_of_a_pattern_is_that_file(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "take[1].png")
    assert np.array_equal(image_of(tmp_path / "take[1].png"), GREY)


def test_real_sequence_has_500_frames_in_colour(data_dir: Path) -> None:
    source = open_source(data_dir / "talking_face")
    assert len(source) == 500
    frame = source[123]
    assert Path(frame.source).name == "00123.jpg"
    assert frame.image is not None and frame.image.shape == (576, 720, 3)
    pillow = np.asarray(Image.open(frame.source).convert("L"))
    assert np.array_equal(frame.grey(), pillow)
