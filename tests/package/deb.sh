#!/usr/bin/env bash
# Builds the Debian package from the debug build, has lintian judge it, and then lives with it on a machine that is thrown
# away (`machine`): installed, edited, reloaded, drained, restarted under load, hung, upgraded, purged (`checks`).
# Needs root (or sudo), cargo-deb (which it installs when it is missing), lintian, systemd and sipp.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

tools=$PWD/target/tools
PATH=$tools/bin:$PATH
command -v cargo-deb >/dev/null || cargo install --quiet --locked --root "$tools" cargo-deb

systemd/package/build-deb --debug
package=$(ls -t target/debian/trunkway_*.deb | head -1)
lintian --allow-root --fail-on error "$package"

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cp "$package" "$folder/trunkway.deb"
cp tests/package/checks tests/peers/scenarios/caller.xml tests/peers/scenarios/callee.xml "$folder/"
root=()
[ "$(id -u)" -eq 0 ] || root=(sudo -n)
result=0
"${root[@]}" tests/package/machine "$folder" || result=$?
if [ "$result" -eq 77 ]; then
    echo "this kernel lets no machine be made that is thrown away: the package was built and judged, and not installed" >&2
    exit 0
fi
exit "$result"
