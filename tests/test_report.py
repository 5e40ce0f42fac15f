"""The report of a run: what is on the page, what it shows, and runs in any state."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import shutil
import sys
from html.parser import HTMLParser

import numpy as np
import pytest
from clips import texts
from report_runs import (
    AFTER,
    BEFORE,
    SIDE,
    columns_of,
    number_in,
    numbered_frames,
    numbered_run,
    run_of,
)
from runs import change_facts, interrupt

from holdstill import Run, read_run
from holdstill.cli import main
from holdstill.report import pictures, write_report
from holdstill.report.rows import LEAST_WORST, MOST_WORST, shown_rows, worst_rows

pytest.importorskip("pyarrow")
av = pytest.importorskip("av")
Image = pytest.importorskip("PIL.Image")

HOSTILE = """<script>alert(1)<!-- "'&amp; ü 猫.npy"""
IMAGE = "<img src=x onerror=alert(1)>"
COMMAND = "holdstill align '</script><script>alert(1)</script>' --out ]]>"


class Page(HTMLParser):
    """Elements, attributes and texts of a page."""

    def __init__(self, path):
        super().__init__()
        self.text = path.read_text(encoding="utf-8")
        self.elements, self.contents, self._open = [], {}, None
        self.feed(self.text)
        self.data = json.loads(self.contents["data"])

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._open = dict(attributes).get("id", tag)

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, text):
        self.contents[self._open] = self.contents.get(self._open, "") + text

    def film(self):
        """Pictures of the player, (n, h, w) grey."""
        content = base64.b64decode(self.contents["video"])
        with av.open(io.BytesIO(content)) as container:
            return np.stack([f.to_ndarray(format="gray") for f in container.decode(video=0)])


def report_of(folder, **keywords):
    result = write_report(folder, **keywords)
    return Page(folder / "report.html"), result


@pytest.fixture(scope="module")
def numbered(tmp_path_factory):
    flagged = [(7, "converged", 0.2), (40, "not_found", 0.0), (41, "collapsed", 0.3)]
    return numbered_run(tmp_path_factory.mktemp("numbered"), 120, flagged=flagged)


def test_the_command_writes_a_page_with_the_verdict(run_folder, command):
    code, out, _ = command("report", run_folder, "--json", "--quiet")
    assert code == 0
    result = json.loads(out)
    page = Page(run_folder / "report.html")
    assert result["report"] == str(run_folder / "report.html")
    assert result["bytes"] == (run_folder / "report.html").stat().st_size
    assert result["frames"] == result["pictures"] == 260
    run = read_run(run_folder)
    assert result["verdict"].startswith("260 frames, ")
    flagged = int((~run.good).sum())
    assert ("none to look at" if not flagged else f"{flagged} frame") in result["verdict"]
    sentence = re.search(r"<h1>(.*?)</h1>", page.text, re.S)[1]
    assert re.sub("<.*?>", "", sentence) == f"{result['verdict']}."
    assert page.data["frame"] == run.rows["frame"].tolist()


def test_jitter_in_the_verdict_is_that_of_the_transforms(tmp_path):
    """Frames that began three times as far off as they ended jitter a third as much."""
    n, noise = 200, np.random.default_rng(0).normal(size=(200, 2))
    folder = numbered_run(tmp_path, n)
    run = read_run(folder)
    after = np.tile(AFTER, (n, 1, 1))
    after[:, :2, 2] += noise
    shutil.rmtree(folder)
    before = np.tile(np.eye(3), (n, 1, 1))
    before[:, :2, 2] += 3.0 * noise
    rows = "\n".join(",".join([str(k), *map(str, m.ravel())]) for k, m in enumerate(before))
    (tmp_path / "initial.csv").write_text("frame,h00,h01,h02,h10,h11,h12,h20,h21,h22\n" + rows)
    columns = columns_of(str(tmp_path / "frames.npy"), n, frame_from_canonical=after)
    run_of(folder, columns, run.facts)
    assert "jitter down 3.0×" in write_report(folder)["verdict"]


def test_the_page_asks_for_nothing_and_runs_only_its_own_program(numbered):
    page, _ = report_of(numbered)
    for tag, attributes in page.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "form"), tag
        for name in ("src", "href", "srcset", "action", "poster"):
            assert attributes.get(name, "data:").startswith("data:"), (tag, attributes)
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
    style = page.contents["style"]
    assert "@import" not in style and "url(" not in style
    policy = next(a["content"] for t, a in page.elements if a.get("http-equiv"))
    assert policy.startswith("default-src 'none'")
    script = page.contents["script"]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in policy


def test_the_player_shows_every_frame_before_and_after(numbered):
    page, _ = report_of(numbered)
    film = page.film()
    half = film.shape[2] // 2
    assert page.data["player"]["rows"] == list(range(120)) and len(film) == 120
    without = (40,)  # not found: it has no transform
    for row, picture in enumerate(film):
        assert number_in(picture[:, :half]) == row
        if row not in without:
            assert number_in(picture[:, half:]) == 255 - row


def test_a_long_run_is_thinned_out_and_says_so(numbered, monkeypatch):
    run = read_run(numbered)
    monkeypatch.setattr("holdstill.report.rows.LEAST_WORST", 3)
    shown = shown_rows(run, worst_rows(run), most=25)
    assert len(shown.rows) <= 25
    assert {7, 40, 41} <= set(shown.rows.tolist())
    assert set(range(0, 120, shown.every)) <= set(shown.rows.tolist())
    assert str(shown) == "every 6th frame, and all of those to look at"
    monkeypatch.setattr("holdstill.report.shown_rows", lambda run, worst: shown)
    page, result = report_of(numbered)
    assert result["pictures"] == len(shown.rows) < result["frames"]
    assert "every 6th frame, and all of those to look at" in page.text
    half = page.film().shape[2] // 2
    assert [number_in(p[:, :half]) for p in page.film()] == shown.rows.tolist()


def test_mostly_bad_runs_keep_to_the_limit(tmp_path):
    n = 5000
    status = ["not_found" if k % 10 else "converged" for k in range(n)]
    quality = np.where(np.arange(n) % 10, 0.0, 0.9)
    columns = columns_of("x.npy", n, status=status, quality=quality)
    run = read_run(run_of(tmp_path / "run", columns, {}))
    worst = worst_rows(run)
    assert len(worst) == MOST_WORST
    # Of equal ones, evenly over the run.
    assert worst.min() < 100 and worst.max() > n - 100
    shown = shown_rows(run, worst)
    assert len(shown.rows) <= 2500 and set(worst.tolist()) <= set(shown.rows.tolist())
    assert shown.left_out > 0 and "more of those to look at" in str(shown)


def test_the_gallery_has_the_worst_of_every_status(numbered):
    run = read_run(numbered)
    worst = worst_rows(run)
    assert worst[:3].tolist() == [40, 7, 41]
    assert len(worst) == LEAST_WORST
    # The rest are the least certain of the good ones.
    good = np.flatnonzero(run.good)
    order = good[np.argsort(run.rows["quality"][good], kind="stable")]
    assert worst[3:].tolist() == order[: LEAST_WORST - 3].tolist()
    page, _ = report_of(numbered)
    tiles = [a for _, a in page.elements if a.get("class") == "tile"]
    assert [int(tile["data-row"]) for tile in tiles] == worst.tolist()
    assert sum(t == "img" and "jpeg" in a["src"] for t, a in page.elements) >= LEAST_WORST


def test_the_size_of_the_video_is_bounded_whatever_it_shows(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (120, 96, 192, 3), dtype=np.uint8)
    monkeypatch.setattr(pictures, "VIDEO_BYTES", 400_000)

    def size():
        video = pictures._Video(2, (96, 96), len(noise))
        for picture in noise:
            video.write(picture)
        return len(video.close())

    assert size() < 1.1 * 400_000
    monkeypatch.setattr(pictures, "VIDEO_BYTES", 10**8)
    assert size() > 800_000  # it was the limit that held it


def test_the_page_of_ten_thousand_frames_is_bounded_whatever_they_are_called(tmp_path):
    n, random = 10_000, np.random.default_rng(0)
    names = [f"{'folder ' * 20}/{k:05d} {'猫' * 60}.jpg" for k in range(n)]
    columns = columns_of("", n, quality=random.uniform(size=n), residual=random.uniform(size=n))
    columns.update(source=names, iterations=random.integers(1, 300, n))
    _, result = report_of(run_of(tmp_path / "run", columns, {}))
    assert result["pictures"] == 0
    thumbnails = MOST_WORST * 8_000
    assert result["bytes"] + thumbnails + 1.05 * pictures.VIDEO_BYTES * 4 / 3 < 10_000_000


def test_plots_follow_the_theme_and_share_no_names(numbered, tmp_path):
    pytest.importorskip("matplotlib")
    run = read_run(numbered)
    points = np.tile([[8.0, 9.0], [12.0, 9.0], [20.0, 9.0], [24.0, 9.0]], (len(run), 1, 1))
    noise = np.random.default_rng(0).normal(size=points.shape)
    write_report(run, tmp_path / "page.html", points=points + noise, eye_corners=(0, 1, 2, 3))
    page = Page(tmp_path / "page.html")
    captions = re.findall(r"<figcaption>(.*?)</figcaption>", page.text)
    assert [caption.split()[0] for caption in captions] == ["Mean", "Mean", "Eye", "The", "Share"]
    identities = [a["id"] for _, a in page.elements if "id" in a]
    assert len(identities) == len(set(identities)) > 50
    used = set(re.findall(r'(?:url\(|href=")#([^")]+)', page.text))
    assert used and used <= set(identities)
    assert "var(--muted)" in page.text and "#858585" not in page.text
    assert "Eye corners, mean error" in page.text


def test_the_page_has_one_before_and_its_figures_and_plots_are_of_the_same_frames(
    tmp_path, monkeypatch
):
    pytest.importorskip("matplotlib")
    n, random = 60, np.random.default_rng(0)
    folder = numbered_run(tmp_path, n, flagged=[(7, "converged", 0.2)])
    moved = np.tile(BEFORE, (n, 1, 1))
    moved[:, :2, 2] += random.normal(0.0, 2.0, (n, 2))
    rows = [",".join([str(k), *map(str, m.ravel())]) for k, m in enumerate(moved) if k % 3]
    header = "frame,h00,h01,h02,h10,h11,h12,h20,h21,h22"
    (tmp_path / "other.csv").write_text("\n".join([header, *rows]))
    points = np.tile([[8.0, 9.0], [12.0, 9.0], [20.0, 9.0], [24.0, 9.0]], (n, 1, 1))
    points += random.normal(size=points.shape)
    asked = []
    before = Run.before
    monkeypatch.setattr(
        Run, "before", lambda run, *more: (asked.append(more), before(run, *more))[1]
    )
    write_report(folder, initial=tmp_path / "other.csv", points=points, eye_corners=(0, 1, 2, 3))
    assert asked == [(tmp_path / "other.csv",)]
    text = (folder / "report.html").read_text()
    row = re.search(r"Eye corners, mean error.*?</tr>", text)[0]
    table = [float(cell) for cell in re.findall(r'number">([\d.]+)<', row)]
    for name, mean in zip(("before", "after"), table, strict=True):
        drawn = [float(value) for value in re.findall(rf">{name} ([\d.]+)<", text)]
        assert len(drawn) == 4
        assert np.mean(drawn) == pytest.approx(mean, abs=0.006)


def test_a_long_run_s_curves_are_images(tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    folder = numbered_run(tmp_path, 60)
    write_report(folder)
    assert "data:image/png" not in (folder / "report.html").read_text()
    monkeypatch.setattr("holdstill.report.plots.MOST_VECTORS", 30)
    write_report(folder)
    assert "data:image/png" in (folder / "report.html").read_text()


def test_without_matplotlib_the_page_says_what_is_missing(numbered, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "holdstill.plot", None)
    monkeypatch.delattr("holdstill.plot", raising=False)
    write_report(numbered, tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "No plots" in text and "Mean of" in text and "Jitter of the motion" in text
    assert "no plots" in caplog.text  # nobody need open the page to be told


def test_names_are_shown_and_never_run(tmp_path):
    folder = numbered_run(tmp_path / "<b>dir & co", 30, name="frames.npy")
    # Their last parts are the same, so they are shown whole.
    names = [f"{HOSTILE}a</script>{IMAGE}", f"b</script>{IMAGE}"]
    columns = columns_of(names[0], 30)
    columns["source"][15:] = names[1:] * 15
    columns["frame"][15:] = np.arange(15)
    facts = {**read_run(folder).facts, "sources": names, "command": COMMAND}
    shutil.rmtree(folder)
    folder = run_of(tmp_path / "<script>'run\"", columns, facts)
    page, _ = report_of(folder)
    assert [tag for tag, _ in page.elements].count("script") == 3
    assert not any("onerror" in a or a.get("src") == "x" for _, a in page.elements)
    assert page.data["sources"] == names
    assert "<!--" not in page.text
    assert page.contents["command"] == COMMAND
    assert page.contents["title"].startswith("<script>'run\": 30 frames")


def test_an_interrupted_run(run_copy):
    interrupt(run_copy)
    page, result = report_of(run_copy)
    assert result["pictures"] == 0 and result["frames"] == 260
    assert "The run was interrupted" in page.text and "There are no pictures" in page.text
    assert page.data["player"] is None and "To repeat it" not in page.text


def mean_images(page):
    """Before and after alignment, as the page shows them."""
    found = re.findall(r'<figure><img src="data:image/jpeg;base64,([^"]+)"', page.text)
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(content)))) for content in found]


@pytest.mark.parametrize(
    ("scale", "dtype"), [(1 / 255, np.float32), (16, np.uint16), (1000 / 250, np.float64)]
)
def test_mean_images_of_other_levels_are_no_darker(numbered, tmp_path, scale, dtype):
    folder = numbered_run(tmp_path, 120)
    np.save(tmp_path / "frames.npy", (numbered_frames(120) * float(scale)).astype(dtype))
    eight_bits = mean_images(report_of(numbered)[0])
    others = mean_images(report_of(folder)[0])
    assert len(eight_bits) == len(others) == 2
    # Levels that fit neither 1 nor 255 are stretched: the ratio of the two means stays.
    gain = np.mean(others[1].astype(float)) / np.mean(eight_bits[1])
    assert 0.98 < gain < 1.5
    np.testing.assert_allclose(others[0], gain * eight_bits[0], atol=8)


@pytest.mark.parametrize("with_video", [True, False])
def test_sources_that_have_gone(run_copy, with_video):
    change_facts(run_copy, sources="gone <b>.mp4")
    if not with_video:
        (run_copy / "aligned.mp4").unlink()
    page, result = report_of(run_copy)
    assert "gone &lt;b&gt;.mp4" in page.text
    if not with_video:
        assert result["pictures"] == 0 and "There are no pictures" in page.text
        return
    assert result["pictures"] == 260 and not page.data["player"]["pair"]
    with av.open(str(run_copy / "aligned.mp4")) as container:
        aligned = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
    film = page.film()
    for row in (0, 100, 259):
        small = film[row].reshape(SIDE, 9, SIDE, 9).mean(axis=(1, 3))
        assert np.abs(small - aligned[row]).mean() < 4.0


def test_columns_of_others_do_no_harm(numbered, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    copy = tmp_path / "run"
    shutil.copytree(numbered, copy)
    part = copy / "transforms.parquet" / "part-0000000.parquet"
    table = pq.read_table(part).append_column("yaw", pa.array(["<x>"] * 120))
    pq.write_table(table, part)
    page, _ = report_of(copy)
    names = ["quality", "residual", "jitter", "iterations"]
    assert [metric["name"] for metric in page.data["metrics"]] == names
    assert "yaw" not in page.text


def test_a_hundred_sources(tmp_path):
    n, each = 100, 3
    columns = columns_of("", n * each)
    for k in range(n):
        rows = slice(k * each, (k + 1) * each)
        columns["source"][rows] = [f"clips/{k:03d}.mp4"] * each
        columns["frame"][rows] = np.arange(each)
    folder = run_of(tmp_path / "run", columns, {"sources": [f"{k}.mp4" for k in range(n)]})
    page, _ = report_of(folder)
    assert len(page.data["sources"]) == 100 and not page.data["numbered"]
    assert page.data["stream"][-1] == 99
    assert "100 sources" in page.text and "0.mp4, … 99.mp4 (100)" in page.text


def test_a_status_of_a_later_version(tmp_path):
    columns = columns_of("x.npy", 20)
    columns["status"][3] = "postponed"
    page, _ = report_of(run_of(tmp_path / "run", columns, {}))
    assert "postponed" in page.text and "does not know" in page.text


def test_no_rows_and_no_run(tmp_path, command):
    empty = run_of(tmp_path / "empty", columns_of("x.npy", 0), {})
    code, _, error = command("report", empty)
    assert code == 2 and "holds no frame" in error
    code, _, error = command("report", tmp_path)
    assert code == 2 and "not the folder of a run" in error


def test_files_that_do_not_fit(numbered, tmp_path, command):
    code, _, error = command("report", numbered, "--initial", tmp_path / "none.csv", "--quiet")
    assert code == 2 and "none.csv" in error
    np.save(tmp_path / "points.npy", np.zeros((3, 4, 2)))
    code, _, error = command("report", numbered, "--points", tmp_path / "points.npy", "--quiet")
    assert code == 2 and "points" in error


def test_a_page_that_cannot_be_written(numbered, tmp_path, command):
    copy = tmp_path / "run"
    shutil.copytree(numbered, copy, ignore=shutil.ignore_patterns("report.html"))
    (copy / "report.html").mkdir()
    code, _, error = command("report", copy, "--quiet")
    assert code == 4 and "report.html" in error
    assert not list(copy.glob(".report*"))


def test_align_ends_by_naming_it(clip, dictionary, tmp_path, capsys):
    out = tmp_path / "a run"
    assert main(texts("align", clip.video, "--initial", clip.initial, "--dictionary", dictionary,
                      "--stop", 20, "--out", out, "--quiet")) == 0  # fmt: skip
    assert capsys.readouterr().out.rstrip().endswith(f"holdstill report '{out}'")
    page, _ = report_of(out)
    assert page.contents["command"].startswith("holdstill align ")
    assert f"--dictionary {dictionary}" in page.contents["command"]


def test_the_head_is_told_of_as_far_as_it_is_known(tmp_path):
    n = 60
    wave = np.sin(2 * np.pi * np.arange(n) / 20)
    moved = np.tile(AFTER, (n, 1, 1))
    moved[:, 0, 2] += 4.0 * wave
    moved[:, :2, :2] *= np.exp(0.01 * wave)[:, None, None]
    angles = {"yaw": 10.0 * wave, "pitch": np.full(n, -3.0), "roll": np.full(n, np.nan)}
    columns = columns_of("gone.npy", n, frame_from_canonical=moved, **angles)
    page, _ = report_of(run_of(tmp_path / "run", columns, {}))
    section = re.search(r'<section aria-labelledby="head-title">.*?</section>', page.text, re.S)[0]
    text = re.sub(r"<svg.*?</svg>", "", section, flags=re.S)
    rows = {
        re.sub(r" \(.*", "", name): re.findall(r'number">([^<]*)<', cells)
        for name, cells in re.findall(r'row">([^<]*)</th>(.*?)</tr>', text)
    }
    assert set(rows) == {"Yaw", "Pitch", "To the side", "Up and down", "Tilt", "Size"}
    assert rows["Pitch"] == ["−3.0", "−3.0", "−3.0"]
    # A sine of amplitude a: from -a to a, a / √2, and 2π a / √2 a period, which is 0.8 s.
    shift, size = (np.array(rows[name], dtype=float) for name in ("To the side", "Size"))
    np.testing.assert_allclose(size, [2.0, 0.707, 5.55], rtol=0.02)
    middle = 4.0 + 0.01 * (SIDE - 1) / 2
    np.testing.assert_allclose(shift, middle * np.array([2.0, 0.707, 5.55]), rtol=0.02)
    assert rows["Tilt"] == ["0.00", "0.00", "0.00"]
    assert section.count("<svg") == 2

    still = columns_of("gone.npy", n)
    still["status"] = ["not_found"] * n
    page, _ = report_of(run_of(tmp_path / "lost", still, {}))
    assert "head-title" not in page.text


def test_what_is_no_face_moves_without_a_head(tmp_path):
    moved = np.tile(AFTER, (60, 1, 1))
    moved[:, 0, 2] += 4.0 * np.sin(2 * np.pi * np.arange(60) / 20)
    columns = columns_of("gone.npy", 60, frame_from_canonical=moved)
    page, _ = report_of(run_of(tmp_path / "thing", columns, {"detections": 0}))
    assert "How it moved" in page.text and "the head" not in page.text.lower()
    page, _ = report_of(run_of(tmp_path / "face", columns, {"detections": 1}))
    assert "How the head moved" in page.text and "Head movement, as" in page.text


def test_photographs_have_poses_and_no_movement(tmp_path):
    n = 40
    moved = np.tile(AFTER, (n, 1, 1))
    moved[:, 0, 2] += np.arange(n)
    angles = {"yaw": np.linspace(-30, 30, n), "pitch": np.zeros(n), "roll": np.zeros(n)}
    columns = columns_of("gone.npy", n, frame_from_canonical=moved, **angles)
    facts = {"options": {"independent": True}}
    page, _ = report_of(run_of(tmp_path / "run", columns, facts))
    assert "Yaw (°" in page.text and "Head movement" not in page.text
    assert 'id="pose-' not in page.text


def test_bent_and_lost_heads_have_no_movement_and_a_report_all_the_same(tmp_path):
    bent = np.tile(AFTER, (40, 1, 1))
    bent[:, 2, 0] = 1e-4
    columns = columns_of("gone.npy", 40, frame_from_canonical=bent)
    page, _ = report_of(run_of(tmp_path / "bent", columns, {}))
    assert "head-title" not in page.text
