"""Two losses for one classifier: cross-entropy, and half the squared error to one-hot labels; the experiment of lesson 07.

D, T, network and objective are those of `benchmarks.lambda_sweep` at λ = 1. What suits one loss need not suit the other.
So each gets a step size of its own, chosen among `ETAS` on the validation scans of each seed, and each is tried from two
starts: the usual one, and one whose head is zero, so that all scores are. The accuracies are taken on the other scans, once.
"""

from __future__ import annotations

from functools import cache

import torch

from benchmarks.lambda_sweep import accuracies, trained
from metautil.risks import cross_entropy, half_squared_error_of_classes
from metautil.updates import momentum

LOSSES = {"cross-entropy": cross_entropy, "squared error": half_squared_error_of_classes}
STARTS = {"usual start": 1.0, "head at zero": 0.0}
ETAS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
FIXED = ", η=0.05"
"""Control: the scans hardly tell small steps from long ones, but small ones leave work on D unfinished."""

CASES = {f"{loss}, {start}": 10 for loss in LOSSES for start in STARTS}
CASES |= {f"{loss}, head at zero{FIXED}": 10 for loss in LOSSES}


@cache
def train(case: str, eta: float, seed: int) -> dict[str, float]:
    """Accuracies of one network, and the share of its features that answer to any held-out image; fractions.

    Where training diverged, all accuracies are 0.1, which guessing would reach.
    """
    name, _, begin = case.partition(", ")
    try:
        model, theta, held_out, scans = trained(seed, momentum(eta, beta=0.9), LOSSES[name], head=STARTS[begin])
    except FloatingPointError:
        return dict.fromkeys(("accuracy_T", "accuracy_validation", "accuracy_D"), 0.1) | {"alive": 0.0}
    features = model.features(model.unpack(theta), torch.cat([held_out.x, scans.query.x]))
    return accuracies(model, theta, held_out, scans) | {"alive": (features > 0).any(0).double().mean().item()}


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case, at the step size that its validation scans choose, or at the fixed one."""
    setup = case.removesuffix(FIXED)
    best = 0.05 if case != setup else max(ETAS, key=lambda eta: train(setup, eta, seed)["accuracy_validation"])
    found = {metric: (value, "fraction") for metric, value in train(setup, best, seed).items()}
    return found | {"eta": (best, "number")}
