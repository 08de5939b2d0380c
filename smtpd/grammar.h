/* smtpd/grammar.h - command lines taken apart: verb, path, parameters, chunk size (RFC 5321 §4.1.2,
 * RFC 3030 §2). Pure: no I/O, any thread, total on any octets. Which parameters exist, and where,
 * is one table. */
#ifndef SMTPD_GRAMMAR_H
#define SMTPD_GRAMMAR_H

#include "common/address.h"
#include "common/bytes.h"
#include "common/conf.h"
#include "smtpd/reply.h"

#define SMTP_PARAMS_MAX 20      /* in one command; more are a syntax error */

/** smtp_split_verb - "MAIL FROM:<a@b>" into "MAIL" and "FROM:<a@b>"; spaces at the end are dropped
 * (RFC 5321 §4.1.1). */
void smtp_split_verb(struct sv line, struct sv *verb, struct sv *args);

enum smtp_path_kind { SMTP_MAIL_FROM = 1 << 0, SMTP_RCPT_TO = 1 << 1 };

struct smtp_param {
	struct sv text;         /* as it came: "SIZE=10" */
	struct sv keyword, value;
};

/* MAIL or RCPT, taken apart. Views of the line, and of the arena. */
struct smtp_path {
	struct address address;
	struct smtp_param params[SMTP_PARAMS_MAX];
	size_t param_count;
	bool has_size;
	uint64_t size;          /* of SIZE; UINT64_MAX for what no number can hold */
	bool has_smtputf8;
	bool has_requiretls;
	bool is_binary;         /* BODY=BINARYMIME: no lines, and BDAT only (RFC 3030 §3) */
	bool has_hold, has_by;
	int64_t hold_s, by_s;   /* HOLDFOR or HOLDUNTIL, BY: in seconds from now */
};

/**
 * smtp_parse_path - the arguments of MAIL or RCPT.
 * @listener: decides which parameters exist and what is tolerated (a space behind the colon and a
 * path without <> on submission) Returns REPLY_OK, or the refusal. That an address needs SMTPUTF8
 * is for the caller to see: only it knows MAIL's.
 */
enum reply_id smtp_parse_path(struct arena *a, struct sv args, enum smtp_path_kind kind,
			      enum conf_listener_kind listener, struct smtp_path *out);
/** smtp_parse_bdat - "86 LAST". */
bool smtp_parse_bdat(struct sv args, uint64_t *size, bool *is_last);
/** smtp_needs_utf8 - can only a SMTPUTF8 transaction carry this address (RFC 6531 §3.3)? */
bool smtp_needs_utf8(const struct address *a);

#endif
