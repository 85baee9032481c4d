"""Analyses are scripts that import their neighbours: put their folder on the path."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "analyses")]
