#!/bin/sh
# Makes .venv whole, or finds it whole and returns at once. Usage: tools/environment.sh (from the Makefile).
#
# .venv/.installed holds a stamp of everything it was made from, written last: a set-up that was interrupted
# has none, one made from another requirements.txt has another, and both are mended here.
set -eu
cd "$(dirname "$0")/.."

venv=.venv
stamp_file=$venv/.installed
unfinished=$venv/.unfinished

candidates=${PYTHON:-python3.13 python3.12 python3.11 python3 python}
suitable='
import sys
if not (3, 11) <= sys.version_info[:2] <= (3, 13):
    sys.exit(1)
import ensurepip, venv
'

# Prints the absolute path of a Python that exists, runs and serves, or nothing. A name on the PATH is not
# enough: version managers leave names behind that only print an error.
find_python() {
    for name in $candidates; do
        if "$name" -c "$suitable" >/dev/null 2>&1; then
            "$name" -c 'import sys; print(sys.executable)'
            return
        fi
    done
}

make_stamp() {
    cksum requirements.txt pyproject.toml
    pwd
    "$venv/bin/python" -c 'import sys; print(sys.version)'
}

# PYTHON=... asks for one version: an environment of another does not serve.
version='import sys; print(sys.version_info[:3])'
serves() {
    "$venv/bin/python" -c "$suitable" >/dev/null 2>&1 || return 1
    [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -c "$version" 2>/dev/null)" = "$("$venv/bin/python" -c "$version")" ]
}

if [ ! -e "$unfinished" ] && [ -f "$stamp_file" ] && serves && [ "$(make_stamp)" = "$(cat "$stamp_file")" ]; then
    exit 0
fi

python=$(find_python)
if [ -z "$python" ]; then
    echo "No suitable Python found: fercourse needs Python 3.11, 3.12 or 3.13 with its venv module" \
        "(on Debian and Ubuntu: the package python3-venv); tried $candidates. Install one," \
        "or name it: make ${1:-book} PYTHON=/path/to/python3.12" >&2
    exit 1
fi

if [ -e "$unfinished" ] || { [ -d "$venv" ] && ! serves; }; then
    echo "The environment in $venv is unfinished or of another Python: making it anew."
    rm -rf "$venv"
fi
if [ -d "$venv" ]; then
    echo "Bringing $venv up to date with requirements.txt and pyproject.toml."
else
    echo "Setting up $venv with $python: the first time this downloads several GB (PyTorch and Jupyter" \
        "among them) and takes a few minutes."
    mkdir "$venv"
fi

rm -f "$stamp_file"
: >"$unfinished"
[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
# uv itself comes from the lock, with its hashes; it then installs the rest several times faster than pip.
sed -n '/^uv==/,/[^\\]$/p' requirements.txt >"$venv/uv.txt"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r "$venv/uv.txt"
# No dependencies: the lock names them all, but for those that tools/overrides.txt leaves out.
"$venv/bin/uv" pip install --python "$venv/bin/python" --no-deps --require-hashes -r requirements.txt
"$venv/bin/uv" pip install --python "$venv/bin/python" --no-deps --no-build-isolation --editable .
rm "$unfinished"
make_stamp >"$stamp_file"
