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
# # The classical Runge-Kutta method
#
# **Order.** A Runge-Kutta method has order p exactly when it gives, for every rooted tree of at most p nodes, the
# elementary differential of that tree the weight that the exact solution gives it (Butcher; Hairer, Norsett & Wanner,
# Solving Ordinary Differential Equations I, section II.2). Up to order four there are eight trees. Each has a
# polynomial equation whose right-hand side, from 0, realises that tree alone: a leaf is $y_1' = 1$, and the tree with
# the branches $t_1, \dots, t_j$ at its root is $y_t' = y_{t_1}\cdots y_{t_j}$. One step of the method from 0 then
# leaves in component t the weight $\sum_i b_i \Phi_i(t)$ times $\Delta t^{|t|}$ and a factor that the exact solution
# has as well. So the eight order conditions hold exactly when one step on this system of eight equations gives the
# exact solution.
#
# **Quadratics.** For $E = \tfrac12(\theta, H\theta)$ the stages are powers of H, and $\theta^{n+1} = R(\Delta t
# H)\theta^n$, $R(z) = 1 - z + z^2/2 - z^3/6 + z^4/24$.

# %%
import numpy as np
import sympy as sp

from gradflow import RungeKutta4
from gradflow.proofs import check, follows
from gradflow.schemes.runge_kutta4 import runge_kutta4_update
from gradflow.schemes.state import FlowState
from gradflow.symbolic import AbstractEnergy, Space, is_small, is_zero
from gradflow.symbolic.taylor import SmoothEnergy

dt, z, k = sp.symbols("dt z k", positive=True)
R = 1 - z + z**2 / 2 - z**3 / 6 + z**4 / 24


class Field:
    """What a step asks of a problem, for any vector field: minus the field in the place of the gradient."""

    def __init__(self, velocity):
        self.velocity = velocity

    def energy_and_gradient(self, theta):
        """Return no energy, and minus the velocity."""
        return None, -self.velocity(theta)


class Quadratic:
    """E = (theta, H theta) / 2 on an abstract space, H of any sign."""

    def __init__(self):
        self.space = Space()
        self.H = self.space.operator("H", positive=False)

    def energy(self, theta):
        """Return E."""
        return self.space.inner(theta, self.H(theta)) / 2

    def energy_and_gradient(self, theta):
        """Return E and H theta."""
        return self.energy(theta), self.H(theta)


def one_step(velocity, start):
    """Return theta after one step of the scheme."""
    scheme, problem = RungeKutta4(), Field(velocity)
    return scheme.step(problem, scheme.init(problem, start), dt).theta


# %% [markdown]
# ## The three obligations


# %%
@check("identity", "every dimension and inner product, E = (theta, H theta)/2 for every self-adjoint H")
def energy_law():
    """On quadratics theta_new = R(dt H) theta: E_new - E = ((R^2 - 1)(dt H) theta, H theta)/2, with R the Taylor sum of exp(-z)."""
    problem = Quadratic()
    V, H, theta = problem.space, problem.H, problem.space.vector("theta")
    new = RungeKutta4().step(problem, FlowState(theta), dt).theta

    def polynomial(p):
        """Return p(dt H) theta."""
        total, power = V.zero, theta
        for c in reversed(sp.Poly(p, z).all_coeffs()):
            total, power = total + c * power, dt * H(power)
        return total

    assert is_zero(new - polynomial(R))
    change = V.inner(polynomial(sp.expand(R**2 - 1)), H(theta)) / 2
    assert is_zero(problem.energy(new) - problem.energy(theta) - change)
    # R is exp(-z) up to z^4
    assert is_small(R - sp.exp(-z), z, 5)
    assert not is_small(R - sp.exp(-z), z, 6)


def trees(t):
    """Return the components of the field for the eight trees with up to four nodes, at the point t."""
    one = 0 * t[0] + 1
    return np.array([one, t[0], t[1], t[0] ** 2, t[2], t[3], t[0] * t[1], t[0] ** 3], dtype=object)


@check("identity", "the eight rooted trees with up to four nodes")
def consistency():
    """All eight order conditions through order 4 hold: one step solves the system of the elementary differentials exactly."""
    exact = [dt, dt**2 / 2, dt**3 / 6, dt**3 / 3, dt**4 / 24, dt**4 / 12, dt**4 / 8, dt**4 / 4]
    for solution, derivative in zip(exact, trees(np.array(exact, dtype=object)), strict=True):
        assert is_zero(sp.diff(solution, dt) - derivative)  # it is the exact solution
    start = np.array([sp.Integer(0)] * 8, dtype=object)
    assert is_zero(one_step(trees, start) - np.array(exact, dtype=object))


@check("identity", "every dimension, inner product and energy")
def solvability():
    """The step is explicit: four gradients, at theta, theta + dt k1/2, theta + dt k2/2, theta + dt k3, weights 1, 2, 2, 1 of 6."""
    for energy_part in (False, True):
        V = Space()
        theta = V.vector("theta")
        problem = AbstractEnergy(V, V.operator("L") if energy_part else None)
        asked = []

        def velocity(point, problem=problem, asked=asked):
            asked.append(point)
            return -problem.energy_and_gradient(point)[1]

        k1 = velocity(theta)
        k2 = velocity(theta + dt * k1 / 2)
        k3 = velocity(theta + dt * k2 / 2)
        k4 = velocity(theta + dt * k3)
        wanted = theta + dt * (k1 + 2 * k2 + 2 * k3 + k4) / 6
        scheme = RungeKutta4()
        start = scheme.init(problem, theta)
        assert is_zero(start.theta - theta)
        assert is_zero(scheme.step(problem, start, dt).theta - wanted)
        points = list(asked)
        asked.clear()
        runge_kutta4_update(theta, dt=dt, velocity=velocity)
        assert len(asked) == 4
        assert all(is_zero(p - q) for p, q in zip(points, asked, strict=True))
    V = Space()
    theta = V.vector("theta")
    assert is_zero(runge_kutta4_update(theta, dt=dt, velocity=lambda u: V.zero) - theta)  # stationary points stay


# %% [markdown]
# ## Order, once more
#
# The step is invariant under translation and linear maps, so that the trees at 0 are enough; for one equation with a
# general right-hand side the error can also be seen directly.


# %%
@check("counterexample", "two of the nine trees with five nodes")
def order_is_not_five():
    """The order is exactly 4: y1' = 1, y' = y1^4 gives 5/24 dt^5 instead of dt^5/5, and the chain of five gives 0 instead of dt^5/120."""

    def field(t):
        return np.array([0 * t[0] + 1, t[0], t[1], t[2], t[3], t[0] ** 4], dtype=object)

    new = one_step(field, np.array([sp.Integer(0)] * 6, dtype=object))
    assert is_zero(new[5] - sp.Rational(5, 24) * dt**5)
    assert not is_zero(new[5] - dt**5 / 5)
    assert is_zero(new[4])
    assert is_zero(sp.diff(dt**5 / 5, dt) - dt**4)


@check("identity", "one equation theta' = f(theta), f smooth")
def local_error_is_of_fifth_order():
    """For theta' = f(theta), theta_new is the Taylor sum of the solution through dt^4 (derivatives of f from the fourth on enter later)."""
    c = sp.symbols(
        "c0:4", real=True
    )  # f about the start, which is 0, through u^3: u^4 is O(dt^4), and the step multiplies by dt
    u = sp.Symbol("u", real=True)
    f = sum(c[j] * u**j for j in range(4))

    def velocity(point):
        """Return f less its terms of order dt^4."""
        powers = sp.Poly(f.subs(u, point), dt).all_coeffs()[::-1]
        return sum(power * dt**n for n, power in enumerate(powers[:4]))

    new = one_step(velocity, sp.Integer(0))
    derivative, taylor = f, 0
    for n in range(1, 5):
        taylor += dt**n / sp.factorial(n) * derivative.subs(u, 0)
        derivative = sp.expand(sp.diff(derivative, u) * f)
    assert is_small(new - taylor, dt, 5)


@check("identity", "every dimension, inner product and energy with five derivatives, with and without an energy part L")
def order_on_gradient_flows():
    """theta_new is the solution of theta' = -grad E modulo dt^5; modulo dt^6 it is not (L = 0, six derivatives)."""
    for order, energy_part in ((4, False), (4, True), (5, False)):
        V = Space()
        theta = V.vector("theta")
        problem = SmoothEnergy(V, theta, dt, order, V.operator("L") if energy_part else None)
        error = RungeKutta4().step(problem, FlowState(theta), dt).theta - problem.flow()
        assert is_small(error, dt, 5)
        assert order == 4 or not is_small(error, dt, 6)


# %% [markdown]
# ## Stability on quadratics
#
# For $z > 0$: $R(z) > -1$ always, and $R(z) - 1 = z\,q(z)/24$ with $q(z) = z^3 - 4z^2 + 12z - 24$, which increases
# ($q' = 3z^2 - 8z + 12$ has no real root). So $|R| \le 1$ exactly up to the one real root of q.


# %%
@check("decision procedure", "E = k theta^2 / 2, every dt and k > 0")
def stability():
    """|R(z)| <= 1, and the energy does not rise, iff z = dt k is at most the one real root 2.7852... of z^3 - 4z^2 + 12z - 24."""
    t = sp.Symbol("theta", positive=True)
    new = one_step(lambda u: -k * u, t)
    factor = sp.expand(new / t).subs(k, z / dt)
    assert is_zero(factor - R)
    q = z**3 - 4 * z**2 + 12 * z - 24
    assert is_zero(factor - 1 - z * q / 24)
    assert follows(factor > -1)
    x, y = sp.symbols("x y", real=True)
    assert follows(q.subs(z, x) < q.subs(z, y), [x < y])  # increasing: one real root, q <= 0 up to it
    assert sp.Poly(q, z).count_roots() == 1
    low, high = sp.Rational(27852, 10000), sp.Rational(27853, 10000)
    assert q.subs(z, low) < 0 < q.subs(z, high)
    rise = sp.expand(factor**2 - 1)  # (E_new - E) / E
    assert follows(rise < 0, [q < 0])
    assert follows(rise > 0, [q > 0])
    assert follows(sp.Eq(rise, 0), [sp.Eq(q, 0)])


@check("counterexample", "E = k theta^2 / 2, dt k = 3")
def the_energy_may_rise():
    """For z = dt k = 3, R = 11/8: the energy grows by the factor 121/64 in each step."""
    new = runge_kutta4_update(sp.Integer(1), dt=sp.Integer(3), velocity=lambda u: -u)
    assert new == sp.Rational(11, 8)
    assert new**2 / 2 > sp.Rational(1, 2)
