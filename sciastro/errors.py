"""The error tree: every message says what was found, where, and what to do about it.

The command line turns `UsageError` into exit code 2 and every other `SciastroError` into exit
code 3 (data the user can mend). Anything else that escapes is a bug (exit code 1).
"""

__all__ = [
    "CatalogError",
    "ClusterError",
    "DatasetError",
    "FileError",
    "HeaderError",
    "MatchError",
    "OptionError",
    "OutputError",
    "RegionError",
    "SciastroError",
    "SolveError",
    "UsageError",
]


class SciastroError(Exception):
    """Something the user can mend.

    Parameters
    ----------
    found
        What was found, as the predicate of a sentence ("is in 'adu', and this step needs 'electron'.").
    where
        File, HDU, keyword, variable or option that it was found in.
    remedy
        What to do.
    """

    exit_code = 3

    def __init__(self, found: str, *, where: str = "", remedy: str = "") -> None:
        self.found = found
        self.where = where
        self.remedy = remedy
        super().__init__(found, where, remedy)

    def __reduce__(self) -> tuple[object, ...]:
        """Make the error travel between processes."""
        return _rebuilt, (type(self), self.found, self.where, self.remedy)

    def __str__(self) -> str:
        """Return the sentence that the user reads."""
        head = f"{self.where}: {self.found}" if self.where else self.found
        return f"{head} {self.remedy}".strip()


def _rebuilt(kind: type[SciastroError], found: str, where: str, remedy: str) -> SciastroError:
    return kind(found, where=where, remedy=remedy)


class UsageError(SciastroError):
    """The command or the call itself is wrong."""

    exit_code = 2


class OptionError(UsageError):
    """An option does not exist, or its value is out of range."""


class DatasetError(SciastroError):
    """A dataset lacks a variable, or has it with the wrong dims, dtype or unit."""


class FileError(SciastroError):
    """A file cannot be read as what it claims to be."""


class HeaderError(SciastroError):
    """A header keyword is missing or makes no sense."""


class MatchError(SciastroError):
    """No calibration frame, or no star pattern, matches."""


class SolveError(SciastroError):
    """No trustworthy world coordinates could be found."""


class CatalogError(SciastroError):
    """A catalog is missing, unreadable or has unusable columns."""


class RegionError(CatalogError):
    """The center or the radius that a caller gives is none."""

    exit_code = 2


class ClusterError(SciastroError):
    """A cluster cannot be reached, has no workers, or loses them."""


class OutputError(SciastroError):
    """A product cannot be written."""
