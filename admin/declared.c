#include "admin/declared.h"

#include <stdlib.h>

#include "admin/print.h"
#include "admin/protocols.h"
#include "common/identity.h"
#include "common/memory.h"

#include "common/banned.h"

#define TEXT_MAX ((size_t)DIRECTORY_ALIAS_TARGETS_MAX * (DIRECTORY_ADDRESS_MAX + 1))

const char *const relay_words[RELAY_WORDS] = { "no", "listed", "any", "asked" };

const char *declared_kind_name(enum declared_kind kind)
{
	static const char *const names[] = { "domain", "account", "alias", "send-as" };

	return names[kind];
}

/* ---- one spelling ---- */

static char *take_text(struct buf *b)
{
	char *text = sv_copy_z(buf_sv(b));

	buf_done(b);
	return text;
}

/* size_words - "10G", "1500", "none": so that it can be read back exactly. */
static void append_size(struct buf *out, const char *what, uint64_t n, bool is_bytes)
{
	static const char *const units[] = { "", "K", "M", "G", "T" };
	size_t unit = 0;

	if (!n)
		return;
	while (is_bytes && unit + 1 < ARRAY_LEN(units) && n % 1024 == 0) {
		n /= 1024;
		unit++;
	}
	buf_appendf(out, " %s %llu%s", what, (unsigned long long)n, units[unit]);
}

static void spell_domain(struct declared_thing *t)
{
	const struct directory_domain *d = &t->domain;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	if (d->separator != '+')
		buf_appendf(&b, " separator %.*s", d->separator ? 1 : 4, d->separator ? &d->separator : "none");
	if (d->catch_all[0])
		buf_appendf(&b, " catch-all %s", d->catch_all);
	if (d->alias_of[0])
		buf_appendf(&b, " alias-of %s", d->alias_of);
	if (d->relay)
		buf_appendf(&b, " relay %s", relay_words[d->relay]);
	t->text = take_text(&b);
}

static void append_protocols(struct buf *b, const char *word, unsigned scope)
{
	struct buf words;

	if ((scope & SCOPE_ALL) == SCOPE_ALL)
		return;
	buf_init(&words, 256);
	protocols_append(&words, scope);
	for (size_t i = 0; i < words.len; i++)
		if (words.p[i] == ' ')
			words.p[i] = ',';
	buf_appendf(b, " %s %.*s", word, words.len ? (int)words.len : 4, words.len ? words.p : "none");
	buf_done(&words);
}

static void spell_account(struct declared_thing *t)
{
	const struct directory_account *a = &t->account;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	append_size(&b, "quota", a->quota_bytes, true);
	append_size(&b, "messages", a->quota_messages, false);
	append_protocols(&b, "protocols", a->scope);
	append_protocols(&b, "password-protocols", ~a->password_denied);
	if (a->use)
		buf_appendf(&b, " state %s", directory_use_name(a->use));
	if (a->forward[0])
		buf_appendf(&b, " forward %s", a->forward);
	if (a->message[0])
		buf_appendf(&b, " message \"%s\"", a->message);
	if (!a->is_enabled)
		buf_append(&b, SV(" disabled"));
	t->text = take_text(&b);
}

static int compare_texts(const void *a, const void *b)
{
	return sv_cmp_nocase(sv_z(*(char *const *)a), sv_z(*(char *const *)b));
}

static void spell_targets(struct declared_thing *t)
{
	struct buf b;

	buf_init(&b, TEXT_MAX);
	if (t->target_count)
		qsort(t->targets, t->target_count, sizeof(char *), compare_texts);
	for (size_t i = 0; i < t->target_count; i++)
		if (!i || compare_texts(&t->targets[i - 1], &t->targets[i]) != 0)
			buf_appendf(&b, " %s", t->targets[i]);
	t->text = take_text(&b);
}

/* ---- the list ---- */

static struct declared_thing *add(struct declared *d, enum declared_kind kind, const char *key)
{
	if (d->count == d->room) {
		d->room = d->room ? 2 * d->room : 64;
		d->things = xrealloc(d->things, d->room * sizeof(*d->things));
	}
	d->things[d->count] = (struct declared_thing){ .kind = kind, .key = xstrdup(key) };
	return &d->things[d->count++];
}

static void add_target(struct declared_thing *t, struct sv target)
{
	t->targets = xrealloc(t->targets, (t->target_count + 1) * sizeof(char *));
	t->targets[t->target_count++] = sv_copy_z(target);
}

static int compare(const void *a, const void *b)
{
	const struct declared_thing *x = a, *y = b;

	return x->kind != y->kind ? (x->kind < y->kind ? -1 : 1) : strcmp(x->key, y->key);
}

static void order(struct declared *d)
{
	if (d->count)
		qsort(d->things, d->count, sizeof(*d->things), compare);
}

const struct declared_thing *declared_find(const struct declared *d, enum declared_kind kind, const char *key)
{
	struct declared_thing wanted = { .kind = kind, .key = (char *)key };

	return d->count ? bsearch(&wanted, d->things, d->count, sizeof(wanted), compare) : NULL;
}

void declared_done(struct declared *d)
{
	for (size_t i = 0; i < d->count; i++) {
		struct declared_thing *t = &d->things[i];

		free(t->key);
		free(t->text);
		secret_free(&t->hash);
		for (size_t k = 0; k < t->target_count; k++)
			free(t->targets[k]);
		free(t->targets);
	}
	free(d->things);
	*d = (struct declared){ 0 };
}

/* ---- from the directory ---- */

static bool load_domain(void *arg, const struct directory_domain *domain)
{
	struct declared_thing *t = add(arg, DECLARED_DOMAIN, domain->name);

	t->domain = *domain;
	spell_domain(t);
	return true;
}

static bool load_account(void *arg, const struct directory_account *account)
{
	struct declared_thing *t = add(arg, DECLARED_ACCOUNT, account->address);

	t->account = *account;
	spell_account(t);
	return true;
}

/* Lists, and aliases that end by themselves, are no matter of the file. */
static bool load_alias(void *arg, const struct directory_alias *alias)
{
	if (alias->is_list || alias->expires_s)
		return true;
	char *key = sv_copy_z(alias->address);
	struct declared_thing *t = add(arg, DECLARED_ALIAS, key);

	free(key);
	for (size_t i = 0; i < alias->count; i++)
		add_target(t, alias->targets[i]);
	spell_targets(t);
	return true;
}

static struct declared_thing *add_grant(struct declared *d, struct sv account, struct sv address)
{
	struct declared_thing *t;
	struct buf b;

	buf_init(&b, TEXT_MAX);
	buf_appendf(&b, "%.*s %.*s", SV_FMT(account), SV_FMT(address));
	char *key = take_text(&b);

	t = add(d, DECLARED_GRANT, key);
	t->text = xstrdup("");
	add_target(t, account);
	add_target(t, address);
	free(key);
	return t;
}

static bool load_grant(void *arg, struct sv account, struct sv address)
{
	add_grant(arg, account, address);
	return true;
}

struct fault declared_load(struct directory *dir, struct declared *out)
{
	struct fault f = directory_domain_list(dir, load_domain, out);

	if (!f.kind)
		f = directory_account_list(dir, SV_NONE, load_account, out);
	if (!f.kind)
		f = directory_alias_list(dir, SV_NONE, load_alias, out);
	if (!f.kind)
		f = directory_grant_list(dir, SV_NONE, load_grant, out);
	order(out);
	return f;
}

/* ---- from a file ---- */

struct reading {
	struct directory *dir;
	struct declared *out;
	const char *path;
	size_t line;
	bool is_bad;
};

static void refuse(struct reading *r, const char *what, struct sv about)
{
	complain(NULL, "%s:%zu: %s%s%.*s", r->path, r->line, what, about.len ? ": " : "", SV_FMT(about));
	r->is_bad = true;
}

static bool next_word(struct sv *rest, struct sv *word)
{
	*rest = sv_trim(*rest);
	if (!rest->len)
		return false;
	size_t len = 0;

	if (rest->p[0] == '"') {
		len = sv_find(sv_sub(*rest, 1, rest->len), '"');
		*word = sv_sub(*rest, 1, len);
		sv_skip(rest, len == SIZE_MAX ? rest->len : len + 2);
		return true;
	}
	while (len < rest->len && rest->p[len] != ' ' && rest->p[len] != '\t')
		len++;
	*word = sv_sub(*rest, 0, len);
	sv_skip(rest, len);
	return true;
}

/* An address as the directory spells it: domain in A-labels; the local part of another's keeps its case (RFC 5321 §2.4). */
static bool spell_address(struct reading *r, struct sv text, bool is_grant, char out[DIRECTORY_ADDRESS_MAX + 1])
{
	size_t at = sv_rfind(text, '@');
	struct arena names;
	struct sv domain = SV_NONE;
	struct buf b;

	arena_init(&names, 8192);
	buf_init(&b, DIRECTORY_ADDRESS_MAX);
	bool is_good = at != SIZE_MAX && (at > 0 || is_grant) &&
		       !address_domain(&names, sv_sub(text, at + 1, text.len), &domain).kind && domain.len &&
		       buf_appendf(&b, "%.*s@%.*s", (int)at, text.p, SV_FMT(domain));

	if (is_good) {
		memcpy(out, b.p, b.len);
		out[b.len] = '\0';
	} else {
		refuse(r, "not an address", text);
	}
	buf_done(&b);
	arena_done(&names);
	return is_good;
}

/* A name of ours: also the local part in one spelling. */
static bool spell_name(struct reading *r, struct sv text, char out[DIRECTORY_ADDRESS_MAX + 1])
{
	if (!spell_address(r, text, false, out))
		return false;
	directory_login_canonical(r->dir, sv_z(out), out);
	return true;
}

static bool spell_domain_name(struct reading *r, struct sv name, char out[ADDRESS_DOMAIN_MAX + 1])
{
	struct arena names;
	struct sv spelled;

	arena_init(&names, 8192);
	bool is_good = !address_domain(&names, name, &spelled).kind && spelled.len && spelled.len <= ADDRESS_DOMAIN_MAX;

	if (is_good) {
		memcpy(out, spelled.p, spelled.len);
		out[spelled.len] = '\0';
	} else {
		refuse(r, "not a domain name", name);
	}
	arena_done(&names);
	return is_good;
}

static bool read_domain_field(struct reading *r, struct directory_domain *d, struct sv word, struct sv value)
{
	bool is_none = sv_eq(value, SV("none"));

	if (sv_eq(word, SV("separator"))) {
		d->separator = is_none ? '\0' : value.p[0];
		return is_none || value.len == 1;
	}
	if (sv_eq(word, SV("catch-all")))
		return is_none || spell_name(r, value, d->catch_all);
	if (sv_eq(word, SV("alias-of")))
		return is_none || spell_domain_name(r, value, d->alias_of);
	if (!sv_eq(word, SV("relay")))
		return false;
	for (d->relay = 0; d->relay < RELAY_WORDS; d->relay++)
		if (sv_eq(value, sv_z(relay_words[d->relay])))
			return true;
	d->relay = DIRECTORY_RELAY_NO;
	return false;
}

static void read_domain(struct reading *r, struct sv name, struct sv rest)
{
	struct directory_domain d = { .separator = '+' };
	struct sv word, value;
	struct declared_thing *t;

	if (!spell_domain_name(r, name, d.name))
		return;
	while (next_word(&rest, &word))
		if (!next_word(&rest, &value) || !read_domain_field(r, &d, word, value))
			refuse(r, "of a domain, only \"separator C\", \"catch-all ADDRESS\", \"alias-of DOMAIN\" and "
			       "\"relay no|listed|any|asked\" can be said", word);
	t = add(r->out, DECLARED_DOMAIN, d.name);
	t->line = r->line;
	t->domain = d;
	spell_domain(t);
}

static bool read_field(struct directory_account *a, struct declared_thing *t, struct sv word, struct sv value)
{
	if (sv_eq(word, SV("quota")))
		return print_parse_bytes(value, &a->quota_bytes);
	if (sv_eq(word, SV("messages"))) {
		a->quota_messages = 0;
		return sv_eq(value, SV("none")) || sv_to_u64(value, &a->quota_messages);
	}
	if (sv_eq(word, SV("protocols")))
		return protocols_parse(value, &a->scope);
	if (sv_eq(word, SV("password-protocols"))) {
		unsigned scope = SCOPE_ALL;
		bool is_known = protocols_parse(value, &scope);

		a->password_denied = SCOPE_ALL & ~scope;
		return is_known;
	}
	if (sv_eq(word, SV("state")))
		return directory_state_parse(value, a);
	if (sv_eq(word, SV("message")))
		return directory_message_set(value, a);
	if (sv_eq(word, SV("forward")))
		return directory_forward_set(value, a);
	if (!sv_eq(word, SV("hash")) || passhash_check(value).kind)
		return false;
	secret_free(&t->hash);
	t->hash = sv_copy_z(value);
	return true;
}

static void read_account(struct reading *r, struct sv name, struct sv rest)
{
	struct directory_account a = { .is_enabled = true, .scope = SCOPE_ALL };
	struct declared_thing *t;
	struct sv word, value;

	if (!spell_name(r, name, a.address))
		return;
	t = add(r->out, DECLARED_ACCOUNT, a.address);
	t->line = r->line;
	while (next_word(&rest, &word)) {
		if (sv_eq(word, SV("disabled")))
			a.is_enabled = false;
		else if (!next_word(&rest, &value) || !read_field(&a, t, word, value))
			refuse(r, "of an account, only \"quota SIZE\", \"messages N\", \"protocols LIST\", \"password-protocols LIST\", "
			       "\"state STATE\", \"forward ADDRESS\", \"message TEXT\", \"hash HASH\" and \"disabled\" can be said", word);
	}
	t->account = a;
	spell_account(t);
}

static void read_alias(struct reading *r, struct sv name, struct sv rest)
{
	char address[DIRECTORY_ADDRESS_MAX + 1];
	struct declared_thing *t;
	struct sv word;

	if (!spell_name(r, name, address))
		return;
	t = add(r->out, DECLARED_ALIAS, address);
	t->line = r->line;
	while (next_word(&rest, &word))
		if (spell_address(r, word, false, address))
			add_target(t, sv_z(address));
	if (!t->target_count)
		refuse(r, "an alias needs one or more addresses", name);
	spell_targets(t);
}

static void read_grant(struct reading *r, struct sv name, struct sv rest)
{
	char account[DIRECTORY_ADDRESS_MAX + 1], address[DIRECTORY_ADDRESS_MAX + 1];
	struct sv word;
	bool any = false;

	if (!spell_name(r, name, account))
		return;
	while (next_word(&rest, &word)) {
		any = true;
		if (!spell_address(r, word, true, address))
			continue;
		if (address[0] != '@')
			directory_login_canonical(r->dir, sv_z(address), address);
		add_grant(r->out, sv_z(account), sv_z(address))->line = r->line;
	}
	if (!any)
		refuse(r, "send-as needs an account and an address", name);
}

static void read_line(struct reading *r, struct sv line)
{
	static const struct {
		const char *name;
		void (*read)(struct reading *r, struct sv name, struct sv rest);
	} kinds[] = {
		{ "domain", read_domain }, { "account", read_account }, { "alias", read_alias }, { "send-as", read_grant },
	};
	struct sv word, name;

	if (!next_word(&line, &word) || word.p[0] == '#')
		return;
	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		if (!sv_eq(word, sv_z(kinds[i].name)))
			continue;
		if (next_word(&line, &name))
			kinds[i].read(r, name, line);
		else
			refuse(r, "a name is missing behind", word);
		return;
	}
	refuse(r, "a line begins with domain, account, alias or send-as", word);
}

/* Nothing twice; every name in a domain of the file; names are accounts or aliases. */
static void check_whole(struct reading *r)
{
	const struct declared *d = r->out;

	for (size_t i = 0; i < d->count; i++) {
		const struct declared_thing *t = &d->things[i], *next = i + 1 < d->count ? &d->things[i + 1] : NULL;
		const char *at = strrchr(t->key, '@');

		r->line = t->line;
		if (next && compare(t, next) == 0)
			refuse(r, "named twice", sv_z(t->key));
		if ((t->kind == DECLARED_ACCOUNT || t->kind == DECLARED_ALIAS) && !declared_find(d, DECLARED_DOMAIN, at + 1))
			refuse(r, "its domain has no line in the file", sv_z(t->key));
		if (t->kind == DECLARED_ALIAS && declared_find(d, DECLARED_ACCOUNT, t->key))
			refuse(r, "both an account and an alias", sv_z(t->key));
		if (t->kind == DECLARED_DOMAIN && t->domain.alias_of[0] && !declared_find(d, DECLARED_DOMAIN, t->domain.alias_of))
			refuse(r, "no domain of the file", sv_z(t->domain.alias_of));
		if (t->kind == DECLARED_GRANT && !declared_find(d, DECLARED_ACCOUNT, t->targets[0]))
			refuse(r, "no account of the file", sv_z(t->targets[0]));
	}
	r->line = 1;
	if (!r->is_bad && (!d->count || d->things[0].kind != DECLARED_DOMAIN))
		refuse(r, "there is not one domain in the file", SV_NONE);
}

bool declared_read(struct directory *dir, FILE *file, const char *path, struct declared *out)
{
	struct reading r = { .dir = dir, .out = out, .path = path };
	char *text = NULL;
	size_t cap = 0;
	ssize_t len;

	while ((len = getline(&text, &cap, file)) >= 0) {
		r.line++;
		read_line(&r, sv_trim(sv_from(text, (size_t)len)));
	}
	if (text)
		secret_wipe(text, cap);         /* hashes */
	free(text);
	if (ferror(file))
		refuse(&r, "the file could not be read to its end", SV_NONE);
	order(out);
	check_whole(&r);
	return !r.is_bad;
}
