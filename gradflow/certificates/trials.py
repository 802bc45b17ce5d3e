"""Random problems on which a certificate runs a scheme, each with the facts that a failure is told by.

The energy is a sum of squares, ``|sin(J theta) - b|^2 / 2``: bounded, nonconvex, with a gradient that is bounded, and with
second derivatives; with or without an energy part L and a stabilization S, in the dot product and in others, on all samples
and on a part of them. A failure that occurs with one fact only is told by it: "only with an inner product that is not the
dot product".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from ..description import found
from ..energies.dense import DenseLeastSquares
from ..energies.function import FunctionProblem
from ..energies.linear import Diagonal
from ..energies.protocols import Problem
from ..namespace import quiet
from ..refusals import real_array
from ..schemes.protocols import scheme_ability

__all__ = [
    "RAISED",
    "Given",
    "Sampled",
    "TrialRun",
    "attributes",
    "common_facts",
    "entries_of",
    "given_problems",
    "is_number",
    "on_numbers",
    "plural",
    "shortened",
    "stabilized",
    "state_distance",
    "takes_stabilization",
    "trials",
    "trials_at",
    "within",
    "written",
]

RAISED = (Exception, SystemExit)
"""What the code of a user may raise; only a keyboard ends the certificate."""
P, N = 5, 8
LONGEST = 12
"""Entries of theta that are printed."""
MASSES: dict[str, Any] = {
    "the dot product": None,
    "a multiple of the dot product": 0.25,
    "a diagonal inner product": np.array([0.3, 2.0, 0.7, 1.4, 0.1]),
}
LINEAR_PARTS: dict[str, Any] = {
    "no energy part L": 0.0,
    "L a number": 1.5,
    "L a diagonal": np.array([0.0, 0.4, 1.9, 1.0, 0.2]),
}
STABILIZATIONS: dict[str, Any] = {
    "no stabilization": None,
    "S a number": 4.0,
    "S a diagonal": np.array([3.0, 0.5, 0.0, 1.0, 2.0]),
}


class Given(NamedTuple):
    """A problem of the user, on which a scheme is tried in the place of random ones."""

    problem: Any
    """The energy."""
    theta: Any
    """Where runs start, (P,)."""


def given_problems(problems: Any) -> tuple[Given, ...]:
    """Return the problems of a user, or raise ValueError.

    Parameters
    ----------
    problems : pair, sequence of pairs or None
        ``(problem, theta)`` with theta (P,) in float64, copied; one pair or several. None for no problems.
    """
    if problems is None:
        return ()
    pairs = [problems] if isinstance(problems, tuple) and len(problems) == 2 and _is_problem(problems[0]) else problems
    wanted = "problems must be a pair (problem, theta) or a sequence of such pairs"
    if not isinstance(pairs, (list, tuple)) or not pairs:
        raise ValueError(f"{wanted}, got {found(problems)}")
    made = []
    for pair in pairs:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not _is_problem(pair[0]):
            raise ValueError(f"{wanted}, got {found(pair)}")
        theta = real_array("theta", pair[1], {"P": None}, np.dtype(np.float64), low=-np.inf)
        made.append(Given(pair[0], np.array(theta)))
        _check_start(f"problem {len(made)}", *made[-1])
    return tuple(made)


def _check_start(name: str, problem: Any, theta: Any) -> None:
    """Raise ValueError unless a problem can be evaluated where runs are to start, and has a gradient there that is not 0."""
    wanted = f"{name} must have a finite energy and a gradient {theta.shape} other than 0 at its theta"
    try:
        with quiet():
            E, g = problem.energy_and_gradient(theta.copy())
            E, g = float(E), np.asarray(g)
            finite = np.isfinite(E) and np.all(np.isfinite(g))
    except RAISED as error:
        raise ValueError(f"{wanted}; it raises {type(error).__name__}: {' '.join(str(error).split())}") from error
    if g.shape != theta.shape:
        raise ValueError(f"{wanted}, got a gradient of shape {g.shape}")
    if not finite:
        raise ValueError(f"{wanted}, got E = {E:g} and the gradient {written(g)}")
    if not np.any(g):
        raise ValueError(f"{wanted}, got a gradient of 0: a scheme does not move from there")


def _is_problem(x: Any) -> bool:
    return isinstance(x, Problem) and not isinstance(x, type)


def written(theta: Any) -> str:
    """Return the first entries of theta, in brackets.

    Parameters
    ----------
    theta : array (P,)
        Parameters.
    """
    entries = [f"{x:.6g}" for x in theta[:LONGEST]] + (["..."] if len(theta) > LONGEST else [])
    return f"({', '.join(entries)})"


def plural(n: int, one: str, many: str = "") -> str:
    """Return a number of things in words: ``1 step``, ``2 steps``.

    Parameters
    ----------
    n : int
        How many there are.
    one, many : str
        The word for one of them, and for several; by default with an s.
    """
    return f"{n} {one if n == 1 else many or f'{one}s'}"


def shortened(words: str, most: int) -> str:
    """Return a text that is not longer than wanted: cut after a clause, else after a word, with an ellipsis.

    Parameters
    ----------
    words : str
        The text.
    most : int
        Its largest number of characters, the ellipsis included.
    """
    if len(words) <= most:
        return words
    kept = words[: most - 3]
    for mark in ("; ", ". ", ": "):
        head = kept.rpartition(mark)[0]
        if len(head) >= most / 2:
            return f"{head} ..."
    head = kept.rpartition(" ")[0]
    return f"{head} ..." if head else f"{kept}..."


class TrialRun(NamedTuple):
    """A scheme on a problem."""

    facts: Mapping[str, str]
    """What distinguishes this trial, by kind."""
    scheme: Any
    """The scheme, perhaps with a stabilization."""
    problem: Any
    """The energy."""
    theta: Any
    """Where the run starts, (P,)."""
    whole: Any
    """The problem of all samples, on which the state is initialised; `problem` itself without batches."""

    @property
    def words(self) -> str:
        """The facts in one line."""
        return ", ".join(self.facts.values())


class Sampled(DenseLeastSquares):
    """The mean over n samples of the squares ``(sin(J_i theta) - b_i)^2 / 2``, or that over a batch.

    Parameters
    ----------
    J : array (N, P)
        One row for each sample.
    b : array (N,)
        Targets.
    linear, mass : object
        As in `DenseLeastSquares`.
    """

    def __init__(self, J: Any, b: Any, *, linear: Any = 0.0, mass: Any = None) -> None:
        scale = J.dtype.type(1 / np.sqrt(J.shape[0]))

        def hvp(t: Any, v: Any) -> Any:
            s, c = np.sin(J @ t), np.cos(J @ t)
            return scale**2 * (J.T @ ((c * c - s * (s - b)) * (J @ v))) / (1 if mass is None else mass)

        super().__init__(
            lambda t: scale * (np.sin(J @ t) - b),
            lambda t: scale * np.cos(J @ t)[:, None] * J,
            hvp=hvp,
            linear=linear,
            mass=mass,
        )
        self._rows, self._targets, self._given = J, b, (linear, mass)
        self.n_samples = J.shape[0]

    def batch(self, indices: Any) -> Sampled:
        """Return the problem of these samples.

        Parameters
        ----------
        indices : array (B,)
            Their numbers.
        """
        linear, mass = self._given
        return Sampled(self._rows[indices], self._targets[indices], linear=linear, mass=mass)


def _full(J: Any, b: Any, linear: float) -> FunctionProblem:
    """Return the energy of `Sampled` in an inner product that is not diagonal."""
    M = np.diag(MASSES["a diagonal inner product"]) + 0.05 * np.ones((P, P))
    M = M.astype(J.dtype)
    plain = Sampled(J, b)
    return FunctionProblem(
        plain.energy,
        lambda t: np.linalg.solve(M, plain.energy_and_gradient(t)[1]).astype(t.dtype),
        lambda t, v: np.linalg.solve(M, plain.hvp(t, v)).astype(t.dtype),
        inner=lambda u, v: u @ (M @ v),
        linear=linear,
    )


def _lowered(J: Any, b: Any, linear: float, by: float) -> FunctionProblem:
    """Return the energy of `Sampled`, without its residual, less a number."""
    plain = Sampled(J, b)
    return FunctionProblem(
        lambda t: plain.energy(t) - by, lambda t: plain.energy_and_gradient(t)[1], plain.hvp, linear=linear
    )


def trials_at(scheme: Any, E: float) -> Iterator[TrialRun]:
    """Yield a scheme on energies that have a given value where the run starts, of either sign.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    E : float
        The value.
    """
    rng = np.random.default_rng(11)
    for name_L, L in (("no energy part L", 0.0), ("L a number", 1.5)):
        J, b, theta = rng.standard_normal((N, P)), rng.standard_normal(N), rng.standard_normal(P)
        problem: Any = _lowered(J, b, L, float(_lowered(J, b, L, 0.0).energy(theta)) - E)
        yield TrialRun({"L": name_L, "E": f"E = {E:g} at theta"}, scheme, problem, theta, problem)


def attributes(scheme: Any) -> dict[str, Any]:
    """Return the attributes of a scheme by name, with slots or without.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    """
    names = [f.name for f in fields(scheme)] if is_dataclass(scheme) else []
    return {name: getattr(scheme, name) for name in dict.fromkeys((*names, *getattr(scheme, "__dict__", ())))}


def within(scheme: Any) -> Any:
    """Return the scheme that a wrapper wraps, None for another one; a field ``base`` may have another meaning.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    """
    base = scheme_ability(scheme, "base")
    return base if all(callable(getattr(base, name, None)) for name in ("init", "step")) else None


def takes_stabilization(scheme: Any) -> bool:
    """Return whether a scheme, or the one that it wraps, has a field ``stabilization``."""
    names = {f.name for f in fields(scheme)} if is_dataclass(scheme) else set()
    return "stabilization" in names or ("base" in names and takes_stabilization(within(scheme)))


def stabilized(scheme: Any, S: Any) -> Any:
    """Return a scheme with another stabilization, in a wrapper that of the scheme within.

    Parameters
    ----------
    scheme : Scheme
        A dataclass with a field ``stabilization``, or one around it.
    S : float or LinearPart
        The stabilization.
    """
    if "stabilization" in {f.name for f in fields(scheme)}:
        return replace(scheme, stabilization=S)
    return replace(scheme, base=stabilized(scheme.base, S))


def _on_given(scheme: Any, dtype: Any, given: tuple[Given, ...]) -> Iterator[TrialRun]:
    """Yield a scheme, with and without a stabilization, on problems of the user."""
    for name_S in ("no stabilization", "S a number")[: 2 if takes_stabilization(scheme) else 1]:
        S = STABILIZATIONS[name_S]
        one = scheme if S is None else stabilized(scheme, S)
        for k, (problem, theta) in enumerate(given):
            if theta.dtype == dtype:
                facts = {"S": name_S, "problem": f"problem {k + 1}, of type {type(problem).__name__}"}
                yield TrialRun(facts, one, problem, theta.copy(), problem)


def trials(
    scheme: Any, *, dtype: Any = np.float64, scale: float = 1.0, seed: int = 0, given: tuple[Given, ...] = ()
) -> Iterator[TrialRun]:
    """Yield a scheme on problems of every kind that it takes.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    dtype : dtype
        Of all arrays.
    scale : float
        The size of the rows of J; the curvature is its square.
    seed : int
        Of the random numbers.
    given : tuple of Given
        Problems that take the place of the random ones, in their dtype and scale.
    """
    if given:
        yield from _on_given(scheme, dtype, given) if scale == 1 else ()
        return
    rng = np.random.default_rng(seed)
    stabilizations = STABILIZATIONS if takes_stabilization(scheme) else {"no stabilization": None}
    for name_S, S in stabilizations.items():
        one = scheme if S is None else stabilized(scheme, Diagonal(S.astype(dtype)) if np.ndim(S) else S)
        for name_L, L in LINEAR_PARTS.items():
            for name_M, mass in MASSES.items():
                for samples in ("all samples", "a batch"):
                    if samples == "a batch" and (name_M == "a multiple of the dot product" or np.ndim(L)):
                        continue
                    J = (scale * rng.standard_normal((N, P))).astype(dtype)
                    b, theta = (rng.standard_normal(n).astype(dtype) for n in (N, P))
                    linear = Diagonal(L.astype(dtype)) if np.ndim(L) else L
                    m = mass.astype(dtype) if np.ndim(mass) else mass
                    whole = Sampled(J, b, linear=linear, mass=m)
                    problem = whole.batch(np.array([0, 2, 3, 6, 7])) if samples == "a batch" else whole
                    facts = {"S": name_S, "L": name_L, "inner": name_M, "samples": samples}
                    yield TrialRun(facts, one, problem, theta, whole)
        for name_L, L in (("no energy part L", 0.0), ("L a number", 1.5)):
            if isinstance(S, np.ndarray):
                continue  # a diagonal is not self-adjoint in this inner product
            J = (scale * rng.standard_normal((N, P))).astype(dtype)
            b, theta = (rng.standard_normal(n).astype(dtype) for n in (N, P))
            full: Any = _full(J, b, L)
            facts = {
                "S": name_S,
                "L": name_L,
                "inner": "an inner product that is not diagonal",
                "samples": "all samples",
            }
            yield TrialRun(facts, one, full, theta, full)


def common_facts(failed: Iterable[Mapping[str, str]], passed: Iterable[Mapping[str, str]]) -> list[str]:
    """Return what all failures have and what no success has, as words.

    Parameters
    ----------
    failed, passed : iterable of mapping
        The facts of the instances that failed and of those that did not.
    """
    failed, passed = list(failed), list(passed)
    words = []
    for kind in failed[0] if failed else ():
        bad, good = {facts[kind] for facts in failed}, {facts[kind] for facts in passed}
        if good and not bad & good:
            words.append(f"in every case with {' or '.join(sorted(bad))}, in none with {' or '.join(sorted(good))}")
        elif good - bad:
            words.append(f"in no case with {' or '.join(sorted(good - bad))}")
    return words


def entries_of(state: Any) -> Iterator[Any]:
    """Yield the arrays and numbers in a state, those of states within it too.

    Parameters
    ----------
    state : NamedTuple
        A state.
    """
    if isinstance(state, tuple):
        for part in state:
            yield from entries_of(part)
    elif state is not None:
        yield state


def is_number(x: Any) -> bool:
    """Return whether a part of a state is a number or an array of numbers, no text or other object.

    Parameters
    ----------
    x : object
        From `entries_of`.
    """
    return np.asarray(x).dtype.kind in "biufc"


def on_numbers(function: Any, state: Any) -> Any:
    """Return a state with a function applied to its arrays, those without axes and Python floats too.

    Parameters
    ----------
    function : callable
        Maps an array to an array of its shape.
    state : NamedTuple
        A state.
    """
    if isinstance(state, tuple):
        parts = [on_numbers(function, part) for part in state]
        return type(state)._make(parts) if hasattr(state, "_make") else tuple(parts)
    if type(state) is float:
        return float(function(np.float64(state)))
    return function(state) if hasattr(state, "dtype") else state


def state_distance(one: Any, other: Any) -> float:
    """Return the largest difference of an entry of two states or arrays, infinite if their numbers of arrays differ.

    Parameters
    ----------
    one, other : array, number or tuple of these
        Of the same shapes.
    """
    a, b = list(entries_of(one)), list(entries_of(other))
    gaps = [float(np.max(np.abs(np.asarray(x) - np.asarray(y)), initial=0.0)) for x, y in zip(a, b, strict=False)]
    return float(np.max(gaps, initial=0.0)) if len(a) == len(b) else float("inf")
