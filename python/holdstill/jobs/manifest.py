"""What a job is about, so that going on with it goes on with the same."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import holdstill
from holdstill import _core
from holdstill.initial import Initial
from holdstill.outputs import as_json
from holdstill.run_layout import MANIFEST
from holdstill.sources import FrameSource
from holdstill.sources.images import ImageFiles
from holdstill.sources.paths import is_url
from holdstill.sources.versions import version_of, versions_of
from holdstill.stores import Store
from holdstill.transforms import read_transforms

FORMAT = 1

_SHOWN = 5
"""Changed inputs that a message names."""

_MAY_CHANGE = ("command", "instruction_set", "processor")


class JobChangedError(ValueError):
    """A job cannot be gone on with: its inputs, options or dictionary are not what they were."""


def manifest_of(
    frames: FrameSource,
    initial: Initial,
    dictionary_digest: str,
    options: Mapping[str, Any],
    facts: Mapping[str, Any],
) -> dict[str, Any]:
    """What a job is about.

    Parameters
    ----------
    frames : FrameSource
    initial : as in :func:`holdstill.align`
    dictionary_digest : str
    options : mapping
        Whatever changes the bytes that are written.
    facts : mapping
        Of the command: ``fit``, the options a dictionary was asked for with, matters.

    Returns
    -------
    dict
        Plain values, as JSON has them.
    """
    manifest = {
        "format": FORMAT,
        "holdstill": holdstill.__version__,
        "instruction_set": _core.instruction_set(),
        "command": facts.get("command"),
        "rows": len(frames),
        "frames": [[n.start, n.stop, n.step] for n in frames.numbers],
        "initial": _initial(initial),
        "dictionary": dictionary_digest,
        "fit": facts.get("fit"),
        "options": dict(options),
    }
    plain: dict[str, Any] = json.loads(as_json(manifest))
    return {**plain, "inputs": [[name, version] for name, version in _inputs(frames)]}


def _inputs(frames: FrameSource) -> Iterator[tuple[str, str | None]]:
    for index, (stream, numbers) in enumerate(zip(frames.streams, frames.numbers, strict=True)):
        reader = frames.reader(index)
        if isinstance(reader, ImageFiles):
            files = reader.files(numbers)
            yield from zip(files, versions_of(files), strict=True)
        else:
            yield stream.name, version_of(stream.name)


def _initial(initial: Initial) -> Any:
    """Something that changes when the initial transforms do."""
    if initial is None:
        return None
    if callable(initial):
        return "a function"
    if isinstance(initial, (str, os.PathLike)) and is_url(os.fspath(initial)):
        initial = read_transforms(initial)  # a store's marks of a folder's files are many requests
    if isinstance(initial, (str, os.PathLike)):
        path = Path(initial)
        files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
        return [[str(file), version_of(str(file))] for file in files]
    found = hashlib.sha256()
    if isinstance(initial, Mapping):  # which frames its transforms are of matters as well
        for name in sorted(initial):
            found.update(f"{name}\n".encode() + _bytes_of(initial[name]))
    else:
        found.update(_bytes_of(initial))
    return found.hexdigest()


def _bytes_of(values: Any) -> bytes:
    column = np.asarray(values)
    if column.dtype.kind in "biuf":
        return column.astype(np.float64).tobytes()
    return repr(column.tolist()).encode()


def read_manifest(store: Store) -> dict[str, Any] | None:
    """The manifest of a run's folder; None if it has none.

    Raises
    ------
    JobChangedError
        If it is damaged, or of a later format.
    """
    try:
        found = json.loads(store.read(MANIFEST))
        version = found["format"]
        if version == FORMAT:
            dict(found["inputs"]), dict(found["options"]), int(found["rows"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise JobChangedError(f"{store.address}/{MANIFEST}: damaged; start anew") from None
    if version != FORMAT:
        raise JobChangedError(
            f"{store.address}/{MANIFEST}: format {version}, expected {FORMAT}: it was written by "
            f"holdstill {found.get('holdstill')}"
        )
    return dict(found)


def write_manifest(store: Store, manifest: Mapping[str, Any]) -> None:
    """Write it: from now on the job can be gone on with."""
    # On one line: there may be a hundred thousand inputs, and indented they take seconds.
    store.write(MANIFEST, (json.dumps(manifest) + "\n").encode())


def refuse_changes(address: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Raise JobChangedError, with all that is different, unless a job is the same as before.

    Parameters
    ----------
    address : str
        Of the run, for the message.
    before, now : mapping
        Of :func:`manifest_of`.

    Raises
    ------
    JobChangedError
    """
    changes = [*_changed_inputs(dict(before["inputs"]), dict(now["inputs"]))]
    changes += _changed_values("", before.get("options") or {}, now.get("options") or {})
    changes += _changed_values("fit: ", before.get("fit") or {}, now.get("fit") or {})
    told_apart = {"inputs", "options", "fit", "rows", *_MAY_CHANGE}
    rest = [{k: v for k, v in one.items() if k not in told_apart} for one in (before, now)]
    if before["inputs"] != now["inputs"] and not changes:
        changes.append("the order of the sources")
    changes += _changed_values("", *rest)
    if changes:
        listed = "\n  ".join(changes)
        raise JobChangedError(
            f"{address} cannot be gone on with, for something has changed:\n  {listed}\n"
            "choose another folder (--out) for a new run"
        )


def _changed_inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    names = [n for n in {**before, **now} if before.get(n, "no") != now.get(n, "no")]
    for name in names[:_SHOWN]:
        if name not in now:
            yield f"source {name}: no longer given"
        elif name not in before:
            yield f"source {name}: not given before"
        else:
            yield f"source {name}: {before[name] or 'missing'} -> {now[name] or 'missing'}"
    if len(names) > _SHOWN:
        yield f"and {len(names) - _SHOWN} more sources"


def _changed_values(label: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in {**before, **now}:
        if before.get(name) != now.get(name):
            yield f"{label}{name}: {_short(before.get(name))} -> {_short(now.get(name))}"


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > _SHOWN:
        return f"[{', '.join(map(str, value[:_SHOWN]))}, ... {len(value)} in all]"
    return str(value)
