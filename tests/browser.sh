#!/bin/sh
# What the tests need from the system: Chromium, its driver, a screen that nobody sees, `ps`.
set -e
missing=""
command -v chromium >/dev/null 2>&1 || command -v chromium-browser >/dev/null 2>&1 || command -v google-chrome >/dev/null 2>&1 || missing="$missing chromium"
command -v chromedriver >/dev/null 2>&1 || missing="$missing chromium-driver"
command -v Xvfb >/dev/null 2>&1 || missing="$missing xvfb"
command -v ps >/dev/null 2>&1 || missing="$missing procps"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
    echo "The tests need$missing. Install them, for example: sudo apt-get install$missing" >&2
    exit 1
fi
