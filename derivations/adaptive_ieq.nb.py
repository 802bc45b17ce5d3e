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
# # Adaptive IEQ
#
# From the flow to the discrete law, on `gradflow.schemes.adaptive_ieq.adaptive_ieq_update` and the class that runs
# it.
#
# Let $E \ge 0$ and $\rho = \sqrt{2E}$. The flow $\theta' = -g$ has $\tfrac{d}{dt}\tfrac12\rho^2 = -|g|^2$, that is
#
# $$\theta' = -g, \qquad \rho' = -\frac{|g|^2}{2E}\,\rho.$$
#
# The second equation, taken implicitly with a frozen rate, gives $\rho^{n+1} = \alpha\rho^n$, and the first one is
# damped by the same
# number $\alpha$. With $w = 2E$ (the form `invariant`) or $w = \rho^2$ (the form `printed`, with $\rho$ as stored),
#
# $$\alpha = \frac{1}{1 + \Delta t\,|g|^2/(w + \varepsilon)}, \qquad
#   \frac{(1 - \alpha)(1 + \alpha)}{2} = \frac{(1 - \alpha)^2}{2} + \alpha(1 - \alpha), \qquad
#   \alpha(1 - \alpha) = \frac{\alpha^2\Delta t|g|^2}{w + \varepsilon} = \frac{|d|^2}{\Delta t\,(w + \varepsilon)},$$
#
# which times $\rho^2$ is the law. For $E = \tfrac12|q|^2$ and $G = JJ^*$ the rate $|g|^2/2E = (q, Gq)/(q, q)$ is a
# Rayleigh quotient: a number
# stands for the matrix of full IEQ.

# %%
import numpy as np
import sympy as sp

from gradflow import SAV, AdaptiveIEQ, Restart
from gradflow.proofs import check, follows, is_sum_of_squares, reached
from gradflow.schemes.adaptive_ieq import adaptive_ieq_update
from gradflow.schemes.relaxation import Quadratic, relax
from gradflow.schemes.sav import sav_update
from gradflow.schemes.state import AuxState
from gradflow.symbolic import (
    AbstractEnergy,
    AbstractLeastSquares,
    Map,
    Space,
    branches,
    configured,
    is_small,
    is_zero,
    symbols,
)

EVERY = "every dimension and inner product"
dt, eps, rho, w, scale = sp.symbols("dt epsilon rho w s", positive=True)


class AnyEnergy(AbstractEnergy):
    """Any positive energy, named by its rho: E = c^2/2."""

    def nonlinear_energy(self, theta):
        """Return c^2/2, c a positive symbol for each theta."""
        return sp.Symbol(f"c{self._name(theta)}", positive=True) ** 2 / 2


class Fixed(AbstractEnergy):
    """An energy of one given value."""

    def __init__(self, space, value):
        super().__init__(space)
        self.value = sp.Rational(value)

    def nonlinear_energy(self, theta):
        """Return the value."""
        return self.value


def exactly(x):
    """Return x with the number 1.0, which stands for "no scale", made exact."""
    if hasattr(x, "map_coefficients"):
        return x.map_coefficients(exactly)
    x = sp.sympify(x)
    return x.xreplace({f: sp.Rational(f) for f in x.atoms(sp.Float)})


def settings():
    """Yield a fresh problem, scheme, theta and |f - y|^2/(2E) for both forms, with and without a scaled residual."""
    for form in ("invariant", "printed"):
        for scaled in (False, True):
            V = Space()
            problem = AnyEnergy(V)
            if scaled:
                problem.residual_scale = scale
            units = 1 / scale**2 if scaled and form == "printed" else sp.Integer(1)
            yield V, problem, configured(AdaptiveIEQ, eps=eps, form=form), V.vector("theta"), units


# %% [markdown]
# ## The three obligations


# %%
@check("identity", EVERY, given={"C001-21": "the modified energy |rho|^2/2 is meant"})
def energy_law():
    """rho^2/2 falls by exactly (rho^2/(w + eps)) |d|^2/dt + (rho_new - rho)^2/2, w = 2E or rho^2, for every dt, rho and scale."""
    for V, problem, scheme, theta, units in settings():
        twice = 2 * problem.energy(theta)
        for start in (rho, None):
            old = AuxState(theta, start)
            at = sp.sqrt(twice * units) if start is None else rho
            weight = twice if scheme.form == "invariant" else at**2
            new = scheme.step(problem, old, dt)
            d = new.theta - theta
            terms = scheme.energy_terms(problem, old, new, dt)
            assert is_zero(exactly(terms.dissipation - at**2 / (weight + eps) * V.inner(d, d) / dt))
            assert is_zero(exactly(terms.numerical - (new.aux - at) ** 2 / 2))
            change = new.aux**2 / 2 - at**2 / 2
            assert is_zero(exactly(change + terms.dissipation + terms.numerical))
            assert is_zero(
                exactly(scheme.modified_energy(problem, new) - scheme.modified_energy(problem, old) - change)
            )
            assert is_zero(exactly(scheme.dissipation(problem, theta, new.theta, dt) - V.inner(d, d) / dt))
        # with rho consistent, in units where |f - y|^2 = 2E, the modified energy is the true one
        assert is_zero(exactly(scheme.modified_energy(problem, AuxState(theta, None)) - problem.energy(theta) * units))
        assert is_zero(exactly(scheme.auxiliary(problem, theta) ** 2 - twice * units))


@check("identity", EVERY)
def consistency():
    """As dt and eps vanish, theta_new = theta - dt g and rho_new = rho - dt rho |g|^2/w up to O(dt^2): for w = 2E, the flow of both."""
    for V, problem, scheme, theta, units in settings():
        old = scheme.init(problem, theta)
        c = scheme.auxiliary(problem, theta)
        assert is_zero(exactly(old.aux - c))
        new = scheme.step(problem, old, dt)
        E, g = problem.energy_and_gradient(theta)
        gg = V.inner(g, g)
        assert is_small(exactly(new.theta - theta + dt * g), dt, 2)
        rate = gg / (2 * E) if scheme.form == "invariant" else gg / c**2
        at_zero = lambda x: x.subs(eps, 0)  # noqa: E731
        assert is_small(exactly(at_zero(new.aux) - c + dt * rate * c), dt, 2)
        # rho^2/2 falls at the rate |g|^2, that of E; with a scale, `printed` counts rho^2/2 = units E but damps for E
        assert is_small(exactly(at_zero(new.aux**2 / 2 - c**2 / 2) + dt * gg), dt, 2)
        assert is_zero(exactly(c**2 / 2 - units * E))


@check("squares", EVERY)
def solvability():
    """The one denominator is 1 plus a nonnegative term: 0 < alpha <= 1, and rho keeps its sign and never grows."""
    for V, problem, scheme, theta, _ in settings():
        _, g = problem.energy_and_gradient(theta)
        for start in (rho, None):
            at = scheme.auxiliary(problem, theta) if start is None else rho
            new = scheme.step(problem, AuxState(theta, start), dt)
            weight = 2 * problem.energy(theta) if scheme.form == "invariant" else at**2
            excess = dt * V.inner(g, g) / (weight + eps)
            assert excess.is_nonnegative
            assert is_zero(exactly(at / new.aux - 1 - excess))
            assert new.aux.is_positive
        # rho is defined exactly where E >= 0: decided on numbers
        for value in (0, sp.Rational(1, 10**9), 3):
            assert scheme.undefined(Fixed(V, value), theta) == ""
        for value in (-sp.Rational(1, 10**9), -3):
            assert scheme.undefined(Fixed(V, value), theta) != ""
    # the update alone, for every weight
    V = Space()
    theta, g = V.vectors("theta g")
    new, rho_new = adaptive_ieq_update(theta, rho, g, w, dt=dt, eps=eps, inner=V.inner)
    alpha = rho_new / rho
    assert is_zero(exactly((1 / alpha - 1) * (w + eps) - dt * V.inner(g, g)))
    assert is_zero(exactly(new - theta + dt * alpha * g))


# %% [markdown]
# ## What the method is
#
# An energy without a linear part, restarted: $\alpha$ of SAV is $1/(1 + \Delta t|g|^2/(2(E + C)))$, and $2(E +
# \varepsilon/2) = 2E + \varepsilon$.


# %%
@check("identity", EVERY, given={"C001-20": "L = |q|^2/2 and q fresh"})
def restarted_sav():
    """The form `invariant` is restarted SAV with C = eps/2, S = 0, whatever rho is stored; so is `printed` if rho^2 = 2E."""
    for form, start in (("invariant", rho), ("invariant", None), ("printed", None)):
        V = Space()
        problem, theta = AnyEnergy(V), V.vector("theta")
        E, g = problem.energy_and_gradient(theta)
        new = configured(AdaptiveIEQ, eps=eps, form=form).step(problem, AuxState(theta, start), dt)
        sav, r_new = sav_update(theta, None, g, E, dt=dt, C=eps / 2, inner=V.inner, solve=lambda u: u)
        assert is_zero(exactly(new.theta - sav))
        at = rho if start is not None else sp.sqrt(2 * E)
        assert is_zero(exactly(new.aux / at - r_new / sp.sqrt(E + eps / 2)))
        whole = Restart(configured(SAV, C=eps / 2)).step(problem, AuxState(theta, rho), dt)
        assert is_zero(exactly(new.theta - whole.theta))


@check("identity", EVERY)
def rayleigh_quotient():
    """For E = |q|^2/2: |g|^2/|q|^2 = (q, Gq)/(q, q) with G = J J^*, the Rayleigh quotient that stands for G."""
    P, N = Space("P"), Space("N")
    problem, theta = AbstractLeastSquares(P, N), P.vector("theta")
    at = problem.linearize(theta)
    q, G = at.residual, lambda u: at.jvp(at.vjp(u))
    E, g = problem.energy_and_gradient(theta)
    quotient = (q @ G(q)) / (q @ q)
    assert is_zero(P.inner(g, g) / (2 * E) - quotient)
    _, rho_new = adaptive_ieq_update(theta, rho, g, 2 * E, dt=dt, eps=0, inner=P.inner)
    assert is_zero(rho_new * (1 + dt * quotient) - rho)


@check("identity", EVERY)
def full_ieq_for_an_eigenvector():
    """If G q = k q, then alpha q solves (I + dt G) q_new = q and theta - dt alpha g = theta - dt J^* q_new: full IEQ, for eps = 0."""
    P, N = Space("P"), Space("N")
    problem, theta = AbstractLeastSquares(P, N), P.vector("theta")
    at = problem.linearize(theta)
    q, k = at.residual, sp.Symbol("k", positive=True)
    N.relate(at.jvp(at.vjp(q)), k * q)
    E, g = problem.energy_and_gradient(theta)
    new, rho_new = adaptive_ieq_update(theta, rho, g, 2 * E, dt=dt, eps=0, inner=P.inner)
    q_new = (rho_new / rho) * q
    assert is_zero(rho_new / rho - 1 / (1 + dt * k))
    assert is_zero(q_new + dt * at.jvp(at.vjp(q_new)) - q)
    assert is_zero(new - theta + dt * at.vjp(q_new))


@check("identity", EVERY)
def not_consistent_with_the_flow_of_q():
    """alpha q keeps its direction, the flow q' = -G q does not: (alpha q - q)/dt + G q -> G q - (Rayleigh quotient) q, 0 iff eigenvector."""
    P, N = Space("P"), Space("N")
    problem, theta = AbstractLeastSquares(P, N), P.vector("theta")
    at = problem.linearize(theta)
    q, G_q = at.residual, at.jvp(at.vjp(at.residual))
    E, g = problem.energy_and_gradient(theta)
    _, rho_new = adaptive_ieq_update(theta, rho, g, 2 * E, dt=dt, eps=0, inner=P.inner)
    quotient = (q @ G_q) / (q @ q)
    defect = (rho_new / rho - 1) * q + dt * G_q - dt * (G_q - quotient * q)
    assert is_small(defect, dt, 2)
    assert not is_small((rho_new / rho - 1) * q + dt * G_q, dt, 2)
    # what is left is orthogonal to q, so |q| alone follows the flow to first order
    assert is_zero(q @ (G_q - quotient * q))


# %% [markdown]
# ## Against full IEQ
#
# With $f(x) = 1/(1 + \Delta t\,x)$, convex, and q spread over the eigenvectors of G with weights $p_i = (q,
# e_i)^2/|q|^2$, Jensen's inequality is
# $f(\sum p_i g_i) \le \sum p_i f(g_i)$, that is $\alpha|q|^2 \le (q, (I + \Delta t\,G)^{-1} q)$. The same by
# Cauchy-Schwarz, in every dimension and without
# eigenvectors: with $A = I + \Delta t\,G$ and $u = A^{-1}q$,
#
# $$|q|^4 = (Au, q)^2 = (q, u)_A^2 \le (q, q)_A (u, u)_A = (q, Aq)(q, A^{-1}q), \qquad (q, Aq) = |q|^2/\alpha.$$
#
# The exact lemma is the form $(q - su, q - su)_A \ge 0$ at $s = (q, u)_A/(u, u)_A$. And by Cauchy-Schwarz again,
# $\alpha|q|^2 \le (q, A^{-1}q) \le |q||A^{-1}q|$: the auxiliary of adaptive IEQ never exceeds that of full IEQ. This
# says nothing about the
# true energy.


# %%
@check("argument", EVERY)
def below_full_ieq():
    """alpha |q|^2 <= (q, (I + dt G)^-1 q), hence alpha |q| <= |q_new| of full IEQ: Cauchy-Schwarz in the form of A = I + dt G."""
    N = Space("N")
    q, s = N.vector("q"), sp.Symbol("s", real=True)
    G = N.operator("G")  # J J^*, self-adjoint and positive semi-definite
    A = lambda v: v + dt * G(v)  # noqa: E731
    u = G.solve_shifted(q, dt)  # A u = q
    form = lambda a, b: a @ A(b)  # noqa: E731
    rest = q - s * u
    assert is_zero(form(rest, rest) - form(q, q) + 2 * s * form(q, u) - s**2 * form(u, u))
    v = N.vector("v")
    assert form(v, v).is_nonnegative  # so is the left-hand side
    assert is_zero(form(q, u) - q @ q)
    assert is_zero(form(u, u) - q @ u)
    # at s = |q|^2/(q, u), form(rest, rest) is (q, Aq) - |q|^4/(q, u)
    a, b, n, d = sp.symbols("a b n d", positive=True)  # (q, Aq), (q, u), |q|^2, dt
    assert is_zero((a - 2 * s * n + s**2 * b).subs(s, n / b) - (a - n**2 / b))
    # alpha of the update is |q|^2/(q, Aq)
    R = sp.Symbol("R", nonnegative=True)  # (q, Gq) = |g|^2
    _, rho_new = adaptive_ieq_update(sp.Integer(0), rho, sp.sqrt(R), n, dt=d, eps=0, inner=lambda x, y: x * y)
    assert is_zero(rho_new / rho - n / (n + d * R))
    assert follows(n / a * n <= b, [a - n**2 / b >= 0])


@check("squares", "two residuals, in the basis of eigenvectors")
def gap_for_two_residuals():
    """For G = diag(g1, g2), q = (a, b): the gap times |q|^2 + dt (q, Gq) is a^2 b^2 dt^2 (g1 - g2)^2/((1 + dt g1)(1 + dt g2)) >= 0."""
    g1, g2 = sp.symbols("g1 g2", nonnegative=True)
    a, b = sp.symbols("a b", positive=True)
    G = np.array([g1, g2], dtype=object)
    q = np.array([a, b], dtype=object)
    g = np.array([sp.sqrt(g1) * a, sp.sqrt(g2) * b], dtype=object)  # J = diag(sqrt g1, sqrt g2)
    _, rho_new = adaptive_ieq_update(0 * q, rho, g, q @ q, dt=dt, eps=0, inner=lambda u, v: u @ v)
    gap = sum(q**2 / (1 + dt * G)) - rho_new / rho * (q @ q)
    terms = [(1 / ((1 + dt * g1) * (1 + dt * g2)), a * b * dt * (g1 - g2))]
    assert is_sum_of_squares(gap * (q @ q + dt * (g @ g)), terms)


# %% [markdown]
# ## Units
#
# For $E = \tfrac c2|q|^2$ (a mean over N samples has $c = 2/N$), $g = cJ^*q$. The rate of the flow is $|g|^2/2E =
# c\,(q, Gq)/|q|^2$. The printed
# quotient with the unscaled $|q|^2$ is $c$ times that.


# %%
@check("identity", EVERY)
def scale_invariance():
    """`invariant` with dt/c for c E takes the step of E with dt, eps scaled along; the printed rate is c times the right one for c|q|^2/2."""
    V = Space()
    theta, g = V.vectors("theta g")
    c, E = sp.symbols("c E", positive=True)
    plain, rho_new = adaptive_ieq_update(theta, rho, g, 2 * E, dt=dt, eps=eps, inner=V.inner)
    other, rho_other = adaptive_ieq_update(theta, rho, c * g, 2 * c * E, dt=dt / c, eps=c * eps, inner=V.inner)
    assert is_zero(plain - other)
    assert is_zero(rho_new - rho_other)
    # the rate that alpha realises, with g = c J^* q and E = c |q|^2/2
    qq, gg = sp.symbols("Q G", positive=True)  # |q|^2 and |J^* q|^2
    rates = []
    for weight in (c * qq, qq):
        _, rho_new = adaptive_ieq_update(theta, rho, c * g, weight, dt=dt, eps=0, inner=V.inner)
        rates.append(((rho / rho_new - 1) / dt).subs(V.inner(g, g), gg))
    right, printed = rates
    assert is_zero(right - c * gg / qq)
    assert is_zero(printed - c * right)
    n = sp.Symbol("N", positive=True)
    assert is_zero((printed / right).subs(c, 2 / n) - 2 / n)


@check(
    "identity",
    "every dimension and inner product, the loss (2/N) |f - y|^2/2",
    given={"C002-16": "q fresh and L = |q|^2/2"},
)
def printed_form_on_a_mean_loss():
    """On a mean over N samples `printed` damps N/2 times too weakly: its excess 1/alpha - 1 is 2/N of that of `invariant`."""
    n = sp.Symbol("N", positive=True)
    V = Space()
    problem, theta = AnyEnergy(V), V.vector("theta")
    problem.residual_scale = sp.sqrt(2 / n)
    excess = {}
    for form in ("invariant", "printed"):
        scheme = configured(AdaptiveIEQ, eps=sp.Integer(0), form=form)
        new = scheme.step(problem, scheme.init(problem, theta), dt)
        excess[form] = exactly(scheme.auxiliary(problem, theta) / new.aux - 1)
    assert is_zero(excess["printed"] / excess["invariant"] - 2 / n)
    # a stored rho larger than the true one weakens it further, and the step tends to gradient descent
    _, g = problem.energy_and_gradient(theta)
    new = configured(AdaptiveIEQ, eps=sp.Integer(0), form="printed").step(problem, AuxState(theta, rho), dt)
    assert is_zero((new.theta - theta + dt * g).map_coefficients(lambda x: sp.limit(x, rho, sp.oo)))


@check("squares", EVERY)
def epsilon_prevents_zero_over_zero():
    """At E = rho = 0 the denominator is eps > 0 and the step is -dt g/(1 + dt |g|^2/eps); alpha grows with the loss, for g fixed."""
    V = Space()
    theta, g = V.vectors("theta g")
    zero = sp.Integer(0)
    new, rho_new = adaptive_ieq_update(theta, zero, g, zero, dt=dt, eps=eps, inner=V.inner)
    assert is_zero(new - theta + dt / (1 + dt * V.inner(g, g) / eps) * g)
    assert rho_new == 0
    still, _ = adaptive_ieq_update(theta, zero, V.zero, zero, dt=dt, eps=eps, inner=V.inner)
    assert is_zero(still - theta)
    _, rho_new = adaptive_ieq_update(theta, rho, g, w, dt=dt, eps=eps, inner=V.inner)
    gg = V.inner(g, g)
    assert is_zero(sp.diff(rho_new / rho, w) - dt * gg / (w + eps + dt * gg) ** 2)
    assert (dt * gg / (w + eps + dt * gg) ** 2).is_nonnegative


# %% [markdown]
# For $\varepsilon = 0$ and an affine residual $q = J\theta - y$ the rate $(q, Gq)/(q, q)$ is homogeneous of degree 0 in q:
# $\alpha(cq) = \alpha(q)$. The step follows the direction of q among the eigenvectors of G, not the size of the loss; only
# $\varepsilon$ has a size, and where $|q|^2 \ll \varepsilon$ the factor tends to 1 and the step to gradient descent.


# %%
@check(
    "identity",
    "every dimension, J and q, L = |q|^2/2 with an affine residual; J = diag(1, 10) for the numbers",
    given={"C002-17": "the part on epsilon"},
)
def alpha_ignores_the_size_of_the_loss():
    """For eps = 0, alpha(c q) = alpha(q), 0/0 at q = 0: alpha follows the Rayleigh quotient, not the loss; eps > 0 adds |q|^2/eps and mends 0/0."""
    P, N = Space("P"), Space("N")
    J, q, theta = Map.between("J", P, N), N.vector("q"), P.vector("theta")
    c = sp.Symbol("c", positive=True)

    def alpha(q, eps):
        """Return the factor for the residual q: g = J^* q and E = |q|^2/2."""
        g = J.adjoint(q)
        new, rho_new = adaptive_ieq_update(theta, rho, g, q @ q, dt=dt, eps=eps, inner=P.inner)
        assert is_zero(new - theta + dt * (rho_new / rho) * g)
        return rho_new / rho

    for factor in (c, -c):
        assert is_zero(alpha(factor * q, 0) - alpha(q, 0))
    # with eps, the loss comes in by |q|^2/eps alone: c q and c^2 eps give the same, and c -> 0 gives 1
    assert is_zero(alpha(c * q, c**2 * eps) - alpha(q, eps))
    assert not is_zero(alpha(c * q, eps) - alpha(q, eps))
    assert is_zero(alpha(c * q, eps).subs(c, 0) - 1)
    # the same loss, other factors: only the direction counts
    columns = np.array([[sp.Integer(1), sp.Integer(0)], [sp.Integer(0), sp.Integer(10)]], dtype=object)
    zero = np.array([sp.Integer(0)] * 2, dtype=object)
    for size in (sp.Integer(1), sp.Rational(1, 1000), sp.Integer(1000)):
        for unit, k in (((1, 0), 1), ((0, 1), 100)):
            r = size * np.array(unit, dtype=object)
            _, new = adaptive_ieq_update(
                zero, rho, columns.T @ r, r @ r, dt=dt, eps=sp.Integer(0), inner=lambda u, v: u @ v
            )
            assert is_zero(new / rho - 1 / (1 + dt * k))
    # at q = 0 the quotient is 0/0 for eps = 0, and 0 for eps > 0
    assert alpha(N.zero, sp.Integer(0)) is sp.nan
    assert is_zero(alpha(N.zero, eps) - 1)


# %% [markdown]
# ## The true energy
#
# $\rho$ never grows; the true energy may, even for affine residuals, where full IEQ is implicit Euler.


# %%
def linear_step(J, q, step):
    """Return the new residual of adaptive IEQ for an affine residual with Jacobian J."""
    g = J.T @ q
    theta, _ = adaptive_ieq_update(0 * g, sp.Integer(1), g, q @ q, dt=step, eps=sp.Integer(0), inner=lambda u, v: u @ v)
    return q + J @ theta


@check("counterexample", "two affine residuals, G = diag(1, 100), q = (1, 1/20), dt = 10")
def true_energy_may_rise_for_affine_residuals():
    """G = diag(1, 100), q = (1, 1/20), dt = 10, eps = 0: E rises from 401/800 to more than 6.7; full IEQ lowers it below 0.0042."""
    J = np.array([[sp.Integer(1), sp.Integer(0)], [sp.Integer(0), sp.Integer(10)]], dtype=object)
    q = np.array([sp.Integer(1), sp.Rational(1, 20)], dtype=object)
    step = sp.Integer(10)
    q_new = linear_step(J, q, step)
    alpha = 1 / (1 + step * sp.Rational(500, 401))
    assert list(q_new) == [1 - 10 * alpha, (1 - 1000 * alpha) / 20]
    E, E_new = q @ q / 2, q_new @ q_new / 2
    assert is_zero(E - sp.Rational(401, 800))
    assert E_new > sp.Rational(673, 100)
    assert E_new < sp.Rational(674, 100)
    full = q / np.array([1 + step, 1 + 100 * step])
    assert full @ full / 2 < sp.Rational(42, 10000)
    # meanwhile |q| is reported to fall: alpha |q| < |q|
    assert alpha < 1


# %% [markdown]
# ## The gradient norm
#
# "Empirical evaluation of energy-stable gradient-flow methods in deep learning", lemma 2.1, divides $|J^*q|^2$ by
# $|q|^2$ and calls the
# result $|g|^2$, the squared norm of the Jacobian. What is true is $|J^*q|^2 \le |J|^2|q|^2$, and the quotient is
# the Rayleigh quotient.


# %%
@check("counterexample", "two residuals, one parameter: J = (1, -1)^T, q = (1, 1)", refutes=("C002-15", "C001-51"))
def lemma_on_the_gradient_norm_fails():
    """J = (1, -1)^T, q = (1, 1): |J^T q|^2 = 0 while |J|^2 |q|^2 = 4; one residual gives equality."""
    J = np.array([[sp.Integer(1)], [sp.Integer(-1)]], dtype=object)
    q = np.array([sp.Integer(1), sp.Integer(1)], dtype=object)
    g = J.T @ q
    assert g @ g == 0
    assert (J * J).sum() * (q @ q) == 4
    assert (J.T @ J)[0, 0] == 2  # the squared spectral norm as well
    # the production rate is the Rayleigh quotient, here 0: nothing moves
    theta, rho_new = adaptive_ieq_update(0 * g, rho, g, q @ q, dt=dt, eps=eps, inner=lambda u, v: u @ v)
    assert (list(theta), rho_new) == ([0], rho)
    assert list(linear_step(J, q, sp.Integer(1))) == list(q)
    # one residual: |q g|^2 = q^2 |g|^2
    V = Space()
    h, x = V.vector("h"), sp.Symbol("x", real=True)
    assert is_zero(V.inner(x * h, x * h) - x**2 * V.inner(h, h))


@check("counterexample", "one residual, q = 2, J = 1", refutes=("C001-19",))
def printed_approximation_is_no_identity():
    """|grad L|^2 = |grad L|^2/|q|^2 needs |q| = 1: for q = 2, J = 1 it reads 4 = 1; the rate of the update is the quotient, 1."""
    q, J = sp.Integer(2), sp.Integer(1)
    g = J * q
    assert g**2 == 4
    assert g**2 / q**2 == 1
    _, rho_new = adaptive_ieq_update(sp.Integer(0), q, g, q**2, dt=dt, eps=0, inner=lambda u, v: u * v)
    assert is_zero((q / rho_new - 1) / dt - 1)


# %% [markdown]
# ## Cross-entropy
#
# $\ell(z) = \log\sum_k e^{z_k} - z_y$ has the gradient $\mathrm{softmax}(z) - e_y$. It is no $\tfrac12|q|^2$ of
# either candidate: of $z - e_y$ it is not a function,
# and for $q = \mathrm{softmax}(z) - e_y$ the two energies differ. What remains is (2) in the energy itself: $\rho =
# \sqrt{2\ell}$.


# %%
@check("identity", "one sample, two and three classes", given={"C001-04": "the squared loss"})
def cross_entropy_is_no_residual_energy():
    """grad CE = softmax(z) - onehot; neither softmax(z) - onehot nor z - onehot has |q|^2/2 = CE, and the two q differ."""
    for n in (2, 3):
        z = symbols("z", n)
        total = sum(sp.exp(x) for x in z)
        loss = sp.log(total) - z[0]
        onehot = np.array([sp.Integer(k == 0) for k in range(n)], dtype=object)
        softmax = np.array([sp.exp(x) / total for x in z], dtype=object)
        assert is_zero(np.array([sp.diff(loss, x) for x in z], dtype=object) - (softmax - onehot))
        for q in (softmax - onehot, z - onehot):
            gradient = np.array([sp.diff(q @ q / 2, x) for x in z], dtype=object)
            assert not is_zero(gradient - (softmax - onehot))
        assert not is_zero(softmax - z)
    # `invariant` needs the energy alone: alpha = 1/(1 + dt |g|^2/(2 CE + eps))
    V = Space()
    theta, g = V.vectors("theta g")
    CE = sp.Symbol("CE", positive=True)
    _, rho_new = adaptive_ieq_update(theta, rho, g, 2 * CE, dt=dt, eps=eps, inner=V.inner)
    assert is_zero(rho / rho_new - 1 - dt * V.inner(g, g) / (2 * CE + eps))


@check(
    "counterexample",
    "three samples and two classes; two samples and two classes",
    proves=("C002-21",),
    refutes=("C002-21",),
)
def class_indices_are_no_targets():
    """q = pred - Y with class indices Y has no shape for B = 3, K = 2, and for B = K = 2 another q, alpha and step than one-hot."""
    pred = np.array([[1, 0], [0, 1], [1, 0]], dtype=object)
    try:
        pred - np.array([0, 1, 0], dtype=object)
    except ValueError:
        pass
    else:
        raise AssertionError("(3, 2) - (3,) was taken")
    pred, index = pred[:2], np.array([0, 1], dtype=object)
    onehot = np.array([[int(k == y) for k in range(2)] for y in index], dtype=object)
    squares = [sp.Integer(np.sum((pred - target) ** 2)) for target in (index, onehot)]
    assert squares == [2, 0]  # the prediction is exact, only one of the two says so
    alphas = [
        adaptive_ieq_update(sp.Integer(0), sp.Integer(1), sp.Integer(1), s, dt=1, eps=1, inner=lambda u, v: u * v)[1]
        for s in squares
    ]
    assert alphas == [sp.Rational(3, 4), sp.Rational(1, 2)]


# %% [markdown]
# ## Refusals and relaxation


# %%
@check("identity", "energies -1, 0 and 2 at the start; rho symbolic in the relaxation")
def refusals_and_relaxation():
    """An energy < 0 is refused, 0 and more accepted; relaxed by its law, rho^2/2 <= rho~^2/2 + slack, with equality unless rho^ itself is admissible."""
    V = Space()
    scheme = AdaptiveIEQ()
    for value in (0, 2):
        assert is_zero(exactly(scheme.init(Fixed(V, value), V.vector("theta")).aux) - sp.sqrt(2 * sp.Integer(value)))
    try:
        scheme.init(Fixed(V, -1), V.vector("theta"))
    except ValueError:
        pass
    else:
        raise AssertionError("a negative energy was accepted")
    law = Quadratic(*map(sp.Rational, scheme.law(None, None)))  # a float is the number that it stores
    tilde, hat, B = sp.symbols("t h B", positive=True)
    met = set()
    for conditions, (aux, _), _ in reached(branches(lambda: relax(law, None, tilde, hat, lambda: B, eta=1.0))):
        if is_zero(aux - hat):
            assert follows(hat**2 / 2 <= tilde**2 / 2 + B, conditions)
        else:
            assert is_zero(aux**2 / 2 - tilde**2 / 2 - B)
        met.add(is_zero(aux - hat))
    assert met == {True, False}
