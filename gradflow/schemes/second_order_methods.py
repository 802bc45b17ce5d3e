"""The second-order methods by their names: each is `SecondOrder` with its parts spelled out.

=======================  ==============  ===================  =================  ==========
method                   curvature       metric               globalisation      spectrum
=======================  ==============  ===================  =================  ==========
`Newton`                 Hessian         Identity             FixedDamping       exact
`GaussNewton`            GaussNewton     Identity             FixedDamping       exact
`NaturalGradient`        Fisher          Identity             TrustRegion        exact
`KFAC`                   KFAC            Identity             TrustRegion        exact
`LevenbergMarquardt`     GaussNewton     CurvatureDiagonal    TrustRegion        exact
`TrustRegion`            Hessian         Identity             TrustRegion        exact
`CubicRegularization`    Hessian         Identity             Cubic              exact
`SaddleFreeNewton`       Hessian         Identity             FixedDamping       absolute
=======================  ==============  ===================  =================  ==========
"""

from __future__ import annotations

from ..curvature import globalization
from ..curvature.bounds import Bounds
from ..curvature.fisher import Fisher
from ..curvature.gauss_newton import GaussNewton as GaussNewtonCurvature
from ..curvature.globalization import Cubic, FixedDamping, Globalization
from ..curvature.hessian import Hessian
from ..curvature.kronecker import KFAC as KFACCurvature
from ..curvature.metric import CurvatureDiagonal, Identity, Metric
from ..curvature.model import Curvature
from ..curvature.pcg import PCG
from ..refusals import instance
from .second_order import SecondOrder

__all__ = [
    "KFAC",
    "CubicRegularization",
    "GaussNewton",
    "LevenbergMarquardt",
    "NaturalGradient",
    "Newton",
    "SaddleFreeNewton",
    "TrustRegion",
]


def Newton(
    *, damping: float = 0.0, globalization: Globalization | None = None, solver: str | PCG = "auto"
) -> SecondOrder:
    """Return Newton's method: ``(H + damping I) d = -g``.

    With a constant damping it is attracted by every stationary point, a saddle or a maximum too, and a step may increase the
    energy. A line search or a trust region lets the energy fall in every accepted step.

    Parameters
    ----------
    damping : float
        A constant multiplier >= 0, 1 / time.
    globalization : Globalization, optional
        In the place of a constant damping: `gradflow.curvature.Armijo`, `gradflow.curvature.StrongWolfe`,
        `gradflow.curvature.TrustRegion`, ...
    solver : str or PCG
        As in `SecondOrder`.

    Raises
    ------
    ValueError
        If both a damping and a globalisation are given.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> valley = gf.DenseLeastSquares(lambda t: np.array([10 * (t[1] - t[0] ** 2), 1 - t[0]]))
    >>> method = gf.Newton(globalization=gf.curvature.Armijo())
    >>> end = gf.solve(valley, method, np.array([-1.2, 1.0]), steps=50, stop=gf.Tolerance(gradient=1e-8))
    >>> end.status, np.round(end.theta, 6).tolist()
    (<Status.CONVERGED: 'converged'>, [1.0, 1.0])
    """
    constant = FixedDamping(damping)
    rule = constant if globalization is None else _controlled(damping or None, globalization)
    return SecondOrder(curvature=Hessian(), globalization=rule, solver=solver)


def GaussNewton(*, damping: float = 0.0, solver: str | PCG = "auto") -> SecondOrder:
    """Return the Gauss-Newton method: ``(J^* J + L + damping I) d = -g``.

    Without damping, the shortest solution is taken where J is rank-deficient. With ``damping = 1 / dt`` it is
    ``Restart(IEQ())`` with step size dt.

    Parameters
    ----------
    damping : float
        A constant multiplier >= 0, 1 / time.
    solver : str or PCG
        As in `SecondOrder`.
    """
    return SecondOrder(curvature=GaussNewtonCurvature(), globalization=FixedDamping(damping), solver=solver)


def _controlled(damping: float | None, rule: Globalization | None) -> Globalization:
    """Return a constant damping, the given globalisation, or by default a trust region."""
    if damping is None:
        return globalization.TrustRegion() if rule is None else rule
    if rule is not None:
        raise ValueError(f"give damping or globalization, not both; got {damping!r} and {rule!r}")
    return FixedDamping(damping)


def NaturalGradient(
    *,
    damping: float | None = None,
    globalization: Globalization | None = None,
    fisher: Fisher = Fisher(),
    solver: str | PCG = "auto",
) -> SecondOrder:
    """Return the natural gradient method: ``(M^{-1} F + L + nu I) d = -g`` with a Fisher matrix F.

    By default nu is the multiplier of a trust region, whose radius follows the ratio of actual to predicted decrease, on
    the batch of the step. A constant damping has no such control: the matrix vanishes where all samples are fitted, and
    small eigenvalues then make steps long. Without damping, L and singular directions, and with infinitesimal steps, it
    does not depend on how the model is parametrised. With steps of finite length it does.
    `gradflow.curvature.CurvatureRegion` in `SecondOrder` determines the length of a step from a bound of the divergence of
    the model.

    Parameters
    ----------
    damping : float, optional
        A constant multiplier >= 0, 1 / time, in the place of the region.
    globalization : Globalization, optional
        By default `gradflow.curvature.TrustRegion`; `gradflow.curvature.NielsenDamping`,
        `gradflow.curvature.CurvatureRegion`, ...
    fisher : Fisher
        Which Fisher matrix: `gradflow.curvature.Fisher`.
    solver : str or PCG
        As in `SecondOrder`.

    Raises
    ------
    ValueError
        If `fisher` is no `gradflow.curvature.Fisher`, or both a damping and a globalisation are given.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> rng = np.random.default_rng(0)
    >>> x = rng.standard_normal((60, 2))
    >>> labels = (x[:, 0] * x[:, 1] > 0).astype(int)
    >>> problem = gf.Classification(gf.TwoLayerNet(2, 8, 2, activation="tanh", scaling="ntk"), x, labels)
    >>> run = gf.solve(problem, gf.NaturalGradient(), problem.net.init(0), steps=60)
    >>> problem.accuracy(run.theta)
    1.0
    """
    instance("fisher", fisher, Fisher, "a gradflow.curvature.Fisher")
    return SecondOrder(curvature=fisher, globalization=_controlled(damping, globalization), solver=solver)


def KFAC(
    *,
    damping: float | None = None,
    globalization: Globalization | None = None,
    fisher: Fisher = Fisher(),
    corrected: bool = False,
    solver: str | PCG = "auto",
) -> SecondOrder:
    """Return natural gradient with the Kronecker factors of K-FAC: ``(M^{-1} (A (x) B) + L + nu I) d = -g`` in each layer.

    The damped system is solved exactly, and nu is that of `NaturalGradient`. The factors are those of the data, or of the
    batch, of the step: there is no memory that would average them over steps.

    Parameters
    ----------
    damping : float, optional
        A constant multiplier >= 0, 1 / time, in the place of the region.
    globalization : Globalization, optional
        By default `gradflow.curvature.TrustRegion`; `gradflow.curvature.NielsenDamping`,
        `gradflow.curvature.CurvatureRegion`, ...
    fisher : Fisher
        Whose scores the factors have: `gradflow.curvature.Fisher`.
    corrected : bool
        Whether the eigenvalues are those of EKFAC.
    solver : str or PCG
        As in `SecondOrder`.
    """
    return SecondOrder(
        curvature=KFACCurvature(fisher, corrected=corrected),
        globalization=_controlled(damping, globalization),
        solver=solver,
    )


def LevenbergMarquardt(
    *,
    globalization: Globalization = globalization.TrustRegion(),
    metric: Metric = CurvatureDiagonal(),
    solver: str | PCG = "auto",
    bounds: Bounds | None = None,
) -> SecondOrder:
    """Return the Levenberg-Marquardt method for least squares.

    By default the damping is the multiplier of a trust region, scaled by the running maximum of ``diag J^T J``, as in MINPACK:
    with it every start of ``python benchmarks/fits.py --dampings`` is solved, and Nielsen's rule misses two.

    Parameters
    ----------
    globalization : Globalization
        `gradflow.curvature.TrustRegion`, or `gradflow.curvature.NielsenDamping` or `gradflow.curvature.MarquardtDamping`
        for the methods of these names.
    metric : Metric
        What is damped: `gradflow.curvature.CurvatureDiagonal`, or `gradflow.curvature.Identity` for Levenberg's method.
    solver : str or PCG
        As in `SecondOrder`.
    bounds : Bounds, optional
        A box that theta does not leave, `gradflow.Bounds`; with a trust region only.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> t = np.arange(1.0, 7.0)
    >>> y = np.array([2.7, 3.7, 5.0, 6.7, 9.1, 12.2])
    >>> fit = gf.DenseLeastSquares(lambda b: b[0] * np.exp(b[1] * t) - y)
    >>> solution = gf.solve(fit, gf.LevenbergMarquardt(), np.ones(2), steps=50, stop=gf.Tolerance(step_relative=1e-8))
    >>> solution.status, np.round(solution.theta, 3)
    (<Status.CONVERGED: 'converged'>, array([2.03 , 0.299]))
    """
    return SecondOrder(
        curvature=GaussNewtonCurvature(), metric=metric, globalization=globalization, solver=solver, bounds=bounds
    )


def TrustRegion(
    *,
    radius: float | None = None,
    curvature: Curvature = Hessian(),
    metric: Metric = Identity(),
    solver: str | PCG = "auto",
    bounds: Bounds | None = None,
) -> SecondOrder:
    """Return the trust-region method with exact subproblems, the hard case included; with ``solver="lanczos"``, GLTR.

    Parameters
    ----------
    radius : float, optional
        The first radius, > 0; by default the length of theta.
    curvature : Curvature
        As in `SecondOrder`.
    metric : Metric
        The shape of the region.
    solver : str or PCG
        As in `SecondOrder`.
    bounds : Bounds, optional
        A box that theta does not leave, `gradflow.Bounds`.

    Examples
    --------
    The minimum of Rosenbrock's function in the half plane ``x <= 1/2`` is ``(1/2, 1/4)``:

    >>> import numpy as np, gradflow as gf
    >>> valley = gf.DenseLeastSquares(lambda t: np.array([10 * (t[1] - t[0] ** 2), 1 - t[0]]))
    >>> method = gf.TrustRegion(bounds=gf.Bounds(upper=[0.5, np.inf]))
    >>> end = gf.solve(valley, method, np.array([-1.2, 1.0]), steps=50, stop=gf.Tolerance(gradient=1e-8))
    >>> end.status, np.round(end.theta, 6).tolist()
    (<Status.CONVERGED: 'converged'>, [0.5, 0.25])
    """
    region = globalization.TrustRegion(radius=radius)
    return SecondOrder(curvature=curvature, metric=metric, globalization=region, solver=solver, bounds=bounds)


def CubicRegularization(
    *, weight: float = 1.0, curvature: Curvature = Hessian(), solver: str | PCG = "auto"
) -> SecondOrder:
    """Return adaptive cubic regularisation (ARC).

    Parameters
    ----------
    weight : float
        The first weight sigma of the cubic term, > 0.
    curvature : Curvature
        As in `SecondOrder`.
    solver : str or PCG
        As in `SecondOrder`.
    """
    return SecondOrder(curvature=curvature, globalization=Cubic(weight=weight), solver=solver)


def SaddleFreeNewton(*, damping: float = 1e-3, solver: str | PCG = "auto", escape: float | None = 1e-3) -> SecondOrder:
    """Return saddle-free Newton: ``(|H| + damping I) d = -g``, which is repelled by saddles.

    At a saddle itself, where g = 0 to rounding, it takes a step along the most negative curvature. With
    ``solver="lanczos"``, H is replaced by its projection on a Krylov space of the gradient, whose absolute eigenvalues are
    those of the method.

    Parameters
    ----------
    damping : float
        A constant multiplier >= 0, 1 / time; it bounds the step where an eigenvalue vanishes.
    solver : str or PCG
        As in `SecondOrder`.
    escape : float, optional
        As in `SecondOrder`: the length of the step from a saddle itself, > 0; with None, the method stays there.

    Examples
    --------
    The double well ``x^2 / 2 + y^4 / 4 - y^2 / 2`` has a saddle at the origin and minima at ``y = 1, -1``:

    >>> import numpy as np, gradflow as gf
    >>> well = gf.FunctionProblem(
    ...     lambda t: t[0] ** 2 / 2 + t[1] ** 4 / 4 - t[1] ** 2 / 2,
    ...     lambda t: np.array([t[0], t[1] ** 3 - t[1]]),
    ...     hvp=lambda t, v: np.array([v[0], (3 * t[1] ** 2 - 1) * v[1]]),
    ... )
    >>> start = np.array([1.0, 0.3])
    >>> ends = [gf.solve(well, method, start, steps=50).theta for method in (gf.Newton(), gf.SaddleFreeNewton())]
    >>> np.round(np.abs(ends), 6).tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """
    return SecondOrder(
        curvature=Hessian(),
        globalization=FixedDamping(damping),
        spectrum="absolute",
        solver=solver,
        escape=escape,
    )
