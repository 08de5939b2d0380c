#!/bin/bash
# booted.sh - in a machine with systemd, on its loopback only, run at its first and at its second start: the package as a service.
set -eu
root=/var/lib/postroom
export DEBIAN_FRONTEND=noninteractive HOME=/root
step() { echo "-- $*"; }
fail() { echo "FAILED: $*"; if [ -f /tmp/out ]; then sed 's/^/  | /' /tmp/out; fi; journalctl -u postroom --no-pager -n 30 || true; exit 1; }
quiet() { "$@" > /tmp/out 2>&1 || fail "$*"; }
is_active() { systemctl is-active -q "$1"; }
main_pid() { systemctl show -P MainPID postroom; }
messages()
{
	for _ in $(seq 100); do
		postroom mailbox list postmaster@example.org > /tmp/out
		if grep -Eq "^INBOX +- +yes +$1 " /tmp/out; then return 0; fi
		sleep 0.1
	done
	fail "$1 messages are expected in INBOX"
}

first_start()
{
	step "installed: the unit neither runs nor is enabled"
	! is_active postroom || fail "it runs"
	! systemctl is-enabled -q postroom || fail "it is enabled"

	step "postroom setup example.org --yes starts and enables it"
	quiet postroom setup example.org --yes --hostname mail.example.org
	grep -q 'It runs, and starts with the machine' /tmp/out || fail "setup does not say that it runs"
	{ is_active postroom && systemctl is-enabled -q postroom; } || fail "it is not active, or not enabled"
	# No waiting: it was said that it runs.
	exec 5<> /dev/tcp/127.0.0.1/25
	read -r greeting <&5
	[[ $greeting == "220 "* ]] || fail "port 25 says $greeting"
	exec 5>&-
	printf 'Subject: one\n\nhello\n' | sendmail postmaster@example.org
	messages 1

	step "no process of it is root's, and the sandbox is whole"
	processes=0
	for exe in /proc/[0-9]*/exe; do
		program=$(readlink "$exe" || true)
		case $program in
		*/postroom|*/smtpd|*/imapd|*/pop3d|*/webd)
			processes=$((processes + 1))
			uids=$(sed -n 's/^Uid:\t//p' "${exe%exe}status")
			id=$(id -u postroom)
			[ "$uids" = "$id	$id	$id	$id" ] || fail "$program (${exe%/exe}) has the user ids $uids" ;;
		esac
	done
	[ "$processes" -ge 5 ] || fail "there are $processes processes of it"
	echo "  | $processes processes, all of them the user postroom"
	quiet postroom status
	for layer in no-new-privileges landlock seccomp capabilities core-dumps; do
		grep -q "sandbox .*$layer" /tmp/out || fail "status does not show $layer"
	done
	grep sandbox /tmp/out | sort | uniq -c
	systemd-analyze security postroom --no-pager | tail -n 1

	step "reload refuses a mistake and goes on"
	quiet systemctl reload postroom
	before=$(main_pid)
	echo 'mesage-size 1M' >> $root/postroom.conf
	! systemctl reload postroom 2> /dev/null || fail "reload takes a file with a mistake"
	journalctl -u postroom --no-pager > /tmp/out
	grep -q 'mesage-size' /tmp/out || fail "the journal does not name the mistake"
	{ is_active postroom && [ "$(main_pid)" = "$before" ]; } || fail "it did not go on"
	sed -i '/^mesage-size/d' $root/postroom.conf
	quiet systemctl reload postroom

	step "an upgrade: it becomes the new programs, and who is connected stays"
	exec 5<> /dev/tcp/127.0.0.1/25
	read -r greeting <&5
	[[ $greeting == "220 "* ]] || fail "port 25 says $greeting"
	quiet dpkg -i /root/postroom.deb
	grep -q 'the new programs serve' /tmp/out || fail "dpkg does not say that the new programs serve"
	{ is_active postroom && [ "$(main_pid)" = "$before" ]; } || fail "it did not go on"
	[ "$(readlink "/proc/$before/exe")" = /usr/bin/postroom ] || fail "it runs $(readlink "/proc/$before/exe")"
	printf 'NOOP\r\n' >&5
	read -r answer <&5
	[[ $answer == "250 "* ]] || fail "who was connected hears $answer"
	exec 5>&-
	messages 1

	step "postroom.socket: a connection starts the service, and waits for it"
	quiet systemctl stop postroom
	quiet systemctl enable --now postroom.socket
	exec 5<> /dev/tcp/127.0.0.1/25
	read -r greeting <&5
	[[ $greeting == "220 "* ]] || fail "port 25 says $greeting"
	exec 5>&-
	# It said so before all of its ports were open: wait for those.
	quiet systemctl start postroom
	quiet postroom status
	quiet systemctl restart postroom
	printf 'Subject: two\n\nhello\n' | sendmail postmaster@example.org
	messages 2
	quiet systemctl disable --now postroom.socket
	quiet systemctl restart postroom
}

second_start()
{
	step "it starts with the machine"
	is_active postroom || fail "it does not run"
	messages 2
	printf 'Subject: three\n\nhello\n' | sendmail postmaster@example.org
	messages 3

	step "removal ends it and leaves the mail"
	quiet dpkg --remove postroom
	! is_active postroom || fail "it still runs"
	[ -f $root/postroom.conf ] || fail "the instance is gone"
	quiet dpkg --purge postroom
	[ -f $root/postroom.conf ] || fail "the instance is gone"
}

if [ -e /root/started ]; then second_start; else touch /root/started; first_start; fi
echo "booted: as it should be"
