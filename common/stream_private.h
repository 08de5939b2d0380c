/* common/stream_private.h - what listener.c needs of a stream that sessions do not. */
#ifndef COMMON_STREAM_PRIVATE_H
#define COMMON_STREAM_PRIVATE_H

#include "common/stream.h"

/** stream_on_gone - call gone(arg) once, when the stream's socket has been closed. */
void stream_on_gone(struct stream *s, void (*gone)(void *arg), void *arg);
/** stream_gone_arg - arg, if gone is what was set; else NULL. */
void *stream_gone_arg(const struct stream *s, void (*gone)(void *arg));

#endif
