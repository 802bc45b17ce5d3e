"""The datasheet of a scheme, made by running its own ``init`` and ``step`` on symbols and on numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np

from ..description import as_call, describe, found
from ..energies.linear import as_linear_part
from ..namespace import quiet
from ..refusals import instance, real_number, whole_number
from ..schemes.protocols import SchemeAbilities, scheme_ability
from .certificate import Certificate, Entry
from .consistency import measured_consistency
from .cost import counted_cost
from .functions import as_a_function
from .linear_stability import measured_stability
from .measured_law import measured_law
from .solvability import measured_solvability
from .trials import RAISED, Given, given_problems, stabilized, takes_stabilization, within

__all__ = ["certify"]


def certify(
    scheme: Any,
    *,
    proofs: bool = True,
    quick: bool = False,
    problems: Any = None,
    progress: Callable[[str], None] | None = None,
) -> Certificate:
    """Return the certificate of a scheme: what holds for it, what was proved, what was measured, and what is false.

    The scheme is run on abstract vectors, where a claim is proved in every dimension and inner product, and in floating point
    on random problems. Of an entry that is false the certificate has an instance with numbers. The result is the same in
    every call.

    Parameters
    ----------
    scheme : Scheme
        The scheme, or a class whose constructor needs no arguments. What it claims is read from its `energy_terms` and
        `modified_energy`, and from ``speed`` and ``order`` of `gradflow.schemes.protocols.SchemeAbilities`.
    proofs : bool
        Whether claims are proved where they can be; False measures only, and needs no SymPy.
    quick : bool
        Whether fewer problems are tried, and the stability is left out.
    problems : pair or sequence of pairs, optional
        ``(problem, theta)``, theta (P,) in float64: problems on which the scheme is measured, in the place of random ones, for a
        scheme that needs a network or a number of parameters. Runs start at theta, where E and its gradient are finite, and the
        gradient is not 0. What needs problems of the certificate's own says so.
    progress : callable, optional
        Takes the title of each part before it is made.

    Raises
    ------
    ValueError
        If `proofs` or `quick` is no truth value, `progress` is no function, `problems` are no such pairs, a problem cannot be
        evaluated at its theta or is stationary there, or the scheme refuses all of them; if the scheme has no methods ``init`` and
        ``step``, is a class that cannot be made without arguments, or declares a speed that is neither None nor a number > 0, an
        order that is no whole number >= 1, or a stabilization that is no operator; if one of its properties raises, or what it returns cannot be judged.
    ImportError
        If proofs are asked for and SymPy is not installed.

    Examples
    --------
    >>> import gradflow as gf
    >>> certificate = gf.certify(gf.SAV(C=1.0), proofs=False, quick=True)
    >>> certificate.holds
    True
    >>> print(certificate["cost"].detail)
    1 gradient, 2 solves with I + dt (L + S), theta and no other vector of P numbers kept, 1 other number
    """
    scheme = _instance(scheme)
    for option, value in (("proofs", proofs), ("quick", quick)):
        instance(option, value, (bool, np.bool_), "True or False")
    if progress is not None and not callable(progress):
        raise ValueError(f"progress must be None or a function of a title, got {found(progress)}")
    given = given_problems(problems)
    say = progress or (lambda title: None)
    name = _check_claims(scheme)
    _check_taken(scheme, given)
    proved: Any = _proving() if proofs else None
    entries: list[Entry] = []
    say("the step as a function")
    try:
        functions = as_a_function(scheme, quick=quick, given=given)
    except RAISED as error:  # what a scheme returns may be anything
        raise ValueError(f"the step of the scheme cannot be judged, {_told(error)}") from error
    parts: tuple[tuple[str, Callable[[], list[Entry]]], ...] = (
        ("energy law", lambda: measured_law(scheme, quick=quick, given=given)),
        ("consistency", lambda: measured_consistency(scheme, quick=quick, given=given)),
        ("solvability", lambda: measured_solvability(scheme, quick=quick, given=given)),
        ("stability", lambda: [] if quick else measured_stability(scheme)),
        ("cost", lambda: counted_cost(scheme, given=given)),
    )
    for section, measure in parts:
        say(section)
        try:
            entries += measure()
        except RAISED as error:  # what a scheme returns may be anything; `functions` tells the fault
            if all(entry.status != "false" for entry in functions):
                raise ValueError(f"the {section} of the scheme cannot be judged, {_told(error)}") from error
            why = f"not measured, {_told(error)}"
            entries.append(Entry(section, section, f"the {section} is known", "undecided", detail=why))
    if given:
        entries, functions = ([_told_where(entry, len(given)) for entry in group] for group in (entries, functions))
    if proved is not None and all(entry.status != "false" for entry in functions):
        say("proofs")
        entries = proved.with_proofs(scheme, entries, quick=quick)
    return Certificate(name, (*entries, *functions))


OWN = ("stationary points", "negative energies", "threshold", "orbits")
"""Entries for which a problem has to be of a certain form."""


def _told_where(entry: Entry, n: int) -> Entry:
    """Return an entry with the problems on which it was measured, if the user has given n."""
    if entry.status == "not applicable":
        return entry
    given = "the given problem" if n == 1 else f"the {n} given problems"
    where = "a problem of the certificate's own" if entry.name in OWN else given
    return replace(entry, scope=f"{entry.scope}, on {where}" if entry.scope else f"on {where}")


def _told(error: BaseException) -> str:
    """Return an exception in one line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _instance(scheme: Any) -> Any:
    """Return a scheme, made if it is given as a class, or raise ValueError."""
    if isinstance(scheme, type):
        try:
            scheme = scheme()
        except TypeError as error:
            raise ValueError(f"scheme must be an instance of {scheme.__name__}: without arguments, {error}") from error
        except RAISED as error:
            raise ValueError(
                f"scheme must be an instance of {scheme.__name__}: making one raises {_told(error)}"
            ) from error
    if not all(callable(_read(scheme, name, None)) for name in ("init", "step")):
        raise ValueError(f"scheme must have the methods init and step, got {found(scheme)}")
    return scheme


def _read(scheme: Any, name: str, default: Any) -> Any:
    """Return an attribute of a scheme, or raise ValueError if it raises: it may be a property."""
    try:
        return getattr(scheme, name, default)
    except RAISED as error:
        raise ValueError(f"{name} of {type(scheme).__name__} must be readable, it raises {_told(error)}") from error


def _check_claims(scheme: Any) -> str:
    """Return the scheme as a call, or raise ValueError unless what it declares can be read and is what it has to be."""
    for name in dir(SchemeAbilities):
        if not name.startswith("_"):
            _read(scheme, name, None)
    speed = scheme_ability(scheme, "speed")
    if speed is not None:
        real_number("speed", speed, 0, open_low=True)
    whole_number("order", scheme_ability(scheme, "order"), 1)
    if within(scheme) is None:
        as_linear_part(scheme_ability(scheme, "stabilization"), "stabilization")
    if takes_stabilization(scheme):
        try:
            stabilized(scheme, 1.0)
        except RAISED as error:
            words = "by dataclasses.replace another stabilization must come in"
            raise ValueError(
                f"{type(scheme).__name__} has a stabilization, and {words}; it raises {_told(error)}"
            ) from error
    try:
        return as_call(describe(scheme))
    except RAISED as error:
        raise ValueError(
            f"{type(scheme).__name__} must be described by its fields, which raises {_told(error)}"
        ) from error


def _check_taken(scheme: Any, given: tuple[Given, ...]) -> None:
    """Raise ValueError if the scheme refuses every problem of the user: nothing could be measured then."""
    refused = []
    for k, (problem, theta) in enumerate(given, 1):
        try:
            with quiet():
                scheme.init(problem, theta.copy())
        except ValueError as error:
            refused.append(f"problem {k}: {' '.join(str(error).split())}")
        except RAISED:  # `functions` reports it
            return
    if given and len(refused) == len(given):
        raise ValueError(f"problems must hold one that {type(scheme).__name__} takes; it refuses {'; '.join(refused)}")


def _proving() -> Any:
    """Return the module that proves, or say what it needs."""
    try:
        return import_module(".proving", __package__)
    except ImportError as error:
        if error.name != "sympy":
            raise
        raise ImportError(
            "the proofs of a certificate need sympy: pip install 'gradflow[proofs]', or certify(scheme, proofs=False)",
            name="sympy",
        ) from error
