# Sourced by scripts/quickstart and scripts/test: makes .venv and installs the package in it.
# Its argument names extras of setup.py, such as "test". Needs the package index the first time.

extras="${1:+[$1]}"
python="${PYTHON:-python3}"
if ! "$python" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'; then
  echo "error: semisup needs Python 3.10 to 3.13, but $python is" \
    "$("$python" --version 2>&1); set PYTHON to another" >&2
  exit 1
fi
# Installed anew only when setup.py or this file has changed since, or other extras are asked for. In
# a folder that was copied or moved, .venv is made anew: what is installed has the former path.
stamp=".venv/installed-${1:-plain}"
here=$(pwd -P)
for made in .venv/installed-*; do
  if [ -e "$made" ] && [ "$(cat "$made")" != "$here" ]; then rm -rf .venv; fi
done
if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
  echo "Making .venv with $("$python" --version) ..."
  if ! "$python" -m venv --clear .venv; then
    echo "error: $python can't make a virtual environment; on Debian: apt install python3-venv" >&2
    exit 1
  fi
fi
if [ ! -e "$stamp" ] || [ setup.py -nt "$stamp" ] || [ scripts/venv.sh -nt "$stamp" ]; then
  echo "Installing semisup$extras and what it needs into .venv (a minute or two) ..."
  # pip is silent for long while it unpacks, and in a log file while it downloads, too.
  while sleep 5 >/dev/null 2>&1; do
    echo "  $SECONDS s: $(find .venv/lib -maxdepth 3 -name '*.dist-info' | wc -l) packages in place"
  done &
  heartbeat=$!
  trap 'kill $heartbeat' EXIT
  # Python compiles what it uses when it is first imported; pip would compile all there is. "compat"
  # puts this folder on the path; without it, a folder called semisup, such as a clone's own, hides
  # the package from scripts beside it.
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile \
    --config-settings editable_mode=compat --editable ".$extras"
  trap - EXIT
  kill $heartbeat
  echo "$here" >"$stamp"
fi
