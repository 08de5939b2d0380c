/* common/shared.h - memory that every process of an instance maps: a file of fixed size in ROOT/run, made anew when the machine was
 * started since, or the program that made it was of another version.
 *
 * It begins with a struct shared_head, whose lock is robust: whoever dies while he has it leaves it to the next one. So its content must
 * be good at every moment, or be told from what is not. Any thread, any process. */
#ifndef COMMON_SHARED_H
#define COMMON_SHARED_H

#include <pthread.h>

#include "common/bytes.h"
#include "common/fault.h"

#define SHARED_BOOT_LEN 40

struct shared_head {
	uint64_t magic, size;
	char boot[SHARED_BOOT_LEN];
	pthread_mutex_t lock;           /* of any process */
};

/* What lies in the memory: a constant. */
struct shared_kind {
	uint64_t magic;                 /* names the layout, with its version */
	size_t size;
	/* Optional: fill in what is not zero, behind the head. Nobody else sees the memory yet. */
	void (*begin)(void *memory);
};

/** shared_new - memory of this process alone. shared_free() ends it. */
void *shared_new(const struct shared_kind *kind);
/**
 * shared_open - the memory of all.
 * @create: a daemon: make it when it is missing or not good any more. Without, FAULT_NOT_FOUND. The disk space is taken at once: FAULT_NO_SPACE.
 * @fd:     if not NULL: the open file, which is the caller's; for locks of octets
 */
MUST_CHECK struct fault shared_open(const struct shared_kind *kind, const char *path, bool create, void **out, int *fd);
void shared_free(const struct shared_kind *kind, void **memory);

/** shared_boot_id - which boot of the machine this is, as text; empty when that cannot be told. */
void shared_boot_id(char out[SHARED_BOOT_LEN]);

/** shared_take - have the lock. False after wait_ms: somebody is stopped while he holds it. */
bool shared_take(struct shared_head *head, uint32_t wait_ms);
void shared_give(struct shared_head *head);

#endif
