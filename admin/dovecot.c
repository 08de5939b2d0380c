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

/* A section, once its end was reached. */
struct section {
	struct sv name, label;                  /* "passdb passwd-file {" */
	struct sv inner;                        /* the section in it that is open: "fields" */
	struct sv driver, args, fields, location, path, scheme;
	struct sv home, mail;                   /* of fields { } */
	struct sv type, active;
	struct sv deny, master, inbox;          /* "yes" */
};

static void take_file(const struct section *s, struct dovecot_files *files)
{
	struct sv args = s->args, word, scheme = s->scheme;
	size_t before = files->count;

	if (s->path.len && files->count < DOVECOT_FILES_MAX)
		files->list[files->count++].path = s->path;
	while (next_word(&args, &word)) {
		if (sv_starts(word, SV("scheme=")))
			scheme = sv_sub(word, 7, SIZE_MAX);
		else if (word.p[0] == '/' && files->count < DOVECOT_FILES_MAX)
			files->list[files->count++].path = word;
	}
	for (size_t i = before; i < files->count; i++)
		files->list[i].scheme = scheme;
}

static void take_first(struct sv *to, struct sv value)
{
	if (!to->len)
		*to = value;
}

static void take_fields(struct sv args, struct dovecot_settings *out)
{
	struct sv word;

	while (next_word(&args, &word)) {
		if (sv_starts(word, SV("home=")))
			take_first(&out->static_home, sv_sub(word, 5, SIZE_MAX));
		if (sv_starts(word, SV("mail=")))
			take_first(&out->static_mail, sv_sub(word, 5, SIZE_MAX));
	}
}

static void take_passdb(const struct section *s, struct dovecot_settings *out)
{
	if (!sv_eq(s->driver.len ? s->driver : s->label, SV("passwd-file")))
		out->other_passdb = s->driver.len ? s->driver : s->label;
	else if (sv_eq(s->deny, SV("yes")))
		take_file(s, &out->barred);
	else if (sv_eq(s->master, SV("yes")))
		take_file(s, &out->masters);
	else
		take_file(s, &out->users);
}

static void take_userdb(const struct section *s, struct dovecot_settings *out)
{
	if (sv_eq(s->driver.len ? s->driver : s->label, SV("passwd-file")))
		take_file(s, &out->homes);
	take_fields(s->args, out);
	take_fields(s->fields, out);
	take_first(&out->static_home, s->home);
	take_first(&out->static_mail, s->mail);
}

static void take_section(const struct section *s, struct dovecot_settings *out)
{
	if (sv_eq(s->name, SV("passdb")) && (s->driver.len || s->label.len))
		take_passdb(s, out);
	if (sv_eq(s->name, SV("userdb")))
		take_userdb(s, out);
	if (sv_eq(s->name, SV("namespace")) && sv_eq(s->inbox, SV("yes"))) {
		out->mail_location = s->location.len ? s->location : out->mail_location;
		out->mail_path = s->path.len ? s->path : out->mail_path;
	} else if (sv_eq(s->name, SV("namespace")) && (sv_eq(s->type, SV("public")) || sv_eq(s->type, SV("shared")))) {
		struct sv *to = sv_eq(s->type, SV("public")) ? &out->public : &out->shared;

		*to = s->location.len ? s->location : s->path.len ? s->path : s->type;
	}
	if (sv_eq(s->name, SV("sieve_script")) && (!s->type.len || sv_eq(s->type, SV("personal")))) {
		out->sieve_dir = s->path.len ? s->path : out->sieve_dir;
		out->sieve = s->active.len ? s->active : out->sieve;
	} else if (sv_eq(s->name, SV("sieve_script"))) {
		out->sieve_for_all = s->path;
	}
}

static void take_setting(struct section *at, size_t depth, struct sv key, struct sv value, struct dovecot_settings *out)
{
	const struct { const char *section, *key; struct sv *to; } settings[] = {
		{ "", "mail_location", &out->mail_location },  { "", "mail_home", &out->mail_home },
		{ "", "mail_driver", &out->mail_driver },      { "", "mail_path", &out->mail_path },
		{ "", "mail_control_path", &out->mail_control }, { "", "mail_inbox_path", &out->mail_inbox },
		{ "", "auth_default_realm", &out->realm },     { "", "auth_default_domain", &out->realm },
		{ "", "pop3_uidl_format", &out->uidl_format }, { "protocol", "pop3_uidl_format", &out->uidl_format },
		{ "", "ssl_cert", &out->certificate },         { "", "ssl_server_cert_file", &out->certificate },
		{ "plugin", "sieve", &out->sieve },            { "plugin", "sieve_dir", &out->sieve_dir },
		{ "plugin", "sieve_before", &out->sieve_for_all }, { "plugin", "sieve_after", &out->sieve_for_all },
		{ "plugin", "sieve_default", &out->sieve_for_all }, { "plugin", "quota_rule", &out->quota },
		{ "quota", "storage_size", &out->quota },
		{ "passdb", "driver", &at->driver },           { "passdb", "args", &at->args },
		{ "passdb", "deny", &at->deny },               { "passdb", "master", &at->master },
		{ "passdb", "default_password_scheme", &at->scheme }, { "passdb", "passwd_file_path", &at->path },
		{ "userdb", "driver", &at->driver },           { "userdb", "args", &at->args },
		{ "userdb", "passwd_file_path", &at->path },
		{ "userdb", "default_fields", &at->fields },   { "userdb", "override_fields", &at->fields },
		{ "namespace", "location", &at->location },    { "namespace", "mail_path", &at->path },
		{ "namespace", "type", &at->type },            { "namespace", "inbox", &at->inbox },
		{ "sieve_script", "path", &at->path },         { "sieve_script", "active_path", &at->active },
		{ "sieve_script", "type", &at->type },
	}, inner[] = {
		{ "fields", "home", &at->home }, { "fields", "mail", &at->mail },
	};
	struct sv section = depth ? at->name : SV_NONE, in = section;
	size_t prefix = section.len + 1;

	/* In 2.4 the name of the section may stand before the name of the setting. */
	if (depth && key.len > prefix && sv_starts(key, section) && key.p[section.len] == '_')
		sv_skip(&key, prefix);
	if (depth == 2 && sv_eq(section, SV("userdb")))
		in = sv_ends(at->inner, SV("fields")) ? SV("fields") : SV_NONE;
	for (size_t i = 0; depth < 2 && i < ARRAY_LEN(settings); i++)
		if (sv_eq(section, sv_z(settings[i].section)) && sv_eq(key, sv_z(settings[i].key)))
			*settings[i].to = value;
	for (size_t i = 0; depth == 2 && i < ARRAY_LEN(inner); i++)
		if (sv_eq(in, sv_z(inner[i].section)) && sv_eq(key, sv_z(inner[i].key)))
			*inner[i].to = value;
}

/* "passdb passwd-file {" */
static struct section begin_section(struct sv line)
{
	struct sv words = sv_sub(line, 0, line.len - 1);
	struct section s = { .type = SV_NONE };

	(void)next_word(&words, &s.name);
	(void)next_word(&words, &s.label);
	return s;
}

struct fault dovecot_read(struct sv text, struct dovecot_settings *out)
{
	struct section at = { .name = SV_NONE };
	size_t depth = 0, line_number = 0;
	struct sv line;

	*out = (struct dovecot_settings){ .realm = SV_NONE };
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
			if (depth == 1)
				at = begin_section(line);
			else if (depth == 2)
				at.inner = begin_section(line).name;
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
		if (sv_starts(field, SV("userdb_mail_path=")))
			out->path = sv_sub(field, 17, SIZE_MAX);
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

/* "user | username | lower": a variable, and filters that it goes through. */
static bool value_through(struct sv pipe, struct sv address, struct sv home, struct sv *out, bool *is_lower)
{
	struct sv word;

	if (!sv_split(&pipe, '|', &word) || !value_of(sv_trim(word), address, home, out))
		return false;
	while (pipe.p && sv_split(&pipe, '|', &word)) {
		word = sv_trim(word);
		if (sv_eq(word, SV("lower")))
			*is_lower = true;
		else if ((!sv_eq(word, SV("username")) && !sv_eq(word, SV("domain"))) || !value_of(word, *out, home, out))
			return false;
	}
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
		i += is_lower + name.len + (name.p != rest.p ? 2 : 0);
		is_good = value_through(name, address, home, &value, &is_lower) && append_value(&text, value, is_lower);
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

struct sv dovecot_part(struct sv location, const char *name)
{
	struct sv part, key = sv_z(name);

	while (location.p && sv_split(&location, ':', &part))
		if (sv_starts(part, key) && part.len > key.len && part.p[key.len] == '=')
			return sv_sub(part, key.len + 1, SIZE_MAX);
	return SV_NONE;
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

/* As it stands there. */
static bool raw_value(struct sv text, struct sv name, struct buf *out)
{
	bool is_inside = false, was_found = false;
	struct sv line, word;

	while (sv_split(&text, '\n', &line)) {
		size_t is = sv_find(line, '=');

		if (!line.len || line.p[0] == '#')
			continue;
		if (line.p[0] != ' ' && line.p[0] != '\t') {
			is_inside = is != SIZE_MAX && sv_eq(sv_trim(sv_sub(line, 0, is)), name);
			was_found |= is_inside;
			if (is_inside)
				buf_clear(out);
			line = sv_sub(line, is_inside ? is + 1 : line.len, SIZE_MAX);
		}
		line = sv_trim(line);
		while (is_inside && next_word(&line, &word))
			if ((out->len && !buf_append_c(out, ' ')) || !buf_append(out, word))
				return false;
	}
	return was_found;
}

/* The name behind a '$', and how many octets it and what is around it have; 0: none. */
static size_t name_behind(struct sv text, struct sv *name)
{
	bool is_braced = text.len && (text.p[0] == '{' || text.p[0] == '(');
	size_t len = is_braced, begin = is_braced;

	while (len < text.len && (ascii_is_alpha(text.p[len]) || ascii_is_digit(text.p[len]) || text.p[len] == '_'))
		len++;
	*name = sv_sub(text, begin, len - begin);
	if (!name->len || (is_braced && (len == text.len || text.p[len] != (text.p[0] == '{' ? '}' : ')'))))
		return 0;
	return len + is_braced;
}

/* Settings that name each other in a circle end at some depth. */
static bool append_expanded(struct sv text, struct sv value, struct buf *out, unsigned depth)
{
	bool is_good = true;

	for (size_t i = 0; i < value.len && is_good; i++) {
		struct sv name = SV_NONE;
		size_t len = value.p[i] == '$' && depth < DEPTH_MAX ? name_behind(sv_sub(value, i + 1, SIZE_MAX), &name) : 0;
		struct buf other;

		buf_init(&other, out->max);
		if (len && raw_value(text, name, &other)) {
			is_good = append_expanded(text, buf_sv(&other), out, depth + 1);
			i += len;
		} else {
			is_good = buf_append_c(out, value.p[i]);
		}
		buf_done(&other);
	}
	return is_good;
}

bool postfix_value(struct sv text, const char *name, struct buf *out)
{
	struct buf value;
	bool was_found;

	buf_init(&value, out->max);
	was_found = raw_value(text, sv_z(name), &value) && append_expanded(text, buf_sv(&value), out, 0);
	buf_done(&value);
	return was_found;
}

bool postfix_word(struct sv *list, struct sv *word)
{
	size_t len = 0;

	while (list->len && (list->p[0] == ',' || list->p[0] == ' ' || list->p[0] == '\t'))
		sv_skip(list, 1);
	while (len < list->len && list->p[len] != ',' && list->p[len] != ' ' && list->p[len] != '\t')
		len++;
	*word = sv_sub(*list, 0, len);
	sv_skip(list, len);
	return len > 0;
}

bool postfix_map(struct sv map, struct sv *path)
{
	static const char *const kinds[] = { "hash:", "btree:", "lmdb:", "cdb:", "dbm:", "texthash:" };

	if (sv_starts(map, SV("proxy:")))
		sv_skip(&map, 6);
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
		if (sv_starts(map, sv_z(kinds[i]))) {
			*path = sv_sub(map, strlen(kinds[i]), SIZE_MAX);
			return path->len > 0;
		}
	return false;
}
