"""Time the import of a long candle file against Python's csv module on the same file, and measure its memory.

`python benchmarks/candles.py [--rows N] [--json]`. The file is made first, in a temporary folder.
"""

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np

BASELINE_ROWS = 500_000
BEGIN = int(datetime(2004, 1, 1, tzinfo=UTC).timestamp())


def make(path: Path, rows: int) -> None:
    """Write minutes of a random walk."""
    rng = np.random.default_rng(1)  # clock-ok: seeded, the same file each time
    with path.open("w", encoding="ascii", newline="\n") as out:
        out.write("time,open,high,low,close,volume\n")
        price = 110_000
        for first in range(0, rows, 100_000):
            count = min(100_000, rows - first)
            closes = np.clip(price + np.cumsum(rng.integers(-5, 6, count)), 50_000, 200_000)
            opens = np.concatenate([[price], closes[:-1]])
            price = int(closes[-1])
            times = np.datetime_as_string((BEGIN + (first + np.arange(count)) * 60).astype("datetime64[s]"), unit="s")
            out.writelines(
                f"{at}Z,{o / 1e5:.5f},{max(o, c) / 1e5 + 5e-5:.5f},{min(o, c) / 1e5 - 5e-5:.5f},{c / 1e5:.5f},7\n"
                for at, o, c in zip(times.tolist(), opens.tolist(), closes.tolist(), strict=True)
            )


def child(path: Path, store: Path) -> None:
    """Import once and print seconds, rows and the highest resident memory (a process of its own, so it is its own)."""
    from marketdata.candleimport import import_file
    from marketdata.candlestore import CandleStore

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.perf_counter()
    found = import_file(CandleStore(store), path, source="benchmark", symbol="EURUSD")
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    figures = {"seconds": seconds, "rows": found.rows, "changed": found.changed, "peak_mb": peak / 1024}
    print(json.dumps({**figures, "grown_mb": (peak - before) / 1024}))


def main() -> None:
    """Print rows a second, memory, and how many times faster than the csv module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--child", nargs=2, metavar=("FILE", "STORE"))
    options = parser.parse_args()
    if options.child:
        child(Path(options.child[0]), Path(options.child[1]))
        return
    with TemporaryDirectory() as folder:
        path = Path(folder) / "candles.csv"
        make(path, options.rows)
        done = subprocess.run(
            [sys.executable, __file__, "--child", str(path), str(Path(folder) / "store")],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found = json.loads(done.stdout)
        started = time.perf_counter()
        with path.open(newline="") as file:
            for n, row in enumerate(csv.reader(file)):
                if n:
                    _ = (datetime.fromisoformat(row[0]).timestamp(), *map(float, row[1:]))
                if n == BASELINE_ROWS:
                    break
        baseline = n / (time.perf_counter() - started)
        found |= {
            "rows_per_second": round(found["rows"] / found["seconds"]),
            "times_the_csv_module": round(found["rows"] / found["seconds"] / baseline, 1),
            "file_mb": round(path.stat().st_size / 1e6),
            "store_mb": round(sum(p.stat().st_size for p in Path(folder, "store").rglob("*.candles")) / 1e6),
        }
    print(json.dumps(found) if options.json else "\n".join(f"{name}: {value}" for name, value in found.items()))


if __name__ == "__main__":
    main()
