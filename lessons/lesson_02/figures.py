"""Figures of lesson 02, *Empirical risk*.

The empirical risk as a random function, and one still figure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from torch import Tensor

from lessons.shared.colours import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION
from metautil.linear import LinearPopulation, least_squares, linear
from metautil.printing import number
from metautil.risks import half_squared_error
from metautil.statistics import mean_interval
from metautil.tasks import Data
from metautil.widgets import Scene

COUNTS = (4, 8, 16, 32, 64, 128, 256, 512, 1024)
"""Sizes N of the data sets drawn, each twice the one before."""

PARAMETERS = (1, 2, 4, 8, 16)
"""Numbers of parameters p in `gap`."""


def constant_risks(y_star: Tensor) -> Figure:
    """Two losses over the error, and the risk of a constant c under each, with its minimiser; call `still` on it.

    Parameters
    ----------
    y_star : Tensor
        Labels, shape (N,), N odd.
    """
    figure = Figure(figsize=(8.4, 3.3), layout="constrained")
    left, right = figure.subplots(1, 2)
    labels, error = y_star.numpy(), np.linspace(-3, 3, 121)
    c = np.linspace(labels.min() - 1, labels.max() + 1, 401)
    errors = c[:, None] - labels
    for name, style, colour, marker, loss, kind, best in (
        ("½(y − y*)²", "-", BLUE, "o", lambda e: 0.5 * e**2, "mean", labels.mean()),
        ("|y − y*|", "--", VERMILION, "s", np.abs, "median", np.median(labels)),
    ):
        left.plot(error, loss(error), style, color=colour, label=name)
        risk = loss(errors).mean(1)
        right.plot(c, risk / risk.min(), style, color=colour)
        right.plot(best, loss(best - labels).mean() / risk.min(), marker, color=colour, markersize=8, linestyle="none",
                   label=f"{kind}, {number(best)}")  # fmt: skip
    right.plot(labels, np.full(len(labels), 0.6), "|", color=BLACK, markersize=12)
    right.text(labels[0], 0.75, "labels", fontsize=9)
    left.set(xlabel="error y − y*", ylabel="loss ℓ", title="two losses")
    right.set(xlabel="constant prediction c", ylabel="risk ÷ its minimum", ylim=(0.4, 4), title="two risks")
    left.legend()
    right.legend(loc="upper left")
    return figure


def risk_draws(sets: int = 50, at: float = 0.0, seed: int = 2) -> Scene:
    """Empirical risks of a slope for ``sets`` drawn data sets, and their spread at one fixed θ against N, (2.8) and (2.9).

    The slider sets ``N``, one of `COUNTS`; every N has draws of its own. Truth: y* = x + ε, both x and ε from N(0, 1).
    """
    population = LinearPopulation(torch.ones(1), noise=1.0)
    generator, means = torch.Generator().manual_seed(seed), {}
    for N in COUNTS:  # L_D(θ) = ½(yy − 2θ·xy + θ²·xx) with the means of y², xy, x²: three numbers a data set
        x, y = (part[..., 0] for part in population.draw(N, generator, (sets,)))
        means[N] = [(a * b).mean(1).numpy() for a, b in ((y, y), (x, y), (x, x))]

    def risks(N: int, theta: np.ndarray) -> np.ndarray:
        yy, xy, xx = (part[:, None] for part in means[N])
        return 0.5 * (yy - 2 * theta * xy + theta**2 * xx)

    grid = np.linspace(-1, 3, 61)
    true = population.risk(torch.as_tensor(grid)[:, None]).numpy()
    true_at = float(population.risk(torch.tensor([at])))
    spreads = {N: float(risks(N, np.array([at])).std(ddof=1)) for N in COUNTS}

    figure = Figure(figsize=(8.4, 3.9), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.set(xlabel="parameter θ (slope)", ylabel="risk", xlim=(-1, 3), ylim=(0, 4))
    left.set_title(f"{sets} data sets, {sets} risks", fontsize=10)
    left.axvline(at, color=ORANGE, linestyle=":", linewidth=1.5)
    curves = left.add_collection(LineCollection([], colors=BLUE, linewidths=0.7, alpha=0.45, label="L_D, one a draw"))
    (minima,) = left.plot([], [], ".", color=VERMILION, markersize=5, label="minimum of each")
    (truth,) = left.plot(grid, true, "--", color=BLACK, linewidth=2, label="true risk", zorder=4)
    right.set(xlabel="number of examples N", ylabel=f"spread of L_D at θ = {number(at)}", xscale="log", yscale="log")
    right.plot(COUNTS, [true_at * math.sqrt(2 / N) for N in COUNTS], "-", color=ORANGE, label="closed form")
    right.plot(COUNTS, [spreads[N] for N in COUNTS], "o", color=BLUE, markersize=5, label=f"measured, {sets} draws")
    right.set_xticks(COUNTS[::2], [str(N) for N in COUNTS[::2]])
    right.set_yticks((0.05, 0.1, 0.2, 0.5, 1), ["0.05", "0.1", "0.2", "0.5", "1"])
    right.minorticks_off()
    right.set_title("spread against N, both logarithmic", fontsize=10)
    (ring,) = right.plot([], [], "o", color=BLACK, markersize=12, markerfacecolor="none", markeredgewidth=2)
    right.legend(loc="upper right", fontsize=9)
    figure.legend(*left.get_legend_handles_labels(), loc="outside lower left", ncols=3, fontsize=9)

    def move(N: float) -> str:
        N = int(N)
        yy, xy, xx = means[N]
        values = risks(N, grid)
        curves.set_segments([np.column_stack([grid, row]) for row in values])
        lowest = 0.5 * (yy - xy**2 / xx)
        minima.set_data(xy / xx, lowest)
        ring.set_data([N], [spreads[N]])
        here = risks(N, np.array([at]))
        return (
            f"at θ = {number(at)}: spread {number(spreads[N])}, closed form {number(true_at * math.sqrt(2 / N))}, "
            f"mean {number(here.mean())}, true {number(true_at)} · mean of the {sets} minima {number(lowest.mean())}, "
            f"true minimum {number(0.5 * population.noise**2)}"
        )

    alt = (
        f"Left: {sets} thin parabolas, the empirical risks of {sets} drawn data sets, around the dashed true risk, with a dot at "
        "the minimum of each. Right: their spread at one parameter against N, points along a falling straight line on "
        "logarithmic axes."
    )
    return Scene(figure, [curves, minima, truth, ring], move, alt)


def risk_surface(sets: int = 100, seed: int = 2) -> Scene:
    """Data and line beside contours of empirical and true risk over (intercept, slope), (2.10), and a cloud of minimisers.

    Sliders set ``N``, one of `COUNTS`, ``sigma``, the noise σ, and ``draw``, the data set shown, 1 to ``sets``. Truth:
    y* = 1 + 2x + σε, both x and ε from N(0, 1). The dotted circle around the truth has radius σ√(5.99/N): for large N
    it holds 95% of the minimisers, since they are then nearly N(θ°, (σ²/N)·I).
    """
    truth = torch.tensor([1.0, 2.0])
    population = LinearPopulation(truth, noise=1.0, intercept=True)
    data = population.draw(COUNTS[-1], torch.Generator().manual_seed(seed), (sets,))
    noise = Data(data.x, data.y - linear(truth, data.x))  # the labels at θ° = 0 and σ = 1
    shift, root = {}, {}  # θ̂ − θ° per unit of noise; H_D^(−½)
    for N in COUNTS:
        part = Data(noise.x[:, :N], noise.y[:, :N])
        shift[N] = least_squares(part).numpy()
        values, vectors = torch.linalg.eigh(part.x.mT @ part.x / N)
        root[N] = (vectors * values.rsqrt()[:, None, :] @ vectors.mT).numpy()
    x, z = data.x[..., 1].numpy(), noise.y[..., 0].numpy()
    turn = np.linspace(0, 2 * np.pi, 73)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    radii = (0.5, 1.0, 1.5, 2.0)  # the true risk there is its minimum plus r²/2

    figure = Figure(figsize=(8.8, 4.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    edge = np.array([-3.4, 3.4])
    left.set(xlabel="input x", ylabel="label y*", xlim=edge, ylim=(-9, 11))
    left.set_title("one data set and its line", fontsize=10)
    (dots,) = left.plot([], [], "o", color=BLUE, markersize=3, alpha=0.6, label="examples")
    (fitted,) = left.plot([], [], "-", color=VERMILION, label="least squares")
    (line,) = left.plot(edge, 1 + 2 * edge, "--", color=BLACK, linewidth=1.5, label="true line", zorder=4)
    left.legend(loc="upper left", fontsize=9)
    right.set(xlabel="intercept θ₁", ylabel="slope θ₂", xlim=(-1.4, 3.4), ylim=(-0.4, 4.4), aspect="equal")
    right.set_title(f"risk contours, and {sets} minimisers", fontsize=10)
    for radius in radii:
        right.plot(*(truth.numpy()[:, None] + radius * circle), "--", color=GREY, linewidth=1,
                   label="true risk" if radius == 1 else None)  # fmt: skip
    contours = [
        right.plot([], [], "-", color=VERMILION, linewidth=1, label="empirical risk" if radius == 1 else None)[0]
        for radius in radii
    ]
    (cloud,) = right.plot([], [], ".", color=BLUE, markersize=4, label="minimisers")
    (ring,) = right.plot([], [], ":", color=BLUE, linewidth=2, label="95% circle")
    (best,) = right.plot(
        [], [], "D", color=VERMILION, markersize=7, markeredgecolor=BLACK, label="minimiser of this data set"
    )
    (star,) = right.plot(*truth.numpy(), "*", color=BLACK, markersize=11, label="true minimiser", zorder=4)
    figure.legend(*right.get_legend_handles_labels(), loc="outside right center", fontsize=9)

    def move(N: float, sigma: float, draw: float) -> str:
        N, index = int(N), int(draw) - 1
        away = sigma * shift[N]
        minimisers = truth.numpy() + away
        theta = minimisers[index]
        for contour, radius in zip(contours, radii, strict=True):
            contour.set_data(*(theta[:, None] + radius * root[N][index] @ circle))
        cloud.set_data(*minimisers.T)
        best.set_data(*theta[:, None])
        ring.set_data(*(truth.numpy()[:, None] + sigma * math.sqrt(5.991 / N) * circle))
        dots.set_data(x[index, :N], 1 + 2 * x[index, :N] + sigma * z[index, :N])
        fitted.set_data(edge, theta[0] + theta[1] * edge)
        residual = sigma * (z[index, :N] - shift[N][index, 0] - shift[N][index, 1] * x[index, :N])
        excess = 0.5 * (away**2).sum(1)
        inside = int((excess <= 0.5 * sigma**2 * 5.991 / N).sum())
        return (
            f"this minimiser: empirical risk {number(0.5 * (residual**2).mean())}, true risk "
            f"{number(0.5 * sigma**2 + excess[index])}, least possible {number(0.5 * sigma**2)} · {sets} draws: {inside} inside "
            f"the circle, mean excess {number(excess.mean())}"
        )

    alt = (
        "Left: points scattered about a dashed true line, with a fitted line. Right: over intercept and slope, dashed circles "
        "of the true risk around a star, tilted ellipses of one empirical risk around a diamond, and a cloud of minimisers "
        "of other draws with a dotted circle around it."
    )
    return Scene(figure, [dots, fitted, line, *contours, cloud, ring, best, star], move, alt)


def gap(sets: int = 200, seed: int = 2, counts: Sequence[int] = COUNTS[3:]) -> Scene:
    """Mean empirical and true risk of least squares against N, measured beside (2.13) and (2.15).

    Sliders set ``p``, one of `PARAMETERS`, and ``N``, one of ``counts``. All inputs are N(0, 1), the noise has σ = 1.
    """
    generator = torch.Generator().manual_seed(seed)
    measured = {}
    for p in PARAMETERS:
        population = LinearPopulation(torch.zeros(p), noise=1.0)
        for N in counts:
            data = population.draw(N, generator, (sets,))
            theta = least_squares(data)
            empirical = half_squared_error(linear(theta, data.x), data.y).mean(-1)
            measured[p, N] = [mean_interval(values.tolist()) for values in (empirical, population.risk(theta))]
    figure = Figure(figsize=(7.2, 3.8), layout="constrained")
    axes = figure.add_subplot(xlabel="number of examples N", ylabel="mean risk", xscale="log")
    axes.set(xlim=(counts[0] * 0.85, counts[-1] * 1.18), ylim=(0, 1.2))
    axes.set_xticks(counts, [str(N) for N in counts])
    axes.minorticks_off()
    axes.axhline(0.5, color=GREY, linestyle="--", linewidth=1.2, label="least possible, ½σ²")
    fine = np.geomspace(counts[0], counts[-1], 100)
    (test,) = axes.plot([], [], "-", color=VERMILION, label="true risk, closed form")
    (train,) = axes.plot([], [], "-.", color=BLUE, label="empirical risk, closed form")
    points = [
        axes.plot([], [], marker, color=colour, markersize=6, label=label)[0]
        for marker, colour, label in (("s", VERMILION, "true risk, measured"), ("o", BLUE, "empirical risk, measured"))
    ]
    (mark,) = axes.plot([], [], ":", color=BLACK, linewidth=1.5)
    (span,) = axes.plot([], [], "-", color=GREEN, linewidth=5, alpha=0.6, label="gap", solid_capstyle="butt")
    axes.legend(loc="upper right", fontsize=9)

    def move(p: float, N: float) -> str:
        p, N = int(p), int(N)
        test.set_data(fine, 0.5 * (1 + p / (fine - p - 1)))
        train.set_data(fine, 0.5 * (1 - p / fine))
        for artist, which in zip(points, (1, 0), strict=True):
            artist.set_data(counts, [measured[p, count][which].mean for count in counts])
        on_train, on_truth = measured[p, N]
        mark.set_data([N, N], [0, 1.2])
        span.set_data([N, N], [on_train.mean, on_truth.mean])
        closed = 0.5 * (p / N + p / (N - p - 1))
        return (
            f"mean empirical risk {number(on_train.mean)} ({number(on_train.low)} to "
            f"{number(on_train.high)}), mean true risk {number(on_truth.mean)} ({number(on_truth.low)} to "
            f"{number(on_truth.high)}) · gap {number(on_truth.mean - on_train.mean)}, closed form {number(closed)}"
        )

    alt = (
        "Mean risk of the least-squares fit against the number of examples. The true risk falls from above towards the dashed "
        "noise floor, the empirical risk rises towards it from below; measured points lie on both, and a bar marks the gap."
    )
    return Scene(figure, [mark, test, train, span, *points], move, alt)
