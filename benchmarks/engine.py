"""How fast one meta-gradient of MAML is, and what memory it takes, beside learn2learn, higher and torchopt.

All sides solve the same problem: the same tasks, network, inner steps and number type, on one thread. Before
anything is timed, their meta-gradients must agree in 64 bits; they are timed in 32 bits, in turn, in one fresh
process. What is timed is the meta-gradient, not the step of the outer optimiser. Each peer gets the memory format
that suits it better, of the two that PyTorch's documentation offers. A third needs a trick with strides
(`strides_forced`) that no user of a peer will know; learn2learn is timed with it too, as a side of its own. Memory is
measured in a fresh process for each side. A seed draws the tasks and the parameters. Linux only (it reads ``/proc``).

The peers are no part of the course. The environment variable METAUTIL_PEERS names a folder that holds them:
``learn2learn``, a checkout of the repository learnables/learn2learn (the package itself cannot be built on Python
3.11; its ``maml.py`` runs without), and what ``pip install --no-deps --target FOLDER higher torchopt optree
graphviz`` puts there.
"""

from __future__ import annotations

import copy
import importlib
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.fx.experimental.proxy_tensor import make_fx

from benchmarks.episodes import alone, peak
from metautil.datasets import NotThere, sinusoids
from metautil.fast import conv4
from metautil.learners import fomaml, maml
from metautil.models import Model, mlp
from metautil.risks import cross_entropy
from metautil.tasks import Data, Task


class Case(NamedTuple):
    """One problem. ``channels`` is None for the sine waves."""

    channels: int | None
    tasks: int
    steps: int
    second_order: bool
    compiled: bool = False  # ours alone; how long compiling takes (a minute or so) is not counted


ORDERS = {"second order": True, "first order": False}
GRID = {
    f"sinusoid, {steps} step{'s' * (steps > 1)}, {order}": Case(None, 25, steps, second)
    for steps in (1, 5)
    for order, second in ORDERS.items()
} | {
    f"conv4-{channels}, {tasks} tasks, {steps} step{'s' * (steps > 1)}, {order}": Case(channels, tasks, steps, second)
    for channels in (32, 64)
    for tasks in (4, 16, 32)
    for steps in (1, 5)
    for order, second in ORDERS.items()
}
GRID["sinusoid, 5 steps, second order, compiled"] = GRID["sinusoid, 5 steps, second order"]._replace(compiled=True)
CASES = dict.fromkeys(GRID, 1)
SHOTS, POINTS = 10, 10  # of a sine wave
WAYS, QUERIES, SIDE = 5, 15, 28  # of a task of images, one image a class to adapt on
WARM_UP, ROUNDS, SECONDS = (1, 1), (3, 40), 6.0  # rounds: at least and at most, and as many as SECONDS hold
TOLERANCE = 1e-6


class Problem(NamedTuple):
    """What all sides compute the meta-gradient of: ours on ``model`` and ``loss``, the peers on ``network`` and ``risk``."""

    model: Model
    loss: Callable[[Tensor, Tensor], Tensor]
    network: nn.Module
    risk: Callable[[Tensor, Tensor], Tensor]
    alpha: float
    phi: Tensor
    tasks: Task


class Network(nn.Module):
    """The peers' network: as few modules as its parameters need, because peers pay for each one in every task."""

    def __init__(self, body: Sequence[nn.Module], head: nn.Linear) -> None:
        super().__init__()
        self.body, self.head = nn.ModuleList(body), head

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.body:
            x = layer(x)
            if isinstance(layer, nn.BatchNorm2d):
                x = F.max_pool2d(x, 2)  # before ReLU, which commutes with it and then has a quarter of the work
            if not isinstance(layer, nn.Conv2d):
                x = x.relu()
        return self.head(x.flatten(1))


def squared_error(y: Tensor, y_star: Tensor) -> Tensor:
    """(y − y*)², summed over the outputs: without the ½, as the peers' ``mse_loss`` has none."""
    return F.mse_loss(y, y_star, reduction="none").sum(-1)


def problem(case: Case, seed: int, dtype: torch.dtype) -> Problem:
    """Tasks, networks and parameters of a case; the same numbers in each number type."""
    generator = torch.Generator().manual_seed(seed)
    if case.channels is None:
        model, loss, risk, alpha = mlp((1, 40, 40, 1), torch.relu), squared_error, F.mse_loss, 0.01
        network = Network([nn.Linear(1, 40), nn.Linear(40, 40)], nn.Linear(40, 1))
        tasks = sinusoids(SHOTS, POINTS)(case.tasks, generator)
    else:
        model, loss, risk, alpha = conv4(WAYS, case.channels), cross_entropy, F.cross_entropy, 0.1
        body = []
        for inputs in (1, *[case.channels] * 3):
            body.append(nn.Conv2d(inputs, case.channels, 3, padding=1, bias=False))
            body.append(nn.BatchNorm2d(case.channels, track_running_stats=False))
        network = Network(body, nn.Linear(case.channels, WAYS))
        tasks = Task(noise(case.tasks, 1, generator), noise(case.tasks, QUERIES, generator))
    phi = model.init(generator).to(dtype)
    tasks = Task(*[Data(x.to(dtype), y.to(dtype) if y.is_floating_point() else y) for x, y in tasks])
    network.to(dtype)
    with torch.no_grad():
        for parameter, weight in zip(network.parameters(), model.unpack(phi).values(), strict=True):
            parameter.copy_(weight.T if weight.ndim == 2 else weight)
    return Problem(model, loss, network, risk, alpha, phi, tasks)


def noise(tasks: int, shots: int, generator: torch.Generator) -> Data:
    """Images of noise with classes one after another: how long a convolution takes does not depend on what it sees."""
    x = torch.rand(tasks, WAYS * shots, 1, SIDE, SIDE, generator=generator, dtype=torch.float64)
    return Data(x, torch.arange(WAYS).repeat_interleave(shots).expand(tasks, -1).contiguous())


# The sides: each builds, from a case and its problem, a function that computes one meta-gradient.


def metautil(case: Case, problem: Problem) -> Callable[[], Tensor]:
    """Ours. Returns the flat gradient."""
    make, chunk = maml if case.second_order else fomaml, None if case.channels is None else CHUNK
    learner = make(problem.model, problem.loss, problem.alpha, case.steps, chunk)
    step = learner.meta_gradient
    if case.compiled:  # `torch.compile` alone stops at torch.autograd.grad; what `make_fx` recorded holds its result
        step = torch.compile(make_fx(step)(problem.phi, problem.tasks))
    return lambda: step(problem.phi, problem.tasks)[0]


def one_by_one(problem: Problem, add_gradient: Callable[[Data, Data], Tensor]) -> Callable[[], list[Tensor]]:
    """The peers' loop over tasks: each task's graph is gone before the next begins, as in learn2learn's own examples.

    ``add_gradient(support, query)`` adds the gradient of one task to the network's ``.grad``, and returns the query risk.
    """
    (x, y), (query_x, query_y) = problem.tasks
    tasks = [(Data(x[t], y[t]), Data(query_x[t], query_y[t])) for t in range(len(x))]
    parameters = list(problem.network.parameters())

    def meta_gradient() -> list[Tensor]:
        for parameter in parameters:
            parameter.grad = None
        torch.stack([add_gradient(support, query) for support, query in tasks])  # what a training loop would report
        return [parameter.grad.div_(len(tasks)) for parameter in parameters]

    return meta_gradient


def learn2learn(case: Case, problem: Problem) -> Callable[[], list[Tensor]]:
    """As in its ``examples/vision/maml_omniglot.py``."""
    network, risk = problem.network, problem.risk
    start = peer("learn2learn.algorithms.maml").MAML(network, problem.alpha, first_order=not case.second_order)

    def add_gradient(support: Data, query: Data) -> Tensor:
        learner = start.clone()
        for _ in range(case.steps):
            learner.adapt(risk(learner(support.x), support.y))
        judged = risk(learner(query.x), query.y)
        judged.backward()
        return judged.detach()

    return one_by_one(problem, add_gradient)


def higher(case: Case, problem: Problem) -> Callable[[], list[Tensor]]:
    """As in its ``examples/maml-omniglot.py``; to the first order without ``track_higher_grads``."""
    network, risk = problem.network, problem.risk
    inner = torch.optim.SGD(network.parameters(), problem.alpha)
    parameters = list(network.parameters())
    settings = {"copy_initial_weights": False, "track_higher_grads": case.second_order}
    innerloop = peer("higher").innerloop_ctx

    def add_gradient(support: Data, query: Data) -> Tensor:
        with innerloop(network, inner, **settings) as (fast, rule):
            for _ in range(case.steps):
                rule.step(risk(fast(support.x), support.y))
            judged = risk(fast(query.x), query.y)
            if case.second_order:
                judged.backward()
            else:  # its fast weights are cut off from the network's
                add(parameters, torch.autograd.grad(judged, fast.parameters()))
        return judged.detach()

    return one_by_one(problem, add_gradient)


def torchopt(case: Case, problem: Problem) -> Callable[[], list[Tensor]]:
    """As in its ``examples/few-shot/maml_omniglot.py``; its MetaSGD knows the second order alone, so the first takes its SGD."""
    network, risk, library = problem.network, problem.risk, peer("torchopt")
    if case.second_order:
        inner = library.MetaSGD(network, problem.alpha)
        start = [library.extract_state_dict(part, by="reference") for part in (network, inner)]

        def add_gradient(support: Data, query: Data) -> Tensor:
            for _ in range(case.steps):
                inner.step(risk(network(support.x), support.y))
            judged = risk(network(query.x), query.y)
            judged.backward()
            for part, state in zip((network, inner), start, strict=True):
                library.recover_state_dict(part, state)
            return judged.detach()

    else:
        fast = copy.deepcopy(network)
        parameters, moving = list(network.parameters()), list(fast.parameters())
        inner = library.SGD(moving, problem.alpha)

        def add_gradient(support: Data, query: Data) -> Tensor:
            with torch.no_grad():
                for mine, theirs in zip(moving, parameters, strict=True):
                    mine.copy_(theirs)
            for _ in range(case.steps):
                inner.zero_grad(set_to_none=True)
                risk(fast(support.x), support.y).backward()
                inner.step()
            judged = risk(fast(query.x), query.y)
            add(parameters, torch.autograd.grad(judged, moving))
            return judged.detach()

    return one_by_one(problem, add_gradient)


def add(parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
    """Add gradients to ``.grad``, as ``backward`` does."""
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient if parameter.grad is None else parameter.grad.add_(gradient)


PEERS = {"learn2learn": learn2learn, "higher": higher, "torchopt": torchopt}
SIDES = {"metautil": metautil} | PEERS
FORMATS = {"contiguous": torch.contiguous_format, "channels last": torch.channels_last}
FORCED = "learn2learn, strides forced"
CHUNK = 4  # tasks of images that ours takes at once
FEW = 6  # tasks on which gradients are compared and memory formats tried: more than one chunk


def sides(case: Case) -> list[str]:
    """Who is compared. The largest cases, which take longest, are left to learn2learn: peers go through tasks one by one."""
    return ["metautil", "learn2learn"] if case.tasks > 25 else list(SIDES)


def peer(name: str) -> ModuleType:
    """A peer's module, from the folder that METAUTIL_PEERS names.

    Raises
    ------
    NotThere
        If the folder lacks a peer.
    """
    folder = Path(os.environ.get("METAUTIL_PEERS", ""))
    checkout = folder / "learn2learn" / "learn2learn"
    needed = [checkout / "algorithms" / "maml.py"]
    needed += [folder / package / "__init__.py" for package in ("higher", "torchopt", "optree", "graphviz")]
    if not os.environ.get("METAUTIL_PEERS") or not all(path.exists() for path in needed):
        raise NotThere(
            "the peers are not there; let the environment variable METAUTIL_PEERS name a folder with learn2learn (git clone "
            "https://github.com/learnables/learn2learn) and what `pip install --no-deps --target FOLDER higher torchopt "
            "optree graphviz` puts there."
        )
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    if "learn2learn" not in sys.modules:
        # Importing learn2learn would need all that it can do with games and texts: its packages, without their __init__.
        for package, path in (("learn2learn", checkout), ("learn2learn.algorithms", checkout / "algorithms")):
            sys.modules[package] = ModuleType(package)
            sys.modules[package].__path__ = [str(path)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # higher was written for older Pythons
        return importlib.import_module(name)


def flat(gradient: Tensor | Sequence[Tensor]) -> Tensor:
    """A side's gradient as one vector, in our order: a linear layer's weights are the transpose of ours."""
    if isinstance(gradient, Tensor):
        return gradient
    return torch.cat([(piece.T if piece.ndim == 2 else piece).reshape(-1) for piece in gradient])


def check(gradients: dict[str, Tensor]) -> None:
    """Raise AssertionError unless every side's gradient (m,) equals the first one's to `TOLERANCE`, relative to its norm."""
    (first, expected), *others = gradients.items()
    for name, gradient in others:
        error = ((gradient - expected).norm() / expected.norm()).item()
        if not error <= TOLERANCE:
            raise AssertionError(
                f"The meta-gradients of {name} and {first} differ by {error:.1e} of their norm, more than {TOLERANCE:.0e}; "
                f"sides that compute different things are not timed."
            )


def in_format(given: Problem, form: torch.memory_format) -> Problem:
    """The problem with the peers' images and weights in one memory format, as the documentation of PyTorch has it."""
    if form is torch.contiguous_format:
        return given
    tasks = [Data(x.flatten(0, 1).contiguous(memory_format=form).unflatten(0, x.shape[:2]), y) for x, y in given.tasks]
    return given._replace(network=given.network.to(memory_format=form), tasks=Task(*tasks))


def strides_forced(given: Problem) -> Problem:
    """The problem with channels last in every layer of the peers.

    With one channel the two formats differ in a stride alone, and `in_format` leaves it as it is. The first layer, the largest,
    then falls back to the other format after the first inner step, and its maximum takes ten times as long.
    """
    tasks = [Data(x.as_strided(x.shape, (*x.stride()[:2], 1, SIDE, 1)), y) for x, y in given.tasks]
    return given._replace(network=given.network.to(memory_format=torch.channels_last), tasks=Task(*tasks))


def built(side: str, case: Case, seed: int, form: str = "contiguous") -> Callable[[], object]:
    """One side, ready to be timed: in 32 bits."""
    given = problem(case, seed, torch.float32)
    if side == FORCED:
        return learn2learn(case, strides_forced(given))
    return SIDES[side](case, in_format(given, FORMATS[form]))


def in_turn(
    functions: dict[str, Callable[[], object]], rounds: tuple[int, int], limit: float
) -> dict[str, list[float]]:
    """Milliseconds of calls, one of each function in each round: at least and at most so many, and as ``limit`` (s) allows."""
    times: dict[str, list[float]] = {name: [] for name in functions}
    least, most = rounds
    begun = time.perf_counter()
    while len(times[next(iter(times))]) < most:
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(1000 * (time.perf_counter() - start))
        least -= 1
        if least <= 0 and time.perf_counter() - begun > limit:
            break
    return times


def compare(name: str, seed: int) -> dict[str, tuple[float, str]]:
    """Milliseconds of one meta-gradient of each side, the median over rounds, and the memory format that suits it."""
    case = GRID[name]
    torch.set_num_threads(1)
    few = case._replace(tasks=min(case.tasks, FEW))
    check({side: flat(SIDES[side](few, problem(few, seed, torch.float64))()) for side in sides(case)})
    forms = {side: better_format(side, case, seed) for side in sides(case)}
    if case.channels is not None:
        forms[FORCED] = "channels last"
    steps = {side: built(side, case, seed, form) for side, form in forms.items()}
    in_turn(steps, WARM_UP, 0)
    times = in_turn(steps, ROUNDS, SECONDS)
    return {side: (statistics.median(times[side]), forms[side]) for side in steps}


def better_format(side: str, case: Case, seed: int) -> str:
    """The memory format in which a peer is quicker, tried on a few of the tasks. Ours chooses its formats itself."""
    if side not in PEERS or case.channels is None:
        return "contiguous"
    few = case._replace(tasks=min(case.tasks, FEW))
    times = in_turn({form: built(side, few, seed, form) for form in FORMATS}, (4, 4), 0)
    return min(times, key=lambda form: min(times[form][1:]))


def held() -> float:
    """Memory that this process holds now, MB."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmRSS"].split()[0]) / 1024


def memory(side: str, name: str, seed: int, form: str) -> tuple[float, float]:
    """Peak memory of a process that computes two meta-gradients, MB, and how much of it came after the first one began."""
    torch.set_num_threads(1)
    step = built(side, GRID[name], seed, form)
    before = held()
    step()
    step()
    return peak(), peak() - before


def measure(case: str, seed: int) -> dict[str, tuple[float, str]]:
    """One seed of one case. Raises `metautil.datasets.NotThere` where the peers are not there."""
    peer("higher")
    compared = alone(compare, case, seed)
    times = {side: taken for side, (taken, _) in compared.items()}
    values = {side: (taken, "ms") for side, taken in times.items()}
    values |= {
        f"ratio to {side}": (taken / times["metautil"], "ratio") for side, taken in times.items() if side != "metautil"
    }
    if GRID[case].compiled:
        return values  # the most memory is the compiler's
    pair = ("metautil", "learn2learn")
    with ThreadPoolExecutor(2) as pool:  # at one time: memory, unlike time, does not depend on the company
        found = pool.map(lambda side: alone(memory, side, case, seed, compared[side][1]), pair)
        peaks = dict(zip(pair, found, strict=True))
    for position, kind in enumerate(("peak memory", "memory of the steps")):
        values |= {f"{kind}, {side}": (peaks[side][position], "MB") for side in peaks}
        values[f"{kind}, ratio to learn2learn"] = (
            peaks["metautil"][position] / peaks["learn2learn"][position],
            "ratio",
        )
    return values
