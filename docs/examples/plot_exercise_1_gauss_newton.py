r"""
Exercise 1.1: one Gauss-Newton step
===================================

Claim: for linear regression, :math:`E = |Xw - y|^2/2`, the Gauss-Newton method reaches the global minimum in one step, as its
matrix :math:`X^TX` is the Hessian.

True for the undamped full step. Two conditions belong to the sentence.

* *Without damping, and with* :math:`\Delta t = 1`. A step multiplies the component of the gradient in an eigenspace
  :math:`\mu` of :math:`X^TX` by

  .. math:: 1 - \Delta t\,\frac{\mu}{\mu + \lambda}.

  With damping, the small eigenvalues converge slowly; with a shorter step, all of them do.
* *A global minimum* need not be *the* minimum. If X is rank-deficient, the step of :py:obj:`gradflow.GaussNewton` ends at the
  minimiser that is nearest to its start.

The exercises are listed in :doc:`/guide/second_order_exercises`.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

rng = np.random.default_rng(0)
N, P = 40, 8
U, _ = np.linalg.qr(rng.standard_normal((N, P)))
V, _ = np.linalg.qr(rng.standard_normal((P, P)))
sigma = np.logspace(0, -2, P)
y, w0 = rng.standard_normal(N), rng.standard_normal(P)


def regression(sigma):
    """Return the problem whose X has these singular values, and X."""
    X = (U * sigma) @ V.T
    return gf.DenseLeastSquares(lambda w: X @ w - y, lambda w: X), X


problem, X = regression(sigma)

# %%
# One step
# --------

best = np.linalg.lstsq(X, y)[0]
step = gf.solve(problem, gf.GaussNewton(), w0, steps=1)
error = np.linalg.norm(step.theta - best) / np.linalg.norm(best)
print(f"full rank: error after one step {error:.1e}")
assert error < 1e-12

# %%
# Rank deficient: three singular values are zero. Two starts end at two minimisers, each the nearest to its start, with one energy.

flat, X_flat = regression(np.where(np.arange(P) < P - 3, sigma, 0.0))
ends = []
for start in (w0, -w0):
    end = gf.solve(flat, gf.GaussNewton(), start, steps=1).theta
    nearest = start + np.linalg.lstsq(X_flat, y - X_flat @ start)[0]
    assert np.linalg.norm(end - nearest) < 1e-12 * np.linalg.norm(nearest)
    ends.append(end)
apart = np.linalg.norm(ends[0] - ends[1])
energies = [float(flat.energy(end)) for end in ends]
print(
    f"rank deficient: the minimisers are {apart:.2f} apart, their energies differ by {abs(energies[0] - energies[1]):.0e}"
)
assert apart > 1
assert abs(energies[0] - energies[1]) < 1e-13 * energies[0]

# %%
# Damping, or a shorter step
# --------------------------
# The gradient over ten steps. The points are what the factor above predicts; where it predicts zero, the line shows rounding errors.

runs = {
    "no damping": (0.0, 1.0),
    r"$\lambda = 10^{-4}$": (1e-4, 1.0),
    r"$\lambda = 10^{-2}$": (1e-2, 1.0),
    r"$\lambda = 1$": (1.0, 1.0),
    r"no damping, $\Delta t = 1/2$": (0.0, 0.5),
}
g0 = V.T @ problem.energy_and_gradient(w0)[1]
steps = np.arange(11)
figure, axes = plt.subplots(figsize=(7, 4.4), layout="constrained")
for i, (name, (damping, dt)) in enumerate(runs.items()):
    run = gf.solve(problem, gf.GaussNewton(damping=damping), w0, dt=dt, steps=10, record=["gradient_norm"])
    factor = 1 - dt * sigma**2 / (sigma**2 + damping)
    predicted = np.linalg.norm(g0 * factor ** steps[:, None], axis=1)
    measured = run.history["gradient_norm"]
    assert np.allclose(measured, predicted, rtol=1e-6, atol=1e-13 * measured[0])
    axes.semilogy(steps, np.maximum(measured, 1e-17), color=COLOURS[i], linestyle=DASHES[i], label=name)
    axes.semilogy(
        steps[predicted > 0], predicted[predicted > 0], "o", color=COLOURS[i], markersize=4, markerfacecolor="none"
    )
    print(f"lambda = {damping:g}, dt = {dt:g}: gradient {measured[1]:.1e} after one step, {measured[-1]:.1e} after ten")
axes.set(xlabel="step", ylabel=r"$|\nabla E|$")
axes.grid(alpha=0.25)
figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, frameon=False)
