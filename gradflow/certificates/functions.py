"""The step as a function: it returns the same state from the same arguments, changes none of them, and keeps dtypes and shapes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..namespace import quiet
from ..schemes.protocols import AuxiliaryScheme
from .certificate import Entry
from .measured_law import before, declares_law
from .trials import RAISED, Given, TrialRun, entries_of, on_numbers, plural, state_distance, trials, written

__all__ = ["as_a_function"]

DTYPES = (np.float64, np.float32)
DT = 0.25
COLLECTED = 8
"""Steps in which a multi-step scheme has all that it keeps of earlier ones."""


def _copied(state: Any) -> Any:
    return on_numbers(lambda a: a.copy(), state)


def _same(one: Any, other: Any) -> bool:
    """Return whether two states are the same in every bit."""
    a, b = list(entries_of(one)), list(entries_of(other))
    if len(a) != len(b):
        return False
    return all(np.array_equal(x, y, equal_nan=_floating(x) and _floating(y)) for x, y in zip(a, b, strict=True))


def _floating(x: Any) -> bool:
    return isinstance(x, float) or getattr(getattr(x, "dtype", None), "kind", "") == "f"


def _shapes(state: Any) -> list[Any]:
    """Return dtype and shape of every array, and the name of every other type; a number without a dtype has any."""
    return [(str(x.dtype), x.shape) if hasattr(x, "dtype") else "a number" for x in entries_of(state)]


def as_a_function(scheme: Any, *, quick: bool = False, given: tuple[Given, ...] = ()) -> list[Entry]:
    """Return whether the scheme runs at all, whether its step is pure and repeats, and whether it keeps dtypes and shapes.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    quick : bool
        Whether only float32 is tried, in which a float64 shows.
    given : tuple of Given
        As for `trials`; these are in float64.
    """
    faults: dict[str, str] = {}
    refused: dict[str, str] = {}
    ran = left_out = 0
    for dtype in DTYPES[:1] if given else DTYPES[1:] if quick else DTYPES:
        for trial in trials(scheme, dtype=dtype, given=given):
            for start in (False, True):
                try:
                    with quiet():
                        state = trial.scheme.init(trial.problem, trial.theta)
                except ValueError as error:
                    refused.setdefault(" ".join(str(error).split()), trial.words)
                    break
                except RAISED as error:
                    faults.setdefault("runs", f"With {_at(trial)}, init raises {type(error).__name__}: {error}")
                    break
                if start:
                    if not isinstance(trial.scheme, AuxiliaryScheme) or "aux" not in getattr(state, "_fields", ()):
                        break
                    state = state._replace(aux=None)
                try:
                    with quiet():
                        _judge(trial, state, faults, dtype, compare=not start)
                except RAISED as error:
                    words = "with aux=None, " if start else ""
                    faults.setdefault("runs", f"With {_at(trial)}, {words}step raises {type(error).__name__}: {error}")
                    break
                ran, left_out = ran + 1, left_out + start
    claims = {
        "runs": "init takes problems, refuses others by ValueError only, and step runs wherever init did",
        "purity": "step changes neither its state nor the problem, and repeats to the last bit",
        "aux left out": "a step from aux=None is the step from the definition of the auxiliary variable",
        "dtypes and shapes": "the state keeps its type, dtypes and shapes, in float64 and float32; its first field is theta",
    }
    counted = {name: left_out if name == "aux left out" else ran for name in claims}
    entries = []
    if not isinstance(scheme, AuxiliaryScheme):
        del claims["aux left out"]
    for name, claim in claims.items():
        example = faults.get(name, "")
        if name == "runs" and not ran and not example:
            example = "No problem was taken: " + "; ".join(f"{why} ({words})" for why, words in refused.items())
        detail = "" if example or name != "runs" else _refusals(refused)
        if not example and not counted[name]:
            why = "no step was made" if name != "aux left out" or not ran else "the state has no field aux"
            entries.append(Entry("step", name, claim, "undecided", detail=why))
            continue
        scope = plural(counted[name], "start") if counted[name] else ""
        entries.append(Entry("step", name, claim, "false" if example else "measured", scope, detail, example))
    return entries


def _refusals(refused: dict[str, str]) -> str:
    return "; ".join(f'refused, "{why}", with {words}' for why, words in refused.items())


def _at(trial: TrialRun) -> str:
    """Return where a step starts, in words."""
    return f"{trial.words}, theta = {written(trial.theta)}, dt = {DT:g}"


def _judge(trial: TrialRun, state: Any, faults: dict[str, str], dtype: Any, *, compare: bool) -> None:
    """Add to `faults` what is wrong with steps from a state."""
    kept, theta, problem = _copied(state), trial.theta.copy(), _attributes(trial)
    first = trial.scheme.step(trial.problem, state, DT)
    first_kept = _copied(first)
    trial.scheme.step(trial.problem, state, DT / 2)
    again = [trial.scheme.step(trial.problem, state, DT) for _ in range(2)]
    second = trial.scheme.step(trial.problem, again[1], DT)
    if not _same(state, kept) or not np.array_equal(trial.theta, theta):
        faults.setdefault("purity", f"With {_at(trial)}, step writes into the state that it was given")
    elif not _same(first, first_kept):
        faults.setdefault("purity", f"With {_at(trial)}, step writes into the state that it returned before")
    elif not all(_same(first_kept, other) for other in again):
        gap = max(float(np.max(np.abs(other.theta - first_kept.theta))) for other in again)
        faults.setdefault(
            "purity",
            f"With {_at(trial)}, two calls with the same arguments return other states; theta differs by {gap:.4g}",
        )
    if isinstance(trial.scheme, AuxiliaryScheme) and not compare:
        _compare_with_definition(trial, first, faults)
    if declares_law(trial.scheme):
        first_kept = _copied(first)
        trial.scheme.modified_energy(trial.problem, before(trial.scheme, state))
        trial.scheme.energy_terms(trial.problem, state, first, DT)
        if not (_same(state, kept) and _same(first, first_kept)):
            faults.setdefault("purity", f"With {_at(trial)}, modified_energy or energy_terms writes into a state")
    changed = _changed(problem, _attributes(trial))
    if changed:
        faults.setdefault("purity", f"With {_at(trial)}, {' and '.join(changed)} of the problem is changed")
    if getattr(state, "_fields", ("",))[0] != "theta":
        faults.setdefault(
            "dtypes and shapes",
            f"With {_at(trial)}, the first field of the state is {getattr(state, '_fields', ('no field',))[0]}, not theta",
        )
    elif first.theta.dtype != dtype or first.theta.shape != theta.shape:
        faults.setdefault(
            "dtypes and shapes",
            f"With {_at(trial)}, theta of {np.dtype(dtype)} and shape {theta.shape} becomes {first.theta.dtype} of shape {first.theta.shape}",
        )
    elif type(first) is not type(state) or (compare and _shapes(_without_past(first)) != _shapes(_without_past(state))):
        faults.setdefault(
            "dtypes and shapes",
            f"With {_at(trial)}, a {type(state).__name__} of {_shapes(state)} becomes a {type(first).__name__} of {_shapes(first)}",
        )
    elif _shapes(_without_past(second)) != _shapes(_without_past(first)) or _grows(trial, first, second):
        faults.setdefault(
            "dtypes and shapes", f"With {_at(trial)}, a state of {_shapes(first)} becomes one of {_shapes(second)}"
        )


def _without_past(state: Any) -> Any:
    """Return a state without what a multi-step scheme keeps of earlier steps, which it has to collect first."""
    return state._replace(past=()) if "past" in getattr(state, "_fields", ()) else state


def _grows(trial: TrialRun, first: Any, second: Any) -> bool:
    """Return whether two states differ in dtypes or shapes, and so do states `COLLECTED` steps later."""
    for _ in range(COLLECTED):
        if _shapes(second) == _shapes(first):
            return False
        first, second = second, trial.scheme.step(trial.problem, second, DT)
    return True


def _attributes(trial: TrialRun) -> list[dict[str, Any]]:
    """Return the attributes of the problem, and of that with all samples, arrays copied."""
    return [
        {name: value.copy() if isinstance(value, np.ndarray) else value for name, value in vars(problem).items()}
        for problem in (trial.problem, trial.whole)
    ]


def _changed(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[str]:
    """Return the names of attributes that are new, gone, or others; a problem notes in words how it took derivatives."""
    names: list[str] = []
    for a, b in zip(old, new, strict=True):
        for name in sorted({*a, *b}):
            one, other = a.get(name, names), b.get(name, names)
            arrays = isinstance(one, np.ndarray) and isinstance(other, np.ndarray)
            noted = isinstance(one, str) and isinstance(other, str)
            if not (np.array_equal(one, other) if arrays else one is other or noted):
                names.append(name)
    return list(dict.fromkeys(names))


def _compare_with_definition(trial: TrialRun, first: Any, faults: dict[str, str]) -> None:
    """Add to `faults` if a step from aux=None is not the one from `init`, to rounding."""
    other = trial.scheme.step(trial.problem, trial.scheme.init(trial.problem, trial.theta), DT)
    eps = float(np.finfo(first.theta.dtype).eps)
    for name, a, b in (("theta", first.theta, other.theta), ("aux", first.aux, other.aux)):
        gap = state_distance(a, b)
        if not gap <= 256 * eps * (1 + state_distance(b, on_numbers(np.zeros_like, b))):
            faults.setdefault("aux left out", f"With {_at(trial)}, {name} differs by {gap:.4g}")
