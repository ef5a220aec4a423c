"""Run all benchmarks, or those named: ``python -m benchmarks.run [NAME ...]``. Finished seeds are not repeated.

A benchmark is a module of this folder with ``CASES`` (case → number of seeds) and ``measure(case, seed)`` →
{metric: (value, unit)}. It raises `metautil.datasets.NotThere` for a case whose real data are not on this machine.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
from pathlib import Path
from types import ModuleType

from tqdm import tqdm

from benchmarks.store import Store
from lessons.shared.results import FOLDER
from metautil.datasets import NotThere


def benchmarks() -> dict[str, ModuleType]:
    """All modules of this folder that have cases and a measurement, by name."""
    modules = {
        name: importlib.import_module(f"benchmarks.{name}")
        for _, name, _ in pkgutil.iter_modules([str(Path(__file__).parent)])
        if name not in ("store", "run", "verify") and not name.startswith("test_")
    }
    return {name: module for name, module in modules.items() if hasattr(module, "CASES")}


def run(name: str, module: ModuleType, folder: Path = FOLDER) -> int:
    """Measure what is missing of one benchmark; return how many seeds were run.

    A case whose data set is not on this machine is named and left out; what is stored of it stays.
    """
    store = Store(name, folder)
    missing = [
        (case, seed)
        for seed in range(max(module.CASES.values()))
        for case, seeds in module.CASES.items()
        if store.seeds_done(case) <= seed < seeds
    ]
    count, left_out = 0, set()
    for case, seed in tqdm(missing, desc=name, disable=None):
        if case in left_out:
            continue
        try:
            store.record(case, seed, module.measure(case, seed))
            count += 1
        except NotThere as error:
            left_out.add(case)
            tqdm.write(f"{name}: case {case!r} is left out: {error}")
    return count


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    available = benchmarks()
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(available)}; all if none is named")
    names = parser.parse_args().names or list(available)
    for name in names:
        if name not in available:
            parser.error(f"there is no benchmark {name!r}; there are {', '.join(available)}")
        print(f"{name}: {run(name, available[name])} seed(s) run, stored in benchmarks/results/{name}.json")


if __name__ == "__main__":
    main()
