"""What a certificate proves, by running ``init`` and ``step`` of the scheme on symbols.

First on abstract vectors, with every kind of energy part and stabilization: a result then holds in every dimension and every
inner product. A scheme that asks for a residual runs on any sum of squares. The solution of its linear system is then known by
its equation only, relation (2) of `gradflow.symbolic.vectors`. Where the scheme looks at each residual, their number is fixed, and any
vector stands for the solution: what is shown holds for inexact solutions as well, and nothing is refuted. Another scheme that
needs coordinates runs on arrays of symbols, for sizes 1 to 3 and a diagonal inner product. The numbers among the parameters of
the scheme are positive symbols first, and the numbers that they are if that proves nothing.
What is not proved so stays as it was measured, with the reason.
"""

from __future__ import annotations

import copy
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from itertools import count
from math import ceil, isfinite
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import sympy as sp

from ..description import found as what_came
from ..energies.linear import Diagonal, Shift, Zero, as_linear_part
from ..energies.protocols import linear_part
from ..proofs.linear_kinds import PAIRS, linear_kinds
from ..proofs.mutants import Timeout, limited
from ..schemes.protocols import AuxiliaryScheme, scheme_ability
from ..schemes.state import reset
from ..symbolic import (
    AbstractEnergy,
    AbstractLeastSquares,
    AbstractResiduals,
    Branch,
    Space,
    Undecided,
    Vector,
    branches,
    entries,
    is_small,
    is_zero,
    symbols,
)
from ..symbolic.gram import is_known_nonnegative, is_known_positive
from ..symbolic.taylor import SmoothEnergy
from ..symbolic.vectors import INSTEAD, entry_of
from .certificate import Entry
from .linear_stability import exact_threshold
from .measured_law import before
from .modified_equation import modified_equation
from .trials import RAISED, attributes, shortened, takes_stabilization, within

__all__ = ["CoordinateEnergy", "with_proofs"]

dt = sp.Symbol("dt", positive=True)
SCALE = sp.Symbol("residual_scale", positive=True)
"""The scale of the residual of a problem may be any."""
LIMIT = 15
"""Seconds of processor time for one proof."""
BUDGET = 30
"""Seconds of processor time for all proofs of a certificate."""
LARGEST = 4000
"""Operations in an expression whose sign is sought."""
OPERATORS = (("operator", "operator"), ("none", "operator"), ("none", "none"))
EACH_ONCE = (
    *OPERATORS,
    ("number", "number"),
    ("diagonal", "diagonal"),
    ("shifted", "operator"),
    ("operator", "shifted"),
)
"""Each kind of L and S once, where a proof takes long."""
EVERY = "every dimension, inner product and positive energy"
SQUARES = "every dimension, inner product and sum of squares"
RESIDUALS = (3, 4)
"""Numbers of residuals for a scheme that looks at each of them; two parts of 3 have 1 and 2."""
FEW = f"every dimension, inner product and sum of {' or '.join(map(str, RESIDUALS))} squares"
COORDINATES = "sizes 1 to 3, every diagonal inner product and positive energy, L = 0"
SIZES = (1, 2, 3)
LONGEST = 300
"""Characters of a formula, or of what a step raised, that are printed."""
LONGEST_REASON = 600
"""Characters of a reason that are printed."""
EXACT = 2**20
"""Floats that are fractions with smaller denominators are taken for the numbers that were meant."""


class CoordinateEnergy:
    """Any energy in n coordinates and a diagonal inner product: new symbols for E and its gradient at every theta.

    Parameters
    ----------
    n : int
        The number of coordinates.
    """

    residual_scale: Any = SCALE

    def __init__(self, n: int) -> None:
        self.n, self.mass = n, symbols("m", n, positive=True)
        self._seen: list[tuple[Any, Any, Any]] = []

    def inner(self, u: Any, v: Any) -> Any:
        """Return ``sum(mass * u * v)``, 0-d."""
        return (self.mass * u) @ v

    def energy(self, theta: Any) -> Any:
        """Return E, 0-d."""
        return self.energy_and_gradient(theta)[0]

    def energy_and_gradient(self, theta: Any) -> tuple[Any, Any]:
        """Return E, 0-d, and its gradient, (n,)."""
        for seen, E, g in self._seen:
            if is_zero(theta - seen):
                return E, g
        k = len(self._seen)
        E, g = sp.Symbol(f"E{k}", positive=True), symbols(f"g{k}", self.n)
        self._seen.append((theta, E, g))
        return E, g


class _Instance(NamedTuple):
    """A step on symbols, on one of its ways."""

    scheme: Any
    problem: Any
    old: Any
    new: Any
    consistent: bool
    memory: bool = False
    """Whether the old state has any memory, also one that no steps lead to."""


class NotShown(Exception):
    """What was asked is not shown, for the reason given."""


class Refuted(NotShown):
    """What was asked is false on symbols."""

    def __init__(self, words: str, example: str = "", *, rounded: bool = False) -> None:
        super().__init__(words)
        self.example, self.rounded = example, rounded


def _symbolic(scheme: Any, *, exact: bool, S: Any = None, prefix: str = "") -> Any:
    """Return a scheme whose positive numbers are symbols, or rational numbers, and whose stabilization is another one."""
    one = copy.copy(scheme)
    own = attributes(scheme)
    for name, value in own.items():
        if name == "stabilization":
            value = S if S is not None else value
        elif name == "base" and within(scheme) is not None:
            value = _symbolic(value, exact=exact, S=S, prefix=_prefix(scheme, prefix))
        elif isinstance(value, float) and isfinite(value):
            value = sp.Symbol(prefix + name, positive=True) if value > 0 and not exact else sp.Rational(value)
        object.__setattr__(one, name, value)
    return one


def _own_numbers(scheme: Any) -> dict[str, float]:
    return {
        name: value
        for name, value in attributes(scheme).items()
        if isinstance(value, float) and name != "stabilization"
    }


def _prefix(scheme: Any, prefix: str) -> str:
    """Return what comes before the names of the parameters of the scheme within: nothing unless the wrapper has one of them too."""
    return f"{prefix}base." if _own_numbers(scheme).keys() & _own_numbers(within(scheme)).keys() else prefix


def _numbers(scheme: Any, prefix: str = "") -> dict[str, float]:
    """Return the numbers among the parameters of a scheme, and of the one that it wraps."""
    found = {prefix + name: value for name, value in _own_numbers(scheme).items()}
    return found | (_numbers(within(scheme), _prefix(scheme, prefix)) if within(scheme) is not None else {})


def _parameters(scheme: Any) -> list[str]:
    """Return the names of the numbers for which symbols are put in: the positive ones."""
    return [name for name, value in _numbers(scheme).items() if value > 0 and isfinite(value)]


Making = Callable[..., Any]
"""Makes a problem from a space and L."""


def _on(make: Making, scheme: Any, *, exact: bool, quick: bool, every: Any = PAIRS) -> Iterator[tuple[Any, Any, Any]]:
    """Yield scheme, problem and theta on abstract vectors, for each kind of L and S."""
    some = takes_stabilization(scheme)
    pairs = every if some else tuple((L, "none") for L in ("operator", "number", "diagonal", "none"))
    if quick or within(scheme) is not None:  # the other kinds are the affair of the scheme within
        pairs = OPERATORS if some else pairs[::3]
    for kind in linear_kinds(pairs):
        problem = make(kind.space, kind.L)
        problem.residual_scale = SCALE
        yield _symbolic(scheme, exact=exact, S=kind.S if some else None), problem, kind.theta


def _abstract(scheme: Any, *, exact: bool, quick: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Yield scheme, problem and theta on abstract vectors: any energy."""
    yield from _on(AbstractEnergy, scheme, exact=exact, quick=quick)


def _squares(scheme: Any, *, exact: bool, quick: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Yield scheme, problem and theta on abstract vectors: any sum of squares, of any number of residuals."""
    make: Making = lambda space, L: AbstractLeastSquares(space, Space("N"), L)  # noqa: E731
    yield from _on(make, scheme, exact=exact, quick=quick, every=EACH_ONCE)


def _with_or_without_residual(scheme: Any, *, exact: bool, quick: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Yield what `_abstract` and `_squares` yield, for a scheme that does one thing with a residual and another without."""
    yield from _abstract(scheme, exact=exact, quick=quick)
    yield from _squares(scheme, exact=exact, quick=quick)


def _few_squares(scheme: Any, *, exact: bool, quick: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Yield scheme, problem and theta on abstract vectors: any sum of few squares."""
    for n in RESIDUALS[:1] if quick else RESIDUALS:
        make: Making = lambda space, L, n=n: AbstractResiduals(space, n, L)  # noqa: E731
        yield from _on(make, scheme, exact=exact, quick=quick, every=EACH_ONCE if n == RESIDUALS[0] else OPERATORS)


def _in_coordinates(scheme: Any, *, exact: bool, quick: bool) -> Iterator[tuple[Any, Any, Any]]:
    """Yield scheme, problem and theta in coordinates, for sizes 1 to 3, without L, for every diagonal S."""
    some = takes_stabilization(scheme)
    for n in SIZES[: 2 if quick else 3]:
        number: Any = sp.Symbol("lambda", positive=True)
        diagonal: Any = symbols("s", n, nonnegative=True)
        for S in (Diagonal(diagonal), *((Shift(number), Zero()) if n == 1 else ())) if some else (None,):
            yield _symbolic(scheme, exact=exact, S=S), CoordinateEnergy(n), symbols("t", n)


def _any_auxiliary(state: Any) -> Any:
    """Return a state with any auxiliary variable, or None if it has none of a known kind."""
    aux = state.aux if "aux" in state._fields else None
    if not _is_varied(aux):
        return None
    value = _any_value(aux, "r")
    changed = {"aux": value}
    if "base" in state._fields:
        changed["base"] = state.base._replace(aux=value)
    return state._replace(**changed)


def _is_varied(aux: Any) -> bool:
    """Return whether an auxiliary variable is a number, a vector or an array of numbers of one axis."""
    return isinstance(aux, (sp.Expr, Vector)) or (isinstance(aux, np.ndarray) and aux.ndim == 1)


def _any_value(value: Any, name: str, **signs: bool) -> Any:
    """Return new symbols of a name in the place of a number, a vector or an array, of which the signs are given."""
    if isinstance(value, Vector):
        return value.space.vector(name)
    if isinstance(value, np.ndarray):
        return symbols(name, value.size, **signs).reshape(value.shape)
    return sp.Symbol(name, real=True, **signs)


def _starts(one: Any, problem: Any, theta: Any) -> Iterator[tuple[Any, bool]]:
    """Yield states to start from, each with whether its auxiliary variable is consistent.

    Where any auxiliary variable can be put in, the consistent one is among them.
    """
    start = one.init(problem, theta)
    other = None
    if isinstance(one, AuxiliaryScheme):
        yield reset(start), True
        other = _any_auxiliary(start) if scheme_ability(one, "carries_auxiliary") else None
    yield (start, True) if other is None else (other, False)


def _any_state(state: Any, names: Iterator[str], *, signed: bool) -> Any:
    """Return a state with new symbols in the place of its vectors and numbers, perhaps of the same signs; numbers that are no symbols stay.

    A number that is dt is another symbol as well: the step before may have been of another size.
    """
    if isinstance(state, tuple):
        parts = [_any_state(part, names, signed=signed) for part in state]
        return type(state)._make(parts) if hasattr(state, "_make") else tuple(parts)
    if isinstance(state, Vector):
        return _any_value(state, next(names))
    if isinstance(state, np.ndarray) and state.dtype == object:
        signs = {"nonnegative": True} if signed and all(map(_nonnegative, state.flat)) else {}
        return _any_value(state, next(names), **signs)
    if isinstance(state, sp.Expr) and not state.is_number:
        sign = {"positive": True} if state.is_positive else {"nonnegative": True} if state.is_nonnegative else {}
        return _any_value(state, next(names), **(sign if signed else {}))
    return state


def _signs(state: Any) -> Iterator[int]:
    """Yield for each number and vector of entries in a state 2 if it is positive, 1 if nonnegative, 0 if neither is known."""
    if isinstance(state, tuple):
        for part in state:
            yield from _signs(part)
    elif isinstance(state, np.ndarray) and state.dtype == object:
        yield int(all(map(_nonnegative, state.flat)))
    elif isinstance(state, sp.Expr) and not state.is_number:
        yield 2 if state.is_positive else int(_nonnegative(state))


def _keeps_more(scheme: Any, state: Any, *, consistent: bool = False) -> bool:
    """Return whether a state has more than theta and an auxiliary variable that is consistent, or of which any value is put in."""
    more = set(state._fields) - {"theta", "aux", "base"}
    if "aux" in state._fields and state.aux is not None:
        defined = isinstance(scheme, AuxiliaryScheme)
        varied = defined and scheme_ability(scheme, "carries_auxiliary") and _is_varied(state.aux)
        more |= set() if varied or (consistent and defined) else {"aux"}
    if "base" in state._fields:
        return bool(more) or _keeps_more(within(scheme) or scheme, state.base, consistent=consistent)
    return bool(more)


Setting = Callable[..., Iterator[tuple[Any, Any, Any]]]
Base: TypeAlias = tuple[Space, str]
"""A named vector."""


def _kept_as_it_is(state: Any) -> Any:
    """Return the form of a state, with whatever is neither a vector nor a symbol: counters, truth values, texts.

    Raises
    ------
    NotShown
        If the state holds anything else: what is in it could change unseen.
    """
    if isinstance(state, tuple):
        return type(state).__name__, tuple(map(_kept_as_it_is, state))
    if isinstance(state, Vector) or (isinstance(state, np.ndarray) and state.dtype == object):
        return "a vector", np.shape(state) if isinstance(state, np.ndarray) else ()
    if isinstance(state, sp.Expr) and not state.is_number:
        return "a number"
    if isinstance(state, np.ndarray):
        return f"{state.dtype} {state.tolist()!r}"
    if state is None or isinstance(state, (str, bool, int, float, np.generic, sp.Basic)):
        return f"{state!r}"
    raise NotShown(
        f"the state holds {what_came(state)}, which is neither a number nor an array: no other value can be put in"
    )


def _ways(step: Callable[[], Any]) -> list[Any]:
    """Return the states to which the ways through a step lead, each without the vectors that are zero on that way."""
    return [_without(way.value, _vanishing(way)) for way in branches(step)]


def _vanishing(way: Branch) -> set[Base]:
    """Return the named vectors that are zero on a way: a condition says that a sum of nonnegative terms is not positive.

    Then each term is zero, and with ``|u|^2`` times a positive number u is.
    """
    found: set[Base] = set()
    for condition in way.conditions:
        if isinstance(condition, (sp.Le, sp.Lt)):
            terms = sp.Add.make_args(condition.lhs - condition.rhs)
        elif isinstance(condition, (sp.Ge, sp.Gt)):
            terms = sp.Add.make_args(condition.rhs - condition.lhs)
        else:
            continue
        if all(x.is_nonnegative for x in terms):
            for x in terms:
                for factor in sp.Mul.make_args(x):
                    entry = entry_of(factor)
                    if entry is None or entry.word or entry.left != entry.right:
                        continue
                    if (x / factor).is_positive:
                        found.add((entry.left_space, entry.left))
    return found


def _without(value: Any, vanishing: set[Base]) -> Any:
    """Return a state, a vector or a number with some named vectors replaced by zero."""
    if not vanishing:
        return value
    if isinstance(value, tuple):
        parts = [_without(part, vanishing) for part in value]
        return type(value)._make(parts) if hasattr(value, "_make") else tuple(parts)
    if isinstance(value, np.ndarray) and value.ndim:
        return np.array([_without(x, vanishing) for x in value], dtype=object)
    if isinstance(value, Vector):
        kept = {}
        for (word, base), c in value.terms.items():
            if ((word[-1].source if word else value.space), base) not in vanishing:
                kept[word, base] = _without(c, vanishing)
        return value.space.combine(kept)
    if isinstance(value, sp.Expr):
        zero = {s for s in value.free_symbols if _holds_one_of(s, vanishing)}
        return value.xreplace(dict.fromkeys(zero, sp.Integer(0)))
    return value


def _holds_one_of(symbol: sp.Symbol, names: set[Base]) -> bool:
    """Return whether a symbol is that of an inner product with one of some named vectors."""
    entry = entry_of(symbol)
    return entry is not None and not names.isdisjoint(
        ((entry.left_space, entry.left), (entry.right_space, entry.right))
    )


def _steps(scheme: Any, setting: Setting, *, exact: bool, quick: bool) -> Iterator[list[_Instance]]:
    """Yield the steps from each start, all branches of each.

    Of a scheme that keeps more than theta and an auxiliary variable, the second step starts from any such state: what the
    first step has returned, with symbols for all that it is made of, of the same signs where these stay. A later step then
    starts from such a state as well, unless something in the state still changes that is no symbol.
    """
    for one, problem, theta in setting(scheme, exact=exact, quick=quick):
        for old, consistent in _starts(one, problem, theta):
            news = _ways(partial(one.step, problem, old, dt))
            found = [_Instance(one, problem, old, new, consistent) for new in news]
            forms = {repr(_kept_as_it_is(new)): new for new in news}
            if not _keeps_more(one, old) and list(forms) == [
                repr(_kept_as_it_is(old._replace(aux=news[0].aux) if "aux" in old._fields else old))
            ]:
                yield found
                continue
            for signed in (True, False):
                starts = {
                    form: _any_state(new, (f"x{k}" for k in count()), signed=signed)._replace(theta=theta)
                    for form, new in forms.items()
                }
                later = [
                    _Instance(one, problem, start, last, False, True)
                    for start in starts.values()
                    for last in _ways(partial(one.step, problem, start, dt))
                ]
                lasts = [(repr(_kept_as_it_is(each.new)), each.new) for each in later]
                if not {form for form, _ in lasts} <= set(forms):
                    raise NotShown("the state counts steps: a proof would be one of the first steps only")
                if all(a <= b for form, last in lasts for a, b in zip(_signs(starts[form]), _signs(last), strict=True)):
                    break
            found += later
            yield found


def with_proofs(scheme: Any, measured: list[Entry], *, quick: bool = False) -> list[Entry]:
    """Return the entries of a certificate with what could be proved.

    Parameters
    ----------
    scheme : Scheme
        The scheme.
    measured : list of Entry
        What was measured. An entry that is false stays.
    quick : bool
        Whether only some kinds of L and S are tried.

    Returns
    -------
    list of Entry
        The entries, of status "proved" where they are, with another one for a single step and for its denominators.
    """
    entries = {entry.name: entry for entry in measured}
    added: list[Entry] = []
    budget = _Budget()
    runs = _Runs(scheme, budget, quick=quick)
    if entries["identity"].status in ("measured", "undecided"):
        for name, prove in (("modified energy", _modified), ("numerical dissipation", _numerical),
                            ("identity", _law), ("dissipation", _dissipation)):  # fmt: skip
            if name in entries and entries[name].status == "measured":
                entries[name] = _tried(runs, entries[name], prove)
        signs = [entries[name] for name in ("dissipation", "numerical dissipation") if name in entries]
        if (
            len(signs) == 2
            and all(one.status == "proved" for one in (*signs, entries["identity"]))
            and entries["decay"].status == "measured"
        ):
            detail = f"both terms are nonnegative; measured: {entries['decay'].scope}"
            entries["decay"] = replace(entries["decay"], status="proved", scope=signs[0].scope, detail=detail)
    if entries["limit flow"].status == "measured" and scheme_ability(scheme, "speed") is not None:
        added.append(_single_step(scheme, budget))
    if scheme_ability(scheme, "usual_dt") is None:
        added.append(_denominators(runs))
    if scheme_ability(scheme, "usual_dt") is None:
        added += _modified_equation(scheme, budget)
        if "threshold" in entries and entries["threshold"].status == "measured":
            entries["threshold"] = _exact_threshold(scheme, entries["threshold"], budget)
    added = [entry for entry in added if entry.status != "undecided" or entry.name == "modified field"]
    if budget.spent:
        claim = "what may be provable was tried"
        added.append(Entry("step", "proofs", claim, "undecided", detail=budget.words))
    return [*entries.values(), *added]


def _exact_threshold(scheme: Any, measured: Entry, budget: _Budget) -> Entry:
    try:
        with budget.proof():
            return exact_threshold(scheme, measured)
    except (*RAISED, Timeout):  # a user's step may raise anything on symbols
        return measured


def _modified_equation(scheme: Any, budget: _Budget) -> list[Entry]:
    try:
        with budget.proof():
            return modified_equation(scheme)
    except Timeout:
        reason = budget.words
    except RAISED as error:  # a user's step may raise anything on symbols
        ours = isinstance(error, ValueError) and not re.search("no callable|Relational", str(error))
        reason = _of_the_step(" ".join(str(error).split())) if ours else _why(error)
    claim = "one step is the flow of a modified field"
    return [Entry("modified equation", "modified field", claim, "undecided", detail=shortened(reason, LONGEST_REASON))]


def _of_the_step(words: str) -> str:
    """Return why there is no field without the advice to those who compute with abstract vectors, and without repeated words."""
    return words.replace(f": {INSTEAD}", "").replace("on abstract vectors: a", "on symbols: a")


def _why(error: BaseException) -> str:
    """Return why a step does not run on symbols."""
    words = " ".join(str(error).split())
    missing = re.search(r"no callable (\w+) method", words)
    if missing:
        name = missing[1]
        return f"the step uses np.{name} on symbols: use array_namespace(theta).{name}, so that proofs can run"
    asked = re.search(r"truth value of Relational: (.+)", words)
    if asked:
        return f"the step asks whether {shortened(asked[1], LONGEST)}, which is not decided for symbols"
    return f"the step does not run on symbols, {type(error).__name__}: {shortened(words, LONGEST)}"


class _Budget:
    """The processor time that is left for proofs. Signals reach the main thread only: elsewhere there is no limit."""

    def __init__(self) -> None:
        self.left = float(BUDGET)

    @property
    def spent(self) -> bool:
        """Whether nothing more is tried."""
        return self.left < 1

    @property
    def words(self) -> str:
        """Why a proof was stopped."""
        return f"the {BUDGET} s of processor time for proofs are spent" if self.spent else f"no proof in {LIMIT} s"

    @contextmanager
    def proof(self) -> Iterator[None]:
        """Limit what is inside to `LIMIT`, and to what is left."""
        if self.spent:
            raise Timeout(self.words)
        main = threading.current_thread() is threading.main_thread()
        start = time.process_time()
        try:
            with limited(ceil(min(LIMIT, self.left))) if main else nullcontext():
                yield
        finally:
            self.left -= time.process_time() - start if main else 0.0


class _Runs:
    """The steps of a scheme on symbols, taken once in each setting."""

    def __init__(self, scheme: Any, budget: _Budget, *, quick: bool) -> None:
        self.scheme, self.budget, self.quick, self.exhausted = scheme, budget, quick, False
        self.settings = _settings(scheme, budget)
        self._taken: dict[tuple[Setting, bool], list[list[_Instance]] | BaseException] = {}

    def steps(self, setting: Setting, *, exact: bool) -> list[list[_Instance]]:
        """Return the steps, or raise what the first attempt raised."""
        key = setting, exact
        if key not in self._taken:
            try:
                self._taken[key] = list(_steps(self.scheme, setting, exact=exact, quick=self.quick))
            except (*RAISED, Timeout) as error:  # a user's step may raise anything on symbols
                self._taken[key] = error
        taken = self._taken[key]
        if isinstance(taken, BaseException):
            raise taken
        return taken

    def shown(self, show: Callable[[list[list[_Instance]]], None]) -> tuple[str, str]:
        """Return the scope for which a function shows what it has to, or "" and the first reason why it does not.

        Raises
        ------
        Refuted
            If it is false for the parameters that the scheme has.
        """
        if self.exhausted:
            return "", "an earlier proof took too long"
        reason = ""
        for setting, scope in self.settings:
            for exact in (False, True) if _parameters(self.scheme) else (True,):
                try:
                    with self.budget.proof():
                        show(self.steps(setting, exact=exact))
                except Refuted:
                    if exact:
                        raise
                except NotShown as error:
                    reason = reason or str(error)
                except Timeout:
                    self.exhausted = True
                    return "", self.budget.words
                except RAISED as error:
                    reason = reason or _why(error)
                else:
                    return _scope(self.scheme, scope, exact=exact), ""
        return "", reason


ENERGIES: tuple[tuple[Setting, str], ...] = ((_abstract, EVERY), (_in_coordinates, COORDINATES))
EITHER: tuple[tuple[Setting, str], ...] = ((_with_or_without_residual, EVERY),)
LEAST_SQUARES: tuple[tuple[Setting, str], ...] = ((_squares, SQUARES), (_few_squares, FEW))


class _Asked(AbstractEnergy):
    """Any energy, that notes whether it was asked for a residual."""

    asked = False

    def __getattr__(self, name: str) -> Any:
        if name in ("linearize", "linearize_later"):
            self.asked = True
        raise AttributeError(name)


def _settings(scheme: Any, budget: _Budget) -> tuple[tuple[Setting, str], ...]:
    """Return what a scheme runs on, each with its scope: sums of squares if it asks an energy for its residual and needs it."""
    problem, one = _Asked(Space()), _symbolic(scheme, exact=True)
    try:
        with budget.proof():
            next(branches(lambda: one.step(problem, one.init(problem, problem.space.vector("theta")), dt)))
    except (*RAISED, Timeout):  # a user's step may raise anything on symbols
        return LEAST_SQUARES if problem.asked else ENERGIES
    return EITHER if problem.asked else ENERGIES


def _scope(scheme: Any, scope: str, *, exact: bool, sizes: str = "every dt") -> str:
    """Return the scope with the parameters, the operators and the step sizes, for which something is shown."""
    names = sorted(set(_parameters(scheme)))
    operators = {
        (True, False): "every L and S",
        (False, False): "every L",
        (True, True): "every diagonal S",
        (False, True): "",
    }
    parts = [scope, operators[takes_stabilization(scheme), scope == COORDINATES], sizes]
    if names:
        parts.append("these parameters" if exact else f"every {' and '.join(names)} > 0")
    if names and not exact:
        parts += [f"{name} = {value:g}" for name, value in _numbers(scheme).items() if name not in names]
    return ", ".join(filter(None, parts))


def _tried(runs: _Runs, entry: Entry, show: Callable[[list[list[_Instance]]], None]) -> Entry:
    try:
        scope, reason = runs.shown(show)
    except Refuted as error:
        if entry.name == "identity" and not error.rounded and not _rounded(runs.scheme):
            detail = f"it holds in floating point, within what rounding explains, but {error}; {entry.detail}"
            return replace(entry, status="false", detail=detail, counterexample=error.example)
        return replace(entry, status="undecided", detail=f"it holds in floating point, but {error}; {entry.detail}")
    if scope:
        measured = f"measured: {entry.detail or entry.scope}"
        return replace(entry, status="proved", scope=scope, detail=measured)
    return replace(entry, detail="; ".join(filter(None, (entry.detail, f"not proved: {reason}"))))


def _require(zero: Any, what: str) -> None:
    try:
        shown = is_zero(zero)
    except Undecided as error:
        raise NotShown(f"{what} is undecided, {error}") from error
    if not shown:
        formula = sp.sympify(zero)
        if any(_is_arbitrary(s) for s in formula.free_symbols):
            raise NotShown(f"{what} does not vanish for every vector in the place of the solution of a linear system")
        example = f"On symbols {what} is {shortened(str(formula), LONGEST)}"
        raise Refuted(f"{what} does not vanish on symbols", example, rounded=_has_rounded(formula))


def _is_arbitrary(symbol: sp.Symbol) -> bool:
    """Return whether a symbol is that of an inner product with any vector in the place of a solution."""
    entry = entry_of(symbol)
    if entry is None:
        return False
    return entry.left_space.is_arbitrary(entry.left) or entry.right_space.is_arbitrary(entry.right)


def _has_rounded(e: Any) -> bool:
    """Return whether a number in an expression may have been rounded: 1 / 3 as a float is not a third."""
    return any(_may_be_rounded(x) for x in e.atoms(sp.Float)) or any(x.q > EXACT for x in e.atoms(sp.Rational))


def _may_be_rounded(x: Any) -> bool:
    return bool(sp.Rational(x).q > EXACT)


def _rounded(scheme: Any) -> bool:
    """Return whether a parameter of a scheme may have been rounded."""
    return any(not isfinite(x) or _may_be_rounded(x) for x in _numbers(scheme).values())


def _energies(one: _Instance) -> tuple[Any, Any, Any]:
    return (
        one.scheme.modified_energy(one.problem, before(one.scheme, one.old)),
        one.scheme.modified_energy(one.problem, one.new),
        one.scheme.energy_terms(one.problem, one.old, one.new, dt),
    )


def _law(steps: list[list[_Instance]]) -> None:
    for instances in steps:
        for one in instances:
            first, last, (D, extra) = _energies(one)
            try:
                _require(last - first + D + extra, "the residual of the identity")
            except Refuted as error:  # no step may lead to this memory
                raise (NotShown(f"{error}, for any memory") if one.memory else error) from None


def _modified(steps: list[list[_Instance]]) -> None:
    for instances in steps:
        for one in instances:
            if one.consistent:
                E = one.problem.energy(one.old.theta)
                for state in (one.old, one.scheme.init(one.problem, one.old.theta)):
                    _require(one.scheme.modified_energy(one.problem, state) - E, "the modified energy less E")


def _dissipation(steps: list[list[_Instance]]) -> None:
    for instances in steps:
        for one in instances:
            D = _energies(one)[2].dissipation
            rest = sp.sympify(D - _of_the_flow(one))
            if rest != 0 and not _nonnegative(D):
                if rest.count_ops() > LARGEST:
                    raise NotShown("its sign is not decided")
                if not is_zero(rest):
                    raise NotShown("it is not |d|^2/dt + (S d, d) + (L d, d)/2, and its sign is not decided")


def _of_the_flow(one: _Instance) -> Any:
    """Return ``|d|^2/dt + (S d, d) + (L d, d)/2`` for the S and L of a step, which is nonnegative."""
    base = within(one.scheme) or one.scheme
    S, L = as_linear_part(scheme_ability(base, "stabilization"), "stabilization"), linear_part(one.problem)
    d, inner = one.new.theta - one.old.theta, one.problem.inner
    return inner(d, d) / dt + inner(S.apply(d), d) + inner(L.apply(d), d) / 2


def _numerical(steps: list[list[_Instance]]) -> None:
    for instances in steps:
        for one in instances:
            if not _nonnegative(_energies(one)[2].numerical):
                raise NotShown("its sign is not decided")


def _nonnegative(value: Any) -> bool:
    """Return whether SymPy knows that a number is nonnegative, as it stands or multiplied out."""
    value = sp.sympify(value)
    try:
        return value.count_ops() <= LARGEST and is_known_nonnegative(value)
    except TypeError:  # SymPy finds no number
        return False


def _single_step(scheme: Any, budget: _Budget) -> Entry:
    """Return whether one step from a consistent state is the flow modulo the declared order."""
    p, speed = int(scheme_ability(scheme, "order")), scheme_ability(scheme, "speed")
    name = "single step"
    claim = f"from a consistent state, theta_new is the solution of the flow modulo dt^{p + 1}"
    auxiliary = isinstance(scheme, AuxiliaryScheme) and scheme_ability(scheme, "carries_auxiliary")
    if auxiliary:
        claim += ", and the auxiliary variable its definition there"
    some = takes_stabilization(scheme)
    pairs = (
        ("none", "none"),
        ("operator", "none"),
        *((("none", "operator"), ("operator", "operator")) if some else ()),
    )
    reason = ""
    for exact in (False, True) if _parameters(scheme) else (True,):
        try:
            with budget.proof():
                for kind in linear_kinds(pairs):
                    theta = kind.space.vector("theta")
                    problem = SmoothEnergy(kind.space, theta, dt, p, kind.L)
                    one = _symbolic(scheme, exact=exact, S=kind.S if some else None)
                    old = one.init(problem, theta)
                    if _keeps_more(one, old, consistent=True):
                        raise NotShown("the scheme has a memory")
                    at = problem.flow(sp.nsimplify(speed))
                    for way in branches(partial(one.step, problem, old, dt)):
                        if not is_small(way.value.theta - at, dt, p + 1):
                            raise NotShown("theta_new is another one on symbols")
                        if auxiliary and not is_small(way.value.aux - one.auxiliary(problem, at), dt, p + 1):
                            raise NotShown("the auxiliary variable is another one on symbols")
        except NotShown as error:
            reason = reason or str(error)
        except Timeout:
            reason = reason or budget.words
            break
        except RAISED as error:  # a user's step may raise anything on symbols
            reason = reason or _why(error)
        else:
            scope = f"every dimension and inner product, every positive energy with {p + 1} derivatives"
            return Entry("consistency", name, claim, "proved", _scope(scheme, scope, exact=exact, sizes=""))
    return Entry("consistency", name, claim, "undecided", detail=reason)


def _denominators(runs: _Runs) -> Entry:
    """Return whether all that a step divides by is positive."""
    name, claim = (
        "denominators",
        "all that a step divides by is positive: it exists for every dt",
    )
    found: set[str] = set()

    def show(steps: list[list[_Instance]]) -> None:
        found.clear()
        for instances in steps:
            for one in instances:
                for value in _coefficients(one.new):
                    _require_defined(value)
                    _, below = sp.fraction(sp.together(value))
                    if not _positive(below):
                        raise NotShown(f"the sign of {below} is not decided")
                    if below.free_symbols:
                        found.add("divided")

    scope, reason = runs.shown(show)
    if not scope:
        return Entry("solvability", name, claim, "undecided", detail=reason)
    detail = "" if found else "the step divides by nothing that depends on theta or dt"
    return Entry("solvability", name, claim, "proved", scope, detail)


def _require_defined(value: sp.Expr) -> None:
    """Raise NotShown unless the arguments of roots, quotients and logarithms are shown to be nonnegative, and positive where they have to be."""
    for power in value.atoms(sp.Pow):
        if power.exp.could_extract_minus_sign() and power.base != sp.E and not _positive(power.base):
            raise NotShown(f"the sign of {power.base} is not decided")
        exponent = sp.nsimplify(power.exp, rational=True) if power.exp.is_number else power.exp
        if not exponent.is_integer and power.base != sp.E and not _nonnegative(power.base):
            raise NotShown(f"the sign of {power.base} is not decided, of which a step takes a root")
    for logarithm in value.atoms(sp.log):
        if not _positive(logarithm.args[0]):
            raise NotShown(f"the sign of {logarithm.args[0]} is not decided, of which a step takes the logarithm")


def _positive(value: sp.Expr) -> bool:
    return is_known_positive(value) or bool(sp.expand(value).is_positive)


def _coefficients(state: Any) -> Iterator[sp.Expr]:
    """Yield the numbers that a state is made of: entries of arrays, coefficients of vectors."""
    for part in state:
        if isinstance(part, tuple):
            yield from _coefficients(part)
        elif isinstance(part, (Vector, np.ndarray)):
            yield from map(sp.sympify, entries(part))
        elif isinstance(part, sp.Expr):
            yield part
