/* smtpd/smtpd.h - what all sessions of a worker share. Loop thread only, except where a member's
 * header says more. */
#ifndef SMTPD_SMTPD_H
#define SMTPD_SMTPD_H

#include "common/chore.h"
#include "common/directory.h"
#include "common/master.h"
#include "common/roster.h"
#include "maildir/device_notice.h"
#include "maildir/store.h"
#include "smtpd/queue.h"
#include "smtpd/rates.h"
#include "smtpd/space.h"

struct dns;
struct session;
struct auth;
struct greylist;
struct filters;
struct local;
struct outbook;

struct smtpd_counters {
	uint64_t sessions, accepted, rejected, deferred, logins, login_failures; /* since start */
};

struct smtpd {
	struct worker *worker;          /* loop, conf, tls, listeners */
	struct loop *loop;
	struct directory *directory;
	struct dns *dns;
	struct store *store;
	struct queue *queue;
	struct eventstore *events;      /* NULL: it could not be opened */
	uint64_t events_ms;             /* how long they are kept, as at the start: jobs read it */
	struct daybook *dmarc;          /* what DMARC reports will say; NULL: switched off */
	struct filters *filters;        /* Sieve, of everybody */
	struct dkimkeys *dkim;          /* what mail of ours is signed with */
	struct auth *auth;
	struct roster *roster;
	struct device_notice notice;
	struct local *local;            /* the users of this host */
	struct space space;
	struct outbook *outbook;        /* NULL: it could not be opened */
	char *rspamd_password;          /* "": none */
	char *control;                  /* smtpd's control socket, behind which the relay is */
	struct greylist *greylist;              /* NULL: check-greylist is off */
	struct rates *rates;            /* of strangers, in all workers */
	struct chore tidy;
	struct session *sessions;       /* all that are open */
	uint32_t session_count;
	struct smtpd_counters counters;
	bool is_queue_synced;           /* the tidy job's */
	bool is_stopping;
};

#endif
