#include "maildir/rules.h"

#include "common/date.h"
#include "common/json.h"

#include "common/banned.h"

static const struct sv top = SV_INIT("# Written by `postroom rule` and `postroom vacation`, and changed by them only. Rules of your own belong into\n"
				     "# another script: the one that was active before is included at the end.\n");
static const struct sv mark = SV_INIT("#= ");

void rules_init(struct rules *r)
{
	*r = (struct rules){ .count = 0 };
	arena_init(&r->arena, 4 * RULES_TEXT_MAX);
}

void rules_done(struct rules *r)
{
	arena_done(&r->arena);
	*r = (struct rules){ .count = 0 };
}

/* ---- conditions ---- */

/* What a condition looks at. */
static const struct {
	struct sv name;
	const char *fields;     /* a Sieve string list; NULL: the rest of the condition says */
} subjects[] = {
	{ SV_INIT("from"), "\"from\"" },
	{ SV_INIT("to"), "[\"to\", \"cc\"]" },
	{ SV_INIT("subject"), "\"subject\"" },
	{ SV_INIT("list"), "\"list-id\"" },
	{ SV_INIT("header"), NULL },
	{ SV_INIT("size"), NULL },
};

struct condition {
	size_t subject;         /* in subjects */
	bool is_exact;
	struct sv field;        /* of header */
	struct sv text;
};

static bool is_size(struct sv text)
{
	uint32_t n;

	if (text.len && strchr("KMG", ascii_upper(text.p[text.len - 1])))
		text.len--;
	return sv_to_u32(text, &n) && n <= 1u << 20;
}

static bool is_field(struct sv name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.p[i] <= ' ' || name.p[i] >= 127 || name.p[i] == ':')
			return false;
	return name.len > 0;
}

static bool take_condition(struct sv text, struct condition *out)
{
	size_t end = 0;

	while (end < text.len && text.p[end] != ':' && text.p[end] != '=')
		end++;
	*out = (struct condition){ .subject = 0 };
	while (out->subject < ARRAY_LEN(subjects) && !sv_eq_nocase(subjects[out->subject].name, sv_sub(text, 0, end)))
		out->subject++;
	if (out->subject == ARRAY_LEN(subjects) || end == text.len)
		return false;
	out->is_exact = text.p[end] == '=';
	out->text = sv_sub(text, end + 1, SIZE_MAX);
	if (sv_eq(subjects[out->subject].name, SV("size")))
		return is_size(out->text);
	if (!subjects[out->subject].fields) {
		size_t colon = sv_find(out->text, ':');

		out->field = sv_sub(out->text, 0, colon);
		out->text = colon == SIZE_MAX ? SV_NONE : sv_sub(out->text, colon + 1, SIZE_MAX);
		return is_field(out->field) && out->text.len && sv_is_utf8(out->text);
	}
	return out->text.len && sv_is_utf8(out->text);
}

const char *rules_condition(struct sv condition)
{
	struct condition c;

	return take_condition(condition, &c) ? NULL :
	       "a condition is from:TEXT, to:TEXT, subject:TEXT, list:TEXT, header:FIELD:TEXT (= instead of the first : means the whole "
	       "text), or size:1M (and more)";
}

bool rules_is_day(struct sv text)
{
	uint32_t year, month, day;
	struct date_civil c = { 0 };
	struct date d;

	if (text.len != 10 || text.p[4] != '-' || text.p[7] != '-' || !sv_to_u32(sv_sub(text, 0, 4), &year) ||
	    !sv_to_u32(sv_sub(text, 5, 2), &month) || !sv_to_u32(sv_sub(text, 8, 2), &day))
		return false;
	c.year = (int)year;
	c.month = (int)month;
	c.day = (int)day;
	return date_from_civil(&c, 0, &d);
}

/* ---- writing Sieve ---- */

static bool put_string(struct buf *out, struct sv text)
{
	bool ok = buf_append_c(out, '"');

	for (size_t i = 0; ok && i < text.len; i++)
		ok = ((text.p[i] != '"' && text.p[i] != '\\') || buf_append_c(out, '\\')) && buf_append_c(out, text.p[i]);
	return ok && buf_append_c(out, '"');
}

static bool put_condition(struct buf *out, struct sv text)
{
	struct condition c;

	if (!text.len)
		return buf_append(out, SV("true"));
	if (!take_condition(text, &c))
		return false;
	if (sv_eq(subjects[c.subject].name, SV("size")))
		return buf_append(out, SV("size :over ")) && buf_append(out, c.text);
	if (c.is_exact && (sv_eq(subjects[c.subject].name, SV("from")) || sv_eq(subjects[c.subject].name, SV("to"))))
		return buf_appendf(out, "address :is %s ", subjects[c.subject].fields) && put_string(out, c.text);
	if (!buf_append(out, c.is_exact ? SV("header :is ") : SV("header :contains ")) ||
	    !(c.field.len ? put_string(out, c.field) : buf_append(out, sv_z(subjects[c.subject].fields))))
		return false;
	return buf_append_c(out, ' ') && put_string(out, c.text);
}

static bool put_command(struct buf *out, const char *command, struct sv argument)
{
	return !argument.len || (buf_appendf(out, "\t%s ", command) && put_string(out, argument) && buf_append(out, SV(";\n")));
}

static struct sv flag_of(struct sv word)
{
	return sv_eq_nocase(word, SV("seen")) ? SV("\\Seen") : sv_eq_nocase(word, SV("flagged")) ? SV("\\Flagged") : word;
}

/* Is nothing behind this rule to be looked at? A copy of everything that goes elsewhere is no reason for that. */
static bool ends(const struct rule *r)
{
	bool is_copied = !r->when.len && (r->copy.len || r->mark.len);

	return r->move.len || r->discard || (r->forward.len && !is_copied);
}

static bool put_rule(struct buf *out, const struct rule *r, size_t number)
{
	return buf_appendf(out, "\n# rule %zu\nif ", number) &&
	       (r->also.len ? buf_append(out, SV("allof (")) && put_condition(out, r->when) && buf_append(out, SV(", ")) &&
		put_condition(out, r->also) && buf_append_c(out, ')') : put_condition(out, r->when)) &&
	       buf_append(out, SV(" {\n")) && put_command(out, "addflag", flag_of(r->mark)) &&
	       put_command(out, "fileinto :copy :create", r->copy) &&
	       put_command(out, r->copy.len || r->mark.len ? "redirect :copy" : "redirect", r->forward) &&
	       put_command(out, "fileinto :create", r->move) && (!r->discard || buf_append(out, SV("\tdiscard;\n"))) &&
	       (!ends(r) || buf_append(out, SV("\tstop;\n"))) && buf_append(out, SV("}\n"));
}

/* Lines of a text: block (RFC 5228 §2.4.2). */
static bool put_text_block(struct buf *out, struct sv text)
{
	struct sv line;
	bool ok = buf_append(out, SV("text:\n"));

	while (ok && text.len && sv_split(&text, '\n', &line)) {
		if (line.len && line.p[line.len - 1] == '\r')
			line.len--;
		ok = (!line.len || *line.p != '.' || buf_append_c(out, '.')) && buf_append(out, line) && buf_append_c(out, '\n');
	}
	return ok && buf_append(out, SV(".\n;\n"));
}

static bool put_day(struct buf *out, const char *relation, struct sv day, const char *before)
{
	return !day.len || (buf_appendf(out, "%scurrentdate :value \"%s\" \"date\" ", before, relation) && put_string(out, day));
}

static bool put_vacation(struct buf *out, const struct rules *r)
{
	struct sv from = r->vacation.from, until = r->vacation.until;
	bool is_timed = from.len || until.len, ok = buf_append(out, SV("\n# vacation\n"));

	if (ok && is_timed)
		ok = buf_append(out, from.len && until.len ? SV("if allof (") : SV("if ")) && put_day(out, "ge", from, "") &&
		     put_day(out, "le", until, from.len ? ", " : "") && buf_append(out, from.len && until.len ? SV(") {\n") : SV(" {\n"));
	ok = ok && buf_append(out, SV("vacation"));
	if (ok && r->vacation.days)
		ok = buf_appendf(out, " :days %llu", (unsigned long long)r->vacation.days);
	if (ok && r->vacation.subject.len)
		ok = buf_append(out, SV(" :subject ")) && put_string(out, r->vacation.subject);
	if (ok && r->vacation.address.len)
		ok = buf_append(out, SV(" :addresses ")) && put_string(out, r->vacation.address);
	return ok && buf_append_c(out, ' ') && put_text_block(out, r->vacation.message) && (!is_timed || buf_append(out, SV("}\n")));
}

static bool put_requires(struct buf *out, const struct rules *r)
{
	struct { const char *name; bool is_used; } names[] = {
		{ "fileinto", false }, { "mailbox", false }, { "copy", false }, { "imap4flags", false },
		{ "vacation", r->vacation.is_set },
		{ "date", r->vacation.from.len || r->vacation.until.len }, { "relational", r->vacation.from.len || r->vacation.until.len },
		{ "include", r->include.len },
	};
	bool any = false, ok = true;

	for (size_t i = 0; i < r->count; i++) {
		const struct rule *rule = &r->list[i];

		names[0].is_used |= rule->move.len || rule->copy.len;
		names[1].is_used |= rule->move.len || rule->copy.len;
		names[2].is_used |= rule->copy.len || (rule->forward.len && rule->mark.len);
		names[3].is_used |= rule->mark.len > 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(names) && ok; i++)
		if (names[i].is_used) {
			ok = buf_appendf(out, "%s\"%s\"", any ? ", " : "require [", names[i].name);
			any = true;
		}
	return ok && (!any || buf_append(out, SV("];\n")));
}

/* ---- the model, as a comment ---- */

static void put_member(struct json_out *j, const char *name, struct sv value)
{
	if (value.len)
		json_out_sv(j, name, value);
}

static void put_model(struct buf *out, const struct rules *r)
{
	struct json_out j;

	json_out_init(&j, out);
	json_out_object(&j, NULL);
	put_member(&j, "include", r->include);
	if (r->vacation.is_set) {
		json_out_object(&j, "vacation");
		json_out_sv(&j, "message", r->vacation.message);
		put_member(&j, "subject", r->vacation.subject);
		put_member(&j, "from", r->vacation.from);
		put_member(&j, "until", r->vacation.until);
		put_member(&j, "address", r->vacation.address);
		json_out_u64(&j, "days", r->vacation.days);
		json_out_object_end(&j);
	}
	json_out_array(&j, "rules");
	for (size_t i = 0; i < r->count; i++) {
		const struct rule *rule = &r->list[i];

		json_out_object(&j, NULL);
		json_out_sv(&j, "if", rule->when);
		put_member(&j, "and", rule->also);
		put_member(&j, "move", rule->move);
		put_member(&j, "copy", rule->copy);
		put_member(&j, "mark", rule->mark);
		put_member(&j, "forward", rule->forward);
		if (rule->discard)
			json_out_bool(&j, "discard", true);
		json_out_object_end(&j);
	}
	json_out_array_end(&j);
	json_out_object_end(&j);
}

bool rules_write(const struct rules *r, struct buf *out)
{
	bool ok = buf_append(out, top) && buf_append(out, mark);

	put_model(out, r);
	ok = ok && buf_append_c(out, '\n') && put_requires(out, r);
	if (ok && r->vacation.is_set)
		ok = put_vacation(out, r);
	for (size_t i = 0; ok && i < r->count; i++)
		ok = put_rule(out, &r->list[i], i + 1);
	if (ok && r->include.len)
		ok = buf_append(out, SV("\n# the account's own script\ninclude :personal :optional ")) && put_string(out, r->include) &&
		     buf_append(out, SV(";\n"));
	return ok;
}

static void take_member(struct rules *r, const struct json *object, const char *name, struct sv *out)
{
	struct sv value;

	if (object && json_get_sv(object, name, &value))
		*out = arena_copy(&r->arena, value);
}

static void take_model(struct rules *r, const struct json *model)
{
	const struct json *vacation = json_get(model, "vacation"), *list = json_get(model, "rules");

	take_member(r, model, "include", &r->include);
	r->vacation.is_set = vacation != NULL;
	take_member(r, vacation, "message", &r->vacation.message);
	take_member(r, vacation, "subject", &r->vacation.subject);
	take_member(r, vacation, "from", &r->vacation.from);
	take_member(r, vacation, "until", &r->vacation.until);
	take_member(r, vacation, "address", &r->vacation.address);
	if (vacation)
		(void)json_get_u64(vacation, "days", &r->vacation.days);
	for (size_t i = 0; list && i < json_count(list) && r->count < RULES_MAX; i++) {
		const struct json *one = json_at(list, i);
		struct rule *rule = &r->list[r->count++];

		take_member(r, one, "if", &rule->when);
		take_member(r, one, "and", &rule->also);
		take_member(r, one, "move", &rule->move);
		take_member(r, one, "copy", &rule->copy);
		take_member(r, one, "mark", &rule->mark);
		take_member(r, one, "forward", &rule->forward);
		(void)json_get_bool(one, "discard", &rule->discard);
	}
}

struct fault rules_read(struct rules *r, struct sv script)
{
	struct json *model = NULL;
	struct buf again;
	struct sv line = script;
	struct fault f = FAULT_OK;

	if (!sv_starts(script, top) || !sv_starts(sv_sub(script, top.len, SIZE_MAX), mark))
		return fault(FAULT_INVALID, "the script \"" RULES_SCRIPT "\" was not written by this command");
	sv_skip(&line, top.len + mark.len);
	line = sv_sub(line, 0, sv_find(line, '\n'));
	f = json_parse(line, &model);
	if (f.kind)
		return fault(FAULT_INVALID, "the script \"" RULES_SCRIPT "\" was edited by hand");
	take_model(r, model);
	json_free(&model);
	buf_init(&again, RULES_TEXT_MAX);
	if (!rules_write(r, &again) || !sv_eq(buf_sv(&again), script))
		f = fault(FAULT_INVALID, "the script \"" RULES_SCRIPT "\" was edited by hand");
	buf_done(&again);
	return f;
}
