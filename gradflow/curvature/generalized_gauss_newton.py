r"""The generalised Gauss-Newton curvature of a loss of outputs.

For ``E = (theta, L theta)_M / 2 + loss(f(theta))`` with the outputs f and their Jacobian J,

.. math:: G = J^* H J + L, \qquad H = \frac{\partial^2\,\mathrm{loss}}{\partial f^2}.                      \tag{1}

The Hessian has the additional term ``sum_i (d loss / d f_i) f_i''``. H is positive semi-definite for a convex loss, and
so is G. With a root of H, ``H = Q^T Q``, a root of ``M (G - L)`` is ``Q J``.

* A squared loss has ``H = c^2 I``: (1) is the Gauss-Newton curvature of the residual ``q = c (f - y)``.
* Softmax cross-entropy, the mean over N samples, has ``H = (diag(p) - p p^T) / N`` for each sample, of rank k - 1. The
  diagonal matrix ``diag(p (1 - p))`` is that of k independent sigmoids; it is neither an upper nor a lower bound of H.

H does not depend on the labels where f are natural parameters of an exponential family, as here. (1) is then the Fisher
matrix of the model at every theta (`gradflow.curvature.fisher`).

Source: Schraudolph, Neural Comput. 14 (2002) 1723; Martens, J. Mach. Learn. Res. 21 (2020) 146.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..energies.protocols import Problem, problem_ability
from ..namespace import Array
from .gauss_newton import GaussNewtonModel
from .model import Model
from .outer_products import OuterProducts, Rows, predicting

__all__ = ["GeneralizedGaussNewton"]


@dataclass(frozen=True)
class GeneralizedGaussNewton:
    """The generalised Gauss-Newton curvature (1).

    It needs a problem with outputs (`gradflow.Classification`, `gradflow.Regression`) or one of least squares; for the
    latter it is `gradflow.curvature.GaussNewton`.

    Examples
    --------
    >>> import numpy as np, gradflow as gf
    >>> rng = np.random.default_rng(0)
    >>> x, labels = rng.standard_normal((40, 2)), rng.integers(0, 3, 40)
    >>> problem = gf.Classification(gf.TwoLayerNet(2, 5, 3, activation="tanh", scaling="ntk"), x, labels)
    >>> method = gf.SecondOrder(curvature=gf.curvature.GeneralizedGaussNewton())
    >>> run = gf.solve(problem, method, problem.net.init(0), steps=30)
    >>> run.history["energy"][0] > 1.0 > 0.9 > run.history["energy"][-1]
    np.True_
    """

    def at(self, problem: Problem, theta: Array) -> Model:
        """Return the model at theta.

        Raises
        ------
        ValueError
            If the problem has neither outputs nor a residual.
        """
        if problem_ability(problem, "linearize") is not None:
            return GaussNewtonModel(problem, theta)
        predicting(problem, "GeneralizedGaussNewton")
        each = int(problem_ability(problem, "n_outputs"))
        return OuterProducts(problem, theta, Rows(lambda loss, f, part: loss.root(f), each))
