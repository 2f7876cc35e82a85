#!/bin/bash
# Each public header compiles alone, as C99 and as C++11.
#
#   headers.sh INCLUDE_FOLDER      CC and CXX name the compilers
set -u
cd "$1" || exit 1
failed=0
count=0
while read -r header; do
    count=$((count + 1))
    for try in "${CC:-cc} -std=c99 -x c" "${CXX:-c++} -std=c++11 -x c++"; do
        # shellcheck disable=SC2086  # a command and its words
        echo "#include <$header>" | $try -Wall -Wextra -pedantic -Werror -fsyntax-only -I. - || failed=1
    done
done < <(find libmail -name '*.h' | sort)
echo "$count headers"
((count > 0 && failed == 0))
