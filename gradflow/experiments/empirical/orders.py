"""Claims about orders of magnitude, decided from several draws and from every form in which a method is printed.

The study names no numbers but orders of magnitude, of one run with unpublished seeds and initial parameters. A
published order is met if it lies in the range of the draws widened by half a decade to both sides, and missed if it
is more than a further decade away from every one of at least `DRAWS` draws. A draw that diverged is of no order: beside
one the claim does not hold, and it misses every order, unless the published error is a blow-up itself. A method printed in
several forms meets it as soon as one of them does, and misses it when all do; of a method with several orders it is then asked
whether one form meets them all. A run that is too short decides nothing,
unless it has ended by itself; a form that runs fewer epochs than printed can meet an order and not miss it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import inf, sqrt
from typing import NamedTuple

from ...run.solution import Solution
from ..experiment import Claim
from ..words import range_text
from .judging import DRAWS, any_of, end, level, one_form
from .methods import FORMS

__all__ = ["HALF_DECADE", "Order", "of_order", "order_claims", "order_text"]

HALF_DECADE = sqrt(10)
"""How far a value may be from an order of magnitude that is its own, as a factor."""
MISSED = 10 * HALF_DECADE
"""From which factor on it is another order for certain."""


def order_text(low: float, high: float) -> str:
    """Return a published order, or the orders between which an error lies, as text.

    Parameters
    ----------
    low, high : float
        The two, which may be one; ``low = 0`` where less is as good.

    Examples
    --------
    >>> order_text(1e-3, 1e-2), order_text(10, 10), order_text(0, 1e-6)
    ('1e-03 to 1e-02', '1e+01', '1e-06 (or less)')
    """
    return range_text([low, high], ".0e") if low else f"{high:.0e} (or less)"


def order_claims(
    runs: Mapping[str, Sequence[Solution]],
    orders: Sequence[Order],
    epoch: float,
    *,
    epochs_of: Mapping[str, float] | None = None,
    fewer: Collection[str] = (),
) -> list[Claim]:
    """Return a claim for each published order: that the method has it in one of its printed forms; and `one_form` of each method.

    Parameters
    ----------
    runs : mapping of str to sequence of Solution
        For each form's name a run for each draw.
    orders : sequence of Order
        What was published.
    epoch : float
        When.
    epochs_of : mapping of str to float, optional
        As for `of_order`.
    fewer : collection of str
        As there.
    """
    claims = []
    answers: dict[str, dict[str, list[bool | None]]] = {}
    for family, name, low, high, or_less, blow_up in orders:
        forms = {form: runs[form] for form in FORMS[family]}
        order = f"down to {high:g}" if or_less else f"near {low:g}" if low == high else f"between {low:g} and {high:g}"
        text = f"{family}: the {name.removesuffix('_mse')} error is {order}"
        least = 0.0 if or_less else low
        claim, of_forms = of_order(
            text, forms, name, epoch, least, high, epochs_of=epochs_of, fewer=fewer, blow_up=blow_up
        )
        claims.append(claim)
        for form, answer in of_forms.items():
            answers.setdefault(family, {}).setdefault(form, []).append(answer)
    return [*claims, *(claim for family, of_family in answers.items() for claim in one_form(family, of_family))]


def of_order(
    text: str,
    forms: Mapping[str, Sequence[Solution]],
    name: str,
    epoch: float,
    low: float,
    high: float,
    *,
    epochs_of: Mapping[str, float] | None = None,
    fewer: Collection[str] = (),
    blow_up: bool = False,
) -> tuple[Claim, dict[str, bool | None]]:
    """Return the claim that an error is of a published order of magnitude at an epoch, and what each form says to it.

    Parameters
    ----------
    text : str
        What is claimed.
    forms : mapping of str to sequence of Solution
        For each form of the method a run for each draw.
    name : str
        A recorded error.
    epoch : float
        When.
    low, high : float
        The published order, or the orders between which it lies; in the units of the error. With ``low = 0`` an error
        below `high` is as good: a method that does better than was published does not miss it.
    epochs_of : mapping of str to float, optional
        Of forms that run to another epoch.
    fewer : collection of str
        Forms whose other epoch is before the printed one. Such a form may meet the order, but cannot miss it: what it
        would be at the printed epoch is not known.
    blow_up : bool
        Whether the published error is a blow-up itself: an error that has grown by decades and, by what is published,
        stays there. A draw that diverged does not stay, so it is not of that order; but where a blow-up ends depends on
        the initial parameters, which are not published, so it does not miss it either: it says nothing.

    Returns
    -------
    claim : Claim
        It holds if it does of one form.
    of_forms : dict
        For each form whether it does; None where that is open.
    """
    found: list[str] = []
    holds: dict[str, bool | None] = {}
    for form, runs in forms.items():
        until = (epochs_of or {}).get(form, epoch)
        values = [level(run, name, until) for run in runs]
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            last = max(float(run.history["epoch"][-1]) for run in runs)
            found.append(f"{form} {range_text(end(run, name) for run in runs)} after {last:.0f} epochs, too few")
            holds[form] = None
            continue
        when = f" by epoch {until:g}" if until != epoch else ""
        found.append(f"{form} {range_text(known)}{when}{', fewer than printed' if form in fewer else ''}")
        finite = [value for value in known if value < inf]
        telling = finite if blow_up else known
        away = [max(low / value if value else inf, value / high, 1.0) for value in telling]
        meets = bool(finite) and min(finite) <= high * HALF_DECADE and max(finite) >= low / HALF_DECADE
        meets = meets and len(finite) == len(known) if not blow_up else meets
        missed = form not in fewer and len(telling) >= DRAWS and min(away) > MISSED
        holds[form] = True if meets else False if missed else None
    claim = Claim(
        text,
        any_of(holds.values()),
        f"{'; '.join(found)}; published {order_text(low, high)}, within a factor {HALF_DECADE:.2g}, epoch {epoch:g}",
    )
    return claim, holds


class Order(NamedTuple):
    """An order of magnitude that the study publishes."""

    family: str
    """Of which method, a key of `FORMS` of `gradflow.experiments.empirical.methods`."""
    name: str
    """Of which recorded error."""
    low: float
    """The order, or the lower of the two between which the error lies; > 0."""
    high: float
    """The order, or the higher of the two."""
    or_less: bool = False
    """Whether less is as good."""
    blow_up: bool = False
    """As for `of_order`."""
