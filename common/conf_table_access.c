/* How mail is kept and read, and what the web front tells. Rows of the table of options (conf_table_private.h). */
#include "common/conf_table_private.h"

#include "common/banned.h"

static const char *const acme_challenge_words[] = { "http-01", "tls-alpn-01", "dns-01", NULL };
static const char *const sts_mode_words[] = { "none", "testing", "enforce", NULL };

static const struct conf_option options[] = {
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
};

const struct conf_rows conf_access_rows = { options, ARRAY_LEN(options) };
