"""Stored results: written row by row, resumed, verified, quoted."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import random
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import run, verify
from benchmarks.store import Store, quote
from lessons.shared import results
from lessons.shared.results import FOLDER, stored
from metautil.datasets import NotThere

CASE = {"accuracy": (0.5, "fraction")}


def toy(values=None):
    """A benchmark of two cases, whose value is 0.5 + seed/10, and a list of what it was asked for."""
    asked = []

    def measure(case, seed):
        asked.append((case, seed))
        return {"accuracy": ((values or {}).get((case, seed), 0.5 + seed / 10), "fraction")}

    return SimpleNamespace(CASES={"a=0.1": 3, "b": 2}, measure=measure, asked=asked)


def test_rows_have_the_agreed_form(tmp_path):
    run.run("toy", toy(), tmp_path)
    content = json.loads((tmp_path / "toy.json").read_text())
    assert content.keys() == {"name", "date", "machine", "versions", "rows"}
    row = content["rows"][0]
    assert row["case"] == "a=0.1" and row["metric"] == "accuracy" and row["seeds"] == [0.5, 0.6, 0.7]
    assert row["mean"] == pytest.approx(0.6) and row["interval"][0] < 0.6 < row["interval"][1]


def test_an_interrupted_run_resumes_where_it_stopped(tmp_path):
    class Interrupted(Exception):
        pass

    def stops(case, seed):
        if seed == 1:
            raise Interrupted
        return CASE

    benchmark = toy()
    with pytest.raises(Interrupted):
        run.run("toy", SimpleNamespace(CASES=benchmark.CASES, measure=stops), tmp_path)
    assert run.run("toy", benchmark, tmp_path) == 3
    assert benchmark.asked == [("a=0.1", 1), ("b", 1), ("a=0.1", 2)]
    assert run.run("toy", benchmark, tmp_path) == 0


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    store = Store("toy", tmp_path)
    store.record("a", 0, CASE)
    before = store.path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="space"):
        store.record("a", 1, CASE)
    assert store.path.read_bytes() == before and list(tmp_path.iterdir()) == [store.path]


@pytest.mark.parametrize(
    ("seed", "values", "words"),
    [(1, CASE, "seed 0 is next"), (-1, CASE, "seed 0 is next"), (0, {"accuracy": (50, "percent")}, "percent")],
)
def test_seeds_out_of_order_and_unknown_units_are_refused(tmp_path, seed, values, words):
    with pytest.raises(ValueError, match=words):
        Store("toy", tmp_path).record("a", seed, values)
    assert not (tmp_path / "toy.json").exists()


@pytest.mark.parametrize("content", ["{", "{}", "[]"])
@pytest.mark.parametrize("read", [Store, stored])
def test_a_broken_file_is_refused(tmp_path, read, content):
    (tmp_path / "toy.json").write_text(content)
    with pytest.raises(ValueError, match="not a results file"):
        read("toy", tmp_path)


def test_verify_confirms_and_contradicts(tmp_path):
    run.run("toy", toy(), tmp_path)
    assert verify.verify("toy", toy(), random.Random(0), tmp_path) == []
    wrong = toy({(case, seed): 0.9 for case in ("a=0.1", "b") for seed in range(3)})
    (line,) = verify.verify("toy", wrong, random.Random(0), tmp_path)
    assert "stored 0." in line and "measured 0.9" in line


def absent(case, seed):
    raise NotThere(f"omniglot: there is no archive for {case}")


def test_a_case_without_its_data_set_is_named_and_left_out(tmp_path, capsys):
    def measure(case, seed):
        return absent(case, seed) if case == "b" else CASE

    benchmark = SimpleNamespace(CASES={"a": 2, "b": 2}, measure=measure)
    assert run.run("toy", benchmark, tmp_path) == 2
    assert Store("toy", tmp_path).seeds_done("a") == 2 and Store("toy", tmp_path).seeds_done("b") == 0
    assert capsys.readouterr().out.splitlines() == [
        "toy: case 'b' is left out: omniglot: there is no archive for b",
    ]


def test_verify_takes_another_case_where_a_data_set_is_absent(tmp_path, capsys):
    run.run("toy", toy(), tmp_path)
    good = toy().measure
    one = SimpleNamespace(measure=lambda case, seed: absent(case, seed) if case == "b" else good(case, seed))
    for seed in range(5):
        assert verify.verify("toy", one, random.Random(seed), tmp_path) == []
        assert "case 'a=0.1', seed" in capsys.readouterr().out
    assert verify.verify("toy", SimpleNamespace(measure=absent), random.Random(0), tmp_path) == []
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 2 and all("cannot be recomputed here: omniglot: there is no archive" in line for line in said)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (0.5, 0.5004, True),
        (0.5, 0.51, False),
        (-0.5, -0.5004, True),
        (-0.5, -0.51, False),
        (-0.5, 0.5, False),
        (0, 0.1, False),
    ],
)
def test_verify_compares_differences_too(first, second, same):
    """A difference of two measured numbers may be negative; its sign has to come out as well."""
    assert verify.agrees(first, second, "number") == verify.agrees(second, first, "number") == same


def test_quotes(tmp_path):
    run.run("toy", toy(), tmp_path)
    assert quote("toy.a=0.1.accuracy", tmp_path) == "(60.0 ± 24.8)%"
    assert quote("toy.a=0.1.accuracy:mean", tmp_path) == "60.0%"
    assert quote("toy.a=0.1.accuracy:count", tmp_path) == "3"
    assert quote("toy.a=0.1.accuracy:points", tmp_path) == "60.0 ± 24.8 points"
    store = Store("speed", tmp_path)
    store.record("ours beside theirs", 0, {"ratio": (1.7, "ratio"), "time": (41.2, "ms"), "pace": (2345.6, "1/s")})
    assert quote("speed.ours beside theirs.ratio", tmp_path) == "1.70×"
    assert quote("speed.ours beside theirs.time", tmp_path) == "41 ms"
    assert quote("speed.ours beside theirs.pace", tmp_path) == "2346 per second"
    store.record("ours minus theirs", 0, {"mse": (-0.25, "number")})
    assert quote("speed.ours minus theirs.mse", tmp_path) == "−0.250"
    for seed, value in enumerate((0.1, 0.2, 0.9)):
        store.record("skewed", seed, {"mse": (value, "number")})
    assert quote("speed.skewed.mse:median", tmp_path) == "0.200" and quote("speed.skewed.mse:mean", tmp_path) == "0.400"


@pytest.mark.parametrize("key", ["toy.c.accuracy", "toy.b.risk", "none.b.risk", "toy.b.accuracy:max"])
def test_unknown_quotes_are_errors(tmp_path, key):
    run.run("toy", toy(), tmp_path)
    with pytest.raises(KeyError):
        quote(key, tmp_path)


def test_lessons_read_what_is_stored(tmp_path):
    run.run("toy", toy(), tmp_path)
    Store("single", tmp_path).record("one seed", 0, CASE)
    found = stored("toy", tmp_path)
    row = Store("toy", tmp_path).row("b", "accuracy")
    assert found["b"]["accuracy"] == (row["mean"], *row["interval"]) and list(found) == ["a=0.1", "b"]
    alone = stored("single", tmp_path)["one seed"]["accuracy"]
    assert alone.mean == 0.5 and math.isnan(alone.low) and math.isnan(alone.high)
    with pytest.raises(FileNotFoundError, match="there are: single, toy"):
        stored("none", tmp_path)
    assert stored("lambda_sweep")["λ=0"]["accuracy_T"].mean == Store("lambda_sweep").row("λ=0", "accuracy_T")["mean"]


def test_results_are_found_among_installed_lessons(tmp_path):
    """The reader copied to a folder without the course: there it looks in lessons/stored."""
    reader = tmp_path / "lessons" / "shared" / "results.py"
    reader.parent.mkdir(parents=True)
    shutil.copy(results.__file__, reader)

    def loaded():
        spec = importlib.util.spec_from_file_location("installed", reader)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    (tmp_path / "benchmarks" / "results").mkdir(parents=True)  # somebody else's
    run.run("toy", toy(), tmp_path / "lessons" / "stored")
    assert tmp_path / "lessons" / "stored" == loaded().FOLDER
    assert loaded().stored("toy")["b"]["accuracy"].mean == pytest.approx(0.55)
    (tmp_path / "benchmarks" / "store.py").touch()
    assert tmp_path / "benchmarks" / "results" == loaded().FOLDER
    assert Path(__file__).parent / "results" == FOLDER


def test_benchmarks_are_the_modules_that_measure():
    assert set(run.benchmarks()) == {path.stem for path in FOLDER.glob("*.json")}


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.json")), ids=lambda path: path.stem)
def test_stored_files_are_complete(path):
    """Every stored file has a benchmark, all its cases and seeds, and intervals that its seeds give."""
    benchmark = run.benchmarks()[path.stem]
    store = Store(path.stem)
    assert {row["case"] for row in store.rows} == set(benchmark.CASES)
    for row in store.rows:
        assert len(row["seeds"]) == benchmark.CASES[row["case"]], row["case"]
        assert row["mean"] == pytest.approx(sum(row["seeds"]) / len(row["seeds"]))
        if row["unit"] == "fraction" and row["metric"].startswith("accuracy"):
            assert all(0 <= value <= 1 for value in row["seeds"])
