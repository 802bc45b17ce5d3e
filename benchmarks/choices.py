"""The ratios behind the constants and choices of the library, each against what it was chosen over, in one run.

    python benchmarks/choices.py [blocks solvers damped regions memory batches start] [--rounds 9] [--threads 1]

* blocks: a gradient with blocks of 32, 64, 128 samples over one with blocks of 16, for wide networks (BLOCK_ROWS);
* solvers: a step of Restart(IEQ) by conjugate gradients over one by the Gram matrix, with what "auto" takes (iteration_bound);
* damped: a step of FixedDamping by "cholesky" and "auto" over one by the eigenbasis that other globalisations take (direct);
* regions: a step of the default LevenbergMarquardt by "auto" over one by the eigenbasis;
* memory: the peak of a step in arrays, in units of the matrix (N, N) or (P, P);
* batches: `batches` of an order over `batch` of each of its runs, and over a step of SAV;
* start: `solve` with no steps, with the thread pools of BLAS found once over finding them each time.

The things compared take turns in shuffled order. Times are medians.
"""

import argparse
import tracemalloc
from copy import copy

import numpy as np
from steps import make_problem, medians
from threadpoolctl import threadpool_limits

import gradflow as gf
from gradflow.curvature import damped_step
from gradflow.curvature.choice import choose_form
from gradflow.curvature.iteration_bound import iteration_bound
from gradflow.energies.dense import DenseLinearization
from gradflow.energies.linear import Zero
from gradflow.namespace import _blas_pools

rng = np.random.default_rng(0)


def blocks(rounds: int) -> None:
    print("gradient, N = 512, D = 40: time over that with blocks of 16 samples")
    for dtype in ("float32", "float64"):
        for width in (4000, 16000, 64000):
            x = rng.standard_normal((512, 40)).astype(dtype)
            net = gf.TwoLayerNet(40, width)
            problem, theta = gf.Regression(net, x, x[:, :1].copy()), net.init(0, dtype=dtype)
            functions = {}
            for rows in (16, 32, 64, 128):
                part = copy(problem)
                part._block = rows
                functions[rows] = lambda p=part, t=theta: p.nonlinear_energy_and_gradient(t)
            seconds = medians(functions, rounds)
            shown = ", ".join(f"{rows}: {seconds[rows] / seconds[16]:.2f}" for rows in (32, 64, 128))
            print(f"  {dtype}, width {width:6}: {shown}")


class Counted:
    """A linearisation that counts its products."""

    def __init__(self, at):
        self.at, self.products = at, 0

    def jvp(self, d):
        self.products += 1
        return self.at.jvp(d)

    def __getattr__(self, name):
        return getattr(self.at, name)


def solvers(rounds: int) -> None:
    print(
        "Restart(IEQ) on Example 1: conjugate gradients over the Gram matrix; both over the gradient step; * is what auto takes"
    )
    print(
        f"  {'dtype':8} {'N':>5} {'dt':>6} {'t':>8} {'iterations':>10} {'bound':>6} {'cg/gram':>8} {'gram':>7} {'cg':>7} {'auto':>7}"
    )
    for dtype in ("float32", "float64"):
        tol = 1e-6 if dtype == "float32" else 1e-12
        for batch in (256, 512, 1024, 2048):
            problem, theta = make_problem(batch, dtype)
            at = problem.linearize(theta)
            for dt in (0.02, 0.2, 1.0, 10.0):
                functions = {"gradient": step(gf.GradientDescent(), problem, theta, dt)}
                for solver in ("gram", "cg", "auto"):
                    functions[solver] = step(gf.Restart(gf.IEQ(solver=solver)), problem, theta, dt)
                seconds = medians(functions, max(3, rounds // 2))
                counted, t = Counted(at), dt * float(at.gram_trace())
                settings = {"mass": problem.mass, "n_parameters": theta.shape[0]}
                damped_step(counted, at.residual, None, Zero(), dt, solver="cg", **settings)
                count = counted.products - 1
                counted.gram = lambda: called.append(1) or at.gram()  # noqa: B023
                called: list[int] = []
                damped_step(counted, at.residual, None, Zero(), dt, **settings)
                base = seconds["gradient"]
                print(
                    f"  {dtype:8} {batch:5} {dt:6g} {t:8.3g} {count:10} {iteration_bound(t, tol):6.0f} "
                    f"{seconds['cg'] / seconds['gram']:6.2f} {' ' if called else '*'} "
                    + " ".join(f"{seconds[s] / base:7.1f}" for s in ("gram", "cg", "auto")),
                    flush=True,
                )


def damped(rounds: int) -> None:
    print("a step of FixedDamping, float64, 12 inputs: milliseconds by the eigenbasis; time of others over it")
    for name, metric in (("identity", gf.curvature.Identity()), ("diagonal", gf.curvature.CurvatureDiagonal())):
        for N, width in ((50, 20), (100, 40), (200, 60), (600, 100), (1000, 600)):
            x = rng.standard_normal((N, 12))
            net = gf.TwoLayerNet(12, width, activation="tanh", scaling="ntk")
            problem, theta = gf.Regression(net, x, np.sin(x[:, :1])), net.init(0)
            model = gf.curvature.GaussNewton().at(problem, theta)
            eigenbasis = choose_form(model, metric.weights(model, theta) if name == "diagonal" else None)
            fixed = {"metric": metric, "globalization": gf.curvature.FixedDamping(0.1)}
            functions = {
                solver: step(gf.SecondOrder(solver=solver, **fixed), problem, theta, 1.0)
                for solver in (eigenbasis, "cholesky", "auto")
            }
            seconds = medians(functions, max(3, rounds // 2))
            base = seconds[eigenbasis]
            print(
                f"  {name} N = {N:5} P = {theta.shape[0]:5} {eigenbasis:8} {1e3 * base:8.2f} "
                f"cholesky {seconds['cholesky'] / base:5.2f} auto {seconds['auto'] / base:5.2f}",
                flush=True,
            )


def regions(rounds: int) -> None:
    print(
        "a trust-region step in the metric of More, float64, 12 inputs: milliseconds by the eigenbasis; time of auto over it"
    )
    for N, width, weight_decay in ((200, 60, 0.0), (600, 100, 0.0), (1000, 600, 0.0), (100, 100, 1e-3)):
        x = rng.standard_normal((N, 12))
        net = gf.TwoLayerNet(12, width, activation="tanh", scaling="ntk")
        problem, theta = gf.Regression(net, x, np.sin(x[:, :1]), weight_decay=weight_decay), net.init(0)
        model = gf.curvature.GaussNewton().at(problem, theta)
        eigenbasis = choose_form(model, gf.curvature.CurvatureDiagonal().weights(model, 0 * theta))
        for radius in (0.01, 1.0):
            region = {
                "globalization": gf.curvature.TrustRegion(radius=radius),
                "metric": gf.curvature.CurvatureDiagonal(),
            }
            functions = {s: step(gf.SecondOrder(solver=s, **region), problem, theta, 1.0) for s in (eigenbasis, "auto")}
            seconds = medians(functions, max(3, rounds // 2))
            print(
                f"  N = {N:5} P = {theta.shape[0]:5} L = {weight_decay:g} radius {radius:5} {eigenbasis:8} "
                f"{1e3 * seconds[eigenbasis]:8.2f} auto {seconds['auto'] / seconds[eigenbasis]:5.2f}",
                flush=True,
            )


def step(scheme, problem, theta, dt):
    state = scheme.init(problem, theta)
    return lambda: scheme.step(problem, state, dt)


def memory(rounds: int) -> None:
    del rounds
    print("peak of arrays made by damped_step, over the matrix of its side")
    for name, shape, solver in (("gram", (1500, 1600), "gram"), ("parameter", (1700, 1500), "parameter")):
        J = rng.standard_normal(shape)
        at, side = DenseLinearization(J[:, 0].copy(), J), min(shape)
        settings = {"mass": 1.0, "n_parameters": shape[1], "solver": solver}
        damped_step(at, at.residual, None, Zero(), 0.1, **settings)
        tracemalloc.start()
        damped_step(at, at.residual, None, Zero(), 0.1, **settings)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        print(f"  {name:9} (N, P) = {shape}: {peak / 8 / side**2:.2f}")


def batches(rounds: int) -> None:
    print("100 batches of 64 samples, D = 2")
    for width in (20, 100, 1000):
        x = rng.standard_normal((6400, 2)).astype("float32")
        net = gf.TwoLayerNet(2, width)
        problem, theta = gf.Regression(net, x, x[:, :1].copy()), net.init(0, dtype="float32")
        order = rng.permutation(6400)
        one = problem.batch(order[:64])
        sav = step(gf.SAV(), one, theta, 0.1)
        seconds = medians(
            {
                "checked once": lambda p=problem, o=order: list(p.batches(o, 64)),
                "checked each": lambda p=problem, o=order: [p.batch(o[i : i + 64]) for i in range(0, 6400, 64)],
                "step": sav,
            },
            rounds,
        )
        once, each, one_step = seconds["checked once"] / 100, seconds["checked each"] / 100, seconds["step"]
        print(
            f"  width {width:4}: checked once / each time {once / each:.2f}; "
            f"batch and step {(one_step + once) / (one_step + each):.2f}; the check is {(each - once) / (one_step + each):.0%}"
        )


def start(rounds: int) -> None:
    x = rng.standard_normal((20, 2))
    net = gf.TwoLayerNet(2, 20)
    problem, theta = gf.Regression(net, x, x[:, :1].copy()), net.init(0)

    def run():
        return gf.solve(problem, gf.SAV(), theta, dt=0.1, steps=0)

    def run_anew():
        _blas_pools.cache_clear()
        return run()

    seconds = medians({"once": run, "each": run_anew}, rounds)
    print(f"solve with no steps: pools found once / each time {seconds['once'] / seconds['each']:.2f}")


def main() -> None:
    parts = {f.__name__: f for f in (blocks, solvers, damped, regions, memory, batches, start)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(parts)}; all when left out")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="BLAS threads; more than one makes ratios noisy")
    args = parser.parse_args()
    if not set(args.parts) <= set(parts):
        parser.error(f"parts must be among {', '.join(parts)}")
    print(f"numpy {np.__version__}, {args.threads} BLAS threads; medians of {args.rounds} rounds")
    for name in args.parts or parts:
        with threadpool_limits(args.threads, user_api="blas"):
            parts[name](args.rounds)


if __name__ == "__main__":
    main()
