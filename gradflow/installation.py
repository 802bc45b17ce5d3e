"""What is installed and found on this machine: versions, linear algebra, threads, kernels, devices, data sets."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib import metadata

import numpy as np

from .kernels import KERNELS, kernel_name, select
from .version import __version__

__all__ = ["installation"]

PACKAGES = ("numpy", "scipy", "numba", "matplotlib", "sympy", "z3-solver", "cupy")
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")


def installation() -> Iterator[tuple[str, str]]:
    """Yield what `gradflow info` prints, as pairs of a label and a value.

    A missing part raises nothing; its value says that it is missing.

    Examples
    --------
    >>> from gradflow.installation import installation
    >>> next(installation())[0]
    'gradflow'
    """
    yield "gradflow", __version__
    yield "python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    for package in PACKAGES:
        yield package, _version(package)
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    yield "BLAS", f"{blas['name']} {blas['version']}"
    yield "processors", f"{os.cpu_count()}"
    for variable in THREADS:
        if variable in os.environ:
            yield variable, os.environ[variable]
    yield "kernels", f"{kernel_name(select())} for NumPy arrays"
    for name in KERNELS[1:]:
        try:
            select(name)
            yield f"kernels {name}", "available"
        except ValueError as error:
            yield f"kernels {name}", str(error).partition("; ")[0]
    yield "CUDA devices", _devices()
    yield from _data_sets()


def _version(package: str) -> str:
    """Return the installed version of a package without importing it."""
    for name in (package, f"{package}-cuda13x", f"{package}-cuda12x"):
        try:
            return metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return "not installed"


def _devices() -> str:
    try:
        import cupy

        return str(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # cupy raises what its driver raises
        return f"none ({type(error).__name__})"


def _data_sets() -> Iterator[tuple[str, str]]:
    from .datasets.image_files import FASHION_MNIST, MNIST, locate

    yield "GRADFLOW_DATA_DIR", os.environ.get("GRADFLOW_DATA_DIR") or "not set"
    for image_set in (MNIST, FASHION_MNIST):
        try:
            yield image_set.title, str(locate(image_set))
        except FileNotFoundError:
            yield image_set.title, "not found (gradflow.datasets fetches it with download=True)"
