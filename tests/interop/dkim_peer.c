/* The verifier and the signer on standard input, so that tests can hold them against other people's programs.
 *
 *   dkim_peer verify NOW RECORDS           one line for each signature, then one for the ARC chain
 *   dkim_peer sign NOW KEYS                the signed message
 *   dkim_peer seal NOW KEYS DOMAIN RECORDS [RESULTS]   the sealed message
 *
 * RECORDS: a file of lines "NAME TEXT". KEYS: a folder as common/dkimkey.h has it. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/textfile.h"
#include "smtpd/dkim.h"
#include "smtpd/sign.h"

#include "common/banned.h"

#define MESSAGE_MAX (64u << 20)

static int die(const char *what)
{
	fprintf(stderr, "dkim_peer: %s\n", what);
	return 2;
}

static bool read_input(struct buf *out)
{
	char part[8192];
	ssize_t n;

	buf_init(out, MESSAGE_MAX);
	while ((n = read(STDIN_FILENO, part, sizeof(part))) > 0)
		if (!buf_append(out, sv_from(part, (size_t)n)))
			return false;
	return n == 0;
}

static struct dkim_keys *read_records(const char *path)
{
	struct dkim_keys *keys = dkim_keys_new();
	struct buf text;
	struct sv rest, line, name;

	buf_init(&text, 1u << 20);
	if (textfile_read(path, &text).kind)
		die("no records");
	rest = buf_sv(&text);
	while (sv_split(&rest, '\n', &line))
		if (sv_split(&line, ' ', &name) && line.len)
			dkim_keys_put(keys, name, line);
	buf_done(&text);
	return keys;
}

static struct dkim_verifier *verify(struct sv message, int64_t now_s, const char *records)
{
	struct dkim_keys *keys = read_records(records);
	struct dkim_verifier *v = dkim_verifier_new(now_s);

	for (struct sv rest = message; rest.len;) {     /* as a network would bring it */
		struct sv part = sv_sub(rest, 0, 1000);

		dkim_verifier_feed(v, part);
		sv_skip(&rest, part.len);
	}
	dkim_verifier_end(v);
	dkim_verifier_judge(v, keys);
	dkim_keys_free(&keys);
	return v;
}

static int run_verify(struct sv message, int64_t now_s, const char *records)
{
	struct dkim_verifier *v = verify(message, now_s, records);
	const struct arc_chain *chain = dkim_verifier_arc(v);

	for (size_t i = 0; i < dkim_verifier_count(v, NULL); i++) {
		const struct dkim_signature *s = dkim_verifier_get(v, i);

		printf("dkim=%s d=%.*s s=%.*s a=%.*s %s\n", dkim_result_name(s->result), SV_FMT(s->domain), SV_FMT(s->selector),
		       SV_FMT(s->algorithm), s->reason);
	}
	printf("arc=%s count=%zu %s\n", dkim_result_name(chain->result), chain->count, chain->reason);
	dkim_verifier_free(&v);
	return 0;
}

static int put(struct buf *fields, struct sv message, struct fault f)
{
	bool good = !f.kind && fwrite(fields->p, 1, fields->len, stdout) == fields->len &&
		    fwrite(message.p, 1, message.len, stdout) == message.len && !fflush(stdout);

	buf_done(fields);
	return good ? 0 : die("cannot sign");
}

static int run_sign(struct sv message, int64_t now_s, struct dkimkeys *keys)
{
	struct signer *s = signer_new(keys, now_s);
	struct buf fields;
	struct fault f;

	buf_init(&fields, SIGN_FIELDS_MAX);
	signer_feed(s, message);
	f = signer_finish(s, &fields);
	signer_free(&s);
	return put(&fields, message, f);
}

static int run_seal(struct sv message, int64_t now_s, struct dkimkeys *keys, const char *domain, const char *records, const char *results)
{
	struct dkim_verifier *v = verify(message, now_s, records);
	struct signer *s = signer_new_seal(keys, now_s);
	struct signer_seal seal = {
		.domain = sv_z(domain), .authserv_id = SV("mx.example.test"), .results = sv_z(results),
		.chain = dkim_verifier_arc(v),
	};
	struct buf fields;
	struct fault f;

	buf_init(&fields, SIGN_FIELDS_MAX);
	signer_feed(s, message);
	f = signer_finish_seal(s, &seal, &fields);
	signer_free(&s);
	dkim_verifier_free(&v);
	return put(&fields, message, f);
}

int main(int argc, char **argv)
{
	struct dkimkeys *keys;
	struct buf message;
	uint64_t now;
	int code;

	if (argc < 4 || !sv_to_u64(sv_z(argv[2]), &now) || !read_input(&message))
		return die("what?");
	keys = dkimkeys_new(argv[3]);
	if (!strcmp(argv[1], "verify"))
		code = run_verify(buf_sv(&message), (int64_t)now, argv[3]);
	else if (!strcmp(argv[1], "sign"))
		code = run_sign(buf_sv(&message), (int64_t)now, keys);
	else if (!strcmp(argv[1], "seal") && (argc == 6 || argc == 7))
		code = run_seal(buf_sv(&message), (int64_t)now, keys, argv[4], argv[5], argc == 7 ? argv[6] : "spf=pass smtp.mailfrom=a@b.test");
	else
		code = die("what?");
	dkimkeys_free(&keys);
	buf_done(&message);
	return code;
}
