"""Pseudo positions: what each set of entry signal and exits would have earned, as it happens."""
