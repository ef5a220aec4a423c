"""Learners that learn: two verbs, *adapt* to a support set, and *meta-step* on a batch of tasks.

``learner.adapt(phi, support)`` is the mapping data set → predictor; what meta-training finds is φ. ``meta_step`` moves φ
by the learner's meta-gradient and an update rule. A support set is one task's, x (N, ...), or that of T tasks at once,
x (T, N, ...): nothing here loops over tasks, because the parameters of T tasks are one tensor Θ (T, p).

Most learners are their `adapt` and nothing more: it is differentiable in φ, and the meta-gradient is the gradient of the
mean risk on the query sets through it (`through_adaptation`).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad

from metautil.linear import conjugate_gradients
from metautil.models import Model, embedding, mlp
from metautil.progress import progress
from metautil.risks import Loss, cross_entropy
from metautil.tasks import Data, Task, TaskFamily
from metautil.updates import State, UpdateRule

Predictor = Callable[[Tensor], Tensor]
"""What adapting returns: inputs x (..., N, ...) → outputs (..., N, C)."""

MetaGradient = Callable[[Tensor, Task], tuple[Tensor, Tensor]]
"""(φ (m,), batch of T tasks) → (the gradient that the meta-step descends (m,), each task's risk (T,))."""


class Learner(NamedTuple):
    """A learner with meta-parameters φ.

    Attributes
    ----------
    init : callable
        generator → φ before meta-training, shape (m,).
    adapt : callable
        (φ, support set) → predictor. Differentiable in φ where φ asks for it (``requires_grad``), except for `imaml`, whose
        minimum keeps no record of the way to it. The support set may be that of T tasks, with a leading axis; so is what
        the predictor then takes and returns. Learners that adapt parameters return ``partial(model, theta)``: θ_K is
        ``predictor.args[0]``, shape (p,) or (T, p).
    meta_gradient : callable
        (φ, batch of T tasks) → (gradient (m,), risks (T,)). The risks are those on the query sets after adapting, except
        for `joint` and `fine_tuning`, which do not adapt while they are meta-trained.
    text : str
        Name and settings, for messages.
    """

    init: Callable[[torch.Generator], Tensor]
    adapt: Callable[[Tensor, Data], Predictor]
    meta_gradient: MetaGradient
    text: str


class Report(NamedTuple):
    """What a meta-step met: the risk of each task under the old φ, shape (T,); see `Learner.meta_gradient`."""

    risks: Tensor


def meta_step(
    learner: Learner, rule: UpdateRule, phi: Tensor, state: State, tasks: Task
) -> tuple[Tensor, State, Report]:
    """One step of meta-training: φ ← φ + U(meta-gradient).

    Parameters
    ----------
    learner : Learner
    rule : UpdateRule
    phi : Tensor
        Meta-parameters, shape (m,).
    state : State
        ``rule.init(phi)`` before the first step.
    tasks : Task
        T tasks, with a leading axis.

    Returns
    -------
    phi : Tensor
    state : State
    report : Report

    Raises
    ------
    ValueError
        If the tasks have no leading axis, or the meta-gradient does not have the shape of φ.
    FloatingPointError
        If the meta-gradient is not finite.
    """
    y = tasks.query.y
    if y.ndim < (2 if y.dtype == torch.int64 else 3):  # classes (T, N), real numbers (T, N, d)
        raise ValueError(
            f"The labels of the query set have shape {tuple(y.shape)}: those of one task. A meta-step takes a batch of tasks, "
            f"x (T, N, ...), also for T = 1."
        )
    gradient, risks = learner.meta_gradient(phi, tasks)
    if gradient.shape != phi.shape:
        raise ValueError(
            f"The meta-gradient of {learner.text} has shape {tuple(gradient.shape)}, φ {tuple(phi.shape)}. A meta-step takes "
            f"one φ for all tasks of a batch."
        )
    if not gradient.isfinite().all():
        raise FloatingPointError(
            f"The meta-gradient of {learner.text} is not finite; the largest risk in the batch is {risks.max().item():.3g}, "
            f"the largest entry of φ {phi.abs().max().item():.3g}. Try a smaller inner step size α, fewer inner steps K, or a "
            f"smaller step of the rule ({rule.text})."
        )
    step, state = rule(gradient, state)
    return phi + step, state, Report(risks)


def meta_fit(
    learner: Learner,
    rule: UpdateRule,
    family: TaskFamily,
    phi: Tensor,
    steps: int,
    tasks: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Meta-train: ``steps`` meta-steps on fresh tasks of a family.

    Parameters
    ----------
    learner : Learner
    rule : UpdateRule
    family : TaskFamily
    phi : Tensor
        Meta-parameters to start from, shape (m,), such as ``learner.init(generator)``.
    steps, tasks : int
        Number of meta-steps, and of tasks drawn for each.
    generator : torch.Generator
        Decides which tasks are drawn.

    Returns
    -------
    phi : Tensor
        Meta-parameters after the last step, shape (m,).
    risks : Tensor
        Mean risk of each step's tasks before the step, shape (steps,).

    Errors are those of `meta_step`.
    """
    state, risks = rule.init(phi), []
    for _ in progress(range(steps), "meta-training"):
        phi, state, report = meta_step(learner, rule, phi, state, family(tasks, generator))
        risks.append(report.risks.mean())
    return phi, torch.stack(risks) if risks else phi.new_zeros(0)


def adapted_risks(learner: Learner, phi: Tensor, tasks: Task, loss: Loss) -> Tensor:
    """L_Q of each of T tasks after adapting to its S, shape (T,): what the learner is judged by."""
    return _risks(learner.adapt(phi, tasks.support), tasks.query, loss).detach()


def _risks(predictor: Predictor, data: Data, loss: Loss) -> Tensor:
    """The empirical risk (0.3) of each task, shape (T,), or () for a data set without leading axis."""
    return loss(predictor(data.x), data.y).mean(-1)


def through_adaptation(
    adapt: Callable[[Tensor, Data], Predictor], loss: Loss, chunk: int | None = None
) -> MetaGradient:
    """Meta-gradient of the mean query risk (1/T) Σ_t L_Q(adapt(φ, S_t)), by reverse mode through the adaptation.

    Parameters
    ----------
    adapt : callable
        (φ, support set) → predictor, differentiable in φ.
    loss : Loss
    chunk : int, optional
        Tasks taken at once; the memory needed grows with it. All of them if it is not given.
    """
    if chunk is not None and chunk < 1:
        raise ValueError(f"chunk = {chunk}; the number of tasks taken at once must be at least 1.")

    def meta_gradient(phi: Tensor, tasks: Task) -> tuple[Tensor, Tensor]:
        total = len(tasks.query.y)
        gradient, risks = torch.zeros_like(phi), []
        for first in range(0, total, chunk or total):
            part = Task(*(Data(*(each[first : first + (chunk or total)] for each in data)) for data in tasks))
            phi = phi.detach().requires_grad_()
            risk = _risks(adapt(phi, part.support), part.query, loss)
            gradient += grad(risk.sum() / total, phi)[0]
            risks.append(risk.detach())
        return gradient, torch.cat(risks)

    return meta_gradient


def inner_loop(
    model: Model, loss: Loss, theta: Tensor, support: Data, alpha: float | Tensor, steps: int, second_order: bool = True
) -> Tensor:
    """θ_K of θ_{k+1} = θ_k − α ∇L_S(θ_k): the inner loop.

    Parameters
    ----------
    model : Model
    loss : Loss
    theta : Tensor
        θ_0, shape (p,), or one row for each of T tasks, (T, p).
    support : Data
        Of the one task, or of the T tasks.
    alpha : float or Tensor
        Inner step size, one number or one for each parameter, shape (p,).
    steps : int
        K.
    second_order : bool
        Whether θ_K can be differentiated through the gradients. If not, they are constants: ∂θ_K/∂θ_0 = I.

    Returns
    -------
    Tensor
        θ_K, of the shape of ``theta``; differentiable in ``theta`` where that asks for it.
    """
    tracked = torch.is_grad_enabled() and (theta.requires_grad or (isinstance(alpha, Tensor) and alpha.requires_grad))
    with torch.enable_grad():
        for _ in range(steps):
            if not (tracked and theta.requires_grad):
                theta = theta.detach().requires_grad_()
            risks = _risks(partial(model, theta), support, loss)
            # The tasks do not meet: the gradient of the sum of risks (a one for each) is each task's own gradient.
            (gradient,) = grad(risks, theta, torch.ones_like(risks), create_graph=tracked and second_order)
            theta = theta - alpha * gradient if isinstance(alpha, Tensor) else theta.add(gradient, alpha=-alpha)
    return theta if tracked else theta.detach()


def _starts(model: Model, phi: Tensor, data: Data) -> Tensor:
    """φ as it is for one task's data, repeated (T, p) for those of T tasks."""
    if model.inputs is None:
        raise ValueError(
            "This model does not say the shape of one input; build it with inputs=, such as Model(..., inputs=(2,))."
        )
    leading = data.x.shape[: data.x.ndim - 1 - len(model.inputs)]
    return phi.expand(*leading, -1)


# Learners that adapt parameters


def joint(model: Model, loss: Loss) -> Learner:
    """One θ for all tasks: φ = θ minimises the mean risk over all examples of all tasks; adapting does nothing.

    The objective of the λ-weighted risk (0.4) with many tasks in the place of two: S and Q of all tasks are one data set.
    """

    def adapt(phi: Tensor, support: Data) -> Predictor:
        return partial(model, _starts(model, phi, support))

    def meta_gradient(phi: Tensor, tasks: Task) -> tuple[Tensor, Tensor]:
        phi = phi.detach().requires_grad_()
        x, y = (torch.cat(parts, 1) for parts in zip(*tasks, strict=True))
        losses = loss(model(phi, x.flatten(0, 1)), y.flatten(0, 1)).reshape(len(y), -1)
        (gradient,) = grad(losses.mean(), phi)
        return gradient, losses.detach().mean(1)

    return Learner(model.init, adapt, meta_gradient, "joint training")


def fine_tuning(model: Model, loss: Loss, alpha: float, steps: int) -> Learner:
    """Meta-trained like `joint`; adapts by K gradient steps of size α on the support set, which its training never saw."""
    return joint(model, loss)._replace(
        adapt=_descending(model, loss, alpha, steps), text=f"fine-tuning, α = {alpha}, K = {steps}"
    )


def _descending(
    model: Model, loss: Loss, alpha: float | Tensor, steps: int, second_order: bool = True
) -> Callable[[Tensor, Data], Predictor]:
    """The adaptation of all that start at φ: (φ, S) → M at θ_K."""
    _check_inner(alpha, steps)

    def adapt(phi: Tensor, support: Data) -> Predictor:
        start = _starts(model, phi, support)
        return partial(model, inner_loop(model, loss, start, support, alpha, steps, second_order))

    return adapt


def _check_inner(alpha: float | Tensor, steps: int) -> None:
    smallest = float(alpha.min()) if isinstance(alpha, Tensor) else alpha
    if not 0 <= smallest < float("inf"):  # NaN fails too
        raise ValueError(f"α = {smallest}; an inner step size must be a finite number ≥ 0.")
    if steps < 0:
        raise ValueError(f"steps = {steps}; the number of inner steps K must be 0 or more.")


def maml(model: Model, loss: Loss, alpha: float, steps: int, chunk: int | None = None) -> Learner:
    """Model-agnostic meta-learning: φ is the start from which K steps lead to a low query risk (Finn et al., 2017).

    The gradient of (1/T) Σ_t L_Q(θ_K(φ)) with every Hessian term: ∇L_Q is multiplied by (I − α H_k) for each inner step.

    Parameters
    ----------
    model : Model
    loss : Loss
        For the inner and the outer risk.
    alpha : float
        Inner step size α.
    steps : int
        Inner steps K.
    chunk : int, optional
        Tasks taken at once, which bounds the memory.
    """
    adapt = _descending(model, loss, alpha, steps)
    return Learner(model.init, adapt, through_adaptation(adapt, loss, chunk), f"MAML, α = {alpha}, K = {steps}")


def fomaml(model: Model, loss: Loss, alpha: float, steps: int, chunk: int | None = None) -> Learner:
    """First-order MAML: `maml` with I in the place of every (I − α H_k); the meta-gradient is the mean of ∇L_Q(θ_K).

    Finn et al. (2017), section 5.2. Parameters as for `maml`.
    """
    adapt = _descending(model, loss, alpha, steps, second_order=False)
    return Learner(model.init, adapt, through_adaptation(adapt, loss, chunk), f"FOMAML, α = {alpha}, K = {steps}")


def anil(model: Model, loss: Loss, alpha: float, steps: int) -> Learner:
    """Almost no inner loop: `maml` in which only the head moves while adapting (Raghu et al., 2020)."""
    _check_inner(alpha, steps)
    moves = torch.cat([torch.full(shape, name.startswith("head")).reshape(-1) for name, shape in model.shapes.items()])

    def adapt(phi: Tensor, support: Data) -> Predictor:
        return _descending(model, loss, alpha * moves.to(phi), steps)(phi, support)

    return Learner(model.init, adapt, through_adaptation(adapt, loss), f"ANIL, α = {alpha}, K = {steps}")


def meta_sgd(model: Model, loss: Loss, alpha: float, steps: int) -> Learner:
    """`maml` that learns a step size for each parameter too: φ = (θ_0, α_1, ..., α_p) (Li et al., 2017).

    ``alpha`` is where all step sizes start. They may turn negative: meta-training is free to climb.
    """
    _check_inner(alpha, steps)

    def init(generator: torch.Generator) -> Tensor:
        theta = model.init(generator)
        return torch.cat([theta, torch.full_like(theta, alpha)])

    def adapt(phi: Tensor, support: Data) -> Predictor:
        if phi.shape != (2 * model.size,):
            raise ValueError(
                f"φ has shape {tuple(phi.shape)}; Meta-SGD's holds θ_0 and a step size for each parameter, 2p = {2 * model.size}."
            )
        theta, alphas = phi.split(model.size)
        return partial(model, inner_loop(model, loss, _starts(model, theta, support), support, alphas, steps))

    return Learner(init, adapt, through_adaptation(adapt, loss), f"Meta-SGD, α from {alpha}, K = {steps}")


def reptile(model: Model, loss: Loss, alpha: float, steps: int) -> Learner:
    """Reptile: φ moves towards where K steps on a task end: the meta-gradient is (φ − mean_t θ_K) / α (Nichol et al., 2018).

    While meta-training, the steps are taken on all examples of the task, S and Q; K = 1 is then `joint` (for models without
    batch norm, which for `joint` takes the examples of all tasks together). Adapting takes them on S.
    """
    adapt = _descending(model, loss, alpha, steps)
    if alpha == 0:
        raise ValueError("α = 0; Reptile divides by its inner step size, which must be > 0.")

    def meta_gradient(phi: Tensor, tasks: Task) -> tuple[Tensor, Tensor]:
        examples = Data(*(torch.cat(parts, 1) for parts in zip(*tasks, strict=True)))
        predictor = adapt(phi.detach(), examples)
        risks = _risks(predictor, tasks.query, loss).detach()
        return (phi.detach() - predictor.args[0].mean(0)) / alpha, risks

    return Learner(model.init, adapt, meta_gradient, f"Reptile, α = {alpha}, K = {steps}")


def imaml(model: Model, loss: Loss, alpha: float, steps: int, lam: float, iterations: int = 10) -> Learner:
    """Implicit MAML: adapts to argmin_θ L_S(θ) + λ/2 ‖θ − φ‖², and differentiates that minimum, not the way to it.

    At the minimum θ*, dθ*/dφ = (I + H/λ)⁻¹ with H = ∇²L_S(θ*), so the meta-gradient solves (I + H/λ) v = ∇L_Q(θ*), here
    by conjugate gradients on Hessian-vector products (Rajeswaran et al., 2019).

    Parameters
    ----------
    model, loss : Model, Loss
    alpha : float
        Step size of the inner gradient descent, which approximates θ*; below 2/(λmax(H) + λ), or it diverges.
    steps : int
        Its number of steps; enough of them, or the gradient is not that of what `adapt` returns.
    lam : float
        λ > 0, strength of the pull towards φ, beside the mean risk of the support set.
    iterations : int
        Steps of conjugate gradients. The number needed grows like √(1 + λmax(H)/λ). If H has an eigenvalue below −λ,
        θ* is no minimum.
    """
    _check_inner(alpha, steps)
    if not 0 < lam < float("inf"):
        raise ValueError(f"λ = {lam}; the pull towards φ must be a finite number > 0.")

    def adapted(phi: Tensor, support: Data) -> Tensor:
        start = _starts(model, phi.detach(), support)
        theta = start
        for _ in range(steps):
            # One gradient step on L_S, and the pull's own: θ ← θ − α (∇L_S + λ (θ − φ)).
            theta = inner_loop(model, loss, theta, support, alpha, 1) - alpha * lam * (theta - start)
        return theta

    def meta_gradient(phi: Tensor, tasks: Task) -> tuple[Tensor, Tensor]:
        theta = adapted(phi, tasks.support).requires_grad_()
        risks = _risks(partial(model, theta), tasks.query, loss)
        (outer,) = grad(risks.sum(), theta)
        (inner,) = grad(_risks(partial(model, theta), tasks.support, loss).sum(), theta, create_graph=True)

        def product(v: Tensor) -> Tensor:
            return v + grad(inner, theta, v, retain_graph=True)[0] / lam

        return conjugate_gradients(product, outer, iterations).mean(0), risks.detach()

    return Learner(
        model.init,
        lambda phi, support: partial(model, adapted(phi, support)),
        meta_gradient,
        f"iMAML, α = {alpha}, K = {steps}, λ = {lam}",
    )


# Learners that read the support set: φ is an embedding's parameters


def prototypes(embedding: Model) -> Learner:
    """Prototypical networks: a query is of the class whose mean embedding is nearest (Snell et al., 2017).

    The scores are −‖f_φ(x) − c_n‖², with c_n the mean (14.5) of f_φ over class n's support examples; the loss is
    `cross_entropy`, of the posterior (14.2).

    Parameters
    ----------
    embedding : Model
        f_φ, such as `metautil.models.embedding` makes of a model.
    """
    return _nearest(embedding, lambda f: f, "prototypes")


def nearest_centroid(embedding: Model) -> Learner:
    """`prototypes` on embeddings of length 1: the plain baseline on features that something else has trained.

    Wang et al. (2019, "SimpleShot"). Its meta-step is that of `prototypes`.
    """
    return _nearest(embedding, lambda f: F.normalize(f, dim=-1), "nearest centroid")


def _nearest(embedding: Model, scaled: Callable[[Tensor], Tensor], name: str) -> Learner:
    def adapt(phi: Tensor, support: Data) -> Predictor:
        weights = _starts(embedding, phi, support)
        centres = _class_means(scaled(embedding(weights, support.x)), support.y, name)

        def predictor(x: Tensor) -> Tensor:
            return -(scaled(embedding(weights, x)).unsqueeze(-2) - centres.unsqueeze(-3)).square().sum(-1)

        return predictor

    return Learner(embedding.init, adapt, through_adaptation(adapt, cross_entropy), name)


def _class_means(features: Tensor, y: Tensor, name: str) -> Tensor:
    """Mean features of each class, (..., C, F), of features (..., N, F) with labels y (..., N) in 0..C−1."""
    if y.dtype != torch.int64:
        raise ValueError(
            f"{name} cannot adapt to this support set: it means the examples of each class, and the labels are real numbers "
            f"(type {y.dtype}). It is defined for classes only; for regression take a linear probe or a gradient learner."
        )
    members = F.one_hot(y).to(features.dtype).mT
    counts = members.sum(-1, keepdim=True)
    if (counts == 0).any():
        raise ValueError(
            f"{name} needs an example of every class 0..{counts.shape[-2] - 1} in each support set; "
            f"class {int((counts == 0).nonzero()[0, -2])} has none in at least one."
        )
    return members @ features / counts


def linear_probe(embedding: Model, loss: Loss, lam: float) -> Learner:
    """The best linear head on fixed features, in closed form: ridge regression W = (FᵀF + λI)⁻¹FᵀY.

    Y are the labels, or their one-hot vectors; a column of ones in F makes the bias. Its meta-step trains the features
    through the closed form (Bertinetto et al., 2019, "R2-D2").

    Parameters
    ----------
    embedding : Model
    loss : Loss
        For the meta-step only.
    lam : float
        λ > 0, keeps the head small.
    """
    if not 0 < lam < float("inf"):
        raise ValueError(f"λ = {lam}; the ridge's weight must be a finite number > 0.")

    def adapt(phi: Tensor, support: Data) -> Predictor:
        weights = _starts(embedding, phi, support)
        features = F.pad(embedding(weights, support.x), (0, 1), value=1.0)
        targets = F.one_hot(support.y).to(features.dtype) if support.y.dtype == torch.int64 else support.y
        # (FᵀF + λI)⁻¹Fᵀ = Fᵀ(FFᵀ + λI)⁻¹: a system of N equations, and N is small.
        kernel = features @ features.mT + lam * torch.eye(features.shape[-2]).to(features)
        head = features.mT @ torch.linalg.solve(kernel, targets)
        return lambda x: F.pad(embedding(weights, x), (0, 1), value=1.0) @ head

    return Learner(embedding.init, adapt, through_adaptation(adapt, loss), f"linear probe, λ = {lam}")


# A learner with nothing built in: φ is a network that reads the support set


def set_learner(model: Model, loss: Loss, width: int = 64) -> Learner:
    """Black box: a network that takes the support set and a query, and answers; no class mean, loss or gradient in it.

    With z(x) = k(f(x) − mean_i f(x_i)), each example is read by a network, r_i = r(z(x_i), y_i), a query looks at them with
    weights a_i = softmax_i(z(x) · z(x_i) / √w), and another network answers, formula (14.12):
    h(x; S) = o(z(x), Σ_i a_i r_i, mean_i r_i). The order of the examples does not matter. A neural process (Garnelo et al.,
    2018) with attention (Kim et al., 2019); matching networks (Vinyals et al., 2016) are the case r_i = y_i, h = Σ_i a_i y_i.

    Parameters
    ----------
    model : Model
        Its features are f, its head is replaced. The outputs are as many as the head's: values or classes.
    loss : Loss
    width : int
        Entries w of z and r, and hidden units of both networks.
    """
    if width < 1:
        raise ValueError(f"width = {width}; an example must be read into at least 1 number.")
    body, (inputs, outputs) = embedding(model), model.shapes["head.weight"]
    looker = mlp((inputs, width))
    reader = mlp((width + outputs, width, width), torch.relu)
    answerer = mlp((3 * width, width, outputs), torch.relu)
    parts = (body, looker, reader, answerer)

    def adapt(phi: Tensor, support: Data) -> Predictor:
        own, looking, reading, answering = _starts(body, phi, support).split([part.size for part in parts], -1)
        features = body(own, support.x)
        middle = features.mean(-2, keepdim=True)  # without it nearly all features point the same way at first
        seen = looker(looking, features - middle)
        read = reader(reading, torch.cat([seen, _targets(support.y, outputs).to(seen)], -1))

        def predictor(x: Tensor) -> Tensor:
            query = looker(looking, body(own, x) - middle)
            weights = (query @ seen.mT / width**0.5).softmax(-1)
            everything = read.mean(-2, keepdim=True).expand(*query.shape[:-1], width)
            return answerer(answering, torch.cat([query, weights @ read, everything], -1))

        return predictor

    def init(generator: torch.Generator) -> Tensor:
        return torch.cat([part.init(generator) for part in parts])

    return Learner(init, adapt, through_adaptation(adapt, loss), f"set learner, width {width}")


def _targets(y: Tensor, outputs: int) -> Tensor:
    """Labels as the network reads them: one-hot vectors of classes, real numbers as they are."""
    if y.dtype != torch.int64:
        return y
    if y.max() >= outputs:
        raise ValueError(
            f"The support set has labels up to {int(y.max())}; this set learner answers with {outputs} classes, 0 to "
            f"{outputs - 1}. It can have fewer classes than it was built for, but not more."
        )
    return F.one_hot(y, outputs)


LEARNERS: dict[str, Callable[..., Learner]] = {
    "joint training": joint,
    "fine-tuning": fine_tuning,
    "MAML": maml,
    "FOMAML": fomaml,
    "ANIL": anil,
    "Meta-SGD": meta_sgd,
    "Reptile": reptile,
    "iMAML": imaml,
    "prototypes": prototypes,
    "nearest centroid": nearest_centroid,
    "linear probe": linear_probe,
    "set learner": set_learner,
}
"""Every learner: the name with which its text begins → what builds it, of what its parameters name."""
