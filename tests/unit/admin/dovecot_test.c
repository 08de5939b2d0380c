/* Settings of Dovecot and Postfix, read as far as a move needs them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "admin/dovecot.h"

static void is(struct sv value, const char *what)
{
	if (!sv_eq(value, sv_z(what)))
		fail_msg("%.*s is not %s", SV_FMT(value), what);
}

static void what_doveconf_prints_is_understood(void **state)
{
	struct dovecot_settings s;
	(void)state;

	assert_int_equal(dovecot_read(SV("# 2.3.19.1 (9b53102964): /etc/dovecot/dovecot.conf\n"
					 "auth_default_realm = example.org\n"
					 "mail_location = maildir:~/Maildir\n"
					 "namespace inbox {\n  inbox = yes\n  location = \n  mailbox Drafts {\n    special_use = \\Drafts\n  }\n  prefix = \n}\n"
					 "passdb {\n  args = scheme=CRYPT username_format=%u /etc/dovecot/users\n  driver = passwd-file\n}\n"
					 "passdb {\n  driver = pam\n}\n"
					 "plugin {\n  sieve = file:~/filters;active=~/.active\n}\n"
					 "protocol pop3 {\n  pop3_uidl_format = %v.%u\n}\n"
					 "userdb {\n  args = uid=vmail gid=vmail home=/var/vmail/%d/%n mail=maildir:/srv/%u\n  driver = static\n}\n"), &s).kind,
			 FAULT_NONE);
	assert_int_equal(s.users.count, 1);
	is(s.users.list[0].path, "/etc/dovecot/users");
	is(s.users.list[0].scheme, "CRYPT");
	is(s.other_passdb, "pam");
	is(s.mail_location, "maildir:~/Maildir");
	is(s.static_home, "/var/vmail/%d/%n");
	is(s.static_mail, "maildir:/srv/%u");
	is(s.realm, "example.org");
	is(s.uidl_format, "%v.%u");
	struct sv folder, active;

	dovecot_sieve(&s, &folder, &active);
	is(folder, "~/filters");
	is(active, "~/.active");
	s.sieve = SV("~/.old.sieve");
	s.sieve_dir = SV("~/scripts");
	dovecot_sieve(&s, &folder, &active);
	is(folder, "~/scripts");
	is(active, "~/.old.sieve");
}

static void people_who_are_barred_and_masters_are_no_users(void **state)
{
	struct dovecot_settings s;
	(void)state;

	assert_int_equal(dovecot_read(SV("mail_location = maildir:~/Maildir:CONTROL=/var/control/%u:INBOX=~/in\n"
					 "passdb {\n  args = /etc/dovecot/gone\n  deny = yes\n  driver = passwd-file\n}\n"
					 "passdb {\n  args = /etc/dovecot/masters\n  driver = passwd-file\n  master = yes\n  pass = yes\n}\n"
					 "passdb {\n  args = scheme=PLAIN /etc/dovecot/users\n  driver = passwd-file\n}\n"
					 "namespace {\n  location = maildir:/var/public\n  type = public\n}\n"
					 "plugin {\n  quota_rule = *:storage=1G\n  sieve_before = /var/sieve/spam.sieve\n}\n"
					 "ssl_cert = </etc/ssl/mail.pem\n"), &s).kind,
			 FAULT_NONE);
	assert_int_equal(s.users.count, 1);
	is(s.users.list[0].path, "/etc/dovecot/users");
	is(s.users.list[0].scheme, "PLAIN");
	is(s.barred.list[0].path, "/etc/dovecot/gone");
	is(s.masters.list[0].path, "/etc/dovecot/masters");
	is(s.public, "maildir:/var/public");
	is(s.quota, "*:storage=1G");
	is(s.sieve_for_all, "/var/sieve/spam.sieve");
	is(s.certificate, "</etc/ssl/mail.pem");
	is(dovecot_part(s.mail_location, "CONTROL"), "/var/control/%u");
	is(dovecot_part(s.mail_location, "INBOX"), "~/in");
	is(dovecot_part(s.mail_location, "INDEX"), "");
}

static void settings_of_2_4_are_understood(void **state)
{
	struct sv folder, active;
	struct dovecot_settings s;
	(void)state;

	assert_int_equal(dovecot_read(SV("# 2.4.1-4 (7d8c0e5759): /etc/dovecot/dovecot.conf\n"
					 "dovecot_config_version = 2.4.1\n"
					 "mail_driver = maildir\nmail_path = ~/Maildir\n"
					 "passdb pam {\n}\n"
					 "passdb passwd-file {\n  default_password_scheme = SHA512-CRYPT\n  passwd_file_path = /etc/dovecot/users\n}\n"
					 "passdb gone {\n  driver = passwd-file\n  passdb_deny = yes\n  passwd_file_path = /etc/dovecot/gone\n}\n"
					 "protocols {\n  imap = yes\n}\n"
					 "quota \"User quota\" {\n  quota_storage_size = 1G\n}\n"
					 "sieve_script personal {\n  active_path = ~/.active\n  path = ~/filters\n}\n"
					 "sieve_script before {\n  path = /var/sieve/spam.sieve\n  type = before\n}\n"
					 "userdb static {\n  fields {\n    gid = vmail\n    home = /var/vmail/%{user | domain}/%{user | username}\n  }\n}\n"), &s).kind,
			 FAULT_NONE);
	is(s.other_passdb, "pam");
	assert_int_equal(s.users.count, 1);
	is(s.users.list[0].path, "/etc/dovecot/users");
	is(s.users.list[0].scheme, "SHA512-CRYPT");
	is(s.barred.list[0].path, "/etc/dovecot/gone");
	is(s.mail_driver, "maildir");
	is(s.mail_path, "~/Maildir");
	is(s.static_home, "/var/vmail/%{user | domain}/%{user | username}");
	is(s.quota, "1G");
	is(s.sieve_for_all, "/var/sieve/spam.sieve");
	dovecot_sieve(&s, &folder, &active);
	is(folder, "~/filters");
	is(active, "~/.active");
}

static void what_is_no_such_text_is_refused(void **state)
{
	static const struct sv bad[] = {
		SV_INIT("!include conf.d/*.conf\n"), SV_INIT("passdb {\n"), SV_INIT("}\n"), SV_INIT("nonsense\n"),
		SV_INIT("a {\na {\na {\na {\na {\na {\na {\na {\n"),
	};
	struct dovecot_settings s;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(dovecot_read(bad[i], &s).kind, FAULT_INVALID);
}

static void lines_of_users_give_home_and_mail(void **state)
{
	struct dovecot_user u;
	(void)state;

	assert_true(dovecot_read_user(SV("a@x.org:{CRYPT}$6$s$h:5000:5000::/var/vmail/a::userdb_mail=maildir:/srv/a:LAYOUT=fs userdb_quota_rule=*:storage=1G"), &u));
	is(u.name, "a@x.org");
	is(u.home, "/var/vmail/a");
	is(u.mail, "maildir:/srv/a:LAYOUT=fs");
	assert_true(dovecot_read_user(SV("b:{PLAIN}x"), &u));
	is(u.home, "");
	assert_true(dovecot_read_user(SV("c:x::::/h::userdb_mail_path=/srv/c"), &u));
	is(u.path, "/srv/c");
	assert_false(dovecot_read_user(SV("# a comment"), &u));
	assert_false(dovecot_read_user(SV("  "), &u));
}

static void templates_become_paths(void **state)
{
	static const struct { const char *template, *home, *path; } cases[] = {
		{ "/var/vmail/%d/%n", "", "/var/vmail/Example.org/Alice" },
		{ "/var/vmail/%Ld/%Ln/x", "", "/var/vmail/example.org/alice/x" },
		{ "~/Maildir", "/home/a", "/home/a/Maildir" },
		{ "%h/mail", "/home/a", "/home/a/mail" },
		{ "/m/%{domain}/%{username}/%u", "", "/m/Example.org/Alice/Alice@Example.org" },
		{ "/m/%L{user}", "", "/m/alice@example.org" },
		{ "/m/%{user | domain | lower}/%{user|username}", "", "/m/example.org/Alice" },
		{ "%{home}/mail", "/home/a", "/home/a/mail" },
		{ "/m/%{user | md5}", "", NULL },
		{ "~/Maildir", "", NULL },
		{ "%h", "", NULL },
		{ "/m/%x", "", NULL },
		{ "/m/%", "", NULL },
		{ "/m/%{user", "", NULL },
		{ "", "", NULL },
	};
	char out[PATH_MAX];
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		bool is_good = dovecot_expand(sv_z(cases[i].template), SV("Alice@Example.org"), sv_z(cases[i].home), out);

		if (is_good != (cases[i].path != NULL))
			fail_msg("%s", cases[i].template);
		if (is_good)
			assert_string_equal(out, cases[i].path);
	}
	struct sv template;

	assert_true(dovecot_maildir(SV("maildir:~/Maildir:LAYOUT=fs"), &template));
	is(template, "~/Maildir");
	assert_false(dovecot_maildir(SV("mdbox:~/mdbox"), &template));
}

static void postfix_settings_go_over_lines(void **state)
{
	struct sv main_cf = SV("# c\nvirtual_alias_maps = hash:/etc/postfix/virtual,\n# between\n  regexp:/etc/postfix/re\nmydomain=example.org\n");
	struct sv path;
	struct buf out;
	(void)state;

	buf_init(&out, 1024);
	assert_true(postfix_value(main_cf, "virtual_alias_maps", &out));
	is(buf_sv(&out), "hash:/etc/postfix/virtual, regexp:/etc/postfix/re");
	buf_clear(&out);
	assert_true(postfix_value(main_cf, "mydomain", &out));
	is(buf_sv(&out), "example.org");
	assert_false(postfix_value(main_cf, "alias_maps", &out));
	buf_clear(&out);
	assert_true(postfix_value(SV("a = 1\nb = $a ${a}x $(c) $$ ${ $d\na = 2\nc = $c\n"), "b", &out));
	is(buf_sv(&out), "2 2x $c $$ ${ $d");
	assert_true(postfix_map(SV("hash:/etc/postfix/virtual"), &path));
	is(path, "/etc/postfix/virtual");
	assert_true(postfix_map(SV("proxy:hash:/etc/postfix/virtual"), &path));
	is(path, "/etc/postfix/virtual");
	assert_false(postfix_map(SV("regexp:/etc/postfix/re"), &path));
	assert_false(postfix_map(SV("hash:"), &path));
	buf_done(&out);
}

static void words_of_postfix_are_separated_by_commas_or_spaces(void **state)
{
	struct sv list = SV("a.org,b.org, c.org  d.org,"), word;
	(void)state;

	for (const char *const *name = (const char *const[]){ "a.org", "b.org", "c.org", "d.org", NULL }; *name; name++) {
		assert_true(postfix_word(&list, &word));
		is(word, *name);
	}
	assert_false(postfix_word(&list, &word));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_doveconf_prints_is_understood),
		cmocka_unit_test(people_who_are_barred_and_masters_are_no_users),
		cmocka_unit_test(settings_of_2_4_are_understood),
		cmocka_unit_test(what_is_no_such_text_is_refused),
		cmocka_unit_test(lines_of_users_give_home_and_mail),
		cmocka_unit_test(templates_become_paths),
		cmocka_unit_test(postfix_settings_go_over_lines),
		cmocka_unit_test(words_of_postfix_are_separated_by_commas_or_spaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
