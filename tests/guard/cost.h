/* tests/guard/cost.h - what an operation costs, in numbers that no clock and no other process changes: octets that our own
 * code copies, memory it asks for, and, below valgrind --tool=callgrind, instructions. tests/guard/guard.py compares them with
 * what was recorded.
 *
 * The programs are linked so that memcpy, memmove, malloc, calloc and realloc of our own code come through here (Makefile.in);
 * what libraries do inside is in the instructions only. */
#ifndef TESTS_GUARD_COST_H
#define TESTS_GUARD_COST_H

/** cost_begin - from here on it is counted: all threads. Not while something is counted. */
void cost_begin(void);
/** cost_end - up to here: a line of JSON with the cost of one of `ops` equal operations. */
void cost_end(const char *step, unsigned ops);
/** cost_pause, cost_resume - what this thread does between them is not counted: the other side's half. */
void cost_pause(void);
void cost_resume(void);

#endif
