"""Prices from files: bars and ticks of other sources, and the bars that are shipped."""

from brokers.simulator.recordings.bars import Recording, expand, keep, load, paired, read_history
from brokers.simulator.recordings.lines import HistoryError
from brokers.simulator.recordings.ticks import TickRecording, has_ticks, keep_ticks, load_ticks, read_ticks

__all__ = [
    "HistoryError",
    "Recording",
    "TickRecording",
    "expand",
    "has_ticks",
    "keep",
    "keep_ticks",
    "load",
    "load_ticks",
    "paired",
    "read_history",
    "read_ticks",
]
