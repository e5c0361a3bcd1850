"""What must be so before a test imports Ray, which looks at it then and never again."""

import os

# Or each of Ray's processes would be started by `uv run`, as the tests are, and install all of it once more.
os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
