"""Training loops on explicit parameters: batches in, parameters out."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor
from torch.func import grad_and_value
from tqdm.auto import tqdm

from metautil import checkpoints
from metautil.risks import Loss
from metautil.tasks import Data, check_data, take
from metautil.updates import State, UpdateRule


class Evaluation(NamedTuple):
    """What a model does on a data set of N examples.

    Attributes
    ----------
    risk : float
        L_D(θ), the mean loss.
    accuracy : float
        Share of the examples whose largest output is at the true class, in [0, 1].
    predicted : Tensor
        Class with the largest output, int64, shape (N,).
    """

    risk: float
    accuracy: float
    predicted: Tensor


def minibatches(data: Data, size: int, generator: torch.Generator) -> Iterator[Data]:
    """One pass over ``data`` in random order, ``size`` examples at a time; a smaller rest is left out.

    Parameters
    ----------
    data : Data
        N examples.
    size : int
        Examples per batch, in 1..N, else a ValueError. Batches of one size keep the mean over batches an unbiased L_D.
    generator : torch.Generator
        Decides the order.
    """
    count = len(data.y)
    _check_size(size, count)
    for positions in _draw_order(count, size, generator):
        yield take(data, positions)


def _draw_order(count: int, size: int, generator: torch.Generator) -> Tensor:
    """The examples of each batch of an epoch, int64 positions, shape (batches, size)."""
    return torch.randperm(count, generator=generator)[: count - count % size].reshape(-1, size)


def _check_size(size: int, count: int) -> None:
    if not 1 <= size <= count:
        raise ValueError(f"Batches of {size} were asked for; the data set has {count} examples: choose 1 to {count}.")


def train_step(
    objective: Callable[[Tensor, Data], Tensor],
    theta: Tensor,
    rule: UpdateRule,
    state: State,
    batch: Data,
    where: str = "in this step",
) -> tuple[Tensor, State, float]:
    """One step: the gradient of the objective on a batch, the rule, θ ← θ + step.

    Parameters
    ----------
    objective, theta, rule, state
        As for `train_epoch`.
    batch : Data
    where : str
        Names the step in an error's message.

    Returns
    -------
    theta : Tensor
        Parameters after the step, shape (p,).
    state : State
    value : float
        The objective before the step.

    Raises
    ------
    FloatingPointError
        If the objective or its gradient is not finite. The message tells broken inputs from steps that were too long.
    """
    gradient, value = grad_and_value(objective)(theta, batch)
    if not (value.isfinite() and gradient.isfinite().all()):
        lam = getattr(objective, "lam", None)
        settings = rule.text if lam is None else f"{rule.text}; objective with λ = {lam}"
        what = f"The objective is {value.item()}" if not value.isfinite() else "The gradient is not finite"
        raise FloatingPointError(f"{what} {where} ({settings}): {_diagnosis(theta, batch)}")
    step, state = rule(gradient, state)
    return theta + step, state, value.item()


def _diagnosis(theta: Tensor, batch: Data) -> str:
    """Why the objective or its gradient is not finite, and what to try."""
    try:
        check_data(batch)
    except ValueError as error:
        return f"the batch is at fault, not the step size. {error}"
    shorter = "Try a smaller step size η (a third, say), or a smaller λ if the objective is not divided by 1 + λ."
    if not theta.isfinite().all():
        return f"θ was no longer finite before it, so the step before was too long. {shorter}"
    return (
        f"inputs and θ are finite, the largest entry of θ is {theta.abs().max().item():.3g}. If this is the first step, "
        f"look at θ_0 and at the loss; if not, the steps before were too long. {shorter}"
    )


def train_epoch(
    objective: Callable[[Tensor, Data], Tensor], theta: Tensor, rule: UpdateRule, state: State, batches: Iterable[Data]
) -> tuple[Tensor, State, float]:
    """Apply an update rule once per batch.

    Parameters
    ----------
    objective : callable
        (θ, batch) → the scalar to descend, such as `metautil.risks.empirical_risk` of that batch.
    theta : Tensor
        Parameters, shape (p,). Not changed in place.
    rule : UpdateRule
    state : State
        ``rule.init(theta)`` before the first epoch, afterwards what the last epoch returned.
    batches : iterable of Data
        At least one.

    Returns
    -------
    theta : Tensor
        Parameters after the epoch, shape (p,).
    state : State
    mean : float
        Mean of the objective over the batches, each taken before its step.

    Raises
    ------
    ValueError
        If there is no batch.
    FloatingPointError
        If the objective stops being finite; the message names the step and what to try.
    """
    values = []
    for count, batch in enumerate(batches, start=1):
        theta, state, value = train_step(objective, theta, rule, state, batch, f"at step {count} of this epoch")
        values.append(value)
    if not values:
        raise ValueError("No batches: an epoch needs at least one. Is the data set empty, or the batch size too large?")
    return theta, state, _mean(values, theta)


def _mean(values: Sequence[float], like: Tensor) -> float:
    return torch.tensor(values, dtype=like.dtype).mean().item()


class Run(NamedTuple):
    """A training run between two steps: all that its next step depends on, beside the experiment itself.

    Attributes
    ----------
    theta : Tensor
        Parameters, shape (p,).
    state : State
        What the update rule remembers.
    generator : Tensor
        State of the source of random numbers, bytes.
    order : Tensor
        Positions of the examples in the batches of the latest epoch, int64, shape (batches, size).
    history : dict of str to list of float
        Columns with one entry an epoch. "objective" holds the mean of ``values`` over the epoch.
    values : tuple of float
        The objective on the batches of this epoch that have been used, each before its step; so their number is the
        position in ``order``. Empty between two epochs.
    step : int
        Steps made.
    epoch : int
        Epochs finished.
    kept : Tensor or None
        Parameters that a callback keeps, such as the best so far, shape (p,).
    stop : bool
        Whether a callback ended the run.
    """

    theta: Tensor
    state: State
    generator: Tensor
    order: Tensor
    history: dict[str, list[float]]
    values: tuple[float, ...] = ()
    step: int = 0
    epoch: int = 0
    kept: Tensor | None = None
    stop: bool = False

    def record(self, name: str, value: float) -> Run:
        """The run with one more entry in a column of its history."""
        return self._replace(history=self.history | {name: [*self.history.get(name, []), value]})


Callback = Callable[[Run], Run]
"""What `fit` does after each epoch: a mapping from run to run."""


def judge(name: str, measure: Callable[[Tensor], float]) -> Callback:
    """The callback that writes ``measure(theta)`` into the history's column ``name``, one entry an epoch.

    Raises
    ------
    ValueError
        If the column is "objective", or, after an epoch, if it lacks an entry of an epoch before.
    """
    if name == "objective":
        raise ValueError("The column 'objective' is written by `fit` itself; choose another name.")

    def enter(run: Run) -> Run:
        entries = len(run.history.get(name, []))
        if entries != run.epoch - 1:
            raise ValueError(
                f"Column {name!r} has {entries} entries after {run.epoch - 1} epochs. Give each `judge` its own name, and a "
                f"run that goes on from a checkpoint the same ones as before."
            )
        return run.record(name, float(measure(run.theta)))

    return enter


def early_stopping(name: str, patience: int) -> Callback:
    """The callback that keeps the best θ in ``run.kept`` and ends the run once it has been the best for too long.

    Lower is better: the column should hold a risk, or one minus an accuracy, on examples that are not trained on. Of equal
    entries the first is the best; NaN is the worst.

    Parameters
    ----------
    name : str
        Column of the history, written by a `judge` that stands earlier among the callbacks.
    patience : int
        Epochs without a new best, at least 1, after which the run ends.

    Raises
    ------
    ValueError
        If ``patience`` is below 1, or, after an epoch, if the history has no such column.
    """
    if patience < 1:
        raise ValueError(f"patience = {patience}; at least 1 epoch is needed.")

    def watch(run: Run) -> Run:
        if len(run.history.get(name, [])) != run.epoch:
            raise ValueError(
                f"early_stopping looks at column {name!r}; this epoch's entry is in {', '.join(map(repr, run.history))}. "
                f"Put judge({name!r}, ...) before it."
            )
        column = [math.inf if math.isnan(value) else value for value in run.history[name]]
        since = run.epoch - 1 - column.index(min(column))
        return run._replace(kept=run.theta if since == 0 else run.kept, stop=run.stop or since >= patience)

    return watch


def fit(
    objective: Callable[[Tensor, Data], Tensor],
    theta: Tensor,
    rule: UpdateRule,
    data: Data,
    *,
    size: int,
    epochs: int,
    generator: torch.Generator,
    prepare: Callable[[Data, torch.Generator], Data] | None = None,
    callbacks: Sequence[Callback] = (),
    checkpoint: str | os.PathLike | None = None,
    every: int = 50,
) -> Run:
    """Train for a number of epochs: `train_epoch` on `minibatches`, again and again, with a file to go on from.

    Parameters
    ----------
    objective : callable
        (θ, batch) → the scalar to descend, such as `metautil.joint.MetaLearner`.
    theta : Tensor
        Start θ_0, shape (p,). Not changed in place.
    rule : UpdateRule
    data : Data
        N examples.
    size : int
        Examples per batch, 1 ≤ size ≤ N; a smaller rest of an epoch is left out.
    epochs : int
        Passes over the data, at least 1.
    generator : torch.Generator
        Decides the order, and what ``prepare`` draws.
    prepare : callable, optional
        (batch, generator) → batch, applied before each step: augmentation.
    callbacks : sequence of callable
        Run → Run, applied one after another after each epoch; see `judge` and `early_stopping`.
    checkpoint : path, optional
        File that holds the run: one file for one experiment, and one process at a time. If it exists, the run goes on
        from it exactly, and leaves ``generator`` as if it had never been stopped; a finished run is returned at once.
    every : int
        Steps from one checkpoint to the next; one more is written after each epoch.

    Returns
    -------
    Run
        ``run.theta``, and ``run.history`` for the curves.

    Raises
    ------
    ValueError
        If the data or θ_0 hold NaN or infinite numbers, the data are empty, or a number is out of its range.
    FloatingPointError
        If the objective stops being finite; the message names step and epoch and what to try.
    metautil.checkpoints.CheckpointError
        If the checkpoint is damaged or of another experiment (the file is left as it is), or cannot be written.
    """
    check_data(data)
    check_theta(theta)
    _check_size(size, len(data.y))
    if epochs < 1 or every < 1:
        raise ValueError(f"epochs = {epochs}, every = {every}; both must be at least 1.")
    theta = theta.detach()
    before_any = torch.empty(0, size, dtype=torch.int64)
    run = Run(theta, rule.init(theta), generator.get_state(), order=before_any, history={"objective": []})
    path = None if checkpoint is None else Path(checkpoint).expanduser()
    if path is not None:
        experiment = _experiment(objective, theta, rule, data, size, generator, prepare)
        checkpoints.tidy(path)
        if not path.exists():
            checkpoints.save(path, run._asdict(), experiment)
        run = Run(**checkpoints.load(path, experiment))
        if run.epoch > epochs:
            raise checkpoints.CheckpointError(
                f"{path} holds {run.epoch} epochs, more than the {epochs} asked for. Ask for {run.epoch}, or delete it to "
                f"start anew, or give another path; it was left as it is."
            )
        generator.set_state(run.generator)
    with tqdm(desc="training", total=epochs * (len(data.y) // size), initial=run.step) as bar:
        while run.epoch < epochs and not run.stop:
            order = run.order if run.values else _draw_order(len(data.y), size, generator)
            batch = take(data, order[len(run.values)])
            if prepare is not None:
                batch = prepare(batch, generator)
            where = f"at step {run.step + 1}, in epoch {run.epoch + 1}"
            theta, state, value = train_step(objective, run.theta, rule, run.state, batch, where)
            run = run._replace(theta=theta, state=state, order=order, values=(*run.values, value), step=run.step + 1)
            run = run._replace(generator=generator.get_state())
            if len(run.values) == len(order):
                run = _finish_epoch(run, callbacks)._replace(generator=generator.get_state())
            if path is not None and (not run.values or run.step % every == 0):
                checkpoints.save(path, run._asdict(), experiment)
            bar.update()
        if run.step < bar.total:  # a run that stopped early is complete, and its bar should look so
            bar.reset(total=run.step)
            bar.update(run.step)
    return run


def _finish_epoch(run: Run, callbacks: Sequence[Callback]) -> Run:
    run = run.record("objective", _mean(run.values, run.theta))._replace(values=(), epoch=run.epoch + 1)
    for callback in callbacks:
        run = callback(run)
    return run


def _experiment(
    objective: Callable[[Tensor, Data], Tensor],
    theta: Tensor,
    rule: UpdateRule,
    data: Data,
    size: int,
    generator: torch.Generator,
    prepare: Callable[[Data, torch.Generator], Data] | None,
) -> dict[str, str | int | float]:
    """What tells one experiment from another, as far as it can be seen from outside."""
    return {
        "number of parameters": len(theta),
        "number of examples": len(data.y),
        "batch size": size,
        "update rule": rule.text,
        "λ": float(objective.lam) if hasattr(objective, "lam") else "unknown",
        "augmentation": "unused" if prepare is None else "used",
        "seed": generator.initial_seed(),
        "checksum of θ_0": _checksum(theta),
        "checksum of the data": _checksum(*data),
    }


def _checksum(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy())
    return digest.hexdigest()[:12]


def predict(model: Callable[[Tensor, Tensor], Tensor], theta: Tensor, x: Tensor) -> Tensor:
    """Class with the largest output for each input, int64, shape (N,)."""
    with torch.no_grad():
        return model(theta, x).argmax(-1)


def accuracy(model: Callable[[Tensor, Tensor], Tensor], theta: Tensor, data: Data) -> float:
    """Share of examples whose largest output is at the true class, in [0, 1]; an empty data set is a ValueError."""
    if len(data.y) == 0:
        raise ValueError("The data set is empty; accuracy is a share of at least one example.")
    return (predict(model, theta, data.x) == data.y).double().mean().item()


def evaluate(
    model: Callable[[Tensor, Tensor], Tensor], theta: Tensor, data: Data, loss: Loss, size: int = 500
) -> Evaluation:
    """Risk, accuracy and predictions of M_θ on a classified data set, ``size`` examples at a time, without gradients.

    Each example counts once, those of a smaller last batch too.

    Parameters
    ----------
    model : callable
        (θ, x) → y.
    theta : Tensor
        Parameters, shape (p,).
    data : Data
        N ≥ 1 examples with class numbers, int64.
    loss : Loss
        One number per example.
    size : int
        Examples held in memory at once; it changes nothing but speed and memory.

    Returns
    -------
    Evaluation

    Raises
    ------
    ValueError
        If the data set is empty, its inputs or θ are not finite, inputs and labels differ in number, labels are no class numbers,
        or ``size`` is below 1.
    """
    check_data(data)
    check_theta(theta)
    if data.y.ndim != 1 or data.y.dtype != torch.int64:
        raise ValueError(
            f"Labels have shape {tuple(data.y.shape)} and type {data.y.dtype}; class numbers, int64 of shape (N,), are "
            f"expected. For real outputs use `metautil.risks.empirical_risk`."
        )
    if size < 1:
        raise ValueError(f"size = {size}; evaluate at least 1 example at a time.")
    losses, predicted = [], []
    with torch.no_grad():
        for x, y in zip(data.x.split(size), data.y.split(size), strict=True):
            outputs = model(theta, x)
            losses.append(loss(outputs, y))
            predicted.append(outputs.argmax(-1))
    classes = torch.cat(predicted)
    return Evaluation(torch.cat(losses).mean().item(), (classes == data.y).double().mean().item(), classes)


def check_theta(theta: Tensor) -> None:
    """Raise ValueError if θ holds numbers that are not finite."""
    broken = (~theta.isfinite()).nonzero()
    if len(broken):
        raise ValueError(
            f"θ has {len(broken)} of {len(theta)} entries that are NaN or infinite, the first at index {broken[0].item()}. "
            f"Start from finite parameters, for example model.init(generator)."
        )
