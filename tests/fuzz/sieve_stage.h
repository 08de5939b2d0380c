/* tests/fuzz/sieve_stage.h - a world around a Sieve script that answers as `mood` says, and what must hold after every run: for
 * fuzz_sieve.c (any script) and fuzz_sieve_run.c (any message). */
#ifndef TESTS_FUZZ_SIEVE_STAGE_H
#define TESTS_FUZZ_SIEVE_STAGE_H

#include <stdlib.h>

#include "common/sieve/sieve.h"

static uint8_t mood;

static bool read_wire(void *arg, uint64_t offset, size_t len, struct buf *out)
{
	struct sv wire = *(const struct sv *)arg;

	return !(mood & 1) && offset <= wire.len && buf_append(out, sv_sub(wire, (size_t)offset, len));
}

static bool ask(void *arg, struct sv name)
{
	(void)arg;
	(void)name;
	return mood & 2;
}

static bool ask_two(void *arg, struct sv a, struct sv b)
{
	return ask(arg, a.len ? a : b);
}

static struct sv member(void *arg, struct sv list, size_t number)
{
	(void)arg;
	return number < 3 && (mood & 2) ? sv_sub(list, number, SIZE_MAX) : SV_NONE;
}

static bool answered(void *arg, struct sv handle, struct sv address, uint32_t seconds)
{
	return seconds && ask_two(arg, handle, address);
}

static bool metadata(void *arg, struct sv mailbox, struct sv name, struct buf *out)
{
	return ask_two(arg, mailbox, name) && buf_append(out, name);
}

static void trace(void *arg, uint32_t line, struct sv text)
{
	(void)arg;
	if (line > 1u << 30 || text.len > 4096)
		abort();
}

/* Run a script on a message of any octets, and see that the message has a fate. */
static void stage_run(const struct sieve_script *script, struct sv wire, const struct mime_message *m)
{
	static const struct sv own[] = { SV_INIT("alice@example.test") };
	const struct sieve_mail mail = { .message = m, .header = sv_sub(wire, 0, (size_t)m->header_len), .read = read_wire,
					 .read_arg = &wire };
	const struct sieve_envelope envelope = { .from = mood & 4 ? SV("") : SV("juergen@example.org"), .to = SV("alice+x@example.test") };
	const struct sieve_host host = {
		.now = { 1248298200, 120 }, .addresses = own, .address_count = 1, .mailbox_exists = ask, .mailbox_id_exists = ask,
		.special_use_exists = ask_two, .is_duplicate = ask, .is_answered = answered, .list_exists = ask, .list_has = ask_two, .list_member = member,
		.metadata = metadata, .trace = mood & 8 ? trace : NULL, .has_spam_score = mood & 16, .spam_percent = 99,
	};
	struct sieve_result result;
	struct buf words;
	bool has_fate = false;

	sieve_run(script, &mail, &envelope, &host, &result);
	buf_init(&words, (size_t)1 << 22);
	/* Whatever the script is, the message has a fate, within the limits. */
	for (size_t i = 0; i < result.action_count; i++) {
		const struct sieve_action *a = &result.actions[i];

		has_fate = has_fate || (a->kind != SIEVE_VACATION && a->kind != SIEVE_NOTIFY && a->kind != SIEVE_SEEN);
		(void)sieve_action_describe(a, &words);
		if (a->kind == SIEVE_FILEINTO && (!a->mailbox.len || !sv_is_utf8(a->mailbox)))
			abort();
		if (a->kind == SIEVE_VACATION && (sv_find(a->subject, '\n') != SIZE_MAX || !a->address.len))
			abort();
	}
	if (!has_fate || result.action_count > SIEVE_ACTIONS_MAX + 1 || result.memory > (size_t)1 << 20)
		abort();
	if (result.has_failed && (result.action_count != 1 || result.actions[0].kind != SIEVE_KEEP || !*result.error.text ||
				  !sv_is_utf8(sv_z(result.error.text))))
		abort();
	buf_done(&words);
	sieve_result_free(&result);
}

#endif
