r"""The energy law of a scheme in floating point: the residual of its identity, told in units of what rounding explains.

With the terms that the scheme declares, the residual of a step is

.. math:: \rho = \tilde E^{n+1} - \tilde E^n + D + N.                                                  \tag{1}

A change of the states in their last bits changes each of the four terms by some multiple of eps, which is measured: every array
of both states is multiplied by ``1 + h x`` with random signs x. A residual is explained by rounding if it is at most `MOST` times
the sum of these changes. So no size of the terms, and no constant that cancels, has to be known of the scheme.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from itertools import combinations
from math import ceil
from typing import Any, NamedTuple

import numpy as np

from ..energies.linear import as_linear_part
from ..energies.protocols import linear_part
from ..namespace import quiet
from ..schemes.protocols import AuxiliaryScheme, begun, scheme_ability
from ..schemes.state import reset
from .certificate import Entry
from .trials import (
    RAISED,
    Given,
    TrialRun,
    common_facts,
    entries_of,
    is_number,
    on_numbers,
    plural,
    trials,
    trials_at,
    within,
    written,
)

__all__ = ["MOST", "Step", "before", "declares_law", "measured_law", "negative_energies", "steps"]

MOST = 16
"""The residual that passes, in units of what a change of the states by eps makes."""
SIZES = tuple(10.0**k for k in range(-8, 9, 2))
PROBES = 3
FALLS = "the modified energy falls"
DECAY = "the modified energy never rises: dissipation + numerical dissipation is never negative"
NO_STEP = "no step was taken"
LONG, EVERY = 12, 8
"""Steps of every eighth run, in which a law shows that changes as a run goes on."""


class Step(NamedTuple):
    """A step that was taken, with its energies."""

    trial: TrialRun
    """The scheme and the problem."""
    facts: Mapping[str, str]
    """The facts of the trial, and those of the step."""
    dt: float
    """Its size."""
    old: Any
    """The state before."""
    new: Any
    """The state after."""
    late: bool
    """Whether it is neither the first step of a run, nor one after a change of dt of a scheme that remembers."""


def before(scheme: Any, state: Any) -> Any:
    """Return the state from which a step starts: that of a restarted scheme has no auxiliary variable.

    Parameters
    ----------
    scheme : Scheme
        A scheme with an auxiliary variable.
    state : NamedTuple
        A state.
    """
    return begun(scheme, state)


def steps(
    scheme: Any,
    *,
    dtype: Any = np.float64,
    sizes: tuple[float, ...] = SIZES,
    most: int = 3,
    given: tuple[Given, ...] = (),
) -> Iterator[Step]:
    """Yield steps of every kind: the first ones of runs, and from an auxiliary variable off its definition.

    A step that raises, or a problem that the scheme refuses, yields nothing; `gradflow.certificates.functions` says so.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    dtype : dtype
        Of all arrays.
    sizes : tuple of float
        The step sizes, taken in turn.
    most : int
        Steps of a run.
    given : tuple of Given
        As for `trials`.
    """
    rng = np.random.default_rng(5)
    low, high = np.log10(min(sizes)), np.log10(max(sizes))
    runs = list(trials(scheme, dtype=dtype, given=given))
    if given and runs:  # few problems are each tried with several sizes, so that none is left out
        runs *= ceil(len(sizes) / len(runs))
    for n, trial in enumerate(runs):
        for kind in ("from init", "off its definition", "any sizes"):
            off, dt = kind == "off its definition", sizes[(2 * n + (kind != "from init")) % len(sizes)]
            per_sample = scheme_ability(trial.scheme, "per_sample_auxiliary")
            try:
                with quiet():
                    state = trial.scheme.init(trial.problem if per_sample else trial.whole, trial.theta)
            except ValueError:
                continue
            if kind == "any sizes" and _multistep(state):
                continue  # after a change of dt these have no law
            if off:
                if "aux" not in state._fields or state.aux is None:
                    continue
                state = _off_definition(state)
            for k in range(LONG if kind == "from init" and n % EVERY == 0 else most):
                dt = float(10 ** rng.uniform(low, high)) if kind == "any sizes" else dt
                try:
                    with quiet():
                        new = trial.scheme.step(trial.problem, state, dt)
                except RAISED:  # what a user's code raises is its own affair; it is reported elsewhere
                    break
                facts = {
                    **trial.facts,
                    "aux": "an auxiliary variable off its definition"
                    if off or k or trial.problem is not trial.whole
                    else "a consistent auxiliary variable",
                    "step": "the first step" if k == 0 else "a later step",
                    "dt": "dt <= 1e-4" if dt < 1e-3 else "dt >= 1e4" if dt > 1e3 else "dt near 1",
                }
                lawless = kind == "any sizes" and bool(set(state._fields) - {"theta", "aux", "base"})
                yield Step(trial, facts, dt, state, new, k > 0 and not lawless)
                state = new


def _multistep(state: Any) -> bool:
    """Return whether a state, or that of the scheme within a wrapper, keeps earlier steps in a field ``past``."""
    names = getattr(state, "_fields", ())
    return "past" in names or ("base" in names and _multistep(state.base))


def _off_definition(state: Any) -> Any:
    """Return a state with another auxiliary variable; a wrapper's base has the same."""
    if "aux" not in state._fields or state.aux is None:
        return state
    changed = {"aux": on_numbers(lambda a: a * a.dtype.type(1.25), state.aux)}
    if "base" in state._fields and hasattr(state.base, "_fields"):
        changed["base"] = _off_definition(state.base)
    return state._replace(**changed)


def _terms(step: Step, old: Any, new: Any) -> tuple[float, float, float, float]:
    """Return the modified energies before and after, and both terms."""
    scheme, problem = step.trial.scheme, step.trial.problem
    with quiet():
        first = scheme.modified_energy(problem, before(scheme, old))
        last = scheme.modified_energy(problem, new)
        D, extra = scheme.energy_terms(problem, old, new, step.dt)
    return float(first), float(last), float(D), float(extra)


def _residual(terms: tuple[float, ...]) -> float:
    first, last, D, extra = terms
    return (last - first) + (D + extra)


def _explained(step: Step, terms: tuple[float, ...], rng: np.random.Generator, eps: float) -> float:
    """Return the size of a residual that a relative change of both states by eps makes."""
    h = 64 * eps
    moved = 0.0
    for _ in range(PROBES):

        def shaken(a: Any) -> Any:
            if a.dtype.kind != "f":
                return a
            signs = rng.choice([-1.0, 1.0], size=np.shape(a)).astype(a.dtype)
            return a * (1 + a.dtype.type(h) * signs)

        others = _terms(step, on_numbers(shaken, step.old), on_numbers(shaken, step.new))
        moved = max(moved, sum(abs(a - b) for a, b in zip(others, terms, strict=True)) / 64)
    return moved + 4 * eps * max(map(abs, terms))


class Judged(NamedTuple):
    """The residual of a step."""

    step: Step
    terms: tuple[float, float, float, float]
    residual: float
    units: float
    """In units of what rounding explains."""


def _judged(scheme: Any, dtype: Any, *, most: int = 3, seed: int = 0, given: tuple[Given, ...] = ()) -> list[Judged]:
    rng, eps = np.random.default_rng(seed), float(np.finfo(dtype).eps)
    found = []
    for step in steps(scheme, dtype=dtype, most=most, given=given):
        terms = _terms(step, step.old, step.new)
        with quiet():
            explained = _explained(step, terms, rng, eps)
            residual = _residual(terms)
            units = abs(residual) / explained if explained > 0 else (0.0 if residual == 0 else np.inf)
        found.append(Judged(step, terms, residual, float(units)))
    return found


def declares_law(scheme: Any) -> bool:
    """Return whether a scheme states an energy law, whatever else of `gradflow.AuxiliaryScheme` it has.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    """
    return all(callable(getattr(scheme, name, None)) for name in ("energy_terms", "modified_energy"))


def measured_law(scheme: Any, *, quick: bool = False, given: tuple[Given, ...] = ()) -> list[Entry]:
    """Return what is measured of the energy law of a scheme: its identity, the signs of its terms, its modified energy.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    quick : bool
        Whether float32 and third steps are left out.
    given : tuple of Given
        As for `trials`.
    """
    claim = f"{FALLS} by exactly the declared dissipation and numerical dissipation"
    if not declares_law(scheme):
        why = "the scheme declares no energy_terms and no modified_energy: no energy law is guaranteed."
        return [Entry("energy law", "identity", claim, "not applicable", detail=why), negative_energies(scheme)]
    judged = _judged(scheme, np.float64, most=2 if quick else 3, given=given)
    single = [] if quick or given else _judged(scheme, np.float32)
    start = _start(scheme, judged)
    return [
        _identity(f"{start}{claim}", judged, single),
        _sign(judged, "decay", f"{start}{DECAY}", lambda terms: terms[2] + terms[3]),
        *_signs(scheme, judged),
        *([_modified_energy(scheme, given)] if isinstance(scheme, AuxiliaryScheme) else []),
        negative_energies(scheme),
    ]


def _start(scheme: Any, judged: list[Judged]) -> str:
    """Return between which states the law holds, if it is not from each state to the next one."""
    if not isinstance(scheme, AuxiliaryScheme):
        return ""
    if not scheme_ability(scheme, "carries_auxiliary"):
        return "within a step, from its consistent value, "
    if any(before(scheme, one.step.old) is not one.step.old for one in judged):
        return "between two restarts, from the state that the step starts from, "
    return ""


def _usable(judged: list[Judged]) -> list[Judged]:
    return [one for one in judged if np.isfinite(one.units) and not np.isnan(one.terms[2])]


def _left_out(judged: list[Judged]) -> list[Judged]:
    """Return the later steps of runs from whose finite states energy_terms makes NaN; a first step may be without a law."""
    return [
        one
        for one in judged
        if any(map(np.isnan, one.terms[2:])) and all(map(np.isfinite, one.terms[:2])) and one.step.late
    ]


def _identity(claim: str, judged: list[Judged], single: list[Judged]) -> Entry:
    usable = _usable(judged)
    if not judged:
        return Entry("energy law", "identity", claim, "undecided", detail=NO_STEP)
    if not usable:
        detail = "energy_terms is not finite in any step"
        return Entry(
            "energy law",
            "identity",
            claim,
            "false",
            detail=detail,
            counterexample=_numbers(judged[0]),
        )
    scope = f"{plural(len(usable), 'step')} in float64"
    scope += f", {len(_usable(single))} in float32" if single else ""
    scope += ", dt from 1e-8 to 1e8"
    table = _table(judged, single)
    for every, precision in ((judged, ""), (single, " in float32")):
        missing = _left_out(every)
        if missing:
            detail = f"energy_terms is NaN in {len(missing)} of {len(every)} steps{precision}, not in the first steps of runs only"
            return Entry("energy law", "identity", claim, "false", scope, detail, _numbers(missing[0]), table)
    for kind, precision in ((usable, ""), (_usable(single), " in float32")):
        failed = [one for one in kind if one.units > MOST]
        if failed:
            passed = [one.step.facts for one in kind if one.units <= MOST]
            where = common_facts([one.step.facts for one in failed], passed)
            detail = f"the identity fails in {len(failed)} of {len(kind)} steps{precision}"
            detail += (f", {'; '.join(where)}" if where else "") + _what_is_missing(kind)
            worst_step = max(
                failed, key=lambda one: abs(one.residual) / (abs(one.terms[0]) + abs(one.terms[2]) + 1e-300)
            )
            return Entry("energy law", "identity", claim, "false", scope, detail, _numbers(worst_step), table)
    worst = max(one.units for one in usable)
    detail = f"the residual is at most {_rounded_up(worst)} times what a change of the states by eps makes"
    rest = len(judged) - len(usable)
    detail += f"; {rest} steps have terms that are not finite, and are left out" if rest else ""
    return Entry("energy law", "identity", claim, "measured", scope, detail, table=table)


def _rounded_up(value: float) -> int:
    """Return the next power of 2, so that another machine's rounding leaves a stored certificate as it is."""
    return int(2 ** max(0, np.ceil(np.log2(max(value, 1e-9)))))


def _table(judged: list[Judged], single: list[Judged]) -> tuple[tuple[str, ...], ...]:
    """Return the largest residual, in units of what eps makes, by the nearest step size and precision."""
    rows = [("dt near", "float64", "float32")[: 3 if single else 2]]
    for dt in SIZES:
        cells = []
        for kind in (judged, single) if single else (judged,):
            near = [one for one in kind if abs(np.log10(one.step.dt / dt)) <= 1]
            units = [one.units for one in _usable(near)]
            cells.append(f"{_rounded_up(max(units))}" if units else "not finite" if near else NO_STEP)
        rows.append((f"{dt:.0e}", *cells))
    return tuple(rows)


def _numbers(one: Judged) -> str:
    """Return an instance with its numbers."""
    first, last, D, extra = one.terms
    theta = written(one.step.old.theta)
    return (
        f"With {one.step.trial.words}, {one.step.facts['step']}, theta = {theta}, dt = {one.step.dt:g}: the modified energy "
        f"goes from {first:.10g} to {last:.10g}, a change of {last - first:.6g}; "
        f"-dissipation - numerical = {-D - extra:.6g}; they differ by {one.residual:.6g}"
    )


def _candidates(step: Step) -> dict[str, float]:
    """Return terms that an identity may lack, each with its value in a step."""
    scheme, problem = step.trial.scheme, step.trial.problem
    base = within(scheme) or scheme
    S, L = as_linear_part(scheme_ability(base, "stabilization"), "stabilization"), linear_part(problem)
    d = step.new.theta - step.old.theta
    terms = {
        "|d|_M^2 / dt": float(problem.inner(d, d / step.dt)),
        "(S d, d)_M": float(problem.inner(S.apply(d), d)),
        "(L d, d)_M": float(problem.inner(L.apply(d), d)),
    }
    if not isinstance(scheme, AuxiliaryScheme):
        return terms
    start = before(scheme, step.old)
    old = np.ravel(scheme.auxiliary(problem, start.theta) if start.aux is None else start.aux)
    new = np.ravel(step.new.aux)
    return terms | {
        "|aux_new - aux|^2": float((new - old) @ (new - old)),
        "(|aux_new|^2 - |aux|^2)": float(new @ new - old @ old),
    }


def _what_is_missing(judged: list[Judged]) -> str:
    """Return by which multiples of usual terms the identity fails, if they account for the residual in every step."""
    near = [one for one in judged if 1e-5 < one.step.dt < 1e5]
    if len(near) < 12:
        return ""
    with quiet():
        rows = [_candidates(one.step) for one in near]
    names = [name for name in rows[0] if any(row[name] for row in rows)]
    A = np.array([[row[name] for name in names] for row in rows])
    b = np.array([one.residual for one in near])
    scale = np.array([max(map(abs, one.terms)) for one in near])
    for n in (1, 2):  # the fewest terms that do
        for chosen in combinations(range(len(names)), n):
            part = A[:, chosen]
            weights = 1 / (np.abs(part).max(axis=1) + 1e-6 * scale + 1e-300)
            x = np.linalg.lstsq(part * weights[:, None], b * weights)[0]
            missing = np.max(np.abs(b) * weights) > 1e-3  # else the terms cancel: they are the declared law itself
            if missing and np.max(np.abs(part @ x - b) * weights) < 1e-6 and np.min(np.abs(x)) > 1e-3:
                parts = [f"{_fraction(c)} {names[k]}" for c, k in zip(x, chosen, strict=True)]
                return f"; in every step change + dissipation + numerical is {' + '.join(parts)} and not 0"
    return ""


def _fraction(c: float) -> str:
    """Return a number as a fraction if it is near one with a small denominator."""
    near = Fraction(float(c)).limit_denominator(12)
    return str(near) if abs(float(near) - c) < 1e-5 else f"{c:.4g}"


def _signs(scheme: Any, judged: list[Judged]) -> list[Entry]:
    """Return the signs of both terms; a wrapper may subtract from the first what it spends of both."""
    numerical = _sign(
        judged, "numerical dissipation", "the numerical dissipation is never negative", lambda terms: terms[3]
    )
    if within(scheme) is not None:
        return [numerical]
    return [_sign(judged, "dissipation", "the dissipation is never negative", lambda terms: terms[2]), numerical]


def _sign(judged: list[Judged], name: str, claim: str, of: Callable[[tuple[float, ...]], float]) -> Entry:
    usable = _usable(judged)
    if not usable:
        why = "energy_terms is not finite in any step" if judged else NO_STEP
        return Entry("energy law", name, claim, "undecided", detail=why)
    negative = [of(one.terms) < -1e-13 * max(map(abs, one.terms)) for one in usable]
    failed = [one for one, bad in zip(usable, negative, strict=True) if bad]
    scope = f"{plural(len(usable), 'step')} in float64, dt from 1e-8 to 1e8"
    if not failed:
        return Entry("energy law", name, claim, "measured", scope)
    worst = min(failed, key=lambda one: of(one.terms) / max(map(abs, one.terms)))
    detail = f"it is negative in {len(failed)} of {len(usable)} steps"
    passed = [one.step.facts for one, bad in zip(usable, negative, strict=True) if not bad]
    where = common_facts([one.step.facts for one in failed], passed)
    detail += f", {'; '.join(where)}" if where else ""
    theta = written(worst.step.old.theta)
    example = f"With {worst.step.trial.words}, theta = {theta}, dt = {worst.step.dt:g} it is {of(worst.terms):.6g}"
    return Entry("energy law", name, claim, "false", scope, detail, example)


def _modified_energy(scheme: Any, given: tuple[Given, ...]) -> Entry:
    """Return whether the modified energy of a consistent state is the energy."""
    claim = "the modified energy equals E where the auxiliary variable is consistent"
    tried = 0
    for trial in trials(scheme, given=given):
        for left_out in (False, True):
            try:
                with quiet():
                    state = trial.scheme.init(trial.problem, trial.theta)
                    state = reset(state) if left_out else state
                    E, modified = (
                        float(trial.problem.energy(trial.theta)),
                        float(trial.scheme.modified_energy(trial.problem, state)),
                    )
            except ValueError:
                continue
            tried += 1
            with quiet():
                moved = trial.scheme.modified_energy(trial.problem, on_numbers(lambda a: a * (1 + 2.0**-40), state))
            if not abs(modified - E) <= 1e-12 * (1 + abs(E)) + MOST * 2.0**-12 * abs(float(moved) - modified):
                theta = written(trial.theta)
                start = "with the auxiliary variable left out" if left_out else "from init"
                example = f"With {trial.words}, theta = {theta}, {start}: E = {E:.10g}, the modified energy is {modified:.10g}"
                detail = f"they differ by {modified - E:.6g}"
                return Entry("energy law", "modified energy", claim, "false", plural(tried, "state"), detail, example)
    if not tried:
        return Entry("energy law", "modified energy", claim, "undecided", detail="no state was made")
    return Entry("energy law", "modified energy", claim, "measured", f"{plural(tried, 'state')} in float64")


def negative_energies(scheme: Any) -> Entry:
    """Return what a scheme does where the energy is negative: it refuses it, says that it is not defined, or runs as elsewhere.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    """
    name, claim = (
        "negative energies",
        "an energy that takes negative values is refused, or the scheme runs on it as on others",
    )
    status, words, taken = _run_from(scheme, -VALUE)
    scope = f"{plural(taken, 'step')} in float64" if taken else "2 starts"
    if status == "measured":
        return Entry("energy law", name, claim, status, scope, words)
    if _run_from(scheme, VALUE)[0] == status:
        return Entry("energy law", name, claim, "undecided", detail="its steps are wrong on other energies as well")
    if status == "false":
        detail = "the scheme does not refuse such an energy, and does not do there what it does elsewhere"
        return Entry("energy law", name, claim, status, scope, detail, words)
    detail = f"{words}, and the scheme declares no lower bound of the energy: all else is for energies >= 0"
    return Entry("energy law", name, claim, status, detail=detail)


VALUE = 5.0
SHORT_TO_LONG = (1e-6, 1e-2, 1.0, 1e2)


def _run_from(scheme: Any, E: float) -> tuple[str, str, int]:
    """Return what comes out where the energy has a value: a status, words, and the number of steps taken."""
    rng, eps, taken, refused = np.random.default_rng(0), float(np.finfo(np.float64).eps), 0, ""
    for trial in trials_at(scheme, E):
        for dt in SHORT_TO_LONG:
            where = f"With {trial.words}, theta = {written(trial.theta)}, dt = {dt:g}"
            try:
                with quiet():
                    state = trial.scheme.init(trial.problem, trial.theta)
            except ValueError as error:
                refused = refused or f'refused, "{" ".join(str(error).split())}"'
                break
            except RAISED as error:
                return "not applicable", f"{where}, init raises {type(error).__name__}", taken
            for k in range(2):
                try:
                    with quiet():
                        new = trial.scheme.step(trial.problem, state, dt)
                        reason = scheme_ability(trial.scheme, "undefined")(trial.problem, state.theta)
                    finite = all(np.all(np.isfinite(x)) for x in entries_of(new) if is_number(x))
                    fault = _breaks(Step(trial, trial.facts, dt, state, new, k > 0), rng, eps) if finite else ""
                except RAISED as error:
                    return "not applicable", f"{where}, a step raises {type(error).__name__}", taken
                taken += 1
                if fault:
                    return "false", f"{where}: {fault}", taken
                if not finite and not reason:
                    return "not applicable", f"{where}, a step is not finite", taken
                if not finite:
                    refused = refused or f'steps are not finite, and the scheme says why: "{reason}"'
                    break
                state = new
    return "measured", refused, taken


def _breaks(step: Step, rng: np.random.Generator, eps: float) -> str:
    """Return in which way a step breaks the law of its scheme, or ascends though it is short; "" if in none."""
    scheme, problem = step.trial.scheme, step.trial.problem
    if declares_law(scheme):
        terms = _terms(step, step.old, step.new)
        with quiet():
            units = abs(_residual(terms)) / _explained(step, terms, rng, eps)
        if np.isfinite(units) and units > MOST:
            return f"the residual of the identity is {_residual(terms):.4g}"
        if not np.isnan(terms[2]) and min(terms[2], terms[2] + terms[3]) < -1e-9 * max(map(abs, terms)):
            return f"dissipation = {terms[2]:.4g}, numerical dissipation = {terms[3]:.4g}"
    if step.dt == SHORT_TO_LONG[0] and not step.late and scheme_ability(scheme, "speed") is not None:
        d, g = step.new.theta - step.old.theta, problem.energy_and_gradient(step.old.theta)[1]
        rise = float(problem.inner(g, d))
        if rise > 4 * eps * float(np.linalg.norm(g) * np.linalg.norm(step.old.theta)):
            return f"(grad E, theta_new - theta) = {rise:.4g}"
    return ""
