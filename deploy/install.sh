#!/usr/bin/env bash
# Brings a bare Debian or Ubuntu machine to where Saccade runs: Debian packages, uv, the Python environment.
#   deploy/install.sh run     what `saccade up` needs: .venvs/services
#   deploy/install.sh check   what the tests without servers need: .venv
#   deploy/install.sh test    what all tests need
# It does nothing, quickly, where all is there already. Output of the tools goes to .venvs/install.log.
set -euo pipefail
cd "$(dirname "$0")/.."

mode="${1:-run}"
log=.venvs/install.log
mkdir -p .venvs
: >"$log"

say() { printf 'install: %s\n' "$*"; }

fail() {
    say "$*" >&2
    exit 1
}

# Run a command with its output in the log, which is shown when it fails.
quietly() {
    printf '\n$ %s\n' "$*" >>"$log"
    "$@" >>"$log" 2>&1 && return
    tail -n 40 "$log" >&2
    fail "failed: $* (all of it in $log)"
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        quietly "$@"
    elif command -v sudo >/dev/null; then
        quietly sudo -n "$@"
    else
        fail "needs root, or sudo, to run: $*"
    fi
}

# The packages of the arguments that dpkg does not have.
lacking() {
    local package
    for package in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || echo "$package"
    done
}

apt_install() {
    local missing
    command -v dpkg-query >/dev/null || {
        say "not a Debian or Ubuntu machine: install these, or what they are called here: $*"
        return
    }
    missing=$(lacking "$@")
    [ -n "$missing" ] || return 0
    say "installing the Debian packages" $missing
    as_root apt-get update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $missing
}

find_uv() {
    command -v uv && return
    if [ ! -x .venvs/uv/bin/uv ]; then
        say "installing uv into .venvs/uv" >&2
        # A virtual environment of its own: Debian's Python takes no packages (PEP 668).
        python3 -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv >&2
        quietly python3 -m venv --clear .venvs/uv
        quietly .venvs/uv/bin/python -m pip install --quiet uv
    fi
    echo "$PWD/.venvs/uv/bin/uv"
}

# `uv sync` itself finds in a tenth of a second that nothing is to be done.
sync_into() {
    local folder=$1
    shift
    [ -x "$folder/bin/python" ] || say "making the Python environment $folder"
    UV_PROJECT_ENVIRONMENT="$PWD/$folder" quietly env -u VIRTUAL_ENV "$uv" sync --frozen "$@"
}

case "$mode" in
    run | check | test) ;;
    *) fail "usage: deploy/install.sh run|check|test" ;;
esac
apt_install $(cat deploy/packages-run.txt)
uv=$(find_uv)
if [ "$mode" = run ]; then
    sync_into .venvs/services --no-dev --package saccade
else
    [ "$mode" = check ] || apt_install $(cat deploy/packages-test.txt)
    sync_into .venv
    sync_into .venvs/keras-test --no-group dev --group keras
    # Where pyright finds the types of TensorFlow, whatever the version of Python.
    ln -sfn "$(.venvs/keras-test/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')" .venvs/keras-packages
fi
