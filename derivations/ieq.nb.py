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
# # Invariant energy quadratization
#
# From the flow to the discrete law, on `gradflow.schemes.ieq.ieq_update` and the class that runs it.
#
# For $F = \tfrac12|q(\theta)|^2$ with Jacobian $J$, whose adjoint $J^*$ is taken in the inner product of $\theta$,
# the flow of
# $E = \tfrac12(\theta, L\theta) + F$ is
#
# $$\theta' = -L\theta - J^* q, \qquad q' = J\theta',$$
#
# so that $\tfrac{d}{dt}E = -|\theta'|^2$ for *any* q that moves by the second equation. One linearly implicit step
# inserts
# $q^{n+1} = q^n + Jd$ into the first equation:
#
# $$\Bigl(\frac{1}{\Delta t} + L + S + J^*J\Bigr) d = -(J^* q^n + L\theta^n). \tag{1}$$
#
# Let $m(t) = \tfrac12|q + tJd|^2 + \tfrac12(\theta + td, L(\theta + td)) + \tfrac{t^2}{2}\bigl(|d|^2/\Delta t + (Sd,
# d)\bigr)$. It is a
# parabola $m(0) - bt + \tfrac12 c t^2$ with $c = |Jd|^2 + |d|^2/\Delta t + ((L + S)d, d)$, and $\tau = b/c$
# minimises it. For every
# direction d, $b\tau = c\tau^2$, which is the energy law. The abstract vectors below live in two spaces, P for
# $\theta$ and N
# for q; what they prove holds in all dimensions and inner products. The solution of (1) is known by (1) alone.

# %%
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import sympy as sp

from gradflow import IEQ, DenseLeastSquares, Regression, Relaxed, Restart, TwoLayerNet
from gradflow.curvature.damped_step import DampedStep
from gradflow.proofs import check, follows, linear_kinds, reached
from gradflow.schemes import ieq
from gradflow.schemes.ieq import ieq_update
from gradflow.schemes.relaxation import Quadratic, relax
from gradflow.schemes.sav import sav_update
from gradflow.schemes.state import AuxState
from gradflow.symbolic import AbstractLeastSquares, Map, Space, branches, configured, is_small, is_zero, symbols

EVERY = "every dimension, inner product, L and S"
FLAT = "every dimension and inner product, L = S = 0"
dt, lam, K, c = sp.symbols("dt lambda K c", positive=True)


@contextmanager
def solving(solution: Any) -> Iterator[None]:
    """Let IEQ solve its linear system by `solution`."""
    before = ieq.damped_step
    ieq.damped_step = solution
    try:
        yield
    finally:
        ieq.damped_step = before


def exact(at, q, h, A, dt, **options):
    """Return d = -dt v with J^* q = v + dt (L + S) v + dt J^* J v - h: the solution of (1), which this defines."""
    v = at.J.source.vector("v")
    image = at.vjp(q)
    if not set(v.terms) <= set(image.terms):
        value = v + dt * A.apply(v) + dt * at.vjp(at.jvp(v))
        at.J.source.relate(image, value if h is None else value - h)
    return DampedStep(-dt * v, at.jvp(-dt * v))


def anything(at, q, h, A, dt, **options):
    """Return an arbitrary direction."""
    d = at.J.source.vector("d")
    return DampedStep(d, at.jvp(d))


def setting(*, energy_part):
    """Return a fresh problem, scheme, theta and q on abstract vectors."""
    P, N = Space("P"), Space("N")
    L, S = P.operator("L"), P.operator("S")
    problem = AbstractLeastSquares(P, N, L if energy_part else None)
    return P, L, S, problem, configured(IEQ, stabilization=S), P.vector("theta"), N.vector("q~")


def settings():
    """Yield every kind of L and S with a fresh problem, scheme, theta and q."""
    for kind in linear_kinds():
        N = Space("N")
        problem = AbstractLeastSquares(kind.space, N, kind.L)
        yield kind, problem, configured(IEQ, stabilization=kind.S), kind.theta, N.vector("q~")


def without(vector, name):
    """Return the vector with all atoms in the vector of this name left out: the value for d = 0."""
    return vector.space.combine({(w, base): k for (w, base), k in vector.terms.items() if base != name})


# %% [markdown]
# ## The three obligations
#
# The update asks one question, whether $c > 0$. Both answers are followed. If it is no, then $c$, a sum of squares,
# is 0, hence
# $d = 0$ and nothing moves.


# %%
@check(
    "identity",
    EVERY,
    given={"C000-13": "the modified energy is meant", "C000-21": "the modified energy of a single step is meant"},
)
def energy_law():
    """For every direction d, |q|^2/2 + (theta, L theta)/2 falls by exactly |td|^2/dt + t^2((Sd,d) + (Ld,d)/2) + |q_new - q|^2/2."""
    for given in (True, False):
        for (_, P, L, S), problem, scheme, theta, q_any in settings():
            assert is_zero(scheme.auxiliary(problem, theta) - problem.linearize(theta).residual)
            q = q_any if given else scheme.auxiliary(problem, theta)
            old = AuxState(theta, q if given else None)
            with solving(anything):
                ways = list(reached(branches(lambda p=problem, s=scheme, o=old: s.step(p, o, dt))))
            assert len(ways) == 2
            for moving, (_, new, _) in zip((True, False), ways, strict=True):
                if not moving:  # d = 0, as `solvability` shows
                    assert is_zero(without(new.theta, "d") - theta)
                    assert is_zero(without(new.aux, "d") - q)
                    continue
                d = new.theta - theta
                terms = scheme.energy_terms(problem, old, new, dt)
                L_term = P.inner(L.apply(d), d) / 2
                assert is_zero(terms.dissipation - P.inner(d, d) / dt - P.inner(S.apply(d), d) - L_term)
                change_of_q = new.aux - q
                assert is_zero(change_of_q - problem.linearize(theta).jvp(d))
                assert is_zero(terms.numerical - change_of_q @ change_of_q / 2)
                change = new.aux @ new.aux / 2 - q @ q / 2
                change += (P.inner(new.theta, L.apply(new.theta)) - P.inner(theta, L.apply(theta))) / 2
                assert is_zero(change + terms.dissipation + terms.numerical)
                started = scheme.modified_energy(problem, AuxState(theta, q))
                assert is_zero(scheme.modified_energy(problem, new) - started - change)
                if not given:
                    assert is_zero(scheme.modified_energy(problem, old) - problem.energy(theta))
                    assert is_zero(started - problem.energy(theta))


@check("identity", EVERY)
def consistency():
    """The solution of (1) is taken whole (tau = 1), and d = dt theta' + O(dt^2), q_new - q = dt J theta' + O(dt^2)."""
    for (_, P, L, _), problem, scheme, theta, _ in settings():
        old = scheme.init(problem, theta)
        at = problem.linearize(theta)
        assert is_zero(old.aux - at.residual)
        d = -dt * P.vector("v")
        with solving(exact):
            for _, new, _ in reached(branches(lambda p=problem, s=scheme, o=old: s.step(p, o, dt))):
                assert is_zero(new.theta - theta - d)
                assert is_zero(new.aux - at.residual - at.jvp(d))
        gradient = at.vjp(at.residual)
        velocity = -(gradient + L.apply(theta))
        assert not is_small(d, dt, 2)
        assert is_small(d - dt * velocity, dt, 2)
        assert is_small(at.jvp(d) - dt * at.jvp(velocity), dt, 2)


@check("squares", EVERY)
def solvability():
    """(1) is positive definite; c, the one denominator, is |d|^2/dt plus nonnegative terms, and c = 0 only for d = 0."""
    for (_, P, L, S), problem, scheme, theta, q in settings():
        with solving(anything):
            old = AuxState(theta, q)
            ways = list(reached(branches(lambda p=problem, s=scheme, o=old: s.step(p, o, dt))))
        d = P.vector("d")
        J_d = problem.linearize(theta).jvp(d)
        A_d = L.apply(d) + S.apply(d)
        rest = P.inner(A_d, d) + J_d @ J_d
        (asked,), (answered_no,) = ways[0].conditions, ways[1].conditions
        assert isinstance(asked, sp.Gt)
        curvature = asked.lhs - asked.rhs
        assert is_zero(curvature - P.inner(d, d) / dt - rest)
        assert rest.is_nonnegative
        assert curvature.is_nonnegative
        assert follows(sp.Eq(P.inner(d, d), 0), [answered_no])
        # the quadratic form of (1) is the same one
        assert is_zero(P.inner(d, d / dt + A_d + problem.linearize(theta).vjp(J_d)) - curvature)
    # where nothing moves, nothing is divided by zero
    zero = np.zeros(2)
    with np.errstate(all="raise"):
        at_rest = ieq_update(
            zero, zero, inner=np.dot, damping=lambda d: d @ d, direction=lambda q, h: (0 * zero, 0 * q)
        )
    assert not any(map(np.any, at_rest))


@check("identity", EVERY + "; any direction of the step")
def evaluations():
    """A step is `step_at` with the linearisation of `evaluate`, and the auxiliary variable `auxiliary_at`, its residual."""
    for energy_part in (False, True):
        for given in (True, False):
            _, _, _, problem, scheme, theta, q = setting(energy_part=energy_part)
            old = AuxState(theta, q if given else None)
            at, elsewhere = scheme.evaluate(problem, theta), scheme.evaluate(problem, problem.space.vector("other"))
            for point, where in ((at, theta), (elsewhere, problem.space.vector("other"))):
                assert is_zero(point.residual - problem.linearize(where).residual)
                assert point.J is problem.linearize(where).J
                assert is_zero(scheme.auxiliary_at(point) - scheme.auxiliary(problem, where))
            for point, own in ((at, True), (elsewhere, False)):  # what the step is given is what it uses

                def run(problem=problem, scheme=scheme, old=old, point=point, own=own):
                    told = scheme.step_at(problem, old, dt, point)
                    return scheme.step(problem, old, dt) if own else told, told

                with solving(anything):
                    for _, (new, told), _ in reached(branches(run)):
                        assert is_zero(new.theta - told.theta)
                        assert is_zero(new.aux - told.aux)
                        start = scheme.auxiliary_at(point) if old.aux is None else old.aux
                        assert is_zero(told.aux - start - point.jvp(told.theta - theta))


# %% [markdown]
# ## The step from both sides
#
# With $L = \lambda I$, $S = 0$ and $\alpha = \Delta t/(1 + \lambda\Delta t)$, apply $J$ to (1): $\tfrac1\alpha Jd +
# JJ^*(q + Jd) = -\lambda J\theta$, that is,
# with $G = JJ^*$,
#
# $$(I + \alpha G)\, q^{n+1} = q^n - \alpha\lambda J\theta^n, \qquad \theta^{n+1} = \frac{\theta^n - \Delta t J^*
# q^{n+1}}{1 + \lambda\Delta t}. \tag{2}$$
#
# The right-hand side carries $-\alpha\lambda J\theta$. On the other side, (1) is the Levenberg-Marquardt equation of
# damping
# $\mu = 1/\Delta t$ for the residual $(q, \sqrt\lambda\,\theta)$, whose Jacobian is $(J, \sqrt\lambda\, I)$.


# %%
def shifted(omega=lam, *, scale=1):
    """Return P, N, J, theta, q, d, the new theta and the new q of one exact step with L = omega I for the energy scale |q|^2/2."""
    P, N = Space("P"), Space("N")
    J = Map.between("J", P, N)
    theta, d = P.vectors("theta d")
    q = N.vector("q")
    P.relate(J.adjoint(q), (omega * theta + (1 / dt + omega) * d) * (-1 / sp.sympify(scale)) - J.adjoint(J(d)))
    root = sp.sqrt(scale)
    # scale |q|^2 / 2 is |q'|^2 / 2 for q' = sqrt(scale) q
    news = reached(
        branches(
            lambda: ieq_update(
                theta,
                root * q,
                omega * theta if omega != 0 else None,
                inner=P.inner,
                damping=lambda u: (1 / dt + omega) * P.inner(u, u),
                direction=lambda r, h: (d, root * J(d)),
            )
        )
    )
    theta_new, q_new = next(iter(news)).value
    return P, N, J, theta, q, d, theta_new, q_new / root


@check(
    "identity",
    "every dimension and inner product, L = lambda I, lambda > 0 and lambda = 0",
    proves=("C002-13", "C001-17", "C000-02"),
    refutes=("C002-13", "C001-17"),
    given={"C000-01": "alpha = dt/(1 + lambda dt) and the right-hand side q - alpha lambda J theta"},
)
def system_for_q():
    """(I + alpha G) q_new = q - alpha lambda J theta, theta_new = (theta - dt J^* q_new)/(1 + lambda dt), alpha = dt/(1 + lambda dt)."""
    for omega in (sp.Integer(0), lam):
        _, _, J, theta, q, _, theta_new, q_new = shifted(omega)
        alpha = dt / (1 + omega * dt)
        assert is_zero(q_new + alpha * J(J.adjoint(q_new)) - q + alpha * omega * J(theta))
        assert is_zero((1 + omega * dt) * theta_new - theta + dt * J.adjoint(q_new))


@check("identity", FLAT, proves=("C000-05",), given={"C000-42": "lambda = 0"})
def levenberg_marquardt():
    """With L = S = 0: (J^* J + I/dt)(theta_new - theta) = -J^* q, the Levenberg-Marquardt step of damping 1/dt for the same q."""
    _, _, J, theta, q, _, theta_new, _ = shifted(sp.Integer(0))
    step = theta_new - theta
    assert is_zero(J.adjoint(J(step)) + step / dt + J.adjoint(q))


@check("identity", "every dimension and inner product, L = lambda I", proves=("C000-10",), refutes=("C000-10",))
def augmented_residual():
    """With L = lambda I the step is Levenberg-Marquardt, damping 1/dt, for the residual (q, sqrt(lambda) theta)."""
    _, _, J, theta, q, _, theta_new, _ = shifted(lam)
    step, root = theta_new - theta, sp.sqrt(lam)
    # K = (J, root I), K^* (u, w) = J^* u + root w
    K_star = lambda u, w: J.adjoint(u) + root * w  # noqa: E731
    assert is_zero(K_star(J(step), root * step) + step / dt + K_star(q, root * theta))
    # and not a Levenberg-Marquardt step for q followed by the decay 1 / (1 + lambda dt)
    t = sp.Integer(1)
    lm_then_decay = (t - t / (1 + 1)) / (1 + 1)  # J = q = theta = dt = lambda = 1
    both = ieq_update(
        np.array([t]),
        np.array([t]),
        np.array([t]),
        inner=lambda u, v: u @ v,
        damping=lambda u: 2 * (u @ u),
        direction=lambda q, h: (-(q + h) / 3, -(q + h) / 3),
    )[0][0]
    assert both == sp.Rational(1, 3)
    assert lm_then_decay == sp.Rational(1, 4)


@check("identity", FLAT, given={"C000-06": "the loss |f - y|^2/2, a sum, and no test of the true loss"})
def scaled_loss():
    """For the loss c |q|^2/2 the damping is 1/(c dt): a mean over N samples, c = 2/N, has damping N/(2 dt)."""
    _, _, J, theta, q, _, theta_new, _ = shifted(sp.Integer(0), scale=c)
    step = theta_new - theta
    assert is_zero(J.adjoint(J(step)) + step / (c * dt) + J.adjoint(q))
    n = sp.Symbol("N", positive=True)
    assert is_zero((1 / (c * dt)).subs(c, 2 / n) - n / (2 * dt))


@check("identity", FLAT, proves=("C000-38",))
def predicted_reduction():
    """The guaranteed fall, |d|^2/dt + |Jd|^2/2 for L = S = 0, is Levenberg-Marquardt's predicted reduction (d, mu d - J^* q)/2."""
    P, _, J, theta, q, _, theta_new, q_new = shifted(sp.Integer(0))
    d = theta_new - theta
    fall = q @ q / 2 - q_new @ q_new / 2
    assert is_zero(fall - P.inner(d, d) / dt - J(d) @ J(d) / 2)
    assert is_zero(fall - P.inner(d, d / dt - J.adjoint(q)) / 2)
    assert fall.expand().is_nonnegative


@check("identity", FLAT, refutes=("C000-22",))
def levenberg_marquardt_has_the_same_guarantee():
    """Any d with (J^* J + mu) d = -J^* q has |q + Jd|^2/2 + mu |d|^2 + |Jd|^2/2 = |q|^2/2; IEQ returns that very d."""
    P, N = Space("P"), Space("N")
    J = Map.between("J", P, N)
    theta, d = P.vectors("theta d")
    q, mu = N.vector("q"), sp.Symbol("mu", positive=True)
    P.relate(J.adjoint(q), -mu * d - J.adjoint(J(d)))  # nothing but the definition of the method
    linearised = q + J(d)
    assert is_zero(linearised @ linearised / 2 + mu * P.inner(d, d) + J(d) @ J(d) / 2 - q @ q / 2)
    for _, (theta_new, q_new), _ in reached(
        branches(
            lambda: ieq_update(
                theta, q, inner=P.inner, damping=lambda u: mu * P.inner(u, u), direction=lambda r, h: (d, J(d))
            )
        )
    ):
        assert is_zero(theta_new - theta - d)
        assert is_zero(q_new - linearised)


# %% [markdown]
# ## Small and large steps
#
# From the law and the parallelogram identity, for $L = S = 0$,
#
# $$|d|^2 = \frac{\Delta t}{4}|q|^2 - \frac{\Delta t}{4}|2q^{n+1} - q|^2 \le \frac{\Delta t}{4}|q|^2. \tag{3}$$
#
# Hence $J^* q^{n+1} = -d/\Delta t$ tends to 0 as $\Delta t \to \infty$: $d$ tends to a solution of the normal
# equations. Since $d$ lies in the
# range of $J^*$, that is $-J^+ q$, with or without full rank; $(J^*J)^{-1}$ exists only for full column rank.


# %%
@check("squares", FLAT)
def increment_is_bounded():
    """|d|^2 = dt |q|^2/4 - dt |2 q_new - q|^2/4, so |d| <= sqrt(dt) |q|/2."""
    P, _, _, theta, q, _, theta_new, q_new = shifted(sp.Integer(0))
    d, e = theta_new - theta, 2 * q_new - q
    assert is_zero(dt * (q @ q) / 4 - P.inner(d, d) - dt * (e @ e) / 4)


@check("identity", FLAT, proves=("C000-07",))
def small_steps_are_gradient_steps():
    """theta_new - theta + dt J^* q = dt^2 J^* J v with v = -d/dt, which tends to J^* q: a gradient step up to O(dt^2)."""
    P, _, _, problem, _, theta, _ = setting(energy_part=False)
    at = problem.linearize(theta)
    with solving(exact):
        new = next(reached(branches(lambda: configured(IEQ).step(problem, AuxState(theta, None), dt)))).value
    v, J = P.vector("v"), at.J
    gradient = J.adjoint(at.residual)
    remainder = new.theta - theta + dt * gradient
    assert is_zero(remainder - dt**2 * J.adjoint(J(v)))
    assert is_zero(gradient - v - dt * J.adjoint(J(v)))


def dense_step(theta, q, J, step, omega=0):
    """Return theta_new and q_new for explicit arrays, (1) solved exactly with L = omega I and the Euclidean inner product."""
    P = len(theta)

    def direction(q, h):
        matrix = sp.Matrix(J)
        right = matrix.T * sp.Matrix(list(q)) + sp.Matrix(list(h) if h is not None else [0] * P)
        system = (1 / step + omega) * sp.eye(P) + matrix.T * matrix
        d = np.array([-sp.cancel(x) for x in system.LUsolve(right)], dtype=object)
        return d, J @ d

    run = lambda: ieq_update(  # noqa: E731
        theta,
        q,
        omega * theta if omega != 0 else None,
        inner=lambda u, v: u @ v,
        damping=lambda u: (1 / step + omega) * (u @ u),
        direction=direction,
    )
    return next(reached(branches(run))).value


def rational(*values):
    """Return an object array of exact numbers."""
    return np.array([sp.nsimplify(v) for v in values], dtype=object)


@check(
    "identity",
    "every dimension and inner product for J^* q_new = -d/dt; sizes up to 2 for the limits in closed form",
    given={"C000-08": "J of full column rank"},
)
def large_steps_are_gauss_newton_steps():
    """J^* q_new = -d/dt -> 0 as dt -> infinity; the limit is -J^+ q, which is -(J^T J)^-1 J^T q only for full column rank."""
    _, _, J, theta, _, _, theta_new, q_new = shifted(sp.Integer(0))
    assert is_zero(J.adjoint(q_new) + (theta_new - theta) / dt)  # and |d| = O(sqrt(dt)) by `increment_is_bounded`
    a, b = sp.symbols("a b", real=True)
    # one residual, two parameters, J = (1, 2): J^T J is singular, the limit is J^T q / |J|^2
    J = np.array([[sp.Integer(1), sp.Integer(2)]], dtype=object)
    assert sp.det(sp.Matrix(J.T @ J)) == 0
    zero = rational(0, 0)
    step = dense_step(zero, np.array([a]), J, dt)[0]
    limits = [sp.limit(sp.cancel(x), dt, sp.oo) for x in step]
    assert is_zero(np.array(limits) + np.array([a, 2 * a]) / 5)
    assert is_zero(np.array(limits) + np.array(list(sp.Matrix(J).pinv() * a)))
    # two residuals, one parameter, J = (1, 2)^T: the Gauss-Newton step
    J = J.T
    step = dense_step(rational(0), np.array([a, b]), J, dt)[0]
    assert is_zero(sp.limit(sp.cancel(step[0]), dt, sp.oo) + (a + 2 * b) / 5)


@check("run", "the two-layer ReLU network with 3 inputs, 5 neurons and 40 samples")
def a_relu_network_never_has_full_column_rank():
    """f is not changed by (w, a) -> (c w, a/c) for c > 0, so J (w, -a) = 0 for every neuron: rank J <= P - m for any number of samples."""
    net, rng = TwoLayerNet(3, 5, scaling="standard"), np.random.default_rng(0)
    problem = Regression(
        net, rng.standard_normal((40, 3)), rng.standard_normal(40), loss="half_sum", time_scale="autograd"
    )
    theta = net.init(0)
    at, (W, a) = problem.linearize(theta), net.unpack(theta)
    for k in range(5):
        d_W, d_a = np.zeros_like(W), np.zeros_like(a)
        d_W[:, k], d_a[k] = W[:, k], -a[k]
        d = np.concatenate([d_W.ravel(), d_a.ravel()])
        assert np.abs(at.jvp(d)).max() < 1e-14 * np.linalg.norm(at.jacobian()) * np.linalg.norm(d)
    assert np.linalg.matrix_rank(at.jacobian()) <= theta.size - 5 < 40


# %% [markdown]
# ## Consistency of the auxiliary variable
#
# Vanilla IEQ carries q on. Its distance from the residual grows by the Taylor remainder of the residual, and is 0
# for ever if the
# residual is affine: then the step is implicit Euler for the flow of the true energy, and the law is a law of the
# true energy.


# %%
@check("identity", EVERY)
def drift_is_the_taylor_remainder():
    """q_new - q(theta_new) = q - q(theta) less the Taylor remainder q(theta_new) - q(theta) - J d."""
    _, _, _, problem, scheme, theta, q = setting(energy_part=True)
    at = problem.linearize(theta)
    with solving(anything):
        for _, new, _ in reached(branches(lambda: scheme.step(problem, AuxState(theta, q), dt))):
            true = scheme.auxiliary(problem, new.theta)
            remainder = true - at.residual - at.jvp(new.theta - theta)
            assert is_zero((new.aux - true) - (q - at.residual) + remainder)


class Affine(AbstractLeastSquares):
    """q(theta) = J theta - y."""

    def linearize(self, theta):
        """Return q and J at theta."""
        at = super().linearize(self.space.vector("theta"))
        at.residual = at.J(theta) - self.residuals.vector("y")
        return at


def exact_affine(at, q, h, A, dt, **options):
    """Return d, the relation of `exact` being one for J^* y: J^* y = J^* J theta + h + d/dt + (L + S) d + J^* J d."""
    P, N = at.J.source, at.J.target
    theta, d, y = P.vector("theta"), P.vector("d"), N.vector("y")
    image = at.vjp(y)
    if not set(d.terms) <= set(image.terms):
        value = at.vjp(at.jvp(theta)) + d / dt + A.apply(d) + at.vjp(at.jvp(d))
        P.relate(image, value if h is None else value + h)
    return DampedStep(d, at.jvp(d))


@check(
    "identity",
    "every dimension, inner product and L; S = 0 for implicit Euler",
    proves=("C001-26",),
    refutes=("C001-26",),
)
def affine_residual_is_implicit_euler():
    """For an affine residual q stays consistent, the step is implicit Euler, and the true energy falls by the law for every dt."""
    for energy_part in (False, True):
        P, N = Space("P"), Space("N")
        L = P.operator("L")
        problem = Affine(P, N, L if energy_part else None)
        theta = P.vector("theta")
        scheme = configured(IEQ)
        for method in (scheme, Restart(scheme)):
            stored = N.vector("ignored") if isinstance(method, Restart) else problem.linearize(theta).residual
            state = AuxState(theta, stored)
            with solving(exact_affine):
                new = next(reached(branches(lambda m=method, s=state, p=problem: m.step(p, s, dt)))).value
            d = new.theta - theta
            at_new = problem.linearize(new.theta)
            gradient = at_new.vjp(at_new.residual) + (L(new.theta) if energy_part else P.zero)
            assert is_zero(d + dt * gradient)
            assert is_zero(new.aux - at_new.residual)
            J_d = at_new.jvp(d)
            law = P.inner(d, d) / dt + J_d @ J_d / 2 + (P.inner(L(d), d) / 2 if energy_part else 0)
            assert law.is_nonnegative
            assert is_zero(problem.energy(new.theta) - problem.energy(theta) + law)


# %% [markdown]
# ## Restart does not mean descent
#
# After a restart the law starts from the true energy and ends at the *linearised* one. Two exact steps from a small
# residual show what may happen; a bound on $K\Delta t|q|$ excludes it. Let J be K-Lipschitz on the segment, $L = S = 0$,
# and R the Taylor remainder, $|R| \le K|d|^2/2$. The law and $|q^{n+1} - q| \ge |q| - |q^{n+1}|$ give
# $|d|^2 \le \Delta t\,|q^{n+1}|\,(|q| - |q^{n+1}|)$, hence
#
# $$|q(\theta^{n+1})| \le |q^{n+1}| + \tfrac12 K\Delta t\,|q^{n+1}|\,(|q| - |q^{n+1}|) \le |q|
#   \qquad\text{if } K\Delta t\,|q^{n+1}| \le 2.$$
#
# The counterexamples are computed exactly by the update, and once more by the classes as they are, in floating point:
# the bounds leave a margin beside which rounding is nothing.


# %%
SQUARE = DenseLeastSquares(lambda t: t * t - 1, lambda t: 2 * t[None, :])  # f = theta^2, y = 1
PRODUCT = DenseLeastSquares(lambda t: t[:1] * t[1:] - 1, lambda t: t[None, ::-1])  # f = a relu(w) where w > 0, y = 1
RELAXED = (Relaxed(IEQ(), eta=0.0), Relaxed(IEQ()), Relaxed(IEQ(), eta=1.0))


def history(method, problem, theta, steps):
    """Return the states, true energies and modified energies of steps of size 100 by the class, in floating point."""
    states = [method.init(problem, np.array(theta, dtype=float))]
    for _ in range(steps):
        states.append(method.step(problem, states[-1], 100.0))
    true = [float(problem.energy(state.theta)) for state in states]
    return states, true, [float(method.modified_energy(problem, state)) for state in states]


@check(
    "counterexample, run",
    "f = theta^2 and f = a relu(w), y = 1, dt = 100; Restart, and Relaxed with eta = 0, 0.99 and 1",
    refutes=("C000-24",),
)
def restart_does_not_mean_descent():
    """f = theta^2 from 1/10 goes to 203/50, f = a relu(w) from (1/10, 1/10) to 17/5 each: E rises from 0.49 to 119.9 and 55.8, restarted or relaxed."""
    tenth, step = sp.Rational(1, 10), sp.Integer(100)
    new, q = dense_step(rational(tenth), rational(tenth**2 - 1), np.array([[2 * tenth]], dtype=object), step)
    assert new[0] == sp.Rational(203, 50)
    start, modified, true = (tenth**2 - 1) ** 2 / 2, q @ q / 2, (new[0] ** 2 - 1) ** 2 / 2
    assert modified < start < true
    assert (modified < sp.Rational(2, 100), true > 119) == (True, True)
    J = np.array([[tenth, tenth]], dtype=object)  # relu(w) = w > 0
    new, q = dense_step(rational(tenth, tenth), rational(tenth**2 - 1), J, step)
    assert list(new) == [sp.Rational(17, 5)] * 2
    assert q @ q / 2 < start < (new[0] * new[1] - 1) ** 2 / 2
    assert (new[0] * new[1] - 1) ** 2 / 2 > 55
    for problem, theta, wanted, least in ((SQUARE, [0.1], 4.06, 119), (PRODUCT, [0.1, 0.1], 3.4, 55)):
        for method in (Restart(IEQ()), *RELAXED):
            states, true, modified = history(method, problem, theta, 1)
            assert np.abs(states[1].theta - wanted).max() < 1e-9
            assert modified[1] < true[0] < 0.5  # the law of the modified energy is kept
            assert true[1] > least


@check(
    "counterexample, run",
    "f = theta^2, y = 1, theta = 1/10, dt = 100, two steps; Restart, and Relaxed with eta = 0, 0.99, 1",
)
def restarted_law_does_not_telescope():
    """Each restarted step lowers |q|^2/2 from the true energy, but the next one starts higher: 0.490 -> 0.0196 | 119.9 -> ...; relaxed, it falls on."""
    theta, step, energies = sp.Rational(1, 10), sp.Integer(100), []
    for _ in range(2):
        q = theta**2 - 1
        new, q_new = dense_step(rational(theta), rational(q), np.array([[2 * theta]], dtype=object), step)
        energies += [q**2 / 2, q_new[0] ** 2 / 2]
        theta = new[0]
    assert energies[1] < energies[0]
    assert energies[3] < energies[2]
    assert energies[2] > energies[0] > energies[1]
    # the class, each step from the definition of q; relaxed, the modified energy telescopes and the true one rises all the same
    _, true, modified = history(Restart(IEQ()), SQUARE, [0.1], 2)
    seen = [true[0], modified[1], true[1], modified[2]]
    assert np.abs(np.array(seen) - np.array(energies, dtype=float)).max() < 1e-9
    for method in RELAXED:
        _, true, modified = history(method, SQUARE, [0.1], 2)
        assert modified[2] < modified[1] < modified[0] < 0.5
        assert min(true[1:]) > 110


@check("counterexample, run", "f = theta^2, y = 1, theta = 1/10, two steps of Restart with dt = 2 and 100")
def larger_steps_need_not_be_faster():
    """f = theta^2 from 1/10: after two restarted steps E is 1.5e-6 for dt = 2, and 6.6 for dt = 100."""
    scheme = Restart(IEQ())
    for step, low, high in ((2, 1e-6, 2e-6), (100, 6, 7)):
        theta, state = sp.Rational(1, 10), scheme.init(SQUARE, np.array([0.1]))
        for _ in range(2):
            jacobian = np.array([[2 * theta]], dtype=object)
            theta = dense_step(rational(theta), rational(theta**2 - 1), jacobian, sp.Integer(step))[0][0]
            state = scheme.step(SQUARE, state, float(step))
        exact = (theta**2 - 1) ** 2 / 2
        assert low < exact < high
        assert abs(SQUARE.energy(state.theta) / float(exact) - 1) < 1e-9


@check("decision procedure", "every dimension and inner product, L = S = 0, J K-Lipschitz on the segment")
def descent_for_moderate_steps():
    """Restarted, J K-Lipschitz: the true energy does not rise if K dt |q_new| <= 2, and so if K dt |q| <= 2."""
    P, _, J, theta, q, _, theta_new, q_new = shifted(sp.Integer(0))
    d = theta_new - theta
    change = q_new - q
    assert is_zero(change - J(d))
    assert is_zero(P.inner(d, d) / dt - (q @ q - q_new @ q_new - change @ change) / 2)  # the law
    # |q_new| <= |q| by it; with |q_new - q| >= |q| - |q_new| it bounds D = |d|
    D, Q, Q_new, T, R = sp.symbols("D Q Q_new T R", nonnegative=True)
    law = sp.Eq(D**2 / dt, (Q**2 - Q_new**2 - T**2) / 2)
    assert follows(Q_new <= Q, [law])
    assert follows(dt * Q_new * (Q - Q_new) >= D**2, [law, Q - Q_new <= T, Q_new <= Q])
    # q(theta_new) = q_new + remainder, of size R <= K D^2 / 2
    assert follows(
        Q - Q_new >= R,
        [R <= K * D**2 / 2, dt * Q_new * (Q - Q_new) >= D**2, sp.Le(K * dt * Q_new, 2), Q_new <= Q],
    )
    # so |q(theta_new)| <= |q_new| + R <= |q|
    assert follows(sp.Le(K * dt * Q_new, 2), [sp.Le(K * dt * Q, 2), Q_new <= Q])


@check("identity", FLAT, proves=("C000-37",), refutes=("C000-37",))
def gain_ratio():
    """Actual over predicted reduction is (E - E_new)/(|d|^2/dt + |Jd|^2/2); the modified energy always gives 1, so it triggers nothing."""
    P, _, _, problem, _, theta, _ = setting(energy_part=False)
    scheme = configured(IEQ)
    old = AuxState(theta, None)
    with solving(exact):
        new = next(reached(branches(lambda: Restart(scheme).step(problem, old, dt)))).value
    terms = scheme.energy_terms(problem, old, new, dt)
    at, d = problem.linearize(theta), new.theta - theta
    predicted = terms.dissipation + terms.numerical
    assert is_zero(predicted - P.inner(d, d) / dt - at.jvp(d) @ at.jvp(d) / 2)
    model = lambda u: (at.residual + at.jvp(u)) @ (at.residual + at.jvp(u)) / 2  # noqa: E731
    assert is_zero(model(P.zero) - model(d) - predicted)
    modified = scheme.modified_energy(problem, old) - scheme.modified_energy(problem, new)
    assert is_zero(modified / predicted - 1)
    # the true energy can do anything: theta = 1/10, f = theta^2, y = 1, dt = 100
    tenth = sp.Rational(1, 10)
    moved, q = dense_step(
        rational(tenth), rational(tenth**2 - 1), np.array([[2 * tenth]], dtype=object), sp.Integer(100)
    )
    fall = (tenth**2 - 1) ** 2 / 2 - q @ q / 2
    assert ((tenth**2 - 1) ** 2 - (moved[0] ** 2 - 1) ** 2) / 2 / fall < -250


# %% [markdown]
# ## A wrong system
#
# "Assessment of the research value of the IEQ method" writes the system for $\lambda = 0$ with the right-hand side q
# alone, and the
# update for $\lambda > 0$ without saying which $q^{n+1}$ it takes. The two together have another fixed point, which
# moves with the step.


# %%
@check(
    "counterexample",
    "f = j theta, one residual, one parameter, lambda > 0",
    given={"C000-09": "the system for q is that of lambda > 0"},
)
def wrong_system_moves_the_fixed_point():
    """(I + dt G) q_new = q with lambda > 0 rests at jy/(dt j^2 lambda + j^2 + lambda); the right step rests at jy/(j^2 + lambda)."""
    j, y = sp.symbols("j y", positive=True)
    ridge = j * y / (j**2 + lam)
    wrong = j * y / (dt * j**2 * lam + j**2 + lam)
    assert not is_zero(ridge - wrong)

    t = sp.Symbol("t", real=True)
    t_new, q_new = dense_step(np.array([t]), np.array([j * t - y]), np.array([[j]], dtype=object), dt, lam)
    assert is_zero((1 + lam * dt) * sp.cancel(t_new[0]) - t + dt * j * sp.cancel(q_new[0]))  # the printed update

    def right_step(t):
        return dense_step(np.array([t]), np.array([j * t - y]), np.array([[j]], dtype=object), dt, lam)[0][0]

    def wrong_step(t):
        return (t - dt * j * (j * t - y) / (1 + dt * j**2)) / (1 + lam * dt)

    assert is_zero(right_step(ridge) - ridge)
    assert is_zero(wrong_step(wrong) - wrong)
    assert not is_zero(right_step(wrong) - wrong)
    assert not is_zero(wrong_step(ridge) - ridge)
    assert is_zero(sp.diff(ridge, dt))
    assert not is_zero(sp.diff(wrong, dt))


# %% [markdown]
# ## One residual
#
# With a single residual, $G = |g|^2$ is a number, and everything can be written down. With $q = \sqrt{2(F + C)}$, of
# gradient
# $\nabla F/q$, the method is SAV.


# %%
@check(
    "identity",
    "one residual, every dimension and inner product of theta",
    given={
        "C001-49": "a single residual",
        "C002-12": "a single residual",
        "C001-50": "a single residual, q != 0 and g != 0",
    },
)
def one_residual():
    """For one residual q_new = q/(1 + dt |g|^2), theta_new = theta - dt q_new g, and |q_new| < |q| unless q g = 0."""
    P = Space("P")
    theta, g = P.vectors("theta g")
    q = sp.Symbol("q", real=True)
    gg = P.inner(g, g)
    u = -dt * q / (1 + dt * gg)  # d = u g solves (1/dt + g g^*) d = -q g
    assert is_zero(u * g / dt + (P.inner(g, u * g) + q) * g)
    theta_new, q_new = next(
        iter(
            reached(
                branches(
                    lambda: ieq_update(
                        theta,
                        np.array([q]),
                        inner=P.inner,
                        damping=lambda d: P.inner(d, d) / dt,
                        direction=lambda r, h: (u * g, np.array([P.inner(g, u * g)])),
                    )
                )
            )
        )
    ).value
    assert is_zero(q_new[0] * (1 + dt * gg) - q)
    assert is_zero(theta_new - theta + dt * q_new[0] * g)
    G = sp.Symbol("G", positive=True)
    closed = lambda a: q / (1 + dt * a)  # noqa: E731
    assert is_zero(q_new[0] - closed(gg))
    assert follows(closed(G) ** 2 < q**2, [sp.Ne(q, 0)])
    assert is_zero(closed(0) - q)  # a unit that is switched off: no gradient, no change
    # the flow: q' = (g, theta') = -q |g|^2 and E' = q q'
    assert is_small(closed(gg) - q + dt * q * gg, dt, 2)
    assert is_small((closed(gg) ** 2 - q**2) / 2 + dt * q**2 * gg, dt, 2)
    assert is_small(-dt * closed(gg) * g + dt * q * g, dt, 2)


@check("counterexample", "J = diag(1, 10), q = (1, 1), dt = 1", refutes=("C002-12",))
def two_residuals_have_no_scalar_formula():
    """J = diag(1, 10), q = (1, 1), dt = 1: q_new = (1/2, 1/101) is no multiple of q, so (I + dt J J^T) needs a vector q."""
    J = np.array([[sp.Integer(1), sp.Integer(0)], [sp.Integer(0), sp.Integer(10)]], dtype=object)
    _, q_new = dense_step(rational(0, 0), rational(1, 1), J, sp.Integer(1))
    assert list(q_new) == [sp.Rational(1, 2), sp.Rational(1, 101)]


@check(
    "identity",
    "every dimension and inner product, S = 0",
    given={"C000-12": "coefficients frozen at the old step", "C000-23": "SAV and IEQ of one residual are meant"},
)
def quadratized_scalar_energy_is_sav():
    """With the one residual q = sqrt(2 (F + C)) IEQ is SAV for r = q/sqrt(2), vanilla or restarted; q_new is linear in q."""
    P = Space("P")
    theta, g = P.vectors("theta g")
    F, C, q = sp.symbols("F C q", positive=True)
    root = sp.sqrt(2) * sp.sqrt(F + C)
    j = g / root
    assert is_zero(root**2 / 2 - C - F)  # the energy is quadratic in q
    d = -dt * q / (1 + dt * P.inner(j, j)) * j
    assert is_zero(d / dt + (P.inner(j, d) + q) * j)
    theta_new, q_new = next(
        iter(
            reached(
                branches(
                    lambda: ieq_update(
                        theta,
                        np.array([q]),
                        inner=P.inner,
                        damping=lambda u: P.inner(u, u) / dt,
                        direction=lambda r, h: (d, np.array([P.inner(j, d)])),
                    )
                )
            )
        )
    ).value
    sav, r_new = sav_update(theta, q / sp.sqrt(2), g, F, dt=dt, C=C, inner=P.inner, solve=lambda u: u)
    assert is_zero(theta_new - sav)
    assert is_zero(q_new[0] - sp.sqrt(2) * r_new)
    assert is_zero(q_new[0] - q / (1 + dt * P.inner(j, j)))


@check("identity", "every dimension, inner product, L and S")
def step_is_linear_in_q_and_theta():
    """With J frozen at theta, d is linear in (q, L theta): the equation of a sum is the sum of the equations."""
    P, N = Space("P"), Space("N")
    L, S = P.operator("L"), P.operator("S")
    J = Map.between("J", P, N)
    (d1, d2), (q1, q2) = P.vectors("d1 d2"), N.vectors("q1 q2")
    h1, h2 = P.vectors("h1 h2")
    left = lambda u: u / dt + L(u) + S(u) + J.adjoint(J(u))  # noqa: E731
    for d, q, h in ((d1, q1, h1), (d2, q2, h2)):
        P.relate(J.adjoint(q), -(h + left(d)))
    a, b = sp.symbols("a b", real=True)
    assert is_zero(left(a * d1 + b * d2) + J.adjoint(a * q1 + b * q2) + a * h1 + b * h2)
    d = a * d1 + b * d2
    for _, (theta_new, q_new), _ in reached(
        branches(
            lambda: ieq_update(
                P.vector("theta"),
                a * q1 + b * q2,
                a * h1 + b * h2,
                inner=P.inner,
                damping=lambda u: P.inner(u, u) / dt + P.inner(L(u) + S(u), u),
                direction=lambda r, h: (d, J(d)),
            )
        )
    ):
        assert is_zero(theta_new - P.vector("theta") - d)
        assert is_zero(q_new - a * (q1 + J(d1)) - b * (q2 + J(d2)))


# %% [markdown]
# ## Relaxation
#
# The energy is $\tfrac12|q|^2$, the constraint of the relaxation is on $|q|^2$: a slack B of the energy is one of 2B.


# %%
@check("identity", "one residual symbolic, two residuals in exact numbers")
def relaxation_spends_the_slack():
    """Under its law `relax` returns a q on the segment with |q|^2/2 <= |q~|^2/2 + slack, with equality where the slack is the limit."""
    tilde, hat = symbols("t", 1, positive=True), symbols("h", 1, positive=True)
    B = sp.Symbol("B", positive=True)
    law = Quadratic(*map(sp.Rational, IEQ().law(None, None)))  # a float is the number that it stores
    assert law == (sp.Rational(1, 2), 0)
    met = set()
    for conditions, (aux, xi), _ in reached(branches(lambda: relax(law, None, tilde, hat, lambda: B, eta=1.0))):
        assert is_zero(aux - hat - xi * (tilde - hat))
        fits = hat[0] ** 2 / 2 <= tilde[0] ** 2 / 2 + B
        if xi == 0:
            assert follows(fits, conditions)
        else:
            assert is_zero(aux[0] ** 2 / 2 - tilde[0] ** 2 / 2 - B)
        met.add(xi == 0)
    assert met == {True, False}
    q, goal = rational(1, 0), rational(3, 4)
    blend = relax(law, None, q, goal, lambda: sp.Integer(2), eta=1.0)
    assert sp.expand(sp.radsimp(blend.aux @ blend.aux / 2 - q @ q / 2 - 2)) == 0
    assert is_zero(blend.aux - goal - blend.xi0 * (q - goal))
    assert blend.xi0 > 0
    assert blend.xi0 < 1
    plenty = relax(law, None, q, goal, lambda: sp.Integer(12), eta=1.0)
    assert is_zero(plenty.aux - goal)  # |goal|^2/2 = |q|^2/2 + 12: the slack just suffices
    swapped = relax(law, None, goal, q, lambda: sp.Integer(2), eta=1.0, orientation="swapped")
    assert is_zero(swapped.aux - blend.aux)


# %% [markdown]
# ## The system that is solved
#
# The obligations take any direction, or the solution of (1). What is handed over to the solver is (1) itself.


# %%
@check("identity", EVERY)
def the_solver_is_given_the_system_of_the_step():
    """`damped_step` and an `InexactSolver` are given J, q, L theta, L + S, dt, the inner product and the tolerance of the step."""
    for inexact in (False, True):
        for (_, P, L, S), problem, scheme, theta, q in settings():
            problem.mass = sp.Symbol("m", positive=True)
            tol, found, at = sp.Symbol("tol", positive=True), [], problem.linearize(theta)

            def record(given, q, h, A, dt, found=found, **options):
                found.append((given, q, h, A, dt, options))
                return anything(given, q, h, A, dt)

            class Recorded:
                def direction(self, system, record=record):
                    problem, start, at, q, h, A, dt, tol = system
                    assert is_zero(start - theta)  # noqa: B023
                    return record(at, q, h, A, dt, mass=problem.mass, n_parameters=theta.shape[0], solver=self, tol=tol)  # noqa: B023

            solver = Recorded() if inexact else "gram"
            scheme = configured(IEQ, stabilization=scheme.stabilization, solver=solver, tol=tol)
            old = AuxState(theta, q)
            with solving(record):
                next(iter(branches(lambda p=problem, s=scheme, o=old: s.step(p, o, dt))))
            given, of_q, h, A, step, options = found[0]
            assert given.J is at.J
            assert is_zero(of_q - q)
            assert is_zero((0 * theta if h is None else h) - L.apply(theta))
            u = P.vector("u")
            assert is_zero(A.apply(u) - L.apply(u) - S.apply(u))
            assert step == dt
            assert options == {"mass": problem.mass, "n_parameters": P.dimension, "solver": solver, "tol": tol}
