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
    text : str
        Name and settings, for messages and checkpoints: "momentum, η = 0.1, β = 0.9".
    """

    init: Callable[[Tensor], State]
    apply: Callable[[Any, State], tuple[Tensor, State]]
    text: str = "an update rule"

    def __call__(self, gradient: Any, state: State) -> tuple[Tensor, State]:
        """Return (step, new state). The caller moves: θ ← θ + step."""
        return self.apply(gradient, state)


def sgd(eta: float) -> UpdateRule:
    """Gradient descent: step = −η g, formula (3.8). No memory.

    Parameters
    ----------
    eta : float
        Step size η > 0, in units of θ² per unit of risk. Any other is a ValueError.
    """
    _positive(eta)
    return UpdateRule(
        lambda theta: (), lambda gradient, state: (-eta * gradient, state), f"gradient descent, η = {eta}"
    )


def momentum(eta: float, beta: float) -> UpdateRule:
    """Heavy ball: v ← β v + g; step = −η v, formula (3.14) (Polyak, 1964). The state is the velocity v, shape (p,).

    Parameters
    ----------
    eta : float
        Step size η > 0.
    beta : float
        Share β in [0, 1) of the old velocity that is kept; 0 is gradient descent. An η or β outside its range is a ValueError.
    """
    _positive(eta)
    _share(beta)

    def apply(gradient: Tensor, velocity: Tensor) -> tuple[Tensor, Tensor]:
        velocity = beta * velocity + gradient
        return -eta * velocity, velocity

    return UpdateRule(torch.zeros_like, apply, f"momentum, η = {eta}, β = {beta}")


def rmsprop(eta: float, beta: float = 0.99, epsilon: float = 1e-8) -> UpdateRule:
    """RMSprop: v ← β v + (1 − β) g²; step = −η g / (√v + ε), entry by entry, formula (4.16) (Tieleman and Hinton, 2012).

    Each parameter's gradient is measured against its own usual size √v. The state is (v,), v of shape (p,), 0 at first.
    A gradient and its hundredfold take nearly the same step: η is a length in θ here, whatever the unit of the risk.

    Parameters
    ----------
    eta : float
        Step size η > 0, in units of θ.
    beta : float
        Share β in [0, 1) of the old mean square that is kept.
    epsilon : float
        ε > 0, in units of the gradient: keeps the step finite where the gradient has been 0. An η, β or ε outside its
        range is a ValueError.
    """
    _positive(eta)
    _share(beta)
    _positive(epsilon, "ε", "the addend under the gradient")

    def apply(gradient: Tensor, state: tuple[Tensor]) -> tuple[Tensor, tuple[Tensor]]:
        (square,) = state
        square = beta * square + (1 - beta) * gradient**2
        return -eta * gradient / (square.sqrt() + epsilon), (square,)

    text = f"RMSprop, η = {eta}, β = {beta}, ε = {epsilon}"
    return UpdateRule(lambda theta: (torch.zeros_like(theta),), apply, text)


def adam(eta: float, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> UpdateRule:
    """Adam: means of g and g², corrected for their start at 0, formula (4.17) (Kingma and Ba, 2015, algorithm 1).

    m ← β₁ m + (1 − β₁) g and v ← β₂ v + (1 − β₂) g²; after the k-th update m̂ = m/(1 − β₁ᵏ) and v̂ = v/(1 − β₂ᵏ);
    step = −η m̂ / (√v̂ + ε), entry by entry. The state is (m, v, k): m and v of shape (p,), k a scalar, all 0 at first.
    The first step has length η in each entry, however large the gradient is.

    Parameters
    ----------
    eta : float
        Step size η > 0, in units of θ.
    beta_1, beta_2 : float
        Shares β₁ and β₂ in [0, 1) of the old mean and of the old mean square that are kept.
    epsilon : float
        ε > 0, in units of the gradient: keeps the step finite where the gradient has been 0. An η, β or ε outside its
        range is a ValueError.
    """
    _positive(eta)
    _share(beta_1, "β₁")
    _share(beta_2, "β₂")
    _positive(epsilon, "ε", "the addend under the gradient")

    def init(theta: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # k in double precision: 1 − 0.999ᵏ would lose its last digits in single
        return torch.zeros_like(theta), torch.zeros_like(theta), torch.zeros((), dtype=torch.float64)

    def apply(gradient: Tensor, state: tuple[Tensor, Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor, Tensor]]:
        mean, square, k = state
        mean = beta_1 * mean + (1 - beta_1) * gradient
        square = beta_2 * square + (1 - beta_2) * gradient**2
        k = k + 1
        mean_hat = mean / (1 - beta_1**k)
        square_hat = square / (1 - beta_2**k)
        return -eta * mean_hat / (square_hat.sqrt() + epsilon), (mean, square, k)

    return UpdateRule(init, apply, f"Adam, η = {eta}, β₁ = {beta_1}, β₂ = {beta_2}, ε = {epsilon}")


def derived(lam: float, rule: UpdateRule) -> UpdateRule:
    """Descend L_D + λ L_T, formula (0.6): hand ∇L_D + λ∇L_T to ``rule``.

    The gradient that comes in is the pair (∇L_D, ∇L_T). With ``rule = sgd(eta)`` the step is −η(∇L_D + λ∇L_T).
    Raises ValueError if λ is negative or not a finite number.
    """
    check_weight(lam)

    def apply(gradients: tuple[Tensor, Tensor], state: State) -> tuple[Tensor, State]:
        gradient_D, gradient_T = gradients
        return rule(gradient_D + lam * gradient_T, state)

    return UpdateRule(rule.init, apply, f"{rule.text}, λ = {lam}")


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
        Step size λ ≥ 0 of the new task's risk, in the unit of η. An η or λ outside its range is a ValueError.
    """
    _positive(eta)
    check_weight(lam)

    def apply(gradients: tuple[Tensor, Tensor], state: State) -> tuple[Tensor, State]:
        gradient_D, gradient_T = gradients
        return -eta * gradient_D - lam * gradient_T, state

    return UpdateRule(lambda theta: (), apply, f"printed rule, η = {eta}, λ = {lam}")


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


def _positive(value: float, symbol: str = "η", what: str = "a step size") -> None:
    if not 0 < value < float("inf"):  # NaN fails too
        raise ValueError(f"{symbol} = {value}; {what} must be a positive number.")


def _share(beta: float, symbol: str = "β") -> None:
    if not 0 <= beta < 1:  # NaN fails too
        raise ValueError(f"{symbol} = {beta}; the share of the old state that is kept must lie in [0, 1).")
