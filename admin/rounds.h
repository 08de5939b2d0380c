/* admin/rounds.h - the doctor's rounds: `postroom serve` has him look from time to time, in a process of its own, which writes to the
 * postmaster when something needs doing. Loop thread only. */
#ifndef ADMIN_ROUNDS_H
#define ADMIN_ROUNDS_H

#include "common/loop.h"

#define ROUNDS_STAMP "doctor.looked"    /* in the instance; its time is that of the last look */

struct rounds;
#define ROUNDS_EVERY_MS ((uint64_t)7 * 86400 * 1000)

/** rounds_start - every week since the last look, or since the instance was made. @root: borrowed for as long as it lives */
struct rounds *rounds_start(struct loop *loop, const char *root);
/** rounds_stop - one that is under way is ended. NULL is fine. */
void rounds_stop(struct rounds **rounds);
/** rounds_pid - of a look that is under way; 0: none. */
int rounds_pid(const struct rounds *rounds);
/** rounds_wait_ms - until the next look. @looked_s: of the last one, or when the instance was made; 0: unknown. */
uint64_t rounds_wait_ms(int64_t now_s, int64_t looked_s, uint64_t every_ms);

#endif
