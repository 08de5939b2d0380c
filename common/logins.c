#include <stdlib.h>
#include <time.h>

#include "common/log.h"
#include "common/logins_private.h"
#include "common/memory.h"

#include "common/banned.h"

#define FLUSH_MS 1000
#define EXPIRE_EVERY 3600       /* runs of the chore */
#define BUFFERED_MAX 4096       /* logins; beyond, the newest is not written down */
#define FAILURES_MAX 256        /* of them, failed ones: an attack must not push out who logged in */
#define MAP_SIZE ((uint64_t)64 << 20)

static const char *const tables[] = { "known", "devices", "logins" };

int64_t logins_now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- the buffer ---- */

static void add(struct logins *l, struct note *n)
{
	bool is_failure = !n->is_ok && !n->is_sync;

	pthread_mutex_lock(&l->lock);
	if (l->count >= BUFFERED_MAX || (is_failure && l->failures >= FAILURES_MAX)) {
		l->dropped++;
	} else {
		*l->last = n;
		l->last = &n->next;
		l->count++;
		l->failures += is_failure;
		n = NULL;
	}
	pthread_mutex_unlock(&l->lock);
	free(n);
}

static struct note *note_new(const struct login *login)
{
	struct note *n = xcalloc(1, sizeof(*n));

	n->at_ms = logins_now_ms();
	n->address = login->address;
	n->number = login->number;
	n->has_name = login->name != NULL;
	n->is_from_known = login->is_from_known;
	n->is_ok = sv_eq(login->result, SV("ok"));
	if (login->name)
		memcpy(n->name, login->name, sizeof(n->name));
	logins_copy_text(n->account, sizeof(n->account), login->account);
	logins_copy_text(n->sid, sizeof(n->sid), login->sid);
	logins_copy_text(n->protocol, sizeof(n->protocol), login->protocol);
	logins_copy_text(n->mechanism, sizeof(n->mechanism), login->mechanism);
	logins_copy_text(n->credential, sizeof(n->credential), login->credential);
	logins_copy_text(n->tls, sizeof(n->tls), login->tls);
	logins_copy_text(n->result, sizeof(n->result), login->result);
	logins_copy_text(n->program, sizeof(n->program), login->program);
	logins_copy_text(n->client, sizeof(n->client), login->client);
	return n;
}

void logins_note(struct logins *l, const struct login *login)
{
	if (login->account.len == DIRECTORY_ID_LEN)
		add(l, note_new(login));
}

struct sv logins_program(struct sv client)
{
	for (size_t i = 0; i + 1 < client.len; i++)
		if (client.p[i] == ' ' && (client.p[i + 1] == '(' || (client.p[i + 1] >= '0' && client.p[i + 1] <= '9')))
			return sv_sub(client, 0, i);
	return client;
}

void logins_client(struct logins *l, struct sv sid, struct sv client)
{
	struct sv program = logins_program(client);

	pthread_mutex_lock(&l->lock);
	for (struct note *n = l->first; n; n = n->next)
		if (n->is_ok && sv_eq(sid, sv_z(n->sid))) {
			logins_copy_text(n->program, sizeof(n->program), program);
			logins_copy_text(n->client, sizeof(n->client), client);
		}
	pthread_mutex_unlock(&l->lock);
}

void logins_synced(struct logins *l, const struct login *login, uint64_t modseq)
{
	struct note *n;

	if (login->account.len != DIRECTORY_ID_LEN || !modseq)
		return;
	n = note_new(login);
	n->is_ok = n->has_name = false;
	n->is_sync = true;
	n->modseq = modseq;
	add(l, n);
}

/* ---- writing ---- */

/* An IMAP program may say its name behind the login; only then is it known which device it is. A session that ended before is
 * waited for, too, so that its row is there. */
static bool may_wait(const struct note *n, int64_t now)
{
	return now - n->at_ms < LOGINS_HOLD_MS && now >= n->at_ms && (n->is_ok || n->is_sync) && !n->number &&
	       !n->program[0] && strcmp(n->protocol, "imap") == 0;
}

struct batch {
	struct note *notes;
	const struct note *fresh[16];   /* new devices, as many as are told of at once */
	size_t fresh_count;
};

static struct fault put_batch(struct kv_txn *txn, void *arg)
{
	struct batch *b = arg;
	struct fault f = FAULT_OK;

	b->fresh_count = 0;
	for (const struct note *n = b->notes; n && !f.kind; n = n->next) {
		bool is_new = false;

		if (!n->is_sync)
			f = logins_put_login(txn, n);
		if (!f.kind && (n->is_ok || n->is_sync))
			f = logins_put_device(txn, n, &is_new);
		if (n->is_from_known && !n->number && !n->program[0])
			is_new = false;
		if (is_new && b->fresh_count < ARRAY_LEN(b->fresh))
			b->fresh[b->fresh_count++] = n;
	}
	return f;
}

static struct fault put_known_batch(struct kv_txn *txn, void *arg)
{
	struct fault f = FAULT_OK;

	for (struct note *n = arg; n && !f.kind; n = n->next)
		if (n->is_ok && n->has_name)
			f = logins_put_known(txn, n);
	return f;
}

static void free_notes(struct note *n)
{
	for (struct note *next; n; n = next) {
		next = n->next;
		free(n);
	}
}

static void tell_new(struct logins *l, const struct batch *b)
{
	for (size_t i = 0; i < b->fresh_count && l->on_new; i++) {
		const struct note *n = b->fresh[i];
		char address[NETADDR_TEXT_MAX];
		struct buf name;

		buf_init(&name, LOGINS_CLIENT_MAX + 64);
		logins_device_name(n, &name);
		l->on_new(l->arg, &(struct logins_device){
			.name = buf_sv(&name),
			.client = sv_z(n->client),
			.protocol = sv_z(n->protocol),
			.mechanism = sv_z(n->mechanism),
			.credential = sv_z(n->credential),
			.address = netaddr_text(&n->address, address),
			.tls = sv_z(n->tls),
			.account = sv_z(n->account),
			.first_s = n->at_ms / 1000,
			.last_s = n->at_ms / 1000,
			.number = n->number,
		});
		buf_done(&name);
	}
}

/* take_due - what may be written; who may still say his name stays. */
static struct note *take_due(struct logins *l, bool all)
{
	struct note *due = NULL, **end = &due, **at = &l->first;
	int64_t now = logins_now_ms();

	pthread_mutex_lock(&l->lock);
	/* One flush of the disk for all who came meanwhile. */
	bool is_early = !all && l->first && now >= l->first->at_ms && now - l->first->at_ms < LOGINS_HOLD_MS &&
			l->count < BUFFERED_MAX / 2;

	while (*at) {
		struct note *n = *at;

		if (is_early || (!all && may_wait(n, now))) {
			at = &n->next;
			continue;
		}
		*at = n->next;
		n->next = NULL;
		*end = n;
		end = &n->next;
		l->count--;
		l->failures -= !n->is_ok && !n->is_sync;
	}
	l->last = at;
	pthread_mutex_unlock(&l->lock);
	return due;
}

/* The address is known at once, the device when it can be told which one it is. */
static struct fault flush_known(struct logins *l)
{
	struct note *copies = NULL;

	pthread_mutex_lock(&l->lock);
	for (struct note *n = l->first; n; n = n->next) {
		struct note *copy;

		if (!n->is_ok || !n->has_name)
			continue;
		n->has_name = false;
		copy = xmalloc(sizeof(*copy));
		*copy = *n;
		copy->has_name = true;
		copy->next = copies;
		copies = copy;
	}
	pthread_mutex_unlock(&l->lock);
	struct fault f = FAULT_OK;

	for (struct note **at = &copies; *at;) {        /* most are known already, and need no write */
		struct note *n = *at;
		struct kv_txn *txn = NULL;
		struct kv_key k;
		struct sv value;
		uint64_t was = 0;

		logins_known_key(&k, n->name, &n->address);
		bool is_fresh = !kv_read_begin(l->env, &txn).kind &&
				!kv_get(txn, TABLE_KNOWN, kv_key_view(&k), &value).kind && kv_take_u64(&value, &was) &&
				(uint64_t)n->at_ms / 1000 < was + LOGINS_KNOWN_AGAIN_S;

		kv_read_end(&txn);
		if (is_fresh) {
			*at = n->next;
			free(n);
		} else {
			at = &n->next;
		}
	}
	if (copies)
		f = kv_update(l->env, put_known_batch, copies);
	free_notes(copies);
	return f;
}

void logins_flush(struct logins *l, bool all)
{
	struct fault f = flush_known(l);
	struct batch b = { .notes = take_due(l, all) };

	if (!f.kind && b.notes)
		f = kv_update(l->env, put_batch, &b);
	if (f.kind)
		log_error(NULL, "logins.lost", KV_FAULT("fault", f));
	else
		tell_new(l, &b);
	free_notes(b.notes);
}

static void run_chore(void *arg)
{
	struct logins *l = arg;

	logins_flush(l, false);
	if (l->is_expiry_due) {
		struct fault f = logins_expire(l, (logins_now_ms() - (int64_t)l->keep_ms) / 1000);

		if (f.kind)
			log_error(NULL, "logins.expire", KV_FAULT("fault", f));
	}
}

/* On the loop: nobody logged in since, and nothing to do. */
static bool is_due(void *arg)
{
	struct logins *l = arg;

	l->is_expiry_due = ++l->runs % EXPIRE_EVERY == 1;
	pthread_mutex_lock(&l->lock);
	bool has_notes = l->count > 0;

	pthread_mutex_unlock(&l->lock);
	return has_notes || l->is_expiry_due;
}

/* ---- life ---- */

struct fault logins_open(const char *path, bool create, struct logins **out)
{
	const struct kv_options options = {
		.kind = KV_PRECIOUS,
		.create = create,
		.map_size = MAP_SIZE,
		.tables = tables,
		.table_count = ARRAY_LEN(tables),
	};
	struct logins *l = xcalloc(1, sizeof(*l));
	struct fault f = kv_env_open(path, &options, &l->env);

	if (f.kind) {
		free(l);
		return f;
	}
	pthread_mutex_init(&l->lock, NULL);
	l->last = &l->first;
	*out = l;
	return FAULT_OK;
}

void logins_start(struct logins *l, struct loop *loop, uint64_t keep_ms, logins_new_fn *on_new, void *arg)
{
	l->keep_ms = keep_ms;
	l->on_new = on_new;
	l->arg = arg;
	l->chore = (struct chore){ .run = run_chore, .is_due = is_due, .arg = l, .every_ms = FLUSH_MS };
	chore_start(&l->chore, loop, FLUSH_MS);
}

void logins_close(struct logins **at)
{
	struct logins *l = *at;

	if (!l)
		return;
	l->on_new = NULL;       /* what would tell is going away, too */
	logins_flush(l, true);
	kv_env_close(&l->env);
	pthread_mutex_destroy(&l->lock);
	free(l);
	*at = NULL;
}
