/* What belongs to the host, its log, TLS, logins and connections. Rows of the table of options (conf_table_private.h). */
#include "common/conf_table_private.h"

#include "common/banned.h"

static const char *const log_level_words[] = { "error", "warn", "info", "debug", NULL };
static const char *const tls_version_words[] = { "1.2", "1.3", NULL };

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
};

const struct conf_rows conf_host_rows = { options, ARRAY_LEN(options) };
