"""Figures of lesson 04, *Two risks, one λ*.

Two risks and one weight: path and front over λ, a front with a dent, the stability of two rules.
"""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from lessons.shared.colours import BLACK, BLUE, GREEN, GREY, ORANGE, SKY, VERMILION
from metautil.printing import number
from metautil.tasks import Data
from metautil.updates import derived, descend, printed, sgd
from metautil.widgets import Scene


def _moments(data: Data) -> tuple[Tensor, Tensor]:
    """H = XᵀX/N and b = Xᵀy*/N of linear regression, formula (4.1)."""
    return data.x.T @ data.x / len(data.y), (data.x.T @ data.y).squeeze(1) / len(data.y)


def _risk(theta: Tensor, data: Data) -> Tensor:
    """Mean of ½(xθ − y*)² for parameters (..., 2)."""
    return 0.5 * (theta @ data.x.T - data.y[:, 0]).square().mean(-1)


def two_risks(D: Data, T: Data) -> Scene:
    """Linear regression on L_D + λ L_T: the fitted line, θ(λ) over contours of both risks, and the Pareto front.

    The slider sets ``lam``, the weight λ of the new task (0 is allowed).

    Parameters
    ----------
    D, T : Data
        Inputs (N, 2), rows (1, x); labels (N, 1).
    """
    (H_D, b_D), (H_T, b_T) = _moments(D), _moments(T)

    def minimiser(lam: float) -> Tensor:
        return torch.linalg.solve(H_D + lam * H_T, b_D + lam * b_T)

    lams = [0.0, *np.geomspace(1e-3, 1e4, 200)]
    path = torch.stack([minimiser(lam) for lam in lams])
    front_D, front_T = _risk(path, D), _risk(path, T)
    ends = minimiser(0), torch.linalg.solve(H_T, b_T)
    figure = Figure(figsize=(10.2, 3.7), layout="constrained")
    left, middle, right = figure.subplots(1, 3)

    x = torch.cat([D.x, T.x])[:, 1]
    span = torch.stack([torch.ones(2), torch.stack([x.min() - 0.2, x.max() + 0.2])], 1)
    left.plot(D.x[:, 1].numpy(), D.y.numpy(), "o", color=BLUE, markersize=4, label="data D")
    left.plot(T.x[:, 1].numpy(), T.y.numpy(), "s", color=ORANGE, markersize=6, label="new task T")
    left.set(xlabel="input x", ylabel="label y*")
    left.set_title("one line for both", fontsize=10)
    left.legend(loc="upper left", fontsize=9)
    left.set_ylim(*left.get_ylim())

    low, high = path.min(0).values - 0.6, path.max(0).values + 0.6
    u, v = np.meshgrid(*(np.linspace(a, b, 81) for a, b in zip(low.tolist(), high.tolist(), strict=True)))
    grid = torch.as_tensor(np.stack([u, v], -1), dtype=path.dtype)
    levels = [0.1, 0.4, 1.0, 2.0, 4.0]
    middle.contour(u, v, _risk(grid, D).numpy(), levels=levels, colors=BLUE, linewidths=0.8)
    middle.contour(u, v, _risk(grid, T).numpy(), levels=levels, colors=ORANGE, linewidths=0.8, linestyles="--")
    middle.plot(*path.T.numpy(), color=BLACK, linewidth=1.5)
    middle.plot(*ends[0].tolist(), "o", color=BLUE, markersize=9, label="argmin of D's risk")
    middle.plot(*ends[1].tolist(), "s", color=ORANGE, markersize=9, label="argmin of T's risk")
    middle.set(xlabel="θ₁, intercept", ylabel="θ₂, slope")
    middle.set_title("path θ(λ) over both risks", fontsize=10)
    middle.legend(loc="lower left", fontsize=8, frameon=True)

    right.plot(front_T.numpy(), front_D.numpy(), color=BLACK, linewidth=1.5, label="Pareto front")
    right.plot([0, 4], [0, 4], ":", color=GREY, linewidth=1, label="both risks equal")
    right.set(xlabel="risk on T", ylabel="risk on D")
    right.set(xlim=(-0.2, 1.05 * float(front_T.max())), ylim=(-0.3, 1.05 * float(front_D.max())))
    right.set_title("the same path as a front", fontsize=10)
    (tangent,) = right.plot([0, 1], [0, 1], "--", color=GREEN, linewidth=2.5, label="tangent, slope −λ")
    right.legend(loc="upper right", fontsize=9)
    (line,) = left.plot([0, 1], [0, 0], "-", color=BLACK, linewidth=2)
    ring = {"color": BLACK, "markersize": 10, "markerfacecolor": GREEN, "markeredgewidth": 1.5}
    (here,) = middle.plot([], [], "D", **ring)
    (on_front,) = right.plot([], [], "D", **ring)
    width, height = np.diff(right.get_xlim())[0], np.diff(right.get_ylim())[0]

    def move(lam: float) -> str:
        theta = minimiser(lam)
        on_D, on_T = float(_risk(theta, D)), float(_risk(theta, T))
        line.set_data(span[:, 1].numpy(), (span @ theta).numpy())
        here.set_data(*theta[:, None].numpy())
        on_front.set_data([on_T], [on_D])
        reach = 0.35 / np.hypot(1 / width, lam / height)  # a fixed length on the page
        tangent.set_data([on_T - reach, on_T + reach], [on_D + lam * reach, on_D - lam * reach])
        return (
            f"θ(λ) = ({number(theta[0])}, {number(theta[1])}) · risk on D {number(on_D)} · risk on T {number(on_T)} · "
            f"the larger of the two {number(max(on_D, on_T))}"
        )

    alt = (
        "Left: points of the data D along a rising line, a few points of the task T along a falling one, and the fitted line. "
        "Middle: contours of both risks over intercept and slope, and a curved path from D's minimum to T's. Right: the front, "
        "a falling convex curve of the risk on D against the risk on T, with a dashed tangent at the chosen weight."
    )
    return Scene(figure, [line, here, tangent, on_front], move, alt)


def dented_front(theta: Tensor, risk_D: Tensor, risk_T: Tensor, lams: tuple[float, ...]) -> Figure:
    """Weighted sums of two risks of one parameter, and their front with the part no λ reaches; call `still` on it.

    Parameters
    ----------
    theta : Tensor
        Grid from the minimiser of one risk to that of the other, shape (n,). All of it is taken to be Pareto-optimal.
    risk_D, risk_T : Tensor
        Shape (n,).
    lams : tuple of float
        Weights whose sums are drawn, at most four. What is reached is found over many more.
    """
    sums = risk_D + torch.logspace(-3, 3, 2000)[:, None] * risk_T
    reached = sums.argmin(1).unique()  # ascending positions on the grid
    first = int(reached.diff().argmax())
    first, last = int(reached[first]), int(reached[first + 1])  # the two sides of the widest gap
    theta, risk_D, risk_T = theta.numpy(), risk_D.numpy(), risk_T.numpy()
    figure = Figure(figsize=(8.6, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    for lam, colour, style in zip(lams, (BLUE, BLACK, VERMILION, GREEN), ("-", "--", "-.", ":"), strict=False):
        mean = (risk_D + lam * risk_T) / (1 + lam)
        left.plot(theta, mean, style, color=colour, label=f"λ = {number(lam)}")
        lowest = mean <= mean.min() + 1e-9  # two where they tie
        left.plot(theta[lowest], mean[lowest], "v", color=colour, markersize=9)
    left.set(xlabel="parameter θ", ylabel="(risk D + λ · risk T) / (1 + λ)")
    left.set_title("the minimum (▼) jumps", fontsize=10)
    left.legend(fontsize=9)
    for part, label in ((slice(0, first + 1), "reached by some λ"), (slice(last, None), None)):
        right.plot(risk_T[part], risk_D[part], color=BLUE, linewidth=4, label=label)
    right.plot(risk_T[first : last + 1], risk_D[first : last + 1], "--", color=VERMILION, label="reached by no λ")
    ends = [first, last]
    right.plot(risk_T[ends], risk_D[ends], ":", color=GREY, label="chord across the dent")
    right.set(xlabel="risk on T", ylabel="risk on D")
    right.set_title("the front and its dent", fontsize=10)
    right.legend(loc="lower left", fontsize=9)
    return figure


def stability_map(D: Data, T: Data, steps: int = 60) -> Scene:
    """Where the derived and the printed rule converge in the (λ, η) plane: from eigenvalues, and simulated on a grid.

    The shaded region is that of formulas (4.12) and (4.13). A dot is a simulated walk whose distance from its fixed point
    shrank in the second half of ``steps`` (or is nothing but rounding), a cross one that grew. Sliders set ``lam`` and
    ``eta``, the marked point.

    Parameters
    ----------
    D, T : Data
        Inputs (N, p), labels (N, 1).
    steps : int
        Length of the simulated walks.
    """
    (H_D, b_D), (H_T, b_T) = _moments(D), _moments(T)
    lams, etas = np.geomspace(0.01, 100, 121), np.geomspace(0.01, 3, 101)

    def matrix(name: str, lam: Tensor, eta: Tensor) -> Tensor:
        """The step matrix is 1 minus this."""
        lam, eta = (torch.as_tensor(value, dtype=H_D.dtype)[..., None, None] for value in (lam, eta))
        return eta * H_D + lam * H_T if name == "printed" else eta * (H_D + lam * H_T)

    def converges(name: str, lam: float, eta: float) -> bool:
        rule = printed(eta, lam) if name == "printed" else derived(lam, sgd(eta))
        weight = lam / eta if name == "printed" else lam
        limit = torch.linalg.solve(H_D + weight * H_T, b_D + weight * b_T)
        path = descend(rule, lambda theta: (H_D @ theta - b_D, H_T @ theta - b_T), torch.zeros_like(b_D), steps)
        away = (path[[steps // 2, steps]] - limit).abs().max(1).values
        return bool(away[1] < max(away[0], 1e-9))  # at the fixed point only rounding is left

    figure = Figure(figsize=(9.6, 4.0), layout="constrained")
    crosses = {}
    for name, axes in zip(("derived", "printed"), figure.subplots(1, 2, sharey=True), strict=True):
        largest = torch.linalg.eigvalsh(matrix(name, lams[None, :], etas[:, None]))[..., -1].numpy()
        axes.contourf(lams, etas, largest, levels=[0, 2], colors=[SKY], alpha=0.35)
        axes.contour(lams, etas, largest, levels=[2], colors=BLUE)
        tried = [(lam, eta) for lam in np.geomspace(0.0137, 73, 13) for eta in np.geomspace(0.0133, 2.26, 9)]
        for verdict, style, label in ((True, ".", "simulated: converged"), (False, "x", "simulated: diverged")):
            dots = np.array([pair for pair in tried if converges(name, *pair) is verdict])
            axes.plot(*dots.T, style, color=BLACK if verdict else VERMILION, markersize=5, label=label)
        axes.set(xscale="log", yscale="log", xlim=(0.0085, 118), ylim=(0.0085, 3.6), xlabel="λ")
        axes.set_title(f"{name} rule: region from eigenvalues", fontsize=10)
        (crosses[name],) = axes.plot(
            [], [], "D", color=BLACK, markersize=11, markerfacecolor=ORANGE, markeredgewidth=1.5
        )
    figure.axes[0].set_ylabel("η, step size")
    border = 2 / float(torch.linalg.eigvalsh(H_T)[-1])
    figure.axes[1].axvline(border, color=GREEN, linestyle="--", linewidth=1.5, label=f"λ = 2/L(H_T) = {number(border)}")
    figure.legend(*figure.axes[1].get_legend_handles_labels(), loc="outside lower center", ncols=3, fontsize=9)

    def move(lam: float, eta: float) -> str:
        parts = []
        for name, cross in crosses.items():
            cross.set_data([lam], [eta])
            factors = 1 - torch.linalg.eigvalsh(matrix(name, lam, eta))
            size = float(factors.abs().max())
            weight = lam / eta if name == "printed" else lam
            verdict = "converges" if size < 1 else "does not converge"
            parts.append(f"{name}: weight of T {number(weight)}, slowest factor {number(size)}, {verdict}")
        return " · ".join(parts)

    alt = (
        "Two maps over λ and η on logarithmic axes. Left, the derived rule: the stable region narrows to small step sizes as λ "
        "grows. Right, the printed rule: the stable region ends at one λ for all step sizes, marked by a dashed line. Dots and "
        "crosses of simulated walks agree with the shaded regions."
    )
    return Scene(figure, list(crosses.values()), move, alt)
