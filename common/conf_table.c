/* Every option of postroom.conf: parsing, checks, `postroom conf` and the manual page come from
 * these rows. The defaults of limits are those a small server wants; none of them has a value that
 * means "unlimited". */
#include "common/conf_private.h"

#include "common/banned.h"

/* A field's place, checked at compile time to be of the type that the row's type writes. */
#define FIELD(row, type, field) \
	(offsetof(row, field) + 0 * sizeof(char[ \
		__builtin_types_compatible_p(__typeof__(((row *)0)->field), type) ? 1 : -1]))
#define ENUM_FIELD(row, field) \
	(offsetof(row, field) + 0 * sizeof(char[ \
		sizeof(((row *)0)->field) == sizeof(unsigned) ? 1 : -1]))

#define YES_NO(f)   .type = CONF_BOOL, .offset = FIELD(struct conf, bool, f)
#define NUMBER(f)   .type = CONF_NUMBER, .offset = FIELD(struct conf, uint64_t, f)
#define OCTETS(f)   .type = CONF_BYTES, .offset = FIELD(struct conf, uint64_t, f)
#define DURATION(f) .type = CONF_DURATION, .offset = FIELD(struct conf, uint64_t, f)
#define STRING(f)   .type = CONF_STRING, .offset = FIELD(struct conf, char *, f)
#define PATH(f)     .type = CONF_PATH, .offset = FIELD(struct conf, char *, f)
#define LIST(f)     .type = CONF_LIST, .offset = FIELD(struct conf, struct conf_list, f)
#define NETS(f)     .type = CONF_NETS, .offset = FIELD(struct conf, struct ipnets, f)
#define CHOICE(f, w) .type = CONF_ENUM, .offset = ENUM_FIELD(struct conf, f), .words = (w)

#define ACTION(f, d) CHOICE(policy.f, action_words), .def = d

#define MS 1ull
#define SECONDS 1000ull
#define MINUTES (60 * SECONDS)
#define HOURS (60 * MINUTES)
#define DAYS (24 * HOURS)
#define KB 1024ull
#define MB (1024 * KB)
#define GB (1024 * MB)

static const char *const log_level_words[] = { "error", "warn", "info", "debug", NULL };
static const char *const tls_version_words[] = { "1.2", "1.3", NULL };
static const char *const acme_challenge_words[] = { "http-01", "tls-alpn-01", "dns-01", NULL };
static const char *const action_words[] = { "off", "log", "junk", "defer", "reject", NULL };
static const char *const rejects_words[] = { "drop", "keep", NULL };
static const char *const milter_failure_words[] = { "defer", "accept", NULL };
static const char *const bare_newline_words[] = { "normalise", "refuse", NULL };
static const char *const sts_mode_words[] = { "none", "testing", "enforce", NULL };
static const char *const ticket_words[] = { "usual", "yes", "no", NULL };
static const char *const tls_mode_words[] = { "none", "starttls", "implicit", NULL };
static const char *const kind_words[] = {
	"mx", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s",
	"managesieve", "local", "http", "https", "legacy", NULL
};

static const struct conf_option options[] = {
	/* ---- Host ---- */
	{ "hostname", "Host", STRING(host.hostname), .def = NULL, .min = 1, .max = 253,
	  .doc = "Name of this server as other mail servers see it: in greetings, Received "
		 "fields and file names. Default: the name the system has. It should resolve"
		 " to the server's address, and back." },
	{ "bind", "Host", LIST(host.bind), .def = "*", .min = 1, .max = 16, .need_restart = true,
	  .doc = "Addresses of the default listeners; * is every address, IPv6 and IPv4. Not"
		 " used when the file has listener blocks of its own." },
	{ "port-offset", "Host", NUMBER(host.port_offset), .def = "0", .min = 0, .max = 64000,
	  .need_restart = true,
	  .doc = "Added to the standard ports of listeners that name no port. With 10000 the"
		 " server needs no privileges and answers on 10025, 10587, 10465, 10143, "
		 "10993, 10110, 10995, 10024, 10080 and 10443." },
	{ "user", "Host", STRING(host.user), .def = "", .min = 0, .max = 64, .need_restart = true,
	  .doc = "System user to run as when started by root. Default: the owner of the "
		 "instance's folder; when that is root, the server stays user 0 with every "
		 "capability dropped." },
	{ "delegate-socket", "Host", STRING(host.delegate_socket), .def = "", .min = 0, .max = 107, .need_restart = true,
	  .doc = "Where holders of a token ask, who administer some domains only (`postroom delegate add`): the absolute path of"
		 " a socket, in a folder that they can enter; or none. Default: /run/postroom/delegate.sock for the instance"
		 " of the host, /var/lib/postroom; none for others." },
	{ "workers", "Host", NUMBER(host.workers), .def = "0", .min = 0, .max = 64,
	  .unit = "processes",
	  .need_restart = true,
	  .doc = "Worker processes of each daemon. 0 is one per processor core." },
	{ "threads", "Host", NUMBER(host.threads), .def = "8", .min = 1, .max = 64,
	  .unit = "threads",
	  .need_restart = true,
	  .doc = "Threads of each worker for files and passwords." },
	{ "open-files", "Host", NUMBER(host.open_files), .def = "65536", .min = 256, .max = 1048576,
	  .unit = "descriptors", .need_restart = true,
	  .doc = "Open files and connections a worker may have. What the system does not "
		 "allow is left at its limit." },
	{ "stop-time", "Host", DURATION(host.stop_ms), .def = "10s", .min = 0, .max = 10 * MINUTES,
	  .doc = "How long sessions may finish what they are doing when the server stops." },
	{ "upgrade-time", "Host", DURATION(host.upgrade_ms), .def = "1h", .min = 0, .max = 7 * DAYS,
	  .doc = "How long sessions that were open at `postroom upgrade` may go on with the program that they began with." },
	{ "stuck-time", "Host", DURATION(host.stuck_ms), .def = "10s", .min = 1 * SECONDS,
	  .max = 10 * MINUTES,
	  .doc = "A worker with a thread inside an index change for longer is killed and "
		 "replaced: it would block the account for everyone." },
	{ "proxy-networks", "Host", NETS(host.proxy_networks), .def = "never",
	  .doc = "Load balancers and tunnels in front of this host: each of their connections, on any "
		 "listener, begins with a PROXY header (version 1 or 2), and counts as the client's that it "
		 "names. From others such a header is an error of protocol." },
	{ "exempt-networks", "Host", NETS(host.exempt_networks), .def = "loopback",
	  .doc = "Peers that are not counted by address, get no banner delay and no "
		 "connection rate limit. Gives no right to relay and no exception from login"
		 " limits. Networks, loopback, or never." },

	/* ---- Log ---- */
	{ "log-level", "Log", CHOICE(log.level, log_level_words), .def = "info",
	  .doc = "How much is logged." },
	{ "log-file", "Log", PATH(log.file), .def = "", .min = 0, .max = 1024, .need_restart = true,
	  .doc = "File to log to. Default: standard error. Lines are appended, so rotate it "
		 "by copying and truncating (logrotate: copytruncate)." },

	{ "events-keep", "Log", DURATION(log.events_ms), .def = "90d", .min = 1 * HOURS,
	  .max = 3650 * DAYS, .need_restart = true,
	  .doc = "How long `postroom trace` and `postroom stats` know what happened to a message." },

	/* ---- TLS ---- */
	{ "tls-certificate", "TLS", PATH(tls.certificate), .def = "tls/cert.pem", .min = 1,
	  .max = 1024,
	  .need_restart = true,
	  .doc = "Certificate of this server with its chain, PEM. The file is read again at "
		 "every reload; another name needs a restart." },
	{ "tls-key", "TLS", PATH(tls.key), .def = "tls/key.pem", .min = 1, .max = 1024,
	  .need_restart = true,
	  .doc = "Private key of the certificate, PEM. Refused when others may read it." },
	{ "tls-more-certificates", "TLS", LIST(tls.more), .def = "none", .min = 1, .max = CONF_TLS_MORE_MAX,
	  .need_restart = true,
	  .doc = "Further certificates with their chains, PEM, for clients that ask for other names (SNI), "
		 "or of another kind for just the same names: RSA beside ECDSA. Each is CERTIFICATE=KEY, or one file "
		 "with both, inside the instance's folder unless the path is absolute. Which names one is "
		 "for stands in it. The files are read again at every reload; a list that has changed needs "
		 "a restart." },
	{ "tls-minimum", "TLS", CHOICE(tls.minimum, tls_version_words), .def = "1.2",
	  .need_restart = true,
	  .doc = "Oldest version of TLS that is spoken. RFC 8996." },
	{ "tls-tickets", "TLS", YES_NO(tls.tickets), .def = "yes", .need_restart = true,
	  .doc = "Let clients resume TLS sessions by tickets, which are worth nothing on listeners of "
		 "another kind, and for nobody after a day. On mx listeners only where one says tickets yes." },
	{ "tls-kernel", "TLS", YES_NO(tls.ktls), .def = "no", .need_restart = true,
	  .doc = "Let the kernel encrypt, where it can." },
	{ "tls-client-certificates", "TLS", LIST(tls.client_certificates), .def = "none", .min = 1, .max = 7, .need_restart = true,
	  .doc = "Kinds of listeners (imap imaps pop3 pop3s submission submissions managesieve) that ask for a certificate of the "
		 "client, which then can log in by EXTERNAL when its key is registered for an account: `postroom client-cert add`. "
		 "Nobody has to show one. Not asked by default, since some mail programs bother people with a choice as soon as they "
		 "are asked." },
	{ "tls-handshake-time", "TLS", DURATION(tls.handshake_ms), .def = "30s", .min = 1 * SECONDS,
	  .max = 10 * MINUTES,
	  .doc = "How long a TLS handshake may take." },

	/* ---- Login ---- */
	{ "plaintext-auth", "Login", NETS(auth.plaintext_networks), .def = "loopback",
	  .doc = "From where a password is accepted without TLS: loopback, never, or "
		 "networks." },
	{ "scram-iterations", "Login", NUMBER(auth.scram_iterations), .def = "15000", .min = 4096,
	  .max = 10000000,
	  .unit = "rounds",
	  .doc = "Work put into each new stored password verifier. RFC 7677 §4: at least "
		 "4096." },
	{ "failure-delay", "Login", DURATION(auth.failure_delay_ms), .def = "2s", .min = 0,
	  .max = 1 * MINUTES,
	  .doc = "Delay of the answer to a failed login; doubles with each further failure "
		 "of the same address." },
	{ "failure-delay-max", "Login", DURATION(auth.failure_delay_max_ms), .def = "15s", .min = 0,
	  .max = 5 * MINUTES,
	  .doc = "Longest such delay." },
	{ "failures-per-session", "Login", NUMBER(auth.failures_per_session), .def = "3", .min = 1,
	  .max = 100,
	  .unit = "failures",
	  .doc = "Failed logins after which a session is closed." },
	{ "failures-per-minute", "Login", NUMBER(auth.failures_per_minute), .def = "10", .min = 1,
	  .max = 1000000, .unit = "failures",
	  .doc = "Different wrong passwords of one IPv4 address or IPv6 /64 in a minute, after which only "
		 "app passwords are let in from there, and accounts that have logged in from there in the "
		 "last 30 days. Three times as many of its /26 or /48, nine times of its /21 or /32." },
	{ "failures-per-day", "Login", NUMBER(auth.failures_per_day), .def = "50", .min = 1,
	  .max = 10000000, .unit = "failures",
	  .doc = "The same in a day." },
	{ "failures-per-account", "Login", NUMBER(auth.failures_per_account), .def = "100", .min = 1,
	  .max = 10000000, .unit = "failures",
	  .doc = "Different wrong passwords for one account in a day, after which only its app passwords "
		 "are let in; not counted, and not kept out, are addresses from which it has logged in in "
		 "the last 30 days." },
	{ "logins-keep", "Login", DURATION(auth.logins_keep_ms), .def = "30d", .min = 1 * HOURS,
	  .max = 3650 * DAYS, .need_restart = true,
	  .doc = "How long logins and devices that are not used are known (`postroom account show`, "
		 "`postroom device list`)." },
	{ "new-device-notice", "Login", YES_NO(auth.new_device_notice), .def = "yes", .need_restart = true,
	  .doc = "A message into an account's own INBOX at the first login from a new device: an app "
		 "password, a program that says its name, or a protocol from a network from where the "
		 "account was not used before. Not at the first device of an account." },

	{ "oauth-issuer", "Login", STRING(auth.oauth_issuer), .def = "", .min = 0, .max = 512, .need_restart = true,
	  .doc = "URL of the OpenID issuer whose tokens prove logins (OAUTHBEARER, XOAUTH2), with https, as its configuration "
		 "document spells it. Its keys are fetched from there, also from a private address." },
	{ "oauth-audience", "Login", STRING(auth.oauth_audience), .def = "", .min = 0, .max = 256, .need_restart = true,
	  .doc = "For whom a token must have been issued (its `aud`). Needed with oauth-issuer: a token for another "
		 "service is no login here." },
	{ "oauth-account-claim", "Login", STRING(auth.oauth_account_claim), .def = "email", .min = 1, .max = 64, .need_restart = true,
	  .doc = "Which claim of a token holds the address of the account. Choose one that people cannot change "
		 "themselves." },
	{ "oauth-refresh", "Login", DURATION(auth.oauth_refresh_ms), .def = "1h", .min = 1 * MINUTES, .max = 1 * DAYS,
	  .need_restart = true, .doc = "How often the issuer's keys are fetched." },
	{ "oauth-refresh-floor", "Login", DURATION(auth.oauth_floor_ms), .def = "1m", .min = 0, .max = 1 * HOURS,
	  .need_restart = true,
	  .doc = "A token by a key that is not known makes the keys be fetched at once, at most so often." },

	{ "ldap-url", "Login", STRING(auth.ldap_url), .def = "", .min = 0, .max = 300, .need_restart = true,
	  .doc = "Directory that knows passwords: ldaps://HOST, ldap://HOST (which is always secured by StartTLS) or "
		 "ldapi://%2Fpath%2Fof%2Fsocket. A port may follow." },
	{ "ldap-domains", "Login", LIST(auth.ldap_domains), .def = "none", .min = 1, .max = 1000, .need_restart = true,
	  .doc = "Domains whose accounts have their password there; all, none. App passwords stay here. While it is not none, "
		 "SCRAM is not offered, which cannot ask a directory." },
	{ "ldap-dn", "Login", STRING(auth.ldap_dn), .def = "", .min = 0, .max = 512, .need_restart = true,
	  .doc = "Name to bind with, such as uid=%n,ou=people,dc=example,dc=org: %u is the account's address, %n what stands "
		 "before its @, %d its domain. Empty: it is searched for." },
	{ "ldap-base", "Login", STRING(auth.ldap_base), .def = "", .min = 0, .max = 512, .need_restart = true,
	  .doc = "Below which entry it is searched." },
	{ "ldap-filter", "Login", STRING(auth.ldap_filter), .def = "(mail=%u)", .min = 1, .max = 512, .need_restart = true,
	  .doc = "Filter that finds the one entry of an account; %u, %n, %d as in ldap-dn." },
	{ "ldap-search-dn", "Login", STRING(auth.ldap_search_dn), .def = "", .min = 0, .max = 512, .need_restart = true,
	  .doc = "Who searches; empty: nobody in particular." },
	{ "ldap-search-password", "Login", PATH(auth.ldap_search_password), .def = "keys/ldap", .min = 1, .max = 1024,
	  .need_restart = true, .doc = "File with the password of ldap-search-dn." },
	{ "ldap-ca-file", "Login", PATH(auth.ldap_ca_file), .def = "", .min = 0, .max = 1024, .need_restart = true,
	  .doc = "Authorities, PEM, that may vouch for the directory. Default: those of the system." },
	{ "ldap-timeout", "Login", DURATION(auth.ldap_timeout_ms), .def = "5s", .min = 100, .max = 1 * MINUTES, .need_restart = true,
	  .doc = "How long each step of asking it may take; then the login fails for now." },

	{ "saslauthd-domains", "Login", LIST(auth.saslauthd_domains), .def = "none", .min = 1, .max = 1000, .need_restart = true,
	  .doc = "Domains whose accounts have their password where saslauthd looks (PAM by `saslauthd -a pam`); all, none. App passwords "
		 "stay here. While it is not none, SCRAM is not offered, which cannot ask saslauthd." },
	{ "saslauthd-socket", "Login", PATH(auth.saslauthd_socket), .def = "/run/saslauthd/mux", .min = 1, .max = 107, .need_restart = true,
	  .doc = "Its socket. The server's user must be in the group that may enter its folder (Debian: sasl)." },
	{ "saslauthd-service", "Login", STRING(auth.saslauthd_service), .def = "postroom", .min = 1, .max = 64, .need_restart = true,
	  .doc = "As whom to ask, for all protocols: with PAM the file in /etc/pam.d." },
	{ "saslauthd-timeout", "Login", DURATION(auth.saslauthd_timeout_ms), .def = "10s", .min = 100, .max = 1 * MINUTES, .need_restart = true,
	  .doc = "How long an answer may take; then the login fails for now." },

	/* ---- Connections ---- */
	{ "strangers", "Connections", NUMBER(limits.prelogin_total), .def = "8192", .min = 16,
	  .max = 1000000,
	  .unit = "connections",
	  .doc = "Connections of a daemon that are not logged in." },
	{ "strangers-per-address", "Connections", NUMBER(limits.prelogin_per_address), .def = "30",
	  .min = 1,
	  .max = 1000000, .unit = "connections",
	  .doc = "The same from one IPv4 address or IPv6 /64." },
	{ "strangers-per-network", "Connections", NUMBER(limits.prelogin_per_network), .def = "90",
	  .min = 1,
	  .max = 1000000, .unit = "connections",
	  .doc = "The same from one /24 or /48." },
	{ "connections-per-minute-mx", "Connections", NUMBER(limits.rate_mx), .def = "120",
	  .min = 1, .max = 1000000,
	  .unit = "connections",
	  .doc = "New connections per minute of one address on mx listeners." },
	{ "connections-per-minute", "Connections", NUMBER(limits.rate_other), .def = "600",
	  .min = 1, .max = 1000000,
	  .unit = "connections",
	  .doc = "New connections per minute of one address on the other listeners." },
	{ "sessions-per-user-address", "Connections", NUMBER(limits.sessions_per_user_address),
	  .def = "50", .min = 1,
	  .max = 100000, .unit = "sessions",
	  .doc = "Sessions of one user from one address (IPv4, or /64), over all daemons. At the limit the"
		 " one that was silent for longest is ended, and the new one let in." },
	{ "sessions-per-user", "Connections", NUMBER(limits.sessions_per_user), .def = "100",
	  .min = 1, .max = 100000,
	  .unit = "sessions",
	  .doc = "Sessions of one user, over all daemons; a mail program opens two to ten. At the limit the"
		 " one that was silent for longest is ended, and the new one let in." },
	{ "sessions-per-address", "Connections", NUMBER(limits.sessions_per_address), .def = "2000",
	  .min = 1, .max = 1000000,
	  .unit = "sessions",
	  .doc = "Sessions that are logged in from one address (IPv4, or /64), whoever it is: an office behind"
		 " one address has many. Beyond it logins are refused for now. Not for exempt-networks." },
	{ "login-time", "Connections", DURATION(limits.login_ms), .def = "60s", .min = 5 * SECONDS,
	  .max = 1 * HOURS,
	  .doc = "From connecting to being logged in, on IMAP, POP3 and submission." },
	{ "output-stall-time", "Connections", DURATION(limits.output_stall_ms), .def = "5m",
	  .min = 5 * SECONDS,
	  .max = 1 * HOURS,
	  .doc = "How long a peer may take nothing of what we send." },
	{ "keepalive", "Connections", DURATION(limits.keepalive_ms), .def = "2m",
	  .min = 10 * SECONDS, .max = 2 * HOURS,
	  .doc = "TCP keepalive." },
	{ "command-cpu-time", "Connections", DURATION(limits.command_cpu_ms), .def = "10s",
	  .min = 100 * MS,
	  .max = 10 * MINUTES,
	  .doc = "Processor time that one command may use." },

	/* ---- SMTP ---- */
	{ "message-size", "SMTP", OCTETS(smtp.message_size), .def = "50M", .min = 64 * KB,
	  .max = 2 * GB,
	  .doc = "Largest message, by SMTP, LMTP and IMAP APPEND. RFC 5321 §4.5.3.1.7: at "
		 "least 64K." },
	{ "smtp-banner-delay", "SMTP", DURATION(smtp.banner_delay_ms), .def = "3s", .min = 0,
	  .max = 1 * MINUTES,
	  .doc = "Wait before the greeting on mx listeners; who talks first is no mail "
		 "server." },
	{ "smtp-command-time", "SMTP", DURATION(smtp.command_ms), .def = "5m", .min = 5 * SECONDS,
	  .max = 1 * HOURS,
	  .doc = "How long a peer may be silent between commands. RFC 5321 §4.5.3.2.7: at "
		 "least 5m." },
	{ "smtp-data-time", "SMTP", DURATION(smtp.data_ms), .def = "5m", .min = 5 * SECONDS,
	  .max = 1 * HOURS,
	  .doc = "How long a peer may be silent inside a message. RFC 5321 §4.5.3.2.5." },
	{ "smtp-busy-time", "SMTP", DURATION(smtp.busy_ms), .def = "10s", .min = 1 * SECONDS,
	  .max = 1 * HOURS,
	  .doc = "Both of these when more than 80 % of strangers are connected." },
	{ "smtp-data-rate", "SMTP", NUMBER(smtp.data_min_rate), .def = "500", .min = 1,
	  .max = 1000000,
	  .unit = "octets per second",
	  .doc = "Slowest average rate of a message, after smtp-data-grace." },
	{ "smtp-data-grace", "SMTP", DURATION(smtp.data_grace_ms), .def = "60s", .min = 1 * SECONDS,
	  .max = 1 * HOURS,
	  .doc = "How long the rate is not looked at." },
	{ "smtp-data-total", "SMTP", DURATION(smtp.data_total_ms), .def = "1h", .min = 1 * MINUTES,
	  .max = 1 * DAYS,
	  .doc = "Longest time for one message." },
	{ "smtp-session-age", "SMTP", DURATION(smtp.session_age_ms), .def = "10m",
	  .min = 10 * SECONDS, .max = 1 * DAYS,
	  .doc = "Age of an mx session without mail at which it is closed." },
	{ "smtp-line", "SMTP", OCTETS(smtp.command_line), .def = "2048", .min = 512, .max = 64 * KB,
	  .doc = "Longest command line, CRLF included. RFC 5321 §4.5.3.1.4: at least 512." },
	{ "smtp-auth-line", "SMTP", OCTETS(smtp.auth_line), .def = "12288", .min = 12288,
	  .max = 64 * KB,
	  .doc = "Longest line of an AUTH exchange. RFC 4954 §4: at least 12288." },
	{ "smtp-data-line", "SMTP", OCTETS(smtp.data_line), .def = "64K", .min = 1000,
	  .max = 1 * MB,
	  .doc = "Longest line of a message. RFC 5321 §4.5.3.1.6: at least 1000." },
	{ "smtp-recipients", "SMTP", NUMBER(smtp.recipients_mx), .def = "200", .min = 100,
	  .max = 10000,
	  .unit = "recipients",
	  .doc = "Per message on mx and lmtp listeners. RFC 5321 §4.5.3.1.8: at least 100." },
	{ "submission-recipients", "SMTP", NUMBER(smtp.recipients_submission), .def = "500",
	  .min = 100, .max = 10000,
	  .unit = "recipients",
	  .doc = "Per message of a logged-in user." },
	{ "smtp-messages", "SMTP", NUMBER(smtp.messages_per_session), .def = "100", .min = 1,
	  .max = 1000000,
	  .unit = "messages",
	  .doc = "Messages in one session." },
	{ "smtp-bad-commands", "SMTP", NUMBER(smtp.bad_commands_soft), .def = "10", .min = 1,
	  .max = 1000,
	  .unit = "commands",
	  .doc = "Wrong commands after which every answer waits a second." },
	{ "smtp-bad-commands-max", "SMTP", NUMBER(smtp.bad_commands_hard), .def = "20", .min = 1,
	  .max = 1000,
	  .unit = "commands",
	  .doc = "Wrong commands after which the session ends with 421." },
	{ "smtp-useless-commands", "SMTP", NUMBER(smtp.useless_commands), .def = "100", .min = 10,
	  .max = 100000,
	  .unit = "commands",
	  .doc = "Commands without mail (NOOP, RSET, EHLO, VRFY) after which the session "
		 "ends." },
	{ "smtp-unknown-recipients", "SMTP", NUMBER(smtp.unknown_recipients_soft), .def = "3",
	  .min = 1, .max = 1000,
	  .unit = "recipients",
	  .doc = "Unknown recipients in a session after which each answer is delayed." },
	{ "smtp-unknown-recipients-max", "SMTP", NUMBER(smtp.unknown_recipients_hard), .def = "10",
	  .min = 1,
	  .max = 1000, .unit = "recipients",
	  .doc = "Unknown recipients after which the session ends with 421." },
	{ "smtp-unknown-recipient-delay", "SMTP", DURATION(smtp.unknown_recipient_delay_ms),
	  .def = "5s", .min = 0,
	  .max = 1 * MINUTES,
	  .doc = "That delay." },
	{ "received-fields", "SMTP", NUMBER(smtp.received_headers), .def = "100", .min = 20,
	  .max = 1000,
	  .unit = "fields",
	  .doc = "Received fields beyond which a message is in a loop. RFC 5321 §6.3." },
	{ "submission-bare-newline", "SMTP",
	  CHOICE(smtp.submission_bare_newline, bare_newline_words), .def = "normalise",
	  .doc = "What happens to a bare CR or LF in a message from a logged-in user. On mx "
		 "listeners it is always refused." },

	{ "send-per-minute", "SMTP", NUMBER(smtp.sent_per_minute), .def = "50", .min = 1, .max = 1000000,
	  .doc = "Messages that an account may send in a minute to others than our own people. Beyond each of "
		 "these limits it is told to try again later (451)." },
	{ "send-per-hour", "SMTP", NUMBER(smtp.sent_per_hour), .def = "100", .min = 1, .max = 1000000,
	  .doc = "The same in an hour." },
	{ "send-recipients-per-day", "SMTP", NUMBER(smtp.sent_rcpts_per_day), .def = "1000", .min = 1, .max = 10000000,
	  .doc = "Recipients elsewhere that an account may write to in a day." },
	{ "send-new-recipients-per-day", "SMTP", NUMBER(smtp.sent_new_per_day), .def = "200", .min = 1, .max = 10000000,
	  .doc = "Of these, those that it has not written to in half a year." },
	{ "send-factors", "SMTP", LIST(smtp.send_factors), .def = "none", .min = 1, .max = 256,
	  .doc = "Accounts that may send more: news@example.org=20 counts as 20 usual ones, @example.org=3 each of "
		 "a domain. none: nobody may." },
	{ "bulk-senders", "SMTP", LIST(smtp.bulk_senders), .def = "none", .min = 1, .max = 256,
	  .doc = "Accounts (news@example.org=add) and domains (@example.org=check) that write to many, as newsletters: their messages to "
		 "elsewhere carry List-Unsubscribe and List-Unsubscribe-Post (RFC 8058). add writes both where they are missing, check refuses a "
		 "message without them, off is for one account of a domain." },
	{ "unsubscribe-url", "SMTP", STRING(smtp.unsubscribe_url), .def = "", .min = 0, .max = 300,
	  .doc = "Where the links of bulk-senders lead, such as https://example.org/unsubscribe/, when another web server passes such requests on "
		 "to webd. Without it https://HOSTNAME/unsubscribe/." },
	{ "suppress-after", "SMTP", NUMBER(smtp.suppress_after), .def = "3", .min = 1, .max = 1000,
	  .doc = "An address elsewhere that was refused so many times for good (no such address, 5.1.x), without a "
		 "delivery between, is sent nothing for 90 days. See postroom suppression." },
	{ "local-senders", "SMTP", LIST(smtp.local_senders), .def = "none", .min = 1, .max = 256,
	  .doc = "What programs of this host may write as, by `sendmail`, besides USER@ the first domain: "
		 "www-data=shop@example.org, or www-data=@example.org for all of a domain. root may "
		 "write as anybody. none allows nothing more." },

	/* ---- DNS ---- */
	{ "dns-servers", "DNS", LIST(dns.servers), .def = "recursive", .min = 1, .max = 8,
	  .need_restart = true,
	  .doc = "Who is asked for names. recursive: the authoritative servers themselves, which "
		 "block lists and DANE want. system: the servers of /etc/resolv.conf. Or their "
		 "addresses, with another port as 192.0.2.1@5353; local names are asked there, "
		 "too." },
	{ "dns-trust-anchors", "DNS", LIST(dns.anchors), .def = "root", .min = 1, .max = 8,
	  .need_restart = true,
	  .doc = "What DNSSEC proofs are built on. root: the root zone's keys, which are built "
		 "in. none: nothing is proven; for dns-servers that cannot pass on signatures. "
		 "Or absolute paths of files with DS or DNSKEY records." },
	{ "dns-timeout", "DNS", DURATION(dns.timeout_ms), .def = "10s", .min = 1 * SECONDS,
	  .max = 1 * MINUTES, .need_restart = true,
	  .doc = "How long one question may take. Then nothing is known, and whoever asked tries "
		 "again later." },

	/* ---- Incoming mail: what strangers send to mx listeners; doc/receiving.md ---- */
	{ "check-rate", "Incoming mail", ACTION(rate, "defer"),
	  .doc = "More messages or recipients from one address or network than messages-per-minute and "
		 "recipients-per-minute allow." },
	{ "messages-per-minute", "Incoming mail", NUMBER(policy.messages_per_minute), .def = "100",
	  .min = 1, .max = 1000000, .unit = "messages",
	  .doc = "From one IPv4 address or IPv6 /64; three times as many "
		 "from a /24 or /48." },
	{ "recipients-per-minute", "Incoming mail", NUMBER(policy.recipients_per_minute), .def = "500",
	  .min = 1, .max = 1000000, .unit = "recipients",
	  .doc = "The same for recipients." },
	{ "check-greylist", "Incoming mail", ACTION(greylist, "off"), .need_restart = true,
	  .doc = "A suspect that has not been here before: its address has no confirmed name or stands in "
		 "a list, or SPF says fail or softfail; never one that passes SPF. With defer it is let in "
		 "when it tries again after greylist-wait, and known for 36 days." },
	{ "greylist-wait", "Incoming mail", DURATION(policy.greylist_ms), .def = "5m", .min = 1 * SECONDS,
	  .max = 1 * HOURS,
	  .doc = "How long a suspect has to wait before it tries again." },
	{ "check-helo", "Incoming mail", ACTION(helo, "log"),
	  .doc = "The client calls itself by our name or address, or by what is no name at all." },
	{ "check-reverse-dns", "Incoming mail", ACTION(reverse_dns, "log"),
	  .doc = "The client's address has no name, or none that leads back to it." },
	{ "check-dns-list", "Incoming mail", ACTION(dns_list, "reject"),
	  .doc = "The client's address stands in dns-lists with dns-list-weight or more. Lists that do "
		 "not answer count as not listed." },
	{ "dns-lists", "Incoming mail", LIST(policy.dns_lists), .def = "none", .min = 1, .max = 16,
	  .doc = "Lists of addresses in the DNS (RFC 5782), each with a weight: bl.example.org=2; a "
		 "list of good ones has a negative weight: wl.example.net=-3. none: no list is asked." },
	{ "dns-list-weight", "Incoming mail", NUMBER(policy.dns_list_weight), .def = "1", .min = 1,
	  .max = 1000, .unit = "points",
	  .doc = "Sum of weights at which check-dns-list acts." },
	{ "check-sender-domain", "Incoming mail", ACTION(sender_domain, "junk"),
	  .doc = "The domain in MAIL FROM does not exist, or has neither MX nor address: nobody could "
		 "answer." },
	{ "check-null-mx", "Incoming mail", ACTION(null_mx, "reject"),
	  .doc = "The domain in MAIL FROM says that it has no mail (RFC 7505)." },
	{ "check-spf", "Incoming mail", ACTION(spf, "junk"),
	  .doc = "The domain in MAIL FROM says that the client may not send for it (SPF fail), and "
		 "nothing else vouches for the author. With softfail only the log is told." },
	{ "check-from", "Incoming mail", ACTION(from, "reject"),
	  .doc = "There is not exactly one From field with an author of one domain." },
	{ "check-dmarc", "Incoming mail", ACTION(dmarc, "reject"),
	  .doc = "The author's domain did not send this, and asks for it to be refused: what is done "
		 "then. Where it asks for quarantine the mail goes to Junk; with junk, defer or reject "
		 "here." },
	{ "check-attachment", "Incoming mail", ACTION(attachment, "off"),
	  .doc = "The name of an attached file, of whatever part, has one of attachment-endings. Archives are not looked into." },
	{ "attachment-endings", "Incoming mail", LIST(policy.attachment_endings),
	  .def = "ade adp apk appx appxbundle bat chm cmd com cpl diagcab dll exe gadget hta img ins iso isp jar jnlp js jse lnk mde msc "
		 "msi msix msp mst pif ps1 reg scf scr sct settingcontent-ms shb sys vb vbe vbs vhd vhdx wsc wsf wsh xll",
	  .min = 1, .max = 1000,
	  .doc = "Endings of names, without dots, for check-attachment: what a double click runs." },
	{ "dmarc-exceptions", "Incoming mail", LIST(policy.dmarc_exceptions), .def = "none", .min = 1,
	  .max = 1000,
	  .doc = "Authors' domains, subdomains included, with the policy that holds here instead of "
		 "the published one: lists.example.org=none example.net=reject." },

	{ "arc-trusted", "Incoming mail", LIST(policy.arc_trusted), .def = "none", .min = 1, .max = 1000,
	  .doc = "Domains of forwarders and mailing lists whose ARC seals are believed (RFC 8617): where "
		 "each hop of a chain is one of them and the first saw DMARC pass, check-dmarc and check-spf find "
		 "nothing." },

	{ "milters", "Incoming mail", LIST(policy.milters), .def = "none", .min = 1, .max = 8,
	  .need_restart = true,
	  .doc = "Filter programs that are asked about each message of a stranger, one after the other, by "
		 "the milter protocol: 127.0.0.1:11332 (rspamd), /run/clamav/clamav-milter.ctl. With rspamd: in "
		 "front, rspamd is asked by HTTP: rspamd:127.0.0.1:11333, rspamd:/run/rspamd/normal.sock. They may "
		 "refuse it, add header fields, or have it put into Junk: by quarantine, or by the field "
		 "X-Spam: Yes or X-Spam-Flag: YES." },
	{ "submission-milters", "Incoming mail", LIST(policy.submission_milters), .def = "none", .min = 1, .max = 8,
	  .need_restart = true,
	  .doc = "The same for what our own people send: on submission, submissions and local listeners. What they add is signed "
		 "with the message; what they would quarantine or discard is refused." },
	{ "rspamd-password", "Incoming mail", PATH(policy.rspamd_password), .def = "keys/rspamd", .min = 1, .max = 1024,
	  .need_restart = true,
	  .doc = "File with the password that rspamd is told when it is asked by HTTP. Without the file none is. Others must not "
		 "be able to read it." },
	{ "milter-timeout", "Incoming mail", DURATION(policy.milter_ms), .def = "60s",
	  .min = 1 * SECONDS, .max = 10 * MINUTES,
	  .doc = "How long a filter may take for each answer." },
	{ "milter-failure", "Incoming mail", CHOICE(policy.milter_failure, milter_failure_words),
	  .def = "defer",
	  .doc = "What becomes of a message when a filter cannot be reached, takes too long or breaks the "
		 "protocol: the sender tries again later, or it is accepted unseen." },
	{ "rejects", "Incoming mail", CHOICE(policy.rejects, rejects_words), .def = "drop", .need_restart = true,
	  .doc = "keep: what is refused for its content (by check-from, check-dmarc, check-spf, check-attachment or a filter) is kept for "
		 "a while in a mailbox Rejects of whom it was meant for, which does not count against the quota. The sender is refused all the same." },
	{ "rejects-age", "Incoming mail", DURATION(policy.rejects_ms), .def = "7d", .min = 1 * HOURS, .max = 90 * DAYS, .need_restart = true,
	  .doc = "How long they are kept. At most 500 messages and 100 MiB per account: the oldest make room." },

	{ "relay-networks", "Incoming mail", NETS(policy.relay_networks), .def = "never",
	  .doc = "Networks whose hosts may send to anybody through mx listeners without login: an old "
		 "server, a printer. Not even loopback may without being named. They are no strangers "
		 "either: no check for strangers is asked." },
	{ "xclient-networks", "Incoming mail", NETS(policy.xclient_networks), .def = "never",
	  .doc = "Hosts in front of this one, whose XCLIENT says which client they speak for (ADDR, PORT, "
		 "HELO). From others it is refused." },
	{ "dmarc-reports", "Incoming mail", YES_NO(policy.dmarc_reports), .def = "yes", .need_restart = true,
	  .doc = "Once a day tell domains that ask for it from where mail in their name came, and what became of it. RFC 9990." },
	{ "complaint-reporters", "Incoming mail", LIST(policy.complaint_reporters), .min = 1, .max = 200,
	  .def = "staff@hotmail.com feedback@arf.mail.yahoo.com yahooinc.com microsoft.com senderscore.net validity.com returnpath.net "
		 "cloudmark.com signal-spam.fr rackspace.com united-internet.de",
	  .doc = "Addresses, and domains where nobody but the provider has one, whose complaints (ARF, RFC 5965), when DMARC proves them, are believed "
		 "without an unsubscribe link of ours in the mail that they are about. none: nobody's." },
	{ "report-addresses", "Incoming mail", LIST(policy.report_addresses), .def = "none", .min = 1, .max = 16,
	  .doc = "Addresses of ours to which others send DMARC and TLS reports (rua=) and complaints (feedback loops): these are read when they come, and shown by "
		 "`postroom reports` for as long as events-keep says." },
	{ "srs", "Incoming mail", YES_NO(policy.srs), .def = "yes",
	  .doc = "Mail that an alias or a filter sends on gets a sender of ours (Sender Rewriting Scheme), "
		 "so that the next server's SPF check passes; bounces find their way back for 21 days." },

	/* ---- Queue ---- */
	{ "queue-messages", "Queue", NUMBER(queue.messages), .def = "200000", .min = 1,
	  .max = 100000000,
	  .unit = "messages",
	  .doc = "Queued messages at which new mail for the queue is put off. Local delivery"
		 " goes on." },
	{ "queue-free-space", "Queue", OCTETS(queue.free_space), .def = "64M", .min = 1 * MB,
	  .max = 1024 * GB,
	  .doc = "Free disk space below which new mail for the queue is put off." },

	{ "queue-retry", "Queue", DURATION(queue.retry_min_ms), .def = "5m", .min = 1 * SECONDS,
	  .max = 1 * HOURS,
	  .doc = "Wait before the second attempt to send; doubles with each further one." },
	{ "queue-retry-max", "Queue", DURATION(queue.retry_max_ms), .def = "70m",
	  .min = 1 * SECONDS, .max = 1 * DAYS,
	  .doc = "Longest wait between two attempts." },
	{ "queue-delay-notice", "Queue", DURATION(queue.delay_notice_ms), .def = "4h",
	  .min = 1 * SECONDS, .max = 30 * DAYS,
	  .doc = "Age at which the sender is told that a message is late." },
	{ "queue-lifetime", "Queue", DURATION(queue.lifetime_ms), .def = "5d", .min = 1 * SECONDS,
	  .max = 100 * DAYS,
	  .doc = "Age at which a message that could not be sent goes back. RFC 5321 §4.5.4.1: at "
		 "least 4 to 5 days." },
	{ "queue-lifetime-bounce", "Queue", DURATION(queue.lifetime_null_ms), .def = "1d",
	  .min = 1 * SECONDS, .max = 100 * DAYS,
	  .doc = "The same for messages without a sender, such as bounces." },
	{ "brake", "Queue", NUMBER(queue.brake_percent), .def = "30", .min = 1, .max = 100,
	  .doc = "When so many percent of the last 50 recipients of an account were refused for good, all that it "
		 "sends is held back, and it and postmaster are told: its password may be stolen. See postroom hold." },
	{ "queue-hold-max", "Queue", DURATION(queue.hold_max_ms), .def = "30d", .min = 1 * MINUTES, .max = 365 * DAYS,
	  .doc = "How long ahead people may send a message that is to leave later (FUTURERELEASE, RFC 4865)." },

	/* ---- Sending ---- */
	{ "sending", "Sending", YES_NO(relay.sending), .def = "yes",
	  .doc = "no: what is queued waits until this is yes again." },
	{ "relay-port", "Sending", NUMBER(relay.port), .def = "25", .min = 1, .max = 65535,
	  .doc = "Port at which other mail servers are reached. Another than 25 is for networks of "
		 "one's own." },
	{ "relay-ipv6", "Sending", YES_NO(relay.ipv6), .def = "yes",
	  .doc = "Send over IPv6 where the other side has it. As long as our IPv6 address has no reverse name, "
		 "since large providers refuse mail that comes by it then, IPv4 is taken where that leads there, too." },
	{ "relay-connections", "Sending", NUMBER(relay.connections), .def = "100", .min = 1,
	  .max = 10000, .unit = "connections",
	  .doc = "Connections to other servers at a time." },
	{ "relay-connections-per-destination", "Sending", NUMBER(relay.per_destination),
	  .def = "20", .min = 1, .max = 1000, .unit = "connections",
	  .doc = "Of them, to one domain or smarthost. It begins with 2 and grows while the other "
		 "side keeps up." },
	{ "mail-providers", "Sending", LIST(relay.providers), .min = 1, .max = 200,
	  .def = "google=google.com google=googlemail.com microsoft=protection.outlook.com microsoft=outlook.com microsoft=mx.microsoft "
		 "yahoo=yahoodns.net apple=icloud.com gmx=gmx.net gmx=web.de ionos=kundenserver.de ionos=ionos.de comcast=comcast.net "
		 "mailru=mail.ru yandex=yandex.net yandex=yandex.ru qq=qq.com netease=netease.com zoho=zoho.com zoho=zoho.eu "
		 "proton=protonmail.ch fastmail=messagingengine.com proofpoint=pphosted.com mimecast=mimecast.com "
		 "broadcom=messagelabs.com barracuda=barracudanetworks.com",
	  .doc = "Who runs the servers of many domains, as NAME=SUFFIX of the MX hosts' names: all that goes to one of them shares "
		 "relay-connections-per-destination, and slows down when one of its servers asks for that. none: nobody." },
	{ "relay-connect-time", "Sending", DURATION(relay.connect_ms), .def = "30s",
	  .min = 1 * SECONDS, .max = 5 * MINUTES,
	  .doc = "How long one address may take to answer a connection." },
	{ "relay-reply-time", "Sending", DURATION(relay.reply_ms), .def = "5m",
	  .min = 1 * SECONDS, .max = 1 * HOURS,
	  .doc = "How long an answer may take; twice that for the end of a message. RFC 5321 "
		 "§4.5.3.2: at least 5m." },
	{ "smarthosts", "Sending", LIST(relay.smarthosts), .def = "none", .min = 1, .max = 100,
	  .doc = "Servers through which mail goes out, as SELECTOR=HOST:PORT. SELECTOR is * for all "
		 "mail, to:DOMAIN for recipients, from:DOMAIN for senders; to: comes before from:, and * "
		 "last. Port 465 is TLS from the start. HOST may be [192.0.2.1]. lmtp:HOST:PORT is a program that "
		 "speaks LMTP, such as a mailing list manager." },
	{ "smarthost-passwords", "Sending", PATH(relay.passwords), .def = "keys/smarthosts",
	  .min = 1, .max = 1024, .need_restart = true,
	  .doc = "File with lines HOST USER PASSWORD; refused when others may read it. A smarthost "
		 "with a line here is reached over verified TLS only." },
	{ "relay-ca-file", "Sending", PATH(relay.ca_file), .def = "", .min = 0, .max = 1024,
	  .need_restart = true,
	  .doc = "Authorities, PEM, that may vouch for other servers, of mail and of MTA-STS policies. Default: those of the system." },
	{ "mta-sts", "Sending", YES_NO(relay.sts), .def = "yes", .need_restart = true,
	  .doc = "Obey the MTA-STS policies of other domains when mail is sent to them. RFC 8461." },
	{ "tls-reports", "Sending", YES_NO(relay.reports), .def = "yes", .need_restart = true,
	  .doc = "Once a day tell domains that ask for it how TLS with their servers went. RFC 8460." },
	{ "mta-sts-port", "Sending", NUMBER(relay.sts_port), .def = "443", .min = 1, .max = 65535, .need_restart = true,
	  .doc = "Port at which their policies are fetched. Another than 443 is for networks of one's own." },
	{ "fetch-private-addresses", "Sending", YES_NO(relay.fetch_private), .def = "no", .need_restart = true,
	  .doc = "Fetch by HTTPS also from addresses that are not of the internet." },
	{ "webhook-url", "Sending", STRING(relay.webhook_url), .def = "", .min = 0, .max = 1000, .need_restart = true,
	  .doc = "Where to POST what happens to messages, with https; it may have a private address. doc/sending.md, \"Webhooks\"." },
	{ "webhook-key", "Sending", PATH(relay.webhook_key), .def = "keys/webhook", .min = 1, .max = 1024, .need_restart = true,
	  .doc = "File with the key that signs each POST, as whsec_ and base64; `postroom webhook key` makes it." },
	{ "webhook-events", "Sending", LIST(relay.webhook_events), .min = 1, .max = 20, .need_restart = true,
	  .def = "queue.add relay.sent relay.deferred relay.failed smtp.complaint",
	  .doc = "Which events are told: those, and smtp.accept deliver.done deliver.failed queue.remove queue.notice." },

	/* ---- Messages ---- */
	{ "header-size", "Messages", OCTETS(mime.header_block), .def = "1M", .min = 16 * KB,
	  .max = 1 * MB,
	  .doc = "Longest header that submission takes. Mail from elsewhere is kept whole; at most 1M "
		 "of its header is read." },
	{ "header-field-size", "Messages", OCTETS(mime.header_field), .def = "100K", .min = 4 * KB,
	  .max = 100 * KB,
	  .doc = "Longest header field that submission takes; of others at most 100K are read." },

	/* ---- IMAP ---- */
	{ "imap-idle-time", "IMAP", DURATION(imap.idle_ms), .def = "30m", .min = 30 * MINUTES,
	  .max = 7 * DAYS,
	  .doc = "Silence after which a session is ended. RFC 9051 §5.4: at least 30m." },
	{ "imap-line-prelogin", "IMAP", OCTETS(imap.line_prelogin), .def = "8K", .min = 1 * KB,
	  .max = 64 * KB,
	  .doc = "Longest command line before login." },
	{ "imap-line", "IMAP", OCTETS(imap.line), .def = "64K", .min = 8 * KB, .max = 1 * MB,
	  .doc = "Longest command line. RFC 7162 §4: at least 8K." },
	{ "imap-literal", "IMAP", OCTETS(imap.literal), .def = "128K", .min = 8 * KB,
	  .max = 16 * MB,
	  .doc = "Largest literal, other than a message in APPEND." },
	{ "imap-command", "IMAP", OCTETS(imap.command), .def = "1M", .min = 64 * KB, .max = 16 * MB,
	  .doc = "All octets of one command, messages in APPEND not counted." },
	{ "imap-literal-prelogin", "IMAP", OCTETS(imap.literal_prelogin), .def = "4K",
	  .min = 1 * KB, .max = 64 * KB,
	  .doc = "Largest literal before login. RFC 7888 §5." },
	{ "imap-list-depth", "IMAP", NUMBER(imap.list_depth), .def = "32", .min = 4, .max = 1000,
	  .unit = "levels",
	  .doc = "Parentheses inside parentheses in a command; before login 1." },
	{ "imap-auto-subscribe", "IMAP", YES_NO(imap.auto_subscribe), .def = "yes",
	  .doc = "Subscribe what CREATE and RENAME make: several mail programs show subscribed "
	         "mailboxes only." },
	{ "imap-capabilities-off", "IMAP", LIST(imap.capabilities_off), .def = "none", .min = 1,
	  .max = 64,
	  .doc = "Capabilities not to offer, such as CONDSTORE or LIST-EXTENDED; their commands are "
	         "unknown then. For programs that stumble over one." },
	{ "imap-workarounds", "IMAP", LIST(imap.workarounds), .def = "ios-imap4rev2", .min = 1, .max = 64,
	  .doc = "What is done for programs that stumble over a server that does everything right; they "
	         "are known by their ID. ios-imap4rev2: do not offer IMAP4rev2 to iOS; ios-compress: "
	         "nor COMPRESS; none." },
	{ "imap-bad-commands-prelogin", "IMAP", NUMBER(imap.bad_commands_prelogin), .def = "3",
	  .min = 1, .max = 1000,
	  .unit = "commands",
	  .doc = "Wrong commands before login after which the session ends." },
	{ "imap-bad-commands", "IMAP", NUMBER(imap.bad_commands), .def = "20", .min = 1,
	  .max = 1000,
	  .unit = "commands",
	  .doc = "Wrong commands after which the session ends." },
	{ "imap-search-keys", "IMAP", NUMBER(imap.search_keys), .def = "512", .min = 16,
	  .max = 10000, .unit = "keys",
	  .doc = "Keys of one SEARCH." },
	{ "imap-progress-interval", "IMAP", DURATION(imap.progress_ms), .def = "10s", .min = 1,
	  .max = 1 * HOURS,
	  .doc = "How often a client is told how far its long command is (RFC 9585)." },
	{ "imap-message-limit", "IMAP", NUMBER(imap.message_limit), .def = "1000000", .min = 1000,
	  .max = UINT32_MAX, .unit = "messages",
	  .doc = "Messages that one command works on; the rest is left to the next one (RFC 9738)." },
	{ "imap-notify-mailboxes", "IMAP", NUMBER(imap.notify_mailboxes), .def = "2000", .min = 10,
	  .max = 100000, .unit = "mailboxes",
	  .doc = "Mailboxes that an account may see, its own and those that others share, for a program to be told of changes in them "
		 "by NOTIFY. With more it is told NOTIFICATIONOVERFLOW (RFC 5465 §5.8) and has to look by itself." },

	/* ---- POP3 ---- */
	{ "pop3-idle-time", "POP3", DURATION(pop3.idle_ms), .def = "10m", .min = 10 * MINUTES,
	  .max = 1 * DAYS,
	  .doc = "Silence after which a session is ended without deleting. RFC 1939 §3: at "
		 "least 10m." },
	{ "pop3-line", "POP3", OCTETS(pop3.command_line), .def = "2048", .min = 255, .max = 64 * KB,
	  .doc = "Longest command line, CRLF included; lines of a SASL exchange obey smtp-"
		 "auth-line. RFC 2449 §4: at least 255." },
	{ "pop3-bad-commands-prelogin", "POP3", NUMBER(pop3.bad_commands_prelogin), .def = "3",
	  .min = 1, .max = 1000,
	  .unit = "commands",
	  .doc = "Wrong commands before login after which the session ends." },
	{ "pop3-bad-commands", "POP3", NUMBER(pop3.bad_commands), .def = "20", .min = 1,
	  .max = 1000,
	  .unit = "commands",
	  .doc = "Wrong commands after which the session ends." },

	/* ---- Sieve ---- */
	{ "sieve-scripts", "Sieve", NUMBER(sieve.scripts), .def = "100", .min = 1, .max = 10000,
	  .unit = "scripts",
	  .doc = "Mail filters an account may keep." },
	{ "sieve-script-size", "Sieve", OCTETS(sieve.script_size), .def = "1M", .min = 4 * KB,
	  .max = 1024 * KB,
	  .doc = "Largest mail filter." },

	{ "spam-training", "Sieve", STRING(sieve.spam_training), .def = "none", .min = 1, .max = 60,
	  .need_restart = true,
	  .doc = "Address and port of rspamd's controller (127.0.0.1:11334): what people move or copy into Junk by IMAP "
		 "is learned as spam, what they bring out of it, unless into Trash, as none; so is what they mark with $Junk or "
		 "$NotJunk. Its secure_ip must name us." },

	/* ---- Store ---- */
	{ "open-accounts", "Store", NUMBER(store.open_accounts), .def = "512", .min = 16,
	  .max = 16384,
	  .unit = "accounts", .need_restart = true,
	  .doc = "Accounts a worker keeps open when nobody uses them." },
	{ "expire", "Store", LIST(store.expire), .def = "none", .min = 1, .max = 64,
	  .need_restart = true,
	  .doc = "Messages that are removed when they have been in a mailbox for so long, looked for "
		 "every hour: trash=30d and junk=30d mean the mailboxes with that special "
		 "use, Lists/News=90d a mailbox, Lists/*=90d all whose names begin so (suffix"
		 " h, d or w). none removes nothing." },
	{ "compress-mail", "Store", LIST(store.compress), .def = "none", .min = 1, .max = 256,
	  .need_restart = true,
	  .doc = "Domains whose new mail is stored compressed (Zstandard), or all, or none. Clients see "
		 "no difference; other programs that read the Maildir do. postroom store "
		 "compress and decompress change what is there." },
	{ "quota-warnings", "Store", LIST(store.quota_warnings), .def = "none", .min = 1, .max = 8,
	  .need_restart = true,
	  .doc = "Percentages of an account's quota, such as 80 95: when what is stored passes one of "
		 "them, a message in the INBOX says so, once. none sends none." },

	/* ---- Web ---- */
	{ "web", "Web", YES_NO(web.enabled), .def = "yes", .need_restart = true,
	  .doc = "Answer on ports 80 and 443 what mail programs ask to find their settings, our MTA-STS "
		 "policy and the challenges of certificate authorities. When another program has the ports, mail "
		 "goes on without; postroom web --files makes the same answers as files for it." },
	{ "mta-sts-policy", "Web", CHOICE(web.sts_policy, sts_mode_words), .def = "testing",
	  .doc = "What the MTA-STS policy of our domains asks of other servers: enforce makes them send over "
		 "TLS with a certificate that they can verify, or not at all; testing makes them report only; none "
		 "withdraws a policy. RFC 8461." },
	{ "metrics-networks", "Web", NETS(web.metrics_networks), .def = "loopback", .min = 1,
	  .doc = "Who may read /metrics and /healthz/ready of the web front." },
	{ "acme-directory", "Web", STRING(acme.directory), .def = "", .min = 0, .max = 512, .need_restart = true,
	  .doc = "Certificate authority to get the certificate from and to renew it in time, by ACME (RFC 8555): the URL of its "
		 "directory, such as https://acme-v02.api.letsencrypt.org/directory. To set it is to agree to the "
		 "authority's terms of service. Default: none; tls-certificate is then yours to renew. The authority asks for proof "
		 "as acme-challenge says." },
	{ "acme-challenge", "Web", CHOICE(acme.challenge, acme_challenge_words), .def = "http-01", .need_restart = true,
	  .doc = "How each name is proven to the certificate authority: http-01 on port 80 (RFC 8555 section 8.3), or tls-alpn-01 in a TLS "
		 "handshake on port 443 (RFC 8737), for hosts where port 80 is shut; or dns-01 by a record in the DNS (RFC 8555 section 8.4), where both "
		 "ports are another program's: it is put into the zone by an update with the key in keys/dns.key, as postroom dns --publish does." },
	{ "acme-contact", "Web", STRING(acme.contact), .def = "", .min = 0, .max = 254, .need_restart = true,
	  .doc = "Mail address at which the certificate authority may reach you. Default: none is told." },
	{ "acme-names", "Web", LIST(acme.names), .def = "hostname domains", .min = 1, .max = 50, .need_restart = true,
	  .doc = "Names for the certificate. The word hostname stands for the host's; domains for mta-sts.DOMAIN, autoconfig.DOMAIN and "
		 "autodiscover.DOMAIN of each domain, as soon as they lead to the host's addresses. Other names must lead to this host." },

	/* ---- Old devices ---- */
	{ "legacy-bind", "Old devices", LIST(legacy.bind), .def = "none", .min = 1, .max = 16, .need_restart = true,
	  .doc = "Addresses on which printers, scanners and the like may send mail in the ways of their time: no TLS, or TLS 1.0; "
		 "port 2525 plus port-offset. Name addresses of the office network only. Not used when the file has listener "
		 "blocks of its own, of which one can be of kind legacy. Default: there is no such listener." },
	{ "legacy-networks", "Old devices", NETS(legacy.networks), .def = "never",
	  .doc = "Which devices may use it: others are sent away at the greeting. A password from there needs no TLS. Networks, "
		 "loopback, or never." },
	{ "legacy-sender", "Old devices", STRING(legacy.sender), .def = "", .min = 0, .max = 320,
	  .doc = "Address of the account in whose name a device sends that does not log in: it is the envelope's sender whatever the "
		 "device says, and bounces come back to it. Default: devices have to log in." },
	{ "legacy-recipients", "Old devices", LIST(legacy.recipients), .def = "none", .min = 1, .max = 256,
	  .doc = "Addresses and domains elsewhere that devices may send to; logged in or not, they reach nobody else but our own people." },
	{ "legacy-message-size", "Old devices", OCTETS(legacy.message_size), .def = "25M", .min = 64 * KB, .max = 1 * GB,
	  .doc = "Largest message of a device; more than message-size counts as that." },
	{ "legacy-messages-per-minute", "Old devices", NUMBER(legacy.messages_per_minute), .def = "20", .min = 1, .max = 100000,
	  .unit = "messages",
	  .doc = "How many messages a device, by its address, sends in a minute before it is told to try again later." },

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

const struct conf_option *conf_options(size_t *count)
{
	*count = ARRAY_LEN(options);
	return options;
}

size_t conf_option_index(const struct conf_option *option)
{
	return (size_t)(option - options);
}

const struct conf_option *conf_option_find(struct sv name)
{
	for (size_t i = 0; i < ARRAY_LEN(options); i++)
		if (sv_eq(sv_z(options[i].name), name))
			return &options[i];
	return NULL;
}

/* Fewest insertions, deletions, changes and swaps of neighbours that make b of a (optimal string
 * alignment). */
static unsigned edit_distance(struct sv a, struct sv b)
{
	unsigned char row[3][CONF_NAME_MAX + 1];
	unsigned char *before = row[0], *last = row[1], *now = row[2];

	for (size_t j = 0; j <= b.len; j++)
		last[j] = (unsigned char)j;
	for (size_t i = 1; i <= a.len; i++) {
		now[0] = (unsigned char)i;
		for (size_t j = 1; j <= b.len; j++) {
			bool same = ascii_lower(a.p[i - 1]) == ascii_lower(b.p[j - 1]);
			unsigned best = last[j - 1] + !same;

			if (last[j] + 1u < best)
				best = last[j] + 1u;
			if (now[j - 1] + 1u < best)
				best = now[j - 1] + 1u;
			if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] &&
			    a.p[i - 2] == b.p[j - 1] && before[j - 2] + 1u < best)
				best = before[j - 2] + 1u;
			now[j] = (unsigned char)best;
		}
		unsigned char *spare = before;

		before = last;
		last = now;
		now = spare;
	}
	return last[b.len];
}

const char *conf_option_nearest(struct sv name)
{
	const char *best = NULL;
	unsigned best_distance;

	if (!name.len || name.len > CONF_NAME_MAX)
		return NULL;
	best_distance = name.len < 6 ? 2 : (unsigned)name.len / 3 + 1;
	if (best_distance > 5)
		best_distance = 5;
	for (size_t i = 0; i < ARRAY_LEN(options); i++) {
		unsigned distance = edit_distance(name, sv_z(options[i].name));

		if (distance < best_distance) {
			best_distance = distance;
			best = options[i].name;
		}
	}
	return best;
}

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
