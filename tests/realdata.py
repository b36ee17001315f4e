"""Real market data that lies beside the project on some machines, and is never part of it."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PLACES = [folder / "shared" / "data" for folder in (ROOT.parent, ROOT.parent.parent)]
FOLDER = next((place for place in PLACES if place.is_dir()), PLACES[0])
GBPUSD_BID = FOLDER / "gbpusd-m1-bid-2012.csv.gz"
GBPUSD_ASK = FOLDER / "gbpusd-m1-ask-2012.csv.gz"

needs_real_data = pytest.mark.skipif(
    not (GBPUSD_BID.exists() and GBPUSD_ASK.exists()), reason="real market data lies beside the project, and not here"
)
