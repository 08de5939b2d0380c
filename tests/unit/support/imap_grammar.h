/* tests/unit/support/imap_grammar.h - is a text an envelope or a body of RFC 3501 §9? Written from the grammar alone, without
 * a look at the code that makes them. */
#ifndef TESTS_IMAP_GRAMMAR_H
#define TESTS_IMAP_GRAMMAR_H

#include "common/bytes.h"

/** grammar_is_envelope, grammar_is_body - the whole text is one; has_extensions: a BODYSTRUCTURE, with all extension data
 *  there. On failure *at is how far it went. */
bool grammar_is_envelope(struct sv text, size_t *at);
bool grammar_is_body(struct sv text, bool has_extensions, size_t *at);

#endif
