"""``python -m gradflow``: the same as the command ``gradflow``."""

from __future__ import annotations

from .cli import app

if __name__ == "__main__":
    app(prog_name="gradflow")
