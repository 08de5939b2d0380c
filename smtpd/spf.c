#include "smtpd/spf.h"

#include <stdlib.h>

#include "common/date.h"
#include "common/memory.h"

#include "common/banned.h"

/* One record that is being evaluated: the domain's, or an included one. */
struct frame {
	struct frame *outer;
	char domain[SPF_DOMAIN_MAX + 1];
	struct buf record;
	struct sv terms, rest; /* of the record: all, and what was not looked at yet */
	struct spf_term term;  /* under way */
	struct sv term_text;
	struct sv redirect, exp; /* specs; p NULL: none */
};

/* What the answer under way is for. */
enum state {
	WANT_RECORD = 1,
	WANT_ADDRESS, /* of `a`, or of the next host of `mx` */
	WANT_MX,
	WANT_EXISTS,
	WANT_PTR,         /* the names of the address */
	WANT_PTR_ADDRESS, /* does the next name lead back? */
	WANT_EXP,
};

struct spf {
	struct dns *dns;
	struct dns_query *query;
	struct timer deadline; /* the whole; for what ends at once, the next turn */
	spf_fn *fn;
	void *arg;
	struct spf_question q;
	struct frame *top;
	enum state state;
	struct spf_answer answer;
	struct buf explanation, mechanism;
	/* hosts of an MX, or names of a PTR, that are to be looked at */
	char names[SPF_NAMES_MAX][SPF_DOMAIN_MAX + 1];
	size_t name_count, name_next;
	/* of the address: known after the first ptr or %{p} */
	bool has_ip_name, is_for_macro;
	char ip_name[SPF_DOMAIN_MAX + 1];
};

static void ask_record(struct spf *s, const char *domain, struct frame *outer);
static void run_terms(struct spf *s);
static void begin_term(struct spf *s);

/* ---- the end ---- */

static void pop(struct spf *s)
{
	struct frame *f = s->top;

	s->top = f->outer;
	buf_done(&f->record);
	free(f);
}

static void release(struct spf *s)
{
	dns_forget(&s->query);
	timer_stop(&s->deadline);
	while (s->top)
		pop(s);
	buf_done(&s->explanation);
	buf_done(&s->mechanism);
	free(s);
}

/* finish - tell the result in the next turn, so that nobody is called from inside a call. */
static void finish(struct spf *s, enum spf_result result, const char *why)
{
	dns_forget(&s->query);
	s->answer.result = result;
	s->answer.why = why;
	s->state = 0;
	timer_start_ms(&s->deadline, 0);
}

static void on_deadline(struct timer *t)
{
	struct spf *s = CONTAINER_OF(t, struct spf, deadline);

	if (s->state == WANT_EXP) {
		s->state = 0; /* the result is there without its explanation */
	} else if (s->state) {
		s->answer.result = SPF_TEMPERROR;
		s->answer.why = "took too long";
	}
	s->answer.explanation = buf_sv(&s->explanation);
	s->answer.mechanism = buf_sv(&s->mechanism);
	s->fn(s->arg, &s->answer);
	release(s);
}

void spf_cancel(struct spf **spf)
{
	if (*spf)
		release(*spf);
	*spf = NULL;
}

/* ---- asking ---- */

/* may_look_up - one more of the ten (§4.6.4). */
static bool may_look_up(struct spf *s)
{
	if (s->answer.lookups == SPF_LOOKUPS_MAX) {
		finish(s, SPF_PERMERROR, "more than 10 look-ups");
		return false;
	}
	s->answer.lookups++;
	return true;
}

static void on_dns(void *arg, const struct dns_answer *a);

static void ask(struct spf *s, enum state state, const char *name, enum dns_type type)
{
	s->state = state;
	dns_ask(s->dns, sv_z(name), type, on_dns, s, &s->query);
}

static enum dns_type address_type(const struct spf *s)
{
	return s->q.ip.family == NET_IPV4 ? DNS_A : DNS_AAAA;
}

static struct spf_macros macros(const struct spf *s)
{
	return (struct spf_macros){
		.local = s->q.local.len ? s->q.local : SV("postmaster"),
		.sender_domain = s->q.domain,
		.domain = sv_z(s->top->domain),
		.helo = s->q.helo,
		.ip = s->q.ip,
		.ip_name = sv_z(s->ip_name),
		.our_name = s->q.our_name,
		.now_s = date_now().seconds,
	};
}

/* target - the term's domain, expanded; the current one when it names none. */
static bool target(struct spf *s, struct sv spec, char out[SPF_DOMAIN_MAX + 1])
{
	struct spf_macros m = macros(s);
	struct buf name;
	bool ok = true;

	buf_init(&name, SPF_DOMAIN_MAX + 1);
	if (spec.len)
		ok = spf_expand_name(spec, &m, &name);
	else
		buf_append(&name, m.domain);
	if (ok && name.len <= SPF_DOMAIN_MAX) {
		memcpy(out, name.p, name.len);
		out[name.len] = '\0';
	}
	buf_done(&name);
	return ok;
}

/* ---- results of terms ---- */

/* end_record - a record has its result: what does that mean for the one that included it (§5.2)? */
static void end_record(struct spf *s, enum spf_result result, const char *why)
{
	while (s->top->outer) {
		pop(s);
		switch (result) {
		case SPF_PASS:
			result = s->top->term.qualifier;
			why = "included record passes";
			break;
		case SPF_FAIL:
		case SPF_SOFTFAIL:
		case SPF_NEUTRAL:
			run_terms(s);
			return;
		case SPF_TEMPERROR:
			finish(s, result, why);
			return;
		case SPF_NONE:
			finish(s, SPF_PERMERROR, "included domain has no record");
			return;
		case SPF_PERMERROR:
			finish(s, result, why);
			return;
		}
	}
	if (s->top->term_text.len && !s->mechanism.len)
		buf_append(&s->mechanism, sv_sub(s->top->term_text, 0, 200));
	if (result == SPF_FAIL && s->top->exp.p && !s->is_for_macro) {
		char name[SPF_DOMAIN_MAX + 1];

		s->answer.result = result;
		s->answer.why = why;
		if (target(s, s->top->exp, name)) {
			ask(s, WANT_EXP, name, DNS_TXT);
			return;
		}
	}
	finish(s, result, why);
}

static void matched(struct spf *s)
{
	end_record(s, s->top->term.qualifier, "a term matches");
}

/* next_host - the next name of an MX or PTR; false: there is none. */
static bool next_host(struct spf *s, enum state state)
{
	if (s->name_next == s->name_count)
		return false;
	ask(s, state, s->names[s->name_next++], address_type(s));
	return true;
}

static bool is_same_or_below(struct sv name, struct sv domain)
{
	if (name.len > domain.len && sv_ends(name, domain))
		return name.p[name.len - domain.len - 1] == '.';
	return sv_eq(name, domain);
}

/* lower - domains are compared in lower case; the DNS gives them so. */
static void lower(char *z)
{
	for (; *z; z++)
		*z = ascii_lower(*z);
}

static bool has_ip(const struct spf *s, const struct dns_answer *a)
{
	unsigned bits4 = s->state == WANT_ADDRESS ? s->top->term.bits4 : 32;
	unsigned bits6 = s->state == WANT_ADDRESS ? s->top->term.bits6 : 128;
	struct ipnet net = { .bits = (uint8_t)(s->q.ip.family == NET_IPV4 ? 96 + bits4 : bits6) };
	uint8_t ip[16];

	memcpy(net.addr, s->q.ip.ip, 16);
	ipnet_mask(net.addr, bits4, bits6);
	for (size_t i = 0; i < a->count; i++)
		if (dns_ip_from(address_type(s), a->records[i], ip) && ipnet_has(&net, ip))
			return true;
	return false;
}

/* ---- ptr and %{p} (§5.5, §7.3) ---- */

static void ask_ptr(struct spf *s)
{
	char name[80];

	if (!may_look_up(s))
		return;
	dns_reverse_name(s->q.ip.ip, name);
	s->name_count = s->name_next = 0;
	ask(s, WANT_PTR, name, DNS_PTR);
}

/* end_ptr - the name is known, or there is none. */
static void end_ptr(struct spf *s, bool found)
{
	if (s->is_for_macro) {
		s->is_for_macro = false;
		s->has_ip_name = true;
		begin_term(s);
	} else if (found) {
		matched(s);
	} else {
		run_terms(s);
	}
}

static void take_ptr(struct spf *s, const struct dns_answer *a)
{
	char host[4 * DNS_NAME_MAX + 1];

	for (size_t i = 0; i < a->count && s->name_count < SPF_NAMES_MAX; i++) {
		struct sv rdata = a->records[i];

		if (!dns_name_from(&rdata, host) || strlen(host) > SPF_DOMAIN_MAX)
			continue;
		memcpy(s->names[s->name_count++], host, strlen(host) + 1);
	}
	if (!next_host(s, WANT_PTR_ADDRESS))
		end_ptr(s, false);
}

static void take_ptr_address(struct spf *s, const struct dns_answer *a)
{
	const char *name = s->names[s->name_next - 1];

	if (has_ip(s, a)) {
		char domain[SPF_DOMAIN_MAX + 1] = "";
		bool is_ours;

		if (s->is_for_macro)
			memcpy(domain, s->top->domain, strlen(s->top->domain) + 1);
		else if (!target(s, s->top->term.spec, domain))
			domain[0] = '\0';
		lower(domain);
		is_ours = is_same_or_below(sv_z(name), sv_z(domain));
		/* For the macro any name will do, one below the domain is better. */
		if (is_ours || !s->ip_name[0])
			memcpy(s->ip_name, name, strlen(name) + 1);
		if (is_ours) {
			end_ptr(s, true);
			return;
		}
	}
	if (!next_host(s, WANT_PTR_ADDRESS))
		end_ptr(s, false);
}

/* ---- the other look-ups ---- */

static void take_address(struct spf *s, const struct dns_answer *a)
{
	if (has_ip(s, a))
		matched(s);
	else if (s->top->term.kind != SPF_MX || !next_host(s, WANT_ADDRESS))
		run_terms(s);
}

static void take_mx(struct spf *s, const struct dns_answer *a)
{
	char host[4 * DNS_NAME_MAX + 1];
	uint16_t preference;

	s->name_count = s->name_next = 0;
	if (a->count > SPF_NAMES_MAX) {
		finish(s, SPF_PERMERROR, "more than 10 hosts in an MX");
		return;
	}
	for (size_t i = 0; i < a->count; i++)
		if (dns_mx_from(a->records[i], &preference, host) && host[0] &&
		    strlen(host) <= SPF_DOMAIN_MAX)
			memcpy(s->names[s->name_count++], host, strlen(host) + 1);
	if (!next_host(s, WANT_ADDRESS))
		run_terms(s);
}

/* take_record - of all TXT records exactly one may be SPF's (§4.5). */
static void take_record(struct spf *s, const struct dns_answer *a)
{
	struct frame *f = s->top;
	struct buf text;
	size_t found = 0;
	struct sv rest;
	struct spf_term t;

	buf_init(&text, UINT16_MAX);
	for (size_t i = 0; i < a->count; i++) {
		buf_clear(&text);
		if (!dns_txt_from(a->records[i], &text) || !spf_is_record(buf_sv(&text)) || found++)
			continue;
		if (!buf_append(&f->record, buf_sv(&text)))
			found = 2;
	}
	buf_done(&text);
	if (found != 1) {
		if (found || f->term.kind == SPF_REDIRECT)
			end_record(s, SPF_PERMERROR,
				   found ? "more than one record, or one too long"
					 : "redirect leads to no record");
		else
			end_record(s, SPF_NONE, "no record");
		return;
	}
	if (!spf_check_record(buf_sv(&f->record), &f->terms)) {
		end_record(s, SPF_PERMERROR, "the record is malformed");
		return;
	}
	for (rest = f->terms; spf_next_term(&rest, &t);) {
		if (t.kind == SPF_REDIRECT)
			f->redirect = t.spec;
		else if (t.kind == SPF_EXP)
			f->exp = t.spec;
	}
	f->rest = f->terms;
	run_terms(s);
}

static void take_explanation(struct spf *s, const struct dns_answer *a)
{
	struct spf_macros m = macros(s);
	struct buf text;

	buf_init(&text, UINT16_MAX);
	if (a->count == 1 && dns_txt_from(a->records[0], &text))
		(void)spf_expand_text(buf_sv(&text), &m, &s->explanation);
	buf_done(&text);
	finish(s, s->answer.result, s->answer.why);
}

/* is_void - an empty answer; too many of them say that somebody plays with us (§4.6.4). */
static bool is_void(struct spf *s, const struct dns_answer *a)
{
	return (a->status == DNS_NODATA || a->status == DNS_NXDOMAIN) &&
	       (s->state != WANT_RECORD || s->top->outer) && ++s->answer.voids > SPF_VOIDS_MAX;
}

static void on_dns(void *arg, const struct dns_answer *a)
{
	struct spf *s = arg;
	enum state state = s->state;

	if (state == WANT_EXP) {
		take_explanation(s, a);
		return;
	}
	/* Of a name that the address has, a failure says only that this name is none (§5.5). */
	if (a->status == DNS_TEMPFAIL && state != WANT_PTR && state != WANT_PTR_ADDRESS) {
		finish(s, SPF_TEMPERROR, "the DNS does not answer");
		return;
	}
	if (is_void(s, a)) {
		finish(s, SPF_PERMERROR, "more than 2 empty answers");
		return;
	}
	switch (state) {
	case WANT_RECORD:
		take_record(s, a);
		break;
	case WANT_ADDRESS:
		take_address(s, a);
		break;
	case WANT_MX:
		take_mx(s, a);
		break;
	case WANT_EXISTS:
		if (a->count)
			matched(s);
		else
			run_terms(s);
		break;
	case WANT_PTR:
		take_ptr(s, a);
		break;
	case WANT_PTR_ADDRESS:
		take_ptr_address(s, a);
		break;
	case WANT_EXP:
		break;
	}
}

/* ---- evaluating ---- */

static bool is_in_network(const struct spf *s, const struct spf_term *t)
{
	struct ipnet net = { .bits = (uint8_t)(t->kind == SPF_IP4 ? 96 + t->bits4 : t->bits6) };

	if ((t->kind == SPF_IP4) != (s->q.ip.family == NET_IPV4))
		return false;
	memcpy(net.addr, t->ip, 16);
	ipnet_mask(net.addr, t->kind == SPF_IP4 ? t->bits4 : 32,
		   t->kind == SPF_IP6 ? t->bits6 : 128);
	return ipnet_has(&net, s->q.ip.ip);
}

static void look_up_term(struct spf *s, const char *name)
{
	switch (s->top->term.kind) {
	case SPF_INCLUDE:
		ask_record(s, name, s->top);
		break;
	case SPF_A:
		ask(s, WANT_ADDRESS, name, address_type(s));
		break;
	case SPF_MX:
		ask(s, WANT_MX, name, DNS_MX);
		break;
	case SPF_EXISTS:
		ask(s, WANT_EXISTS, name, DNS_A);
		break;
	default:
		break;
	}
}

/* begin_term - s->top->term asks the DNS. */
static void begin_term(struct spf *s)
{
	const struct spf_term *t = &s->top->term;
	char name[SPF_DOMAIN_MAX + 1];

	if (spf_has_p(t->spec) && !s->has_ip_name) {
		s->is_for_macro = true;
		ask_ptr(s);
	} else if (t->kind == SPF_PTR) {
		ask_ptr(s);
	} else if (!target(s, t->spec, name)) {
		end_record(s, SPF_PERMERROR, "a name is too long");
	} else if (may_look_up(s)) {
		look_up_term(s, name);
	}
}

/* redirect - no term matched: another record decides instead of this one (§6.1). */
static void redirect(struct spf *s)
{
	char name[SPF_DOMAIN_MAX + 1];
	struct frame *old = s->top;

	if (!target(s, old->redirect, name)) {
		end_record(s, SPF_PERMERROR, "a name is too long");
		return;
	}
	if (!may_look_up(s))
		return;
	s->top = old->outer;
	old->outer = NULL;
	ask_record(s, name, s->top);
	s->top->term.kind = SPF_REDIRECT; /* none here is an error */
	buf_done(&old->record);
	free(old);
}

/* run_terms - until one matches, or one must be asked for. */
static void run_terms(struct spf *s)
{
	struct frame *f = s->top;

	for (;;) {
		struct sv before = f->rest;
		struct spf_term *t = &f->term;

		if (!spf_next_term(&f->rest, t)) {
			f->term_text = SV_NONE;
			if (f->redirect.p)
				redirect(s);
			else
				end_record(s, SPF_NEUTRAL, "no term matches");
			return;
		}
		f->term_text = sv_trim(
			sv_sub(before, 0, f->rest.p ? (size_t)(f->rest.p - before.p) : before.len));
		switch (t->kind) {
		case SPF_REDIRECT:
		case SPF_EXP:
		case SPF_UNKNOWN:
			continue;
		case SPF_ALL:
			matched(s);
			return;
		case SPF_IP4:
		case SPF_IP6:
			if (!is_in_network(s, t))
				continue;
			matched(s);
			return;
		case SPF_INCLUDE:
		case SPF_A:
		case SPF_MX:
		case SPF_PTR:
		case SPF_EXISTS:
			begin_term(s);
			return;
		}
	}
}

static void ask_record(struct spf *s, const char *domain, struct frame *outer)
{
	struct frame *f = xcalloc(1, sizeof(*f));

	f->outer = outer;
	buf_init(&f->record, SPF_RECORD_MAX);
	memcpy(f->domain, domain, strlen(domain) + 1);
	lower(f->domain);
	s->top = f;
	ask(s, WANT_RECORD, f->domain, DNS_TXT);
}

/* is_domain - what the DNS could know: two labels at least, no literal (§4.3). */
static bool is_domain(struct sv domain)
{
	struct sv rest = domain, label;

	if (!domain.len || domain.len > SPF_DOMAIN_MAX || domain.p[0] == '[' ||
	    sv_find(domain, '.') == SIZE_MAX)
		return false;
	while (sv_split(&rest, '.', &label))
		if ((!label.len && rest.p) || label.len > 63)
			return false;
	for (size_t i = 0; i < domain.len; i++)
		if (domain.p[i] <= ' ' || domain.p[i] > '~')
			return false;
	return true;
}

void spf_check(struct dns *dns, struct loop *loop, const struct spf_question *q, spf_fn *fn,
	       void *arg, struct spf **out)
{
	struct spf *s = xcalloc(1, sizeof(*s));
	char domain[SPF_DOMAIN_MAX + 1];

	s->dns = dns;
	s->fn = fn;
	s->arg = arg;
	s->q = *q;
	buf_init(&s->explanation, SPF_TEXT_MAX + 1);
	buf_init(&s->mechanism, 256);
	timer_init(&s->deadline, loop, on_deadline);
	*out = s;
	if (!is_domain(q->domain) || (q->ip.family != NET_IPV4 && q->ip.family != NET_IPV6)) {
		finish(s, SPF_NONE, "no domain that could have a record");
		return;
	}
	timer_start_ms(&s->deadline, SPF_TOTAL_MS);
	memcpy(domain, q->domain.p, q->domain.len);
	domain[q->domain.len] = '\0';
	ask_record(s, domain, NULL);
}
