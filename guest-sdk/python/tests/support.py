"""Makes the package of this tree importable, wherever the tests are started. Every test imports it first."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
SOURCES = ROOT / "src"

if str(SOURCES) not in sys.path:
    sys.path.insert(0, str(SOURCES))
