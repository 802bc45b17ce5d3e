"""How verdicts are put in short."""

from __future__ import annotations

import re

__all__ = ["headline"]


def headline(verdict: str) -> str:
    """Return the first words of a verdict, up to the reason.

    Parameters
    ----------
    verdict : str
        As in `Outcome`.

    Examples
    --------
    >>> headline("refuted: the train error falls by 3e-2 (paper: 1e-4)")
    'refuted'
    """
    return re.split(r"[(:;,]", verdict, maxsplit=1)[0].strip() or verdict
