"""The λ/η explorer: what both do to a descent on two risks, with sliders; a scene for `metautil.widgets.show`."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Polygon

from lessons.shared.colours import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION
from lessons.shared.problems import FAR, STEPS, Outcome, Problem, outcome, problem, steepest
from metautil.printing import number
from metautil.widgets import Scene

LOOK = 30  # the step whose risks the read-out tells
ZERO = 0.004  # where λ = 0 stands on the logarithmic axis of the map
LEVELS = (0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
MAP_X, MAP_Y = (0.0028, 160.0), (7e-4, 4.0)


def explorer(name: str = "linear regression") -> Scene:
    """Risks of D and T in the plane with the descent, learning curves, and the map of stable settings.

    The sliders set ``eta`` and ``lam``, the step size η and λ; the choices ``rule`` ("derived" or "printed") and
    ``optimiser`` ("sgd", "momentum", "rmsprop" or "adam").

    Left: contours, path, and the point that each rule approaches if it converges, argmin L_D + λL_T for the derived
    and argmin L_D + (λ/η)L_T for the printed one; the grey line joins all such points, the ring is where halving η
    moves the one of the current rule. Right: below the line sgd converges (for a problem that is not convex: from
    near the limit point). With w the relative weight it is the line η·λmax(H_D + wH_T) = 2, drawn over λ = w for the
    derived and over λ = wη for the printed rule. The dotted line holds all settings with the present limit point.

    Parameters
    ----------
    name : str
        One of `lessons.shared.problems.PROBLEMS`: "linear regression", "quadratic" or "small network".
    """
    which = problem(name)
    weights = np.logspace(-5, 6, 221)
    edge = np.array([2 / steepest(which, weight) for weight in weights])
    figure = Figure(figsize=(10.4, 4.3), layout="constrained")
    plane, curves, chart = figure.subplots(1, 3, width_ratios=(1.25, 1, 1.05))
    _plane(plane, which, torch.stack([which.limit(weight) for weight in (0, *weights)]).numpy())
    (path,) = plane.plot([], [], "o-", color=BLACK, markersize=2.5, linewidth=0.9, zorder=4)
    (halved,) = plane.plot(
        [], [], "o", color=BLACK, markersize=15, markerfacecolor="none", zorder=5, label="limit at η/2"
    )
    (derived,) = plane.plot([], [], "D", color=GREEN, markersize=8, zorder=6, label="limit, derived")
    (printed,) = plane.plot([], [], "^", color=VERMILION, markersize=9, zorder=6, label="limit, printed")
    _legend(plane, columns=3)

    curves.axvline(LOOK, color=GREY, linewidth=0.8, linestyle=":")
    curves.set(xlabel="step k", ylabel="risk", yscale="log", xlim=(0, STEPS), ylim=(3e-4, 30))
    curves.set_title("learning curves", fontsize=10)
    (curve_D,) = curves.plot([], [], "-", color=BLUE, linewidth=1.8, label="L_D")
    (curve_T,) = curves.plot([], [], "--", color=ORANGE, linewidth=1.8, label="L_T")
    _legend(curves, columns=2)

    chart.set(xlabel="λ", ylabel="step size η", xscale="log", yscale="log", xlim=MAP_X, ylim=MAP_Y)
    chart.set_xticks([ZERO, 0.01, 0.1, 1, 10, 100], ["0", "0.01", "0.1", "1", "10", "100"], fontsize=8)
    chart.set_xticks([], minor=True)
    chart.set_title("where sgd converges" if which.convex else "where sgd stays at the limit", fontsize=10)
    runaway = Polygon(np.ones((3, 2)), closed=True, facecolor=GREY, alpha=0.35, zorder=1)
    chart.add_patch(runaway)
    (last,) = chart.plot([], [], "-", color=BLACK, linewidth=1.6, zorder=2, label="last stable η")
    (first,) = chart.plot([], [], "--", color=BLACK, linewidth=1, zorder=2, label="oscillates above")
    (same,) = chart.plot([], [], ":", color=GREEN, linewidth=2, zorder=2, label="same limit")
    (here,) = chart.plot([], [], "o", color=BLACK, markersize=9, markerfacecolor=ORANGE, zorder=4)
    words = [
        chart.text(25, 1.5, "diverges" if which.convex else "leaves it", fontsize=9, ha="center", zorder=3),
        chart.text(0.02, 0.0013, "converges" if which.convex else "stays", fontsize=9, ha="center", zorder=3),
    ]
    _legend(chart, columns=2)

    def move(eta: float, lam: float, rule: str, optimiser: str) -> str:
        found = outcome(which, eta, lam, rule, optimiser)
        path.set_data(*_seen(found.path.numpy(), which).T)
        for marker, weight in ((derived, lam), (printed, lam / eta)):
            marker.set_data(*which.limit(weight).numpy()[:, None])
        for marker, its in ((derived, "derived"), (printed, "printed")):
            marker.set_markerfacecolor(marker.get_color() if rule == its else "none")
        weight_if_halved = lam if rule == "derived" else 2 * lam / eta
        halved.set_data(*which.limit(weight_if_halved).numpy()[:, None])
        risk_D, risk_T = (risk.clamp(1e-6, 1e5).numpy() for risk in (found.risk_D, found.risk_T))
        curve_D.set_data(np.arange(STEPS + 1), risk_D)
        curve_T.set_data(np.arange(STEPS + 1), risk_T)

        lams = weights if rule == "derived" else weights * edge
        last.set_data(lams, edge)
        half = weights if rule == "derived" else weights * edge / 2
        first.set_data(half, edge / 2)
        corners = [(1e7, edge[-1]), (1e7, 10.0), (lams[0], 10.0)]
        runaway.set_xy(np.concatenate([np.stack([lams, edge], 1), corners]))
        heights = np.array([1e-5, 10.0])
        along = np.array([lam, lam]) if rule == "derived" else found.weight * heights
        same.set_data(np.where(along > 0, along, ZERO), heights)
        here.set_data([np.clip(lam, ZERO, MAP_X[1]) if lam else ZERO], [np.clip(eta, *MAP_Y)])
        return _readout(found, rule, optimiser, which)

    alt = (
        "Left: contours of the risks of D and T, the path of a descent from a square, and the limit points of both rules on a "
        "line from D's minimum to T's. Middle: both risks against the step on a logarithmic axis. Right: the plane of λ and η "
        "with the region where sgd diverges in grey, the current setting, and a dotted line of settings with the same limit."
    )
    moving = [path, halved, derived, printed, curve_D, curve_T, runaway, last, first, same, here, *words]
    return Scene(figure, moving, move, alt)


def _plane(axes: Axes, which: Problem, limits: np.ndarray) -> None:
    """What does not move on the left: contours, the line of limit points, both minima, the start."""
    x, y = np.meshgrid(*(np.linspace(*span, 121) for span in which.window))
    for risk, colour, style in zip(
        which.risks(torch.from_numpy(np.stack([x, y], -1))), (BLUE, ORANGE), ("solid", "dashed"), strict=True
    ):
        axes.contour(x, y, risk.numpy(), levels=LEVELS, colors=colour, linestyles=style, linewidths=0.8, alpha=0.8)
    axes.plot(*limits.T, color=GREY, linewidth=3, alpha=0.6, zorder=3)
    for place, letter, colour in ((limits[0], "D", BLUE), (limits[-1], "T", ORANGE)):
        axes.plot(*place, "*", color=colour, markeredgecolor=BLACK, markersize=13, zorder=3)
        axes.annotate(letter, place, (0, 9), textcoords="offset points", color=BLACK, fontweight="bold", ha="center")
    axes.plot(*which.start.numpy(), "s", color=BLACK, markersize=7, zorder=3)
    axes.plot([], [], color=BLUE, linewidth=1, label="contours of L_D")
    axes.plot([], [], "--", color=ORANGE, linewidth=1, label="contours of L_T")
    axes.set(xlabel=which.labels[0], ylabel=which.labels[1], xlim=which.window[0], ylim=which.window[1])
    axes.set_title(f"descent from the square, {STEPS} steps", fontsize=10)


def _legend(axes: Axes, columns: int) -> None:
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=columns, fontsize=8, frameon=False,
                markerscale=0.65, handlelength=1.6, columnspacing=1.0, handletextpad=0.5)  # fmt: skip


def _seen(path: np.ndarray, which: Problem) -> np.ndarray:
    """The path, with what lies far outside the window pulled to finite places outside of it."""
    low, high = np.array(which.window).T
    width = high - low
    return path.clip(low - 2 * width, high + 2 * width)


def _readout(found: Outcome, rule: str, optimiser: str, which: Problem) -> str:
    def risk(value: torch.Tensor) -> str:
        return number(value) if value < FAR else "over 1e+06"

    weight = f"relative weight {'λ' if rule == 'derived' else 'λ/η'} = {number(found.weight)}"
    away = (found.path[LOOK] - found.limit).norm()
    distance = number(away) if away >= 1e-6 else "below 1e-06"
    verdict = found.verdict if found.exact else f"{found.verdict} (seen in {STEPS} steps)"
    parts = [
        f"after {LOOK} steps L_D = {risk(found.risk_D[LOOK])}, L_T = {risk(found.risk_T[LOOK])}",
        weight,
        verdict,
        f"{distance if away < FAR else 'over 1e+06'} from the limit point",
    ]
    if optimiser != "sgd":
        parts.append("the map is sgd's")
    return " · ".join(parts)
