/* PROXY headers: those of the document at every cut, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/memory.h"
#include "common/proxy.h"

#include "common/banned.h"

#define SIG "\r\n\r\n\0\r\nQUIT\n"

static const struct { struct sv wire; const char *peer; uint16_t port; } good[] = {
	{ SV_INIT("PROXY TCP4 192.0.2.1 198.51.100.1 35646 25\r\n"), "192.0.2.1", 35646 },
	{ SV_INIT("PROXY TCP6 2001:db8::1 2001:db8::2 1 65535\r\n"), "2001:db8::1", 1 },
	{ SV_INIT("PROXY UNKNOWN\r\n"), "unknown", 0 },
	{ SV_INIT("PROXY UNKNOWN ffff:f...f:ffff ffff:f...f:ffff 65535 65535\r\n"), "unknown", 0 },
	{ SV_INIT(SIG "\x21\x11\0\x0c" "\xc0\0\2\1" "\xc6\x33\x64\1" "\x8b\x3e" "\0\x19"), "192.0.2.1", 35646 },
	{ SV_INIT(SIG "\x21\x21\0\x24" "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1" "\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\2"
		  "\0\1" "\0\x19"), "2001:db8::1", 1 },
	{ SV_INIT(SIG "\x21\x11\0\x10" "\xc0\0\2\1" "\xc6\x33\x64\1" "\0\5" "\0\x19" "\4\0\1x"), "192.0.2.1", 5 },
	{ SV_INIT(SIG "\x20\0\0\0"), "unknown", 0 },
	{ SV_INIT(SIG "\x21\0\0\0"), "unknown", 0 },
};

static void headers_say_whose_connection_it_is(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		for (size_t n = 0; n <= good[i].wire.len; n++) {
			char *exact = xmalloc(n + 1), text[NETADDR_TEXT_MAX];
			struct netaddr peer;
			size_t len = 0;

			memcpy(exact, good[i].wire.p, n);
			exact = xrealloc(exact, n ? n : 1);
			assert_int_equal(proxy_parse(sv_from(exact, n), &len, &peer),
					 n < good[i].wire.len ? FEED_MORE : FEED_DONE);
			if (n == good[i].wire.len) {
				assert_int_equal(len, n);
				assert_string_equal(netaddr_text(&peer, text).p, good[i].peer);
				assert_int_equal(peer.port, good[i].port);
			}
			free(exact);
		}
}

static void what_is_no_header_is_seen_at_once(void **state)
{
	static const struct sv bad[] = {
		SV_INIT("EHLO x\r\n"), SV_INIT("proxy TCP4"), SV_INIT("PROXYTCP4"), SV_INIT("\r\nQUIT"), SV_INIT("\x16\3\1"),
		SV_INIT("PROXY TCP4 192.0.2.1 198.51.100.1 35646 25\n"), SV_INIT("PROXY TCP4 192.0.2.1 198.51.100.1 35646\r\n"),
		SV_INIT("PROXY TCP4 2001:db8::1 2001:db8::2 1 2\r\n"), SV_INIT("PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n"),
		SV_INIT("PROXY TCP4 192.0.2.1 198.51.100.1 99999 25\r\n"), SV_INIT("PROXY TCP4 nonsense x 1 2\r\n"),
		SV_INIT("PROXY TCP4 192.0.2.1 198.51.100.1 1 2 3\r\n"), SV_INIT("PROXY UDP4 192.0.2.1 198.51.100.1 1 2\r\n"),
		SV_INIT("PROXY xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"),
		SV_INIT(SIG "\x11\x11\0\x0c" "\xc0\0\2\1" "\xc6\x33\x64\1" "\x8b\x3e" "\0\x19"),
		SV_INIT(SIG "\x21\x11\0\4" "\xc0\0\2\1"), SV_INIT(SIG "\x21\x31\0\0"), SV_INIT(SIG "\x22\x11\0\0"),
		SV_INIT(SIG "\x21\x11\xff\xff"),
	};
	struct netaddr peer;
	size_t len;
	(void)state;

	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		if (proxy_parse(bad[i], &len, &peer) != FEED_BAD)
			fail_msg("case %zu", i);
}

struct seen {
	int fd;
	bool done, is_good;
};

static void note(void *arg, int fd, const struct netaddr *peer, const char *why)
{
	struct seen *s = arg;

	assert_false(s->done);
	assert_true(!peer == !!why);
	s->done = true;
	s->is_good = peer != NULL;
	s->fd = fd;
}

static void not_one_octet_more_than_the_header_is_taken(void **state)
{
	static const char first[] = "PROXY TCP4 192.0.2.1 198.51", rest[] = ".100.1 35646 25\r\n\x16\3\1TLS";
	struct seen s = { .fd = -1 };
	struct loop *loop = NULL;
	char octets[32];
	int pair[2];
	(void)state;

	assert_int_equal(loop_new(&loop).kind, FAULT_NONE);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
	proxy_expect(loop, pair[0], 5000, note, &s);
	assert_int_equal(write(pair[1], first, sizeof(first) - 1), sizeof(first) - 1);
	for (int i = 0; i < 5; i++)
		loop_run_once(loop, 10);
	assert_false(s.done);
	assert_int_equal(write(pair[1], rest, sizeof(rest) - 1), sizeof(rest) - 1);
	for (int i = 0; i < 500 && !s.done; i++)
		loop_run_once(loop, 10);
	assert_true(s.done && s.is_good && s.fd == pair[0]);
	assert_int_equal(read(pair[0], octets, sizeof(octets)), 6);
	assert_memory_equal(octets, "\x16\3\1TLS", 6);
	/* One that says nothing, and one that is open when the loop ends. */
	s = (struct seen){ .fd = -1 };
	proxy_expect(loop, pair[0], 5000, note, &s);
	loop_run_once(loop, 0);
	loop_skip_ms(loop, 6000);
	for (int i = 0; i < 10 && !s.done; i++)
		loop_run_once(loop, 10);
	assert_true(s.done && !s.is_good);
	proxy_expect(loop, pair[0], 5000, note, &s);
	loop_free(&loop);
	close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_say_whose_connection_it_is),
		cmocka_unit_test(what_is_no_header_is_seen_at_once),
		cmocka_unit_test(not_one_octet_more_than_the_header_is_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
