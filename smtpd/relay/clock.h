/* smtpd/relay/clock.h - how long a message has waited, whatever the host's clock does.
 *
 * Dates are facts of the envelope, by the host's clock; the queue's time is that clock without its jumps. It is Unix time that runs on evenly,
 * by the clock that counts since the boot, suspended or not, and goes on over a restart of the relay. After a boot as much has passed as the
 * host's clock says, unless that is less than nothing or more than CLOCK_OFF_S: a clock that starts in 1970 or in 2040 makes no mail
 * older. Only when the queue is empty, and nobody's age can change, it is set to the host's. So it may differ from the host's
 * clock; messages bear the host's time (smtpd/envelope.h), and clock_born() tells when they came by this one.
 *
 * Plain values, no I/O but in clock_read(): any thread. */
#ifndef SMTPD_RELAY_CLOCK_H
#define SMTPD_RELAY_CLOCK_H

#include "common/bytes.h"
#include "common/shared.h"

#define CLOCK_OFF_S (60 * 86400)        /* nobody was off for longer: then a clock is wrong */
#define CLOCK_SAME_S 60                 /* clocks that differ by less are the same */
#define CLOCK_FRESH_S 3600              /* what comes in just now has been on its way no longer than that */
#define CLOCK_NOTE_MAX 200

/* What the host says. */
struct clock_host {
	int64_t wall_ms;                /* Unix time */
	int64_t running_ms;             /* since the boot, with the time that it was suspended */
	char boot[SHARED_BOOT_LEN];     /* which boot it counts from */
};
void clock_read(struct clock_host *out);
/** clock_running_ms - that alone. */
int64_t clock_running_ms(void);

/* What is kept of the queue's time from run to run. */
struct clock_note {
	char boot[SHARED_BOOT_LEN];
	int64_t offset_ms;              /* the queue's time less running_ms, during that boot */
	int64_t last_ms;                /* the queue's time when this was written */
	int64_t wall_ms;                /* and the host's */
};
void clock_note_write(const struct clock_note *note, struct buf *out);
/** clock_note_read - false: it is none. */
bool clock_note_read(struct sv text, struct clock_note *out);

/** clock_start - the queue's time less running_ms from now on. @was: NULL: this queue had none. */
int64_t clock_start(const struct clock_host *host, const struct clock_note *was);

/**
 * clock_born - when a message came, by the queue's time.
 * @now_s: the queue's time; @skew_s: the host's less that
 * @received_s: what the message says, by the host's clock of that time
 * @is_new: it has come just now; else the clock may have been another one since
 * @life_s: so long it may stay. What was too old for longer than CLOCK_OFF_S says the time of a clock that was wrong; what is too old by less
 *          is just that
 */
int64_t clock_born(int64_t now_s, int64_t skew_s, int64_t received_s, bool is_new, int64_t life_s);

#endif
