"""The reference: every public name of every module is on one page of ``docs/api``, and no page lists what does not exist."""

import inspect
import pkgutil
import re
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

import gradflow

PAGES = sorted((Path(gradflow.__file__).parents[1] / "docs" / "api").glob("*.md"))
SKIPPED = {"gradflow.__main__", "gradflow.kernels.cupy"}
pytestmark = pytest.mark.skipif(not PAGES, reason="an installed wheel has no pages")


def modules():
    yield gradflow
    for found in pkgutil.walk_packages(gradflow.__path__, "gradflow."):
        if found.name not in SKIPPED:
            yield import_module(found.name)


def written(text):
    """Yield the names that a page documents: in summaries, by directives of their own, in rooms."""
    for block in re.findall(
        r"^\.\. autosummary::\n   :toctree: generated\n   :nosignatures:\n\n((?:   \S+\n)+)", text, re.M
    ):
        yield from (name.lstrip("~") for name in block.split())
    for block in re.findall(r"^\.\. py:(?:function|data):: (.+(?:\n {10,}.+)*)", text, re.M):
        yield from (line.strip().partition("(")[0] for line in block.splitlines())
    for room, body in re.findall(r"^```\{room\} (\S+)\n(.*?)```", text, re.M | re.S):
        yield from (f"{room}.{name}" for name in body.replace(":shadowed:", "").split())


TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
ROOMS = re.findall(r"^```\{room\} (\S+)$", TEXT, re.M)
NAMES = list(written(TEXT))


def value(name):
    owner, _, last = name.rpartition(".")
    return getattr(import_module(owner), last)


def identity(name, found):
    """Return what two names of one object have in common."""
    if inspect.ismodule(found):
        return found.__name__, "(module)"
    home, own = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    if (inspect.isclass(found) or inspect.isfunction(found)) and "<locals>" not in own:
        return home, own
    return id(found), None if isinstance(found, (dict, list)) else name.rpartition(".")[2]


def test_there_are_names():
    assert len(NAMES) > 200


@pytest.mark.parametrize("name", NAMES)
def test_a_listed_name_exists(name):
    value(name)


def test_every_public_name_is_on_a_page():
    listed = {identity(name, value(name)) for name in NAMES} | {identity(name, import_module(name)) for name in ROOMS}
    absent = []
    for module in modules():
        for name in getattr(module, "__all__", ()):
            if identity(name, getattr(module, name)) not in listed:
                absent.append(f"{module.__name__}.{name}")
    assert absent == []


def test_every_module_is_on_a_page():
    assert {module.__name__ for module in modules()} - set(ROOMS) == {"gradflow"}


def test_nothing_is_on_two_pages():
    assert [name for name, n in Counter(NAMES + ROOMS).items() if n > 1] == ["gradflow.datasets.mnist"]
    ours = [at for at in (identity(name, value(name)) for name in NAMES) if str(at[0]).startswith("gradflow")]
    assert [what for what, n in Counter(ours).items() if n > 1] == []


def test_calls_are_shown():
    """A class that defines its own ``__call__`` is on a page, and both ways to show a class show that."""
    docs = PAGES[0].parents[1]
    shown = ":special-members: __call__"
    assert shown in (docs / "_templates" / "autosummary" / "class.rst").read_text(encoding="utf-8")
    assert shown in (docs / "_ext" / "rooms.py").read_text(encoding="utf-8")
    listed = {identity(name, value(name)) for name in NAMES}
    calls = {
        f"{module.__name__}.{name}"
        for module in modules()
        for name in getattr(module, "__all__", ())
        if inspect.isclass(getattr(module, name)) and "__call__" in vars(getattr(module, name))
    }
    assert "gradflow.TwoLayerNet" in calls
    assert [
        name for name in calls if identity(name, value(name)) not in listed or not value(name).__call__.__doc__
    ] == []
