/* common/daybook.h - what happened on a day, one line for each happening, until it was told, shown or grew old.
 *
 *   FOLDER/2026-11-21     lines of JSON of that day (UTC)
 *
 * A line costs no flush: a crash may take the last seconds. Several processes may write into one book. A day has at most
 * DAYBOOK_DAY_MAX octets; what comes behind is not kept. */
#ifndef COMMON_DAYBOOK_H
#define COMMON_DAYBOOK_H

#include "common/bytes.h"
#include "common/fault.h"
#include "common/loop.h"

#define DAYBOOK_DAY_MAX (64u << 20)
#define DAYBOOK_LINE_MAX (64u << 10)
#define DAYBOOK_DAY_S 86400

/* ---- a writer: loop thread ---- */

struct daybook;
/** daybook_new - @folder: copied. */
struct daybook *daybook_new(struct loop *loop, const char *folder);
/** daybook_free - also behind the loop's end. What has gathered is written. NULL is fine. */
void daybook_free(struct daybook **b);
/** daybook_add - a line of today, without its end; written within seconds, by a job. Dropped when too much gathers. */
void daybook_add(struct daybook *b, struct sv line);

/* ---- files: everything blocks; any thread ---- */

/** daybook_day - the day (Unix time of its beginning) that a moment lies in. */
int64_t daybook_day(int64_t at_s);
/** daybook_write - whole lines, ends included, behind those of that day; the folder is made when missing. FAULT_LIMIT: the day is full. From errno. */
MUST_CHECK struct fault daybook_write(const char *folder, int64_t day_s, struct sv lines);
/** daybook_first - the first day from `from_s` on up to `until_s`; false when there is none. */
bool daybook_first(const char *folder, int64_t from_s, int64_t until_s, int64_t *day_s);
/** daybook_read - all lines of a day. FAULT_NOT_FOUND; FAULT_LIMIT: out's max. */
MUST_CHECK struct fault daybook_read(const char *folder, int64_t day_s, struct buf *out);
/** daybook_drop - that day is forgotten. */
void daybook_drop(const char *folder, int64_t day_s);

#endif
