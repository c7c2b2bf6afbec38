"""Write the tables of docs/vocabulary.md from the code, so that they cannot drift apart.

python docs/make_tables.py
"""

from pathlib import Path

from sciastro.core.quality import QUALITY_MEANINGS, Quality
from sciastro.core.vocabulary import VARIABLES

TARGET = Path(__file__).with_name("vocabulary.md")


def page() -> str:
    """Return the whole page."""
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


if __name__ == "__main__":
    TARGET.write_text(page(), encoding="utf-8")
