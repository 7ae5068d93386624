"""The test classes, one module a concept. They need a `backend` fixture and nothing else."""

import pkgutil

import pytest

# Third parties see what was compared when an assertion of the suite fails, as in test modules of their own.
pytest.register_assert_rewrite(*(f"{__name__}.{module.name}" for module in pkgutil.iter_modules(__path__)))
