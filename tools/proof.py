"""What takes hours, and when it was last done: ``python -m tools.proof [NAME ...] [--status]``.

A proof is a run of tests with wider settings than `make deep` has. That it passed is recorded with the commit of the code that it
ran on; ``--status`` says which records are older than the code that they cover.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from metautil.files import write_atomically

ROOT = Path(__file__).resolve().parent.parent
RECORD = ROOT / "tests" / "proof.json"
PYTEST = ("-m", "pytest", "-n", "2", "--dist", "loadfile", "-q")


class Proof(NamedTuple):
    """What is run, with which settings in the environment, and the files whose change makes a record old."""

    what: str
    command: tuple[str, ...]
    settings: dict[str, str]
    covers: tuple[str, ...]


PROOFS = {
    "settings": Proof(
        "every setting of every figure with sliders",
        (*PYTEST, "tests/test_sweeps.py", "lessons/shared/test_explorer.py"),
        {"METAUTIL_SETTINGS": "all"},
        ("metautil", "lessons"),
    ),
    "examples": Proof(
        "property tests with new examples, fifty times as many",
        (*PYTEST, "tests", "lessons", "-m", "not deep"),
        {"HYPOTHESIS_PROFILE": "long"},
        ("metautil", "lessons"),
    ),
    "power cuts": Proof(
        "a training run that is killed seven times, forty times over",
        (*PYTEST, "tests/test_checkpoints.py", "-k", "killed"),
        {"METAUTIL_TRIALS": "40"},
        ("metautil/training.py", "metautil/checkpoints.py", "metautil/files.py"),
    ),
    "noise": Proof(
        "the solved notebooks under twenty draws of rounding noise",
        ("-m", "tools.noise", "--seeds", "20"),
        {},
        ("metautil", "lessons", "notebooks"),
    ),
}


def git(*arguments: str) -> subprocess.CompletedProcess:
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)


def records() -> dict[str, dict]:
    """Proof → its last record; empty where there is none."""
    return json.loads(RECORD.read_text(encoding="utf-8")) if RECORD.exists() else {}


def status(name: str) -> str:
    """One line: when a proof was last made, and whether what it covers has changed since."""
    if name not in (known := records()):
        return f"{name}: never made"
    made, covers = known[name], PROOFS[name].covers
    line = f"{name}: made on {made['date']}, {made['seconds']} s"
    changed = git("diff", "--name-only", made["commit"], "--", *covers)
    if changed.returncode:
        return f"{line}; commit {made['commit'][:9]}, which this clone does not have"
    count = len(changed.stdout.splitlines())
    return f"{line}; older than {count} of the files that it covers" if count else f"{line}; up to date"


def prove(name: str) -> bool:
    """Run one proof; record it if it passes. False if it fails, or covers files that are not committed."""
    proof = PROOFS[name]
    print(f"{name}: {proof.what}", flush=True)
    if dirty := git("status", "--porcelain", "--", *proof.covers).stdout.splitlines():
        print(
            f"{name}: {len(dirty)} of the files that it covers are not committed; a record names a commit. Commit first."
        )
        return False
    commit, start = git("rev-parse", "HEAD").stdout.strip(), time.monotonic()
    done = subprocess.run([sys.executable, *proof.command], cwd=ROOT, env=os.environ | proof.settings).returncode == 0
    if done:
        seconds, today = round(time.monotonic() - start), datetime.date.today().isoformat()
        entry = {"date": today, "commit": commit, "seconds": seconds}
        content = json.dumps(records() | {name: entry}, indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        write_atomically(RECORD, content.encode())
    return done


def main(arguments: list[str] | None = None) -> int:
    """The command line; 1 if a proof failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.proof", description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PROOFS)}; all if none is given")
    parser.add_argument("--status", action="store_true", help="say how old the records are, and run nothing")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(PROOFS):
        parser.error(f"no proof {', '.join(sorted(unknown))}; there are: {', '.join(PROOFS)}")
    names = options.names or list(PROOFS)
    if options.status:
        print("Records of `make proof`:", *(f"  {status(name)}" for name in names), sep="\n")
        return 0
    return int(sum(prove(name) for name in names) < len(names))


if __name__ == "__main__":
    sys.exit(main())
