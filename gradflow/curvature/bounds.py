r"""Bounds on single parameters: the step of a trust region within a box.

The problem is ``min E(theta)`` in ``l <= theta <= u``. The inner product and the metric D are diagonal. The nearest
point of the box, in either length, is therefore found entry by entry:

.. math:: \Pi(\theta)_i = \min(\max(\theta_i, l_i), u_i).                                               \tag{1}

A point is stationary if and only if its *reduced gradient* vanishes,

.. math:: \theta - \Pi(\theta - g) = \min(\max(g, \theta - u), \theta - l),                               \tag{2}

which is g where no bound is near. The step s decreases the model m of `gradflow.curvature.model`, subject to
``theta + s`` in the box and ``|s|_D <= delta``. From s = 0, two stages alternate.

The *Cauchy stage* follows the projected gradient of the model, ``h = D^{-1}(g + G s)``,

.. math:: s(\alpha) = \Pi(\theta + s - \alpha h) - \theta, \qquad
          m(s(\alpha)) - m(s) \le \mu\,(g + G s, s(\alpha) - s)_M, \quad |s(\alpha)|_D \le \delta,       \tag{3}

with ``mu = 1/100`` and alpha the first of ``alpha_0, alpha_0 / 4, ...`` that satisfies it. Here alpha_0 is the
minimiser along h without the bounds, or the distance to the sphere if that is shorter. The stage determines which
parameters are at a bound.

The *face stage* fixes these entries, ``s_A``, and minimises over the others, ``s_F``, by the solvers of
`gradflow.curvature.spectral`:

.. math:: \min_{s_F}\; m(s_A + s_F), \qquad |s_F|_D^2 \le \delta^2 - |s_A|_D^2,                         \tag{4}

a trust-region problem with the gradient ``(g + G s_A)_F`` and the curvature ``G_{FF}``. Let v be its solution less s.
The projected search ``Pi(theta + s + beta v) - theta`` takes the first of ``beta = 1, 1/2, ...`` that decreases m as in
(3), but goes at least as far as the first bound.

The stages end at the sphere, or where the free gradient (5) of the model is a rounding error of the first one. If the model
is convex and ``|s|_D < delta``, s minimises it in the box. On the sphere, s minimises over the parameters that are at no
bound; those at a bound were chosen by the Cauchy stages and are not reconsidered, so that s may be no minimiser in box and
ball. The first Cauchy stage alone gives the decrease that convergence to stationary points needs. Where no bound is met, s
is the step of the trust region: (4) has no fixed parameters. At a stationary point whose G may be indefinite there is no
Cauchy stage, and the first face stage leaves a saddle along the parameters that are at no bound.

A run is measured by the *free gradient*, g without the entries that a bound holds,

.. math:: g^{\mathrm f}_i = \begin{cases} 0 & \theta_i = l_i,\; g_i > 0 \;\text{ or }\; \theta_i = u_i,\; g_i < 0, \\
                                g_i & \text{otherwise.} \end{cases}                                                      \tag{5}

It vanishes exactly where (2) does, and has the units of the gradient. An entry of (2) never exceeds the width of the box,
and is small everywhere in a narrow one. (5) asks for theta on a bound to the last bit: full steps land there, while those
of ``dt < 1`` take until the distance is a rounding error of theta, which it never is of a bound at zero.

=======  ============  ======
symbol   code          shape
=======  ============  ======
l, u     lower, upper  (P,)
g^f      free          (P,)
s        s             (P,)
D        D             (P,)
delta    radius        float
alpha    alpha         float
beta     beta          float
=======  ============  ======

Source: Lin & Moré, SIAM J. Optim. 9 (1999) 1100, sections 2 to 4, whose subproblem (4) is solved by conjugate gradients, and
whose stages are one Cauchy stage and some face stages; Moré & Toraldo, SIAM J. Optim. 1 (1991) 93, for their alternation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from math import inf, sqrt
from typing import Any, NamedTuple

import numpy as np

from ..description import found
from ..energies.protocols import norm
from ..namespace import Array, array_namespace, is_array, to_numpy
from ..refusals import as_float, real_array
from .eigenbasis import Form
from .model import Model, Root
from .spectral import Floor, Step, minimise
from .subproblem import Coefficients, trust_region

__all__ = ["Bounds", "Face", "bounded_step", "free_gradient", "projected", "reduced_gradient"]

SUFFICIENT = 0.01  # mu of (3)
SHRINK = 0.25  # of alpha
MOST_TRIALS = 60  # of alpha or beta in a stage
MOST_STAGES = 100  # pairs of stages
ROUNDING = 1e3  # multiple of eps up to which a reduced gradient is a rounding error of the first one


def projected(theta: Array, lower: Array, upper: Array) -> Array:
    """Return (1), (P,).

    Parameters
    ----------
    theta, lower, upper : array (P,)
        Any point, and the bounds.
    """
    xp = array_namespace(theta)
    return xp.minimum(xp.maximum(theta, lower), upper)  # (1)


def reduced_gradient(theta: Array, g: Array, lower: Array, upper: Array) -> Array:
    """Return (2), (P,), without a difference of close numbers.

    Parameters
    ----------
    theta, g, lower, upper : array (P,)
        A point of the box, the gradient there, and the bounds.
    """
    xp = array_namespace(theta)
    return xp.minimum(xp.maximum(g, theta - upper), theta - lower)  # (2)


def free_gradient(theta: Array, g: Array, lower: Array, upper: Array) -> Array:
    """Return (5), (P,).

    Parameters
    ----------
    theta, g, lower, upper : array (P,)
        A point of the box, the gradient there, and the bounds.
    """
    xp = array_namespace(theta)
    return xp.where(((g > 0) & (theta <= lower)) | ((g < 0) & (theta >= upper)), 0 * theta, g)  # (5)


@dataclass(frozen=True, eq=False)
class Bounds:
    """A box ``lower <= theta <= upper``. Equal bounds fix a parameter, infinite ones leave it free.

    Parameters
    ----------
    lower, upper : float or array (P,)
        A number holds for all parameters. Copied; compared with theta in its dtype.

    Raises
    ------
    ValueError
        If a bound is NaN, not real, or of a wrong shape, or a lower bound exceeds the upper one.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> box = gf.Bounds([0.0, -np.inf], 1.0)
    >>> box.project(np.array([-2.0, -3.0])).tolist(), box.active(np.array([0.0, 1.0])).tolist()
    ([0.0, -3.0], [-1.0, 1.0])
    """

    lower: Any = -inf
    upper: Any = inf

    def __post_init__(self) -> None:
        for name, wrong in (("lower", inf), ("upper", -inf)):
            object.__setattr__(self, name, _bound(name, getattr(self, name), wrong))
        shapes = {np.shape(bound) for bound in (self.lower, self.upper)} - {()}
        if len(shapes) > 1:
            raise ValueError(
                f"lower and upper must have one shape, got {np.shape(self.lower)} and {np.shape(self.upper)}"
            )
        if np.any(np.asarray(self.lower) > np.asarray(self.upper)):
            worst = int(np.argmax(np.ravel(np.asarray(self.lower) > np.asarray(self.upper))))
            raise ValueError(f"lower must not exceed upper, but does at [{worst}]: got {self.lower} and {self.upper}")

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Bounds) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def _key(self) -> tuple[Any, ...]:
        return tuple(bound if isinstance(bound, float) else tuple(bound.tolist()) for bound in (self.lower, self.upper))

    def around(self, theta: Array) -> tuple[Array, Array]:
        """Return both bounds as arrays (P,) of the dtype of theta.

        Parameters
        ----------
        theta : array (P,)
            Parameters.

        Raises
        ------
        ValueError
            If theta is no real vector, or the bounds are for another number of parameters; so in all methods.
        """
        real_array("theta", theta, {"P": None})
        xp, shape = array_namespace(theta), tuple(theta.shape)
        for name, bound in (("lower", self.lower), ("upper", self.upper)):
            if np.shape(bound) not in ((), shape):
                raise ValueError(f"{name} must have shape (P,), P = {shape[0]}; got {np.shape(bound)}")
        one = xp.ones_like(theta)
        lower, upper = (
            bound * one if np.shape(bound) == () else xp.asarray(bound, dtype=theta.dtype)
            for bound in (self.lower, self.upper)
        )
        return lower, upper

    def require(self, theta: Array) -> None:
        """Raise ValueError unless theta lies in the box; NaN does not.

        Parameters
        ----------
        theta : array (P,)
            Parameters.
        """
        (lower, upper), xp = self.around(theta), array_namespace(theta)
        outside = ~((theta >= lower) & (theta <= upper))
        if bool(xp.any(outside)):
            i = int(xp.argmax(xp.astype(outside, xp.int64)))
            raise ValueError(
                f"theta0 must lie within the bounds, but entry [{i}] is {float(theta[i])}, with the bounds "
                f"{float(lower[i])} and {float(upper[i])}"
            )

    def project(self, theta: Array) -> Array:
        """Return (1), (P,).

        Parameters
        ----------
        theta : array (P,)
            Any point.
        """
        return projected(theta, *self.around(theta))

    def reduced(self, theta: Array, g: Array) -> Array:
        """Return the reduced gradient (2), (P,).

        Parameters
        ----------
        theta, g : array (P,)
            A point of the box, and the gradient there, or a multiple of it.
        """
        lower, upper = self.around(theta)
        return reduced_gradient(theta, _like("g", g, theta), lower, upper)

    def free(self, theta: Array, g: Array) -> Array:
        """Return the free gradient (5), (P,): g without the entries that a bound holds.

        Parameters
        ----------
        theta, g : array (P,)
            A point of the box, and the gradient there.
        """
        lower, upper = self.around(theta)
        return free_gradient(theta, _like("g", g, theta), lower, upper)

    def active(self, theta: Array) -> Array:
        """Return -1 for an entry at its lower bound, 1 at its upper one, 0 between, (P,), of the dtype of theta.

        Parameters
        ----------
        theta : array (P,)
            A point of the box. An entry whose bounds are equal has 1.
        """
        lower, upper = self.around(theta)
        xp = array_namespace(theta)
        one = xp.ones_like(theta)
        return xp.where(theta == upper, one, xp.where(theta == lower, -one, 0 * one))

    def landed(self, theta: Array, d: Array, trial: Array) -> Array:
        """Return the point that a step was to reach, (P,): in the box, and on a bound to the last bit.

        Parameters
        ----------
        theta, d, trial : array (P,)
            A point of the box, an increment of `bounded_step`, and a point on the way to theta + d, with the errors of
            rounding. An entry within a rounding error of the bound that d leads to is set on the bound.
        """
        lower, upper = self.around(theta)
        xp, d, trial = array_namespace(theta), _like("d", d, theta), _like("trial", trial, theta)
        whole = (trial == theta + d) | (xp.abs(d) <= 4 * xp.finfo(theta.dtype).eps * xp.abs(theta))
        trial = xp.where(whole & (d == upper - theta), upper, xp.where(whole & (d == lower - theta), lower, trial))
        return self.project(trial)


def _like(name: str, v: Array, theta: Array) -> Array:
    """Return v, or raise ValueError unless it has shape and dtype of theta."""
    return real_array(name, v, {"P": theta.shape[0]}, theta.dtype, of="theta")


def _bound(name: str, value: Any, wrong: float) -> Any:
    """Return a bound as a float or a float64 array that is its own."""
    number = as_float(value)
    if number is not None:
        bound: Any = number
    else:
        try:
            given = np.asarray(to_numpy(value) if is_array(value) else value)
        except Exception as error:  # whatever an object raises that is no vector
            raise ValueError(f"{name} must be a number or a vector of numbers, got {found(value)}") from error
        plain = not np.ma.isMA(value) and given.dtype.isnative
        kind = given.dtype.kind in "iu" or given.dtype in (np.float32, np.float64)
        if not plain or not kind or given.ndim != 1 or given.size == 0:
            raise ValueError(f"{name} must be a real number or have shape (P,), got {found(value)}")
        bound = given.astype(np.float64)
        bound.setflags(write=False)
    if np.any(np.isnan(bound)) or np.any(np.equal(bound, wrong)):
        raise ValueError(f"{name} must be neither NaN nor {wrong}, got {found(value)}")
    return bound


class _Part:
    """The inner product of a problem on some of its parameters."""

    def __init__(self, face: Face) -> None:
        self.face = face

    def inner(self, u: Array, v: Array) -> Array:
        """Return (u, v)_M, 0-d."""
        return self.face.whole.problem.inner(self.face.widen(u), self.face.widen(v))


class Face(Model):
    """A model as a function of some of the parameters, the others having moved by a given step: problem (4).

    Parameters
    ----------
    whole : Model
        The model; its inner product is diagonal.
    free : bool array (P,)
        Which parameters are free; one at least.
    s : array (P,)
        The step of the others, 0 for the free ones.
    slope : array (P,)
        ``g + G s``.
    """

    def __init__(self, whole: Model, free: Array, s: Array, slope: Array) -> None:
        xp = array_namespace(s)
        self.whole, self.s = whole, s
        self.indices = xp.nonzero(free)[0]
        count = self.indices.shape[0]
        places = xp.cumulative_sum(xp.astype(free, xp.int64)) - 1
        self.places = xp.where(free, places, count)
        super().__init__(_Part(self), self.narrow(whole.theta))  # type: ignore[arg-type]
        self.definite, self.in_range, self.rows = whole.definite, whole.in_range, whole.rows
        mass = whole.known_mass("bounds")
        self.mass = mass if isinstance(mass, (int, float)) else self.narrow(mass)
        self.slope = self.narrow(slope)

    def narrow(self, v: Array) -> Array:
        """Return the free entries of v, (P,)."""
        return array_namespace(v).take(v, self.indices)

    def widen(self, v: Array) -> Array:
        """Return a vector with the free entries v, and zeros, (P,) of the whole."""
        xp = array_namespace(v)
        return xp.take(xp.concat([v, xp.zeros_like(v[:1])]), self.places)

    @property
    def gradient(self) -> Array:
        """The gradient ``(g + G s)_F``."""
        return self.slope

    def apply(self, v: Array) -> Array:
        """Return ``(G v)_F``."""
        return self.narrow(self.whole.apply(self.widen(v)))

    def matrix(self) -> Array:
        """Return the rows and columns of the free parameters of B."""
        xp, B = array_namespace(self.s), self.whole.matrix()
        return xp.take(xp.take(B, self.indices, axis=0), self.indices, axis=1)

    def root(self) -> Root | None:
        """Return the columns of the free parameters of a root, and the residual after the step s."""
        whole = self.whole.root()
        if whole is None:
            return None
        R = array_namespace(self.s).take(whole.R, self.indices, axis=1)
        return Root(R, None if whole.r is None else whole.r + whole.R @ self.s)


class _Place(NamedTuple):
    """A step s in the box, and what the model says of it."""

    s: Array
    """(P,)."""
    G_s: Array
    """G s, (P,)."""
    slope: Array
    """(g, s)_M, 0-d."""
    bend: Array
    """(s, G s)_M, 0-d."""

    @property
    def decrease(self) -> float:
        """Return m(0) - m(s)."""
        return -float(self.slope + self.bend / 2)


class _Box:
    """A model with its metric, the box around theta, and the ball."""

    def __init__(self, model: Model, weights: Array | None, bounds: Bounds, radius: float) -> None:
        lower, upper = bounds.around(model.theta)
        self.model, self.weights, self.radius = model, weights, radius
        self.low, self.high, self.inner = lower - model.theta, upper - model.theta, model.problem.inner
        self.zero, self.products = array_namespace(model.theta).zeros_like(model.theta), 0
        self.eps = float(array_namespace(model.theta).finfo(model.theta.dtype).eps)

    def product(self, v: Array) -> Array:
        """Return G v, (P,)."""
        self.products += 1
        return 0 + self.model.apply(v)  # apply may reuse its array

    def length(self, s: Array) -> float:
        """Return ``|s|_D``."""
        weighted = self.weights
        return norm(lambda u, v: self.inner(u if weighted is None else weighted * u, v), s)

    def place(self, s: Array, G_s: Array) -> _Place:
        """Return the step s with its numbers."""
        return _Place(s, G_s, self.inner(self.model.gradient, s), self.inner(s, G_s))

    def downhill(self, at: _Place) -> Array:
        """Return ``-D^{-1}(g + G s)`` without the entries that a bound holds, (P,)."""
        h = -free_gradient(at.s, self.model.gradient + at.G_s, self.low, self.high)
        return h if self.weights is None else h / self.weights

    def search(self, at: _Place, v: Array, sizes: Iterator[float]) -> _Place:
        """Return the first step on the projected way along v that satisfies (3); `at` if there is none."""
        slope = self.model.gradient + at.G_s
        for size in sizes:
            s = projected(at.s + size * v, self.low, self.high)
            w = s - at.s
            G_w, down = self.product(w), float(self.inner(slope, w))
            change = down + float(self.inner(w, G_w)) / 2
            enough = change < 0 and change <= SUFFICIENT * down
            if enough and self.length(s) <= self.radius * (1 + ROUNDING * self.eps):  # (3)
                return self.place(s, at.G_s + G_w)
        return at

    def cauchy_stage(self, at: _Place) -> _Place:
        """Return the step (3)."""
        p = self.downhill(at)
        size = self.length(p)
        p = p / size  # squares of the gradient may leave the range of numbers
        bend = float(self.inner(p, self.product(p)))
        alpha = min(self.radius, size / bend) if bend > 0 else self.radius
        return self.search(at, p, (alpha * SHRINK**k for k in range(MOST_TRIALS)))

    def nearest(self, at: _Place, v: Array) -> float:
        """Return the largest multiple of v that does not leave the box."""
        xp, still = array_namespace(v), v == 0
        room = xp.where(v > 0, self.high - at.s, at.s - self.low) / xp.where(still, xp.ones_like(v), xp.abs(v))
        return float(xp.min(xp.where(still, inf + self.zero, room)))


def _shares(nearest: float) -> Iterator[float]:
    """Yield beta = 1, 1/2, ..., and the share that goes as far as the nearest bound."""
    beta = 1.0
    while beta > max(nearest, 0.5**MOST_TRIALS):
        yield beta
        beta /= 2
    yield nearest


def bounded_step(
    model: Model,
    weights: Array | None,
    bounds: Bounds,
    radius: float,
    solver: str = "auto",
    *,
    tol: float | None = None,
    spectrum: str | Floor = "exact",
) -> Step:
    """Return a step of a trust region in a box, by the two stages of the module docstring.

    Parameters
    ----------
    model : Model
        The model; its theta lies in the box.
    weights : array (P,) or None
        Diagonal of D, entries > 0; None for the identity.
    bounds : Bounds
        The box.
    radius : float
        The radius delta, > 0.
    solver, tol, spectrum : str, float or None, str or Floor
        Of (4), as in `gradflow.curvature.spectral.minimise`.

    Raises
    ------
    ValueError
        If the inner product is not diagonal, the model knows steps of a subspace only, or it lacks what the solver needs.
    """
    model.known_mass("bounds")
    model.unconfined("a step within bounds")
    box, xp, g = _Box(model, weights, bounds, radius), array_namespace(model.theta), model.gradient
    at = box.place(box.zero, box.zero)
    boundary, negative, most, nu = False, False, inf, 0 * model.theta[0]
    small = ROUNDING * box.eps * box.length(box.downhill(at))
    for stage in range(MOST_STAGES):
        before, moves = at.decrease, box.length(box.downhill(at)) > small
        if not moves and (stage > 0 or model.definite):
            break
        at = box.cauchy_stage(at) if moves else at
        free = (at.s > box.low) & (at.s < box.high)
        if not bool(xp.any(free)):
            continue
        fixed = box.place(s := xp.where(free, box.zero, at.s), box.product(s))
        left = sqrt(max(radius**2 - box.length(s) ** 2, 0.0))
        boundary = not left > 0
        if boundary:
            break
        face = Face(model, free, s, g + fixed.G_s)
        part = minimise(
            face, None if weights is None else face.narrow(weights), partial(_in_ball, left), solver,
            tol=tol, spectrum=spectrum,
        )  # fmt: skip
        box.products += part.products
        negative, nu, most = part.negative, part.nu, fixed.decrease + float(part.most)
        d = face.widen(part.d)
        nearest = box.nearest(at, d + s - at.s)
        if nearest >= 1:  # the solution of (4): the numbers of its own form keep their digits
            cross = box.inner(fixed.G_s, d)
            slope, bend = fixed.slope + part.slope - cross, fixed.bend + 2 * cross + part.bend
            at = _Place(projected(d + s, box.low, box.high), fixed.G_s + box.product(d), slope, bend)
            boundary = part.boundary
            released = xp.where(free, box.zero, box.downhill(at))
            if boundary or not box.length(released) > small:
                break
        else:
            at = box.search(at, d + s - at.s, _shares(nearest))
        if not at.decrease - before > box.eps * at.decrease:
            break
    length = box.length(at.s)
    if not (boundary or negative) and length < radius * (1 - SHRINK):  # the minimiser in the box
        most = at.decrease
    zero = 0 * model.theta[0]
    return Step(at.s, nu, zero + length, at.slope, at.bend, zero + most, boundary, negative, box.products)


def _in_ball(radius: float, form: Form) -> Coefficients:
    """Return the solution of (4) in the eigenbasis of a face."""
    return trust_region(form.gamma, form.mu, radius)
