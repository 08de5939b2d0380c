#!/bin/sh
# installed.sh - in a bare Debian without systemd, on its loopback only: the package from installation to purge.
set -eu
root=/var/lib/postroom
step() { echo "-- $*"; }
fail() { echo "FAILED: $*" >&2; [ ! -f /tmp/out ] || sed 's/^/  | /' /tmp/out >&2; exit 1; }
quiet() { "$@" > /tmp/out 2>&1 || fail "$*"; }
runs() { postroom status > /dev/null 2>&1; }
processes() { for exe in /proc/[0-9]*/exe; do readlink "$exe" || true; done 2> /dev/null | grep -E '/(postroom|smtpd|imapd|pop3d|webd)$'; }
export DEBIAN_FRONTEND=noninteractive
set_up() { quiet postroom setup example.org --yes --hostname mail.example.org; }
# messages NUMBER - so many are in postmaster's INBOX, at last
messages()
{
	for _ in $(seq 100); do
		postroom mailbox list postmaster@example.org > /tmp/out
		if grep -Eq "^INBOX +- +yes +$1 " /tmp/out; then return 0; fi
		sleep 0.1
	done
	fail "$1 messages are expected in INBOX"
}

step "installed: the user is there, nothing runs, nothing was made"
getent passwd postroom > /dev/null || fail "there is no user postroom"
[ ! -e $root ] || fail "$root was made"
! processes || fail "something runs"
for program in sendmail mailq newaliases postroom; do command -v $program > /dev/null || fail "$program is not there"; done
[ "$(readlink -f /usr/lib/sendmail)" = /usr/bin/postroom ] || fail "/usr/lib/sendmail"
for file in share/man/man8/postroom.8.gz share/man/man5/postroom.conf.5.gz share/bash-completion/completions/postroom; do
	dpkg -L postroom | grep -qx "/usr/$file" || fail "/usr/$file is not in the package"
done

step "postroom setup example.org --yes makes it run"
set_up
sed -n 's/^/  | /; 1,4p' /tmp/out
runs || fail "it does not run"
[ "$(stat -c %U $root)" = postroom ] || fail "$root belongs to $(stat -c %U $root)"
printf 'Subject: one\n\nhello\n' | sendmail postmaster@example.org || fail "sendmail"
messages 1
quiet postroom setup example.org --yes
grep -q 'It runs already' /tmp/out || fail "setup a second time"

step "an upgrade: it becomes the new programs"
quiet dpkg -i /root/postroom.deb
grep -q 'the new programs serve' /tmp/out || fail "dpkg does not say that the new programs serve"
program=$(readlink "/proc/$(cat $root/run/postroom.pid)/exe")
[ "$program" = /usr/bin/postroom ] || fail "it runs $program"
messages 1

step "removal ends it and leaves the mail"
quiet apt-get -y -qq remove postroom
[ ! -e /usr/bin/postroom ] || fail "the program is still there"
! processes || fail "it still runs"
[ -f $root/postroom.conf ] || fail "the instance is gone"
[ -f /etc/ufw/applications.d/postroom ] || fail "the conffile is gone"

step "installed again, it goes on where it was"
quiet dpkg -i /root/postroom.deb
quiet postroom serve --detach
messages 1
printf 'Subject: two\n\nhello\n' | sendmail postmaster@example.org || fail "sendmail"
messages 2

step "purge without a terminal keeps the mail, and says so"
quiet apt-get -y -qq purge postroom
grep -q "The mail is still in $root" /tmp/out || fail "purge does not say that the mail is still there"
[ -f $root/postroom.conf ] || fail "the instance is gone"
[ ! -e /etc/ufw/applications.d/postroom ] || fail "the conffile is still there"

step "purge asks: no keeps the mail"
quiet dpkg -i /root/postroom.deb
# answer WORD - purge on a terminal, with this answer
answer() { (sleep 3; echo "$1"; sleep 1) | DEBIAN_FRONTEND=teletype script -qec "dpkg --purge postroom" /dev/null > /tmp/out 2>&1 || fail "purge"; }
answer no
grep -q "Remove all mail" /tmp/out || fail "purge does not ask"
[ -f $root/postroom.conf ] || fail "the instance is gone"

step "purge asks: yes removes it"
quiet dpkg -i /root/postroom.deb
answer yes
grep -q "Remove all mail" /tmp/out || fail "purge does not ask"
[ ! -e $root ] || fail "$root is still there"
echo "installed: as it should be"
