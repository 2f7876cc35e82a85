#!/bin/bash
# clang-format has nothing to change in any C file.
#
#   format.sh ROOT
set -u
cd "$1" || exit 1
# Versions lay out differently; the tree is written with this one. 77: ctest reports the test as skipped.
if [[ $(clang-format --version) != *"version 14."* ]]; then
    echo "the layout is judged by clang-format 14; this is $(clang-format --version)"
    exit 77
fi
find include libmail daemons examples tests -name '*.[ch]' -print0 | xargs -0 clang-format --dry-run -Werror --ferror-limit=1
