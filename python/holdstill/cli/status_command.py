"""``holdstill status``."""

from __future__ import annotations

import argparse
from typing import Any

from holdstill.cli.parsing import Output, command


def add_status(commands: Any) -> None:
    """The parser of ``status``."""
    parser = command(
        commands,
        "status",
        "Tell how far a run is, from its folder alone.",
        "holdstill status aligned",
    )
    parser.add_argument("run", metavar="DIR", help="folder of the run, or its URL")


def run_status(options: argparse.Namespace) -> Output:
    """Run ``holdstill status``."""
    from holdstill.jobs.status import job_status

    status = job_status(options.run)
    return status, _text(options.run, status)


def _text(run: str, status: dict[str, Any]) -> str:
    from holdstill.cli.texts import counted
    from holdstill.progress import clock

    done, total = status["frames_done"], status["frames"]
    share = 100.0 * done / total if total else 100.0
    lines = [f"{run}: {status['state']}, {done} of {total} frames ({share:.0f} %)"]
    if status["status"]:
        lines.append(f"{counted(status['status'])}; {status['good']} good")
    if status["frames_per_second"] and status["state"] != "complete":
        left = f", {clock(status['seconds_left'])} left" if status["state"] == "running" else ""
        lines.append(f"{status['frames_per_second']:.0f} frames/s{left}")
    lines += [f"lost: {what}" for what in status["lost"]]
    if status["state"] == "interrupted" and status["command"]:
        again = status["command"]
        again += "" if "--resume" in again.split() else " --resume"
        lines.append(f"to go on: {again}")
    return "\n".join(lines)
