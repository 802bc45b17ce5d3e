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
# # Newton-CG
#
# With a direction d and $\theta(\alpha) = \theta + \alpha d$, a Hessian with the Lipschitz constant $\rho$ gives
#
# $$E(\theta(\alpha)) \le E + \alpha\,(g, d) + \tfrac12\alpha^2 (d, Hd) + \tfrac16\rho\,\alpha^3|d|^3. \tag{1}$$
#
# The line search accepts $\alpha$ if E falls by more than $\tfrac16\eta\,\alpha^3|d|^3$. Along a direction of negative curvature,
# $(d, Hd) = -|d|^3$ and $(g, d) \le 0$. Along a solution of $(H + 2\varepsilon I)d = -g + r$ by conjugate gradients,
# $(r, d) = 0$, hence $(g, d) = -(d, Hd) - 2\varepsilon|d|^2$, and $(d, Hd) \ge -\varepsilon|d|^2$, or it would have been reported.

# %%
import numpy as np
import sympy as sp

import gradflow as gf
from gradflow.proofs import agree, check, follows, in_both, reached
from gradflow.schemes.newton_cg import NewtonCGState, direction_update, newton_cg_update
from gradflow.symbolic import Space, branches, entries, is_zero

EVERY = "every dimension and inner product, every energy with a rho-Lipschitz Hessian"
alpha, eta, rho, eps, b, n = sp.symbols("alpha eta rho epsilon b n", positive=True)  # b = -(v, Hv), n = |v| or |d|
s = sp.Symbol("s", real=True)  # (g, v)


# %% [markdown]
# ## The three obligations


# %%
@check("decision procedure", EVERY)
def energy_law():
    """The asked decrease is eta (alpha |d|)^3/6 > 0; it is met along (2) for alpha < 3/(rho + eta), along a solution for small alpha."""
    V = Space()
    theta, d = V.vectors("theta d")
    trial, asked = newton_cg_update(theta, d, n, alpha=alpha, eta=eta)
    assert is_zero(trial - theta - alpha * d)
    assert is_zero(asked - eta * alpha**3 * n**3 / 6)
    third = rho * alpha**3 * n**3 / 6
    # along negative curvature, divided by (alpha n)^2 n > 0
    q = sp.Symbol("q", nonnegative=True)  # -(g, d)
    fall = -(-alpha * q - alpha**2 * n**3 / 2 + third) - asked
    assert is_zero(fall - (alpha * q + alpha**2 * n**3 * (3 - (rho + eta) * alpha) / 6))
    w = sp.Symbol("w", positive=True)  # alpha^2 n^3
    assert follows(alpha * q + w * (3 - (rho + eta) * alpha) / 6 > 0, [(rho + eta) * alpha < 3])
    # along a solution, with (d, Hd) = c - eps n^2, c >= 0
    c = sp.Symbol("c", nonnegative=True)
    bend = c - eps * n**2
    fall = -(alpha * (-bend - 2 * eps * n**2) + alpha**2 * bend / 2 + third) - asked
    parts = alpha * (1 - alpha / 2) * c + alpha * n**2 * (eps * (1 + alpha / 2) - (rho + eta) * alpha**2 * n / 6)
    assert is_zero(fall - parts)
    y, w = sp.symbols("y w", positive=True)  # (rho + eta) alpha^2 n, alpha n^2
    value = alpha * (1 - alpha / 2) * c + w * (eps * (1 + alpha / 2) - y / 6)
    assert follows(value > 0, [alpha <= 1, y < 6 * eps])


@check("identity", EVERY)
def consistency():
    """(2): d is along v, (g, d) <= 0, |d| = b/|v|^2 and (d, Hd) = -|d|^3, for either sign of the slope."""
    V = Space()
    v = V.vector("v")
    ways = list(reached(branches(lambda: direction_update(v, s, -b, n))))
    assert len(ways) == 2
    for conditions, d, _ in ways:
        (c,) = entries(d)
        assert is_zero(d - c * v)
        assert follows(c * s <= 0, conditions)
        length = sp.Abs(c) * n
        assert is_zero(length - b / n**2)
        assert is_zero(-(c**2) * b + length**3)
    (c,) = entries(direction_update(v, sp.Integer(0), -b, n))
    assert c.is_positive


@check("identity", "the arguments")
def solvability():
    """Nothing is divided by but |v|; a step is a finite number of halvings, and wrong arguments are refused."""
    V = Space()
    theta, d = V.vectors("theta d")
    trial, asked = newton_cg_update(theta, 0 * d, sp.Integer(0), alpha=alpha, eta=eta)
    assert is_zero(trial - theta)
    assert asked == 0
    for changes in ({"gradient_tol": 0.0}, {"curvature_tol": 0.0}, {"eta": 0.0}, {"most": 0}, {"seed": -1}):
        try:
            gf.NewtonCG(**changes)
        except ValueError:
            continue
        raise AssertionError(f"{changes} was accepted")


# %% [markdown]
# ## What the state says of a step

# %%
EDGE = gf.FunctionProblem(  # one parameter, E = -t^2/2 + t^4/4: a maximum at 0, minima at +-1
    lambda t: t[0] ** 4 / 4 - t[0] ** 2 / 2, lambda t: t**3 - t, hvp=lambda t, v: (3 * t**2 - 1) * v
)


def step(problem, method, start, dt=1.0):
    """Return the state after one step."""
    return method.step(problem, method.init(problem, start), dt)


@check("identity, run", "E = t^4/4 - t^2/2 and t^2 at single points, in numbers that float64 has to rounding")
def the_state_says_what_happened():
    """Negative curvature from the maximum and from a slope, damped Newton steps, a halved step, a step that is not accepted."""
    method = gf.NewtonCG(gradient_tol=1e-6, curvature_tol=0.25, eta=0.375)
    start = method.init(EDGE, np.zeros(1))
    assert start[1:] == (0, 0.0, 0.0, 0.0, 0.0, 0.0)
    # at the maximum: |d| = 1, E falls by 1/4, more than 1/16
    new = step(EDGE, method, np.zeros(1))
    assert abs(new.theta[0]) == 1.0
    assert new == NewtonCGState(new.theta, 1, 1.0, 0.0625, 1.0, 1.0, 1.0)
    assert method.shortened(new)
    assert not method.rejected(new)
    # with a slope: v = -g, against it; |d| = 13/16
    for t in (0.25, -0.25):
        new = step(EDGE, method, np.array([t]))
        assert np.isclose(new.theta[0], 4.25 * t, rtol=1e-14)
        assert np.isclose(new.promised, 0.0625 * 0.8125**3, rtol=1e-14)
        assert new[2:3] + new[4:] == (1.0, 1.0, 1.0, 1.0)
    # nearby the maximum, below the bound of the gradient: the same by the Lanczos process, against the slope
    for t in (1e-7, -1e-7):
        new = step(EDGE, method, np.array([t]))
        assert np.isclose(new.theta[0], np.sign(t), rtol=1e-6)
        assert new[4:] == (1.0, 1.0, 1.0)
    # a parabola of the curvature 2: d = -2 t/(2 + 1/2), where the residual is zero after one product
    parabola = gf.FunctionProblem(lambda t: t @ t, lambda t: 2 * t, hvp=lambda t, v: 2 * v)
    new = step(parabola, method, np.ones(1), 0.5)
    assert np.isclose(new.theta[0], 1 - 0.4, rtol=1e-14)
    assert np.isclose(new.promised, 0.0625 * 0.4**3, rtol=1e-14)
    assert new[2:3] + new[4:] == (0.5, 0.0, 1.0, 1.0)
    assert not method.shortened(new)
    # from far away, alpha = 2 goes to t - 4 t/(5/2) = -3/5, which is lower, alpha = 4 does not, and is halved
    for dt, share in ((2.0, 2.0), (4.0, 2.0), (8.0, 2.0)):
        new = step(parabola, gf.NewtonCG(curvature_tol=0.25, eta=1e-3), np.ones(1), dt)
        assert new.share == share
        assert np.isclose(new.theta[0], -0.6, rtol=1e-14)
    # below the bound of the gradient without negative curvature: the Newton step after the Lanczos process
    new = step(parabola, gf.NewtonCG(gradient_tol=4.0, curvature_tol=0.25), np.ones(1))
    assert np.isclose(new.theta[0], 0.2, rtol=1e-14)
    assert new[4:] == (0.0, 1.0, 2.0)
    soft = gf.FunctionProblem(lambda t: t @ t / 16, lambda t: t / 8, hvp=lambda t, v: v / 8)
    new = step(soft, gf.NewtonCG(gradient_tol=4.0, curvature_tol=0.25), np.ones(1))
    assert np.isclose(new.theta[0], 1 - 0.125 / 0.625, rtol=1e-14)
    assert method.step(parabola, method.init(parabola, np.zeros(1))._replace(n=1), 1.0).n == 2
    # at the minimum nothing is to be done; the default of eps_H is the square root of eps_g
    new = step(parabola, method, np.zeros(1))
    assert new == NewtonCGState(new.theta, 1, 0.0, 0.0, 0.0, 0.0, 1.0)
    assert method.rejected(new)
    assert method.shortened(new)
    default = step(parabola, gf.NewtonCG(gradient_tol=0.0625), np.ones(1))
    assert np.array_equal(default.theta, step(parabola, method, np.ones(1)).theta)
    # an energy of which no decrease is seen: theta stays
    flat = gf.FunctionProblem(lambda t: 0 * t[0], lambda t: 1 + 0 * t, hvp=lambda t, v: v)
    new = step(flat, method, np.ones(1))
    assert new == NewtonCGState(new.theta, 1, 0.0, 0.0, 0.0, 0.0, 1.0)


# % [markdown]
# ## The inner product
#
# In the coordinates $y = M^{1/2}\theta$ the inner product of diagonal M is the dot product. The steps are the same.


# %
@check("identity, run", "one energy of three parameters, M = diag(4, 1/4, 1), forty starts; float64")
def steps_are_the_same_in_other_coordinates():
    """Directions of the Lanczos process and of conjugate gradients, lengths and decreases, in the inner product of M and in y."""
    for tol in (1e-6, 50.0):  # the least eigenvalue is asked for below the bound
        agree(gf.NewtonCG(gradient_tol=tol, curvature_tol=0.125), in_both(), starts=40)
