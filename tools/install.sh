#!/bin/sh
# Make .venv with the Python given as $1 and install requirements.lock into it with plain pip.
set -eu

python=$1
fail() { echo "$*" >&2; exit 1; }

[ -n "$python" ] || fail "Python 3.11 or newer is needed: apt-get install python3 python3-venv"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
    fail "$python is older than Python 3.11; name a newer one: make install PYTHON=/path/to/python3"

if [ ! -x .venv/bin/pip ]; then
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
            fail "Python can't make environments here: sudo apt-get install python3-venv, then run make again"
        echo "Installing python3-venv"
        apt-get update -qq
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3-venv >/dev/null
    fi
    rm -rf .venv
    "$python" -m venv .venv
fi
echo "Installing the dependencies into .venv (a minute or two, the first time)"
.venv/bin/python -m pip install --quiet --disable-pip-version-check --requirement requirements.lock
