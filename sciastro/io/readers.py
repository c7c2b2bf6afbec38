"""What astropy's readers of tables raise about files that are none."""

import csv
import zlib
from xml.parsers.expat import ExpatError

from astropy.io.fits import VerifyError

__all__ = ["reader_errors", "reason_of"]


def reader_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions by which astropy tells that it cannot read a table.

    Its own (inconsistent tables, VOTable) derive from ValueError, OSError, SyntaxError; not those of unknown
    formats and of broken ECSV headers; beside them are those of the parsers that it uses, and what broken
    files make of their data: missing keys, indexes, attributes and types.
    """
    from astropy.io.registry import IORegistryError
    from astropy.table.meta import YamlParseError

    return (
        OSError, ValueError, TypeError, KeyError, IndexError, AttributeError, SyntaxError, EOFError,
        OverflowError, VerifyError, IORegistryError, zlib.error, ExpatError, csv.Error, YamlParseError,
    )  # fmt: skip


def reason_of(error: Exception) -> str:
    """Return what an exception says in one line, or its name."""
    return (str(error).split("\n", 1)[0][:160] or type(error).__name__).rstrip(".")
