/* A stranger's side of a login: the first octet chooses how, lines are responses. Nobody gets in, nothing breaks. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/auth.h"

#include "common/banned.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct auth *auth;
static struct directory *directory;
static char folder[] = "/tmp/fuzz-auth-XXXXXX";

static void clean_up(void)
{
	char name[64];

	auth_close(&auth);
	directory_close(&directory);
	snprintf(name, sizeof(name), "%s/data.mdb", folder);
	remove(name);
	snprintf(name, sizeof(name), "%s/lock.mdb", folder);
	remove(name);
	remove(folder);
}

static void set_up(void)
{
	struct sv password = SV("not to be guessed: 5f1c0a");

	log_set_level(LOG_LEVEL_ERROR);
	if (!mkdtemp(folder) || directory_open(folder, true, &directory).kind ||
	    directory_domain_add(directory, SV("example.test")).kind ||
	    directory_account_add(directory, SV("alice@example.test"), &password, DIRECTORY_ITERATIONS_MIN, NULL).kind ||
	    auth_open(directory, &auth).kind)
		abort();
	if (log_set_file("/dev/null").kind)     /* events of failed logins are at level info, and not wanted here */
		abort();
	atexit(clean_up);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const names[] = { "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-1" };
	struct conf_auth conf = { .scram_iterations = DIRECTORY_ITERATIONS_MIN, .failures_per_minute = 1u << 30,
		.failures_per_day = 1u << 30, .failures_per_account = 1u << 30 };
	struct auth_peer peer = { .service = AUTH_IMAP, .tls = SV("TLSv1.3") };
	struct sv rest = sv_from((const char *)data + 1, size ? size - 1 : 0), part;
	struct auth_result r = { .outcome = AUTH_CONTINUE };

	if (!size)
		return 0;
	if (!auth)
		set_up();
	struct auth_session *s = auth_session_new(auth, &conf, &peer);
	bool has_initial = data[0] & 4, has_part = sv_split(&rest, '\n', &part);

	if (data[0] & 8) {
		auth_login(s, has_part ? part : SV_NONE, rest, &r);
	} else {
		auth_start(s, sv_z(names[data[0] & 3]), has_initial && has_part ? &part : NULL, &r);
		if (has_initial)
			has_part = sv_split(&rest, '\n', &part);
		while (r.outcome == AUTH_CONTINUE && has_part) {
			auth_result_done(&r);
			auth_step(s, part, &r);
			has_part = sv_split(&rest, '\n', &part);
		}
	}
	if (r.outcome == AUTH_OK || r.identity)
		abort();
	auth_result_done(&r);
	auth_session_unref(&s);
	return 0;
}
