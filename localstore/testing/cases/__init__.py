"""The test classes, one module a concept. They need a `backend` fixture and nothing else."""

import pytest

# Third parties see what was compared when an assertion of the suite fails, as in modules of their own.
pytest.register_assert_rewrite("localstore.testing.cases")
