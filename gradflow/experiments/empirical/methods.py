r"""The methods of the empirical study of energy-stable gradient flows in deep learning, as printed and corrected.

The document compares SGD, Adam, SAV, exponential SAV, IEQ and an adaptive IEQ on three regressions (sections 3.2 to
3.4) and reports most of the energy-stable ones as failures. It prints several of them twice, in forms that are not
the same method. With g the gradient, :math:`A = I + \lambda \Delta t`, :math:`\Sigma = g \cdot A^{-1} g`, :math:`R^2
= E + C`:

======================  ====================================================  ==============================
here                    printed                                               what it is
======================  ====================================================  ==============================
SAV (2.2.3)             increment times :math:`r^{n+1} / r^n`                 r cancels: restarted SAV
SAV (2.5.1)             increment times :math:`r^{n+1} / R`                   vanilla SAV, r carried
ExpSAV (2.2.4)          :math:`r^{n+1} = r^n / (1 + \Delta t\,\Sigma / r^n)`  SGD's step; r is not exp(E)
ExpSAV (Theorem 2.2)    that r, and an increment over :math:`r^n`             flow -g / r, step dt / exp(E)
ExpSAV (Theorem 2.3)    :math:`r^{n+1} = r^n / (1 + \Delta t\,\Sigma)`        consistent; r cancels
vanilla IEQ             :math:`(I + \Delta t\,J J^T) q^{n+1} = q^n`           q stored for every sample
restarted IEQ           the same with :math:`q^n = f - y`                     Levenberg-Marquardt, 1 / dt
IEQ-adaptive (vanilla)  :math:`\alpha = 1/(1 + \Delta t |g|^2 / |q^n|^2)`     q of all samples, g of a mean
IEQ-adaptive (batch)    the same with the batch's q                           B / 2 times too little damping
IEQ-adaptive (inv.)     the same with 2 E for :math:`|q^n|^2`                 restarted SAV with C = eps / 2
======================  ====================================================  ==============================

So there are three columns, all with the published hyper-parameters: as printed, a second reading of what is printed
(section 2.5 for SAV and ExpSAV, the batch's q for the adaptive IEQ), and corrected.

What each method trains. IEQ is printed for :math:`E = \tfrac12 |q|^2`, a sum over the batch, the others for a mean
squared error: dt = 0.1 with the sum over 64 samples is the damping mu = 10, and dt = 3.2 with the mean. The step
sizes of the document are therefore not to be compared with one another, and neither are its epochs: the batches
differ as well.

Source: "Empirical evaluation of energy-stable gradient-flow methods in deep learning", sections 2.2, 2.5, 3.2 to 3.4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ...schemes import IEQ, SAV, Adam, AdaptiveIEQ, ExpSAV, GradientDescent, Restart, Scheme

__all__ = [
    "COLUMNS",
    "EPS",
    "FORMS",
    "NAMES",
    "PRINTED_FORMS",
    "SOURCE",
    "HyperParameters",
    "Method",
    "columns_of",
    "empirical_methods",
]

SOURCE = '"Empirical evaluation of energy-stable gradient-flow methods in deep learning"'
"""The citation; the document is unpublished and names no author."""
EPS = 1e-8
"""Epsilon of the adaptive IEQ, printed for the first experiment and taken for all."""
NAMES = (
    "Vanilla forms carry their auxiliary variable from step to step, restarted ones take it anew in each. Two corrected forms count "
    "as printed, too: ExpSAV of Theorem 2.3, which the study prints beside others, and restarted IEQ, for it does not say whether q is kept."
)
"""What the notes below the tables say of the names."""
FIRST, SECOND, CORRECTED = "as printed: section 2.2", "second reading: section 2.5, the batch's q", "corrected"

COLUMNS: dict[str, dict[str, str]] = {
    FIRST: {
        "SGD": "SGD",
        "Adam": "Adam",
        "SAV": "SAV (2.2.3)",
        "ExpSAV": "ExpSAV (2.2.4)",
        "IEQ": "vanilla IEQ",
        "IEQ-adaptive": "IEQ-adaptive (vanilla)",
    },
    SECOND: {"SAV": "SAV (2.5.1)", "ExpSAV": "ExpSAV (Theorem 2.2)", "IEQ-adaptive": "IEQ-adaptive (batch)"},
    CORRECTED: {
        "SGD": "SGD",
        "Adam": "Adam",
        "SAV": "SAV (2.2.3)",
        "ExpSAV": "ExpSAV (Theorem 2.3)",
        "IEQ": "restarted IEQ",
        "IEQ-adaptive": "IEQ-adaptive (inv.)",
    },
}
"""For each column and each of the six methods, the name of what runs."""
FORMS = {
    "SGD": ("SGD",),
    "Adam": ("Adam",),
    "SAV": ("SAV (2.2.3)", "SAV (2.5.1)"),
    "ExpSAV": ("ExpSAV (2.2.4)", "ExpSAV (Theorem 2.2)", "ExpSAV (Theorem 2.3)"),
    "IEQ": ("vanilla IEQ", "restarted IEQ"),
    "IEQ-adaptive": ("IEQ-adaptive (vanilla)", "IEQ-adaptive (batch)"),
}
"""For each of the six methods the forms that are printed, or may be what is printed."""
PRINTED_FORMS = tuple(name for names in FORMS.values() for name in names)
"""All of them."""


class HyperParameters(NamedTuple):
    """Of one of the experiments: batch sizes, step sizes, and the constants of SAV and exponential SAV."""

    sgd: tuple[int, float]
    """Batch size and step size > 0."""
    adam: tuple[int, float]
    """As there; the decay rates are 0.9 and 0.999."""
    sav: tuple[int, float, float, float]
    """Batch size, step size, C and lambda."""
    exp_sav: tuple[int, float, float, float]
    """As there."""
    ieq: tuple[int, float]
    """Batch size and step size."""
    adaptive: tuple[int, float]
    """As there."""
    ieq_share: float = 1.0
    """Part of the epochs that IEQ runs, in (0, 1]."""


class Method(NamedTuple):
    """A scheme, what it trains, and how."""

    scheme: Scheme
    """What runs."""
    dt: float
    """Step size > 0."""
    batch_size: int
    """Samples in a batch; the whole training part if that is smaller."""
    loss: str = "mse"
    """A loss of `gradflow.Regression`."""
    share: float = 1.0
    """Part of the epochs, in (0, 1]."""


def columns_of(columns: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Return for each form the columns to which it belongs, by the words before the colon of their titles.

    Parameters
    ----------
    columns : mapping of str to mapping of str to str
        For each column the name of what runs, by any key; such as `COLUMNS`.
    """
    found: dict[str, str] = {}
    for title, column in columns.items():
        word = title.partition(":")[0]
        for name in column.values():
            found[name] = f"{found[name]}, {word}" if name in found else word
    return found


def empirical_methods(chosen: HyperParameters, *, kept_share: float = 1.0) -> dict[str, Method]:
    """Return every method in every form, by its name in `COLUMNS`.

    Parameters
    ----------
    chosen : HyperParameters
        Of one of the experiments.
    kept_share : float
        Part of the epochs of IEQ that the form with stored q runs, in (0, 1]: it costs as
        much as the other and stands still soon.

    Raises
    ------
    ValueError
        If a share is not in (0, 1].
    """
    for name, share in (("ieq_share", chosen.ieq_share), ("kept_share", kept_share)):
        if not 0 < share <= 1:
            raise ValueError(f"{name} must be in (0, 1], got {share}")
    batch, dt, C, stabilization = chosen.sav
    sav = SAV(C=C, stabilization=stabilization)
    exp_batch, exp_dt, exp_C, exp_stabilization = chosen.exp_sav

    def exp_sav(form: str) -> Method:
        return Method(ExpSAV(form=form, C=exp_C, stabilization=exp_stabilization), exp_dt, exp_batch)

    def ieq(scheme: Scheme, share: float) -> Method:
        return Method(scheme, chosen.ieq[1], chosen.ieq[0], "half_sum", share)

    def adaptive(scheme: Scheme) -> Method:
        return Method(scheme, chosen.adaptive[1], chosen.adaptive[0])

    stored = AdaptiveIEQ(form="printed", eps=EPS)

    return {
        "SGD": Method(GradientDescent(), chosen.sgd[1], chosen.sgd[0]),
        "Adam": Method(Adam(), chosen.adam[1], chosen.adam[0]),
        "SAV (2.2.3)": Method(Restart(sav), dt, batch),
        "SAV (2.5.1)": Method(sav, dt, batch),
        "ExpSAV (2.2.4)": exp_sav("section_2.2.4"),
        "ExpSAV (Theorem 2.2)": exp_sav("theorem_2.2"),
        "ExpSAV (Theorem 2.3)": exp_sav("implicit"),
        "vanilla IEQ": ieq(IEQ(), chosen.ieq_share * kept_share),
        "restarted IEQ": ieq(Restart(IEQ()), chosen.ieq_share),
        "IEQ-adaptive (vanilla)": adaptive(stored),
        "IEQ-adaptive (batch)": adaptive(Restart(stored)),
        "IEQ-adaptive (inv.)": adaptive(AdaptiveIEQ(form="invariant", eps=EPS)),
    }
