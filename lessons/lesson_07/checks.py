"""Checks of lesson 07, *Train the CNN*."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from lessons.shared.checks import Exercise, Mistake
from lessons.shared.inputs import real, whole

# Exercise 7.1: the size of a map


def _sizes(generator: torch.Generator) -> tuple[int, int, int, int]:
    height = whole(generator, 8, 20)
    return height, height + whole(generator, 1, 9), whole(generator, 4, 7), whole(generator, 2, 3)


check_map_size = Exercise(
    number="7.1",
    call="answer_1(h, w, k, p) with four whole numbers",
    reference=lambda h, w, k, p: (h + 2 * p - k + 1, w + 2 * p - k + 1),
    inputs=_sizes,
    mistakes=(
        Mistake(
            "One position is missing: the + 1 for the place where the window starts",
            lambda h, w, k, p: (h + 2 * p - k, w + 2 * p - k),
            "How many places has a window that is as large as the whole picture?",
            "A window of k pixels in a row of n pixels starts at pixel 1, 2, ..., n − k + 1.",
            "Add 1 to both numbers.",
        ),
        Mistake(
            "The rim is counted on one side only",
            lambda h, w, k, p: (h + p - k + 1, w + p - k + 1),
            "How many rows has the picture once the rim is around it?",
            "There are p rows of zeros above and p below.",
            "Add 2 * p, not p.",
        ),
        Mistake(
            "The rim is forgotten",
            lambda h, w, k, p: (h - k + 1, w - k + 1),
            "Does your answer change with p?",
            "The window runs over the picture with its rim, which is larger.",
            "Use h + 2 * p and w + 2 * p in place of h and w.",
        ),
        Mistake(
            "This is the size of the picture with its rim; the window does not fit at its last places",
            lambda h, w, k, p: (h + 2 * p, w + 2 * p),
            "Can the window start in the last row?",
            "The last place where it fits is k − 1 rows before the end.",
            "Subtract k − 1 from both numbers.",
        ),
        Mistake(
            "Width and height are swapped",
            lambda h, w, k, p: (w + 2 * p - k + 1, h + 2 * p - k + 1),
            "For a picture that is wider than high, is your map wider than high?",
            "The pair is (height, width), rows first.",
            "Return the number with h first.",
        ),
    ),
    praise="With p = (k − 1)/2 the map has the picture's size, which is why 3 × 3 windows come with a rim of one.",
)


# Exercise 7.2: convolve


def _slid(x: Tensor, w: Tensor, mode: str = "constant") -> Tensor:
    rim = F.pad(x[None, None], (1, 1, 1, 1), mode=mode)
    return F.conv2d(rim, w[None, None])[0, 0]


check_convolution = Exercise(
    number="7.2",
    call="answer_2(x, w) with shapes (h, w') and (3, 3)",
    reference=_slid,
    inputs=lambda generator: (real(generator, whole(generator, 4, 6), whole(generator, 7, 9)), real(generator, 3, 3)),
    mistakes=(
        Mistake(
            "The weights are turned by half a circle: the convolution of signal processing, not (7.1)",
            lambda x, w: _slid(x, w.flip(0, 1)),
            "Which weight meets the pixel to the upper left of the centre?",
            "In (7.1) w_11 multiplies x_{i−1, j−1}: the upper left with the upper left.",
            "Leave w as it is; no flip.",
        ),
        Mistake(
            "Rows and columns of the weights are swapped",
            lambda x, w: _slid(x, w.T.contiguous()),
            "Try weights that are zero but for w_12. Which neighbour should they copy?",
            "The first index of w counts rows, as that of x does.",
            "Do not transpose w.",
        ),
        Mistake(
            "There is no rim, so the map has lost its first and last rows and columns",
            lambda x, w: F.conv2d(x[None, None], w[None, None])[0, 0],
            "What shape has your map, and what shape has the picture?",
            "Pixels outside the picture count as zero; they are there all the same.",
            "Pad x by one zero on each side first.",
        ),
        Mistake(
            "The picture is continued at the other side, as if it were a ring",
            lambda x, w: _slid(x, w, mode="circular"),
            "Light one pixel in the last column. Does the first column of your map notice?",
            "torch.roll and negative indices bring the other end in.",
            "Pad with zeros instead.",
        ),
        Mistake(
            "The rim repeats the pixels at the edge instead of being zero",
            lambda x, w: _slid(x, w, mode="replicate"),
            "For a picture of ones and weights of ones, what should the corner of the map be?",
            "Four of nine neighbours exist at a corner: 4, not 9.",
            "Pad with zeros.",
        ),
    ),
    praise="Nine products and a sum at every place: the whole layer is this, many times.",
)


# Exercise 7.3: the one-hot risk


def _scored(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    classes, count = whole(generator, 4, 7), whole(generator, 5, 9)
    return real(generator, count, classes), torch.randint(0, classes, (count,), generator=generator)


def _distances(scores: Tensor, labels: Tensor) -> Tensor:
    """Squared distances to the one-hot labels, (N, C)."""
    target = torch.zeros_like(scores)
    target[torch.arange(len(labels)), labels] = 1
    return (scores - target).square()


check_one_hot_risk = Exercise(
    number="7.3",
    call="answer_3(scores, labels) with shapes (N, C) and (N,)",
    reference=lambda scores, labels: 0.5 * _distances(scores, labels).sum(1).mean(),
    inputs=_scored,
    mistakes=(
        Mistake(
            "The ½ is missing",
            lambda scores, labels: _distances(scores, labels).sum(1).mean(),
            "What should the loss of the scores (0, 0, 0) be, whatever the class?",
            "Your value is twice the right one.",
            "Multiply by 0.5.",
        ),
        Mistake(
            "This is mse_loss: no ½, and a mean over the scores of an example",
            lambda scores, labels: _distances(scores, labels).mean(),
            "With twice as many classes that all score 0, should the loss of an example halve?",
            "(7.3) sums over k; only the risk takes a mean, over the examples.",
            "Sum over axis 1, then take the mean, then halve.",
        ),
        Mistake(
            "The scores of an example are averaged instead of summed",
            lambda scores, labels: 0.5 * _distances(scores, labels).mean(),
            "Which of your axes is the mean over, and which the sum?",
            "(7.3) sums over the C scores; (0.3) averages over the N examples.",
            "Use .sum(1).mean().",
        ),
        Mistake(
            "The examples are summed; the risk is their mean",
            lambda scores, labels: 0.5 * _distances(scores, labels).sum(),
            "Should the risk double when every example is copied once?",
            "(0.3) has 1/N before the sum over the examples.",
            "Take the mean over axis 0.",
        ),
        Mistake(
            "Only the true class's score is compared; the others should be 0 and cost too",
            lambda scores, labels: 0.5 * (scores.gather(1, labels[:, None]) - 1).square().mean(),
            "Would your loss notice a wrong class with a score of 100?",
            "The sum in (7.3) runs over all k; for k ≠ c the target is 0.",
            "Build the whole one-hot vector and subtract it.",
        ),
        Mistake(
            "A softmax has been taken first; (7.3) compares the scores themselves",
            lambda scores, labels: 0.5 * _distances(scores.softmax(1), labels).sum(1).mean(),
            "What is the loss of the scores (0, 3, 0) for the second class by hand?",
            "½ (3 − 1)² = 2: no exponential anywhere.",
            "Leave the softmax out.",
        ),
    ),
    praise="Half a sum over the classes, and a mean over the examples: neither is a matter of taste once η is fixed.",
)


# Exercise 7.4: the macro average


def _read(generator: torch.Generator) -> tuple[Tensor, Tensor, int]:
    """Every class occurs in both tensors; classes differ in size, and some are read too often."""
    classes = whole(generator, 3, 5)
    sizes = [whole(generator, 4, 6) + 5 * c for c in range(classes)]
    true = torch.arange(classes).repeat_interleave(torch.tensor(sizes))
    read = true.clone()
    slips = torch.rand(len(true), generator=generator) < 0.4
    read[slips] = torch.randint(0, 2, (int(slips.sum()),), generator=generator)
    read[true == 0] = 0  # so that precision and recall differ in every draw
    starts = torch.tensor(sizes).cumsum(0) - torch.tensor(sizes)
    read[starts] = torch.arange(classes)
    return true, read, classes


def _counts(true: Tensor, read: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Hits, times read and true size of each class."""
    each = torch.arange(classes)[:, None]
    is_true, is_read = (true == each).double(), (read == each).double()
    return (is_true * is_read).sum(1), is_read.sum(1), is_true.sum(1)


def _f1(true: Tensor, read: Tensor, classes: int) -> Tensor:
    hits, times, size = _counts(true, read, classes)
    return 2 * hits / (times + size)


def _of_means(true: Tensor, read: Tensor, classes: int) -> Tensor:
    hits, times, size = _counts(true, read, classes)
    precision, recall = (hits / times).mean(), (hits / size).mean()
    return 2 * precision * recall / (precision + recall)


def _arithmetic(true: Tensor, read: Tensor, classes: int) -> Tensor:
    hits, times, size = _counts(true, read, classes)
    return ((hits / times + hits / size) / 2).mean()


def _weighted(true: Tensor, read: Tensor, classes: int) -> Tensor:
    sizes = _counts(true, read, classes)[2]
    return (_f1(true, read, classes) * sizes).sum() / sizes.sum()


check_macro_f1 = Exercise(
    number="7.4",
    call="answer_4(true, read, classes) with shapes (N,) and (N,) and a number",
    reference=lambda true, read, classes: _f1(true, read, classes).mean(),
    inputs=_read,
    mistakes=(
        Mistake(
            "This is the accuracy, the share of all examples that are read right (and the F1 of pooled counts)",
            lambda true, read, classes: (true == read).double().mean(),
            "If a rare class is never read right, by how much does your number fall?",
            "The macro average counts every class once, however rare it is.",
            "Compute F1 for each class, then take the mean over the classes.",
        ),
        Mistake(
            "The classes are weighted by their size; the macro average weighs them equally",
            _weighted,
            "Copy all examples of one class ten times. Which class then counts most in your answer?",
            "A mean over classes divides by their number, not by the number of examples.",
            "Use a plain mean of the F1 values.",
        ),
        Mistake(
            "Precision and recall are averaged over the classes first; the mean of F1 values is asked for",
            _of_means,
            "In which order do you take the mean over classes and the harmonic mean?",
            "The harmonic mean is not linear: the mean of F1 is not the F1 of means.",
            "Form F1 for each class, then average.",
        ),
        Mistake(
            "The mean of precision and recall is the arithmetic one; F1 is their harmonic mean",
            _arithmetic,
            "A class with recall 1 and precision nearly 0: should its score be one half?",
            "2PR/(P + R) is near the smaller of the two.",
            "Replace (P + R)/2 by 2PR/(P + R).",
        ),
        Mistake(
            "This is the mean recall: images that are read as a class wrongly cost nothing",
            lambda true, read, classes: (_counts(true, read, classes)[0] / _counts(true, read, classes)[2]).mean(),
            "What would reading every image as class 0 do to your score of class 0?",
            "False positives stand in the precision.",
            "Compute precision too, by dividing by how often the class was read.",
        ),
        Mistake(
            "This is the mean precision: images of a class that were missed cost nothing",
            lambda true, read, classes: (_counts(true, read, classes)[0] / _counts(true, read, classes)[1]).mean(),
            "Does an image of class 1 that is read as 0 change your score of class 1?",
            "False negatives stand in the recall.",
            "Compute recall too, by dividing by the size of the class.",
        ),
    ),
    praise="Each class counts once: a macro average cannot hide a class that the network has given up.",
)
