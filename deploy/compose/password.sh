#!/bin/sh
# Prints the password that the file $1 keeps; the first time it makes one of 32 random bytes. The file can be read by the
# container's user and its group, and written to by none.
set -eu
file=$1
if [ ! -s "$file" ]; then
    umask 0237
    # Under another name until it is whole: a start that is broken off leaves no half of a password.
    rm -f "$file.new"
    head -c 32 /dev/urandom | base64 | tr -d '+/=' >"$file.new"
    [ -s "$file.new" ]
    mv "$file.new" "$file"
fi
cat "$file"
