"""What `benchmarks/studies.py` trains, measures and reports: the claims of the paper, one study each."""

from pathlib import Path

HERE = Path(__file__).parent
RESULTS = HERE / "results"
"""What was measured, as JSON: a file for each trained network, and one for each study that trains none."""

DATA = HERE / "pennfudan.yaml"
