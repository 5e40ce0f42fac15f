"""Stacks of frames: in memory, .npy and zarr give the same frames; all else is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from stacks import chunk_of, write_zarr

from holdstill.sources import open as open_source

RNG = np.random.default_rng(0)
STACK = RNG.integers(0, 256, (20, 6, 8), np.uint8)


def stored(kind: str, stack: np.ndarray, folder: Path) -> tuple[object, str]:
    """The stack as a source of this kind, and its name."""
    if kind == "array":
        return stack, "array"
    if kind == "npy":
        np.save(folder / "s.npy", stack)
        return folder / "s.npy", str(folder / "s.npy")
    path = folder / "s.zarr"
    write_zarr(path, stack, (7, *stack.shape[1:]))
    return path, str(path)


@pytest.mark.parametrize("kind", ["array", "npy", "zarr"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32", "float64"])
@pytest.mark.parametrize("channels", [None, 3, 4])
def test_every_kind_of_stack_gives_its_frames(
    tmp_path: Path, kind: str, dtype: str, channels: int | None
) -> None:
    shape = (20, 6, 8) if channels is None else (20, 6, 8, channels)
    stack = (RNG.random(shape) * 200).astype(dtype)
    given, name = stored(kind, stack, tmp_path)
    source = open_source(given)  # type: ignore[arg-type]
    assert [(s.name, s.frames) for s in source.streams] == [(name, 20)]
    expected = stack[..., :3] if channels else stack
    expected = expected.astype("float32" if dtype == "float64" else dtype)
    for number, frame in enumerate(source):
        assert (frame.source, frame.frame, frame.time, frame.error) == (name, number, None, None)
        assert frame.image is not None and frame.image.dtype == expected.dtype
        assert np.array_equal(frame.image, expected[number])
        assert frame.grey().shape == (6, 8) and frame.grey().dtype == expected.dtype
    assert np.array_equal(source[-3].image, expected[17])  # type: ignore[arg-type]
    some = list(open_source(given, start=3, stop=17, every=4))  # type: ignore[arg-type]
    assert [frame.frame for frame in some] == [3, 7, 11, 15]
    assert all(np.array_equal(f.image, expected[f.frame]) for f in some)  # type: ignore[arg-type]


def test_big_endian_and_fortran_ordered_files_give_native_contiguous_frames(tmp_path: Path) -> None:
    deep = np.asfortranarray(STACK.astype(">u2") * 257)
    np.save(tmp_path / "s.npy", deep)
    image = open_source(tmp_path / "s.npy")[4].image
    assert image is not None and image.dtype == np.uint16 and image.flags.c_contiguous
    assert np.array_equal(image, deep[4])


def test_nan_and_infinity_pass() -> None:
    stack = np.zeros((2, 3, 3), np.float32)
    stack[0, 0, 0], stack[1, 1, 1] = np.nan, np.inf
    frames = list(open_source(stack))
    assert np.isnan(frames[0].grey()[0, 0]) and np.isinf(frames[1].grey()[1, 1])


@pytest.mark.parametrize("kind", ["array", "npy", "zarr"])
@pytest.mark.parametrize(
    ("stack", "message"),
    [
        (
            np.zeros((3, 6, 8), np.int32),
            "expected dtype uint8, uint16, float32, float64, got int32",
        ),
        (np.zeros((3, 6, 8), complex), "got complex128"),
        (np.zeros((6, 8), np.uint8), r"got \(6, 8\); a single image is image\[None\]"),
        (np.zeros((6, 8, 3), np.uint8), r"got \(6, 8, 3\); a single image is image\[None\]"),
        (np.zeros((3, 6, 8, 2), np.uint8), r"\(n, H, W, 3\).*got \(3, 6, 8, 2\)"),
        (np.zeros((3, 3, 6, 8, 3), np.uint8), r"got \(3, 3, 6, 8, 3\)"),
    ],
)
def test_what_is_no_stack_of_frames_is_refused(
    tmp_path: Path, kind: str, stack: np.ndarray, message: str
) -> None:
    given, _ = stored(kind, stack, tmp_path)
    with pytest.raises(ValueError, match=message):
        open_source(given)  # type: ignore[arg-type]


def test_a_stack_without_frames_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        open_source(np.zeros((0, 6, 8), np.uint8))


def test_object_arrays_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "o.npy", np.array([{}, {}], object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"o\.npy: not a \.npy file of numbers"):
        open_source(tmp_path / "o.npy")
    with pytest.raises(ValueError, match="expected dtype"):
        open_source(np.zeros((3, 6, 8), object))


def test_a_text_file_named_npy_is_refused(tmp_path: Path) -> None:
    (tmp_path / "t.npy").write_text("text")
    with pytest.raises(ValueError, match=r"t\.npy: not a \.npy file of numbers"):
        open_source(tmp_path / "t.npy")


def test_a_zarr_group_names_the_arrays_in_it(tmp_path: Path) -> None:
    zarr = pytest.importorskip("zarr")
    zarr.open_group(str(tmp_path / "g.zarr"), mode="w")
    write_zarr(tmp_path / "g.zarr" / "aligned", STACK, STACK.shape)
    with pytest.raises(ValueError, match="got a group; arrays in it: aligned"):
        open_source(tmp_path / "g.zarr")
    assert len(open_source(tmp_path / "g.zarr" / "aligned")) == 20


def test_a_damaged_chunk_costs_its_own_frames(tmp_path: Path) -> None:
    given, _ = stored("zarr", STACK, tmp_path)
    chunk = chunk_of(tmp_path / "s.zarr", 1, 0, 0)
    chunk.write_bytes(b"damaged" * 3)
    source = open_source(given)  # type: ignore[arg-type]
    assert [frame.frame for frame in source if frame.error] == list(range(7, 14))
    assert source[8].error and source[14].error is None


def test_frames_of_an_array_in_memory_are_not_copied() -> None:
    image = open_source(STACK)[3].image
    assert image is not None and np.shares_memory(image, STACK)
