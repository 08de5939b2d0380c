/* common/control_private.h - what control.c (server), control_pipe.c (lines, relays) and
 * control_ask.c (client) share. */
#ifndef COMMON_CONTROL_PRIVATE_H
#define COMMON_CONTROL_PRIVATE_H

#include <sys/un.h>

#include "common/control.h"

/* Octets around a line when it travels between worker and master. */
#define CONTROL_WRAP_MAX 256

/* Where an answer goes: straight to a client, or wrapped to the master. Linked to its pipe, which
 * may end first. */
struct control_reply {
	struct control_pipe *pipe;              /* NULL: the asker is gone */
	struct control_reply *next, **at;       /* of the pipe */
	struct json_out j;
	struct buf line;
	struct fault failed;                    /* a line was too long */
	bool is_wrapped;                        /* to a master: with id and worker */
	uint64_t id;
	unsigned worker;
	/* Told after the last line, while the asker is there; may free the pipe. */
	void (*finished)(void *arg);
	void *arg;
};

/** control_reply_new - an answer over this pipe. */
struct control_reply *control_reply_new(struct control_pipe *pipe);
/** control_pipe_end_soon - free the pipe once everything was written, at the latest after wait_ms;
 * nobody is told. */
void control_pipe_end_soon(struct control_pipe **pipe, uint32_t wait_ms);
/** control_verb_find - a row by name, or NULL. */
const struct control_verb *control_verb_find(const struct control_verb *verbs, struct sv name);
/** control_fault_from - {"kind":...,"text":...} as a fault. */
struct fault control_fault_from(const struct json *error);

/** control_address - the socket address of a path. A path that is too long is reached through its
 * folder, opened as *dir_fd (else -1), which must stay open until bind() or connect(). */
MUST_CHECK struct fault control_address(const char *path, struct sockaddr_un *out, int *dir_fd);

#endif
