/* common/address.h - mail addresses, read and written in one place.
 * SMTP paths (RFC 5321 §4.1.2, RFC 6531 for UTF-8) become (local part, domain) once; address lists of header fields
 * (RFC 5322 §3.4 and §4.4) are walked item by item for ENVELOPE and searching.
 * Pure: no I/O, any thread, no recursion, total on any octets. */
#ifndef COMMON_ADDRESS_H
#define COMMON_ADDRESS_H

#include "common/fault.h"
#include "common/memory.h"

/* RFC 5321 §4.5.3.1, in octets. */
#define ADDRESS_LOCAL_MAX  64
#define ADDRESS_DOMAIN_MAX 255
#define ADDRESS_PATH_MAX   256 /* the path with its punctuation, source route excluded */
#define ADDRESS_LIST_MAX   5000

/* One mailbox. Views live in the arena given to the parser. */
struct address {
	struct sv local;        /* without quoting: "a b"@x has the local part `a b`; case kept; empty if is_null */
	struct sv domain;       /* A-labels, lower case, no trailing dot; "[192.0.2.1]", "[IPv6:...]" if is_literal;
				   empty if is_null and for <postmaster> and (ADDRESS_ALLOW_NO_DOMAIN) other bare names */
	struct sv domain_given; /* as it was written, without trailing dot (U-labels stay) */
	bool is_null;           /* <> */
	bool is_literal;        /* the domain is an address literal */
	bool is_utf8;           /* the local part has non-ASCII characters: only SMTPUTF8 can carry it */
	bool is_utf8_domain;    /* domain_given has U-labels: SMTPUTF8 or the A-labels carry it */
};

enum address_flag {
	ADDRESS_LENIENT         = 1 << 0, /* submission, legacy, CLI: <> may be missing, spaces around are skipped */
	ADDRESS_ALLOW_NULL      = 1 << 1, /* <> is good (reverse path) */
	ADDRESS_ALLOW_NO_DOMAIN = 1 << 2, /* any local part without domain; <postmaster> in any case is always good */
};

/**
 * address_parse_path - read a path at the beginning of *in, as it stands behind "MAIL FROM:" or "RCPT TO:".
 * @a:     where the views of *out live; a path takes about 1 KiB at most
 * @in:    moved behind the path on success (what follows is empty or begins with a space: the parameters)
 * A source route (@a,@b:c@d) is checked and dropped (§4.1.1.3). `a%b`, `a!b` are plain local parts. One trailing dot of a
 * domain is dropped. U-labels are made A-labels by IDNA2008, so both forms compare equal.
 * Errors: FAULT_INVALID (syntax, empty local part, bad domain or UTF-8), FAULT_LIMIT (a length above the limits, or
 * the arena is used up).
 * Source: RFC 5321 §4.1.2, §4.1.3, §4.5.3.1; RFC 6531 §3.3.
 */
MUST_CHECK struct fault address_parse_path(struct arena *a, struct sv *in, unsigned flags, struct address *out);
/** address_parse - a whole text is one mailbox `local@domain`, <> or not (configuration, CLI, login names). */
MUST_CHECK struct fault address_parse(struct arena *a, struct sv text, struct address *out);

enum address_form {
	ADDRESS_ASCII_DOMAIN = 0,       /* A-labels */
	ADDRESS_AS_GIVEN,               /* domain_given: towards SMTPUTF8 peers and people */
};
/** address_append - local@domain with the quoting the local part needs (RFC 5321 §4.1.2), without <>. The null
 *  address appends nothing, a bare local part has no @. False when the buffer's max would be passed (b unchanged). */
bool address_append(struct buf *b, const struct address *addr, enum address_form form);
/** address_local_append - only the local part, quoted if it needs to be. */
bool address_local_append(struct buf *b, struct sv local);
/** address_split_tag - `user+tag` at the first separator behind the first octet. False, and *user = local, *tag empty,
 *  when there is none (RFC 5233 §1). */
bool address_split_tag(struct sv local, char separator, struct sv *user, struct sv *tag);
/** address_domain - a domain name to A-labels, lower case, without trailing dot; labels 1-63, LDH or underscore.
 *  Errors as address_parse_path(). */
MUST_CHECK struct fault address_domain(struct arena *a, struct sv given, struct sv *out);
/** address_eq - same domain, same local part octet for octet. (Whether local parts fold case is local policy.) */
bool address_eq(const struct address *x, const struct address *y);

/* ---- address lists of header fields ---- */

enum address_item_kind {
	ADDRESS_ITEM_NONE = 0,
	ADDRESS_ITEM_MAILBOX,
	ADDRESS_ITEM_GROUP_START,       /* name is the group's */
	ADDRESS_ITEM_GROUP_END,         /* comes for each start, also when the text forgot its ';' */
};
/* Views are valid until the next call. Octets are raw: encoded-words are not decoded, 8-bit stays, folding is gone. */
struct address_item {
	enum address_item_kind kind;
	struct sv name;         /* display name without quoting, or else the comment `a@b (Name)`; p NULL: none */
	struct sv route;        /* "@a,@b" of an obsolete route; p NULL: none */
	struct sv mailbox;      /* local part without quoting; may be empty */
	struct sv host;         /* may be empty: the text had no @ */
};

struct address_list {
	struct sv rest;
	struct buf text, comment;       /* hold the octets of the item */
	uint32_t count;         /* mailboxes so far */
	bool is_in_group, is_capped;
};
/** address_list_init - walk a field's value (raw, folded; borrowed until _done). */
void address_list_init(struct address_list *l, struct sv value);
/** address_list_next - the next item, or false at the end or after ADDRESS_LIST_MAX mailboxes (then is_capped). Total:
 *  text that is no address is skipped up to the next comma or given as a mailbox without host. */
bool address_list_next(struct address_list *l, struct address_item *out);
void address_list_done(struct address_list *l);

#endif
