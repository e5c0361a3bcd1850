"""Where things lie that tests read."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
SHARED = ROOT.parent / "shared"
"""Reference outputs and data that lie beside a working copy and are not part of the project."""
