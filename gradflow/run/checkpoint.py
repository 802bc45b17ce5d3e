"""The file that stores a run while it is in progress, and from which the run continues."""

from __future__ import annotations

import os
import re
import signal
import threading
from contextlib import suppress
from errno import EACCES, EAGAIN
from pathlib import Path

from .solution import Solution
from .storage import require_writable, solution_file

try:
    import fcntl
except ImportError:  # Windows: no lock
    fcntl = None  # type: ignore[assignment]

__all__ = ["Checkpoint"]


class Checkpoint:
    """The file that stores one run while it is in progress, and from which the run continues.

    As a context manager it holds a lock that dies with its process, so that no two runs write one file. Within it
    SIGTERM, unless the program handles that itself, sets `terminated`. The loop then ends the run and stores it, and
    the context ends with ``SystemExit(143)``. A second SIGTERM ends the process at once.

    Parameters
    ----------
    path : str, Path or None
        As for `solution_file`. With None, nothing is stored and all methods do nothing.

    Raises
    ------
    ValueError
        If the path does not name a file; on entering, if the file cannot be written or another run uses it.
    """

    def __init__(self, path: str | Path | None) -> None:
        self.file = None if path is None else solution_file(path, "checkpoint").absolute()
        """The file; an absolute path, since the program may change its folder."""
        self.terminated = False
        """Whether SIGTERM has been received."""
        self._lock: int | None = None
        self._held = False

    def __enter__(self) -> Checkpoint:
        if self.file is None:
            return self
        try:
            self._take_lock(Path(os.path.realpath(self.file)))
            main = threading.current_thread() is threading.main_thread()
            if main and signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
                signal.signal(signal.SIGTERM, self._terminate)
        except OSError as error:
            self._let_go()
            raise ValueError(f"checkpoint must be a file that can be written, got {self.file}: {error}") from error
        except BaseException:  # Ctrl-C too: the process may live on, and would keep the file from itself
            self._let_go()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._let_go()
        if self.terminated:
            raise SystemExit(128 + signal.SIGTERM)

    def kept(self) -> Solution | None:
        """Return the run in the file, None if there is no file; a damaged file raises ValueError."""
        return None if self.file is None or not self.file.exists() else Solution.load(self.file)

    def save(self, solution: Solution) -> str | None:
        """Return None once a run is stored, or the reason for a failure: a full disk does not cost the result.

        Parameters
        ----------
        solution : Solution
            The run.
        """
        if self.file is None:
            return None
        try:
            solution.save(self.file)
        except (OSError, ValueError) as error:
            return f"the run could not be stored in {self.file}: {error}"
        return None

    def _terminate(self, *_: object) -> None:
        self.terminated = True
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def _let_go(self) -> None:
        """Give back the handler of SIGTERM and the lock, whatever comes in between."""
        try:
            if signal.getsignal(signal.SIGTERM) == self._terminate:
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
        finally:
            try:
                if self._held:  # the file is removed while it is locked, and only by the run that locks it
                    with suppress(OSError):
                        self._lock_file.unlink(missing_ok=True)
            finally:
                self._held = False
                self._close()

    def _close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _take_lock(self, file: Path) -> None:
        require_writable(file)
        file.parent.mkdir(parents=True, exist_ok=True)
        self._lock_file = file.with_name(f"{file.name}.lock")
        while True:
            self._lock = lock = os.open(self._lock_file, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                if fcntl is not None:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:  # any other error: a file system without locks
                if error.errno in (EAGAIN, EACCES):
                    raise ValueError(f"{self.file} is in use: another run is kept there") from error
            if _is_open(lock, self._lock_file):
                break
            self._close()  # the run before has just removed it
        self._held = True
        own = re.compile(rf"{re.escape(file.name)}\.[0-9a-f]{{8}}\.part")
        for part in file.parent.iterdir():
            if own.fullmatch(part.name):
                part.unlink(missing_ok=True)


def _is_open(descriptor: int, name: Path) -> bool:
    """Return whether the name still refers to the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), name.stat())
    except FileNotFoundError:
        return False
