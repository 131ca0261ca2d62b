#!/usr/bin/env bash
# What holds for the command line whatever the commands are: exit codes, help, completion, man page: usage.sh NASC
# shellcheck source=tests/cli/common
. cli/common
# expect CODE STDOUT-PATTERN STDERR-PATTERN ARGUMENTS…: patterns are extended; '' means nothing may be printed there
expect() {
    local code=$1 out=$2 err=$3 got stdout stderr
    shift 3
    stderr=$({ stdout=$("$nasc" "$@"); got=$?; printf '%s' "$stdout" >"$work/out"; echo $got >"$work/code"; } 2>&1)
    stdout=$(cat "$work/out") got=$(cat "$work/code")
    [ "$got" = "$code" ] || say "nasc $*: exit $got, expected $code"
    matches "$stdout" "$out" || say "nasc $*: stdout was: $stdout"
    matches "$stderr" "$err" || say "nasc $*: stderr was: $stderr"
}
matches() { if [ -z "$2" ]; then [ -z "$1" ]; else grep -qE -- "$2" <<<"$1"; fi; }

expect 2 '' 'usage: nasc COMMAND'
expect 0 'usage: nasc COMMAND' '' --help
expect 0 '^nasc [0-9]' '' --version
expect 0 '"version"' '' --version --json
expect 2 '' "^nasc: there is no command 'zebra'" zebra
expect 2 '' "^nasc: there is no option '--zebra'" --zebra
expect 2 '' 'there is no command' help zebra

expect 0 '^  --method .*[|]proxyless-reinforce$' '' search --help

# Every command has help, a place in the man page and in the completion, and refuses what it does not know.
"$nasc" --man >"$work/nasc.1" && "$nasc" --completion bash >"$work/completion" || bad=1
bash -n "$work/completion" || bad=1
for command in $("$nasc" --help | sed -n 's/^  \([a-z]*\) .*/\1/p' | grep -vx nasc); do
    expect 0 "usage: nasc $command" '' "$command" --help
    ragged=$("$nasc" "$command" --help | LC_ALL=C.UTF-8 grep -E '^  -|^.{111}' |
        LC_ALL=C.UTF-8 grep -vE '^  -.{25} [^ ].{0,80}$|^  (-., )?--[^ ]+ [^ ]+$')
    [ -z "$ragged" ] || say "help of $command is out of its columns: $ragged"
    expect 2 '' "^nasc: $command: there is no option --zebra" "$command" --zebra
    expect 2 '' "^nasc: $command: there is no option --thread; did you mean --threads" "$command" --thread 2
    expect 2 '' "^nasc: $command: --threads is '0', expected an integer of at least 1" "$command" --threads 0
    expect 2 '' "^nasc: $command: --threads needs a value" "$command" --threads
    expect 2 '' "^nasc: $command: --json takes no value" "$command" --json=1
    expect 2 '' "^nasc: $command: --device is 'tpu', expected one of" "$command" --device tpu
    expect 2 '' "^nasc: $command: '.*' is one operand too many" "$command" a b c d
    grep -q "^.SS nasc $command " "$work/nasc.1" || say "$command is not in the man page"
    grep -q "^    $command)" "$work/completion" || say "$command is not in the completion"
done
if command -v man >/dev/null && ! LC_ALL=C.UTF-8 man --warnings -E UTF-8 -l "$work/nasc.1" 2>&1 >/dev/null | head -3 | tee "$work/man" ||
    [ -s "$work/man" ]; then bad=1; fi
exit $bad
