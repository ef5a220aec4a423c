"""Joint training: one θ for the data and a new task, by the article's names.

`MetaLoss` and `TaskLoss` are risks with all but their arguments filled in; `MetaLearner` weighs the two.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from metautil.risks import Loss, check_weight, empirical_risk, normalised_joint_risk
from metautil.tasks import Data, check_data


@dataclass(frozen=True)
class MetaLoss:
    """The data's risk as a mapping (θ, batch) → L_batch(θ): M and ℓ are settled, θ and the examples are not.

    The mean over the batches of one size of a pass is, on average, L_D; so is the mean of their gradients ∇L_D.

    Attributes
    ----------
    model : callable
        (θ, x) → y.
    loss : Loss
        One number per example.
    """

    model: Callable[[Tensor, Tensor], Tensor]
    loss: Loss

    def __call__(self, theta: Tensor, batch: Data) -> Tensor:
        """L_batch(θ), formula (0.3) on the examples of ``batch``; a scalar, differentiable in ``theta``."""
        return empirical_risk(self.model, theta, batch, self.loss)


@dataclass(frozen=True)
class TaskLoss:
    """The new task's risk as a mapping θ → L_T(θ): its few examples are settled too.

    Attributes
    ----------
    model, loss
        As for `MetaLoss`.
    support : Data
        The labelled examples of the task. Those it is judged by stay outside.

    Raises
    ------
    ValueError
        If the support set is empty, its inputs and labels differ in number, or it holds NaN or infinite numbers.
    """

    model: Callable[[Tensor, Tensor], Tensor]
    loss: Loss
    support: Data

    def __post_init__(self) -> None:
        check_data(self.support)

    def __call__(self, theta: Tensor) -> Tensor:
        """L_T(θ), formula (0.3) on the support set; a scalar, differentiable in ``theta``."""
        return empirical_risk(self.model, theta, self.support, self.loss)


@dataclass(frozen=True)
class MetaLearner:
    """The objective (θ, batch) → (L_D(θ) + λ L_T(θ)) / (1 + λ), formula (0.5), with L_D taken on a batch.

    What learns here is one θ, trained on the data and on the task together: joint training. Nothing learns how to
    learn yet, though a learner of this form has been called a meta-learner. Where θ is judged by what it becomes
    after adapting to a task, as in lesson 11, the name is earned.

    Attributes
    ----------
    meta_loss : callable
        (θ, batch) → L_batch(θ), such as `MetaLoss`.
    task_loss : callable
        θ → L_T(θ), such as `TaskLoss`. Its weight may be 0.
    lam : float
        Weight λ ≥ 0 of the task's risk, a pure number. One that is negative or not finite is a ValueError.
    """

    meta_loss: Callable[[Tensor, Data], Tensor]
    task_loss: Callable[[Tensor], Tensor]
    lam: float

    def __post_init__(self) -> None:
        check_weight(self.lam)

    def __call__(self, theta: Tensor, batch: Data) -> Tensor:
        """The objective at θ, a scalar, differentiable in ``theta``."""
        return normalised_joint_risk(self.meta_loss(theta, batch), self.task_loss(theta), self.lam)
