r"""
Cost of an IEQ step
===================

A step of :py:obj:`gradflow.IEQ` needs the Gram matrix :math:`J J^*` of B residuals in P parameters. For a two-layer network
:math:`f = a^T s(W^T x)` it has a closed form: with the hidden values S and :math:`A = s'(Z) \circ a`, both of shape
(B, m), it is, up to a constant factor,

.. math:: J J^* = (X X^T) \circ (A A^T) + S S^T ,

:math:`O(B^2 (D + m))` operations for D inputs and m neurons in place of :math:`O(B^2 D m)`, and no array of shape (B, P).
The figure compares the step with one that forms the explicit Jacobian J first, and with a step of gradient descent. Look at
the right panel, explicit over closed form: the array of shape (B, P) costs 11 to 14 times the memory here; the times are
measured anew whenever this page is built, on one thread.
"""

import time
import tracemalloc

import matplotlib.pyplot as plt
import numpy as np

import gradflow as gf
from gradflow.plotting import COLOURS, DASHES

# %%
# The problem is that of Example 1 of :cite:t:`Ma2024` at half its width: D = 40 inputs, m = 500 neurons, P = 21 000
# parameters, float64. The same residual with an explicit Jacobian is a :py:obj:`gradflow.DenseLeastSquares` (which evaluates
# the network twice, a small part of its time). Both systems are solved in the space of residuals, ``solver="gram"``.

D, m = 40, 500
batches = [16, 32, 64, 128, 256]
data = gf.datasets.sin_cos(D, 400, seed=0)
net = gf.TwoLayerNet(D, m)
theta = net.init(0)
P = net.n_parameters


def dense(problem):
    """Return the same residual with its Jacobian stored."""
    return gf.DenseLeastSquares(
        lambda t: problem.linearize(t).residual, lambda t: problem.linearize(t).jacobian(), mass=problem.mass
    )


def step_of(scheme, problem):
    """Return a function that takes one step."""
    state = scheme.init(problem, theta)
    return lambda: scheme.step(problem, state, 0.2)


def medians(functions, rounds=11, least=8e-3):
    """Return the median seconds of each function; they take turns, so that a change of the machine's speed meets all."""
    samples, repeats = {name: [] for name in functions}, {}
    for name, f in functions.items():
        f()  # compiles what is compiled on first use
        began = time.perf_counter()
        f()
        repeats[name] = max(1, int(least / (time.perf_counter() - began)))
    for _ in range(rounds):
        for name, f in functions.items():
            began = time.perf_counter()
            for _ in range(repeats[name]):
                f()
            samples[name].append((time.perf_counter() - began) / repeats[name])
    return {name: float(np.median(s)) for name, s in samples.items()}


CLOSED, EXPLICIT, GRADIENT = "IEQ, closed-form Gram matrix", "IEQ, explicit Jacobian", "gradient descent"
ieq = gf.Restart(gf.IEQ(solver="gram"))
problems = [gf.Regression(net, data.x_train[:B], data.y_train[:B], loss="relative") for B in batches]
seconds, difference = [], []
for problem in problems:
    functions = {
        GRADIENT: step_of(gf.GradientDescent(), problem),
        CLOSED: step_of(ieq, problem),
        EXPLICIT: step_of(ieq, dense(problem)),
    }
    closed, explicit = functions[CLOSED]().theta - theta, functions[EXPLICIT]().theta - theta
    difference.append(np.linalg.norm(closed - explicit) / np.linalg.norm(closed))
    seconds.append(medians(functions))

# %%
# Memory that the Gram matrix takes, counted in numbers of 8 bytes. Closed form: S, s'(Z) and A, each (B, m), and two arrays
# (B, B) at a time. Explicit: J, of shape (B, P), beside S and s'(Z). ``tracemalloc`` sees every array that NumPy allocates,
# which checks the count: the two agree to a few per cent from B = 64 on.


def peak(f):
    """Return the most bytes that f holds at a time."""
    tracemalloc.start()
    f()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


B = np.array(batches)
counted_closed, counted_explicit = 3 * B * m + 2 * B**2, B * P + 2 * B * m
measured_closed = [peak(lambda p=p: p.linearize(theta).gram()) for p in problems]
measured_explicit = [peak(lambda p=p: dense(p).linearize(theta).gram()) for p in problems]
ratio_time = np.array([s[EXPLICIT] / s[CLOSED] for s in seconds])
ratio_memory = counted_explicit / counted_closed

# %%

figure, (left, right) = plt.subplots(1, 2, figsize=(8, 4.2), layout="constrained")
for name, colour, dashes, marker in zip((EXPLICIT, CLOSED, GRADIENT), COLOURS, DASHES, "os^", strict=False):
    left.loglog(B, [1e3 * s[name] for s in seconds], color=colour, linestyle=dashes, marker=marker, label=name)
right.semilogx(B, ratio_memory, color=COLOURS[3], linestyle=DASHES[1], marker="D", label="numbers stored (counted)")
right.semilogx(B, ratio_time, color=COLOURS[0], marker="o", label="time of a step (measured)")
left.set(ylabel="milliseconds a step", ylim=(None, 30e3 * seconds[-1][EXPLICIT]))
right.set(ylabel="explicit / closed form", ylim=(0, 1.5 * max(*ratio_time, *ratio_memory)))
for axes in (left, right):
    axes.set(xlabel="batch size B", xticks=batches, xticklabels=batches)
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.legend(loc="upper left")

print(f"P = {P}. Milliseconds a step, on the machine that built this page:")
print("   B  gradient  closed form  explicit  explicit / closed  closed / gradient  steps differ by")
for i, s in enumerate(seconds):
    print(
        f"{B[i]:4d}{1e3 * s[GRADIENT]:10.2f}{1e3 * s[CLOSED]:13.2f}{1e3 * s[EXPLICIT]:10.2f}{ratio_time[i]:19.1f}"
        f"{s[CLOSED] / s[GRADIENT]:19.1f}{difference[i]:17.0e}"
    )
print("\nMegabytes of the Gram matrix, counted (as allocated):")
print("   B      J alone       closed form          explicit  explicit / closed")
for i in range(len(B)):
    print(
        f"{B[i]:4d}{8e-6 * B[i] * P:13.2f}{8e-6 * counted_closed[i]:10.2f} ({1e-6 * measured_closed[i]:5.2f})"
        f"{8e-6 * counted_explicit[i]:10.2f} ({1e-6 * measured_explicit[i]:5.2f}){ratio_memory[i]:19.1f}"
    )

# %%
# The products of the Gram matrix alone take :math:`P/(D + 1 + 2m) \approx 20` times the operations; the factorisation, of
# :math:`O(B^3)`, is the same for both. ``benchmarks/steps.py`` measures this ratio at width 1000, and steps of other schemes.
