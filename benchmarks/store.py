"""Writer of stored results, row by row, and their quotations; the format is that of `lessons.shared.results`."""

from __future__ import annotations

import datetime
import json
import os
import platform
import statistics
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path

from lessons.shared.results import FOLDER, rows_of
from metautil.files import write_atomically
from metautil.statistics import mean_interval

UNITS = {
    "fraction": (100, "%", 1),
    "ratio": (1, "×", 2),
    "ms": (1, " ms", 0),
    "s": (1, " s", 1),
    "1/s": (1, " per second", 0),
    "MB": (1, " MB", 0),
    "number": (1, "", 3),
}
"""What values are quoted in: their factor, what follows them, and the digits after the point."""


class Store:
    """Rows of one results file; every `record` reaches the disk before it returns.

    Parameters
    ----------
    name : str
        The file is ``<folder>/<name>.json``.
    folder : Path
        Where results live.
    """

    def __init__(self, name: str, folder: Path = FOLDER) -> None:
        self.name = name
        self.path = folder / f"{name}.json"
        self.rows: list[dict] = rows_of(self.path) if self.path.exists() else []

    def row(self, case: str, metric: str) -> dict | None:
        """The row of ``case`` and ``metric``, or None."""
        return next((row for row in self.rows if (row["case"], row["metric"]) == (case, metric)), None)

    def seeds_done(self, case: str) -> int:
        """Number of seeds that every metric of ``case`` already has: the first seed still to run."""
        return min((len(row["seeds"]) for row in self.rows if row["case"] == case), default=0)

    def record(self, case: str, seed: int, values: dict[str, tuple[float, str]]) -> None:
        """Add one seed's values and write the file, in one step.

        Parameters
        ----------
        case : str
            What was measured, with the reference where a value is a ratio.
        seed : int
            Must be the next seed of this case, so that no seed is counted twice or skipped.
        values : dict of str to (float, str)
            Metric to (value, unit); units are those in `UNITS`.

        Raises
        ------
        ValueError
            If the seed is not the next one or a unit is unknown. Nothing is written then.
        """
        if seed != self.seeds_done(case):
            raise ValueError(f"{self.name}, case {case!r}: seed {seed} given, seed {self.seeds_done(case)} is next.")
        for metric, (_, unit) in values.items():
            if unit not in UNITS:
                raise ValueError(f"Unit {unit!r} of metric {metric!r} is unknown; one of {tuple(UNITS)} is expected.")
        for metric, (value, unit) in values.items():
            row = self.row(case, metric)
            if row is None:
                row = {"case": case, "metric": metric, "unit": unit, "seeds": []}
                self.rows.append(row)
            row["seeds"] = [*row["seeds"][:seed], float(value)]
            several = len(row["seeds"]) > 1
            estimate = mean_interval(row["seeds"]) if several else None
            row["mean"] = estimate.mean if estimate else float(value)
            row["interval"] = [estimate.low, estimate.high] if estimate else None
        self._write()

    def _write(self) -> None:
        content = {
            "name": self.name,
            "date": datetime.date.today().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()}",
            "versions": {"python": platform.python_version()}
            | {package: version(package) for package in ("torch", "numpy", "scikit-learn", "matplotlib")},
            "rows": self.rows,
        }
        write_atomically(self.path, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())


def quote(key: str, folder: Path = FOLDER) -> str:
    """Text of a stored number for a lesson's ``{{file.case.metric}}``: mean, half-width of the interval, unit.

    Parameters
    ----------
    key : str
        ``file.case.metric``; the case may hold dots. ``file.case.metric:mean`` leaves the interval out,
        ``:median`` gives the median over seeds, ``file.case.metric:count`` is the number of seeds,
        ``file.case.metric:points`` a difference of fractions in percentage points.

    Raises
    ------
    KeyError
        If there is no such file, case or metric; the message names the nearest that there are.
    """
    key, _, form = key.partition(":")
    name, _, rest = key.partition(".")
    case, _, metric = rest.rpartition(".")
    store = Store(name, folder)
    row = store.row(case, metric)
    if row is None:
        there = [f"{row['case']}.{row['metric']}" for row in store.rows]
        near = ", ".join(get_close_matches(rest, there, n=5, cutoff=0)) or "no rows"
        raise KeyError(f"{key}: {store.path.name} has no case {case!r} with metric {metric!r}; nearest are {near}.")
    if form == "count":
        return str(len(row["seeds"]))
    if form not in ("", "mean", "median", "points") or (form == "points" and row["unit"] != "fraction"):
        raise KeyError(
            f"{key}:{form}: the form after the colon is 'mean', 'median', 'count', 'points' (of fractions) or nothing."
        )
    scale, suffix, digits = UNITS[row["unit"]]
    if form == "points":
        suffix = " points"
    value = statistics.median(row["seeds"]) if form == "median" else row["mean"]
    text = f"{value * scale:.{digits}f}".replace("-", "−")
    if row["interval"] is not None and form not in ("mean", "median"):
        text += f" ± {(row['interval'][1] - row['interval'][0]) / 2 * scale:.{digits}f}"
        return f"({text}){suffix}" if suffix == "%" else text + suffix
    return text + suffix
