r"""
Iterates and modified flows
===========================

A step of a scheme is to first order one of the gradient flow :math:`\theta' = -\nabla E(\theta)`. Its modified equation has further
terms in the step size :math:`\Delta t`, and its flow stays closer to the iterates (:cite:p:`HairerLubichWanner2006`, chapter IX).
In the first figure two residuals of two parameters have a narrow valley. The iterates of gradient descent and of restarted IEQ, a
Levenberg-Marquardt step, lie on different sides of the gradient flow, since their terms of first order have different signs
across the valley; each follows its own modified flow. In the second figure, for a small tanh network, each further term adds one to the slope.
"""

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.backward_error import modified_field, modified_flow, order_table
from gradflow.plotting import COLOURS, DASHES

# %%
# Two parameters
# --------------
# The modified field of order 3 needs the third derivative of the energy; for IEQ also the second derivatives of the residual, which
# are found by differences.


A = np.diag([0.0, 2 / 3])  # the second derivative of the first residual


def residual(t):
    """Return q, (2,)."""
    return np.array([t[0] + t[1] ** 2 / 3, 2.5 * t[1]])


def jacobian(t):
    """Return J, (2, 2)."""
    return np.array([[1.0, 2 / 3 * t[1]], [0.0, 2.5]])


def hvp(t, v):
    """Return H v, (2,)."""
    return jacobian(t).T @ jacobian(t) @ v + residual(t)[0] * (A @ v)


def third_derivative(t, u, v):
    """Return D^3 E[u, v], (2,)."""
    J = jacobian(t)
    return (u @ A @ v) * J[0] + (J @ v)[0] * (A @ u) + (J @ u)[0] * (A @ v)


valley = gf.DenseLeastSquares(residual, jacobian, hvp=hvp, third_derivative=third_derivative)
theta, dt, steps = np.array([1.6, 1.5]), 0.07, 12
schemes = {"gradient descent": gf.GradientDescent(), "restarted IEQ": gf.Restart(gf.IEQ())}
times = np.linspace(0, dt * steps, 100)

figure, axes = plt.subplots(figsize=(6, 4.4), layout="constrained")
axes.plot(*modified_flow(valley, {"o": 1}, dt, order=1)(theta, times).T, color="#666666", label="gradient flow")
for (name, scheme), colour in zip(schemes.items(), COLOURS, strict=False):
    states = [scheme.init(valley, theta)]
    for _ in range(steps):
        states.append(scheme.step(valley, states[-1], dt))
    axes.plot(
        *np.transpose([state.theta for state in states]),
        "o",
        color=colour,
        markersize=5,
        markerfacecolor="none",
        label=name,
    )
    for order in (2, 3):
        flow = modified_flow(valley, scheme, dt, order, missing="differences")(theta, times)
        axes.plot(*flow.T, color=colour, linestyle=DASHES[3 - order], label=f"its modified flow, {order} terms")
axes.set(xlabel=r"$\theta_1$", ylabel=r"$\theta_2$")
axes.legend(fontsize=8, loc="upper left")

# %%
# A network
# ---------
# The derivatives of the network are coded by hand. The heavy ball starts on its slow manifold, the momentum that belongs to the
# modified flow; from rest its distance would be of first order, whatever the number of terms.

rng = np.random.default_rng(1)
x = rng.uniform(-1, 1, (20, 2))
net = gf.TwoLayerNet(n_inputs=2, width=5, activation="tanh")
problem, T = gf.Regression(net, x, np.sin(3 * x[:, 0]) + x[:, 1]), 0.5
schemes = {
    "GradientDescent": gf.GradientDescent(),
    "HeavyBall, 0.5": gf.HeavyBall(momentum=0.5),
    "Restart(SAV)": gf.Restart(gf.SAV()),
    "RungeKutta4": gf.RungeKutta4(),
}
figure, panels = plt.subplots(1, 4, figsize=(9, 3.4), layout="constrained", sharey=True)
for axes, (name, scheme) in zip(panels, schemes.items(), strict=True):
    dts = T / np.array([5, 10, 20, 40])
    table = order_table(problem, scheme, net.init(1), dts, T, field=modified_field(scheme, 3))
    print(f"{name}\n{table}\n")
    for k, (errors, colour, dashes, marker) in enumerate(zip(table.errors, COLOURS, DASHES, "os^", strict=False), 1):
        axes.loglog(
            dts,
            errors,
            color=colour,
            linestyle=dashes,
            marker=marker,
            markerfacecolor="none",
            label=f"{k} term{'s' * (k > 1)}",
        )
    axes.set(title=name, xlabel=r"$\Delta t$")
    axes.xaxis.set_minor_formatter("")
    axes.grid(alpha=0.25)
panels[0].set_ylabel("distance at T = 1/2")
panels[0].legend(fontsize=8)
