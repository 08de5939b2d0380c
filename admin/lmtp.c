#include "admin/lmtp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>


#include "common/banned.h"

#define ANSWER_S 600            /* RFC 5321 §4.5.3.2.6: ten minutes for the answer to a message */
#define REPLY_LINE 1024

struct peer {
	FILE *in, *out;
};

static struct fault connect_to(const struct instance *instance, struct peer *out)
{
	char *path = instance_run_path(instance, "lmtp", ".sock");
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_S };
	struct fault f = FAULT_OK;
	int fd = -1;

	if (snprintf(at.sun_path, sizeof(at.sun_path), "%s", path) >= (int)sizeof(at.sun_path))
		f = fault(FAULT_LIMIT, "the instance's path is too long for a socket");
	free(path);
	if (!f.kind && (fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) < 0)
		f = fault_errno("socket", "lmtp");
	if (!f.kind && (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
			connect(fd, (const struct sockaddr *)&at, sizeof(at))))
		f = fault(FAULT_UNAVAILABLE, "the mail filter sends mail, for which smtpd must run: postroom serve --detach");
	if (!f.kind && (!(out->in = fdopen(fd, "r")) || !(out->out = fdopen(fcntl(fd, F_DUPFD_CLOEXEC, 0), "w"))))
		f = fault_errno("open", "lmtp");
	if (f.kind && fd >= 0 && !out->in)
		close(fd);
	return f;
}

/* One reply, all its lines; its code in *code. */
static struct fault read_reply(FILE *in, unsigned *code)
{
	static char line[REPLY_LINE];
	uint32_t n;

	do {
		if (!fgets(line, sizeof(line), in) || !sv_to_u32(sv_sub(sv_z(line), 0, 3), &n))
			return fault(FAULT_UNAVAILABLE, "smtpd does not answer");
	} while (line[3] == '-');
	*code = n;
	if (n < 400)
		return FAULT_OK;
	line[strcspn(line, "\r\n")] = '\0';
	return fault_detail(n < 500 ? FAULT_UNAVAILABLE : FAULT_DENIED, "%s", line);
}

static struct fault ask(const struct peer *p, const char *verb, struct sv argument, const char *rest)
{
	unsigned code;

	fprintf(p->out, "%s%.*s%s\r\n", verb, SV_FMT(argument), rest);
	if (fflush(p->out))
		return fault(FAULT_UNAVAILABLE, "smtpd hung up");
	return read_reply(p->in, &code);
}

/* Lines with a dot in front get another one (RFC 5321 §4.5.2). */
static struct fault send_octets(FILE *out, int message)
{
	char piece[16384];
	bool at_start = true;
	off_t at = 0;

	for (;;) {
		ssize_t n = pread(message, piece, sizeof(piece), at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno("read", "message");
		if (!n)
			break;
		for (ssize_t i = 0; i < n; i++) {
			if (at_start && piece[i] == '.')
				putc('.', out);
			putc(piece[i], out);
			at_start = piece[i] == '\n';
		}
		at += n;
	}
	fputs(at_start ? ".\r\n" : "\r\n.\r\n", out);
	return fflush(out) ? fault(FAULT_UNAVAILABLE, "smtpd hung up") : FAULT_OK;
}

struct fault lmtp_hand_over(const struct instance *instance, struct sv sender, struct sv account, int message)
{
	struct peer p = { NULL, NULL };
	unsigned code;
	struct fault f = connect_to(instance, &p);

	if (!f.kind)
		f = read_reply(p.in, &code);
	if (!f.kind)
		f = ask(&p, "LHLO localhost", SV(""), "");
	if (!f.kind)
		f = ask(&p, "MAIL FROM:<", sender, ">");
	if (!f.kind)
		f = ask(&p, "RCPT TO:<", account, ">");
	if (!f.kind)
		f = ask(&p, "DATA", SV(""), "");
	if (!f.kind)
		f = send_octets(p.out, message);
	if (!f.kind)
		f = read_reply(p.in, &code);
	if (!f.kind)
		fputs("QUIT\r\n", p.out);
	if (p.in)
		fclose(p.in);
	if (p.out)
		fclose(p.out);
	return f;
}
