#!/usr/bin/env bash
# Checks the types of Sam2Apple and Sam2MLX against stand-ins of what they import.
#   check.sh SCRATCH   (the folder that `swift build` used)
set -euo pipefail
here="$(cd "$(dirname "$0")" && pwd)"
modules="$(find "$1"/ -path '*debug/Modules' -type d -print -quit)"
stubs="$(mktemp -d)"
trap 'rm -rf "$stubs"' EXIT
for name in CoreGraphics CoreVideo CoreMedia CoreImage AVFoundation MLX; do
  swiftc -emit-module -parse-as-library -swift-version 5 -suppress-warnings -module-name "$name" -I "$stubs" \
    -o "$stubs/$name.swiftmodule" "$here/$name.swift"
done
check() {
  swiftc -typecheck -parse-as-library -swift-version 6 -warnings-as-errors -module-name "$1" -I "$stubs" \
    -I "$modules" -I "$here/../../Sources/CDigest/include" "${@:2}"
}
check Sam2Apple "$here"/../../Sources/Sam2Apple/*.swift
check Sam2MLX "$here"/../../Sam2MLX/Sources/*.swift
echo "Sam2Apple and Sam2MLX: their types are right, against stand-ins of Apple's frameworks and MLX"
