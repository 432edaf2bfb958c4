#!/usr/bin/env bash
# Makes .venv: every package pinned, every hash checked. Does nothing if .venv is up to date, and starts over if a killed
# run left it half done. The package index is the user's own setting, pip's or uv's.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

stamp=.venv/.installed       # the key of what is installed
unfinished=.venv/.installing # there while packages are being written
locks=(setup/bootstrap.lock requirements.lock requirements-data.lock)

fail() { echo "sparklabel: $*" >&2; exit 2; }

# The folder is in the key because scripts in .venv/bin hold its path.
key() { echo "$PWD $(cat "${locks[@]}" pyproject.toml setup/install.sh | cksum)"; }

fresh() { [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$(key)" ]; }

# A candidate is run, not looked up: version managers leave commands that only print an error.
supported() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }

find_python() {
    for python in ${PYTHON:-python3.13 python3.12 python3.11 python3}; do
        if supported "$python"; then return; fi
    done
    local found="not there"
    if command -v "$python" >/dev/null; then found="$("$python" -V 2>&1 || true)"; fi
    fail "Python 3.11, 3.12 or 3.13 is needed and $python is ${found%%$'\n'*}: install one (Debian, Ubuntu:" \
        "apt install python3 python3-venv; macOS: brew install python@3.13) or name it: make demo PYTHON=/path/to/python3"
}

make_venv() {
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        fail "$python lacks its venv module: install it (Debian, Ubuntu: apt install python3-venv)"
    fi
    rm -rf .venv
    mkdir .venv
    touch "$unfinished"
    "$python" -m venv .venv
}

# uv does not read pip's configuration: where only pip is told of an index, hand it on.
hand_on_index() {
    local config="${XDG_CONFIG_HOME:-$HOME/.config}/uv/uv.toml"
    if [ -n "${UV_DEFAULT_INDEX:-}${UV_INDEX_URL:-}${UV_CONFIG_FILE:-}" ] || [ -e "$config" ] || [ -e uv.toml ]; then return; fi
    local index
    index="${PIP_INDEX_URL:-$(.venv/bin/python -m pip config get global.index-url 2>/dev/null || true)}"
    if [ -n "$index" ]; then export UV_DEFAULT_INDEX="$index"; fi
}

# uv's progress, less one line a package: on a terminal the finished downloads share one line.
progress() {
    local begun=0 finished=0 line
    while IFS= read -r line; do
        case "$line" in
        " "[-+~]" "*) ;;
        Downloading*) begun=$((begun + 1)) ;;
        " Downloaded"*)
            finished=$((finished + 1))
            line="  downloaded $finished of $begun large files: ${line# Downloaded }"
            if [ -t 1 ]; then printf '\r\033[K%s' "$line"; else echo "$line"; fi
            ;;
        *) if [ -t 1 ]; then printf '\r\033[K  %s\n' "$line"; else echo "  $line"; fi ;;
        esac
    done
}

uv_install() { .venv/bin/uv pip install --python .venv/bin/python --no-deps --no-build-isolation "$@" 2>&1 | progress; }

install() {
    touch "$unfinished"
    rm -f "$stamp"
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r setup/bootstrap.lock
    hand_on_index
    export UV_HTTP_TIMEOUT="${UV_HTTP_TIMEOUT:-120}"
    uv_install --require-hashes -r requirements.lock -r requirements-data.lock
    uv_install --quiet --editable .
    key >"$stamp"
    rm -f "$unfinished"
}

# Two makes at once: the second waits (on Linux; macOS has no flock).
exec 9<setup/install.sh
if command -v flock >/dev/null; then flock 9; fi
if fresh; then exit 0; fi

moved() { [ -e "$stamp" ] && ! grep -qF "$PWD " "$stamp"; }
if [ -e "$unfinished" ] || moved || ! supported .venv/bin/python; then
    find_python
    "$python" -P sparklabel/machine.py .
    echo "Installing into .venv with $("$python" -V): about 200 packages, a 3 GB download the first time"
    make_venv
else
    echo "Bringing .venv up to date"
fi
install
echo "Installed."
