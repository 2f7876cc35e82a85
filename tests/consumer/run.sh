#!/bin/bash
# Installs a build into a folder, moves it, and uses it from outside the tree: by find_package and by pkg-config, each
# library shared and static; then asks each installed daemon for its version.
#
#   run.sh BUILD_FOLDER KIND...      KIND: mail, host
set -euo pipefail
build=$1
kinds=("${@:2}")
here=$(cd "$(dirname "$0")" && pwd)
work=$build/consumer
rm -rf "$work"
mkdir -p "$work"

cmake --install "$build" --prefix "$work/staged" >/dev/null
mv "$work/staged" "$work/prefix" # nothing in it may depend on where it was put
cp -r "$here" "$work/source"
cd "$work"

echo "find_package"
cmake -G Ninja -S source -B by-cmake -DKINDS="$(IFS=';' && echo "${kinds[*]}")" -DCMAKE_PREFIX_PATH="$work/prefix" >cmake.log ||
    { cat cmake.log; exit 1; }
cmake --build by-cmake >build.log || { cat build.log; exit 1; }
(cd by-cmake && ctest --output-on-failure)

echo "pkg-config"
pc=$(dirname "$(find prefix -name libmail.pc)")
export PKG_CONFIG_PATH=$work/$pc
export LD_LIBRARY_PATH=$work/${pc%/pkgconfig}
for kind in "${kinds[@]}"; do
    package=libmail
    [[ $kind == host ]] && package=libmail-host
    # Our archives, the system's shared libraries: a distribution rarely has all of the latter as archives.
    flags=$(pkg-config --cflags --libs "$package")
    needs=$(pkg-config --print-requires-private "$package" | sed 's/[<>=].*//')
    archives=$(sed -E 's/-l(mail[a-z-]*)/-l:lib\1.a/g' <<<"$flags")
    # shellcheck disable=SC2086  # words
    {
        ${CC:-cc} "source/$kind.c" -o "$kind" $flags
        ${CC:-cc} "source/$kind.c" -o "$kind-static" $archives ${needs:+$(pkg-config --libs $needs)} -pthread
    }
    "./$kind"
    LD_LIBRARY_PATH='' "./$kind-static"
done

unset LD_LIBRARY_PATH # an installed daemon finds its libraries beside itself
for daemon in prefix/sbin/*; do
    [[ ! -e $daemon ]] || "$daemon" --version
done
