#!/usr/bin/env bash
# nasc import: published texts become the files in genotypes/, and what is none is refused with its place: import.sh NASC
# shellcheck source=tests/cli/common
. cli/common

cat >"$work/v2.txt" <<'END'
DARTS_V2 = Genotype(
    normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)],
    normal_concat=range(2, 6),
    reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1),
            ('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)],
    reduce_concat=[2, 3, 4, 5])
END
"$nasc" import "$work/v2.txt" -o "$work/v2.json" && cmp "$work/v2.json" ../genotypes/darts_v2.json || bad=1
"$nasc" import "$(cat "$work/v2.txt")" | cmp - "$work/v2.json" || bad=1
"$nasc" import "$work/v2.txt" --space ../genotypes/spaces/darts.json | cmp - "$work/v2.json" || bad=1
"$nasc" import '|none~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|avg_pool_3x3~2|' >"$work/bench.json" || bad=1
"$nasc" info "$work/bench.json" >/dev/null || bad=1

# Published with P-DARTS (Chen et al. 2019), PC-DARTS (Xu et al. 2020) and GDAS (Dong and Yang 2019), for CIFAR-10.
cat >"$work/p_darts.txt" <<'END'
P_DARTS = Genotype(
    normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1),
            ('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 0), ('dil_conv_5x5', 4)],
    normal_concat=range(2, 6),
    reduce=[('avg_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2),
            ('max_pool_3x3', 0), ('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)],
    reduce_concat=range(2, 6))
END
cat >"$work/pc_darts.txt" <<'END'
PC_DARTS = Genotype(
    normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1),
            ('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)],
    normal_concat=range(2, 6),
    reduce=[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2),
            ('sep_conv_3x3', 0), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)],
    reduce_concat=range(2, 6))
END
cat >"$work/gdas.txt" <<'END'
GDAS_V1 = Genotype(
    normal=[('skip_connect', 0), ('skip_connect', 1), ('skip_connect', 0), ('sep_conv_5x5', 2),
            ('sep_conv_3x3', 3), ('skip_connect', 0), ('sep_conv_5x5', 4), ('sep_conv_3x3', 3)],
    normal_concat=range(2, 6),
    reduce=[('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('sep_conv_5x5', 2), ('sep_conv_5x5', 1),
            ('dil_conv_5x5', 2), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_5x5', 1)],
    reduce_concat=range(2, 6)
)
END
for name in p_darts pc_darts gdas; do "$nasc" import "$work/$name.txt" | cmp - ../genotypes/$name.json || bad=1; done

"$nasc" import cli/proxyless_mobile.config | cmp - ../genotypes/proxyless_mobile.json || bad=1

sed 's/dil_conv_3x3/dil_conv_9x9/' "$work/v2.txt" >"$work/op.txt"
fails "^nasc: $work/op.txt:3:.*dil_conv_9x9" import "$work/op.txt"
head -c 200 "$work/v2.txt" >"$work/cut.txt"
fails "^nasc: $work/cut.txt:" import "$work/cut.txt"
printf 'Genotype\0' >"$work/zero.txt"
fails "^nasc: $work/zero.txt: found a zero byte" import "$work/zero.txt"
sed '0,/relu6/s//relu/' cli/proxyless_mobile.config >"$work/net.config"
fails "^nasc: $work/net.config#/first_conv/act_func: found \"relu\", expected \"relu6\"" import "$work/net.config"
fails '^nasc: text#/name: found nothing, expected "ProxylessNASNets"' import '{"format": 1}'
fails '^nasc: .*: is no genotype that is known here' import ../LICENSE
fails '^nasc: nowhere.txt: cannot be opened' import nowhere.txt
fails '^nasc: .*/no/v2.json: cannot be written' import "$work/v2.txt" -o "$work/no/v2.json"
exit $bad
