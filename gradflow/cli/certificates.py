"""The command for certificates: the datasheet of a scheme of the library, or of a file of yours."""

from __future__ import annotations

import inspect
import sys
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib.util import module_from_spec, spec_from_file_location
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer

from .ending import fail

__all__ = ["COMMANDS", "library"]

FORMATS = ("text", "markdown", "json")


def certify(
    schemes: Annotated[
        list[str],
        typer.Argument(
            metavar="SCHEME",
            help="my/scheme.py:Name, a class or an instance in a file of yours; my/scheme.py, every scheme in it; or a scheme "
            "of the library, e.g. SAV; all: every scheme of the library.",
        ),
    ],
    form: Annotated[
        str, typer.Option("--format", help="text, markdown or json; json is a list of several schemes.")
    ] = "text",
    proofs: Annotated[bool, typer.Option(help="Prove what can be proved; --no-proofs measures only.")] = True,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer problems, no stability.")] = False,
    problems: Annotated[
        str | None,
        typer.Option(
            metavar="FILE:NAME",
            help="my/problems.py:name, a pair (problem, theta), a sequence of such pairs, or a function that returns them: the "
            "scheme is measured on these.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder: NAME.md and NAME.json are written there, and nothing is printed but verdicts."),
    ] = None,
) -> None:
    """Print the certificate of a scheme: what is proved, measured or false of it, with counterexamples.

    The file is executed. Exit code 1 if something is false, 2 if a scheme cannot be certified.
    """
    from ..certificates import certify as certificate_of

    if form not in FORMATS:
        fail(f"--format must be one of {', '.join(FORMATS)}; got {form!r}")
    given = None if problems is None else _problems(problems)
    failed, refused, objects = [], [], []
    named = [pair for one in schemes for pair in _named(one)]
    names = [name for name, _ in named]
    if out is not None and len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        fail(f"--out must have one file for each scheme, got two schemes called {twice}: certify them by two commands")
    for name, scheme in named:
        start = time.perf_counter()
        say = (lambda title, name=name: typer.echo(f"{name}: {title} ...", err=True)) if sys.stderr.isatty() else None
        try:
            with redirect_stdout(sys.stderr):  # what a step prints is no part of a certificate
                certificate = certificate_of(scheme, proofs=proofs, quick=quick, problems=given, progress=say)
        except (ValueError, ImportError) as error:  # the other schemes are certified all the same
            refused.append(name)
            typer.echo(f"gradflow: {name}: {' '.join(str(error).split())}", err=True)
            continue
        if out is not None:
            _write(out, name, certificate)
            typer.echo(f"{name.ljust(24)} {certificate.verdict}; {time.perf_counter() - start:.0f} s")
        elif form == "text":
            typer.echo(f"{certificate}\n\n{time.perf_counter() - start:.0f} s")
        elif form == "markdown":
            typer.echo(certificate.to_markdown(), nl=False)
        else:
            objects.append(certificate.to_json())
        if not certificate.holds:
            failed.append(name)
            for sentence in certificate.failures:
                typer.echo(f"gradflow: {name}: {sentence}", err=True)
    if len(objects) == 1:
        typer.echo(objects[0], nl=False)
    elif objects:
        typer.echo("[\n" + ",\n".join(one.rstrip("\n") for one in objects) + "\n]")
    if refused or failed:
        raise typer.Exit(2 if refused else 1)


def _write(folder: Path, name: str, certificate: Any) -> None:
    """Write a certificate as Markdown and as JSON."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(certificate.to_markdown(), encoding="utf-8")
        (folder / f"{name}.json").write_text(certificate.to_json(), encoding="utf-8")
    except OSError as error:
        fail(f"{folder} must be a folder that can be written, got: {error.strerror}")


def _named(name: str) -> list[tuple[str, Any]]:
    """Return the schemes that an argument names, each with its name."""
    from ..schemes import REGISTRY

    if name == "all":
        return [(known, library(known)) for known in REGISTRY]
    path, colon, attribute = name.rpartition(":")
    if not colon:
        path, attribute = (name, "") if name.endswith(".py") else ("", name)
    if not path:
        return [(name, library(name))]
    module = _loaded(Path(path))
    if attribute:
        if not hasattr(module, attribute):
            fail(
                f"{path} has no {attribute!r}; there are {', '.join(key for key, _ in _schemes_in(module)) or 'no schemes'}"
            )
        return [(attribute, getattr(module, attribute))]
    found = _schemes_in(module)
    if not found:
        fail(f"{path} has no class with the methods init and step")
    return found


def _problems(name: str) -> Any:
    """Return the problems that an option names."""
    path, _, attribute = name.rpartition(":")
    if not path:
        fail(f"--problems must be a file and a name in it, my/problems.py:name; got {name!r}")
    module = _loaded(Path(path))
    if not hasattr(module, attribute):
        fail(f"{path} has no {attribute!r}")
    value = getattr(module, attribute)
    try:
        with redirect_stdout(sys.stderr):
            return value() if callable(value) else value
    except (Exception, SystemExit) as error:
        fail(f"{name} cannot be called without arguments: {type(error).__name__}: {error}")


def library(name: str) -> Any:
    """Return the scheme of the registry that is certified under a name: with its defaults, a wrapper around SAV.

    Parameters
    ----------
    name : str
        Its name; for another one the command ends.
    """
    from ..schemes import REGISTRY, SAV

    if name not in REGISTRY:
        fail(
            f"no scheme is called {name!r}; there are {', '.join(REGISTRY)}; a scheme of your own is my/scheme.py:Name"
        )
    kind = REGISTRY[name]
    return kind(SAV()) if "base" in inspect.signature(kind).parameters else kind()


def _loaded(path: Path) -> Any:
    """Return the module of a file, executed; modules next to it can be imported.

    Its name is no other module's, and installed modules come before those next to it: a file random.py hides nothing.
    """
    if not path.is_file():
        fail(f"there is no file {path}")
    stem = path.stem.partition(".")[0]
    names = (f"{stem}_of_the_file{n or ''}" for n in count())
    spec = spec_from_file_location(next(name for name in names if name not in sys.modules), path)
    if spec is None or spec.loader is None:
        fail(f"the name of a scheme's file ends with .py, got {path}")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    folder = str(path.resolve().parent)
    sys.path.append(folder)
    try:
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        fail(f"{path} cannot be executed: {type(error).__name__}: {error}")
    finally:
        sys.path.remove(folder)
    return module


def _schemes_in(module: Any) -> list[tuple[str, Any]]:
    """Return the classes with init and step that a module defines itself, in its order."""
    return [
        (name, value)
        for name, value in vars(module).items()
        if isinstance(value, type)
        and value.__module__ == module.__name__
        and all(callable(getattr(value, method, None)) for method in ("init", "step"))
    ]


COMMANDS: dict[str, Callable[..., None]] = {"certify": certify}
"""The commands by name."""
