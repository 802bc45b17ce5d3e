"""Figures that run in milliseconds, and traces that are typed, for the tests of the frame."""

from dataclasses import dataclass

import numpy as np

import gradflow as gf
from gradflow.experiments.claims import below
from gradflow.experiments.figure import Curve, Draw, Figure
from gradflow.experiments.traces import Trace


@dataclass(frozen=True, kw_only=True)
class Quadratic:
    """E = size |theta|^2 / 2 from a start that depends on the draw."""

    epochs: int = 8
    draws: int = 2
    size: float = 1.0
    data: str = "plain"
    fine: bool = True

    def __post_init__(self):
        if self.size <= 0:
            raise ValueError(f"size must be > 0, got {self.size}")

    def draw(self, n):
        problem = gf.FunctionProblem(lambda t: self.size * (t @ t) / 2, lambda t: self.size * t)
        return Draw(problem, np.full(3, 1.0 + n), {"epochs": self.epochs, "record": ("energy", "auxiliary_ratio")})


def toy(name="small", text="x", **parts):
    """Return a figure of two curves, whose texts are `text`, with a claim that holds, one that fails and one that is open."""
    claims = [below(text, level, at=at, of="energy") for level, at in ((10.0, 8), (1e-9, 8), (1e-9, 1000))]
    given = {
        "name": name, "title": f"Title of {name}", "source": "A paper, Fig. 1", "problem": "A problem.",
        "task": Quadratic(), "quick": {"epochs": 2}, "panels": {text: {text: Curve(gf.SAV(), 0.5), "Euler": Curve(gf.GradientDescent(), 0.5)}},
        "claims": claims, "show": ("energy",), "keep": ("energy",),
    }  # fmt: skip
    return Figure(**given | parts)


def silent(_):
    """Say nothing."""


def trace(values, epochs=None, status="done", message="", **more):
    """Return a trace whose train error is `values`, at the epochs 0, 1, ... if none are given."""
    epochs = np.arange(len(values)) if epochs is None else epochs
    history = {"epoch": epochs, "train_error": values, **more}
    return Trace({name: np.asarray(v, dtype=np.float32) for name, v in history.items()}, status, message)
