/* What becomes of the message: keep, fileinto, redirect, discard (RFC 5228 §4), reject and ereject (RFC 5429), flags (RFC 5232). */
#include "common/sieve/sieve_private.h"

#include "common/address.h"

#include "common/banned.h"

#define MAILBOX_NAME_MAX 1000

/* ---- flags ---- */

static bool is_flag(struct sv word)
{
	static const char *const known[] = { "\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft" };

	if (sv_starts(word, SV("\\"))) {
		for (size_t i = 0; i < ARRAY_LEN(known); i++)
			if (sv_eq_nocase(sv_z(known[i]), word))
				return true;
		return false;           /* RFC 5232 §2: unknown system flags and \Recent are ignored */
	}
	for (size_t i = 0; i < word.len; i++)           /* a keyword is an IMAP atom */
		if (word.p[i] <= 32 || word.p[i] == 127 || strchr("(){%*\"\\]", word.p[i]))
			return false;
	return word.len > 0;
}

static bool next_word(struct sv *rest, struct sv *word)
{
	while (rest->len && *rest->p == ' ')
		sv_skip(rest, 1);
	return rest->len && sv_split(rest, ' ', word);
}

static bool set_has(struct sv set, struct sv flag)
{
	struct sv word;

	while (next_word(&set, &word))
		if (sv_eq_nocase(word, flag))
			return true;
	return false;
}

/* sieve_flags_append - the flags in a string list argument to a set, each once. */
static void sieve_flags_append(struct sieve_run *r, struct sv words, struct buf *set)
{
	struct sv word;

	while (sieve_charge(r, 16 + set->len / 8) && next_word(&words, &word))
		if (is_flag(word) && !set_has(buf_sv(set), word) && word.len + 1 <= set->max - set->len) {
			if (set->len)
				(void)buf_append_c(set, ' ');
			(void)buf_append(set, word);
		}
}

void sieve_flags_list(struct sieve_run *r, struct sv set, struct sv **out, size_t *count)
{
	struct sv kept = sieve_kept(r, set), rest = kept, word;
	size_t n = 0;

	while (next_word(&rest, &word))
		n++;
	*count = 0;
	*out = n ? arena_array(&r->keep, n, sizeof(**out)) : NULL;
	if (n && !*out) {
		sieve_fail(r, "the script takes too much memory for this message");
		return;
	}
	for (rest = kept; *count < n && next_word(&rest, &word); )
		(*out)[(*count)++] = word;
}

void sieve_check_flags(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *name = sieve_arg_of(call, SLOT_FIRST);

	if (!name)
		return;
	if (!(c->caps & CAP_BIT(CAP_VARIABLES)))        /* RFC 5232 §3 */
		sieve_complain(c, name->at, "a variable for flags needs: require \"variables\";");
	else if (name->is_dynamic || !sieve_variable_name(name->strings[0]))
		sieve_complain(c, name->at, "\"%.*s\" is no name of a variable", SV_FMT(sv_sub(name->strings[0], 0, 40)));
}

void sieve_check_hasflag(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *names = sieve_arg_of(call, SLOT_FIRST);

	if (names && !(c->caps & CAP_BIT(CAP_VARIABLES)))
		sieve_complain(c, names->at, "variables for flags need: require \"variables\";");
	sieve_check_match(c, call, SLOT_SECOND);
}

enum flag_change { FLAGS_SET, FLAGS_ADD, FLAGS_REMOVE };

static void change_flags(struct sieve_run *r, const struct sieve_call *c, enum flag_change how)
{
	const struct sieve_arg *name = sieve_arg_of(c, SLOT_FIRST), *list = sieve_arg_of(c, SLOT_SECOND);
	struct sv before = name ? sieve_variable_get(r, name->strings[0]) : buf_sv(&r->flags), word;
	struct buf set, given;

	buf_init(&set, SIEVE_VARIABLE_SIZE);
	buf_init(&given, SIEVE_VARIABLE_SIZE);
	for (uint32_t i = 0; i < list->count; i++)
		sieve_flags_append(r, sieve_text(r, list, i), &given);
	if (how == FLAGS_REMOVE) {
		while (sieve_charge(r, 16 + given.len / 8) && next_word(&before, &word))
			if (!set_has(buf_sv(&given), word))
				sieve_flags_append(r, word, &set);
	} else {
		if (how == FLAGS_ADD)
			sieve_flags_append(r, before, &set);
		sieve_flags_append(r, buf_sv(&given), &set);
	}
	sieve_trace(r, "flags%s%.*s are now \"%.*s\"", name ? " of variable " : "", SV_FMT(name ? name->strings[0] : SV("")),
		    SV_FMT(buf_sv(&set)));
	if (name) {
		sieve_variable_set(r, name->strings[0], buf_sv(&set));
	} else {
		buf_clear(&r->flags);
		(void)buf_append(&r->flags, buf_sv(&set));
	}
	buf_done(&set);
	buf_done(&given);
}

void sieve_act_setflag(struct sieve_run *r, const struct sieve_call *c)
{
	change_flags(r, c, FLAGS_SET);
}

void sieve_act_addflag(struct sieve_run *r, const struct sieve_call *c)
{
	change_flags(r, c, FLAGS_ADD);
}

void sieve_act_removeflag(struct sieve_run *r, const struct sieve_call *c)
{
	change_flags(r, c, FLAGS_REMOVE);
}

bool sieve_test_hasflag(struct sieve_run *r, const struct sieve_call *c)
{
	const struct sieve_arg *names = sieve_arg_of(c, SLOT_FIRST), *list = sieve_arg_of(c, SLOT_SECOND);
	struct sieve_arg keys = { .kind = ARG_LIST };
	struct sieve_matcher m;
	struct buf set;
	struct sv rest, word;

	/* RFC 5232 §2.1: a key may be several flags in one text. */
	for (uint32_t i = 0; i < list->count; i++) {
		rest = sieve_text(r, list, i);
		while (next_word(&rest, &word))
			keys.count++;
	}
	keys.strings = arena_array(&r->scratch, keys.count + 1, sizeof(*keys.strings));
	if (!keys.strings) {
		sieve_fail(r, "the test has too many keys");
		return false;
	}
	keys.count = 0;
	for (uint32_t i = 0; i < list->count; i++) {
		rest = sieve_text(r, list, i);
		while (next_word(&rest, &word))
			keys.strings[keys.count++] = word;
	}
	sieve_matcher_init_keys(&m, r, &c->match, &keys);
	buf_init(&set, SIEVE_VARIABLE_SIZE);
	for (uint32_t i = 0; i < (names ? names->count : 1) && !m.has_matched && !r->has_failed; i++) {
		buf_clear(&set);
		sieve_flags_append(r, names ? sieve_variable_get(r, sieve_text(r, names, i)) : buf_sv(&r->flags), &set);
		for (rest = buf_sv(&set); next_word(&rest, &word); )
			if (sieve_matcher_try(&m, word))
				break;
	}
	buf_done(&set);
	return sieve_matcher_end(&m);
}

/* The flags that go with a keep or fileinto: its own, or the internal variable. */
static void take_flags(struct sieve_run *r, const struct sieve_call *c, struct sv **flags, size_t *count)
{
	const struct sieve_arg *list = sieve_arg_of(c, SLOT_FLAGS);
	struct buf set;

	if (!list) {
		sieve_flags_list(r, buf_sv(&r->flags), flags, count);
		return;
	}
	buf_init(&set, SIEVE_VARIABLE_SIZE);
	for (uint32_t i = 0; i < list->count; i++)
		sieve_flags_append(r, sieve_text(r, list, i), &set);
	sieve_flags_list(r, buf_sv(&set), flags, count);
	buf_done(&set);
}

/* ---- filing ---- */

static struct sieve_action *find_action(struct sieve_run *r, enum sieve_action_kind kind)
{
	for (size_t i = 0; i < r->result->action_count; i++)
		if (r->result->actions[i].kind == kind)
			return &r->result->actions[i];
	return NULL;
}

/* RFC 5429 §2.4: a message is refused or delivered, not both. */
static bool may_deliver(struct sieve_run *r)
{
	if (!find_action(r, SIEVE_REJECT) && !find_action(r, SIEVE_EREJECT))
		return true;
	sieve_fail(r, "the message is rejected and delivered at once");
	return false;
}

/* sieve_is_mailbox - may it name a mailbox? */
static bool sieve_is_mailbox(struct sv name)
{
	if (!name.len || name.len > MAILBOX_NAME_MAX || !sv_is_utf8(name))
		return false;
	for (size_t i = 0; i < name.len; i++)
		if ((unsigned char)name.p[i] < 32 || name.p[i] == 127)
			return false;
	return true;
}

void sieve_check_fileinto(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *name = sieve_arg_of(call, SLOT_FIRST), *use = sieve_arg_of(call, SLOT_SPECIAL_USE);
	const struct sieve_arg *id = sieve_arg_of(call, SLOT_MAILBOX_ID);

	if (!name->is_dynamic && !sieve_is_mailbox(name->strings[0]))
		sieve_complain(c, name->at, "\"%.*s\" is no name of a mailbox", SV_FMT(sv_sub(name->strings[0], 0, 60)));
	if (use && id)                  /* RFC 9042 §4.1 */
		sieve_complain(c, use->at, "the options \":specialuse\" and \":mailboxid\" exclude each other");
}

/* RFC 5228 §2.10.3: a mailbox gets a message once; RFC 5232 §3: the last flags win. */
static struct sieve_action *filing(struct sieve_run *r, enum sieve_action_kind kind, struct sv mailbox, struct sv use, struct sv id)
{
	for (size_t i = 0; i < r->result->action_count; i++) {
		struct sieve_action *a = &r->result->actions[i];

		if (a->kind == kind && sv_eq(a->mailbox, mailbox) && sv_eq(a->special_use, use) && sv_eq(a->mailbox_id, id)) {
			a->line = r->call->at.line;
			return a;
		}
	}
	return sieve_add_action(r, kind);
}

void sieve_act_keep(struct sieve_run *r, const struct sieve_call *c)
{
	struct sieve_action *a = may_deliver(r) ? filing(r, SIEVE_KEEP, SV_NONE, SV_NONE, SV_NONE) : NULL;

	if (!a)
		return;
	take_flags(r, c, &a->flags, &a->flag_count);
	a->header = sieve_edited_header(r);
	r->is_keep_cancelled = true;
	sieve_trace(r, "keep");
}

void sieve_act_fileinto(struct sieve_run *r, const struct sieve_call *c)
{
	struct sv mailbox = sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0);
	struct sv use = sieve_text(r, sieve_arg_of(c, SLOT_SPECIAL_USE), 0), id = sieve_text(r, sieve_arg_of(c, SLOT_MAILBOX_ID), 0);
	struct sieve_action *a;

	if (!sieve_is_mailbox(mailbox)) {
		sieve_fail(r, "\"%.*s\" is no name of a mailbox", SV_FMT(sv_sub(mailbox, 0, 60)));
		return;
	}
	a = may_deliver(r) ? filing(r, SIEVE_FILEINTO, mailbox, use, id) : NULL;
	if (!a)
		return;
	a->mailbox = sieve_kept(r, mailbox);
	if (use.len)
		a->special_use = sieve_kept(r, use);
	if (id.len)
		a->mailbox_id = sieve_kept(r, id);
	a->create = a->create || sieve_arg_of(c, SLOT_CREATE);
	take_flags(r, c, &a->flags, &a->flag_count);
	a->header = sieve_edited_header(r);
	if (!sieve_arg_of(c, SLOT_COPY))        /* RFC 3894 §3 */
		r->is_keep_cancelled = true;
	sieve_trace(r, "fileinto \"%.*s\"", SV_FMT(mailbox));
}

void sieve_act_discard(struct sieve_run *r, const struct sieve_call *c)
{
	(void)c;
	r->is_keep_cancelled = true;
	if (!find_action(r, SIEVE_DISCARD))
		(void)sieve_add_action(r, SIEVE_DISCARD);
	sieve_trace(r, "discard");
}

/* ---- redirect ---- */

bool sieve_is_address(struct arena *a, struct sv text, struct sv *bare)
{
	struct address address;
	struct buf out;

	if (address_parse(a, text, &address).kind || address.is_null || !address.domain.len)
		return false;
	buf_init(&out, ADDRESS_PATH_MAX);
	bool fits = address_append(&out, &address, ADDRESS_AS_GIVEN);
	*bare = arena_copy(a, buf_sv(&out));
	buf_done(&out);
	return fits && bare->p;
}

void sieve_check_redirect(struct sieve_compiler *c, struct sieve_call *call)
{
	const struct sieve_arg *to = sieve_arg_of(call, SLOT_FIRST), *ret = sieve_arg_of(call, SLOT_DSN_RET);
	const struct sieve_arg *notify = sieve_arg_of(call, SLOT_DSN_NOTIFY);
	struct sv bare, rest, word;

	if (!sieve_arg_of(call, SLOT_LIST) && !to->is_dynamic && !sieve_is_address(&c->tree, to->strings[0], &bare))
		sieve_complain(c, to->at, "\"%.*s\" is no mail address", SV_FMT(sv_sub(to->strings[0], 0, 60)));
	if (ret && !ret->is_dynamic && !sv_eq_nocase(ret->strings[0], SV("FULL")) && !sv_eq_nocase(ret->strings[0], SV("HDRS")))
		sieve_complain(c, ret->at, "\":ret\" must be followed by \"FULL\" or \"HDRS\"");
	if (!notify || notify->is_dynamic || sv_eq_nocase(notify->strings[0], SV("NEVER")))
		return;
	rest = notify->strings[0];
	bool is_fine = rest.len > 0 && !sv_ends(rest, SV(","));
	while (is_fine && sv_split(&rest, ',', &word))
		is_fine = sv_eq_nocase(word, SV("SUCCESS")) || sv_eq_nocase(word, SV("FAILURE")) || sv_eq_nocase(word, SV("DELAY"));
	if (!is_fine)
		sieve_complain(c, notify->at, "\":notify\" must be followed by \"NEVER\" or some of \"SUCCESS,FAILURE,DELAY\"");
}

static void redirect_to(struct sieve_run *r, const struct sieve_call *c, struct sv to)
{
	struct sieve_action *a = NULL;
	struct sv bare;

	if (!sieve_is_address(&r->scratch, to, &bare)) {
		sieve_fail(r, "\"%.*s\" is no mail address", SV_FMT(sv_sub(to, 0, 60)));
		return;
	}
	for (size_t i = 0; i < r->result->action_count; i++)    /* to the same address once */
		if (r->result->actions[i].kind == SIEVE_REDIRECT && sv_eq(r->result->actions[i].address, bare))
			a = &r->result->actions[i];
	if (!a && r->redirects++ == SIEVE_REDIRECTS_MAX) {
		sieve_fail(r, "the script redirects to more than %d addresses", SIEVE_REDIRECTS_MAX);
		return;
	}
	if (!a)
		a = sieve_add_action(r, SIEVE_REDIRECT);
	if (!a)
		return;
	a->address = sieve_kept(r, bare);
	if (sieve_arg_of(c, SLOT_DSN_RET))
		a->dsn_ret = sieve_kept(r, sieve_text(r, sieve_arg_of(c, SLOT_DSN_RET), 0));
	if (sieve_arg_of(c, SLOT_DSN_NOTIFY))
		a->dsn_notify = sieve_kept(r, sieve_text(r, sieve_arg_of(c, SLOT_DSN_NOTIFY), 0));
	a->header = sieve_edited_header(r);
	if (!sieve_arg_of(c, SLOT_COPY))
		r->is_keep_cancelled = true;
	sieve_trace(r, "redirect to %.*s", SV_FMT(bare));
}

bool sieve_has_list(struct sieve_run *r, struct sv list)
{
	bool yes = r->host->list_exists && r->host->list_exists(r->host->arg, list);

	if (!yes)
		sieve_fail(r, "there is no list \"%.*s\"", SV_FMT(sv_sub(list, 0, 60)));
	return yes;
}

/* RFC 6134 §2.3: to each member; what cannot be told one by one ends in an error. An empty list cancels nothing. */
static void redirect_to_list(struct sieve_run *r, const struct sieve_call *c, struct sv list)
{
	struct sv member;

	if (!sieve_has_list(r, list) || !r->host->list_member)
		return;
	for (size_t i = 0; !r->has_failed && (member = r->host->list_member(r->host->arg, list, i)).len; i++)
		redirect_to(r, c, member);
}

void sieve_act_redirect(struct sieve_run *r, const struct sieve_call *c)
{
	struct sv to = sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0);

	if (!sieve_is_delivery(r, "redirect") || !may_deliver(r))
		return;
	if (sieve_arg_of(c, SLOT_LIST))
		redirect_to_list(r, c, to);
	else
		redirect_to(r, c, to);
}

/* ---- refusing ---- */

bool sieve_is_delivery(struct sieve_run *r, const char *action)
{
	if (r->host->is_imap_event)
		sieve_fail(r, "\"%s\" is for mail that is delivered, not for what is stored already", action);
	return !r->host->is_imap_event;
}

static void reject(struct sieve_run *r, const struct sieve_call *c, enum sieve_action_kind kind)
{
	struct sieve_action *a;

	if (!sieve_is_delivery(r, kind == SIEVE_REJECT ? "reject" : "ereject"))
		return;
	if (find_action(r, SIEVE_REJECT) || find_action(r, SIEVE_EREJECT))
		sieve_fail(r, "the message is rejected twice");
	else if (find_action(r, SIEVE_KEEP) || find_action(r, SIEVE_FILEINTO) || find_action(r, SIEVE_REDIRECT))
		sieve_fail(r, "the message is rejected and delivered at once");
	else if (r->has_vacation)
		sieve_fail(r, "the message is rejected and answered at once");
	a = sieve_add_action(r, kind);
	if (!a)
		return;
	a->text = sieve_kept(r, sieve_text(r, sieve_arg_of(c, SLOT_FIRST), 0));
	r->is_keep_cancelled = true;
	sieve_trace(r, "%s: %.*s", kind == SIEVE_REJECT ? "reject" : "ereject", SV_FMT(a->text));
}

void sieve_act_reject(struct sieve_run *r, const struct sieve_call *c)
{
	reject(r, c, SIEVE_REJECT);
}

void sieve_act_ereject(struct sieve_run *r, const struct sieve_call *c)
{
	reject(r, c, SIEVE_EREJECT);
}

/* ---- fcc ---- */

void sieve_check_fcc(struct sieve_compiler *c, struct sieve_call *call)
{
	static const enum sieve_slot with[] = { SLOT_CREATE, SLOT_FLAGS, SLOT_SPECIAL_USE, SLOT_MAILBOX_ID };
	const struct sieve_arg *fcc = sieve_arg_of(call, SLOT_FCC);

	if (fcc && !fcc->is_dynamic && !sieve_is_mailbox(fcc->strings[0]))
		sieve_complain(c, fcc->at, "\"%.*s\" is no name of a mailbox", SV_FMT(sv_sub(fcc->strings[0], 0, 60)));
	for (size_t i = 0; i < ARRAY_LEN(with) && !fcc; i++)
		if (sieve_arg_of(call, with[i]))
			sieve_complain(c, sieve_arg_of(call, with[i])->at, "the option \":%.*s\" needs \":fcc\" here",
				       SV_FMT(sieve_arg_of(call, with[i])->tag));
}

void sieve_take_fcc(struct sieve_run *r, const struct sieve_call *c, struct sieve_action *a)
{
	const struct sieve_arg *fcc = sieve_arg_of(c, SLOT_FCC);

	if (!fcc)
		return;
	a->fcc = sieve_kept(r, sieve_text(r, fcc, 0));
	if (!sieve_is_mailbox(a->fcc)) {
		sieve_fail(r, "\"%.*s\" is no name of a mailbox", SV_FMT(sv_sub(a->fcc, 0, 60)));
		return;
	}
	if (sieve_arg_of(c, SLOT_FLAGS))
		take_flags(r, c, &a->fcc_flags, &a->fcc_flag_count);
	if (sieve_arg_of(c, SLOT_SPECIAL_USE))
		a->fcc_special_use = sieve_kept(r, sieve_text(r, sieve_arg_of(c, SLOT_SPECIAL_USE), 0));
	if (sieve_arg_of(c, SLOT_MAILBOX_ID))
		a->fcc_mailbox_id = sieve_kept(r, sieve_text(r, sieve_arg_of(c, SLOT_MAILBOX_ID), 0));
	a->fcc_create = sieve_arg_of(c, SLOT_CREATE) != NULL;
}
