r"""The methods of the empirical study's experiment 4, in the forms in which they are printed, and corrected.

======================  ================================================================================================
here                    what runs
======================  ================================================================================================
SAV (2.2.3)             increment times :math:`r^{n+1} / r^n`: r cancels, and it is restarted SAV
SAV (2.5.1)             increment times :math:`r^{n+1} / \sqrt{E + C}`: vanilla SAV, r carried
ExpSAV (2.2.4)          a gradient step times :math:`r^{n+1} / r^n` near 1, since r is large
ExpSAV (Theorem 2.2)    the step is :math:`\Delta t\, e^{-E}` at the start, and grows without bound as r runs out
ExpSAV (Theorem 2.3)    the consistent form
vanilla IEQ             the residual stored for every sample
restarted IEQ           a fresh residual in each step: Levenberg-Marquardt with damping 10
IEQ-adaptive (vanilla)  rho as stored, with :math:`\rho^2 = 2E` at the start
IEQ-adaptive (inv.)     2 E in its place
======================  ================================================================================================

The adaptive IEQ has another reading, the sum over all 8000 samples for :math:`\rho^2`; alpha is then near 1, and it is SGD.
Full IEQ needs a residual, which cross-entropy has not. It trains half the sum of squares of outputs minus the indicator of
the label, in whose terms section 2.2.5 prints it. Outputs then tend to 0 and 1, whose cross-entropy is log(1 + 9/e) = 1.461:
full IEQ is told by its accuracy.

Unsaid and chosen: seeds, float32, and initial parameters, which are Kaiming's for the printed shapes, as in
`gradflow.experiments.empirical.exp1`. From these E starts between 5 and 8; from He's (``--set init=he``) at 2.4.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...refusals import whole_number
from ...schemes import IEQ, SAV, Adam, AdaptiveIEQ, ExpSAV, GradientDescent, Restart, Scheme, SourceSAV
from ..image_runs import ImageCurve
from ..image_tasks import ImageSettings
from .exp4_judging import IEQ_EPOCHS

__all__ = ["ROWS", "Exp4Settings", "methods"]

DT, SAV_C, SAV_LAMBDA, EXP_C, EXP_LAMBDA, ADAM_DT, EPS = 0.1, 100.0, 4.0, 1.0, 1e-6, 1e-3, 1e-8
"""The printed hyper-parameters; Adam's is that of the study's other experiments."""
ROWS = {
    "as printed: section 2.2, and Theorem 2.2": {
        "SGD": "SGD",
        "SAV": "SAV (2.2.3)",
        "ExpSAV": "ExpSAV (2.2.4)",
        "ExpSAV, Theorem 2.2": "ExpSAV (Theorem 2.2)",
        "IEQ": "vanilla IEQ",
        "IEQ-adaptive": "IEQ-adaptive (vanilla)",
    },
    "corrected: SAV (2.5.1), ExpSAV (Theorem 2.3), restarted IEQ; and Adam": {
        "SGD": "SGD",
        "SAV": "SAV (2.5.1)",
        "ExpSAV": "ExpSAV (Theorem 2.3)",
        "IEQ": "restarted IEQ",
        "IEQ-adaptive": "IEQ-adaptive (inv.)",
        "Adam": "Adam",
    },
}
"""For each row of the figure and each entry of the legend, what runs."""


def methods(settings: Exp4Settings) -> dict[str, ImageCurve]:
    """Return every method in every form, by its name in `gradflow.experiments.empirical.exp4_judging.FORMS`.

    Parameters
    ----------
    settings : Exp4Settings
        Epochs of full IEQ.
    """
    ieq_epochs = min(settings.ieq_epochs, settings.epochs)

    def exp_sav(form: str) -> ImageCurve:
        return ImageCurve(ExpSAV(form=form, C=EXP_C, stabilization=EXP_LAMBDA), DT)

    def ieq(scheme: Scheme) -> ImageCurve:
        return ImageCurve(scheme, DT, "half_squares", ieq_epochs)

    return {
        "SGD": ImageCurve(GradientDescent(), DT),
        "Adam": ImageCurve(Adam(), ADAM_DT),
        "SAV (2.2.3)": ImageCurve(SourceSAV(C=SAV_C, stabilization=SAV_LAMBDA), DT),
        "SAV (2.5.1)": ImageCurve(SAV(C=SAV_C, stabilization=SAV_LAMBDA), DT),
        "ExpSAV (2.2.4)": exp_sav("section_2.2.4"),
        "ExpSAV (Theorem 2.2)": exp_sav("theorem_2.2"),
        "ExpSAV (Theorem 2.3)": exp_sav("implicit"),
        "vanilla IEQ": ieq(IEQ()),
        "restarted IEQ": ieq(Restart(IEQ())),
        "IEQ-adaptive (vanilla)": ImageCurve(AdaptiveIEQ(form="printed", eps=EPS), DT),
        "IEQ-adaptive (inv.)": ImageCurve(AdaptiveIEQ(form="invariant", eps=EPS), DT),
    }


@dataclass(frozen=True, kw_only=True)
class Exp4Settings(ImageSettings):
    """Settings of the experiment.

    Raises
    ------
    ValueError
        As for `ImageSettings`, and if `ieq_epochs` is below 1.
    """

    n_train: int = 8000
    """As printed."""
    n_test: int = 2000
    """As printed."""
    width: int = 100
    """As printed."""
    batch_size: int = 256
    """As printed."""
    scaling: str = "standard"
    """No factor."""
    time_scale: str = "autograd"
    """Plain partial derivatives."""
    init: str = "kaiming"
    """Chosen here."""
    ieq_epochs: int = IEQ_EPOCHS
    """Epochs of full IEQ, or fewer if the others run fewer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        whole_number("ieq_epochs", self.ieq_epochs, 1)
