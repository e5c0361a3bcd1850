"""What all tests share."""

from pathlib import Path

import hypothesis
import pytest
import torch

from locations import SHARED

torch.set_num_threads(1)  # the tests run in parallel processes


@pytest.fixture(scope="session")
def shared() -> Path:
    if not SHARED.is_dir():
        pytest.skip("needs ../shared, which is not beside this working copy")
    return SHARED


hypothesis.settings.register_profile("shared-machine", deadline=None)
hypothesis.settings.load_profile("shared-machine")
