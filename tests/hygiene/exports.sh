#!/usr/bin/env bash
# Users of the library see nasc_ names only, in the shared library and in the static one, and no other header.
# exports.sh SOURCE BUILD
set -u
bad=0
check() { # LIBRARY NM-OPTION
    local names
    names=$(nm --defined-only "$2" "$1" | awk 'NF == 3 { print $3 }')
    grep -q '^nasc_version$' <<<"$names" || { echo "$1 does not export nasc_version"; bad=1; }
    if grep -v '^nasc_' <<<"$names"; then echo "$1 exports the names above"; bad=1; fi
}
check "$2/libnasc.so" --dynamic
check "$2/libnasc.a" --extern-only

# Each exported function is declared in the header, and each declared one is exported.
exported=$(nm --defined-only --dynamic "$2/libnasc.so" | awk 'NF == 3 { print $3 }' | sort)
declared=$(grep -o '\bnasc_[a-z0-9_]*(' "$1/include/nasc.h" | tr -d '(' | sort -u)
diff <(echo "$declared") <(echo "$exported") || { echo "nasc.h (<) and libnasc.so (>) differ"; bad=1; }
exit $bad
