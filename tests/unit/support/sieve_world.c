#include "tests/unit/support/sieve_world.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

const char sieve_message_a[] =
	"Date: Tue, 1 Apr 1997 09:06:31 -0800 (PST)\n"
	"From: coyote@desert.example.org\n"
	"To: roadrunner@acme.example.com\n"
	"Subject: I have a present for you\n"
	"\n"
	"Look, I'm sorry about the whole anvil thing, and I really\n"
	"didn't mean to try and drop it on you from the top of the\n"
	"cliff.  I want to try to make it up to you.  I've got some\n"
	"great birdseed over here at my place--top of the line\n"
	"stuff--and if you come by, I'll have it all wrapped up\n"
	"for you.  I'm really sorry for all the problems I've caused\n"
	"for you over the years, but I know we can work this out.\n"
	"--\n"
	"Wile E. Coyote   \"Super Genius\"   coyote@desert.example.org\n";

const char sieve_message_b[] =
	"From: youcouldberich!@reply-by-postal-mail.invalid\n"
	"Sender: b1ff@de.res.example.com\n"
	"To: rube@landru.example.com\n"
	"Date:  Mon, 31 Mar 1997 18:26:10 -0800\n"
	"Subject: $$$ YOU, TOO, CAN BE A MILLIONAIRE! $$$\n"
	"\n"
	"YOU MAY HAVE ALREADY WON TEN MILLION DOLLARS, BUT I DOUBT\n"
	"IT!  SO JUST POST THIS TO SIX HUNDRED NEWSGROUPS!  IT WILL\n"
	"GUARANTEE THAT YOU GET AT LEAST FIVE RESPONSES WITH MONEY!\n"
	"MONEY! MONEY! COLD HARD CASH!  YOU WILL RECEIVE OVER\n"
	"$20,000 IN LESS THAN TWO MONTHS!  AND IT'S LEGAL!!!!!!!!!\n"
	"!!!!!!!!!!!!!!!!!!111111111!!!!!!!11111111111!!1  JUST\n"
	"SEND $5 IN SMALL, UNMARKED BILLS TO THE ADDRESSES BELOW!\n";

const char sieve_message_parts[] =
	"From: =?iso-8859-1?q?J=FCrgen?= <juergen+box@b\xc3\xbc" "ro.example>, \"B, C\" <b@example.org>\n"
	"To: team: alice@example.test, bob@example.test;\n"
	"Cc: undisclosed-recipients:;\n"
	"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_aus?=\n"
	" =?utf-8?q?_K=C3=B6ln?=\n"
	"Date: Wed, 22 Jul 2009 23:30:00 +0200\n"
	"Received: from a by b; Thu, 23 Jul 2009 01:00:00 +0200\n"
	"Received: from c by a; Wed, 22 Jul 2009 23:30:10 +0200\n"
	"X-Number: 10\n"
	"X-Empty:\n"
	"Message-ID: <parts@example>\n"
	"MIME-Version: 1.0\n"
	"Content-Type: multipart/mixed; boundary=outer\n"
	"\n"
	"This is a multi-part message in MIME format.\n"
	"--outer\n"
	"Content-Type: text/plain; charset=iso-8859-1\n"
	"Content-Transfer-Encoding: quoted-printable\n"
	"\n"
	"Hello, wor=\nld. Gr=FC=DFe.\n"
	"--outer\n"
	"Content-Type: text/html; charset=utf-8\n"
	"Content-Transfer-Encoding: base64\n"
	"\n"
	"PGI+Qm9sZDwvYj4=\n"
	"--outer\n"
	"Content-Type: application/pdf; name*=utf-8''important%20%C3%BC.pdf\n"
	"Content-Disposition: attachment; filename=\"important.pdf\"\n"
	"Content-MD5: x\n"
	"\n"
	"%PDF\n"
	"--outer\n"
	"Content-Type: message/rfc822\n"
	"\n"
	"From: Someone Else <else@example.net>\n"
	"Subject: hello request\n"
	"\n"
	"Please say Hello\n"
	"--outer--\n"
	"This is the end of the outer MIME multipart.\n";

struct stage {
	struct sieve_world *world;
	struct buf wire;
};

static bool read_wire(void *arg, uint64_t offset, size_t len, struct buf *out)
{
	struct stage *s = arg;

	return !s->world->is_unreadable && offset <= s->wire.len && buf_append(out, sv_sub(buf_sv(&s->wire), offset, len));
}

static bool load(void *arg, enum sieve_location where, struct sv name, struct buf *out)
{
	struct sieve_world *w = arg;

	for (size_t i = 0; w->included && w->included[i]; i += 2)
		if (where == SIEVE_PERSONAL && sv_eq(sv_z(w->included[i]), name))
			return buf_append(out, sv_z(w->included[i + 1]));
	return false;
}

static bool mailbox_exists(void *arg, struct sv name)
{
	(void)arg;
	return sv_eq(name, SV("INBOX")) || sv_eq(name, SV("Archive"));
}

static bool id_exists(void *arg, struct sv id)
{
	(void)arg;
	return sv_eq(id, SV("F1"));
}

static bool use_exists(void *arg, struct sv mailbox, struct sv use)
{
	(void)arg;
	return sv_eq_nocase(use, SV("\\Junk")) && (!mailbox.p || sv_eq(mailbox, SV("Spam")));
}

static bool metadata(void *arg, struct sv mailbox, struct sv name, struct buf *out)
{
	(void)arg;
	if (!mailbox.p)
		return sv_eq(name, SV("/shared/admin")) && buf_append(out, SV("mailto:admin@example.test"));
	return sv_eq(mailbox, SV("INBOX")) && sv_eq(name, SV("/private/comment")) && buf_append(out, SV("My main mailbox"));
}

static bool is_duplicate(void *arg, struct sv id)
{
	(void)arg;
	return sv_search(id, SV("seen-before")) != SIZE_MAX;
}

static bool is_answered(void *arg, struct sv handle, struct sv address, uint32_t seconds)
{
	struct sieve_world *w = arg;

	snprintf(w->handle, sizeof(w->handle), "%.*s", SV_FMT(handle));
	return seconds && sv_eq(address, SV("again@example.org"));
}

static bool list_exists(void *arg, struct sv list)
{
	(void)arg;
	return sv_eq(list, SV(":addrbook:default")) || sv_eq(list, SV("tag:example.test,2026:friends"));
}

static bool list_has(void *arg, struct sv list, struct sv value)
{
	return list_exists(arg, list) && sv_eq_nocase(value, SV("coyote@desert.example.org"));
}

static struct sv list_member(void *arg, struct sv list, size_t number)
{
	static const struct sv friends[] = { SV_INIT("coyote@desert.example.org"), SV_INIT("b@example.test") };

	(void)arg;
	if (sv_eq(list, SV(":addrbook:default")))
		return number ? SV_NONE : SV("@example.test");
	return number < ARRAY_LEN(friends) ? friends[number] : SV_NONE;
}

static void put_list(struct buf *out, const struct sv *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		(void)buf_appendf(out, "%s%.*s", i ? " " : " [", SV_FMT(list[i]));
	if (count)
		(void)buf_append_c(out, ']');
}

static void put(const struct sieve_world *w, struct buf *out, const struct sieve_action *a)
{
	static const char *const names[] = { "none", "keep", "fileinto", "redirect", "discard", "reject", "ereject", "vacation",
					     "notify", "seen" };

	(void)buf_appendf(out, "%s%s%s", out->len ? "; " : "", names[a->kind], a->is_implicit ? "*" : "");
	const struct sv details[] = { a->mailbox, a->address, a->method, a->text, a->subject, a->special_use, a->mailbox_id };
	for (size_t i = 0; i < ARRAY_LEN(details); i++)
		if (details[i].len && !(a->kind == SIEVE_VACATION && i == 3))
			(void)(buf_append_c(out, ' ') && buf_append(out, details[i]));
	if (a->kind == SIEVE_SEEN || (a->kind == SIEVE_VACATION && a->seconds != 7 * 86400))
		(void)buf_appendf(out, " %u", a->seconds);
	if (a->kind == SIEVE_VACATION && w->shows_reason)
		(void)(buf_append(out, SV(": ")) && buf_append(out, a->text));
	if (a->create)
		(void)buf_append(out, SV(" create"));
	put_list(out, a->flags, a->flag_count);
	if (a->dsn_notify.len)
		(void)(buf_append_c(out, ' ') && buf_append(out, a->dsn_notify));
	if (a->fcc.len)
		(void)(buf_append(out, SV(" fcc ")) && buf_append(out, a->fcc));
	put_list(out, a->fcc_flags, a->fcc_flag_count);
	if (a->header.p) {
		struct sv first = sv_sub(a->header, 0, sv_find(a->header, '\r'));

		(void)(buf_append(out, SV(" <")) && buf_append(out, first) && buf_append_c(out, '>'));
	}
}

char *sieve_world_run(struct sieve_world *w, struct sv script)
{
	struct sieve_loader loader = { load, w };
	struct stage stage = { .world = w };
	struct sieve_script *compiled = NULL;
	struct sieve_errors errors;
	struct sieve_result result;
	struct buf out;
	char *answer;

	buf_init(&out, 65536);
	/* From a heap copy of the exact size: a read behind its end is seen. */
	char *copy = malloc(script.len ? script.len : 1);
	if (script.len)
		memcpy(copy, script.p, script.len);
	if (sieve_compile(sv_from(copy, script.len), &loader, &compiled, &errors).kind) {
		free(copy);
		for (size_t i = 0; i < errors.count; i++)
			(void)buf_appendf(&out, "%s%s%s%u:%u: %s", i ? "; " : "", errors.list[i].script,
					  *errors.list[i].script ? ":" : "", errors.list[i].line, errors.list[i].column,
					  errors.list[i].text);
		answer = sv_copy_z(buf_sv(&out));
		buf_done(&out);
		return answer;
	}
	free(copy);
	buf_init(&stage.wire, (size_t)64 << 20);
	for (const char *p = w->message; *p; p++) {
		if (*p == '\n' && (p == w->message || p[-1] != '\r'))
			(void)buf_append_c(&stage.wire, '\r');
		(void)buf_append_c(&stage.wire, *p);
	}
	struct mime_message *m = mime_parse(buf_sv(&stage.wire));
	static const struct sv own[] = { SV_INIT("alice@example.test") };
	const struct sieve_host host = {
		.arg = w, .now = { w->now ? w->now : 1248298200, 120 }, .domain = SV("example.test"), .location = SV("MDA"), .phase = SV("during"),
		.remote_ip = SV("192.0.2.1"), .addresses = own, .address_count = 1, .has_spam_score = !w->has_verdict || w->is_scored,
		.spam_percent = w->has_verdict ? w->spam_percent : 50, .virus = w->has_verdict ? w->virus : SIEVE_VIRUS_CURED,
		.mailbox_exists = mailbox_exists, .mailbox_id_exists = id_exists,
		.special_use_exists = use_exists, .metadata = metadata, .is_duplicate = is_duplicate, .is_answered = is_answered,
		.list_exists = list_exists, .list_has = list_has, .list_member = list_member,
		.is_imap_event = w->cause != NULL, .flags = w->cause ? SV("$Old") : SV_NONE,
		.imap_cause = w->cause ? sv_z(w->cause) : SV_NONE, .imap_mailbox = w->cause ? SV("Work") : SV_NONE,
	};
	const struct sieve_envelope envelope = {
		.from = sv_z(w->from ? w->from : "coyote@desert.example.org"), .to = sv_z(w->to ? w->to : "alice+box@example.test"),
		.notify = SV("SUCCESS,FAILURE"), .orcpt = SV("rfc822;alice@example.com"), .ret = SV("FULL"),
	};
	const struct sieve_mail mail = { .message = m, .header = sv_sub(buf_sv(&stage.wire), 0, m->header_len), .read = read_wire,
					 .read_arg = &stage };
	sieve_run(compiled, &mail, &envelope, &host, &result);
	if (result.has_failed)
		(void)buf_appendf(&out, "%s%s%u:%u: %s%s", result.error.script, *result.error.script ? ":" : "", result.error.line,
				  result.error.column, result.error.text, result.is_temporary ? " (temporary)" : "");
	for (size_t i = 0; i < result.action_count; i++)
		put(w, &out, &result.actions[i]);
	w->memory = result.memory;
	w->work = result.work;
	answer = sv_copy_z(buf_sv(&out));
	sieve_result_free(&result);
	sieve_script_free(&compiled);
	mime_message_free(&m);
	buf_done(&stage.wire);
	buf_done(&out);
	return answer;
}

static size_t failures;

void sieve_world_expect(struct sieve_world *w, const char *script, const char *answer)
{
	char *got = sieve_world_run(w, sv_z(script));

	if (strcmp(got, answer) != 0) {
		print_error("the script\n%s\nanswered  %s\ninstead of %s\n", script, got, answer);
		failures++;
	}
	free(got);
}

void sieve_world_expect_all(struct sieve_world *w, const struct sieve_expectation *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		sieve_world_expect(w, list[i].script, list[i].answer);
}

void sieve_world_finish(void)
{
	size_t n = failures;

	failures = 0;
	assert_int_equal(n, 0);
}
