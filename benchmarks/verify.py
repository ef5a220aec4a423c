"""Recompute one randomly chosen seed of every results file: ``python -m benchmarks.verify [--seed N]``.

Values that a seed determines (fractions, numbers) must come out as stored, to within one part in a thousand. Speeds
depend on what else the machine does: a ratio must come out within a factor of 1.5, a time within one of 3.
"""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path
from types import ModuleType

from benchmarks.run import benchmarks
from benchmarks.store import Store
from lessons.shared.results import FOLDER
from metautil.datasets import NotThere

FACTOR = {"fraction": 1.001, "number": 1.001, "ratio": 1.5, "MB": 1.5, "ms": 3.0, "s": 3.0, "1/s": 3.0}


def agrees(stored: float, measured: float, unit: str) -> bool:
    """Whether a recomputed value confirms the stored one."""
    if stored == measured:
        return True
    low, high = sorted((abs(stored), abs(measured)))
    return stored * measured > 0 and high / low <= FACTOR[unit]  # a difference may be negative


def verify(name: str, module: ModuleType, choice: random.Random, folder: Path = FOLDER) -> list[str]:
    """Recompute one seed of one file; return a line for every value that does not come out as stored.

    A case whose data set is not on this machine is named and another one taken.
    """
    rows = Store(name, folder).rows
    cases = sorted({row["case"] for row in rows})
    while cases:
        case = choice.choice(cases)
        mine = [row for row in rows if row["case"] == case]
        seed = choice.randrange(min(len(row["seeds"]) for row in mine))
        try:
            measured = module.measure(case, seed)
            break
        except NotThere as error:
            print(f"{name}: case {case!r} cannot be recomputed here: {error}")
            cases.remove(case)
    else:
        return []
    print(f"{name}: case {case!r}, seed {seed}: {len(mine)} value(s) recomputed")
    return [
        f"{name}, {case!r}, {row['metric']}, seed {seed}: stored {row['seeds'][seed]}, measured {measured[row['metric']][0]}"
        for row in mine
        if not agrees(row["seeds"][seed], measured[row["metric"]][0], row["unit"])
    ]


def main() -> None:
    """Command line; exit code 1 where a value does not come out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, help="choose the same cases again")
    choice = random.Random(parser.parse_args().seed)
    available = benchmarks()
    problems = []
    for path in sorted(FOLDER.glob("*.json")):
        if path.stem not in available:
            problems.append(f"{path.name}: no benchmark module of that name recomputes it")
        else:
            problems += verify(path.stem, available[path.stem], choice)
    print("\n".join(problems) if problems else "all recomputed values came out as stored")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
