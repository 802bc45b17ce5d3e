"""Data sets: what a seed promises, targets evaluated anew from raw inputs, files that are what they claim."""

import functools
import gzip
import hashlib
import http.server
import math
import os
import pickle
import socket
import struct
import subprocess
import sys
import threading
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from gradflow.datasets import (
    Dataset,
    fashion_mnist,
    fashion_subset,
    gaussian,
    mnist,
    quadratic,
    read_idx,
    sin_cos,
)
from gradflow.datasets.image_files import FASHION_MNIST, MNIST, ImageSet, locate
from gradflow.datasets.mnist import _load as load

SYNTHETIC = [sin_cos, quadratic, gaussian, functools.partial(gaussian, squared=False)]
WITH_COEFFICIENTS = [sin_cos, quadratic]
each_target = pytest.mark.parametrize("make", SYNTHETIC, ids=["sin_cos", "quadratic", "gaussian", "exponential"])
each_drawn = pytest.mark.parametrize("make", WITH_COEFFICIENTS)


def pool(data):
    """Return all raw inputs and all targets, the test part after the training part."""
    x = np.concatenate([data.x_train, data.x_test]) * data.std + data.mean
    return x, np.concatenate([data.y_train, data.y_test])[:, 0]


def same(a, b):
    """Compare two data sets bit for bit."""
    arrays = all(np.array_equal(u, v) for u, v in zip(a[:4] + a[5:], b[:4] + b[5:], strict=True))
    return arrays and all(np.array_equal(a.coefficients[k], b.coefficients[k]) for k in a.coefficients)


# Seeds


@each_target
def test_a_seed_determines_everything(make):
    first = make(4, 50, seed=7)
    assert same(first, make(4, 50, seed=7))
    assert same(first, make(4, 50, seed=np.random.default_rng(7)))
    assert not np.array_equal(first.x_train, make(4, 50, seed=8).x_train)


def test_a_generator_gives_new_data_each_time_and_keeps_its_own_stream():
    rng = np.random.default_rng(0)
    assert not np.array_equal(sin_cos(3, 20, seed=rng).x_train, sin_cos(3, 20, seed=rng).x_train)
    assert rng.random() == np.random.default_rng(0).random()


@each_drawn
@pytest.mark.parametrize("law", ["uniform", "normal"])
def test_coefficients_have_their_own_stream(make, law):
    data = make(5, 30, seed=1, coefficients=law)
    longer = make(5, 300, seed=1, coefficients=law)
    other = make(5, 30, seed=1, coefficients=law, coefficient_seed=2)
    for name, value in data.coefficients.items():
        assert value.shape == (5,)
        assert np.array_equal(value, longer.coefficients[name])
        assert np.array_equal(other.coefficients[name], make(5, 30, seed=2, coefficients=law).coefficients[name])
        assert not np.array_equal(value, other.coefficients[name])
    assert np.array_equal(data.x_train, other.x_train)


@each_drawn
def test_laws_of_the_coefficients(make):
    for law, mean, var in (("uniform", 1 / 2, 1 / 12), ("normal", 0.0, 1.0)):
        drawn = np.concatenate(list(make(4000, 5, seed=0, coefficients=law).coefficients.values()))
        assert abs(drawn.mean() - mean) < 5 * math.sqrt(var / drawn.size)
        assert abs(drawn.var() - var) < 0.1 * var
        assert (law == "normal") == bool((drawn < 0).any())


@each_target
def test_float32_is_float64_rounded_once(make):
    double, single = make(6, 100, seed=3), make(6, 100, seed=3, dtype=np.float32)
    for a, b in zip(double[:4], single[:4], strict=True):
        assert a.dtype == np.float64
        assert b.dtype == np.float32
        assert np.array_equal(a.astype(np.float32), b)
    for extra in (single.mean, single.std, *single.coefficients.values()):
        assert extra.dtype == np.float64


# The pool, its split and its z-scores


@each_target
def test_default_sizes(make):
    data = make(seed=0)
    assert data.x_train.shape == (8000, 40)
    assert data.y_train.shape == (8000, 1)
    assert data.x_test.shape == (2000, 40)
    assert data.y_test.shape == (2000, 1)


@each_target
def test_train_and_test_are_one_pool_cut_in_two(make):
    whole = make(3, 100, seed=0, standardize=False)
    halves = make(3, 100, seed=0, standardize=False, test_fraction=0.5)
    assert len(halves.x_train) == len(halves.x_test) == 50
    for a, b in zip(pool(whole), pool(halves), strict=True):
        assert np.array_equal(a, b)
    assert len(np.unique(pool(whole)[0], axis=0)) == 100


@each_target
@pytest.mark.parametrize("statistics", ["pool", "train"])
def test_inputs_are_standardised_and_targets_are_not(make, statistics):
    data = make(5, 200, seed=2, statistics=statistics)
    raw = make(5, 200, seed=2, standardize=False)
    x = np.concatenate([data.x_train, data.x_test]) if statistics == "pool" else data.x_train
    np.testing.assert_allclose(x.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(x.std(axis=0), 1, rtol=1e-14)
    np.testing.assert_allclose(pool(data)[0], pool(raw)[0], rtol=1e-13, atol=1e-14)
    assert np.array_equal(data.y_train, raw.y_train)
    assert np.array_equal(data.y_test, raw.y_test)
    assert np.array_equal(raw.mean, np.zeros(5))
    assert np.array_equal(raw.std, np.ones(5))


def test_ranges_of_the_inputs():
    for make, highest in ((sin_cos, 1), (quadratic, 5)):
        x, _ = pool(make(2, 20_000, seed=0, standardize=False))
        assert 0 <= x.min() < 1e-3 * highest
        assert 0.999 * highest < x.max() <= highest
    x, _ = pool(gaussian(2, 20_000, seed=0, standardize=False, std=0.2**0.5))
    assert abs(x.var() - 0.2) < 0.01


def test_a_dataset_can_be_pickled():
    data = sin_cos(3, 20, seed=0)
    assert same(data, pickle.loads(pickle.dumps(data)))


# Targets


def test_targets_by_their_formulas():
    # One sample and one input at a time, with the scalar functions of the standard library.
    data = sin_cos(3, 40, seed=1, coefficients="normal")
    p, q = data.coefficients["p"], data.coefficients["q"]
    for x, y in zip(*pool(data), strict=True):
        angles = [math.fsum(c * xi for c, xi in zip(w, x, strict=True)) for w in (p, q)]
        assert y == pytest.approx(math.sin(angles[0]) + math.cos(angles[1]), rel=0, abs=1e-13)
    data = quadratic(3, 40, seed=1, coefficients="normal")
    for x, y in zip(*pool(data), strict=True):
        terms = [c * xi**2 for c, xi in zip(data.coefficients["c"], x, strict=True)]
        assert y == pytest.approx(math.fsum(terms), rel=0, abs=1e-12)
    for squared in (True, False):
        data = gaussian(3, 40, seed=1, squared=squared)
        assert dict(data.coefficients) == {}
        for x, y in zip(*pool(data), strict=True):
            norm = math.hypot(*x)
            assert y == pytest.approx(math.exp(-10 * (norm**2 if squared else norm)), rel=1e-12)


def test_given_coefficients_are_used_and_copied():
    p, q = np.array([1.0, 0.0]), np.array([0.0, 2.0])
    data = sin_cos(2, 30, seed=0, coefficients=(p, q))
    x, y = pool(data)
    np.testing.assert_allclose(y, np.sin(x[:, 0]) + np.cos(2 * x[:, 1]), atol=1e-13)
    c = np.array([3.0, -1.0])
    data = quadratic(2, 30, seed=0, coefficients=c)
    x, y = pool(data)
    np.testing.assert_allclose(y, 3 * x[:, 0] ** 2 - x[:, 1] ** 2, atol=1e-12)
    c[:] = 0
    assert data.coefficients["c"].tolist() == [3, -1]
    assert quadratic(2, 30, seed=0, coefficients=[3, -1]).coefficients["c"].dtype == np.float64


def assert_mean(values, expected):
    """Check a mean to five standard errors, which must be small enough to mean something."""
    error = values.std() / math.sqrt(len(values))
    assert error < 0.3 * abs(expected)
    assert abs(values.mean() - expected) < 5 * error


def test_moments_of_sin_cos():
    # E exp(i w.x) is the product of (exp(i w_j) - 1) / (i w_j).
    data = sin_cos(5, 100_000, seed=0, standardize=False)
    p, q = (np.prod((np.exp(1j * w) - 1) / (1j * w)) for w in data.coefficients.values())
    assert_mean(pool(data)[1], p.imag + q.real)


def test_moments_of_quadratic():
    data = quadratic(40, 20_000, seed=0, standardize=False)
    c, y = data.coefficients["c"], pool(data)[1]
    assert_mean(y, 25 / 3 * c.sum())
    assert_mean((y - 25 / 3 * c.sum()) ** 2, 500 / 9 * np.sum(c**2))


@pytest.mark.parametrize(("n_inputs", "std"), [(40, 0.2), (4, 0.2), (4, 0.5)])
def test_moments_of_the_gaussian(n_inputs, std):
    y = pool(gaussian(n_inputs, 100_000, seed=0, standardize=False, std=std))[1]
    assert_mean(y, (1 + 20 * std**2) ** (-n_inputs / 2))
    if n_inputs == 40 and std == 0.2:
        assert_mean(y, 1.8**-20)
        # A handful of samples near the origin carry E y^2: its error is estimated from the known E y^4.
        error = math.sqrt((1 + 80 * std**2) ** (-n_inputs / 2) / len(y))
        assert abs(np.mean(y**2) - 2.6**-20) < 5 * error
    else:
        assert_mean(y**2, (1 + 40 * std**2) ** (-n_inputs / 2))


def test_mean_of_the_exponential_of_the_norm():
    y = pool(gaussian(1, 100_000, seed=0, standardize=False, squared=False))[1]
    assert_mean(y, math.exp(2) * math.erfc(math.sqrt(2)))  # 2 exp(a^2/2) Phi(-a) with a = 10 std = 2


# Wrong arguments


@each_target
@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_samples": 2}, "gives 2 and 0"),
        ({"n_samples": 1}, "n_samples must be a whole number >= 2, got 1"),
        ({"n_samples": 10.0}, "n_samples must be a whole number >= 2, got 10.0"),
        ({"n_samples": 3, "test_fraction": 0.9}, "gives 0 and 3"),
        ({"n_inputs": 0}, "n_inputs must be a whole number >= 1, got 0"),
        ({"test_fraction": 1.0}, r"test_fraction must lie in \(0, 1\)"),
        ({"test_fraction": math.nan}, r"test_fraction must lie in \(0, 1\)"),
        ({"dtype": "int64"}, "dtype must be float32 or float64, got 'int64'"),
        ({"dtype": "nonsense"}, "dtype must be float32 or float64, got 'nonsense'"),
        ({"dtype": None}, "dtype must be float32 or float64, got None"),
        ({"statistics": "test"}, "statistics must be one of pool, train; got 'test'"),
        ({"seed": None}, "seed must be a whole number >= 0 .* got None"),
        ({"seed": -1}, "seed must be a whole number >= 0 .* got -1"),
        ({"seed": 0.5}, "seed must be a whole number >= 0 .* got 0.5"),
    ],
)
def test_wrong_arguments(make, wrong, message):
    with pytest.raises(ValueError, match=message):
        make(**{"seed": 0, "n_samples": 20, "n_inputs": 3} | wrong)


@each_drawn
def test_wrong_coefficients(make):
    def given(*arrays):
        return arrays if make is sin_cos else arrays[0]

    with pytest.raises(ValueError, match=r"must have shape \(n_inputs,\), n_inputs = 3; got \(2,\)"):
        make(3, 20, seed=0, coefficients=given([1, 2], [1, 2]))
    with pytest.raises(ValueError, match="an entry of coefficients must be a finite number, got inf"):
        make(3, 20, seed=0, coefficients=given([1, 2, math.inf], [1, 2, 3]))
    with pytest.raises(ValueError, match="got 'cauchy'"):
        make(3, 20, seed=0, coefficients="cauchy")
    with pytest.raises(ValueError, match="coefficient_seed must be left out"):
        make(3, 20, seed=0, coefficients=given([1, 2, 3], [1, 2, 3]), coefficient_seed=1)


def test_sin_cos_wants_two_arrays():
    with pytest.raises(ValueError, match="must be the 2 arrays p, q, got tuple of length 3"):
        sin_cos(3, 20, seed=0, coefficients=(np.ones(3),) * 3)
    with pytest.raises(ValueError, match="must be the 2 arrays p, q, got 3"):
        sin_cos(3, 20, seed=0, coefficients=3)


@pytest.mark.parametrize("std", [0.0, -1.0, math.inf, math.nan])
def test_gaussian_wants_a_positive_std(std):
    with pytest.raises(ValueError, match="std must be a finite number > 0"):
        gaussian(3, 20, seed=0, std=std)


@each_target
def test_a_constant_column_has_no_z_score(make):
    # One training sample: every column is constant over it.
    with pytest.raises(ValueError, match=r"columns \[0, 1\] are constant over the 1 sample\(s\) of the train"):
        make(2, 2, seed=0, test_fraction=0.5, statistics="train")
    assert np.isfinite(make(2, 2, seed=0, test_fraction=0.5, statistics="train", standardize=False).x_train).all()


# IDX files


CODES = {"uint8": 0x08, "int8": 0x09, "int16": 0x0B, "int32": 0x0C, "float32": 0x0D, "float64": 0x0E}


def idx_bytes(array):
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, CODES[array.dtype.name], array.ndim, *array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", CODES)
@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 3)])
def test_idx_round_trip(tmp_path, name, compress, shape):
    array = np.random.default_rng(0).integers(-100, 100, shape).astype(name)
    content = compress(idx_bytes(array))
    path = tmp_path / "file-idx"
    path.write_bytes(content)
    for back in (
        read_idx(path),
        read_idx(str(path), sha256(content)),
        read_idx(path, sha256(content).upper()),
    ):
        assert back.dtype == np.dtype(name)
        assert back.dtype.isnative
        assert back.flags.writeable
        assert back.shape == shape
        assert np.array_equal(back, array)


GOOD = idx_bytes(np.arange(6, dtype=np.uint8).reshape(2, 3))
ZIPPED = gzip.compress(GOOD, mtime=0)  # a time stamp would make the names of the tests differ between workers


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an IDX file"),
        (b"\0\0\x08", "not an IDX file"),
        (b"\x93NUMPY....", "not an IDX file"),
        (b"\0\0\x0a" + GOOD[3:], "the element type must be one of 0x08, .* got 0x0a"),
        (b"\0\0\x08\0" + b"\0", "1 or more dimensions"),
        (GOOD[:7], "it says 2, and 3 bytes follow"),
        (GOOD[:-1], r"truncated: shape \(2, 3\) of uint8 takes 18 bytes, got 17"),
        (GOOD + b"\0", r"too long: shape \(2, 3\) of uint8 takes 18 bytes, got 19"),
        (GOOD[:4] + b"\xff" * 8 + GOOD[12:], "truncated"),
        (ZIPPED[:-9], "damaged gzip data"),
        (ZIPPED[:-8] + b"\0" * 8, "damaged gzip data"),
        (ZIPPED[:12] + b"\xff" * 12, "damaged gzip data"),
        (gzip.compress(GOOD[:-1], mtime=0), "truncated"),
    ],
)
def test_idx_refuses_damaged_files(tmp_path, content, message):
    path = tmp_path / "damaged-idx2-ubyte.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_idx(path)
    assert str(path) in str(caught.value)
    assert sha256(content) in str(caught.value)


def test_idx_refuses_another_file(tmp_path):
    path = tmp_path / "other"
    path.write_bytes(GOOD)
    with pytest.raises(ValueError, match="not the file that was expected") as caught:
        read_idx(path, "0" * 64)
    for part in (str(path), sha256(GOOD), "0" * 64):
        assert part in str(caught.value)
    with pytest.raises(FileNotFoundError):
        read_idx(tmp_path / "absent")


# Where image files are found


TINY = {name: gzip.compress(name.encode(), mtime=0) for name in MNIST.sha256}
TINY_SET = ImageSet("Tiny", "tiny", {name: sha256(content) for name, content in TINY.items()}, ())


def fill(folder, contents=TINY):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def places(tmp_path, monkeypatch):
    """An explicit directory, a GRADFLOW_DATA_DIR and a cache, all empty."""
    import pooch

    directory, environment, cache = tmp_path / "directory", tmp_path / "environment", tmp_path / "cache"
    monkeypatch.setenv("GRADFLOW_DATA_DIR", str(environment))
    monkeypatch.setattr(pooch, "os_cache", lambda _: cache)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return directory, environment, cache


def test_order_of_the_places(places, monkeypatch):
    directory, environment, cache = places
    for arguments in ((), (directory,)):
        with pytest.raises(FileNotFoundError, match="download=True") as caught:
            locate(TINY_SET, *arguments)
        assert (str(directory) in str(caught.value)) == bool(arguments)
        assert (str(environment) in str(caught.value)) == (str(cache) in str(caught.value)) == (not arguments)
    fill(cache / "tiny")
    assert locate(TINY_SET) == cache / "tiny"
    fill(environment)
    assert locate(TINY_SET) == environment
    fill(environment / "tiny")
    assert locate(TINY_SET) == environment / "tiny"
    with pytest.raises(FileNotFoundError):
        locate(TINY_SET, directory)  # whoever names a directory means it
    fill(directory)
    assert locate(TINY_SET, directory) == directory
    fill(directory / "tiny")
    assert locate(TINY_SET, str(directory)) == directory / "tiny"
    (directory / "tiny" / "t10k-labels-idx1-ubyte.gz").unlink()
    assert locate(TINY_SET, directory) == directory
    monkeypatch.setenv("GRADFLOW_DATA_DIR", "")
    assert locate(TINY_SET) == cache / "tiny"


def test_files_of_another_set_are_refused(places):
    directory, _, _ = places
    fill(directory)
    for read in (mnist, fashion_mnist):
        with pytest.raises(ValueError, match="not the file that was expected"):
            read(directory)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"n_train": 60_001, "seed": 0}, "n_train must be a whole number from 1 to 60000, got 60001"),
        ({"n_test": 0, "seed": 0}, "n_test must be a whole number from 1 to 10000, got 0"),
        ({"n_test": 2.5, "seed": 0}, "n_test must be a whole number"),
        ({"n_train": 8}, "seed must be given: it chooses the images that n_train = 8 takes"),
        ({"n_train": 8, "seed": "a"}, "seed must be a whole number >= 0"),
        ({"dtype": "uint8"}, "dtype must be float32 or float64"),
    ],
)
@pytest.mark.parametrize("read", [mnist, fashion_mnist])
def test_wrong_arguments_are_found_before_the_files(places, read, wrong, message):
    with pytest.raises(ValueError, match=message):
        read(**wrong)


# Downloads, from a server on this machine


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    """A function that serves a folder on loopback and returns its address."""
    servers = []

    def start(folder):
        handler = functools.partial(QuietHandler, directory=str(folder))
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


def test_download_goes_to_the_cache_or_the_directory(places, serve, tmp_path):
    directory, _, cache = places
    tiny = TINY_SET._replace(mirrors=(serve(fill(tmp_path / "mirror")),))
    with pytest.raises(FileNotFoundError):
        locate(tiny)  # never without being asked
    assert locate(tiny, download=True) == cache / "tiny"
    assert locate(tiny, directory, download=True) == directory / "tiny"
    for folder in (cache / "tiny", directory / "tiny"):
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == TINY
    assert locate(tiny._replace(mirrors=()), download=True) == cache / "tiny"  # nothing is fetched twice


@pytest.mark.parametrize("broken", ["closed port", "empty folder", "wrong content"])
def test_second_mirror_stands_in_for_a_broken_first(places, serve, tmp_path, broken):
    _, _, cache = places
    if broken == "closed port":
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            first = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    else:
        first = serve(fill(tmp_path / "first", {} if broken == "empty folder" else dict.fromkeys(TINY, b"x")))
    tiny = TINY_SET._replace(mirrors=(first, serve(fill(tmp_path / "second"))))
    folder = locate(tiny, download=True)
    assert folder == cache / "tiny"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == TINY


def test_wrong_downloads_are_refused_with_both_hashes(places, serve, tmp_path):
    _, _, cache = places
    bad, absent = (
        serve(fill(tmp_path / "bad", dict.fromkeys(TINY, b"x"))),
        serve(fill(tmp_path / "empty", {})),
    )
    name = next(iter(TINY))
    with pytest.raises(FileNotFoundError, match="no mirror delivered Tiny") as caught:
        locate(TINY_SET._replace(mirrors=(bad, absent)), download=True)
    for part in (bad + name, sha256(b"x"), TINY_SET.sha256[name], absent + name, "404"):
        assert part in str(caught.value)
    assert list((cache / "tiny").iterdir()) == []


def test_download_never_overwrites(places, serve, tmp_path):
    directory, _, _ = places
    name = next(iter(TINY))
    fill(directory / "tiny", {name: b"mine"})
    tiny = TINY_SET._replace(mirrors=(serve(fill(tmp_path / "mirror")),))
    folder = locate(tiny, directory, download=True)
    assert (folder / name).read_bytes() == b"mine"
    with pytest.raises(ValueError, match="not the file that was expected"):
        read_idx(folder / name, tiny.sha256[name])


# The full sets


@pytest.fixture(scope="session")
def data_dir():
    """The folder with mnist/ and fashion/: GRADFLOW_DATA_DIR, else `shared/data` beside the repository."""
    named = os.environ.get("GRADFLOW_DATA_DIR")
    folder = Path(named) if named else Path(__file__).parents[2] / "shared" / "data"
    for image_set in (MNIST, FASHION_MNIST):
        for name in image_set.sha256:
            if not (folder / image_set.folder / name).is_file():
                pytest.skip(f"the full sets are not here: {folder / image_set.folder / name} is missing")
    return folder


@pytest.fixture(scope="session")
def full_fashion(data_dir):
    return fashion_mnist(data_dir, dtype="float32")


@pytest.mark.data
def test_mnist_is_the_published_one(data_dir, monkeypatch):
    monkeypatch.setenv("GRADFLOW_DATA_DIR", str(data_dir))
    data = mnist(dtype="float32")
    assert data.x_train.shape == (60_000, 784)
    assert data.x_test.shape == (10_000, 784)
    assert data.x_train.dtype == np.float32
    assert data.labels_train.dtype == np.int64
    assert data.labels_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.labels_train).tolist() == counts
    assert np.bincount(data.labels_test).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert data.x_train.min() == 0
    assert data.x_train.max() == 1
    # The mean and standard deviation that the literature normalises by, printed there to four digits.
    assert data.x_train.mean(dtype=np.float64) == pytest.approx(0.1307, abs=5e-5)
    assert data.x_train.std(dtype=np.float64) == pytest.approx(0.3081, abs=5e-5)


@pytest.mark.data
def test_fashion_mnist_is_balanced(full_fashion):
    assert full_fashion.x_train.shape == (60_000, 784)
    assert np.bincount(full_fashion.labels_train).tolist() == [6000] * 10
    assert np.bincount(full_fashion.labels_test).tolist() == [1000] * 10


@pytest.mark.data
def test_seeded_subsets(data_dir, full_fashion):
    data = fashion_mnist(data_dir, n_train=800, n_test=2000, seed=5, dtype="float32")
    assert data.x_train.shape == (800, 784)
    assert data.labels_test.shape == (2000,)
    # Every image is one of the full set with its own label, and none is taken twice.
    where = {row.tobytes(): label for row, label in zip(full_fashion.x_test, full_fashion.labels_test, strict=True)}
    assert len(where) == len(full_fashion.x_test)
    assert [where[row.tobytes()] for row in data.x_test] == data.labels_test.tolist()
    assert len({row.tobytes() for row in data.x_test}) == 2000
    # The two subsets have their own streams, and the smaller is the head of the larger.
    other = fashion_mnist(data_dir, n_train=300, seed=np.random.default_rng(5), dtype="float32")
    assert np.array_equal(other.x_train, data.x_train[:300])
    assert np.array_equal(other.labels_train, data.labels_train[:300])
    assert np.array_equal(other.x_test, full_fashion.x_test)


@pytest.mark.data
def test_the_sets_are_not_mistaken_for_each_other(data_dir):
    with pytest.raises(ValueError, match="not the file that was expected") as caught:
        fashion_mnist(data_dir / "mnist")
    for image_set in (MNIST, FASHION_MNIST):
        assert image_set.sha256["train-images-idx3-ubyte.gz"] in str(caught.value)


@pytest.mark.data
def test_download_of_the_full_set(data_dir, places, serve):
    served = MNIST._replace(mirrors=(serve(data_dir / "mnist"),))
    data = load(served, None, 8000, 2000, 0, "float32", download=True)
    assert data.x_train.shape == (8000, 784)
    assert data.x_test.shape == (2000, 784)


# The embedded subset


def first_of_each_class(images, labels, count):
    """Return the first `count` images of each class, in the order of the file: how the subset was made."""
    chosen = np.sort(np.concatenate([np.flatnonzero(labels == k)[:count] for k in range(10)]))
    return images.reshape(len(images), -1)[chosen], labels[chosen]


@pytest.mark.data
def test_subset_is_made_from_the_full_set(data_dir):
    # To write the file: numpy.savez_compressed("fashion_subset.npz", x_train=..., labels_train=..., ...).
    with (
        files("gradflow.datasets").joinpath("fashion_subset.npz").open("rb") as file,
        np.load(file) as stored,
    ):
        assert set(stored.files) == {"x_train", "labels_train", "x_test", "labels_test"}
        for prefix, part, count in (("train", "train", 100), ("t10k", "test", 20)):
            images = read_idx(data_dir / "fashion" / f"{prefix}-images-idx3-ubyte.gz")
            labels = read_idx(data_dir / "fashion" / f"{prefix}-labels-idx1-ubyte.gz")
            x, classes = first_of_each_class(images, labels, count)
            for name, expected in ((f"x_{part}", x), (f"labels_{part}", classes)):
                assert stored[name].dtype == np.uint8
                assert np.array_equal(stored[name], expected)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fashion_subset(dtype):
    data = fashion_subset(dtype)
    assert data.x_train.shape == (1000, 784)
    assert data.x_test.shape == (200, 784)
    assert data.x_train.dtype == data.x_test.dtype == np.dtype(dtype)
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert data._fields == Dataset._fields[:4]
    assert data.labels_train is data.y_train
    assert data.labels_test is data.y_test
    assert np.bincount(data.labels_train).tolist() == [100] * 10
    assert np.bincount(data.labels_test).tolist() == [20] * 10
    grey = np.rint(data.x_train * 255)
    assert grey.min() == 0
    assert grey.max() == 255
    assert np.array_equal(data.x_train, grey / np.asarray(255, dtype=dtype))
    with pytest.raises(ValueError, match="dtype must be float32 or float64"):
        fashion_subset("int8")


def test_the_subset_is_small_and_has_its_licence():
    folder = files("gradflow.datasets")
    assert len(folder.joinpath("fashion_subset.npz").read_bytes()) < 600_000
    assert "2017 Zalando SE" in folder.joinpath("fashion_subset.LICENSE").read_text()


def test_import_is_light():
    code = "import sys, gradflow.datasets; print(*sorted({'pooch', 'requests'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
