"""The font alphabets and few-shot tasks drawn from them."""

from __future__ import annotations

import hashlib
import time
import unicodedata
import warnings

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt

from metautil.datasets import font_alphabets, font_digits, fonts
from metautil.tasks import Alphabets, Data, few_shot_tasks, rotations

# SHA-256 of the images, by version. If they are meant to change, raise fonts.ALPHABETS_VERSION.
FILLED = {1: "7297dc3a53a98d39254c976278a6ef63469f48278d847e44ca5a71c8ee0c241d"}
PEN = {1: "7f82ea47ef40f6b8da1a5d47746cdd3135d3e8ac30afbb50768d2304109df8bd"}  # of one image a letter, drawn by a pen


def digest(data):
    return hashlib.sha256(data.x.numpy().tobytes()).hexdigest()


@pytest.fixture(scope="module")
def alphabets():
    return font_alphabets()


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------ the data set


def test_counts_shapes_and_types(alphabets):
    assert isinstance(alphabets, Alphabets)
    classes = len(alphabets.characters)
    assert classes >= 1000 and len(alphabets.names) >= 12
    assert alphabets.x.shape == (20 * classes, 1, 28, 28) and alphabets.x.dtype == torch.uint8
    assert torch.equal(alphabets.y, torch.arange(classes).repeat_interleave(20))
    assert torch.bincount(alphabets.alphabet).min() >= 20 and len(alphabets.alphabet) == classes
    assert alphabets.x.unique().tolist() == [0, 64, 128, 191, 255]
    assert (alphabets.x.flatten(1) > 0).any(1).all(), "an image without ink"
    assert digest(alphabets) == FILLED[fonts.ALPHABETS_VERSION], "not the same as everywhere"


def test_letters_drawn_by_a_pen_are_the_same_letters_in_thinner_lines(alphabets):
    by_pen = font_alphabets(per_class=1, pen=True)
    assert (by_pen.characters, by_pen.names) == (alphabets.characters, alphabets.names)
    assert all(torch.equal(by_pen.parts[part], alphabets.parts[part]) for part in alphabets.parts)
    assert (by_pen.x.flatten(1) > 0).any(1).all(), "an image without ink"
    assert digest(by_pen) == PEN[fonts.ALPHABETS_VERSION]


def test_the_middle_line_of_a_bar_runs_along_its_middle():
    """A bar 0.25 em thick and 1 em long, 16 by 64 pixels: no point of the line is far from its axis, and it has both ends."""
    ink = np.zeros((fonts.CANVAS, fonts.CANVAS), dtype=bool)
    ink[40:56, 16:80] = True
    distance = np.where(ink, distance_transform_edt(ink) - 0.5, 0.5 - distance_transform_edt(~ink))
    line = fonts.middle_lines(distance[None] / fonts.PIXELS_PER_EM)[0]
    rows, columns = np.nonzero(line == 0)
    assert set(rows) <= {47, 48} and columns.min() < 16 + 10 and columns.max() > 80 - 11
    assert line[47, 10] == pytest.approx(-(columns.min() - 10) / fonts.PIXELS_PER_EM)


def test_characters_are_letters_of_their_alphabet_and_composed_of_no_others(alphabets):
    assert len(set(alphabets.characters)) == len(alphabets.characters)
    for character, position in zip(alphabets.characters, alphabets.alphabet.tolist(), strict=True):
        assert unicodedata.name(character).startswith(fonts.ALPHABETS[alphabets.names[position]] + " ")
        assert unicodedata.category(character).startswith("L") and not unicodedata.decomposition(character)
    for alike in ("AΑА", "OΟО"):  # Latin, Greek and Cyrillic: one glyph, so at most one of them is there
        assert sum(character in alphabets.characters for character in alike) <= 1


def test_no_two_characters_look_alike(alphabets):
    """Computed anew with numpy's own correlation, from the glyphs as they are and as they fill the image."""
    views = [fonts.plain_images(fonts.distance_field(fonts.ALPHABETS_FACE, c) > 0) for c in alphabets.characters]
    for looks in np.array(views).reshape(len(views), 2, -1).swapaxes(0, 1):
        correlation = np.corrcoef(looks) - 2 * np.eye(len(looks))
        assert correlation.max() <= 0.85 + 1e-12
    assert any(np.ptp(np.flatnonzero(full.any(1))) >= 26 for _, full in views)


def test_images_show_their_characters(alphabets):
    """Within an alphabet, an image is nearer to its own class's other images than chance would have it."""
    part = alphabets.part("validation")
    x = part.data().x.flatten(1)
    first, rest = torch.arange(len(x)) % 20 == 0, torch.arange(len(x)) % 20 > 0
    nearest = torch.cdist(x[first], x[rest]).argmin(1)
    assert (part.y[rest][nearest] == part.y[first]).double().mean() > 10 / len(part.characters)
    assert len(x.unique(dim=0)) > 0.99 * len(x), "writers repeat themselves"


def test_the_split_is_by_alphabet_and_complete(alphabets):
    parts = {name: alphabets.part(name) for name in alphabets.parts}
    assert list(parts) == ["training", "validation", "test"]
    named = [name for part in parts.values() for name in part.names]
    assert sorted(named) == sorted(alphabets.names) and len(set(named)) == len(named)
    characters = [set(part.characters) for part in parts.values()]
    assert sum(map(len, characters)) == len(set.union(*characters)) == len(alphabets.characters)
    for name, part in parts.items():
        assert part.names == fonts.ALPHABETS_SPLIT[name]
        assert part.characters == tuple(alphabets.characters[position] for position in alphabets.parts[name].tolist())
        assert part.y.unique().tolist() == list(range(len(part.characters)))


def test_a_part_keeps_images_classes_and_alphabets_together(alphabets):
    part = alphabets.part("test")
    assert set(part.parts) == {"test"} and len(part.names) > 1
    for label in (0, 5, len(part.characters) - 1):
        old = alphabets.characters.index(part.characters[label])
        assert torch.equal(part.x[part.y == label], alphabets.x[alphabets.y == old])
        assert part.names[part.alphabet[label]] == alphabets.names[alphabets.alphabet[old]]


def test_an_unknown_part_is_refused(alphabets):
    with pytest.raises(ValueError, match="'training', 'validation', 'test'"):
        alphabets.part("meta-test")


@pytest.mark.slow
def test_loading_gives_the_same_silently_and_is_far_quicker_than_drawing(alphabets, tmp_path, capfd):
    """A ratio of two times on the same machine: what is loaded is twenty times what is drawn."""

    def timed(*arguments, **named):
        start = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return font_alphabets(*arguments, **named), time.perf_counter() - start

    (cold, drawing), (warm, _), (_, loading) = timed(tmp_path, per_class=1), timed(tmp_path, per_class=1), timed()
    assert torch.equal(cold.x, warm.x) and cold.characters == warm.characters
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == [f"font_alphabets_1.v{fonts.ALPHABETS_VERSION}.npz"]
    assert loading < drawing / 5


@pytest.mark.parametrize("per_class", [0, -1, 2.5, "20", None])
@pytest.mark.parametrize("load", [font_digits, font_alphabets], ids=lambda load: load.__name__)
def test_a_bad_number_of_images_is_refused(tmp_path, load, per_class):
    with pytest.raises(ValueError, match=r"per_class = .*1 or more"):
        load(tmp_path, per_class=per_class)
    assert list(tmp_path.iterdir()) == []


def cut():
    """Three classes of two alphabets, the second cut by the split; each image has one corner inked."""
    x = torch.zeros(6, 1, 4, 4, dtype=torch.uint8)
    x[:, 0, 0, 3] = torch.arange(1, 7, dtype=torch.uint8)
    return Alphabets(
        x,
        torch.tensor([0, 1, 2]).repeat_interleave(2),
        torch.tensor([0, 1, 1]),
        ("Latin", "Gurmukhi"),
        ("a", "b", "c"),
        {"training": torch.tensor([0, 1]), "test": torch.tensor([2])},
    )


def test_a_split_may_cut_through_an_alphabet():
    training, test = cut().part("training"), cut().part("test")
    assert (training.names, test.names) == (("Latin", "Gurmukhi"), ("Gurmukhi",))
    assert (training.characters, test.characters) == (("a", "b"), ("c",))
    assert test.alphabet.tolist() == [0] and test.y.tolist() == [0, 0] and test.x[:, 0, 0, 3].tolist() == [5, 6]
    assert list(test.parts) == ["test"] and test.parts["test"].tolist() == [0]


def test_turned_classes_are_classes_of_their_own():
    turned = rotations(cut())
    assert turned.characters[:4] == ("a", "b", "c", "a, 90°") and turned.characters[-1] == "c, 270°"
    assert torch.equal(turned.y, torch.arange(12).repeat_interleave(2)) and turned.x.dtype == torch.uint8
    for label, (row, column) in ((0, (0, 3)), (3, (0, 0)), (6, (3, 0)), (9, (3, 3))):  # counterclockwise
        images = turned.x[turned.y == label][:, 0]
        assert images[:, row, column].tolist() == [1, 2] and images.sum() == 3
    assert turned.alphabet.tolist() == [0, 1, 1] * 4
    assert turned.parts["training"].tolist() == [0, 1, 3, 4, 6, 7, 9, 10]
    assert turned.parts["test"].tolist() == [2, 5, 8, 11]
    part, other = turned.part("test"), rotations(cut().part("test"))
    assert torch.equal(part.x, other.x) and torch.equal(part.y, other.y) and part.characters == other.characters
    with pytest.raises(ValueError, match="4 by 3; only square"):
        rotations(cut()._replace(x=torch.zeros(6, 1, 4, 3)))


# ------------------------------------------------------------------------------ few-shot tasks


def numbered(sizes=(6, 9, 6, 7)):
    """Examples that carry their class and their own number, (N, 2), in random order."""
    y = torch.cat([torch.full((size,), label) for label, size in enumerate(sizes)])
    y = y[torch.randperm(len(y), generator=generator(9))]
    return Data(torch.stack([y.double(), torch.arange(len(y)).double()], dim=1), y)


def test_tasks_have_the_shapes_asked_for(alphabets):
    task = few_shot_tasks(alphabets.part("test"), ways=4, shots=2, queries=3)(6, generator())
    assert task.support.x.shape == (6, 8, 1, 28, 28) and task.query.x.shape == (6, 12, 1, 28, 28)
    assert task.support.y.shape == (6, 8) and task.query.y.shape == (6, 12)
    assert task.support.x.dtype == torch.get_default_dtype() and task.support.y.dtype == torch.int64
    data = alphabets.part("validation").data()
    assert isinstance(data, Data) and data.x.dtype == torch.get_default_dtype()
    assert (data.x.min(), data.x.max()) == (0, 1)
    assert task.support.x.min() >= 0 and 0.99 < task.support.x.max() <= 1
    task = few_shot_tasks(numbered(), ways=2, shots=1, queries=1)(3, generator())
    assert task.query.x.dtype == torch.float64 and task.query.x.max() > 1, "real inputs are left as they are"


def test_labels_within_a_task_name_one_class_each_and_no_example_comes_twice():
    task = few_shot_tasks(numbered(), ways=3, shots=2, queries=4)(200, generator())
    for index in range(200):
        examples = torch.cat([task.support.x[index, :, 1], task.query.x[index, :, 1]])
        assert len(examples.unique()) == 3 * 6
        classes = {}
        for x, y in ((task.support.x[index], task.support.y[index]), (task.query.x[index], task.query.y[index])):
            for row, label in zip(x[:, 0].tolist(), y.tolist(), strict=True):
                classes.setdefault(label, set()).add(row)
        assert sorted(classes) == [0, 1, 2] and all(len(names) == 1 for names in classes.values())
        assert len(set.union(*classes.values())) == 3


def test_classes_and_examples_are_drawn_evenly():
    """Every class in every position, and every example of a class, equally often (4 standard errors)."""
    tasks = 4000
    data = numbered()
    task = few_shot_tasks(data, ways=2, shots=1, queries=2)(tasks, generator())
    first = task.support.x[:, 0]
    share = torch.bincount(first[:, 0].long(), minlength=4) / tasks
    assert (share - 0.25).abs().max() < 4 * (0.25 * 0.75 / tasks) ** 0.5
    for label in range(4):
        drawn = first[first[:, 0] == label][:, 1].long()
        counts = torch.bincount(drawn, minlength=len(data.y))[data.y == label].double() / len(drawn)
        even = 1 / len(counts)
        assert (counts - even).abs().max() < 4 * (even / len(drawn)) ** 0.5


def test_equal_seeds_give_equal_tasks_and_a_generator_goes_on():
    family, source = few_shot_tasks(numbered(), ways=2, shots=1, queries=1), generator(3)
    one, two = family(5, generator(3)), family(5, source)
    assert torch.equal(one.query.x, two.query.x)
    assert not torch.equal(family(5, source).query.x, two.query.x)


@pytest.mark.parametrize("name", ["ways", "shots", "queries", "n_tasks"])
@pytest.mark.parametrize("count", [0, 1.5, "5", None])
def test_bad_numbers_are_refused(name, count):
    with pytest.raises(ValueError, match=rf"{name} = .*1 or more"):
        if name == "n_tasks":
            few_shot_tasks(numbered(), 2, 1, 1)(count, generator())
        else:
            few_shot_tasks(numbered(), **({"ways": 2, "shots": 1, "queries": 1} | {name: count}))


def test_too_few_classes_or_examples_are_named():
    with pytest.raises(ValueError, match=r"ways = 5, but the data have 4 classes"):
        few_shot_tasks(numbered(), 5, 1, 1)
    with pytest.raises(ValueError, match=r"has 6 examples; 2 shots and 5 queries need 7"):
        few_shot_tasks(numbered(), 4, 2, 5)


def test_drawing_tasks_costs_little_beside_reading_their_images(alphabets):
    """A ratio: at most ten times the time of copying as many images, the floor of any sampler."""
    part = alphabets.part("training")
    family, source = few_shot_tasks(part), generator()
    index = torch.randint(len(part.x), (100 * 80,), generator=source)

    def best(call):
        times = []
        for _ in range(5):
            start = time.perf_counter()
            call()
            times.append(time.perf_counter() - start)
        return min(times)

    assert best(lambda: family(100, source)) < 10 * best(lambda: part.x[index].double())
