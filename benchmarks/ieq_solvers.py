"""Restarted IEQ with its whole linear system, with sweeps over blocks of parameters, and with sketches: one table.

    python benchmarks/ieq_solvers.py [--samples 1000] [--steps 50] [--seeds 5] [--threads 1]

A two-layer tanh network of 10 inputs and width 100 (P = 1200) is fitted to samples of Example 1, a fifth of which is put aside. For each solver and step
size: the energy at the end over that at the start, the median and in brackets the largest of the initial values; the share of
steps that raised the true energy; the least multiple tau; and the shortest time of a step in ms.
"""

import argparse
import time
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from threadpoolctl import threadpool_limits

import gradflow as gf
from gradflow import curvature as C

SOLVERS = {
    "whole system": "auto",
    "2 layers, Gauss-Seidel": C.BlockSweep("layer"),
    "2 layers, Jacobi": C.BlockSweep("layer", "jacobi"),
    "100 neurons, Gauss-Seidel": C.BlockSweep("neuron"),
    "100 neurons, Jacobi": C.BlockSweep("neuron", "jacobi"),
    "110 columns": C.ColumnSketch(110),
    "220 rows": C.RowSketch(220),
    "220 rows, of the gradient too": C.RowSketch(220, full_gradient=False),
}
SIZES = (1.0, 100.0, 10000.0)


@dataclass(frozen=True)
class Watched:
    """A solver that keeps the last multiple tau."""

    solver: object
    seen: list

    def direction(self, system):
        """Return the direction, and append its multiple for L = S = 0."""
        problem = system.problem
        if isinstance(self.solver, str):
            mass, P = problem.mass, system.theta.shape[0]
            step = C.damped_step(system.at, system.q, system.h, system.A, system.dt, mass=mass, n_parameters=P)
        else:
            step = self.solver.direction(system)
        bend = step.J_d @ step.J_d + problem.inner(step.d, step.d) / system.dt
        self.seen.append(-float(system.q @ step.J_d) / float(bend))
        return step


def run(problem, theta, solver, dt, steps):
    """Return the energies, the multiples and the times of the steps."""
    seen, times = [], []
    scheme = gf.Restart(gf.IEQ(solver=Watched(solver, seen)))
    state, energies = scheme.init(problem, theta), [float(problem.energy(theta))]
    for _ in range(steps):
        start = time.perf_counter()
        state = scheme.step(problem, state, dt)
        times.append(time.perf_counter() - start)
        energies.append(float(problem.energy(state.theta)))
    return energies, seen, times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--seeds", type=int, default=5, help="initial values")
    parser.add_argument("--threads", type=int, default=1, help="BLAS threads")
    args = parser.parse_args()
    data = gf.datasets.sin_cos(n_inputs=10, n_samples=args.samples, seed=0)
    net = gf.TwoLayerNet(10, 100, activation="tanh", scaling="ntk")
    problem = gf.Regression(net, data.x_train, data.y_train)
    print(f"N = {problem.n_samples}, P = {net.n_parameters}, {args.steps} steps, {args.seeds} initial values")
    print(f"{'':30} | " + " | ".join(f"{f'dt = {dt:g}: E_end/E_start, rises, tau, ms':43}" for dt in SIZES))
    with threadpool_limits(args.threads, user_api="blas"):
        for name, solver in SOLVERS.items():
            cells = []
            for dt in SIZES:
                runs = [run(problem, net.init(k, dtype="float64"), solver, dt, args.steps) for k in range(args.seeds)]
                ends = [E[-1] / E[0] for E, _, _ in runs]
                rises = sum(b > a for E, _, _ in runs for a, b in pairwise(E)) / (args.seeds * args.steps)
                least = min(min(seen) for _, seen, _ in runs)
                ms = 1e3 * min(t for _, _, times in runs for t in times)
                shown = f"{median(ends):7.1e} ({max(ends):7.1e}) {rises:5.0%} {least:6.3f} {ms:5.0f}"
                cells.append(f"{shown:43}")
            print(f"{name:30} | " + " | ".join(cells), flush=True)


if __name__ == "__main__":
    main()
