"""Certificates: the datasheet of any scheme, made by running its own step on symbols and on numbers.

>>> import gradflow as gf
>>> gf.certify(gf.RungeKutta4(), proofs=False, quick=True)["order"].detail
'observed 4.0'
"""

from __future__ import annotations

from .certificate import Certificate, Entry
from .certifying import certify

__all__ = ["Certificate", "Entry", "certify"]
