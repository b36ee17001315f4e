"""Settings of the tests: the site's own, on a database server and with secrets of their own.

The tests never touch what `make run` keeps: they have their own folder under `var/`.
"""

import os

from tests.folder import own_folder

os.environ["TRADING_VAR_DIR"] = own_folder()

from tradingsite.settings import *  # noqa: F403
from tradingsite.settings import DATABASES

# Several test runs share the server, so each has databases of its own.
DATABASES["default"]["TEST"] = {"NAME": f"test_trading_{os.getpid()}"}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
