#include "admin/dialogue.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/lines.h"

#include "common/banned.h"

#define ANSWER_S 600            /* RFC 5321 §4.5.3.2.6: ten minutes for the answer to a message */
#define REPLY_LINE 1024
#define REPLY_MAX 16384

static struct fault hung_up(struct dialogue *d)
{
	d->code = 0;
	return fault(FAULT_UNAVAILABLE, "smtpd does not answer");
}

/* read_reply - all its lines. */
static struct fault read_reply(struct dialogue *d)
{
	char line[REPLY_LINE];
	uint32_t n;

	buf_clear(&d->text);
	do {
		struct sv rest;

		if (!fgets(line, sizeof(line), d->in))
			return hung_up(d);
		rest = sv_trim(sv_z(line));
		if (rest.len < 3 || !sv_to_u32(sv_sub(rest, 0, 3), &n) ||
		    !buf_append(&d->text, sv_sub(rest, 4, SIZE_MAX)) || !buf_append_c(&d->text, '\n'))
			return hung_up(d);
	} while (line[3] == '-');
	d->code = n;
	if (n < 400)
		return FAULT_OK;
	return fault_detail(n < 500 ? FAULT_UNAVAILABLE : FAULT_DENIED, "%u %.*s", n,
			    SV_FMT(sv_sub(buf_sv(&d->text), 0, sv_find(buf_sv(&d->text), '\n'))));
}

static struct fault connect_to(struct dialogue *d, const char *path)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = ANSWER_S };
	int fd, again;

	if (snprintf(at.sun_path, sizeof(at.sun_path), "%s", path) >= (int)sizeof(at.sun_path))
		return fault_detail(FAULT_LIMIT, "%s is too long for a socket's name", path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return fault_errno("socket", path);
	if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (const struct sockaddr *)&at, sizeof(at))) {
		enum fault_kind kind = errno == EACCES || errno == EPERM ? FAULT_DENIED : FAULT_UNAVAILABLE;
		struct fault f = fault_detail(kind, "%s: %s", path, strerrordesc_np(errno));

		close(fd);
		return f;
	}
	again = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	d->in = fdopen(fd, "r");
	d->out = again >= 0 ? fdopen(again, "w") : NULL;
	if (!d->in)
		close(fd);
	if (!d->out && again >= 0)
		close(again);
	return d->in && d->out ? FAULT_OK : fault_errno("open", path);
}

struct fault dialogue_open(struct dialogue *d, const char *path)
{
	struct fault f;

	*d = (struct dialogue){ .in = NULL };
	buf_init(&d->text, REPLY_MAX);
	f = connect_to(d, path);
	return f.kind ? f : read_reply(d);
}

struct fault dialogue_ask(struct dialogue *d, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	vfprintf(d->out, format, ap);
	va_end(ap);
	fputs("\r\n", d->out);
	return fflush(d->out) ? hung_up(d) : read_reply(d);
}

static bool to_file(void *ctx, struct sv run)
{
	return fwrite(run.p, 1, run.len, ctx) == run.len;
}

struct fault dialogue_octets(struct dialogue *d, struct sv header, int file, off_t at)
{
	struct dot_writer dots = { .is_full = false };
	bool fits = dot_writer_feed(&dots, header, to_file, d->out);
	char piece[16384];

	while (fits) {
		ssize_t n = pread(file, piece, sizeof(piece), at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return fault_errno("read", "message");
		if (!n)
			break;
		fits = dot_writer_feed(&dots, sv_from(piece, (size_t)n), to_file, d->out);
		at += n;
	}
	if (!fits || !dot_writer_end(&dots, to_file, d->out) || fflush(d->out))
		return hung_up(d);
	return read_reply(d);
}

void dialogue_close(struct dialogue *d)
{
	if (d->out) {
		if (d->code)
			fputs("QUIT\r\n", d->out);
		fclose(d->out);
	}
	if (d->in)
		fclose(d->in);
	buf_done(&d->text);
	*d = (struct dialogue){ .in = NULL };
}
