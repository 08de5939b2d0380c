/* smtpd/facts.h - what policy must know of a message's header, learned while the octets pass.
 *
 * The whole costs at most HEADER_FIELD_MAX octets while the header passes and FACTS_MAX afterwards.
 * It looks only: nothing is changed here. Pure: no I/O; one object, one thread at a time. */
#ifndef SMTPD_FACTS_H
#define SMTPD_FACTS_H

#include "common/bytes.h"
#include "common/header.h"
#include "common/memory.h"

#define FACTS_MAX (64u << 10)
#define FACTS_FROM_MAX                                                                             \
	50 /* addresses in From; more are not looked at, and is_from_capped says so */
#define FACTS_DELIVERED_MAX 100

struct message_facts {
	uint32_t received_count, from_count, sender_count, date_count,
		message_id_count;       /* fields */
	struct sv message_id;           /* of the first Message-ID, without <>; empty: none */
	struct sv from[FACTS_FROM_MAX]; /* addresses in From fields, as text local@domain */
	size_t from_address_count;
	bool is_from_capped;            /* there are more, or one of them is no address */
	struct sv delivered_to[FACTS_DELIVERED_MAX];
	size_t delivered_to_count;
	uint64_t header_size;           /* octets, the empty line included */
	uint64_t longest_field;
	bool has_ended;                 /* the empty line was seen */
	bool is_cut;                    /* longer than what is read (HEADER_BLOCK_MAX), or its From field is (HEADER_FIELD_MAX): others may
					   see another author */
	bool has_unsubscribe;           /* List-Unsubscribe with an https URI (RFC 8058 §3.1) ... */
	bool has_one_click;             /* ... and List-Unsubscribe-Post */
	bool has_any_unsubscribe;       /* one of the two fields */
	bool is_tls_optional;           /* "TLS-Required: No" (RFC 8689 §3) */

	/* private */
	struct header_reader reader;
	struct arena arena;
};

void facts_init(struct message_facts *f);
/** facts_feed - the next octets of the message, in any cut; after the header has ended this costs
 * nothing. */
void facts_feed(struct message_facts *f, struct sv octets);
/** facts_finish - the message has ended. */
void facts_finish(struct message_facts *f);
void facts_done(struct message_facts *f);

#endif
