"""Whether a step exists for every dt: finite results on stiff and other problems, for dt from 1e-8 to 1e8."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..namespace import quiet
from ..schemes.protocols import scheme_ability
from .certificate import Entry
from .trials import RAISED, Given, common_facts, entries_of, is_number, plural, trials, written

__all__ = ["measured_solvability"]

SIZES = (1e-8, 1e-4, 1e-2, 1.0, 1e2, 1e4, 1e8)
SCALES = (1.0, 1e3)
"""The sizes of the rows of J: curvatures of about 1 and 1e6."""


def measured_solvability(scheme: Any, *, quick: bool = False, given: tuple[Given, ...] = ()) -> list[Entry]:
    """Return whether steps are finite, and how many a scheme left unsolved by its own account.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    quick : bool
        Whether the stiff problems are left out.
    given : tuple of Given
        As for `trials`.
    """
    claim = "two steps from any start are finite, for every dt"
    failed: list[tuple[Any, str]] = []
    passed: list[Any] = []
    unsolved = 0
    for scale in SCALES[: 1 if quick else 2]:
        for trial in trials(scheme, scale=scale, seed=1, given=given):
            try:
                with quiet():
                    start = trial.scheme.init(trial.problem, trial.theta)
            except ValueError:
                continue
            for dt in SIZES:
                facts = {
                    **trial.facts,
                    "curvature": "a curvature near 1" if scale == 1 else "a curvature near 1e6",
                    "dt": "dt <= 1e-2" if dt < 0.1 else "dt = 1" if dt == 1 else "dt >= 1e2",
                }
                try:
                    with quiet():
                        state = trial.scheme.step(trial.problem, start, dt)
                        state = trial.scheme.step(trial.problem, state, dt)
                        finite = all(np.all(np.isfinite(x)) for x in entries_of(state) if is_number(x))
                        unsolved += bool(scheme_ability(trial.scheme, "unsolved")(state))
                    words = "theta or the auxiliary variable is not finite"
                except RAISED as error:
                    finite, words = False, f"step raises {type(error).__name__}: {error}"
                if finite:
                    passed.append(facts)
                else:
                    theta = written(trial.theta)
                    failed.append(
                        (facts, f"With {trial.words}, {facts['curvature']}, theta = {theta}, dt = {dt:g}: {words}")
                    )
    if not passed and not failed:
        return [
            Entry(
                "solvability", "finite steps", claim, "undecided", detail="the scheme takes no problem that was tried"
            )
        ]
    scope = f"{plural(len(passed) + len(failed), 'start')} in float64, dt from 1e-8 to 1e8"
    scope += "" if given else ", curvatures near 1" if quick else ", curvatures near 1 and 1e6"
    if not failed:
        detail = f"by its own account the scheme left {plural(unsolved, 'step')} unsolved" if unsolved else ""
        return [Entry("solvability", "finite steps", claim, "measured", scope, detail)]
    where = common_facts([facts for facts, _ in failed], passed)
    detail = f"{plural(len(failed), 'start')} of {len(passed) + len(failed)} failed" + (
        f", {'; '.join(where)}" if where else ""
    )
    return [Entry("solvability", "finite steps", claim, "false", scope, detail, failed[0][1])]
