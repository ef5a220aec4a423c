"""Cache files: right or made again, whatever happens to the disk."""

from __future__ import annotations

import errno
import io
import multiprocessing
import os
import pwd
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metautil import files
from metautil.datasets import CacheWarning, data_root, font_digits
from metautil.datasets.cache import cache_root, cached, watched

ARRAYS = {
    "counts": np.arange(64, dtype=np.uint8).reshape(4, 4, 4),
    "weights": np.array([0.1, -0.0, np.inf, np.pi]),
    "names": np.array(["Latin", "Ελληνικά"]),
    "seed": np.array(3),
    "nothing": np.zeros((0, 2), dtype=np.float32),
}
FILE = "toy.v1.npz"
FORK = multiprocessing.get_context("fork")  # a child that has everything imported already


def fail(number):
    def raising(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return raising


def interrupt(*args):
    raise KeyboardInterrupt


def load(folder, name="toy", version=1):
    """Call `cached`, check what it returns; whether it was built, and the cache warnings. Other warnings are errors."""
    built = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", CacheWarning)
        arrays = cached(name, version, lambda: built.append(True) or ARRAYS, folder)
    assert arrays.keys() == ARRAYS.keys()
    for key, expected in ARRAYS.items():
        assert (arrays[key].dtype, arrays[key].shape) == (expected.dtype, expected.shape)
        assert arrays[key].tobytes() == expected.tobytes()
    said = [str(warning.message) for warning in caught]
    assert len(said) <= 1 and not any("\n" in line for line in said)
    return bool(built), *said


def assert_memory(folder, *words):
    """The data are right, one line says what failed, where and what to do, and no file is left over."""
    before = set(Path(folder).parent.rglob("*"))
    built, message = load(folder)
    assert built
    for word in (*words, FILE, "memory", "pass as `folder` a folder where you can write"):
        assert word in message
    assert set(Path(folder).parent.rglob("*")) - before <= {Path(folder)}  # at most the folder itself is new


def assert_made_again(path, *words):
    """The damaged file is named in one line, the data are right, and the next call finds a good file."""
    built, message = load(path.parent)
    assert built
    for word in (str(path), "it was made again", *words):
        assert word in message
    assert load(path.parent) == (False,)


def test_warm_equals_cold_and_neither_says_anything(tmp_path, capfd):
    folder = tmp_path / "a" / "b"
    assert load(folder) == (True,) and load(folder) == (False,)
    assert [path.name for path in folder.iterdir()] == [FILE]
    cached("toy", 1, dict, folder)["counts"][0] = 7  # loaded arrays belong to the caller
    assert load(folder, version=2) == (True,) and load(folder) == (False,)  # versions do not meet
    assert load(folder, version=2) == (False,)
    assert capfd.readouterr() == ("", "")


def test_an_error_leaves_nothing(tmp_path, monkeypatch):
    """In the build, and an interrupt between writing and moving."""
    with pytest.raises(ZeroDivisionError):
        cached("toy", 1, lambda: 1 / 0, tmp_path)
    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_folders_follow_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("METAUTIL_DATA", raising=False)
    monkeypatch.delenv("METAUTIL_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_root() == cache_root() == tmp_path / ".cache" / "metautil"
    monkeypatch.setenv("METAUTIL_DATA", str(tmp_path / "data"))
    assert data_root() == cache_root() == tmp_path / "data"
    monkeypatch.setenv("METAUTIL_CACHE", "")  # empty counts as not set
    assert cache_root() == tmp_path / "data"
    monkeypatch.setenv("METAUTIL_CACHE", "~/cache")
    assert (data_root(), cache_root()) == (tmp_path / "data", tmp_path / "cache")
    assert list(tmp_path.iterdir()) == []  # asking creates nothing
    assert load(None) == (True,) and (tmp_path / "cache" / FILE).is_file()


def test_without_a_home_the_data_come_from_memory(monkeypatch):
    for name in ("HOME", "METAUTIL_DATA", "METAUTIL_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def nobody(user):
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(RuntimeError, match="METAUTIL_DATA"):
        data_root()
    built, message = load(None)
    assert built and "no home folder" in message
    assert "set METAUTIL_CACHE to a folder where you can write" in message


# ------------------------------------------------------------------------------ damaged files


def archive(**arrays):
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize("share", [0, 1e-3, 0.2, 0.5, 0.9, 1 - 1e-9])
def test_a_truncated_file(tmp_path, share):
    load(tmp_path)
    path = tmp_path / FILE
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    assert_made_again(path, "is damaged")


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_altered_byte(tmp_path, data):
    """Anywhere: the data are right, as `load` checks, and in the arrays it does not go unnoticed."""
    load(tmp_path)
    path = tmp_path / FILE
    content = bytearray(path.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    content[at] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    built, *said = load(tmp_path)
    assert built == bool(said)
    assert built or ARRAYS["counts"].tobytes() in content
    assert load(tmp_path) == (False,)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\3\4", "is damaged"),
        (b"an earlier cache file\n", "is damaged"),
        (b"\x93NUMPY", "is damaged"),
        (b"cos\nabort\n(tR.", "allow_pickle"),  # would end this process
        (archive(**ARRAYS), "made for"),
        (archive(**{"made for": np.array([{}], dtype=object)}), "allow_pickle"),
    ],
    ids=["start of a zip", "text", "start of an array", "pickle", "other arrays", "objects"],
)
def test_a_file_of_something_else(tmp_path, content, words):
    (tmp_path / FILE).write_bytes(content)
    assert_made_again(tmp_path / FILE, words)


def test_another_files_content(tmp_path):
    load(tmp_path, name="other")
    (tmp_path / "other.v1.npz").rename(tmp_path / FILE)
    assert_made_again(tmp_path / FILE, "it was written as other.v1.npz")


# ------------------------------------------------------------------------------ a disk that fails


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("call", ["mkdir", "open", "write", "fsync", "replace"])
def test_what_cannot_be_written_is_served_from_memory(monkeypatch, tmp_path, call, number):
    full = type("Full", (io.FileIO,), {"write": fail(number)})  # the file opens, and takes no byte
    place, name, broken = {
        "mkdir": (Path, "mkdir", fail(number)),
        "open": (files, "open", fail(number)),
        "write": (files, "open", full),
    }.get(call, (os, call, fail(number)))
    monkeypatch.setattr(place, name, broken, raising=False)
    assert_memory(tmp_path / "new", str(tmp_path / "new"), "could not be written", os.strerror(number))


def test_a_damaged_file_on_a_full_disk_gives_one_warning(monkeypatch, tmp_path):
    (tmp_path / FILE).write_bytes(b"rubbish")
    monkeypatch.setattr(os, "replace", fail(errno.ENOSPC))
    assert_memory(tmp_path, "is damaged", "a new one could not be written", "No space left")
    assert (tmp_path / FILE).read_bytes() == b"rubbish"


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_where_the_folder_should_be(tmp_path, below):
    (tmp_path / "taken").write_text("mine")
    assert_memory(tmp_path / "taken" / below, "a file stands where its folder should be")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE, errno.EISDIR])
def test_what_cannot_be_read_is_served_from_memory(monkeypatch, tmp_path, number):
    path = tmp_path / FILE
    if number == errno.EISDIR:
        path.mkdir()
        assert_memory(tmp_path, "could not be read", os.strerror(number))
        return
    load(tmp_path)
    before = path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail(number))
        assert_memory(tmp_path, str(tmp_path), "could not be read", os.strerror(number))
    assert path.read_bytes() == before


def test_the_warning_points_at_the_line_that_asked_for_the_data(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "replace", fail(errno.EROFS))
    with pytest.warns(CacheWarning) as caught:
        font_digits(tmp_path, per_class=1)
    assert caught[0].filename == __file__


# ------------------------------------------------------------------------------ several at once


def test_two_processes_that_build_at_once(tmp_path):
    both_are_building, large = FORK.Barrier(2), {"x": np.arange(300_000)}

    def build():
        both_are_building.wait(30)
        return large

    def ten_times():
        warnings.simplefilter("error")
        for round_ in range(10):
            assert np.array_equal(cached("shared", 1, build, tmp_path / str(round_))["x"], large["x"])

    both = [FORK.Process(target=ten_times) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    for round_ in range(10):
        assert [path.name for path in (tmp_path / str(round_)).iterdir()] == ["shared.v1.npz"]
        assert np.array_equal(cached("shared", 1, dict, tmp_path / str(round_))["x"], large["x"])


def test_two_threads_that_write_at_once(monkeypatch, tmp_path):
    """Same process, same file: both have their temporary file open at one time."""
    both_are_writing = threading.Barrier(2, timeout=10)
    monkeypatch.setattr(os, "fsync", lambda number: both_are_writing.wait())
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:
        warnings.simplefilter("error")
        for arrays in pool.map(lambda _: cached("toy", 1, lambda: ARRAYS, tmp_path), range(2)):
            assert arrays.keys() == ARRAYS.keys()
    assert [path.name for path in tmp_path.iterdir()] == [FILE] and load(tmp_path) == (False,)


def test_a_writer_killed_before_the_move_does_no_harm(monkeypatch, tmp_path):
    written = FORK.Event()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", lambda *_: (written.set(), time.sleep(600)))
        process = FORK.Process(target=load, args=(tmp_path,))
        process.start()
        assert written.wait(30)
        process.kill()
        process.join()
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".part")
    assert load(tmp_path) == (True,) and load(tmp_path) == (False,)
    assert {path.name for path in tmp_path.iterdir()} == {left.name, FILE}


# ------------------------------------------------------------------------------ progress bars


@pytest.mark.parametrize("person", [True, False, None])
def test_a_bar_is_shown_to_a_person_and_to_no_program(person, monkeypatch):
    """A kernel that takes input has a person before it; the bar is then cleared away. Without a kernel tqdm decides."""
    shown, cleared = [], []
    kernel = type("Kernel", (), {"_allow_stdin": person})() if person is not None else None
    monkeypatch.setattr("IPython.get_ipython", lambda: kernel and type("Shell", (), {"kernel": kernel})())
    monkeypatch.setattr("tqdm.auto.tqdm", lambda items, *_, disable, **__: shown.append(disable) or items)
    monkeypatch.setattr("IPython.display.clear_output", lambda: cleared.append(True))
    assert list(watched(iter("abc"), "spelling", 3)) == list("abc")
    assert shown == [None if person is None else not person] and cleared == [True] * bool(person)


def test_a_kernel_says_whether_it_takes_input():
    """What `watched` reads is there in the installed ipykernel."""
    from ipykernel.kernelbase import Kernel

    assert Kernel._allow_stdin.default_value is False
