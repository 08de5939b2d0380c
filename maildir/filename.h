/* maildir/filename.h - the name of a message file, which carries all that identifies and describes the message:
 *
 *   <saved>.<id>.<host>,S=<size>,W=<wire size>,U=<uidvalidity>.<uid>[,T=<internaldate>][,Z=<stored>][,K=<hex>]:2,<flags>
 *
 * saved: when it came into this mailbox (SAVEDATE); id: kept by COPY and MOVE, EMAILID is its digest; S: octets
 * of the message as stored; W: with every line ending in CRLF; T: INTERNALDATE when it differs from saved;
 * Z: octets of the file when it is compressed; K: keywords 26 and up as hexadecimal bits; flags: D F R S T as everywhere,
 * a-z the first 26 keywords, and other programs' letters, which are kept.
 * Names of other programs parse too: what is missing is marked as missing. Pure functions, any thread. */
#ifndef MAILDIR_FILENAME_H
#define MAILDIR_FILENAME_H

#include "common/bytes.h"
#include "maildir/mailbox.h"

struct crypt_digest;

#define FILENAME_MAX_LEN 255
#define FILENAME_BASE_MAX 100   /* a longer base is replaced when a file is adopted, so that all our fields fit */
#define FILENAME_ID_LEN 26

struct filename {
	struct sv base;                 /* up to the first ',' or ':': saved.id.host */
	struct sv id;                   /* of the base; the whole base when it is not of this form */
	int64_t saved;                  /* 0 when the base does not start with a number */
	bool has_size, has_wire_size, has_uid, has_internaldate, has_stored_size;
	bool is_valid_base;             /* <number>.<id>.<host> */
	uint64_t size, wire_size, stored_size;
	uint32_t uidvalidity, uid;
	int64_t internaldate;
	struct keyword_bits keywords;
	uint32_t flags;                 /* FLAG_... */
	uint32_t other_flags;           /* other capital letters, bit 0 is A: P (passed) and what else there may be */
};

/** filename_parse - views into name. False when it is no message file: empty, starts with a dot, too long, '/' or
 *  a control character in it. Broken fields count as missing. */
bool filename_parse(struct sv name, struct filename *out);
/** filename_write - the name that n describes, NUL-terminated; false when it would be longer than 255 octets. */
bool filename_write(const struct filename *n, char out[FILENAME_MAX_LEN + 1]);
/** filename_same_but_flags - do both name the same file, with perhaps other flags behind ":2," and other keywords in K=? */
bool filename_same_but_flags(struct sv a, struct sv b);
/** filename_content_id - the id of a message by its octets: `postroom verify` compares them with it, and the same message has
 *  the same EMAILID wherever it comes in (RFC 8474 §5.1 allows it). @octets: SHA-256 of the file's octets. */
void filename_content_id(const struct crypt_digest *octets, char out[FILENAME_ID_LEN + 1]);
/** filename_is_content_id - was it made by filename_content_id()? */
bool filename_is_content_id(struct sv id);
/** filename_dedup_id - the id of a (queue id, recipient) pair: always the same for the same pair. */
void filename_dedup_id(struct sv pair, char out[FILENAME_ID_LEN + 1]);
/** filename_is_dedup_id - was it made by filename_dedup_id()? */
bool filename_is_dedup_id(struct sv id);
/** filename_email_digest - 16 octets that identify the message with this id, everywhere and for ever. */
void filename_email_digest(struct sv id, uint8_t out[16]);
/** filename_email_id - EMAILID (RFC 8474 §4): the digest as 23 characters and a NUL. */
void filename_email_id(const uint8_t digest[16], char out[24]);

#endif
