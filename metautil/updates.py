"""Update rules (heuristics) as pure mappings U: (gradient, state) → (step, state), applied as θ ← θ + step.

A rule holds no state of its own: what it remembers comes in and goes out, so a rule can be stopped, copied, drawn,
differentiated through and learned.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from metautil.risks import check_weight

State = Any
"""What a rule remembers between steps: any tensor or tuple of tensors, () for a rule without memory."""


class UpdateRule(NamedTuple):
    """An update rule U.

    Attributes
    ----------
    init : callable
        θ (p,) → the state before the first step.
    apply : callable
        (gradient (p,), state) → (step (p,), new state).
    """

    init: Callable[[Tensor], State]
    apply: Callable[[Any, State], tuple[Tensor, State]]

    def __call__(self, gradient: Any, state: State) -> tuple[Tensor, State]:
        """Return (step, new state). The caller moves: θ ← θ + step."""
        return self.apply(gradient, state)


def sgd(eta: float) -> UpdateRule:
    """Gradient descent: step = −η g, formula (3.8). No memory.

    Parameters
    ----------
    eta : float
        Step size η > 0, in units of θ² per unit of risk.

    Raises
    ------
    ValueError
        If η is not a positive number.
    """
    _positive(eta)
    return UpdateRule(lambda theta: (), lambda gradient, state: (-eta * gradient, state))


def momentum(eta: float, beta: float) -> UpdateRule:
    """Heavy ball: v ← β v + g; step = −η v, formula (3.14) (Polyak, 1964). The state is the velocity v, shape (p,).

    Parameters
    ----------
    eta : float
        Step size η > 0.
    beta : float
        Share β in [0, 1) of the old velocity that is kept. β = 0 is gradient descent.

    Raises
    ------
    ValueError
        If η is not positive or β is outside [0, 1).
    """
    _positive(eta)
    if not 0 <= beta < 1:
        raise ValueError(f"β = {beta}; the share of the velocity that is kept must lie in [0, 1).")

    def apply(gradient: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        velocity = beta * velocity + gradient
        return -eta * velocity, velocity

    return UpdateRule(torch.zeros_like, apply)


def derived(lam: float, rule: UpdateRule) -> UpdateRule:
    """Descend L_D + λ L_T, formula (0.6): hand ∇L_D + λ∇L_T to ``rule``.

    The gradient that comes in is the pair (∇L_D, ∇L_T). With ``rule = sgd(eta)`` the step is −η(∇L_D + λ∇L_T).

    Raises
    ------
    ValueError
        If λ is negative or not a number.
    """
    check_weight(lam)

    def apply(gradients: tuple[Tensor, Tensor], state: State) -> tuple[Tensor, State]:
        gradient_D, gradient_T = gradients
        return rule(gradient_D + lam * gradient_T, state)

    return UpdateRule(rule.init, apply)


def printed(eta: float, lam: float) -> UpdateRule:
    """Step = −η ∇L_D − λ ∇L_T, formula (4.7): λ beside η instead of inside the bracket. No memory.

    A common way to write the update of L_D + λ L_T, kept here to be compared with `derived`. It descends L_D + (λ/η) L_T,
    so λ here has the unit of η; with λ = η λ' it is ``derived(λ', sgd(eta))``. The gradient that comes in is the pair
    (∇L_D, ∇L_T).

    Parameters
    ----------
    eta : float
        Step size η > 0 of the data's risk.
    lam : float
        Step size λ ≥ 0 of the new task's risk, in the unit of η.

    Raises
    ------
    ValueError
        If η is not a positive number, or λ is negative or not a number.
    """
    _positive(eta)
    check_weight(lam)

    def apply(gradients: tuple[Tensor, Tensor], state: State) -> tuple[Tensor, State]:
        gradient_D, gradient_T = gradients
        return -eta * gradient_D - lam * gradient_T, state

    return UpdateRule(lambda theta: (), apply)


def descend(rule: UpdateRule, gradient: Callable[[Tensor], Any], theta: Tensor, steps: int) -> Tensor:
    """Follow an update rule from θ_0 and keep the whole path.

    Parameters
    ----------
    rule : UpdateRule
    gradient : callable
        θ → what the rule takes as its gradient (a pair for `derived`).
    theta : Tensor
        Start θ_0, shape (p,).
    steps : int
        Number of steps, ≥ 0.

    Returns
    -------
    Tensor
        θ_0, θ_1, ..., shape (steps + 1, p).
    """
    path, state = [theta], rule.init(theta)
    for _ in range(steps):
        step, state = rule(gradient(path[-1]), state)
        path.append(path[-1] + step)
    return torch.stack(path)


def _positive(eta: float) -> None:
    if not 0 < eta < float("inf"):  # NaN fails too
        raise ValueError(f"η = {eta}; a step size must be a positive number.")
