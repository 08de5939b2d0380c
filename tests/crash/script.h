/* tests/crash/script.h - operations a worker process does, and its journal: what was begun, what was answered.
 * Lies in shared memory; the worker writes the journal's part, whoever survives reads it. */
#ifndef CRASH_SCRIPT_H
#define CRASH_SCRIPT_H

#include "common/fault.h"
#include "tests/crash/seen.h"

#define OP_MESSAGES 64
#define SCRIPT_OPS 400

enum op_kind {
	OP_NONE = 0,
	OP_DELIVER,             /* ident[0] into INBOX of the first `count` accounts, one call */
	OP_APPEND,              /* ident[0..count) to box */
	OP_STORE,               /* these flags and keywords, replacing */
	OP_COPY, OP_MOVE,       /* from box to `to` */
	OP_EXPUNGE,
	OP_CREATE, OP_DELETE,   /* box */
	OP_RENAME,              /* box to `to`; INBOX too */
	OP_SUBSCRIBE,
	OP_REBUILD,             /* the account of box */
	OP_TIDY,                /* names follow the flag log */
	OP_REOPEN,              /* close the store, which sweeps marks, and open it again */
	OP_EXPIRE,              /* retention empties Bin of the account: ident[0..count) is all of it */
	OP_PACK,                /* the account's message files are packed; with flags 0 unpacked */
};

enum op_state { STATE_PLANNED = 0, STATE_BEGUN, STATE_DONE };

struct op {
	enum op_kind kind;
	char box[BOX_NAME], to[BOX_NAME];
	uint32_t count, ident[OP_MESSAGES];
	uint32_t flags;
	uint64_t keywords;

	/* The journal. */
	volatile enum op_state state;
	enum fault_kind fault;
	char detail[160];
	uint32_t uid[OP_MESSAGES];      /* of APPEND, COPY, MOVE by message; of DELIVER by account */
	uint64_t modseq;                /* HIGHESTMODSEQ of box told afterwards, 0: not asked */
	int64_t done_ms;
};

struct script {
	unsigned count;
	volatile unsigned done;
	bool asks_modseq;
	struct op ops[SCRIPT_OPS];
};

extern const char *const op_names[];

/** script_add - another operation, zeroed. */
struct op *script_add(struct script *s, enum op_kind kind, const char *box);
/** script_run - do it all, keeping the journal; before: what was there when it was planned. */
void script_run(struct script *s, const char *root, const struct snapshot *before, bool close_at_end);
/** now_ms - the monotonic clock. */
int64_t now_ms(void);

#endif
