"""Meta-learners: their meta-gradients against differences and against each learner's own formula, one task at a time."""

from __future__ import annotations

import math
from itertools import accumulate

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from metautil import learners, models
from metautil.datasets import digits, quadratics, sinusoids
from metautil.gradients import central_differences
from metautil.learners import Learner, adapted_risks, conjugate_gradients, meta_fit, meta_step
from metautil.models import AT_ONCE, Model, conv4, embedding, mlp, small_cnn
from metautil.risks import Loss, cross_entropy, half_squared_error
from metautil.tasks import Data, Task, TaskFamily, few_shot_tasks
from metautil.updates import adam, sgd


@pytest.fixture
def generator():
    torch.set_default_dtype(torch.float64)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield torch.Generator().manual_seed(0)
    torch.set_num_threads(threads)
    torch.set_default_dtype(torch.float32)


def images(generator: torch.Generator, shape: tuple[int, ...], shots: int = 2, queries: int = 3) -> TaskFamily:
    """Three ways, each class a pattern of its own under noise."""
    y = torch.arange(5).repeat_interleave(shots + queries)
    patterns = torch.randn(5, *shape, generator=generator)
    return few_shot_tasks(Data(patterns[y] + torch.randn(len(y), *shape, generator=generator), y), 3, shots, queries)


def start(learner: Learner, generator: torch.Generator) -> Tensor:
    """Near where the learner starts, but no entry is exactly 0 or 1, nor are two step sizes the same."""
    phi = learner.init(generator)
    return phi + 0.02 * torch.rand(len(phi), generator=generator)


def pulled(model: Model, loss: Loss, lam: float) -> Learner:
    """iMAML whose steps reach the minimum: λ is above the curvature, so that each takes off most of the way."""
    return learners.imaml(model, loss, 0.9 / lam, 25, lam, iterations=10)


# K = 1..5 inner steps for those that descend; iMAML descends to the minimum, which its gradient is about.
DESCENDING = {
    "fine-tuning": learners.fine_tuning,
    "MAML": learners.maml,
    "FOMAML": learners.fomaml,
    "ANIL": learners.anil,
    "Reptile": learners.reptile,
    "Meta-SGD": learners.meta_sgd,
    "Proto-MAML": learners.proto_maml,
}
OTHERS = {
    "joint": learners.joint,
    "iMAML": lambda model, loss: pulled(model, loss, 8.0 if len(model.inputs) == 1 else 100.0),
    "prototypes": lambda model, loss: learners.prototypes(embedding(model)),
    "nearest centroid": lambda model, loss: learners.nearest_centroid(embedding(model)),
    "linear probe": lambda model, loss: learners.linear_probe(embedding(model), loss, 0.3),
    "set learner": lambda model, loss: learners.set_learner(model, loss, width=4),
}
EVERY = {name: lambda model, loss, make=make: make(model, loss, 0.1, 2) for name, make in DESCENDING.items()} | OTHERS
EVERY["iMAML"] = lambda model, loss: learners.imaml(model, loss, 0.1, 2, lam=4.0)  # two steps of the long way
CLASSES_ONLY = ("prototypes", "nearest centroid", "Proto-MAML")
SECOND_ORDER = ("MAML", "ANIL", "Meta-SGD", "Proto-MAML")
"""Those whose meta-gradient is that of the mean query risk, through K steps."""


def after_adapting(learner: Learner, tasks: Task, loss: Loss):
    """φ → mean query risk after adapting."""
    return lambda phi: adapted_risks(learner, phi, tasks, loss).mean()


def pooled(model: Model, tasks: Task, loss: Loss):
    """θ → mean risk over all examples of all tasks."""
    x, y = (torch.cat([part.flatten(0, 1) for part in parts]) for parts in zip(*tasks, strict=True))
    return lambda theta: loss(model(theta, x), y).mean()


def relative(value: Tensor, truth: Tensor) -> float:
    return ((value - truth).norm() / truth.norm()).item()


def directions(model: Model, phi: Tensor, generator: torch.Generator) -> Tensor:
    """One random direction for each weight of φ, for its step sizes if φ holds them, and for the rest, (directions, m)."""
    sizes = [math.prod(shape) for shape in model.shapes.values()]
    ends = [end for end in accumulate(2 * sizes) if end < len(phi)] + [len(phi)]
    block = torch.bucketize(torch.arange(len(phi)), torch.tensor(ends), right=True)
    own = block == torch.arange(len(ends)).unsqueeze(1)
    return own * torch.randn(len(ends), len(phi), generator=generator)


def error_of_slopes(gradient: Tensor, objective, phi: Tensor, along: Tensor, width: float) -> float:
    """Largest error of the slopes that ``gradient`` implies, by differences ``width`` wide along each direction.

    Relative to √(Σ_j u_j² g_j²), the size of a slope u·g whose terms do not happen to cancel.
    """
    slopes = central_differences(lambda steps: objective(phi + steps @ along), torch.zeros(len(along)), width)
    return ((along @ gradient - slopes) / (along * gradient).norm(dim=1)).abs().max().item()


def settings_of(kind: str, generator: torch.Generator) -> tuple[Model, Loss, TaskFamily]:
    if kind == "regression":
        return mlp((1, 6, 1)), half_squared_error, sinusoids(shots=4, queries=5, x=(-1, 1))
    if kind == "conv4":
        return conv4(3, channels=3, inputs=(1, 16, 16)), cross_entropy, images(generator, (1, 16, 16))
    return mlp((2, 5, 3)), cross_entropy, images(generator, (2,))


def build(name: str, steps: int | None, model: Model, loss: Loss) -> Learner:
    return OTHERS[name](model, loss) if steps is None else DESCENDING[name](model, loss, 0.1, steps)


CASES = [
    (name, steps, kind)
    for name, counts in {
        **dict.fromkeys(SECOND_ORDER, (1, 2, 5)),
        **dict.fromkeys(OTHERS, (None,)),
        "fine-tuning": (3,),
    }.items()
    for steps in counts
    for kind in ("classes", "regression", "conv4")
    if not (kind == "regression" and name in CLASSES_ONLY)
]


@pytest.mark.parametrize(("name", "steps", "kind"), CASES)
def test_meta_gradient_equals_central_differences(name, steps, kind, generator):
    """The narrower difference on conv4 crosses no kink of its ReLUs and maxima."""
    width = 1e-6 if kind == "conv4" else 1e-5
    model, loss, family = settings_of(kind, generator)
    tasks = family(2, generator)
    learner = build(name, steps, model, loss)
    phi = start(learner, generator)
    gradient, _ = learner.meta_gradient(phi, tasks)
    plain = name in ("joint", "fine-tuning")
    objective = pooled(model, tasks, loss) if plain else after_adapting(learner, tasks, loss)
    assert error_of_slopes(gradient, objective, phi, directions(model, phi, generator), width) < 1e-6


# Each learner against its own formula, one task at a time


def single(tasks: Task, t: int) -> Task:
    """Task t of a batch, without leading axis."""
    return Task(*(Data(*(part[t] for part in data)) for data in tasks))


def examples(task: Task) -> Data:
    """S and Q of one task as one data set."""
    return Data(*(torch.cat(parts) for parts in zip(*task, strict=True)))


def slope(model: Model, loss: Loss, theta: Tensor, data: Data) -> Tensor:
    """∇L_D(θ)."""
    return torch.func.grad(lambda theta: loss(model(theta, data.x), data.y).mean())(theta)


def walk(model: Model, loss: Loss, theta: Tensor, data: Data, alpha: float | Tensor, steps: int) -> Tensor:
    """θ_K by gradient descent on one task."""
    for _ in range(steps):
        theta = theta - alpha * slope(model, loss, theta, data)
    return theta


@pytest.mark.parametrize("name", ["fine-tuning", "MAML", "FOMAML", "Reptile", "ANIL", "Meta-SGD", "Proto-MAML"])
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_adapting_walks_down_the_support_risk(name, steps, generator):
    model, loss, family = settings_of("classes", generator)
    tasks = family(3, generator)
    learner = DESCENDING[name](model, loss, 0.2, steps)
    phi = start(learner, generator)
    found = learner.adapt(phi, tasks.support).args[0]
    body = model.size - 5 * 3 - 3
    for t in range(3):
        support, first, alpha = single(tasks, t).support, phi, 0.2
        if name == "ANIL":
            alpha = torch.cat([torch.zeros(body), torch.full((model.size - body,), 0.2)])
        elif name == "Meta-SGD":
            first, alpha = phi[: model.size], phi[model.size :]
        elif name == "Proto-MAML":
            features = embedding(model)(phi, support.x)
            centres = torch.stack([features[support.y == c].mean(0) for c in range(3)])
            first = torch.cat([phi, (2 * centres.T).reshape(-1), -(centres**2).sum(1)])
        assert torch.allclose(found[t], walk(model, loss, first, support, alpha, steps), atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_fomaml_is_the_query_gradient_where_adapting_ends(steps, generator):
    model, loss, family = settings_of("classes", generator)
    tasks = family(3, generator)
    learner = learners.fomaml(model, loss, 0.3, steps)
    phi = start(learner, generator)
    truncated = [
        slope(model, loss, walk(model, loss, phi, task.support, 0.3, steps), task.query)
        for task in (single(tasks, t) for t in range(3))
    ]
    assert relative(learner.meta_gradient(phi, tasks)[0], torch.stack(truncated).mean(0)) < 1e-12


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_reptile_points_to_where_the_walks_end(steps, generator):
    model, loss, family = settings_of("classes", generator)
    tasks = family(3, generator)
    learner = learners.reptile(model, loss, 0.3, steps)
    phi = start(learner, generator)
    ends = torch.stack([walk(model, loss, phi, examples(single(tasks, t)), 0.3, steps) for t in range(3)])
    gradient, _ = learner.meta_gradient(phi, tasks)
    assert relative(gradient, (phi - ends.mean(0)) / 0.3) < 1e-12
    joint, _ = learners.joint(model, loss).meta_gradient(phi, tasks)
    assert (relative(gradient, joint) < 1e-12) == (steps == 1)


def order(error, alphas: Tensor) -> float:
    """The power of α with which an error falls, fitted to a double logarithmic plot."""
    errors = torch.stack([error(alpha.item()).norm() for alpha in alphas])
    design = torch.stack([alphas.log(), torch.ones_like(alphas)], 1)
    return torch.linalg.lstsq(design, errors.log().unsqueeze(1)).solution[0].item()


def products(model: Model, loss: Loss, phi: Tensor, data: Data, v: Tensor) -> Tensor:
    """Hv with H = ∇²L_D(φ)."""
    return torch.func.grad(lambda theta: slope(model, loss, theta, data) @ v)(phi)


def test_expansions_in_alpha_err_by_the_next_power(generator):
    """Nichol et al. (2018), section 5.1, with K = 3 steps and g, H at φ.

    On one data set Reptile is Kg − α K(K−1)/2 Hg + O(α²). Of g_Q at θ_K, FOMAML keeps g_Q − αK H_Q g_S + O(α²), from which
    MAML differs by −αK H_S g_Q + O(α²).
    """
    model, loss, family = settings_of("classes", generator)
    tasks = family(1, generator)
    support, query = single(tasks, 0)
    both = examples(single(tasks, 0))
    phi = start(learners.joint(model, loss), generator)
    g, g_S, g_Q = (slope(model, loss, phi, data) for data in (both, support, query))
    Hg, H_Q_g_S, H_S_g_Q = (
        products(model, loss, phi, data, v) for data, v in ((both, g), (query, g_S), (support, g_Q))
    )

    def gradient(make, alpha):
        return make(model, loss, alpha, 3).meta_gradient(phi, tasks)[0]

    def difference(alpha):
        return gradient(learners.maml, alpha) - gradient(learners.fomaml, alpha)

    errors = [
        (1, lambda alpha: gradient(learners.reptile, alpha) - 3 * g),
        (2, lambda alpha: gradient(learners.reptile, alpha) - 3 * g + 3 * alpha * Hg),
        (1, lambda alpha: gradient(learners.fomaml, alpha) - g_Q),
        (2, lambda alpha: gradient(learners.fomaml, alpha) - g_Q + 3 * alpha * H_Q_g_S),
        (1, difference),
        (2, lambda alpha: difference(alpha) + 3 * alpha * H_S_g_Q),
    ]
    alphas = torch.logspace(-4, -3, 5)
    assert [order(error, alphas) for _, error in errors] == pytest.approx([power for power, _ in errors], abs=0.02)


def test_imaml_solves_its_inner_problem_and_differentiates_the_solution(generator):
    """∇L_S(θ*) + λ(θ* − φ) = 0, and the meta-gradient is (I + H/λ)⁻¹∇L_Q(θ*) with the whole Hessian written out."""
    model, loss, family = settings_of("classes", generator)
    tasks, lam = family(3, generator), 2.0
    learner = learners.imaml(model, loss, 0.2, 200, lam, iterations=40)
    phi = start(learner, generator)
    thetas = learner.adapt(phi, tasks.support).args[0]
    implicit = []
    for t, theta in enumerate(thetas):
        support, query = single(tasks, t)
        assert (slope(model, loss, theta, support) + lam * (theta - phi)).norm() < 1e-12
        H = torch.func.hessian(lambda theta, s=support: loss(model(theta, s.x), s.y).mean())(theta)
        implicit.append(torch.linalg.solve(torch.eye(len(theta)) + H / lam, slope(model, loss, theta, query)))
    assert relative(learner.meta_gradient(phi, tasks)[0], torch.stack(implicit).mean(0)) < 1e-10


def test_readers_of_the_support_set_score_by_their_formulas(generator):
    model, loss, family = settings_of("classes", generator)
    tasks, body = family(3, generator), embedding(model)
    phi = start(learners.prototypes(body), generator)
    scores = {
        name: EVERY[name](model, loss).adapt(phi, tasks.support)(tasks.query.x)
        for name in ("prototypes", "nearest centroid", "linear probe")
    }
    for t in range(3):
        support, query = single(tasks, t)
        S, Q = body(phi, support.x), body(phi, query.x)
        for name, s, q in (
            ("prototypes", S, Q),
            ("nearest centroid", *(f / f.norm(dim=1, keepdim=True) for f in (S, Q))),
        ):
            centres = torch.stack([s[support.y == c].mean(0) for c in range(3)])
            assert torch.allclose(scores[name][t], -(torch.cdist(q, centres) ** 2), atol=1e-12)
        S, Q = (torch.cat([f, torch.ones(len(f), 1)], 1) for f in (S, Q))
        Y = torch.eye(3)[support.y]
        head = torch.linalg.solve(S.T @ S + 0.3 * torch.eye(6), S.T @ Y)
        assert torch.allclose(scores["linear probe"][t], Q @ head, atol=1e-12)


def test_proto_maml_without_steps_is_prototypes(generator):
    model, loss, family = settings_of("conv4", generator)
    tasks, body = family(2, generator), embedding(model)
    phi = start(learners.prototypes(body), generator)
    proto, maml = (
        learner.adapt(phi, tasks.support)(tasks.query.x).softmax(-1)
        for learner in (learners.prototypes(body), learners.proto_maml(model, loss, 0.1, 0))
    )
    assert torch.allclose(proto, maml, atol=1e-12)


def test_a_set_learner_answers_by_its_formula_in_any_order_of_the_examples(generator):
    model, loss, family = settings_of("classes", generator)
    tasks, body, width = family(2, generator), embedding(model), 4
    learner = learners.set_learner(model, loss, width)
    phi = start(learner, generator)
    parts = (body, mlp((5, width)), mlp((width + 3, width, width), torch.relu), mlp((3 * width, width, 3), torch.relu))
    own, looking, reading, answering = phi.split([part.size for part in parts])
    for t in range(2):
        support, query = single(tasks, t)
        middle = sum(body(own, x[None]) for x in support.x) / len(support.x)
        seen = [parts[1](looking, body(own, x[None]) - middle) for x in support.x]
        read = [
            parts[2](reading, torch.cat([z, F.one_hot(y, 3)[None]], 1)) for z, y in zip(seen, support.y, strict=True)
        ]
        expected = []
        for x in query.x:
            z = parts[1](looking, body(own, x[None]) - middle)
            alike = torch.stack([(z * each).sum() / math.sqrt(width) for each in seen]).softmax(0)
            attended = sum(weight * each for weight, each in zip(alike, read, strict=True))
            expected.append(parts[3](answering, torch.cat([z, attended, sum(read) / len(read)], 1)))
        found = learner.adapt(phi, support)(query.x)
        assert torch.allclose(found, torch.cat(expected), atol=1e-12)
        order = torch.randperm(len(support.y), generator=generator)
        again = learner.adapt(phi, Data(support.x[order], support.y[order]))(query.x)
        assert torch.allclose(found, again, atol=1e-12)


def test_a_set_learner_learns_waves_and_uses_the_support_set(generator):
    """After 300 steps far better than predicting 0, which leaves a risk of 2.1; with another task's points it is not."""
    learner, family = learners.set_learner(mlp((1, 20, 1)), half_squared_error, 32), sinusoids()
    phi, _ = meta_fit(learner, adam(0.005), family, learner.init(generator), 300, 20, generator)
    tasks = family(200, torch.Generator().manual_seed(1))
    others = Task(Data(*(part.roll(1, 0) for part in tasks.support)), tasks.query)
    own, wrong = (adapted_risks(learner, phi, each, half_squared_error).mean() for each in (tasks, others))
    assert own < 1.2 and wrong > 2.1


# Norms: PyTorch's fused ones, differentiated twice from outside vmap, are wrong; conv4's are not


def unchecked(y: Tensor, y_star: Tensor) -> Tensor:
    """`cross_entropy`, whose check of the labels cannot run under vmap."""
    return F.cross_entropy(y, y_star, reduction="none")


def naive(model, loss: Loss, tasks: Task, alpha: float, steps: int):
    """The composition that one writes first: inner steps by torch.func.grad, vmap over tasks; φ → mean query risk."""

    def adapted(phi, support_x, support_y, query_x, query_y):
        theta = walk(model, loss, phi, Data(support_x, support_y), alpha, steps)
        return loss(model(theta, query_x), query_y).mean()

    over_tasks = torch.func.vmap(adapted, (None, 0, 0, 0, 0))
    return lambda phi: over_tasks(phi, *tasks.support, *tasks.query).mean()


def one_by_one(model, loss: Loss, tasks: Task, alpha: float, steps: int):
    """The same risk without vmap."""

    def risk(phi):
        parts = [single(tasks, t) for t in range(len(tasks.query.y))]
        ends = [walk(model, loss, phi, part.support, alpha, steps) for part in parts]
        risks = [loss(model(theta, part.query.x), part.query.y).mean() for theta, part in zip(ends, parts, strict=True)]
        return torch.stack(risks).mean()

    return risk


def batch_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, gain, bias, training=True)


def layer_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    gain, bias = (v[:, None, None].expand(x.shape[1:]) for v in (gain, bias))
    return F.layer_norm(x, x.shape[1:], gain, bias)


def instance_norm(x: Tensor, gain: Tensor, bias: Tensor) -> Tensor:
    return F.instance_norm(x, weight=gain, bias=bias)


def network(model: Model, norm, activation=torch.relu):
    """The network of a conv4 model, from PyTorch's own pieces and with any norm."""

    def forward(theta: Tensor, x: Tensor) -> Tensor:
        weights = model.unpack(theta)
        for block in range(1, 5):
            kernel, gain, bias = (weights[f"{block}.{name}"] for name in ("weight", "gain", "bias"))
            x = F.max_pool2d(activation(norm(F.conv2d(x, kernel, padding=1), gain, bias)), 2)
        return x.flatten(1) @ weights["head.weight"] + weights["head.bias"]

    return forward


def reverse_mode(objective, phi: Tensor) -> Tensor:
    phi = phi.clone().requires_grad_()
    return torch.autograd.grad(objective(phi), phi)[0]


def functional(objective, phi: Tensor) -> Tensor:
    return torch.func.grad(objective)(phi)


@pytest.mark.parametrize("differentiate", [reverse_mode, functional])
@pytest.mark.parametrize("norm", [batch_norm, instance_norm, layer_norm])
def test_fused_norms_are_silently_wrong_in_the_naive_composition(norm, differentiate, generator):
    """If this fails on a new PyTorch, the error is repaired: conv4 could then use the fused norm."""
    (model, _, family), loss = settings_of("conv4", generator), unchecked
    fused, tasks = network(model, norm, torch.tanh), family(2, generator)
    phi = start(learners.joint(model, loss), generator)
    along = directions(model, phi, generator)
    right, wrong = one_by_one(fused, loss, tasks, 0.5, 1), naive(fused, loss, tasks, 0.5, 1)
    assert torch.allclose(wrong(phi), right(phi), rtol=1e-12)  # the value shows nothing
    assert error_of_slopes(differentiate(right, phi), right, phi, along, 1e-6) < 1e-6
    assert error_of_slopes(differentiate(wrong, phi), right, phi, along, 1e-6) > 1e-3


@pytest.mark.parametrize("at_once", [AT_ONCE, 1])
@pytest.mark.parametrize("steps", [1, 2])
def test_conv4_is_right_where_the_same_network_with_the_fused_norm_is_wrong(steps, at_once, generator, monkeypatch):
    monkeypatch.setattr(models, "AT_ONCE", at_once)  # both ways through conv4: few images, and many
    (model, _, family), loss = settings_of("conv4", generator), unchecked
    fused, tasks = network(model, batch_norm), family(2, generator)
    phi = start(learners.joint(model, loss), generator)
    truth = one_by_one(fused, loss, tasks, 0.5, steps)
    exact = reverse_mode(truth, phi)
    assert error_of_slopes(exact, truth, phi, directions(model, phi, generator), 1e-6) < 1e-6
    assert relative(torch.func.grad(naive(fused, loss, tasks, 0.5, steps))(phi), exact) > 1e-3
    assert relative(torch.func.grad(naive(model, loss, tasks, 0.5, steps))(phi), exact) < 1e-9
    assert relative(learners.maml(model, cross_entropy, 0.5, steps).meta_gradient(phi, tasks)[0], exact) < 1e-9


# A batch of tasks is its tasks one by one

MODELS = {
    "mlp": (mlp((2, 5, 3)), (2,), 2),
    "small_cnn": (small_cnn(3, (2, 3)), (1, 8, 8), 2),
    "conv4": (conv4(3, channels=2, inputs=(1, 16, 16)), (1, 16, 16), 2),
    "conv4, task by task": (conv4(3, channels=2, inputs=(1, 16, 16)), (1, 16, 16), 11),
}
"""Model, shape of an input, examples of each class in S and in Q: 33 images are more than conv4 stacks."""


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("kind", MODELS)
def test_a_batch_is_its_tasks_one_by_one(name, kind, generator):
    model, shape, shots = MODELS[kind]
    assert (3 * shots > AT_ONCE) == (kind == "conv4, task by task")
    tasks = images(generator, shape, shots, shots)(3, generator)
    learner = EVERY[name](model, cross_entropy)
    phi = start(learner, generator)
    gradient, risks = learner.meta_gradient(phi, tasks)
    scores = learner.adapt(phi, tasks.support)(tasks.query.x)
    alone = [Task(*(Data(*(part[t : t + 1] for part in data)) for data in tasks)) for t in range(3)]
    gradients, own = zip(*(learner.meta_gradient(phi, task) for task in alone), strict=True)
    for t in range(3):
        support, query = single(tasks, t)
        assert torch.allclose(scores[t], learner.adapt(phi, support)(query.x), atol=1e-10)
    if name in ("joint", "fine-tuning") and kind.startswith("conv4"):
        return  # pools the examples of all tasks, and batch norm sees them together
    assert relative(gradient, torch.stack(gradients).mean(0)) < 1e-9
    assert torch.allclose(risks, torch.cat(own), atol=1e-10)


CHUNKED = {
    "MAML": lambda chunk, model: learners.maml(model, cross_entropy, 0.1, 2, chunk),
    "FOMAML": lambda chunk, model: learners.fomaml(model, cross_entropy, 0.1, 2, chunk),
    "ANIL": lambda chunk, model: learners.anil(model, cross_entropy, 0.1, 2, chunk),
    "Meta-SGD": lambda chunk, model: learners.meta_sgd(model, cross_entropy, 0.1, 2, chunk),
    "Proto-MAML": lambda chunk, model: learners.proto_maml(model, cross_entropy, 0.1, 2, chunk),
    "prototypes": lambda chunk, model: learners.prototypes(embedding(model), chunk),
    "nearest centroid": lambda chunk, model: learners.nearest_centroid(embedding(model), chunk),
    "linear probe": lambda chunk, model: learners.linear_probe(embedding(model), cross_entropy, 0.3, chunk),
    "set learner": lambda chunk, model: learners.set_learner(model, cross_entropy, 4, chunk),
}


@pytest.mark.parametrize("name", CHUNKED)
def test_chunks_change_the_memory_alone(name, generator):
    """7 tasks in chunks of 3, 3 and 1; of 1; and in one that is larger than the batch."""
    model, _, family = settings_of("conv4", generator)
    tasks = family(7, generator)
    phi = start(CHUNKED[name](None, model), generator)
    gradient, risks = CHUNKED[name](None, model).meta_gradient(phi, tasks)
    for chunk in (3, 1, 100):
        parts, own = CHUNKED[name](chunk, model).meta_gradient(phi, tasks)
        assert relative(parts, gradient) < 1e-10
        assert torch.allclose(own, risks, atol=1e-12)


# conv4 against PyTorch's own pieces


@pytest.mark.parametrize("gain", [-0.7, 0.0])
def test_conv4_is_the_network_of_few_shot_papers(gain, generator):
    """Values and gradients, with gains of both signs, and of 0, where the maximum has a kink: ours is the slope above it."""
    model = conv4(3, channels=4, inputs=(2, 21, 16))
    theta = model.init(generator) + 0.1 * torch.randn(model.size, generator=generator)
    for block in range(1, 5):
        model.unpack(theta)[f"{block}.bias"][0] = 0.3
    above = theta.clone()
    for block in range(1, 5):
        model.unpack(theta)[f"{block}.gain"][0] = gain  # views: θ is changed
        model.unpack(above)[f"{block}.gain"][0] = gain or 1e-9
    data = Data(torch.randn(20, 2, 21, 16, generator=generator), torch.arange(20) % 3)
    peer = network(model, batch_norm)
    assert torch.allclose(model(theta, data.x), peer(theta, data.x), atol=1e-12)
    gradient = slope(model, cross_entropy, theta, data)
    assert torch.allclose(gradient, slope(peer, cross_entropy, above, data), atol=1e-6 if gain == 0 else 1e-12)
    assert all((model.unpack(gradient)[f"{block}.gain"] != 0).all() for block in range(1, 5))


@pytest.mark.parametrize("count", [4, AT_ONCE + 1], ids=["few", "many"])
def test_a_reference_gives_batch_norm_its_statistics(count, generator):
    """As PyTorch's own network normalises with means and variances measured on the reference alone, for each task."""
    given = torch.randn(2, count, 1, 16, 16, generator=generator)
    model = conv4(3, channels=(2, 3, 4, 5), inputs=(1, 16, 16), reference=given)
    thetas = torch.stack([model.init(generator) for _ in range(2)])
    x = torch.randn(2, 6, 1, 16, 16, generator=generator)
    for theta, own, images, scores in zip(thetas, given, x, model(thetas, x), strict=True):
        weights = model.unpack(theta)
        for block in range(1, 5):
            own, images = (F.conv2d(part, weights[f"{block}.weight"], padding=1) for part in (own, images))
            mean, variance = own.mean((0, 2, 3)), own.var((0, 2, 3), correction=0)
            shape = weights[f"{block}.gain"], weights[f"{block}.bias"], False, 0.0, models.EPSILON
            own, images = (F.max_pool2d(F.batch_norm(p, mean, variance, *shape).relu(), 2) for p in (own, images))
        expected = images.flatten(1) @ weights["head.weight"] + weights["head.bias"]
        assert torch.allclose(scores, expected, atol=1e-12)
    one = conv4(3, channels=(2, 3, 4, 5), inputs=(1, 16, 16), reference=given[0])
    assert torch.allclose(one(thetas[0], x[0, :1]), one(thetas[0], x[0])[:1], atol=1e-12)


def test_widths_of_the_blocks_are_four():
    with pytest.raises(ValueError, match=r"channels = \(8, 16\).*four"):
        conv4(channels=(8, 16))


def test_embedding_is_the_model_without_its_head(generator):
    model = conv4(3, channels=2, inputs=(1, 16, 16))
    theta, x = model.init(generator), torch.randn(5, 1, 16, 16, generator=generator)
    body = embedding(model)
    weights, phi = model.unpack(theta), theta[: body.size]
    features = body(phi, x)
    assert features.shape == (5, 2) and body.inputs == model.inputs
    assert torch.equal(features @ weights["head.weight"] + weights["head.bias"], model(theta, x))


def test_blank_images_and_dead_channels_break_nothing(generator):
    """Variances of 0, in every block, for some tasks and for all; gradients of both orders stay finite."""
    model, loss, family = settings_of("conv4", generator)
    tasks = family(3, generator)
    for data in tasks:
        data.x[0] = 0.0  # a task of blank images
        data.x[1] = 0.7
    learner = learners.maml(model, loss, 0.1, 2)
    phi = start(learner, generator)
    dead = phi.clone()
    model.unpack(dead)["1.weight"][0] = 0.0
    model.unpack(dead)["3.bias"][:] = -100.0  # all channels: what follows is blank
    for theta in (phi, dead, torch.zeros_like(phi)):
        gradient, risks = learner.meta_gradient(theta, tasks)
        assert gradient.isfinite().all() and risks.isfinite().all()
        for name in ("prototypes", "nearest centroid", "linear probe", "Proto-MAML"):
            reader = EVERY[name](model, loss)
            gradient, risks = reader.meta_gradient(theta[: embedding(model).size], tasks)
            assert gradient.isfinite().all() and risks.isfinite().all(), name


# Every learner on every family


def flat_digits() -> Data:
    x, y = digits()
    return Data(x.flatten(1), y)


def bowls(count: int, generator: torch.Generator) -> Task:
    roots = torch.randn(count, 2, 2, generator=generator)
    return quadratics(roots @ roots.mT + 0.5 * torch.eye(2), torch.randn(count, 2, generator=generator))


FAMILIES = {
    "sinusoids": (mlp((1, 8, 1)), half_squared_error, lambda generator: sinusoids(shots=5, queries=4)),
    "quadratics": (mlp((2, 4, 1)), half_squared_error, lambda generator: bowls),
    "digits": (mlp((64, 6, 3)), cross_entropy, lambda generator: few_shot_tasks(flat_digits(), 3, 2, 4)),
    "digits as images": (small_cnn(3, (2, 3)), cross_entropy, lambda generator: few_shot_tasks(digits(), 3, 2, 4)),
    "images of 28 by 28": (conv4(3, channels=2), cross_entropy, lambda generator: images(generator, (1, 28, 28))),
}


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_learner_on_every_family(name, family, generator):
    """One meta-step, then adapting; what is not defined says why."""
    model, loss, make = FAMILIES[family]
    tasks = make(generator)(3, generator)
    learner = EVERY[name](model, loss)
    phi = learner.init(generator)
    if loss is half_squared_error and name in CLASSES_ONLY:
        with pytest.raises(ValueError, match=rf"{name} cannot adapt.*real numbers.*defined for classes only"):
            learner.adapt(phi, tasks.support)
        return
    moved, _, report = meta_step(learner, sgd(0.01), phi, (), tasks)
    assert moved.isfinite().all() and not torch.equal(moved, phi)
    assert report.risks.shape == (3,) and report.risks.isfinite().all()
    predictions = learner.adapt(moved, tasks.support)(tasks.query.x)
    assert predictions.shape == (*tasks.query.y.shape[:2], 1 if loss is half_squared_error else 3)
    assert torch.equal(adapted_risks(learner, moved, tasks, loss), loss(predictions, tasks.query.y).mean(1))


# Meta-steps


@pytest.mark.parametrize("name", EVERY)
def test_equal_seeds_train_alike_and_change_no_input(name, generator):
    model, loss, family = settings_of("classes", generator)
    learner = EVERY[name](model, loss)
    phi = learner.init(generator)
    before = phi.clone()
    runs = [meta_fit(learner, adam(0.01), family, phi, 4, 2, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(phi, before)
    assert all(torch.equal(*pair) for pair in zip(runs[0], runs[1], strict=True))
    assert not torch.equal(runs[0][0], runs[2][0])
    assert runs[0][1].shape == (4,) and not runs[0][0].requires_grad and not runs[0][1].requires_grad


def test_meta_fit_is_meta_step_again_and_again(generator):
    model, loss, family = settings_of("classes", generator)
    learner, rule, seed = learners.maml(model, loss, 0.1, 2), adam(0.01), torch.Generator().manual_seed
    phi = first = learner.init(generator)
    draws, state, risks = seed(5), rule.init(phi), []
    for _ in range(3):
        tasks = family(2, draws)
        risks.append(adapted_risks(learner, phi, tasks, loss).mean())
        gradient, _ = learner.meta_gradient(phi, tasks)
        step, state = rule(gradient, state)
        phi = phi + step
    fitted, path = meta_fit(learner, rule, family, first, 3, 2, seed(5))
    assert torch.equal(fitted, phi) and torch.allclose(path, torch.stack(risks), atol=1e-12)
    fitted, path = meta_fit(learner, rule, family, first, 0, 2, seed(5))
    assert torch.equal(fitted, first) and path.shape == (0,)


def test_meta_training_learns_to_adapt(generator):
    """After 100 steps MAML adapts to new waves far better than at its start, and than its φ does without adapting."""
    model, family = mlp((1, 40, 40, 1)), sinusoids()
    learner, still = (learners.maml(model, half_squared_error, 0.05, steps) for steps in (3, 0))
    first, fresh = learner.init(generator), family(200, torch.Generator().manual_seed(1))
    phi, risks = meta_fit(learner, adam(0.02), family, first, 100, 10, generator)
    untrained, trained, unadapted = (
        adapted_risks(one, at, fresh, half_squared_error).mean()
        for one, at in ((learner, first), (learner, phi), (still, phi))
    )
    assert trained < 0.4 * min(untrained, unadapted)
    assert risks[-20:].mean() < 0.5 * risks[:20].mean()


@pytest.mark.parametrize("name", EVERY)
def test_adapting_is_differentiable_where_phi_asks_for_it(name, generator):
    """iMAML's minimum keeps no record of its way; nothing else forgets φ, and nothing is tracked that nobody asked for."""
    model, loss, family = settings_of("classes", generator)
    tasks = family(2, generator)
    learner = EVERY[name](model, loss)
    phi = start(learner, generator)
    assert not learner.adapt(phi, tasks.support)(tasks.query.x).requires_grad
    assert not phi.requires_grad
    phi.requires_grad_()
    scores = learner.adapt(phi, tasks.support)(tasks.query.x)
    assert scores.requires_grad == (name != "iMAML")
    with torch.no_grad():
        untracked = learner.adapt(phi, tasks.support)(tasks.query.x)
    assert not untracked.requires_grad and torch.allclose(untracked, scores, atol=1e-12)
    assert not adapted_risks(learner, phi, tasks, loss).requires_grad
    if scores.requires_grad and name not in ("joint", "fine-tuning", "Reptile"):  # whose meta-gradient is another
        (gradient,) = torch.autograd.grad(loss(scores, tasks.query.y).mean(), phi)
        assert relative(gradient, learner.meta_gradient(phi, tasks)[0]) < 1e-10
    assert phi.grad is None


@pytest.mark.parametrize("name", EVERY)
def test_single_precision_stays_single(name, generator):
    """Also under a default of 64 bits: ANIL's mask once had the default's type."""
    model, loss, family = settings_of("classes", generator)
    tasks = family(2, generator)
    learner = EVERY[name](model, loss)
    phi = start(learner, generator)
    exact, _ = learner.meta_gradient(phi, tasks)
    single_tasks = Task(*(Data(data.x.float(), data.y) for data in tasks))
    gradient, risks = learner.meta_gradient(phi.float(), single_tasks)
    assert gradient.dtype == risks.dtype == torch.float32
    assert relative(gradient.double(), exact) < 1e-4


# Conjugate gradients


def test_conjugate_gradients_solve_each_row_in_as_many_steps_as_it_has_eigenvalues(generator):
    roots = torch.randn(3, 5, 5, generator=generator)
    A = roots @ roots.mT + torch.eye(5)
    A[1] = 3 * torch.eye(5)  # solved after one step, while the others go on
    b = torch.randn(3, 5, generator=generator)
    b[2] = 0  # solved before the first

    def product(v):
        return (A @ v.unsqueeze(-1)).squeeze(-1)

    solution = torch.linalg.solve(A, b)
    assert torch.allclose(conjugate_gradients(product, b, 5), solution, atol=1e-9)
    once = conjugate_gradients(product, b, 1)
    assert torch.allclose(once[1:], solution[1:], atol=1e-15) and relative(once[0], solution[0]) > 1e-2
    assert torch.allclose(conjugate_gradients(product, b, 50), solution, atol=1e-12)  # nothing breaks after the end


# What goes wrong says what to do


def test_a_meta_gradient_that_is_not_finite_names_what_to_try(generator):
    model, family = mlp((1, 8, 1), torch.relu), sinusoids()
    learner = learners.maml(model, half_squared_error, 1e6, 40)
    phi = learner.init(generator)
    words = (
        r"MAML, α = 1000000.0, K = 40 is not finite.*smaller inner step size α, fewer inner steps K.*gradient descent"
    )
    with pytest.raises(FloatingPointError, match=words):
        meta_step(learner, sgd(0.1), phi, (), family(2, generator))


@pytest.mark.parametrize("name", DESCENDING)
@pytest.mark.parametrize(
    ("alpha", "steps", "words"),
    [
        (-0.1, 1, r"α = -0.1.*finite number"),
        (float("inf"), 1, r"α = inf.*finite number"),
        (float("nan"), 1, r"α = nan.*finite number"),
        (0.1, -1, r"steps = -1.*0 or more"),
    ],
)
def test_bad_inner_loops_are_named(name, alpha, steps, words):
    with pytest.raises(ValueError, match=words):
        DESCENDING[name](mlp((2, 3)), cross_entropy, alpha, steps)


@pytest.mark.parametrize("lam", [0.0, -1.0, float("inf"), float("nan")])
def test_bad_weights_are_named(lam):
    with pytest.raises(ValueError, match=f"λ = {lam}"):
        learners.imaml(mlp((2, 3)), cross_entropy, 0.1, 1, lam)
    with pytest.raises(ValueError, match=f"λ = {lam}"):
        learners.linear_probe(embedding(mlp((2, 4, 3))), cross_entropy, lam)


def test_other_bad_input_is_named(generator):
    model, loss, family = settings_of("classes", generator)
    tasks = family(2, generator)
    maml = learners.maml(model, loss, 0.1, 1)
    phi = maml.init(generator)
    unshaped = Model(model.shapes, model.features, model.head)
    with pytest.raises(ValueError, match=r"build it with inputs="):
        learners.maml(unshaped, loss, 0.1, 1).adapt(phi, tasks.support)
    with pytest.raises(ValueError, match=r"chunk = 0"):
        learners.maml(model, loss, 0.1, 1, chunk=0)
    with pytest.raises(ValueError, match=r"Reptile divides by its inner step size"):
        learners.reptile(model, loss, 0.0, 1)
    with pytest.raises(ValueError, match=r"\(33,\).*2p = 66"):
        learners.meta_sgd(model, loss, 0.1, 1).adapt(phi, tasks.support)
    with pytest.raises(ValueError, match=r"shape \(33,\), φ \(2, 33\).*one φ for all tasks"):
        meta_step(learners.imaml(model, loss, 0.1, 1, 1.0), sgd(0.1), phi.expand(2, -1), (), tasks)


@pytest.mark.parametrize(
    ("kind", "name"),
    [("classes", name) for name in EVERY] + [("regression", n) for n in EVERY if n not in CLASSES_ONLY],
)
def test_a_meta_step_on_one_task_without_leading_axis_is_refused(kind, name, generator):
    model, loss, family = settings_of(kind, generator)
    learner = EVERY[name](model, loss)
    with pytest.raises(ValueError, match=r"those of one task.*x \(T, N, \.\.\.\), also for T = 1"):
        meta_step(learner, sgd(0.1), learner.init(generator), (), single(family(2, generator), 0))


@pytest.mark.parametrize("name", CLASSES_ONLY)
def test_a_class_without_support_is_named(name, generator):
    """Its mean would be 0/0, and every score of the task NaN without a word."""
    model, loss, family = settings_of("classes", generator)
    tasks = family(3, generator)
    tasks.support.y[1][tasks.support.y[1] == 2] = 0
    learner = EVERY[name](model, loss)
    with pytest.raises(ValueError, match=rf"{name} needs an example of every class 0..2.*class 2 has none"):
        learner.adapt(learner.init(generator), tasks.support)


def test_proto_maml_wants_as_many_outputs_as_classes(generator):
    _, loss, family = settings_of("classes", generator)
    learner = learners.proto_maml(mlp((2, 5, 4)), loss, 0.1, 1)
    with pytest.raises(ValueError, match=r"3 classes; the model has 4 outputs"):
        learner.adapt(learner.init(generator), family(2, generator).support)


def test_a_set_learner_has_as_many_classes_as_in_training(generator):
    _, loss, family = settings_of("classes", generator)
    learner = learners.set_learner(mlp((2, 5, 2)), loss)
    with pytest.raises(ValueError, match=r"labels up to 2; this set learner answers with 2 classes"):
        learner.adapt(learner.init(generator), family(2, generator).support)
    with pytest.raises(ValueError, match=r"width = 0"):
        learners.set_learner(mlp((2, 5, 2)), loss, width=0)
