/* Whose mail is held back. */
#include "common/outbook_private.h"

#include "common/banned.h"

const char *outbook_who_name(enum outbook_who who)
{
	switch (who) {
	case OUTBOOK_USER: return "user";
	case OUTBOOK_FROM: return "from";
	case OUTBOOK_TO:   return "to";
	}
	return "";
}

struct hold {
	struct kv_key key;
	struct sv reason;
	int64_t now_s;
};

static struct fault put_rule(struct kv_txn *txn, void *arg)
{
	const struct hold *h = arg;
	struct kv_key v;
	uint64_t count;
	struct fault f = kv_count(txn, TABLE_RULES, &count);

	if (!f.kind && count >= OUTBOOK_RULES_MAX)
		f = fault(FAULT_LIMIT, "too many rules");
	kv_key_init(&v);
	kv_key_u64(&v, (uint64_t)h->now_s);
	kv_key_sv(&v, sv_sub(h->reason, 0, OUTBOOK_REASON_MAX));
	return f.kind ? f : kv_insert(txn, TABLE_RULES, kv_key_view(&h->key), kv_key_view(&v));
}

struct fault outbook_hold(struct outbook *b, enum outbook_who who, struct sv address, struct sv reason, int64_t now_s)
{
	struct hold h = { .reason = reason, .now_s = now_s };

	outbook_key(&h.key, who, address);
	return kv_update(b->env, put_rule, &h);
}

struct fault outbook_unhold(struct outbook *b, enum outbook_who who, struct sv address)
{
	struct kv_key key;

	outbook_key(&key, who, address);
	return outbook_remove(b, TABLE_RULES, &key);
}

static bool has_rule(struct kv_txn *txn, enum outbook_who who, struct sv address)
{
	struct kv_key key;
	struct sv value;

	outbook_key(&key, who, address);
	return address.len && !kv_get(txn, TABLE_RULES, kv_key_view(&key), &value).kind;
}

bool outbook_is_held(struct outbook *b, enum outbook_who who, struct sv address)
{
	struct kv_txn *txn = NULL;
	size_t at = sv_rfind(address, '@');
	bool found = !kv_read_begin(b->env, &txn).kind &&
		     (has_rule(txn, who, address) || (at != SIZE_MAX && has_rule(txn, who, sv_sub(address, at, SIZE_MAX))));

	kv_read_end(&txn);
	return found;
}

bool outbook_has_rules(struct outbook *b)
{
	struct kv_txn *txn = NULL;
	uint64_t count = 0;
	bool has = !kv_read_begin(b->env, &txn).kind && !kv_count(txn, TABLE_RULES, &count).kind && count;

	kv_read_end(&txn);
	return has;
}

struct rule_reader {
	outbook_rule_fn *fn;
	void *arg;
};

static bool tell_rule(void *arg, struct sv key, struct sv value)
{
	const struct rule_reader *r = arg;
	uint64_t since;
	uint8_t who;

	if (!kv_take_u8(&key, &who) || !kv_take_u64(&value, &since))
		return true;
	return r->fn(r->arg, &(struct outbook_rule){ (enum outbook_who)who, key, (int64_t)since, value });
}

struct fault outbook_rules(struct outbook *b, outbook_rule_fn *fn, void *arg)
{
	struct rule_reader r = { fn, arg };

	return kv_each(b->env, TABLE_RULES, SV_NONE, tell_rule, &r);
}
