#!/usr/bin/env python
"""Run an administrative command of the trading site."""

import os
import sys


def main() -> int:
    """Check the environment, then hand over to Django. Exit code 2 means a wrong setting, 1 a failed command."""
    from tradingsite.env import EnvError, load

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tradingsite.settings")
    try:
        load()
        from django.core.management import execute_from_command_line

        from tradingsite.origins import typed

        with typed(sys.argv):
            execute_from_command_line(sys.argv)
    except EnvError as error:
        print(error, file=sys.stderr)
        return 2
    except Exception as error:
        from tradingsite.startup import explain

        reason = explain(error)
        if reason is None:
            raise
        print(reason, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
