"""Files that are never half written.

`write_whole` writes under a temporary name, flushes the bytes to the disk, and renames. A reader finds the old file or
the new one, even after a crash. The folder of ``run.npz`` may also hold

==========================  =======================================================================================
``run.npz.previous``        the previous file
``run.npz.lock``            exists while a run is in progress; another run with the file is refused
``run.npz.*.part``          what a killed process was writing; the next run removes it
==========================  =======================================================================================

None of these names ends in ``.npz``: a search for results finds each run once.
"""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from errno import EACCES
from pathlib import Path
from typing import Any
from uuid import uuid4

__all__ = ["previous_file", "require_writable", "solution_file", "write_whole"]

SUFFIX = ".npz"


def solution_file(path: Any, name: str = "path", suffix: str = SUFFIX) -> Path:
    """Return the file that a path denotes: the path itself if it ends in the suffix, otherwise with the suffix added.

    A separator at the end is ignored: ``ck/`` and ``ck`` both denote ``ck.npz``. Raise ValueError if it does not name a
    file: it is not a path, has no stem, or is a folder.

    Parameters
    ----------
    path : str or Path
        As given to a method of `gradflow.Solution` or as ``checkpoint``.
    name : str
        The name in the error message.
    suffix : str
        The suffix; it may be empty.
    """
    if not isinstance(path, (str, os.PathLike)) or isinstance(os.fspath(path), bytes):
        raise ValueError(f"{name} must be a str or a Path, got {type(path).__name__}")
    if "\0" in os.fspath(path):
        raise ValueError(f"{name} must name a file, got {os.fspath(path)!r} with a null byte")
    file = given = Path(path)
    if given.name and not given.name.endswith(suffix):
        file = given.with_name(given.name + suffix)
    if os.path.isdir(file) or (os.path.isdir(given) and not os.path.exists(file)):
        raise ValueError(f"{name} must name a file, got the folder {str(path)!r}")
    if file.name in ("", suffix, f"..{suffix}"):
        raise ValueError(f"{name} must name a file, got {str(path)!r}")
    return file


def previous_file(file: Path) -> Path:
    """Return where the previous file is kept.

    Parameters
    ----------
    file : Path
        From `solution_file`.
    """
    return file.with_name(f"{file.name}.previous")


def write_whole(file: Path, data: bytes, *, keep: bool = False) -> None:
    """Write a file so that its name refers to the old content or to all of the new content at any time.

    The folder is created if necessary. A symbolic link is followed, and remains a link.

    Parameters
    ----------
    file, data : Path, bytes
        The file, and its new content.
    keep : bool
        Whether the old file is kept under the name `previous_file`.

    Raises
    ------
    OSError
        If it cannot be written, or the old file is read-only. The old file is then unchanged.
    """
    file = Path(os.path.realpath(file))
    require_writable(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    part = file.with_name(f"{file.name}.{uuid4().hex[:8]}.part")
    try:
        with part.open("xb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        if keep and file.exists():
            _keep_previous(file)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    if hasattr(os, "O_DIRECTORY"):  # the renaming must survive a power cut, too
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            with suppress(OSError):  # not every network file system supports this
                os.fsync(folder)
        finally:
            os.close(folder)


def _keep_previous(file: Path) -> None:
    """Give the file a second name; it keeps its first name throughout."""
    spare = file.with_name(f"{file.name}.{uuid4().hex[:8]}.part")
    try:
        try:
            os.link(file, spare)
        except OSError:  # a file system without links
            shutil.copyfile(file, spare)
        spare.replace(previous_file(file))
    finally:
        spare.unlink(missing_ok=True)  # two names of one file are not renamed onto each other


def require_writable(file: Path) -> None:
    """Raise PermissionError for a read-only file, which a renaming would replace without an error.

    Parameters
    ----------
    file : Path
        The file, which need not exist.
    """
    if file.exists() and not file.stat().st_mode & 0o222:
        raise PermissionError(EACCES, "the file is read-only", str(file))
