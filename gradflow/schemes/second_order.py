r"""Second-order methods: one framework for Newton, Gauss-Newton, Levenberg-Marquardt, trust regions and the cubic model.

With a curvature G, a metric D (`gradflow.curvature.metric`) and the inner product M of the problem, the increment d of a
step solves

.. math:: (G + \nu D)\,d = -g,                                                                          \tag{1}

where the multiplier ``nu >= 0`` is given (damping), or follows from a bound of ``|d|_D`` (trust region) or a cubic term
(`gradflow.curvature.subproblem`). A region that is measured by the curvature has A of `gradflow.curvature.curvature_region` in
place of D, and in its linear form 0 in place of G. A step is one of explicit Euler for ``theta' = -(G + nu D)^{-1} g``:

.. math:: \theta_{\text{trial}} = \theta^n + \Delta t\, d,                                              \tag{2}

the full step of the model for ``dt = 1``, the default of `solve`. The model predicts the decrease

.. math:: p = -\Delta t\,(g, d)_M - \tfrac12\Delta t^2 (d, G d)_M
            = \Delta t\,\bigl(1 - \tfrac12\Delta t\bigr)(d, (G + \nu D) d)_M + \tfrac12\Delta t^2\nu\,|d|_D^2,    \tag{3}

which is nonnegative for ``dt <= 2`` if ``G + nu D`` is positive semi-definite. The trial is accepted if

.. math:: \rho = \frac{E(\theta^n) - E(\theta_{\text{trial}})}{p} > \rho_0:                              \tag{4}

an accepted step decreases the true energy by at least ``rho_0 p``. A rejected trial leaves theta and changes the damping,
the radius or the weight of the cubic term; it is a step of its own, and no standstill.

A line search (`gradflow.curvature.descent`) takes the place of dt and of (4): along d, it finds a length alpha with
``E(theta + alpha d) - E <= c_1 alpha (g, d)_M``, starting from ``alpha = dt``, and (2) and (3) have alpha for dt. If there
is none, the trial is rejected.

With the Gauss-Newton curvature, ``D = I``, ``nu = 1 / tau`` and ``dt = 1``, (2) is the step of restarted `IEQ` of size
tau, and p is the guaranteed decrease of its modified energy.

With bounds ``l <= theta <= u`` (`gradflow.curvature.bounds`), d is the step of a trust region in the box, with D and M
diagonal. If the model is convex and ``|d|_D`` is less than the radius, d minimises it in the box; on the sphere, over the
parameters that are at no bound. Every trial lies in the box, dt is at most 1, and the gradient that `gradflow.Tolerance`
bounds is without the entries that a bound holds.

At a saddle itself, g = 0 and so d = 0. Where d is zero to rounding and G has a negative eigenvalue, a step of a given
length along its eigenvector may take the place of d (`gradflow.curvature.escape`).

Close to a minimum, both decreases are rounding errors of E. Where neither exceeds ``64 eps |E|``, a trial that does not
increase E is accepted, whatever the ratio. The rounding errors of a sum of squares may be larger: where a trial is rejected
whose predicted decrease is below ``eps^{1/2} |E|``, they are measured
(`gradflow.energies.derivatives.rounding_of_squares`). A trial that rounds to theta itself leaves the state as it is, but
for a globalisation with a test of its own.

===========  =============  =====
symbol       code           shape
===========  =============  =====
theta        theta          (P,)
d            d              (P,)
(g, d)_M     slope          0-d
(d, G d)_M   bend           0-d
nu           damping        0-d
p            predicted      0-d
rho          ratio          0-d
===========  =============  =====

Source: Nocedal & Wright, Numerical Optimization (2006), chapters 4 and 10; Conn, Gould & Toint, Trust-Region Methods (2000),
chapter 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Any, ClassVar, NamedTuple, cast

from ..curvature.bounds import Bounds, bounded_step
from ..curvature.descent import ROUNDING, Point, Searching, search_along
from ..curvature.direct import DIRECT_SOLVERS, factorised, factorises, solve_damped
from ..curvature.escape import escape_step
from ..curvature.gauss_newton import GaussNewton
from ..curvature.globalization import Control, Damping, Direct, Globalization, Judging, NielsenDamping, TrustRegion
from ..curvature.line_search import Found
from ..curvature.metric import Identity, Metric
from ..curvature.model import Curvature, Model, Remembering, decrease, memory_of
from ..curvature.pcg import PCG
from ..curvature.spectral import SOLVERS, SPECTRA, Floor, Step, minimise
from ..description import found
from ..energies.derivatives import rounding_of_squares
from ..energies.linear import Scalar
from ..energies.protocols import Problem
from ..namespace import Array, array_namespace, quiet
from ..refusals import instance, one_of, plain_numbers, real_array, real_number

__all__ = ["SecondOrder", "SecondOrderState", "gain_ratio", "second_order_update"]

BOUNDED = ("auto", "svd", "eigh", "lanczos")  # solvers of the problems on faces


class SecondOrderState(NamedTuple):
    """State of a second-order method. Flags are 0 or 1; numbers of the last trial are 0 before the first."""

    theta: Array
    """Parameters, (P,)."""
    control: Control
    """Damping, radius or weight of the next trial; 0 before the first."""
    weights: Array
    """Diagonal of D, (P,); 1, 0-d, for the identity."""
    size: Array
    """Damping, radius or weight of the last trial, 0-d; of a line search, the length alpha, 0 if none was found."""
    damping: Array
    """The multiplier nu of the last trial, 0-d."""
    length: Array
    """``|d|_D`` of the last trial, 0-d."""
    predicted: Array
    """Predicted decrease (3), 0-d."""
    share: Array
    """Predicted decrease over that of the minimiser of the model, 0-d; 0 if the model has none."""
    actual: Array
    """Actual decrease, 0-d; 0 if the energy of the trial is not finite."""
    ratio: Array
    """The ratio (4), 0-d; -1 if the energy of the trial is not finite."""
    exhausted: Array
    """Whether the decrease at the minimiser of the model is a rounding error of the energy, 0-d."""
    accepted: Array
    """Whether the last trial was accepted, 0-d."""
    boundary: Array
    """Whether the trust region ended the last trial, 0-d."""
    negative_curvature: Array
    """Whether a negative eigenvalue of the last model was seen, 0-d."""
    products: Array
    """Products with the curvature, or sparse factorisations, for the last trial, 0-d; 0 if a dense matrix was decomposed."""
    evaluations: Array
    """Evaluations of the energy for the last trial, 0-d: 1, or those of the line search."""
    active: Array
    """-1 for a parameter at its lower bound, 1 at its upper one, else 0, (P,); 0, 0-d, without bounds."""
    memory: tuple[Array, ...] = ()
    """What a curvature keeps of earlier steps, arrays of its own shapes; empty for one of the present theta alone."""


def second_order_update(theta: Array, d: Array, slope: Array, bend: Array, *, dt: Scalar) -> tuple[Array, Array]:
    """Return theta_trial (P,) of equation (2) and the predicted decrease (0-d) of (3).

    Parameters
    ----------
    theta : array (P,)
        Parameters at the old time.
    d : array (P,)
        The increment of (1).
    slope : 0-d array
        (g, d)_M.
    bend : 0-d array
        (d, G d)_M.
    dt : float or 0-d array
        Step size, > 0; 1 for the full step.
    """
    return theta + dt * d, -dt * slope - dt * (dt * bend) / 2  # (2), (3)


@dataclass(frozen=True, kw_only=True)
class SecondOrder:
    """A second-order method, equations (1) to (4), from its parts.

    Parameters
    ----------
    curvature : Curvature
        G: `gradflow.curvature.GaussNewton`, `gradflow.curvature.Hessian`, `gradflow.curvature.Fisher`, ..., or yours.
    metric : Metric
        D: `gradflow.curvature.Identity`, `gradflow.curvature.CurvatureDiagonal`.
    globalization : Globalization
        What determines nu: `gradflow.curvature.FixedDamping`, `gradflow.curvature.NielsenDamping`, ...; or a line search,
        `gradflow.curvature.Armijo`, `gradflow.curvature.StrongWolfe`.
    solver : {"auto", "own", "svd", "gram", "eigh", "lanczos", "sparse", "cholesky", "qr", "pcg", "steihaug"} or PCG
        How the model is brought to its eigenbasis; see `gradflow.curvature.eigenbasis`. Without an eigenbasis, ``cholesky``,
        ``qr`` and ``pcg`` solve (1) for a given damping, ``cholesky`` also for line searches, and ``steihaug`` the problem of
        a trust region by truncated conjugate gradients. For ``auto`` see `gradflow.curvature.direct`. A
        `gradflow.curvature.PCG` has a preconditioner of its own.
    spectrum : {"exact", "absolute"} or gradflow.curvature.Floor
        Whether (1) has G, or ``|G|``, the operator with the absolute eigenvalues: directions of negative curvature are then
        left, where Newton's method is attracted. Or the eigenvalues are bounded below. The prediction (3) has G.
    tol : float, optional
        For lanczos, sparse, pcg and steihaug, the residual of (1) to reach, relative to the gradient.
    bounds : Bounds, optional
        A box that theta does not leave: `gradflow.Bounds`. It needs a trust region, a diagonal inner product and one of the
        solvers auto, svd, eigh and lanczos.
    escape : float, optional
        The length ``|d|_D`` of a step along negative curvature where that of the model is zero to rounding, > 0; by default
        no such step is taken. At every such point it costs products with the curvature. It goes with neither a line search
        nor bounds.

    Raises
    ------
    ValueError
        If a part is not what its protocol wants, the globalisation does not have the solver, or the tolerance is not
        positive; with bounds, if there is no trust region or the solver is another one; at `init`, if the energy is not finite,
        the problem lacks what the curvature needs, or theta is outside of the bounds; in a step, if dt > 1 with bounds.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> rosenbrock = gf.DenseLeastSquares(
    ...     lambda t: np.array([10 * (t[1] - t[0] ** 2), 1 - t[0]]), lambda t: np.array([[-20 * t[0], 10.0], [-1.0, 0.0]])
    ... )
    >>> method = gf.SecondOrder(curvature=gf.curvature.GaussNewton(), globalization=gf.curvature.NielsenDamping())
    >>> solution = gf.solve(rosenbrock, method, np.array([-1.2, 1.0]), steps=100, stop=gf.Tolerance(gradient=1e-12))
    >>> solution.status, bool(abs(solution.theta - 1).max() < 1e-12)
    (<Status.CONVERGED: 'converged'>, True)
    """

    curvature: Curvature = GaussNewton()
    metric: Metric = Identity()
    globalization: Globalization = NielsenDamping()
    solver: str | PCG = "auto"
    spectrum: str | Floor = "exact"
    tol: float | None = None
    bounds: Bounds | None = None
    escape: float | None = None

    records: ClassVar[tuple[str, ...]] = (
        "size", "damping", "length", "predicted", "share", "actual", "ratio", "exhausted", "accepted", "boundary", "negative_curvature", "products",
        "evaluations",
    )  # fmt: skip
    usual_dt: ClassVar[float] = 1.0

    def __post_init__(self) -> None:
        plain_numbers(self)
        for name, members in (
            ("curvature", ("at",)),
            ("metric", ("start", "weights")),
            ("globalization", ("start", "solve", "after")),
        ):
            part = getattr(self, name)
            missing = [member for member in members if not callable(getattr(part, member, None))]
            if isinstance(part, type) or missing:
                raise ValueError(
                    f"{name} must be an object of gradflow.curvature with {', '.join(members)}, got {part!r}"
                )
        if not (isinstance(self.solver, PCG) and isinstance(self.globalization, Damping)):
            one_of(f"solver with {type(self.globalization).__name__}", self.solver, (*SOLVERS, *self._direct))
        if not isinstance(self.spectrum, Floor) or self.solver not in SOLVERS:
            one_of("spectrum", self.spectrum, SPECTRA if self.solver in SOLVERS else SPECTRA[:1])
        if self.tol is not None:
            real_number("tol", self.tol, 0, open_low=True)
        instance("bounds", self.bounds, (Bounds, type(None)), "a gradflow.Bounds or None")
        if self.bounds is not None:
            instance(
                "globalization",
                self.globalization,
                TrustRegion,
                "a gradflow.curvature.TrustRegion where there are bounds",
            )
            one_of("solver with bounds", self.solver, BOUNDED)
        if self.escape is not None:
            real_number("escape", self.escape, 0, open_low=True)
            if isinstance(self.globalization, Searching) or self.bounds is not None:
                raise ValueError(
                    "escape is a length of its own: it needs a globalization that is no line search, and no bounds"
                )

    def init(self, problem: Problem, theta: Array) -> SecondOrderState:
        """Return the state before the first trial."""
        model = self.curvature.at(problem, theta)
        if not isinstance(model, Model):
            raise ValueError(f"curvature.at must return a gradflow.curvature.model.Model, got {found(model)}")
        if not isfinite(float(model.energy)):
            raise ValueError(f"the energy at theta0 must be finite, got {float(model.energy)}")
        zero, active = 0 * theta[0], 0 * theta[0]
        if self.bounds is not None:
            self.bounds.require(theta)
            model.known_mass("a box of bounds")
            active = self.bounds.active(theta)
        none = SecondOrderState(theta, Control(zero, zero), self.metric.start(theta), *(zero for _ in range(14)))
        none = none._replace(active=active)
        if not isinstance(self.curvature, Remembering):
            return none
        return none._replace(memory=memory_of("curvature.start", self.curvature.start(theta), theta))

    @property
    def _direct(self) -> tuple[str, ...]:
        """The solvers without an eigenbasis."""
        if isinstance(self.globalization, Damping):
            return DIRECT_SOLVERS
        return self.globalization.direct if isinstance(self.globalization, Direct) else ()

    def known_energy(self, at: Model | None) -> Array | None:
        """Return the energy of a model, 0-d."""
        return None if at is None else at.energy

    def rejected(self, state: SecondOrderState) -> bool:
        """Return whether the last trial was rejected: theta was left as it was."""
        return not bool(state.accepted)

    def shortened(self, state: SecondOrderState) -> bool:
        """Return whether the step got less than half of the decrease that the model has to offer, by damping or a rejection.

        Where the model has no decrease to offer beyond rounding errors, the answer is no: the run has come to its end.
        """
        return not bool(state.exhausted) and (bool(state.share < 0.5) or not bool(state.accepted))

    def measured(self, state: SecondOrderState, v: Array) -> Array:
        """Return ``D^{1/2} v``, (P,).

        Parameters
        ----------
        state : SecondOrderState
            It has the metric.
        v : array (P,)
            A vector.
        """
        return v * array_namespace(v).sqrt(state.weights)

    def step(self, problem: Problem, state: SecondOrderState, dt: Scalar) -> SecondOrderState:
        """Return the state after one trial."""
        return self.step_evaluated(problem, state, dt, None)[0]

    def step_evaluated(
        self, problem: Problem, state: SecondOrderState, dt: Scalar, at: Any
    ) -> tuple[SecondOrderState, Any]:
        """Return ``step(problem, state, dt)`` and the model at its theta, for the next step."""
        plain: Model = self.curvature.at(problem, state.theta) if at is None else at
        xp, zero = array_namespace(state.theta), 0 * state.theta[0]
        fresh = not bool(state.control.size > 0) or bool(state.accepted)
        model, memory = self._remembered(plain, state.memory, fresh)
        weights = self._weights(model, state.weights) if fresh else state.weights
        D = weights if weights.shape else None
        step, control = self._increment(model, D, state, dt)
        noise = ROUNDING * float(xp.finfo(state.theta.dtype).eps) * abs(float(model.energy))
        if self.escape is not None:
            step = escape_step(model, D, step, self.escape, noise)
        size, evaluations, found = control.size, 1, None
        if isinstance(self.globalization, Searching):
            found = self._searched(self.globalization, model, step, float(dt))
            evaluations, dt = found.evaluations, found.trial.alpha if found.trial else 0.0
            size = zero + dt
        trial, predicted = second_order_update(state.theta, step.d, step.slope, step.bend, dt=dt)
        if self.bounds is not None:
            trial = self.bounds.landed(state.theta, step.d, trial)
        new = self.curvature.at(problem, trial) if found is None else found.trial.at if found.trial else model
        finite = bool(xp.isfinite(new.energy)) and bool(xp.all(xp.isfinite(trial)))
        actual = decrease(model, new) if finite else zero
        failed = not finite or (found is not None and found.trial is None)
        ratio = zero - 1 if failed else gain_ratio(actual, predicted, noise)
        if self._doubtful(model, ratio, predicted, failed):
            noise = max(noise, rounding_of_squares(problem, state.theta))
            ratio, evaluations = ratio if failed else gain_ratio(actual, predicted, noise), evaluations + 7
        still = bool(xp.all(trial == state.theta))
        exhausted = float(step.most) <= noise
        if exhausted and not bool(step.length > 0):  # a square in the model may have underflowed or overflowed
            left = model.gradient if self.bounds is None else self.bounds.free(state.theta, model.gradient)
            exhausted = float(xp.sum(xp.abs(left) * xp.abs(state.theta))) <= noise
        threshold = self.globalization.accept
        accepted = not failed if found is not None else threshold is None or bool(ratio > threshold)
        judged = ratio
        if isinstance(self.globalization, Judging) and not failed:
            accepted = self.globalization.accepts(model, new, D, control.size, ratio)
            judged = ratio if accepted else zero - 1
        theta = trial if accepted else state.theta
        if not still or isinstance(self.globalization, Judging):  # theta itself may not pass its test
            control = _control("after", self.globalization.after(control, step, judged))
        after = SecondOrderState(
            theta, control, weights, size,
            step.nu, step.length, predicted, _share(predicted, step.most), actual, ratio, zero + float(exhausted),
            zero + float(accepted), zero + float(step.boundary),
            zero + float(step.negative), zero + step.products, zero + evaluations,
            state.active if self.bounds is None else self.bounds.active(theta), memory,
        )  # fmt: skip
        return after, new if accepted else plain

    def _doubtful(self, model: Model, ratio: Array, predicted: Array, failed: bool) -> bool:
        """Return whether a trial may have been rejected for the rounding errors of the energy, which are then measured."""
        threshold = self.globalization.accept
        rejected = failed if threshold is None else not bool(ratio > threshold)
        eps = float(array_namespace(ratio).finfo(ratio.dtype).eps)
        return rejected and model.residual is not None and abs(float(predicted)) <= eps**0.5 * abs(float(model.energy))

    def _increment(self, model: Model, D: Array | None, state: SecondOrderState, dt: Scalar) -> tuple[Step, Control]:
        """Return the increment (1) of a model, and the control that it is made with."""
        rule, solver, control, none = self.globalization, self.solver, state.control, cast(Any, None)
        begins, step = not bool(control.size > 0), cast(Step | None, None)

        def length() -> Array:
            return (
                0 * state.theta[0]
                + model.problem.inner(state.theta, state.theta if D is None else D * state.theta) ** 0.5
            )

        def begun(form: Any) -> Control:
            nonlocal control
            if begins:  # also where a form grows
                control = _control("start", rule.start(form, length()))
            return control

        if self.bounds is not None:
            real_number("dt with bounds", float(dt), 0, 1, open_low=True)
            size = float(begun(none).size)
            step = bounded_step(model, D, self.bounds, size, str(solver), tol=self.tol, spectrum=self.spectrum)
        elif (
            solver == "auto"
            and self.spectrum == "exact"
            and isinstance(rule, (Damping, Searching))
            and factorises(model, D)
        ):
            if isinstance(rule, Damping):
                control = rule.start_directly(model, D, length()) if begins else control
                step = factorised(model, D, control.size)
            else:
                begun(none)
                step = factorised(model, D, 0.0)
        elif isinstance(rule, Damping) and solver not in SOLVERS:
            control = rule.start_directly(model, D, length()) if begins else control
            step = solve_damped(model, D, control.size, solver, tol=self.tol)
        elif isinstance(rule, Direct) and solver in rule.direct:
            step = rule.solve_directly(model, D, begun(none).size, self.tol)
        if step is None:
            step = minimise(
                model,
                D,
                lambda form: rule.solve(form, begun(form).size),
                str(solver),
                tol=self.tol,
                spectrum=self.spectrum,
            )
        return step, control

    def _weights(self, model: Model, before: Array) -> Array:
        """Return the diagonal of D at a model."""
        weights = self.metric.weights(model, before)
        if getattr(weights, "shape", None) == () and float(weights) == 1:
            return weights
        real_array("metric.weights", weights, {"P": model.shape[0]}, model.dtype, of="theta")
        if bool(array_namespace(weights).any(weights <= 0)):
            raise ValueError("metric.weights must have entries > 0")
        return weights

    def _remembered(self, plain: Model, memory: tuple[Array, ...], fresh: bool) -> tuple[Model, tuple[Array, ...]]:
        """Return the model of a step and the memory of the curvature; made once for a theta, whose trials may be several."""
        if not isinstance(self.curvature, Remembering):
            return plain, memory
        if "remembered" not in plain.forms:
            if fresh:
                memory = memory_of("curvature.update", self.curvature.update(plain, memory), plain.theta, memory)
            plain.forms["remembered"] = self.curvature.remembered(plain, memory), memory
        kept: tuple[Model, tuple[Array, ...]] = plain.forms["remembered"]
        return kept

    def _searched(self, search: Searching, model: Model, step: Step, start: float) -> Found:
        """Return the length along the direction of a step; the trials keep their models."""

        def evaluate(theta: Array) -> Point:
            new = self.curvature.at(model.problem, theta)
            return Point(float(new.energy), -float(decrease(model, new)), lambda: new.gradient, new)

        slope, energy = float(step.slope), float(model.energy)
        with quiet():  # a trial may overflow; it is then shortened
            return search_along(
                search, model.problem, model.theta, step.d, evaluate, energy=energy, slope=slope, start=start
            )


def gain_ratio(actual: Array, predicted: Array, noise: float) -> Array:
    """Return (4), 0-d; 1 if both decreases are at most `noise` and E does not rise; -1 where no decrease is predicted.

    Parameters
    ----------
    actual, predicted : 0-d array
        The decreases.
    noise : float
        The size of the rounding errors of E.
    """
    xp = array_namespace(actual)
    if noise > 0 and 0 <= float(actual) <= noise and abs(float(predicted)) <= noise:
        return xp.ones_like(actual)
    usable, one = predicted > 0, xp.ones_like(actual)
    return xp.where(usable, actual / xp.where(usable, predicted, one), -one)


def _control(method: str, control: Any) -> Control:
    """Return what a globalisation returned, or raise ValueError."""
    if not isinstance(control, Control) or getattr(control.size, "shape", None) != ():
        raise ValueError(f"globalization.{method} must return a Control of 0-d arrays, got {found(control)}")
    return control


def _share(predicted: Array, most: Array) -> Array:
    """Return predicted / most, 0-d; 0 if the model is unbounded below."""
    xp = array_namespace(predicted)
    bounded = xp.isfinite(most) & (most > 0)
    return xp.where(bounded, predicted / xp.where(bounded, most, xp.ones_like(most)), xp.zeros_like(predicted))
