"""Imports of packages that only some of what holdstill does needs."""

from __future__ import annotations

import importlib
from typing import Any


def import_optional(
    module: str, purpose: str, extra: str = "cli", *, name: str | None = None
) -> Any:
    """Import a package that not everybody has.

    Parameters
    ----------
    module : str
        The module's name.
    purpose : str
        What it is needed for, the subject of the message.
    extra : str
        The extra of this package that installs it.
    name : str, optional
        What the package is called, where that is not the module's name.

    Raises
    ------
    ImportError
        If it is not installed: the message names the command that installs it. If it is, and cannot
        be imported: the message says why.
    """
    package = module.partition(".")[0]
    needed = f"{purpose} needs {name or package}"
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # Without a name: dask's own, of its part that is another package.
        if error.name is None or error.name.partition(".")[0] == package:
            raise ImportError(f'{needed}: pip install "holdstill[{extra}]"') from error
        raise ImportError(f"{needed}, which cannot be imported: {error}") from error
    except ImportError as error:
        raise ImportError(f"{needed}, which cannot be imported: {error}") from error
