"""A whole run: align a source into a folder of transforms, pictures and figures."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from holdstill import _core
from holdstill.dictionary import Dictionary
from holdstill.initial import Initial
from holdstill.jobs import BLOCK_FRAMES, Job, on_threads
from holdstill.sources import FrameSource
from holdstill.threads import thread_count


class NothingAlignedError(RuntimeError):
    """No frame of the run could be aligned; the folder holds a row for each all the same.

    Attributes
    ----------
    summary : dict
        The contents of ``run.json``.
    """

    def __init__(self, message: str, summary: dict[str, Any]) -> None:
        super().__init__(message)
        self.summary = summary


def refuse_nothing(summary: dict[str, Any], whole: str) -> None:
    """Raise NothingAlignedError unless something converged, or came near it.

    Parameters
    ----------
    summary : dict
        The contents of ``run.json``.
    whole : str
        How many of what there were, and what was to become of them, for the message.
    """
    if not {"converged", "max_iterations"} & set(summary["status"]):
        counts = ", ".join(f"{count} {status}" for status, count in summary["status"].items())
        raise NothingAlignedError(f"none of {whole} ({counts})", summary)


def align_to_folder(
    frames: FrameSource,
    dictionary: Dictionary,
    folder: str | os.PathLike[str],
    initial: Initial = None,
    *,
    threads: int | None = None,
    client: Any = None,
    independent: bool = False,
    face: str = "best",
    mu: float = _core.DEFAULT_MU,
    tolerance: float = _core.DEFAULT_TOLERANCE,
    max_iterations: int = _core.DEFAULT_MAX_ITERATIONS,
    loss: str = "l2",
    video: bool = True,
    zarr: bool = False,
    csv: bool = False,
    block_frames: int = BLOCK_FRAMES,
    resume: bool = False,
    progress: Callable[[int, int], None] | None = None,
    on_block: Callable[[Mapping[str, Any]], object] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Align every frame and write the run's folder.

    The folder gets ``dictionary.npz``, ``job.json``, ``transforms.parquet`` (a folder of parts, a
    block each, complete when it appears; one row for every frame), ``aligned.mp4`` and, last,
    ``run.json``. Given the dictionary, parts, video and pictures are the same bytes for any number
    of threads and workers, interrupted or not. ``yaw``, ``pitch`` and ``roll`` of a file of initial
    transforms become columns of the run.

    Parameters
    ----------
    frames : FrameSource
        Of :func:`holdstill.open`.
    dictionary : Dictionary
    folder : str or path
        New or empty; on disk, or an fsspec URL.
    initial, independent, face, mu, tolerance, max_iterations, loss
        As in :func:`holdstill.align`.
    threads : int, optional
        Threads of this process; as many as there are processors by default.
    client : dask.distributed.Client, optional
        Whose workers align instead; see :mod:`holdstill.distributed`.
    video : bool
        Write ``aligned.mp4``: a picture for every row, black where a frame has no transform.
    zarr : bool
        Write ``aligned.zarr``: the same pictures, (n, h, w[, 3]) uint8.
    csv : bool
        Write ``transforms.csv`` beside.
    block_frames : int
        Frames of a block, at least.
    resume : bool
        Go on with what the folder holds of the same job.
    progress : callable (done, total), optional
        Called after every frame, from the threads that align; after every block with a client.
    on_block : callable (record), optional
        Called with what is known of each block when it is written; see
        :mod:`holdstill.jobs.records`.
    facts : mapping, optional
        Further entries for ``run.json``.

    Returns
    -------
    dict
        The contents of ``run.json``.

    Raises
    ------
    FileExistsError
        If the folder holds something already.
    holdstill.jobs.JobChangedError
        If what is to be gone on with was another job.
    holdstill.jobs.JobIncompleteError
        If workers failed at some blocks; the others are written.
    holdstill.outputs.OutputError
        If something cannot be written, or another process writes there.
    NothingAlignedError
        If not one frame converged or came to a transform; everything has been written.
    """
    job = Job(
        frames,
        dictionary,
        folder,
        initial,
        independent=independent,
        face=face,
        mu=mu,
        tolerance=tolerance,
        max_iterations=max_iterations,
        loss=loss,
        video=video,
        zarr=zarr,
        block_frames=block_frames,
        resume=resume,
        facts=facts,
    )
    with job:
        if client is None:
            engine = {"threads": thread_count(threads)}
            records = on_threads(job, engine["threads"], progress)
        else:
            from holdstill.distributed import on_dask, workers_of

            engine = workers_of(client)
            records = on_dask(job, client, progress)
        with closing(records):
            for record in records:
                job.add(record)
                if on_block is not None:
                    on_block(record)
        summary = job.finish(csv=csv, facts=engine)
    refuse_nothing(summary, f"{summary['frames']} frames could be aligned")
    return summary
