/* tests/guard/mail_steps.c - one message through a whole session of smtpd, from the socket to the store's door, which is a fake that
 * keeps it in memory: tests/support/smtp_world.h. Names of steps stand in tests/guard/recorded.json. */
#include <stdio.h>

#include "common/log.h"
#include "smtpd/session.h"
#include "tests/support/smtp_world.h"
#include "tests/guard/cost.h"

#include "common/banned.h"

#define BODY (64u << 10)
#define PIECE 4096
#define OPS 4

static struct world world;
static struct buf dialogue, message, out;

/* Once and for all: what is counted is the server's work, not the client's printing. */
static void make_message(void)
{
	buf_init(&message, BODY + 128);
	buf_appendf(&message, "From: x@there.test\r\nSubject: long\r\n\r\n");
	while (message.len < BODY)
		buf_appendf(&message, "%064zu\r\n", message.len);
	buf_append(&message, SV(".\r\n"));
}

static void send_mail(enum conf_listener_kind kind, const char *hello)
{
	int fd = world_connect(&world, kind);

	buf_clear(&dialogue);
	buf_appendf(&dialogue, "%s me.test\r\nMAIL FROM:<x@there.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n", hello);
	buf_clear(&out);
	if (!world_wait(&world, fd, &out, "220 "))
		BUG("no greeting");
	for (struct sv line, rest = buf_sv(&dialogue); sv_split(&rest, '\n', &line);) {
		buf_clear(&out);
		if (line.len && (!world_say(fd, sv_from(line.p, line.len + 1)) || !world_wait(&world, fd, &out, "\r\n")))
			BUG("no answer to %.*s", SV_FMT(line));
	}
	buf_clear(&out);
	/* In pieces: the socket has no room for all of it while nobody reads. */
	for (struct sv rest = buf_sv(&message); rest.len; sv_skip(&rest, sv_sub(rest, 0, PIECE).len))
		while (!world_say(fd, sv_sub(rest, 0, PIECE)))
			loop_run_once(world.worker.loop, 10);
	if (!world_wait(&world, fd, &out, "250 "))
		BUG("it was not accepted: %.*s", SV_FMT(buf_sv(&out)));
	world_finish(&world, fd, &out);
	fake_forget();
}

static void step(const char *name, enum conf_listener_kind kind, const char *hello)
{
	send_mail(kind, hello);
	cost_begin();
	for (int i = 0; i < OPS; i++)
		send_mail(kind, hello);
	cost_end(name, OPS);
}

int main(void)
{
	log_set_level(LOG_LEVEL_ERROR);
	buf_init(&dialogue, 4096);
	buf_init(&out, 1 << 20);
	make_message();
	world_open(&world, "");
	step("MX session", LISTENER_MX, "EHLO");
	step("LMTP session", LISTENER_LMTP, "LHLO");
	world_close(&world);
	buf_done(&dialogue);
	buf_done(&message);
	buf_done(&out);
	return 0;
}
