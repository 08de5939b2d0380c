#include "tests/bench/load/scenarios.h"

#include <pthread.h>

#include "common/banned.h"

static const char *const words[] = {
	"budget", "meeting", "invoice", "holiday", "report", "train", "garden", "contract", "lunch", "server", "music",
	"project", "window", "letter", "school", "coffee", "bridge", "river", "paper", "winter", "number", "office",
};
static const char *const people[] = {
	"Ada Nowak", "Bruno Keller", "Chidi Okafor", "Dana Weiss", "Emil Larsen", "Farah Aziz", "Gwen Murphy",
	"Hugo Blanc", "Iris Tanaka", "Jonas Lind",
};

static uint64_t mix(uint64_t *state)    /* splitmix64 */
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

static const char *word(uint64_t *state)
{
	return words[mix(state) % ARRAY_LEN(words)];
}

/* Lines of words and lines of base64, made once: a message is a cut of them, so that making it costs a copy. */
#define POOL_OCTETS (256 * 1024)
static char prose[POOL_OCTETS], encoded[POOL_OCTETS];
static pthread_once_t pools_once = PTHREAD_ONCE_INIT;

static void make_pools(void)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	uint64_t state = 42;
	size_t line = 0;

	for (size_t at = 0; at < POOL_OCTETS;) {
		bool is_end = at - line > 64 || at > POOL_OCTETS - 16;
		const char *w = is_end ? "\r\n" : word(&state);
		for (; *w && at < POOL_OCTETS; w++)
			prose[at++] = *w;
		if (is_end)
			line = at;
		else if (at < POOL_OCTETS)
			prose[at++] = ' ';
	}
	for (size_t at = 0; at < POOL_OCTETS; at++)
		encoded[at] = at % 78 == 76 ? '\r' : at % 78 == 77 ? '\n' : digits[mix(&state) & 63];
}

/* About that many octets of whole lines, from a place in the pool that the state chooses. */
static void lines_of(struct buf *out, const char *pool, uint64_t *state, size_t octets)
{
	while (octets) {
		size_t most = octets < POOL_OCTETS / 2 ? octets : POOL_OCTETS / 2;
		size_t at = mix(state) % (POOL_OCTETS / 2 - 100);
		const char *start = (const char *)memchr(pool + at, '\n', 100) + 1;
		size_t n = most;
		while (n && start[n - 1] != '\n')
			n--;
		(void)buf_append(out, sv_from(start, n));
		if (n + 100 >= octets)
			break;
		octets -= n;
	}
}

void message_make(struct buf *out, uint64_t number, uint32_t size, const char *from, const char *to)
{
	static const char *const months[] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov",
					      "Dec" };
	uint64_t state = number * 2 + 1;

	pthread_once(&pools_once, make_pools);
	const char *person = people[mix(&state) % ARRAY_LEN(people)];
	size_t start = out->len;
	bool has_file = number % 10 == 3, has_html = number % 10 == 5 || number % 10 == 6;

	(void)buf_appendf(out,
		"Received: from relay%u.elsewhere.example (relay%u.elsewhere.example [192.0.2.%u])\r\n"
		"\tby mail.example.test with ESMTPS id %08llx;\r\n"
		"\t%u %s 2026 %02u:%02u:%02u +0000\r\n"
		"From: %s <%s>\r\nTo: <%s>\r\nSubject: The %s and the %s, number %llu\r\n"
		"Date: %u %s 2026 %02u:%02u:%02u +0000\r\n"
		"Message-ID: <%016llx.%llu@elsewhere.example>\r\nMIME-Version: 1.0\r\n",
		(unsigned)(number % 9), (unsigned)(number % 9), (unsigned)(number % 250 + 1),
		(unsigned long long)mix(&state) & 0xffffffff, (unsigned)(number / 1440 % 28 + 1), months[number / 40320 % 12],
		(unsigned)(number / 60 % 24), (unsigned)(number % 60), (unsigned)(number * 7 % 60), person, from, to,
		word(&state), word(&state), (unsigned long long)number, (unsigned)(number / 1440 % 28 + 1),
		months[number / 40320 % 12], (unsigned)(number / 60 % 24), (unsigned)(number % 60),
		(unsigned)(number * 7 % 60), (unsigned long long)mix(&state), (unsigned long long)number);
	size_t left = size > out->len - start + 400 ? size - (out->len - start) - 400 : 100;
	if (has_file) {
		(void)buf_appendf(out, "Content-Type: multipart/mixed; boundary=\"=_%llx\"\r\n\r\n--=_%llx\r\n"
			"Content-Type: text/plain; charset=utf-8\r\n\r\n", (unsigned long long)number,
			(unsigned long long)number);
		lines_of(out, prose, &state, left / 4);
		(void)buf_appendf(out, "--=_%llx\r\nContent-Type: application/pdf; name=\"%s.pdf\"\r\n"
			"Content-Transfer-Encoding: base64\r\nContent-Disposition: attachment; filename=\"%s.pdf\"\r\n\r\n",
			(unsigned long long)number, word(&state), word(&state));
		lines_of(out, encoded, &state, left / 4 * 3);
		(void)buf_appendf(out, "--=_%llx--\r\n", (unsigned long long)number);
	} else if (has_html) {
		(void)buf_appendf(out, "Content-Type: multipart/alternative; boundary=\"=_%llx\"\r\n\r\n--=_%llx\r\n"
			"Content-Type: text/plain; charset=utf-8\r\n\r\n", (unsigned long long)number,
			(unsigned long long)number);
		lines_of(out, prose, &state, left / 2);
		(void)buf_appendf(out, "--=_%llx\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<html><body><p>\r\n",
			(unsigned long long)number);
		lines_of(out, prose, &state, left / 2);
		(void)buf_appendf(out, "</p></body></html>\r\n--=_%llx--\r\n", (unsigned long long)number);
	} else {
		(void)buf_append(out, SV("Content-Type: text/plain; charset=utf-8\r\n\r\n"));
		lines_of(out, prose, &state, left + 400);
	}
}
