"""Learning to adapt on bowls: where each learner's initialisation lies, and what a learner without Hessians misses."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from metautil.plots.base import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION
from metautil.printing import number
from metautil.sliders import Scene

MARKS = {
    "joint": ("o", BLUE, "-"),
    "MAML": ("D", VERMILION, "--"),
    "FOMAML": ("^", ORANGE, "-."),
    "Reptile": ("s", GREEN, ":"),
}
LOOK = 10  # steps of the curves


def _shrinking(curvatures: Tensor, alpha: float, steps: int) -> Tensor:
    """(I − αA_t)^K, shape (T, p, p): what K steps leave of the distance from each task's minimum."""
    return torch.linalg.matrix_power(torch.eye(curvatures.shape[-1]) - alpha * curvatures, steps)


def _initialisations(curvatures: Tensor, optima: Tensor, alpha: float, steps: int) -> dict[str, Tensor]:
    """The stationary point (9.9) of each learner, with the weights (9.10)."""
    left = _shrinking(curvatures, alpha, steps)
    weights = {
        "joint": curvatures,
        "MAML": left @ curvatures @ left,
        "FOMAML": curvatures @ left,
        "Reptile": torch.eye(curvatures.shape[-1]) - left,
    }
    return {
        name: torch.linalg.solve(W.sum(0), (W @ optima.unsqueeze(-1)).sum(0)).squeeze(-1) for name, W in weights.items()
    }


def adaptation_map(curvatures: Tensor, optima: Tensor) -> Scene:
    """Bowls of two parameters, the initialisation of four learners among them, and adaptation from a start of your own.

    Left: the minimum and two contours of each task's risk, the stationary points (9.9) of joint training, MAML, FOMAML
    and Reptile, and the path of K gradient steps into each task from the start. Right: the mean risk over the tasks after
    k steps, from each initialisation and from the start; a line marks k = K.

    Sliders set ``alpha``, the inner step size α, ``steps``, their number K (at most 10), and the coordinates ``u`` and ``v``
    of the start.

    Parameters
    ----------
    curvatures : Tensor
        A_t, shape (T, 2, 2), T at most 5.
    optima : Tensor
        c_t, shape (T, 2).
    """
    figure = Figure(figsize=(10.2, 4.9), layout="constrained")
    plane, curves = figure.subplots(1, 2, width_ratios=(1.15, 1))
    grid = torch.linspace(-2, 2, 121)
    points = torch.stack(torch.meshgrid(grid, grid, indexing="xy"), -1)
    for index, (A, c, style) in enumerate(
        zip(curvatures, optima, ("solid", "dashed", "dotted", "dashdot", "solid"), strict=False), start=1
    ):
        risk = 0.5 * ((points - c) @ A * (points - c)).sum(-1)
        plane.contour(grid, grid, risk.numpy(), levels=[0.02, 0.1], colors=GREY, linestyles=style, linewidths=1.1)
        plane.plot(*c.tolist(), "*", color=BLACK, markersize=12, zorder=3)
        plane.annotate(f"$c_{index}$", c.tolist(), (7, 5), textcoords="offset points", fontsize=11)
    plane.set(xlabel="θ₁", ylabel="θ₂", xlim=(-2, 2), ylim=(-1.6, 1.9), aspect="equal")
    plane.set_title("minima ★ with their bowls, K steps from your start", fontsize=10)
    curves.set(
        xlabel="step k of adapting", ylabel="mean risk over the tasks", yscale="log", xlim=(0, LOOK), ylim=(5e-3, 3)
    )
    curves.set_title("what each initialisation becomes", fontsize=10)

    paths = [plane.plot([], [], ".-", color=BLACK, linewidth=1.2, markersize=6, zorder=4)[0] for _ in curvatures]
    size = {"markersize": 9, "markeredgecolor": BLACK, "markeredgewidth": 0.8}
    spots, lines = {}, {}
    for name, (mark, colour, style) in MARKS.items():
        (spots[name],) = plane.plot([], [], mark, color=colour, zorder=5, **size)
        (lines[name],) = curves.plot(
            [], [], style + mark, color=colour, linewidth=1.5, label=name, **{**size, "markersize": 5}
        )
    spots["joint"].set_markersize(14)  # seen around Reptile's square, which lies on it where K = 1
    (spots["yours"],) = plane.plot([], [], "P", color="white", zorder=6, **{**size, "markersize": 12})
    (lines["yours"],) = curves.plot(
        [], [], "-P", color=BLACK, markerfacecolor="white", linewidth=1, label="yours", markersize=7
    )
    curves.legend(loc="lower left", fontsize=9)
    (here,) = curves.plot([0, 0], [1e-9, 1e3], color=GREY, linewidth=1.2)

    def move(alpha: float, steps: int, u: float, v: float) -> str:
        found = {**_initialisations(curvatures, optima, alpha, steps), "yours": torch.tensor([u, v])}
        left = torch.stack([_shrinking(curvatures, alpha, k) for k in range(LOOK + 1)])  # (steps, T, 2, 2)
        after = {}
        for name, phi in found.items():
            away = (left @ (phi - optima).unsqueeze(-1)).squeeze(-1)  # θ_k − c, (steps, T, 2)
            risks = 0.5 * torch.einsum("kti,tij,ktj->kt", away, curvatures, away).mean(1)
            spots[name].set_data(*phi.numpy()[:, None])
            lines[name].set_data(np.arange(LOOK + 1), risks.clamp(min=1e-9).numpy())
            after[name] = risks[steps]
        for path, walked in zip(paths, (away + optima)[: steps + 1].unbind(1), strict=True):  # of "yours", the last
            path.set_data(*walked.T.numpy())
        here.set_xdata([steps, steps])
        place = ", ".join(number(entry, 2) for entry in found["MAML"])
        risks = " · ".join(f"{name} {number(risk)}" for name, risk in after.items())
        return f"mean risk after {steps} step{'s' * (steps > 1)}: {risks} · MAML starts at ({place})"

    alt = (
        "Left: three minima, each with two elliptic contours of its own shape; among them the marks of four learners, joint a "
        "circle, MAML a diamond, FOMAML a triangle and Reptile a square, and paths from a start marked by a plus into each "
        "task. Right: mean risk over the tasks against the number of adaptation steps, a curve for each learner and one for "
        "your start, with a vertical line at the chosen number of steps."
    )
    return Scene(figure, [*paths, *spots.values(), *lines.values(), here], move, alt)


def first_order_error(alphas: Tensor, errors: dict[int, Tensor], dropped: Tensor) -> Figure:
    """Relative error of FOMAML's gradient against α on two logarithmic axes; call `still` on it.

    Parameters
    ----------
    alphas : Tensor
        Inner step sizes α, shape (n,).
    errors : dict of int to Tensor
        Number of inner steps K → ‖FOMAML − MAML‖ / ‖MAML‖ at each α, shape (n,).
    dropped : Tensor
        The first-order prediction for one step, shape (n,); a straight line of slope 1.
    """
    figure = Figure(figsize=(6.4, 3.6), layout="constrained")
    axes = figure.add_subplot(xlabel="inner step size α", ylabel="relative error of FOMAML", xscale="log", yscale="log")
    for (steps, values), mark, colour in zip(errors.items(), "o^sD", (BLUE, VERMILION, GREEN, ORANGE), strict=False):
        axes.plot(alphas.numpy(), values.numpy(), "-" + mark, color=colour, markersize=5, markevery=3, linewidth=1.5,
                  label=f"K = {steps}")  # fmt: skip
    axes.plot(alphas.numpy(), dropped.numpy(), "--", color=BLACK, linewidth=1.2, label="K = 1, to first order in α")
    axes.legend()
    return figure
