/* webd/html.h - pages, written with one rule: markup is a literal of the source, and everything else is a text that is escaped. The
 * macros take nothing but string literals for markup, so there is no way around it.
 *
 *   html(&h, "<p>$ has <b>$</b> messages.</p>", sv_z(account.address), html_u64(&h, count));
 *
 * Each '$' of the literal is the next text, good inside an element and inside a quoted attribute. Pure; one thread. */
#ifndef WEBD_HTML_H
#define WEBD_HTML_H

#include "common/bytes.h"

#define HTML_NUMBERS 8          /* texts of html_u64() and its like that are good at a time */

struct html {
	struct buf *out;
	bool is_cut;                    /* out's max was met: the page is no good */
	char numbers[HTML_NUMBERS][40];
	unsigned next;
};

/** html_init - write behind what is in *out. */
void html_init(struct html *h, struct buf *out);
/** html_raw - a literal without texts. */
#define html_raw(h, literal) html_write((h), "" literal "", sizeof(literal) - 1, NULL, 0)
/** html - the literal with its texts, each a struct sv. As many texts as it has '$': else BUG. */
#define html(h, literal, ...) \
	html_write((h), "" literal "", sizeof(literal) - 1, (const struct sv[]){ __VA_ARGS__ }, \
		   sizeof((const struct sv[]){ __VA_ARGS__ }) / sizeof(struct sv))
/** html_write - what these are made of: never called by its name. */
void html_write(struct html *h, const char *literal, size_t len, const struct sv *texts, size_t count);

/* Texts for '$', good until HTML_NUMBERS more were made. */
struct sv html_u64(struct html *h, uint64_t n);
/** html_size - "1.4 GB". */
struct sv html_size(struct html *h, uint64_t octets);
/** html_time - "2026-11-22 09:16 UTC"; 0 gives "never". @at_s: Unix time */
struct sv html_time(struct html *h, int64_t at_s);
/** html_day - "2026-11-22". */
struct sv html_day(struct html *h, int64_t at_s);

#endif
