/* Checks of those who administer some domains only: who holds a token, and whether somebody listens to them. */
#include <time.h>

#include "admin/checks.h"
#include "admin/delegate.h"
#include "admin/open.h"
#include "common/directory_delegate.h"
#include "common/instance.h"

#include "common/banned.h"

struct holders {
	struct findings *fs;
	const char *names;              /* NULL: nobody */
	size_t count;
};

static bool see_holder(void *arg, const struct directory_delegate *d)
{
	struct holders *h = arg;
	const char *more = d->domain_count > 1 ? " and others" : "";

	h->count++;
	h->names = h->names ? findings_text(h->fs, "%s, %s (%s%s)", h->names, d->name, d->domains[0], more) :
			      findings_text(h->fs, "%s (%s%s)", d->name, d->domains[0], more);
	if (d->is_newer || (d->expires_s && d->expires_s <= (int64_t)time(NULL)))
		findings_add(h->fs, (struct finding){
					    .state = CHECK_ADVICE, .subject = findings_text(h->fs, "token of %s", d->name),
					    .found = d->is_newer ? "a newer program made it, for something that this one does not know" : "it has expired",
					    .expected = "a token that is good", .meanwhile = "it opens nothing",
					    .mend = findings_text(h->fs, "postroom delegate remove '%s'", d->name) });
	return true;
}

void check_delegates(const struct facts *facts, struct findings *fs)
{
	struct finding f = { .subject = "tokens for single domains", .state = CHECK_WARNING, .expected = "somebody listens to who holds one",
			     .meanwhile = "nobody can use a token" };
	struct holders h = { .fs = fs };
	char path[DELEGATE_SOCKET_MAX];
	struct directory *dir = NULL;

	if (open_directory(facts->cli, &dir) != EXIT_DONE)
		return;
	struct fault fault = directory_delegate_list(dir, see_holder, &h);

	directory_close(&dir);
	if (fault.kind || !h.count)
		return;
	if (!delegate_socket(facts->conf, facts->cli->root, path)) {
		f.found = "postroom.conf names no socket";
		f.mend = "delegate-socket /run/postroom/delegate.sock in postroom.conf, and a restart";
	} else if (!delegate_answers(path)) {
		f.found = findings_text(fs, "nobody listens at %s", path);
		f.mend = "see that its folder is there and belongs to the server's user, then restart; the log has delegate.closed and why";
	} else {
		f.state = CHECK_GOOD;
		f.found = findings_text(fs, "%zu: %s, at %s", h.count, h.names, path);
		f.meanwhile = NULL;
	}
	findings_add(fs, f);
}
