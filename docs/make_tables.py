"""Write docs/vocabulary.md and docs/options.md from the code, so that they cannot drift apart.

python docs/make_tables.py
"""

from pathlib import Path

from sciastro.core.options import describe
from sciastro.core.quality import QUALITY_MEANINGS, Quality
from sciastro.core.vocabulary import VARIABLES
from sciastro.recipe.steps import STEPS

HERE = Path(__file__).parent


def page() -> str:
    """Return the vocabulary page."""
    lines = [
        "# Vocabulary and quality bits",
        "",
        "Steps meet in these names. NaN (and a quality bit) means missing; never 0, never -1.",
        "",
        "## Variables",
        "",
        "| name | dims | unit | meaning |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| `{spec.name}` | {', '.join(spec.dims)} | {spec.unit or 'text / time'} | {spec.meaning} |"
        for spec in VARIABLES.values()
    ]
    lines += ["", "## Quality bits", "", "Test with `quality & Quality.HOT`, never with `==`.", ""]
    lines += ["| bit | value | name | meaning |", "|---|---|---|---|"]
    lines += [
        f"| {int(bit).bit_length() - 1} | {int(bit)} | `{bit.name}` | {QUALITY_MEANINGS[bit]} |"
        for bit in Quality
    ]
    return "\n".join(lines) + "\n"


def options_page() -> str:
    """Return the page of every option of every step."""
    lines = [
        "# Options",
        "",
        "Every option of every step. Change one with `--set STEP.OPTION=VALUE`, where STEP is the full name",
        "or its last word (`--set stack.high=2.5`), or in a recipe: `sciastro config --toml > recipe.toml`,",
        "then `sciastro reduce SESSION -o OUT --recipe recipe.toml`. An unknown name or a value out of range",
        'is refused before any file is read. "none" as a default means measured, or chosen by the step.',
    ]
    for name, step in STEPS.items():
        summary = (step.options.__doc__ or "").strip().splitlines()[0]
        lines += ["", f"## {name}", "", summary, ""]
        rows = describe(step.options)
        if not rows:
            lines.append("No options.")
            continue
        lines += ["| option | default | unit | range | meaning |", "|---|---|---|---|---|"]
        lines += [
            f"| `{row['name']}` | {_value(row['default'])} | {row['unit']} | {_range(row)} "
            f"| {row['meaning']} |"
            for row in rows
        ]
    return "\n".join(lines) + "\n"


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "none" if value is None else f"{value}"


def _range(row: dict[str, object]) -> str:
    if row["choices"]:
        return ", ".join(f"`{choice}`" for choice in row["choices"])  # type: ignore[attr-defined]
    low, high = row["low"], row["high"]
    if low is None and high is None:
        return ""
    if high is None:
        return f"at least {low:g}"
    return f"at most {high:g}" if low is None else f"{low:g} to {high:g}"


PAGES = {"vocabulary.md": page, "options.md": options_page}

if __name__ == "__main__":
    for target, write in PAGES.items():
        (HERE / target).write_text(write(), encoding="utf-8")
