#!/bin/sh
# format-1.make BIN - with the programs in BIN, which must be of format 1 (commit 2a7a640 and before): format-1.tar.xz beside this script, what such a
# program leaves on disk of accounts and mail. Passwords are in tests/e2e/test_migrate.py.
set -eu
here=$(cd "$(dirname "$0")" && pwd) work=$(mktemp -d) root=
trap 'rm -rf "$work"' EXIT
root=$work/root
postroom() { "$bin/postroom" --root "$root" "$@"; }
bin=$1
postroom init --domain example.test --hostname mail.example.test --port-offset 20000 --bind 127.0.0.1 > /dev/null
printf 'secret-of-1\n' | postroom account add alice@example.test --password-stdin > /dev/null
printf 'secret-of-2\n' | postroom account add bob@example.test --password-stdin > /dev/null
postroom alias add info@example.test alice@example.test > /dev/null
postroom quota set alice@example.test 1G > /dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj /CN=alice -days 3650 -keyout /dev/null -out "$work/cert.pem" 2> /dev/null
postroom client-cert add alice@example.test laptop "$work/cert.pem" > /dev/null
for n in 1 2 3; do
	printf 'From: a@elsewhere.example\r\nTo: alice@example.test\r\nSubject: letter %s\r\n\r\nhello\r\n' $n | postroom deliver alice@example.test > /dev/null
done
[ "$(cat "$root/format")" = "postroom 1" ] || { echo "these programs have another format" >&2; exit 1; }
rm -rf "$root"/mail/*/*/index
tar -C "$root" --sort=name --owner=0 --group=0 -cJf "$here/format-1.tar.xz" --exclude=lock.mdb format directory mail
ls -l "$here/format-1.tar.xz"
