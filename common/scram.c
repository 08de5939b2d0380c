#include "common/scram.h"

#include <stdlib.h>

#include "common/crypt.h"
#include "common/memory.h"
#include "common/transfer.h"

#include "common/banned.h"

#define OUR_NONCE_LEN 24
#define BINDING_MAX 64

struct scram {
	enum crypt_hash hash;
	bool is_plus;
	uint8_t binding[2][BINDING_MAX];
	size_t binding_len[2];
	struct buf gs2;                 /* the header, as it came */
	struct buf messages;            /* client-first-bare "," server-first */
	struct buf nonce;               /* the client's and ours */
	int chosen;                     /* index in binding_names; -1: none */
};

static const char *const binding_names[] = { "tls-exporter", "tls-server-end-point" };

static void keep_binding(struct scram *s, size_t i, struct sv data)
{
	if (data.len > BINDING_MAX)
		BUG("a channel binding of %zu octets", data.len);
	if (data.len)
		memcpy(s->binding[i], data.p, data.len);
	s->binding_len[i] = data.len;
}

struct scram *scram_new(enum crypt_hash hash, bool is_plus, const struct scram_bindings *bindings)
{
	struct scram *s = xcalloc(1, sizeof(*s));

	s->hash = hash;
	s->is_plus = is_plus;
	s->chosen = -1;
	keep_binding(s, 0, bindings->exporter);
	keep_binding(s, 1, bindings->end_point);
	buf_init(&s->gs2, SCRAM_MESSAGE_MAX);
	buf_init(&s->messages, 2 * SCRAM_MESSAGE_MAX);
	buf_init(&s->nonce, SCRAM_NONCE_MAX + OUR_NONCE_LEN);
	return s;
}

void scram_free(struct scram **at)
{
	struct scram *s = *at;

	if (!s)
		return;
	*at = NULL;
	buf_wipe(&s->gs2);
	buf_wipe(&s->messages);
	buf_wipe(&s->nonce);
	secret_wipe(s, sizeof(*s));
	free(s);
}

static struct fault broken(const char *what)
{
	return fault(FAULT_INVALID, what);
}

/* attribute - take "x=value" and the comma behind it from *rest. */
static bool attribute(struct sv *rest, char name, struct sv *value)
{
	struct sv word;

	if (rest->len < 2 || rest->p[0] != name || rest->p[1] != '=' || !sv_split(rest, ',', &word))
		return false;
	*value = sv_sub(word, 2, word.len);
	return true;
}

bool scram_unescape(struct sv name, struct buf *out)
{
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];

		if (c == '=') {
			struct sv code = sv_sub(name, i + 1, 2);

			if (sv_eq(code, SV("2C")))
				c = ',';
			else if (sv_eq(code, SV("3D")))
				c = '=';
			else
				return false;
			i += 2;
		}
		if (!c || !buf_append_c(out, c))
			return false;
	}
	return true;
}

static bool is_printable(struct sv text)
{
	for (size_t i = 0; i < text.len; i++)
		if (text.p[i] < 0x21 || text.p[i] > 0x7e)
			return false;
	return text.len > 0;
}

static bool has_bindings(const struct scram *s)
{
	return s->binding_len[0] || s->binding_len[1];
}

/* gs2-cbind-flag (RFC 5802 §6): "n": the client cannot; "y": it can and believes that we cannot; "p=": it does. */
static struct fault choose_binding(struct scram *s, struct sv flag)
{
	if (sv_eq(flag, SV("n")))
		return s->is_plus ? broken("-PLUS without a channel binding") : FAULT_OK;
	if (sv_eq(flag, SV("y"))) {
		if (s->is_plus)
			return broken("-PLUS without a channel binding");
		/* We did offer it, so somebody took it out of the list on the way. */
		return has_bindings(s) ? fault(FAULT_UNSUPPORTED, "channel binding was offered") : FAULT_OK;
	}
	if (!sv_starts(flag, SV("p=")))
		return broken("no channel binding flag");
	if (!s->is_plus)
		return broken("a channel binding without -PLUS");
	for (size_t i = 0; i < ARRAY_LEN(binding_names); i++)
		if (s->binding_len[i] && sv_eq(sv_sub(flag, 2, flag.len), sv_z(binding_names[i])))
			s->chosen = (int)i;
	return s->chosen < 0 ? fault(FAULT_UNSUPPORTED, "a channel binding of another type") : FAULT_OK;
}

struct fault scram_first(struct scram *s, struct sv message, struct buf *user, struct buf *as)
{
	struct sv rest = message, flag, authzid, name, nonce;

	if (message.len > SCRAM_MESSAGE_MAX || sv_find(message, '\0') != SIZE_MAX)
		return broken("message too long, or with a NUL");
	if (!sv_split(&rest, ',', &flag) || !rest.len)
		return broken("no header");
	struct fault f = choose_binding(s, flag);

	if (f.kind)
		return f;
	if (rest.p[0] == ',')
		rest = sv_sub(rest, 1, rest.len);
	else if (!attribute(&rest, 'a', &authzid) || !authzid.len || !scram_unescape(authzid, as))
		return broken("bad authorization identity");
	size_t header_len = (size_t)(rest.p - message.p);

	if (!rest.len || !buf_append(&s->gs2, sv_sub(message, 0, header_len)) || !buf_append(&s->messages, rest))
		return broken("no message behind the header");
	/* An "m=" first would be an extension that must be understood: there is none. What follows the nonce is optional. */
	if (!attribute(&rest, 'n', &name) || !name.len || !scram_unescape(name, user))
		return broken("no user name");
	if (!attribute(&rest, 'r', &nonce) || nonce.len > SCRAM_NONCE_MAX || !is_printable(nonce))
		return broken("no nonce");
	return buf_append(&s->nonce, nonce) ? FAULT_OK : broken("no nonce");
}

void scram_challenge(struct scram *s, struct sv salt, uint32_t iterations, struct buf *out)
{
	char ours[OUR_NONCE_LEN + 1];
	struct buf first;

	crypt_random_text(ours, OUR_NONCE_LEN);
	buf_init(&first, 1024);
	if (!buf_append(&s->nonce, sv_z(ours)) || !buf_appendf(&first, "r=%.*s,s=", SV_FMT(buf_sv(&s->nonce))) ||
	    !base64_encode(salt, &first) || !buf_appendf(&first, ",i=%u", iterations) ||
	    !buf_append_c(&s->messages, ',') || !buf_append(&s->messages, buf_sv(&first)) ||
	    !buf_append(out, buf_sv(&first)))
		BUG("a challenge of %zu octets", first.len);
	buf_done(&first);
}

/* "c=": the header again, and behind it the binding's data. */
static bool has_binding(const struct scram *s, struct sv encoded)
{
	struct buf expected, came;
	bool is_same;

	buf_init(&expected, SCRAM_MESSAGE_MAX + BINDING_MAX);
	buf_init(&came, SCRAM_MESSAGE_MAX + BINDING_MAX);
	is_same = buf_append(&expected, buf_sv(&s->gs2));
	if (s->chosen >= 0)
		is_same &= buf_append(&expected, sv_from((const char *)s->binding[s->chosen],
							 s->binding_len[s->chosen]));
	is_same = is_same && base64_decode(encoded, &came) && crypt_eq(buf_sv(&expected), buf_sv(&came));
	buf_wipe(&expected);
	buf_wipe(&came);
	return is_same;
}

static struct sv octets(const uint8_t *p, size_t len)
{
	return sv_from((const char *)p, len);
}

/* Does the proof show knowledge of the password behind this credential? (RFC 5802 §3) */
static bool proves(enum crypt_hash hash, const struct directory_verifier *v, struct sv auth_message, struct sv proof)
{
	uint8_t signature[CRYPT_HASH_MAX], key[CRYPT_HASH_MAX], stored[CRYPT_HASH_MAX];
	size_t len = crypt_hmac(hash, octets(v->stored, crypt_hash_len(hash)), auth_message, signature);

	for (size_t i = 0; i < len; i++)
		key[i] = (uint8_t)proof.p[i] ^ signature[i];
	crypt_digest(hash, octets(key, len), stored);
	bool fits = v->is_there && crypt_eq(octets(stored, len), octets(v->stored, len));

	secret_wipe(signature, sizeof(signature));
	secret_wipe(key, sizeof(key));
	return fits;
}

/* Which credential fits? All are looked at, whichever does. */
static size_t fitting(enum crypt_hash hash, const struct directory_login *login, struct sv auth_message, struct sv proof)
{
	size_t found = SIZE_MAX;

	for (size_t i = 0; i < login->count; i++)
		if (!login->credentials[i].is_certificate &&
		    proves(hash, &login->credentials[i].verifiers[hash], auth_message, proof))
			found = i;
	return found;
}

static void server_final(enum crypt_hash hash, const struct directory_verifier *v, struct sv auth_message, struct buf *out)
{
	uint8_t signature[CRYPT_HASH_MAX];
	size_t len = crypt_hmac(hash, octets(v->server, crypt_hash_len(hash)), auth_message, signature);

	if (!buf_append(out, SV("v=")) || !base64_encode(octets(signature, len), out))
		BUG("no room for the server's signature");
}

struct fault scram_final(struct scram *s, struct sv message, const struct directory_login *login, size_t *found,
			 struct buf *out)
{
	struct sv rest = message, binding, nonce, extension, encoded;
	struct buf proof, auth_message;
	struct fault f = FAULT_OK;

	*found = SIZE_MAX;
	if (message.len > SCRAM_MESSAGE_MAX || sv_find(message, '\0') != SIZE_MAX)
		return broken("message too long, or with a NUL");
	if (!attribute(&rest, 'c', &binding) || !attribute(&rest, 'r', &nonce))
		return broken("no binding or no nonce");
	/* The proof stands last; what stands between is optional and unknown. */
	while (rest.len && !sv_starts(rest, SV("p=")))
		if (!sv_split(&rest, ',', &extension))
			break;
	size_t without_proof = message.len - rest.len;

	if (!attribute(&rest, 'p', &encoded) || rest.p || !without_proof)
		return broken("no proof at the end");
	buf_init(&proof, crypt_hash_len(s->hash));
	buf_init(&auth_message, 4 * SCRAM_MESSAGE_MAX);
	if (!base64_decode(encoded, &proof) || proof.len != crypt_hash_len(s->hash)) {
		f = broken("a proof of another length");
	} else if (has_binding(s, binding) && sv_eq(nonce, buf_sv(&s->nonce))) {
		if (!buf_append(&auth_message, buf_sv(&s->messages)) || !buf_append_c(&auth_message, ',') ||
		    !buf_append(&auth_message, sv_sub(message, 0, without_proof - 1)))
			BUG("messages of %zu octets", auth_message.len);
		*found = fitting(s->hash, login, buf_sv(&auth_message), buf_sv(&proof));
		if (*found != SIZE_MAX)
			server_final(s->hash, &login->credentials[*found].verifiers[s->hash], buf_sv(&auth_message), out);
	}
	buf_wipe(&proof);
	buf_wipe(&auth_message);
	return f;
}
