"""Published figures, statements put to the test, and a demonstration, by name; `gradflow list` prints them.

>>> from gradflow.experiments import REGISTRY
>>> REGISTRY["ma2024-fig2"].source
'Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Fig. 2'
"""

from __future__ import annotations

from .comparison.study import COMPARISON
from .demo import DEMO
from .empirical import EMPIRICAL
from .experiment import Claim, Context, Experiment, Outcome
from .ieq_review import IEQ_REVIEW
from .ma2024 import MA2024

__all__ = ["REGISTRY", "Claim", "Context", "Experiment", "Outcome"]

REGISTRY: dict[str, Experiment] = {
    experiment.name: experiment for experiment in (DEMO, *MA2024, *EMPIRICAL, *IEQ_REVIEW, COMPARISON)
}
"""Every experiment by name."""
