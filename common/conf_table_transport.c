/* How mail comes in and goes out. Rows of the table of options (conf_table_private.h). */
#include "common/conf_table_private.h"

#include "common/banned.h"

#define ACTION(f, d) CHOICE(policy.f, action_words), .def = d

static const char *const action_words[] = { "off", "log", "junk", "defer", "reject", NULL };
static const char *const rejects_words[] = { "drop", "keep", NULL };
static const char *const milter_failure_words[] = { "defer", "accept", NULL };
static const char *const bare_newline_words[] = { "normalise", "refuse", NULL };

static const struct conf_option options[] = {
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
};

const struct conf_rows conf_transport_rows = { options, ARRAY_LEN(options) };

static const struct conf_option legacy[] = {
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
};

const struct conf_rows conf_legacy_rows = { legacy, ARRAY_LEN(legacy) };
