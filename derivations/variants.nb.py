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
# # Variants
#
# What remains of the energy laws when a scheme is changed: one residual instead of many, a sketch of the residuals or of the
# parameters, a step for each block of parameters, mini-batches, another step size in each step, another inner product.
#
# All of it rests on `gradflow.schemes.ieq.ieq_update` and `gradflow.schemes.sav.sav_update`, the functions that run. The basic law
# is that of one step of invariant energy quadratization (IEQ): if
#
# $$\Bigl(\frac{1}{\Delta t} + J^*J\Bigr) d = -J^*q, \qquad q^+ = q + Jd, \tag{1}$$
#
# then $(q, Jd) = (J^*q, d) = -|d|^2/\Delta t - |Jd|^2$, so that
#
# $$|q^+|^2 - |q|^2 = 2(q, Jd) + |Jd|^2 = -\frac{2}{\Delta t}|d|^2 - |Jd|^2. \tag{2}$$

# %%
from itertools import product

import numpy as np
import sympy as sp

from gradflow import IEQ, SAV
from gradflow.curvature.block_sweep import swept
from gradflow.curvature.damped_step import DampedStep
from gradflow.energies.dense import DenseLeastSquares
from gradflow.proofs import check, follows, impossible, reached
from gradflow.schemes import ieq
from gradflow.schemes.gradient_descent import gradient_descent_update
from gradflow.schemes.ieq import ieq_update
from gradflow.schemes.sav import sav_update
from gradflow.schemes.state import AuxState
from gradflow.symbolic import AbstractLeastSquares, Map, Space, branches, configured, is_small, is_zero, symbols

EVERY = "every dimension and inner product"
dt, C, F, r = sp.symbols("dt C F r", positive=True)


def ways(theta, q, d, J_d, *, step=dt, damping=None):
    """Return theta_new and q_new of `ieq_update` for the solution d, J d, once for each answer to its question."""
    V = theta.space
    damping = damping or (lambda u: V.inner(u, u) / step)
    run = lambda: ieq_update(  # noqa: E731
        theta, q, inner=V.inner, damping=damping, direction=lambda q, h: (d, J_d)
    )
    results = [branch.value for branch in reached(branches(run))]
    assert results
    return results


def solved(J, q, name, step=dt):
    """Return the d of equation (1) for an atom q, by relating J^* q to it, and J d."""
    d = J.source.vector(name)
    J.source.relate(J.adjoint(q), -(d / step + J.adjoint(J(d))))
    return d, J(d)


def matrix_step(theta, q, J, step, inner=None):
    """Return theta_new and q_new of `ieq_update` for numbers or symbols: theta (P,), q (N,), J (N, P)."""
    M = sp.Matrix(J)
    size = M.shape[0]
    q_new = (sp.eye(size) + step * M * M.T).inv(method="ADJ") * sp.Matrix(q)
    d = np.array(list(-step * M.T * q_new), dtype=object)
    J_d = np.array(list(M * sp.Matrix(d)), dtype=object)
    dot = inner or (lambda u, v: u @ v)
    moving = next(reached(branches(lambda: ieq_update(
        theta, q, inner=dot, damping=lambda u: dot(u, u) / step, direction=lambda q, h: (d, J_d)
    ))))  # fmt: skip
    return moving.value


def vector(*entries):
    """Return an object array of SymPy numbers."""
    return np.array([sp.sympify(e) for e in entries], dtype=object)


# %% [markdown]
# ## One residual: the scalar auxiliary variable
#
# With the single residual $q = \sqrt{2(F + C)}$ the derivative is $J = (g, \cdot)/q$, the energy $\tfrac12 q^2 = F + C$, and
# $q = \sqrt2\,r$. The linear system is one equation,
#
# $$\Bigl(1 + \Delta t\,\frac{(g, A^{-1}g)}{2(F + C)}\Bigr) q^+ = q - \Delta t\,\frac{(g, A^{-1}L\theta)}{\sqrt{2(F + C)}}.$$


# %%
@check("identity", "every dimension, inner product, L and S, every carried r", proves=("C000-32",))
def scalar_ieq_is_sav():
    """IEQ with the one residual q = sqrt(2 (F + C)) is SAV step for step: the same theta_new, and q_new = sqrt(2) r_new."""
    for energy_part in (False, True):
        V = Space()
        theta, g = V.vectors("theta g")
        L, S = V.operator("L"), V.operator("S")
        A = L + S if energy_part else S
        solve = lambda u, A=A: A.solve_shifted(u, dt)  # noqa: E731
        L_theta = L(theta) if energy_part else None
        theta_sav, r_sav = sav_update(theta, r, g, F, L_theta, dt=dt, C=C, inner=V.inner, solve=solve)

        Q = sp.sqrt(2 * (F + C))  # q at theta, which J is made of; the carried one is sqrt(2) r
        q = vector(sp.sqrt(2) * r)

        def direction(q, h, solve=solve, g=g, V=V, Q=Q):
            right = q[0] if h is None else q[0] - dt * V.inner(g, solve(h)) / Q
            q_new = right / (1 + dt * V.inner(g, solve(g)) / Q**2)
            d = -dt * (q_new / Q) * solve(g)
            d = d if h is None else d - dt * solve(h)
            return d, np.array([V.inner(g, d) / Q], dtype=object)

        def damping(u, A=A, V=V):
            return V.inner(u, u) / dt + V.inner(A(u), u)

        run = lambda: ieq_update(theta, q, L_theta, inner=V.inner, damping=damping, direction=direction)  # noqa: B023, E731
        for branch in reached(branches(run)):
            theta_ieq, q_ieq = branch.value
            assert is_zero(theta_ieq - theta_sav)
            assert is_zero(q_ieq[0] - sp.sqrt(2) * r_sav)


@check("identity", "1 and 2 parts (2 samples with residuals of either sign), every dimension and inner product")
def hierarchy():
    """One variable for each part of the energy: with 1 part the step of `sav_update`, with a part for each sample that of IEQ."""
    for parts in (1, 2):
        V = Space()
        theta = V.vector("theta")
        gs = V.vectors(" ".join(f"g{k}" for k in range(parts)) + " ")
        Fs = symbols("F", parts, positive=True)
        p = symbols("p", parts)  # the new variables, any values; the old ones follow from the linear system
        Qs = [sp.sqrt(2 * (f + C)) for f in Fs]
        d = V.zero
        for k in range(parts):
            d = d - dt * (p[k] / Qs[k]) * gs[k]
        J_d = np.array([V.inner(gs[k], d) / Qs[k] for k in range(parts)], dtype=object)
        q = p - J_d
        theta_new, q_new = ways(theta, q, d, J_d)[0]
        assert is_zero(theta_new - theta - d)
        assert is_zero(q_new - p)
        assert is_zero(p @ p - q @ q + 2 * V.inner(d, d) / dt + J_d @ J_d)
        # consistent: for q_k = Q_k the step is -dt times the gradient of the sum of the parts, up to O(dt^2)
        slope = V.zero
        for k in range(parts):
            slope = slope + (q[k] / Qs[k]) * gs[k]
        assert is_small(d + dt * slope, dt, 2)
        if parts == 1:  # q = sqrt(2) r: the step of SAV
            theta_sav, r_sav = sav_update(
                theta, q[0] / sp.sqrt(2), gs[0], Fs[0], dt=dt, C=C, inner=V.inner, solve=lambda u: u
            )
            assert is_zero(theta_sav - theta_new)
            assert is_zero(sp.sqrt(2) * r_sav - q_new[0])
    # the parts e_k^2 / 2 of single samples, C = 0: Q_k = |e_k| and g_k = e_k h_k, h_k the gradient of e_k
    for signs in product((1, -1), repeat=2):
        V = Space()
        theta, *hs = V.vectors("theta h0 h1")
        sizes, p = symbols("E", 2, positive=True), symbols("p", 2)  # |e_k|, and the new residuals
        gs = [signs[k] * sizes[k] * hs[k] for k in range(2)]
        d = -dt * (p[0] * hs[0] + p[1] * hs[1])  # IEQ in the residuals e: d = -dt J^* q_new
        J_d = np.array([V.inner(h, d) for h in hs], dtype=object)
        of_samples = ways(theta, p - J_d, d, J_d)[0]
        assert is_zero(d + dt * (of_samples[1][0] * hs[0] + of_samples[1][1] * hs[1]))  # d solves (1)
        rows = [gs[k] / sizes[k] for k in range(2)]  # J of the parts
        moved = np.array([V.inner(row, d) for row in rows], dtype=object)
        of_parts = ways(theta, np.array(signs) * (p - J_d), d, moved)[0]
        assert is_zero(d + dt * (of_parts[1][0] * rows[0] + of_parts[1][1] * rows[1]))  # the same d solves theirs
        assert is_zero(of_parts[0] - of_samples[0])
        assert is_zero(of_parts[1] - np.array(signs) * of_samples[1])


# %% [markdown]
# ## What the auxiliary variable of the partial differential equations is
#
# For $E(u) = \int F(u)\,dx$ the identity $F(u(x)) = q^2 - C$ is wanted at every x; so q is a field, and on a grid one number for
# each point. One number for all of them would make $F(u)$ the same everywhere. The one number $\sqrt{\int F\,dx + C}$ belongs to SAV.
# For a sum of squares, $F_i = \tfrac12(f_i - y_i)^2$ and $C = 0$, the pointwise variable $\sqrt{2F_i}$ is $|f_i - y_i|$: the residual,
# up to signs D that cancel from (1), as $(DJ)^*(DJ) = J^*J$ and $(DJ)^*(Dq) = J^*q$.


# %%
@check("identity", "every dimension and inner product, every map D with D^* D = I")
def pointwise_ieq_without_constant_is_the_residual():
    """sqrt(2 F_i) = |f_i - y_i| for F_i = (f_i - y_i)^2 / 2, and its signs change neither theta_new nor the energy."""
    e = sp.Symbol("e", real=True)
    assert is_zero(sp.sqrt(2 * (e**2 / 2)) ** 2 - e**2)
    assert (sp.sqrt(2 * (e**2 / 2))).is_nonnegative
    V, N = Space("P"), Space("N")
    J, D = Map.between("J", V, N), Map.between("D", N, N)
    theta, q = V.vector("theta"), N.vector("q")
    d, J_d = solved(J, q, "d")
    for v in (q, J_d):
        N.relate(D.adjoint(D(v)), v)  # signs: D^* D = I
    back = lambda u: J.adjoint(D.adjoint(u))  # noqa: E731
    assert is_zero(d / dt + back(D(J(d))) + back(D(q)))  # d solves (1) for D q and D J as well
    for plain, signed in product(ways(theta, q, d, J_d), ways(theta, D(q), d, D(J_d))):
        assert is_zero(signed[0] - plain[0])
        assert is_zero(plain[1] - q - J(plain[0] - theta))
        assert is_zero(signed[1] - D(plain[1]))
        assert is_zero(signed[1] @ signed[1] - plain[1] @ plain[1])


@check("counterexample", "two grid points, F(u) = u^4 / 2, u = (1, 2), C = 0, dt = 1/4", proves=("C000-15",))
def yangs_variable_is_a_field():
    """On a grid the pointwise q = sqrt(2 F(u)) is one number for each point; the one number for all points gives another step."""
    u, step = vector(1, 2), sp.Rational(1, 4)
    q, J = u**2, np.diag(2 * u)  # q_i = sqrt(2 F(u_i)) = u_i^2
    field, q_new = matrix_step(u, q, J, step)
    assert list(field) == [sp.Rational(3, 4), sp.Rational(6, 5)]
    # the pointwise law, whatever the size of the step
    d = field - u
    assert q_new @ q_new - q @ q + 2 * (d @ d) / step + (q_new - q) @ (q_new - q) == 0
    # one number s with s^2 = 2 F(u_i) at both points does not exist
    s = sp.Symbol("s", real=True)
    assert impossible([sp.Eq(s**2, q[0] ** 2), sp.Eq(s**2, q[1] ** 2)])
    # that of the sum of F is SAV, and its step is another one
    total, g = (q @ q) / 2, 2 * u**3
    scalar, _ = sav_update(u, None, g, total, dt=step, C=0, inner=lambda a, b: a @ b, solve=lambda v: v)
    assert not is_zero(scalar - field)


class Difference:
    """The linear part [[1, -1], [-1, 1]] on two grid points, exact; it records the operators that are inverted."""

    matrix = sp.Matrix([[1, -1], [-1, 1]])
    scalar = None

    def __init__(self):
        self.inverted = []

    def apply(self, u):
        """Return L u."""
        return np.array(list(self.matrix * sp.Matrix(u)), dtype=object)

    def solve_shifted(self, u, dt):
        """Return (I + dt L)^-1 u."""
        A = sp.eye(2) + dt * self.matrix
        self.inverted.append(A)
        return np.array(list(A.inv() * sp.Matrix(u)), dtype=object)


@check(
    "counterexample",
    "two grid points, L the difference operator [[1, -1], [-1, 1]], F(u) = u^4 / 2, dt = 1",
)
def pointwise_ieq_couples_the_grid():
    """With a diffusion term, IEQ on the pointwise q = u^2 solves systems whose matrix is full and changes with u; those of SAV do not."""
    L, step = Difference(), sp.Integer(1)
    problem = DenseLeastSquares(lambda u: u**2, lambda u: np.diag(2 * u), linear=L)
    problem.mass = 1  # the integer, for exact quotients
    identity = [vector(1, 0), vector(0, 1)]
    systems = []

    def record(at, q, h, A, dt, **options):
        columns = [e / dt + A.apply(e) + at.vjp(at.jvp(e)) for e in identity]
        matrix = sp.Matrix([list(column) for column in columns]).T
        systems.append(matrix)
        d = np.array(list(-(matrix.inv() * sp.Matrix(at.vjp(q) + h))), dtype=object)
        return DampedStep(d, at.jvp(d))

    def run(u, q):
        before = ieq.damped_step
        ieq.damped_step = record
        try:
            (branch, *_) = reached(branches(lambda: IEQ().step(problem, AuxState(u, q), step)))
        finally:
            ieq.damped_step = before
        new = branch.value
        J = np.diag(2 * u)  # the equations of the scheme
        assert is_zero((new.theta - u) / step + L.apply(new.theta) + J.T @ new.aux)
        assert is_zero(new.aux - q - J @ (new.theta - u))
        return new.theta

    u, v = vector(1, 2), vector(1, 3)
    base = run(u, u**2)
    moved = run(u, u**2 + vector(0, 1))  # only the variable of the second point
    assert base[0] != moved[0]  # moves the first point as well
    run(v, v**2)
    assert systems[0] == systems[1] == sp.Matrix([[6, -1], [-1, 18]])
    assert systems[2] == sp.Matrix([[6, -1], [-1, 38]])  # at the other u
    # SAV inverts I + dt L at both u, twice for each step, and one division gives r
    L.inverted.clear()
    for at in (u, v):
        new = configured(SAV, C=sp.Integer(1)).step(problem, AuxState(at, sp.Integer(3)), step)
        F, g = problem.nonlinear_energy_and_gradient(at)
        R, d = sp.sqrt(F + 1), new.theta - at
        assert is_zero(d / step + L.apply(new.theta) + (new.aux / R) * g)
        assert is_zero(new.aux - 3 - (g @ d) / (2 * R))
    assert L.inverted == [sp.eye(2) + step * L.matrix] * 4


# %% [markdown]
# ## Sketches
#
# *Rows.* A sketch S of the residuals replaces q by Sq and J by SJ. Then (2) is the exact law of $|Sq|^2$. If the full residual is
# moved along, $q^+ = q + Jd$ with $d = -\Delta t\,J^*S^*p^+$ and $p^+ = Sq^+$, then for $G = JJ^*$ and any z with $q = Gz$ (z is
# $G^{-1}q$), $z^+ = z - \Delta t\,S^*p^+$ and
#
# $$(q^+, z^+) - (q, z) = -2\Delta t\,|p^+|^2 - |d|^2 \le 0.$$
#
# These are laws of other quantities than the energy $\tfrac12|q|^2$, which may grow.
#
# *Columns.* A map P from fewer parameters gives $d = Pz$, z the solution of (1) for $JP$: that is IEQ for other parameters, and its law
# is one of the full residual.


# %%
@check("identity", EVERY)
def row_sketch_keeps_the_law_of_the_sketched_energy():
    """With q and J replaced by S q and S J, |Sq|^2 falls by exactly 2 |d|^2/dt + |SJd|^2, for every dt and every sketch S."""
    V, N, k = Space("P"), Space("N"), Space("k")
    J, S = Map.between("J", V, N), Map.between("S", N, k)
    theta, q, d = V.vector("theta"), N.vector("q"), V.vector("d")
    back = lambda p: J.adjoint(S.adjoint(p))  # noqa: E731
    V.relate(back(S(q)), -(d / dt + back(S(J(d)))))  # (1) for S q and S J
    for theta_new, p_new in ways(theta, S(q), d, S(J(d))):
        step = theta_new - theta
        assert is_zero(p_new @ p_new - S(q) @ S(q) + 2 * V.inner(step, step) / dt + S(J(step)) @ S(J(step)))
        assert is_zero(p_new - S(q + J(step)))


@check("identity", EVERY)
def row_sketch_keeps_the_inverse_gram_norm():
    """If q = J J^* z, one row-sketched step changes (q, z) by exactly -2 dt |p_new|^2 - |d|^2: no increase in the G^-1 norm."""
    V, N, k = Space("P"), Space("N"), Space("k")
    J, S = Map.between("J", V, N), Map.between("S", N, k)
    theta, z, p = V.vector("theta"), N.vector("z"), k.vector("p")
    q = J(J.adjoint(z))
    back = lambda u: J.adjoint(S.adjoint(u))  # noqa: E731
    k.relate(S(q), p + dt * S(J(back(p))))  # push-through form of (1): p is the new sketched residual
    d = -dt * back(p)
    for theta_new, p_new in ways(theta, S(q), d, S(J(d))):
        step = theta_new - theta
        q_new, z_new = q + J(step), z - dt * S.adjoint(p_new)
        assert is_zero(p_new - p)
        assert is_zero(q_new - J(J.adjoint(z_new)))  # z_new is to q_new what z is to q
        change = q_new @ z_new - q @ z
        assert is_zero(change + 2 * dt * (p_new @ p_new) + V.inner(step, step))


@check("counterexample", "G = [[1, 2], [2, 5]], S = [1, 0], q = (1, 0), dt = 9", given={"C000-36": "rows are sketched"})
def row_sketch_may_raise_the_residual():
    """G = [[1, 2], [2, 5]], S = [1, 0], q = (1, 0), dt = 9: |Sq|^2 falls from 1 to 1/100 while |q|^2 rises from 1 to 13/4."""
    J = np.array([[1, 0], [2, 1]], dtype=object)
    G = J @ J.T
    assert G.tolist() == [[1, 2], [2, 5]]
    S, q, theta = np.array([[1, 0]], dtype=object), vector(1, 0), vector(0, 0)
    theta_new, p_new = matrix_step(theta, S @ q, S @ J, sp.Integer(9))
    q_new = q + J @ (theta_new - theta)
    assert p_new @ p_new == sp.Rational(1, 100)
    assert q_new.tolist() == [sp.Rational(1, 10), sp.Rational(-9, 5)]
    assert q_new @ q_new == sp.Rational(13, 4) > q @ q == 1
    inverse = sp.Matrix(G).inv()
    norm = lambda v: (sp.Matrix(v).T * inverse * sp.Matrix(v))[0]  # noqa: E731
    assert norm(q_new) < norm(q)


@check("identity", EVERY)
def column_sketch_keeps_the_full_law():
    """With d = P z, z from IEQ for J P, the *full* |q|^2 falls by exactly 2 |z|^2/dt + |JPz|^2, for every map P."""
    V, W, N = Space("P"), Space("k"), Space("N")
    J, P = Map.between("J", V, N), Map.between("P", W, V)
    theta, q, z, zero = V.vector("theta"), N.vector("q"), W.vector("z"), W.vector("z0")
    W.relate(P.adjoint(J.adjoint(q)), -(z / dt + P.adjoint(J.adjoint(J(P(z))))))
    for z_new, q_new in ways(zero, q, z, J(P(z))):
        step = z_new - zero
        theta_new = theta + P(step)
        assert is_zero(q_new - q - J(theta_new - theta))
        assert is_zero(q_new @ q_new - q @ q + 2 * W.inner(step, step) / dt + J(P(step)) @ J(P(step)))


@check("arithmetic", "k = 1 of N = 2 rows", proves=("C000-35",))
def row_sketch_shrinks_the_linear_system():
    """The row sketch solves a k x k system in the place of an N x N one: k equations of the form (I + dt S G S^T) p_new = S q."""
    J, S, q = np.array([[1, 0], [2, 1]], dtype=object), np.array([[1, 0]], dtype=object), vector(1, 0)
    k, N = S.shape
    _, full = matrix_step(vector(0, 0), q, J, sp.Integer(9))
    _, sketched = matrix_step(vector(0, 0), S @ q, S @ J, sp.Integer(9))
    assert (len(full), len(sketched)) == (N, k) == (2, 1)
    assert is_zero((np.eye(k, dtype=int) + 9 * (S @ J) @ (S @ J).T) @ sketched - S @ q)
    assert is_zero((np.eye(N, dtype=int) + 9 * J @ J.T) @ full - q)


# %% [markdown]
# ## Any damping that is large enough
#
# For $d = -B^{-1}J^*q$ with B self-adjoint, $|q + Jd|^2 - |q|^2 = -2(d, Bd) + |Jd|^2$. So $B \ge \tfrac12 J^*J$ is enough for the model
# not to increase: half the Gauss-Newton matrix, without any other damping. What `ieq_update` does with an arbitrary direction is safe
# too, as it takes the best multiple of it.


# %%
@check("squares", EVERY)
def half_the_gauss_newton_matrix_suffices():
    """d = -B^-1 J^* q with B = J^*J/2 + K, K >= 0, changes |q|^2 by -2 (d, K d): the linear model never increases."""
    V, N = Space("P"), Space("N")
    J, K = Map.between("J", V, N), V.operator("K")
    theta, q, d = V.vector("theta"), N.vector("q"), V.vector("d")
    V.relate(J.adjoint(q), -(J.adjoint(J(d)) / 2 + K(d)))  # B d = -J^* q
    q_new = q + J(d)
    assert is_zero(q_new @ q_new - q @ q + 2 * V.inner(d, K(d)))
    assert V.inner(d, K(d)).is_nonnegative
    # the step of IEQ is the case K = J^*J/2 + 1/dt: `ieq_update` returns that same q + J d
    V.relate(K(d), J.adjoint(J(d)) / 2 + d / dt)
    for theta_new, q_ieq in ways(theta, q, d, J(d)):
        assert is_zero(q_ieq - q_new)
        assert is_zero(theta_new - theta - d)


@check("identity", EVERY)
def any_direction_is_safe_with_its_best_multiple():
    """For an arbitrary direction d, `ieq_update` changes |q|^2 by exactly -2 |t d|^2/dt - |t J d|^2, t its multiple of d."""
    V, N = Space("P"), Space("N")
    J = Map.between("J", V, N)
    theta, q, d = V.vector("theta"), N.vector("q"), V.vector("d")
    theta_new, q_new = ways(theta, q, d, J(d))[0]  # d other than 0
    step = theta_new - theta
    assert is_zero(q_new - q - J(step))
    assert is_zero(q_new @ q_new - q @ q + 2 * V.inner(step, step) / dt + J(step) @ J(step))


# %% [markdown]
# ## Blocks of parameters
#
# Let $\theta$ consist of blocks, for example the layers of a network, with derivatives $J_l$, and let $d_l$ solve (1) for $J_l$ alone.
#
# *Jacobi*: all blocks start from the same q, and $q^+ = q + \sum_l J_l d_l$. Adding up $(q, J_l d_l) = -|d_l|^2/\Delta t - |J_l d_l|^2$,
#
# $$|q|^2 - |q^+|^2 = \frac{2}{\Delta t}\sum_l |d_l|^2 + 2\sum_l |J_l d_l|^2 - \Bigl|\sum_l J_l d_l\Bigr|^2. \tag{3}$$
#
# For two blocks the last two terms are $|J_1d_1 - J_2d_2|^2$. This is the case $-I \le I - P_1 - P_2 \le I$ with
# $P_l = \Delta t\,G_l(I + \Delta t\,G_l)^{-1} < I$. For three blocks they may be negative. With $l\,\Delta t$ in the systems of l blocks
# and $1/l$ of their increments, $q^+$ is the mean of l damped residuals, and the flow remains the same.
# *Gauss-Seidel*: every block starts from the q that the last one left; the laws add up.


# %%
def blocks(count, step=dt):
    """Return Q, q, and for each block its space, theta, J, d and J d; all start from q."""
    N = Space("N")
    q = N.vector("q")
    made = []
    for k in range(count):
        V = Space(f"P{k}")
        J = Map.between(f"J{k}", V, N)
        d, J_d = solved(J, q, f"d{k}", step)
        made.append((V, V.vector("theta"), J, d, J_d))
    return q, made


@check("squares", "two blocks, every dimension and inner product")
def two_jacobi_blocks_are_safe():
    """Two blocks from the same q: |q|^2 falls by exactly 2 (|d_1|^2 + |d_2|^2)/dt + |J_1 d_1 - J_2 d_2|^2."""
    q, made = blocks(2)
    first, second = (ways(theta, q, d, J_d) for _, theta, _, d, J_d in made)
    for (theta_1, q_1), (theta_2, q_2) in product(first, second):
        q_new = q + (q_1 - q) + (q_2 - q)
        d_1, d_2 = theta_1 - made[0][1], theta_2 - made[1][1]
        difference = made[0][2](d_1) - made[1][2](d_2)
        moved = made[0][0].inner(d_1, d_1) + made[1][0].inner(d_2, d_2)
        assert is_zero(q_new @ q_new - q @ q + 2 * moved / dt + difference @ difference)
        assert moved.is_nonnegative


@check("counterexample", "q = theta_1 + theta_2 + theta_3, J_l = 1, dt = 9")
def three_jacobi_blocks_may_fail():
    """Three blocks with J_l = 1, dt = 9: each moves q by -9/10 q, together q becomes -17/10 q and the energy nearly triples."""
    q, one = vector(1), np.array([[1]], dtype=object)
    starts = [vector(t) for t in (3, -1, -1)]
    results = [matrix_step(start, q, one, sp.Integer(9)) for start in starts]
    assert all(alone[0] == sp.Rational(1, 10) for _, alone in results)  # each alone: q -> q/10
    parts = [theta_new - start for (theta_new, _), start in zip(results, starts, strict=True)]
    q_new = q + parts[0] + parts[1] + parts[2]
    assert q_new[0] == sp.Rational(-17, 10)
    assert q_new[0] ** 2 > sp.Rational(28, 10) * q[0] ** 2
    # two of them are safe: -8/10
    assert (q + parts[0] + parts[1])[0] == sp.Rational(-8, 10)


@check("identity", "2, 3 and 4 blocks, every dimension and inner product")
def jacobi_blocks_with_a_longer_step_are_safe():
    """l blocks with l dt in their systems and 1/l of their increments: q_new is the mean of l damped residuals; same flow."""
    for count in (2, 3, 4):
        q, made = blocks(count, step=count * dt)
        results = [ways(theta, q, d, J_d, step=count * dt)[0] for _, theta, _, d, J_d in made]
        steps = [(theta_new - theta) / count for (theta_new, _), (_, theta, *_) in zip(results, made, strict=True)]
        q_new = q
        for (_, _, J, *_), d in zip(made, steps, strict=True):
            q_new = q_new + J(d)
        damped = [q_k for _, q_k in results]
        mean = damped[0] / count
        for q_k in damped[1:]:
            mean = mean + q_k / count
        assert is_zero(q_new - mean)
        # |mean|^2 = mean of |q_k|^2 less the variance, and each |q_k|^2 obeys (2) with l dt
        loss = 0
        for (V, _, J, *_), d, q_k in zip(made, steps, damped, strict=True):
            whole = count * d
            loss += (2 * V.inner(whole, whole) / (count * dt) + J(whole) @ J(whole)) / count
            loss += (q_k - mean) @ (q_k - mean) / count
        assert is_zero(q_new @ q_new - q @ q + loss)
        # each block moves by (I/dt + l J^*J)^-1: to first order in dt by -dt J^* q, as for the flow
        for (V, _, J, *_), d in zip(made, steps, strict=True):
            assert is_zero(V.combine(J.adjoint(q).terms) + d / dt + count * J.adjoint(J(d)))


@check("identity", "2 and 3 blocks, every dimension and inner product", proves=("C000-34",), refutes=("C000-34",))
def gauss_seidel_blocks_always_dissipate():
    """Blocks one after the other: |q|^2 falls by exactly the sum of 2 |d_l|^2/dt + |J_l d_l|^2 over the blocks, for every dt."""
    for count in (2, 3):
        N = Space("N")
        start = q = N.vector("q")
        loss = 0
        for k in range(count):
            V = Space(f"P{k}")
            J = Map.between(f"J{k}", V, N)
            theta, d = V.vector("theta"), V.vector("d")
            # J^*(q + moves so far) = -(d/dt + J^*J d)
            V.relate(J.adjoint(start), -(d / dt + J.adjoint(J(d))) - J.adjoint(q - start))
            theta_new, q_new = ways(theta, q, d, J(d))[0]
            step = theta_new - theta
            loss += 2 * V.inner(step, step) / dt + J(step) @ J(step)
            assert is_zero(J.adjoint(q_new) + step / dt)  # the block has been solved with the q that the last one left
            q = q_new
        assert is_zero(q @ q - start @ start + loss)


# %% [markdown]
# ## Inexact solvers
#
# `IEQ` takes the best multiple $\tau d$ of whatever its solver returns, and its law does not ask where d comes from. One sweep over
# blocks is `swept`, the function that runs: one iteration of the Gauss-Seidel or the Jacobi method for the system B of IEQ. With D
# its diagonal blocks, B = D + U + U^*, and $\tau = b/c$ with $b = -(J^*q + h, d)$ and $c = (d, Bd)$,
#
# $$b = \tfrac12(d, (B + D)d) \ \text{(Gauss-Seidel)}, \qquad b = (d, Dd) \ \text{(Jacobi)}, \qquad
# l\,(d, Dd) - (d, Bd) = (l - 1)\,\alpha + \sum_{b < c} |J_b d_b - J_c d_c|^2 \tag{4}$$
#
# with $\alpha$ the part of the damping and of L and S. So $\tau \ge \tfrac12 + \tfrac1{2l}$ and $\tau \ge \tfrac1l$.


# %%
class AnySolver:
    """An inexact solver that returns an arbitrary direction."""

    def direction(self, system):
        """Return d and J d."""
        d = system.at.J.source.vector("d")
        return DampedStep(d, system.at.jvp(d))


@check("identity", "every dimension, inner product, L and S, every carried q and every direction of the solver")
def law_with_an_inexact_solver():
    """For every d of the solver, |q|^2/2 + (theta, L theta)/2 falls by exactly |td|^2/dt + t^2((Sd,d) + (Ld,d)/2) + |q_new - q|^2/2."""
    for energy_part in (False, True):
        P, N = Space("P"), Space("N")
        L, S = P.operator("L"), P.operator("S")
        problem = AbstractLeastSquares(P, N, L if energy_part else None)
        scheme = configured(IEQ, stabilization=S, solver=AnySolver())
        theta, q = P.vector("theta"), N.vector("q~")
        old = AuxState(theta, q)
        new = next(reached(branches(lambda p=problem, s=scheme, o=old: s.step(p, o, dt)))).value
        d, moved = new.theta - theta, new.aux - q
        assert is_zero(moved - problem.linearize(theta).jvp(d))
        loss = P.inner(d, d) / dt + P.inner(S(d), d) + moved @ moved / 2
        change = new.aux @ new.aux / 2 - q @ q / 2
        if energy_part:
            loss += P.inner(L(d), d) / 2
            change += (P.inner(new.theta, L(new.theta)) - P.inner(theta, L(theta))) / 2
        assert is_zero(change + loss)
        terms = scheme.energy_terms(problem, old, new, dt)
        assert is_zero(terms.dissipation + terms.numerical - loss)


def sweep_over(count, *, sequential):
    """Return b, (d, B d), (d, D d), its part without J, and the J_b d_b, of `swept` over blocks with any h_b and A_b."""
    N = Space("N")
    q, given, moves = N.vector("q"), [], []

    def block(k):
        V = Space(f"P{k}")
        J, A, h, d = Map.between(f"J{k}", V, N), V.operator(f"A{k}"), V.vector("h"), V.vector("d")

        def solve(q_b):
            # (1/dt + A_b + J_b^* J_b) d_b = -(J_b^* q_b + h_b), as the value of J_b^* q
            V.relate(J.adjoint(q), -(h + d / dt + A(d) + J.adjoint(J(d))) - J.adjoint(q_b - q))
            given.append((V, A, h))
            moves.append(J(d))
            return d, J(d)

        return solve

    parts, J_d = swept(q, (block(k) for k in range(count)), sequential=sequential)
    descent, damping = -(q @ J_d), 0
    for d, (V, A, h) in zip(parts, given, strict=True):
        descent -= V.inner(h, d)
        damping += V.inner(d, d) / dt + V.inner(A(d), d)
    squares = sum(move @ move for move in moves)
    return descent, damping + J_d @ J_d, damping + squares, damping, moves


@check("squares", "2, 3 and 4 blocks, every dimension and inner product of each, every h_b and A_b")
def multiple_of_a_sweep():
    """tau = (1 + s)/2 (Gauss-Seidel), s (Jacobi), s = (d, D d)/(d, B d) >= 1/l: l (d, D d) - (d, B d) is a sum of squares."""
    for count in (2, 3, 4):
        for sequential in (True, False):
            descent, B, D, damping, moves = sweep_over(count, sequential=sequential)
            assert is_zero(2 * descent - (B + D)) if sequential else is_zero(descent - D)
            pairs = [(moves[i] - moves[j]) for i in range(count) for j in range(i)]
            gap = (count - 1) * damping + sum(pair @ pair for pair in pairs)
            assert is_zero(count * D - B - gap)
            assert damping.is_nonnegative


@check("identity", "2 and 3 blocks, every dimension and inner product of each, every h_b and A_b")
def small_sweeps_are_the_flow():
    """d_b = -dt (J_b^* q + h_b) + O(dt^2) for both orders, and s = 1 + O(dt): the flow in each block."""
    for count in (2, 3):
        for sequential in (True, False):
            N, seen = Space("N"), []
            q = N.vector("q")

            def block(k, N=N, q=q, seen=seen):
                V = Space(f"P{k}")
                J, A, h, v = Map.between(f"J{k}", V, N), V.operator(f"A{k}"), V.vector("h"), V.vector("v")

                def solve(q_b):
                    d = -dt * v
                    V.relate(J.adjoint(q), v + dt * A(v) + dt * J.adjoint(J(v)) - h - J.adjoint(q_b - q))
                    seen.append(d + dt * (J.adjoint(q) + h))
                    return d, J(d)

                return solve

            swept(q, (block(k) for k in range(count)), sequential=sequential)
            assert all(is_small(rest, dt, 2) for rest in seen)


@check("identity", EVERY)
def row_sketch_with_the_full_gradient_descends():
    """(1/dt + (WJ)^* WJ) d = -J^* q: -(J^* q, d) = |d|^2/dt + |WJd|^2, and d = -dt J^* q + O(dt^2) for every W."""
    V, N, k = Space("P"), Space("N"), Space("k")
    J, W = Map.between("J", V, N), Map.between("W", N, k)
    theta, q, v = V.vector("theta"), N.vector("q"), V.vector("v")
    d = -dt * v
    V.relate(J.adjoint(q), v + dt * J.adjoint(W.adjoint(W(J(v)))))
    assert is_zero(-(q @ J(d)) - V.inner(d, d) / dt - W(J(d)) @ W(J(d)))
    assert is_small(d + dt * J.adjoint(q), dt, 2)
    theta_new, q_new = ways(theta, q, d, J(d))[0]
    step = theta_new - theta
    assert is_zero(q_new @ q_new - q @ q + 2 * V.inner(step, step) / dt + J(step) @ J(step))


@check("counterexample", "J = [[1, 0], [2, 1]], W = [1, 0], q = (1, -1), dt = 1")
def row_sketch_of_the_gradient_may_point_uphill():
    """J = [[1, 0], [2, 1]], W = [1, 0], q = (1, -1), dt = 1: d = (-1/2, 0) raises |q|^2; IEQ takes tau = -1/3, and |q|^2 falls from 2 to 65/36."""
    J, W, q = np.array([[1, 0], [2, 1]], dtype=object), np.array([[1, 0]], dtype=object), vector(1, -1)
    zero = vector(0, 0)
    d, _ = matrix_step(zero, W @ q, W @ J, sp.Integer(1))
    assert d.tolist() == [sp.Rational(-1, 2), 0]
    raised = q + J @ d
    assert raised @ raised > q @ q
    run = lambda: ieq_update(zero, q, inner=np.dot, damping=lambda u: u @ u, direction=lambda q, h: (d, J @ d))  # noqa: E731
    theta_new, q_new = next(reached(branches(run))).value
    assert (theta_new - sp.Rational(-1, 3) * d).tolist() == [0, 0]
    assert q_new @ q_new == sp.Rational(65, 36)


# %% [markdown]
# ## Another step size in each step
#
# Every law compares two neighbouring states and names no other. So it adds up over any sequence of positive step sizes. A loss
# that is multiplied by c, half a sum of squares against a mean of squares, is a step size that is multiplied by c.


# %%
@check("identity", "every dimension, inner product and S, any two step sizes")
def variable_steps_telescope():
    """Two steps of SAV with sizes dt_1 and dt_2: r^2 falls by exactly the sum of the two one-step dissipations."""
    V = Space()
    theta, g, g_1 = V.vectors("theta g g_1")
    S = V.operator("S")
    F_1, dt_1, dt_2 = sp.symbols("F_1 dt_1 dt_2", positive=True)
    loss, state = 0, (theta, r)
    for step, gradient, energy in ((dt_1, g, F), (dt_2, g_1, F_1)):
        old_theta, old_r = state
        state = sav_update(
            old_theta, old_r, gradient, energy, dt=step, C=C, inner=V.inner,
            solve=lambda u, step=step: S.solve_shifted(u, step),
        )  # fmt: skip
        d = state[0] - old_theta
        loss += V.inner(d, d) / step + V.inner(S(d), d) + (state[1] - old_r) ** 2
    assert is_zero(state[1] ** 2 - r**2 + loss)


@check("identity", EVERY, proves=("C001-01",), refutes=("C001-01",))
def loss_scale_is_a_step_size():
    """IEQ for c times the loss with step dt takes the step of IEQ for the loss with step c dt; c = 2/N: half a sum to a mean."""
    c = sp.Symbol("c", positive=True)
    V, N = Space("P"), Space("N")
    J = Map.between("J", V, N)
    theta, q = V.vector("theta"), N.vector("q")
    d, J_d = solved(J, q, "d", step=c * dt)
    root = sp.sqrt(c)
    for plain, scaled in product(ways(theta, q, d, J_d, step=c * dt), ways(theta, root * q, d, root * J_d, step=dt)):
        assert is_zero(plain[0] - scaled[0])
        assert is_zero(plain[1] - q - J(plain[0] - theta))
        assert is_zero(root * plain[1] - scaled[1])
    # the scaled system holds for that d as well: (1/dt + c J^*J) d = -c J^* q
    assert is_zero(d / dt + c * J.adjoint(J_d) + c * J.adjoint(q))
    # half a sum over 64 samples with dt = 0.1 is a mean of squares (c = 2/64) with dt = 3.2
    assert sp.Rational(2, 64) * sp.Rational(32, 10) == sp.Rational(1, 10)


# %% [markdown]
# ## Mini-batches with a stored residual for each sample
#
# Vanilla IEQ on a batch moves $\theta$ and the stored residuals of the batch; those of the other samples do not learn of it.
# For N copies of the residual $f = \theta$ and batches of one, each update is $d = -\Delta t\,q_i/(1 + \Delta t)$,
# $\theta \to \theta + d$, $q_i \to q_i + d$. So $\theta - \sum_i q_i$ never changes, while each visit multiplies $q_i$ by
# $1/(1 + \Delta t)$. Let a be the factor after some sweeps. The state is then $\theta = \theta^0 + (a - 1)\sum_j q_j^0$,
# $q_i = a\,q_i^0$, and a sweep replaces a by $a/(1 + \Delta t)$. By Bernoulli's inequality
# $(1 + \Delta t)^K \ge 1 + K\Delta t$, so that $a \to 0$ for every $\Delta t > 0$.
# The stored energy tends to 0, and with $\theta = q_i = 1$ at the start,
#
# $$\theta \to 1 - N,$$
#
# whatever $\Delta t$ and whatever the order of the visits, although every residual is linear and the minimiser is 0.


# %%
def visit(theta, q, step):
    """Return theta and q_i after one vanilla IEQ step on the single residual f = theta with the stored value q."""
    theta_new, q_new = matrix_step(np.array([theta]), np.array([q]), np.array([[sp.Integer(1)]]), step)
    return theta_new[0], q_new[0]


@check(
    "identity",
    "every dt, theta and stored values; one visit, and sweeps over N = 1, 2, 3 samples",
    given={"C000-30": "the drift is meant, not divergence"},
)
def stored_residuals_of_a_batch_are_conserved():
    """One visit keeps theta - q_i and multiplies q_i by 1/(1 + dt): theta tends to theta_0 - sum q_i, for every dt; 1 - N from 1."""
    theta, q, a = sp.symbols("theta q a", real=True)
    theta_new, q_new = visit(theta, q, dt)
    assert is_zero((theta_new - q_new) - (theta - q))
    factor = q_new.subs(q, 1)
    assert is_zero(q_new - factor * q)
    # after some sweeps: theta_0 + (a - 1) sum q_i and a q_i; one more sweep puts factor * a in the place of a
    for N in (1, 2, 3):
        stored = symbols("q", N)
        after = lambda a, stored=stored: (theta + (a - 1) * sum(stored), [a * q_i for q_i in stored])  # noqa: E731
        assert is_zero(after(1)[0] - theta)
        moving, values = after(a)
        for i in range(N):
            moving, values[i] = visit(moving, values[i], dt)
        expected, residuals = after(factor * a)
        assert is_zero(moving - expected)
        assert all(is_zero(x - y) for x, y in zip(values, residuals, strict=True))
        # a = 0 is where theta from theta_0 = q_i = 1 ends
        assert after(0)[0].subs({theta: 1, **dict.fromkeys(stored, 1)}) == 1 - N
    # factor^K -> 0: the K-th power of its inverse is at least 1 + K dt, by induction from K = 0
    K = sp.Symbol("K", nonnegative=True)
    growth = 1 / factor
    assert is_zero(growth * (1 + K * dt) - (1 + (K + 1) * dt) - K * dt**2)
    assert (K * dt**2).is_nonnegative
    assert is_zero(growth - (1 + dt))
    assert sp.limit(1 / (1 + K * dt), K, sp.oo) == 0


@check("counterexample", "N = 2, 3, 4 copies of f = theta, theta = 1, dt = 9, batches of one, 8 sweeps")
def stored_residuals_of_a_batch_mislead():
    """N copies of f = theta from theta = 1, dt = 9, batches of one: after K sweeps theta = 1 - N (1 - 10^-K), energy N 10^-2K / 2."""
    for N in (2, 3, 4):
        theta, q = sp.Integer(1), [sp.Integer(1)] * N
        for sweep in range(1, 9):
            for i in range(N):
                theta, q[i] = visit(theta, q[i], sp.Integer(9))
            assert theta == 1 - N * (1 - sp.Rational(1, 10**sweep))
            assert sum(e * e for e in q) / 2 == N * sp.Rational(1, 10 ** (2 * sweep)) / 2
        if N > 2:
            assert N * theta**2 / 2 > 3 * sp.Rational(
                N, 2
            )  # the true energy has grown: to (N - 1)^2 times that of the start
    # the same batches with the residual taken anew at each step go to the minimiser 0
    theta = sp.Integer(1)
    for _ in range(8):
        theta, _ = visit(theta, theta, sp.Integer(9))
    assert theta == sp.Rational(1, 10**8)


# %% [markdown]
# ## Another inner product
#
# All laws are proved on abstract inner products, so they hold in each: the gradient is taken in that inner product, adjoints and
# norms as well. What may not be done is to mix two. Let $(u, v)_M = M u v$ in one dimension. The gradient in it is $F'/M$. A
# step along the gradient in one inner product with r moved by another gives $r^+ - r = c\,F'd/(2R)$ with $c \ne 1$.


# %%
@check("identity", "one dimension, every M")
def inner_products_must_not_be_mixed():
    """If the r-update takes the dot product while g is the gradient in (u, v)_M = M u v, consistency and the law hold only for M = 1."""
    theta, slope = sp.symbols("theta F'", real=True)
    M = sp.Symbol("M", positive=True)
    R = sp.sqrt(F + C)
    velocity = -slope / M  # the flow in (., .)_M
    for factor, holds in ((M, True), (sp.Integer(1), False)):
        inner = lambda u, v, factor=factor: factor * u * v  # noqa: E731
        new, r_new = sav_update(theta, r, slope / M, F, dt=dt, C=C, inner=inner, solve=lambda u: u)
        d = new - theta
        law = r_new**2 - r**2 + (r_new - r) ** 2 + M * d**2 / dt
        assert is_zero(law) is holds
        rate = (r_new - r).subs(r, R)
        assert is_small(rate - dt * slope * velocity / (2 * R), dt, 2) is holds
        assert is_zero(law.subs(M, 1))


@check("counterexample", "F = theta^2 / 2, theta = 4, C = 1, M = 2, dt = 1")
def mixed_inner_products_by_numbers():
    """F = theta^2/2, theta = 4, C = 1, M = 2, dt = 1, g by the metric, r by the dot product: r_new = 9/11 R in the place of 9/13 R."""
    g, F_4, R = sp.Integer(4) / 2, sp.Integer(8), sp.Integer(3)
    results = {}
    for factor in (2, 1):
        results[factor] = sav_update(
            sp.Integer(4), R, g, F_4, dt=1, C=1, inner=lambda u, v, factor=factor: factor * u * v, solve=lambda u: u
        )
    assert results[2][1] == R * sp.Rational(9, 13)
    assert results[1][1] == R * sp.Rational(9, 11)
    for factor, holds in ((2, True), (1, False)):
        new, r_new = results[factor]
        assert (r_new**2 - R**2 + (r_new - R) ** 2 + 2 * (new - 4) ** 2 == 0) is holds


# %% [markdown]
# ## Cost and bounds of the scalar variable
#
# The constant C must make $F + C$ positive for all $\theta$: that is a lower bound of F, and where F has none there is no C. It is a bound
# of the sum; the pointwise variables need one for each part.


# %%
@check("argument", "SAV and pointwise IEQ", refutes=("C000-19",))
def sav_assumes_a_lower_bound():
    """F + C > 0 for all theta says F > -C: F = theta has no C, and F = (theta) + (-theta) has one for the sum but none for the parts."""
    from gradflow.schemes.sav import require_admissible

    theta, c = sp.symbols("theta c", real=True)
    # F = theta: whatever c, theta = -c is refused
    assert is_zero((theta + c).subs(theta, -c))
    for c_value in (1, 100, 10**6):
        try:
            require_admissible(sp.Integer(-c_value), c_value)
        except ValueError:
            continue
        raise AssertionError("F + C = 0 was accepted")
    # the sum of the parts theta and -theta is 0, so that any C > 0 will do; a part alone is F = theta again
    require_admissible(sp.Integer(0), 1)
    # and the other way round: F > -c implies F + c > 0
    assert follows(theta + c > 0, [theta > -c])
    assert not follows(theta + c > 0)


@check(
    "arithmetic",
    "calls of both production updates, with and without an energy part; abstract vectors",
    given={"C000-18": "L and S are multiples of the identity"},
)
def sav_costs_one_inner_product_and_one_division():
    """SAV: `solve` and `inner` once each (twice with an energy part); gradient descent: `solve` once, and `inner` never."""
    V = Space()
    theta, g, h = V.vectors("theta g h")
    calls = []

    def inner(u, v):
        calls.append(("inner", u, v))
        return V.inner(u, v)

    def solve(u):
        calls.append(("solve", u))
        return u / (1 + dt)

    def expect(*wanted):
        """Take the recorded calls, which must be the wanted ones in any order, vectors compared by proof."""
        taken = list(calls)
        calls.clear()
        assert len(taken) == len(wanted)
        for name, *vectors in wanted:
            found = [
                call for call in taken
                if call[0] == name and all(is_zero(x - y) for x, y in zip(call[1:], vectors, strict=True))
            ]  # fmt: skip
            assert found
            taken.remove(found[0])

    scaled = lambda u: u / (1 + dt)  # noqa: E731
    sav_update(theta, r, g, F, dt=dt, C=C, inner=inner, solve=solve)
    expect(("solve", g), ("inner", g, scaled(g)))
    gradient_descent_update(theta, g, dt=dt, solve=solve)
    expect(("solve", g))
    sav_update(theta, r, g, F, h, dt=dt, C=C, inner=inner, solve=solve)
    expect(("solve", g), ("solve", h), ("inner", g, scaled(g)), ("inner", g, scaled(h)))
    gradient_descent_update(theta, g, h, dt=dt, solve=solve)
    expect(("solve", g + h))
