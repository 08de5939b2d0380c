/* Whole SMTP and LMTP sessions in one process. The first octet chooses the listener (from 128 on: the one of old devices) and where the
 * rest is cut. What must hold: no crash, no leak, the same answers and messages however the
 * input is cut, and no bare CR or LF, and no NUL, in what arrives. */
#include <stdint.h>

#include "common/log.h"
#include "smtpd/session.h"
#include "tests/support/smtp_world.h"

static struct world world;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void end(void)
{
	world_close(&world);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	log_set_level(LOG_LEVEL_ERROR);
	/* Nobody waits in a fuzzer, and small limits are met more often; but what an input finds must not depend on how
	 * many wrong passwords others tried before it. */
	world_open(&world,
		   "message-size 64K\nsmtp-bad-commands 100\nsmtp-bad-commands-max 100\n"
		   "smtp-unknown-recipients 100\nsmtp-unknown-recipients-max 100\nfailure-delay 0\n"
		   "failures-per-minute 1000000\nfailures-per-day 10000000\nfailures-per-account 10000000\n"
		   "legacy-bind 127.0.0.1\nlegacy-networks loopback\nlegacy-sender alice@example.test\nlegacy-message-size 64K\n");
	atexit(end);
	return 0;
}

/* talk - one session; the answers without what is new each time. */
static void talk(enum conf_listener_kind kind, struct sv octets, size_t cut, struct buf *out)
{
	int fd = world_connect(&world, kind);

	(void)world_wait(&world, fd, out, "220 ");
	world_say(fd, sv_sub(octets, 0, cut));
	for (int i = 0; i < 2; i++)
		loop_run_once(world.worker.loop, 0);
	world_say(fd, sv_sub(octets, cut, octets.len));
	world_finish(&world, fd, out);
}

/* codes - the digits of each line: ids and times differ. */
static uint64_t codes(struct sv out)
{
	struct buf digits;
	struct sv line;
	uint64_t hash;

	buf_init(&digits, 1 << 20);
	while (sv_split(&out, '\n', &line))
		buf_append(&digits, sv_sub(line, 0, 4));
	hash = sv_hash(buf_sv(&digits));
	buf_done(&digits);
	return hash;
}

static bool drop(void *ctx, struct sv octets)
{
	(void)ctx;
	(void)octets;
	return true;
}

/* look_at_messages - whatever came, what stands in a mailbox is lines (RFC 5321 §2.3.8). */
static void look_at_messages(void)
{
	for (const struct fake_message *m = fake.messages; m; m = m->next) {
		struct sv text = buf_sv(&m->text);
		struct data_scanner scanner;

		data_scanner_init(&scanner, DATA_NO_DOTS, drop, NULL);
		(void)data_scanner_feed(&scanner, &text);
		data_scanner_finish(&scanner);
		if (scanner.faults & (DATA_BARE_CR | DATA_BARE_LF | DATA_NUL))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const enum conf_listener_kind kinds[] = { LISTENER_LMTP, LISTENER_SUBMISSION,
							 LISTENER_MX };
	struct buf whole, cut;
	struct sv octets;
	unsigned count;
	enum conf_listener_kind kind;

	if (!size || size > 16384)
		return 0;
	kind = data[0] & 0x80 ? LISTENER_LEGACY : kinds[data[0] % ARRAY_LEN(kinds)];
	octets = sv_from((const char *)data + 1, size - 1);
	buf_init(&whole, 4 << 20);
	buf_init(&cut, 4 << 20);
	talk(kind, octets, octets.len, &whole);
	count = fake.count;
	look_at_messages();
	fake_forget();
	talk(kind, octets, octets.len ? data[0] * 7 % octets.len : 0, &cut);
	/* On port 25 it matters what comes before its time, and so does the cut. */
	if (kind != LISTENER_MX &&
	    (codes(buf_sv(&whole)) != codes(buf_sv(&cut)) || count != fake.count))
		abort();
	look_at_messages();
	if (fake.open_incoming || fake.open_drops)
		abort();
	fake_forget();
	buf_done(&whole);
	buf_done(&cut);
	return 0;
}
