"""The thread pools of BLAS: found once, held and given back."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from gradflow.curvature import lapack
from gradflow.namespace import blas_pools, blas_threads


class Pool:
    """A stand-in for one BLAS library."""

    def __init__(self, filepath):
        self.filepath, self.threads, self.seen = filepath, 4, []

    def get_num_threads(self):
        return self.threads

    def set_num_threads(self, n):
        self.threads = n
        self.seen.append(n)


NUMPY, SCIPY, SYSTEM = "/env/numpy.libs/libopenblas.so", "/env/scipy.libs/libopenblas.so", "/usr/lib/libblas.so"


@pytest.mark.parametrize(
    ("loaded", "apart"),
    [([NUMPY, SCIPY], [SCIPY]), ([SYSTEM], []), ([SCIPY], []), ([], []), ([SYSTEM, NUMPY], []), ([NUMPY, SYSTEM, SCIPY], [SCIPY])],
)  # fmt: skip
def test_a_pool_is_apart_if_scipy_brought_it_beside_another(monkeypatch, loaded, apart):
    monkeypatch.setattr(lapack, "blas_pools", lambda: SimpleNamespace(lib_controllers=list(map(Pool, loaded))))
    assert [pool.filepath for pool in lapack._separate_pools.__wrapped__()] == apart


@pytest.mark.parametrize("M", [2 * np.eye(3), -np.eye(3)])
def test_a_pool_apart_is_held_at_one_thread_and_given_back(monkeypatch, M):
    pool = Pool(SCIPY)
    monkeypatch.setattr(lapack, "_separate_pools", lambda: (pool,))
    x = lapack.cholesky_solve(M.copy(), np.ones(3))
    assert pool.seen == [1, 4] * (1 if x is None else 2)  # the factor, and the solution with it
    assert x is None if M[0, 0] < 0 else np.allclose(x, 0.5)


def test_pools_are_found_once_until_a_module_is_imported(monkeypatch):
    found = blas_pools()
    assert blas_pools() is found
    monkeypatch.setitem(sys.modules, "gradflow_test_of_a_new_module", ModuleType("new"))
    assert blas_pools() is not found


def test_threads_are_held_and_given_back():
    def threads():
        return [pool.num_threads for pool in blas_pools().lib_controllers]

    before = threads()
    with blas_threads(1):
        assert set(threads()) <= {1}
        with blas_threads(np.int64(2)):
            assert set(threads()) <= {2}
        assert set(threads()) <= {1}
    assert threads() == before
