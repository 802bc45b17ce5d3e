"""Backward error analysis: the modified equation of a step, what it says of the loss, and where the step is stable.

>>> import gradflow as gf
>>> gf.backward_error.modified_field(gf.GradientDescent(), order=2).loss()
(o, o)*dt/4 + E

What computes with symbols needs SymPy, which the extra ``proofs`` installs.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..refusals import require_package

_PLACES = {
    "Differentials": "differentials",
    "ModifiedField": "modified",
    "Stability": "linear_stability",
    "edge_of_stability": "linear_stability",
    "jet_field": "lie",
    "mean_epoch": "epochs",
    "modified_field": "modified",
    "modified_flow": "flow",
    "order_table": "orders",
    "stability": "linear_stability",
}
__all__ = list(_PLACES)  # loaded on first use


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        try:
            return getattr(import_module(f".{_PLACES[name]}", __name__), name)
        except ImportError as error:
            if error.name == "sympy":
                require_package("sympy", "proofs", f"gradflow.backward_error.{name}")
            raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
