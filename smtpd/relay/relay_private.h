/* smtpd/relay/relay_private.h - what the parts of the relay share: relay.c keeps messages in their
 * order, scan.c finds them, rules.c holds back, notes.c remembers, sender.c is one connection's work, settle.c writes down what became of recipients, leaving.c lets
 * messages go,
 * relay_verbs.c answers the command line. */
#ifndef SMTPD_RELAY_RELAY_PRIVATE_H
#define SMTPD_RELAY_RELAY_PRIVATE_H

#include <stdatomic.h>

#include "common/control.h"
#include "common/directory.h"
#include "common/dns.h"
#include "common/master.h"
#include "common/tls.h"
#include "common/work.h"
#include "smtpd/queue.h"
#include "smtpd/relay/brake.h"
#include "smtpd/relay/schedule.h"
#include "smtpd/relay/smarthost.h"
#include "smtpd/tlspolicy.h"

#define RELAY_RECENT 64

enum relay_note { RELAY_NOTE_PAUSED, RELAY_NOTE_BRAKE, RELAY_NOTE_CLOCK, RELAY_NOTES };
struct note;

struct questions;
struct sender;

struct relay {
	struct worker *worker;
	char *hostname;                 /* as at the start: jobs read it */
	struct loop *loop;
	struct loop_member member;
	struct dns *dns;
	struct tls_client *tls;
	struct tlsreport *report;       /* NULL: switched off */
	struct reporter *dmarc;         /* tells what smtpd's workers noted; NULL: switched off */
	struct webhook *webhook;        /* NULL: nobody is told */
	struct sts *sts;                /* policies of other domains; NULL: switched off */
	char *control;                  /* smtpd's control socket, behind which the fetch helper is */
	struct tlspolicy *tlspolicy;
	struct directory *directory;
	struct queue *queue;
	struct eventstore *events;      /* NULL: it could not be opened */
	struct outbook *outbook;        /* likewise */
	struct brake *brake;
	_Atomic unsigned suppress_after, brake_percent; /* of the configuration: jobs read them */
	_Atomic bool rules_changed;     /* whose mail is held: a job has changed it */
	bool is_ruling;                 /* all messages are compared with the rules */
	struct dkimkeys *keys;          /* notices are signed */
	struct smarthosts *smarthosts;
	struct schedule *schedule;
	struct sender *senders;
	struct questions *questions;    /* of smtpd's workers, to hosts of relay domains */
	struct timer tick;
	struct timer sweep;             /* what is late or too old */
	struct timer forget;            /* rows of what is gone */
	struct timer rescan;            /* a look at all files, when events were missed */
	struct deferred turn;           /* something may be ready */
	struct watch *watch;            /* of queue/msg */
	char (*gone)[QUEUE_ID_LEN + 1]; /* rows to be forgotten */
	size_t gone_count, gone_cap;
	char recent[RELAY_RECENT][QUEUE_ID_LEN + 1];    /* gone just now: their last events come yet */
	size_t recent_at;
	uint64_t scans_left;            /* of the look at start */
	struct look *looks;             /* jobs that read what has come, in no order */
	uint64_t look_count;            /* begun so far: the number of the last one */
	struct asker *askers;           /* who waits for some of them, first come first */
	struct {                        /* what is remembered from run to run (notes.c) */
		bool is_writing;
		struct note *next;      /* the newest that came meanwhile; NULL: none */
	} notes[RELAY_NOTES];
	_Atomic int64_t clock_ms;       /* the queue's time less the one since the boot (clock.h) */
	uint64_t clock_kept_ms;         /* when that was written down */
	uint64_t mending;               /* messages a crash left in the middle */
	uint64_t jobs;                  /* that must end before we do */
	struct op *leaving;             /* whose messages' files are gone, and wait for a flush */
	struct timer leave;             /* the row of jobs was full */
	bool is_flushing;
	uint64_t delivered, deferred, failed;
	bool has_scanned, is_scanning, is_stopping, is_ended;
};

/** relay_now_s - the queue's time: jumps of the host's clock do nothing. Any thread. */
int64_t relay_now_s(const struct relay *r);
/** relay_skew_s - the host's time less the queue's. */
int64_t relay_skew_s(const struct relay *r);
/** relay_shown_s - a time of the queue by the host's clock, for people; 0 is 0. */
int64_t relay_shown_s(const struct relay *r, int64_t at_s);
/** relay_expires_s - when a message is given up. Loop thread. */
int64_t relay_expires_s(const struct relay *r, const struct message *m);
/** relay_set_not_before - not_before_s as the schedule counts. */
void relay_set_not_before(const struct relay *r, struct message *m);
/** relay_turn - look for work in the next turn. */
void relay_turn(struct relay *r);
/** relay_job_ended - one of r->jobs came back: a relay that is stopping may have waited for it. */
void relay_job_ended(struct relay *r);

/* ---- jobs on one message, one after another ---- */

struct op {
	struct work work;
	struct relay *relay;
	struct message *message;
	struct op *next;
	void (*run)(struct op *op);                     /* in a job: has message->spool */
	void (*done)(struct op *op);                    /* on the loop; frees the op */
	struct fault fault;
	bool is_gone;                   /* the message has left the queue */
	bool is_leaving;                /* its file is gone, but for the flush: leaving.c makes it durable before done() */
	const char *gone_as, *gone_by;  /* is_leaving: what the event says then; literals */
	struct op *next_leaving;
	bool is_cancelled;
	bool is_reported;               /* what became of it was counted and logged: not again when the rest is tried again */
	char notices[3][QUEUE_ID_LEN + 1];      /* DSNs that were queued */
	size_t notice_count;
	char detail[256];
	struct timer late;              /* the row of jobs was full: again soon */
};
void relay_op(struct relay *r, struct message *m, struct op *op);
/** relay_op_end - an op whose job has ended: done(), then the next one of its message. */
void relay_op_end(struct op *op, bool is_cancelled);
/** relay_op_take - in a job: see that message->spool is there. */
MUST_CHECK struct fault relay_op_take(struct op *op);

/* ---- leaving.c ---- */

/** relay_leave - an op that is_leaving: relay_op_end() comes when its message cannot come back. Loop thread. */
void relay_leave(struct relay *r, struct op *op);
/** relay_leave_again - when r->leave fires. */
void relay_leave_again(struct timer *t);
/** relay_leave_no_more - the loop ends: those that wait for a flush are cancelled. */
void relay_leave_no_more(struct relay *r);

struct look {
	struct look *next;
	uint64_t number;
};

/* Somebody who asks about the queue. */
struct asker {
	struct asker *next;
	uint64_t number;                /* of the last look that he waits for */
	void (*go)(struct asker *asker);
};
/** relay_when_known - call asker->go when all that had come into the queue at this moment is in the schedule: now, or when the jobs
 * that read it are back. Who was told 250 finds his message in the answer. Loop thread. */
void relay_when_known(struct relay *r, struct asker *asker);

/** relay_found - there is a message of this id: read it and put it into the schedule. */
void relay_found(struct relay *r, const char *id, bool may_be_known);

/* rules.c */
/** relay_is_ruled - in a job: is mail like this held back? */
bool relay_is_ruled(struct relay *r, const struct envelope *e);
/** relay_rule_all - the rules have changed: look at all that waits. */
void relay_rule_all(struct relay *r);
/** relay_note_outcome - in a job, one recipient's: for suppression and the brake. was_asked: another server said so. */
void relay_note_outcome(struct relay *r, const struct envelope *e, const struct envelope_rcpt *to, struct sv reply, struct sv status,
			bool is_sent, bool was_asked);

/** relay_look - at all files: at start, and when events of the watch were missed. */
void relay_look(struct relay *r);
void relay_rescan(struct timer *t);
struct watch_events;
extern const struct watch_events relay_watch_events;

/** relay_give_up - is_expired: its recipients have failed; else senders are told that it is late.
 * @by: the administrator whose word it was, a literal; NULL: its age */
void relay_give_up(struct relay *r, struct message *m, bool is_expired, const char *by);

/* ---- notes.c ---- */

/** relay_keep_paused - write down which destinations are paused: they are after a restart, too. */
void relay_keep_paused(struct relay *r);
void relay_remember_paused(struct relay *r);
/** relay_keep_brake - a stolen account must not begin anew because we did. What a crash takes is the last minute. */
void relay_keep_brake(struct relay *r);
void relay_remember_brake(struct relay *r);
/** relay_keep_clock - the queue's time as it goes now. */
void relay_keep_clock(struct relay *r);
/** relay_mind_clock - with nothing in the queue its time is the host's again; else it is written down now and then. */
void relay_mind_clock(struct relay *r);
void relay_remember_clock(struct relay *r);
void relay_notes_free(struct relay *r);

/* ---- settle.c: jobs only ---- */

struct settlement {
	struct spool_change *changes;
	size_t change_count;
	const uint32_t *deferred;       /* recipients, each with its text */
	const struct sv *deferred_texts;
	size_t deferred_count;
	struct sv remote;               /* "mx.example.net [192.0.2.1]", or empty */
	const char *tls;
	bool is_removal;                /* nobody is told */
	const char *by;                 /* the administrator, or NULL */
	bool is_late;                   /* tell senders that it is late */
	int64_t until_s;
};
/** settle - write down what became of recipients, tell the sender what he must be told, and let the
 * message go when all is done. */
MUST_CHECK struct fault settle(struct op *op, const struct settlement *s);

/** relay_note_gone - the event that a message has left, by op->gone_as and gone_by. */
void relay_note_gone(const struct op *op);

/** destination_of - the key under which a message goes to a recipient (route.h), with "+" before it
 * when the sender requires TLS all the way (REQUIRETLS), or "-" when the message wants to arrive
 * whatever policies say (TLS-Required: No, RFC 8689): these have connections of their own. False:
 * out's max. Blocks. */
MUST_CHECK bool destination_of(struct relay *r, const struct conf *conf, const struct envelope *e,
			       struct sv recipient, struct buf *out);
/** destination_way - the key without that sign. */
static inline const char *destination_way(const char *name)
{
	return *name == '+' || *name == '-' ? name + 1 : name;
}

/* ---- sender.c ---- */

void sender_start(struct relay *r, struct destination *d);
/** sender_stop - let what is under way end; at once when nothing is. */
void sender_stop(struct sender *s);
/** sender_wake - something is ready: does it have a connection for it? */
void sender_wake(struct sender *s);
void sender_free(struct sender **s);
struct sender *sender_next_of(const struct sender *s);

/* queue_verbs.c, destination_verbs.c, refusals.c: verbs of relay_verbs[]. */
void relay_do_list(void *arg, const struct json *request, struct control_reply *reply);
void relay_do_show(void *arg, const struct json *request, struct control_reply *reply);
void relay_do_action(void *arg, const struct json *request, struct control_reply *reply);
void relay_do_pause(void *arg, const struct json *request, struct control_reply *reply);
void relay_do_resume(void *arg, const struct json *request, struct control_reply *reply);
void relay_do_destinations(void *arg, const struct json *request, struct control_reply *reply);
void relay_do_unsubscribe(void *arg, const struct json *request, struct control_reply *reply);

extern const struct control_verb relay_verbs[];

#endif
