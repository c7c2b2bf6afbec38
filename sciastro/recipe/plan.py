"""Recipes: which options each step runs with, from defaults, a recipe.toml and ``--set``, checked.

A recipe file is data: ``schema = 1``, then one ``[[step]]`` table per step with its ``name`` and
options. An unknown step or key is an error. Later sources win: defaults, file, ``--set``.
"""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import tomli_w

from sciastro.core.history import package_version
from sciastro.core.options import Options, describe
from sciastro.core.userconfig import user_config
from sciastro.errors import FileError, OptionError
from sciastro.recipe.steps import STEPS

__all__ = ["SCHEMA", "Recipe", "describe_steps", "load_recipe", "recipe_text"]

SCHEMA = 1
T = TypeVar("T", bound=Options)


@dataclass(frozen=True)
class Recipe:
    """Checked options of every step.

    Attributes
    ----------
    options
        Step name to options, in the order of the table.
    """

    options: Mapping[str, Options]

    def __reduce__(self) -> tuple[object, ...]:
        """Travel to other processes; a mapping proxy itself cannot."""
        return _frozen, (dict(self.options),)

    def of(self, kind: type[T]) -> T:
        """Return the options of type `kind`.

        Raises
        ------
        KeyError
            If no step has such options.
        """
        for value in self.options.values():
            if isinstance(value, kind):
                return value
        raise KeyError(kind.__name__)

    def as_dict(self) -> dict[str, dict[str, Any]]:
        """Return plain values by step."""
        return {name: value.as_dict() for name, value in self.options.items()}


def _frozen(options: Mapping[str, Options]) -> Recipe:
    return Recipe(MappingProxyType(dict(options)))


def load_recipe(path: Path | None, changes: Sequence[str]) -> Recipe:
    """Return the recipe of defaults, then the file, then ``step.option=value`` texts.

    Without a file the site of the user's config.toml is a default, too.

    Raises
    ------
    FileError
        If the file is not TOML of our schema.
    OptionError
        For an unknown step or option, or a value out of range.
    """
    values: dict[str, dict[str, Any]] = {name: {} for name in STEPS}
    if path is None and (site := user_config().site):
        values["ingest.scan"]["site"] = site  # a recipe that is kept says it, and is taken as it is
    if path is not None:
        for name, table in _read(path):
            values[name].update(table)
    for change in changes:
        name, key, value = _parse(change)
        values[name][key] = value
    return _frozen({name: _options(name, table) for name, table in values.items()})


def _options(name: str, table: Mapping[str, Any]) -> Options:
    """Return the options of step `name`; an error names the step as the user does, not our class."""
    kind = STEPS[name].options
    try:
        return kind.from_mapping(table)
    except OptionError as error:
        where = error.where.replace(kind.__name__, name)
        raise OptionError(error.found, where=where, remedy=error.remedy) from error


def _read(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileError(
            f"is not a recipe ({error}).", where=str(path), remedy="See `sciastro config --toml`."
        ) from error
    if content.get("schema") != SCHEMA:
        raise FileError(
            f"has schema {content.get('schema')!r}, and this version reads {SCHEMA}.",
            where=str(path),
            remedy="See `sciastro config --toml` for the present form.",
        )
    for key in content:
        if key not in ("schema", "version", "step", "run"):
            raise FileError(
                f"has an unknown table '{key}'.", where=str(path), remedy="Known: schema, version, run, step."
            )
    tables = content.get("step", [])
    if not isinstance(tables, list) or not all(
        isinstance(table, dict) and "name" in table for table in tables
    ):
        raise FileError(
            "has a step without a name.", where=str(path), remedy="Write [[step]] and name = '...'."
        )
    for table in tables:
        yield resolve(str(table["name"])), {key: value for key, value in table.items() if key != "name"}


def resolve(name: str) -> str:
    """Return the full name of a step given by its full or its last name.

    Raises
    ------
    OptionError
        If there is no such step; the message lists them.
    """
    if name in STEPS:
        return name
    found = [full for full in STEPS if full.rpartition(".")[2] == name]
    if len(found) == 1:
        return found[0]
    raise OptionError(f"is no step: '{name}'.", where="recipe", remedy=f"Steps: {', '.join(STEPS)}.")


def _parse(change: str) -> tuple[str, str, str]:
    left, equals, value = change.partition("=")
    step, dot, key = left.strip().rpartition(".")
    if not equals or not dot:
        raise OptionError(
            f"is {change!r}.", where="--set", remedy="Write STEP.OPTION=VALUE, for instance stack.high=2.5."
        )
    return resolve(step), key, value.strip()


def recipe_text(recipe: Recipe, run: Mapping[str, Any] | None = None) -> str:
    """Return the recipe as TOML, from which `load_recipe` makes the same recipe again.

    TOML has no null: an option that is None by default is left out, any other that is None says "none".

    Parameters
    ----------
    run
        Facts of the run to keep in its ``[run]`` table.
    """
    steps = [{"name": name, **_plain(options)} for name, options in recipe.options.items()]
    head: dict[str, Any] = {"schema": SCHEMA, "version": package_version()}
    if run:
        head["run"] = {key: value for key, value in run.items() if value is not None}
    return tomli_w.dumps({**head, "step": steps})


def _plain(options: Options) -> dict[str, Any]:
    defaults = type(options)().as_dict()
    return {
        key: "none" if value is None else value
        for key, value in options.as_dict().items()
        if value is not None or defaults[key] is not None
    }


def describe_steps(recipe: Recipe, only: str | None) -> Iterator[str]:
    """Yield the lines of ``sciastro config``.

    Raises
    ------
    OptionError
        If `only` is no step.
    """
    names = [resolve(only)] if only else list(recipe.options)
    for name in names:
        options = recipe.options[name]
        yield f"{name}: {(type(options).__doc__ or '').strip().splitlines()[0]}"
        for row in describe(type(options)):
            value = getattr(options, row["name"])
            unit = f" {row['unit']}" if row["unit"] else ""
            yield f"  {row['name']} = {value}{unit}{_range(row)}"
            yield f"      {row['meaning']}"
        if not fields(options):
            yield "  (no options)"


def _range(row: Mapping[str, Any]) -> str:
    if row["choices"]:
        return f"   (one of {', '.join(row['choices'])})"
    low, high = row["low"], row["high"]
    if low is None and high is None:
        return ""
    if high is None:
        return f"   (at least {low})"
    return f"   ({'at most' if low is None else f'{low} to'} {high})"
