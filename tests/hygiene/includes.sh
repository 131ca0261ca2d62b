#!/usr/bin/env bash
# Every #include "…" of the library against levels.txt: includes.sh SOURCE BUILD
set -u
cd "$1" || exit 2
rules=tests/hygiene/levels.txt

# The row of levels.txt that a path belongs to: the longest first word that is its prefix.
level_of() {
    awk -v path="$1" '!/^#/ && NF && index(path, $1) == 1 && length($1) > length(best) { best = $1 } END { print best }' $rules
}

# The file that an include names: beside the includer, under compiler/, under the root, or nasc.h.
resolve() {
    local from=$1 name=$2 place
    for place in "$(dirname "$from")/$name" "compiler/$name" "$name" "include/$name"; do
        [ -f "$place" ] && { realpath --relative-to=. "$place"; return; }
    done
}

bad=0 seen=0
while IFS=: read -r file line text; do
    name=${text#*\"} name=${name%%\"*}
    target=$(resolve "$file" "$name")
    case $target in
    include/nasc.h) continue ;;
    '') [ "$name" = templates.h ] && continue
        echo "$file:$line: $name is not in the tree"; bad=1; continue ;;
    esac
    seen=$((seen + 1))
    from=$(level_of "$file") to=$(level_of "$target")
    [ "$from" = "$to" ] && continue
    row=" $(awk -v level="$from" '$1 == level' $rules) "
    case $row in
    *" $to "* | *" [$target] "*) ;;
    *) echo "$file:$line: $from may not include $target"; bad=1 ;;
    esac
done < <(grep -rn --include='*.[ch]' '^ *# *include *"' compiler runtime 2>/dev/null)
echo "$seen includes between files of the library"
[ "$seen" -gt 0 ] || bad=1
exit $bad
