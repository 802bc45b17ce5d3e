r"""
Exercise 1.4: when to leave Gauss-Newton
========================================

The exercise asks for a method that switches between Newton, Gauss-Newton and natural gradient by itself, and suggests condition
numbers, rates of change of the gradient and moving averages as indicators.

The open part of the question is smaller than it looks, and what remains of it has an answer.

* For outputs that are natural parameters, the Fisher matrix *is* the generalised Gauss-Newton matrix
  (:doc:`/theory/curvature`). Between these two there is nothing to switch.
* For least squares the Hessian is :math:`J^TJ + S` with :math:`S = \sum_i q_i q_i''`. After a full Gauss-Newton step d the gradient is,
  to first order,

  .. math:: g + (J^TJ + S)\,d = S d, \qquad \text{so that} \qquad \frac{|Sd|}{|J^TJd|} = \frac{|Sd|}{|g|}

  predicts the factor by which the step reduces it: the ratio costs one product with the Hessian. Near a minimum
  Gauss-Newton converges linearly with the spectral radius of :math:`(J^TJ)^{-1}S`, and not at all if that exceeds one.

The vector matters: with the gradient in the place of d, the ratio is dominated by the large eigenvalues of :math:`J^TJ`.
A threshold remains a matter of taste. The trust region, which takes any Hessian, makes a wrong choice harmless.
The other exercises are listed in :doc:`/guide/second_order_exercises`.
"""

# sphinx_gallery_thumbnail_number = 1
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

# %%
# The factor
# ----------
# The residuals :math:`e^{x t_i} - y_i` for t = 1, 2, 3, and y = (2, 4, c) (:cite:t:`DennisSchnabel1983`, section 10.2). With c = 8 the
# residual at the minimum is zero; the smaller c, the larger the residual.

t = np.array([1.0, 2.0, 3.0])


class Fit(gf.DenseLeastSquares):
    """A residual and its Jacobian, with the Hessian from the complex step."""

    def __init__(self, q, J):
        self.q, self.J = q, J
        super().__init__(q, J)

    def nonlinear_hvp(self, theta, v):
        """Return the derivative of J^T q along v."""
        z = theta + 1e-30j * v
        return (self.J(z).T @ self.q(z)).imag / 1e-30


def exponential(c):
    """Return the problem."""
    y = np.array([2.0, 4.0, c])
    return Fit(lambda x: np.exp(x[0] * t) - y, lambda x: (t * np.exp(x[0] * t))[:, None])


def ratio_along_step(problem, theta):
    """Return |S d| / |J^T J d| for the Gauss-Newton step d."""
    model = gf.curvature.GaussNewton().at(problem, theta)
    R, r = model.root()
    d = -np.linalg.lstsq(R, r)[0]
    size = np.linalg.norm(model.apply(d))
    return np.linalg.norm(problem.hvp(theta, d) - model.apply(d)) / size if size > 0 else 0.0


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4.2), layout="constrained")
for number, c in enumerate((8.0, 3.0, -1.0, -4.0, -8.0)):
    problem = exponential(c)
    minimum = gf.solve(problem, gf.TrustRegion(), np.array([0.5]), steps=50, stop=gf.Tolerance(gradient=1e-13)).theta
    distance = [("distance", lambda state, x=minimum: abs(state.theta[0] - x[0]))]
    error = gf.solve(problem, gf.GaussNewton(), minimum + 0.02, steps=40, record=distance).history["distance"]
    near = gf.solve(problem, gf.GaussNewton(), minimum + 1e-5, steps=1, record=distance).history["distance"]
    ratio, factor = ratio_along_step(problem, minimum + 1e-5), near[1] / near[0]
    converged = error[-1] < 1e-8
    words = "converges" if converged else "does not converge"
    print(f"c = {c:4g}: minimum {minimum[0]:8.5f}, ratio {ratio:.3f}, observed factor {factor:.3f}, {words}")
    assert abs(ratio - factor) < 1e-3 * (1 + ratio)
    assert converged == (ratio < 1)
    left.semilogy(np.maximum(error, 1e-16), color=COLOURS[number], linestyle=DASHES[number], label=f"c = {c:g}")
    right.plot(
        ratio, factor, "os^Dv"[number], color=COLOURS[number], markersize=8, markerfacecolor="none", label=f"c = {c:g}"
    )
right.plot([0, 7], [0, 7], color="#8c8c8c", linewidth=1, label="equal")
left.set(xlabel="step", ylabel="distance to the minimum")
right.set(xlabel=r"$|Sd|\,/\,|J^TJd|$", ylabel="observed factor of a step")
for axes in (left, right):
    axes.grid(alpha=0.25)
    axes.legend()

# %%
# A switch in ten lines
# ---------------------
# A curvature is an object with a method `at`. The problems are those of the collection of Moré, Garbow and Hillstrom, from their standard
# starts. At the second minimum of Freudenstein and Roth, and at that of Brown and Dennis, the residual is not zero; there
# Gauss-Newton is slow, and the switch takes the Hessian.


@dataclass(frozen=True)
class Switch:
    """The Hessian where the ratio exceeds a threshold, and the Gauss-Newton matrix elsewhere."""

    threshold: float = 0.5

    def at(self, problem, theta):
        """Return the model."""
        hessian = ratio_along_step(problem, theta) > self.threshold
        return (gf.curvature.Hessian() if hessian else gf.curvature.GaussNewton()).at(problem, theta)


i = np.arange(1, 21) / 5
problems = {
    "Rosenbrock": (
        Fit(
            lambda x: np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]]),
            lambda x: np.array([[-20 * x[0], 10 + 0 * x[0]], [-1 + 0 * x[0], 0 * x[0]]]),
        ),
        np.array([-1.2, 1.0]),
    ),
    "Freudenstein and Roth": (
        Fit(
            lambda x: np.array([
                -13 + x[0] + ((5 - x[1]) * x[1] - 2) * x[1], -29 + x[0] + ((x[1] + 1) * x[1] - 14) * x[1],
            ]),
            lambda x: np.array([[1 + 0 * x[0], 10 * x[1] - 3 * x[1] ** 2 - 2], [1 + 0 * x[0], 3 * x[1] ** 2 + 2 * x[1] - 14]]),
        ),
        np.array([0.5, -2.0]),
    ),
    "Brown and Dennis": (
        Fit(
            lambda x: (x[0] + i * x[1] - np.exp(i)) ** 2 + (x[2] + x[3] * np.sin(i) - np.cos(i)) ** 2,
            lambda x: np.stack([
                2 * (x[0] + i * x[1] - np.exp(i)), 2 * i * (x[0] + i * x[1] - np.exp(i)),
                2 * (x[2] + x[3] * np.sin(i) - np.cos(i)), 2 * np.sin(i) * (x[2] + x[3] * np.sin(i) - np.cos(i)),
            ], axis=1),
        ),
        np.array([25.0, 5.0, -5.0, -1.0]),
    ),
}  # fmt: skip
choices = {"Gauss-Newton": gf.curvature.GaussNewton(), "Newton": gf.curvature.Hessian(), "switch": Switch()}
figure, panels = plt.subplots(1, 3, figsize=(10, 3.9), layout="constrained", sharey=True)
trials = {}
for axes, (title, (problem, theta0)) in zip(panels, problems.items(), strict=True):
    for k, (name, curvature) in enumerate(choices.items()):
        run = gf.solve(
            problem, gf.TrustRegion(curvature=curvature), theta0, steps=200, record=["gradient_norm"],
            stop=gf.Tolerance(gradient_relative=1e-9),
        )  # fmt: skip
        trials[title, name] = run.check().steps
        print(f"{title:22} {name:13} {run.steps:3} trials, {run.rejected} of them rejected")
        size = run.history["gradient_norm"]
        axes.semilogy(np.maximum(size / size[0], 1e-14), color=COLOURS[k], linestyle=DASHES[k], marker="os^"[k],
                      markersize=(3, 7, 4)[k], markerfacecolor="none", label=name)  # fmt: skip
    axes.set(xlabel="trial", title=title)
    axes.grid(alpha=0.25)
    assert trials[title, "switch"] <= min(trials[title, "Gauss-Newton"], trials[title, "Newton"])
panels[0].set_ylabel("gradient, relative to the first")
panels[0].legend()
assert trials["Freudenstein and Roth", "Gauss-Newton"] > 5 * trials["Freudenstein and Roth", "switch"]

# %%
# The vector of the ratio
# -----------------------
# Near the minimum of Brown and Dennis' problem, at a distance of 0.01 in random directions, Gauss-Newton without safeguard does not converge.
# The ratio along its step says so. That along the gradient does not.

problem, theta0 = problems["Brown and Dennis"]
minimum = gf.solve(problem, gf.TrustRegion(), theta0, steps=50, stop=gf.Tolerance(gradient_relative=1e-12)).theta
model = gf.curvature.GaussNewton().at(problem, minimum)
S = gf.curvature.Hessian().at(problem, minimum).matrix() - model.matrix()
radius = np.abs(np.linalg.eigvals(np.linalg.solve(model.matrix(), S))).max()
rng, along_step, along_gradient = np.random.default_rng(0), [], []
for _ in range(20):
    theta = minimum + 0.01 * rng.standard_normal(4) / 2
    model = gf.curvature.GaussNewton().at(problem, theta)
    g = model.gradient
    along_step.append(float(ratio_along_step(problem, theta)))
    along_gradient.append(
        float(np.linalg.norm(problem.hvp(theta, g) - model.apply(g)) / np.linalg.norm(model.apply(g)))
    )
print(f"spectral radius of (J^T J)^-1 S at the minimum: {radius:.2f}")
print(f"ratio along the step: {min(along_step):.2f} to {max(along_step):.2f}")
print(f"ratio along the gradient: {min(along_gradient):.2f} to {max(along_gradient):.2f}")
assert min(along_step) > 1 > max(along_gradient)
