#include "imapd/training_send.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "common/memory.h"

#include "common/banned.h"

#define STEP_S 10               /* for connecting, and for each read and write */
#define PIECE ((size_t)64 << 10)
#define HEADER_MAX 1024

/* ---- the answer ---- */

bool training_parse_answer(struct sv octets, struct training_answer *out)
{
	static const struct sv version = SV_INIT("HTTP/1.");
	struct sv code = sv_sub(octets, version.len + 2, 3);
	size_t end = sv_search(octets, SV("\r\n\r\n")), n = 0;
	struct sv text = end == SIZE_MAX ? SV_NONE : sv_sub(octets, end + 4, SIZE_MAX);

	*out = (struct training_answer){ 0 };
	if (!sv_starts(octets, version) || sv_find(octets, '\n') == SIZE_MAX || octets.p[version.len + 1] != ' ' || code.len != 3 ||
	    !sv_to_u32(code, &out->status) || out->status < 100)
		return false;
	for (size_t i = 0; i < text.len && n + 1 < sizeof(out->text); i++)
		if (text.p[i] >= ' ' && text.p[i] <= '~')
			out->text[n++] = text.p[i];
	return true;
}

static struct fault read_answer(int sock, struct training_answer *out)
{
	char octets[TRAINING_ANSWER_MAX];
	size_t len = 0;

	while (len < sizeof(octets)) {
		ssize_t n = recv(sock, octets + len, sizeof(octets) - len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)             /* the end, or no more in time */
			break;
		len += (size_t)n;
	}
	return training_parse_answer(sv_from(octets, len), out) ? FAULT_OK : fault(FAULT_UNAVAILABLE, "the spam filter gave no answer");
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

static struct fault send_file(int sock, int fd, uint64_t from, uint64_t size)
{
	char *piece = xmalloc(PIECE);
	struct fault f = FAULT_OK;

	while (!f.kind && from < size) {
		ssize_t n = pread(fd, piece, PIECE, (off_t)from);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			f = n ? fault_errno("read", "lesson") : fault(FAULT_INTERNAL, "lesson is cut");
		else
			f = send_all(sock, sv_from(piece, (size_t)n));
		from += n > 0 ? (uint64_t)n : 0;
	}
	free(piece);
	return f;
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
	(void)buf_appendf(&header, "POST /%s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: Postroom\r\nConnection: close\r\nContent-Length: %llu\r\nRcpt: ",
			  is_spam ? "learnspam" : "learnham", SV_FMT(netaddr_text_port(place, name)),
			  (unsigned long long)((uint64_t)st.st_size - from));
	append_printable(&header, account);
	f = buf_append(&header, SV("\r\n\r\n")) ? send_all(sock, buf_sv(&header)) : fault(FAULT_INTERNAL, "header too long");
	if (!f.kind)
		f = send_file(sock, fd, from, (uint64_t)st.st_size);
	/* Who refuses may answer before all was sent. */
	if (!f.kind || f.kind == FAULT_UNAVAILABLE) {
		struct fault answer = read_answer(sock, out);

		f = f.kind && answer.kind ? f : answer;
	}
	close(sock);
	buf_done(&header);
	return f;
}
