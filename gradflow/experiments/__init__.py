"""Published figures as data: what is run, what is published, what is claimed, by name; `gradflow list` prints them.

>>> from gradflow.experiments import REGISTRY
>>> REGISTRY["ma2024-fig2"].source
'Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Fig. 2'
"""

from __future__ import annotations

from .burgers import FIG12
from .comparison import COMPARISON
from .demo import DEMO
from .figure import Curve, Draw, Figure
from .ieq_review import COST, DRIFT, ENERGY
from .ma2024 import MA2024

__all__ = ["REGISTRY", "Curve", "Draw", "Figure"]

REGISTRY: dict[str, Figure] = {
    figure.name: figure for figure in (DEMO, *MA2024, FIG12, DRIFT, ENERGY, COST, COMPARISON)
}
"""Every figure by name."""
