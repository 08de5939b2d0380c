/* common/log.h - the log: one finished action is one line of typed fields (logfmt).
 *
 *   ts=2026-11-21T19:12:57.123Z level=info daemon=imapd pid=812 sid=3f9c1a2b peer=192.0.2.7
 * event=imap.append.done mailbox=INBOX uid=7 took_ms=14
 *
 * A line is one write(2) of at most LOG_LINE_MAX octets (PIPE_BUF, so lines of several processes
 * never mix) to standard error, which may be the log file, opened for appending. Under journald the
 * time is left to the journal and the line starts with "<priority>". Untrusted text is safe as a
 * value: it is cut at LOG_FIELD_MAX octets, and whatever is not printable UTF-8 is written as \xNN
 * (CWE-117). Never pass a password, a token or a message body. All functions may be called from any
 * thread; none of them fails, none allocates. */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/bytes.h"
#include "common/fault.h"

enum log_level {
	LOG_LEVEL_ERROR = 0,    /* something is broken and a person should look */
	LOG_LEVEL_WARN,         /* not right, handled */
	LOG_LEVEL_INFO,         /* one finished action */
	LOG_LEVEL_DEBUG,        /* for whoever is looking for a fault */
};

#define LOG_LINE_MAX 4096
#define LOG_FIELD_MAX 512

/* Who a line is about. A plain value inside the session; NULL stands for the process itself. */
struct log_ctx {
	char sid[17];           /* session id: random lower-case hex, "" when there is none */
	char peer[47];          /* numeric address of the peer, "" when there is none */
};

enum log_type { LOG_T_END = 0, LOG_T_SV, LOG_T_U64, LOG_T_I64, LOG_T_BOOL, LOG_T_FAULT };

/* One field. Made by the KV_ macros only; everything in it is borrowed for the call. */
struct log_field {
	const char *name;       /* a literal: [a-z0-9_]+ */
	enum log_type type;
	union {
		struct sv sv;
		uint64_t u64;
		int64_t i64;
		bool yes;
		struct fault fault;
	} v;
};

#define KV_SV(n, s)    ((struct log_field){ .name = (n), .type = LOG_T_SV, .v.sv = (s) })
#define KV_Z(n, z)     ((struct log_field){ .name = (n), .type = LOG_T_SV, .v.sv = sv_z(z) })
#define KV_U64(n, x)   ((struct log_field){ .name = (n), .type = LOG_T_U64, .v.u64 = (x) })
#define KV_I64(n, x)   ((struct log_field){ .name = (n), .type = LOG_T_I64, .v.i64 = (x) })
#define KV_BOOL(n, x)  ((struct log_field){ .name = (n), .type = LOG_T_BOOL, .v.yes = (x) })
/* n=kind and, when there is one, n_detail="what happened" */
#define KV_FAULT(n, f) ((struct log_field){ .name = (n), .type = LOG_T_FAULT, .v.fault = (f) })
#define KV_END         ((struct log_field){ .type = LOG_T_END })

/** log_error, log_warn, log_info, log_debug(ctx, event, fields...)
 *  @ctx:   the session's struct log_ctx, or NULL
 *  @event: dotted name, a literal: "imap.append.done"
 *  Fields are not evaluated when the level is off. */
#define log_error(ctx, ...) LOG_AT(LOG_LEVEL_ERROR, ctx, __VA_ARGS__, KV_END)
#define log_warn(ctx, ...)  LOG_AT(LOG_LEVEL_WARN, ctx, __VA_ARGS__, KV_END)
#define log_info(ctx, ...)  LOG_AT(LOG_LEVEL_INFO, ctx, __VA_ARGS__, KV_END)
#define log_debug(ctx, ...) LOG_AT(LOG_LEVEL_DEBUG, ctx, __VA_ARGS__, KV_END)
#define LOG_AT(level, ctx, event, ...) \
	(log_wants(level) ? \
	 log_write((level), (ctx), (event), (const struct log_field[]){ __VA_ARGS__ }) : (void)0)

/** log_wants - would a line of this level be written? */
bool log_wants(enum log_level level);
/** log_write - write one line. @fields ends with KV_END. Called by the macros. */
void log_write(enum log_level level, const struct log_ctx *ctx, const char *event,
               const struct log_field *fields);
/** log_format - the line log_write would write, newline included, without time and process id; for
 * tests and for the command line. @out should have a max of LOG_LINE_MAX. */
void log_format(struct buf *out, enum log_level level, const struct log_ctx *ctx, const char *event,
                const struct log_field *fields);

/** log_start - set the name that lines of this process carry, and look whether journald reads
 * standard error.
 *  @daemon is borrowed for ever (a literal). */
void log_start(const char *daemon);
/** log_set_level - change the level now, for all threads. */
void log_set_level(enum log_level level);
/** log_set_file - make this file standard error (made 0640 when missing), for us and for the
 * processes we start: they need not open it. NULL or "" changes nothing. On a fault everything
 * stays as it was. */
MUST_CHECK struct fault log_set_file(const char *path);
/** log_set_fd - for a process whose standard error is read by a stranger: lines go to this descriptor
 * instead, which stays open. Before there are threads. */
void log_set_fd(int fd);
/** log_ctx_init - a new random session id, no peer. */
void log_ctx_init(struct log_ctx *ctx);
/** log_ctx_set_peer - note the peer's numeric address (cut to what fits). */
void log_ctx_set_peer(struct log_ctx *ctx, struct sv peer);

#endif
