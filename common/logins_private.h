/* common/logins_private.h - what the sources of logins share.
 *
 *   logins.c          the buffer, the job that writes it, opening and closing
 *   logins_rows.c     what a login changes in the tables: keys and rows
 *   logins_read.c     devices and history read, forgotten, expired */
#ifndef COMMON_LOGINS_PRIVATE_H
#define COMMON_LOGINS_PRIVATE_H

#include <pthread.h>

#include "common/chore.h"
#include "common/json.h"
#include "common/kv.h"
#include "common/logins.h"

#define LOGINS_KNOWN_S (30 * 86400)
#define LOGINS_KNOWN_AGAIN_S 86400      /* an address is written down anew when it was not for a day */
#define LOGINS_HOUR_MS 3600000u

enum table { TABLE_KNOWN, TABLE_DEVICES, TABLE_LOGINS };

/* A login, or the end of a session, on its way to the disk. */
struct note {
	struct note *next;
	int64_t at_ms;
	struct netaddr address;
	uint32_t number;
	bool has_name, is_ok, is_sync, is_from_known;
	uint64_t modseq;
	uint8_t name[LOGINS_KEY_LEN];
	char account[DIRECTORY_ID_LEN + 1], sid[20], protocol[16], mechanism[32], credential[DIRECTORY_LABEL_MAX + 1];
	char tls[16], result[24], program[LOGINS_CLIENT_MAX + 1], client[4 * LOGINS_CLIENT_MAX + 1];
};

struct logins {
	struct kv_env *env;
	pthread_mutex_t lock;
	struct note *first, **last;
	size_t count, failures;
	uint64_t dropped, runs, keep_ms;
	bool is_expiry_due;             /* set before a run, by the loop */
	logins_new_fn *on_new;
	void *arg;
	struct chore chore;
};

/** logins_now_ms - by the wall clock. */
int64_t logins_now_ms(void);

/* ---- logins_rows.c ---- */

/** logins_copy_text - without control characters, cut to what fits, with a NUL. */
void logins_copy_text(char *out, size_t size, struct sv text);
/** logins_number_of, logins_text_of - members of a row; what is not there is 0 and empty. */
uint64_t logins_number_of(const struct json *row, const char *name);
struct sv logins_text_of(const struct json *row, const char *name);
/** logins_known_key - of a name at an address. */
void logins_known_key(struct kv_key *k, const uint8_t name[LOGINS_KEY_LEN], const struct netaddr *address);
/** logins_device_name - as it is listed. */
void logins_device_name(const struct note *n, struct buf *out);
/** logins_put_login - one row for an hour of the same. */
MUST_CHECK struct fault logins_put_login(struct kv_txn *txn, const struct note *n);
/** logins_put_device - @is_new: the account had others, and not this one. */
MUST_CHECK struct fault logins_put_device(struct kv_txn *txn, const struct note *n, bool *is_new);
/** logins_put_known - its address is one of the account's. */
MUST_CHECK struct fault logins_put_known(struct kv_txn *txn, const struct note *n);

#endif
