/* Public keys: the TXT records that a message's signatures name. */
#include <stdlib.h>

#include "smtpd/dkim_private.h"

#include "common/banned.h"

#define TEXTS_MAX 4             /* records kept of one name */
#define TEXT_MAX 2048           /* a key of 4096 bits takes 740 octets */
#define KEYS_MEMORY (256u << 10)

struct asked {
	struct dkim_keys *keys;
	struct sv name;
	struct dns_query *query;        /* under way */
	bool is_unknown;
	struct sv texts[TEXTS_MAX];
	size_t count;
};

struct dkim_keys {
	struct arena arena;
	struct asked asked[DKIM_KEYS_MAX];
	size_t count, waiting;
	dkim_keys_fn *fn;
	void *arg;
	struct deferred done;           /* nothing to ask: told in the next turn */
	bool has_loop;
};

struct dkim_keys *dkim_keys_new(void)
{
	struct dkim_keys *keys = xcalloc(1, sizeof(*keys));

	arena_init(&keys->arena, KEYS_MEMORY);
	return keys;
}

static struct asked *add_name(struct dkim_keys *keys, struct sv name)
{
	struct asked *a;

	for (size_t i = 0; i < keys->count; i++)
		if (sv_eq_nocase(keys->asked[i].name, name))
			return &keys->asked[i];
	if (keys->count == DKIM_KEYS_MAX)
		return NULL;
	a = &keys->asked[keys->count];
	a->keys = keys;
	a->name = arena_copy(&keys->arena, name);
	if (!a->name.p)
		return NULL;
	keys->count++;
	return a;
}

static void add_text(struct asked *a, struct sv text)
{
	struct sv copy;

	if (a->count == TEXTS_MAX)
		return;
	copy = arena_copy(&a->keys->arena, text);
	if (copy.p)
		a->texts[a->count++] = copy;
}

void dkim_keys_put(struct dkim_keys *keys, struct sv name, struct sv record)
{
	struct asked *a = add_name(keys, name);

	if (a)
		add_text(a, record);
}

static void on_answer(void *arg, const struct dns_answer *answer)
{
	struct asked *a = arg;
	struct dkim_keys *keys = a->keys;
	struct buf text;

	a->is_unknown = answer->status == DNS_TEMPFAIL;
	buf_init(&text, TEXT_MAX);
	for (size_t i = 0; answer->status == DNS_DATA && i < answer->count; i++) {
		buf_clear(&text);
		if (dns_txt_from(answer->records[i], &text))
			add_text(a, buf_sv(&text));
	}
	buf_done(&text);
	if (!--keys->waiting)
		keys->fn(keys->arg, keys);
}

static void on_nothing(struct deferred *d)
{
	struct dkim_keys *keys = CONTAINER_OF(d, struct dkim_keys, done);

	keys->fn(keys->arg, keys);
}

struct dkim_keys *dkim_keys_fetch(const struct dkim_verifier *v, struct loop *loop, struct dns *dns, dkim_keys_fn *fn,
				  void *arg)
{
	struct dkim_keys *keys = dkim_keys_new();

	keys->fn = fn;
	keys->arg = arg;
	keys->has_loop = true;
	deferred_init(&keys->done, loop, on_nothing);
	for (size_t i = 0; i < v->key_count; i++)
		add_name(keys, v->key_names[i]);
	keys->waiting = keys->count;
	for (size_t i = 0; i < keys->count; i++)
		dns_ask(dns, keys->asked[i].name, DNS_TXT, on_answer, &keys->asked[i], &keys->asked[i].query);
	if (!keys->count)
		deferred_call(&keys->done);
	return keys;
}

void dkim_keys_free(struct dkim_keys **pkeys)
{
	struct dkim_keys *keys = *pkeys;

	*pkeys = NULL;
	if (!keys)
		return;
	for (size_t i = 0; i < keys->count; i++)
		dns_forget(&keys->asked[i].query);
	if (keys->has_loop)
		deferred_cancel(&keys->done);
	arena_done(&keys->arena);
	free(keys);
}

struct key_records dkim_keys_get(const struct dkim_keys *keys, struct sv name)
{
	for (size_t i = 0; i < keys->count; i++) {
		const struct asked *a = &keys->asked[i];

		if (sv_eq_nocase(a->name, name))
			return (struct key_records){ a->is_unknown, a->texts, a->count };
	}
	return (struct key_records){ .count = 0 };
}
