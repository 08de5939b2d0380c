#include "maildir/filter.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "common/crypt.h"
#include "common/file_pieces.h"
#include "common/log.h"
#include "common/memory.h"
#include "maildir/files.h"
#include "maildir/filter_private.h"
#include "maildir/store_private.h"

#include "common/banned.h"

#define KEPT_MEMORY ((size_t)256 << 10)

enum stage { BEFORE = 0, OWN, AFTER, STAGES = FILTER_SCRIPTS_MAX };

/* A message with another header than it came with. */
struct edited {
	struct sv header;               /* borrowed from the result that asked for it */
	struct incoming *message;
};

struct filter_private {
	const struct filter_request *request;
	struct scripts *scripts;
	struct filter_host host;
	struct filter_script *script[STAGES];
	struct sieve_result results[STAGES];
	struct sieve_errors errors;
	struct buf name, text;          /* of the account's script; of the one at hand */
	struct incoming *view;          /* what the scripts see: as it came, or as the script before edited it */
	struct edited edited[STAGES * SIEVE_ACTIONS_MAX];
	size_t edited_count;
	struct arena arena;
	bool is_kept;
	struct filter_place keep;
};

struct filters {
	char *site;
	struct filter_cache *cache;
};

struct fault filters_open(const char *site, struct filters **out)
{
	struct filters *f = xcalloc(1, sizeof(*f));

	f->site = xstrdup(site);
	f->cache = filter_cache_new();
	*out = f;
	return FAULT_OK;
}

void filters_close(struct filters **filters)
{
	if (!*filters)
		return;
	filter_cache_free(&(*filters)->cache);
	free((*filters)->site);
	free(*filters);
	*filters = NULL;
}

/* ---- texts ---- */

/* files_read() reads below a folder. It is opened anew each time: an administrator may make it, or replace it. */
static struct fault read_below(const char *folder, const char *file, struct buf *out)
{
	int dir = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct fault f;

	if (dir < 0)
		return fault_errno("open", folder);
	f = files_read(dir, file, out);
	close(dir);
	return f;
}

struct fault filters_read(const struct filters *filters, struct sv name, const char *suffix, struct buf *out)
{
	struct buf path;
	struct fault f = FAULT_OK;
	int fd;

	buf_init(&path, PATH_MAX);
	if (!buf_appendf(&path, "%s/%.*s%s", filters->site, SV_FMT(name), suffix) || !buf_z(&path)) {
		f = fault(FAULT_LIMIT, "path too long");
	} else {
		fd = open(buf_z(&path), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);        /* mostly there is none: one call */
		if (fd < 0)
			f = fault_errno("open", buf_z(&path));
		else
			close(fd);
	}
	if (!f.kind)
		f = read_below(filters->site, buf_z(&path) + strlen(filters->site) + 1, out);
	buf_done(&path);
	return f;
}

static struct fault read_site(const struct filters *filters, struct sv name, struct buf *out)
{
	return filters_read(filters, name, ".sieve", out);
}

struct loading {
	const struct filters *filters;
	struct scripts *scripts;
};

static bool load(void *arg, enum sieve_location where, struct sv name, struct buf *out)
{
	const struct loading *l = arg;

	if (!script_name_is_good(name))
		return false;
	if (where == SIEVE_GLOBAL)
		return !read_site(l->filters, name, out).kind;
	return !scripts_get(l->scripts, name, out).kind;
}

/* FAULT_NOT_FOUND: there is none. */
static struct fault read_script(struct filter_private *p, enum stage stage)
{
	const struct filters *filters = p->request->filters;

	buf_clear(&p->text);
	if (stage == OWN)
		return scripts_active(p->scripts, &p->name, &p->text);
	return stage == BEFORE ? read_site(filters, SV("before"), &p->text) : read_site(filters, SV("after"), &p->text);
}

/* ---- what went wrong ---- */

static void note_error(struct filter_result *out, enum stage stage, const struct sieve_error *error)
{
	struct filter_private *p = out->private;
	struct filter_error *e = &out->error;
	uint8_t digest[CRYPT_HASH_MAX];
	struct sv name = stage == OWN ? sv_sub(buf_sv(&p->name), 0, sizeof(e->script) - 1) : stage == BEFORE ? SV("before") :
			 SV("after");

	log_warn(NULL, "sieve.failed", KV_SV("account", p->request->account), KV_SV("script", name), KV_U64("line", error->line),
		 KV_U64("column", error->column), KV_Z("error", error->text));
	if (e->is_set && (e->is_own || stage != OWN))
		return;
	*e = (struct filter_error){ .is_set = false };
	e->is_set = true;
	e->is_own = stage == OWN;
	e->error = *error;
	(void)crypt_digest(CRYPT_SHA256, buf_sv(&p->text), digest);
	crypt_hex(digest, sizeof(e->text_digest) / 2, e->text_digest);
	memcpy(e->script, name.p, name.len);
}

static void note_unreadable(struct filter_result *out, enum stage stage, struct fault f)
{
	struct sieve_error error = { .line = 0 };

	log_warn(NULL, "sieve.unreadable", KV_SV("account", out->private->request->account), KV_FAULT("fault", f));
	snprintf(error.text, sizeof(error.text), "%s", f.kind == FAULT_LIMIT ? "the script is too large" :
		 "the script cannot be read");
	note_error(out, stage, &error);
}

/* ---- edited headers ---- */

static struct fault write_body(void *to, struct sv octets)
{
	return incoming_write(to, octets);
}

/* The message with this header, made once; *out NULL: as it came. */
static struct fault with_header(struct filter_private *p, struct sv header, struct incoming **out)
{
	const struct filter_request *q = p->request;
	struct fault f;

	*out = p->view == q->message ? NULL : p->view;
	if (!header.p)
		return FAULT_OK;
	for (size_t i = 0; i < p->edited_count; i++)
		if (sv_eq(p->edited[i].header, header)) {
			*out = p->edited[i].message;
			return FAULT_OK;
		}
	struct edited *e = &p->edited[p->edited_count];

	f = incoming_new(NULL, q->drop, q->message_max, &e->message);
	if (f.kind)
		return f;
	p->edited_count++;
	e->header = header;
	f = incoming_write(e->message, header);
	if (!f.kind)
		f = file_pieces_each(incoming_file(p->view), incoming_message(p->view)->header_len, incoming_size(p->view), write_body,
				     e->message);
	if (!f.kind)
		f = incoming_finish(e->message);
	*out = e->message;
	return f;
}

/* ---- actions ---- */

uint32_t filter_flag(struct sv word)
{
	static const struct { struct sv name; uint32_t flag; } known[] = {
		{ SV_INIT("\\Seen"), FLAG_SEEN }, { SV_INIT("\\Answered"), FLAG_ANSWERED }, { SV_INIT("\\Flagged"), FLAG_FLAGGED },
		{ SV_INIT("\\Deleted"), FLAG_DELETED }, { SV_INIT("\\Draft"), FLAG_DRAFT },
	};

	for (size_t i = 0; i < ARRAY_LEN(known); i++)
		if (sv_eq_nocase(known[i].name, word))
			return known[i].flag;
	return 0;
}

static bool has_keyword(const struct filter_place *place, struct sv word)
{
	for (size_t i = 0; i < place->keyword_count; i++)
		if (sv_eq_nocase(place->keywords[i], word))
			return true;
	return false;
}

/* More flags for a place. What does not fit into memory is left out: the mail counts. */
static void add_flags(struct filter_private *p, struct filter_place *place, const struct sv *flags, size_t count)
{
	struct sv *all = arena_array(&p->arena, place->keyword_count + count, sizeof(*all));

	if (!count || !all)
		return;
	if (place->keyword_count)
		memcpy(all, place->keywords, place->keyword_count * sizeof(*all));
	place->keywords = all;
	for (size_t i = 0; i < count; i++) {
		uint32_t flag = filter_flag(flags[i]);

		place->flags |= flag;
		if (!flag && *flags[i].p != '\\' && !has_keyword(place, flags[i]))
			all[place->keyword_count++] = flags[i];
	}
}

static struct fault take_place(struct filter_result *out, const struct sieve_action *a)
{
	struct filter_private *p = out->private;
	struct filter_place *place = &out->places[out->place_count];
	struct fault f;

	*place = (struct filter_place){ .mailbox = a->mailbox, .create = a->create };
	if (a->mailbox_id.len || a->special_use.len) {
		struct sv found = filter_host_mailbox(&p->host, a->mailbox_id, a->special_use, &p->arena);

		if (found.len)
			place->mailbox = found;
	}
	f = with_header(p, a->header, &place->message);
	add_flags(p, place, a->flags, a->flag_count);
	if (!f.kind)
		out->place_count++;
	return f;
}

static struct fault take_deed(struct filter_result *out, const struct sieve_action *a)
{
	struct filter_deed *deed = &out->deeds[out->deed_count];
	struct fault f = FAULT_OK;

	*deed = (struct filter_deed){ .action = a };
	if (a->kind == SIEVE_REDIRECT)
		f = with_header(out->private, a->header, &deed->message);
	if (!f.kind)
		out->deed_count++;
	return f;
}

/* What one script wants. It goes on to the next one while the message is kept. */
static struct fault take_actions(struct filter_result *out, const struct sieve_result *result)
{
	struct filter_private *p = out->private;
	struct incoming *kept = NULL;
	struct fault f = FAULT_OK;

	p->is_kept = false;
	for (size_t i = 0; i < result->action_count && !f.kind; i++) {
		const struct sieve_action *a = &result->actions[i];

		switch (a->kind) {
		case SIEVE_NONE:
		case SIEVE_DISCARD:
			break;
		case SIEVE_KEEP:
			p->is_kept = true;
			f = with_header(p, a->header, &kept);
			add_flags(p, &p->keep, a->flags, a->flag_count);
			break;
		case SIEVE_FILEINTO:
			f = take_place(out, a);
			break;
		case SIEVE_VACATION:
			if (!p->request->is_junk)
				f = take_deed(out, a);
			break;
		case SIEVE_REDIRECT:
		case SIEVE_REJECT:
		case SIEVE_EREJECT:
		case SIEVE_NOTIFY:
		case SIEVE_SEEN:
			f = take_deed(out, a);
			break;
		}
	}
	if (kept)
		p->view = kept;
	return f;
}

/* ---- running ---- */

static bool read_message(void *arg, uint64_t offset, size_t len, struct buf *out)
{
	struct filter_private *p = arg;
	char piece[16384];

	while (len) {
		size_t want = len < sizeof(piece) ? len : sizeof(piece);
		ssize_t n = pread(incoming_file(p->view), piece, want, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (!n)
			break;
		if (!buf_append(out, sv_from(piece, (size_t)n)))
			return false;
		offset += (uint64_t)n;
		len -= (size_t)n;
	}
	return true;
}

static struct fault run_script(struct filter_result *out, enum stage stage)
{
	struct filter_private *p = out->private;
	struct sieve_result *result = &p->results[stage];
	struct mime_message const *message = incoming_message(p->view);
	struct sieve_mail mail = { .message = message, .read = read_message, .read_arg = p };
	struct fault f = FAULT_OK;
	struct buf *header = arena_alloc(&p->arena, sizeof(*header));
	size_t len = message->header_len < HEADER_BLOCK_MAX ? (size_t)message->header_len : HEADER_BLOCK_MAX;

	buf_init(header, HEADER_BLOCK_MAX);
	if (!read_message(p, 0, len, header))
		f = fault(FAULT_INTERNAL, "message cannot be read");
	mail.header = buf_sv(header);
	if (!f.kind) {
		sieve_run(filter_script_get(p->script[stage]), &mail, &p->request->envelope, filter_host_get(&p->host), result);
		if (result->is_temporary)
			f = fault(FAULT_UNAVAILABLE, "message cannot be read");
		else if (p->host.fault.kind)
			f = p->host.fault;
		else if (result->has_failed)
			note_error(out, stage, &result->error);
		else
			f = take_actions(out, result);
	}
	buf_done(header);
	return f;
}

struct fault filter_compile(struct filters *filters, struct scripts *scripts, struct sv owner, struct sv text,
			    struct filter_script **out, struct sieve_errors *errors)
{
	struct loading loading = { filters, scripts };
	struct sieve_loader loader = { load, &loading };

	return filter_cache_get(filters->cache, owner, text, &loader, out, errors);
}

struct filter_cache *filters_cache(struct filters *filters)
{
	return filters->cache;
}

static struct fault run_stage(struct filter_result *out, enum stage stage)
{
	struct filter_private *p = out->private;
	const struct filter_request *q = p->request;
	struct fault f = read_script(p, stage);

	if (f.kind == FAULT_NOT_FOUND)
		return FAULT_OK;
	out->is_filtered = true;
	if (f.kind) {
		note_unreadable(out, stage, f);
		return FAULT_OK;
	}
	f = filter_compile(q->filters, p->scripts, q->account, buf_sv(&p->text), &p->script[stage], &p->errors);
	if (f.kind) {
		note_error(out, stage, &p->errors.list[0]);
		return FAULT_OK;
	}
	return run_script(out, stage);
}

struct fault filter_run(const struct filter_request *request, struct filter_result *out)
{
	struct filter_private *p = xcalloc(1, sizeof(*p));
	struct fault f;

	*out = (struct filter_result){ .private = p };
	p->request = request;
	p->view = request->message;
	p->is_kept = true;
	arena_init(&p->arena, KEPT_MEMORY);
	buf_init(&p->name, SCRIPT_NAME_MAX);
	buf_init(&p->text, SIEVE_SCRIPT_MAX);
	f = scripts_open_drop(request->drop, &p->scripts);
	if (f.kind)
		return f;
	filter_host_init(&p->host, request->filters, request->drop->account, request->account, p->scripts);
	p->host.sieve.host = request->hostname;
	p->host.sieve.remote_host = request->peer_name;
	p->host.sieve.remote_ip = request->peer_ip;
	p->host.sieve.has_spam_score = request->is_junk;
	p->host.sieve.spam_percent = request->is_junk ? 100 : 0;
	out->places = xcalloc(FILTER_PLACES_MAX, sizeof(*out->places));
	out->deeds = xcalloc(STAGES * SIEVE_ACTIONS_MAX, sizeof(*out->deeds));
	for (enum stage stage = BEFORE; stage < STAGES && p->is_kept && !f.kind; stage++)
		f = run_stage(out, stage);
	if (!f.kind && out->is_filtered && p->is_kept) {
		p->keep.is_kept = true;
		p->keep.message = p->view == request->message ? NULL : p->view;
		out->places[out->place_count++] = p->keep;
	}
	return f;
}

void filter_done(struct filter_result *result)
{
	struct filter_private *p = result->private;

	if (!p)
		return;
	for (size_t i = 0; i < STAGES; i++) {
		if (p->results[i].run)
			sieve_result_free(&p->results[i]);
		filter_cache_put(p->request->filters->cache, &p->script[i]);
	}
	for (size_t i = 0; i < p->edited_count; i++)
		incoming_free(&p->edited[i].message);
	filter_host_done(&p->host);
	scripts_close(&p->scripts);
	buf_done(&p->name);
	buf_done(&p->text);
	arena_done(&p->arena);
	free(result->places);
	free(result->deeds);
	free(p);
	*result = (struct filter_result){ .private = NULL };
}

struct fault filter_check(struct filters *filters, struct scripts *scripts, struct sv text, struct sieve_errors *errors)
{
	struct loading loading = { filters, scripts };
	struct sieve_loader loader = { load, &loading };
	struct sieve_script *script = NULL;
	struct fault f = sieve_compile(text, &loader, &script, errors);

	sieve_script_free(&script);
	return f;
}

/* ---- what is remembered ---- */

bool filter_vacation_key(struct buf *out, struct sv handle, struct sv address)
{
	bool fits = buf_appendf(out, "v%zu:", handle.len) && buf_append(out, handle);

	for (size_t i = 0; fits && i < address.len; i++)
		fits = buf_append_c(out, ascii_lower(address.p[i]));
	return fits;
}

bool filter_duplicate_key(struct buf *out, struct sv id)
{
	return buf_append_c(out, 'd') && buf_append(out, id);
}

bool filter_remember_answer(struct filter_result *result, const struct sieve_action *a)
{
	struct filter_private *p = result->private;
	struct buf key;
	struct fault f;

	if (!a->seconds)
		return true;            /* RFC 6131 §2: every time */
	buf_init(&key, FILTER_KEY_MAX);
	f = filter_vacation_key(&key, a->handle, a->address) ? scripts_note_seen(p->scripts, buf_sv(&key), a->seconds, false) :
	    fault(FAULT_LIMIT, "handle too long");
	buf_done(&key);
	if (f.kind && f.kind != FAULT_EXISTS)
		log_error(NULL, "sieve.remember", KV_SV("account", p->request->account), KV_FAULT("fault", f));
	return !f.kind;
}

void filter_remember_seen(struct filter_result *result)
{
	struct filter_private *p = result->private;
	struct buf key;

	buf_init(&key, FILTER_KEY_MAX);
	for (size_t i = 0; i < result->deed_count; i++) {
		const struct sieve_action *a = result->deeds[i].action;
		struct fault f;

		if (a->kind != SIEVE_SEEN)
			continue;
		buf_clear(&key);
		f = filter_duplicate_key(&key, a->handle) ? scripts_note_seen(p->scripts, buf_sv(&key), a->seconds, a->is_last) :
		    fault(FAULT_LIMIT, "id too long");
		if (f.kind && f.kind != FAULT_EXISTS)
			log_error(NULL, "sieve.remember", KV_SV("account", p->request->account), KV_FAULT("fault", f));
	}
	buf_done(&key);
}

struct scripts *filter_scripts(struct filter_result *result)
{
	return result->private->scripts;
}

const struct filter_request *filter_request_of(const struct filter_result *result)
{
	return result->private->request;
}
