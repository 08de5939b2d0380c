/* The kinds of listeners, and the members of a listener block: rows of the table of options (conf_table_private.h). */
#include "common/conf_table_private.h"

#include "common/banned.h"

static const char *const ticket_words[] = { "usual", "yes", "no", NULL };
static const char *const tls_mode_words[] = { "none", "starttls", "implicit", NULL };
static const char *const kind_words[] = {
	"mx", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s",
	"managesieve", "local", "http", "https", "legacy", NULL
};

static const struct conf_option options[] = {
	/* ---- members of listener NAME { ... } ---- */
	{ "listener.kind", CONF_BLOCK, .type = CONF_BIT,
	  .offset = ENUM_FIELD(struct conf_listener, kind),
	  .words = kind_words, .need_restart = true,
	  .doc = "What is spoken there. Must be given. Without any listener block there is "
		 "one listener of each kind on every address of bind (lmtp: loopback and the"
		 " socket run/lmtp.sock; local: a socket, see sendmail(8); legacy: see legacy-bind)." },
	{ "listener.address", CONF_BLOCK, .type = CONF_STRING,
	  .offset = FIELD(struct conf_listener, char *, address), .min = 1, .max = 64,
	  .need_restart = true,
	  .doc = "Numeric address; * is every address, IPv6 and IPv4. Default: *, for lmtp "
		 "127.0.0.1." },
	{ "listener.port", CONF_BLOCK, .type = CONF_NUMBER,
	  .offset = FIELD(struct conf_listener, uint64_t, port), .min = 0, .max = 65535,
	  .need_restart = true,
	  .doc = "Port, taken as it stands. Default: the standard port of the kind, plus "
		 "port-offset. 0: any free one." },
	{ "listener.path", CONF_BLOCK, .type = CONF_PATH,
	  .offset = FIELD(struct conf_listener, char *, path), .min = 1, .max = 107,
	  .need_restart = true,
	  .doc = "Unix socket instead of address and port. Only for lmtp and local; local has nothing else." },
	{ "listener.tls", CONF_BLOCK, .type = CONF_ENUM,
	  .offset = ENUM_FIELD(struct conf_listener, tls),
	  .words = tls_mode_words, .need_restart = true,
	  .doc = "none, starttls or implicit. Default: implicit for submissions, imaps and "
		 "pop3s and https, none for lmtp and http, starttls for the others." },
	{ "listener.tickets", CONF_BLOCK, .type = CONF_ENUM,
	  .offset = ENUM_FIELD(struct conf_listener, tickets),
	  .words = ticket_words, .need_restart = true,
	  .doc = "yes or no: let clients of this listener resume TLS sessions by tickets, or not. Default: usual, which is no for mx,"
		 " yes for the others. tls-tickets no ends them everywhere. A ticket is worth nothing on a listener of another kind." },
};

const struct conf_rows conf_listener_rows = { options, ARRAY_LEN(options) };

const struct conf_kind conf_kinds[] = {
	{ "mx",          LISTENER_MX,          25,  CONF_TLS_STARTTLS, false, false, false },
	{ "submission",  LISTENER_SUBMISSION,  587, CONF_TLS_STARTTLS, false, false, false },
	{ "submissions", LISTENER_SUBMISSIONS, 465, CONF_TLS_IMPLICIT, false, false, false },
	{ "lmtp",        LISTENER_LMTP,        24,  CONF_TLS_NONE,     true, false, false },
	{ "imap",        LISTENER_IMAP,        143, CONF_TLS_STARTTLS, false, false, false },
	{ "imaps",       LISTENER_IMAPS,       993, CONF_TLS_IMPLICIT, false, false, false },
	{ "pop3",        LISTENER_POP3,        110, CONF_TLS_STARTTLS, false, false, false },
	{ "pop3s",       LISTENER_POP3S,       995, CONF_TLS_IMPLICIT, false, false, false },
	{ "managesieve", LISTENER_MANAGESIEVE, 4190, CONF_TLS_STARTTLS, false, false, false },
	{ "local",       LISTENER_LOCAL,       0,    CONF_TLS_NONE,     true,  true, false },
	{ "http",        LISTENER_HTTP,        80,  CONF_TLS_NONE,     false, false, false },
	{ "https",       LISTENER_HTTPS,       443, CONF_TLS_IMPLICIT, false, false, false },
	{ "legacy",      LISTENER_LEGACY,      2525, CONF_TLS_STARTTLS, false, false, true },
};
const size_t conf_kind_count = ARRAY_LEN(conf_kinds);

const char *conf_listener_kind_name(enum conf_listener_kind kind)
{
	for (size_t i = 0; i < conf_kind_count; i++)
		if (conf_kinds[i].kind == kind)
			return conf_kinds[i].name;
	return "none";
}

const char *conf_tickets_name(enum conf_tickets tickets)
{
	return ticket_words[tickets];
}

const char *conf_tls_mode_name(enum conf_tls_mode mode)
{
	return tls_mode_words[mode];
}
