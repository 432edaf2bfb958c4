"""What tests of models keep on this host goes into the tests' own cache."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def own_cache(cache):
    return cache
