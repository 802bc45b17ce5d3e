"""Smooth energies with every derivative, for any array library, and the reference solution of their gradient flow."""

import numpy as np
from scipy.integrate import solve_ivp

from gradflow.energies.dense import DenseLeastSquares
from gradflow.energies.function import FunctionProblem
from gradflow.energies.linear import Diagonal

SPLITS = {
    "plain": ("none", "euclidean"),
    "energy-part": ("diagonal", "euclidean"),
    "mass": ("none", "diagonal"),
    "energy-part-and-mass": ("diagonal", "diagonal"),
    "scalars": ("shift", "mean_field"),
}
"""Name -> (linear, mass) for `smooth_problem`."""


class SmoothLeastSquares(DenseLeastSquares):
    """q(theta) = sin(J theta) - b, with the second derivatives that `DenseLeastSquares` lacks."""

    def __init__(self, xp, J, b, *, linear, mass):
        super().__init__(lambda t: xp.sin(J @ t) - b, lambda t: xp.cos(J @ t)[:, None] * J, linear=linear, mass=mass)
        self._xp, self._J, self._b = xp, J, b

    def nonlinear_hvp(self, theta, v):
        xp, z = self._xp, self._J @ theta
        s, c = xp.sin(z), xp.cos(z)
        return (self._J.T @ ((c * c - s * (s - self._b)) * (self._J @ v))) / self.mass


def smooth_problem(split="plain", *, xp=np, dtype="float64", P=4, N=6, seed=0, scale=0.5):
    """Return a `SmoothLeastSquares` and a theta; `xp` and `dtype` decide on the arrays, the numbers stay the same."""
    linear, mass = SPLITS[split]
    rng = np.random.default_rng(seed)

    def array(values):
        return xp.asarray(np.asarray(values, dtype=dtype))

    J, b = array(scale * rng.standard_normal((N, P))), array(rng.standard_normal(N))
    L = {"none": 0.0, "shift": 0.5, "diagonal": Diagonal(array(rng.uniform(0, 1, P)))}[linear]
    M = {"euclidean": None, "mean_field": 0.5, "diagonal": array(rng.uniform(0.3, 2, P))}[mass]
    problem = SmoothLeastSquares(xp, J, b, linear=L, mass=M)
    return problem, array(rng.standard_normal(P))


def as_function_problem(problem):
    """Return the same energy as a `FunctionProblem`, without its residual."""
    return FunctionProblem(
        problem.nonlinear_energy,
        lambda t: problem.nonlinear_energy_and_gradient(t)[1],
        problem.nonlinear_hvp,
        linear=problem.linear,
        mass=problem.mass,
    )


def double_well(*, dtype=np.float64, mass=None, height=1.0):
    """Return E = height * sum((theta^2 - 1)^2) / 4, nonconvex, with 3^P stationary points."""
    m = 1.0 if mass is None else mass
    return FunctionProblem(
        lambda t: height * ((t * t - 1) @ (t * t - 1)) / 4,
        lambda t: height * (t * (t * t - 1)) / m,
        lambda t, v: height * ((3 * t * t - 1) * v) / m,
        mass=mass,
    )


def follow(velocity, start, T):
    """Return y(T) of y' = velocity(t, y), y(0) = start, to some 12 digits."""
    found = solve_ivp(velocity, (0.0, T), start, method="DOP853", rtol=1e-12, atol=1e-14)
    assert found.success
    return found.y[:, -1]


def flow(problem, theta, T, speed=1.0):
    """Return theta(T) of theta' = -speed grad E."""
    return follow(lambda t, y: -speed * problem.energy_and_gradient(y)[1], theta, T)


def run(scheme, problem, theta, dt, n):
    """Return the state after n steps."""
    state = scheme.init(problem, theta)
    for _ in range(n):
        state = scheme.step(problem, state, dt)
    return state


def observed_order(scheme, problem, theta, T, reference, *, steps=(160, 320), value=lambda state: state.theta):
    """Return log2 of the ratio of the errors at time T with the two numbers of steps, one twice the other."""
    errors = [np.linalg.norm(value(run(scheme, problem, theta, T / n, n)) - reference) for n in steps]
    return np.log2(errors[0] / errors[1]) / np.log2(steps[1] / steps[0])
