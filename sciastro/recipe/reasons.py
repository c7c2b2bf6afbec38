"""Why a frame is not used: what is a fault, and what the user has chosen or would do himself.

A run ends "ok" (exit code 0) where every frame left out was left out by choice: not selected by the user's
own expression, a calibration frame that nothing needs, a second copy of a file.
"""

from sciastro.integrate.select import NOT_SELECTED

__all__ = ["COPY", "SPARE", "is_choice", "is_copy"]

COPY = "is the same file as"
SPARE = "spare"


def is_choice(reason: str | None) -> bool:
    """Return whether `reason` tells of a choice, not of a fault."""
    return reason is not None and reason.startswith((NOT_SELECTED, COPY, SPARE))


def is_copy(reason: str | None) -> bool:
    """Return whether `reason` tells of a second copy of a frame, which is no frame more."""
    return reason is not None and reason.startswith(COPY)
