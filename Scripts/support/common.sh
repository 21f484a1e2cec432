# Sourced by the scripts: installs, builds and finds what they need. Bash; not for direct use.
# shellcheck shell=bash
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd -P)
support=$root/Scripts/support
venv=$root/.venv
frameworks=$root/.venv-frameworks
# The directory for what the bench and the trials compile and install, beside the build.
built=$root/.build-bench
# Scripts run in the project's directory. A relative S3MIRROR_BIN is relative to where the user is.
[[ ${S3MIRROR_BIN:-/} == /* ]] || export S3MIRROR_BIN=$PWD/$S3MIRROR_BIN
cd "$root"

# The logs of these scripts are read in files more often than on terminals. Python leaves no bytecode in the tree.
export NO_COLOR=1 PYTHONDONTWRITEBYTECODE=1

say() { printf '== %s\n' "$*" >&2; }
die() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 1
}

# Installs only the missing Debian packages; without any, apt is not run. Each probe looks for the thing itself (a pkg-config
# module, a Python module), so another distribution's packages or a manual installation satisfy it too.
need_apt() {
  command -v swift >/dev/null || die "no swift on PATH: install Swift 6.2 or later from swift.org/install"
  local missing=() module package
  command -v git >/dev/null || missing+=(git)
  command -v python3 >/dev/null || missing+=(python3)
  # Debian has ensurepip in the separate package python3-venv; `import venv` alone succeeds without it.
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  command -v pkg-config >/dev/null || missing+=(pkg-config)
  for module in libcurl:libcurl4-openssl-dev libcrypto:libssl-dev zlib:zlib1g-dev expat:libexpat1-dev; do
    package=${module#*:}
    pkg-config --exists "${module%%:*}" 2>/dev/null || missing+=("$package")
  done
  ((${#missing[@]})) || return 0

  local as_root=()
  command -v apt-get >/dev/null || die "missing: ${missing[*]} (Debian's names); install them and run this again"
  if (($(id -u) != 0)); then
    command -v sudo >/dev/null || die "missing packages, and neither root nor sudo here: apt-get install ${missing[*]}"
    as_root=(sudo)
    # Without a terminal, sudo would wait for a password for ever.
    [[ -t 0 ]] || as_root+=(-n)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get -qq update >&2 || die "apt-get update failed; wanted: ${missing[*]}"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    apt-get -qq install -y --no-install-recommends "${missing[@]}" >&2 ||
    die "apt-get install failed: ${missing[*]}"
}

# Makes .venv with the pinned requirements, and makes it again when the requirements, the Python or the clone's path change (a
# venv holds absolute paths). The stamp is written last, so an incomplete venv never counts as complete.
ensure_venv() {
  local stamp wanted
  stamp=$venv/.made-from
  wanted=$(
    {
      cat "$support/requirements.txt" "$support/requirements-pos3.txt"
      python3 -c 'import sys; print(sys.version, sys.base_prefix)'
      echo "$venv"
    } | sha256sum
  )
  # Two scripts that start together make it only once.
  exec 9>"$root/.venv.lock"
  flock 9
  if [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]]; then
    say "making .venv from Scripts/support/requirements.txt"
    rm -rf "$venv"
    python3 -m venv "$venv"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
      --requirement "$support/requirements.txt" >&2 || die "pip could not install Scripts/support/requirements.txt"
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps \
      --requirement "$support/requirements-pos3.txt" >&2 ||
      say "pos3 could not be installed: the tests that compare with it will be skipped"
    printf '%s' "$wanted" >"$stamp"
  fi
  exec 9>&-
}

# Makes .venv-frameworks, gigabytes in size, for `Scripts/trial frameworks` only. Fails if it cannot be installed.
ensure_frameworks() {
  local stamp=$frameworks/.made-from wanted
  wanted=$(
    {
      cat "$support/requirements-frameworks.txt"
      python3 -c 'import sys; print(sys.version, sys.base_prefix)'
      echo "$frameworks"
    } | sha256sum
  )
  [[ ! -f $stamp || $(<"$stamp") != "$wanted" ]] || return 0
  say "making .venv-frameworks from Scripts/support/requirements-frameworks.txt"
  rm -rf "$frameworks"
  python3 -m venv "$frameworks" || return 1
  "$frameworks/bin/python" -m pip install --quiet --disable-pip-version-check \
    --requirement "$support/requirements-frameworks.txt" >&2 || return 1
  printf '%s' "$wanted" >"$stamp"
}

# Makes .build-bench/NAME, a venv with requirements-NAME.txt, which only one trial needs. Fails if these cannot be installed.
ensure_installed() {
  local place=$built/$1 requirements=$support/requirements-$1.txt wanted
  wanted=$(
    {
      cat "$requirements"
      python3 -c 'import sys; print(sys.version, sys.base_prefix)'
      echo "$place"
    } | sha256sum
  )
  [[ ! -f $place/.made-from || $(<"$place/.made-from") != "$wanted" ]] || return 0
  say "installing ${requirements#"$root"/}"
  rm -rf "$place"
  python3 -m venv "$place" || return 1
  "$place/bin/python" -m pip install --quiet --disable-pip-version-check --requirement "$requirements" >&2 || return 1
  printf '%s' "$wanted" >"$place/.made-from"
}

# Prints the path of the command that a script uses: S3MIRROR_BIN if it is set, else a release build.
command_path() {
  if [[ ! ${S3MIRROR_BIN-} ]]; then
    build_release
  elif [[ -f $S3MIRROR_BIN && -x $S3MIRROR_BIN ]]; then
    printf '%s\n' "$S3MIRROR_BIN"
  else
    die "S3MIRROR_BIN is no program: $S3MIRROR_BIN"
  fi
}

# Builds the command for release and prints its path. It is used in `$(…)`, where bash ignores `set -e`; hence the calls of die.
# Swift's libraries are linked in, as README.md describes: the command starts faster and needs no Swift where it runs.
build_release() {
  local release=(-c release --static-swift-stdlib --product s3mirror)
  say "building s3mirror (release)"
  swift build "${release[@]}" >&2 || die "the release build failed"
  echo "$(swift build "${release[@]}" --show-bin-path)/s3mirror"
}

# Compiles the named tools of Scripts/support that are older than their source, with the clang that comes with Swift.
build_tools() {
  local tool
  mkdir -p "$built"
  for tool in "$@"; do
    [[ ! -x $built/$tool || $support/$tool.c -nt $built/$tool ]] || continue
    say "compiling $tool.c"
    clang -O2 -Wall -Wextra -o "$built/$tool" "$support/$tool.c" -lcurl -lssl -lcrypto -lz
  done
}

# Runs the Python package's tests with their own server. S3MIRROR_BIN is the command that they use.
test_python() {
  say "testing the Python package"
  "$venv/bin/python" -m pytest --quiet --rootdir Sources/Python Sources/Python/tests "$@"
}

# Builds everything for debugging, including tests. A warning is an error (Package.swift reads CI).
build_tests() {
  export CI=true
  say "building, warnings are errors"
  swift build --build-tests >&2
}
