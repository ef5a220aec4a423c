"""Stored results: what the measurements in ``benchmarks/`` found, read by lessons from the files that hold it."""

from __future__ import annotations

import json
import math
from pathlib import Path

from metautil.statistics import Estimate

FOLDER = Path(__file__).parents[2] / "benchmarks" / "results"


def stored(name: str, folder: Path = FOLDER) -> dict[str, dict[str, Estimate]]:
    """Mean over seeds and its 95% interval, of every case and metric of one benchmark.

    Parameters
    ----------
    name : str
        The file is ``benchmarks/results/<name>.json``; ``make benchmarks`` measures it anew.
    folder : Path
        Where the files lie: in the course's folder, beside this package.

    Returns
    -------
    dict of str to dict of str to Estimate
        Case → metric → estimate, in the file's order and units; fractions lie in [0, 1]. Where there is one seed, the
        interval's ends are not a number.

    Raises
    ------
    FileNotFoundError
        If there is no such file; the message lists those that there are.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.json"))) or "none"
        raise FileNotFoundError(
            f"There is no stored result {name!r} in {folder.name}/ of the benchmarks; there are: {there}. Run the notebook in "
            f"the course's folder, with metautil installed from there (`make lab` does both)."
        )
    found: dict[str, dict[str, Estimate]] = {}
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        low, high = row["interval"] or (math.nan, math.nan)
        found.setdefault(row["case"], {})[row["metric"]] = Estimate(row["mean"], low, high)
    return found
