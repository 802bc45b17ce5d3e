"""Published figures as data: what is run, what is published, what is claimed, by name; `gradflow list` prints them.

>>> from gradflow.experiments import REGISTRY
>>> REGISTRY["ma2024-fig2"].source
'Z. Ma, Z. Mao, J. Shen, J. Comput. Phys. 505 (2024) 112911, Fig. 2'
"""

from __future__ import annotations

from .burgers import FIG12
from .claims import Claim
from .comparison import COMPARISON
from .conventions import MA2024_CONVENTIONS
from .demo import DEMO
from .empirical import EMPIRICAL
from .figure import Curve, Draw, Figure
from .ieq_review import COST, DRIFT, ENERGY
from .images import FIG11
from .ma2024 import MA2024

__all__ = ["REGISTRY", "Claim", "Curve", "Draw", "Figure"]

FIGURES: tuple[Figure, ...] = (
    DEMO,
    *MA2024,
    FIG11,
    FIG12,
    MA2024_CONVENTIONS,
    *EMPIRICAL,
    DRIFT,
    ENERGY,
    COST,
    COMPARISON,
)  # fmt: skip
"""In the order of the page."""
REGISTRY: dict[str, Figure] = {figure.name: figure for figure in FIGURES}
"""Every figure by name."""
