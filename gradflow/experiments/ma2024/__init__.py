"""The figures of Ma, Mao & Shen (2024), and which unstated conventions show four of them."""

from __future__ import annotations

from ..experiment import Experiment
from .convention_study import MA2024_CONVENTIONS
from .fig1 import MA2024_FIG1
from .fig2 import MA2024_FIG2
from .fig3 import MA2024_FIG3
from .fig4 import MA2024_FIG4
from .fig5 import MA2024_FIG5
from .fig6 import MA2024_FIG6
from .fig7 import MA2024_FIG7
from .fig8 import MA2024_FIG8
from .fig9 import MA2024_FIG9
from .fig10 import MA2024_FIG10
from .fig11 import MA2024_FIG11
from .fig12 import MA2024_FIG12
from .multiples import MA2024_MULTIPLES

__all__ = ["MA2024"]

MA2024: tuple[Experiment, ...] = (
    MA2024_FIG1,
    MA2024_FIG2,
    MA2024_FIG3,
    MA2024_FIG4,
    MA2024_FIG5,
    MA2024_FIG6,
    MA2024_FIG7,
    MA2024_FIG8,
    MA2024_FIG9,
    MA2024_FIG10,
    MA2024_FIG11,
    MA2024_FIG12,
    *MA2024_CONVENTIONS,
    MA2024_MULTIPLES,
)
"""In the order of the paper, then the convention studies."""
