"""Vanilla, relaxed and restarted SAV and explicit Euler, on mini-batches and on the full batch, for three seeds.

    python benchmarks/mini_batches.py readme     # the README's first example, dt = 0.5, 2, 5; half a minute
    python benchmarks/mini_batches.py example1   # Example 1 of Ma, Mao & Shen (2024) as in `gradflow demo`; a quarter of an hour

The seed is that of the data, of the initial parameters and of the batches. Each entry is the geometric mean of the train
error over the last tenth of the records, since a single record of a run on mini-batches is noisy, and r / sqrt(E + C) at the end.
"""

import argparse

import numpy as np

import gradflow as gf

SEEDS = (0, 1, 2)
SAV = gf.SAV(C=1.0)
SCHEMES = {
    "explicit Euler": gf.GradientDescent(),
    "SAV": SAV,
    "Relaxed(SAV)": gf.Relaxed(SAV),
    "Restart(SAV)": gf.Restart(SAV),
}


def settled(values) -> float:
    """Return the geometric mean over the last tenth of the records."""
    last = np.asarray(values, dtype=np.float64)[-max(1, len(values) // 10) :]
    return float(np.exp(np.mean(np.log(np.maximum(last, np.finfo(np.float64).tiny)))))


def entry(run: gf.Solution, records: slice = slice(None)) -> str:
    if run.status is gf.Status.NONFINITE:
        return "diverges"
    error, ratio = settled(run.history["energy"][records]), run.history["auxiliary_ratio"][records][-1]
    told = "" if np.isnan(ratio) else f", {ratio:.2f}" if ratio > 5e-3 else f", {ratio:.0e}"
    return f"{error:.1e}{told}" + " stagnated" * (run.status is gf.Status.STAGNATED)


def table(title: str, rows: dict[str, list[str]]) -> None:
    print(f"\n{title}\n{'':16}" + "".join(f"{f'seed {seed}':>26}" for seed in SEEDS))
    for name, cells in rows.items():
        print(f"{name:16}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


def readme() -> None:
    for batch_size, epochs in ((50, 300), (None, 2400)):
        for dt in (0.5, 2.0, 5.0):
            rows = {name: [] for name in SCHEMES}
            for seed in SEEDS:
                x = np.random.default_rng(seed).uniform(-1, 1, (400, 2))
                net = gf.TwoLayerNet(n_inputs=2, width=100, activation="tanh")
                problem = gf.Regression(net, x, np.sin(3 * x[:, 0]) * x[:, 1], loss="mse")
                for name, scheme in SCHEMES.items():
                    run = gf.solve(
                        problem,
                        scheme,
                        net.init(seed),
                        dt=dt,
                        epochs=epochs,
                        batch_size=batch_size,
                        seed=seed,
                        every=24,
                        record=["energy", "auxiliary_ratio"],
                    )
                    rows[name].append(entry(run))
            table(
                f"README, {f'batches of {batch_size}' if batch_size else 'full batch'}, 2400 steps, dt = {dt:g}", rows
            )


def example1() -> None:
    for batch_size, epochs, every in ((64, 600, 125), (None, 2000, 5)):
        short: dict[str, list[str]] = {name: [] for name in SCHEMES}
        whole: dict[str, list[str]] = {name: [] for name in SCHEMES}
        for seed in SEEDS:
            data = gf.datasets.sin_cos(40, 10_000, seed=seed, dtype="float32")
            net = gf.TwoLayerNet(40, 1000)
            problem = gf.Regression(net, data.x_train, data.y_train, loss="relative")
            for name, scheme in SCHEMES.items():
                run = gf.solve(
                    problem,
                    scheme,
                    net.init(seed, dtype="float32"),
                    dt=0.2,
                    epochs=epochs,
                    batch_size=batch_size,
                    seed=seed,
                    every=every,
                    record=["energy", "auxiliary_ratio"],
                )
                records = len(run.history["energy"])
                short[name].append(entry(run, slice(0, min(records, 201 if batch_size else 41))))
                whole[name].append(entry(run))
        of = f"batches of {batch_size}" if batch_size else "full batch"
        table(f"Example 1, {of}, 200 epochs", short)
        table(f"Example 1, {of}, {epochs} epochs", whole)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=["readme", "example1"])
    which = parser.parse_args().which
    print("numpy", np.__version__, "gradflow", gf.__version__)
    {"readme": readme, "example1": example1}[which]()


if __name__ == "__main__":
    main()
