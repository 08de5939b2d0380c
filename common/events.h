/* common/events.h - what happened to each message, login and device, as records.
 * One call per happening: event_emit(ctx, EVENT_SMTP_ACCEPT, KV_..., ...). It feeds the log, at level
 * info, and where one is started the event store (trace, stats). The
 * difference to log_info(): events are a fixed vocabulary with documented fields on which tools may
 * rely, listed once in the table below. Any thread. */
#ifndef COMMON_EVENTS_H
#define COMMON_EVENTS_H

#include "common/log.h"

/* identifier, name in the log, what happened, fields a reader may rely on (the session's sid and
 * peer always) */
#define EVENT_TABLE(X)                                                                             \
	X(EVENT_SESSION_OPEN, "session.open", "A peer connected.", "listener protocol tls")        \
	X(EVENT_SESSION_CLOSE, "session.close", "A connection ended.",                             \
	  "protocol user reason commands in_octets out_octets took_ms")                            \
	X(EVENT_SESSION_REFUSED, "session.refused",                                                \
	  "A connection was turned away before it began.", "listener protocol reason")             \
	X(EVENT_TLS_DONE, "tls.done", "A TLS handshake ended well.",                               \
	  "protocol version cipher sni resumed took_ms")                                           \
	X(EVENT_TLS_FAILED, "tls.failed", "A TLS handshake failed.", "protocol reason")            \
	X(EVENT_LOGIN_OK, "login.ok", "Somebody proved who they are.",                             \
	  "protocol user mechanism credential tls")                                                \
	X(EVENT_LOGIN_FAILED, "login.failed",                                                      \
	  "A login was refused; the name is what the peer claimed.",                               \
	  "protocol user mechanism reason tls")                                                    \
	X(EVENT_LOGIN_THROTTLED, "login.throttled",                                                \
	  "A login was not tried: too many failures before it.", "protocol user reason")           \
	X(EVENT_SMTP_ACCEPT, "smtp.accept",                                                        \
	  "A message was taken over: delivered or queued for every recipient.",                    \
	  "queue_id message_id from recipients size listener user tls took_ms results checks")     \
	X(EVENT_SMTP_REJECT, "smtp.reject", "A message or a recipient was refused for good.",      \
	  "stage queue_id message_id from to reason check code text listener user results checks") \
	X(EVENT_SMTP_DEFER, "smtp.defer", "A message or a recipient was refused for now.",         \
	  "stage queue_id message_id from to reason check code text listener user results checks") \
	X(EVENT_SMTP_COMPLAINT, "smtp.complaint",                                                  \
	  "A recipient elsewhere complained of mail of ours (ARF, RFC 5965).",                     \
	  "of about type believed message_id fault")                                               \
	X(EVENT_DELIVER_DONE, "deliver.done", "A message is durably in a mailbox.",                \
	  "queue_id message_id to account mailbox uid size")                                       \
	X(EVENT_DELIVER_FAILED, "deliver.failed", "A message could not be put into a mailbox.",    \
	  "queue_id message_id to account mailbox reason")                                         \
	X(EVENT_QUEUE_ADD, "queue.add", "A message is durably in the queue.",                      \
	  "queue_id message_id from recipients size")                                              \
	X(EVENT_QUEUE_REMOVE, "queue.remove", "A message left the queue.",                         \
	  "queue_id outcome reason by")                                                            \
	X(EVENT_QUEUE_NOTICE, "queue.notice", "A sender is told what became of a message.",        \
	  "queue_id notice notice_id to recipients")                                               \
	X(EVENT_RELAY_SENT, "relay.sent", "Another server took a message for a recipient.",        \
	  "queue_id from to remote tls reply age_s")                                               \
	X(EVENT_RELAY_DEFERRED, "relay.deferred",                                                  \
	  "A message could not be sent to a recipient now; it is tried again.",                    \
	  "queue_id from to remote tls reply age_s")                                               \
	X(EVENT_RELAY_FAILED, "relay.failed", "A message cannot be sent to a recipient.",          \
	  "queue_id from to remote tls reply age_s")                                               \
	X(EVENT_MESSAGE_APPEND, "message.append", "A client stored a message.",                    \
	  "user mailbox uid size")                                                                 \
	X(EVENT_MESSAGE_COPY, "message.copy", "Messages were copied between mailboxes.",           \
	  "user mailbox target count uids")                                                        \
	X(EVENT_MESSAGE_MOVE, "message.move", "Messages were moved between mailboxes.",            \
	  "user mailbox target count uids")                                                        \
	X(EVENT_MESSAGE_EXPUNGE, "message.expunge", "Messages were removed for good.",             \
	  "user mailbox count uids by")                                                            \
	X(EVENT_MAILBOX_CREATE, "mailbox.create", "A mailbox was made.", "user mailbox")           \
	X(EVENT_MAILBOX_RENAME, "mailbox.rename", "A mailbox got another name.",                   \
	  "user mailbox target")                                                                   \
	X(EVENT_MAILBOX_DELETE, "mailbox.delete", "A mailbox was removed with its messages.",      \
	  "user mailbox messages")                                                                 \
	X(EVENT_INDEX_REBUILD, "index.rebuild",                                                    \
	  "An account's index was made anew from its files.",                                      \
	  "account reason mailboxes messages took_ms")                                             \
	X(EVENT_ACCOUNT_CHANGE, "account.change",                                                  \
	  "An account, alias or domain was changed by an administrator.", "what name change by")   \
	X(EVENT_WORKER_START, "worker.start", "A worker process is ready.", "worker worker_pid")   \
	X(EVENT_WORKER_END, "worker.end",                                                          \
	  "A worker process ended; the master starts another one after the delay.",                \
	  "worker worker_pid status signal reason delay_ms")                                       \
	X(EVENT_DAEMON_READY, "daemon.ready", "A daemon listens.", "version workers listeners")    \
	X(EVENT_DAEMON_RELOAD, "daemon.reload", "A daemon took over its configuration anew.",      \
	  "changed need_restart")                                                                  \
	X(EVENT_DAEMON_GIVE_WAY, "daemon.give_way", "A daemon accepts no more, since another program takes over.", "workers") \
	X(EVENT_DAEMON_STOP, "daemon.stop", "A daemon ended.", "reason")

enum event {
#define X(id, name, meaning, fields) id,
	EVENT_TABLE(X)
#undef X
	EVENT_COUNT
};

/* A row of the table, for documentation and tools. */
struct event_info {
	const char *name;
	const char *meaning;
	const char *fields;     /* names separated by a space */
};

/** event_info - the row of an event (e < EVENT_COUNT). */
const struct event_info *event_info(enum event e);

/** event_emit(ctx, event, fields...) - record a happening. Fields as for log_info(). */
#define event_emit(ctx, ...) EVENT_AT(ctx, __VA_ARGS__, KV_END)
#define EVENT_AT(ctx, event, ...) \
	event_record((ctx), (event), (const struct log_field[]){ __VA_ARGS__ })

/** event_set_sink - where events go besides the log (common/eventstore.h); NULL: nowhere. Before threads emit. */
typedef void event_sink_fn(enum event e, const struct log_ctx *ctx, const struct log_field *fields);
void event_set_sink(event_sink_fn *sink);

/** event_record - called by event_emit(); @fields ends with KV_END. */
void event_record(const struct log_ctx *ctx, enum event e, const struct log_field *fields);

#endif
