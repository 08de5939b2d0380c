/* The configuration: what a file may say, and that everything wrong with it is told in one run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/conf.h"
#include "common/memory.h"

#include "common/banned.h"

static struct conf *read_good(const char *text)
{
	struct conf_report report = { NULL, 0, false };
	struct conf *conf = NULL;
	struct fault f = conf_parse(sv_z(text), "test.conf", "/srv/mail", &report, &conf);

	if (f.kind)
		print_error("line %u: %s\n", report.errors[0].line, report.errors[0].text);
	assert_int_equal(f.kind, FAULT_NONE);
	assert_int_equal(report.count, 0);
	return conf;
}

static void defaults_are_a_working_server(void **state)
{
	struct conf *conf = conf_default("/srv/mail");
	unsigned kinds = 0;
	(void)state;

	assert_true(conf->smtp.message_size == 50u << 20);
	assert_true(conf->imap.idle_ms == 30 * 60 * 1000);
	assert_string_equal(conf->tls.certificate, "/srv/mail/tls/cert.pem");
	assert_string_equal(conf->log.file, "");
	assert_true(conf->host.hostname[0] != '\0');
	assert_int_equal(conf->auth.plaintext_networks.count, 2);
	assert_int_equal(conf->listener_count, 13);
	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		kinds |= l->kind;
		if (l->kind == LISTENER_LMTP && l->path)
			assert_string_equal(l->path, "/srv/mail/run/lmtp.sock");
		else if (l->kind == LISTENER_LOCAL)
			assert_string_equal(l->path, "/srv/mail/run/submit.sock");
		else if (l->kind == LISTENER_LMTP)
			assert_string_equal(l->address, "127.0.0.1");
		else
			assert_string_equal(l->address, "*");
		if (l->kind == LISTENER_IMAPS) {
			assert_int_equal(l->port, 993);
			assert_int_equal(l->tls, CONF_TLS_IMPLICIT);
		}
	}
	assert_int_equal(kinds, (LISTENERS_SMTPD | LISTENERS_IMAPD | LISTENERS_POP3D | LISTENERS_WEBD) & ~LISTENER_LEGACY);
	conf_unref(&conf);
	conf_unref(&conf);      /* NULL is fine */
}

static void values_of_every_type_are_read(void **state)
{
	struct conf *conf = read_good(
		"# a comment\r\n"
		"hostname \"mail.example.org\"   # and another\n"
		"\n"
		"bind 127.0.0.1 ::1\n"
		"port-offset 10000\n"
		"message-size 1G\n"
		"header-field-size 4096\n"
		"smtp-command-time 90s\n"
		"login-time 5000ms\n"
		"tls-kernel YES\n"
		"tls-minimum 1.3\n"
		"tls-key /etc/ssl/private/mail.pem\n"
		"tls-certificate \"my certs/a \\\"b\\\" \\\\c.pem\"\n"
		"user \"\"\n"
		"\tplaintext-auth never\n"
		"exempt-networks 192.0.2.0/24 2001:db8::/32 loopback\n"
		"log-level debug");
	(void)state;

	assert_string_equal(conf->host.hostname, "mail.example.org");
	assert_true(conf->smtp.message_size == 1u << 30);
	assert_int_equal(conf->mime.header_field, 4096);
	assert_int_equal(conf->smtp.command_ms, 90000);
	assert_int_equal(conf->limits.login_ms, 5000);
	assert_true(conf->tls.ktls);
	assert_int_equal(conf->tls.minimum, CONF_TLS_1_3);
	assert_string_equal(conf->tls.key, "/etc/ssl/private/mail.pem");
	assert_string_equal(conf->tls.certificate, "/srv/mail/my certs/a \"b\" \\c.pem");
	assert_string_equal(conf->host.user, "");
	assert_int_equal(conf->auth.plaintext_networks.count, 0);
	assert_int_equal(conf->host.exempt_networks.count, 4);
	assert_int_equal(conf->log.level, LOG_LEVEL_DEBUG);
	assert_int_equal(conf->listener_count, 10 * 2 + 3);
	for (size_t i = 0; i < conf->listener_count; i++)
		if (conf->listeners[i].kind == LISTENER_LMTP && !conf->listeners[i].path)
			assert_int_equal(conf->listeners[i].port, 10024);
	conf_unref(&conf);
}

static void blocks_are_rows_with_defaults_by_kind(void **state)
{
	struct conf *conf = read_good(
		"listener outside {\n"
		"\tkind mx\n"
		"\taddress 192.0.2.1\n"
		"}\n"
		"listener local {\n\tkind lmtp\n\tpath run/in.sock\n}\n"
		"listener free { # any port\n\tkind imaps\n\tport 0\n}\n"
		"port-offset 2000\n");
	(void)state;

	assert_int_equal(conf->listener_count, 3);
	assert_string_equal(conf->listeners[0].name, "outside");
	assert_string_equal(conf->listeners[0].address, "192.0.2.1");
	assert_int_equal(conf->listeners[0].port, 2025);
	assert_int_equal(conf->listeners[0].tls, CONF_TLS_STARTTLS);
	assert_string_equal(conf->listeners[1].path, "/srv/mail/run/in.sock");
	assert_null(conf->listeners[1].address);
	assert_int_equal(conf->listeners[2].port, 0);
	assert_int_equal(conf->listeners[2].tls, CONF_TLS_IMPLICIT);
	conf_unref(&conf);
}

static void old_devices_have_a_listener_when_the_file_wants_one(void **state)
{
	struct conf *conf = read_good("port-offset 10000\nlegacy-bind 192.168.1.2 10.0.0.1\nlegacy-networks 192.168.1.0/24\n"
				      "legacy-recipients a@b.test c.test\nlegacy-message-size 1M\n");
	unsigned count = 0;
	(void)state;

	for (size_t i = 0; i < conf->listener_count; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		if (l->kind != LISTENER_LEGACY)
			continue;
		count++;
		assert_string_equal(l->address, count == 1 ? "192.168.1.2" : "10.0.0.1");
		assert_int_equal(l->port, 12525);
		assert_int_equal(l->tls, CONF_TLS_STARTTLS);
	}
	assert_int_equal(count, 2);
	assert_true(conf_message_size(conf, LISTENER_LEGACY) == 1u << 20);
	assert_true(conf_message_size(conf, LISTENER_MX) == 50u << 20);
	conf_unref(&conf);
}

/* Every error of a file, by line and a part of its text. */
static void each_mistake_is_told_with_line_and_what_is_expected(void **state)
{
	static const struct { unsigned line; const char *text, *wants;
	} cases[] = {
		{ 1, "mesage-size 5M",
		  "unknown option \"mesage-size\"; did you mean message-size?" },
		{ 1, "quota 5G", "there is no option quota any more: quotas are set by `postroom quota set`" },
		{ 1, "HOSTNAME x", "did you mean hostname?" },
		{ 1, "legacy-bind 192.168.1.2", "a legacy listener needs legacy-networks" },
		{ 1, "legacy-bind printers\nlegacy-networks 10.0.0.0/8", "legacy-bind: \"printers\" is not a numeric address" },
		{ 1, "legacy-sender scanner", "legacy-sender: \"scanner\" is not an address" },
		{ 1, "legacy-recipients a_b", "is neither an address nor a domain" },
		{ 1, "xyzzyplugh 1", "postroom conf describe" },
		{ 1, "kind mx", "kind belongs into a listener block" },
		{ 1, "message-size 50X", "\"50X\" is not a size; expected 64K to 2G octets" },
		{ 1, "message-size 1K", "\"1K\" is too small" },
		{ 1, "message-size 99999999999999999999G", "is not a size" },
		{ 1, "message-size 18014398509481984G", "is too large" },
		{ 1, "message-size -1", "is not a size" },
		{ 1, "message-size", "message-size: has no value" },
		{ 1, "message-size 5M 6M", "too many" },
		{ 1, "smtp-line 100", "too small; expected 512 to 64K octets" },
		{ 1, "login-time 60", "\"60\" is not a time with its unit" },
		{ 1, "workers 1.5", "is not a number" },
		{ 1, "workers 65", "too large; expected 0 to 64 processes, default 0" },
		{ 1, "tls-kernel maybe", "expected yes or no" },
		{ 1, "log-level chatty", "expected error, warn, info or debug, default info" },
		{ 1, "plaintext-auth 127.0.0.1/8", "is not a network" },
		{ 1, "plaintext-auth never loopback", "\"never\" is not a network" },
		{ 1, "hostname mail_1.example", "is not a host name" },
		{ 1, "hostname -a.example", "is not a host name" },
		{ 1, "hostname a..b", "is not a host name" },
		{ 1, "hostname \"\"", "is empty" },
		{ 1, "bind localhost", "is not a numeric address" },
		{ 2, "message-size 10M\nmessage-size 20M", "message-size is given twice; the first time in line 1" },
		{ 1, "hostname \"a.b", "closing quote is missing" },
		{ 1, "hostname \"a\"b", "a space is missing" },
		{ 1, "hostname a\"b\"", "quote in the middle" },
		{ 1, "hostname \"a\\n\"", "\\ in quotes" },
		{ 1, "hostname a\x01", "octet 0x01" },
		{ 1, "hostname a\rb", "octet 0x0d" },
		{ 1, "hostname \xff", "not UTF-8" },
		{ 1, "listener a {\nkind mx", "} of this block is missing" },
		{ 1, "listener {\nkind mx\n}", "a listener block has one name" },
		{ 1, "listener a b {\nkind mx\n}", "a listener block has one name" },
		{ 1, "{\n", "without a block's name" },
		{ 1, "}", "} without a block" },
		{ 3, "listener a {\nkind mx\n} x\n", "behind }" },
		{ 1, "listener a { kind mx }", "behind {" },
		{ 2, "listener a {\nlistener b {\nkind mx\n}", "a block inside a block" },
		{ 1, "domain a {\nkind mx\n}", "unknown block \"domain\"" },
		{ 1, "listener a {\n}", "listener a has no kind" },
		{ 2, "listener a {\nkind mix\n}",
		  "expected mx, submission, submissions, lmtp, imap, imaps, pop3, pop3s, managesieve, local, http, https or legacy" },
		{ 3, "listener a {\nkind mx\ncolour red\n}", "unknown member \"colour\"" },
		{ 3, "listener a {\nkind mx\nhostname a.b\n}",
		  "does not belong into a listener block (opened in line 1" },
		{ 3, "listener a {\nkind mx\naddress here\n}",
		  "\"here\" is not a numeric address" },
		{ 3, "listener a {\nkind mx\ntls implicit\n}", "does not fit kind mx" },
		{ 1, "listener a {\nkind mx\npath x\n}", "only lmtp and local listen on a path" },
		{ 1, "listener a {\nkind lmtp\npath x\nport 24\n}", "one or the other" },
		{ 4, "listener a {\nkind mx\n}\nlistener a {\nkind imap\n}",
		  "there is a listener a already" },
		{ 2, "failure-delay-max 1s\nfailure-delay 2s",
		  "failure-delay is larger than failure-delay-max" },
		{ 1,
		  "imap-line-prelogin 64K\nimap-line 64K\nimap-literal-prelogin 64K\nimap-literal "
		  "32K",
		  NULL },
	};
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct conf_report report = { NULL, 0, false };
		struct conf *conf = NULL;
		struct sv text = sv_z(cases[i].text);
		char *exact = xmalloc(text.len);

		memcpy(exact, text.p, text.len);
		assert_int_equal(
			conf_parse(sv_from(exact, text.len), "t", "/r", &report, &conf).kind,
			FAULT_INVALID);
		free(exact);
		assert_null(conf);
		assert_int_equal(report.count, 1);
		if (cases[i].wants && !strstr(report.errors[0].text, cases[i].wants))
			fail_msg("case %zu: \"%s\" lacks \"%s\"", i, report.errors[0].text,
				 cases[i].wants);
		if (cases[i].wants)
			assert_int_equal(report.errors[0].line, cases[i].line);
		conf_report_done(&report);
	}
}

static void note_former(void *arg, unsigned line, const struct conf_former *former)
{
	unsigned *lines = arg;

	*lines = *lines * 10 + line;
	assert_non_null(former->instead);
}

/* Lines of older programs become comments; everything else stays octet by octet, and a second run finds nothing. */
static void a_file_of_an_older_program_is_upgraded(void **state)
{
	struct sv text = SV("hostname mail.example # ours\r\n\n\tquota 5G\nkeywords 100 \n# quota 1G\nlistener quota {\n kind mx\n}\nmime-parts 7");
	struct buf once, twice;
	unsigned lines = 0;
	(void)state;

	buf_init(&once, 4096);
	buf_init(&twice, 4096);
	assert_true(conf_upgrade(text, &once, note_former, &lines));
	assert_int_equal(lines, 349);
	assert_true(sv_starts(buf_sv(&once), SV("hostname mail.example # ours\r\n\n# `postroom conf upgrade`: there is no quota any more; ")));
	assert_non_null(strstr(buf_z(&once), ".\n# \tquota 5G\n# `"));
	assert_non_null(strstr(buf_z(&once), "\n# keywords 100 \n# quota 1G\nlistener quota {\n kind mx\n}\n# `"));
	assert_non_null(strstr(buf_z(&once), "\n# mime-parts 7"));
	once.len--;     /* the NUL */
	assert_true(conf_upgrade(buf_sv(&once), &twice, note_former, &lines));
	assert_int_equal(lines, 349);
	assert_true(sv_eq(buf_sv(&once), buf_sv(&twice)));
	buf_done(&twice);
	buf_done(&once);

	struct buf small;

	buf_init(&small, 64);
	assert_false(conf_upgrade(SV("quota 5G\n"), &small, note_former, &lines));
	buf_done(&small);
	assert_null(conf_former_find(SV("message-size")));
	assert_non_null(conf_former_find(SV("account-busy-time")));
	assert_non_null(conf_former_find(SV("sweep-time")));
}

static void all_errors_come_in_one_run(void **state)
{
	struct conf_report report = { NULL, 0, false };
	struct conf *conf = NULL;
	struct buf many;
	(void)state;

	assert_int_equal(conf_parse(SV("worker 1\nmessage-size big\n\nlistener x {\nkind "
				       "what\nport 99999\n}\nhostname a b\n"),
				    "t", "/r", &report, &conf)
				 .kind,
			 FAULT_INVALID);
	assert_int_equal(report.count, 5);
	assert_int_equal(report.errors[0].line, 1);
	assert_int_equal(report.errors[1].line, 2);
	assert_int_equal(report.errors[2].line, 5);
	assert_int_equal(report.errors[3].line, 6);
	assert_int_equal(report.errors[4].line, 8);
	conf_report_done(&report);

	buf_init(&many, 1 << 16);
	for (int i = 0; i < 150; i++)
		assert_true(buf_append(&many, SV("nonsense yes\n")));
	assert_int_equal(conf_parse(buf_sv(&many), "t", "/r", &report, &conf).kind, FAULT_INVALID);
	assert_int_equal(report.count, CONF_ERRORS_MAX);
	assert_true(report.more);
	conf_report_done(&report);
	buf_done(&many);
}

static void a_file_that_cannot_be_read_is_an_error_of_the_report(void **state)
{
	struct conf_report report = { NULL, 0, false };
	struct conf *conf = NULL;
	char dir[] = "/tmp/postroom-conf-XXXXXX", path[64];
	FILE *f;
	(void)state;

	assert_int_equal(conf_load("/nonexistent/postroom.conf", "/r", &report, &conf).kind,
			 FAULT_NOT_FOUND);
	assert_int_equal(report.count, 1);
	assert_int_equal(report.errors[0].line, 0);
	conf_report_done(&report);
	assert_non_null(mkdtemp(dir));
	assert_int_equal(conf_load(dir, "/r", &report, &conf).kind, FAULT_INVALID);
	conf_report_done(&report);

	snprintf(path, sizeof(path), "%s/c", dir);
	f = fopen(path, "w");
	assert_non_null(f);
	for (int i = 0; i < 70000; i++)
		fputs("# a long comment\n", f);
	fclose(f);
	assert_int_equal(conf_load(path, "/r", &report, &conf).kind, FAULT_INVALID);
	assert_non_null(strstr(report.errors[0].text, "larger than"));
	conf_report_done(&report);
	assert_int_equal(truncate(path, 1000), 0);
	assert_int_equal(conf_load(path, "/r", &report, &conf).kind, FAULT_NONE);
	conf_unref(&conf);
	unlink(path);
	rmdir(dir);
}

static void what_is_shown_reads_back_the_same(void **state)
{
	struct conf *conf = read_good(
			    "message-size 3M\nlogin-time 90s\nhostname m.example\nplaintext-auth "
			    "10.0.0.0/8 loopback\n"
			    "tls-key \"/a b/#1\"\nuser \"\"\nbind 127.0.0.1 ::1\n"),
		    *again;
	struct buf text, second;
	struct conf_report report = { NULL, 0, false };
	(void)state;

	for (int everything = 0; everything < 2; everything++) {
		buf_init(&text, 1 << 20);
		buf_init(&second, 1 << 20);
		conf_show(conf, everything, &text);
		assert_int_equal(
			conf_parse(buf_sv(&text), "shown", "/elsewhere", &report, &again).kind,
			FAULT_NONE);
		conf_show(again, everything, &second);
		assert_true(sv_eq(buf_sv(&text), buf_sv(&second)));
		conf_unref(&again);
		buf_done(&text);
		buf_done(&second);
	}
	buf_init(&text, 1 << 20);
	conf_show(conf, false, &text);
	assert_int_equal(sv_search(buf_sv(&text), SV("workers")), SIZE_MAX);
	assert_int_not_equal(sv_search(buf_sv(&text), SV("plaintext-auth 10.0.0.0/8 loopback\n")),
			     SIZE_MAX);
	assert_int_not_equal(sv_search(buf_sv(&text), SV("login-time 90s\n")), SIZE_MAX);
	buf_done(&text);
	conf_unref(&conf);
}

struct changes {
	char names[256];
	unsigned restarts;
};

static void note_change(void *arg, const char *option, bool need_restart)
{
	struct changes *c = arg;
	size_t len = strlen(c->names);

	snprintf(c->names + len, sizeof(c->names) - len, "%s ", option);
	c->restarts += need_restart;
}

static void a_reload_knows_what_changed_and_what_needs_a_restart(void **state)
{
	struct conf *a = read_good("hostname a.example\n"),
		    *b = read_good("hostname a.example\nmessage-size 10M\nworkers 3\n");
	struct conf *c = read_good("hostname a.example\nport-offset 10\n");
	struct changes changes = { "", 0 };
	(void)state;

	conf_diff(a, a, note_change, &changes);
	assert_string_equal(changes.names, "");
	conf_diff(a, b, note_change, &changes);
	assert_string_equal(changes.names, "workers message-size ");
	assert_int_equal(changes.restarts, 1);
	changes = (struct changes){ "", 0 };
	conf_diff(a, c, note_change, &changes);
	assert_string_equal(changes.names, "port-offset listener ");
	conf_unref(&a);
	conf_unref(&b);
	conf_unref(&c);
}

static void every_row_of_the_table_is_whole(void **state)
{
	const struct conf_option *o;
	(void)state;

	for (size_t i = 0; (o = conf_option_at(i)); i++) {
		struct buf text;

		assert_int_equal(strspn(o->name, "abcdefghijklmnopqrstuvwxyz0123456789-."),
				 strlen(o->name));
		assert_int_equal(o->doc[strlen(o->doc) - 1], '.');
		assert_ptr_equal(conf_option_find(sv_z(o->name)), o);
		assert_string_equal(conf_option_nearest(sv_z(o->name)), o->name);
		for (size_t k = 0; k < i; k++)
			assert_true(conf_option_at(k)->offset != o->offset ||
				    strcmp(conf_option_at(k)->section, o->section) != 0);
		buf_init(&text, 4096);
		conf_describe(o, &text);
		assert_int_not_equal(sv_search(buf_sv(&text), sv_z(o->doc)), SIZE_MAX);
		buf_done(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_a_working_server),
		cmocka_unit_test(values_of_every_type_are_read),
		cmocka_unit_test(blocks_are_rows_with_defaults_by_kind),
		cmocka_unit_test(old_devices_have_a_listener_when_the_file_wants_one),
		cmocka_unit_test(each_mistake_is_told_with_line_and_what_is_expected),
		cmocka_unit_test(a_file_of_an_older_program_is_upgraded),
		cmocka_unit_test(all_errors_come_in_one_run),
		cmocka_unit_test(a_file_that_cannot_be_read_is_an_error_of_the_report),
		cmocka_unit_test(what_is_shown_reads_back_the_same),
		cmocka_unit_test(a_reload_knows_what_changed_and_what_needs_a_restart),
		cmocka_unit_test(every_row_of_the_table_is_whole),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
