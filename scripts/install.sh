#!/bin/sh
# Makes .venv what requirements.txt asks for, and mends one that no longer works. `make install` runs it.
# PYTHON names the Python to use; without it the first one that is new enough is taken.
set -eu

stamp=.venv/.installed # written at the end: which Python, in which folder, for which requirements
log=.venv/install.log

fail() {
    echo "$1" >&2
    exit 1
}

is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

# Without a version it is no Python, or one that cannot run.
version() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || echo "not a Python that runs"
}

choose_python() {
    if [ -n "${PYTHON:-}" ]; then
        is_new_enough "$PYTHON" && echo "$PYTHON" && return
        fail "Voice Ledger needs Python 3.11 or newer, and $PYTHON is $(version "$PYTHON"): name another with PYTHON=/path/to/python3.12."
    fi
    for name in python3 python3.13 python3.12 python3.11 python3.14 python; do
        is_new_enough "$name" && echo "$name" && return
    done
    command -v python3 >/dev/null && fail "Voice Ledger needs Python 3.11 or newer, and python3 here is $(version python3): install a newer one, then run make again (or name it: PYTHON=/path/to/it)."
    fail "Voice Ledger needs Python 3.11 or newer, and there is none here: install it (Debian, Ubuntu: sudo apt-get install python3 python3-venv), then run make again."
}

# What a virtual environment is bound to: its scripts name its folder, its packages lie under its Python's version.
identity() {
    .venv/bin/python -c 'import sys; print(sys.prefix, "%d.%d" % sys.version_info[:2])' 2>/dev/null
}

requirements() {
    cksum <requirements.txt
}

what_is_wrong() {
    if ! identity >/dev/null; then
        echo "its Python is gone"
    elif [ ! -e "$stamp" ]; then
        echo "its installation had not come to an end"
    elif [ "$(identity)" != "$(sed -n 1p "$stamp")" ]; then
        echo "its folder was moved or its Python exchanged"
    fi
}

make_environment() {
    python=$(choose_python)
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "$python lacks the module venv: install it (Debian, Ubuntu: sudo apt-get install python$(version "$python")-venv), then run make again."
    if [ -e .venv ] || [ -L .venv ]; then
        echo "Making .venv anew, since $(what_is_wrong)."
        rm -rf .venv
    fi
    echo "Making the environment .venv with Python $(version "$python")."
    mkdir .venv 2>/dev/null || fail "Nothing can be written into $(pwd): make that folder yours, then run make again."
    "$python" -m venv .venv >"$log" 2>&1 || fail "The environment .venv could not be made: $(last_words) ($log has the rest)."
}

install_packages() {
    echo "Installing packages into .venv (about a minute the first time)."
    .venv/bin/python -m pip install --disable-pip-version-check --no-input -r requirements.txt >"$log" 2>&1 || fail "$(why_not)"
    importable_everywhere
    { identity && requirements; } >"$stamp"
}

# So that `.venv/bin/python -m sync` works in every folder, and can say which ledger it opens there.
importable_everywhere() {
    .venv/bin/python -c 'import os, sysconfig; open(os.path.join(sysconfig.get_path("purelib"), "voice-ledger.pth"), "w").write(os.getcwd() + "\n")' >/dev/null
}

why_not() {
    if grep -Eq 'No space left|Disk quota' "$log"; then
        echo "The disk is full: the packages need about 700 MB; make room, then run make again."
    elif grep -Eq 'NewConnectionError|NameResolutionError|Failed to establish|[Tt]imed out|ProxyError|SSLError' "$log"; then
        echo "The packages could not be downloaded: check this machine's network or proxy, then run make again ($log has pip's words)."
    else
        echo "The packages could not be installed: $(last_words) ($log has the rest)."
    fi
}

last_words() {
    { grep -E '^ *(ERROR|error)' "$log" || cat "$log"; } | tail -n 1
}

if [ -n "$(what_is_wrong)" ]; then
    make_environment
    install_packages
elif [ "$(requirements)" != "$(sed -n 2p "$stamp")" ]; then
    echo "The requirements have changed since the last installation."
    install_packages
elif ! ls .venv/lib/python*/site-packages/voice-ledger.pth >/dev/null 2>&1; then
    importable_everywhere # an older installation
fi
