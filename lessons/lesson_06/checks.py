"""Checks of lesson 06, *Images and tasks*."""

from __future__ import annotations

from collections.abc import Callable
from math import comb, factorial, perm

import torch
from torch import Tensor

from lessons.shared.checks import Exercise, Mistake
from lessons.shared.inputs import real, whole

# Exercise 6.1: from a camera to a network


def _photographs(generator: torch.Generator) -> tuple[Tensor]:
    """Grey images, 0..254: not one is as bright as can be, so that dividing by the brightest pixel shows."""
    N, height = whole(generator, 3, 6), whole(generator, 4, 7)
    return (torch.randint(0, 255, (N, height, height + 2), generator=generator, dtype=torch.uint8),)


check_to_tensor = Exercise(
    number="6.1",
    call="answer_1(images) with shape (N, h, w) and type uint8",
    reference=lambda images: images[:, None].double() / 255,
    inputs=_photographs,
    mistakes=(
        Mistake(
            "The values are still whole numbers from 0 to 255",
            lambda images: images[:, None],
            "What is the largest value in your result, and what should it be?",
            "A pixel at full brightness is 255 in eight bits and 1 in [0, 1].",
            "Divide by 255.",
        ),
        Mistake(
            "The division is one of whole numbers: all but the brightest pixels have become 0",
            lambda images: images[:, None] // 255,
            "How many different values does your result have?",
            "The operator // throws the fraction away, and fractions are all there is in [0, 1].",
            "Use /, which gives real numbers.",
        ),
        Mistake(
            "The axis of the channels is missing: the shape is (N, h, w)",
            lambda images: images.double() / 255,
            "How many axes does your result have, and what does each of them count?",
            "A grey image has one channel, and a network wants to see it: (N, 1, h, w).",
            "Add the axis with images[:, None] or images.unsqueeze(1).",
        ),
        Mistake(
            "The channel is the last axis, as a camera has it; it belongs after the first",
            lambda images: images[..., None].double() / 255,
            "Which axis of your result has length 1?",
            "torch puts the channels before height and width.",
            "images[:, None] puts the new axis second, images[..., None] last.",
        ),
        Mistake(
            "The new axis is the first one: the images have become the channels of a single image",
            lambda images: images[None].double() / 255,
            "How many images would a network see in your result?",
            "The first axis counts images, the second channels.",
            "Use images[:, None] instead of images[None].",
        ),
        Mistake(
            "Each image is divided by its own brightest pixel, so a dark image looks like a bright one",
            lambda images: images[:, None].double() / images.amax((1, 2))[:, None, None, None],
            "Does the same grey have the same value in two images of your result?",
            "The unit has to be the same for all images: what eight bits can hold at most.",
            "Divide by 255, not by the largest value that is there.",
        ),
        Mistake(
            "The divisor is the brightest pixel that happens to be there, not the brightest that there can be",
            lambda images: images[:, None].double() / images.max(),
            "Is any pixel of the images that you were given 255?",
            "The unit has to be the same for all data sets: what eight bits can hold at most.",
            "Divide by 255, not by images.max().",
        ),
        Mistake(
            "The divisor is 256: full brightness is a little less than 1",
            lambda images: images[:, None].double() / 256,
            "What becomes of a pixel with the value 255?",
            "Eight bits hold 256 different values, but the largest is 255.",
            "Divide by 255.",
        ),
    ),
    praise="Real numbers in [0, 1], one channel: every data set of the course hands its images out like this.",
)


# Exercise 6.2: the labels of a task


def _drawn_classes(generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A task's classes, not in ascending order, and the class of each of its images, in random order."""
    ways = whole(generator, 4, 6)
    classes = torch.randperm(50, generator=generator)[:ways] + 7
    if bool((classes.diff() > 0).all()):
        classes = classes.flip(0)
    labels = classes.repeat(3)
    return labels[torch.randperm(len(labels), generator=generator)], classes


def _in_order_of_appearance(labels: Tensor, classes: Tensor) -> Tensor:
    seen = list(dict.fromkeys(labels.tolist()))
    return torch.tensor([seen.index(label) for label in labels.tolist()])


check_relabel = Exercise(
    number="6.2",
    call="answer_2(labels, classes) with shapes (n,) and (N,)",
    reference=lambda labels, classes: (labels[:, None] == classes).int().argmax(1),
    inputs=_drawn_classes,
    mistakes=(
        Mistake(
            "The numbers follow the size of the class numbers, not the order in which the classes were drawn",
            lambda labels, classes: labels.unique(return_inverse=True)[1],
            "Which number does the first entry of classes get in your answer?",
            "unique sorts. If the smallest class were always number 0, a learner could know part of the numbering.",
            "Compare each label with all entries of classes, and take the position of the one that agrees.",
        ),
        Mistake(
            "The numbers follow the order in which the labels appear; the order of classes decides",
            _in_order_of_appearance,
            "Did you use the argument classes?",
            "Support and query set would get two numberings if each were numbered by its own first images.",
            "The number of a label is its position in classes.",
        ),
        Mistake(
            "A constant has been subtracted: the numbers have gaps, because the classes have",
            lambda labels, classes: labels - labels.min(),
            "What is the largest number in your answer, and what is the largest one allowed?",
            "N classes need the numbers 0 to N − 1 without gaps.",
            "The number of a label is its position in classes.",
        ),
        Mistake(
            "This is the table of agreements, shape (n, N); the position of the agreement in each row is wanted",
            lambda labels, classes: labels[:, None] == classes,
            "What does row i of your table say about image i?",
            "Exactly one entry in each row is true. Its position is the label.",
            "Take .int().argmax(1) of the table.",
        ),
        Mistake(
            "The numbers are right but sorted by class: nonzero lists the table row by row, and your rows are classes",
            lambda labels, classes: (labels == classes[:, None]).nonzero()[:, 0],
            "Which image does the first number of your answer belong to?",
            "The answer has one number for each image, in the order of the images; so the rows should be images.",
            "Use (labels[:, None] == classes).nonzero()[:, 1]: a row for each image, and the column is its number.",
        ),
    ),
    praise="Support and query set share this numbering, and the next task has another one.",
)


# Exercise 6.3: how many tasks


def _sizes(generator: torch.Generator) -> tuple[int, int, int, int, int]:
    K, Q = whole(generator, 1, 3), whole(generator, 2, 3)  # one of them above 1, or order would not show
    N = whole(generator, 2, 4)
    return N + whole(generator, 2, 5), K + Q + whole(generator, 1, 4), N, K, Q


check_count_tasks = Exercise(
    number="6.3",
    call="answer_3(C, n, N, K, Q) with five whole numbers",
    reference=lambda C, n, N, K, Q: factorial(N) * comb(C, N) * (comb(n, K) * comb(n - K, Q)) ** N,
    inputs=_sizes,
    mistakes=(
        Mistake(
            "This is (6.2), which counts tasks that differ in their numbering once; here they count separately",
            lambda C, n, N, K, Q: comb(C, N) * (comb(n, K) * comb(n - K, Q)) ** N,
            "Two classes a and b: is 'a is 0, b is 1' the same task as 'a is 1, b is 0'?",
            "N chosen classes can be numbered in N! ways.",
            "Multiply by math.factorial(N).",
        ),
        Mistake(
            "The query images are drawn from all n images, so one could be in the support set too",
            lambda C, n, N, K, Q: factorial(N) * comb(C, N) * (comb(n, K) * comb(n, Q)) ** N,
            "After the support images are chosen, how many images of the class are left?",
            "No image may be in both sets.",
            "Choose the Q query images from n − K.",
        ),
        Mistake(
            "Support and query set are not told apart: it is counted which images are in the task, but not in which set",
            lambda C, n, N, K, Q: factorial(N) * comb(C, N) * comb(n, K + Q) ** N,
            "With K = 1 and Q = 1: is 'image a to adapt from, image b to be judged on' the same task the other way round?",
            "Of the K + Q images of a class, any K can be the support images.",
            "Choose twice: comb(n, K) for the support images, then comb(n - K, Q) for the query images.",
        ),
        Mistake(
            "The images are chosen for one class only",
            lambda C, n, N, K, Q: factorial(N) * comb(C, N) * comb(n, K) * comb(n - K, Q),
            "Does the number of choices within a class depend on the other classes?",
            "Every one of the N classes has its own choice of images, and independent choices multiply.",
            "Raise the number of choices within a class to the power N.",
        ),
        Mistake(
            "The power applies to the last factor only: the support images are chosen for one class, the query images for all",
            lambda C, n, N, K, Q: factorial(N) * comb(C, N) * comb(n, K) * comb(n - K, Q) ** N,
            "For N = 2, how often does each of the two binomials within a class have to appear in the product?",
            "In Python, as on paper, a power binds more tightly than a product: a * b ** N is a · (b ** N).",
            "Put brackets around the product before ** N.",
        ),
        Mistake(
            "The choices of the N classes are added; independent choices multiply",
            lambda C, n, N, K, Q: factorial(N) * comb(C, N) * N * comb(n, K) * comb(n - K, Q),
            "Two classes with six choices each: how many pairs of choices are there, 12 or 36?",
            "For each choice in one class, all choices in the next are open.",
            "Write ** N instead of * N.",
        ),
        Mistake(
            "The numbering of the classes is counted twice",
            lambda C, n, N, K, Q: factorial(N) * perm(C, N) * (comb(n, K) * comb(n - K, Q)) ** N,
            "From C = 2 classes, how many numbered pairs can be made, and what do your first two factors give?",
            "perm chooses in order, so it has numbered the classes already.",
            "Use factorial(N) * comb(C, N), or perm(C, N) alone.",
        ),
        Mistake(
            "The images within a set are counted in order; a set has none",
            lambda C, n, N, K, Q: factorial(N) * comb(C, N) * (perm(n, K) * perm(n - K, Q)) ** N,
            "Does a support set change when two of its images change places?",
            "comb chooses without order, perm with order.",
            "Use math.comb for the images; only the numbering of the classes has an order.",
        ),
    ),
    praise="Choose classes, number them, and choose images in each: three independent choices, multiplied.",
)


# Exercise 6.4: the augmented risk


def _versions(generator: torch.Generator) -> tuple[Callable[[Tensor], Tensor], Tensor, Tensor]:
    m, N, d = whole(generator, 3, 5), whole(generator, 6, 9), whole(generator, 2, 4)
    theta = real(generator, d)

    def model(x: Tensor) -> Tensor:
        if x.ndim != 2:
            raise ValueError(f"the model was given inputs of shape {tuple(x.shape)}; it maps (n, {d}) to (n,)")
        return torch.tanh(x @ theta.to(x.dtype))

    return model, real(generator, m, N, d), real(generator, N)


def _outputs(model: Callable[[Tensor], Tensor], copies: Tensor) -> Tensor:
    return torch.stack([model(version) for version in copies])


check_augmented_risk = Exercise(
    number="6.4",
    call="answer_4(model, copies, y_star) with a function and the shapes (m, N, d) and (N,)",
    reference=lambda model, copies, y_star: 0.5 * (_outputs(model, copies) - y_star).square().mean(),
    inputs=_versions,
    mistakes=(
        Mistake(
            "This is the loss of the average input: the versions were averaged before the model saw them",
            lambda model, copies, y_star: 0.5 * (model(copies.mean(0)) - y_star).square().mean(),
            "Would the network ever see the average of a digit and its shifted version?",
            "In (6.5) the expectation stands outside the loss, and so outside the model.",
            "Apply the model to each version, then the loss, and average last.",
        ),
        Mistake(
            "This is the loss of the average output: the outputs were averaged before the loss",
            lambda model, copies, y_star: 0.5 * (_outputs(model, copies).mean(0) - y_star).square().mean(),
            "If the outputs for two versions are y* + 1 and y* − 1, what should the risk be?",
            "By (6.6) the loss of the mean leaves the variance of the outputs out.",
            "Take the loss of every output, then the mean over versions and examples.",
        ),
        Mistake(
            "The losses are added over the versions instead of averaged",
            lambda model, copies, y_star: 0.5 * (_outputs(model, copies) - y_star).square().mean(1).sum(),
            "If every version is listed twice, should the risk change?",
            "An expectation over m equally likely mappings is a sum divided by m.",
            "Divide by len(copies), or take the mean over both axes.",
        ),
        Mistake(
            "The losses are added over the examples instead of averaged",
            lambda model, copies, y_star: 0.5 * (_outputs(model, copies) - y_star).square().mean(0).sum(),
            "If every example is listed twice, should the risk change?",
            "The risk begins with 1/N.",
            "Take the mean over the examples as well.",
        ),
        Mistake(
            "The factor ½ of the loss is missing",
            lambda model, copies, y_star: (_outputs(model, copies) - y_star).square().mean(),
            "Work out one loss by hand and compare.",
            "The loss is half the squared difference.",
            "Multiply by 0.5.",
        ),
        Mistake(
            "Only the first version of each input was used",
            lambda model, copies, y_star: 0.5 * (model(copies[0]) - y_star).square().mean(),
            "Does your answer change if the last version changes?",
            "Every one of the m versions has the weight 1/m.",
            "Loop over copies, and average what comes out.",
        ),
        Mistake(
            "The smallest loss among the versions counts instead of the mean",
            lambda model, copies, y_star: 0.5 * (_outputs(model, copies) - y_star).square().amin(0).mean(),
            "Which versions of an image will the network meet in training?",
            "An expectation weighs good and bad versions alike.",
            "Use the mean over the versions.",
        ),
    ),
    praise="Loss first, mean last: what a fresh draw in every batch estimates without bias.",
)
