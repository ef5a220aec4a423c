"""Stored results: one JSON file a benchmark, written row by row by ``benchmarks/store.py``, read by lessons.

A file is ``{"name", "date", "machine", "versions", "rows": [{"case", "metric", "unit", "seeds", "mean", "interval"}]}``.
``seeds`` holds one value per seed, seed k at position k. Accuracies are fractions; speeds are ratios whose reference the
case names. ``interval`` is the 95% interval of the mean over seeds (null while there is one seed).
"""

from __future__ import annotations

import json
import math
from pathlib import Path

from metautil.statistics import Estimate

WRITER = Path(__file__).parents[2] / "benchmarks" / "store.py"
FOLDER = WRITER.with_name("results") if WRITER.is_file() else Path(__file__).parents[1] / "stored"
"""Where the files lie: in the course's folder beside their writer; where lessons alone are installed, among them."""


def rows_of(path: Path) -> list[dict]:
    """The rows of one file.

    Raises
    ------
    ValueError
        If it is not a results file.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))["rows"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"{path} is not a results file ({error}). Restore it with git, or delete it to measure anew."
        ) from error


def stored(name: str, folder: Path = FOLDER) -> dict[str, dict[str, Estimate]]:
    """Mean over seeds and its 95% interval, of every case and metric of one benchmark.

    Parameters
    ----------
    name : str
        The file is ``<folder>/<name>.json``; ``make benchmarks`` measures it anew.
    folder : Path
        Where the files lie.

    Returns
    -------
    dict of str to dict of str to Estimate
        Case → metric → estimate, in the file's order and units; fractions lie in [0, 1]. Where there is one seed, the
        interval's ends are not a number.

    Raises
    ------
    FileNotFoundError
        If there is no such file; the message lists those that there are.
    ValueError
        If it is not a results file.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        there = ", ".join(sorted(file.stem for file in folder.glob("*.json"))) or "none"
        raise FileNotFoundError(
            f"There is no stored result {name!r} in {folder.name}/ of the benchmarks; there are: {there}. Run the notebook in "
            f"the course's folder, with metautil installed from there (`make lab` does both)."
        )
    found: dict[str, dict[str, Estimate]] = {}
    for row in rows_of(path):
        low, high = row["interval"] or (math.nan, math.nan)
        found.setdefault(row["case"], {})[row["metric"]] = Estimate(row["mean"], low, high)
    return found
