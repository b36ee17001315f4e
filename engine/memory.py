"""The garbage collector's settings of a process that reads thousands of frozen rows twice a second."""

import gc

# A pass makes objects by the ten thousand, which form no cycles and die with it: they must not start a full search
THRESHOLDS = (100_000, 50, 100)


def settle() -> None:
    """Take what the start has built out of the collector's sight, and let it search less often.

    Measured at 10,000 open orders (`benchmarks/passes.py`): full searches were half of the slowest passes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
