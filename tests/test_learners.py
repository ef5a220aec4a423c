"""Meta-learners: their meta-gradients against differences and against each learner's own formula, one task at a time.

What has to hold for all of them is asked of every entry of `LEARNERS`: a new learner is tested by being entered there.
"""

from __future__ import annotations

import inspect
import math

import pytest
import torch
import torch.nn.functional as F

from metautil import learners
from metautil.datasets import digits, quadratics, sinusoids
from metautil.fast import AT_ONCE, conv4
from metautil.learners import LEARNERS, Learner, adapted_risks, meta_fit, meta_step
from metautil.linear import conjugate_gradients
from metautil.models import Model, embedding, mlp, small_cnn
from metautil.risks import Loss, cross_entropy, half_squared_error
from metautil.tasks import Data, Task, few_shot_tasks
from metautil.updates import adam, sgd
from tests.small_tasks import (
    directions,
    error_of_slopes,
    examples,
    images,
    relative,
    settings_of,
    single,
    slope,
    start,
    walk,
)

PARAMETERS = {name: inspect.signature(make).parameters for name, make in LEARNERS.items()}
DESCENDING = [name for name, taken in PARAMETERS.items() if "alpha" in taken and "lam" not in taken]
CLASSES_ONLY = ("prototypes", "nearest centroid")
SECOND_ORDER = ("MAML", "ANIL", "Meta-SGD")
"""Those whose meta-gradient is that of the mean query risk, through K steps."""

every = pytest.mark.parametrize("name", LEARNERS)


def build(name: str, model: Model, loss: Loss, **settings) -> Learner:
    """An entry of the registry, with settings that do for any model; two inner steps, also of iMAML's long way."""
    usual = {
        "model": model,
        "embedding": embedding(model),
        "loss": loss,
        "alpha": 0.1,
        "steps": 2,
        "lam": 4.0,
        "width": 4,
    }
    return LEARNERS[name](**{key: value for key, value in (usual | settings).items() if key in PARAMETERS[name]})


def test_the_registry_holds_every_learner_by_its_name(generator):
    made = {
        f for f in vars(learners).values() if inspect.isfunction(f) and f.__annotations__.get("return") == "Learner"
    }
    assert set(LEARNERS.values()) == {f for f in made if not f.__name__.startswith("_")}
    for name in LEARNERS:
        assert build(name, mlp((2, 5, 3)), cross_entropy).text.startswith(name)


# Meta-gradients by differences. iMAML descends to the minimum, which its gradient is about: λ is above the curvature.

CASES = [
    (name, steps, kind)
    for name in LEARNERS
    if name not in ("FOMAML", "Reptile")  # whose meta-gradient is no gradient: see their formulas below
    for kind in ("classes", "regression", "conv4")
    for steps in ((1, 2, 5) if name in SECOND_ORDER else (3,) if name in DESCENDING else (None,))
    if not (kind == "regression" and name in CLASSES_ONLY)
]


@pytest.mark.parametrize(("name", "steps", "kind"), CASES)
def test_meta_gradient_equals_central_differences(name, steps, kind, generator):
    """The narrower difference on conv4 crosses no kink of its ReLUs and maxima."""
    model, loss, family = settings_of(kind, generator)
    tasks, settings = family(2, generator), {"steps": steps}
    if name == "iMAML":
        lam = 100.0 if kind == "conv4" else 8.0
        settings = {"alpha": 0.9 / lam, "steps": 25, "lam": lam, "iterations": 10}
    learner = build(name, model, loss, **settings)
    phi = start(learner, generator)
    gradient, _ = learner.meta_gradient(phi, tasks)
    x, y = (torch.cat([part.flatten(0, 1) for part in parts]) for parts in zip(*tasks, strict=True))

    def objective(phi):
        if name in ("joint training", "fine-tuning"):
            return loss(model(phi, x), y).mean()
        return adapted_risks(learner, phi, tasks, loss).mean()

    along, width = directions(model, phi, generator), 1e-6 if kind == "conv4" else 1e-5
    assert error_of_slopes(gradient, objective, phi, along, width) < 1e-6


# Each learner against its own formula, one task at a time


@pytest.mark.parametrize("name", DESCENDING)
@pytest.mark.parametrize("steps", [0, 1, 4])
def test_adapting_walks_down_the_support_risk(name, steps, generator):
    model, loss, family = settings_of("classes", generator)
    tasks = family(3, generator)
    learner = build(name, model, loss, alpha=0.2, steps=steps)
    phi = start(learner, generator)
    found = learner.adapt(phi, tasks.support).args[0]
    first, alpha, head = phi, 0.2, 5 * 3 + 3
    if name == "ANIL":
        alpha = torch.cat([torch.zeros(model.size - head), torch.full((head,), 0.2)])
    elif name == "Meta-SGD":
        first, alpha = phi.split(model.size)
    for t in range(3):
        assert torch.allclose(found[t], walk(model, loss, first, single(tasks, t).support, alpha, steps), atol=1e-12)


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_fomaml_and_reptile_ask_where_the_walks_end(steps, generator):
    """FOMAML for the query's gradient there; Reptile, walking on all examples, for the place; with one step it is joint."""
    model, loss, family = settings_of("classes", generator)
    tasks, phi = family(3, generator), start(model, generator)
    fomaml, reptile, joint = (
        build(name, model, loss, alpha=0.3, steps=steps).meta_gradient(phi, tasks)[0]
        for name in ("FOMAML", "Reptile", "joint training")
    )
    each = [single(tasks, t) for t in range(3)]
    truncated = [slope(model, loss, walk(model, loss, phi, task.support, 0.3, steps), task.query) for task in each]
    assert relative(fomaml, torch.stack(truncated).mean(0)) < 1e-12
    ends = torch.stack([walk(model, loss, phi, examples(task), 0.3, steps) for task in each])
    assert relative(reptile, (phi - ends.mean(0)) / 0.3) < 1e-12
    assert (relative(reptile, joint) < 1e-12) == (steps == 1)


def test_imaml_solves_its_inner_problem_and_differentiates_the_solution(generator):
    """∇L_S(θ*) + λ(θ* − φ) = 0, and the meta-gradient is (I + H/λ)⁻¹∇L_Q(θ*) with the whole Hessian written out."""
    model, loss, family = settings_of("classes", generator)
    tasks, lam = family(3, generator), 2.0
    learner = learners.imaml(model, loss, 0.2, 200, lam, iterations=40)
    phi = start(learner, generator)
    implicit = []
    for t, theta in enumerate(learner.adapt(phi, tasks.support).args[0]):
        support, query = single(tasks, t)
        assert (slope(model, loss, theta, support) + lam * (theta - phi)).norm() < 1e-12
        H = torch.func.hessian(lambda theta, s=support: loss(model(theta, s.x), s.y).mean())(theta)
        implicit.append(torch.linalg.solve(torch.eye(len(theta)) + H / lam, slope(model, loss, theta, query)))
    assert relative(learner.meta_gradient(phi, tasks)[0], torch.stack(implicit).mean(0)) < 1e-10


def test_readers_of_the_support_set_score_by_their_formulas(generator):
    model, loss, family = settings_of("classes", generator)
    tasks, body = family(3, generator), embedding(model)
    phi = start(body, generator)
    readers = ("prototypes", "nearest centroid", "linear probe")
    scores = {name: build(name, model, loss, lam=0.3).adapt(phi, tasks.support)(tasks.query.x) for name in readers}
    for t in range(3):
        support, query = single(tasks, t)
        features = [body(phi, data.x) for data in (support, query)]
        for name, (s, q) in zip(readers[:2], (features, [F.normalize(f, dim=1) for f in features]), strict=True):
            centres = torch.stack([s[support.y == c].mean(0) for c in range(3)])
            assert torch.allclose(scores[name][t], -(torch.cdist(q, centres) ** 2), atol=1e-12)
        S, Q = (torch.cat([f, torch.ones(len(f), 1)], 1) for f in features)
        head = torch.linalg.solve(S.T @ S + 0.3 * torch.eye(6), S.T @ torch.eye(3)[support.y])
        assert torch.allclose(scores["linear probe"][t], Q @ head, atol=1e-12)


def test_a_set_learner_answers_by_its_formula_in_any_order_of_the_examples(generator):
    model, loss, family = settings_of("classes", generator)
    tasks, body, width = family(2, generator), embedding(model), 4
    learner = learners.set_learner(model, loss, width)
    phi = start(learner, generator)
    parts = (body, mlp((5, width)), mlp((width + 3, width, width), torch.relu), mlp((3 * width, width, 3), torch.relu))
    f, k, r, o = (
        lambda x, part=part, own=own: part(own, x)
        for part, own in zip(parts, phi.split([part.size for part in parts]), strict=True)
    )
    for t in range(2):
        support, query = single(tasks, t)
        middle = sum(f(x[None]) for x in support.x) / len(support.x)
        seen = [k(f(x[None]) - middle) for x in support.x]
        read = [r(torch.cat([z, F.one_hot(y, 3)[None]], 1)) for z, y in zip(seen, support.y, strict=True)]
        expected = []
        for x in query.x:
            z = k(f(x[None]) - middle)
            alike = torch.stack([(z * each).sum() / math.sqrt(width) for each in seen]).softmax(0)
            attended = sum(weight * each for weight, each in zip(alike, read, strict=True))
            expected.append(o(torch.cat([z, attended, sum(read) / len(read)], 1)))
        order = torch.randperm(len(support.y), generator=generator)
        for given in (support, Data(support.x[order], support.y[order])):
            assert torch.allclose(learner.adapt(phi, given)(query.x), torch.cat(expected), atol=1e-12)


# Meta-training learns


def test_a_set_learner_learns_waves_and_uses_the_support_set(generator):
    """After 300 steps far better than predicting 0, which leaves a risk of 2.1; with another task's points it is not."""
    learner, family = learners.set_learner(mlp((1, 20, 1)), half_squared_error, 32), sinusoids()
    phi, _ = meta_fit(learner, adam(0.005), family, learner.init(generator), 300, 20, generator)
    tasks = family(200, torch.Generator().manual_seed(1))
    others = Task(Data(*(part.roll(1, 0) for part in tasks.support)), tasks.query)
    own, wrong = (adapted_risks(learner, phi, each, half_squared_error).mean() for each in (tasks, others))
    assert own < 1.2 and wrong > 2.1


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


# Every learner


MODELS = {
    "mlp": (mlp((2, 5, 3)), (2,), 2),
    "small_cnn": (small_cnn(3, (2, 3)), (1, 8, 8), 2),
    "conv4": (conv4(3, channels=2, inputs=(1, 16, 16)), (1, 16, 16), 2),
    "conv4, task by task": (conv4(3, channels=2, inputs=(1, 16, 16)), (1, 16, 16), 11),
}
"""Model, shape of an input, examples of each class in S and in Q: 33 images are more than conv4 stacks."""


@every
@pytest.mark.parametrize("kind", MODELS)
def test_a_batch_is_its_tasks_one_by_one(name, kind, generator):
    model, shape, shots = MODELS[kind]
    assert (3 * shots > AT_ONCE) == (kind == "conv4, task by task")
    tasks = images(generator, shape, shots, shots)(3, generator)
    learner = build(name, model, cross_entropy)
    phi = start(learner, generator)
    gradient, risks = learner.meta_gradient(phi, tasks)
    scores = learner.adapt(phi, tasks.support)(tasks.query.x)
    alone = [Task(*(Data(*(part[t : t + 1] for part in data)) for data in tasks)) for t in range(3)]
    gradients, own = zip(*(learner.meta_gradient(phi, task) for task in alone), strict=True)
    for t in range(3):
        support, query = single(tasks, t)
        assert torch.allclose(scores[t], learner.adapt(phi, support)(query.x), atol=1e-10)
    if name in ("joint training", "fine-tuning") and kind.startswith("conv4"):
        return  # pools the examples of all tasks, and batch norm sees them together
    assert relative(gradient, torch.stack(gradients).mean(0)) < 1e-9
    assert torch.allclose(risks, torch.cat(own), atol=1e-10)


@every
def test_blank_images_and_dead_channels_break_nothing(name, generator):
    """Variances of 0, in every block, for some tasks and for all; gradients of both orders stay finite."""
    model, loss, family = settings_of("conv4", generator)
    tasks, learner, body = family(3, generator), build(name, model, loss), embedding(model)
    for data in tasks:
        data.x[0] = 0.0  # a task of blank images
        data.x[1] = 0.7
    phi = start(learner, generator)
    dead = phi.clone()
    weights = body.unpack(dead[: body.size])  # views: dead is changed
    weights["1.weight"][0], weights["3.bias"][:] = 0.0, -100.0  # all channels: what follows is blank
    for theta in (phi, dead, torch.zeros_like(phi)):
        gradient, risks = learner.meta_gradient(theta, tasks)
        assert gradient.isfinite().all() and risks.isfinite().all()


@pytest.mark.parametrize("name", ["MAML", "FOMAML"])
def test_chunks_change_the_memory_alone(name, generator):
    """7 tasks in chunks of 3, 3 and 1; of 1; and in one that is larger than the batch."""
    model, loss, family = settings_of("conv4", generator)
    tasks = family(7, generator)
    phi = start(model, generator)
    gradient, risks = build(name, model, loss).meta_gradient(phi, tasks)
    for chunk in (3, 1, 100):
        parts, own = build(name, model, loss, chunk=chunk).meta_gradient(phi, tasks)
        assert relative(parts, gradient) < 1e-10
        assert torch.allclose(own, risks, atol=1e-12)


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


@every
@pytest.mark.parametrize("family", FAMILIES)
def test_every_learner_on_every_family(name, family, generator):
    """One meta-step, then adapting; what is not defined says why; a single task without leading axis is refused."""
    model, loss, make = FAMILIES[family]
    tasks = make(generator)(3, generator)
    learner = build(name, model, loss)
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
    with pytest.raises(ValueError, match=r"those of one task.*x \(T, N, \.\.\.\), also for T = 1"):
        meta_step(learner, sgd(0.1), phi, (), single(tasks, 0))


@every
def test_equal_seeds_train_alike_and_change_no_input(name, generator):
    model, loss, family = settings_of("classes", generator)
    learner = build(name, model, loss)
    phi = learner.init(generator)
    before = phi.clone()
    runs = [meta_fit(learner, adam(0.01), family, phi, 4, 2, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(phi, before)
    assert all(torch.equal(*pair) for pair in zip(runs[0], runs[1], strict=True))
    assert not torch.equal(runs[0][0], runs[2][0])
    assert runs[0][1].shape == (4,) and not runs[0][0].requires_grad and not runs[0][1].requires_grad


@every
def test_adapting_is_differentiable_where_phi_asks_for_it(name, generator):
    """iMAML's minimum keeps no record of its way; nothing else forgets φ, and nothing is tracked that nobody asked for."""
    model, loss, family = settings_of("classes", generator)
    tasks = family(2, generator)
    learner = build(name, model, loss)
    phi = start(learner, generator)
    assert not learner.adapt(phi, tasks.support)(tasks.query.x).requires_grad and not phi.requires_grad
    phi.requires_grad_()
    scores = learner.adapt(phi, tasks.support)(tasks.query.x)
    assert scores.requires_grad == (name != "iMAML")
    with torch.no_grad():
        untracked = learner.adapt(phi, tasks.support)(tasks.query.x)
    assert not untracked.requires_grad and torch.allclose(untracked, scores, atol=1e-12)
    assert not adapted_risks(learner, phi, tasks, loss).requires_grad
    if name not in ("iMAML", "joint training", "fine-tuning", "Reptile"):  # whose meta-gradient is another
        (gradient,) = torch.autograd.grad(loss(scores, tasks.query.y).mean(), phi)
        assert relative(gradient, learner.meta_gradient(phi, tasks)[0]) < 1e-10
    assert phi.grad is None


@every
def test_single_precision_stays_single(name, generator):
    """Also under a default of 64 bits: ANIL's mask once had the default's type."""
    model, loss, family = settings_of("classes", generator)
    tasks = family(2, generator)
    learner = build(name, model, loss)
    phi = start(learner, generator)
    exact, _ = learner.meta_gradient(phi, tasks)
    single_tasks = Task(*(Data(data.x.float(), data.y) for data in tasks))
    gradient, risks = learner.meta_gradient(phi.float(), single_tasks)
    assert gradient.dtype == risks.dtype == torch.float32
    assert relative(gradient.double(), exact) < 1e-4


def test_meta_fit_is_meta_step_again_and_again(generator):
    model, loss, family = settings_of("classes", generator)
    learner, rule, seed = learners.maml(model, loss, 0.1, 2), adam(0.01), torch.Generator().manual_seed
    phi = first = learner.init(generator)
    draws, state, risks = seed(5), rule.init(phi), []
    for _ in range(3):
        tasks = family(2, draws)
        risks.append(adapted_risks(learner, phi, tasks, loss).mean())
        step, state = rule(learner.meta_gradient(phi, tasks)[0], state)
        phi = phi + step
    fitted, path = meta_fit(learner, rule, family, first, 3, 2, seed(5))
    assert torch.equal(fitted, phi) and torch.allclose(path, torch.stack(risks), atol=1e-12)
    fitted, path = meta_fit(learner, rule, family, first, 0, 2, seed(5))
    assert torch.equal(fitted, first) and path.shape == (0,)


def test_conjugate_gradients_solve_each_row_in_as_many_steps_as_it_has_eigenvalues(generator):
    roots = torch.randn(3, 5, 5, generator=generator)
    A = roots @ roots.mT + torch.eye(5)
    A[1] = 3 * torch.eye(5)  # solved after one step, while the others go on
    b = torch.randn(3, 5, generator=generator)
    b[2] = 0  # solved before the first
    solution = torch.linalg.solve(A, b)
    once, all_five, more = (
        conjugate_gradients(lambda v: (A @ v.unsqueeze(-1)).squeeze(-1), b, count) for count in (1, 5, 50)
    )
    assert torch.allclose(once[1:], solution[1:], atol=1e-15) and relative(once[0], solution[0]) > 1e-2
    assert torch.allclose(all_five, solution, atol=1e-9)
    assert torch.allclose(more, solution, atol=1e-12)  # nothing breaks after the end


# What goes wrong says what to do


@pytest.mark.parametrize(
    ("names", "settings", "words"),
    [
        (DESCENDING, {"alpha": -0.1}, r"α = -0.1.*finite number"),
        (DESCENDING, {"alpha": math.inf}, r"α = inf.*finite number"),
        (DESCENDING, {"alpha": math.nan}, r"α = nan.*finite number"),
        (DESCENDING, {"steps": -1}, r"steps = -1.*0 or more"),
        *((["iMAML", "linear probe"], {"lam": lam}, f"λ = {lam}") for lam in (0.0, -1.0, math.inf, math.nan)),
        (["MAML", "FOMAML"], {"chunk": 0}, r"chunk = 0"),
        (["Reptile"], {"alpha": 0.0}, r"Reptile divides by its inner step size"),
        (["set learner"], {"width": 0}, r"width = 0"),
    ],
    ids=str,
)
def test_settings_that_cannot_be_are_named(names, settings, words):
    for name in names:
        with pytest.raises(ValueError, match=words):
            build(name, mlp((2, 4, 3)), cross_entropy, **settings)


def test_other_bad_input_is_named(generator):
    model, loss, family = settings_of("classes", generator)
    tasks, phi = family(2, generator), model.init(generator)
    unshaped, fewer = Model(model.shapes, model.features, model.head), learners.set_learner(mlp((2, 5, 2)), loss)
    with pytest.raises(ValueError, match=r"build it with inputs="):
        learners.maml(unshaped, loss, 0.1, 1).adapt(phi, tasks.support)
    with pytest.raises(ValueError, match=r"\(33,\).*2p = 66"):
        learners.meta_sgd(model, loss, 0.1, 1).adapt(phi, tasks.support)
    with pytest.raises(ValueError, match=r"labels up to 2; this set learner answers with 2 classes"):
        fewer.adapt(fewer.init(generator), tasks.support)
    with pytest.raises(ValueError, match=r"shape \(33,\), φ \(2, 33\).*one φ for all tasks"):
        meta_step(learners.imaml(model, loss, 0.1, 1, 1.0), sgd(0.1), phi.expand(2, -1), (), tasks)
    words = (
        r"MAML, α = 1000000.0, K = 40 is not finite.*smaller inner step size α, fewer inner steps K.*gradient descent"
    )
    steep = learners.maml(mlp((2, 8, 3), torch.relu), half_squared_error, 1e6, 40)
    real = Task(*(Data(data.x, F.one_hot(data.y, 3).double()) for data in tasks))
    with pytest.raises(FloatingPointError, match=words):
        meta_step(steep, sgd(0.1), steep.init(generator), (), real)


@pytest.mark.parametrize("name", CLASSES_ONLY)
def test_a_class_without_support_is_named(name, generator):
    """Its mean would be 0/0, and every score of the task NaN without a word."""
    model, loss, family = settings_of("classes", generator)
    tasks = family(3, generator)
    tasks.support.y[1][tasks.support.y[1] == 2] = 0
    learner = build(name, model, loss)
    with pytest.raises(ValueError, match=rf"{name} needs an example of every class 0..2.*class 2 has none"):
        learner.adapt(learner.init(generator), tasks.support)
