"""Published figures and a demonstration that repeat themselves by name; `gradflow list` prints them.

>>> from gradflow.experiments import REGISTRY
>>> REGISTRY["ma2024-fig2"].source
'Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Fig. 2 (particle method)'
"""

from __future__ import annotations

from .demo import DEMO
from .experiment import Claim, Context, Experiment, Outcome
from .ma2024_fig1 import MA2024_FIG1
from .ma2024_fig2 import MA2024_FIG2
from .ma2024_fig3 import MA2024_FIG3
from .ma2024_fig5 import MA2024_FIG5
from .ma2024_fig7 import MA2024_FIG7
from .ma2024_fig8 import MA2024_FIG8

__all__ = ["REGISTRY", "Claim", "Context", "Experiment", "Outcome"]

REGISTRY: dict[str, Experiment] = {
    experiment.name: experiment
    for experiment in (DEMO, MA2024_FIG1, MA2024_FIG2, MA2024_FIG3, MA2024_FIG5, MA2024_FIG7, MA2024_FIG8)
}
"""Every experiment by name."""
