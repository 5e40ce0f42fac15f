"""Instructions of the core's hot paths, under valgrind, beside the counts of the repository.

``make perf-check`` fails where a path takes 5 % more than counts.json says; ``make perf-record``
writes it anew. Counts belong to a compiler's major version and to a processor family: where either
differs the changes are shown and nothing fails.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

COUNTS = Path(__file__).with_name("counts.json")
SETS = ("baseline", "avx2")
"""Of instructions; valgrind knows no AVX-512."""
LIMIT = 0.05
NAMES = (
    *(f"{feature}-{path}" for feature in ("grey", "edges")
      for path in ("prepare", "warp", "iteration", "review", "frame")),
    "rasl-image",
)  # fmt: skip


def main() -> int:
    """Count, then compare or record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("program", help="the built holdstill_perf")
    parser.add_argument("--record", action="store_true", help=f"write {COUNTS.name}")
    options = parser.parse_args()
    found: dict[str, Any] = {"processor": platform.machine(), "counts": {}}
    for instruction_set in SETS:
        count(options.program, instruction_set, found)
    if options.record:
        COUNTS.write_text(json.dumps(found, indent=2) + "\n")
        print(f"{COUNTS}: written")
        return 0
    return compare(found, json.loads(COUNTS.read_text()))


def count(program: str, instruction_set: str, found: dict[str, Any]) -> None:
    """Add the counts of one set, and the compiler; a set that the processor lacks adds none."""
    environment = {**os.environ, "HOLDSTILL_ISA": instruction_set}
    probe = subprocess.run([program, "rasl-image"], env=environment, capture_output=True, text=True)
    if probe.returncode:
        print(f"{instruction_set}: not on this processor")
        return
    found["compiler"] = probe.stdout.splitlines()[0].removeprefix("compiler ")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["valgrind", "--quiet", "--tool=callgrind", "--instr-atstart=no",
             f"--callgrind-out-file={folder}/dump", program, *NAMES],
            env=environment, check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        dumps = [path.read_text() for path in Path(folder).iterdir()]
    counts = {}
    for dump in dumps:
        name = re.search(r"^desc: Trigger: Client Request: (\S+)", dump, re.MULTILINE)
        total = re.search(r"^totals: (\d+)", dump, re.MULTILINE)
        if name and total:
            counts[name[1]] = int(total[1])
    if missing := set(NAMES) - {name for name, n in counts.items() if n > 0}:
        sys.exit(
            f"nothing was counted of {', '.join(sorted(missing))}: was holdstill_perf built with "
            "valgrind's header?"
        )
    found["counts"][instruction_set] = {name: counts[name] for name in NAMES}


def compare(found: dict[str, Any], recorded: dict[str, Any]) -> int:
    """Print a table; 1 where a path of the same compiler grew beyond the limit."""
    same = alike(found) == alike(recorded)
    if not same:
        print(
            f"recorded by compiler {recorded['compiler']} on {recorded['processor']}, this is "
            f"{found.get('compiler')} on {found['processor']}: shown, not judged"
        )
    grown = []
    for instruction_set, counts in found["counts"].items():
        for name, now in counts.items():
            before = recorded["counts"].get(instruction_set, {}).get(name)
            change = now / before - 1 if before else 0.0
            grown += [f"{instruction_set} {name}"] if change > LIMIT else []
            remark = "MORE" if change > LIMIT else "less: record it" if change < -LIMIT else ""
            print(f"{instruction_set:8} {name:15} {now:12,d} {change:+7.1%} {remark}".rstrip())
    if grown and same:
        print(f"above {LIMIT:.0%} more instructions: {', '.join(grown)}")
        print("where that is meant, make perf-record")
    return int(bool(grown) and same)


def alike(counts: dict[str, Any]) -> tuple[str, str]:
    """What counts must share to be compared."""
    return counts.get("compiler", "").split(".")[0], counts["processor"]


if __name__ == "__main__":
    raise SystemExit(main())
