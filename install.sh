#!/bin/sh
# Installs vrmatte into this folder on Linux and macOS: Python, all packages and a cache of network
# weights. Nothing outside of it is changed, and no administrator is needed. Run again at any time.
set -eu
cd "$(dirname "$0")"
version=0.13.8
packages=https://files.pythonhosted.org/packages
case "$(uname -s)-$(uname -m)" in
  Linux-x86_64)
    wheel=c5/32/52ee34636aea1ab3f8baeeae1c3599461b8cddfb379862cc72ac61b8d91c/uv-$version-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.whl
    sha256=e18a57b8b352eb7c8feb317b9f6f533c8f0ad9673fd6cf34bbe3cf1a9f6a8984 ;;
  Linux-aarch64)
    wheel=9e/f0/d989ac5fcebf83f1c8c5d78974f27788e8364945969eb646f5d0db35d924/uv-$version-py3-none-manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64.whl
    sha256=0b3e8b1a4f5e405e31e2ff33de8af4744831e9f7338539671efbd8c3c94e791d ;;
  Darwin-arm64)
    wheel=84/46/deb3a1eb3020575e41d1f9840c07185761d8d4c25cd6f58e813afb017476/uv-$version-py3-none-macosx_11_0_arm64.whl
    sha256=62b6943c7fd64fac6854f780bea6e0359e5a5bc3241f83ee357bb38276afac49 ;;
  Darwin-x86_64)
    wheel=be/7a/fd8a719c0198f8f8341847fc33b377f25ac79f7c4a56dbce5ceb086f239c/uv-$version-py3-none-macosx_10_12_x86_64.whl
    sha256=b7124ca1956ec2e476a1003ea5715a15f0266afaec37f4dc9c6972ba8183e6d1 ;;
  *) echo "There is no build for $(uname -s) on $(uname -m): use python scripts/setup.py" >&2; exit 1 ;;
esac
export UV_PYTHON_INSTALL_DIR="$PWD/.uv/python" UV_CACHE_DIR="$PWD/.uv/cache"
export UV_PYTHON_PREFERENCE="${UV_PYTHON_PREFERENCE:-only-managed}"
export VRMATTE_CACHE_DIR="$PWD/.uv/weights"
uv=.uv/uv-$version
fail() { echo "$1" >&2; exit 1; }

digest() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi | cut -d' ' -f1
}

unpack() {
  if command -v unzip >/dev/null; then unzip -q -o "$1" -d "$2"
  elif command -v bsdtar >/dev/null; then bsdtar -xf "$1" -C "$2"
  elif command -v python3 >/dev/null; then python3 -m zipfile -e "$1" "$2"
  else tar -xf "$1" -C "$2"; fi  # macOS' tar reads zip files
}

if [ ! -x "$uv" ]; then
  echo "Fetching uv $version (17 MB) ..."
  mkdir -p .uv/unpacked
  curl --fail --location --silent --show-error --output .uv/uv.whl "$packages/$wheel" ||
    fail "uv could not be fetched: check the connection and run install.sh again."
  found=$(digest .uv/uv.whl)
  [ "$found" = "$sha256" ] || {
    rm .uv/uv.whl
    fail "The download of uv has another SHA-256 than expected ($found). Run install.sh again."
  }
  unpack .uv/uv.whl .uv/unpacked
  chmod +x ".uv/unpacked/uv-$version.data/scripts/uv"
  mv ".uv/unpacked/uv-$version.data/scripts/uv" "$uv"
  rm -r .uv/unpacked .uv/uv.whl
fi
if [ ! -x .venv/bin/python ]; then
  echo "Fetching Python ${VRMATTE_PYTHON:-3.13} ..."
  "$uv" venv --quiet --clear --seed --python "${VRMATTE_PYTHON:-3.13}" .venv
fi
extra=$(.venv/bin/python scripts/choose_extra.py)
if [ "$(cat .uv/extra.txt 2>/dev/null)" != "$extra" ]; then
  # Builds of ONNX Runtime overwrite each other: only one may be installed.
  "$uv" pip uninstall --quiet --python .venv/bin/python onnxruntime onnxruntime-gpu \
    onnxruntime-directml onnxruntime-openvino 2>/dev/null || true
fi
echo "Installing vrmatte for \"$extra\" ..."
"$uv" pip install --quiet --python .venv/bin/python --editable ".[$extra]"
echo "$extra" >.uv/extra.txt
cat >.uv/vrmatte <<RUN
#!/bin/sh
VRMATTE_CACHE_DIR='$VRMATTE_CACHE_DIR' exec '$PWD/.venv/bin/python' -m vrmatte "\$@"
RUN
chmod +x .uv/vrmatte
.uv/vrmatte doctor --size 1920x960 || true
echo
echo "Done. Run .uv/vrmatte; to have it as a command: ln -s '$PWD/.uv/vrmatte' ~/.local/bin/"
echo "To uninstall, delete this folder."
