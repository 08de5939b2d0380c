/* notify and its tests (RFC 5435) with the method mailto (RFC 5436, RFC 6068). */
#include "common/sieve/sieve_private.h"

#include "common/banned.h"

#define METHOD_MAX 2048

/* Append with each %XX decoded. False: a % that begins none. */
static bool decode_percent(struct sv in, struct buf *out)
{
	for (size_t i = 0; i < in.len; i++) {
		char c = in.p[i];

		if (c == '%') {
			struct sv code = sv_sub(in, i + 1, 2);

			if (code.len < 2 || ascii_hex(code.p[0]) < 0 || ascii_hex(code.p[1]) < 0)
				return false;
			c = (char)(ascii_hex(code.p[0]) << 4 | ascii_hex(code.p[1]));
			i += 2;
		}
		if (!buf_append_c(out, c))
			return false;
	}
	return true;
}

static bool are_addresses(struct sv list)
{
	struct arena a;
	struct buf text;
	struct sv rest = list, one, bare;
	bool is_fine = list.len > 0;

	arena_init(&a, 32 << 10);
	buf_init(&text, METHOD_MAX);
	while (is_fine && sv_split(&rest, ',', &one)) {
		buf_clear(&text);
		is_fine = decode_percent(one, &text) && sieve_is_address(&a, buf_sv(&text), &bare);
	}
	buf_done(&text);
	arena_done(&a);
	return is_fine;
}

/* A mailto URI with at least one receiver, in itself or as a header "to" (RFC 6068 §2). */
static bool is_method(struct sv uri)
{
	struct sv to, rest, field, value;
	size_t query;
	bool has_receiver;

	if (uri.len > METHOD_MAX || !sv_starts_nocase(uri, SV("mailto:")))
		return false;
	for (size_t i = 0; i < uri.len; i++)
		if (uri.p[i] <= 32 || uri.p[i] == 127 || (unsigned char)uri.p[i] >= 0x80 || strchr("\"<>\\^`{|}", uri.p[i]))
			return false;
	query = sv_find(uri, '?');
	to = sv_sub(uri, 7, query == SIZE_MAX ? SIZE_MAX : query - 7);
	has_receiver = to.len > 0;
	if (to.len && !are_addresses(to))
		return false;
	for (rest = query == SIZE_MAX ? SV("") : sv_sub(uri, query + 1, SIZE_MAX); rest.len && sv_split(&rest, '&', &field); ) {
		size_t equals = sv_find(field, '=');
		struct buf plain;

		if (equals == SIZE_MAX || !equals)
			return false;
		value = sv_sub(field, equals + 1, SIZE_MAX);
		buf_init(&plain, METHOD_MAX);
		bool is_fine = decode_percent(value, &plain);
		buf_done(&plain);
		if (!is_fine)
			return false;
		field.len = equals;
		if (sv_eq_nocase(field, SV("to")) || sv_eq_nocase(field, SV("cc")) || sv_eq_nocase(field, SV("bcc"))) {
			if (!are_addresses(value))
				return false;
			has_receiver = true;
		}
	}
	return has_receiver;
}

void sieve_check_notify(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *method = sieve_arg_of(call, SLOT_FIRST), *importance = sieve_arg_of(call, SLOT_IMPORTANCE);
	const struct sieve_arg *options = sieve_arg_of(call, SLOT_OPTIONS);

	if (!method->is_dynamic && !is_method(method->strings[0]))
		sieve_complain(c, method->at, "\"%.*s\" is no way to notify: write \"mailto:\" and an address",
			       SV_FMT(sv_sub(method->strings[0], 0, 60)));
	if (importance && !importance->is_dynamic &&
	    (importance->strings[0].len != 1 || *importance->strings[0].p < '1' || *importance->strings[0].p > '3'))
		sieve_complain(c, importance->at, "\":importance\" must be followed by \"1\", \"2\" or \"3\"");
	for (uint32_t i = 0; options && i < options->count; i++)
		if (!options->is_dynamic && (sv_find(options->strings[i], '=') == SIZE_MAX || *options->strings[i].p == '='))
			sieve_complain(c, options->at, "an option of \":options\" is written \"name=value\"");
	sieve_check_fcc(c, call);
}

/* RFC 5436 §2.7: a program's message does not set off another one. */
static bool is_automatic(struct sieve_run *r)
{
	const struct sieve_fields *fields = sieve_message_fields(r);

	for (uint32_t i = 0; i < fields->count; i++)
		if (sv_eq_nocase(sieve_field_name(&fields->list[i]), SV("Auto-Submitted")) &&
		    !sv_starts_nocase(sieve_field_text(r, &fields->list[i]), SV("no")))
			return true;
	return false;
}

void sieve_act_notify(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *importance = sieve_arg_of(c, SLOT_IMPORTANCE), *options = sieve_arg_of(c, SLOT_OPTIONS);
	struct sv method = sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0), level = sieve_text(r, importance, 0);
	struct sieve_action *a;

	if (!sieve_is_delivery(r, "notify"))
		return;
	if (!is_method(method)) {
		sieve_fail(r, "\"%.*s\" is no way to notify", SV_FMT(sv_sub(method, 0, 60)));
		return;
	}
	if (is_automatic(r)) {
		sieve_trace(r, "notify: not done, because the message was sent by a program");
		return;
	}
	for (size_t i = 0; i < r->result->action_count; i++)    /* RFC 5436 §2.7: no duplicates */
		if (r->result->actions[i].kind == SIEVE_NOTIFY && sv_eq(r->result->actions[i].method, method))
			return;
	a = sieve_add_action(r, SIEVE_NOTIFY);
	if (!a)
		return;
	a->method = sieve_kept(r, method);
	a->text = sieve_kept(r, sieve_text(r, sieve_arg_of(c, SLOT_MESSAGE), 0));
	a->from = sieve_kept(r, sieve_text(r, sieve_arg_of(c, SLOT_FROM), 0));
	a->importance = level.len == 1 && *level.p >= '1' && *level.p <= '3' ? (uint32_t)(*level.p - '0') : 2;
	if (options) {
		a->options = arena_array(&r->keep, options->count, sizeof(*a->options));
		if (!a->options)
			sieve_fail(r, "the script takes too much memory for this message");
		for (uint32_t i = 0; a->options && i < options->count; i++)
			a->options[a->option_count++] = sieve_kept(r, sieve_text(r, options, i));
	}
	sieve_take_fcc(r, c, a);
	sieve_trace(r, "notify %.*s", SV_FMT(method));
}

bool sieve_test_valid_notify_method(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *methods = sieve_arg_of(c, SLOT_FIRST);

	for (uint32_t i = 0; i < methods->count; i++)
		if (!is_method(sieve_text(r, methods, i)))
			return false;
	return true;
}

bool sieve_test_notify_method_capability(struct sieve_run *r, const struct sieve_call *c)
{
	struct sieve_matcher m;

	if (!is_method(sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0)) ||
	    !sv_eq_nocase(sieve_text(r, sieve_arg_of(c, SLOT_SECOND), 0), SV("online")))
		return false;
	sieve_matcher_init(&m, r, c, SLOT_THIRD);
	(void)sieve_matcher_try(&m, SV("maybe"));       /* RFC 5436 §2.2: mail does not know */
	return sieve_matcher_end(&m);
}
