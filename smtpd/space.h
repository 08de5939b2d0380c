/* smtpd/space.h - is there disk space for more mail? Asked by MAIL, which must not block: a job
 * looks every second. Loop thread only. */
#ifndef SMTPD_SPACE_H
#define SMTPD_SPACE_H

#include "common/conf.h"
#include "common/loop.h"
#include "common/work.h"

#define SPACE_EVERY_MS 1000
#define SPACE_PLACES 2

struct space_place {
	uint64_t total, free;           /* octets */
	uint64_t files, files_free;     /* inodes; files 0: the file system does not count them */
	bool is_known;
	bool is_read_only;
};

struct space {
	struct loop *loop;
	struct timer timer;
	struct space_job *job;          /* looking right now */
	char *paths[SPACE_PLACES];      /* mail, queue */
	struct space_place places[SPACE_PLACES];
	bool is_stopped;
};

/** space_start - look once now, blocking, and from then on by jobs. Paths are copied. */
void space_start(struct space *s, struct loop *loop, const char *mail, const char *queue);
/** space_stop - look no more. */
void space_stop(struct space *s);
/** space_done - release it; also when the loop is gone already. */
void space_done(struct space *s);
/**
 * space_is_low - below max(2 x message size, min(5 %, free-space)) octets or 5 % of the inodes, in
 * any place.
 */
bool space_is_low(const struct space *s, const struct conf *conf);
/** space_is_read_only - can any place only be read? */
bool space_is_read_only(const struct space *s);

#endif
