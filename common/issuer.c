#include "common/issuer.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/instance.h"
#include "common/log.h"
#include "common/memory.h"
#include "common/textfile.h"

#include "common/banned.h"

#define FILE_WORD "postroom-issuer-1"

struct issuer {
	char *path;
	int wanted;
	pthread_rwlock_t lock;          /* of the rest */
	struct stat seen;               /* the file that was read; st_ino 0: none */
	struct token_keys *keys;        /* NULL: none are known */
	int64_t fetched_s;
};

/* --- the file --------------------------------------------------------------------------------------------- */

static void append_path(const struct instance *instance, const char *name, struct buf *out)
{
	if (!buf_appendf(out, "%s/%s", instance_path(instance, INSTANCE_ISSUER), name) || !buf_z(out))
		BUG("issuer: the path is too long");
}

void issuer_keys_path(const struct instance *instance, struct buf *out)
{
	append_path(instance, "keys", out);
}

void issuer_wanted_path(const struct instance *instance, struct buf *out)
{
	append_path(instance, "wanted", out);
}

struct fault issuer_keys_write(const char *path, struct sv issuer, int64_t fetched_s, struct sv set)
{
	struct buf text;
	struct fault f = fault(FAULT_LIMIT, "the key set is too long");

	buf_init(&text, TOKEN_KEYS_OCTETS + 1024);
	if (buf_appendf(&text, FILE_WORD " %lld %.*s\n", (long long)fetched_s, SV_FMT(issuer)) && buf_append(&text, set))
		f = textfile_replace(path, buf_sv(&text));
	buf_done(&text);
	return f;
}

struct fault issuer_keys_read(const char *path, struct sv issuer, int64_t *fetched_s, struct buf *set)
{
	struct buf text;
	struct sv rest, line, word, number;
	uint64_t seconds;
	struct fault f;

	buf_init(&text, TOKEN_KEYS_OCTETS + 1024);
	f = textfile_read(path, &text);
	rest = buf_sv(&text);
	if (!f.kind && (!sv_split(&rest, '\n', &line) || !sv_split(&line, ' ', &word) || !sv_split(&line, ' ', &number) ||
			!sv_eq(word, SV(FILE_WORD)) || !sv_to_u64(number, &seconds) || seconds > INT64_MAX))
		f = fault(FAULT_CORRUPT, "not a file of an issuer's keys");
	if (!f.kind && !sv_eq(line, issuer))
		f = fault(FAULT_NOT_FOUND, "keys of another issuer");
	if (!f.kind) {
		*fetched_s = (int64_t)seconds;
		if (!buf_append(set, rest))
			f = fault(FAULT_LIMIT, "the key set is too long");
	}
	buf_done(&text);
	return f;
}

/* --- life ------------------------------------------------------------------------------------------------- */

struct fault issuer_open(const struct instance *instance, struct issuer **out)
{
	struct issuer *s = xcalloc(1, sizeof(*s));
	struct fault f = FAULT_OK;
	struct buf path;

	buf_init(&path, 8192);
	issuer_keys_path(instance, &path);
	s->path = xstrdup(buf_z(&path));
	buf_clear(&path);
	issuer_wanted_path(instance, &path);
	s->wanted = open(buf_z(&path), O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->wanted < 0)
		f = fault_errno("open", buf_z(&path));
	pthread_rwlock_init(&s->lock, NULL);
	buf_done(&path);
	if (f.kind)
		issuer_close(&s);
	else
		*out = s;
	return f;
}

void issuer_close(struct issuer **at)
{
	struct issuer *s = *at;

	if (!s)
		return;
	*at = NULL;
	if (s->wanted >= 0)
		close(s->wanted);
	token_keys_free(&s->keys);
	pthread_rwlock_destroy(&s->lock);
	free(s->path);
	free(s);
}

/* --- checking --------------------------------------------------------------------------------------------- */

static bool is_same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* look - the file was replaced: read it. A file that is gone leaves the keys that were in it. With the lock held for writing. */
static void look(struct issuer *s, const char *issuer, const struct stat *now)
{
	struct token_keys *keys = NULL;
	int64_t fetched_s = 0;
	struct buf set;

	buf_init(&set, TOKEN_KEYS_OCTETS);
	struct fault f = issuer_keys_read(s->path, sv_z(issuer), &fetched_s, &set);

	if (!f.kind)
		f = token_keys_parse(buf_sv(&set), &keys);
	if (f.kind && f.kind != FAULT_NOT_FOUND)
		log_error(NULL, "issuer.keys.unreadable", KV_FAULT("fault", f));
	if (!f.kind) {
		token_keys_free(&s->keys);
		s->keys = keys;
		s->fetched_s = fetched_s;
	}
	s->seen = *now;
	buf_done(&set);
}

static void refresh(struct issuer *s, const char *issuer)
{
	struct stat now;

	if (stat(s->path, &now) != 0)
		return;
	pthread_rwlock_rdlock(&s->lock);
	bool is_known = is_same_file(&now, &s->seen);
	pthread_rwlock_unlock(&s->lock);
	if (is_known)
		return;
	pthread_rwlock_wrlock(&s->lock);
	look(s, issuer, &now);
	pthread_rwlock_unlock(&s->lock);
}

/* ask - the helper sees that the file was written. That it fails would be seen by the answers. */
static void ask(struct issuer *s)
{
	if (pwrite(s->wanted, "1", 1, 0) != 1)
		log_warn(NULL, "issuer.wanted.failed", KV_FAULT("fault", fault_errno("write", "issuer/wanted")));
}

enum token_verdict issuer_check(struct issuer *s, const struct issuer_rules *rules, struct sv token, int64_t now_s,
				struct buf *account)
{
	refresh(s, rules->token.issuer);
	pthread_rwlock_rdlock(&s->lock);
	int64_t age_s = now_s - s->fetched_s;
	bool has_keys = s->keys && age_s < ISSUER_KEYS_AGE_S;
	enum token_verdict verdict = token_check(has_keys ? s->keys : NULL, &rules->token, token, now_s, account);

	pthread_rwlock_unlock(&s->lock);
	if (verdict != TOKEN_UNKNOWN_KEY)
		return verdict;
	/* A clock that was set back makes keys come from the future: they are asked for again, too. */
	if (has_keys && age_s >= 0 && (uint64_t)age_s < rules->floor_s)
		return verdict;
	ask(s);
	return TOKEN_UNAVAILABLE;
}
