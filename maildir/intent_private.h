/* maildir/intent_private.h - what the holder of the name lock is about to do, for whoever finds it dead.
 *
 * One page, shared by all processes through a mapping of the file `intent` in the index folder: writing it costs no system
 * call, and it outlives a killed process. It holds the number that meta.seq gets by the commit; a page whose number is above
 * meta.seq when the lock is had belongs to a writer that never committed. It need not survive a power cut: then the
 * index is rebuilt from names. Used inside a write transaction only. */
#ifndef MAILDIR_INTENT_PRIVATE_H
#define MAILDIR_INTENT_PRIVATE_H

#include "common/bytes.h"
#include "common/fault.h"

#define INTENT_BOXES 4
#define INTENT_FILES 4
#define INTENT_NAME_MAX 256

struct intent {
	uint64_t seq;                   /* written last; 0: nothing */
	uint64_t boxes[INTENT_BOXES];   /* mailboxes whose files are touched; scan them */
	uint32_t box_count;             /* more than fit: all mailboxes are scanned */
	uint32_t folders;               /* mailbox folders are made, renamed or removed */
	uint64_t log_end;               /* 1 + octets of the flag log before lines were appended; 0: none were */
	uint32_t crc, file_count;
	/* Single files that get these names in cur/: a delivery, which needs no scan. The first file_count are written. */
	struct intent_file {
		uint64_t box;
		char name[INTENT_NAME_MAX];
	} files[INTENT_FILES];
};

struct intent_map;

/** intent_open - of an index folder. Where that can only be read, a page that no other process sees: nobody writes there. */
MUST_CHECK struct fault intent_open(int index_dir, struct intent_map **out);
void intent_close(struct intent_map **map);
/** intent_read - what stands there; false when nothing does. */
bool intent_read(const struct intent_map *map, struct intent *out);
/** intent_write - say what comes; intent->seq is set to seq. */
void intent_write(struct intent_map *map, struct intent *intent, uint64_t seq);
void intent_clear(struct intent_map *map);
/** intent_pending, intent_set_pending - does a structural change stand in the account's sidecar? Beside the intent, of any
 *  process at any time; whoever finds it set and its maker gone finishes the change. */
bool intent_pending(const struct intent_map *map);
void intent_set_pending(struct intent_map *map, bool pending);

/** intent_come_in - this process goes inside the account: note it, for others to find should it die there. *deaths is how
 *  many have died inside since this index was made, counting those found now. */
void intent_come_in(struct intent_map *map, uint32_t *deaths);
void intent_go_out(struct intent_map *map);

#endif
