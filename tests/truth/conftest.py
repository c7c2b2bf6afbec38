"""Make the figures of a simulated night importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
