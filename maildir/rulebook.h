/* maildir/rulebook.h - an account's simple rules and out-of-office answer (maildir/rules.h) among its scripts: read, and put back as the
 * active one. Blocks; one handle, one thread at a time. */
#ifndef MAILDIR_RULEBOOK_H
#define MAILDIR_RULEBOOK_H

#include "common/fault.h"
#include "maildir/filter.h"
#include "maildir/rules.h"
#include "maildir/scripts.h"

/** rulebook_read - of an account without rules, empty ones around the script that is active. @out: after rules_init(). FAULT_INVALID:
 *  the script was edited by hand; the detail is a sentence for its owner. */
MUST_CHECK struct fault rulebook_read(struct scripts *scripts, struct rules *out);
/**
 * rulebook_write - checked, stored and active on return. Without rules and vacation the script goes, and the one it included is active
 * again.
 * @errors: of FAULT_INVALID, which means that it does not compile; may be NULL
 * Errors: also those of scripts_put().
 */
MUST_CHECK struct fault rulebook_write(struct scripts *scripts, struct filters *filters, const struct rules *rules,
				       const struct scripts_quota *quota, struct sieve_errors *errors);

#endif
