/* common/passhash.h - passwords as other servers kept them, so that people who move here keep theirs. Nothing new is stored in
 * these forms: the first right login makes our own verifier (common/directory.h). The only keeper of libcrypt and libargon2.
 *
 * A hash is text, as Dovecot writes it: "{SCHEME}...", or what crypt(3) made, "$6$...".
 *   crypt(3): CRYPT, MD5-CRYPT, SHA256-CRYPT, SHA512-CRYPT, BLF-CRYPT, and yescrypt, scrypt and DES where libcrypt knows them
 *   digests:  SHA, SHA1, SHA256, SHA512, SSHA, SSHA256, SSHA512 (base64 or hexadecimal; the salted ones with the salt behind)
 *   PBKDF2    "$1$salt$rounds$hex", HMAC-SHA-1
 *   ARGON2I, ARGON2ID  "$argon2id$v=19$m=65536,t=3,p=4$salt$hash"
 * Any thread. */
#ifndef COMMON_PASSHASH_H
#define COMMON_PASSHASH_H

#include "common/bytes.h"
#include "common/fault.h"

#define PASSHASH_MAX 400                /* octets of text */

/** passhash_check - can this be verified here, at a bearable price? FAULT_UNSUPPORTED or FAULT_INVALID, with a sentence for
 *  the administrator that never quotes the hash. */
MUST_CHECK struct fault passhash_check(struct sv hash);
/** passhash_clear - {PLAIN}, {CLEARTEXT} and {CLEAR}: the password itself, which is better hashed at once. */
bool passhash_clear(struct sv hash, struct sv *password);
/** passhash_fits - is this the password? False for what passhash_check() refuses. Slow. */
bool passhash_fits(struct sv hash, struct sv password);

#endif
