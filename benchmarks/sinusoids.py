"""Learners on waves y = a sin(x − φ): who adapts to a new one, from how many training tasks, and where it fails; lesson 11.

Every learner trains the same network for as many steps on as many tasks, each with the settings that served it best
of a few tried by hand on validation tasks of another seed (`SETTINGS`). At test time the step size α is chosen on
validation tasks, for each number of inner steps; the MSE is that of 1,000 test tasks, taken once. A seed draws the
start, the training tasks and the test tasks.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor

import metautil
from metautil.datasets import sinusoids
from metautil.learners import Learner, adapted_risks, anil, fomaml, joint, maml, meta_fit, meta_sgd, reptile
from metautil.models import Model, mlp
from metautil.risks import half_squared_error
from metautil.tasks import Data, Task, TaskFamily
from metautil.updates import adam

TASKS, VALIDATIONS, TESTS = 10, 200, 1000
PHASES = (700, 700, 700)
"""Steps with each of the three step sizes η of a learner."""
ALPHAS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2)
FAST, SLOW = (0.02, 0.005, 0.001), (0.01, 0.003, 0.001)
# learner → (how to make it, α and number of inner steps in training, step sizes η, how to adapt at test time)
Maker = Callable[[Model, Callable, float, int], Learner]
SETTINGS: dict[str, tuple[Maker, float, int, tuple[float, ...], Maker]] = {
    "fine-tuning": (lambda model, loss, alpha, steps: joint(model, loss), 0.0, 0, FAST, maml),
    "MAML": (maml, 0.05, 1, FAST, maml),
    "FOMAML": (fomaml, 0.02, 1, (0.005, 0.00125, 0.00025), maml),
    "Reptile": (reptile, 0.02, 5, SLOW, maml),
    "ANIL": (anil, 0.1, 1, FAST, anil),
}
COUNTS = (1, 2, 5, 20, 100)
LEAST = 0.01
"""How small the error on memorised tasks is below this, rounding decides."""
WAVES = sinusoids(shots=10, queries=10)

CASES = dict.fromkeys(
    [f"{name}, {steps}" for name in SETTINGS for steps in ("1 step", "10 steps")]
    + ["Meta-SGD, 1 step", "joint, no step", "MAML, no step"]
    + [f"{family}, {support}" for family in ("waves", "labelled waves") for support in ("own", "wrong", "no")]
    + [f"{count} training tasks{kept}" for count in COUNTS for kept in ("", ", points kept")]
    + [
        f"{family}, {start}"
        for family in ("three times the frequency", "opposite phases")
        for start in ("MAML", "random", "MAML minus random", "predicting 0")
    ],
    5,
)


# Families


def three_times_the_frequency(n_tasks: int, generator: torch.Generator) -> Task:
    """Waves a sin(3x − φ) on the same inputs: those of a range three times as wide, pressed together."""
    drawn = sinusoids(shots=10, queries=10, x=(-15.0, 15.0))(n_tasks, generator)
    return Task(*(Data(part.x / 3, part.y) for part in drawn))


FEW_AND_MANY = {"three times the frequency": (1, 10, 100), "opposite phases": (1, 10)}
NEW_FAMILIES: dict[str, TaskFamily] = {
    "three times the frequency": three_times_the_frequency,
    "opposite phases": sinusoids(shots=10, queries=10, phase=(math.pi, 2 * math.pi)),
}


def labelled(n_tasks: int, generator: torch.Generator) -> Task:
    """Waves whose inputs (x, a cos φ, a sin φ) say which wave it is; shape (n_tasks, 10, 3)."""
    a, phi = _parameters(n_tasks, generator)

    def look() -> Data:
        x = _inputs(n_tasks, 10, generator)
        labels = torch.cat([a * torch.cos(phi), a * torch.sin(phi)], 2).expand(-1, 10, -1)
        return Data(torch.cat([x, labels], 2), a * torch.sin(x - phi))

    return Task(look(), look())


def few(count: int, kept: bool, generator: torch.Generator) -> TaskFamily:
    """``count`` waves drawn once; each batch draws among them, with new points or, if ``kept``, always their own 20."""
    a, phi = _parameters(count, generator)
    points = _inputs(count, 20, generator)

    def family(n_tasks: int, generator: torch.Generator) -> Task:
        chosen = torch.randint(count, (n_tasks,), generator=generator)
        x = points[chosen] if kept else _inputs(n_tasks, 20, generator)
        y = a[chosen] * torch.sin(x - phi[chosen])
        return Task(Data(x[:, :10], y[:, :10]), Data(x[:, 10:], y[:, 10:]))

    return family


def _parameters(n_tasks: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """a and φ of the family of the MAML paper, each of shape (n_tasks, 1, 1)."""
    unit = torch.rand(2, n_tasks, 1, 1, generator=generator)
    return 0.1 + 4.9 * unit[0], math.pi * unit[1]


def _inputs(n_tasks: int, points: int, generator: torch.Generator) -> Tensor:
    return 10 * torch.rand(n_tasks, points, 1, generator=generator) - 5


# Training and testing


def fit(learner: Learner, family: TaskFamily, etas: tuple[float, ...], generator: torch.Generator) -> Tensor:
    """Meta-parameters after `PHASES` steps with Adam, one η after another."""
    phi = learner.init(generator)
    for eta, steps in zip(etas, PHASES, strict=True):
        phi, _ = meta_fit(learner, adam(eta), family, phi, steps, TASKS, generator)
    return phi.detach()


@cache
def network() -> Model:
    """The network of the MAML paper, with tanh in the place of ReLU, so that few meta-steps are enough."""
    return mlp((1, 40, 40, 1))


@cache
def trained(name: str, seed: int) -> Tensor:
    """The start θ_0 that a learner of `SETTINGS` has found on the waves."""
    make, alpha, steps, etas, _ = SETTINGS[name]
    return fit(make(network(), half_squared_error, alpha, steps), WAVES, etas, _generator(seed))


def mse(learner: Learner, phi: Tensor, tasks: Task) -> float:
    """Mean squared error after adapting, without the ½ of the loss."""
    return 2 * adapted_risks(learner, phi, tasks, half_squared_error).mean().item()


def tested(adapting: Maker, phi: Tensor, family: TaskFamily, steps: int, seed: int) -> dict[str, tuple[float, str]]:
    """MSE on test tasks, with the α that does best on validation tasks."""
    validation, test = family(VALIDATIONS, _generator(seed, 1)), family(TESTS, _generator(seed, 2))
    makers = {alpha: adapting(network(), half_squared_error, alpha, steps) for alpha in ALPHAS}
    errors = {alpha: mse(learner, phi, validation) for alpha, learner in makers.items()}
    alpha = min((alpha for alpha in ALPHAS if math.isfinite(errors[alpha])), key=errors.get)
    return {"mse": (mse(makers[alpha], phi, test), "number"), "alpha": (alpha, "number")}


def _generator(seed: int, part: int = 0) -> torch.Generator:
    """Separate random numbers for training (part 0), validation (1) and test (2) of a seed."""
    return torch.Generator().manual_seed(3 * seed + part)


# Cases


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case: metric → (value, unit)."""
    metautil.begin(seed)
    name, _, detail = case.partition(", ")
    if name == "Meta-SGD":
        learner = meta_sgd(network(), half_squared_error, 0.05, 1)
        phi = fit(learner, WAVES, FAST, _generator(seed))
        return {"mse": (mse(learner, phi, WAVES(TESTS, _generator(seed, 2))), "number")}
    if detail == "no step":
        phi = trained("fine-tuning" if name == "joint" else name, seed)
        return {"mse": (mse(joint(network(), half_squared_error), phi, WAVES(TESTS, _generator(seed, 2))), "number")}
    if name in SETTINGS:
        return tested(SETTINGS[name][-1], trained(name, seed), WAVES, int(detail.split()[0]), seed)
    if name in NEW_FAMILIES:
        return elsewhere(name, detail, seed)
    if name.endswith("training tasks"):
        return from_few(int(name.split()[0]), bool(detail), seed)
    return ignored(name, detail, seed)


@cache
def elsewhere(name: str, start: str, seed: int) -> dict[str, tuple[float, str]]:
    """A start on a family that it was not trained for, after few and many steps, each with its best α; or no start at all."""
    if start == "predicting 0":
        return {"mse": (NEW_FAMILIES[name](TESTS, _generator(seed, 2)).query.y.square().mean().item(), "number")}
    if start == "MAML minus random":
        of_maml, of_random = (elsewhere(name, one, seed) for one in ("MAML", "random"))
        errors = [metric for metric in of_maml if metric.startswith("mse")]
        return {metric: (of_maml[metric][0] - of_random[metric][0], "number") for metric in errors}
    phi = trained("MAML", seed) if start == "MAML" else network().init(_generator(seed))
    found = {steps: tested(maml, phi, NEW_FAMILIES[name], steps, seed) for steps in FEW_AND_MANY[name]}
    return {f"{metric}_{steps}": value for steps, values in found.items() for metric, value in values.items()}


def from_few(count: int, kept: bool, seed: int) -> dict[str, tuple[float, str]]:
    """MAML on few training tasks: the error on them and on new ones, `LEAST` where it is smaller."""
    generator, learner = _generator(seed), maml(network(), half_squared_error, 0.05, 1)
    family = few(count, kept, generator)
    phi = fit(learner, family, FAST, generator)
    sides = {"mse_training": family(TESTS, generator), "mse_new": WAVES(TESTS, _generator(seed, 2))}
    return {metric: (max(LEAST, mse(learner, phi, tasks)), "number") for metric, tasks in sides.items()}


@cache
def _memorised(seed: int) -> Tensor:
    return fit(maml(mlp((3, 40, 40, 1)), half_squared_error, 0.05, 1), labelled, FAST, _generator(seed))


def ignored(name: str, support: str, seed: int) -> dict[str, tuple[float, str]]:
    """The error with a task's own support set, with another task's, and without adapting."""
    model, phi, family = (
        (mlp((3, 40, 40, 1)), _memorised(seed), labelled)
        if name == "labelled waves"
        else (network(), trained("MAML", seed), WAVES)
    )
    tasks = family(TESTS, _generator(seed, 2))
    if support == "wrong":
        tasks = Task(Data(*(part.roll(1, 0) for part in tasks.support)), tasks.query)
    learner = joint(model, half_squared_error) if support == "no" else maml(model, half_squared_error, 0.05, 1)
    return {"mse": (mse(learner, phi, tasks), "number")}
