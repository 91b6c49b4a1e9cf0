"""A short ordeal (ordeal.py): each of its phases for a few seconds. Longer: make ordeal SECONDS=600."""

import os
import time

import pytest

import ordeal

SEED = int(os.environ.get("E2E_SEED") or time.time_ns() % 10**6)


@pytest.mark.parametrize("phase", ordeal.PHASES)
def test_ordeal(tmp_path, phase):
    print("seed", SEED)
    ordeal.run(tmp_path, [phase], seconds=4, seed=SEED)
