r"""The interface between an energy and a scheme.

A gradient flow needs an inner product before it has a gradient:

.. math::
   \theta' = -\nabla_M E(\theta), \qquad (\nabla_M E(\theta), v)_M = \mathrm{d}E(\theta)[v] \ \text{ for all } v. \tag{1}

The inner product ``(u, v)_M`` therefore belongs to the problem. ``energy_and_gradient`` returns the gradient with
respect to it, and schemes use no other dot product. The energy splits into an energy part of `gradflow.energies.linear`
and the rest,

.. math::
   E(\theta) = \tfrac12 (\theta, L\theta)_M + F(\theta), \tag{2}

where L is `linear` (`Zero` by default) and the ``nonlinear_*`` methods are those of F. A least-squares problem is
scaled so that

.. math::
   F(\theta) = \tfrac12 |q(\theta)|^2 \quad \text{exactly}, \qquad q(\theta + d) = q + J d + O(|d|^2), \tag{3}

and the adjoint ``J^*`` is the one in the problem's inner product, ``(J^* u, d)_M = u . J d``.

To define your own energy, use `gradflow.FunctionProblem` with functions, `gradflow.DenseLeastSquares` with a residual,
or a class with the methods of `Problem`, which `SplitEnergy` completes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import inf, sqrt
from typing import Any, NamedTuple, Protocol, cast, runtime_checkable

from ..namespace import Array, array_namespace, quiet
from .linear import LinearPart, Scalar, Zero, as_linear_part
from .robust import Scaling

__all__ = [
    "Batched",
    "Estimated",
    "Layer",
    "LeastSquares",
    "Linearization",
    "OutputLinearization",
    "OutputLoss",
    "Predicting",
    "Problem",
    "ProblemAbilities",
    "Solving",
    "Work",
    "batches",
    "estimates",
    "linear_part",
    "nonlinear_energy",
    "nonlinear_energy_and_gradient",
    "norm",
    "normal_diagonal",
    "problem_ability",
    "robust_scaling",
    "sparse_jacobian",
]


@runtime_checkable
class Problem(Protocol):
    """An energy E: R^P -> R with its inner product. All values are dimensionless.

    A problem may also split its energy, equation (2): `linear`, ``nonlinear_energy`` and
    ``nonlinear_energy_and_gradient``.
    """

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, a 0-d array: symmetric, bilinear, positive for u = v != 0.

        Parameters
        ----------
        u, v : array (P,)
            Vectors.
        """

    def energy(self, theta: Array) -> Array:
        """Return E(theta), 0-d and of the dtype of theta (P,)."""

    def energy_and_gradient(self, theta: Array) -> tuple[Array, Array]:
        """Return E (0-d) and its gradient with respect to `inner`, shape (P,), at theta (P,).

        The gradient g has ``(g, v)_M`` for the derivative of E along v. Both have the dtype of theta.
        """

    def hvp(self, theta: Array, v: Array) -> Array:
        """Return the derivative of that gradient along v, shape (P,) and of the dtype of theta.

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        v : array (P,)
            Direction.

        Raises
        ------
        ValueError
            If the problem has no second derivatives.
        """


class Linearization(Protocol):
    """The residual and its derivative at one theta, equation (3). No matrix need be stored."""

    residual: Array
    """q(theta), shape (N,)."""

    def jvp(self, d: Array) -> Array:
        """Return J d, shape (N,), for an increment d of shape (P,) and the dtype of theta."""

    def vjp(self, u: Array) -> Array:
        """Return J^* u, shape (P,), for u of shape (N,): the adjoint of `jvp` in the problem's inner product.

        It satisfies ``(vjp(u), d)_M = u . jvp(d)``.
        """

    def gram(self) -> Array:
        """Return J J^*, shape (N, N), symmetric positive semi-definite: the matrix of the map u -> jvp(vjp(u))."""

    def jacobian(self) -> Array:
        """Return J, shape (N, P): the partial derivatives, without the inner product."""


class Work(NamedTuple):
    """The cost of a linearisation, in multiply-adds of a large matrix product; estimates within a factor of two."""

    products: float
    """One `jvp` and one `vjp`."""
    gram: float
    """`gram`."""


class Estimated(Protocol):
    """Optional members of a `Linearization`, by which a solver is chosen for its cost; declare both or neither."""

    @property
    def work(self) -> Work:
        """The cost of products and of the Gram matrix."""

    def gram_trace(self) -> Array:
        """Return the trace of J J^*, 0-d, at no more than the cost of a product with J; the matrix is not formed."""


@runtime_checkable
class Solving(Protocol):
    """A `Linearization` that solves its damped systems itself, because it knows a structure of J."""

    def solve_damped(self, q: Array, h: Array | None, A: LinearPart, dt: Scalar) -> Array:
        """Return d, (P,), of ``(1/dt + A + J^* J) d = -(J^* q + h)``.

        Parameters
        ----------
        q : array (N,)
            The residual, or the auxiliary variable in its place.
        h : array (P,) or None
            None for zero.
        A : LinearPart
            The stabilization and the energy part, 1 / time.
        dt : float or 0-d array
            Step size, > 0.
        """


@runtime_checkable
class LeastSquares(Problem, Protocol):
    """An energy with ``F = |q|^2 / 2``.

    A problem with a diagonal inner product declares `mass`, a number or (P,): ``(u, v)_M = sum(mass * u * v)``. Solvers
    that form a matrix from the explicit Jacobian need it.
    """

    def linearize(self, theta: Array) -> Linearization:
        """Return the linearisation of the residual at theta (P,)."""


class Batched(Problem, Protocol):
    """Optional methods of a sum over N samples: its mini-batches, and residuals stored for each sample.

    A problem without `batches` has one `batch` after the other. Only a problem whose residuals are stored between
    steps needs `gather` and `scatter`.
    """

    n_samples: int
    """N; of a batch, its number of samples."""

    def batch(self, indices: Any) -> Any:
        """Return the same problem on some of its samples, with the scale of the loss recomputed.

        Parameters
        ----------
        indices : int array (B,) or slice
            Rows in [0, N), repeats allowed.

        Raises
        ------
        ValueError
            If indices are out of range, none, or not integers.
        """

    def batches(self, order: Any, size: int) -> Iterator[Any]:
        """Yield `batch` of each block of `size` consecutive samples of an order, which is checked once.

        Parameters
        ----------
        order : int array (B,)
            Rows in [0, N), repeats allowed.
        size : int
            Samples in a batch, >= 1; an incomplete block at the end is dropped.

        Raises
        ------
        ValueError
            As `batch`, and if the size is not a whole number >= 1.
        """

    def gather(self, q_full: Array) -> Array:
        """Return this batch's residuals, (N,), from `q_full`, (N_full,), those of the problem it was taken from.

        They are in the scale of the batch. On a problem that is not a batch the method returns `q_full` itself.
        """

    def scatter(self, q_full: Array, q_batch: Array) -> Array:
        """Return a copy of `q_full`, (N_full,), with this batch's residuals replaced by `q_batch`.

        On a problem that is not a batch the method returns `q_batch` itself.

        Parameters
        ----------
        q_full : array (N_full,)
            Residuals of the problem this batch was taken from, in its scale; not written to.
        q_batch : array (N,)
            New residuals in the scale of the batch; of a sample taken twice the last counts.
        """


class Layer(NamedTuple):
    """The part of per-sample gradients that belongs to one layer: ``inputs_i (x) sensitivities_ij`` for sample i and row j."""

    inputs: Array
    """What the weights of the layer multiply, (N, p)."""
    sensitivities: Array
    """The rows, back-propagated to the result of that product, (N, j, q)."""


class OutputLinearization(Linearization, Protocol):
    """The outputs of a model on a block of N samples, (N, k), and their derivative at one theta.

    `residual` is the outputs, (N k,), sample-major.
    """

    @property
    def outputs(self) -> Array:
        """The outputs f, shape (N, k)."""

    def layers(self, u: Array) -> list[Layer]:
        """Return the partial derivatives of ``u_ij . f_i``, layer by layer in the order of theta.

        Parameters
        ----------
        u : array (N, j, k)
            The rows, j for each sample.
        """


class OutputLoss(Protocol):
    """A sum of losses of single samples, as a function of the outputs f, (N, k).

    The loss of a sample is a negative log-likelihood of its label, times a constant and up to one.
    """

    def energy_and_slope(self, f: Array) -> tuple[Array, Array]:
        """Return E, 0-d, and dE/df, (N, k), for outputs f of shape (N, k)."""

    def curvature(self, f: Array, v: Array) -> Array:
        """Return (d^2 E / df^2) v, (N, k).

        Parameters
        ----------
        f, v : array (N, k)
            Outputs, and a direction.
        """

    def root(self, f: Array) -> Array:
        """Return a root Q of the second derivative of each sample, ``Q_i^T Q_i``, shape (N, k, k), at outputs f (N, k)."""

    def draws(self, rng: Any, samples: int) -> Any:
        """Return the random numbers of the labels that are drawn, (N, samples, ...).

        Parameters
        ----------
        rng : numpy.random.Generator
            Their source.
        samples : int
            Labels for each sample.
        """

    def sampled_root(self, f: Array, draws: Any) -> Array:
        """Return rows, (N, samples, k), the expectation of whose squares is the second derivative.

        They are multiples of the slopes for labels that the model draws.

        Parameters
        ----------
        f : array (N, k)
            Outputs.
        draws : array (N, samples, ...)
            What `draws` has returned.
        """


class Predicting(Problem, Protocol):
    """Optional methods of an energy ``F = loss(f(theta))``, a sum over samples: what its curvatures need."""

    n_samples: int
    """N."""
    n_outputs: int
    """k."""
    output_loss: OutputLoss
    """The loss of all samples."""

    def output_blocks(self, theta: Array, rows: int | None = None) -> Iterator[tuple[OutputLinearization, OutputLoss]]:
        """Yield, block by block, the outputs of consecutive samples with their derivative, and their part of the loss.

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        rows : int, optional
            The largest number of samples in a block.
        """

    def parameter_blocks(self, kind: str) -> list[Array]:
        """Return a partition of the parameters: int arrays of shape (b, s), each b blocks of s indices.

        Parameters
        ----------
        kind : {"layer", "neuron"}
            What a block belongs to.

        Raises
        ------
        ValueError
            If the kind is unknown.
        """


def batches(problem: Any, order: Array, size: int) -> Iterator[Problem]:
    """Yield the problem of each block of `size` consecutive samples of an order.

    The method ``batches`` of the problem is used if it has one. Otherwise, and if a derived class overrides only
    `batch`, `batch` is called for each block.

    Parameters
    ----------
    problem : Problem
        The problem of all samples.
    order : int array (B,)
        Rows in [0, N).
    size : int
        Samples in a batch.

    Returns
    -------
    iterator of problems
        Those of ``order[:size]``, ``order[size : 2 * size]``, ...; an incomplete block at the end is dropped.
    """
    for kind in type(problem).__mro__:
        if "batches" in vars(kind):
            own: Iterator[Problem] = problem.batches(order, size)
            return own
        if "batch" in vars(kind):
            break
    return (problem.batch(order[i : i + size]) for i in range(0, order.shape[0] - size + 1, size))


class ProblemAbilities:
    """The optional members of a problem, with their defaults.

    A problem declares an ability by a member of the same name. It may derive from this class, but need not. The library
    reads these members only through `problem_ability`, `linear_part`, `nonlinear_energy` and
    `nonlinear_energy_and_gradient`.
    """

    linear: LinearPart = Zero()
    """The energy part L of equation (2); the ``nonlinear_*`` methods are then those of F."""
    has_hvp: bool = True
    """Whether the method ``hvp`` can be called; schemes that need it refuse a problem where it cannot."""
    has_third_derivative: bool = False
    """Whether the method ``third_derivative(theta, u, v)`` can be called.

    It returns ``D^3 E[u, v]``, (P,), the derivative of ``hvp(theta, u)`` along v, with respect to `inner` and symmetric in u
    and v, for theta, u and v (P,). The energy part has none. `gradflow.energies.derivatives.third_derivative` reads it."""
    hvp_given: bool = False
    """Whether the method ``hvp`` calls a function that was handed over, which only its values identify."""
    mass: Array | float | None = None
    """The diagonal of the inner product, a number or (P,); None if it is not diagonal or not known."""
    residual_scale: float = 1.0
    """The factor c of a residual ``q = c (f - y)``."""
    linearize: Callable[[Array], Linearization] | None = None
    """The method of `LeastSquares`."""
    linearize_later: Callable[[Array], Linearization] | None = None
    """As ``linearize``; what the residual alone does not need may be evaluated when it is first used."""
    n_samples: int | None = None
    """Number of samples; with ``batch``, the problem can be run in mini-batches."""
    batch: Callable[[Any], Any] | None = None
    """A method that maps indices, (B,) integers, to the problem of these samples; see `Batched`."""
    batches: Callable[[Any, int], Iterator[Any]] | None = None
    """A method that maps an order, (B,) integers, and a size to the problems of the blocks."""
    gather: Callable[[Array], Array] | None = None
    """A method of a batch that maps the residuals of all samples, (N,), to those of the batch."""
    scatter: Callable[[Array, Array], Array] | None = None
    """A method of a batch that returns the residuals of all samples with those of the batch replaced."""
    n_outputs: int | None = None
    """The number k of outputs; see `Predicting`."""
    output_loss: OutputLoss | None = None
    """The loss as a function of the outputs; see `Predicting`."""
    output_blocks: Callable[..., Iterator[tuple[OutputLinearization, OutputLoss]]] | None = None
    """A method that maps theta to the linearised outputs, block by block; see `Predicting`."""
    parameter_blocks: Callable[[str], list[Array]] | None = None
    """A method that maps a kind of block to a partition of the parameters; see `Predicting`."""
    term_energies: Callable[[Array], Array] | None = None
    """A method of a sum that maps theta to the energies F_i of its terms, (m,)."""
    term_energies_and_gradients: Callable[[Array], tuple[Array, Array]] | None = None
    """A method of a sum that maps theta to the energies of its terms, (m,), and their gradients, (m, P)."""
    at_step: Callable[[int], Any] | None = None
    """A method of a problem that changes from step to step: it maps n = 0, 1, ... to the problem of step n."""


_NOTHING_DECLARED = ProblemAbilities()


def problem_ability(problem: Any, name: str) -> Any:
    """Return a member of `ProblemAbilities` as the problem declares it.

    Parameters
    ----------
    problem : Problem
        The energy.
    name : str
        A member of `ProblemAbilities`.
    """
    return getattr(problem, name, getattr(_NOTHING_DECLARED, name))


def linear_part(problem: Problem) -> LinearPart:
    """Return the energy part L of equation (2), ``problem.linear``, which is zero by default.

    Raises
    ------
    ValueError
        If ``problem.linear`` is neither a number >= 0 nor a `LinearPart`.
    """
    return as_linear_part(problem_ability(problem, "linear"), "linear")


def estimates(at: Linearization) -> Estimated | None:
    """Return the linearisation `at` itself if it has the members of `Estimated`, otherwise None."""
    declared: Any = at if hasattr(at, "gram_trace") and hasattr(at, "work") else None
    return cast(Estimated | None, declared)


def robust_scaling(at: Linearization) -> Scaling | None:
    """Return how a robust loss made the residual, which a linearisation declares as ``scaling``, otherwise None.

    Parameters
    ----------
    at : Linearization
        A linearisation.
    """
    declared: Scaling | None = getattr(at, "scaling", None)
    return declared


def sparse_jacobian(at: Linearization) -> Any:
    """Return J as SciPy's sparse array, (N, P), which a linearisation declares as ``sparse``, otherwise None.

    Parameters
    ----------
    at : Linearization
        A linearisation.
    """
    return getattr(at, "sparse", None)


def normal_diagonal(at: Linearization) -> Array | None:
    """Return the diagonal of J^T J, (P,), which a linearisation declares as a method of this name, otherwise None.

    Parameters
    ----------
    at : Linearization
        A linearisation. It declares the method where the diagonal needs no Jacobian.
    """
    declared = getattr(at, "normal_diagonal", None)
    return None if declared is None else declared()


def nonlinear_energy(problem: Problem, theta: Array) -> Array:
    """Return F(theta), 0-d; the whole energy for a problem that does not split it.

    Parameters
    ----------
    problem : Problem
        The energy.
    theta : array (P,)
        Parameters.
    """
    return getattr(problem, "nonlinear_energy", problem.energy)(theta)


def nonlinear_energy_and_gradient(problem: Problem, theta: Array) -> tuple[Array, Array]:
    """Return F (0-d) and its gradient (P,); those of the whole energy for a problem that does not split it.

    Parameters
    ----------
    problem : Problem
        The energy.
    theta : array (P,)
        Parameters.
    """
    both: tuple[Array, Array] = getattr(problem, "nonlinear_energy_and_gradient", problem.energy_and_gradient)(theta)
    return both


def norm(inner: Callable[[Array, Array], Array], u: Array) -> float:
    """Return ``|u|_M``; it is infinite or NaN only if u has such entries, and zero only if u = 0.

    Parameters
    ----------
    inner : callable
        Maps (u, v) to (u, v)_M, 0-d.
    u : array (P,)
        A vector. It is scaled by its largest entry if the square leaves the range of its dtype.
    """
    with quiet():  # the square may overflow
        square = float(inner(u, u))
    if 1e-30 < square < 1e30:
        return sqrt(square)
    xp = array_namespace(u)
    largest = float(xp.max(xp.abs(u)))
    if not 0 < largest < inf:
        return largest
    u = u / largest
    return largest * sqrt(float(inner(u, u)))
