"""Analyses are scripts that import their neighbours: put their folder on the path."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "analyses"))
