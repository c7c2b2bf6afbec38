"""What the commands share: exit codes, progress bars, logs."""

import gc
import json
import logging
import os
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO

import typer

from sciastro.errors import OptionError, SciastroError
from sciastro.io.paths import output_errors

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import TaskID

__all__ = [
    "Bars",
    "announce_first_use",
    "console",
    "error_console",
    "first_use",
    "guarded",
    "json_logging",
    "offline_if",
    "spelled",
]


class _Console:
    """A console of rich, loaded with the first word: a command that says one line does without."""

    def __init__(self, **options: Any) -> None:
        self._options = options

    @cached_property
    def real(self) -> "Console":
        """Return what rich knows."""
        from rich.console import Console

        return Console(**self._options)

    def print(self, *words: object, **how: Any) -> None:
        """Print as rich does."""
        self.real.print(*words, **how)

    def tell(self, text: str, *, style: str | None = None) -> None:
        """Print a text as it is: brackets are no markup, numbers get no color, and long lines stay whole."""
        self.print(text, style=style, markup=False, highlight=False, soft_wrap=True)

    @property
    def is_terminal(self) -> bool:
        """Return whether somebody watches."""
        return self.real.is_terminal


console = _Console()
error_console = _Console(stderr=True, soft_wrap=True)


@contextmanager
def spelled(**options: str) -> Iterator[None]:
    """Tell what is wrong with an option by the name that the user typed.

    Parameters
    ----------
    options
        Field of an options class to how the command spells it: ``period="--period"``.
    """
    try:
        yield
    except OptionError as error:
        name = options.get(error.where.rpartition(".")[2], error.where)
        raise OptionError(error.found, where=name, remedy=error.remedy) from error


@contextmanager
def guarded(*, resumable: bool = False) -> Iterator[None]:
    """Turn errors into one clear message and the promised exit code.

    0 done; 1 a bug; 2 wrong usage; 3 data the user can mend; 4 done with something left out; 130 stopped.

    Parameters
    ----------
    resumable
        Whether the same command can go on with ``--resume``.
    """
    gc.freeze()  # what is loaded stays
    gc.enable()
    try:
        with _own_warnings():
            yield
    except SciastroError as error:
        error_console.tell(f"sciastro: {error}", style="red")
        raise typer.Exit(error.exit_code) from error
    except KeyboardInterrupt as error:
        how = " Run the same command with --resume to go on." if resumable else ""
        error_console.tell(f"sciastro: stopped.{how}")
        raise typer.Exit(130) from error
    except MemoryError as error:
        error_console.tell(
            "sciastro: there is not enough memory. Give a smaller --memory, fewer --workers, or close other "
            "programs.",
            style="red",
        )
        raise typer.Exit(3) from error
    except BrokenPipeError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(0) from error
    except PermissionError as error:
        from sciastro.io.paths import closed_file

        error_console.tell(f"sciastro: {closed_file(error)}", style="red")
        raise typer.Exit(3) from error
    except (typer.Exit, typer.Abort):
        raise
    except Exception as error:  # the last line of defense: a bug must not greet the user with a traceback
        if os.environ.get("SCIASTRO_DEBUG"):
            raise
        error_console.tell(
            f"sciastro: internal error: {type(error).__name__}: {error}\n"
            "This is a bug. Set SCIASTRO_DEBUG=1 to see where, and please report it.",
            style="red",
        )
        raise typer.Exit(1) from error


@contextmanager
def _own_warnings() -> Iterator[None]:
    """Tell warnings of ours as all else that is told, without the line of the program that gave them."""
    usual = warnings.showwarning

    def show(
        message: Warning | str, category: type[Warning], filename: str, lineno: int,
        file: TextIO | None = None, line: str | None = None,
    ) -> None:  # fmt: skip
        if category.__module__.startswith("sciastro."):
            error_console.tell(f"sciastro: {message}")
        else:
            usual(message, category, filename, lineno, file, line)

    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = usual


@contextmanager
def offline_if(wanted: bool) -> Iterator[None]:
    """Switch the network off inside the block, for this process and those it starts."""
    before = os.environ.get("SCIASTRO_OFFLINE")
    if wanted:
        os.environ["SCIASTRO_OFFLINE"] = "1"
    try:
        yield
    finally:
        if wanted and before is None:
            os.environ.pop("SCIASTRO_OFFLINE", None)
        elif wanted and before is not None:
            os.environ["SCIASTRO_OFFLINE"] = before


def first_use() -> bool:
    """Return whether no inner loop is compiled yet, as far as can be seen: a run takes half a minute more."""
    from sciastro import kernels

    given = os.environ.get("NUMBA_CACHE_DIR")
    places = [Path(given)] if given else [Path(folder) / "__pycache__" for folder in kernels.__path__]
    if not given and not all(os.access(place.parent, os.W_OK) for place in places):
        return False  # numba then keeps them somewhere in the user's home
    return not any(next(place.rglob("*.nbi"), None) for place in places)


def announce_first_use(*, quiet: bool) -> None:
    """Say why the first run takes longer, where somebody watches."""
    if not quiet and error_console.is_terminal and first_use():
        error_console.tell(
            "First use: the inner loops are compiled on the way, which takes about half a minute, once."
        )


LABELS = {
    "ingest": "Reading headers",
    "masters": "Building masters",
    "calibrate": "Calibrating and measuring",
    "index": "Index of the sky, once",
    "solve": "Solving the reference",
    "register": "Registering",
    "integrate": "Integrating",
    "photometry": "Photometry",
    "render": "Rendering",
    "report": "Writing the report",
    "simulate": "Simulating",
}


class Bars:
    """Progress bars with time left; silent when quiet or when nobody watches.

    Parameters
    ----------
    quiet
        Show nothing.
    """

    def __init__(self, *, quiet: bool) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self._bars = Progress(
            TextColumn("{task.description:<26}"),
            BarColumn(bar_width=32),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=error_console.real,
            disable=quiet or not error_console.is_terminal,
        )
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Start drawing."""
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop drawing."""
        self._bars.stop()

    def start(self, stage: str, total: int) -> None:
        """Begin a bar."""
        if stage not in self._tasks:
            self._tasks[stage] = self._bars.add_task(LABELS.get(stage, stage), total=max(total, 1))
        else:
            self._bars.update(self._tasks[stage], total=max(total, 1), completed=0)

    def advance(self, stage: str, amount: int = 1) -> None:
        """Move a bar."""
        if stage in self._tasks:
            self._bars.advance(self._tasks[stage], amount)

    def finish(self, stage: str) -> None:
        """Fill a bar."""
        if stage in self._tasks:
            task = self._bars.tasks[self._tasks[stage]]
            self._bars.update(self._tasks[stage], completed=task.total)


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for key in ("stage", "path", "reason"):
            if hasattr(record, key):
                entry[key] = str(getattr(record, key))
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=False)


class _LogFile(logging.FileHandler):
    """A log file that does not disturb the run: on a full disk it ends, and the run says what is wrong."""

    def handleError(self, record: logging.LogRecord) -> None:
        """Stop writing."""
        self.setLevel(logging.CRITICAL + 1)

    def close(self) -> None:
        """Close the file, whatever of the last lines finds room."""
        with suppress(OSError):
            super().close()


@contextmanager
def json_logging(path: Path | None, *, to_stderr: bool = False) -> Iterator[None]:
    """Send the package's log to a JSON-lines file, and to standard error where asked."""
    logger = logging.getLogger("sciastro")
    before = logger.level
    handlers: list[logging.Handler] = []
    if path is not None:
        with output_errors(path):
            # Opened with the first line, when the run holds its folder: another run keeps its log.
            handlers.append(_LogFile(path, mode="w", encoding="utf-8", delay=True))
    if to_stderr:
        handlers.append(logging.StreamHandler())
    for handler in handlers:
        handler.setFormatter(_JsonLines())
        logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
        logger.setLevel(before)
