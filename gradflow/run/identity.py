"""The identity of a run: the configuration stored with a result, and the check before a checkpoint is continued."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from math import isfinite, isnan, nan
from typing import Any

import numpy as np

from ..description import describe
from ..energies.linear import Diagonal, LinearPart, Shift, Zero
from ..energies.probes import probe_vectors
from ..energies.protocols import Problem, norm, problem_ability
from ..namespace import Array, array_namespace, is_number, is_numpy
from ..schemes.protocols import Scheme
from .batches import parts
from .loop import Run, terms_of
from .solution import Solution
from .states import own_state, read_only_state, same_vector
from .steps import Schedule, hashed

__all__ = ["configuration", "continued", "probe"]

NEARBY = 0.01
"""Distance of the second probed point from theta0, relative to the largest entry of theta0."""
MOST_STEPS = 10
"""Steps that are tried for the first that moves theta."""
TOLERANCE, TOLERANCE_FLOAT32 = 1e-10, 1e-4
"""Relative differences up to which two probes count as the same.

Another number of threads, or another BLAS, sums N terms in another order. The sum then differs by about ``sqrt(N)
eps``, and a residual that is a small difference loses more. For N = 10^6 that is 2e-13 in float64 and 6e-5 in float32.
In float32 two energies that differ by less than 1e-4 cannot be distinguished."""


def configuration(problem: Problem, scheme: Scheme, theta0: Array, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what identifies a run, or raise ValueError if problem or scheme are not described by JSON values.

    A function has no identity outside its process; `probe` identifies it by its values.

    Parameters
    ----------
    problem, scheme : Problem, Scheme
        The problem of all samples, and the scheme.
    theta0 : array (P,)
        Initial parameters.
    settings : mapping of str to object
        The settings that identify the run: step size, batches, seed, tolerances, recorded quantities.
    """
    from ..version import __version__

    problem_config = describe(problem)
    config = {
        "problem": problem_config if isinstance(problem_config, dict) else {"problem": problem_config},
        "scheme": describe(scheme),
        "theta0": describe(theta0),
        **settings,
        "versions": {"gradflow": __version__, "numpy": np.__version__, "python": platform.python_version()},
    }
    try:
        again: dict[str, Any] = json.loads(json.dumps(describe(config)))  # as a file returns it: lists for tuples
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"describe() of problem and scheme must return JSON values: {error}") from error
    return again


def probe(run: Run, linear: Iterable[tuple[str, LinearPart]]) -> dict[str, Any]:
    """Return numbers that identify functions of the user, which have no identity outside their process.

    They are the energy and the norm of the gradient at theta0 and at a second point near it. To these are added values
    of operators, a product with a second derivative that was given, the first size of a user's step control, and the first
    step that moves theta of a scheme or problem with a part of the user's. One point
    is not enough: a least-squares energy at theta0 = 0 does not change when the data are permuted. The second point is
    the same in every process, and has no symmetry. It costs one energy and gradient of all samples.

    Parameters
    ----------
    run : Run
        The run at its start.
    linear : iterable of (str, LinearPart)
        The linear parts of problem and scheme by their names.
    """
    problem, theta0 = run.problem, run.theta0
    first = _values(problem, theta0)
    xp = array_namespace(theta0)
    direction = np.random.default_rng(0).uniform(-1.0, 1.0, theta0.shape)
    scale = float(xp.max(xp.abs(theta0))) or 1.0
    try:
        near = _values(problem, theta0 + _like(theta0, NEARBY * scale * direction, theta0.dtype))
    except (ArithmeticError, ValueError):
        near = (nan, nan)
    numbers: dict[str, Any] = {"energy": [first[0], near[0]], "gradient_norm": [first[1], near[1]]}
    u, _ = probe_vectors(theta0)

    def size(v: Array) -> list[float]:
        return [norm(problem.inner, v), float(problem.inner(u, v))]

    for name, part in linear:
        if not isinstance(part, (Zero, Shift, Diagonal)):
            numbers[name] = [*size(part.apply(u)), *size(part.solve_shifted(u, 1.0))]
    dt = float(run.controller.propose(run.control, 0))
    if not type(run.controller).__module__.startswith("gradflow."):
        numbers["dt"] = [dt]
    for n, term in enumerate(terms_of(problem)):
        if problem_ability(term, "hvp_given"):
            try:
                numbers[f"hvp of term {n}"] = size(term.hvp(theta0, u))
            except Exception:  # the run itself will say, if it calls it
                numbers[f"hvp of term {n}"] = [nan, nan]
    if run.foreign:
        first_part = next(parts(problem, None, None, 0, 1))
        try:
            numbers["first step"] = size(_first_step(run, first_part, dt) - theta0)
        except Exception:  # the run itself will say
            numbers["first step"] = [nan, nan]
    return numbers


def _first_step(run: Run, problem: Problem, dt: float) -> Array:
    """Return theta, (P,), after the first step that moves it: what is rejected shows nothing of a scheme."""
    state = run.state
    for _ in range(MOST_STEPS):
        state = read_only_state(own_state(run.scheme.step(problem, state, dt)))  # it may use its arrays again
        if not same_vector(state.theta, run.state.theta):
            break
    return state.theta


def _values(problem: Problem, theta: Array) -> tuple[float, float]:
    """Return the energy and the norm of its gradient; raise ValueError unless the energy is finite."""
    E, g = problem.energy_and_gradient(theta)
    energy, slope = float(E), float(array_namespace(g).sqrt(problem.inner(g, g)))
    if not isfinite(energy):
        raise ValueError(f"the energy at theta0 must be finite, got {energy}")
    return energy, slope


def continued(run: Run, kept: Solution, file: object) -> Solution:
    """Return a stored run as this process would have made it, or raise ValueError unless it is the same run.

    Versions may differ, and numbers by rounding. The NamedTuples are those of the scheme and of the step control, the
    arrays of the library of theta0.

    Parameters
    ----------
    run : Run
        The run at its start, with a probe.
    kept : Solution
        The stored run.
    file : path
        The checkpoint, for the message.
    """
    _require_same(kept, run.config, file)
    kept = _resumed(kept, run.state, file, run.control)
    sizes = (run.controller.propose(None, n) for n in range(kept.steps))
    if isinstance(run.controller, Schedule) and hashed(sizes) != kept.resume.get("sizes"):
        raise ValueError(f"{file} holds a run of other settings (dt differs): choose another file")
    if kept.steps > run.total:
        raise ValueError(f"{file} holds a run of {kept.steps} steps, more than the {run.total} asked for")
    return kept


def _require_same(kept: Solution, config: Mapping[str, Any], file: object) -> None:
    """Raise ValueError unless the stored run has this configuration, except for versions and rounding."""
    texts, stored = (
        {name: json.dumps(value, sort_keys=True) for name, value in one.items() if name not in ("versions", "probe")}
        for one in (config, kept.config)
    )  # as text, a NaN equals itself
    differing = [name for name in {**texts, **stored} if texts.get(name) != stored.get(name)]
    if not differing:
        if "probe" not in kept.config:
            raise ValueError(
                f"{file} holds a run without a probe of its energy, made without a checkpoint: choose another file"
            )
        old, new = kept.config["probe"], config["probe"]
        bound = TOLERANCE_FLOAT32 if config["theta0"]["dtype"] == "float32" else TOLERANCE
        if not isinstance(old, dict) or not all(_near(old.get(name), new[name], bound) for name in new):
            differing = ["energy or gradient at theta0 or near it"]
    if differing:
        raise ValueError(f"{file} holds a run of other settings ({', '.join(differing)} differ): choose another file")


def _resumed(kept: Solution, state: Any, file: object, control: Any) -> Solution:
    """Return a stored run with the types of the states from which scheme and step control start.

    Raise ValueError if the scheme or the step control has states of other fields by now, or arrays in them of another
    dtype or number of axes, or the history has other names than those asked for.
    """
    for label, stored, first in (("scheme", kept.state, state), ("step control", kept.control, control)):
        own = type(first).__module__.startswith("gradflow.")
        if first is None or (stored is None and not own):  # a controller may begin or end with nothing to remember
            continue
        if _kind(stored) != _kind(first):
            raise ValueError(
                f"{file} holds a {_in_words(stored)}, but the {label} starts from a {_in_words(first)}: choose another file"
            )
    names = ["step", "epoch", "time", *kept.config.get("record", ())]
    if sorted(kept.history) != sorted(names):
        raise ValueError(f"{file} must hold a history of {', '.join(names)}, got {', '.join(kept.history)}")
    floats = all(a.dtype == np.float64 for name, a in kept.history.items() if name != "step")
    if not floats or kept.history["step"][0] != 0:
        raise ValueError(f"{file} must hold a history from step 0 on, of float64 but for step")
    _require_like(f"{file} holds a run of another state", "state", state, kept.state)
    if kept.theta.shape != state.theta.shape:
        raise ValueError(f"{file} must hold theta of the shape {state.theta.shape}, got {kept.theta.shape}")
    types = {_kind(part): type(part) for part in (*_tuples(state), *_tuples(control))}
    numpys = is_numpy(state.theta)

    def array(value: Any) -> Any:
        return value if numpys or not is_numpy(value) else _like(state.theta, value, None)

    new_state = _retyped(kept.state, types, array)
    return replace(
        kept,
        theta=new_state.theta,
        state=new_state,
        best=_retyped(kept.best, types, array),
        snapshots=_retyped(kept.snapshots, types, array),
        control=_retyped(kept.control, types, lambda number: number),
    )


def _kind(value: Any) -> tuple[str, tuple[str, ...]]:
    """Return the name and the fields of a NamedTuple, by which it is known in a file."""
    return type(value).__name__, getattr(value, "_fields", ())


def _in_words(value: Any) -> str:
    name, fields = _kind(value)
    return f"{name} of {', '.join(fields)}" if fields else name


def _retyped(value: Any, types: Mapping[tuple[str, tuple[str, ...]], Any], leaf: Callable[[Any], Any]) -> Any:
    """Return a tree of tuples with the NamedTuples of this process, and a function applied to all else."""
    if isinstance(value, tuple):
        parts = [_retyped(part, types, leaf) for part in value]
        kind = types.get(_kind(value), type(value))
        return kind._make(parts) if hasattr(kind, "_make") else tuple(parts)
    return leaf(value)


def _require_like(message: str, place: str, first: Any, kept: Any) -> None:
    """Raise ValueError unless a kept part of a state is of the kind of the one that the scheme starts from."""
    fields = getattr(first, "_fields", None)
    if isinstance(first, tuple) and isinstance(kept, tuple) and fields == getattr(kept, "_fields", None):
        for label, one, other in zip(fields or range(len(first)), first, kept, strict=False):
            _require_like(message, f"{place}.{label}", one, other)
        return
    if first is None:
        like = not isinstance(kept, str)
    elif hasattr(first, "dtype") and hasattr(kept, "dtype"):
        like = kept.ndim == first.ndim and _dtype(kept) == _dtype(first)
    elif hasattr(first, "dtype"):
        like = is_number(kept) and first.ndim == 0
    elif isinstance(first, (int, float)):
        like = isinstance(kept, (int, float)) or (hasattr(kept, "dtype") and kept.dtype.kind in "biuf")
    else:
        like = type(kept) is type(first)
    if not like:
        forms = [f"{_dtype(a)} of {a.ndim} axes" if hasattr(a, "dtype") else _in_words(a) for a in (kept, first)]
        raise ValueError(f"{message}: {place} is {forms[0]}, and the scheme starts from {forms[1]}")


def _dtype(a: Any) -> str:
    return str(a.dtype).rpartition(".")[2]


def _tuples(value: Any) -> Iterator[Any]:
    """Yield the tuples in a tree."""
    if isinstance(value, tuple):
        yield value
        for part in value:
            yield from _tuples(part)


def _like(theta: Array, values: Any, dtype: Any) -> Array:
    """Return NumPy values as an array of theta's library, on its device."""
    from array_api_compat import device

    return array_namespace(theta).asarray(np.asarray(values), dtype=dtype, device=device(theta))


def _near(old: Any, new: list[float], bound: float) -> bool:
    """Return whether two probes of a quantity agree relative to the larger of its two values, since one may be 0."""
    if not isinstance(old, list) or len(old) != len(new) or not all(map(is_number, old)):
        return False
    scale = max((abs(value) for value in new if isfinite(value)), default=0.0)
    return all(a == b or (isnan(a) and isnan(b)) or abs(a - b) <= bound * scale for a, b in zip(old, new, strict=True))
