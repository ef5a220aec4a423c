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
from metautil import plots
from metautil.sliders import Slider

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def settled():
    metautil.begin(0)
    yield
    torch.set_default_dtype(torch.float32)


def test_lesson_03_parabola():
    """|θ| ≤ 0.0001 after 12 steps on both sides of 1/L = 0.25, and a hop for ever at 0.5; not at the default."""
    scene, slider = plots.parabola_descent(curvature=4.0), Slider("η", "step size", 0.01, 1.0, default=0.1)
    texts = {eta: scene.move(eta) for eta in (*slider.stops(), 0.5)}
    size = {eta: abs(float(re.search(r"12 steps: (\S+)", text)[1].replace("−", "-"))) for eta, text in texts.items()}
    assert size[slider.default] > 1e-4
    assert any(value <= 1e-4 for eta, value in size.items() if eta < 0.25)
    assert any(value <= 1e-4 for eta, value in size.items() if eta > 0.25)
    assert "hops between two points" in texts[0.5] and slider.parse("0.5") == 0.5


def test_lesson_03_bowl():
    """Below the goal from step 14 with memory, from step 18 by (3.15); never before step 39 without."""
    scene = plots.bowl_descent(low=0.1, high=2.0)
    eta = Slider("η", "step size", 0.01, 3.0, default=0.95)
    beta = Slider("β", "share", 0.0, 0.98, default=0.0, scale="linear", n=50)

    def reached(eta, beta):
        match = re.search(r"from step (\d+)", scene.move(eta, beta))
        return int(match[1]) if match else 10**9

    fine = [0.005 * k for k in range(1, 600)]
    assert min(reached(e, 0.0) for e in fine) == 39
    assert reached(eta.default, beta.default) > 14
    assert min(reached(e, b) for e in eta.stops() if e > 0.5 for b in beta.stops()) <= 14
    root = 20**0.5
    assert reached(4 / (2**0.5 + 0.1**0.5) ** 2, ((root - 1) / (root + 1)) ** 2) == 18


def printed_sweep(notebook: str) -> dict[float, tuple[float, float]]:
    """λ → (accuracy on held-out font digits, on validation scans), in per cent, as lesson 00's saved cell prints them."""
    cells = json.loads((ROOT / "notebooks" / notebook).read_text(encoding="utf-8"))["cells"]
    text = "".join("".join(output.get("text", "")) for cell in cells for output in cell.get("outputs", []))
    rows = re.findall(r"λ = +(\S+): held-out font digits (\S+)%, validation scans (\S+)%", text)
    return {float(lam): (float(on_D), float(on_V)) for lam, on_D, on_V in rows}


def test_lesson_00_sweep_is_seed_0_of_the_stored_run():
    """The lesson's live cells and benchmarks/lambda_sweep.py are the same experiment."""
    store, printed = Store("lambda_sweep"), printed_sweep("00_start_here.ipynb")
    assert tuple(printed) == LAMS
    for lam, (on_D, on_V) in printed.items():
        case = f"λ={lam:g}"
        assert on_D == round(100 * store.row(case, "accuracy_D")["seeds"][0], 1)
        assert on_V == round(100 * store.row(case, "accuracy_validation")["seeds"][0])


def test_lesson_00_target_is_reached_by_two_lambdas():
    """At least 10 points gained on T and at most 3 lost on D, against λ = 0, in the lesson's own run (seed 0)."""
    store = Store("lambda_sweep")
    on_T, on_D = ({lam: store.row(f"λ={lam}", m)["seeds"][0] for lam in LAMS} for m in ("accuracy_T", "accuracy_D"))
    assert [lam for lam in LAMS if on_T[lam] >= on_T[0] + 0.1 and on_D[lam] >= on_D[0] - 0.03] == [1, 3]
