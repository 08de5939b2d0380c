/* Checks of the machine: its way out, its ports, its clock, its disk. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "admin/checks.h"
#include "admin/print.h"
#include "admin/probe.h"
#include "common/dnsclient.h"
#include "common/instance.h"

#include "common/banned.h"

/* ---- the way out ---- */

/* Large providers, whose servers take connections from anywhere: when none does, something between is shut. */
static const char *const mail_hosts[] = { "gmail.com", "outlook.com", "icloud.com" };
#define MX_ASKED 2              /* of each */

static size_t find_mail_hosts(const struct facts *facts, struct netaddr *out, size_t max)
{
	char host[4 * DNS_NAME_MAX + 1];
	size_t count = 0;
	uint16_t preference;

	for (size_t i = 0; i < ARRAY_LEN(mail_hosts); i++)
		lookup_want(facts->lookup, mail_hosts[i], DNS_MX);
	for (size_t i = 0; i < ARRAY_LEN(mail_hosts); i++) {
		const struct lookup_answer *a = lookup_ask(facts->lookup, mail_hosts[i], DNS_MX);

		for (size_t k = 0; k < a->count && k < MX_ASKED && count < max; k++)
			if (dns_mx_from(a->records[k], &preference, host))
				count += lookup_addresses(facts->lookup, host, out + count, max - count, NULL);
	}
	for (size_t i = 0; i < count; i++)
		out[i].port = (uint16_t)facts->conf->relay.port;
	return count;
}

/* The smarthost through which everything goes: "*=HOST:PORT". False: there is none. */
static bool find_smarthost(const struct facts *facts, char host[DNS_NAME_MAX + 1], uint32_t *port)
{
	const struct conf_list *list = &facts->conf->relay.smarthosts;

	for (size_t i = 0; i < list->count; i++) {
		struct sv item = sv_z(list->items[i]), selector;
		size_t colon = sv_rfind(item, ':');

		if (colon == SIZE_MAX || !sv_to_u32(sv_sub(item, colon + 1, SIZE_MAX), port))
			continue;
		item.len = colon;
		if (!sv_split(&item, '=', &selector) || !sv_eq(selector, SV("*")) || !item.len || item.len > DNS_NAME_MAX)
			continue;
		if (*item.p == '[')     /* an address, or a name without MX */
			item = sv_sub(item, 1, item.len - 2);
		snprintf(host, DNS_NAME_MAX + 1, "%.*s", SV_FMT(item));
		return true;
	}
	return false;
}

static void check_smarthost(const struct facts *facts, struct findings *fs, const char *host, uint32_t port)
{
	struct netaddr to[16];
	bool is_address = netaddr_parse(sv_z(host), &to[0]);
	size_t count = is_address ? 1 : lookup_addresses(facts->lookup, host, to, ARRAY_LEN(to), NULL);
	struct finding finding = { .subject = findings_text(fs, "smarthost %s, port %u", host, port), .expected = "it takes connections",
				   .found = "it takes connections" };
	const char *why = "its name has no address";

	for (size_t i = 0; i < count; i++)
		to[i].port = (uint16_t)port;
	int fd = count ? probe_connect(to, count, &why) : -1;

	if (fd >= 0) {
		close(fd);
	} else {
		finding.state = CHECK_FAULT;
		finding.found = why;
		finding.meanwhile = "no mail leaves, it waits";
		finding.mend = "see that the smarthost runs and the port is open, or change smarthosts in postroom.conf";
	}
	findings_add(fs, finding);
}

void check_way_out(const struct facts *facts, struct findings *fs)
{
	struct netaddr to[12];
	char host[DNS_NAME_MAX + 1];
	uint32_t port;
	const char *why;

	if (!facts->conf->relay.sending) {
		findings_add(fs, (struct finding){ .subject = "way out", .found = "switched off by sending no",
						   .expected = "what the configuration says" });
		return;
	}
	if (find_smarthost(facts, host, &port)) {
		check_smarthost(facts, fs, host, port);
		return;
	}
	struct finding finding = { .subject = findings_text(fs, "way out, port %llu", (unsigned long long)facts->conf->relay.port),
				   .expected = "mail servers elsewhere take connections" };
	size_t count = find_mail_hosts(facts, to, ARRAY_LEN(to));
	int fd = count ? probe_connect(to, count, &why) : -1;

	if (fd >= 0) {
		close(fd);
		finding.found = finding.expected;
	} else if (!count) {
		/* A network of its own: there is nobody to try. */
		finding.state = CHECK_ADVICE;
		finding.found = "no large provider can be looked up, so it was not tried";
		finding.mend = "send a message to an address elsewhere";
	} else {
		finding.state = CHECK_FAULT;
		finding.found = findings_text(fs, "none of %zu servers of large providers does: %s", count, why);
		finding.meanwhile = "no mail leaves, it waits";
		finding.mend = "ask your provider to open outgoing port 25 (many keep it shut until they are asked), or send through a "
			       "smarthost: postroom setup DOMAIN --smarthost HOST:PORT";
	}
	findings_add(fs, finding);
}

/* ---- ports ---- */

/* can_bind - as the server would: addresses of both families for "*". */
static bool can_bind(const struct conf_listener *l, int *error)
{
	struct netaddr address, bound;
	union netaddr_name at;
	int on = 1;

	if (!probe_own_address(l, &address))
		return true;
	bound = address;
	if (strcmp(l->address, "*") == 0)
		memset(bound.ip + 12, 0, 4);    /* every address of this machine */
	socklen_t len = netaddr_to(&bound, &at);
	int fd = socket(at.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return true;            /* a machine without IPv6 */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	bool is_bound = bind(fd, &at.sa, len) == 0 && listen(fd, 1) == 0;

	*error = errno;
	close(fd);
	if (!is_bound && *error == EACCES) {
		/* We are not root, but the server may begin as root: taken is what answers. */
		const char *why;

		fd = probe_connect(&address, 1, &why);
		if (fd >= 0)
			close(fd);
		*error = EADDRINUSE;
		return fd < 0;
	}
	return is_bound;
}

void check_ports(const struct facts *facts, struct findings *fs)
{
	size_t taken = 0;

	if (pidfile_holder(facts->cli->instance, "postroom")) {
		findings_add(fs, (struct finding){ .subject = "ports", .found = "Postroom runs", .expected = "they are free" });
		return;
	}
	for (size_t i = 0; i < facts->conf->listener_count; i++) {
		const struct conf_listener *l = &facts->conf->listeners[i];
		int error = 0;

		if (can_bind(l, &error))
			continue;
		taken++;
		if (l->kind & LISTENERS_WEBD) {         /* mail goes on without */
			findings_add(fs, (struct finding){
				.state = CHECK_ADVICE, .subject = findings_text(fs, "port %llu (%s)", (unsigned long long)l->port, l->name),
				.found = "another program has it", .expected = "it is free, or that program gives our answers",
				.meanwhile = "mail programs do not find their settings by themselves",
				.mend = "postroom web --files DIR makes the answers as files for the other web server" });
			continue;
		}
		findings_add(fs, (struct finding){
			.state = CHECK_FAULT, .subject = findings_text(fs, "port %llu (%s)", (unsigned long long)l->port, l->name),
			.found = error == EADDRINUSE ? "another program has it" : findings_text(fs, "%s", strerrordesc_np(error)),
			.expected = "it is free", .meanwhile = "Postroom does not start",
			.mend = error == EADDRINUSE ? findings_text(fs, "see which (ss -ltnp sport = :%llu), stop it and keep it from starting "
								    "again: systemctl disable --now NAME", (unsigned long long)l->port) :
				"set bind in postroom.conf to an address of this machine" });
	}
	if (!taken)
		findings_add(fs, (struct finding){ .subject = "ports", .found = "free", .expected = "they are free" });
}

/* ---- the clock ---- */

#define NTP_PORT 123
#define NTP_SIZE 48
#define NTP_EPOCH 2208988800u   /* seconds from 1900 to 1970 (RFC 5905 §6) */
#define CLOCK_OFF_S 30          /* signatures and tokens allow minutes, logs that are compared do not */
#define NTP_WAIT_MS 2000

/* ask_time - how many seconds our clock is ahead of the server's; false: no answer. */
static bool ask_time(const struct netaddr *server, int64_t *ahead_s)
{
	struct netaddr at = *server;
	unsigned char packet[NTP_SIZE] = { 4 << 3 | 3 }, reply[NTP_SIZE];       /* version 4, client */
	union netaddr_name to;
	socklen_t len = netaddr_to(&at, &to);
	bool has_answer = false;
	int fd = socket(to.sa.sa_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return false;
	if (connect(fd, &to.sa, len) == 0 &&
	    send(fd, packet, sizeof(packet), MSG_NOSIGNAL) == NTP_SIZE && probe_wait(fd, POLLIN, probe_now_ms() + NTP_WAIT_MS) &&
	    recv(fd, reply, sizeof(reply), 0) == NTP_SIZE && (reply[0] & 7) == 4 && reply[1]) {
		/* Seconds since 1900 in 32 bits: they start again in 2036, so what is below our half is of the next era. */
		uint32_t sent = (uint32_t)reply[40] << 24 | (uint32_t)reply[41] << 16 | (uint32_t)reply[42] << 8 | reply[43];
		uint32_t now = (uint32_t)((uint64_t)time(NULL) + NTP_EPOCH);

		*ahead_s = (int32_t)(now - sent);
		has_answer = true;
	}
	close(fd);
	return has_answer;
}

static bool is_synchronised(void)
{
	struct timex t = { .modes = 0 };

	return adjtimex(&t) >= 0 && !(t.status & STA_UNSYNC);
}

void check_clock(const struct facts *facts, struct findings *fs)
{
	struct finding finding = { .subject = "clock", .expected = "right to the second, kept so by a time service" };
	struct netaddr server[4];
	int64_t ahead_s = 0;
	bool has_answer = false;
	size_t count = 1;

	if (!dnsclient_parse_server(facts->time_server, &server[0])) {
		count = lookup_addresses(facts->lookup, facts->time_server, server, ARRAY_LEN(server), NULL);
		for (size_t i = 0; i < count; i++)
			server[i].port = NTP_PORT;
	} else if (!strchr(facts->time_server, '@')) {
		server[0].port = NTP_PORT;
	}
	for (size_t i = 0; i < count && !has_answer; i++)
		has_answer = ask_time(&server[i], &ahead_s);
	if (has_answer && (ahead_s > CLOCK_OFF_S || ahead_s < -CLOCK_OFF_S)) {
		finding.state = CHECK_FAULT;
		finding.found = findings_text(fs, "%lld s %s", (long long)(ahead_s < 0 ? -ahead_s : ahead_s), ahead_s < 0 ? "late" : "ahead");
		finding.meanwhile = "signatures, certificates and one-time codes seem wrong, and mail carries wrong dates";
		finding.mend = "install and start a time service: systemctl enable --now systemd-timesyncd, or apt install chrony";
	} else if (has_answer) {
		finding.found = "right";
	} else if (is_synchronised()) {
		finding.found = "a time service keeps it";
	} else {
		finding.state = CHECK_ADVICE;
		finding.found = findings_text(fs, "%s does not answer, and no time service has set it", facts->time_server);
		finding.mend = "install and start a time service: systemctl enable --now systemd-timesyncd, or apt install chrony";
	}
	findings_add(fs, finding);
}

/* ---- the disk ---- */

#define DISK_FULL_PERCENT 95

void check_disk(const struct facts *facts, struct findings *fs)
{
	const char *root = instance_path(facts->cli->instance, INSTANCE_ROOT), *read_only = instance_read_only(facts->cli->instance);
	struct finding finding = { .subject = findings_text(fs, "disk of %s", root) };
	char have[24], want[24];
	struct statvfs st;

	if (statvfs(root, &st) != 0) {
		finding.state = CHECK_UNKNOWN;
		finding.found = findings_text(fs, "%s", strerrordesc_np(errno));
		finding.expected = "it can be read";
		finding.mend = "see that it is mounted";
		findings_add(fs, finding);
		return;
	}
	uint64_t free_bytes = (uint64_t)st.f_bavail * st.f_frsize, limit = facts->conf->queue.free_space;
	uint64_t used_percent = st.f_blocks ? 100 - (uint64_t)st.f_bavail * 100 / st.f_blocks : 0;

	print_bytes(free_bytes, have);
	print_bytes(2 * limit, want);
	finding.found = findings_text(fs, "%s free", have);
	finding.expected = findings_text(fs, "at least %s free: twice queue-free-space", want);
	if (read_only) {
		finding.state = CHECK_FAULT;
		finding.subject = findings_text(fs, "disk of %s", read_only);
		finding.found = "it can only be read";
		finding.expected = "it can be written";
		finding.meanwhile = "mail can be read; none is taken, sent or changed";
		finding.mend = "see dmesg why, and mount it again: the server notices by itself";
	} else if (free_bytes < 2 * limit) {
		finding.state = CHECK_FAULT;
		finding.meanwhile = free_bytes < limit ? "new mail is put off" : "new mail is put off soon";
		finding.mend = "make room: postroom quota show tells who stores what, postroom expire removes old mail";
	} else if (st.f_files && st.f_favail < st.f_files / 50) {
		finding.state = CHECK_FAULT;
		finding.found = "nearly no free inodes";
		finding.expected = "room for more files: every message is one";
		finding.meanwhile = "new mail is put off soon";
		finding.mend = "make room, or move the instance to a file system with more inodes";
	} else if (used_percent > DISK_FULL_PERCENT && free_bytes < 20 * limit) {
		finding.state = CHECK_WARNING;
		finding.found = findings_text(fs, "%s free, %llu %% used", have, (unsigned long long)used_percent);
		finding.meanwhile = "nothing yet; new mail is put off when it is full";
		finding.mend = "make room: postroom quota show tells who stores what";
	}
	findings_add(fs, finding);
}
