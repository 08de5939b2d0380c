#include "common/bearer.h"

#include "common/json.h"
#include "common/scram.h"

#include "common/banned.h"

#define SEPARATOR '\x01'                /* RFC 7628 §3.1: kvsep */

static struct fault broken(const char *what)
{
	return fault(FAULT_INVALID, what);
}

/* take_header - gs2-header (RFC 5801 §4): "n,a=name,". There is no channel binding to ask for. */
static struct fault take_header(struct sv header, struct buf *user)
{
	struct sv flag, name;

	if (!sv_split(&header, ',', &flag) || !(sv_eq(flag, SV("n")) || sv_eq(flag, SV("y"))) ||
	    !header.len || header.p[header.len - 1] != ',')
		return broken("no header");
	name = sv_sub(header, 0, header.len - 1);
	if (!name.len)
		return FAULT_OK;
	if (!sv_starts(name, SV("a=")) || name.len == 2 || sv_find(name, ',') != SIZE_MAX ||
	    !scram_unescape(sv_sub(name, 2, name.len), user))
		return broken("bad authorization identity");
	return FAULT_OK;
}

/* take_token - "Bearer ABC" (RFC 6750 §2.1; the scheme's case does not matter, RFC 9110 §11.1). */
static bool take_token(struct sv value, struct sv *token)
{
	if (!sv_starts_nocase(value, SV("Bearer ")))
		return false;
	*token = sv_trim(sv_sub(value, 7, value.len));
	for (size_t i = 0; i < token->len; i++)
		if (token->p[i] <= ' ' || token->p[i] > '~')
			return false;
	return token->len > 0;
}

/* A name and its value. "host" and "port" are not compared with anything: who is reached under several names, or through a port
 * that is passed on, knows neither for certain, and a token is bound by its audience, not by them. */
static struct fault take_pair(enum bearer_kind kind, struct sv pair, struct buf *user, struct sv *token)
{
	struct sv key;

	if (sv_find(pair, '=') == SIZE_MAX || !sv_split(&pair, '=', &key) || !key.len)
		return broken("not a pair");
	for (size_t i = 0; i < key.len; i++)
		if (!ascii_is_alpha(key.p[i]))
			return broken("not a pair");
	if (sv_eq(key, SV("auth")))
		return !token->len && take_token(pair, token) ? FAULT_OK : broken("not a bearer token");
	if (kind == BEARER_XOAUTH2 && sv_eq(key, SV("user")))
		return !user->len && pair.len && buf_append(user, pair) ? FAULT_OK : broken("bad user name");
	return FAULT_OK;                /* RFC 7628 §3.1: unknown ones are ignored */
}

struct fault bearer_parse(enum bearer_kind kind, struct sv message, struct buf *user, struct sv *token)
{
	struct fault f = FAULT_OK;
	struct sv part;

	*token = SV_NONE;
	if (sv_find(message, '\0') != SIZE_MAX)
		return broken("a NUL");
	if (kind == BEARER_OAUTHBEARER) {
		if (sv_find(message, SEPARATOR) == SIZE_MAX || !sv_split(&message, SEPARATOR, &part))
			return broken("no header");
		f = take_header(part, user);
	}
	/* Each pair ends with a separator, and the last one is followed by another. */
	while (!f.kind && sv_find(message, SEPARATOR) != SIZE_MAX && message.p[0] != SEPARATOR && sv_split(&message, SEPARATOR, &part))
		f = take_pair(kind, part, user, token);
	if (f.kind)
		return f;
	if (!sv_eq(message, SV("\x01")))
		return broken("no end");
	if (!token->len || (kind == BEARER_XOAUTH2 && !user->len))
		return broken("no token, or no user");
	return FAULT_OK;
}

void bearer_refusal(enum bearer_kind kind, const char *issuer, struct buf *out)
{
	struct sv base = sv_z(issuer);
	struct buf url;
	struct json_out j;

	while (base.len && base.p[base.len - 1] == '/')
		base.len--;
	buf_init(&url, 4096);
	buf_appendf(&url, "%.*s/.well-known/openid-configuration", SV_FMT(base));
	json_out_init(&j, out);
	json_out_object(&j, NULL);
	if (kind == BEARER_XOAUTH2) {           /* no standard; this is what its clients know */
		json_out_z(&j, "status", "401");
		json_out_z(&j, "schemes", "bearer");
	} else {
		json_out_z(&j, "status", "invalid_token");      /* RFC 6750 §3.1 */
	}
	json_out_z(&j, "scope", "openid email");
	json_out_sv(&j, "openid-configuration", buf_sv(&url));
	json_out_object_end(&j);
	buf_done(&url);
}
