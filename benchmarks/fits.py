"""Levenberg-Marquardt against SciPy's least_squares (lm, trf) and optimistix: evaluations and time in one run.

    python benchmarks/fits.py [--rounds 7] [--threads 1] [--each] [--data FOLDER] [--dampings]

The problems are those of NIST (both starts; the files of ``nist_strd`` in GRADFLOW_DATA_DIR or FOLDER) and those of More,
Garbow and Hillstrom (the standard start), from the test suite. All methods are given the same residual and Jacobian, by the
complex step, and stop at a relative step of 1e-9; SciPy's other tolerances are 1e-14, optimistix has rtol = 1e-9 and atol =
1e-12. A problem counts as solved if twice the energy is the known one to 1e-6, or 1e-12 where that is zero.

Evaluations are of the residual, those for the Jacobian excepted, and of the Jacobian. A ratio is that of a method over
gradflow on one problem; the table has quartiles over the problems that both solve. The times of a problem are medians of
processor time over rounds in which the methods take turns in shuffled order: neither a change of the machine's speed nor
other processes meet one of them alone.

With ``--dampings``, the globalisations and metrics of Levenberg-Marquardt are compared instead: which starts they solve
within 3000 trials, and their residuals over those of the default.

optimistix runs in JAX, which differentiates a residual of its own: it takes part in the problems that are written for
NumPy and JAX alike, those of NIST, and compiles once, before the rounds.
"""

import argparse
import os
import random
import sys
import time
from pathlib import Path

import numpy as np
from threadpoolctl import threadpool_limits

import gradflow as gf

TESTS = Path(__file__).resolve().parents[1] / "tests"
sys.path.insert(0, str(TESTS))
TOLERANCE = 1e-9
STEPS = 3000


class Counted:
    """A problem of least squares that counts its evaluations."""

    def __init__(self, name, residual, start, squares):
        self.name, self._residual, self.start, self.squares = name, residual, start, squares
        self.basis = np.eye(start.size)
        self.reset()

    def reset(self):
        self.values = self.jacobians = 0

    def residual(self, x):
        self.values += 1
        return self._residual(x)

    def jacobian(self, x):
        self.jacobians += 1
        return np.stack([self._residual(x + 1e-30j * e).imag / 1e-30 for e in self.basis], axis=1)

    def solved(self, x):
        q = self._residual(x)
        least = min(self.squares, key=lambda s: abs(q @ q - s))
        return bool(abs(q @ q - least) <= (1e-6 * least if least > 1e-20 else 1e-12))


def of_nist(folder):
    """Yield the problems of NIST: name, model, data, start, sum of squares."""
    from test_fits import MODELS, Certified

    for path in sorted(folder.glob("*.dat")):
        data = Certified.read(path)
        for number, start in enumerate(data.starts, 1):
            yield f"{path.stem} {number}", MODELS[path.stem], data, start


def problems(folder):
    """Return the problems by collection."""
    from more_garbow_hillstrom import PROBLEMS

    nist = [
        Counted(name, lambda b, m=model, d=data: m(b, d.x) - d.y, start, (data.squares,))
        for name, model, data, start in of_nist(folder)
    ]
    classical = [
        Counted(name, p.residual, p.start(), tuple(norm**2 for norm in p.minima)) for name, p in PROBLEMS.items()
    ]
    return {"NIST": nist, "More-Garbow-Hillstrom": classical}


def of_gradflow(p):
    def run():
        fit = gf.DenseLeastSquares(p.residual, p.jacobian)
        stop = gf.Tolerance(step_relative=TOLERANCE)
        return gf.solve(fit, gf.LevenbergMarquardt(), p.start, steps=STEPS, stop=stop, record=()).theta

    return run


def dampings(collections):
    """Print what each globalisation and metric of Levenberg-Marquardt solves."""
    C = gf.curvature
    metrics = {
        "maximum": C.CurvatureDiagonal(),
        "diagonal": C.CurvatureDiagonal(running=False),
        "identity": C.Identity(),
    }
    rules = {"radius": C.TrustRegion(), "Nielsen": C.NielsenDamping(), "Marquardt": C.MarquardtDamping()}
    for title, collection in collections.items():
        print(f"\n{title}: {len(collection)} starts")
        default = {}
        for rule, globalization in rules.items():
            for name, metric in metrics.items():
                missed, ratios = [], []
                for p in collection:
                    p.reset()
                    fit = gf.DenseLeastSquares(p.residual, p.jacobian)
                    method = gf.LevenbergMarquardt(globalization=globalization, metric=metric)
                    stop = gf.Tolerance(step_relative=TOLERANCE)
                    end = gf.solve(fit, method, p.start, steps=STEPS, stop=stop, record=()).theta
                    default.setdefault(p.name, p.values)
                    if p.solved(end):
                        ratios.append(p.values / default[p.name])
                    else:
                        missed.append(p.name)
                print(f"{rule:<10}{name:<10}{len(ratios):>4}{np.median(ratios):>6.2f}  {', '.join(missed)}")


def of_scipy(p, method):
    from scipy.optimize import least_squares

    more = {"method": method, "x_scale": "jac", "xtol": TOLERANCE, "ftol": 1e-14, "gtol": 1e-14, "max_nfev": 10 * STEPS}

    def run():
        return least_squares(p.residual, p.start, p.jacobian, **more).x

    return run


def of_optimistix(folder):
    """Return runs on the problems of NIST by name, or nothing where optimistix is not installed."""
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")
    try:
        import jax
        import optimistix
    except ImportError:
        return {}
    jax.config.update("jax_enable_x64", True)
    import jax.numpy as jnp

    method = optimistix.LevenbergMarquardt(rtol=TOLERANCE, atol=1e-12)
    found = {}
    for name, model, data, start in of_nist(folder):
        source = vars(sys.modules["test_fits"]) | {"np": jnp}  # the same formulas with JAX's functions
        of_jax = type(model)(model.__code__, source)
        x, y = jnp.asarray(data.x), jnp.asarray(data.y)

        def fit(b, of_jax=of_jax, x=x, y=y):
            def residual(b, _):
                return of_jax(b, x) - y

            found = optimistix.least_squares(residual, method, b, max_steps=STEPS, throw=False)
            return found.value, found.stats["num_steps"]

        compiled, b = jax.jit(fit), jnp.asarray(start)
        found[name] = lambda compiled=compiled, b=b: jax.block_until_ready(compiled(b))
    return found


def measure(p, runs, rounds):
    """Return for each method whether it solves p, the evaluations, and the median seconds."""
    found = {}
    for name, run in runs.items():
        p.reset()
        end = run()
        x, steps = end if isinstance(end, tuple) else (end, None)
        x = np.asarray(x)
        counts = (p.values, p.jacobians) if steps is None else (int(steps), int(steps))
        found[name] = [bool(np.all(np.isfinite(x))) and p.solved(x), *counts]
    seconds = {name: [] for name in runs}
    order = list(runs.items())
    for _ in range(rounds):
        random.shuffle(order)
        for name, run in order:
            begin = time.process_time()
            run()
            seconds[name].append(time.process_time() - begin)
    return {name: (*found[name], float(np.median(seconds[name]))) for name in runs}


def quartiles(values):
    if not values:
        return "-"
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    return f"{middle:.2f} ({low:.2f} to {high:.2f})"


def report(title, results, methods):
    """Print a collection: problems solved, and ratios to gradflow over the problems that both solve."""
    print(f"\n{title}, {len(results)} runs")
    if not results:
        return
    print(f"{'method':<14}{'solved':>10}  {'residuals':<22}{'Jacobians':<22}{'time':<22}")
    for method in methods:
        own = [r[method] for r in results.values() if method in r]
        if not own:
            continue
        both = [(r[method], r["gradflow"]) for r in results.values() if method in r]
        both = [(m, g) for m, g in both if m[0] and g[0]]
        ratios = [quartiles([m[k] / max(g[k], 1e-300) for m, g in both]) for k in (1, 2, 3)]
        print(
            f"{method:<14}{sum(r[0] for r in own):>4} of {len(own):<3}  " + "".join(f"{ratio:<22}" for ratio in ratios)
        )
    seconds = [r["gradflow"][3] for r in results.values()]
    evaluations = [r["gradflow"][1] for r in results.values()]
    print(f"gradflow: median {np.median(evaluations):.0f} residuals, {1e3 * np.median(seconds):.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1, help="BLAS threads; more than one makes ratios noisy")
    parser.add_argument("--each", action="store_true", help="print each problem too")
    parser.add_argument("--dampings", action="store_true", help="compare dampings instead of libraries")
    parser.add_argument("--data", type=Path, default=os.environ.get("GRADFLOW_DATA_DIR"))
    args = parser.parse_args()
    folder = Path(args.data or TESTS.parents[1] / "shared" / "data") / "nist_strd"
    with threadpool_limits(args.threads, user_api="blas"), np.errstate(all="ignore"):
        dampings(problems(folder)) if args.dampings else compare(folder, args)


def compare(folder: Path, args: argparse.Namespace) -> None:
    import scipy

    print(
        f"numpy {np.__version__}, scipy {scipy.__version__}, {args.threads} BLAS threads; medians of {args.rounds} rounds"
    )
    of_jax = of_optimistix(folder)
    methods = ("gradflow", "scipy lm", "scipy trf", "optimistix")
    for title, collection in problems(folder).items():
        results = {}
        for p in collection:
            runs = {"gradflow": of_gradflow(p), "scipy trf": of_scipy(p, "trf")}
            runs |= {"scipy lm": of_scipy(p, "lm")} if p._residual(p.start).size >= p.start.size else {}
            runs |= {"optimistix": of_jax[p.name]} if title == "NIST" and p.name in of_jax else {}
            results[p.name] = measure(p, runs, args.rounds)
            if args.each:
                for name in methods:
                    if name in results[p.name]:
                        good, values, jacobians, seconds = results[p.name][name]
                        said = "solved" if good else "not solved"
                        print(f"{p.name:<26}{name:<12}{said:<12}{values:>6}{jacobians:>6}{1e3 * seconds:>10.2f} ms")
        report(title, results, methods)


if __name__ == "__main__":
    main()
