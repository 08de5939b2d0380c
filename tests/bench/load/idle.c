#include "tests/bench/load/scenarios.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/memory.h"

#include "common/banned.h"

/* Sessions that have INBOX selected and IDLE (RFC 2177), held open while the caller looks at the server. Talks on
 * standard input: "push N" sends N messages to accounts of these sessions, one at a time, and measures from the 250
 * until each session of the account was told; "quit" or the end of the input ends it. */

static struct client *sessions;

static void open_body(struct worker *w)
{
	const struct options *opt = w->opt;
	uint64_t ticket;
	struct sv line;

	while (worker_next(w, &ticket)) {
		struct client *c = &sessions[ticket];
		uint64_t started = now_us();
		if (imap_login(c, opt, &opt->users[ticket % opt->user_count]) && client_imap(c, NULL, "SELECT INBOX") &&
		    client_send(c, SV("i IDLE\r\n")) && client_line(c, &line) &&
		    (sv_starts(line, SV("+")) || client_fail(c, "IDLE: %.*s", SV_FMT(sv_sub(line, 0, 100)))))
			worker_done(w, started);
		else
			worker_failed(w, c);
	}
}

static bool is_exists(struct sv line)
{
	return sv_starts(line, SV("* ")) && sv_ends(line, SV(" EXISTS"));
}

/* Until every session of the account has heard of the message: times since the 250, the first and the last one's. */
static bool push(const struct options *opt, uint64_t number, struct samples *first, struct samples *last,
		 const char **why)
{
	size_t account = number % opt->user_count, n = 0, heard = 0;
	size_t most = opt->count / opt->user_count + 1;
	struct client **waiting = xcalloc(most, sizeof(struct client *));
	struct pollfd *polls = xcalloc(most + 1, sizeof(struct pollfd));
	struct client smtp;
	struct buf message;
	bool pipelining, ok;
	uint64_t accepted = 0, deadline, told_first = 0, told_last = 0;
	static char error[200];

	for (uint64_t i = account; i < opt->count; i += opt->user_count, n++) {
		waiting[n] = &sessions[i];
		polls[n] = (struct pollfd){ .fd = sessions[i].fd, .events = POLLIN };
	}
	client_init(&smtp);
	buf_init(&message, 1 << 16);
	message_make(&message, 1000000 + number, opt->size, "sender@elsewhere.example", opt->users[account].address);
	ok = smtp_hello(&smtp, opt, opt->smtp_port, WIRE_PLAIN, NULL, &pipelining) &&
	     client_send(&smtp, SV("MAIL FROM:<sender@elsewhere.example>\r\n")) && client_reply(&smtp, "250", NULL) &&
	     client_sendf(&smtp, "RCPT TO:<%s>\r\n", opt->users[account].address) && client_reply(&smtp, "250", NULL) &&
	     client_send(&smtp, SV("DATA\r\n")) && client_reply(&smtp, "354", NULL) &&
	     client_send(&smtp, buf_sv(&message)) && client_send(&smtp, SV(".\r\n"));
	/* The 250 is waited for beside the sessions: a notice may be there before it. */
	polls[n] = (struct pollfd){ .fd = smtp.fd, .events = POLLIN };
	deadline = now_us() + 30 * UINT64_C(1000000);
	while (ok && (heard < n || !accepted)) {
		if (now_us() > deadline || poll(polls, n + 1, 1000) < 0) {
			*why = accepted ? "a session heard nothing for 30 s" : "no answer to DATA for 30 s";
			ok = false;
			break;
		}
		uint64_t now = now_us();
		if (polls[n].revents) {
			ok = client_reply(&smtp, "250", NULL);
			accepted = now;
			polls[n].fd = -1;
		}
		for (size_t i = 0; ok && i < n; i++) {
			struct sv line;
			if (polls[i].fd < 0 || !polls[i].revents)
				continue;
			do
				ok = client_line(waiting[i], &line);
			while (ok && !is_exists(line) && waiting[i]->at < waiting[i]->in.len);
			if (!ok) {
				snprintf(error, sizeof(error), "session: %s", waiting[i]->error);
				*why = error;
			} else if (is_exists(line)) {
				polls[i].fd = -1;
				heard++;
				told_last = now;
				told_first = told_first ? told_first : now;
			}
		}
	}
	if (ok) {
		samples_add(first, told_first > accepted ? told_first - accepted : 0);
		samples_add(last, told_last > accepted ? told_last - accepted : 0);
		/* What else came with it (RECENT) is read, so that the next round begins clean. */
		for (size_t i = 0; i < n; i++)
			waiting[i]->at = waiting[i]->in.len;
	} else if (smtp.failed) {
		snprintf(error, sizeof(error), "smtp: %s", smtp.error);
		*why = error;
	}
	if (!smtp.failed)
		(void)client_send(&smtp, SV("QUIT\r\n"));
	client_done(&smtp);
	buf_done(&message);
	free(waiting);
	free(polls);
	return ok;
}

static int push_row(const struct options *opt, uint64_t times)
{
	struct samples first = { 0 }, last = { 0 };
	const char *why = NULL;
	struct meter meter;
	struct json_out j;
	struct buf line;
	bool bottleneck;

	meter_start(&meter);
	/* A server may take seconds until all sessions have heard of one message. */
	for (uint64_t i = 0; i < times && !why && now_us() - meter.wall_us < opt->seconds * UINT64_C(1000000); i++)
		(void)push(opt, i, &first, &last, &why);
	row_begin(&j, &line, "push");
	meter_row(&j, &meter, 1, &bottleneck);
	json_out_u64(&j, "ops", first.count);
	samples_row(&j, "", &first);
	samples_row(&j, "last", &last);
	free(first.us);
	free(last.us);
	return row_end(&j, why);
}

int scenario_idle(const struct options *opt)
{
	char line[64];
	int status;

	sessions = xcalloc(opt->count, sizeof(*sessions));
	for (uint64_t i = 0; i < opt->count; i++)
		client_init(&sessions[i]);
	status = run_threads(opt, opt->connections, open_body, NULL);
	while (!status && fgets(line, sizeof(line), stdin)) {
		struct sv said = sv_trim(sv_z(line));
		uint64_t n;
		if (sv_eq(said, SV("quit")))
			break;
		if (sv_starts(said, SV("push ")) && sv_to_u64(sv_sub(said, 5, SIZE_MAX), &n) && n <= 100000)
			status = push_row(opt, n);
	}
	for (uint64_t i = 0; i < opt->count; i++)
		client_done(&sessions[i]);
	free(sessions);
	return status;
}
