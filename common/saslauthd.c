#include "common/saslauthd.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/memory.h"

#include "common/banned.h"

#define WORDS_LOGGED 80

struct saslauthd {
	struct sockaddr_un at;
	char *service;
	uint64_t timeout_ms;
	struct elsewhere_pause pause;
};

/* ---- the protocol ---- */

static bool write_text(struct sv text, struct buf *out)
{
	return text.len <= UINT16_MAX && sv_find(text, '\0') == SIZE_MAX && buf_append_c(out, (char)(text.len >> 8)) &&
	       buf_append_c(out, (char)(text.len & 0xff)) && buf_append(out, text);
}

bool saslauthd_write_request(struct sv address, struct sv password, struct sv service, struct buf *out)
{
	size_t at = sv_rfind(address, '@');
	struct sv name = at == SIZE_MAX ? address : sv_sub(address, 0, at);
	struct sv domain = at == SIZE_MAX ? SV_NONE : sv_sub(address, at + 1, address.len);

	return write_text(name, out) && write_text(password, out) && write_text(service, out) && write_text(domain, out);
}

/* What saslauthd says when it could not ask: Cyrus SASL 2.1.28, saslauthd/auth_*.c. */
static bool is_its_own_trouble(struct sv words)
{
	static const struct sv troubles[] = {
		SV_INIT("saslauthd internal error"), SV_INIT("internal mechanism failure"), SV_INIT("PAM start error"),
		SV_INIT("[ALERT] "), SV_INIT("Username lookup failure"), SV_INIT("Username shadow lookup failure"),
		SV_INIT("Insufficient permission"), SV_INIT("saslauthd principal name error"),
	};

	for (size_t i = 0; i < ARRAY_LEN(troubles); i++)
		if (sv_starts(words, troubles[i]))
			return true;
	return false;
}

/* take_text - the text behind the length. False: it is not all there, or there is more. */
static bool take_text(struct sv octets, struct sv *text)
{
	if (octets.len < 2)
		return false;
	*text = sv_sub(octets, 2, octets.len);
	return text->len == ((size_t)(unsigned char)octets.p[0] << 8 | (unsigned char)octets.p[1]);
}

enum elsewhere_answer saslauthd_read_reply(struct sv octets)
{
	struct sv text, words;

	if (octets.len > SASLAUTHD_REPLY_MAX || !take_text(octets, &text) || text.len < 2)
		return ELSEWHERE_UNKNOWN;
	words = sv_sub(text, 2, text.len);
	if (words.len && words.p[0] != ' ' && words.p[0] != '\0')
		return ELSEWHERE_UNKNOWN;
	if (sv_starts(text, SV("OK")))
		return ELSEWHERE_RIGHT;
	if (!sv_starts(text, SV("NO")) || is_its_own_trouble(sv_trim(words)))
		return ELSEWHERE_UNKNOWN;
	return ELSEWHERE_WRONG;
}

/* ---- opening ---- */

struct saslauthd *saslauthd_open(const struct conf_auth *conf)
{
	struct saslauthd *s = xcalloc(1, sizeof(*s));

	s->at.sun_family = AF_UNIX;
	/* conf.c has looked at its length */
	memcpy(s->at.sun_path, conf->saslauthd_socket, strnlen(conf->saslauthd_socket, sizeof(s->at.sun_path) - 1));
	s->service = xstrdup(conf->saslauthd_service);
	s->timeout_ms = conf->saslauthd_timeout_ms;
	return s;
}

void saslauthd_close(struct saslauthd **at)
{
	struct saslauthd *s = *at;

	if (!s)
		return;
	*at = NULL;
	free(s->service);
	free(s);
}

/* ---- asking ---- */

/* wait_for - until it can be read or written; errno says why not. */
static bool wait_for(int fd, short events, uint64_t deadline_ms)
{
	struct pollfd p = { .fd = fd, .events = events };

	for (;;) {
		uint64_t now = clock_ms();
		int n = now < deadline_ms ? poll(&p, 1, (int)(deadline_ms - now)) : 0;

		if (n > 0)
			return true;
		if (n < 0 && errno == EINTR)
			continue;
		errno = n ? errno : ETIMEDOUT;
		return false;
	}
}

static bool send_all(int fd, struct sv octets, uint64_t deadline_ms)
{
	while (octets.len) {
		ssize_t n = send(fd, octets.p, octets.len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n > 0)
			sv_skip(&octets, (size_t)n);
		else if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
		else if (!wait_for(fd, POLLOUT, deadline_ms))
			return false;
	}
	return true;
}

/* is_whole - is all there that the length promises, or more than any reply has? */
static bool is_whole(struct sv octets)
{
	return octets.len > SASLAUTHD_REPLY_MAX ||
	       (octets.len >= 2 && octets.len - 2 >= ((size_t)(unsigned char)octets.p[0] << 8 | (unsigned char)octets.p[1]));
}

/* receive - a whole reply, or what came before the other end hung up. */
static bool receive(int fd, struct buf *reply, uint64_t deadline_ms)
{
	char part[SASLAUTHD_REPLY_MAX + 1];

	while (!is_whole(buf_sv(reply))) {
		ssize_t n;

		if (!wait_for(fd, POLLIN, deadline_ms))
			return false;
		n = recv(fd, part, sizeof(part) - reply->len, MSG_DONTWAIT);
		if (n == 0)
			return true;
		if (n > 0 && !buf_append(reply, sv_from(part, (size_t)n)))
			BUG("a reply of %zu octets", reply->len);
		if (n < 0 && errno != EAGAIN && errno != EINTR)
			return false;
	}
	return true;
}

/* connect_to - a unix socket whose queue is full makes connect() wait, which SO_SNDTIMEO bounds. -1: errno. */
static int connect_to(const struct saslauthd *s)
{
	const struct timeval patience = { .tv_sec = (time_t)(s->timeout_ms / 1000), .tv_usec = (suseconds_t)(s->timeout_ms % 1000 * 1000) };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), e;

	if (fd < 0)
		return -1;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) == 0 &&
	    connect(fd, (const struct sockaddr *)&s->at, sizeof(s->at)) == 0)
		return fd;
	e = errno;
	close(fd);
	errno = e;
	return -1;
}

/* ask - UNKNOWN: *step failed, or the words of the reply are its own trouble. False: nobody answered in time. */
static bool ask(struct saslauthd *s, struct sv request, struct buf *reply, const char **step)
{
	uint64_t deadline_ms = clock_ms() + s->timeout_ms;
	int fd = connect_to(s), e;
	bool is_answered = false;

	*step = "connect";
	if (fd < 0)
		return false;
	*step = "request";
	if (send_all(fd, request, deadline_ms)) {
		*step = "reply";
		is_answered = receive(fd, reply, deadline_ms);
	}
	e = errno;
	close(fd);
	errno = e;
	return is_answered;
}

/* say_why - the words are saslauthd's own; what an octet is that is none of them, the log's writer sees to. */
static void say_why(const struct saslauthd *s, const char *step, bool is_answered, struct sv reply)
{
	if (is_answered)
		log_warn(NULL, "auth.saslauthd.unknown", KV_Z("socket", s->at.sun_path), KV_Z("step", step), KV_U64("octets", reply.len),
			 KV_SV("text", sv_sub(reply, 2, WORDS_LOGGED)));
	else
		log_warn(NULL, "auth.saslauthd.unknown", KV_Z("socket", s->at.sun_path), KV_Z("step", step),
			 KV_FAULT("fault", fault_errno(step, s->at.sun_path)));
}

enum elsewhere_answer saslauthd_check(struct saslauthd *s, struct sv address, struct sv password)
{
	enum elsewhere_answer answer = ELSEWHERE_WRONG;
	const char *step = NULL;
	struct buf request, reply;

	buf_init(&request, SASLAUTHD_REQUEST_MAX);
	buf_init(&reply, SASLAUTHD_REPLY_MAX + 1);
	if (buf_reserve(&request, SASLAUTHD_REQUEST_MAX) && saslauthd_write_request(address, password, sv_z(s->service), &request)) {
		if (elsewhere_is_paused(&s->pause, s->timeout_ms)) {
			buf_wipe(&request);
			return ELSEWHERE_UNKNOWN;
		}
		bool is_answered = ask(s, buf_sv(&request), &reply, &step);

		answer = is_answered ? saslauthd_read_reply(buf_sv(&reply)) : ELSEWHERE_UNKNOWN;
		if (answer == ELSEWHERE_UNKNOWN)
			say_why(s, step, is_answered, buf_sv(&reply));
		/* What it says of one name keeps nobody else out. */
		if (is_answered)
			elsewhere_pause_end(&s->pause);
		else
			elsewhere_pause_begin(&s->pause);
	}
	buf_wipe(&request);
	buf_done(&reply);
	return answer;
}
