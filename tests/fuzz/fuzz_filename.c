/* Message file names and mailbox directories: whatever parses is written and read back the same. */
#include <stdlib.h>

#include "common/fault.h"
#include "maildir/filename.h"
#include "maildir/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_name(struct sv in)
{
	struct filename n, again;
	char out[FILENAME_MAX_LEN + 1];

	if (!filename_parse(in, &n) || !filename_write(&n, out))
		return;
	if (!filename_parse(sv_z(out), &again) || !sv_eq(n.base, again.base) || n.uid != again.uid ||
	    n.size != again.size || n.flags != again.flags || n.keywords.w[0] != again.keywords.w[0] ||
	    n.keywords.w[1] != again.keywords.w[1] || n.internaldate != again.internaldate)
		BUG("name changed by writing it");
}

static void check_directory(struct sv in)
{
	struct buf name, checked, back;
	char dir[LAYOUT_DIR_MAX + 1];

	buf_init(&name, 4096);
	buf_init(&checked, MAILBOX_NAME_MAX + 1);
	buf_init(&back, 4096);
	if (layout_name(in, &name) && mailbox_name_check(buf_sv(&name), &checked).kind == FAULT_NONE) {
		if (!layout_dir(buf_sv(&checked), dir) || !layout_name(sv_z(dir), &back) ||
		    !sv_eq(buf_sv(&back), buf_sv(&checked)))
			BUG("mailbox name changed by way of its directory");
	}
	buf_done(&name);
	buf_done(&back);
	if (mailbox_name_check(in, &checked).kind == FAULT_NONE) {
		if (!layout_dir(buf_sv(&checked), dir) || (strchr(dir, '/') != NULL) || strstr(dir, ".."))
			BUG("a name that leaves its folder");
		buf_init(&back, 4096);
		if (!layout_name(sv_z(dir), &back) || !sv_eq(buf_sv(&back), buf_sv(&checked)))
			BUG("mailbox name is not one to one");
		buf_done(&back);
	}
	buf_done(&checked);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sv in = { (const char *)data, size };

	check_name(in);
	check_directory(in);
	return 0;
}
