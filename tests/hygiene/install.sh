#!/usr/bin/env bash
# What is installed is enough for others: a program that finds nasc by pkg-config (shared and static), by CMake, and from
# C++. install.sh SOURCE BUILD
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cmake --install "$2" --prefix "$work/usr" >/dev/null
cd "$work"
[ "$(find usr/include -type f)" = usr/include/nasc.h ] || { find usr/include; exit 1; }
libdir=$(dirname "$(find usr -name libnasc.so)")
export PKG_CONFIG_PATH=$work/$libdir/pkgconfig LD_LIBRARY_PATH=$work/$libdir
sed -i "s|^prefix=.*|prefix=$work/usr|" "$PKG_CONFIG_PATH/nasc.pc"

cat >user.c <<'END'
#include <nasc.h>
#include <stdio.h>
int main(void) { return puts(nasc_version()) < 0; }
END
wanted=$(usr/bin/nasc --version | sed -n 's/^nasc //p')
read -ra flags < <(pkg-config --cflags --libs nasc)
read -ra libraries < <(pkg-config --static --libs nasc | sed 's/-lnasc / /')
cc -Wall -Werror user.c "${flags[@]}" -o shared
cc -Wall -Werror user.c -Iusr/include "$libdir/libnasc.a" "${libraries[@]}" -o static
cp user.c user.cpp
c++ -Wall -Werror user.cpp "${flags[@]}" -o plusplus 2>/dev/null || ! command -v c++ >/dev/null
cat >CMakeLists.txt <<'END'
cmake_minimum_required(VERSION 3.25)
project(user C)
find_package(nasc REQUIRED)
add_executable(user user.c)
target_link_libraries(user PRIVATE nasc::nasc)
END
cmake -S . -B build -DCMAKE_PREFIX_PATH="$work/usr" >/dev/null
cmake --build build >/dev/null
for program in shared static build/user; do
    [ "$(./$program)" = "$wanted" ] || { echo "$program does not say $wanted"; exit 1; }
done
