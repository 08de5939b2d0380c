/* imapd/command.h - one command on its way from its arguments to its tagged answer, and the table
 * of all commands.
 *
 * A command is run by steps. A step reads arguments, asks the store, fills at most one chunk of
 * output and says what it needs next. Steps of most commands run as jobs on a pool thread, one at a
 * time; while one runs, the command and its room belong to that thread, and the loop keeps its
 * hands off (imapd/session.c). So no lock is needed, nothing here blocks the loop, and a slow
 * client costs one chunk.
 *
 * What several commands share is a column of the table; a handler starts where its own work starts.
 */
#ifndef IMAPD_COMMAND_H
#define IMAPD_COMMAND_H

#include "common/memory.h"
#include "imapd/args.h"
#include "imapd/capability.h"
#include "imapd/room.h"
#include "imapd/writer.h"

struct command;

enum step {
	STEP_DONE = 0, /* answered: command_ok() and friends were called */
	STEP_MORE,  /* a chunk of output is ready (or a slice of work is done): run me again when it
		     * has  drained */
	STEP_WAIT,  /* for an event: a notice, a line, octets of a literal */
	STEP_CLOSE, /* what is in the output is the last word: end the connection */
};

enum command_state {            /* RFC 3501 §3 */
	ST_AUTH = 1 << 0,
	ST_SELECTED = 1 << 1,
	ST_LOGGED_IN = ST_AUTH | ST_SELECTED,
};

enum command_flag {
	CMD_SEQNUMS = 1 << 0,    /* names messages by number: no EXPUNGE may come before it ran */
	CMD_NO_EXPUNGE = 1 << 1, /* nor in its answer: FETCH, STORE and SEARCH (RFC 3501 §7.4.1) */
	CMD_UID = 1 << 2,        /* names messages by UID, and answers in UIDs (§6.4.8) */
	CMD_FRESH = 1 << 3, /* show what others did before it starts: n:* finds what just came */
	CMD_NO_UPDATES = 1 << 4, /* none behind it either: the mailbox is being left or entered */
	CMD_INLINE = 1 << 5,     /* touches no store: runs on the loop */
	CMD_WRITES = 1 << 6,     /* refused in a mailbox that is open read-only */
	CMD_STREAMS = 1 << 7, /* its literals behind the first argument go to the store (APPEND) */
	CMD_STREAMS_LATER = 1 << 9, /* ... behind the second argument (REPLACE) */
	CMD_METERED = 1 << 8, /* its computing time is bounded (security: searches that blow up) */
};

/* What the loop tells a waiting command. */
enum command_wake {
	WAKE_RUN = 0,          /* first step, or the next one after STEP_MORE */
	WAKE_NOTICE,           /* something changed in the store (IDLE) */
	WAKE_LINE,             /* the client sent a line: ->line */
	WAKE_LITERAL,          /* a streamed literal is announced: ->literal */
	WAKE_OCTETS,           /* the next octets of it: ->octets */
	WAKE_LITERAL_END,
	WAKE_ABORT,            /* the client is gone: release what is held */
};

typedef enum step command_fn(struct command *c);

struct command_spec {
	const char *name;
	unsigned states, flags;
	enum capability capability;
	command_fn *run;
	const char *source;
};

/** command_find - the row of a name in any case, "UID FETCH" with one space. NULL when there is
 * none. */
const struct command_spec *command_find(struct sv name);

enum command_phase { PHASE_FRESH = 0, PHASE_RUN, PHASE_EVENTS, PHASE_UPDATES, PHASE_ANSWER, PHASE_OVER };

struct command {
	const struct command_spec *spec;
	struct room *room;
	const struct log_ctx *log;      /* the session's; copied values that do not change */
	struct sv tag;                  /* owned: the parser's text may move */
	struct sv wire_name;            /* the mailbox that command_mailbox() read last, as it was written */
	struct args args;
	bool is_uid;
	bool has_numbers; /* of messages among its UIDs: as CMD_NO_EXPUNGE (RFC 7162 §3.2.10.2) */
	bool is_close_due; /* end the connection behind the answer (LOGOUT, deleted mailbox) */
	bool is_compress_due;           /* what follows the answer is compressed (RFC 4978) */
	bool is_unauthenticate_due;     /* behind the answer nobody is logged in any more (RFC 8437) */
	bool is_silent; /* not the client's: events that are told when no command runs (RFC 5465) */
	bool is_line_wanted;            /* with STEP_WAIT: the next input is a line */
	bool is_literal_taken; /* answer to WAKE_LITERAL: send the octets; else they are dropped */
	bool is_literal_kept;  /* with is_literal_taken: as an argument, not as a stream */
	enum command_phase phase;
	enum command_wake wake;
	uint64_t known;                 /* MODSEQ up to which the client had been told all when it sent the command */
	struct sv line, octets;         /* borrowed for the step */
	struct grammar_literal literal;
	struct writer out;
	struct arena arena;
	struct answer answer;
	struct buf code; /* response code that was put together: APPENDUID, COPYUID, MODIFIED */
	uint32_t limit_uid;             /* the lowest UID that was worked on, when there were too many (limit.h) */
	void *state;                    /* the handler's own, between steps */
	/* Ends what state holds; NULL when the arena is enough. */
	void (*release)(struct command *c);
	struct imapsieve *events;       /* scripts that are to run behind it; NULL: none (imapd/imapsieve.h) */
	struct lessons *lessons;        /* that are to be written behind it; NULL: none (imapd/training.h) */
	struct keywords *keywords;      /* loaded on demand: room_keywords() */
	uint64_t cpu_ns;                /* spent so far */
	/* RFC 9585: of `goal` messages so many are done. A handler that sets goal answers STEP_MORE between whole
	 * responses only. */
	uint64_t progress, goal;
	uint64_t progress_told_ms;
};

#define COMMAND_CHUNK ((size_t)128 << 10)       /* a step stops filling at this size ... */
#define COMMAND_OUT_MAX ((size_t)64 << 20) /* ... and one response may go beyond it, up to here */
#define COMMAND_ARENA_MAX ((size_t)8 << 20)
#define COMMAND_CODE_MAX ((size_t)1 << 20)

/** command_init - ready for its first step. Everything given but the tag is borrowed until
 *  command_done(). */
void command_init(struct command *c, const struct command_spec *spec, struct sv tag,
		  struct args args, struct room *room, const struct log_ctx *log);
/** command_done - release; a handler that was in the middle is told WAKE_ABORT first. */
void command_done(struct command *c);
/** command_step - one step, up to and including updates and the tagged answer. STEP_DONE:
 * everything is in out. */
enum step command_step(struct command *c);
/** command_cpu_ns - what this thread has used. */
uint64_t command_cpu_ns(void);
/** command_is_full - the chunk is filled: answer STEP_MORE soon. */
static inline bool command_is_full(const struct command *c)
{
	return c->out.buf.len >= COMMAND_CHUNK;
}

/* Endings, for handlers: return one of these. */
enum step command_ok(struct command *c, const char *text);
/** command_ok_code - with a response code, a literal; or what stands in c->code when NULL. */
enum step command_ok_code(struct command *c, const char *code, const char *text);
enum step command_no(struct command *c, const char *code, const char *text);
enum step command_bad(struct command *c, const char *text);
/** command_uid_required - a message number came after ENABLE UIDONLY (RFC 9586 §3). */
enum step command_uid_required(struct command *c);
/** command_fault - worded by answer_for(); logged unless it is the client's own doing. */
enum step command_fault(struct command *c, struct fault f);
/** command_new_state - zeroed memory of the command for the handler's state, in c->state. */
void *command_new_state(struct command *c, size_t size);
/** command_set - resolve a sequence set argument in the view; on a failure the answer is set and
 * false returned. */
bool command_set(struct command *c, struct sv text, struct uidset *out);
/** command_mailbox - the next argument as a mailbox name in UTF-8, in the command's arena; on a
 * failure the answer is set. A trailing delimiter is dropped. */
bool command_mailbox(struct command *c, struct sv *name);
/** command_name - the same for a name that was read already. */
bool command_name(struct command *c, struct sv wire, struct sv *name);
/** command_write_mailbox - a UTF-8 name as this client reads names. */
void command_write_mailbox(struct command *c, struct sv name);

/** command_write_myrights - `* MYRIGHTS name lrs` (RFC 4314 §3.8). */
void command_write_myrights(struct command *c, struct sv name, uint32_t rights);

/* Handlers, by family (imapd/commands/). */
command_fn do_append;
command_fn do_cancelupdate;
command_fn do_capability;
command_fn do_check;
command_fn do_close;
command_fn do_compress;
command_fn do_copy;
command_fn do_create;
command_fn do_delete;
command_fn do_deleteacl;
command_fn do_enable;
command_fn do_esearch;
command_fn do_expunge;
command_fn do_fetch;
command_fn do_getacl;
command_fn do_getmetadata;
command_fn do_getquota;
command_fn do_getquotaroot;
command_fn do_id;
command_fn do_idle;
command_fn do_list;
command_fn do_listrights;
command_fn do_logout;
command_fn do_lsub;
command_fn do_move;
command_fn do_myrights;
command_fn do_namespace;
command_fn do_noop;
command_fn do_notify;
command_fn do_rename;
command_fn do_replace;
command_fn do_search;
command_fn do_select;
command_fn do_setacl;
command_fn do_setmetadata;
command_fn do_sort;
command_fn do_status;
command_fn do_store;
command_fn do_subscribe;
command_fn do_thread;
command_fn do_uid_expunge;
command_fn do_uidbatches;
command_fn do_unauthenticate;
command_fn do_unselect;
command_fn do_unsubscribe;

#endif
