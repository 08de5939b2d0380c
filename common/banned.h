/* common/banned.h - functions that may not be used. Include it last: system headers declare them. */
#ifndef COMMON_BANNED_H
#define COMMON_BANNED_H

#undef sprintf  /* glibc's checked ones are macros under clang, and poisoning a macro is a warning */
#undef vsprintf
#pragma GCC poison strcpy strcat strncpy strncat sprintf vsprintf strtok gets atoi atol atoll
#pragma GCC poison localtime gmtime ctime asctime mktemp tmpnam system popen

#endif
