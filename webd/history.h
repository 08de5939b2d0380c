/* webd/history.h - what the last day was like, hour by hour, for the status page: sums of the daemons' counters in a ring of fixed size.
 *
 * Counters begin anew with their process, so what counts is their growth between two samples; what grew while nobody looked, or in a worker
 * that ended meanwhile, is not known. Kept as a text of at most HISTORY_TEXT_MAX octets. Any thread. */
#ifndef WEBD_HISTORY_H
#define WEBD_HISTORY_H

#include "common/bytes.h"

#define HISTORY_HOURS 24
#define HISTORY_SPEAKERS_MAX 12
#define HISTORY_TEXT_MAX 8192
#define HISTORY_YOUNG_S 180     /* who has not been running for longer is counted from his start */

enum history_figure { HISTORY_ACCEPTED, HISTORY_SENT, HISTORY_DEFERRED, HISTORY_SEND_DEFERRED, HISTORY_LOGINS, HISTORY_FAILURES, HISTORY_COUNTERS,
		      HISTORY_QUEUE = HISTORY_COUNTERS, HISTORY_FIGURES };

/* Of one daemon or helper, since its start. */
struct history_speaker {
	char name[16];
	uint64_t uptime_s;
	uint64_t counters[HISTORY_COUNTERS];
};
struct history_sample {
	struct history_speaker speakers[HISTORY_SPEAKERS_MAX];
	size_t count;
	uint64_t queued;                /* messages that wait now */
};

struct history_hour {
	int64_t hour;                   /* Unix time by 3600 */
	bool is_known;                  /* there was a sample in it */
	uint64_t figures[HISTORY_FIGURES];      /* HISTORY_QUEUE: the most that was seen waiting */
};

struct history;

struct history *history_new(void);
void history_free(struct history **h);
/** history_add - @now_s: Unix time. A clock that was set back counts into the newest hour there is. */
void history_add(struct history *h, int64_t now_s, const struct history_sample *sample);
/** history_get - the last HISTORY_HOURS hours, oldest first; the last one is that of now_s. */
void history_get(struct history *h, int64_t now_s, struct history_hour out[HISTORY_HOURS]);
/** history_write - append what history_read() reads; also until when it counted, so that the next process does not count a daemon that is
 *  young by then from its start once more. */
bool history_write(struct history *h, struct buf *out);
/** history_read - what is no good, or of the future, is left out. */
void history_read(struct history *h, int64_t now_s, struct sv text);

#endif
