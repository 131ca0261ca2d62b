#!/usr/bin/env bash
# What the library's objects may not hold: a writable global, or a call that prints or ends the process (bug() alone
# does). objects.sh SOURCE BUILD
set -u
archive=$2/libnasc_internal.a
[ -f "$archive" ] || { echo "$archive is missing"; exit 2; }

# objdump -t: value, flags, section, size, name; .data.rel.ro holds constants that relocation fills in.
writable=$(objdump -t "$archive" | awk '
    / file format / { sub(/:.*/, "", $1); object = $1 }
    { for (i = 2; i < NF - 1; i++)
          if ($i ~ /^(\.data|\.bss|\.tdata|\.tbss|\*COM\*)/ && $i !~ /^\.data\.rel\.ro/ && $(i + 1) !~ /^0+$/)
              print object ": " $NF " is a writable global in " $i }')

# Undefined symbols of each object, but for the one file that may.
forbidden='printf|vprintf|puts|putchar|perror|stdout|stderr|exit|_exit|_Exit|quick_exit|abort|__assert_fail|__printf_chk'
calls=$(nm -u "$archive" | awk -v forbidden="^($forbidden)\$" '
    /^[^ ]+:$/ { object = $1; sub(/:$/, "", object) }
    $1 == "U" && $2 ~ forbidden && object != "diag.c.o" { print object ": uses " $2 }')

[ -z "$writable$calls" ] && exit 0
printf '%s\n' "$writable" "$calls" | grep .
exit 1
