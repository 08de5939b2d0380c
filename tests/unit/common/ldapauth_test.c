/* What is asked of a directory, and that neither silence nor garbage is an answer. slapd itself is asked by tests/e2e/smtpd/test_ldap.py. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/ldapauth.h"
#include "common/memory.h"

#include "common/banned.h"

static void urls_name_a_server_and_nothing_else(void **state)
{
	static const struct {
		const char *url;
		enum ldapauth_scheme scheme;    /* 0: it is none */
		const char *host;
		uint16_t port;
	} cases[] = {
		{ "ldaps://ldap.example.org", LDAPAUTH_LDAPS, "ldap.example.org", 636 },
		{ "LDAPS://ldap.example.org:1636/", LDAPAUTH_LDAPS, "ldap.example.org", 1636 },
		{ "ldap://192.0.2.1", LDAPAUTH_STARTTLS, "192.0.2.1", 389 },
		{ "ldap://[2001:db8::1]:390", LDAPAUTH_STARTTLS, "2001:db8::1", 390 },
		{ "ldapi://%2Frun%2fslapd%2Fldapi", LDAPAUTH_UNIX, "/run/slapd/ldapi", 389 },
		{ "", 0, "", 0 }, { "ldap://", 0, "", 0 }, { "ldap.example.org", 0, "", 0 }, { "https://ldap.example.org", 0, "", 0 },
		{ "ldap://h:0", 0, "", 0 }, { "ldap://h:65536", 0, "", 0 }, { "ldap://h:x", 0, "", 0 }, { "ldap://h:", 0, "", 0 },
		{ "ldap://[::1", 0, "", 0 }, { "ldap://[::1]x", 0, "", 0 }, { "ldap://[]", 0, "", 0 }, { "ldap://a b", 0, "", 0 },
		{ "ldap://h/dc=x", 0, "", 0 }, { "ldapi://", 0, "", 0 }, { "ldapi:///run/ldapi", 0, "", 0 }, { "ldapi://run", 0, "", 0 },
		{ "ldapi://%2", 0, "", 0 }, { "ldapi://%2Frun%00", 0, "", 0 }, { "ldapi://%2Fx%zz", 0, "", 0 },
	};
	struct ldapauth_place place;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		if (ldapauth_parse(sv_z(cases[i].url), &place) != (cases[i].scheme != 0))
			fail_msg("%s", cases[i].url);
		if (!cases[i].scheme)
			continue;
		assert_int_equal(place.scheme, cases[i].scheme);
		assert_string_equal(place.host, cases[i].host);
		assert_int_equal(place.port, cases[i].port);
	}
}

static void no_name_changes_what_is_asked(void **state)
{
	static const struct {
		const char *template, *address, *is;    /* NULL: refused */
	} cases[] = {
		{ "uid=%n,ou=%d,cn=%u", "ann@example.org", "uid=ann,ou=example.org,cn=ann@example.org" },
		{ "(mail=%u)", "*)(uid=*@x", "(mail=\\2a\\29\\28uid\\3d\\2a@x)" },
		{ "uid=%n,dc=x", "a,dc=y+b\\\"<>;#= @x", "uid=a\\2cdc\\3dy\\2bb\\5c\\22\\3c\\3e\\3b\\23\\3d\\20,dc=x" },
		{ "(cn=%n)", "\xc3\xbc@x", "(cn=\\c3\\bc)" },
		{ "(cn=100%%)", "a@x", "(cn=100%)" },
		{ "uid=%n", "\"a@b\"@x", "uid=\\22a@b\\22" },
		{ "uid=%d.", "noat", "uid=." },
		{ "uid=%x", "a@x", NULL }, { "uid=%", "a@x", NULL }, { "", "a@x", NULL },
	};
	struct buf text;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		buf_init(&text, 100);
		bool good = ldapauth_expand(cases[i].template, sv_z(cases[i].address), &text);

		assert_int_equal(good, cases[i].is != NULL);
		if (good)
			assert_string_equal(buf_z(&text), cases[i].is);
		buf_done(&text);
	}
	buf_init(&text, 10);
	assert_false(ldapauth_expand("uid=%n,dc=example", SV("a@x"), &text));
	buf_done(&text);
}

/* ---- a peer that is no directory ---- */

struct peer {
	int fd;
	struct sv answer;
	bool is_silent;
};

static void *serve(void *arg)
{
	struct peer *p = arg;
	char octets[4096];
	int line = accept(p->fd, NULL, NULL);

	if (line < 0)
		return NULL;
	(void)!recv(line, octets, sizeof(octets), 0);
	if (!p->is_silent)
		(void)!send(line, p->answer.p ? p->answer.p : "", p->answer.len, MSG_NOSIGNAL);
	else
		while (recv(line, octets, sizeof(octets), 0) > 0)
			continue;               /* until the other end hangs up */
	close(line);
	return NULL;
}

static void neither_silence_nor_garbage_is_an_answer(void **state)
{
	static const struct peer peers[] = {
		{ .is_silent = true },
		{ .answer = SV_INIT("") },
		{ .answer = SV_INIT("\x30\x84\xff\xff\xff\xff") },
		{ .answer = SV_INIT("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01") },
		{ .answer = SV_INIT("HTTP/1.1 200 OK\r\n\r\n") },
		{ .answer = SV_INIT("\x30\x0c\x02\x01\x02\x61\x07\x0a\x01\x00\x04\x00\x04\x00") },      /* right, to another question */
	};
	static const struct peer right = { .answer = SV_INIT("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00") };
	static const struct peer wrong = { .answer = SV_INIT("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\x00\x04\x00") };
	static const struct peer busy = { .answer = SV_INIT("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x33\x04\x00\x04\x00") };
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char url[128], none[] = "", dn[] = "uid=%n";
	(void)state;

	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/postroom-ldapauth-%d", (int)getpid());
	snprintf(url, sizeof(url), "ldapi://%%2Ftmp%%2Fpostroom-ldapauth-%d", (int)getpid());
	struct conf_auth conf = {
		.ldap_url = url, .ldap_dn = dn, .ldap_base = none, .ldap_filter = none, .ldap_search_dn = none,
		.ldap_search_password = none, .ldap_ca_file = none,
	};

	signal(SIGPIPE, SIG_IGN);       /* as in a daemon */
	unlink(at.sun_path);
	for (size_t i = 0; i < ARRAY_LEN(peers) + 3; i++) {
		struct peer peer = i < ARRAY_LEN(peers) ? peers[i] : i == ARRAY_LEN(peers) ? right : i == ARRAY_LEN(peers) + 1 ? wrong : busy;
		struct ldapauth *l = NULL;
		pthread_t thread;

		conf.ldap_timeout_ms = peer.is_silent ? 100 : 60000;
		peer.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_int_equal(bind(peer.fd, (struct sockaddr *)&at, sizeof(at)), 0);
		assert_int_equal(listen(peer.fd, 1), 0);
		assert_int_equal(pthread_create(&thread, NULL, serve, &peer), 0);
		l = ldapauth_open(&conf);
		assert_int_equal(ldapauth_check(l, SV("a@example.org"), SV("")), ELSEWHERE_WRONG);
		enum elsewhere_answer answer = ldapauth_check(l, SV("a@example.org"), SV("secret"));

		if (answer != (i == ARRAY_LEN(peers) ? ELSEWHERE_RIGHT : i == ARRAY_LEN(peers) + 1 ? ELSEWHERE_WRONG : ELSEWHERE_UNKNOWN))
			fail_msg("peer %zu: %d", i, (int)answer);
		pthread_join(thread, NULL);
		close(peer.fd);
		unlink(at.sun_path);
		ldapauth_close(&l);
	}
}

/* serve_two - one after the other. */
static void *serve_two(void *arg)
{
	struct peer *peers = arg;

	serve(&peers[0]);
	serve(&peers[1]);
	return NULL;
}

static void what_is_said_of_one_name_keeps_nobody_else_out(void **state)
{
	/* constraintViolation: an account that was locked; unwillingToPerform: one that was switched off */
	static const struct sv refusals[] = {
		SV_INIT("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x13\x04\x00\x04\x00"),
		SV_INIT("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x35\x04\x00\x04\x00"),
	};
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	char url[128], none[] = "", dn[] = "uid=%n";
	struct ldapauth *l = NULL;
	(void)state;

	snprintf(at.sun_path, sizeof(at.sun_path), "/tmp/postroom-ldapauth-%d", (int)getpid());
	snprintf(url, sizeof(url), "ldapi://%%2Ftmp%%2Fpostroom-ldapauth-%d", (int)getpid());
	const struct conf_auth conf = {
		.ldap_url = url, .ldap_dn = dn, .ldap_base = none, .ldap_filter = none, .ldap_search_dn = none,
		.ldap_search_password = none, .ldap_ca_file = none, .ldap_timeout_ms = 60000,
	};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	signal(SIGPIPE, SIG_IGN);
	unlink(at.sun_path);
	assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(fd, 5), 0);
	l = ldapauth_open(&conf);
	for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
		struct peer peers[2] = {
			{ .fd = fd, .answer = refusals[i] },
			{ .fd = fd, .answer = SV_INIT("\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x00\x04\x00\x04\x00") },
		};
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, serve_two, peers), 0);
		assert_int_equal(ldapauth_check(l, SV("locked@example.org"), SV("secret")), ELSEWHERE_UNKNOWN);
		assert_int_equal(ldapauth_check(l, SV("a@example.org"), SV("secret")), ELSEWHERE_RIGHT);
		pthread_join(thread, NULL);
	}
	ldapauth_close(&l);
	close(fd);
	unlink(at.sun_path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(urls_name_a_server_and_nothing_else),
		cmocka_unit_test(no_name_changes_what_is_asked),
		cmocka_unit_test(what_is_said_of_one_name_keeps_nobody_else_out),
		cmocka_unit_test(neither_silence_nor_garbage_is_an_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
