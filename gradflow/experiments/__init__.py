"""Published figures and a demonstration that repeat themselves by name; `gradflow list` prints them.

>>> from gradflow.experiments import REGISTRY
>>> REGISTRY["ma2024-fig2"].source
'Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Fig. 2 (particle method)'
"""

from __future__ import annotations

from .demo import DEMO
from .experiment import Claim, Context, Experiment, Outcome
from .ma2024_fig2 import MA2024_FIG2

__all__ = ["REGISTRY", "Claim", "Context", "Experiment", "Outcome"]

REGISTRY: dict[str, Experiment] = {experiment.name: experiment for experiment in (DEMO, MA2024_FIG2)}
"""Every experiment by name."""
