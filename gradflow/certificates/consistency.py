"""Which flow a scheme follows as dt tends to 0, and with which order, in floating point.

A scheme claims a flow ``theta' = -c grad E`` by its `speed`, c = 1 unless it says otherwise, and an order by `order`. The speed
is read from steps so small that theta hardly moves; a scheme with a memory takes so many of them that the speed has settled.
The order is that of the error at a fixed time when the step is halved, against the flow by Runge-Kutta steps of order four.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..energies.dense import DenseLeastSquares
from ..energies.linear import Diagonal, as_linear_part
from ..energies.protocols import norm
from ..namespace import quiet
from ..schemes.protocols import AuxiliaryScheme, scheme_ability
from ..schemes.runge_kutta4 import runge_kutta4_update
from .certificate import Entry
from .trials import (
    LINEAR_PARTS,
    MASSES,
    RAISED,
    Given,
    Sampled,
    TrialRun,
    common_facts,
    plural,
    state_distance,
    takes_stabilization,
    trials,
    within,
    written,
)

__all__ = ["measured_consistency"]

TINY = 2.0**-32
"""A step size at which theta hardly moves, 2e-10."""
LONGEST = 4096
"""Steps of this size in which the speed has to settle."""
SPEED_TOLERANCE = 2e-5
"""Relative. Rounding of theta in a step of size `TINY` makes less, see `_rounding`."""
ORDER_TOLERANCE = 0.2
STEPS = tuple(40 * 2**k for k in range(7))
LOOKS = 8
REFERENCE_STEPS = 400
FLOOR = 1e-11
"""Errors below this one tell no order."""
TIME = 1.0
FASTEST = 32
"""The largest speed whose flow is followed up to `TIME`."""


def _run(scheme: Any, problem: Any, theta: Any, dt: float, n: int) -> Any:
    with quiet():
        state = scheme.init(problem, theta)
        for _ in range(n):
            state = scheme.step(problem, state, dt)
    return state


def _tiny(scheme: Any) -> float:
    """Return a step size at which theta hardly moves, while rounding does not hide that it does: `TINY` for a speed of 1 or more."""
    return TINY / min(1.0, scheme_ability(scheme, "speed") or 1.0)


def _rounding(trial: TrialRun) -> float:
    """Return the speed that the rounding of theta may feign in a step of size `_tiny`."""
    _, g = trial.problem.energy_and_gradient(trial.theta)
    eps = float(np.finfo(trial.theta.dtype).eps)
    inner = trial.problem.inner
    return 2 * eps * norm(inner, trial.theta) / (_tiny(trial.scheme) * norm(inner, g))


def _velocity(trial: TrialRun, n: int) -> tuple[float, float, Any, Any]:
    """Return the speed c and the relative distance of the n-th increment from -c dt grad E, the increment per dt, and the gradient."""
    dt = _tiny(trial.scheme)
    state = _run(trial.scheme, trial.problem, trial.theta, dt, n - 1)
    with quiet():  # theta may have grown
        new = trial.scheme.step(trial.problem, state, dt)
        _, g = trial.problem.energy_and_gradient(state.theta)
        v, inner = (new.theta - state.theta) / dt, trial.problem.inner
        c = -float(inner(v, g)) / float(inner(g, g))
        return c, norm(inner, v + c * g) / norm(inner, g), v, g


def _memory(trial: TrialRun) -> int | None:
    """Return after how many steps the speed no longer changes, None if it changes after `LONGEST` steps."""
    n, last = 1, _velocity(trial, 1)[0]
    while n < LONGEST:
        now = _velocity(trial, 2 * n)[0]
        if not abs(now - last) > 1e-6 * abs(now):
            return n
        n, last = 2 * n, now
    return None


def measured_consistency(scheme: Any, *, quick: bool = False, given: tuple[Given, ...] = ()) -> list[Entry]:
    """Return what is measured of the limit flow of a scheme and of its order.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    quick : bool
        Whether the order is measured on one problem only.
    given : tuple of Given
        As for `trials`.
    """
    speed = scheme_ability(scheme, "speed")
    own = _accepted(scheme, given)
    if not own:
        why = "the scheme refuses every problem that was tried"
        return [Entry("consistency", "limit flow", "the scheme follows a flow", "undecided", detail=why)]
    if scheme_ability(scheme, "usual_dt") is not None:
        return [_iteration(own)]
    n = _memory(own[0])
    if speed is None:
        return [_other_flow(own, n or LONGEST), *_stationary(scheme)]
    if n is None:
        claim, why = (
            _claimed(float(speed)),
            f"the length of increments still changes after {LONGEST} steps of size {_tiny(own[0].scheme):.0e}",
        )
        return [Entry("consistency", "limit flow", claim, "undecided", detail=why), *_stationary(scheme)]
    limit = _limit_flow(own, n, float(speed))
    found = [limit, *_stationary(scheme)]
    if limit.status == "false":
        return found
    return found + _orders(scheme, float(speed), own if given else [], quick=quick)


def _iteration(own: list[TrialRun]) -> Entry:
    """Return that a scheme with a length of its own follows no flow, or an instance in which its first step ascends."""
    for trial in own:
        dt = float(scheme_ability(trial.scheme, "usual_dt"))
        d = _run(trial.scheme, trial.problem, trial.theta, dt, 1).theta - trial.theta
        _, g = trial.problem.energy_and_gradient(trial.theta)
        inner, eps = trial.problem.inner, float(np.finfo(trial.theta.dtype).eps)
        rise = float(inner(g, d))
        if not rise <= 4 * eps * norm(inner, g) * norm(inner, trial.theta):
            claim = f"the first step of its usual size, {dt:g}, does not ascend: (grad E, theta_new - theta) <= 0"
            theta = written(trial.theta)
            example = f"With {trial.words}, theta = {theta}: (grad E, theta_new - theta) = {rise:.6g}"
            return Entry(
                "consistency", "limit flow", claim, "false", f"{plural(len(own), 'problem')} in float64", "", example
            )
    why = "a step is an iteration, with a length of its own: dt does not tend to 0"
    return Entry("consistency", "limit flow", "the scheme follows a flow", "not applicable", detail=why)


def _accepted(scheme: Any, given: tuple[Given, ...]) -> list[TrialRun]:
    """Return the trials that the scheme takes."""
    taken = []
    for trial in trials(scheme, given=given):
        try:
            _run(trial.scheme, trial.problem, trial.theta, TINY, 1)
        except RAISED:  # a refusal, or what `functions` reports
            continue
        taken.append(trial)
    return taken


def _claimed(speed: float) -> str:
    flow = f"theta' = -{speed:g} grad E" if speed != 1 else "theta' = -grad E"
    return f"as dt tends to 0 the scheme follows {flow}"


def _limit_flow(own: list[TrialRun], n: int, speed: float) -> Entry:
    claim = _claimed(speed)
    found = [(trial, *_velocity(trial, n)) for trial in own]
    wrong = [
        not (abs(c - speed) <= SPEED_TOLERANCE * speed and off <= SPEED_TOLERANCE * speed) for _, c, off, *_ in found
    ]
    scope = f"{plural(len(own), 'problem')} in float64, step {n} of size {_tiny(own[0].scheme):.0e}"
    if not any(wrong):
        return Entry("consistency", "limit flow", claim, "measured", scope)
    failed = [one for one, bad in zip(found, wrong, strict=True) if bad]
    passed = [one[0].facts for one, bad in zip(found, wrong, strict=True) if not bad]
    speeds, along = [one[1] for one in failed], all(one[2] <= SPEED_TOLERANCE * abs(one[1]) for one in failed)
    if not all(map(np.isfinite, speeds)):
        detail = "a step of this size is not finite"
    elif min(map(abs, speeds)) * TINY > 1e-4:
        detail = "the step does not vanish with dt"
    elif along and max(speeds) - min(speeds) <= SPEED_TOLERANCE * max(map(abs, speeds)):
        detail = f"it follows theta' = {-speeds[0]:+.6g} grad E" + (", which ascends" if speeds[0] < 0 else "")
    elif along:
        detail = f"it follows theta' = -c grad E with c from {min(speeds):.6g} to {max(speeds):.6g}, depending on the problem"
    elif min(one[2] for one in failed) * TINY > 1e-4:
        detail = "the step does not vanish with dt"
    else:
        detail = "theta' is no multiple of the gradient"
    where = common_facts([one[0].facts for one in failed], passed)
    detail += f", {'; '.join(where)}" if where else ""
    trial, c, _, v, g = failed[0]
    theta = written(trial.theta)
    example = (
        f"With {trial.words}, theta = {theta}, dt = {_tiny(trial.scheme):.3g}: (theta_new - theta) / dt = "
        f"{written(v)}, grad E = {written(g)}, c = {c:.6g}"
    )
    return Entry("consistency", "limit flow", claim, "false", scope, detail, example)


class _Scaled:
    """A problem whose energy is multiplied by a factor; the inner product stays."""

    def __init__(self, problem: Any, factor: float) -> None:
        self._problem, self._factor = problem, factor
        self.inner, self.mass = problem.inner, problem.mass

    def energy(self, theta: Any) -> Any:
        return self._factor * self._problem.energy(theta)

    def energy_and_gradient(self, theta: Any) -> Any:
        E, g = self._problem.energy_and_gradient(theta)
        return self._factor * E, self._factor * g


def _other_flow(own: list[TrialRun], n: int) -> Entry:
    """Return what is known of a scheme that claims no flow: whether it descends, and how its speed depends on the gradient."""
    claim = "as dt tends to 0, the first step descends: (grad E, theta_new - theta) < 0"
    scope = f"{plural(len(own), 'problem')} in float64, dt = {TINY:.0e}"
    found = [_velocity(trial, 1) for trial in own]
    rising = [trial for trial, (c, *_) in zip(own, found, strict=True) if not c >= -_rounding(trial)]
    if rising and hasattr(rising[0].scheme, "seed"):
        why = "the scheme claims no flow, and adds random vectors"
        return Entry("consistency", "limit flow", claim, "not applicable", detail=why)
    if rising:
        trial = rising[0]
        c = _velocity(trial, 1)[0]
        example = f"With {trial.words}, theta = {written(trial.theta)}: (grad E, d) = {-c:.4g} dt |grad E|^2"
        return Entry(
            "consistency", "limit flow", claim, "false", scope, "the scheme claims no flow, and ascends", example
        )
    if not all(c > _rounding(trial) for trial, (c, *_) in zip(own, found, strict=True)):
        why = "the scheme claims no flow theta' = -c grad E; to rounding, the first step is orthogonal to the gradient, or none"
        return Entry("consistency", "limit flow", claim, "not applicable", scope, why)
    parts = ["the scheme claims no flow theta' = -c grad E"]
    along = max(off / c for c, off, *_ in found) <= SPEED_TOLERANCE
    parts.append("increments are multiples of the gradient" if along else "increments are no multiples of the gradient")
    try:
        trial = own[0]
        v = _velocity(trial, 1)[2]
        w = _velocity(trial._replace(problem=_Scaled(trial.problem, 4.0)), 1)[2]
        power = float(np.log(np.linalg.norm(w) / np.linalg.norm(v)) / np.log(4.0))
        parts.append(f"multiplied by 4, E multiplies theta' by 4^{power:.2f}")
    except (AttributeError, ValueError):
        pass
    if n > 1:
        late, first = _velocity(own[0], n)[0], _velocity(own[0], 1)[0]
        parts.append(f"step {n} is {late / first:.3g} times as long as the first")
    return Entry("consistency", "limit flow", claim, "measured", scope, "; ".join(parts))


def _stationary(scheme: Any) -> list[Entry]:
    """Return whether a point without a gradient stays, at which the residual does not vanish."""
    claim = "a stationary point stays"
    if hasattr(scheme, "seed"):
        return [
            Entry("consistency", "stationary points", claim, "not applicable", detail="the scheme adds random vectors")
        ]
    rng = np.random.default_rng(1)
    tried = 0
    for mass in MASSES.values():
        problem, theta = _even(rng.standard_normal((6, 5)), rng.standard_normal(6), mass), np.zeros(5)
        for dt in (1e-3, 1.0):
            try:
                new = _run(scheme, problem, theta, dt, 2).theta
            except RAISED:  # a refusal, or what `functions` reports
                continue
            tried, moved = tried + 1, float(np.max(np.abs(new - theta)))
            if moved != 0:
                example = f"grad E = 0 at theta = 0; in two steps of dt = {dt:g} theta moves by {moved:.4g}"
                return [Entry("consistency", "stationary points", claim, "false", counterexample=example)]
    if not tried:
        why = "the scheme takes no problem that was tried"
        return [Entry("consistency", "stationary points", claim, "undecided", detail=why)]
    return [
        Entry("consistency", "stationary points", claim, "measured", f"{plural(tried, 'run')} of 2 steps in float64")
    ]


def _even(J: Any, b: Any, mass: Any) -> DenseLeastSquares:
    """Return ``|cos(J theta) - b|^2 / 2``, whose gradient at 0 is exactly 0."""

    def hvp(t: Any, v: Any) -> Any:
        s, c = np.sin(J @ t), np.cos(J @ t)
        return (J.T @ ((s * s - c * (c - b)) * (J @ v))) / (1 if mass is None else mass)

    return DenseLeastSquares(lambda t: np.cos(J @ t) - b, lambda t: -np.sin(J @ t)[:, None] * J, hvp=hvp, mass=mass)


def _smooth(L: Any, mass: Any, seed: int) -> tuple[Sampled, Any]:
    rng = np.random.default_rng(seed)
    J, b = rng.standard_normal((6, 5)) / 2, rng.standard_normal(6)
    return Sampled(J, b, linear=Diagonal(L) if np.ndim(L) else L, mass=mass), rng.standard_normal(5)


def _flow(problem: Any, theta: Any, time: float, n: int) -> Any:
    dt = time / n
    for _ in range(n):
        theta = runge_kutta4_update(theta, dt=dt, velocity=lambda at: -problem.energy_and_gradient(at)[1])
    return theta


class _Errors(NamedTuple):
    """What happens on one problem as dt is halved."""

    words: str
    theta: list[float]
    """Errors of theta at the end."""
    aux: list[float]
    """Largest distances of the auxiliary variable from its definition along the run; empty if there is none."""


def _time(scheme: Any) -> float:
    """Return the length of a run: with a stabilization S the increments settle in steps that are small against 1 / S.

    That of a scheme with a large speed is as long as that of one with the speed `FASTEST`.
    """
    length = TIME * min(1.0, FASTEST / (scheme_ability(scheme, "speed") or 1.0))
    if not takes_stabilization(scheme):
        return length
    while within(scheme) is not None:
        scheme = within(scheme)
    S = as_linear_part(scheme_ability(scheme, "stabilization"), "stabilization").scalar
    return length / (1 + (S or 0.0))


def _followed(scheme: Any, problem: Any, theta: Any, n: int, slower: float) -> tuple[Any, float]:
    """Return theta at the end of n steps, and the largest distance of the auxiliary variable from its definition on the way."""
    gap, carried = 0.0, _carries(scheme)
    with quiet():
        state = scheme.init(problem, theta)
        for k in range(n):
            state = scheme.step(problem, state, slower * _time(scheme) / n)
            if carried and (k + 1) % (n // LOOKS) == 0:
                gap = max(gap, state_distance(state.aux, scheme.auxiliary(problem, state.theta)))
    return state.theta, gap


def _carries(scheme: Any) -> bool:
    return isinstance(scheme, AuxiliaryScheme) and bool(scheme_ability(scheme, "carries_auxiliary"))


def _slope(errors: list[float]) -> float:
    """Return the order that the last two errors show; infinite if they are too small to show one, and -inf if not finite."""
    if not np.all(np.isfinite(errors)):
        return -np.inf
    return float(np.log2(errors[-2] / errors[-1])) if min(errors[-2:]) > FLOOR else np.inf


def _slower(trial: TrialRun) -> float:
    """Return the length of a run on a problem of the user: 1 / its curvature along the gradient, 1 at most."""
    _, g = trial.problem.energy_and_gradient(trial.theta)
    inner, h = trial.problem.inner, 1e-5 / (1e-300 + norm(trial.problem.inner, g))
    _, other = trial.problem.energy_and_gradient(trial.theta - h * g)
    return 1 / max(1.0, norm(inner, other - g) / 1e-5)


def _orders(scheme: Any, speed: float, own: list[TrialRun], *, quick: bool) -> list[Entry]:
    """Return the observed orders of theta and of the auxiliary variable, with dt halved until they are what is declared."""
    wanted = int(scheme_ability(scheme, "order"))
    cases = [
        ("L a diagonal, a diagonal inner product", LINEAR_PARTS["L a diagonal"], MASSES["a diagonal inner product"]),
        ("no energy part L, the dot product", 0.0, None),
    ]
    times = int(np.ceil(min(speed, FASTEST)))
    found: list[_Errors] = []
    problems = [(words, *_smooth(L, mass, 3), 1.0) for words, L, mass in cases]
    if own:
        plain = {one.facts["problem"]: one for one in reversed(own)}  # without a stabilization
        problems = [(words, one.problem, one.theta, _slower(one)) for words, one in plain.items()]
    for words, problem, theta, slower in problems[: 1 if quick else None]:
        exact = _flow(problem, theta, slower * speed * _time(scheme), REFERENCE_STEPS * times)
        errors = _Errors(words, [], [])
        try:
            for n in STEPS[: 5 if quick else 7]:
                end, gap = _followed(scheme, problem, theta, n * times, slower)
                errors.theta.append(float(np.linalg.norm(end - exact)))
                if _carries(scheme):
                    errors.aux.append(gap)
                kinds = [kind for kind in (errors.theta, errors.aux) if kind]
                if len(errors.theta) > 2 and min(map(_slope, kinds)) >= wanted - ORDER_TOLERANCE:
                    break
        except RAISED:  # a refusal, or what `functions` reports
            continue
        found.append(errors)
    theta_errors = [(one.words, one.theta) for one in found]
    rate = times / _time(scheme)
    # the length of a run differs between problems of the user
    sizes = [f"{n * times:g} steps" if own else f"dt = 1/{n * rate:g}" for n in STEPS]
    entries = [_order("order", "theta follows the flow with order", wanted, theta_errors, sizes)]
    name, claim = "order of the auxiliary variable", "the auxiliary variable follows its definition"
    if _carries(scheme):
        entries.append(_order(name, f"{claim} with order", wanted, [(one.words, one.aux) for one in found], sizes))
    elif isinstance(scheme, AuxiliaryScheme):
        why = "every step starts from the definition"
        entries.append(Entry("consistency", name, claim, "not applicable", detail=why))
    return entries


def _order(name: str, words: str, wanted: int, found: list[tuple[str, list[float]]], sizes: list[str]) -> Entry:
    claim, scope = f"{words} {wanted}", f"{plural(len(found), 'problem')} in float64, dt halved"
    if not found:
        return Entry("consistency", name, claim, "undecided", detail="the scheme refuses the problems")
    last = max(len(errors) for _, errors in found)
    rows = [("problem", *sizes[:last], "order")]
    for label, errors in found:
        cells = [f"{e:.1e}" for e in errors] + [""] * (last - len(errors))
        rows.append((label, *cells, f"{_slope(errors):.1f}" if np.isfinite(_slope(errors)) else ""))
    label, errors = min(found, key=lambda one: _slope(one[1]))
    lowest = _slope(errors)
    if lowest >= wanted - ORDER_TOLERANCE:
        detail = f"observed {lowest:.1f}" if np.isfinite(lowest) else "it does not leave it"
        return Entry("consistency", name, claim, "measured", scope, detail, table=tuple(rows))
    detail = f"the observed order is {lowest:.2f}, declared is {wanted}"
    numbers = ", ".join(f"{e:.4g} for {size}" for e, size in zip(errors, sizes, strict=False))
    example = f"With {label} the errors are {numbers}"
    return Entry("consistency", name, claim, "false", scope, detail, example, tuple(rows))
