/* tests/bench/load/scenarios.h - what can be measured. Each prints one JSON line or more and returns the exit code. */
#ifndef BENCH_SCENARIOS_H
#define BENCH_SCENARIOS_H

#include "tests/bench/load/run.h"

/* mail.c: SMTP, submission and LMTP in. */
int scenario_mail(const struct options *opt);
/* imap.c */
int scenario_imap_short(const struct options *opt);
int scenario_imap_mix(const struct options *opt);
int scenario_commands(const struct options *opt);
/* append.c */
int scenario_append(const struct options *opt);
/* idle.c */
int scenario_idle(const struct options *opt);
/* pop3.c */
int scenario_pop3(const struct options *opt);
/* limits.c: what the machine itself can do */
int scenario_disk(const struct options *opt);
int scenario_handshakes(const struct options *opt);
int scenario_connections(const struct options *opt);
/* fill.c: a Maildir as another program leaves it */
int scenario_fill(const struct options *opt);

/* message.c */
/** message_make - append a message of about size octets in wire form, without a line that begins with a dot; the same
 *  for the same number, another one for another. */
void message_make(struct buf *out, uint64_t number, uint32_t size, const char *from, const char *to);

/** imap_login - connect, greet, STARTTLS if asked, LOGIN. */
bool imap_login(struct client *c, const struct options *opt, const struct user *user);
/** smtp_hello - connect and greet up to where MAIL may be sent. */
bool smtp_hello(struct client *c, const struct options *opt, uint16_t port, enum wire wire, const struct user *login,
		bool *pipelining);

#endif
