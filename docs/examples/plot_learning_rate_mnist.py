r"""
The learning rate on MNIST
==========================

Does a small learning rate regularize less, as the essay of :doc:`/theory/implicit_regularization` says? Here gradient descent
on all of 2000 images of MNIST trains a network of 784, 32 and 10 neurons (tanh, cross-entropy), with five learning rates from
0.005 to 0.08 and three seeds. All rates of a seed have the same start and the same images, so that their differences are
paired; another seed has another start and other images. The test images are all 10 000.

**The limit of stability** is 2 divided by the largest curvature. At the time 0.08, the first that is stored, it is 0.089, 0.107
and 0.067 in the three seeds, on the paths with 0.005. It is least there or at the time 0.16, and rises to 0.235 or more at the
time 16. So 0.04 is below the limit at all stored times. 0.08 is above it in one seed of three, at the times 0.08 and 0.16.

**The gradient: yes, a little.** At equal training loss :math:`|g|^2` is smaller with the rate 0.04 than with 0.005, in every
seed: by 2.6 % at the loss 1.4 and by 0.3 % at 0.23 in the mean. Equation (4) of the theory predicts 2.6 % and 0.3 %. The
largest curvature is smaller too, by 2.0 % and 0.5 %.

**The test error: cannot tell.** At the loss 0.23 the test error with 0.04 differs from that with 0.005 by 0.00 points in the
mean, and by -0.03 to 0.02 points in the single seeds, while the seeds differ among themselves by 1.2 points. The mean of the
test loss differs by less than 0.031 % at each of the losses, as predicted (less than 0.030 %).

**With mini-batches the iterates show the opposite.** At equal loss a larger rate has a larger gradient; see the last figure.
"""

import sys
from collections import deque
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.curvature import Hessian, extreme_eigenvalues
from gradflow.plotting import COLOURS, DASHES

# %%
# The runs
# --------

RATES = np.array([0.005, 0.01, 0.02, 0.04, 0.08])
TICKS = (1, 2, 4, 8, 16, 32, 64, 128, 200)  # times, in units of the largest rate
LEVELS = (1.4, 1.0, 0.7, 0.5, 0.36, 0.28, 0.23)  # training losses
PENALIZED = 16  # the tick up to which runs with a penalty go
BATCH, BATCHED = 50, 100  # samples of a batch, and the tick up to which these runs go
VALUES = ("energy", "W", "bias", "a", "sharpness", "test loss", "test error")  # W, bias, a: parts of |g|^2
SEEDS, N_TRAIN = (0, 1, 2), 2000


def problems(images, seed):
    """Return the energies on the training and on the test images, and a random start."""
    net = gf.TwoLayerNet(784, 32, 10, activation="tanh", scaling="standard")
    parts = (images.x_train, images.y_train), (images.x_test, images.y_test)
    train, test = (gf.Classification(net, (x - 0.1307) / 0.3081, y, time_scale="autograd") for x, y in parts)
    return train, test, net.init(seed, distribution="he")


def descent(problem, theta, dt, steps, displaced=False):
    """Yield theta, E, g and the derivative of theta with respect to dt, before each step and after the last."""
    delta = np.zeros_like(theta)
    for _ in range(steps + 1):
        E, g = problem.energy_and_gradient(theta)
        yield theta, E, g, delta
        if displaced:
            delta = delta - dt * problem.hvp(theta, delta + g / 2)
        theta = theta - dt * g


def between(before, after, dt, level):
    """Return where on the chord of a step the energy has the given value, as a share, by the parabola of E and its slope."""
    (_, E, g, _), E_after = before, after[1]
    fall, bend = dt * (g @ g), E_after - E + dt * (g @ g)
    return 2 * (E - level) / (fall + np.sqrt(fall**2 - 4 * bend * (E - level)))


def layers(train, u, v):
    """Return the parts of u . v of the hidden weights, the hidden biases and the output weights."""
    (U, b), (V, c) = train.net.unpack(u), train.net.unpack(v)
    return [np.sum(U[:-1] * V[:-1]), np.sum(U[-1] * V[-1]), np.sum(b * c)]


def measured(train, test, theta, delta, at_equal_loss):
    """Return the VALUES at theta, and their derivatives along delta, or along its part that keeps the energy."""
    E, g = train.energy_and_gradient(theta)
    E_test, g_test = test.energy_and_gradient(theta)
    sharpest = extreme_eigenvalues(Hessian().at(train, theta), "largest", tol=1e-3).largest
    values = [E, *layers(train, g, g), sharpest.value, E_test, 1 - test.accuracy(theta)]
    if at_equal_loss:
        delta = delta - (g @ delta) / (g @ g) * g
    v = sharpest.vector
    of_g = 2 * np.array(layers(train, g, train.hvp(theta, delta)))
    return values, [g @ delta, *of_g, v @ train.third_derivative(theta, delta, v), g_test @ delta, np.nan]


def study(images, seed, ticks=TICKS, levels=LEVELS):
    """Return all measured numbers of one seed, by name."""
    train, test, start = problems(images, seed)
    unit, out, paths = RATES[-1], {}, {}
    for name, count in (("time", len(ticks)), ("loss", len(levels))):
        out[name] = np.full((len(RATES), count, len(VALUES)), np.nan)
        out[name + "_slopes"] = np.full((count, len(VALUES)), np.nan)
    out["when"] = np.full((len(RATES), len(levels)), np.nan)
    for k, dt in enumerate(RATES):
        first, every, last, passed, paths[dt] = k == 0, round(unit / dt), None, 0, []
        for n, point in enumerate(descent(train, start, dt, every * ticks[-1], displaced=first)):
            while last is not None and passed < len(levels) and point[1] <= levels[passed]:
                s = between(last, point, dt, levels[passed])
                theta, delta = (last[i] + s * (point[i] - last[i]) for i in (0, 3))
                out["loss"][k, passed], slopes = measured(train, test, theta, delta, at_equal_loss=True)
                out["when"][k, passed] = (n - 1 + s) * dt
                if first:
                    out["loss_slopes"][passed] = slopes
                passed += 1
            if n % every == 0 and n // every in ticks:
                i = ticks.index(n // every)
                paths[dt].append(point[0])
                out["time"][k, i], slopes = measured(train, test, point[0], point[3], at_equal_loss=False)
                if first:
                    out["time_slopes"][i] = slopes
            last = point
    early = [tick for tick in ticks if tick <= PENALIZED]
    more = batched(train, test, start, seed, min(BATCHED, ticks[-1]), levels)
    return out | penalized(train, start, paths, early) | more


def penalized(train, start, paths, ticks):
    """Return how far small steps, without and with penalties, end from steps four times as large, at equal times."""
    distance, norms = np.zeros((2, len(RATES) - 2, 3, len(ticks)))
    for i, (dt, large) in enumerate(zip(RATES[:-2], RATES[2:], strict=True)):
        every, ends = round(RATES[-1] / dt), paths[large][: len(ticks)]
        for j, mu in enumerate((0, (large - dt) / 4, dt / 16)):  # none, that of the theory, that of the essay
            points = paths[dt][: len(ticks)]
            if mu:
                run = descent(gf.GradientRegularized(train, mu), start, dt, every * ticks[-1])
                points = [point[0] for n, point in enumerate(run) if n % every == 0 and n // every in ticks]
            pairs = list(zip(points, ends, strict=True))
            distance[i, j] = [np.linalg.norm(p - q) for p, q in pairs]
            gradients = [[train.energy_and_gradient(theta)[1] for theta in pair] for pair in pairs]
            norms[i, j] = [(g @ g) / (h @ h) - 1 for g, h in gradients]
    return {"distance": distance, "norms": norms}


def batched(train, test, start, seed, ticks, levels):
    """Return log |g|^2 and the test error of SGD at the levels: of the iterates, and of the means over the last epoch."""
    shape = (2, len(RATES) - 1, 2, len(levels), 2)  # without and with replacement, rates, iterate and mean
    out, per_epoch = np.full(shape, np.nan), train.n_samples // BATCH

    def at(theta):
        E, g = train.energy_and_gradient(theta)
        return np.log(E), np.log(g @ g), theta

    for replacement, k in np.ndindex(out.shape[:2]):
        rng, dt = np.random.default_rng([seed, replacement]), RATES[k + 1]
        theta, last = start, deque([start], per_epoch)
        before, passed = [at(start)] * 2, [0, 0]
        for n in range(round(RATES[-1] / dt) * ticks):
            if n % per_epoch == 0:
                order = rng.permutation(train.n_samples)
            taken = n % per_epoch * BATCH
            rows = rng.integers(train.n_samples, size=BATCH) if replacement else order[taken : taken + BATCH]
            theta = theta - dt * train.batch(rows).energy_and_gradient(theta)[1]
            last.append(theta)
            if (n + 1) % round(RATES[-1] / dt):
                continue
            for which, point in enumerate((at(theta), at(sum(last) / len(last)))):
                while passed[which] < len(levels) and np.log(levels[passed[which]]) >= point[0]:
                    s = (before[which][0] - np.log(levels[passed[which]])) / (before[which][0] - point[0])
                    ends = [np.array([end[1], 1 - test.accuracy(end[2])]) for end in (before[which], point)]
                    out[replacement, k, which, passed[which]] = (1 - s) * ends[0] + s * ends[1]
                    passed[which] += 1
                before[which] = point
    return {"batched": out}


# %%
# The command ``python docs/examples/plot_learning_rate_mnist.py --run`` makes the stored numbers again, in about 6 minutes of
# one core. It looks for MNIST as :func:`gradflow.datasets.mnist` does. Without the word ``--run`` the stored ones are drawn.

STORE = Path(sys.argv[0]).with_name("data") / "learning_rate_mnist.npz"
CHECK = {"seed": 0, "ticks": (1, 2), "levels": (2.3,)}  # a small part, on images that come with the package
if "--run" in sys.argv:
    runs = [study(gf.datasets.mnist(n_train=N_TRAIN, seed=seed), seed) for seed in SEEDS]
    found = {name: np.array([run[name] for run in runs]) for name in runs[0]}
    check = {f"check_{name}": value for name, value in study(gf.datasets.fashion_subset(), **CHECK).items()}
    settings = {
        "rates": RATES,
        "times": RATES[-1] * np.array(TICKS),
        "levels": LEVELS,
        "large": RATES[2:],
    }
    np.savez_compressed(STORE, **settings, **found, **check)

with np.load(STORE) as file:
    stored = dict(file)

# %%
# At equal training loss
# ----------------------
# Marks are means of the three seeds with their range. Lines are the prediction to first order,
# :math:`(\Delta t - 0.005)\,(\nabla Q, \delta_\perp)`, which needs the run with 0.005 alone. For :math:`|g|^2` the two differ by less than 0.03
# points in every seed for the rate 0.02, and by less than 0.09 points for 0.04. With 0.08 the steepest directions have
# :math:`\Delta t\,\lambda > 1` up to the time 1.28 at least (with 0.04 in one seed up to 0.16). In such a direction no modified
# equation exists, and the prediction for 0.08 is off by up to 1.2 points in a seed. From the loss 0.5 on it is off by less than
# 0.11 points in the mean of the seeds.


def squared(values):
    """Return |g|^2, of which the parts are stored."""
    return values[..., 1:4].sum(axis=-1)


def quantity(name):
    """Return the function that takes one of the VALUES from a stored array."""
    return lambda values: values[..., VALUES.index(name)]


def changes(kind, take):
    """Return the change from the smallest rate to the others, (seeds, rates, places), and what is predicted, in percent."""
    values, slopes = take(stored[kind]), take(stored[kind + "_slopes"])
    predicted = slopes[:, None] * (RATES[1:] - RATES[0])[:, None]
    return 100 * (values[:, 1:] / values[:, :1] - 1), 100 * predicted / values[:, :1]


def spread(axes, x, values, k, **style):
    """Draw the mean over the seeds with their range."""
    mean = values.mean(axis=0)
    ends = [mean - values.min(axis=0), values.max(axis=0) - mean]
    style = {"color": COLOURS[k], "marker": "osD^"[k], "markersize": 4.5, "linestyle": "none", "capsize": 2.5} | style
    axes.errorbar(x, mean, ends, **style)


def legend(figure, axes):
    """Explain marks in the upper and lines in the lower row."""
    entries = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    names = sorted(entries, key=lambda name: "predicted" in name)
    columns = [name for pair in zip(names[: len(names) // 2], names[len(names) // 2 :], strict=True) for name in pair]
    place = {"loc": "outside lower center", "ncols": len(columns) // 2, "frameon": False}
    figure.legend([entries[name] for name in columns], columns, **place)


def over_loss(axes):
    """Let the training loss fall from left to right."""
    axes.set(xscale="log", xlabel="training loss")
    axes.set_xticks(LEVELS, [f"{level:g}" for level in LEVELS], fontsize="small", rotation=45)
    axes.minorticks_off()
    axes.invert_xaxis()


def compare(kind, panels):
    """Return a figure of the changes of some quantities, and its panels."""
    figure, axes_of = plt.subplots(1, len(panels), figsize=(10.5, 3.7), layout="constrained")
    at = stored[{"loss": "levels", "time": "times"}[kind]]
    for axes, (title, take) in zip(axes_of, panels.items(), strict=True):
        change, predicted = changes(kind, take)
        for k, dt in enumerate(RATES[1:]):
            spread(axes, at, change[:, k], k, label=f"measured, dt = {dt}")
            label = f"predicted, {dt}"
            axes.plot(
                at, predicted[:, k].mean(axis=0), color=COLOURS[k], linestyle=DASHES[k], linewidth=1.1, label=label
            )
        axes.axhline(0, color="#8c8c8c", linewidth=0.8)
        axes.set_title(title)
    axes_of[0].set_ylabel(f"change from dt = {RATES[0]}, %")
    legend(figure, axes_of[0])
    return figure, axes_of


PANELS = {r"$|g|^2$": squared, "largest curvature": quantity("sharpness"), "test loss": quantity("test loss")}
figure, axes_of = compare("loss", PANELS)
for axes in axes_of:
    over_loss(axes)

error = 100 * quantity("test error")(stored["loss"])
print("change from the smallest rate at equal loss, %: mean of the seeds, range, prediction")
print(
    f"{'loss':>5} {'dt':>5} "
    + " ".join(f"{name:^29}" for name in ("|g|^2", "largest curvature", "test loss", "test error, points"))
)
for i, level in list(enumerate(LEVELS))[::2]:
    for k, dt in enumerate(RATES[1:]):
        rows = [[part[:, k, i] for part in changes("loss", take)] for take in PANELS.values()]
        cells = [f"{c.mean():6.2f} [{c.min():6.2f}, {c.max():5.2f}] {p.mean():6.2f}" for c, p in rows]
        more = error[:, k + 1, i] - error[:, 0, i]
        print(f"{level:5} {dt:5}", *cells, f"{more.mean():6.2f} [{more.min():6.2f}, {more.max():5.2f}]")
print(
    "test error, %, with the smallest rate: "
    + ", ".join(f"{e:.1f}" for e in error[:, 0, -1])
    + f" at loss {LEVELS[-1]}"
)

limits = 2 / quantity("sharpness")(stored["time"])[:, 0]
print(f"limit of stability on the path with {RATES[0]}\n{'time':6} " + " ".join(f"{t:6.2f}" for t in stored["times"]))
for seed, row in zip(SEEDS, limits, strict=True):
    print(f"seed {seed} " + " ".join(f"{limit:6.3f}" for limit in row))

# %%
# At equal time
# -------------
# Lines are the prediction :math:`(\Delta t - 0.005)\,(\nabla Q, \delta)`. The larger rate is ahead at first and behind later:
# with 0.04 the training loss is lower by 0.5 % at the time 0.16 and higher by 0.2 % at the end, in the mean of the seeds. The
# squared gradient with 0.04 is smaller up to the time 2.56 in every seed. From the time 5 on it differs by less than 0.5 %. The
# wide ranges are those of 0.08, which is near the limit of stability at first, in one seed beyond it.

figure, axes_of = compare(
    "time", {"training loss": quantity("energy"), r"$|g|^2$": squared, "largest curvature": PANELS["largest curvature"]}
)
for axes in axes_of:
    axes.set(xscale="log", xlabel="time n dt")

# %%
# Layer by layer
# --------------
# The penalty :math:`\tfrac{\Delta t}4|g|^2` is a sum over the layers. The hidden weights have 96 % of :math:`|g|^2` at the
# first time and 61 % at the last, in the mean over seeds and rates. The hidden biases have less than 0.2 %, and the output
# weights have the rest. The learning rate hardly changes the shares. At equal loss the part of the hidden weights is what
# becomes smaller: with 0.02 in the place of 0.005 it has 99 % of the decrease at the loss 1.4 and 80 % at 0.23, summed over the
# seeds.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.7), layout="constrained")
PARTS = {"hidden weights": "W", "output weights": "a", "hidden biases": "bias"}
of_smallest = squared(stored["loss"])[:, 0]
print(f"{'part of |g|^2, %':18} {'dt':>6} " + " ".join(f"t = {time:<6.2f}" for time in stored["times"][::2]))
for k, (label, name) in enumerate(PARTS.items()):
    share = 100 * quantity(name)(stored["time"]) / squared(stored["time"])
    for j in (0, -1):
        mean = share[:, j].mean(axis=0)
        left.plot(
            stored["times"],
            mean,
            color=COLOURS[k],
            linestyle=DASHES[-j],
            marker="osD"[k],
            markersize=4,
            fillstyle=("full", "none")[-j],
        )
        print(f"{label:18} {RATES[j]:6} " + " ".join(f"{value:10.2f}" for value in mean[::2]))
    part, slope = quantity(name)(stored["loss"]), quantity(name)(stored["loss_slopes"])
    spread(right, LEVELS, 100 * (part[:, 2] - part[:, 0]) / of_smallest, k, label=f"measured, {label}")
    right.plot(
        LEVELS,
        (100 * (RATES[2] - RATES[0]) * slope / of_smallest).mean(axis=0),
        color=COLOURS[k],
        linestyle=DASHES[k],
        linewidth=1.1,
        label=f"predicted, {label}",
    )
left.set(
    xscale="log",
    xlabel="time n dt",
    ylabel=r"share of $|g|^2$, %",
    title=f"dt = {RATES[0]} (full) and {RATES[-1]} (open)",
)
right.set(ylabel=r"change of the part, % of $|g|^2$", title=f"dt = {RATES[2]} against {RATES[0]}, at equal loss")
right.axhline(0, color="#8c8c8c", linewidth=0.8)
over_loss(right)
legend(figure, right)

# %%
# With mini-batches
# -----------------
# SGD with 50 samples, without and with replacement, from the same starts, up to the time 8. The loss and the gradient are those
# of all images, when this loss has first fallen to the value. At the loss 0.7, in the mean of seeds and samplings, the iterates
# have 1.2 times the :math:`|g|^2` of gradient descent with 0.01, and 2.7 times with 0.08: they fluctuate about the path, the
# more the larger the rate. The mean of the iterates over the last epoch has 0.99 to 1.24 times that of gradient descent at the
# loss 0.7, over all runs. At 0.36 it has up to 1.13 times without replacement and up to 1.76 times with it. A mark is missing
# where not all three seeds have reached the loss by the time 8.
#
# With three seeds an effect of some percent would not be seen here: these runs neither confirm nor refute the terms for
# mini-batches of :doc:`/theory/implicit_regularization`.

ratio = np.exp(stored["batched"][..., 0]) / of_smallest[:, None, None, None]
figure, panels = plt.subplots(1, 2, figsize=(9, 3.9), layout="constrained", sharey=True)
for which, (axes, title) in enumerate(zip(panels, ("iterates", "means over the last epoch"), strict=True)):
    for k, dt in enumerate(RATES[1:]):
        for replacement, word in enumerate(("without", "with")):
            style = {"linestyle": DASHES[replacement], "linewidth": 1, "fillstyle": ("full", "none")[replacement]}
            spread(axes, LEVELS, ratio[:, replacement, k, which], k, label=f"{dt}, {word}", **style)
    axes.axhline(1, color="#8c8c8c", linewidth=0.8)
    axes.set_title(title)
    over_loss(axes)
    axes.set_xlim(LEVELS[0] * 1.05, LEVELS[4] / 1.05)
panels[0].set_ylabel(f"$|g|^2$, as a multiple of that of\ngradient descent with dt = {RATES[0]}")
figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=4, frameon=False)

print(
    f"{'replacement':11} {'dt':>5} {'at loss':>8} {'|g|^2, iterates':>22} {'means over an epoch':>22} {'test error, points':>22}"
)
for replacement, word in enumerate(("without", "with")):
    for k, dt in enumerate(RATES[1:]):
        for i in (0, 2, 4):
            more = 100 * stored["batched"][:, replacement, k, 1, i, 1] - error[:, 0, i]
            cells = [
                f"{v.mean():8.2f} [{v.min():5.2f}, {v.max():5.2f}]" if np.isfinite(v).all() else f"{'not reached':>22}"
                for v in (*ratio[:, replacement, k, :, i].T, more)
            ]
            print(f"{word:11} {dt:5} {LEVELS[i]:8}", *cells)
