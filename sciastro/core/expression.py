"""Expressions over measured numbers, such as ``fwhm < 1.3 * median(fwhm) and eccentricity < 0.6``.

What a user writes is data, never code: Python's grammar reads the text into a tree, and only a short list
of its nodes is understood (numbers, known names, arithmetic, comparisons, and/or/not, known functions).
Nothing is evaluated by Python itself; there are no attributes, no subscripts, no texts, no calls of
anything that is not in `FUNCTIONS` or `SUMMARIES`. Length, depth, numbers and exponents are bounded.

Missing measures are NaN: a comparison with NaN or infinity is False either way, so that a frame of which
nothing is known is never taken for a good one; summaries over the group skip NaN.
"""

import ast
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from sciastro.core.robust import MAD_TO_SIGMA
from sciastro.errors import OptionError

__all__ = ["FUNCTIONS", "SUMMARIES", "Expression", "parse"]

Values = npt.NDArray[np.float64] | npt.NDArray[np.bool_]
Columns = Mapping[str, npt.NDArray[np.float64]]

LONGEST, DEEPEST = 500, 40  # characters, levels of nesting
LARGEST_POWER = 8.0  # of exponents
LARGEST_NUMBER = 1e30  # of constants: no product of a few overflows

FUNCTIONS: Mapping[str, Callable[[Any], Any]] = {
    "abs": np.abs,
    "sqrt": np.sqrt,
    "log": np.log,
    "log10": np.log10,
    "exp": np.exp,
}
SUMMARIES: Mapping[str, Callable[[Any], Any]] = {
    "median": np.median,
    "mean": np.mean,
    "std": np.std,
    "min": np.min,
    "max": np.max,
    "sum": np.sum,
    "count": np.size,
    "mad": lambda x: MAD_TO_SIGMA * np.median(np.abs(x - np.median(x))),
}
ARITHMETIC: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: np.add,
    ast.Sub: np.subtract,
    ast.Mult: np.multiply,
    ast.Div: np.divide,
}
COMPARISONS: Mapping[type[ast.cmpop], tuple[str, Callable[[Any, Any], Any]]] = {
    ast.Lt: ("<", np.less),
    ast.LtE: ("<=", np.less_equal),
    ast.Gt: (">", np.greater),
    ast.GtE: (">=", np.greater_equal),
    ast.Eq: ("==", np.equal),
    ast.NotEq: ("!=", np.not_equal),
}


@dataclass(frozen=True, slots=True)
class Expression:
    """A checked expression.

    Attributes
    ----------
    text
        As the user wrote it.
    tree
        Holds nothing but nodes that `parse` allows.
    names
        Measures that it reads.
    where
        Option that it stands in, for messages.
    """

    text: str
    tree: ast.expr
    names: frozenset[str]
    where: str

    def numbers(self, columns: Columns, among: npt.NDArray[np.bool_] | None = None) -> Values:
        """Return the value per entry, float64; NaN where a measure is missing.

        Parameters
        ----------
        columns
            Measures by name, equal lengths; at least `names`.
        among
            Entries over which summaries (median, ...) are taken; None takes all.

        Raises
        ------
        OptionError
            If a measure is not in `columns`.
        """
        return np.asarray(self._values(columns, among), dtype=np.float64)

    def decisions(
        self, columns: Columns, among: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.bool_]:
        """Return yes or no per entry; see `numbers`.

        Raises
        ------
        OptionError
            If a measure is not in `columns`, or the expression gives numbers.
        """
        values = self._values(columns, among)
        if values.dtype != np.bool_:
            raise OptionError(
                f"is {self.text!r}, which gives a number and no yes or no.",
                where=self.where,
                remedy="Compare it with something, for instance `fwhm < 4`.",
            )
        return np.asarray(values, dtype=np.bool_)

    def _values(self, columns: Columns, among: npt.NDArray[np.bool_] | None) -> Any:
        lacking = sorted(self.names - set(columns))
        if lacking:
            raise OptionError(
                f"asks for {', '.join(lacking)}, which nothing measured.",
                where=self.where,
                remedy=f"Known here: {', '.join(sorted(columns))}.",
            )
        n = max((len(columns[name]) for name in columns), default=0)
        chosen = np.ones(n, dtype=bool) if among is None else among
        with np.errstate(all="ignore"):  # a NaN or an infinity is an answer here
            return np.broadcast_to(np.asarray(_evaluate(self.tree, columns, chosen)), n).copy()

    def limits(self, columns: Columns, among: npt.NDArray[np.bool_] | None = None) -> dict[str, float]:
        """Return the numbers with which parts of a top-level ``and`` compare a measure, by its name.

        Only ``measure < number`` and its like, in either order, where the number is the same for all entries.
        """
        n = max((len(columns[name]) for name in columns), default=0)
        chosen = np.ones(n, dtype=bool) if among is None else among
        found: dict[str, float] = {}
        for part in _parts(self.tree):
            if not (isinstance(part, ast.Compare) and len(part.ops) == 1):
                continue
            sides = part.left, part.comparators[0]
            for one, other in (sides, sides[::-1]):
                if isinstance(one, ast.Name):
                    with np.errstate(all="ignore"):
                        value = np.unique(_number(_evaluate(other, columns, chosen)))
                    if value.size == 1:
                        found[one.id] = float(value[0])
        return found

    def failures(self, columns: Columns, entry: int, among: npt.NDArray[np.bool_] | None = None) -> list[str]:
        """Return what of the expression does not hold for one entry, with its numbers.

        Each part of a top-level ``and`` that fails gives one text, such as
        "fwhm = 4.31, not < 1.3 * median(fwhm) = 3.4".
        """
        n = max((len(columns[name]) for name in columns), default=0)
        chosen = np.ones(n, dtype=bool) if among is None else among
        with np.errstate(all="ignore"):
            return [
                _told(part, columns, chosen, entry)
                for part in _parts(self.tree)
                if not _at(_evaluate(part, columns, chosen), entry)
            ]


def parse(text: str, names: Mapping[str, str] | frozenset[str], where: str) -> Expression:
    """Check an expression and return it ready for use.

    Parameters
    ----------
    text
        What the user wrote.
    names
        Measures that may be named.
    where
        Option that it stands in, for messages.

    Raises
    ------
    OptionError
        If the text is too long or too deep, is no expression, or holds anything that is not allowed; the
        message shows the place.
    """
    if len(text) > LONGEST:
        raise OptionError(
            f"has {len(text)} characters.", where=where, remedy=f"Write at most {LONGEST} characters."
        )
    source = re.sub(r"\s", " ", text)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # such as "1if": refused in the next lines
            tree = ast.parse(source.strip(), mode="eval").body
    except SyntaxError as error:
        place = max((error.offset or 1) - 1, 0)
        _refuse(source.strip(), place, "cannot be read", where, "Write it like `fwhm < 1.3 * median(fwhm)`.")
    except (ValueError, RecursionError, MemoryError):
        _refuse(source.strip(), 0, "cannot be read", where, "Write it like `fwhm < 1.3 * median(fwhm)`.")
    checker = _Checker(source.strip(), frozenset(names), where)
    checker.check(tree, 0)
    return Expression(text=source.strip(), tree=tree, names=frozenset(checker.used), where=where)


def _refuse(text: str, place: int, found: str, where: str, remedy: str) -> NoReturn:
    shown = text[place : place + 24]
    at = f"at character {place + 1} ({shown!r})" if shown else "at its end"
    raise OptionError(f"{found} {at}.", where=where, remedy=remedy)


@dataclass(slots=True)
class _Checker:
    """Walks a tree and refuses what is not on the list; gathers the names that are used."""

    text: str
    names: frozenset[str]
    where: str
    used: set[str]

    def __init__(self, text: str, names: frozenset[str], where: str) -> None:
        self.text, self.names, self.where, self.used = text, names, where, set()

    def refuse(self, node: ast.AST, found: str, remedy: str) -> NoReturn:
        column = getattr(node, "col_offset", 0)
        place = len(self.text.encode()[:column].decode(errors="ignore"))  # Python counts bytes
        _refuse(self.text, place, found, self.where, remedy)

    def check(self, node: ast.expr, depth: int) -> None:
        if depth > DEEPEST:
            self.refuse(node, "is nested too deeply", f"Use at most {DEEPEST} levels.")
        match node:
            case ast.Constant(value=value):
                self.constant(node, value)
            case ast.Name(id=name):
                if name not in self.names:
                    self.refuse(
                        node, f"names {name!r}, which is not known,",
                        f"Known measures: {', '.join(sorted(self.names))}.",
                    )  # fmt: skip
                self.used.add(name)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd() | ast.Not(), operand=inner):
                self.check(inner, depth + 1)
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                self.check(left, depth + 1)
                self.exponent(right)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in ARITHMETIC:
                self.check(left, depth + 1)
                self.check(right, depth + 1)
            case ast.BoolOp(values=parts):
                for part in parts:
                    self.check(part, depth + 1)
            case ast.Compare(left=left, ops=ops, comparators=others) if all(
                type(op) in COMPARISONS for op in ops
            ):
                for part in (left, *others):
                    self.check(part, depth + 1)
            case ast.Call():
                self.call(node, depth)
            case _:
                self.refuse(
                    node, "holds what is no measure, number, comparison or known function",
                    f"Functions: {', '.join(sorted({*FUNCTIONS, *SUMMARIES, 'percentile', 'rank'}))}.",
                )  # fmt: skip

    def constant(self, node: ast.expr, value: object) -> None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(node, "holds what is no number", "Write numbers such as 1.3.")
        # A comparison of a huge integer is exact and cheap; turning it into a float could overflow.
        if not abs(value) <= LARGEST_NUMBER:
            self.refuse(node, "holds a number that is too large", f"Stay below {LARGEST_NUMBER:g}.")

    def exponent(self, node: ast.expr) -> None:
        inner = node.operand if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) else node
        if not isinstance(inner, ast.Constant):
            self.refuse(node, "has an exponent that is no number", "Write powers such as fwhm**2.")
        self.constant(inner, inner.value)
        if not abs(float(inner.value)) <= LARGEST_POWER:  # type: ignore[arg-type]
            self.refuse(node, "has an exponent that is too large", f"Stay within {LARGEST_POWER:g}.")

    def call(self, node: ast.Call, depth: int) -> None:
        name = node.func.id if isinstance(node.func, ast.Name) else ""
        known = {*FUNCTIONS, *SUMMARIES, "percentile", "rank"}
        if name not in known or node.keywords:
            self.refuse(node, "calls what is no known function", f"Functions: {', '.join(sorted(known))}.")
        most = 2 if name in ("percentile", "min", "max") else 1
        least = 2 if name == "percentile" else 1
        if not least <= len(node.args) <= (20 if name in ("min", "max") else most):
            self.refuse(node, f"gives {name} {len(node.args)} values", f"It takes {least}.")
        for part in node.args:
            self.check(part, depth + 1)


def _evaluate(node: ast.expr, columns: Columns, among: npt.NDArray[np.bool_]) -> Any:
    match node:
        case ast.Constant(value=value):
            return np.float64(value)  # type: ignore[arg-type]
        case ast.Name(id=name):
            return np.asarray(columns[name], dtype=np.float64)
        case ast.UnaryOp(op=ast.Not(), operand=inner):
            return np.logical_not(_true(_evaluate(inner, columns, among)))
        case ast.UnaryOp(op=op, operand=inner):
            value = _number(_evaluate(inner, columns, among))
            return -value if isinstance(op, ast.USub) else value
        case ast.BinOp(left=left, op=ast.Pow(), right=right):
            return np.power(_number(_evaluate(left, columns, among)), _evaluate(right, columns, among))
        case ast.BinOp(left=left, op=op, right=right):
            return ARITHMETIC[type(op)](
                _number(_evaluate(left, columns, among)), _number(_evaluate(right, columns, among))
            )
        case ast.BoolOp(op=op, values=parts):
            joined = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return joined.reduce(np.broadcast_arrays(*(_true(_evaluate(p, columns, among)) for p in parts)))
        case ast.Compare(left=left, ops=ops, comparators=others):
            return _compared([left, *others], ops, columns, among)
        case ast.Call(func=ast.Name(id=name), args=arguments):
            return _called(name, [_number(_evaluate(one, columns, among)) for one in arguments], among)
    raise TypeError(f"unchecked node {type(node).__name__}")  # a tree that `parse` did not make


def _true(value: Any) -> Any:
    """Return yes or no; NaN is no."""
    array = np.asarray(value)
    return array if array.dtype == np.bool_ else np.isfinite(array) & (array != 0)


def _number(value: Any) -> Any:
    return np.asarray(value, dtype=np.float64)


def _compared(
    sides: list[ast.expr], ops: list[ast.cmpop], columns: Columns, among: npt.NDArray[np.bool_]
) -> Any:
    values = [_number(_evaluate(side, columns, among)) for side in sides]
    result: Any = np.True_
    for op, left, right in zip(ops, values, values[1:], strict=False):
        known = np.isfinite(left) & np.isfinite(right)
        result = result & known & COMPARISONS[type(op)][1](left, right)
    return result


def _called(name: str, values: list[Any], among: npt.NDArray[np.bool_]) -> Any:
    if name in FUNCTIONS:
        return FUNCTIONS[name](values[0])
    if name in ("min", "max") and len(values) > 1:
        pick = np.minimum if name == "min" else np.maximum
        return pick.reduce(np.broadcast_arrays(*values))
    spread = np.broadcast_to(values[0], among.shape)
    sample = spread[among & np.isfinite(spread)]
    if name == "rank":  # 0 the smallest, 100 the largest of the group
        below = np.searchsorted(np.sort(sample), spread) / max(sample.size, 1)
        return np.where(np.isfinite(spread), 100.0 * below, np.nan)
    if sample.size == 0:
        return np.float64(0.0 if name in ("sum", "count") else np.nan)
    if name == "percentile":
        share = float(np.ravel(values[1])[0])
        return np.float64(np.percentile(sample, share)) if 0 <= share <= 100 else np.float64(np.nan)
    return np.float64(SUMMARIES[name](sample))


def _parts(node: ast.expr) -> Iterator[ast.expr]:
    """Yield the parts of a top-level ``and``, or the whole."""
    if isinstance(node, ast.BoolOp) and isinstance(node.op, ast.And):
        for part in node.values:
            yield from _parts(part)
    else:
        yield node


def _at(value: Any, entry: int) -> Any:
    array = np.ravel(value)
    return array[0] if array.size == 1 else array[entry]


def _told(node: ast.expr, columns: Columns, among: npt.NDArray[np.bool_], entry: int) -> str:
    if not (isinstance(node, ast.Compare) and len(node.ops) == 1):
        return f"not {ast.unparse(node)}"
    left, right = node.left, node.comparators[0]
    told = []
    for side in (left, right):
        value = float(_at(_number(_evaluate(side, columns, among)), entry))
        shown = "unknown" if np.isnan(value) else f"{value:.4g}"
        told.append(shown if isinstance(side, ast.Constant) else f"{ast.unparse(side)} = {shown}")
    return f"{told[0]}, not {COMPARISONS[type(node.ops[0])][0]} {told[1]}"
