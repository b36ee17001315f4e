"""Run the conformance suite and print its table; `--write` puts it into docs/brokers.md. Exit code 1 when one fails."""

import sys

from tests.brokers.conformance.table import document, run, table

found = table(run)
print(found, end="")
if "--write" in sys.argv:
    document(found)
sys.exit("| NO" in found)
