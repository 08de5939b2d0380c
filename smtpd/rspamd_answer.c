/* What rspamd answers to /checkv2: https://docs.rspamd.com/developers/protocol. Total on any octets. */
#include <stdio.h>

#include "common/json.h"
#include "smtpd/rspamd.h"

#include "common/banned.h"

#define RESULT_FIELD "X-Spamd-Result"
#define RESULT_MAX 2048
#define SYMBOL_MAX 80

/* "greylist" says that it would like to: its module asks for it by "soft reject". A subject stays as its author wrote it. */
static bool take_action(struct screen_verdict *v, struct sv action)
{
	if (sv_eq(action, SV("no action")) || sv_eq(action, SV("greylist")))
		return true;
	if (sv_eq(action, SV("add header")) || sv_eq(action, SV("rewrite subject")))
		v->is_spam = true;
	else if (sv_eq(action, SV("soft reject")))
		v->action = SCREEN_DEFER;
	else if (sv_eq(action, SV("reject")))
		v->action = SCREEN_REJECT;
	else if (sv_eq(action, SV("discard")))
		v->action = SCREEN_DISCARD;
	else if (sv_eq(action, SV("quarantine")))
		screen_keep_text(v->quarantine, sizeof(v->quarantine), SV("quarantine"));
	/* Others are the administrator's own, and change nothing here. */
	return true;
}

/* ---- fields ---- */

static void remove_one(void *arg, const char *name, const struct json *value)
{
	(void)value;
	screen_remove_header(arg, sv_z(name));
}

/* A value is a text, or an object with it and the place where it is to stand. */
static void add_one(struct screen_verdict *v, const char *name, const struct json *value)
{
	struct sv text;

	if (json_to_sv(value, &text) || json_get_sv(value, "value", &text))
		screen_add_header(v, sv_z(name), text);
}

static void add_all(void *arg, const char *name, const struct json *value)
{
	if (!json_value_is_array(value))
		add_one(arg, name, value);
	for (size_t i = 0; i < json_count(value); i++)
		add_one(arg, name, json_at(value, i));
}

static bool has_field(const struct screen_verdict *v, struct sv start)
{
	struct sv rest = buf_sv(&v->headers), line;

	while (sv_split(&rest, '\n', &line))
		if (sv_starts_nocase(line, start))
			return true;
	return false;
}

/* ---- the result, for people and programs ---- */

static double number_of(const struct json *object, const char *name)
{
	double n = 0;

	(void)json_to_double(json_get(object, name), &n);
	return n > -1e6 && n < 1e6 ? n : 0;
}

static void append_symbol(void *arg, const char *name, const struct json *value)
{
	struct buf *out = arg;
	struct sv text = sv_z(name);

	for (size_t i = 0; i < text.len; i++)
		if (!ascii_is_alpha(text.p[i]) && !ascii_is_digit(text.p[i]) && !memchr("_-.", text.p[i], 3))
			return;
	if (text.len && text.len <= SYMBOL_MAX && out->len + text.len + 40 < out->max)
		(void)buf_appendf(out, ";\n\t%s(%.2f)", name, number_of(value, "score"));
}

/* add_result - in the form that rspamd itself writes, unless it has: mail programs read it. */
static void add_result(struct screen_verdict *v, const struct json *answer)
{
	struct buf text;

	screen_remove_header(v, SV(RESULT_FIELD));
	if (has_field(v, SV(RESULT_FIELD ":")))
		return;
	buf_init(&text, RESULT_MAX);
	(void)buf_appendf(&text, "default: %s [%.2f / %.2f]", v->is_spam || v->action == SCREEN_REJECT ? "True" : "False",
			  number_of(answer, "score"), number_of(answer, "required_score"));
	json_iterate(json_get(answer, "symbols"), append_symbol, &text);
	screen_add_header(v, SV(RESULT_FIELD), buf_sv(&text));
	buf_done(&text);
}

/* add_mark - the field that it adds as a milter; one that the sender wrote is taken out. */
static void add_mark(struct screen_verdict *v)
{
	screen_remove_header(v, SV("X-Spam"));
	if (v->is_spam && !has_field(v, SV("X-Spam:")))
		screen_add_header(v, SV("X-Spam"), SV("Yes"));
}

bool rspamd_take_answer(struct sv octets, struct screen_verdict *v)
{
	struct json *answer = NULL;
	struct sv action, text;
	bool ok = !json_parse(octets, &answer).kind && json_get_sv(answer, "action", &action) && take_action(v, action);

	if (ok) {
		const struct json *milter = json_get(answer, "milter");

		if (json_get_sv(json_get(answer, "messages"), "smtp_message", &text))
			screen_keep_text(v->text, sizeof(v->text), text);
		json_iterate(json_get(milter, "remove_headers"), remove_one, v);
		json_iterate(json_get(milter, "add_headers"), add_all, v);
		add_result(v, answer);
		add_mark(v);
	}
	json_free(&answer);
	return ok;
}
