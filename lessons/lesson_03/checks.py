"""Checks of lesson 03, *The gradient update*."""

from __future__ import annotations

import torch
from torch import Tensor

from lessons.shared.checks import Exercise, Mistake
from lessons.shared.inputs import real, whole

# Exercise 3.1: gradient of the empirical risk of linear regression


def _line_inputs(generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    count, width = whole(generator, 3, 9), whole(generator, 2, 4)
    return real(generator, width), real(generator, count, width), real(generator, count)


def _line_gradient(theta: Tensor, x: Tensor, y_star: Tensor) -> Tensor:
    return x.T @ (x @ theta - y_star) / len(y_star)


check_line_gradient = Exercise(
    number="3.1",
    call="answer_1(theta, x, y_star) with shapes (p,), (N, p), (N,)",
    reference=_line_gradient,
    inputs=_line_inputs,
    mistakes=(
        Mistake(
            "Every entry is twice what it should be: the ½ of the loss is missing",
            lambda theta, x, y_star: 2 * _line_gradient(theta, x, y_star),
            "Differentiate ½(y − y*)² once more by hand. What does the ½ do to the 2 that comes down?",
            "∂ℓ/∂y is y − y*, not 2(y − y*).",
            "Drop the factor 2: the residual enters once, x.T @ (x @ theta - y_star), then the mean over N.",
        ),
        Mistake(
            "Every entry is N times what it should be: a sum stands where L_D has a mean",
            lambda theta, x, y_star: len(y_star) * _line_gradient(theta, x, y_star),
            "Copy every example once, so that N doubles. Should the gradient of a mean change?",
            "L_D begins with 1/N, and a derivative keeps constant factors.",
            "Divide by the number of examples, len(y_star).",
        ),
        Mistake(
            "Every entry has the wrong sign: the residual is y* − y",
            lambda theta, x, y_star: -_line_gradient(theta, x, y_star),
            "If a prediction is too large, should the risk rise or fall as it grows further?",
            "∂ℓ/∂y = y − y*: prediction minus label.",
            "Swap the two terms: x @ theta - y_star. The minus of the update rule comes later, in the step.",
        ),
        Mistake(
            "The factor x_i is missing: this is the derivative by the predictions, not by θ",
            lambda theta, x, y_star: (x @ theta - y_star) / len(y_star),
            "What shape has your result, and what shape has θ?",
            "The chain rule has two links: ∂ℓ/∂y, and ∂y/∂θ.",
            "∂(x_i·θ)/∂θ = x_i, so every residual multiplies its x_i: x.T @ residual.",
        ),
        Mistake(
            "The mean runs over the p parameters instead of the N examples",
            lambda theta, x, y_star: x.T @ (x @ theta - y_star) / len(theta),
            "Which axis of x counts examples?",
            "x has shape (N, p); the risk is a mean over N.",
            "Divide by len(y_star), not by len(theta).",
        ),
    ),
    praise="The ½ cancels the 2, the 1/N stays, and each residual pulls along its own x.",
)


# Exercise 3.2: gradient by the first layer's weights of a two-layer network


def _network_inputs(generator: torch.Generator) -> tuple[Tensor, ...]:
    count, inputs, hidden, outputs = (whole(generator, 2, 6) for _ in range(4))
    return (
        real(generator, count, inputs),
        real(generator, count, outputs),
        real(generator, inputs, hidden),
        real(generator, hidden),
        real(generator, hidden, outputs),
        real(generator, outputs),
    )


def _hidden(x: Tensor, W1: Tensor, b1: Tensor) -> Tensor:
    return torch.tanh(x @ W1 + b1)


def _residual(x: Tensor, y_star: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    return _hidden(x, W1, b1) @ W2 + b2 - y_star


def _W1_gradient(x: Tensor, y_star: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    back = _residual(x, y_star, W1, b1, W2, b2) @ W2.T
    return x.T @ (back * (1 - _hidden(x, W1, b1) ** 2)) / len(x)


def _without_slope(x: Tensor, y_star: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    return x.T @ (_residual(x, y_star, W1, b1, W2, b2) @ W2.T) / len(x)


def _slope_at_input(x: Tensor, y_star: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    back = _residual(x, y_star, W1, b1, W2, b2) @ W2.T
    return x.T @ (back * (1 - (x @ W1 + b1) ** 2)) / len(x)


def _double_tanh(x: Tensor, y_star: Tensor, W1: Tensor, b1: Tensor, W2: Tensor, b2: Tensor) -> Tensor:
    back = _residual(x, y_star, W1, b1, W2, b2) @ W2.T
    return x.T @ (back * (1 - torch.tanh(_hidden(x, W1, b1)) ** 2)) / len(x)


check_W1_gradient = Exercise(
    number="3.2",
    call="answer_2(x, y_star, W1, b1, W2, b2) with shapes (N, d), (N, C), (d, h), (h,), (h, C), (C,)",
    reference=_W1_gradient,
    inputs=_network_inputs,
    mistakes=(
        Mistake(
            "The slope of tanh is missing: the signal passes back through W2 but not through the activation",
            _without_slope,
            "Between W1 and the output stand two mappings. Through which one has the error not passed yet?",
            "Going back through h = tanh(a) multiplies by tanh'(a), entry by entry.",
            "Multiply (residual @ W2.T) by (1 - h**2) before x.T comes.",
        ),
        Mistake(
            "The slope of tanh is written 1 − a² with a = xW₁ + b₁; it is 1 − h² with h = tanh(a)",
            _slope_at_input,
            "At a = 3 the tanh is nearly flat. What does your slope say there?",
            "tanh'(a) = 1 − tanh(a)².",
            "Use h = torch.tanh(x @ W1 + b1) and 1 - h**2.",
        ),
        Mistake(
            "tanh has been applied twice in its slope: 1 − tanh(h)² instead of 1 − h²",
            _double_tanh,
            "Is h before or after the activation?",
            "h already is tanh(a); the slope by h's own value is 1 − h².",
            "Write 1 - h**2 where you wrote 1 - torch.tanh(h)**2.",
        ),
        Mistake(
            "Every entry is N times what it should be: a sum stands where L_D has a mean",
            lambda *arguments: len(arguments[0]) * _W1_gradient(*arguments),
            "Copy every example once. Should the gradient of a mean change?",
            "The 1/N of L_D stays in front through the whole chain.",
            "Divide by len(x) at the end.",
        ),
        Mistake(
            "Every entry is twice what it should be: the ½ of the loss is missing",
            lambda *arguments: 2 * _W1_gradient(*arguments),
            "Where does the chain begin, and what is the derivative of ½(y − y*)² by y?",
            "The first link is ∂ℓ/∂y = y − y*.",
            "Start from residual = y - y_star, without a 2.",
        ),
        Mistake(
            "This is the gradient of torch's mse_loss: no ½, and a mean over the outputs too",
            lambda *arguments: 2 * _W1_gradient(*arguments) / arguments[1].shape[1],
            "By which factor do mse_loss and the loss of this course differ? Section 2 has measured it.",
            "The chain begins with ∂ℓ/∂y = y − y*, and only the N examples are averaged.",
            "Take residual = y - y_star without a 2, and divide by len(x).",
        ),
        Mistake(
            "The output's own mean has come in: divided by N·C, as mse_loss does, instead of N",
            lambda *arguments: _W1_gradient(*arguments) / arguments[1].shape[1],
            "Which axes does the ½ Σ_c of the loss sum over, and which does the risk average over?",
            "The loss sums over the C outputs; only the examples are averaged.",
            "Divide by len(x), not by y.numel().",
        ),
    ),
    praise="Backwards through the network is the same chain of mappings, read from the other end.",
)


# Exercise 3.3: the largest stable step size


def _hessian(generator: torch.Generator) -> tuple[Tensor]:
    width = whole(generator, 2, 5)
    root = real(generator, width, width)
    return (root @ root.T + 0.1 * torch.eye(width, dtype=torch.float64),)


def _eigenvalues(H: Tensor) -> Tensor:
    return torch.linalg.eigvalsh(H)


check_largest_step = Exercise(
    number="3.3",
    call="answer_3(H) with a symmetric positive definite H, shape (p, p)",
    reference=lambda H: 2 / _eigenvalues(H)[-1],
    inputs=_hessian,
    mistakes=(
        Mistake(
            "This is 1/L: the step that lands in the minimum of the steepest direction, not the last stable one",
            lambda H: 1 / _eigenvalues(H)[-1],
            "At η = 1/L the steepest coordinate jumps to zero. Can η grow further before it diverges?",
            "Stable means |1 − ηc| < 1 for every curvature c, an eigenvalue of H. Solve it for η.",
            "−1 < 1 − ηc gives η < 2/c; the largest eigenvalue L binds.",
        ),
        Mistake(
            "The smallest eigenvalue has been used; the steepest direction diverges long before",
            lambda H: 2 / _eigenvalues(H)[0],
            "Which direction leaves first when η grows: the flat one or the steep one?",
            "Every eigenvalue c must satisfy η < 2/c at once.",
            "The strictest of these conditions belongs to the largest eigenvalue.",
        ),
        Mistake(
            "This is 2/(μ + L): the fastest step size, not the largest stable one",
            lambda H: 2 / (_eigenvalues(H)[0] + _eigenvalues(H)[-1]),
            "Two questions are mixed up: where is the descent fastest, and where does it stop converging?",
            "The fastest step balances |1 − ημ| and |1 − ηL|; the last stable one puts the larger of them at 1.",
            "Leave the smallest eigenvalue μ out: 2/L.",
        ),
        Mistake(
            "The trace stands in for the largest eigenvalue; it is a sum of all of them, so the bound is too strict",
            lambda H: 2 / H.trace(),
            "For H = diag(1, 1), up to which η does each coordinate converge by itself?",
            "The coordinates along eigenvectors do not disturb one another: only the largest eigenvalue counts.",
            "torch.linalg.eigvalsh(H) returns the eigenvalues in ascending order.",
        ),
        Mistake(
            "The largest diagonal entry stands in for the largest eigenvalue; off the axes the bowl can be steeper",
            lambda H: 2 / H.diagonal().max(),
            "Is the steepest direction of a rotated bowl along a coordinate axis?",
            "Diagonal entries are curvatures along the axes; eigenvalues are the extreme curvatures over all directions.",
            "Use torch.linalg.eigvalsh(H)[-1].",
        ),
    ),
    praise="One number of the Hessian, its largest eigenvalue, decides how far a step may go.",
)


# Exercise 3.4: the heavy ball as a pure mapping


def _ball_inputs(generator: torch.Generator) -> tuple[Tensor, Tensor, float, float]:
    width = whole(generator, 2, 5)
    eta, beta = torch.rand(2, generator=generator, dtype=torch.float64).mul(0.8).add(0.1).tolist()
    return real(generator, width), real(generator, width), eta, beta


def _ball(gradient: Tensor, velocity: Tensor, eta: float, beta: float) -> tuple[Tensor, Tensor]:
    velocity = beta * velocity + gradient
    return -eta * velocity, velocity


def _old_velocity(gradient: Tensor, velocity: Tensor, eta: float, beta: float) -> tuple[Tensor, Tensor]:
    return -eta * velocity, beta * velocity + gradient


def _averaged(gradient: Tensor, velocity: Tensor, eta: float, beta: float) -> tuple[Tensor, Tensor]:
    velocity = beta * velocity + (1 - beta) * gradient
    return -eta * velocity, velocity


def _nesterov(gradient: Tensor, velocity: Tensor, eta: float, beta: float) -> tuple[Tensor, Tensor]:
    velocity = beta * velocity + gradient
    return -eta * (gradient + beta * velocity), velocity


def _eta_twice(gradient: Tensor, velocity: Tensor, eta: float, beta: float) -> tuple[Tensor, Tensor]:
    velocity = beta * velocity + eta * gradient
    return -eta * velocity, velocity


def _forgetful(gradient: Tensor, velocity: Tensor, eta: float, beta: float) -> tuple[Tensor, Tensor]:
    return _ball(gradient, velocity, eta, beta)[0], velocity


def _uphill(gradient: Tensor, velocity: Tensor, eta: float, beta: float) -> tuple[Tensor, Tensor]:
    step, velocity = _ball(gradient, velocity, eta, beta)
    return -step, velocity


check_heavy_ball = Exercise(
    number="3.4",
    call="answer_4(gradient, velocity, eta, beta), returning (step, new velocity)",
    reference=_ball,
    inputs=_ball_inputs,
    mistakes=(
        Mistake(
            "The step uses the old velocity, so the newest gradient acts one step late",
            _old_velocity,
            "In the very first step the velocity is zero. Does your rule move at all?",
            "Update the velocity first, then step along the new one.",
            "velocity = beta * velocity + gradient; then return -eta * velocity, velocity.",
        ),
        Mistake(
            "The gradient is weighted by 1 − β: an average of gradients, whose effective step size is 1 − β times smaller",
            _averaged,
            "With a constant gradient g, what velocity does your rule approach, and what does the formula approach?",
            "Both forms exist; the formula of this lesson adds the whole gradient: v ← βv + g.",
            "Remove the factor (1 − beta) in front of the gradient.",
        ),
        Mistake(
            "This is Nesterov's rule: it looks ahead by βv; the heavy ball steps along v itself",
            _nesterov,
            "How many times does β appear in your step, and how many times in the formula?",
            "Nesterov steps along g + βv; the heavy ball along v.",
            "Return -eta * velocity as the step.",
        ),
        Mistake(
            "η has been applied twice, once in the velocity and once in the step",
            _eta_twice,
            "What unit has your velocity: that of a gradient, or that of a step?",
            "The velocity collects gradients; only the step is scaled by η.",
            "velocity = beta * velocity + gradient, without eta.",
        ),
        Mistake(
            "This is v ← βv − ηg, θ ← θ + v: another bookkeeping of the same walk, but its state is a step, not a velocity",
            lambda gradient, velocity, eta, beta: (beta * velocity - eta * gradient,) * 2,
            "Both forms walk the same way while η is constant. What is stored in yours, and what in the formula?",
            "In the formula the state collects gradients, v ← βv + g, and η enters with the step.",
            "velocity = beta * velocity + gradient; then return -eta * velocity, velocity.",
        ),
        Mistake(
            "β is missing: the old velocity is kept whole, so the ball never slows down",
            lambda gradient, velocity, eta, beta: (-eta * (velocity + gradient), velocity + gradient),
            "With no gradient at all, what should happen to the velocity?",
            "Only a share β of the old velocity is kept.",
            "velocity = beta * velocity + gradient.",
        ),
        Mistake(
            "The step is right, but the old velocity is returned, so the rule remembers nothing",
            _forgetful,
            "A pure mapping has no memory of its own. What must it hand back?",
            "The second value returned is the state that the next call will be given.",
            "Return the updated velocity beside the step.",
        ),
        Mistake(
            "The sign of the step is wrong: it climbs",
            _uphill,
            "The caller adds the step: θ ← θ + step. Where should the minus sit?",
            "The gradient points uphill; the step is −η times the velocity.",
            "return -eta * velocity, velocity.",
        ),
        Mistake(
            "Step and state have changed places",
            lambda *arguments: _ball(*arguments)[::-1],
            "In which order does U: (gradient, state) → (step, state) return its results?",
            "First the step, then the state.",
            "return -eta * velocity, velocity.",
        ),
    ),
    praise="The memory of the rule travels through its arguments: that is all there is to a pure mapping.",
)
