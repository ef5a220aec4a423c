"""The numeric targets of the interactive figures can be reached on the sliders' own stops, and are not met at the start."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import torch

import metautil
from benchmarks.lambda_sweep import LAMS
from benchmarks.store import Store

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def settled():
    metautil.begin(0)
    yield
    torch.set_default_dtype(torch.float32)


def printed_sweep(notebook: str) -> dict[float, tuple[float, float]]:
    """λ → (accuracy on held-out font digits, on validation scans), in per cent, as lesson 00's saved cell prints them."""
    cells = json.loads((ROOT / "notebooks" / notebook).read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", []))
    rows = re.findall(r"λ = +(\S+): held-out font digits (\S+)%, validation scans (\S+)%", text)
    return {float(lam): (float(on_D), float(on_V)) for lam, on_D, on_V in rows}


def test_sweep_is_seed_0_of_the_stored_run():
    """The lesson's live cells and benchmarks/lambda_sweep.py are the same experiment."""
    store, printed = Store("lambda_sweep"), printed_sweep("00_start_here.ipynb")
    assert tuple(printed) == LAMS
    for lam, (on_D, on_V) in printed.items():
        case = f"λ={lam:g}"
        assert on_D == round(100 * store.row(case, "accuracy_D")["seeds"][0], 1)
        assert on_V == round(100 * store.row(case, "accuracy_validation")["seeds"][0])


def test_target_is_reached_by_two_lambdas():
    """At least 10 points gained on T and at most 3 lost on D, against λ = 0, in the lesson's own run (seed 0)."""
    store = Store("lambda_sweep")
    on_T, on_D = ({lam: store.row(f"λ={lam}", m)["seeds"][0] for lam in LAMS} for m in ("accuracy_T", "accuracy_D"))
    assert [lam for lam in LAMS if on_T[lam] >= on_T[0] + 0.1 and on_D[lam] >= on_D[0] - 0.03] == [1, 3]
