"""The simulated terminal tries itself: `python -m brokers.simulator selftest`."""
