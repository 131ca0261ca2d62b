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

# What is counted in 32 bits takes no more.
beyond() { expect 2 '' "^nasc: $1: --$2 is '$4', expected an integer from 1 to $3" "$1" "--$2" "$4"; } # COMMAND OPTION MOST VALUE
for value in 4294967297 18446744073709551617; do
    beyond bench steps 1000000 $value
    beyond latency networks 10000 $value
    beyond latency rounds 1000 $value
    beyond latency sample 100 $value
    beyond search runs 1000 $value
    beyond search checkpoint-steps 1000000000 $value
    beyond train checkpoint-steps 1000000000 $value
    beyond derive epoch 1000000 $value
    beyond eval limit 4294967295 $value
    beyond export calibration 4294967295 $value
done

expect 2 '' "^nasc: info: --set is 'cells', expected KEY=VALUE" info x.json --set cells
expect 2 '' "^nasc: info: --set is '=3', expected KEY=VALUE" info x.json --set =3
expect 2 '' '^nasc: info: there is no option -z' info -z

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
    expect 2 '' "^nasc: $command: --threads is '0', expected an integer from 1 to 1024" "$command" --threads 0
    for threads in 4294967296 1025 1.5 2x 99999999999999999999 ''; do
        expect 2 '' "^nasc: $command: --threads is '$threads', expected an integer from 1 to 1024" "$command" --threads "$threads"
    done
    expect 2 '' "^nasc: $command: --seed is '-1', expected an integer from 0 to 9007199254740992" "$command" --seed -1
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
