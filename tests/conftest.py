"""What all tests share."""

import sys
from pathlib import Path

import hypothesis
import pytest
import torch

ROOT = Path(__file__).parent.parent
SHARED = ROOT.parent / "shared"
"""Reference outputs and data that lie beside a working copy and are not part of the project."""

sys.path.insert(0, str(Path(__file__).parent))
torch.set_num_threads(1)  # the tests run in parallel processes


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, which is not beside this working copy")
    return SHARED


hypothesis.settings.register_profile("shared-machine", deadline=None)
hypothesis.settings.load_profile("shared-machine")
