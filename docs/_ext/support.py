"""Tables of what runs on which array library, made by running it while the site is built.

``{backend-support}``
    every scheme of the registry, three steps on a small problem with each library; and whether the checks of its derivation
    run its functions on symbols.
``{kernel-support}``
    every kernel, and which sets have an implementation of their own.
"""

import ast
import sys
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from pathlib import Path

import numpy as np
from proved import Markdown
from sphinx.errors import ExtensionError

from gradflow import SAV, AuxiliaryScheme, DenseLeastSquares, Diagonal
from gradflow.kernels import reference
from gradflow.namespace import array_namespace, to_numpy
from gradflow.proofs.verify import default_folder, load, notebook_of
from gradflow.schemes import REGISTRY

STEPS, DT = 3, 0.3
LIBRARIES = (("numpy", "float32"), ("array_api_strict", "float64"), ("cupy", "float64"))
TOLERANCE = {"float64": 1e-11, "float32": 1e-4}


class SmallProblem(DenseLeastSquares):
    """q(theta) = sin(J theta) - b in R^6, theta in R^4, with a diagonal mass and energy part, and second derivatives."""

    def __init__(self, xp, J, b, linear, mass):
        super().__init__(lambda t: xp.sin(J @ t) - b, lambda t: xp.cos(J @ t)[:, None] * J, linear=linear, mass=mass)
        self._xp, self._J, self._b = xp, J, b

    def nonlinear_hvp(self, theta, v):
        """Return the derivative of the gradient of F along v."""
        z = self._J @ theta
        s, c = self._xp.sin(z), self._xp.cos(z)
        return (self._J.T @ ((c * c - s * (s - self._b)) * (self._J @ v))) / self.mass


def small_problem(xp, dtype):
    """Return the problem and a theta, with the same numbers in every library."""
    rng = np.random.default_rng(0)

    def array(values):
        return xp.asarray(np.asarray(values, dtype=dtype))

    J, b = array(rng.standard_normal((6, 4)) / 2), array(rng.standard_normal(6))
    L, M = Diagonal(array(rng.uniform(0, 1, 4))), array(rng.uniform(0.3, 2, 4))
    return SmallProblem(xp, J, b, L, M), array(rng.standard_normal(4))


def instance(kind):
    """Return a scheme with its default settings; wrappers wrap SAV."""
    return kind(SAV()) if "base" in signature(kind).parameters else kind()


def arrays(state):
    """Yield the arrays of a state."""
    for value in state:
        if isinstance(value, tuple):
            yield from arrays(value)
        elif hasattr(value, "dtype"):
            yield value


def end(kind, xp, dtype):
    """Return the arrays of the state after some steps; all are of the library and dtype of theta, or it is an error."""
    scheme, (problem, theta) = instance(kind), small_problem(xp, dtype)
    state = scheme.init(problem, theta)
    for _ in range(STEPS):
        state = scheme.step(problem, state, DT)
    found = list(arrays(state))
    for a in found:
        if array_namespace(a) is not array_namespace(theta) or a.dtype != theta.dtype:
            raise ExtensionError(f"{kind.__name__} on {dtype} {xp.__name__} returned {type(a)} of {a.dtype}")
    return [to_numpy(a) for a in found]


def difference(kind, xp, dtype):
    """Return how far the state is from NumPy's in float64, relative to the largest entry of each array."""
    pairs = zip(end(kind, xp, dtype), end(kind, np, "float64"), strict=True)
    far = max(float(np.max(np.abs(a - b)) / (1 + np.max(np.abs(b)))) for a, b in pairs)
    if not far <= TOLERANCE[dtype]:
        raise ExtensionError(f"{kind.__name__} on {dtype} {xp.__name__} differs from NumPy by {far:.0e}")
    return far


def shown(number):
    """Return a number with a hyphen that does not break the line."""
    return f"{number:.0e}".replace("-", "\N{NON-BREAKING HYPHEN}")


@cache
def cupy_runs():
    """Return whether CuPy is installed and finds a device."""
    try:
        return import_module("cupy").cuda.runtime.getDeviceCount() > 0
    except Exception:  # CuPy raises what its driver raises
        return False


def cell(kind, library, dtype):
    """Return the table's entry for one library and dtype; all but CuPy must be there."""
    if library == "cupy" and not cupy_runs():
        return "not checked here"
    try:
        xp = import_module(library)
    except ImportError as error:
        raise ExtensionError(f"{library} cannot be imported: {error}") from error
    far = difference(kind, xp, dtype)
    return f"ran, {shown(far)}" if far else "ran, equal"


@cache
def run_on_symbols(kind):
    """Return the names of the functions in a scheme's file that its derivation's `solvability` runs; none is an error."""
    seen, file = set(), import_module(kind.__module__).__file__

    def note(frame, event, arg):
        if event == "call" and frame.f_code.co_filename == file:
            seen.add(frame.f_code.co_name)

    topic = notebook_of(kind)
    check = load(default_folder(), topic)["solvability"]
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        check()
    finally:
        sys.setprofile(before)
    names = sorted(name for name in seen if name.endswith("_update")) or sorted(seen & {"step"})
    if not names:
        raise ExtensionError(f"the check solvability of {topic} runs no update and no step of {kind.__name__}")
    return names


def identity_residual(kind):
    """Return what the energy identity of one step leaves over in float64, relative to E + 1; None without an identity."""
    scheme, (problem, theta) = instance(kind), small_problem(np, "float64")
    if not isinstance(scheme, AuxiliaryScheme):
        return None
    state = scheme.init(problem, theta)
    new = scheme.step(problem, state, DT)
    change = scheme.modified_energy(problem, new) - scheme.modified_energy(problem, state)
    left = abs(float(change + sum(scheme.energy_terms(problem, state, new, DT)))) / (1 + float(problem.energy(theta)))
    if not left <= 1e-14:
        raise ExtensionError(f"the energy identity of {kind.__name__} leaves {left:.0e}")
    return left


class BackendSupport(Markdown):
    """Schemes against array libraries."""

    def lines(self):
        """Yield the table."""
        yield "| scheme | NumPy float64 | NumPy float32 | array-api-strict float64 | CuPy float64 | SymPy |"
        yield "|---|---|---|---|---|---|"
        for name, kind in REGISTRY.items():
            topic = notebook_of(kind)
            left = identity_residual(kind)
            cells = ["ran" if left is None else f"ran, identity {shown(left)}" if left else "ran, identity exact"]
            cells += [cell(kind, *at) for at in LIBRARIES]
            symbols = ", ".join(f"`{one}`" for one in run_on_symbols(kind))
            cells.append(f"{symbols} ([derivation](/derivations/{topic}.nb.py))")
            yield f"| {{py:obj}}`~gradflow.{name}` | {' | '.join(cells)} |"


class KernelSupport(Markdown):
    """Kernels against kernel sets."""

    def lines(self):
        """Yield the table."""
        own = {}
        for name in ("numba", "cupy"):
            path = Path(find_spec(f"gradflow.kernels.{name}").origin)
            tree = ast.parse(path.read_text(encoding="utf-8"))
            own[name] = {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}
            own[name] |= {t.id for n in tree.body if isinstance(n, ast.Assign) for t in n.targets}
        yield "| name | reference | numba | cupy |"
        yield "|---|---|---|---|"
        for kernel in reference.__all__:
            cells = ["own" if kernel in own[name] else "reference" for name in own]
            yield f"| {{py:obj}}`~gradflow.kernels.reference.{kernel}` | own | {' | '.join(cells)} |"


def setup(app):
    """Register the directives."""
    app.add_directive("backend-support", BackendSupport)
    app.add_directive("kernel-support", KernelSupport)
    return {"parallel_read_safe": True}
