"""The numeric targets of the interactive figures can be reached on the sliders' own stops, and are not met at the start."""

from __future__ import annotations

import re
from pathlib import Path

from benchmarks.lambda_sweep import LAMS
from benchmarks.store import Store
from lessons.shared.cells import printed

LESSON = Path(__file__).parent / "00_start_here.md"


def printed_sweep() -> dict[float, tuple[float, float]]:
    """λ → (accuracy on held-out font digits, on validation scans), in per cent, as lesson 00's saved cell prints them."""
    rows = re.findall(r"λ = +(\S+): held-out font digits (\S+)%, validation scans (\S+)%", printed(LESSON))
    return {float(lam): (float(on_D), float(on_V)) for lam, on_D, on_V in rows}


def test_sweep_is_seed_0_of_the_stored_run():
    """The lesson's live cells and benchmarks/lambda_sweep.py are the same experiment."""
    store, sweep = Store("lambda_sweep"), printed_sweep()
    assert tuple(sweep) == LAMS
    for lam, (on_D, on_V) in sweep.items():
        case = f"λ={lam:g}"
        assert on_D == round(100 * store.row(case, "accuracy_D")["seeds"][0], 1)
        assert on_V == round(100 * store.row(case, "accuracy_validation")["seeds"][0])


def test_target_is_reached_by_two_lambdas():
    """At least 10 points gained on T and at most 3 lost on D, against λ = 0, in the lesson's own run (seed 0)."""
    store = Store("lambda_sweep")
    on_T, on_D = ({lam: store.row(f"λ={lam}", m)["seeds"][0] for lam in LAMS} for m in ("accuracy_T", "accuracy_D"))
    assert [lam for lam in LAMS if on_T[lam] >= on_T[0] + 0.1 and on_D[lam] >= on_D[0] - 0.03] == [1, 3]
