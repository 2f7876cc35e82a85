#!/bin/bash
# Each public header compiles alone, as C99 and as C++11, and each LMAIL_X_INIT sets every member of lmail_x.
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
        {
            echo "#include <$header>"
            sed -n 's/^#define LMAIL_\([A-Z0-9_]*\)_INIT\b.*/\1/p' "$header" | while read -r name; do
                echo "void use_$name(void); void use_$name(void) { lmail_${name,,} x = LMAIL_${name}_INIT; (void)x; }"
            done
        } | $try -Wall -Wextra -pedantic -Werror -fsyntax-only -I. - || failed=1
    done
done < <(find libmail -name '*.h' | sort)
echo "$count headers"
((count > 0 && failed == 0))
