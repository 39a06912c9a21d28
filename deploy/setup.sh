#!/bin/sh
# Creates an environment with the locked packages and the command `tactful`: setup.sh PYTHON DIRECTORY
# The project itself is not built: a .pth file puts this checkout on the path.
set -eu

python=$1
root=$(cd "$(dirname "$0")/.." && pwd)
venv=$root/$2

if ! command -v "$python" >/dev/null 2>&1; then
    echo "setup: there is no $python; install Python 3.11 or later, or name one: make setup PYTHON=python3.12" >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    echo "setup: $("$python" --version) is too old: Python 3.11 or later is needed; name one: make setup PYTHON=python3.12" >&2
    exit 1
fi
if [ ! -x "$venv/bin/pip" ]; then
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        echo "setup: $python cannot create environments; on Debian and Ubuntu: apt-get install python3-venv" >&2
        exit 1
    fi
    "$python" -m venv "$venv"
fi

echo "setup: installing the packages of requirements-dev.lock into $2" >&2
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input --require-hashes \
    --requirement "$root/requirements-dev.lock"

site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n' "$root" >"$site/tactful.pth"
cat >"$venv/bin/tactful" <<'SCRIPT'
#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/python" -P -m tactful "$@"
SCRIPT
chmod +x "$venv/bin/tactful"
