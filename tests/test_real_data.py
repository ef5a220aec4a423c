"""Omniglot, CIFAR-10, MNIST and Fashion-MNIST: read in their original formats, refused when broken, fetched whole or not.

The tests write small files in the original formats and serve them from this machine. What needs the real Omniglot looks
for it where METAUTIL_DATA says, and is skipped where it is not.
"""

from __future__ import annotations

import errno
import gzip
import hashlib
import inspect
import io
import os
import pickle
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import warnings
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision.datasets as theirs
from PIL import Image

from metautil.datasets import (
    CacheWarning,
    DamagedData,
    DownloadFailed,
    NotThere,
    cifar10,
    data_root,
    digits,
    fashion_mnist,
    font_alphabets,
    font_digits,
    mnist,
    omniglot,
    sources,
)
from metautil.tasks import Alphabets, Data, few_shot_tasks, rotations

ours = sys.modules["metautil.datasets.omniglot"]  # the module; its name in the package is the function

# SHA-256 of all images of omniglot(), by version. If they are meant to change, raise the version.
OMNIGLOT = {1: "b8bc109636cdef97f229edd4404519456a3efcc9b7f739398423143738542d16"}
SMALL = {
    "images_background": ("Gurmukhi/character41", "Gurmukhi/character42", "Hebrew/character01", "Latin/character01"),
    "images_evaluation": ("Kannada/character01", "Angelic/character01"),
}
DRAWN = 3


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("METAUTIL_CACHE", str(folder))
    return folder


def png(ink):
    file = io.BytesIO()
    Image.fromarray(~ink).save(file, "PNG", compress_level=0)  # whatever is drawn, the size is the same
    assert Image.open(file).mode == "1"
    return file.getvalue()


def write_omniglot(root, kind="zip", seed=0):
    """A few random drawings in the original layout; returns {character: ink (DRAWN, 105, 105)}."""
    rng, inks = np.random.default_rng(seed), {}
    for half, characters in SMALL.items():
        files = {}
        for number, character in enumerate(characters):
            inks[character] = rng.random((DRAWN, 105, 105)) < 0.2
            for index, ink in enumerate(inks[character]):
                files[f"{half}/{character}/{number:04}_{index + 1:02}.png"] = png(ink)
        put(root / "omniglot-py", files if kind == "folder" else {f"{half}.zip": zipped(half, files)})
    return inks


def zipped(half, files):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{half}/", b"")
        archive.writestr(f"__MACOSX/{half}/Latin/character01/._0000_01.png", b"not a picture")
        for name, content in files.items():
            archive.writestr(name, content)
    return file.getvalue()


def put(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)


def tree(folder):
    """All files, {path: content}, and all folders, {path: None}."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def quietly(call, *arguments, **named):
    """The result, and the texts of the warnings."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        return call(*arguments, **named), [str(warning.message) for warning in caught]


def refused(kind, words, call, *arguments, **named):
    """``call`` raises ``kind``, and says ``words`` in one line."""
    with pytest.raises(kind) as error:
        call(*arguments, **named)
    text = str(error.value)
    assert "\n" not in text and len(text) < 500
    for word in words:
        assert str(word) in text, text


# ------------------------------------------------------------------------------ Omniglot, small


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_original_files_come_out_reduced_and_split(tmp_path, kind):
    inks = write_omniglot(tmp_path, kind)
    data, said = quietly(omniglot, tmp_path)
    assert len(said) == 1 and "holds 6 characters; the full set has 1,623" in said[0]
    assert isinstance(data, Alphabets) and data.characters == tuple(sorted(inks))
    assert data.names == ("Angelic", "Gurmukhi", "Hebrew", "Kannada", "Latin")
    assert data.alphabet.tolist() == [0, 1, 1, 2, 3, 4]
    assert torch.equal(data.y, torch.arange(6).repeat_interleave(DRAWN))
    for label, character in enumerate(data.characters):
        # Reference: every pixel of 105 cut into 4 by 4, the mean of 15 by 15 of those, rounded.
        fine = np.kron(inks[character], np.ones((4, 4), dtype=int))
        share = 255 * fine.reshape(-1, 28, 15, 28, 15).sum((2, 4)) / 225
        assert np.array_equal(data.x[data.y == label][:, 0].numpy(), np.floor(share + 0.5).astype(np.uint8))
    assert data.part("training").characters == ("Angelic/character01", "Gurmukhi/character41", "Latin/character01")
    assert data.part("validation").characters == ("Hebrew/character01",)
    assert data.part("test").characters == ("Gurmukhi/character42", "Kannada/character01")
    assert data.part("test").names == ("Gurmukhi", "Kannada")


def test_full_ink_and_none():
    ink = np.zeros((2, 105, 105), dtype=bool)
    ink[1] = True
    assert [int(image.min()) for image in ours.reduced(ink)] == [0, 255]
    assert [int(image.max()) for image in ours.reduced(ink)] == [0, 255]


def test_a_folder_comes_before_an_archive_and_they_mix(tmp_path):
    inks = write_omniglot(tmp_path, "zip")
    whole, _ = quietly(omniglot, tmp_path)
    with zipfile.ZipFile(tmp_path / "omniglot-py" / "images_background.zip") as archive:
        archive.extractall(tmp_path / "omniglot-py")
    (tmp_path / "omniglot-py" / "images_background.zip").write_bytes(b"not read any more")
    mixed, _ = quietly(omniglot, tmp_path)
    assert torch.equal(whole.x, mixed.x) and mixed.characters == tuple(sorted(inks))


def test_the_second_load_reads_no_image(tmp_path, monkeypatch, cache):
    write_omniglot(tmp_path)
    cold, _ = quietly(omniglot, tmp_path)
    (file,) = cache.iterdir()
    assert file.name.startswith("omniglot_28_")
    monkeypatch.setattr(ours, "_ink", None)
    warm, said = quietly(omniglot, tmp_path)
    assert torch.equal(cold.x, warm.x) and cold.characters == warm.characters and len(said) == 1
    assert sorted(path.name for path in (tmp_path / "omniglot-py").iterdir()) == [f"{half}.zip" for half in SMALL]


@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_sources_of_the_same_names_do_not_meet_in_the_cache(tmp_path, kind):
    for seed in (1, 2):
        write_omniglot(tmp_path / str(seed), kind, seed)
    one, two = (quietly(omniglot, tmp_path / str(seed))[0] for seed in (1, 2))
    assert one.characters == two.characters and not torch.equal(one.x, two.x)
    assert torch.equal(quietly(omniglot, tmp_path / "1")[0].x, one.x)
    shutil.rmtree(tmp_path / "1")
    write_omniglot(tmp_path / "1", kind, 2)
    assert torch.equal(quietly(omniglot, tmp_path / "1")[0].x, two.x), "the old drawings were served"


def test_a_cache_that_cannot_be_written_points_at_the_callers_line(tmp_path, monkeypatch):
    write_omniglot(tmp_path)
    monkeypatch.setenv("METAUTIL_CACHE", str(tmp_path / "omniglot-py" / "images_background.zip"))
    with pytest.warns(CacheWarning, match="made in memory") as caught, pytest.warns(UserWarning, match="holds 6"):
        omniglot(tmp_path)
    assert {warning.filename for warning in caught} == {__file__}


def first_drawing(change):
    """Spoils an archive: ``change`` of the content of its first drawing, None leaves it out."""

    def spoil(content):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = {
                name: archive.read(name) for name in archive.namelist() if name.endswith(".png") and name[0] != "_"
            }
        files[min(files)] = change(files[min(files)])
        return zipped("images_background", {name: content for name, content in files.items() if content is not None})

    return spoil


ITS_NAME = "holds Gurmukhi/character41/0000_01.png, which"
DAMAGE = {
    "cut short": (lambda c: c[:-100], "cannot be read as a zip archive"),
    "of something else": (lambda c: b"<html>404</html>", "cannot be read as a zip archive"),
    "a drawing missing": (
        first_drawing(lambda c: None),
        "is incomplete: Gurmukhi/character41 has 2 drawings, others have 3",
    ),
    "no PNG": (first_drawing(lambda c: b"text"), f"{ITS_NAME} cannot be read (it is no PNG)"),
    "half a PNG": (first_drawing(lambda c: c[:200]), f"{ITS_NAME} cannot be read"),
    "another size": (
        first_drawing(lambda c: png(np.ones((105, 28), dtype=bool))),
        "has 105 by 28 pixels, not 105 by 105",
    ),
    "an altered byte": (
        lambda c: c[: len(c) // 2] + b"\xff\x00\xff" + c[len(c) // 2 + 3 :],
        "which cannot be read",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_archives_are_named_and_never_cached(tmp_path, cache, damage):
    write_omniglot(tmp_path)
    path = tmp_path / "omniglot-py" / "images_background.zip"
    spoil, words = DAMAGE[damage]
    path.write_bytes(spoil(path.read_bytes()))
    refused(DamagedData, (path, words, "Put a good copy in its place, or pass download=True"), omniglot, tmp_path)
    assert list(cache.iterdir()) == []


def test_folders_that_lost_a_drawing_or_all_are_named(tmp_path):
    write_omniglot(tmp_path, "folder")
    half = tmp_path / "omniglot-py" / "images_evaluation"
    quietly(omniglot, tmp_path)
    (half / "Kannada" / "character01" / "0000_02.png").unlink()
    refused(DamagedData, (half, "Kannada/character01 has 2 drawings, others have 3"), omniglot, tmp_path)
    for path in (tmp_path / "omniglot-py").rglob("*.png"):
        path.unlink()
    refused(DamagedData, (tmp_path / "omniglot-py", "holds no drawing"), omniglot, tmp_path)


def test_a_large_collection_must_be_complete(tmp_path, monkeypatch):
    write_omniglot(tmp_path)
    monkeypatch.setattr(ours, "CHARACTERS", 7)
    refused(DamagedData, ("6 characters with 3 drawings each, not 7 with 20",), omniglot, tmp_path)
    monkeypatch.setattr(ours, "CHARACTERS", 6)
    monkeypatch.setattr(ours, "DRAWINGS", DRAWN)
    assert quietly(omniglot, tmp_path)[1] == []


# ------------------------------------------------------------------------------ Omniglot, real


@pytest.fixture(scope="module")
def real():
    try:
        return omniglot()
    except NotThere as error:
        pytest.skip(str(error))


def test_the_real_set_is_whole_and_the_same_everywhere(real):
    assert real.x.shape == (32460, 1, 28, 28) and real.x.dtype == torch.uint8
    assert len(real.characters) == 1623 and len(real.names) == 50
    assert torch.bincount(real.y).unique().tolist() == [20]
    assert (real.x.flatten(1) > 0).any(1).all() and real.x.min() == 0 and real.x.max() == 255
    assert hashlib.sha256(real.x.numpy().tobytes()).hexdigest() == OMNIGLOT[ours.VERSION]


def test_the_split_is_the_published_one(real):
    assert {part: len(held) for part, held in real.parts.items()} == {"training": 1028, "validation": 172, "test": 423}
    folder = data_root() / "splits" / "omniglot_vinyals"
    if not folder.is_dir():
        pytest.skip(f"the published lists are not in {folder}")
    for part, file in (("training", "train"), ("validation", "val"), ("test", "test")):
        lines = (folder / f"{file}.txt").read_text().split()
        published = {line.removesuffix("/rot000") for line in lines if line.endswith("/rot000")}
        assert set(real.part(part).characters) == published
        turned = rotations(real.part(part))
        assert len(turned.characters) == len(lines)


def test_real_handwriting_is_drawn_as_tasks(real):
    task = few_shot_tasks(real.part("test"))(4, torch.Generator().manual_seed(0))
    assert task.query.x.shape == (4, 75, 1, 28, 28) and 0 <= task.query.x.min() < task.query.x.max() <= 1


# ------------------------------------------------------------------------------ CIFAR-10 and MNIST, small


def pickles(images=2, seed=0):
    """The files of a small CIFAR-10 in its own format: {name: content}, and the images by name."""
    rng, files, pixels = np.random.default_rng(seed), {}, {}
    for name in [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]:
        pixels[name] = rng.integers(0, 256, (images, 3072), dtype=np.uint8)
        files[name] = pickle.dumps({"data": pixels[name], "labels": list(range(images))}, protocol=2)
    files["batches.meta"] = pickle.dumps({"label_names": list("abcdefghij")}, protocol=2)
    return files, pixels


def know(monkeypatch, files):
    """Tell torchvision the MD5 sums of the small files."""

    def md5(name):
        return hashlib.md5(files[name]).hexdigest()

    monkeypatch.setattr(theirs.CIFAR10, "train_list", [(name, md5(name)) for name in files if name.startswith("data")])
    monkeypatch.setattr(theirs.CIFAR10, "test_list", [("test_batch", md5("test_batch"))])
    monkeypatch.setattr(theirs.CIFAR10, "meta", theirs.CIFAR10.meta | {"md5": md5("batches.meta")})


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def idx_files(seed=0):
    rng, files = np.random.default_rng(seed), {}
    for part, count in (("train", 5), ("t10k", 3)):
        files[f"{part}-images-idx3-ubyte"] = idx(rng.integers(0, 256, (count, 28, 28), dtype=np.uint8))
        files[f"{part}-labels-idx1-ubyte"] = idx(rng.integers(0, 10, count, dtype=np.uint8))
    return files


@pytest.fixture(params=[torch.float32, torch.float64], ids=str)
def dtype(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


def test_cifar10_is_read_in_its_own_format(tmp_path, monkeypatch, dtype):
    files, pixels = pickles()
    know(monkeypatch, files)
    put(tmp_path / "cifar-10-batches-py", files)
    data = cifar10(tmp_path)
    assert isinstance(data, Data) and data.x.shape == (10, 3, 32, 32) and data.x.dtype == dtype
    assert data.y.tolist() == [0, 1] * 5 and data.y.dtype == torch.int64
    expected = np.concatenate([pixels[f"data_batch_{number}"] for number in range(1, 6)]).reshape(10, 3, 32, 32)
    assert np.array_equal((data.x * 255).round().to(torch.uint8).numpy(), expected)
    assert 0 <= data.x.min() < data.x.max() <= 1
    test = cifar10(tmp_path, part="test")
    assert np.array_equal((test.x * 255).round().numpy().reshape(2, -1), pixels["test_batch"])


@pytest.mark.parametrize(("load", "name"), [(mnist, "MNIST"), (fashion_mnist, "FashionMNIST")])
def test_idx_files_are_read(tmp_path, dtype, load, name):
    files = idx_files()
    put(tmp_path / name / "raw", files)
    for part, file, count in (("training", "train", 5), ("test", "t10k", 3)):
        data = load(tmp_path, part)
        assert data.x.shape == (count, 1, 28, 28) and data.x.dtype == dtype
        expected = np.frombuffer(files[f"{file}-images-idx3-ubyte"][16:], dtype=np.uint8)
        assert np.array_equal((data.x * 255).round().numpy().ravel(), expected)
        assert data.y.tolist() == list(files[f"{file}-labels-idx1-ubyte"][8:])


@pytest.mark.parametrize("load", [cifar10, mnist, fashion_mnist], ids=lambda load: load.__name__)
@pytest.mark.parametrize("part", ["train", "validation", None, 1])
def test_an_unknown_part_is_refused(tmp_path, load, part):
    with pytest.raises(ValueError, match="'training', 'test'"):
        load(tmp_path, part)


def test_an_altered_pickle_is_named_and_not_unpickled(tmp_path, monkeypatch):
    files, _ = pickles()
    know(monkeypatch, files)
    files["data_batch_3"] = b"cos\nabort\n(tR."  # would end this process
    put(tmp_path / "cifar-10-batches-py", files)
    path = tmp_path / "cifar-10-batches-py" / "data_batch_3"
    refused(DamagedData, (path, "MD5", "download=True"), cifar10, tmp_path)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("train-images-idx3-ubyte", lambda c: c[:-1], "is not a whole idx file of 3 axes"),
        ("train-images-idx3-ubyte", lambda c: c + b"\0", "is not a whole idx file of 3 axes"),
        ("train-images-idx3-ubyte", lambda c: c[:2] + b"\x0d" + c[3:], "is not a whole idx file of 3 axes"),
        ("train-images-idx3-ubyte", lambda c: idx(np.zeros(5, dtype=np.uint8)), "is not a whole idx file of 3 axes"),
        ("t10k-labels-idx1-ubyte", lambda c: b"", "is not a whole idx file of 1 axis"),
        ("t10k-labels-idx1-ubyte", lambda c: gzip.compress(c), "is not a whole idx file of 1 axis"),
        ("train-labels-idx1-ubyte", lambda c: idx(np.zeros(4, dtype=np.uint8)), "has 4 labels beside 5 images"),
        ("t10k-labels-idx1-ubyte", lambda c: idx(np.zeros(5, dtype=np.uint8)), "has 5 labels beside 3 images"),
    ],
)
def test_damaged_idx_files_are_named(tmp_path, file, change, words):
    files = idx_files()
    put(tmp_path / "MNIST" / "raw", files | {file: change(files[file])})
    refused(DamagedData, (tmp_path / "MNIST" / "raw" / file, words), mnist, tmp_path)


# ------------------------------------------------------------------------------ downloads


class Server(ThreadingHTTPServer):
    """Serves a folder. ``mood``: "good", "breaks off" (half of each file), "altered", "stalls" or "gone" (404)."""

    mood, asked = "good", 0


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.server.asked += 1
        mood = self.server.mood
        path = Path(self.translate_path(self.path))
        if mood == "gone" or not path.is_file():
            self.send_error(404)
            return
        content = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if mood == "altered":
            content = content[:-1] + bytes([content[-1] ^ 1])
        self.wfile.write(content if mood in ("good", "altered") else content[: len(content) // 2])
        self.wfile.flush()
        if mood == "stalls":
            self.server.released.wait(10)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Small archives of all data sets, served from this machine; torchvision is told where, and their MD5 sums."""
    served = tmp_path / "served"
    served.mkdir()
    monkeypatch.setenv("no_proxy", "*")
    with Server(("127.0.0.1", 0), lambda *a: Handler(*a, directory=str(served))) as server:
        server.released = threading.Event()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"

        def md5(name):
            return hashlib.md5((served / name).read_bytes()).hexdigest()

        files, _ = pickles()
        know(monkeypatch, files)
        put(tmp_path / "made" / "cifar-10-batches-py", files)
        with tarfile.open(served / "cifar.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "made" / "cifar-10-batches-py", "cifar-10-batches-py")
        monkeypatch.setattr(theirs.CIFAR10, "url", f"{url}/cifar.tar.gz")
        monkeypatch.setattr(theirs.CIFAR10, "tgz_md5", md5("cifar.tar.gz"))
        put(served, {f"{name}.gz": gzip.compress(content) for name, content in idx_files().items()})
        for kind in (theirs.MNIST, theirs.FashionMNIST):
            monkeypatch.setattr(kind, "mirrors", [f"{url}/"])
            monkeypatch.setattr(kind, "resources", [(name, md5(name)) for name, _ in kind.resources])
        write_omniglot(tmp_path / "made")
        for half in SMALL:
            shutil.copy(tmp_path / "made" / "omniglot-py" / f"{half}.zip", served)
        monkeypatch.setattr(theirs.Omniglot, "download_url_prefix", url)
        monkeypatch.setattr(theirs.Omniglot, "zips_md5", {half: md5(f"{half}.zip") for half in SMALL})
        server.url = url
        yield server
        server.released.set()
        server.shutdown()


FILES = {
    omniglot: "omniglot-py/images_background.zip",
    cifar10: "cifar-10-batches-py/data_batch_1",
    mnist: "MNIST/raw/train-images-idx3-ubyte",
    fashion_mnist: "FashionMNIST/raw/train-images-idx3-ubyte",
}
"""Every real data set, and a file of it."""
each_set = pytest.mark.parametrize("load", FILES, ids=lambda load: load.__name__)


@pytest.mark.parametrize("load", [*FILES, digits, font_digits, font_alphabets], ids=lambda load: load.__name__)
def test_all_data_sets_have_one_signature(load):
    arguments = inspect.signature(load).parameters
    assert next(iter(arguments)) == "folder" and all(one.default is not one.empty for one in arguments.values())
    assert "download" not in arguments or (list(arguments)[-1] == "download" and load in FILES)


@each_set
def test_what_is_not_there_is_said_in_one_line(tmp_path, monkeypatch, load):
    monkeypatch.setenv("METAUTIL_DATA", str(tmp_path))
    for arguments in ((), (tmp_path,)):
        words = (f"there is no {FILES[load]}", f"in {tmp_path}", f"{load.__name__}(download=True)", "METAUTIL_DATA")
        refused(NotThere, words, load, *arguments)
    assert issubclass(NotThere, FileNotFoundError) and list(tmp_path.iterdir()) == []


def test_half_of_omniglot_is_not_there(tmp_path, monkeypatch):
    """And the folder is the data root where none is named."""
    monkeypatch.setenv("METAUTIL_DATA", str(tmp_path))
    write_omniglot(tmp_path)
    assert len(quietly(omniglot)[0].characters) == 6
    (tmp_path / "omniglot-py" / "images_evaluation.zip").unlink()
    refused(NotThere, ("omniglot-py/images_evaluation",), omniglot)


@each_set
def test_a_download_leaves_the_data_set_alone_in_its_place_and_mends_what_is_damaged(tmp_path, server, load):
    root, top = tmp_path / "new" / "root", Path(FILES[load]).parts[0]
    first, _ = quietly(load, root, download=True)
    asked = server.asked
    again, without = (quietly(load, root, **how)[0] for how in ({"download": True}, {}))
    assert server.asked == asked, "what was there was fetched again"
    assert len(first.x) > 0 and torch.equal(first.x, again.x) and torch.equal(first.x, without.x)
    notes = (root / FILES[load]).with_name("my notes.txt")
    notes.write_text("mine")
    spoilt = max((path for path in root.rglob("*") if path.is_file() and path.suffix in (".png", "")), key=str)
    spoilt.write_bytes(b"spoilt")
    with pytest.raises(DamagedData):
        load(root)
    assert torch.equal(quietly(load, root, download=True)[0].x, first.x)
    assert [path.name for path in root.iterdir()] == [top] and notes.read_text() == "mine"


@each_set
@pytest.mark.parametrize("before", ["nothing", "damaged"])
@pytest.mark.parametrize(
    ("mood", "words"),
    [("breaks off", "corrupted"), ("altered", "corrupted"), ("gone", "Not Found"), ("stalls", "timed out")],
)
def test_a_download_that_fails_leaves_all_as_it_was_and_the_next_one_mends_it(
    tmp_path, server, monkeypatch, load, before, mood, words
):
    root = tmp_path / "root"
    root.mkdir()
    if before == "damaged":
        put(root, {FILES[load]: b"spoilt", "others/notes.txt": b"mine"})
    found = tree(root)
    monkeypatch.setattr(sources, "SILENCE", 0.2)
    server.mood = mood
    words = (f"{load.__name__} could not be downloaded into {root}", words, "Nothing half-written is left")
    refused(DownloadFailed, words, load, root, download=True)
    assert tree(root) == found
    server.mood = "good"
    server.released.set()
    assert len(quietly(load, root, download=True)[0].x) > 0


def fail(number):
    def raising(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    return raising


@pytest.mark.parametrize(
    ("call", "number", "words"),
    [
        ("mkdtemp", errno.EROFS, "a folder where you can write"),
        ("mkdtemp", errno.EACCES, "a folder where you can write"),
        ("mkdtemp", errno.ENOSPC, "Free some space"),
        ("retrieve", errno.ENOSPC, "Free some space"),
        ("rename", errno.ENOSPC, "Free some space"),
        ("rename", errno.EIO, "Call again"),
        ("nobody answers", errno.ECONNREFUSED, "put the files there by hand"),
    ],
)
def test_a_disk_or_a_network_that_fails(tmp_path, server, monkeypatch, call, number, words):
    root, rename = tmp_path / "root", os.rename
    spoilt = {"batches.meta": b"spoilt", "test_batch": b"spoilt"}  # batches.meta is the first to be exchanged
    put(root / "cifar-10-batches-py", spoilt)
    found = tree(root)

    def retrieve(url, filename, *_):
        Path(filename).write_bytes(b"half of it")
        fail(number)()

    def no_entry(source, target):  # what is in the way moves aside and back; what is new does not get in
        if "old" not in (Path(source).parent.name, Path(target).parent.name):
            fail(number)()
        rename(source, target)

    with monkeypatch.context() as patch:
        place, name, broken = {
            "mkdtemp": (sources.tempfile, "mkdtemp", fail(number)),
            "retrieve": (theirs.utils, "_urlretrieve", retrieve),
            "rename": (os, "rename", no_entry),
            "nobody answers": (theirs.CIFAR10, "url", "http://127.0.0.1:9/cifar.tar.gz"),
        }[call]
        patch.setattr(place, name, broken)
        refused(DownloadFailed, (root, os.strerror(number), words), cifar10, root, download=True)
    assert tree(root) == found
    assert len(cifar10(root, download=True).x) == 10


def test_a_file_where_the_folder_should_be(tmp_path, server):
    taken = tmp_path / "taken"
    taken.write_text("mine")
    refused(DownloadFailed, (taken, "where you can write", "a file stands"), mnist, taken, download=True)
    assert taken.read_text() == "mine"


def test_a_disk_that_is_full_for_real(tmp_path, server):
    """A file system of 16 kB, where this user may mount one."""
    root = tmp_path / "root"
    root.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", root], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        refused(DownloadFailed, (root, "No space left", "Free some space"), cifar10, root, download=True)
        assert list(root.iterdir()) == []
    finally:
        subprocess.run(["umount", root], check=True)


def test_an_interrupt_leaves_nothing_and_gives_the_timeout_back(tmp_path, server, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cifar10(tmp_path / "root", download=True)
    assert list((tmp_path / "root").iterdir()) == [] and socket.getdefaulttimeout() is None
