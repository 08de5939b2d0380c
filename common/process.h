/* common/process.h - the number of this process without a system call: log lines and account locks ask for it all the time, and the C
 * library does not remember it. Any thread; right also in a child after fork(). */
#ifndef COMMON_PROCESS_H
#define COMMON_PROCESS_H

#include <sys/types.h>

/** process_id - getpid(). */
pid_t process_id(void);

#endif
