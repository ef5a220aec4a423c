"""Two losses for one classifier: cross-entropy, and half the squared error to one-hot labels; the experiment of lesson 06.

D, T, network and objective are those of `benchmarks.lambda_sweep` at λ = 1. A step size that suits one loss need not suit
the other, so each loss gets its own, chosen among `ETAS` on the validation scans of each seed; the accuracies are taken on
the other scans, once.
"""

from __future__ import annotations

from functools import cache

import torch

import metautil
from benchmarks.lambda_sweep import BATCH, EPOCHS
from metautil.datasets import digits, font_digits
from metautil.models import small_cnn
from metautil.risks import MetaLoss, TaskLoss, cross_entropy, half_squared_error_of_classes
from metautil.tasks import split_per_class
from metautil.training import MetaLearner, accuracy, minibatches, train_epoch
from metautil.updates import momentum

LOSSES = {"cross-entropy": cross_entropy, "squared error to one-hot labels": half_squared_error_of_classes}
ETAS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)
CASES = dict.fromkeys(LOSSES, 10)
LAM = 1.0


@cache
def train(name: str, eta: float, seed: int) -> dict[str, float]:
    """Accuracies of one network, as fractions; all 0.1 where training diverged, which guessing would reach."""
    generator = metautil.begin(seed)
    D = split_per_class(font_digits(), shots=160, generator=generator)
    T = split_per_class(digits(), shots=2, generator=generator)
    validation = split_per_class(T.query, shots=10, generator=generator)
    model, rule, loss = small_cnn(channels=(8, 16)), momentum(eta, beta=0.9), LOSSES[name]
    objective = MetaLearner(MetaLoss(model, loss), TaskLoss(model, loss, T.support), LAM)
    own = torch.Generator().manual_seed(seed)
    theta = model.init(own)
    state = rule.init(theta)
    try:
        for _ in range(EPOCHS):
            theta, state, _ = train_epoch(objective, theta, rule, state, minibatches(D.support, BATCH, own))
    except FloatingPointError:
        return dict.fromkeys(("accuracy_T", "accuracy_validation", "accuracy_D"), 0.1)
    return {
        "accuracy_T": accuracy(model, theta, validation.query),
        "accuracy_validation": accuracy(model, theta, validation.support),
        "accuracy_D": accuracy(model, theta, D.query),
    }


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one loss, at the step size that its validation scans choose."""
    best = max(ETAS, key=lambda eta: train(case, eta, seed)["accuracy_validation"])
    found = {metric: (value, "fraction") for metric, value in train(case, best, seed).items()}
    return found | {"eta": (best, "number")}
