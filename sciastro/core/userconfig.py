"""What a user has set once for all commands: ``config.toml`` in ``~/.config/sciastro``, and its checks.

The file is ``$SCIASTRO_CONFIG``, else ``$XDG_CONFIG_HOME/sciastro/config.toml``, else
``~/.config/sciastro/config.toml``; without it the defaults hold. It is read, never written. A file
that holds a key must be readable by its owner alone.
"""

import os
import stat
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sciastro.errors import OptionError

__all__ = ["UserConfig", "config_path", "user_config"]


@dataclass(frozen=True, kw_only=True, slots=True)
class UserConfig:
    """Settings of a user.

    Attributes
    ----------
    engines
        Plate solvers that may be asked, in this order (``[solve] engines``); "sciastro" is ours, "auto" all
        that are installed.
    index_folders
        Where index files of astrometry.net lie (``[solve] index_folders``); empty: the usual folders.
    nova_key, nova_url
        API key of nova.astrometry.net and its address (``[nova] key``, ``url``); empty: none, the usual one.
    offline, catalog_gigabytes
        Whether nothing is asked over the network, and how much of catalogs is kept (``[catalogs] offline``,
        ``gigabytes``).
    site
        Latitude, longitude, height of the observatory, as text (``[site] place``); empty: unknown.
    """

    engines: tuple[str, ...] = ("sciastro",)
    index_folders: tuple[str, ...] = ()
    nova_key: str = field(default="", repr=False)
    nova_url: str = ""
    offline: bool = False
    catalog_gigabytes: float = 2.0
    site: str = ""


KNOWN = {
    "solve": ("engines", "index_folders"),
    "nova": ("key", "url"),
    "catalogs": ("offline", "gigabytes"),
    "site": ("place",),
}


def config_path() -> Path:
    """Return where the file of this user is looked for."""
    own = os.environ.get("SCIASTRO_CONFIG")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "sciastro" / "config.toml"


def user_config() -> UserConfig:
    """Return what the user has set.

    Raises
    ------
    OptionError
        If the file cannot be read, holds what is not known, or a key that others may read.
    """
    path = config_path()
    try:
        told = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return UserConfig()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError("cannot be read.", where=str(path), remedy="Check its permissions.") from error
    except tomllib.TOMLDecodeError as error:
        line = getattr(error, "lineno", None)  # its text may quote the key, and is not shown
        place = f" in line {line}" if line else ""
        raise OptionError(f"is no TOML{place}.", where=str(path), remedy="Write it anew.") from None
    _check_names(told, path)
    solve, nova, catalogs = (told.get(table, {}) for table in ("solve", "nova", "catalogs"))
    if nova.get("key"):
        _check_private(path)
    return UserConfig(
        engines=_texts(solve, "engines", path) or UserConfig().engines,
        index_folders=_texts(solve, "index_folders", path),
        nova_key=_text(nova, "key", path),
        nova_url=_text(nova, "url", path),
        offline=_flag(catalogs, "offline", path),
        catalog_gigabytes=_size(catalogs, "gigabytes", path),
        site=_text(told.get("site", {}), "place", path),
    )


def _check_names(told: dict[str, Any], path: Path) -> None:
    for table, values in told.items():
        names = KNOWN.get(table)
        if names is None or not isinstance(values, dict):
            known = ", ".join(f"[{name}]" for name in KNOWN)
            raise OptionError(f"has '{table}'.", where=str(path), remedy=f"Known tables: {known}.")
        for name in values:
            if name not in names:
                raise OptionError(
                    f"has '{name}' under [{table}].", where=str(path), remedy=f"Known: {', '.join(names)}."
                )


def _check_private(path: Path) -> None:
    if os.name != "nt" and path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH):
        raise OptionError(
            "holds a key, and others may read it.", where=str(path), remedy=f"Run: chmod 600 {path}"
        )


def _text(table: dict[str, Any], name: str, path: Path) -> str:
    value = table.get(name, "")
    if not isinstance(value, str):
        raise OptionError(f"has a '{name}' that is no text.", where=str(path), remedy="Put it into quotes.")
    return value.strip()


def _flag(table: dict[str, Any], name: str, path: Path) -> bool:
    value = table.get(name, False)
    if not isinstance(value, bool):
        raise OptionError(f"has '{name}' that is not true or false.", where=str(path), remedy="Write true.")
    return value


def _size(table: dict[str, Any], name: str, path: Path) -> float:
    value = table.get(name, UserConfig().catalog_gigabytes)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise OptionError(f"has '{name}' that is no size.", where=str(path), remedy=f"Write {name} = 2.0.")
    return float(value)


def _texts(table: dict[str, Any], name: str, path: Path) -> tuple[str, ...]:
    value = table.get(name, [])
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise OptionError(
            f"has '{name}' that is no list of texts.", where=str(path), remedy=f'Write {name} = ["..."].'
        )
    return tuple(value)
