/* admin/sendmail.h - the commands that programs of a Unix host call: sendmail, mailq, newaliases. The message goes to the running
 * smtpd over a unix socket (smtpd/local.h), as whoever calls; nothing is queued here, and no right is needed. Exit codes are those
 * of sysexits.h. One thread. */
#ifndef ADMIN_SENDMAIL_H
#define ADMIN_SENDMAIL_H

#include "common/bytes.h"

/* What a command line of sendmail asks for. */
enum sendmail_mode {
	SENDMAIL_DELIVER = 0,
	SENDMAIL_SMTP,          /* -bs: SMTP on standard input and output */
	SENDMAIL_LIST,          /* -bp, mailq */
	SENDMAIL_ALIASES,       /* -bi, newaliases: nothing to do */
	SENDMAIL_FLUSH,         /* -q */
	SENDMAIL_USAGE,
};

struct sendmail_options {
	enum sendmail_mode mode;
	bool takes_header;      /* -t */
	bool ignores_dots;      /* -i, -oi */
	const char *sender;     /* -f, -r: NULL: who calls */
	const char *name;       /* -F */
	const char *notify, *envelope_id, *ret; /* -N, -V, -R (RFC 3461), or NULL */
	char *const *rcpts;
	size_t rcpt_count;
	const char *wrong;      /* SENDMAIL_USAGE: the word that cannot be understood */
};

/** sendmail_parse - argv[0] decides, too. Options that mean nothing here are taken and ignored. */
void sendmail_parse(int argc, char **argv, struct sendmail_options *out);
/** sendmail_is_called - is this program called by one of these names? */
bool sendmail_is_called(const char *argv0);
int sendmail_main(int argc, char **argv);

#endif
