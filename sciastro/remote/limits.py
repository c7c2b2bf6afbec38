"""How long, how often and how much: the bounds of every request, and the switch that forbids them all.

Reads the environment variable ``SCIASTRO_OFFLINE`` and the user's config.toml; writes nothing.
"""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace

from sciastro.core.options import Options, option
from sciastro.core.userconfig import user_config
from sciastro.errors import CatalogError

__all__ = [
    "DEFAULTS",
    "OFF",
    "Limits",
    "hastened",
    "in_haste",
    "no_later_than",
    "offline",
    "refuse_offline",
    "seconds_left",
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits(Options):
    """Bounds of a request; no answer takes longer, or is larger, than these say."""

    connect: float = option(10.0, "Longest wait for a connection.", unit="s", low=0.01, high=600)
    read: float = option(
        30.0, "Longest silence of a server that has been asked.", unit="s", low=0.01, high=3600
    )
    total: float = option(
        120.0,
        "Longest time for everything: all mirrors, attempts and pauses.",
        unit="s",
        low=0.01,
        high=86_400,
    )
    attempts: int = option(3, "How often one mirror is asked, where its trouble may pass.", low=1, high=20)
    pause: float = option(
        1.0, "Pause before the second attempt; it doubles with each further one.", unit="s", low=0.0, high=60
    )
    max_bytes: int = option(
        256_000_000, "Largest answer, after decompression.", unit="byte", low=1, high=100_000_000_000
    )


DEFAULTS = Limits()
_HASTE: ContextVar[bool] = ContextVar("haste", default=False)
HASTY_CONNECT = 5.0  # s
_LATEST: ContextVar[float] = ContextVar("latest", default=math.inf)
OFF = "was not asked: the network is switched off (--offline, SCIASTRO_OFFLINE, or `offline` in config.toml)."


@contextmanager
def in_haste() -> Iterator[None]:
    """Ask each mirror but once, with a short wait for the connection: for what is good to know, not needed.

    So somebody without a network, or behind a wall that swallows connections, does not wait for minutes.
    """
    token = _HASTE.set(True)
    try:
        yield
    finally:
        _HASTE.reset(token)


def hastened(limits: Limits) -> Limits:
    """Return the limits, those of `in_haste` within it."""
    if not _HASTE.get():
        return limits
    return replace(limits, connect=min(limits.connect, HASTY_CONNECT), attempts=1)


@contextmanager
def no_later_than(moment: float) -> Iterator[None]:
    """Let nothing that is asked of servers inside the block take longer than to `moment` (time.monotonic)."""
    token = _LATEST.set(min(moment, _LATEST.get()))
    try:
        yield
    finally:
        _LATEST.reset(token)


def seconds_left(seconds: float) -> float:
    """Return how much of `seconds` a server may take within `no_later_than`; 0 and below: none."""
    return min(seconds, _LATEST.get() - time.monotonic())


def offline() -> bool:
    """Return whether the user has switched the network off.

    ``SCIASTRO_OFFLINE`` is set, and not to 0 (``--offline`` sets it), or config.toml says ``offline = true``
    under ``[catalogs]``. Where both speak, either of them is enough.
    """
    text = os.environ.get("SCIASTRO_OFFLINE", "").strip().lower()
    return text not in {"", "0", "no", "false", "off"} or user_config().offline


def refuse_offline(where: str) -> None:
    """Do nothing, unless the network is switched off.

    Raises
    ------
    CatalogError
        If it is.
    """
    if offline():
        raise CatalogError(
            OFF,
            where=where,
            remedy="Switch it on, or use the embedded catalog.",
        )
