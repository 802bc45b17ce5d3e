r"""The modified field of a step by the Lie series, in the partial derivatives of the energy.

A step of size dt with Taylor coefficients :math:`d_n` is the flow of a formal field :math:`\tilde f` at the time dt,

.. math:: \Phi_{\Delta t}(x) = x + \sum_{n \ge 1} \Delta t^n d_n(x) = e^{\Delta t L_{\tilde f}} x, \qquad
    \tilde f = \sum_{n \ge 1} \Delta t^{n-1} f_n, \qquad L_f p = \sum_v f_v\, \partial_v p.                \tag{1}

The powers of dt on both sides give the fields one after the other,

.. math:: f_n = d_n - \sum_{k=2}^n \frac1{k!} W_{k,n}, \qquad W_{1,n} = f_n, \qquad
    W_{k,n} = \sum_{j=1}^{n-k+1} L_{f_j} W_{k-1,n-j}.                                                      \tag{2}

Here everything is a polynomial in *jets*: the variables x and the partial derivatives of the energy at x, each of which
is an independent unknown, see `gradflow.backward_error.jets`. So the result holds for every smooth energy of that
many variables, and no rooted tree is used.

The memory of a scheme. A number or vector z of the state that a step with dt = 0 leaves as it is, such as the auxiliary
variable of a scheme that does not restart it, is one more variable x. Those that such a step maps to :math:`C z + \dots`
with a constant matrix C whose powers tend to 0, such as a momentum, are slaved: after a transient they are functions of x,

.. math:: z = Z(x) = \sum_k \Delta t^k Z_k(x), \qquad Z(x_{new}) = z_{new}(x, Z(x)),                       \tag{3}

whose coefficients (3) determines one after the other (for a quadratic energy this is the root of the recurrence that tends
to 1 with dt). Then (1) is the step on that slow manifold. Flags and whole numbers have the values that they keep after
some steps, and a number of steps is large, so that its powers :math:`c^n` have vanished
(`gradflow.backward_error.symbolic_steps.Count`). A memory that grows by O(1) in each step, such as the sum of squares of
`gradflow.Adagrad`, is no function of the time n dt, and has no modified equation of this kind.

Memory that starts positive is taken to be positive where one step keeps it so, for every positive value. Otherwise it has no
sign, and a step that chooses by it is refused.

Where a step takes the root of a square, as a mean of squares that has settled, the field has :math:`|\partial_i E|`: it is that
of an orbit along which this derivative keeps its sign.

For explicit Euler, :math:`(e^{\Delta t L_{\tilde f}} - I)\, x = \Delta t f`, a third way is

.. math:: \tilde f = \sum_{k \ge 0} \frac{B_k}{k!}\, (\Delta t\, L_{\tilde f})^k f, \qquad B_1 = -\tfrac12.     \tag{4}

Source: Hairer, Lubich & Wanner, Geometric Numerical Integration (2006), sections IX.1 and III.5.1, for (1) and (2);
Bernoulli's numbers in (4) are those of x / (e^x - 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from math import factorial, lcm
from typing import Any

import numpy as np
import sympy as sp
from sympy.polys.domains import QQ

from ..description import found
from ..refusals import whole_number
from ..symbolic.decide import Undecided
from ..symbolic.gram import is_known_positive
from .jets import Element, Field, JetAlgebra, JetExpansion, JetProblem, JetRecord, Series, TooShort, shifted
from .symbolic_steps import (
    HIGHEST,
    Count,
    Path,
    at_place,
    decimal,
    equation_of,
    exact_settings,
    generic,
    is_mark,
    is_number,
    leaves,
    name_of,
    not_on_symbols,
    replaced,
    require_counting,
    require_step,
    settings_of,
    settled,
)

__all__ = ["JetField", "bernoulli_field", "jet_field"]

DIVISIONS = 2  # by dt in a step, for each of which it needs one term more
MOST = 100  # energies or residuals, each with its own jets


@dataclass(frozen=True)
class JetField:
    """The modified field of a step, in jets."""

    algebra: JetAlgebra
    """What the coefficients are elements of."""
    variables: tuple[str, ...]
    """The variables x: theta, and the memory that a step with dt = 0 leaves as it is."""
    taylor: tuple[Field, ...]
    """The coefficients d_1, d_2, ... of (1), each with one component for each variable."""
    field: tuple[Field, ...]
    """The fields f_1, f_2, ... of (1)."""
    slaved: dict[str, tuple[Element, ...]]
    """The coefficients Z_0, Z_1, ... of (3), by the name of the component of the state."""

    def is_gradient(self, order: int) -> bool:
        """Return whether the terms f_1, ..., f_order are gradients along theta for every energy of so many variables.

        Parameters
        ----------
        order : int
            From 1 to the number of fields.

        Raises
        ------
        ValueError
            If there are not so many fields.
        Undecided
            If the curl is not shown to vanish, and vanishes at random values.
        """
        order = whole_number("order", order, 1, len(self.field))
        curls = [c for f in self.field[:order] for c in self.algebra.curl(f[: self.algebra.record.n])]
        if self.algebra.is_zero(*curls):
            return True
        if self.algebra.vanish_at(curls):
            raise Undecided("the curl of the field vanishes at random values, and is not shown to vanish")
        return False


def jet_field(
    scheme: Any,
    order: int = 3,
    *,
    symbols: Mapping[str, Any] | None = None,
    variables: int = 2,
    energies: int = 1,
    residuals: int = 0,
) -> JetField:
    r"""Return the modified field of a scheme, for every smooth energy of a few variables.

    The scheme's own `init` and `step` run on symbols, in the inner product of the sum of products.

    Parameters
    ----------
    scheme : Scheme or callable
        A scheme, or a function ``step(problem, theta, dt)`` that returns the new theta.
    order : int, optional
        How many fields f_1, ..., f_order, 1 to 8; dt^(order - 1) is the highest power in the modified field. The work grows with
        the number of variables too.
    symbols : mapping, optional
        SymPy expressions in the place of fields of the scheme, by name: ``{"C": C}``. All other floats are taken for the
        decimal fractions that they print as.
    variables : int, optional
        Number of variables n of the energy, 1 to 9.
    energies : int, optional
        Number of energies, 1 to 100. If there are several, the step is given a tuple of problems.
    residuals : int, optional
        If positive, at most 100, the one energy is half the sum of squares of so many residuals, and the problem has ``linearize``.

    Returns
    -------
    JetField
        Exact: coefficients are rational numbers, or rational functions of the symbols of the scheme.

    Raises
    ------
    ValueError
        If an argument is outside what is said above, the step is not smooth in dt at 0, is no expression of powers, roots, exponentials and logarithms, depends on
        theta in its choice of a branch or on memory whose sign it does not keep, has a memory that does not fade or for which (3) has no solution, a flag or whole
        number that still changes after some steps, or uses a number of steps other than as an exponent; its subclass
        `gradflow.backward_error.symbolic_steps.NotOnSymbols` if the step does not run on symbols.

    Examples
    --------
    >>> from gradflow import GradientDescent
    >>> found = jet_field(GradientDescent(), order=2, variables=1)
    >>> found.field
    ((-E_0,), (-1/2*E_0*E_00,))
    """
    whole_number("order", order, 1, HIGHEST)
    whole_number("variables", variables, 1, 9)
    whole_number("energies", energies, 1, MOST)
    whole_number("residuals", residuals, 0, MOST)
    require_step(scheme)
    if residuals and energies > 1:
        raise ValueError(f"residuals are of one energy, got energies = {energies}")
    names = [f"q{k}" for k in range(residuals)] or ([f"E{k}" for k in range(energies)] if energies > 1 else ["E"])
    made = exact_settings(scheme, {} if symbols is None else symbols), settings_of(symbols)
    for more in range(DIVISIONS + 1):
        try:
            return _jet_field(
                *made, order, JetRecord(variables, order + more, names, positive=not residuals), residuals
            )
        except TooShort as error:
            short = error
    raise short


def _jet_field(scheme: Any, settings: set[sp.Symbol], order: int, record: JetRecord, residuals: int) -> JetField:
    """Return the fields f_1, ..., f_order from the terms of a record, which go so far or further."""
    names = record.names
    problems = [
        JetProblem(record, "q" if residuals else name, residuals) for name in (names[:1] if residuals else names)
    ]
    problem = problems[0] if len(problems) == 1 else tuple(problems)
    new, memory = _run(scheme, problem, record, settings)
    memory = _kept(new, memory, record)
    expressions = [*new, *memory.values(), *(e for point in record.points for e in point)]
    roots = {e for expression in expressions for e in expression.atoms(sp.Pow, sp.exp) if _is_root(e)}
    inside = {*record.jets, *record.expansions, *record.left_out, *record.theta, *memory, record.dt}
    parameters = set().union(*(e.free_symbols for e in expressions)) - inside
    degree = lcm(*(int(e.exp.q) for e in roots if e.is_Pow))

    def algebra_of(variables: Sequence[sp.Symbol]) -> JetAlgebra:
        return JetAlgebra(record, [*record.theta, *variables], parameters, len(roots), degree)

    starts = {symbol: _at_zero(e, lambda: algebra_of(list(memory)), record.dt) for symbol, e in memory.items()}
    slow, slaved = _kinds(starts)
    algebra = algebra_of(slow)
    C = _factors(starts, slaved, record)
    manifold = _slow_manifold(algebra, new, memory, slaved, C, order)
    expansion = JetExpansion(algebra, manifold)
    moved = expansion.moved([*zip(new, record.theta, strict=True), *((memory[z], z) for z in slow)], order)
    taylor = tuple(tuple(algebra.reduced(component[n]) for component in moved) for n in range(1, order + 1))
    return JetField(
        algebra,
        tuple(map(str, algebra.variables)),
        taylor,
        _fields(algebra, taylor),
        {str(z): tuple(series) for z, series in manifold.items()},
    )


def _run(
    scheme: Any, problem: Any, record: JetRecord, settings: set[sp.Symbol]
) -> tuple[list[sp.Expr], dict[sp.Symbol, sp.Expr]]:
    """Return the new theta, and the new value of each component of the memory by its symbol.

    The memory that starts positive is positive symbols. Those that a step is not shown to keep so are real, unless the
    step is the same for real ones.
    """

    def run(lost: Set[str]) -> tuple[list[sp.Expr], dict[sp.Symbol, sp.Expr]]:
        record.points[:], record.expansions = [], {}
        return _run_with_signs(scheme, problem, record, settings, lost)

    first = new, memory = run(set())
    points, expansions = list(record.points), record.expansions
    lost: set[str] = set()
    while more := {z.name for z, e in memory.items() if z.is_positive and not is_known_positive(e)}:
        lost |= more
        new, memory = run(lost)
    real = {z: sp.Symbol(z.name, real=True) for z in first[1] if z.name in lost}
    was = [*first[0], *first[1].values(), *(e for point in points for e in point)]
    now = [*new, *memory.values(), *(e for point in record.points for e in point)]
    if lost and [e.xreplace(real) for e in was] != now:
        return new, memory
    record.points[:], record.expansions = points, expansions
    return first


def _run_with_signs(
    scheme: Any, problem: Any, record: JetRecord, settings: set[sp.Symbol], lost: Set[str]
) -> tuple[list[sp.Expr], dict[sp.Symbol, sp.Expr]]:
    """Return what `_run` does, with real symbols for the memory of some names."""
    theta, dt = record.theta, record.dt
    if equation_of(scheme) is not None:
        new = theta
        for _ in range(record.order):  # each of which is right to one more power of dt
            new = new - scheme.equation(problem, theta, new, dt)
        return [sp.expand(t) for t in new], {}
    if not hasattr(scheme, "step"):
        return _vector(_run_on_symbols(lambda: scheme(problem, theta, dt), record), record, "a step"), {}
    names: dict[tuple[Path, str], Any] = {}
    begun: dict[sp.Symbol, Any] = {}  # a step may choose; it then chooses as from the start

    def step(state: Any) -> Any:
        after = _run_on_symbols(lambda: scheme.step(problem, state, dt), record, begun, lost)
        _require_state(after, record)
        return after

    def one(state: Any) -> Any:
        """Return the state after a step from one whose memory is symbols, without what was evaluated on the way."""
        kept, expansions = list(record.points), dict(record.expansions)
        symbols = _symbols(state, names, lost)
        for path, value in symbols.items():
            for symbol, e in zip(np.ravel(value), np.ravel(at_place(state, path)), strict=True):
                begun.setdefault(symbol, sp.sympify(e))
        after = step(replaced(state, {(0,): theta, **symbols}))
        record.points[:], record.expansions = kept, expansions
        return after

    start = _run_on_symbols(lambda: scheme.init(problem, theta), record)
    _require_state(start, record)
    for path, value in leaves(start):  # a number has the sign of the first one
        if is_number(value) and not isinstance(value, (int, np.integer)):
            symbol = _memory_symbol(name_of(start, path), value, lost)
            names[path, symbol.name], begun[symbol] = symbol, sp.sympify(value)
    state, counts = settled(start, one)
    fixed = {path: Count(name_of(state, path), least, settings) for path, least in counts.items()}
    symbols = _symbols(replaced(state, fixed), names, lost, numbers=True)
    after = step(replaced(state, {(0,): theta, **fixed, **symbols}))
    require_counting(fixed, after)
    memory = {}
    for path, value in symbols.items():
        new = np.ravel(at_place(after, path))
        if len(new) != len(np.ravel(value)):
            raise ValueError(f"{name_of(state, path)} of the state has another size after a step")
        for symbol, e in zip(np.ravel(value), new, strict=True):
            memory[symbol] = decimal(e)
    return _vector(after[0], record, "a step"), memory


def _require_state(state: Any, record: JetRecord) -> None:
    """Raise ValueError unless something is a tuple whose first value is theta."""
    if not isinstance(state, tuple) or not state:
        raise ValueError(f"a state must be a NamedTuple whose first field is theta, got {found(state)}")
    _vector(state[0], record, "a step")
    for path, value in leaves(state):
        if isinstance(value, (dict, list, set)):
            raise ValueError(
                f"the memory of a scheme must be numbers and vectors, got {name_of(state, path)} = {found(value)}"
            )


def _symbols(
    state: Any, known: dict[tuple[Path, str], Any], lost: Set[str], *, numbers: bool = False
) -> dict[Path, Any]:
    """Return symbols for the memory in a state by its places, those that are known already; and for its numbers, if wanted."""
    result = {}
    for path, value in leaves(state):
        if (
            path == (0,)
            or is_mark(value)
            or isinstance(value, (int, np.integer, Count))
            or (is_number(value) and not numbers)
        ):
            continue
        name = name_of(state, path)
        if (path, name) not in known:
            if isinstance(value, np.ndarray) and value.ndim:
                each = [
                    _memory_symbol("_".join(map(str, (name, *at))), value[at], lost) for at in np.ndindex(value.shape)
                ]
                known[path, name] = np.array(each, dtype=object).reshape(value.shape)
            else:
                known[path, name] = _memory_symbol(name, value, lost)
        result[path] = known[path, name]
    return result


def _run_on_symbols(
    function: Callable[[], Any],
    record: JetRecord,
    start: Mapping[sp.Symbol, Any] | None = None,
    lost: Set[str] = frozenset(),
) -> Any:
    try:
        return generic(function, start, record.number, lost)
    except (TypeError, AttributeError, NotImplementedError) as error:
        raise not_on_symbols("the step does not run on symbols", error) from error


def _vector(value: Any, record: JetRecord, whose: str) -> list[sp.Expr]:
    """Return the entries of theta, or raise ValueError unless there are as many as variables."""
    if isinstance(value, str) or value is None or np.shape(value) != (record.n,):
        raise ValueError(f"{whose} must return theta of shape ({record.n},), got {found(value)}")
    return [decimal(t) for t in value]


def _memory_symbol(name: str, value: Any, lost: Set[str]) -> sp.Symbol:
    positive = name not in lost and sp.sympify(value).is_positive
    return sp.Symbol(name, **({"positive": True} if positive else {"real": True}))


def _kept(new: Sequence[sp.Expr], memory: dict[sp.Symbol, sp.Expr], record: JetRecord) -> dict[sp.Symbol, sp.Expr]:
    """Return the memory on which the later theta depend."""
    needed: set[Any] = set()
    todo = list(new)
    while todo:
        for symbol in todo.pop().free_symbols - needed:
            needed.add(symbol)
            todo += [memory[symbol]] if symbol in memory else []
            todo += record.points[record.expansions[symbol][0]] if symbol in record.expansions else []
    return {symbol: e for symbol, e in memory.items() if symbol in needed}


def _at_zero(e: sp.Expr, algebra: Callable[[], JetAlgebra], dt: sp.Symbol) -> sp.Expr:
    """Return an expression with dt = 0; of one like dt/dt the limit, if it is a polynomial in what the step knows."""
    value = e.subs(dt, 0)
    return JetExpansion(algebra(), {}).series(e, 0)[0].as_expr() if value.has(sp.nan, sp.zoo) else value


def _kinds(starts: dict[sp.Symbol, sp.Expr]) -> tuple[list[sp.Symbol], list[sp.Symbol]]:
    """Return the memory that is a variable, and that which is slaved, from what a step with dt = 0 makes of it."""
    slow, slaved = [], []
    for symbol, start in starts.items():
        rate = sp.expand(start - symbol)
        if rate == 0:
            slow.append(symbol)
        elif sp.diff(start, symbol) == 1 and not rate.free_symbols & set(starts):
            raise ValueError(
                f"a step with dt = 0 adds {rate} to {symbol}, which grows with the number of steps: there is no modified equation"
            )
        else:
            slaved.append(symbol)
    return slow, slaved


def _factors(starts: dict[sp.Symbol, sp.Expr], slaved: list[sp.Symbol], record: JetRecord) -> sp.Matrix:
    """Return the matrix C of what a step with dt = 0 makes of the slaved memory, ``C z + ...``."""
    moving = {*record.jets, *record.theta, *starts}
    C = sp.Matrix([[sp.diff(starts[symbol], z) for z in slaved] for symbol in slaved])
    for symbol, row in zip(slaved, C.tolist(), strict=True):
        if any(c.free_symbols & moving for c in row) or (len(row) == 1 and row == [1]):
            raise ValueError(
                f"with dt = 0 a step must map {symbol} to itself or to a fixed part of itself, got {starts[symbol]}"
            )
    return C


def _require_forgetting(C: sp.Matrix, slaved: list[sp.Symbol]) -> None:
    """Raise ValueError unless powers of the matrix tend to 0; symbols in it are taken for settings that see to it."""
    settings = not all(c.is_number for c in C)
    if (sp.eye(len(slaved)) - C).det() != 0 and (
        settings or all(abs(complex(root)) < 1 - 1e-12 for root in C.eigenvals())
    ):
        return
    for k, z in enumerate(slaved):
        if C[k, k].is_number and not abs(C[k, k]) < 1:
            raise ValueError(f"a step does not forget {z}: with dt = 0 it multiplies it by {C[k, k]}")
    raise ValueError(f"a step does not forget {', '.join(map(str, slaved))}")


def _is_root(e: sp.Expr) -> bool:
    return isinstance(e, sp.exp) or (e.is_Pow and not (e.exp.is_Integer and e.exp > 0))


def _slow_manifold(
    algebra: JetAlgebra,
    new: Sequence[sp.Expr],
    memory: dict[sp.Symbol, sp.Expr],
    slaved: list[sp.Symbol],
    C: sp.Matrix,
    order: int,
) -> dict[sp.Symbol, Series]:
    """Return the series Z of (3), through dt^order, with the matrix of `_factors`."""
    if not slaved:
        return {}
    Z: dict[sp.Symbol, Series] = {symbol: [] for symbol in slaved}
    moving = [*new, *(memory[z] for z in algebra.variables[len(new) :])]
    variables = list(zip(moving, algebra.variables, strict=True))
    for k in range(order + 1):
        if k == 1:  # theta_new may contain Z at once, as that of a two-step method does
            C = C - _through_theta(algebra, new, Z)
        if k < 2:
            _require_forgetting(C, slaved)
            inverse = [[algebra.element(sp.cancel(e)) for e in row] for row in (sp.eye(len(slaved)) - C).inv().tolist()]
        residual = _defect(algebra, variables, memory, Z, k)
        found = [residual[symbol][k] for symbol in slaved]
        for i, symbol in enumerate(slaved):
            Z[symbol].append(sum((c * p for c, p in zip(inverse[i], found, strict=True)), algebra.ring.zero))
    for symbol, left in _defect(algebra, variables, memory, Z, order).items():
        if not algebra.is_zero(*left):
            raise ValueError(f"no slow manifold was found for {symbol}: its terms do not follow one from the other")
    return Z


def _through_theta(algebra: JetAlgebra, new: Sequence[sp.Expr], Z: dict[sp.Symbol, Series]) -> sp.Matrix:
    """Return what Z_0 makes of the part of theta_new, with dt = 0, that is linear in the slaved memory."""
    expansion = JetExpansion(algebra, Z)
    total = sp.zeros(len(Z), len(Z))
    for v, e in enumerate(new):
        for j, z in enumerate(Z):
            rate = sp.diff(e, z)
            part = expansion.series(rate, 0)[0] if rate != 0 else algebra.ring.zero
            for i, series in enumerate(Z.values()) if part else ():
                c = algebra.derivative(series[0], v) * part
                if not c.is_ground:
                    raise ValueError(f"theta depends on {z} at once, with a factor that is not constant")
                total[i, j] += algebra.ring.domain.to_sympy(c.coeff(1))
    return total


def _defect(
    algebra: JetAlgebra,
    variables: list[tuple[sp.Expr, sp.Symbol]],
    memory: dict[sp.Symbol, sp.Expr],
    Z: dict[sp.Symbol, Series],
    order: int,
) -> dict[sp.Symbol, Series]:
    """Return z_new(x, Z(x)) - Z(x_new), coefficients of dt^0 ... dt^order, for a Z of which some are known."""
    expansion = JetExpansion(algebra, Z)
    # x_new at order 0 is x; to ask for it would need Z_0
    moved = expansion.moved(variables, order) if order else [[algebra.ring.zero] for _ in variables]
    result = {}
    for symbol, coefficients in Z.items():
        left = list(expansion.series(memory[symbol], order))
        for j, p in enumerate(coefficients[: order + 1]):
            for k, value in enumerate(shifted(algebra, p, [a[: order + 1 - j] for a in moved])):
                left[j + k] -= value
        result[symbol] = left
    return result


def _fields(algebra: JetAlgebra, taylor: Sequence[Field]) -> tuple[Field, ...]:
    """Return f_1, f_2, ... by (2)."""
    f: list[Field] = []
    W: dict[tuple[int, int], Field] = {}
    for n, d in enumerate(taylor, 1):
        total = list(d)
        for k in range(2, n + 1):
            terms = [algebra.ring.zero] * len(d)
            for j in range(1, n - k + 2):
                terms = [t + algebra.lie(f[j - 1], p) for t, p in zip(terms, W[k - 1, n - j], strict=True)]
            W[k, n] = tuple(terms)
            total = [t - w / factorial(k) for t, w in zip(total, terms, strict=True)]
        f.append(tuple(total))
        W[1, n] = f[-1]
    return tuple(f)


def bernoulli_field(algebra: JetAlgebra, f: Sequence[Element], order: int) -> tuple[Field, ...]:
    """Return the fields f_1, f_2, ... of explicit Euler for theta' = f by equation (4).

    Parameters
    ----------
    algebra : JetAlgebra
        Where f is.
    f : sequence of Element
        The field, one component for each variable.
    order : int
        How many fields.

    Raises
    ------
    ValueError
        If the order is no positive whole number, or takes derivatives of the energy beyond the jets.
    """
    whole_number("order", order, 1, HIGHEST)
    zero = tuple(algebra.ring.zero for _ in f)
    fields: list[Field] = []
    T: dict[tuple[int, int], Field] = {(0, 0): tuple(f)}  # T[k, m]: coefficient of dt^m in (dt L)^k f
    for m in range(order):
        total = list(T.get((0, m), zero))
        for k in range(1, m + 1):
            terms = list(zero)
            for j in range(1, m - k + 2):
                for i, p in enumerate(T.get((k - 1, m - j), zero)):
                    terms[i] += algebra.lie(fields[j - 1], p)
            T[k, m] = tuple(terms)
            # SymPy's bernoulli(1) is +1/2; the series x / (e^x - 1) has -1/2
            number = QQ(-1, 2) if k == 1 else QQ.from_sympy(sp.bernoulli(k))
            total = [t + p * (number / factorial(k)) for t, p in zip(total, terms, strict=True)]
        fields.append(tuple(total))
    return tuple(fields)
