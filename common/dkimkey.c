/* DKIM keys on disk: made, listed, rotated. dkimkey_ring.c loads them. */
#include "common/dkimkey.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

#include "common/dkimkey_private.h"
#include "common/textfile.h"
#include "common/transfer.h"

#include "common/banned.h"

static const char *const state_names[] = { "active", "waiting", "retired" };

const char *dkimkey_state_name(enum dkimkey_state state)
{
	return state_names[state];
}

/* dkimkey_path - DIR/DOMAIN.SELECTOR and SUFFIX, with a NUL behind; buf_done() ends it, also when it is too long. */
static bool dkimkey_path(const char *dir, struct sv domain, const char *selector, const char *suffix, struct buf *out)
{
	buf_init(out, 8192);
	return buf_appendf(out, "%s/%.*s%s%s%s", dir, SV_FMT(domain), *selector ? "." : "", selector, suffix) && buf_z(out);
}

/* ---- states ---- */

/* read_states - DOMAIN.keys; a missing one says nothing. */
static struct fault read_states(const char *dir, struct sv domain, struct buf *text)
{
	struct fault f = fault(FAULT_LIMIT, "path too long");
	struct buf path;

	if (dkimkey_path(dir, domain, "", ".keys", &path))
		f = textfile_read(buf_z(&path), text);
	buf_done(&path);
	return f.kind == FAULT_NOT_FOUND ? FAULT_OK : f;
}

/* find_state - what the lines say of a selector. */
static void find_state(struct sv text, struct dkimkey *key)
{
	struct sv line, selector, state;

	while (sv_split(&text, '\n', &line)) {
		uint64_t since = 0;

		if (!sv_split(&line, ' ', &selector) || !sv_split(&line, ' ', &state) ||
		    !sv_eq(selector, sv_z(key->selector)))
			continue;
		for (size_t i = 0; i < ARRAY_LEN(state_names); i++)
			if (sv_eq(state, sv_z(state_names[i])))
				key->state = (enum dkimkey_state)i;
		if (sv_to_u64(line, &since) && since <= INT64_MAX)
			key->since_s = (int64_t)since;
	}
}

/* ---- records ---- */

/* append_record - RFC 6376 §3.6.1, RFC 8463 §4.2. */
static bool append_record(enum crypt_key_type type, struct sv public_der, struct buf *out)
{
	return buf_appendf(out, "v=DKIM1; k=%s; p=", type == CRYPT_RSA ? "rsa" : "ed25519") &&
	       base64_encode(public_der, out);
}

/* read_key - type and record, from the private key: what stands in the DNS has to fit that one. */
static void read_key(const char *dir, struct dkimkey *key)
{
	struct crypt_private *private = NULL;
	struct buf der, record;

	buf_init(&der, 4096);
	buf_init(&record, DKIMKEY_RECORD_MAX);
	if (!dkimkey_load(dir, sv_z(key->domain), key->selector, &private).kind) {
		key->type = crypt_private_type(private);
		if (crypt_private_public(private, &der) && append_record(key->type, buf_sv(&der), &record))
			snprintf(key->record, sizeof(key->record), "%.*s", SV_FMT(buf_sv(&record)));
	}
	crypt_private_free(&private);
	buf_done(&der);
	buf_done(&record);
}

struct fault dkimkey_load(const char *dir, struct sv domain, const char *selector, struct crypt_private **out)
{
	struct fault f = fault(FAULT_LIMIT, "path too long");
	struct buf path, pem;

	buf_init(&pem, CRYPT_PEM_MAX);
	if (dkimkey_path(dir, domain, selector, ".pem", &path))
		f = textfile_read(buf_z(&path), &pem);
	if (!f.kind)
		f = crypt_private_new(buf_sv(&pem), out);
	buf_done(&path);
	buf_wipe(&pem);
	return f;
}

/* ---- listing ---- */

struct names {
	char **items;
	size_t count, room;
};

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* read_names - all "DOMAIN.SELECTOR" that have a private key, sorted. */
static struct fault read_names(const char *dir, struct names *out)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	*out = (struct names){ .count = 0 };
	if (!d)
		return fault_errno("open", dir);
	while ((e = readdir(d))) {
		struct sv name = sv_z(e->d_name);

		if (!sv_ends(name, SV(".pem")))
			continue;
		if (out->count == out->room) {
			out->room = out->room ? 2 * out->room : 16;
			out->items = xrealloc(out->items, out->room * sizeof(*out->items));
		}
		out->items[out->count++] = sv_copy_z(sv_sub(name, 0, name.len - 4));
	}
	closedir(d);
	if (out->count)
		qsort(out->items, out->count, sizeof(*out->items), compare);
	return FAULT_OK;
}

static void names_done(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
}

/* split_name - the selector has no dot, the domain may have some. */
static bool split_name(struct sv name, struct dkimkey *key)
{
	size_t dot = sv_rfind(name, '.');
	struct sv domain, selector;

	if (dot == SIZE_MAX)
		return false;
	domain = sv_sub(name, 0, dot);
	selector = sv_sub(name, dot + 1, name.len);
	if (!domain.len || domain.len >= sizeof(key->domain) || !selector.len || selector.len >= sizeof(key->selector))
		return false;
	snprintf(key->domain, sizeof(key->domain), "%.*s", SV_FMT(domain));
	snprintf(key->selector, sizeof(key->selector), "%.*s", SV_FMT(selector));
	return true;
}

struct fault dkimkey_list(const char *dir, struct sv domain, dkimkey_fn *fn, void *arg)
{
	struct names names;
	struct fault f = read_names(dir, &names);
	bool go_on = true;

	for (size_t i = 0; i < names.count && !f.kind && go_on; i++) {
		struct dkimkey key = { .state = DKIMKEY_ACTIVE };
		struct buf states;

		if (!split_name(sv_z(names.items[i]), &key) || (domain.len && !sv_eq_nocase(domain, sv_z(key.domain))))
			continue;
		buf_init(&states, 64u << 10);
		f = read_states(dir, sv_z(key.domain), &states);
		find_state(buf_sv(&states), &key);
		buf_done(&states);
		read_key(dir, &key);
		go_on = f.kind || fn(arg, &key);
	}
	names_done(&names);
	return f;
}

/* ---- changing ---- */

/* One domain's keys while they are changed. */
struct change {
	const char *dir, *domain;
	int lock;
	struct dkimkey *keys;
	size_t count;
	uint32_t highest;               /* number at the end of a selector */
	bool has[3];                    /* by state */
};

/* number_of - "rsa12" is 12. */
static uint32_t number_of(const char *selector)
{
	size_t digits = strlen(selector);
	uint32_t n;

	while (digits && ascii_is_digit(selector[digits - 1]))
		digits--;
	return sv_to_u32(sv_z(selector + digits), &n) ? n : 0;
}

static bool note(void *arg, const struct dkimkey *key)
{
	struct change *c = arg;
	uint32_t n = number_of(key->selector);

	c->keys = xrealloc(c->keys, (c->count + 1) * sizeof(*c->keys));
	c->keys[c->count++] = *key;
	c->has[key->state] = true;
	if (n > c->highest)
		c->highest = n;
	return true;
}

/* change_begin - one at a time: two that rotate at once would choose the same names. */
static struct fault change_begin(struct change *c, const char *dir, const char *domain)
{
	*c = (struct change){ .dir = dir, .domain = domain };
	c->lock = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (c->lock < 0)
		return fault_errno("open", dir);
	if (flock(c->lock, LOCK_EX) != 0)
		return fault_errno("lock", dir);
	return dkimkey_list(dir, sv_z(domain), note, c);
}

static void change_end(struct change *c)
{
	free(c->keys);
	if (c->lock >= 0)
		close(c->lock);
}

static struct fault write_states(const struct change *c)
{
	struct buf text, path;
	struct fault f = fault(FAULT_LIMIT, "too many keys");
	bool fits = true;

	buf_init(&text, 64u << 10);
	for (size_t i = 0; i < c->count && fits; i++)
		fits = buf_appendf(&text, "%s %s %lld\n", c->keys[i].selector, state_names[c->keys[i].state],
				   (long long)c->keys[i].since_s);
	if (dkimkey_path(c->dir, sv_z(c->domain), "", ".keys", &path) && fits)
		f = textfile_replace(buf_z(&path), buf_sv(&text));
	buf_done(&path);
	buf_done(&text);
	return f;
}

/* write_key - private key and record. */
static struct fault write_key(const struct change *c, enum crypt_key kind, const char *selector)
{
	enum crypt_key_type type = kind == CRYPT_KEY_ED25519 ? CRYPT_ED25519 : CRYPT_RSA;
	struct buf pem, der, text, path;
	struct fault f;

	buf_init(&pem, 8192);
	buf_init(&der, 8192);
	buf_init(&text, DKIMKEY_RECORD_MAX + 2);
	f = crypt_key_new(kind, &pem, &der);
	if (!f.kind && (!append_record(type, buf_sv(&der), &text) || !buf_append_c(&text, '\n')))
		f = fault(FAULT_LIMIT, "key too long");
	if (!dkimkey_path(c->dir, sv_z(c->domain), selector, ".txt", &path))
		f = fault(FAULT_LIMIT, "path too long");
	if (!f.kind)
		f = textfile_replace(buf_z(&path), buf_sv(&text));
	buf_done(&path);
	if (!dkimkey_path(c->dir, sv_z(c->domain), selector, ".pem", &path))
		f = fault(FAULT_LIMIT, "path too long");
	if (!f.kind)
		f = textfile_make(buf_z(&path), buf_sv(&pem), 0600);
	buf_done(&path);
	buf_wipe(&pem);
	buf_done(&der);
	buf_done(&text);
	return f;
}

/* add_pair - keys number n, in a state. The states are written first: a key whose line is missing would sign. */
static struct fault add_pair(struct change *c, uint32_t n, enum dkimkey_state state, int64_t now_s)
{
	static const struct {
		enum crypt_key kind;
		const char *prefix;
	} pair[] = { { CRYPT_KEY_RSA2048, "rsa" }, { CRYPT_KEY_ED25519, "ed" } };
	struct dkimkey key = { .state = state, .since_s = now_s };
	struct fault f = FAULT_OK;

	for (size_t i = 0; i < ARRAY_LEN(pair); i++) {
		snprintf(key.selector, sizeof(key.selector), "%s%u", pair[i].prefix, n);
		note(c, &key);
	}
	if (state != DKIMKEY_ACTIVE)
		f = write_states(c);
	for (size_t i = 0; i < ARRAY_LEN(pair) && !f.kind; i++)
		f = write_key(c, pair[i].kind, c->keys[c->count - ARRAY_LEN(pair) + i].selector);
	return f.kind ? f : textfile_sync_dir(c->dir);
}

struct fault dkimkey_make(const char *dir, const char *domain)
{
	struct change c;
	struct fault f = change_begin(&c, dir, domain);

	if (!f.kind && !c.count)
		f = add_pair(&c, 1, DKIMKEY_ACTIVE, 0);
	change_end(&c);
	return f;
}

struct fault dkimkey_rotate(const char *dir, const char *domain, int64_t now_s)
{
	struct change c;
	struct fault f = change_begin(&c, dir, domain);

	if (!f.kind && !c.count)
		f = fault_detail(FAULT_NOT_FOUND, "%s has no DKIM keys", domain);
	else if (!f.kind && c.has[DKIMKEY_WAITING])
		f = fault_detail(FAULT_EXISTS, "new keys of %s wait to be published already", domain);
	if (!f.kind)
		f = add_pair(&c, c.highest + 1, DKIMKEY_WAITING, now_s);
	change_end(&c);
	return f;
}

static void remove_key(const struct change *c, const struct dkimkey *key)
{
	static const char *const suffixes[] = { ".pem", ".txt" };

	for (size_t i = 0; i < ARRAY_LEN(suffixes); i++) {
		struct buf path;

		if (dkimkey_path(c->dir, sv_z(c->domain), key->selector, suffixes[i], &path))
			unlink(buf_z(&path));
		buf_done(&path);
	}
}

/* drop_old - keys retired for long. They are gone for certain before their lines are: without a line a key would sign. */
static struct fault drop_old(struct change *c, int64_t now_s)
{
	size_t kept = 0;

	for (size_t i = 0; i < c->count; i++) {
		if (c->keys[i].state == DKIMKEY_RETIRED && now_s - c->keys[i].since_s > DKIMKEY_RETIRED_S)
			remove_key(c, &c->keys[i]);
		else
			c->keys[kept++] = c->keys[i];
	}
	c->count = kept;
	return textfile_sync_dir(c->dir);
}

struct fault dkimkey_switch(const char *dir, const char *domain, int64_t now_s)
{
	struct change c;
	struct fault f = change_begin(&c, dir, domain);

	if (!f.kind && !c.has[DKIMKEY_WAITING])
		f = fault_detail(FAULT_NOT_FOUND, "no new keys of %s wait: make some with dkim rotate", domain);
	for (size_t i = 0; i < c.count && !f.kind; i++) {
		if (c.keys[i].state == DKIMKEY_RETIRED)
			continue;
		c.keys[i].state = c.keys[i].state == DKIMKEY_WAITING ? DKIMKEY_ACTIVE : DKIMKEY_RETIRED;
		c.keys[i].since_s = now_s;
	}
	if (!f.kind)
		f = drop_old(&c, now_s);
	if (!f.kind)
		f = write_states(&c);
	change_end(&c);
	return f;
}
