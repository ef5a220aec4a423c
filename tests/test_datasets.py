"""Data sets: shapes, ranges, types, and that they are what they say."""

from __future__ import annotations

import hashlib
import math
import warnings

import numpy as np
import pytest
import torch

from metautil.datasets import digits, font_digits, fonts, quadratics, sinusoids
from metautil.linear import linear, linear_model
from metautil.risks import half_squared_error
from metautil.tasks import Data, Task

# SHA-256 of the ink counts of font_digits(), by version. Found the same with Pillow 9.5, 10.4 and 13.0, with
# matplotlib 3.8 and 3.11, with numpy 1.26 and 2.4, and without vector instructions. If the images are meant
# to change, raise fonts.DIGITS_VERSION and add a line here.
FONT_DIGITS = {1: "ad59e99399096c2d6f1459a4af09f986db789f5cd1c192c75c68b243bf9c03d9"}


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def dtype(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


# ------------------------------------------------------------------------------ digits


def test_digits_are_scikit_learns_scans(dtype):
    from sklearn.datasets import load_digits

    data = digits()
    assert isinstance(data, Data)
    assert data.x.shape == (1797, 1, 8, 8)
    assert data.y.shape == (1797,)
    assert data.x.dtype == dtype
    assert data.y.dtype == torch.int64
    assert torch.bincount(data.y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert np.array_equal(data.x[:, 0].numpy() * 16, load_digits().images)
    assert (data.x.min(), data.x.max()) == (0, 1)


# ------------------------------------------------------------------------------ font digits


def test_font_digits_have_the_form_of_digits(dtype, folder):
    data, scans = font_digits(folder), digits()
    assert isinstance(data, Data)
    assert data.x.shape == (2000, 1, 8, 8)
    assert data.x.shape[1:] == scans.x.shape[1:]
    assert data.x.dtype == scans.x.dtype == dtype
    assert data.y.dtype == torch.int64
    assert torch.bincount(data.y).tolist() == [200] * 10
    assert data.y[:12].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert (data.x.min(), data.x.max()) == (0, 1)
    assert torch.equal(data.x * 16, (data.x * 16).round())


def test_font_digits_are_the_same_everywhere(folder):
    counts = (font_digits(folder).x * 16).to(torch.uint8).numpy()
    assert hashlib.sha256(counts.tobytes()).hexdigest() == FONT_DIGITS[fonts.DIGITS_VERSION]


def test_cold_and_warm_font_digits_are_equal_and_silent(tmp_path, capfd):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cold, warm = font_digits(tmp_path, per_class=20), font_digits(tmp_path, per_class=20)
    assert torch.equal(cold.x, warm.x)
    assert torch.equal(cold.y, warm.y)
    assert capfd.readouterr() == ("", "")
    assert [path.name for path in tmp_path.iterdir()] == [f"font_digits_20.v{fonts.DIGITS_VERSION}.npz"]


def test_font_digits_lie_in_the_frame_of_the_scans(folder):
    ink = font_digits(folder).x[:, 0] > 0
    assert not ink[:, :, [0, 7]].any()  # 20 of 32 columns of pixels hold ink: blocks 1 to 6
    assert (ink.any(dim=2).sum(dim=1) >= 7).all()  # the ink fills the height
    assert (ink.any(dim=1).sum(dim=1) >= 5).all()  # and the width


def test_font_digits_differ_from_each_other(folder):
    assert len(font_digits(folder).x.flatten(1).unique(dim=0)) == 2000


def test_font_digits_are_labelled_right(folder):
    """The nearest real scan names most font digits rightly (guessing: one in ten), yet far from all."""
    data, scans = font_digits(folder), digits()
    nearest = torch.cdist(data.x.flatten(1), scans.x.flatten(1)).argmin(1)
    right = (scans.y[nearest] == data.y).double()
    assert 0.5 < right.mean() < 0.9
    for label in range(10):
        assert right[data.y == label].mean() > 0.25


def test_a_missing_font_is_named():
    with pytest.raises(FileNotFoundError, match=r"NoSuchFace.*Reinstall matplotlib"):
        fonts.distance_field("NoSuchFace", "7")


# ------------------------------------------------------------------------------ writers


def plain(n, thickness=0.0):
    """n writers who bend nothing."""
    rng = np.random.default_rng(0)
    return fonts.draw_writers(n, rng, slant=0, turn=0, stretch=0, warp=0, thickness=(thickness, thickness))


def test_the_distance_field_of_a_bar():
    """Inside "|" the field rises and falls with slope 1 and is symmetric; its zero lines are the outline."""
    field = fonts.distance_field("DejaVuSans", "|") * fonts.PIXELS_PER_EM
    row = field[fonts.CANVAS // 2]
    width = int((row > 0).sum())
    assert 3 <= width <= 10
    inside = row[row > 0]
    assert np.array_equal(inside, inside[::-1])
    assert np.array_equal(inside, np.minimum(np.arange(width), np.arange(width)[::-1]) + 0.5)
    outside = row[: int(np.argmax(row > 0))]
    assert np.array_equal(outside, -np.arange(len(outside))[::-1] - 0.5)


def test_a_writer_who_bends_nothing_writes_the_glyph():
    field = fonts.distance_field("DejaVuSerif", "5")[None]
    ink = fonts.draw_characters(field, np.array([0]), plain(1), fonts.CANVAS, fonts.CANVAS)
    assert np.array_equal(ink[0], field[0] > 0)
    window = ((-0.75, -0.75), (0, 0.75))
    left = fonts.draw_characters(field, np.array([0]), plain(1), fonts.CANVAS, fonts.CANVAS // 2, window)
    assert np.array_equal(left[0], field[0, :, : fonts.CANVAS // 2] > 0)


def test_thickness_moves_the_outline():
    """A bar grows by t on both sides: its width by 2t."""
    field = fonts.distance_field("DejaVuSans", "|")[None]
    widths = [
        fonts.draw_characters(field, np.array([0]), plain(1, t / fonts.PIXELS_PER_EM), fonts.CANVAS, fonts.CANVAS)[
            0, 48
        ].sum()
        for t in (-1, 0, 1, 3)
    ]
    assert np.array_equal(np.diff(widths), [2, 2, 4])


def test_slant_moves_the_top_against_the_bottom():
    field = fonts.distance_field("DejaVuSans", "|")[None]
    writers = plain(1)._replace(linear=np.array([[[1.0, 0.5], [0.0, 1.0]]]))
    ink = fonts.draw_characters(field, np.array([0]), writers, 96, 96)[0]
    top, bottom = (np.flatnonzero(ink[row]).mean() for row in (28, 68))
    assert top - bottom == pytest.approx(0.5 * 40, abs=1)


def test_each_writer_writes_the_character_asked_for_in_its_own_way():
    fields = np.stack([fonts.distance_field("DejaVuSans", character) for character in "17"])
    which = np.arange(120) % 2  # more than are drawn in one go
    writers = fonts.draw_writers(120, np.random.default_rng(1))
    ink = fonts.draw_characters(fields, which, writers, 24, 24)
    alone = fonts.draw_characters(fields, which[-1:], fonts.Writers(*(part[-1:] for part in writers)), 24, 24)
    assert np.array_equal(ink[-1:], alone)
    assert len(np.unique(ink.reshape(120, -1), axis=0)) == 120


def test_no_writer_pushes_ink_out_of_the_plane():
    """The strongest writers of many still leave the edge of the drawn plane empty."""
    fields = np.stack([fonts.distance_field(face, "8") for face in fonts.DIGIT_FACES])
    which = np.arange(1000) % len(fields)
    ink = fonts.draw_characters(fields, which, fonts.draw_writers(1000, np.random.default_rng(2)), 48, 48)
    assert ink.any(axis=(1, 2)).all()
    edge = np.ones((48, 48), dtype=bool)
    edge[1:-1, 1:-1] = False
    assert not ink[:, edge].any()


def test_ink_box():
    ink = np.zeros((2, 4, 10), dtype=bool)
    ink[0, 1, 2] = ink[0, 2, 6] = ink[1, 0, 0] = True
    low, high = fonts.ink_box(ink)
    assert np.allclose(low, [[0.2, 0.25], [0, 0]])
    assert np.allclose(high, [[0.7, 0.75], [0.1, 0.25]])


# ------------------------------------------------------------------------------ sinusoids


def recover(data):
    """a, φ and largest residual of y = a sin(x − φ) = (a cos φ) sin x − (a sin φ) cos x by least squares."""
    basis = torch.cat([data.x.sin(), data.x.cos()], dim=2)
    solution = torch.linalg.lstsq(basis, data.y).solution
    residual = (basis @ solution - data.y).abs().max()
    first, second = solution[:, 0, 0], solution[:, 1, 0]
    return torch.hypot(first, second), torch.atan2(-second, first), residual


def test_sinusoids_have_the_shapes_asked_for(dtype):
    task = sinusoids(shots=5, queries=7)(3, generator())
    assert isinstance(task, Task)
    assert task.support.x.shape == task.support.y.shape == (3, 5, 1)
    assert task.query.x.shape == task.query.y.shape == (3, 7, 1)
    for part in (*task.support, *task.query):
        assert part.dtype == dtype
        assert part.is_contiguous()


def test_sinusoids_are_waves_of_the_ranges_asked_for():
    torch.set_default_dtype(torch.float64)
    try:
        task = sinusoids()(2000, generator())
    finally:
        torch.set_default_dtype(torch.float32)
    a, phi, residual = recover(task.support)
    a_query, phi_query, residual_query = recover(task.query)
    assert max(residual, residual_query) < 1e-9
    assert torch.allclose(a, a_query, atol=1e-8)  # one wave for both sets
    assert torch.allclose(phi, phi_query, atol=1e-7)
    for values, low, high in ((a, 0.1, 5.0), (phi, 0.0, math.pi), (task.support.x, -5.0, 5.0)):
        assert low - 1e-7 <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high + 1e-7
        spread = (high - low) / math.sqrt(12 * values.numel())  # standard error of a uniform mean
        assert abs(values.mean() - (low + high) / 2) < 4 * spread


def test_sinusoids_follow_other_ranges():
    family = sinusoids(shots=20, amplitude=(2, 3), phase=(-0.5, 0.5), x=(0, 1))
    task = family(50, generator())
    a, phi, _ = recover(Data(*(part.double() for part in task.support)))
    assert (a > 2 - 1e-3).all() and (a < 3 + 1e-3).all()
    assert (phi.abs() < 0.5 + 1e-3).all()
    assert (task.query.x >= 0).all() and (task.query.x <= 1).all()


def test_a_range_may_be_a_point():
    task = sinusoids(amplitude=(2, 2), phase=(0, 0))(4, generator())
    assert torch.allclose(task.support.y, 2 * task.support.x.sin(), atol=1e-5)


def test_equal_seeds_give_equal_tasks(dtype):
    one, two, other = (sinusoids()(4, generator(seed)) for seed in (1, 1, 2))
    for left, right, different in zip(*((*task.support, *task.query) for task in (one, two, other)), strict=True):
        assert torch.equal(left, right)
        assert not torch.equal(left, different)
    known = generator(1)
    a = 0.1 + 4.9 * torch.rand(4, generator=known, dtype=torch.float64)
    found, _, _ = recover(Data(*(part.double() for part in one.support)))
    assert torch.allclose(found, a, atol=1e-3)  # the same tasks in both precisions


def test_a_generator_goes_on():
    source = generator()
    family = sinusoids()
    assert not torch.equal(family(2, source).support.x, family(2, source).support.x)


@pytest.mark.parametrize("count", [0, -3, 1.5, "5", None])
@pytest.mark.parametrize("name", ["shots", "queries", "n_tasks"])
def test_sinusoids_refuse_a_bad_number(name, count):
    with pytest.raises(ValueError, match=rf"{name} = .*1 or more"):
        sinusoids()(count, generator()) if name == "n_tasks" else sinusoids(**{name: count})


@pytest.mark.parametrize("bounds", [(2, 1), (0, math.inf), (math.nan, 1), 3, (1, 2, 3), ("a", 1), None])
@pytest.mark.parametrize("name", ["amplitude", "phase", "x"])
def test_sinusoids_refuse_a_bad_range(name, bounds):
    with pytest.raises(ValueError, match=rf"{name} = .*low ≤ high"):
        sinusoids(**{name: bounds})


@pytest.mark.parametrize("source", [None, 3])
def test_sinusoids_want_a_generator(source):
    with pytest.raises(TypeError, match=r"torch.Generator is expected"):
        sinusoids()(2, source)


# ------------------------------------------------------------------------------ quadratics


def test_quadratics_are_bowls_with_the_minima_and_curvatures_asked_for():
    """Risk, gradient and Hessian of half the squared error, against the bowl itself; support and query alike."""
    root = torch.randn(4, 3, 5, generator=generator(), dtype=torch.float64)
    A, c = root @ root.mT / 5 + 0.1 * torch.eye(3, dtype=torch.float64), root[:, :, 0]
    task = quadratics(A, c)
    theta = torch.tensor([0.5, -1.0, 2.0], dtype=torch.float64)
    for t in range(4):

        def risk(theta, data=task.support, t=t):
            return half_squared_error(linear(theta, data.x[t]), data.y[t]).mean()

        away = theta - c[t]
        torch.testing.assert_close(risk(theta), 0.5 * away @ A[t] @ away)
        torch.testing.assert_close(torch.func.grad(risk)(theta), A[t] @ away)
        torch.testing.assert_close(torch.func.hessian(risk)(theta), A[t])
    assert all(torch.equal(a, b) for a, b in zip(task.support, task.query, strict=True))


@pytest.mark.parametrize(
    ("A", "c", "words"),
    [
        (torch.eye(2), torch.zeros(2), "are expected"),
        (torch.eye(2).expand(3, 2, 2), torch.zeros(2, 2), r"\(T, p, p\) and \(T, p\) are expected"),
        (torch.stack([torch.eye(2), torch.diag(torch.tensor([1.0, -1.0]))]), torch.zeros(2, 2), "task 1 is not"),
        (torch.tensor([[[1.0, 0.5], [0.0, 1.0]]]), torch.zeros(1, 2), "task 0 is not symmetric"),
    ],
)
def test_quadratics_refuse_what_is_no_bowl(A, c, words):
    with pytest.raises(ValueError, match=words):
        quadratics(A, c)


def test_linear_model_is_linear():
    """One vector for one data set, a batch of vectors for a batch of data sets."""
    model = linear_model(3)
    theta, x = (torch.randn(*shape, generator=generator()) for shape in ((5, 3), (5, 7, 3)))
    assert model.size == 3 and model.init(generator()).shape == (3,)
    torch.testing.assert_close(model(theta, x), linear(theta, x))
    torch.testing.assert_close(model(theta[0], x[0]), x[0] @ theta[0].unsqueeze(1))
