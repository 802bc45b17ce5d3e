# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Adaptive SAV
#
# From the averages to the law, on `gradflow.schemes.adaptive_sav.adaptive_sav_update` and the class that runs it.
#
# The step puts a direction $\hat m$ in the place of the gradient and a step $\hat\tau$ in the place of $\Delta t$. With
# $R = \sqrt{F + C}$, $A = I + \hat\tau S$ and $p = \hat\tau A^{-1}\hat m$, the increment is $d = -(r^{n+1}/R)\,p$, and
# from the formula for $r^{n+1}$
#
# $$r^{n+1} - r^n = -\frac{r^{n+1}}{2R^2}(\hat m, p) = \frac{1}{2R}(\hat m, d).$$
#
# $\hat\tau$ and S commute (numbers, or diagonal matrices), so $\hat m = (\hat\tau^{-1} + S)\,p$. Multiply by
# $2r^{n+1}$:
#
# $$(r^{n+1})^2 - (r^n)^2 + (r^{n+1} - r^n)^2 = \frac{r^{n+1}}{R}(\hat m, d) = -\bigl((\hat\tau^{-1} + S)d, d\bigr).$$
#
# Nothing was assumed of $\hat m$ or $\hat\tau$: the law holds whatever the averages are. What they decide is the limit.
# Where the gradient does not change from step to step, $m_n = (1 - \beta_1^n)g$ and $v_n = (1 - \beta_2^n)|g|^2$
# reproduce themselves, $\hat m = g$ and $\hat v = |g|^2$. Along a smooth path with fixed $\beta_1, \beta_2$ the
# averages reach back over a fixed number of steps, so they differ from those by $O(\Delta t)$, and one step is
#
# $$\theta^{n+1} = \theta^n - \Delta t\,\frac{r}{R}\,\frac{g}{|g| + \varepsilon} + O(\Delta t^2), \qquad
#   r^{n+1} = r^n - \Delta t\,\frac{r}{2R^2}\Bigl(g, \frac{g}{|g| + \varepsilon}\Bigr) + O(\Delta t^2).$$
#
# This is a flow along normalised gradients, not the gradient flow. Along it $r' = (g, \theta')/(2R)$, which is $R'$ as
# well, so that it keeps $r = R$. At a finite distance $\hat m - g$ that is lost at first order, by $(\hat m - g,
# d)/(2R)$ a step.

# %%
import numpy as np
import sympy as sp

from gradflow import AdaptiveSAV, FunctionProblem
from gradflow.energies.linear import Diagonal
from gradflow.proofs import STABILIZATIONS, check, linear_kinds
from gradflow.schemes.adaptive_sav import AdaptiveState, adaptive_sav_update
from gradflow.schemes.sav import sav_update
from gradflow.symbolic import AbstractEnergy, Space, configured, is_small, is_zero, symbols

EVERY = (
    "the update: every dimension, inner product and S, or sizes 1 to 2 element by element; "
    "the class: every S, or one coordinate"
)
dt, C, E, eps, b1, b2, B1, B2, w = sp.symbols("dt C E epsilon beta_1 beta_2 b_1 b_2 w", positive=True)
tau, lam, mass = sp.symbols("tau lambda m", positive=True)
r = sp.Symbol("r", positive=True)
n = sp.Symbol("n", integer=True, nonnegative=True)


class Anywhere:
    """An energy of which E and g are known at one theta, in a diagonal inner product."""

    def __init__(self, g):
        self.mass, self.g = symbols("m", len(g), positive=True), g

    def inner(self, u, v):
        """Return sum(mass * u * v)."""
        return (self.mass * u) @ v

    def energy(self, theta):
        """Return E."""
        return E

    def energy_and_gradient(self, theta):
        """Return E and g."""
        return E, self.g


def configuration(reading, S):
    """Return the scheme with a symbol in every field."""
    return configured(AdaptiveSAV, C=C, stabilization=S, reading=reading, beta1=b1, beta2=b2, eps=eps)


def settings():
    """Yield problem, scheme, theta, m^ and sqrt(v^): by the norm on abstract vectors, else in one coordinate."""
    for kind in linear_kinds(STABILIZATIONS):
        V = kind.space
        theta, m_hat = V.vectors("theta m^")
        L = V.operator("L")  # counted in E and g
        yield AbstractEnergy(V, L), configuration("norm", kind.S), theta, m_hat, sp.Symbol("z", positive=True)
    elementwise = configuration("elementwise", Diagonal(symbols("s", 1, nonnegative=True)))
    yield Anywhere(symbols("g", 1)), elementwise, symbols("t", 1), symbols("m^", 1), symbols("z", 1, positive=True)


def state_before(problem, scheme, theta, start, m_hat, v_hat):
    """Return the state after n steps from which the next averages are m^ and v^: for any of them there is one."""
    _, g = problem.energy_and_gradient(theta)
    size = g * g if scheme.reading == "elementwise" else problem.inner(g, g)
    m = ((1 - b1 ** (n + 1)) * m_hat - (1 - b1) * g) / b1
    v = ((1 - b2 ** (n + 1)) * v_hat - (1 - b2) * size) / b2
    return AdaptiveState(theta, start, m, v, 0 * v, n)


def substituted(value, at):
    """Return a scalar, vector or array with the substitution made in every entry."""
    if isinstance(value, np.ndarray):
        return np.array([sp.sympify(x).subs(at) for x in value], dtype=object)
    return (
        value.map_coefficients(lambda x: x.subs(at))
        if hasattr(value, "map_coefficients")
        else sp.sympify(value).subs(at)
    )


def powers(e):
    """Name beta_1^n and beta_2^n, so that what is left is rational in them."""
    return substituted(e, {b1 ** (n + 1): b1 * B1, b2 ** (n + 1): b2 * B2, b1**n: B1, b2**n: B2})


# %% [markdown]
# ## The three obligations


# %%
@check("identity", EVERY)
def energy_law():
    """r^2 falls by exactly (tau^-1 d, d) + (Sd, d) + (r_new - r)^2, whatever the averages, the step and r are."""
    V = Space()
    S = V.operator("S")
    cases = [(V.vector("theta"), V.vector("m^"), tau, V.inner, S)]
    for size in (1, 2):
        masses, taus = symbols("m", size, positive=True), symbols("tau", size, positive=True)
        diagonal = Diagonal(symbols("s", size, nonnegative=True))
        cases.append((symbols("t", size), symbols("m^", size), taus, lambda u, v, m=masses: (m * u) @ v, diagonal))
    for theta, m_hat, step, inner, S in cases:
        any_r, R = sp.Symbol("rho", real=True), sp.sqrt(E + C)
        for start in (any_r, None):
            before = R if start is None else start
            new, r_new = adaptive_sav_update(
                theta,
                start,
                m_hat,
                E,
                tau=step,
                C=C,
                inner=inner,
                solve=lambda u, S=S, step=step: S.solve_shifted(u, step),
            )
            d = new - theta
            D = inner(d, d / step) + inner(S.apply(d), d)
            assert is_zero(r_new - before - inner(m_hat, d) / (2 * R))
            assert is_zero(r_new**2 - before**2 + D + (r_new - before) ** 2)
    for problem, scheme, theta, m_hat, z in settings():
        R = scheme.auxiliary(problem, theta)
        assert is_zero(R**2 - problem.energy(theta) - C)
        for start in (r, None):
            before = R if start is None else start
            old = state_before(problem, scheme, theta, start, m_hat, z**2)
            new = scheme.step(problem, old, dt)
            assert is_zero(new.tau - dt / (z + eps))
            d, S = new.theta - theta, scheme.stabilization
            increment = problem.inner(d, d / new.tau)
            terms = scheme.energy_terms(problem, old, new, dt)
            assert is_zero(terms.dissipation - increment - problem.inner(S.apply(d), d))
            assert is_zero(terms.numerical - (new.aux - before) ** 2)
            assert is_zero(scheme.increment(problem, old, new, dt) - increment)
            change = scheme.modified_energy(problem, new) - scheme.modified_energy(problem, old)
            assert is_zero(change - new.aux**2 + before**2)
            assert is_zero(change + terms.dissipation + terms.numerical)


def gradients(pairs):
    """Yield problem, scheme, theta, g, its size > 0, and averages m^ and v^ within O(dt) of g and of its square."""
    for kind in linear_kinds(pairs):
        theta, g, dm = kind.space.vectors("theta g w")
        size = sp.Symbol("|g|", positive=True)
        yield (
            AbstractEnergy(kind.space),
            configuration("norm", kind.S),
            theta,
            g,
            size,
            g + dt * dm,
            (size + dt * w) ** 2,
        )
    for signs in ((1,), (-1,), (1, -1)):
        n = len(signs)
        S, size = Diagonal(symbols("s", n, nonnegative=True)), symbols("a", n, positive=True)
        g = np.array(signs, dtype=object) * size
        averages = g + dt * symbols("w", n), size**2 + dt * symbols("z", n)
        yield Anywhere(g), configuration("elementwise", S), symbols("t", n), g, size, *averages


@check(
    "identity",
    "norm: every dimension, inner product and S; element by element: sizes 1 to 2, every mass, diagonal S",
)
def consistency():
    """theta' = -(r/R) g / (|g| + eps), r' = -(r/(2 R^2)) (g, g / (|g| + eps)) to first order, with averages within O(dt) of steady ones."""
    # exactly steady averages stay so, and the first step, from none, is one of them
    for problem, scheme, theta, g, *_ in gradients([("none", "none")]):
        square = g * g if scheme.reading == "elementwise" else problem.inner(g, g)
        started = scheme.init(problem, theta)
        assert is_zero(started.aux - scheme.auxiliary(problem, theta))
        assert is_zero(started.m)
        assert is_zero(started.v)
        assert started.n == 0
        for old in (started, started._replace(m=(1 - b1**n) * g, v=(1 - b2**n) * square, n=n)):
            new = scheme.step(problem, old, dt)
            assert new.n == old.n + 1
            assert is_zero(powers(new.m - (1 - b1 ** (old.n + 1)) * g))
            assert is_zero(powers(new.v - (1 - b2 ** (old.n + 1)) * square))
            assert is_zero((powers(dt / new.tau) - eps) ** 2 - square)
    for problem, scheme, theta, g, size, m_hat, v_hat in gradients(STABILIZATIONS):
        R = sp.sqrt(problem.energy(theta) + C)
        for start in (r, None):
            at = R if start is None else start
            velocity = -(at / R) * (g / (size + eps))
            old = state_before(problem, scheme, theta, start, m_hat, v_hat)
            new = scheme.step(problem, old, dt)
            step, risen = new.theta - theta, new.aux - at
            assert is_small(step - dt * velocity, dt, 2)
            assert is_small(risen - dt * problem.inner(g, velocity) / (2 * R), dt, 2)
            assert not is_small(step, dt, 2)


@check("squares", EVERY)
def solvability():
    """The one denominator is 1 plus nonnegative terms, since (m^, tau A^-1 m^) = (p, p / tau) + (Sp, p): r keeps its sign and never grows."""
    for problem, scheme, theta, m_hat, z in settings():
        new = scheme.step(problem, state_before(problem, scheme, theta, r, m_hat, z**2), dt)
        R = scheme.auxiliary(problem, theta)
        p = -(R / new.aux) * (new.theta - theta)
        rest = (problem.inner(p, p / new.tau) + problem.inner(scheme.stabilization.apply(p), p)) / (2 * R**2)
        assert is_zero(r / new.aux - 1 - rest)
        # the sum is one of nonnegative terms in a vector q of any kind
        q = problem.space.vector("q") if isinstance(problem, AbstractEnergy) else symbols("q", 1)
        size = tau if isinstance(problem, AbstractEnergy) else symbols("tau", 1, positive=True)
        assert (problem.inner(q, q / size) + problem.inner(scheme.stabilization.apply(q), q)).is_nonnegative
        assert scheme.undefined(problem, theta) == ""
    below = FunctionProblem(lambda t: t @ t - 3, lambda t: 2 * t)
    skew = FunctionProblem(lambda t: t @ t, lambda t: 2 * t, inner=lambda u, v: u @ v)
    at = np.zeros(1)
    for problem, scheme in (
        (below, AdaptiveSAV(C=3.0)),
        (below, AdaptiveSAV(C=2.0)),
        (skew, AdaptiveSAV(reading="elementwise")),
    ):
        assert (scheme.undefined(problem, at) == "") == (problem is skew)
        try:
            scheme.init(problem, at)
        except ValueError:
            continue
        raise AssertionError("a sum that is not positive, or an inner product without coordinates, was accepted")
    assert AdaptiveSAV().init(skew, at).v == 0  # the norm needs no coordinates


# %% [markdown]
# ## What the averages do


# %%
@check("identity", "every dimension, inner product and S")
def is_sav_along_the_average():
    """The update is that of SAV with m^ for the gradient and tau^ for dt; so the first step is SAV with dt / (|g| + eps)."""
    V = Space()
    theta, m_hat = V.vectors("theta m^")
    S = V.operator("S")
    for start in (r, None):
        solve = lambda u: S.solve_shifted(u, tau)  # noqa: E731
        adaptive = adaptive_sav_update(theta, start, m_hat, E, tau=tau, C=C, inner=V.inner, solve=solve)
        plain = sav_update(theta, start, m_hat, E, dt=tau, C=C, inner=V.inner, solve=solve)
        assert is_zero(adaptive[0] - plain[0])
        assert is_zero(adaptive[1] - plain[1])


@check("identity", "every dimension, inner product and S")
def r_leaves_its_definition_at_first_order():
    """One step changes r - R by (m^ - g, d) / (2 R) + O(dt^2): of first order unless m^ - g is O(dt) or orthogonal to d."""
    V = Space()
    theta, m_hat, g = V.vectors("theta m^ g")
    S = V.operator("S")
    new, r_new = adaptive_sav_update(
        theta, None, m_hat, E, tau=dt, C=C, inner=V.inner, solve=lambda u: S.solve_shifted(u, dt)
    )
    R, d = sp.sqrt(E + C), new - theta
    slope_of_R = V.inner(g, d) / (2 * R)  # R(theta_new) - R is this and O(|d|^2)
    assert is_zero(r_new - R - slope_of_R - V.inner(m_hat - g, d) / (2 * R))
    assert not is_small(V.inner(m_hat - g, d), dt, 2)


@check("counterexample", "inner product of [[1, 3/2], [3/2, 3]], m^ = (1, -1/5), tau = (1, 10), S = 0")
def a_diagonal_inner_product_is_needed():
    """Element by element in an inner product that is not diagonal, (m^, tau m^) may be negative: then r grows."""
    M = np.array([[sp.Integer(1), sp.Rational(3, 2)], [sp.Rational(3, 2), sp.Integer(3)]], dtype=object)
    assert M[0, 0] > 0
    assert M[0, 0] * M[1, 1] - M[0, 1] * M[1, 0] > 0  # positive definite
    inner = lambda u, v: u @ M @ v  # noqa: E731
    sizes = np.array([sp.Integer(1), sp.Integer(10)], dtype=object)
    m_hat = np.array([sp.Integer(1), sp.Rational(-1, 5)], dtype=object)
    theta = np.array([sp.Integer(0)] * 2, dtype=object)
    new, r_new = adaptive_sav_update(theta, None, m_hat, sp.Integer(2), tau=sizes, C=0, inner=inner, solve=lambda u: u)
    d, R = new - theta, sp.sqrt(2)
    assert is_zero(r_new**2 - R**2 + inner(d / sizes, d) + (r_new - R) ** 2)  # the identity holds,
    assert r_new > R  # but its first term is no square
