#!/usr/bin/env bash
# Builds the real control plane of the end-to-end tests once, outside the tree, and prints the path of the binary on stdout.
# The first build downloads modules and takes minutes; what it is doing goes to stderr.
#
#   build.sh             print the path, building first if need be
#   build.sh --cached    print the path if it is built already, else exit 1 (builds nothing)
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

key=$(cat go.mod go.sum main.go | sha256sum | cut -c1-16)
folder="${XDG_CACHE_HOME:-${HOME:?}/.cache}/aranya/control-plane/$key"
binary="$folder/kubernetes"

if [[ -x "$binary" ]]; then
  echo "$binary"
  exit 0
fi
if [[ "${1:-}" == --cached ]]; then
  exit 1
fi
if ! command -v go >/dev/null; then
  echo "build.sh: the go toolchain is not on the PATH" >&2
  exit 69
fi

mkdir -p "$folder"
exec 9>"$folder/lock"
flock 9 # another build of the same key finishes first, and then there is nothing left to do
if [[ -x "$binary" ]]; then
  echo "$binary"
  exit 0
fi

export CGO_ENABLED=0 GOFLAGS="-trimpath -buildvcs=false -mod=readonly"
version=$(go list -m -f '{{.Version}}' k8s.io/kubernetes)
released=$(go list -m -f '{{.Time.UTC.Format "2006-01-02T15:04:05Z"}}' k8s.io/kubernetes)
IFS=. read -r major minor _ <<<"${version#v}"
flags="-s -w"
for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags+=" -X $package.gitVersion=$version -X $package.gitMajor=$major -X $package.gitMinor=$minor"
  flags+=" -X $package.gitTreeState=clean -X $package.buildDate=$released"
done

echo "build.sh: building Kubernetes $version into $folder" >&2
nice -n 10 go build -ldflags "$flags" -o "$binary.part" . >&2
mv "$binary.part" "$binary"
echo "$binary"
