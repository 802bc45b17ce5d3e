"""What a step costs, in units of a gradient step: one run, ratios of medians.

    python benchmarks/steps.py [--dtype float32] [--batches 64 256 1024 8000] [--rounds 15] [--threads 1]

The network is that of Example 1 of Ma, Mao & Shen (2024): D = 40, width 1000, one output, relu, mean-field time scale.
Rows, each divided by the gradient step (theta - dt * gradient) but for the first:

* gradient / products: the gradient over its own four matrix products (X W, S a, S^T delta, X^T G) into ready arrays;
* SAV, ExpSAV, Relaxed(SAV), "chained" as `solve` runs it on the full batch, where a step starts from what the one before
  has evaluated, Restart(IEQ) with the closed-form Gram matrix or conjugate gradients (as ``auto`` chooses);
* IEQ, Gram matrix: Restart(IEQ) with the closed-form Gram matrix;
* IEQ explicit / closed: the same step with its Gram matrix formed from an explicit Jacobian.

The things compared take turns in shuffled order, so that a change of the machine's speed meets all of them.
"""

import argparse
import random
import time

import numpy as np
from threadpoolctl import threadpool_limits

import gradflow as gf
from gradflow.energies.dense import DenseLeastSquares

D, WIDTH, DT = 40, 1000, 0.2


def make_problem(batch: int, dtype: str):
    data = gf.datasets.sin_cos(D, max(10_000, batch * 5 // 4), seed=0, dtype=dtype)
    net = gf.TwoLayerNet(D, WIDTH)
    problem = gf.Regression(net, data.x_train[:batch], data.y_train[:batch], loss="relative")
    return problem, net.init(0, dtype=dtype)


def products(problem, theta):
    """Return a function that does the matrix products of one gradient and nothing else."""
    net = problem.net
    rng = np.random.default_rng(0)
    X = np.ones((problem.n_samples, D + 1), dtype=theta.dtype)
    X[:, :D] = problem.x
    W = theta[: (D + 1) * WIDTH].reshape(D + 1, WIDTH)
    a = theta[(D + 1) * WIDTH :].reshape(WIDTH, net.n_outputs)
    S = rng.standard_normal((problem.n_samples, WIDTH)).astype(theta.dtype)
    delta = rng.standard_normal((problem.n_samples, net.n_outputs)).astype(theta.dtype)
    Z, f, g = np.empty_like(S), np.empty_like(delta), np.empty_like(theta)
    g_W, g_a = g[: W.size].reshape(W.shape), g[W.size :].reshape(a.shape)

    def run():
        np.matmul(X, W, out=Z)
        np.matmul(S, a, out=f)
        np.matmul(S.T, delta, out=g_a)
        np.matmul(X.T, S, out=g_W)

    return run


def explicit_jacobian(problem):
    """Return the same residual with its Jacobian stored."""

    def residual(theta):
        return problem.linearize(theta).residual

    def jacobian(theta):
        return problem.linearize(theta).jacobian()

    return DenseLeastSquares(residual, jacobian, mass=problem.mass)


def medians(functions, rounds):
    """Return the median seconds of each function; they take turns in shuffled order, each round long enough to time."""
    repeats, samples = {}, {name: [] for name in functions}
    for name, f in functions.items():
        f()
        start = time.perf_counter()
        f()
        repeats[name] = max(1, int(0.02 / max(time.perf_counter() - start, 1e-6)))
    order = list(functions.items())
    for _ in range(rounds):
        random.shuffle(order)
        for name, f in order:
            start = time.perf_counter()
            for _ in range(repeats[name]):
                f()
            samples[name].append((time.perf_counter() - start) / repeats[name])
    return {name: float(np.median(s)) for name, s in samples.items()}


def step_of(scheme, problem, theta):
    state = scheme.init(problem, theta)
    return lambda: scheme.step(problem, state, DT)


def chained_step_of(scheme, problem, theta):
    state, at = scheme.step_evaluated(problem, scheme.init(problem, theta), DT, None)
    return lambda: scheme.step_evaluated(problem, state, DT, at)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float32", choices=["float32", "float64"])
    parser.add_argument("--batches", type=int, nargs="+", default=[64, 256, 1024, 8000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="BLAS threads; more than one makes ratios noisy")
    args = parser.parse_args()
    with threadpool_limits(args.threads, user_api="blas"):
        compare(args)


def compare(args: argparse.Namespace) -> None:
    print(
        f"D = {D}, width {WIDTH}, {args.dtype}, numpy {np.__version__}, {args.threads} BLAS threads; "
        f"medians of {args.rounds} rounds"
    )
    print(f"{'':<26}" + "".join(f"{'B = ' + str(b):>12}" for b in args.batches))
    table: dict[str, list[str]] = {}
    for batch in args.batches:
        problem, theta = make_problem(batch, args.dtype)
        functions = {
            "products": products(problem, theta),
            "gradient": lambda p=problem, t=theta: p.nonlinear_energy_and_gradient(t),
            "gradient step": step_of(gf.GradientDescent(), problem, theta),
            "SAV": step_of(gf.SAV(), problem, theta),
            "ExpSAV": step_of(gf.ExpSAV(), problem, theta),
            "Relaxed(SAV)": step_of(gf.Relaxed(gf.SAV()), problem, theta),
            "Relaxed(SAV), chained": chained_step_of(gf.Relaxed(gf.SAV()), problem, theta),
            "Restart(IEQ)": step_of(gf.Restart(gf.IEQ()), problem, theta),
        }
        if batch <= 1024:  # 8000 x 42000 entries do not fit
            functions["IEQ, Gram matrix"] = step_of(gf.Restart(gf.IEQ(solver="gram")), problem, theta)
            functions["IEQ explicit"] = step_of(gf.Restart(gf.IEQ(solver="gram")), explicit_jacobian(problem), theta)
        seconds = medians(functions, args.rounds if batch < 2000 else max(3, args.rounds // 5))
        base = seconds["gradient step"]
        rows = {
            "gradient step, ms": f"{1e3 * base:.3f}",
            "gradient / products": f"{seconds['gradient'] / seconds['products']:.2f}",
            **{
                name: f"{seconds[name] / base:.2f}"
                for name in ("SAV", "ExpSAV", "Relaxed(SAV)", "Relaxed(SAV), chained", "Restart(IEQ)")
            },
            "IEQ, Gram matrix": f"{seconds['IEQ, Gram matrix'] / base:.2f}" if batch <= 1024 else "-",
            "IEQ explicit / closed": f"{seconds['IEQ explicit'] / seconds['IEQ, Gram matrix']:.1f}"
            if batch <= 1024
            else "-",
        }
        for name, value in rows.items():
            table.setdefault(name, []).append(value)
    for name, values in table.items():
        print(f"{name:<26}" + "".join(f"{v:>12}" for v in values))


if __name__ == "__main__":
    main()
