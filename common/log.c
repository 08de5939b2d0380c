#include "common/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/process.h"

#include "common/banned.h"

static _Atomic int level_now = LOG_LEVEL_INFO;
static const char *daemon_name = "postroom";
static bool under_journald;     /* set before threads start */
static int log_fd = STDERR_FILENO;

/* The names of the levels and their syslog priorities (RFC 5424 §6.2.1), which journald reads as
 * "<3>". */
static const struct {
	const char *name;
	struct sv journal_prefix;
} levels[] = {
	[LOG_LEVEL_ERROR] = { "error", { "<3>", 3 } },
	[LOG_LEVEL_WARN] = { "warn", { "<4>", 3 } },
	[LOG_LEVEL_INFO] = { "info", { "<6>", 3 } },
	[LOG_LEVEL_DEBUG] = { "debug", { "<7>", 3 } },
};

/* ---- a line ---- */

/* On the stack and of fixed size: a full disk or a host without memory can still be logged. */
struct line {
	char text[LOG_LINE_MAX];
	size_t len, max;
	bool full;              /* something did not fit */
};

static void put(struct line *line, struct sv s)
{
	if (s.len > line->max - line->len) {
		line->full = true;
		return;
	}
	if (s.len)
		memcpy(line->text + line->len, s.p, s.len);
	line->len += s.len;
}

static void put_number(struct line *line, uint64_t n, int width)
{
	char digits[20];
	size_t at = sizeof(digits);

	for (; n || at == sizeof(digits) || width > 0; n /= 10, width--)
		digits[--at] = (char)('0' + n % 10);
	put(line, sv_from(digits + at, sizeof(digits) - at));
}

/* ---- values ---- */

/* Length of the printable UTF-8 character at the start of s, 0 when there is none. */
static size_t printable_utf8(struct sv s)
{
	unsigned char c = (unsigned char)s.p[0];
	size_t n = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : 2;
	uint32_t cp = c & (0xffu >> (n + 1));

	if (c < 0xc2 || n > s.len || !sv_is_utf8(sv_sub(s, 0, n)))
		return 0;
	for (size_t i = 1; i < n; i++)
		cp = cp << 6 | ((unsigned char)s.p[i] & 0x3f);
	/* C1 controls, and what changes the direction or the look of the text around it. */
	if (cp < 0xa0 || cp == 0xad || cp == 0x61c || (cp >= 0x200b && cp <= 0x200f) ||
	    (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2060 && cp <= 0x206f) ||
	    (cp >= 0xe000 && cp <= 0xf8ff) || cp == 0xfeff || (cp >= 0xfff0 && cp <= 0xffff) ||
	    cp >= 0xe0000)
		return 0;
	return n;
}

static bool needs_quotes(struct sv s)
{
	if (!s.len)
		return true;
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.p[i];

		if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
			return true;
	}
	return false;
}

static void put_escaped(struct line *line, struct sv s)
{
	static const char hex[] = "0123456789abcdef";
	size_t used = 0, mark = line->len;      /* where "..." goes should the value be too long */

	while (s.len) {
		char text[4];
		size_t out_len = 1, in_len = 1;
		unsigned char c = (unsigned char)s.p[0];

		if (c == '"' || c == '\\') {
			text[0] = '\\';
			text[1] = (char)c;
			out_len = 2;
		} else if (c >= ' ' && c < 0x7f) {
			text[0] = (char)c;
		} else if ((in_len = printable_utf8(s))) {
			memcpy(text, s.p, in_len);
			out_len = in_len;
		} else {
			in_len = 1;
			text[0] = '\\';
			text[1] = 'x';
			text[2] = hex[c >> 4];
			text[3] = hex[c & 15];
			out_len = 4;
		}
		if (used + out_len > LOG_FIELD_MAX) {
			line->len = mark;
			put(line, SV("..."));
			return;
		}
		put(line, sv_from(text, out_len));
		used += out_len;
		if (used <= LOG_FIELD_MAX - 3)
			mark = line->len;
		sv_skip(&s, in_len);
	}
}

static void put_value(struct line *line, struct sv s)
{
	bool quotes = needs_quotes(s);

	if (quotes)
		put(line, SV("\""));
	put_escaped(line, s);
	if (quotes)
		put(line, SV("\""));
}

static void put_name(struct line *line, const char *name, const char *suffix)
{
	put(line, SV(" "));
	put(line, sv_z(name));
	put(line, sv_z(suffix));
	put(line, SV("="));
}

static void put_field(struct line *line, const struct log_field *field)
{
	put_name(line, field->name, "");
	switch (field->type) {
	case LOG_T_SV:
		put_value(line, field->v.sv);
		break;
	case LOG_T_U64:
		put_number(line, field->v.u64, 1);
		break;
	case LOG_T_I64:
		if (field->v.i64 < 0)
			put(line, SV("-"));
		put_number(line,
			   field->v.i64 < 0 ? -(uint64_t)field->v.i64 : (uint64_t)field->v.i64, 1);
		break;
	case LOG_T_BOOL:
		put(line, field->v.yes ? SV("yes") : SV("no"));
		break;
	case LOG_T_FAULT:
		put(line, sv_z(fault_name(field->v.fault.kind)));
		if (field->v.fault.detail) {
			put_name(line, field->name, "_detail");
			put_value(line, sv_z(field->v.fault.detail));
		}
		break;
	case LOG_T_END:
		break;
	}
}

/* A field that does not fit is left out whole, and the line says so. */
static void put_fields(struct line *line, const struct log_ctx *ctx, const char *event,
                       const struct log_field *fields)
{
	const struct sv cut = SV(" cut=yes");

	line->max = sizeof(line->text) - cut.len - 1;
	if (ctx && ctx->sid[0]) {
		put_name(line, "sid", "");
		put(line, sv_z(ctx->sid));
	}
	if (ctx && ctx->peer[0]) {
		put_name(line, "peer", "");
		put(line, sv_z(ctx->peer));
	}
	put_name(line, "event", "");
	put(line, sv_z(event));
	for (; !line->full && fields->type != LOG_T_END; fields++) {
		size_t before = line->len;

		put_field(line, fields);
		if (line->full)
			line->len = before;
	}
	line->max = sizeof(line->text);
	if (line->full)
		put(line, cut);
	put(line, SV("\n"));
}

static void put_level(struct line *line, enum log_level level)
{
	put(line, SV("level="));
	put(line, sv_z(levels[level].name));
	put(line, SV(" daemon="));
	put(line, sv_z(daemon_name));
}

void log_format(struct buf *out, enum log_level level, const struct log_ctx *ctx, const char *event,
                const struct log_field *fields)
{
	struct line line = { .max = LOG_LINE_MAX };

	put_level(&line, level);
	put_fields(&line, ctx, event, fields);
	(void)buf_append(out, sv_from(line.text, line.len));
}

/* RFC 3339, UTC, milliseconds. */
static void put_time(struct line *line)
{
	struct timespec now;
	struct tm tm;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	put(line, SV("ts="));
	put_number(line, (uint64_t)tm.tm_year + 1900, 4);
	put(line, SV("-"));
	put_number(line, (uint64_t)tm.tm_mon + 1, 2);
	put(line, SV("-"));
	put_number(line, (uint64_t)tm.tm_mday, 2);
	put(line, SV("T"));
	put_number(line, (uint64_t)tm.tm_hour, 2);
	put(line, SV(":"));
	put_number(line, (uint64_t)tm.tm_min, 2);
	put(line, SV(":"));
	put_number(line, (uint64_t)tm.tm_sec, 2);
	put(line, SV("."));
	put_number(line, (uint64_t)now.tv_nsec / 1000000, 3);
	put(line, SV("Z "));
}

bool log_wants(enum log_level level)
{
	return (int)level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

void log_write(enum log_level level, const struct log_ctx *ctx, const char *event,
               const struct log_field *fields)
{
	struct line line;
	int saved_errno = errno;

	line.len = 0;
	line.max = sizeof(line.text);
	line.full = false;
	if (under_journald)
		put(&line, levels[level].journal_prefix);
	else
		put_time(&line);
	put_level(&line, level);
	put(&line, SV(" pid="));
	put_number(&line, (uint64_t)process_id(), 1);
	put_fields(&line, ctx, event, fields);
	/* A log that cannot be written must not stop the mail; there is nobody left to tell. */
	while (write(log_fd, line.text, line.len) < 0 && errno == EINTR)
		;
	errno = saved_errno;
}

/* ---- where to, and how much ---- */

void log_start(const char *daemon)
{
	const char *journal = getenv("JOURNAL_STREAM");
	struct stat st;
	unsigned long long dev, ino;
	char end;

	daemon_name = daemon;
	/* systemd.exec(5): device and inode of the stream, so that a redirected stderr is noticed.
	 */
	under_journald = journal && fstat(STDERR_FILENO, &st) == 0 &&
	                 sscanf(journal, "%llu:%llu%c", &dev, &ino, &end) == 2 &&
	                 dev == st.st_dev && ino == st.st_ino;
}

void log_set_level(enum log_level level)
{
	atomic_store(&level_now, (int)level);
}

void log_set_fd(int fd)
{
	log_fd = fd;
}

struct fault log_set_file(const char *path)
{
	struct fault f = FAULT_OK;
	int fd;

	if (!path || !path[0])
		return FAULT_OK;
	fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0640);
	if (fd < 0)
		return fault_errno("open log", path);
	/* In one step: a thread that writes meanwhile writes to the old file or to the new one. */
	if (dup2(fd, STDERR_FILENO) < 0)
		f = fault_errno("dup", path);
	else
		under_journald = false;
	close(fd);
	return f;
}

void log_ctx_init(struct log_ctx *ctx)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char random[4] = { 0 };

	*ctx = (struct log_ctx){ .peer = "" };
	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random))
		BUG("getrandom: errno %d", errno);
	for (size_t i = 0; i < sizeof(random); i++) {
		ctx->sid[2 * i] = hex[random[i] >> 4];
		ctx->sid[2 * i + 1] = hex[random[i] & 15];
	}
}

void log_ctx_set_peer(struct log_ctx *ctx, struct sv peer)
{
	size_t n = 0;

	/* An address has no other characters; anything else would be somebody's text in the log. */
	for (; n < peer.len && n < sizeof(ctx->peer) - 1; n++) {
		char c = peer.p[n];

		if (!ascii_is_digit(c) && !ascii_is_alpha(c) && c != '.' && c != ':' && c != '%' &&
		    c != '/')
			break;
		ctx->peer[n] = c;
	}
	ctx->peer[n] = '\0';
}
