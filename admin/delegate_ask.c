/* The holder's side: no instance, no rights but those of the token. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/delegate.h"
#include "admin/delegate_request.h"
#include "admin/input.h"
#include "admin/print.h"
#include "common/control.h"
#include "common/directory_delegate.h"
#include "common/json.h"
#include "common/memory.h"

#include "common/banned.h"

#define ANSWER_MS 90000
#define TOKEN_FILE_MAX 4096

/* read_token - into `out`, without what stands around it. */
static int read_token(const char *source, struct buf *out)
{
	const char *given = strcmp(source, "env") == 0 ? getenv("POSTROOM_TOKEN") : NULL;

	if (strcmp(source, "env") == 0 && !given) {
		complain("--token FILE", "the variable POSTROOM_TOKEN is not set");
		return EXIT_USAGE;
	}
	if (given)
		(void)buf_append(out, sv_z(given));
	else if (!read_input(source, out))
		return tell_unreadable(source);
	return EXIT_DONE;
}

static bool has_word(int argc, char **argv, const char *word)
{
	for (int i = 0; i < argc; i++)
		if (strcmp(argv[i], word) == 0)
			return true;
	return false;
}

static bool takes_password(const struct verb *v)
{
	for (const struct cli_option *o = v ? v->options : NULL; o && o->name; o++)
		if (strcmp(o->name, "password-stdin") == 0)
			return true;
	return false;
}

struct answer {
	int code;
};

static bool on_line(void *arg, const struct json *line)
{
	struct answer *a = arg;
	struct sv text;
	uint64_t code;

	if (json_get_sv(line, "out", &text))
		fwrite(text.p, 1, text.len, stdout);
	else if (json_get_sv(line, "err", &text))
		fwrite(text.p, 1, text.len, stderr);
	else if (json_get_u64(line, "exit", &code) && code < 128)
		a->code = (int)code;
	return true;
}

int delegate_ask(const struct verb *const *groups, const char *token, const char *socket, bool json, int argc, char **argv)
{
	const char *path = socket ? socket : getenv("POSTROOM_DELEGATE_SOCKET");
	bool asks = takes_password(cli_find_verb(groups, argc, argv)) && !has_word(argc, argv, "--generate") && !has_word(argc, argv, "--help");
	bool is_stdin = has_word(argc, argv, "--password-stdin");
	struct answer answer = { .code = EXIT_FAILED };
	struct buf secret, request;
	struct json_out j;
	char *password = NULL;
	int code;

	if (argc > DELEGATE_ARGS_MAX - 2) {
		complain(NULL, "more than %d words", DELEGATE_ARGS_MAX - 2);
		return EXIT_USAGE;
	}
	buf_init(&secret, TOKEN_FILE_MAX);
	buf_init(&request, DELEGATE_REQUEST_MAX - 1);
	code = read_token(token, &secret);
	if (code == EXIT_DONE && asks && !(password = cli_read_secret("New password", is_stdin)))
		code = EXIT_FAILED;
	if (code == EXIT_DONE) {
		json_out_init(&j, &request);
		json_out_object(&j, NULL);
		json_out_sv(&j, "token", sv_trim(buf_sv(&secret)));
		json_out_array(&j, "args");
		for (int i = 0; i < argc; i++)
			json_out_z(&j, NULL, argv[i]);
		if (json)
			json_out_z(&j, NULL, "--json");
		if (asks && !is_stdin)
			json_out_z(&j, NULL, "--password-stdin");
		json_out_array_end(&j);
		if (password)
			json_out_z(&j, "stdin", password);
		json_out_object_end(&j);
		path = path && *path ? path : POSTROOM_RUNDIR "/delegate.sock";
		struct fault f = j.overflow ? fault(FAULT_LIMIT, "the request is too long") :
					      control_ask_at(path, "postroom", buf_sv(&request), on_line, &answer, ANSWER_MS);

		code = answer.code;
		if (f.kind == FAULT_UNAVAILABLE)
			complain("--socket PATH, as postroom.conf has it", "%s: %s", path, f.detail ? f.detail : "no answer");
		if (f.kind == FAULT_UNAVAILABLE || f.kind == FAULT_BUSY)
			code = EXIT_UNAVAILABLE;
		if (f.kind && f.kind != FAULT_UNAVAILABLE)
			code = cli_fault("token", f);
	}
	secret_free(&password);
	buf_wipe(&secret);
	buf_wipe(&request);
	if (fflush(stdout) != 0 && code == EXIT_DONE)
		code = EXIT_FAILED;
	return code;
}
