#!/usr/bin/env bash
# sdist -> wheel -> fresh environment -> `taxiway run digits_int8` from another folder.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
python="$root/.venv/bin/python"

"$python" -m build --quiet --sdist --outdir "$scratch/dist" "$root"
mkdir "$scratch/unpacked" && tar -xzf "$scratch"/dist/*.tar.gz -C "$scratch/unpacked" --strip-components=1
"$python" -m build --quiet --wheel --outdir "$scratch/dist" "$scratch/unpacked"
"$python" -m venv "$scratch/env"
wheel=$(echo "$scratch"/dist/*.whl)
"$scratch/env/bin/python" -m pip install --quiet --disable-pip-version-check "${wheel}[tensorflow]"
cd "$scratch"
export TAXIWAY_STORE="$scratch/store"
"$scratch/env/bin/taxiway" validate digits_onnx_int8
"$scratch/env/bin/taxiway" run digits_int8 --output "$scratch/runs"
test -f "$scratch"/runs/digits_int8/*/bundle/manifest.json
"$scratch/env/bin/taxiway" run digits_int8 --output "$scratch/runs" --json | "$python" -c '
import json, sys
report = json.load(sys.stdin)
assert report["status"] == "accepted", report["status"]
assert all(step["cached"] for step in report["steps"]), report["steps"]
'
echo "the wheel runs digits_int8 from another folder"
