/* admin/input.h - the file that a verb was given, or its standard input. */
#ifndef ADMIN_INPUT_H
#define ADMIN_INPUT_H

#include "common/bytes.h"

/** read_input - append a file's octets; "-" is standard input. False: errno says why; EFBIG: out is full. */
bool read_input(const char *path, struct buf *out);
/** tell_unreadable - complain with errno's words; the exit code. */
int tell_unreadable(const char *path);

#endif
