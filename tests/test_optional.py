"""Packages that not everybody has: missing ones are named with what installs them."""

from __future__ import annotations

import sys

import pytest

from holdstill.optional import import_optional


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a package of this code."""
    monkeypatch.syspath_prepend(tmp_path)

    def make(code):
        (tmp_path / "broken").mkdir()
        (tmp_path / "broken" / "__init__.py").write_text(code)
        return "broken"

    yield make
    sys.modules.pop("broken", None)


@pytest.mark.parametrize("module", ["nowhere", "nowhere.inside"])
def test_what_is_not_installed_is_named_with_the_command_that_installs_it(module):
    with pytest.raises(ImportError) as raised:
        import_optional(module, "dreaming", "sleep", name="PyNowhere")
    assert str(raised.value) == 'dreaming needs PyNowhere: pip install "holdstill[sleep]"'


@pytest.mark.parametrize(
    "code",
    ["raise ImportError('libGL.so.1: cannot open shared object file')", "import libGL"],
)
def test_what_is_installed_and_cannot_be_imported_says_why(package, code):
    module = package(code)
    with pytest.raises(ImportError, match=r"dreaming needs broken, .*: .*libGL") as raised:
        import_optional(module, "dreaming")
    assert "pip" not in str(raised.value)
    assert raised.value.__cause__ is not None


def test_a_package_that_is_there_is_imported():
    assert import_optional("json.decoder", "nothing") is sys.modules["json.decoder"]
