#!/bin/sh
# Installs what the tests of clients run, as far as this system has it; tests skip the rest, and say why.
cd "$(dirname "$0")" || exit

debian() { # COMMAND or FILE, PACKAGE
    command -v "$1" >/dev/null || [ -e "$1" ] && return
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null && apt-get install --yes --quiet "$2"
}

debian npm npm
debian chromium chromium
debian /usr/include/onnxruntime libonnxruntime-dev
if command -v npm >/dev/null; then
    # The install script of onnxruntime-node loads a CUDA part from elsewhere; the CPU's is packaged.
    npm install --ignore-scripts --no-audit --no-fund --no-package-lock
fi
exit 0
