"""The linear stability of a scheme on a quadratic, and what its orbits do on both sides of the threshold."""

from __future__ import annotations

from math import inf
from typing import Any

from ..backward_error.linear_stability import Quadratic, Stability, stability
from .certificate import Entry
from .trials import RAISED

__all__ = ["exact_threshold", "measured_stability"]

SECTION = "stability"
STEEPER = 64.0
"""Another curvature, 1 / time."""
SCOPE = "E = theta^2 / 2, dt lambda from 1e-14 to 1e8"


def measured_stability(scheme: Any) -> list[Entry]:
    """Return the threshold of a scheme on a quadratic, and a table of its orbits.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    """
    try:
        found = stability(scheme)
    except RAISED as error:  # the scheme may refuse the quadratic, or raise anything
        why = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return [Entry(SECTION, "threshold", "the minimum of a quadratic is stable", "undecided", detail=why)]
    return [_threshold(found, own_time=_has_own_time(scheme, found)), *_beyond(found)]


def _has_own_time(scheme: Any, found: Stability) -> bool:
    """Return whether the threshold is another multiple of 1 / lambda for another lambda: a stabilization is a time of its own."""
    try:
        other = stability(scheme, Quadratic(STEEPER), steps=64).threshold
    except Exception:  # the scheme may refuse it, or raise anything
        return True
    if inf in (other, found.threshold):
        return other != found.threshold
    return not abs(other - found.threshold) <= 1e-9 * abs(found.threshold)


def exact_threshold(scheme: Any, measured: Entry) -> Entry:
    """Return the entry of the threshold, proved if the step runs on symbols.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    measured : Entry
        As `measured_stability` returns it.
    """
    found = stability(scheme, exact=True, steps=64)
    if found.exact is None:
        return measured
    own_time = _has_own_time(scheme, found)
    scope = "every quadratic of one dimension without an energy at its minimum, these parameters"
    exactly = str(found.exact.threshold)
    if "CRootOf" in exactly:  # a root of a polynomial, which does not show its size
        exactly += f", about {float(found.exact.threshold):.6g}"
    claim = _claim(exactly, infinite=found.exact.threshold.is_infinite, own_time=own_time)
    if own_time:
        scope = "E = theta^2 / 2, these parameters"
    return Entry(SECTION, measured.name, claim, "proved", scope, measured.detail)


def _claim(threshold: str, *, infinite: bool, own_time: bool) -> str:
    if own_time:
        where = "every dt" if infinite else f"dt < {threshold}"
        return f"the minimum of E = theta^2 / 2 is asymptotically stable for {where}; for another curvature it is another multiple"
    where = "every dt lambda" if infinite else f"dt lambda < {threshold}"
    return f"the minimum of a quadratic with the largest eigenvalue lambda is asymptotically stable for {where}"


def _threshold(found: Stability, *, own_time: bool) -> Entry:
    name = "threshold"
    if not found.at_rest:
        why = "the scheme does not stay at the minimum"
        return Entry(SECTION, name, "the minimum of a quadratic is stable", "not applicable", detail=why)
    if not found.decides:
        status = "not applicable" if found.period else "undecided"
        return Entry(SECTION, name, "the minimum of a quadratic is stable", status, detail=found.obstacle)
    details = [f"the steps take turns: looked at are {found.period} of them"] if found.period > 1 else []
    if found.carried:
        kept = ", ".join(found.carried)
        details.append(f"this is the fixed point with {kept} by definition; any other value of it is a fixed point too")
    if found.real_flow != found.threshold:
        until = "every dt lambda" if found.real_flow == inf else f"dt lambda < {found.real_flow:.6g}"
        details.append(f"a real modified flow exists for {until}")
    claim = _claim(f"{found.threshold:.6g}", infinite=found.threshold == inf, own_time=own_time)
    return Entry(SECTION, name, claim, "measured", SCOPE, "; ".join(details))


def _beyond(found: Stability) -> list[Entry]:
    if not found.fates:
        return []
    rows = [("dt lambda", "orbit", "E at its end")]
    for end in found.fates:
        kind = f"{end.period}-cycle" if end.kind == "cycle" else end.kind
        rows.append((f"{end.z:.4g}", kind, "" if end.kind in ("diverges", "fails") else f"{end.energy:.1e}"))
    claim = "orbits of the scheme at these step sizes do what the table says"
    where = "beyond the threshold" if found.threshold < inf else "there is no threshold"  # NaN compares false
    detail = f"{where}: {', '.join(found.beyond)}" if found.beyond else ""
    return [Entry(SECTION, "orbits", claim, "measured", "E = theta^2 / 2", detail, table=tuple(rows))]
