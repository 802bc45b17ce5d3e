r"""
Exercise 1.5: trust region or line search
=========================================

Claim: trust regions converge faster than line searches on ill-conditioned problems, where a search needs many evaluations, on strongly
nonconvex ones, and with noisy gradients; the example is Rosenbrock's function.

Counted here, the first is false for Newton's method, Rosenbrock's function is evidence for neither, and the second is true of one case.

* Newton's method with a search does not depend on the conditioning: it takes the same steps in every coordinate system, as long as
  no modification of the Hessian intervenes. It is the *spherical trust region* that depends on the scaling, and a diagonal
  metric repairs that for scalings of the axes.
* On Rosenbrock's function both need between 20 and 35 evaluations.
* Where the gradient has no component along the negative curvature, a search has no direction that leaves the saddle, and the exact
  trust region has: the hard case. Truncated and Krylov solvers do not see it either.

The effect of noise depends on the noise, and is not decided here.
See :doc:`/theory/saddles` and :doc:`/guide/second_order_exercises`.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

newton = gf.curvature.Hessian()
methods = {
    "Newton, Armijo": gf.SecondOrder(curvature=newton, globalization=gf.curvature.Armijo()),
    "Newton, strong Wolfe": gf.SecondOrder(curvature=newton, globalization=gf.curvature.StrongWolfe()),
    "trust region": gf.TrustRegion(),
    "trust region, diagonal metric": gf.TrustRegion(metric=gf.curvature.CurvatureDiagonal(running=False)),
    "trust region, Steihaug": gf.TrustRegion(solver="steihaug"),
    "L-BFGS": gf.LBFGS(),
}


def counted(problem, method, start, target):
    """Return the steps and the evaluations of the energy until it is below a target; infinite if it is not in 300 steps."""
    run = gf.solve(
        problem, method, start, steps=300, record=["evaluations", "energy"],
        callback=lambda step, state: problem.energy(state.theta) < target,
    )  # fmt: skip
    done = run.history["energy"][-1] < target
    return (run.steps, run.history["evaluations"][1:].sum()) if done else (np.inf, np.inf)


# %%
# Scaling
# -------
# Rosenbrock's function of :math:`(x_1, x_2/s)`: the same function, its second coordinate in other units.


def rosenbrock(s):
    """Return the problem and its start."""
    unit = np.array([1.0, s])

    def gradient(t):
        x, y = t / unit
        return np.array([-400 * x * (y - x * x) - 2 * (1 - x), 200 * (y - x * x)]) / unit

    def hvp(t, v):
        x, y = t / unit
        return np.array([[1200 * x * x - 400 * y + 2, -400 * x], [-400 * x, 200.0]]) @ (v / unit) / unit

    def energy(t):
        x, y = t / unit
        return 100 * (y - x * x) ** 2 + (1 - x) ** 2

    return gf.FunctionProblem(energy, gradient, hvp=hvp), unit * np.array([-1.2, 1.0])


scales = [1e-4, 1e-2, 1.0, 1e2, 1e4]
found = {
    name: np.array([counted(*(rosenbrock(s)[0], m, rosenbrock(s)[1], 1e-14)) for s in scales])
    for name, m in methods.items()
}
print(f"{'evaluations, s =':32}" + "".join(f"{s:8.0e}" for s in scales))
for name, numbers in found.items():
    print(f"{name:32}" + "".join(f"{n:8g}" for n in numbers[:, 1]))
for name in ("Newton, Armijo", "Newton, strong Wolfe", "trust region, diagonal metric"):
    assert len(set(found[name][:, 1])) == 1
ball = found["trust region"][:, 1]
assert ball.max() > 1.5 * ball.min()
unscaled = [found[name][2, 1] for name in list(methods)[:4]]
assert min(unscaled) >= 20
assert max(unscaled) <= 35

# %%
# The invariance is one of exact arithmetic, and of solvers that share it. An eigenbasis, the default, takes eigenvalues below the
# rounding error of the largest for zero; with :math:`s = 10^6` the Hessian has such ones. A Cholesky factorisation is scaled with the axes.

extreme, far = rosenbrock(1e6)
for solver in ("eigh", "cholesky"):
    method = gf.SecondOrder(curvature=newton, globalization=gf.curvature.Armijo(), solver=solver)
    steps, evaluations = counted(extreme, method, far, 1e-14)
    print(f"s = 1e6, Newton, Armijo, solver {solver}: {evaluations:g} evaluations")
    assert evaluations == (32 if solver == "cholesky" else np.inf)

# %%
# An ill-conditioned quadratic is no difficulty for either: one step of Newton's method, and as many as the first radius needs to grow.

rng = np.random.default_rng(0)
Q, _ = np.linalg.qr(rng.standard_normal((10, 10)))
for condition in (1e0, 1e4, 1e8, 1e12):
    A = (Q * np.logspace(0, -np.log10(condition), 10)) @ Q.T
    A, minimiser = (A + A.T) / 2, rng.standard_normal(10)
    quadratic = gf.FunctionProblem(
        lambda t, A=A, m=minimiser: (t - m) @ (A @ (t - m)) / 2,
        lambda t, A=A, m=minimiser: A @ (t - m),
        hvp=lambda t, v, A=A: A @ v,
    )
    search, region = (
        gf.solve(quadratic, methods[name], np.zeros(10), steps=50, stop=gf.Tolerance(gradient_relative=1e-10)).check()
        for name in ("Newton, Armijo", "trust region")
    )
    print(f"condition number {condition:.0e}: Newton, Armijo {search.steps} step, trust region {region.steps}")
    assert search.steps == 1
    assert region.steps <= 4

# %%
# Saddles
# -------
# The double well :math:`x^2/2 + y^4/4 - y^2/2` from (1, y): with y = 0 the gradient has no component along the negative curvature.

well = gf.FunctionProblem(
    lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2,
    lambda t: np.array([t[0], t[1] ** 3 - t[1]]),
    hvp=lambda t, v: np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]]),
)
heights = [1e-1, 1e-4, 1e-8, 1e-12, 1e-16, 0.0]
left_it = {
    name: np.array([counted(well, m, np.array([1.0, y]), -0.25 + 1e-12) for y in heights])
    for name, m in methods.items()
}
print(f"{'evaluations, y =':32}" + "".join(f"{y:8.0e}" for y in heights))
for name, numbers in left_it.items():
    print(f"{name:32}" + "".join(f"{n:8g}" for n in numbers[:, 1]))
assert np.isfinite(left_it["trust region"]).all()
for name in ("Newton, Armijo", "trust region, Steihaug", "L-BFGS"):
    assert np.isfinite(left_it[name][:-1]).all()
    assert np.isinf(left_it[name][-1, 0])

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
for i, name in enumerate(methods):
    style = {
        "color": COLOURS[i],
        "linestyle": DASHES[i],
        "marker": "os^Dvx"[i],
        "markersize": 5,
        "markerfacecolor": "none",
    }
    left.semilogx(scales, found[name][:, 1], label=name, **style)
    right.plot(range(6), left_it[name][:, 1], **style)
left.set(
    xlabel="unit s of the second coordinate", ylabel="evaluations of the energy", title="Rosenbrock", ylim=(0, None)
)
right.set(
    xlabel="y at the start",
    title="double well",
    xticks=range(6),
    xticklabels=[f"{y:g}" for y in heights],
    ylim=(0, None),
)
right.annotate(
    "only two\nleave", (5, 5), (4.2, 16), arrowprops={"arrowstyle": "-", "color": "#8c8c8c"}, color="#333333"
)
for axes in (left, right):
    axes.grid(alpha=0.25)
figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
