"""Networks with hand-coded derivatives, and the energies they make."""

from __future__ import annotations

from ..kernels.activation import Activation
from .activations import ACTIVATIONS
from .burgers import Burgers
from .burgers_exact import burgers_solution
from .classification import Classification
from .linearization import NetworkLinearization
from .regression import Regression
from .smoothed_particles import SmoothedParticles
from .two_layer import TwoLayerNet

__all__ = [
    "ACTIVATIONS",
    "Activation",
    "Burgers",
    "Classification",
    "NetworkLinearization",
    "Regression",
    "SmoothedParticles",
    "TwoLayerNet",
    "burgers_solution",
]
