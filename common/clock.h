/* common/clock.h - the host's monotonic clock, for whoever waits or measures without a loop; on a loop: loop_now_ms(). */
#ifndef COMMON_CLOCK_H
#define COMMON_CLOCK_H

#include <stdint.h>
#include <time.h>

/** clock_ms - milliseconds since some moment of the past, the boot on Linux. Never goes back. Any thread. */
static inline uint64_t clock_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

#endif
