"""Every `holdstill` command of the documentation does its work, as it stands there."""

from __future__ import annotations

import glob
import re
import shlex
import shutil
from pathlib import Path

import pytest

from holdstill import demo, fit
from holdstill.cli import main

pytest.importorskip("av")
pytest.importorskip("pyarrow")
pytest.importorskip("zarr")
pytest.importorskip("statsmodels")

from stage import make_stage

PROJECT = Path(__file__).resolve().parents[1]
PAGES = [PROJECT / "README.md", *sorted((PROJECT / "docs").glob("*.md"))]
ELSEWHERE = ("s3:", "tcp:", "--dask")
"""What needs a cluster or a store: the tests of these run it."""
RESUME = " --resume"
FEW = 12
"""Frames that are learnt from, in the place of a hundred."""


def commands_of(page):
    """The commands of each section: one begins anew, within it they follow one another."""
    sections = re.split(r"^## ", page.read_text("utf-8"), flags=re.M)
    blocks = [re.findall(r"^```sh\n(.*?)^```$", s, flags=re.M | re.S) for s in sections]
    lines = ["".join(found).splitlines() for found in blocks]
    return [[line for line in found if line.startswith("holdstill ")] for found in lines]


def name_of(page):
    return page.stem


@pytest.fixture(scope="module", autouse=True)
def small():
    """Few frames are learnt from, and the demo is short."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(fit.__kwdefaults__, "n", FEW)
        patch.setattr(demo, "N_FRAMES", 40)
        patch.setattr(demo, "N_SAMPLE", FEW)
        yield


@pytest.fixture(scope="module")
def stage(tmp_path_factory, small):
    folder = tmp_path_factory.mktemp("stage")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        make_stage(folder)
    return folder


def arguments_of(command):
    """As a shell hands them over."""
    words = [
        word if quoted else (sorted(glob.glob(word)) or word)
        for word, quoted in zip(
            shlex.split(command), (token[0] in "'\"" for token in command.split()), strict=True
        )
    ]
    return [w for word in words[1:] for w in (word if isinstance(word, list) else [word])]


@pytest.mark.parametrize("page", [page for page in PAGES if any(commands_of(page))], ids=name_of)
def test_the_commands_of_a_page_do_their_work(page, stage, tmp_path, monkeypatch, capsys):
    for number, commands in enumerate(commands_of(page)):
        monkeypatch.chdir(shutil.copytree(stage, tmp_path / str(number)))
        done = set()
        for command in commands:
            if any(word in command for word in ELSEWHERE):
                continue
            arguments = arguments_of(command.replace("--n 100", f"--n {FEW}"))
            out = Path(arguments[arguments.index("--out") + 1]) if "--out" in arguments else None
            goes_on = RESUME in command and command.replace(RESUME, "") in done
            if out is not None and out.is_dir() and not goes_on:
                shutil.rmtree(out)  # the page tells of another way to the same place
            code = main(arguments)
            assert code == 0, f"{command}\n{capsys.readouterr().err}"
            assert out is None or out.exists(), command
            done.add(command)
