r"""
Exercise 1.3: steepest descent and conjugate gradients in a trust region
========================================================================

Claim: the iteration of Steihaug and Toint watches for the boundary and for negative curvature, and on typical problems it needs far
fewer than n products.

True, within limits that the answer does not mention. The first iterate is the Cauchy point, and the lengths of the iterates
increase: the first crossing of the boundary is the only one, and no step is worse than the Cauchy point. For a positive definite matrix
at least half of the largest decrease is reached. For an indefinite one there is no such bound, and in the hard case the
iteration sees no negative curvature at all: the exact solution needs an eigenvalue. See
:doc:`/theory/line_search_and_quasi_newton`; the other exercises are listed in :doc:`/guide/second_order_exercises`.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES


def quadratic(H, g):
    """Return the problem E = g.d + d.H d / 2."""
    return gf.FunctionProblem(lambda d: g @ d + d @ (H @ d) / 2, lambda d: g + H @ d, hvp=lambda d, v: H @ v)


def trial(H, g, radius, solver="auto", tol=None):
    """Return the state after one trial from d = 0; `predicted` is the decrease of the model."""
    region = gf.curvature.TrustRegion(radius=radius)
    method = gf.SecondOrder(curvature=gf.curvature.Hessian(), globalization=region, solver=solver, tol=tol)
    problem = quadratic(H, g)
    return method.step(problem, method.init(problem, 0 * g), 1.0)


def steepest_descent(H, g, radius, products):
    """Return the decrease after each product of steepest descent with exact steps, cut at the boundary."""
    d, decrease = 0 * g, []
    for _ in range(products):
        r = g + H @ d
        bend, length = r @ (H @ r), np.linalg.norm(r)
        t = (r @ r) / bend if bend > 0 else np.inf
        b, c = d @ r, d @ d - radius**2  # |d - t r| = radius
        t = min(t, (b + np.sqrt(b * b - length**2 * c)) / length**2)
        d = d - t * r
        decrease.append(-(g @ d + d @ (H @ d) / 2))
        if np.linalg.norm(d) >= radius * (1 - 1e-12):
            break
    return np.array(decrease)


# %%
# Products
# --------
# A positive definite matrix, n = 200, condition number 1000; the radius is longer than the minimiser. The points of conjugate
# gradients are runs with smaller and smaller tolerances.

rng = np.random.default_rng(0)
n = 200
Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
H = (Q * np.logspace(0, 3, n)) @ Q.T
H = (H + H.T) / 2
g = rng.standard_normal(n)
radius = 2 * np.linalg.norm(np.linalg.solve(H, g))
optimum = float(trial(H, g, radius).predicted)

states = [trial(H, g, radius, "steihaug", tol) for tol in np.logspace(0, -8, 17)[1:]]
cg = {int(state.products): 1 - float(state.predicted) / optimum for state in states}
sd = 1 - steepest_descent(H, g, radius, 3000) / optimum


def first_below(share):
    """Return the products of the two methods after which less than a share of the decrease is missing."""
    return min(k for k, missing in cg.items() if missing < share), int(np.argmax(sd < share)) + 1


for share in (1e-1, 1e-2, 1e-4):
    by_cg, by_sd = first_below(share)
    print(f"less than {share:g} missing: conjugate gradients {by_cg} products, steepest descent {by_sd}")
by_cg, by_sd = first_below(1e-4)
assert by_cg < n < by_sd
assert by_sd > 10 * by_cg

# %%
# Shares of the optimum
# ---------------------
# 300 random problems of each kind, n = 20, with random radii. A share is the decrease over that of the exact solution.

kinds = {"positive definite": (0.05, 2), "indefinite": (-1.0, 2.0)}
shares = {}
for kind, (low, high) in kinds.items():
    found = []
    for _ in range(300):
        Q, _ = np.linalg.qr(rng.standard_normal((20, 20)))
        mu = 10 ** rng.uniform(-2, 2, 20) if low > 0 else rng.uniform(low, high, 20)
        if low < 0:
            mu[0] = -rng.uniform(0.1, 1)
        B, b = (Q * mu) @ Q.T, rng.standard_normal(20)
        B, delta = (B + B.T) / 2, 10 ** rng.uniform(-1, 1.5)
        best = float(trial(B, b, delta).predicted)
        found.append([
            steepest_descent(B, b, delta, 1)[0] / best,
            float(trial(B, b, delta, "steihaug").predicted) / best,
            float(trial(B, b, delta, "lanczos").predicted) / best,
        ])  # fmt: skip
    shares[kind] = np.array(found)
    cauchy, steihaug, lanczos = shares[kind].T
    print(
        f"{kind}: smallest share, Cauchy {cauchy.min():.2f}, Steihaug {steihaug.min():.2f}, Lanczos {lanczos.min():.6f}"
    )
    assert (steihaug >= cauchy - 1e-10).all()
    assert lanczos.min() > 1 - 1e-8
assert shares["positive definite"][:, 1].min() >= 0.5
assert shares["indefinite"][:, 1].min() < 0.5

figure, panels = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained")
panels[0].loglog(list(cg), np.maximum(list(cg.values()), 1e-16), "o", color=COLOURS[1], label="Steihaug")
panels[0].loglog(1 + np.arange(len(sd)), np.maximum(sd, 1e-16), color=COLOURS[0], label="steepest descent")
panels[0].axvline(n, color="#8c8c8c", linewidth=1)
panels[0].annotate("n", (n, 1e-9), (4, 0), textcoords="offset points", color="#595959")
panels[0].set(xlabel="products with H", ylabel="missing share of the decrease", ylim=(1e-12, 1e4))
panels[0].legend(loc="upper right")
level = np.arange(1, 301) / 300
for axes, (kind, found) in zip(panels[1:], shares.items(), strict=True):
    for i, name in enumerate(("Cauchy point", "Steihaug", "Lanczos")):
        axes.plot(np.sort(found[:, i]), level, color=COLOURS[i], linestyle=DASHES[i], label=name)
    axes.axvline(0.5, color="#8c8c8c", linewidth=1)
    axes.set(xlabel="share of the optimum", ylabel="share of the problems", xlim=(0, 1.02), title=kind)
panels[2].legend(loc="upper left")
for axes in panels:
    axes.grid(alpha=0.25)

# %%
# The hard case
# -------------
# ``H = diag(-1, 2, 3)``, ``g = (0, 1, 1)``: the gradient is orthogonal to the direction of negative curvature, and so is every vector of the
# Krylov space. `lanczos` does not see it either. A component of :math:`10^{-6}` is enough for both.

H, g = np.diag([-1.0, 2.0, 3.0]), np.array([0.0, 1.0, 1.0])
hard = {}
for name, g0 in {"hard case": 0.0, "with a component of 1e-6": 1e-6}.items():
    for solver in ("eigh", "lanczos", "steihaug"):
        state = trial(H, g + np.array([g0, 0, 0]), 5.0, solver)
        hard[name, solver] = -float(state.predicted)
        print(
            f"{name:26} {solver:9} model {hard[name, solver]:9.4f}, negative curvature seen: {bool(state.negative_curvature)}"
        )
assert np.isclose(hard["hard case", "eigh"], -12.7917, atol=1e-4)
assert np.isclose(hard["hard case", "steihaug"], -5 / 12)
assert np.isclose(hard["hard case", "lanczos"], -5 / 12)
