#include "common/handover.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/memory.h"

#include "common/banned.h"

#define END_VARIABLE "POSTROOM_PARENT_FD"
#define SOCKETS_VARIABLE "POSTROOM_LISTENERS"

/* Control data of a message with all sockets, aligned as the kernel wants it. */
union room {
	struct cmsghdr head;
	char octets[CMSG_SPACE(HANDOVER_MAX * sizeof(int))];
};

struct fault handover_pair(int ends[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
		return fault_errno("socketpair", "handover");
	fcntl(ends[0], F_SETFL, fcntl(ends[0], F_GETFL) | O_NONBLOCK);
	return FAULT_OK;
}

void handover_offer(int end, const int *sockets, size_t count)
{
	struct buf text;

	buf_init(&text, HANDOVER_MAX * 12);
	if (buf_appendf(&text, "%d", end) && buf_z(&text))
		setenv(END_VARIABLE, buf_z(&text), 1);
	buf_clear(&text);
	for (size_t i = 0; i < count; i++)
		if (!buf_appendf(&text, "%s%d", i ? " " : "", sockets[i]))
			break;
	if (count && buf_z(&text))
		setenv(SOCKETS_VARIABLE, buf_z(&text), 1);
	else
		unsetenv(SOCKETS_VARIABLE);
	buf_done(&text);
}

enum handover handover_receive(int end, int sockets[HANDOVER_MAX], size_t *count)
{
	union room room;
	char octet = 0;
	struct iovec text = { &octet, 1 };
	struct msghdr message = { .msg_iov = &text, .msg_iovlen = 1, .msg_control = room.octets, .msg_controllen = sizeof(room.octets) };
	ssize_t n = recvmsg(end, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

	*count = 0;
	for (struct cmsghdr *c = n > 0 ? CMSG_FIRSTHDR(&message) : NULL; c; c = CMSG_NXTHDR(&message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		*count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		memcpy(sockets, CMSG_DATA(c), *count * sizeof(int));
	}
	return n == 1 && (octet == HANDOVER_READY || octet == HANDOVER_GONE) ? (enum handover)octet : HANDOVER_NONE;
}

int handover_take(void)
{
	const char *text = getenv(END_VARIABLE);
	uint32_t fd;

	if (!text || !sv_to_u32(sv_z(text), &fd) || fd > INT_MAX || fcntl((int)fd, F_SETFD, FD_CLOEXEC) != 0)
		return -1;
	unsetenv(END_VARIABLE);
	return (int)fd;
}

void handover_tell(int end, enum handover what, const int *sockets, size_t count)
{
	union room room = { .octets = { 0 } };
	char octet = (char)what;
	struct iovec text = { &octet, 1 };
	struct msghdr message = { .msg_iov = &text, .msg_iovlen = 1 };

	if (end < 0)
		return;
	if (count > HANDOVER_MAX)
		count = HANDOVER_MAX;
	if (count) {
		message.msg_control = room.octets;
		message.msg_controllen = CMSG_SPACE(count * sizeof(int));
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);

		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), sockets, count * sizeof(int));
	}
	(void)!sendmsg(end, &message, MSG_NOSIGNAL);
}

size_t handover_sockets(int out[HANDOVER_MAX])
{
	const char *variable = getenv(SOCKETS_VARIABLE);
	struct sv rest = variable ? sv_z(variable) : SV_NONE, word;
	size_t count = 0;
	uint32_t fd;

	while (count < HANDOVER_MAX && sv_split(&rest, ' ', &word))
		if (sv_to_u32(word, &fd) && fd <= INT_MAX && fcntl((int)fd, F_GETFD) >= 0)
			out[count++] = (int)fd;
	unsetenv(SOCKETS_VARIABLE);
	return count;
}
