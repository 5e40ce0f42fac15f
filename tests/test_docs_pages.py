"""The site's pages: their Python runs, the results that they print are those that come out."""

from __future__ import annotations

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import holdstill
from holdstill.evaluate import eye_corner_table

DOCS = Path(__file__).resolve().parents[1] / "docs"
sys.path.insert(0, str(DOCS))

from run_page import blocks, run_page  # noqa: E402

RUN_AS_A_WHOLE = ("start", "performance", "coming_from", "fits_in", "gallery")
"""Pages whose Python blocks follow one another; those of the others are files of `examples/`."""

PROJECT = DOCS.parent
LINE = 100
"""Characters, as in code."""
GENERATED = DOCS / "paper.md"
DOCUMENTED = "README.md", *(f"docs/{page.name}" for page in sorted(DOCS.glob("*.md")))


def needs(*modules):
    for module in modules:
        pytest.importorskip(module)


@pytest.fixture
def printed(capsys):
    """What a page's blocks print, beside what the page says that they print."""

    def compare(page):
        lines = capsys.readouterr().out.splitlines()
        shown = blocks(DOCS / f"{page}.md", "text")[-1].splitlines()
        found = [line for line in lines if strip(line) in set(map(strip, shown))]
        return shown, found

    return compare


def strip(line):
    return re.sub(r"[\d.]+", "#", line)


def numbers(lines):
    return [float(number) for line in lines for number in re.findall(r"\d+(?:\.\d+)?", line)]


def test_the_pages_that_run_as_a_whole_have_python_in_them():
    assert all(blocks(DOCS / f"{page}.md", "python") for page in RUN_AS_A_WHOLE)


def test_what_the_first_five_minutes_end_with(run_folder, clip, tmp_path, capsys):
    shutil.copytree(run_folder, tmp_path / "aligned")
    face = run_page(DOCS / "start.md", tmp_path)["face"]
    run = holdstill.read_run(run_folder)
    assert face.shape[:2] == run.shape
    assert f"{run.good.sum()} of {len(run)} frames are good" in capsys.readouterr().out


def test_the_machine_is_shown(tmp_path, capsys):
    run_page(DOCS / "performance.md", tmp_path)
    assert holdstill.__version__ in capsys.readouterr().out


@pytest.mark.filterwarnings("ignore::DeprecationWarning:rasl", "ignore::DeprecationWarning:skimage")
def test_coming_from_other_tools_the_job_is_the_same(tmp_path, printed):
    needs("cv2", "pystackreg", "rasl")
    names = run_page(DOCS / "coming_from.md", tmp_path)
    shown, found = printed("coming_from")
    assert len(found) == len(shown) == len(names["found"]) == 9
    # What other libraries' versions change is less than what tells the rows apart.
    np.testing.assert_allclose(numbers(found), numbers(shown), atol=0.06, rtol=0.05)

    def error(name):
        return eye_corner_table(
            names["found"][name], names["points"], range(4), names["shape"]
        ).average.mean

    start = error("initial transforms")
    for tool in ("ECC", "StackReg", "rasl"):
        assert error(tool) < 0.2 * start, tool
        assert error(f"{tool}, by holdstill") < 0.1 * start, tool
    assert error("landmarks, by holdstill") < 0.1 * error("landmarks")
    # What the page says of the default region.
    frames, initial = names["frames"], names["initial"]
    dictionary = holdstill.fit(frames, initial, n=30, shape=names["shape"])
    batch = holdstill.align_batch(frames, dictionary, initial)
    left = eye_corner_table(batch.frame_from_canonical, names["points"], range(4), (100, 100))
    assert left.average.mean == pytest.approx(1.1, abs=0.15)


def test_other_libraries_show_the_same_face(tmp_path, printed):
    needs("cv2", "skimage", "sklearn", "dask_image", "xarray")
    missing = None if importlib.util.find_spec("SimpleITK") else "SimpleITK"
    names = run_page(DOCS / "fits_in.md", tmp_path, without=missing)
    for library in ("skimage", "scipy", "dask"):
        np.testing.assert_allclose(names[f"by_{library}"], names["face"], atol=1e-6)
    assert np.abs(names["by_opencv"] - names["face"]).mean() < 0.2  # it rounds to 1/32 pixel
    if missing is None:
        np.testing.assert_allclose(names["by_simpleitk"], names["face"], atol=1e-6)
        np.testing.assert_allclose(names["back"], names["matrix"], atol=1e-9)
    shown, found = printed("fits_in")
    np.testing.assert_allclose(numbers(found), numbers(shown), atol=2)
    assert names["held"] > names["moving_too"] + 0.05
    expected = [
        holdstill.warp(frame, matrix, names["shape"])
        for frame, matrix in zip(names["frames"], names["found"].frame_from_canonical, strict=True)
    ]
    np.testing.assert_allclose(names["mean_face"], np.mean(expected, axis=0), atol=1e-9)


def test_the_gallery_draws_every_picture_that_it_shows(tmp_path):
    needs("av", "pyarrow", "statsmodels")
    pytest.importorskip("matplotlib").use("Agg")
    pillow = pytest.importorskip("PIL.Image")
    if not (DOCS / "images").is_dir():
        pytest.skip("a source distribution has no pictures")
    names = run_page(DOCS / "gallery.md", tmp_path)
    names["plot"].style.plt.close("all")
    shown = re.findall(r"\(images/gallery/(\w+\.png)\)", (DOCS / "gallery.md").read_text("utf-8"))
    assert sorted(shown) == sorted(path.name for path in (DOCS / "images/gallery").iterdir())
    for name in shown:
        drawn, kept = (
            np.asarray(pillow.open(folder / name).convert("RGBA"), float)
            for folder in (tmp_path, DOCS / "images/gallery")
        )
        assert np.abs(np.subtract(drawn.shape, kept.shape)).max() <= 0.1 * max(kept.shape), name
        assert np.ptp(drawn[..., 3]) > 0 or np.ptp(drawn) > 0, name


def slugs(page):
    """Anchors of a page's headings, as code-hosting sites make them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    found: dict[str, int] = {}
    for heading in re.findall(r"^#+ (.+)$", text, flags=re.M):
        slug = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found[slug] = found.get(slug, 0) + 1
    return {slug if not k else f"{slug}-{k}" for slug, n in found.items() for k in range(n)}


@pytest.mark.parametrize(
    "page", [*DOCUMENTED, "docs/api/index.md", "CONTRIBUTING.md", "CHANGELOG.md"]
)
def test_links_lead_to_files_and_their_headings(page):
    path = PROJECT / page
    for target, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", path.read_text("utf-8")):
        if "://" in target:
            continue
        file = path if not target else path.parent / target
        assert file.exists(), f"{page}: {target}"
        assert not anchor or anchor in slugs(file), f"{page}: {target}#{anchor}"


WRAPPED = sorted({*PROJECT.glob("*.md"), *DOCS.glob("*.md"), *DOCS.glob("api/*.md")} - {GENERATED})


@pytest.mark.parametrize("page", WRAPPED, ids=lambda page: str(page.relative_to(PROJECT)))
def test_lines_of_prose_are_no_longer_than_those_of_code(page):
    text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.M | re.S)
    for line in text.splitlines():
        if len(line) <= LINE or re.match(r"\||#|    ", line):  # tables, headings, code
            continue
        # Code, formulas and links stay whole; a line of one such thing has no place to break.
        words = re.sub(r"`[^`]*`|\$[^$]*\$|\[[^]]*\]\([^)]*\)", "whole", line)
        assert not re.search(r"\S +\S", re.sub(r"^ *[-*] ", "", words)), f"{len(line)}: {line}"


def test_the_reference_has_every_public_name():
    pages = {path.stem: path.read_text("utf-8") for path in (DOCS / "api").glob("*.md")}
    text = "".join(pages.values())
    for name in set(holdstill.__all__) - {"__version__"}:
        assert re.search(rf":: holdstill\.{name}$", text, flags=re.M), name
    packages = [path.parent for path in Path(holdstill.__file__).parent.glob("*/__init__.py")]
    assert len(packages) > 8
    for package in packages:
        # The command line's reference is its --help; what learns and registers is holdstill's own.
        if package.name not in ("cli", "learning", "registration"):
            assert f"automodule:: holdstill.{package.name}\n" in text, package
    for name in set(re.findall(r"`holdstill\.(\w+)", pages["index"])):
        assert re.search(rf":: holdstill\.{name}$", text, flags=re.M), name
