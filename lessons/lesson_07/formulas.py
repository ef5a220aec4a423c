"""Formulas of lesson 07, *Train the CNN*."""

from __future__ import annotations

import math

import numpy as np
import scipy.optimize
import torch
import torch.nn.functional as F
from sklearn.metrics import precision_recall_fscore_support
from torch.func import grad

from lessons.shared.formulas import Formula, nearly_equal, positive, real, sizes
from metautil.models import small_cnn
from metautil.risks import cross_entropy, half_squared_error, half_squared_error_of_classes


def draw_window(generator):
    """A square picture and weights (3, 3)."""
    side = 2 * int(torch.randint(2, 5, (1,), generator=generator))
    return real(generator, side, side), real(generator, 3, 3)


def first_block(x, w):
    """The package's own layer: maxima over blocks of the map and of its negative, so that the ReLU hides no sign."""
    model = small_cnn(classes=1, channels=(2,), side=len(x))
    weights = {"1.weight": torch.stack([w, -w])[:, None], "1.bias": x.new_zeros(2)}
    return model.features(weights, x[None, None])[0]


def map_by_loops(x, w, turned=False):
    x, w, side = x.numpy(), w.numpy(), len(x)
    w = w[::-1, ::-1] if turned else w
    found = np.zeros((side, side))
    for i in range(side):
        for j in range(side):
            for u in range(3):
                for v in range(3):
                    if 0 <= i + u - 1 < side and 0 <= j + v - 1 < side:
                        found[i, j] += w[u, v] * x[i + u - 1, j + v - 1]
    return found


def block_by_loops(x, w, turned=False):
    found, half = map_by_loops(x, w, turned), len(x) // 2
    blocks = found.reshape(half, 2, half, 2)
    return np.concatenate([blocks.max((1, 3)).clip(0).ravel(), (-blocks).max((1, 3)).clip(0).ravel()])


def draw_picture(generator):
    return real(generator, *(4 + s for s in sizes(generator, 2))), real(generator, 3, 3)


def map_of_shifted(x, w):
    shifted = F.pad(x, (1, 0))[:, :-1]
    return F.conv2d(shifted[None, None], w[None, None], padding=1)[0, 0, :, 2:-1]  # away from the rim


def shifted_map(x, w, by=1):
    x, w = x.numpy(), w.numpy()
    height, width = x.shape
    rim = np.pad(x, 1)
    mapped = sum(w[u, v] * rim[u : u + height, v : v + width] for u in range(3) for v in range(3))
    return np.roll(mapped, by, axis=1)[:, 2:-1]


def draw_scores(generator):
    N, C = sizes(generator, 2)
    return real(generator, N, C), torch.randint(0, C, (N,), generator=generator)


def one_hot_loops(scores, labels, half=0.5):
    return [
        half * sum((value - (k == label)) ** 2 for k, value in enumerate(row))
        for row, label in zip(scores.tolist(), labels.tolist(), strict=True)
    ]


def both_gradients(scores, labels):
    def total(loss):
        return grad(lambda y: loss(y, labels).sum())(scores)

    return torch.stack([total(half_squared_error_of_classes), total(cross_entropy)])


def both_differences(scores, labels, softened=True):
    """Prediction minus one-hot label, without autograd; the near miss forgets the softmax."""
    y = scores.numpy()
    label = np.zeros_like(y)
    label[np.arange(len(y)), labels.numpy()] = 1
    soft = np.array([[math.exp(v) / sum(map(math.exp, row)) for v in row] for row in y.tolist()])
    return np.stack([y - label, (soft if softened else y) - label])


def draw_probabilities(generator):
    p = positive(generator, sizes(generator, 1)[0])
    return (p / p.sum(),)


def best_answers(p):
    """The two minimisers, found numerically: scores of one loss, softmax of the scores of the other."""
    classes = torch.arange(len(p))

    def risk(loss):
        expected = lambda y: p @ loss(y.expand(len(p), -1), classes)  # noqa: E731
        return scipy.optimize.minimize(
            lambda y: expected(torch.tensor(y)).item(),
            np.zeros(len(p)),
            jac=lambda y: grad(expected)(torch.tensor(y)).numpy(),
            method="BFGS",
            options={"gtol": 1e-9},
        ).x

    return np.stack([risk(half_squared_error_of_classes), torch.tensor(risk(cross_entropy)).softmax(0).numpy()])


def draw_example(generator):
    (C,) = sizes(generator, 1)
    C = C + (C == 2)  # with two outputs the factor 2/C is 1, and the near miss would be right
    return real(generator, C), real(generator, C)


def mse_gradient(y, y_star):
    y = y.clone().requires_grad_()
    (found,) = torch.autograd.grad(F.mse_loss(y, y_star), y)
    return found


def draw_readings(generator):
    """Slips all go to class 0, so that precision and recall differ in every class; each class has a hit and a slip."""
    (C,) = sizes(generator, 1)
    sizes_of_classes = torch.randint(3, 9, (C,), generator=generator)
    true = torch.arange(C).repeat_interleave(sizes_of_classes)
    read = torch.where(torch.rand(len(true), generator=generator) < 0.5, true, 0)
    first = sizes_of_classes.cumsum(0) - sizes_of_classes
    read[first], read[first + 1] = torch.arange(C), 0
    return true, read


def report_of_sklearn(true, read):
    return np.array(precision_recall_fscore_support(true.numpy(), read.numpy(), zero_division=np.nan)[:3])


def report_by_counting(true, read, harmonic=True):
    rows = []
    pairs = list(zip(true.tolist(), read.tolist(), strict=True))
    for c in sorted(set(true.tolist())):
        tp = pairs.count((c, c))
        fp = sum(r == c != t for t, r in pairs)
        fn = sum(t == c != r for t, r in pairs)
        P, R = tp / (tp + fp), tp / (tp + fn)
        rows.append((P, R, 2 * P * R / (P + R) if harmonic else (P + R) / 2))
    return np.array(rows).T


FORMULAS = {
    "7.1": Formula(
        r"(w * x)_{ij} = \sum_{u=1}^{3} \sum_{v=1}^{3} w_{uv}\, x_{i+u-2,\, j+v-2}",
        "definition", draw_window, first_block, block_by_loops,
        lambda x, w: block_by_loops(x, w, turned=True), small_cnn,
    ),
    "7.2": Formula(
        r"w * (\tau x) = \tau\,(w * x)",
        "closed form", draw_picture, map_of_shifted, shifted_map, lambda x, w: shifted_map(x, w, by=-1),
    ),
    "7.3": Formula(
        r"\ell(y, c) = \tfrac{1}{2} \sum_{k=1}^{C} \left( y_k - [k = c] \right)^2",
        "definition", draw_scores, half_squared_error_of_classes, one_hot_loops,
        lambda scores, labels: one_hot_loops(scores, labels, half=1.0), half_squared_error_of_classes,
    ),
    "7.4": Formula(
        r"\frac{\partial \ell_{\text{squared}}}{\partial y_k} = y_k - [k = c], \qquad "
        r"\frac{\partial \ell_{\text{entropy}}}{\partial y_k} = \operatorname{softmax}(y)_k - [k = c]",
        "gradient", draw_scores, both_gradients, both_differences,
        lambda scores, labels: both_differences(scores, labels, softened=False),
    ),
    "7.5": Formula(
        r"\operatorname*{arg\,min}_y \sum_{c=1}^{C} p_c\, \ell_{\text{squared}}(y, c) = p, \qquad "
        r"\operatorname{softmax}\!\Big( \operatorname*{arg\,min}_y \sum_{c=1}^{C} p_c\, \ell_{\text{entropy}}(y, c) \Big) = p",
        "optimum", draw_probabilities, best_answers, lambda p: np.stack([p.numpy()] * 2),
        lambda p: np.stack([p.numpy() ** 2 / (p.numpy() ** 2).sum()] * 2), None, nearly_equal,
    ),
    "7.6": Formula(
        r"\nabla_y\, \texttt{mse\_loss}(y, y^*) = \frac{2}{C}\, \nabla_y\, \ell(y, y^*)",
        "gradient", draw_example, mse_gradient,
        lambda y, y_star: 2 / len(y) * grad(lambda y: half_squared_error(y, y_star))(y),
        lambda y, y_star: grad(lambda y: half_squared_error(y, y_star))(y),
    ),
    "7.7": Formula(
        r"P = \frac{\mathrm{TP}}{\mathrm{TP} + \mathrm{FP}}, \qquad R = \frac{\mathrm{TP}}{\mathrm{TP} + \mathrm{FN}}, \qquad "
        r"F_1 = \frac{2 P R}{P + R}",
        "closed form", draw_readings, report_of_sklearn, report_by_counting,
        lambda true, read: report_by_counting(true, read, harmonic=False),
    ),
}  # fmt: skip
