#!/bin/sh
# Install Chromium ($@: Debian's packages) for the browser tests. Without root nothing is installed: the browser tests
# are skipped then and name the command.
set -u

for name in chromium chromium-browser google-chrome; do
    command -v "$name" >/dev/null && exit 0
done
[ "$(id -u)" = 0 ] || exit 0
command -v apt-get >/dev/null || exit 0

echo "Installing $*"
export DEBIAN_FRONTEND=noninteractive
{ apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null ||
    echo "Chromium could not be installed; the browser tests are skipped" >&2
