#include "imapd/training_send.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/file_pieces.h"

#include "common/banned.h"

#define STEP_S 10               /* for connecting, and for each read and write */
#define HEADER_MAX 1024

/* ---- the answer ---- */

bool training_take(const struct http_answer *a, struct training_answer *out)
{
	size_t n = 0;

	*out = (struct training_answer){ .status = a->status };
	for (size_t i = 0; i < a->body.len && n + 1 < sizeof(out->text); i++)
		if (a->body.p[i] >= ' ' && a->body.p[i] <= '~')
			out->text[n++] = a->body.p[i];
	return out->status != 0;
}

static struct fault read_answer(int sock, struct training_answer *out)
{
	char octets[TRAINING_ANSWER_MAX];
	struct http_answer answer;
	enum feed feed = FEED_MORE;
	size_t left = TRAINING_ANSWER_MAX;

	http_answer_init(&answer, TRAINING_ANSWER_MAX);
	while (feed == FEED_MORE && left) {
		ssize_t n = recv(sock, octets, left, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)             /* the end, or no more in time */
			break;
		feed = http_answer_feed(&answer, sv_from(octets, (size_t)n));
		left -= (size_t)n;
	}
	bool ok = training_take(&answer, out);

	http_answer_done(&answer);
	return ok ? FAULT_OK : fault(FAULT_UNAVAILABLE, "the spam filter gave no answer");
}

/* ---- asking ---- */

static struct fault open_connection(const struct netaddr *place, int *out)
{
	struct timeval patience = { .tv_sec = STEP_S };
	union netaddr_name at;
	socklen_t len = netaddr_to(place, &at);
	int sock = socket(at.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct fault f = FAULT_OK;

	if (sock < 0)
		return fault_errno("socket", "spam-training");
	if (setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)))
		f = fault_errno("setsockopt", "spam-training");
	else if (connect(sock, &at.sa, len))
		f = fault_detail(FAULT_UNAVAILABLE, "%s", errno == EINPROGRESS ? "no connection in time" : strerror(errno));
	if (f.kind)
		close(sock);
	else
		*out = sock;
	return f;
}

static struct fault send_all(int sock, struct sv octets)
{
	while (octets.len) {
		ssize_t n = send(sock, octets.p, octets.len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return fault(FAULT_UNAVAILABLE, "the spam filter does not read");
		sv_skip(&octets, (size_t)n);
	}
	return FAULT_OK;
}

static struct fault send_piece(void *sock, struct sv octets)
{
	return send_all(*(int *)sock, octets);
}

static void append_printable(struct buf *out, struct sv text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] > ' ' && text.p[i] <= '~')
			(void)buf_append_c(out, text.p[i]);
}

struct fault training_post(const struct netaddr *place, bool is_spam, struct sv account, int fd, uint64_t from,
			   struct training_answer *out)
{
	char name[NETADDR_TEXT_MAX];
	struct buf header;
	struct stat st;
	int sock = -1;
	struct fault f;

	if (fstat(fd, &st) || (uint64_t)st.st_size < from)
		return fault(FAULT_INTERNAL, "lesson is cut");
	f = open_connection(place, &sock);
	if (f.kind)
		return f;
	buf_init(&header, HEADER_MAX);
	(void)buf_appendf(&header, "POST /%s HTTP/1.0\r\nHost: %.*s\r\nUser-Agent: Postroom\r\nContent-Length: %llu\r\nRcpt: ",
			  is_spam ? "learnspam" : "learnham", SV_FMT(netaddr_text_port(place, name)),
			  (unsigned long long)((uint64_t)st.st_size - from));
	append_printable(&header, account);
	f = buf_append(&header, SV("\r\n\r\n")) ? send_all(sock, buf_sv(&header)) : fault(FAULT_INTERNAL, "header too long");
	if (!f.kind)
		f = file_pieces_each(fd, from, (uint64_t)st.st_size, send_piece, &sock);
	/* Who refuses may answer before all was sent. */
	if (!f.kind || f.kind == FAULT_UNAVAILABLE) {
		struct fault answer = read_answer(sock, out);

		f = f.kind && answer.kind ? f : answer;
	}
	close(sock);
	buf_done(&header);
	return f;
}
