"""Certificates: the datasheet of any scheme, made by running its own step on symbols and on numbers.

>>> import gradflow as gf
>>> gf.certify(gf.HeavyBall(momentum=0.5), proofs=False, quick=True)["limit flow"].claim
"as dt tends to 0 the scheme follows theta' = -2 grad E"
"""

from __future__ import annotations

from .certificate import Certificate, Entry
from .certifying import certify

__all__ = ["Certificate", "Entry", "certify"]
