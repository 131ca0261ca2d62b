#!/usr/bin/env bash
# A file says what it is for before anything else, is at most 800 lines long, and leaves nothing for later.
# files.sh SOURCE BUILD
set -u
cd "$1" || exit 2
bad=0 seen=0
while read -r file; do
    seen=$((seen + 1))
    case $file in
    *.[ch]) [ "$(head -c 2 "$file")" = '/*' ] || { echo "$file: does not begin with a comment that says what it is for"; bad=1; } ;;
    esac
    lines=$(wc -l <"$file")
    [ "$lines" -le 800 ] || { echo "$file: $lines lines, at most 800"; bad=1; }
    if grep -nE '\b(TODO|FIXME|XXX)\b' "$file"; then echo "$file: the lines above"; bad=1; fi
done < <(find compiler runtime tools include templates tests examples -name '*.[ch]' 2>/dev/null)
echo "$seen files"
[ "$seen" -gt 0 ] || bad=1
exit $bad
