r"""Sketched systems in the place of the linear system of IEQ: in a subspace of the parameters, or for combinations of residuals.

The increment of IEQ solves ``(A / dt + J^* J) d = -(J^* q + h)`` (`gradflow.curvature.damped_step`). Let S be a random
matrix, drawn as in `gradflow.curvature.sketched`: by the seed and, if `fresh`, by a digest of theta. A run can therefore be
repeated and resumed, but with fresh draws a rounding error in theta changes the steps that follow.

*Columns.* S has k columns of length P, and d = S z is the minimiser of the model of IEQ in the range of S,

.. math:: S^*\Bigl(\frac{A}{\Delta t} + J^* J\Bigr) S\, z = -S^*(J^* q + h).                              \tag{1}

With ``S^* (A / dt) S = I``, which changes the basis and not the subspace, this is ``(I + (J S)^T J S) z = -S^* (J^* q + h)``:
k products with J; if J can be stored, one matrix product. It is IEQ for the k parameters z, and tau = 1.

*Rows.* ``W = S^T`` has k rows of length N, and k combinations of residuals replace the N residuals: in the matrix
alone, or in the gradient too,

.. math::
   \Bigl(\frac{A}{\Delta t} + (W J)^* W J\Bigr)\, d = -(J^* q + h) \qquad\text{or}\qquad
   -\bigl((W J)^* W q + h\bigr).                                                                          \tag{2}

The law. `gradflow.IEQ` takes the best multiple ``tau d`` for the *full* residual, and keeps its law of ``|q|^2 / 2`` for every
dt and every draw. For columns that is the law of (1) itself. The second form of (2) without tau has a law of ``|W q|^2 / 2``
alone: ``|q|^2`` may rise, from 1 to 13/4 in an example. With tau it does not.

The flow. To first order in dt, the first form of (2) is a step of the flow for every draw, and d is a descent
direction. It suits ``k > P``: in directions that W J does not see, d is ``-dt`` times the gradient, which makes tau
small if dt is large. The second form is the flow in the mean only, before the scaling, as ``E[W^T W] = I``; ``tau < 0``
is possible, and near a minimum with residuals that do not vanish d is mostly noise. It suits ``k < P`` and residuals
that vanish. The step (1) is that of the flow projected to the range of S; for Gaussian S, in the mean, k / P of the
step of the flow.

=======  ====  =======
symbol   code  shape
=======  ====  =======
S        S     (P, k)
J S      B     (N, k)
z        z     (k,)
W        W     (k, N)
=======  ====  =======

Source: for (1), Gower, Kovalev, Lieder & Richtárik, NeurIPS 32 (2019). For (2), Pilanci & Wainwright, J. Mach. Learn. Res. 17
(2016), where the first form is the iterative Hessian sketch; not checked here. The laws are derived here.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..energies.dense import DenseLinearization
from ..energies.parts import RowsLinearization
from ..energies.protocols import Linearization, problem_ability
from ..namespace import Array, array_namespace
from ..refusals import instance, one_of, whole_number
from .damped_step import DampedStep, DampedSystem, damped_step, solve_identity_plus
from .lapack import svd
from .sketched import SKETCHES, draw_at

__all__ = ["ColumnSketch", "RowSketch"]


@dataclass(frozen=True)
class _Sketch:
    """The draw of a sketch.

    Parameters
    ----------
    size : int
        The number k >= 1 of columns of S; more than its rows is as many.
    kind : {"gaussian", "sparse", "srht"}
        The kind of the sketch.
    seed : int
        Of the draws, >= 0.
    fresh : bool
        Whether each theta has a draw of its own, or a run one draw.

    Raises
    ------
    ValueError
        If the kind is unknown, `fresh` is not True or False, or a number is out of its range.
    """

    size: int
    kind: str = "gaussian"
    seed: int = 0
    fresh: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "size", whole_number("size", self.size, 1))
        one_of("kind", self.kind, SKETCHES)
        object.__setattr__(self, "seed", whole_number("seed", self.seed))
        instance("fresh", self.fresh, bool, "True or False")

    def _drawn(self, theta: Array, n: int) -> Array:
        return draw_at(theta, n, self.kind, self.size, self.seed, fresh=self.fresh)


@dataclass(frozen=True)
class ColumnSketch(_Sketch):
    """The step of IEQ in a random subspace, equation (1): ``gf.IEQ(solver=gf.curvature.ColumnSketch(20))``.

    Parameters
    ----------
    size : int
        The dimension k >= 1 of the subspace; more than P is P.
    kind : {"gaussian", "sparse", "srht"}
        The kind of the sketch.
    seed : int
        Of the draws, >= 0.
    fresh : bool
        Whether each theta has a draw of its own, or a run one draw.

    Raises
    ------
    ValueError
        If the kind is unknown, `fresh` is not True or False, or a number is out of its range; at a step, if the inner
        product or the linear part is not diagonal.

    Examples
    --------
    With the same seed, the step is the damped one of `gradflow.curvature.Sketched`:

    >>> import numpy as np, gradflow as gf
    >>> J = np.random.default_rng(0).standard_normal((30, 8))
    >>> problem, theta, dt = gf.DenseLeastSquares(lambda t: J @ t - 1, lambda t: J), np.zeros(8), 0.5
    >>> ieq = gf.Restart(gf.IEQ(solver=gf.curvature.ColumnSketch(3)))
    >>> sketched = gf.curvature.Sketched(gf.curvature.GaussNewton(), 3)
    >>> damped = gf.SecondOrder(curvature=sketched, globalization=gf.curvature.FixedDamping(1 / dt))
    >>> a, b = (s.step(problem, s.init(problem, theta), t).theta for s, t in ((ieq, dt), (damped, 1.0)))
    >>> bool(abs(a - b).max() < 1e-14)
    True
    """

    def direction(self, system: DampedSystem) -> DampedStep:
        """Return d, (P,), of (1) and J d, (N,).

        Parameters
        ----------
        system : DampedSystem
            The system of a step.

        Raises
        ------
        ValueError
            If A or the inner product is not diagonal.
        """
        _, theta, at, q, h, _, dt, _ = system
        xp, mass, P = array_namespace(theta), system.mass_for("ColumnSketch"), theta.shape[0]
        root = xp.sqrt(1 + dt * system.diagonal_for("ColumnSketch") + 0 * theta)  # 1 / dt may overflow
        T = self._drawn(theta, P)
        U, sigma, _ = svd(root[:, None] * T)
        kept = sigma > float(xp.finfo(sigma.dtype).eps) * P * sigma[0]
        rank = max(1, int(xp.sum(xp.astype(kept, xp.int64))))  # 0 for NaN
        S = U[:, :rank] * (dt**0.5 / (root * (mass + 0 * theta) ** 0.5))[:, None]
        J = system.jacobian()
        B = J @ S if J is not None else xp.stack([at.jvp(S[:, j]) for j in range(S.shape[1])], axis=1)
        right = B.T @ q if h is None else B.T @ q + S.T @ (mass * h)
        z = -solve_identity_plus(B.T @ B, right)  # (1)
        return DampedStep(S @ z, B @ z)


@dataclass(frozen=True)
class RowSketch(_Sketch):
    """The step of IEQ for random combinations of the residuals, equation (2): ``gf.IEQ(solver=gf.curvature.RowSketch(100))``.

    Parameters
    ----------
    size : int
        The number k >= 1 of combinations; more than N is N.
    kind : {"gaussian", "sparse", "srht"}
        The kind of the sketch.
    seed : int
        Of the draws, >= 0.
    fresh : bool
        Whether each theta has a draw of its own, or a run one draw.
    full_gradient : bool
        Which form of (2): whether the right-hand side has all residuals.

    Raises
    ------
    ValueError
        If the kind is unknown, `fresh` or `full_gradient` is not True or False, or a number is out of its range.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> J = np.random.default_rng(0).standard_normal((400, 8))
    >>> problem = gf.DenseLeastSquares(lambda t: J @ t - 1, lambda t: J)
    >>> least = problem.energy(np.linalg.lstsq(J, np.ones(400), rcond=None)[0])
    >>> scheme = gf.Restart(gf.IEQ(solver=gf.curvature.RowSketch(80)))
    >>> energy = gf.solve(problem, scheme, np.ones(8), dt=1e3, steps=20).history["energy"] - least
    >>> bool(np.all(np.diff(energy) < 1e-12)), bool(energy[-1] < 1e-9 * energy[0])
    (True, True)
    """

    full_gradient: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        instance("full_gradient", self.full_gradient, bool, "True or False")

    def direction(self, system: DampedSystem) -> DampedStep:
        """Return d, (P,), of (2) and J d, (N,).

        Parameters
        ----------
        system : DampedSystem
            The system of a step.
        """
        problem, theta, at, q, h, A, dt, tol = system
        mass = problem_ability(problem, "mass")
        W = self._drawn(theta, q.shape[0]).T
        W_q, J = W @ q, system.jacobian()
        rows: Linearization = RowsLinearization(at, W, W_q, mass)
        if J is not None and mass is not None:
            rows = DenseLinearization(W_q, W @ J, mass)
        if self.full_gradient:
            W_q, h = 0 * W_q, at.vjp(q) if h is None else at.vjp(q) + h
        d = damped_step(rows, W_q, h, A, dt, mass=mass, n_parameters=theta.shape[0], tol=tol).d  # (2)
        return DampedStep(d, at.jvp(d))
