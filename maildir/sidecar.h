/* maildir/sidecar.h - the small text files beside the mail which keep what fits into no file name.
 *
 *   postroom-mailbox 1
 *   generation 12
 *   mailbox-id 5f0c93e2a1b4d677
 *   uidvalidity 1795288000
 *   uid-ceiling 2001
 *   special-use 2
 *   keyword 0 $Forwarded
 *   acl lrs 7f3kq2x0a9b1c8d4 bob@example.test
 *   crc 6d2f10aa
 *
 * The first line has kind and version, the last one CRC-32C of all lines before it. A line that this program does not know is
 * kept as it is, so that a newer program's facts survive an older one; a higher version is refused. Values are
 * plain structs; these functions are pure, any thread. Replacing the file is account.c's business. */
#ifndef MAILDIR_SIDECAR_H
#define MAILDIR_SIDECAR_H

#include "common/bytes.h"
#include "common/fault.h"
#include "maildir/acl.h"
#include "maildir/mailbox.h"

#define SIDECAR_MAX (8u << 20)          /* octets of a sidecar */
#define SIDECAR_UNKNOWN_MAX (64u << 10) /* octets of lines that we keep without knowing them */

/* One keyword: number -> name, never reassigned. */
struct keyword_names {
	uint32_t count;
	char name[KEYWORDS_MAX][KEYWORD_LEN_MAX + 1];
};

struct sidecar_mailbox {
	uint64_t generation;            /* grows with every replacement */
	uint64_t id;                    /* MAILBOXID */
	uint32_t uidvalidity;
	uint32_t uid_ceiling;           /* no UID at or above it was ever given */
	uint32_t special_use;           /* USE_... */
	struct keyword_names keywords;
	struct acl acl;                 /* who besides the owner may do what */
	struct buf unknown;
};

enum pending_kind { PENDING_NONE = 0, PENDING_RENAME, PENDING_INBOX };

struct sidecar_account {
	uint64_t generation;
	uint32_t uidvalidity_floor;     /* no UIDVALIDITY at or above it was ever given */
	uint64_t modseq_ceiling;        /* likewise for MODSEQs */
	enum pending_kind pending;      /* structural change to be finished by whoever opens the account */
	char from[MAILBOX_NAME_MAX + 1], to[MAILBOX_NAME_MAX + 1];
	struct buf unknown;
};

/* Names of subscribed mailboxes, in no order. */
struct sidecar_subscriptions {
	uint64_t generation;
	char **names;
	size_t count, cap;
	struct buf unknown;
};

/** sidecar_..._parse - FAULT_CORRUPT: the CRC is missing or wrong, a value cannot be; *out is done() then and what could
 *  be read is lost. FAULT_UNSUPPORTED: of a newer version. On success the caller ends *out with ..._done(). */
MUST_CHECK struct fault sidecar_mailbox_parse(struct sv text, struct sidecar_mailbox *out);
MUST_CHECK struct fault sidecar_account_parse(struct sv text, struct sidecar_account *out);
MUST_CHECK struct fault sidecar_subscriptions_parse(struct sv text, struct sidecar_subscriptions *out);
/** sidecar_..._write - append the whole text. out's max should be SIDECAR_MAX; FAULT_LIMIT when it does not fit. */
MUST_CHECK struct fault sidecar_mailbox_write(const struct sidecar_mailbox *s, struct buf *out);
MUST_CHECK struct fault sidecar_account_write(const struct sidecar_account *s, struct buf *out);
MUST_CHECK struct fault sidecar_subscriptions_write(const struct sidecar_subscriptions *s, struct buf *out);
void sidecar_mailbox_done(struct sidecar_mailbox *s);
void sidecar_account_done(struct sidecar_account *s);
void sidecar_subscriptions_done(struct sidecar_subscriptions *s);

/** sidecar_lines - the shape that all of them share: checksum first, then kind and version, then fn for each line "key value". fn
 *  answers false for a line that it does not know, which then goes to `unknown`, and sets *bad for a value that cannot be. */
typedef bool sidecar_line_fn(void *out, struct sv key, struct sv value, bool *bad);
MUST_CHECK struct fault sidecar_lines(struct sv text, struct sv kind, sidecar_line_fn *fn, void *out, struct buf *unknown);
/** sidecar_finish - unknown lines and the checksum over all from `start` on; FAULT_LIMIT unless `ok`. */
MUST_CHECK struct fault sidecar_finish(struct buf *out, size_t start, bool ok, const struct buf *unknown);

/** sidecar_subscribe - add or take out a name; false when nothing changed. */
bool sidecar_subscribe(struct sidecar_subscriptions *s, struct sv name, bool on);
/** keyword_find - number of a keyword, without regard to case; -1 when it is unknown. */
int keyword_find(const struct keyword_names *k, struct sv name);
/** keyword_add - its number, new or not. FAULT_LIMIT: table full, name too long; FAULT_INVALID: no atom
 *  (RFC 9051 §9, flag-keyword). */
MUST_CHECK struct fault keyword_add(struct keyword_names *k, struct sv name, unsigned *number);
/** sidecar_id_text - MAILBOXID of an id: 17 characters and a NUL (RFC 8474 §4.1). */
void sidecar_id_text(uint64_t id, char out[24]);

#endif
