#include "admin/dovecot.h"

#include "common/banned.h"

#define DEPTH_MAX 8

/* ---- doveconf ---- */

/* The words of an args or fields setting: "scheme=CRYPT username_format=%u /etc/dovecot/users". */
static bool next_word(struct sv *rest, struct sv *word)
{
	while (sv_split(rest, ' ', word))
		if (word->len)
			return true;
	return false;
}

static void take_file(struct sv args, struct sv *files, size_t *count)
{
	struct sv word;

	while (next_word(&args, &word))
		if (word.p[0] == '/' && *count < DOVECOT_FILES_MAX)
			files[(*count)++] = word;
}

static void take_fields(struct sv args, struct dovecot_settings *out)
{
	struct sv word;

	while (next_word(&args, &word)) {
		if (sv_starts(word, SV("home=")) && !out->static_home.len)
			out->static_home = sv_sub(word, 5, SIZE_MAX);
		if (sv_starts(word, SV("mail=")) && !out->static_mail.len)
			out->static_mail = sv_sub(word, 5, SIZE_MAX);
	}
}

/* A section of users, once its end was reached. */
struct section {
	struct sv name;
	struct sv driver, args, fields, location;
	bool is_inbox;
};

static void take_section(const struct section *s, struct dovecot_settings *out)
{
	bool is_file = sv_eq(s->driver, SV("passwd-file"));

	if (sv_eq(s->name, SV("passdb")) && is_file)
		take_file(s->args, out->users, &out->user_count);
	else if (sv_eq(s->name, SV("passdb")) && s->driver.len)
		out->other_passdb = s->driver;
	else if (sv_eq(s->name, SV("userdb")) && is_file)
		take_file(s->args, out->homes, &out->home_count);
	if (sv_eq(s->name, SV("userdb"))) {
		take_fields(s->args, out);
		take_fields(s->fields, out);
	}
	if (sv_eq(s->name, SV("namespace")) && s->is_inbox && s->location.len)
		out->mail_location = s->location;
}

static void take_setting(struct section *at, size_t depth, struct sv key, struct sv value, struct dovecot_settings *out)
{
	const struct { const char *section, *key; struct sv *to; } settings[] = {
		{ "", "mail_location", &out->mail_location },  { "", "mail_home", &out->mail_home },
		{ "", "auth_default_realm", &out->realm },     { "", "pop3_uidl_format", &out->uidl_format },
		{ "protocol", "pop3_uidl_format", &out->uidl_format },
		{ "plugin", "sieve", &out->sieve },            { "plugin", "sieve_dir", &out->sieve_dir },
		{ "passdb", "driver", &at->driver },           { "passdb", "args", &at->args },
		{ "userdb", "driver", &at->driver },           { "userdb", "args", &at->args },
		{ "userdb", "default_fields", &at->fields },   { "userdb", "override_fields", &at->fields },
		{ "namespace", "location", &at->location },
	};

	if (depth > 1)
		return;
	for (size_t i = 0; i < ARRAY_LEN(settings); i++)
		if (sv_eq(depth ? at->name : SV_NONE, sv_z(settings[i].section)) && sv_eq(key, sv_z(settings[i].key)))
			*settings[i].to = value;
	if (depth && sv_eq(at->name, SV("namespace")) && sv_eq(key, SV("inbox")))
		at->is_inbox = sv_eq(value, SV("yes"));
}

struct fault dovecot_read(struct sv text, struct dovecot_settings *out)
{
	struct section at = { .is_inbox = false };
	size_t depth = 0, line_number = 0;
	struct sv line;

	*out = (struct dovecot_settings){ .user_count = 0 };
	while (sv_split(&text, '\n', &line)) {
		size_t is;

		line_number++;
		line = sv_trim(line);
		if (!line.len || line.p[0] == '#')
			continue;
		if (line.p[0] == '!')
			return fault_detail(FAULT_INVALID, "line %zu includes another file: give the output of doveconf -n", line_number);
		is = sv_find(line, '=');
		if (line.p[line.len - 1] == '{' && (is == SIZE_MAX || line.p[line.len - 2] == ' ')) {
			if (++depth == DEPTH_MAX)
				return fault_detail(FAULT_INVALID, "line %zu: too many sections in sections", line_number);
			if (depth == 1) {
				at = (struct section){ .name = sv_sub(line, 0, sv_find(line, ' ')) };
				at.name = sv_trim(at.name);
			}
		} else if (sv_eq(line, SV("}"))) {
			if (!depth)
				return fault_detail(FAULT_INVALID, "line %zu closes a section that is none", line_number);
			if (--depth == 0)
				take_section(&at, out);
		} else if (is != SIZE_MAX) {
			take_setting(&at, depth, sv_trim(sv_sub(line, 0, is)), sv_trim(sv_sub(line, is + 1, SIZE_MAX)), out);
		} else {
			return fault_detail(FAULT_INVALID, "line %zu is no setting of Dovecot", line_number);
		}
	}
	return depth ? fault(FAULT_INVALID, "its last section has no end") : FAULT_OK;
}

bool dovecot_read_user(struct sv line, struct dovecot_user *out)
{
	struct sv field, rest = sv_trim(line);

	*out = (struct dovecot_user){ .name = SV_NONE };
	if (!rest.len || rest.p[0] == '#')
		return false;
	for (int i = 0; i < 7 && sv_split(&rest, ':', &field); i++) {
		if (i == 0)
			out->name = field;
		if (i == 5)
			out->home = field;
	}
	/* Fields are separated by spaces; values of paths have colons of their own. */
	while (next_word(&rest, &field)) {
		if (sv_starts(field, SV("userdb_mail=")))
			out->mail = sv_sub(field, 12, SIZE_MAX);
		if (sv_starts(field, SV("userdb_home=")))
			out->home = sv_sub(field, 12, SIZE_MAX);
	}
	return out->name.len > 0;
}

/* ---- templates ---- */

static bool value_of(struct sv name, struct sv address, struct sv home, struct sv *out)
{
	size_t at = sv_rfind(address, '@');

	if (sv_eq(name, SV("u")) || sv_eq(name, SV("user")))
		*out = address;
	else if (sv_eq(name, SV("n")) || sv_eq(name, SV("username")))
		*out = sv_sub(address, 0, at);
	else if (sv_eq(name, SV("d")) || sv_eq(name, SV("domain")))
		*out = at == SIZE_MAX ? SV_NONE : sv_sub(address, at + 1, SIZE_MAX);
	else if ((sv_eq(name, SV("h")) || sv_eq(name, SV("home"))) && home.len)
		*out = home;
	else
		return false;
	return true;
}

static bool append_value(struct buf *out, struct sv value, bool is_lower)
{
	for (size_t i = 0; i < value.len; i++)
		if (!buf_append_c(out, is_lower ? ascii_lower(value.p[i]) : value.p[i]))
			return false;
	return true;
}

bool dovecot_expand(struct sv template, struct sv address, struct sv home, char out[PATH_MAX])
{
	struct buf text;
	bool is_good = true;

	buf_init(&text, PATH_MAX - 1);
	if (sv_starts(template, SV("~/"))) {
		is_good = home.len && buf_append(&text, home);
		sv_skip(&template, 1);
	}
	for (size_t i = 0; i < template.len && is_good; i++) {
		struct sv rest = sv_sub(template, i + 1, SIZE_MAX), name, value;
		bool is_lower = sv_starts(rest, SV("L"));
		size_t end;

		if (template.p[i] != '%') {
			is_good = buf_append_c(&text, template.p[i]);
			continue;
		}
		rest = sv_sub(rest, is_lower, SIZE_MAX);
		end = sv_find(rest, '}');
		name = rest.len && rest.p[0] == '{' ? sv_sub(rest, 1, end == SIZE_MAX ? 0 : end - 1) : sv_sub(rest, 0, 1);
		is_good = value_of(name, address, home, &value) && append_value(&text, value, is_lower);
		i += is_lower + name.len + (name.p != rest.p ? 2 : 0);
	}
	if (is_good && text.len)
		memcpy(out, text.p, text.len);
	out[is_good ? text.len : 0] = '\0';
	is_good = is_good && text.len && !memchr(out, '\0', text.len);
	buf_done(&text);
	return is_good;
}

bool dovecot_maildir(struct sv location, struct sv *template)
{
	if (!sv_starts(location, SV("maildir:")))
		return false;
	sv_skip(&location, 8);
	*template = sv_sub(location, 0, sv_find(location, ':'));
	return template->len > 0;
}

void dovecot_sieve(const struct dovecot_settings *settings, struct sv *folder, struct sv *active)
{
	struct sv rest = settings->sieve, word;

	*folder = settings->sieve_dir.len ? settings->sieve_dir : SV("~/sieve");
	*active = SV("~/.dovecot.sieve");
	if (!sv_starts(rest, SV("file:"))) {
		if (rest.len)
			*active = rest;
		return;
	}
	sv_skip(&rest, 5);
	(void)sv_split(&rest, ';', folder);
	while (sv_split(&rest, ';', &word))
		if (sv_starts(word, SV("active=")))
			*active = sv_sub(word, 7, SIZE_MAX);
}

/* ---- Postfix ---- */

bool postfix_value(struct sv text, const char *name, struct buf *out)
{
	bool is_inside = false, was_found = false;
	struct sv line, word;

	while (sv_split(&text, '\n', &line)) {
		size_t is = sv_find(line, '=');

		if (!line.len || line.p[0] == '#')
			continue;
		if (line.p[0] != ' ' && line.p[0] != '\t') {
			is_inside = is != SIZE_MAX && sv_eq(sv_trim(sv_sub(line, 0, is)), sv_z(name));
			was_found |= is_inside;
			line = sv_sub(line, is_inside ? is + 1 : line.len, SIZE_MAX);
		}
		line = sv_trim(line);
		while (is_inside && next_word(&line, &word))
			if ((out->len && !buf_append_c(out, ' ')) || !buf_append(out, word))
				return false;
	}
	return was_found;
}

bool postfix_map(struct sv map, struct sv *path)
{
	static const char *const kinds[] = { "hash:", "btree:", "lmdb:", "cdb:", "dbm:", "texthash:" };

	while (map.len && map.p[map.len - 1] == ',')
		map.len--;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (sv_starts(map, sv_z(kinds[i]))) {
			*path = sv_sub(map, strlen(kinds[i]), SIZE_MAX);
			return path->len > 0;
		}
	return false;
}
