"""What makes two runs the same run: the configuration kept with a result, and the check that a checkpoint may go on."""

from __future__ import annotations

import platform
from collections.abc import Callable
from math import isclose, isfinite
from pathlib import Path
from typing import Any

import numpy as np

from ..description import describe
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace
from ..schemes.protocols import Scheme
from .solution import Solution

__all__ = ["configuration", "kept_run", "require_same"]

PROBED_STEPS = 8
"""Values of a step size function that are kept to tell it from another."""


def configuration(
    problem: Problem,
    scheme: Scheme,
    theta0: Array,
    dt: float | Callable[[int], float],
    size_of_step: Callable[[int], float],
    batch_size: int | None,
    seed: int | None,
    every: int,
    quantities: tuple[str, ...],
) -> tuple[dict[str, Any], float]:
    """Return all that identifies a run, as JSON values, and the norm of the gradient at theta0.

    Functions have no identity that survives a process; `probe` keeps what they give at theta0.

    Parameters
    ----------
    problem : Problem
        The problem of all samples.
    scheme : Scheme
        The scheme.
    theta0 : array (P,)
        Initial parameters.
    dt : float or callable
        Step size as given.
    size_of_step : callable
        Step size as a function of the step number.
    batch_size : int or None
        Samples in a batch.
    seed : int or None
        Seed of the batches.
    every : int
        Steps between records.
    quantities : tuple of str
        Names of what is recorded.

    Raises
    ------
    ValueError
        If the energy at theta0 is not finite.
    """
    from ..version import __version__

    E, g = problem.energy_and_gradient(theta0)
    energy, slope = float(E), float(array_namespace(g).sqrt(problem.inner(g, g)))
    if not isfinite(energy):
        raise ValueError(f"the energy at theta0 must be finite, got {energy}")
    problem_config = describe(problem)
    config = {
        "problem": problem_config if isinstance(problem_config, dict) else {"problem": problem_config},
        "scheme": describe(scheme),
        "theta0": describe(theta0),
        "probe": {"energy": energy, "gradient_norm": slope},
        "dt": [size_of_step(n) for n in range(PROBED_STEPS)] if callable(dt) else size_of_step(0),
        "batch_size": batch_size,
        "seed": seed,
        "every": every,
        "record": list(quantities),
        "versions": {"gradflow": __version__, "numpy": np.__version__, "python": platform.python_version()},
    }
    return config, slope


def kept_run(path: str | Path) -> Solution | None:
    """Return the run kept at `path`, None if there is nothing.

    Parameters
    ----------
    path : path
        With or without the suffix ``.npz``.
    """
    npz = Path(path) if Path(path).suffix == ".npz" else Path(f"{path}.npz")
    if not npz.exists() and not npz.with_suffix(".json").exists():
        return None
    return Solution.load(path)


def require_same(kept: Solution, config: dict[str, Any], path: object) -> None:
    """Raise ValueError unless the kept run has this configuration, versions and rounding aside.

    Parameters
    ----------
    kept : Solution
        The run in the checkpoint.
    config : dict
        From `configuration`.
    path : path
        Of the checkpoint, for the message.
    """
    differing = [k for k in config if k not in ("versions", "probe") and kept.config.get(k) != config[k]]
    old, new = kept.config.get("probe", {}), config["probe"]
    # another number of threads sums in another order: the last digits may differ
    if not all(isclose(old.get(k, 0.0), new[k], rel_tol=1e-3) or old.get(k) == new[k] for k in new if isfinite(new[k])):
        differing.append("energy or gradient at theta0")
    if differing:
        raise ValueError(f"{path} holds a run of other settings ({', '.join(differing)} differ): choose another file")
