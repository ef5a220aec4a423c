"""Cache files: right or made again, whatever happens to the disk."""

from __future__ import annotations

import errno
import io
import os
import pwd
import subprocess
import sys
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metautil import files
from metautil.datasets import CacheWarning, cache, data_root, font_digits
from metautil.datasets.cache import cache_root, cached

ROOT = Path(__file__).resolve().parent.parent
ARRAYS = {
    "counts": np.arange(64, dtype=np.uint8).reshape(4, 4, 4),
    "weights": np.array([0.1, -0.0, np.inf, np.pi]),
    "names": np.array(["Latin", "Ελληνικά"]),
    "seed": np.array(3),
    "nothing": np.zeros((0, 2), dtype=np.float32),
}


class Build:
    """A build that counts how often it was called."""

    def __init__(self):
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return ARRAYS


def load(folder, build=None, version=1, name="toy"):
    """Call `cached`; return the arrays and the texts of the cache warnings. Any other warning is an error."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("error")
        warnings.simplefilter("always", CacheWarning)
        arrays = cached(name, version, build or Build(), folder)
    return arrays, [str(warning.message) for warning in caught]


def assert_equal(left, right):
    assert left.keys() == right.keys()
    for key in left:
        assert left[key].dtype == right[key].dtype
        assert left[key].shape == right[key].shape
        assert left[key].tobytes() == right[key].tobytes()


def assert_memory(folder, *words):
    """The data are right, one line says what failed, where and what to do, and no file is left over."""
    before = set(Path(folder).parent.rglob("*"))
    arrays, messages = load(folder)
    assert_equal(arrays, ARRAYS)
    assert len(messages) == 1
    for word in (*words, "toy.cache", "memory", "folder where you can write"):
        assert word in messages[0]
    assert "\n" not in messages[0]
    assert set(Path(folder).parent.rglob("*")) - before <= {Path(folder)}  # at most the folder itself is new


def fail(number):
    def raising(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return raising


# ------------------------------------------------------------------------------ the normal path


def test_warm_equals_cold_and_neither_says_anything(tmp_path, capfd):
    build = Build()
    cold, said_cold = load(tmp_path / "a" / "b", build)
    warm, said_warm = load(tmp_path / "a" / "b", build)
    assert build.calls == 1
    assert said_cold == said_warm == []
    assert capfd.readouterr() == ("", "")
    assert_equal(cold, ARRAYS)
    assert_equal(warm, ARRAYS)
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["toy.cache"]
    warm["counts"][0] = 7  # loaded arrays belong to the caller


def test_the_first_line_is_readable(tmp_path):
    load(tmp_path)
    first = (tmp_path / "toy.cache").read_bytes().split(b"\n")[0]
    assert first.startswith(b'{"name": "toy", "version": 1, "length": ')


@pytest.mark.parametrize("name", ["", "../up", "a/b", "a.b", "a b", "a\n"])
def test_a_bad_name_is_refused(tmp_path, name):
    with pytest.raises(ValueError, match="letters, digits"):
        cached(name, 1, Build(), tmp_path)


@pytest.mark.parametrize("version", [1.0, "1", None])
def test_a_bad_version_is_refused(tmp_path, version):
    with pytest.raises(TypeError, match="a whole number is expected"):
        cached("toy", version, Build(), tmp_path)


def test_objects_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(TypeError, match="'ragged' has dtype object"):
        cached("toy", 1, lambda: {"ragged": np.array([{}, []], dtype=object)}, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_the_build_comes_through_and_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError):
        cached("toy", 1, lambda: 1 / 0, tmp_path)
    assert list(tmp_path.iterdir()) == []


# ------------------------------------------------------------------------------ the folders


def test_folders_follow_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("METAUTIL_DATA", raising=False)
    monkeypatch.delenv("METAUTIL_CACHE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_root() == cache_root() == tmp_path / ".cache" / "metautil"
    monkeypatch.setenv("METAUTIL_DATA", str(tmp_path / "data"))
    assert data_root() == cache_root() == tmp_path / "data"
    monkeypatch.setenv("METAUTIL_CACHE", "~/cache")
    assert data_root() == tmp_path / "data"
    assert cache_root() == tmp_path / "cache"
    monkeypatch.setenv("METAUTIL_CACHE", "")  # empty counts as not set
    assert cache_root() == tmp_path / "data"
    assert not (tmp_path / "data").exists()  # asking creates nothing


def test_without_a_folder_the_cache_root_is_used(monkeypatch, tmp_path):
    monkeypatch.setenv("METAUTIL_CACHE", str(tmp_path))
    assert load(None)[1] == []
    assert (tmp_path / "toy.cache").is_file()


def test_without_a_home_the_data_come_from_memory(monkeypatch):
    for name in ("HOME", "METAUTIL_DATA", "METAUTIL_CACHE"):
        monkeypatch.delenv(name, raising=False)

    def nobody(user):
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    with pytest.raises(RuntimeError, match="METAUTIL_DATA"):
        data_root()
    arrays, messages = load(None)
    assert_equal(arrays, ARRAYS)
    assert len(messages) == 1
    assert "no home folder" in messages[0]
    assert "set METAUTIL_CACHE to a folder where you can write" in messages[0]


# ------------------------------------------------------------------------------ damaged files


def assert_made_again(path, *words):
    """The damaged file is named in one line, the data are right, and the next call finds a good file."""
    build = Build()
    arrays, messages = load(path.parent, build)
    assert build.calls == 1
    assert_equal(arrays, ARRAYS)
    assert len(messages) == 1
    for word in (str(path), "it was made again", *words):
        assert word in messages[0]
    again, messages = load(path.parent, build)
    assert build.calls == 1
    assert messages == []
    assert_equal(again, ARRAYS)


def test_truncated_at_any_length(tmp_path):
    load(tmp_path)
    path = tmp_path / "toy.cache"
    whole = path.read_bytes()
    start = whole.index(b"\n") + 1  # of the arrays
    for length in (0, 1, start // 2, start - 1, start, start + 1, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert_made_again(path, "first line" if length < start - 1 else "bytes of data where")


def test_grown_file(tmp_path):
    load(tmp_path)
    path = tmp_path / "toy.cache"
    path.write_bytes(path.read_bytes() + b"\0")
    assert_made_again(path, "bytes of data where")


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_one_altered_byte(tmp_path, data):
    load(tmp_path)
    path = tmp_path / "toy.cache"
    content = bytearray(path.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path.write_bytes(content)
    assert_made_again(path)


def test_one_altered_byte_of_the_arrays_fails_the_checksum(tmp_path):
    load(tmp_path)
    path = tmp_path / "toy.cache"
    path.write_bytes(path.read_bytes()[:-1] + b"\1")
    assert_made_again(path, "wrong checksum")


@pytest.mark.parametrize("text", [b"", b"\n", b"[1]\n", b'{"name": "toy"}\n', b"\xff\xfe\n", b"null\n"])
def test_a_file_of_something_else(tmp_path, text):
    path = tmp_path / "toy.cache"
    path.write_bytes(text)
    assert_made_again(path, "unreadable first line")


def test_another_version(tmp_path):
    load(tmp_path, version=2)
    assert_made_again(tmp_path / "toy.cache", "has version 2, version 1 is expected")


def test_another_files_content(tmp_path):
    load(tmp_path, name="other")
    (tmp_path / "other.cache").rename(tmp_path / "toy.cache")
    assert_made_again(tmp_path / "toy.cache", "holds 'other', not 'toy'")


def test_a_right_checksum_over_what_numpy_cannot_read(tmp_path):
    path = tmp_path / "toy.cache"
    path.write_bytes(cache._header("toy", 1, b"not arrays") + b"\nnot arrays")
    assert_made_again(path, "numpy cannot read")


# ------------------------------------------------------------------------------ a disk that fails


@pytest.mark.parametrize("number", [errno.EROFS, errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("call", ["mkdir", "open", "write", "fsync", "replace"])
def test_what_cannot_be_written_is_served_from_memory(monkeypatch, tmp_path, call, number):
    if call == "mkdir":
        monkeypatch.setattr(Path, "mkdir", fail(number))
    elif call == "open":
        monkeypatch.setattr(files, "open", fail(number), raising=False)
    elif call == "write":
        full = type("Full", (io.FileIO,), {"write": fail(number)})  # the file opens, and takes no byte
        monkeypatch.setattr(files, "open", full, raising=False)
    else:
        monkeypatch.setattr(os, call, fail(number))
    assert_memory(tmp_path / "new", str(tmp_path / "new"), "could not be written", os.strerror(number))


def test_a_damaged_file_on_a_full_disk_gives_one_warning(monkeypatch, tmp_path):
    path = tmp_path / "toy.cache"
    path.write_bytes(b"rubbish")
    monkeypatch.setattr(os, "replace", fail(errno.ENOSPC))
    assert_memory(tmp_path, "unreadable first line; a new one could not be written", "No space left")
    assert path.read_bytes() == b"rubbish"


@pytest.mark.parametrize("below", ["", "deeper"])
def test_a_file_where_the_folder_should_be(tmp_path, below):
    (tmp_path / "taken").write_text("mine")
    assert_memory(tmp_path / "taken" / below, "a file stands where its folder should be")
    assert (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_what_cannot_be_read_is_served_from_memory(monkeypatch, tmp_path, number):
    load(tmp_path)
    before = (tmp_path / "toy.cache").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", fail(number))
        assert_memory(tmp_path, str(tmp_path), "could not be read", os.strerror(number))
    assert (tmp_path / "toy.cache").read_bytes() == before


def test_a_folder_in_the_files_place(tmp_path):
    (tmp_path / "toy.cache").mkdir()
    assert_memory(tmp_path, "could not be read")


def test_an_interrupt_while_writing_leaves_nothing(monkeypatch, tmp_path):
    def interrupt(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        load(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_warning_points_at_the_line_that_asked_for_the_data(monkeypatch, tmp_path):
    monkeypatch.setattr(os, "replace", fail(errno.EROFS))
    with pytest.warns(CacheWarning) as caught:
        font_digits(tmp_path, per_class=1)
    assert caught[0].filename == __file__


# ------------------------------------------------------------------------------ several processes

WRITER = """
import sys, warnings
import numpy as np
from metautil.datasets.cache import cached

warnings.simplefilter("error")

def build():
    print("building", flush=True)
    sys.stdin.readline()
    return {"x": np.arange(300_000)}

for folder in iter(sys.stdin.readline, ""):
    print(int(cached("shared", 1, build, folder.strip())["x"].sum()), flush=True)
"""

KILLED = """
import os, sys, time
import numpy as np
from metautil.datasets.cache import cached

def replace(*args):
    print("written", flush=True)
    time.sleep(600)

os.replace = replace
cached("toy", 1, lambda: {"x": np.arange(1000)}, sys.argv[1])
"""


def start(script, *arguments):
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(
        [sys.executable, "-c", script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )


def test_two_processes_that_build_at_once(tmp_path):
    def tell(line):
        for process in both:
            process.stdin.write(line + "\n")
            process.stdin.flush()

    both = [start(WRITER) for _ in range(2)]
    try:
        for round_ in range(10):
            folder = tmp_path / str(round_)
            tell(str(folder))
            assert [process.stdout.readline() for process in both] == ["building\n"] * 2
            tell("go on")  # both are in the middle of building: now both write
            assert [int(process.stdout.readline()) for process in both] == [sum(range(300_000))] * 2
            assert [path.name for path in folder.iterdir()] == ["shared.cache"]
            build = Build()
            arrays, messages = load(folder, build, name="shared")
            assert build.calls == 0
            assert messages == []
            assert np.array_equal(arrays["x"], np.arange(300_000))
    finally:
        for process in both:
            process.communicate(timeout=30)  # closes its input: it ends
    assert [process.returncode for process in both] == [0, 0]


def test_two_threads_that_write_at_once(monkeypatch, tmp_path):
    """Same process, same file: both have their temporary file open at one time."""
    both_are_writing = threading.Barrier(2, timeout=10)
    monkeypatch.setattr(os, "fsync", lambda number: both_are_writing.wait())
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:
        warnings.simplefilter("error")
        for arrays in pool.map(lambda _: cached("toy", 1, Build(), tmp_path), range(2)):
            assert_equal(arrays, ARRAYS)
    assert [path.name for path in tmp_path.iterdir()] == ["toy.cache"]


def test_a_writer_killed_before_the_move_does_no_harm(tmp_path):
    process = start(KILLED, tmp_path)
    try:
        assert process.stdout.readline() == "written\n"
    finally:
        process.kill()
        process.communicate()
    (left,) = tmp_path.iterdir()
    assert left.name.endswith(".part")
    build = Build()
    arrays, messages = load(tmp_path, build)
    assert build.calls == 1
    assert messages == []
    assert_equal(arrays, ARRAYS)
    assert_equal(load(tmp_path)[0], ARRAYS)
    assert {path.name for path in tmp_path.iterdir()} == {left.name, "toy.cache"}
