"""Random vectors whose direction is uniformly distributed in the inner product of a problem."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..namespace import Array, array_namespace
from .protocols import Problem, problem_ability

__all__ = ["normal_vector"]

_PURPOSE = 0x73746172
"""Keeps these numbers apart from others of the same seed: a first row of random data, drawn with the same numbers as z, would
leave z without a component in the null space of that row."""


def normal_vector(problem: Problem, theta: Array, *seed: int) -> tuple[Array, float]:
    """Return z, (P,), with a normally distributed ``M^{1/2} z``, and a number in [0, 1) that is uniformly distributed.

    Both are independent. They are drawn in float64, so that a float32 run sees the same ones, rounded. If the inner product is
    not declared as `mass`, z itself is normal; its direction has a density, but is not uniform.

    Parameters
    ----------
    problem : Problem
        It determines the inner product.
    theta : array (P,)
        It determines the array library, shape and dtype.
    *seed : int
        One or several whole numbers >= 0.
    """
    xp, rng = array_namespace(theta), np.random.default_rng([*seed, _PURPOSE])
    mass: Any = problem_ability(problem, "mass")
    z = xp.asarray(rng.standard_normal(theta.shape[0]), dtype=theta.dtype)
    return z if mass is None else z / mass**0.5, rng.random()
