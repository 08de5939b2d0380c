/* common/readonly.h - file systems that can only be read: mounted so, or made so by the kernel when it found an error. Any thread. */
#ifndef COMMON_READONLY_H
#define COMMON_READONLY_H

#include "common/bytes.h"

/** path_is_read_only - does it lie on one? Of a file that is not there its folder is asked. False when nothing can be found out. */
bool path_is_read_only(const char *path);
/** path_has_room - could a file or two of some kilobytes be written there? */
bool path_has_room(const char *path);

#endif
