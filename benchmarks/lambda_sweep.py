"""What λ does: font digits as D, two real scans a class as T, one small CNN trained on (L_D + λ L_T)/(1 + λ).

The experiment of lesson 00, repeated over seeds, with two controls of what its cost on D is made of. A seed draws which
scans are labelled, which validate, the network's start and the order of the batches; all cases of a seed share them. The λ
of the last case is chosen on the validation scans of its seed; the accuracy on T is taken on the other scans, once.
"""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

import metautil
from metautil.datasets import digits, font_digits
from metautil.joint import MetaLearner, MetaLoss, TaskLoss
from metautil.models import Model, small_cnn
from metautil.risks import Loss, cross_entropy
from metautil.tasks import Data, Task, split_per_class
from metautil.training import accuracy, minibatches, train_epoch
from metautil.updates import UpdateRule, momentum

LAMS = (0, 0.01, 0.1, 0.3, 1, 3, 10, 30)
CHOSEN = "λ chosen on validation scans"
EPOCHS, BATCH, ETA = 30, 100, 0.1
# (λ, share of the step size, epochs). The step along ∇L_D is η/(1 + λ): is a cost on D there also without the scans, at this
# step size alone, and is it still there after four times the epochs?
SETTINGS = {f"λ={lam}": (lam, 1.0, EPOCHS) for lam in LAMS} | {
    "λ=0, η/31": (0, 1 / 31, EPOCHS),
    "λ=30, four times the epochs": (30, 1.0, 4 * EPOCHS),
}
CASES = dict.fromkeys([*SETTINGS, CHOSEN], 20)


def trained(
    seed: int, rule: UpdateRule, loss: Loss = cross_entropy, lam: float = 1.0, epochs: int = EPOCHS, head: float = 1.0
) -> tuple[Model, Tensor, Data, Task]:
    """One network, its head ``head`` times what is drawn at the start; held-out font digits; validation and test scans."""
    generator = metautil.begin(seed)
    D = split_per_class(font_digits(), shots=160, generator=generator)
    T = split_per_class(digits(), shots=2, generator=generator)
    validation = split_per_class(T.query, shots=10, generator=generator)
    model = small_cnn(channels=(8, 16))
    objective = MetaLearner(MetaLoss(model, loss), TaskLoss(model, loss, T.support), lam)
    own = torch.Generator().manual_seed(seed)
    theta = model.init(own)
    of_head = sum(torch.Size(shape).numel() for weight, shape in model.shapes.items() if weight.startswith("head"))
    theta[-of_head:] *= head
    state = rule.init(theta)
    for _ in range(epochs):
        theta, state, _ = train_epoch(objective, theta, rule, state, minibatches(D.support, BATCH, own))
    return model, theta, D.query, validation


def accuracies(model: Model, theta: Tensor, held_out: Data, scans: Task) -> dict[str, float]:
    """Accuracies of one network, as fractions: on T (test scans), on validation scans, on held-out font digits."""
    return {
        "accuracy_T": accuracy(model, theta, scans.query),
        "accuracy_validation": accuracy(model, theta, scans.support),
        "accuracy_D": accuracy(model, theta, held_out),
    }


@cache
def train(case: str, seed: int) -> dict[str, float]:
    """Accuracies of the network of one case."""
    lam, share, epochs = SETTINGS[case]
    return accuracies(*trained(seed, momentum(eta=ETA * share, beta=0.9), lam=lam, epochs=epochs))


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case: metric → (value, unit)."""
    if case == CHOSEN:
        best = max(
            LAMS, key=lambda lam: train(f"λ={lam}", seed)["accuracy_validation"]
        )  # the smallest of equally good ones
        found = measure(f"λ={best}", seed)
        optimism = found["accuracy_validation"][0] - found["accuracy_T"][0]
        return found | {"lam": (float(best), "number"), "optimism": (optimism, "fraction")}
    return {metric: (value, "fraction") for metric, value in train(case, seed).items()}
