/* smtpd/screen.h - content filters, which are programs of others (rspamd, ClamAV, ...), asked about a message before it is accepted: the
 * one seam between mail and every kind of them. A kind is a module that asks one program and answers with a verdict (milter.h, rspamd.h);
 * screen_ask() asks all that a list names, one after the other, until one refuses.
 *
 * A filter is asked when the whole message lies in a file, so it sees exactly the octets that will be delivered, never the wire. It may
 * accept, refuse, add header fields, take out its own (X-...) and quarantine. Nothing it says is trusted: answers and what they add are
 * bounded, and each step has a deadline. Loop thread; the file is read in jobs. */
#ifndef SMTPD_SCREEN_H
#define SMTPD_SCREEN_H

#include "common/conf.h"
#include "common/connect.h"
#include "common/log.h"
#include "common/loop.h"
#include "common/netaddr.h"
#include "smtpd/spill.h"

#define SCREEN_HEADERS_MAX (8u << 10)   /* octets of added fields */
#define SCREEN_REMOVED_MAX 32           /* names of fields that are taken out */
#define SCREEN_NAME_MAX 100             /* octets of one of them */
#define SCREEN_TEXT_MAX 512

enum screen_kind { SCREEN_MILTER = 1, SCREEN_RSPAMD };

/* Where a filter listens: "127.0.0.1:11332", "[::1]:11332", "/run/clamav/milter.sock"; with "rspamd:" in front it is asked by HTTP. */
struct screen_place {
	enum screen_kind kind;
	struct netaddr address; /* family NET_UNIX: path */
	const char *path;       /* borrowed from the text */
};
bool screen_place_parse(const char *text, struct screen_place *out);
/** screen_is_wanted - does the list name a filter? */
bool screen_is_wanted(const struct conf_list *places);

/* Views must live until the end. */
struct screen_message {
	struct netaddr peer;
	struct sv host;                 /* the address's name; empty: unknown */
	struct sv helo, sender, queue_id, hostname;
	struct sv user;                 /* who logged in; empty: a stranger */
	struct sv tls;                  /* "TLSv1.3 TLS_AES_256_GCM_SHA384"; empty: in clear */
	struct sv password;             /* for rspamd; empty: none */
	const struct sv *rcpts;
	size_t rcpt_count;
	const struct spill *octets;
};

enum screen_action { SCREEN_ACCEPT = 0, SCREEN_DISCARD, SCREEN_DEFER, SCREEN_REJECT, SCREEN_FAILED };

struct screen_verdict {
	enum screen_action action;
	char text[SCREEN_TEXT_MAX];     /* of a refusal: printable, for the peer; of SCREEN_FAILED: for the log; may be "" */
	char quarantine[200];           /* its reason; "": not asked for */
	bool has_failed;                /* of several: one of them has; the others were asked all the same */
	bool is_spam;                   /* it says so, or added X-Spam: Yes, or X-Spam-Flag: YES */
	struct buf headers;             /* whole lines, ending in CRLF */
	struct screen_removed { char names[SCREEN_REMOVED_MAX][SCREEN_NAME_MAX + 1]; size_t count; } removed;
};
void screen_verdict_init(struct screen_verdict *v);
void screen_verdict_done(struct screen_verdict *v);

typedef void screen_fn(void *arg, const struct screen_verdict *verdict);

struct screen;
/**
 * screen_ask - fn is called once, in a later turn, with the strongest of the verdicts and all that they add and take out; it is
 * borrowed for the call.
 * @places: of the configuration, which must live until the end
 * @timeout_ms: for each answer
 * @log: a line smtp.milter for each filter
 */
struct screen *screen_ask(struct loop *loop, const struct conf_list *places, uint32_t timeout_ms, const struct screen_message *message,
			  const struct log_ctx *log, screen_fn *fn, void *arg);
/** screen_free - at any time; fn is not called any more. NULL is fine. */
void screen_free(struct screen **screen);

/* ---- for the kinds ---- */

void screen_connect(struct loop *loop, const struct screen_place *place, uint32_t timeout_ms, connect_fn *fn, void *arg,
		    struct connector **out);
/** screen_fail - there is no verdict of the filter's. @why: for the log. */
void screen_fail(struct screen_verdict *v, const char *why);

/* What a filter says, made harmless (pure). */

/** screen_add_header - a field on top, unless its name is none or there is no room. Line ends in the value become folds. */
void screen_add_header(struct screen_verdict *v, struct sv name, struct sv value);
/** screen_remove_header - all fields of this name are taken out of the message: of names X-... only, others are their authors'. */
void screen_remove_header(struct screen_verdict *v, struct sv name);
/** screen_keep_text - printable ASCII, cut to size. */
void screen_keep_text(char *out, size_t size, struct sv text);

#endif
