"""The documentation says what the code says."""

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_vocabulary_page_is_current():
    spec = importlib.util.spec_from_file_location("make_tables", ROOT / "docs/make_tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs/vocabulary.md").read_text(encoding="utf-8") == module.page()
