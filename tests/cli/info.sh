#!/usr/bin/env bash
# nasc info: figures of published networks, and what it says of files that are none: info.sh NASC
# shellcheck source=tests/cli/common
. cli/common
spaces=../genotypes/spaces

says() { # PATTERN ARGUMENTS…: on stdout
    local pattern=$1
    shift
    "$nasc" info "$@" | grep -qE -- "$pattern" || say "nasc info $*: no line like '$pattern'"
}

says '"parameters": 1930618,' $spaces/darts.json --json # as the DARTS authors' code counts its supernet
says '^total +3349342 +528359040$' ../genotypes/darts_v2.json --channels 36 --cells 20
says '^total +4718752 +529911552$' ../genotypes/darts_v2.json --channels 48 --cells 14 --stem imagenet \
    --input 224x224x3 --classes 1000
says '^total +4080512 +3204[0-9]{5}$' ../genotypes/proxyless_mobile.json # 224x224, 1000 classes
says '^cells.0 +32x32x64 ' $spaces/darts.json --cells=3
says '^cells.2 ' $spaces/darts.json --cells=3
says '^classifier +1x1x100 ' $spaces/darts.json --cells=1 --set classes=100
says '^search darts-2nd +4 +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+ +[0-9.]+$' golden/tiny.json
says '"use": "search darts-1st"' golden/tiny.json --json
says '^search proxyless-reinforce +16 ' $spaces/proxyless_small.json --set batch=16
says '^of the weights, those of all candidates with their momentum take 122.3 MiB, the gradients of one path 19.5$' \
    $spaces/proxyless.json --input 32x32x3 --set batch=2
says '"gradient_bytes": 20413344,' $spaces/proxyless.json --input 32x32x3 --set batch=2 --json
says '^inference +1 ' ../genotypes/darts_v2.json --cells=3
says '^train +impossible: .*does not fit into a map' ../genotypes/darts_v2.json --cells=3 --input 28x28x1

fails '^nasc: nowhere.json: cannot be opened' info nowhere.json
fails '^nasc: .*: is not a regular file' info .
echo '{"format": 1,,}' >"$work/syntax.json"
fails "^nasc: $work/syntax.json:1:" info "$work/syntax.json"
fails '^nasc: --set: .*did you mean "cells"' info $spaces/darts.json --set cell=3
fails '^nasc: --set: input: found "32"' info $spaces/darts.json --input 32
exit $bad
