/* maildir/addressbook.h - the lists of addresses that a Sieve script may ask (RFC 6134).
 *
 * A book is a text: a line for each address, "@domain" for all of a domain, "#" before a remark. Its name in scripts is
 * ":addrbook:NAME", short for "urn:ietf:params:sieve:addrbook:NAME". Case never matters.
 *
 * Pure but for the loader; one object, one thread. Bounds: ADDRESSBOOK_SIZE octets of a book, ADDRESSBOOKS_MAX books asked. */
#ifndef MAILDIR_ADDRESSBOOK_H
#define MAILDIR_ADDRESSBOOK_H

#include "common/bytes.h"
#include "common/fault.h"

#define ADDRESSBOOK_SIZE ((size_t)128 << 10)
#define ADDRESSBOOKS_MAX 4
#define ADDRESSBOOK_NAME_MAX 120
#define ADDRESSBOOK_DEFAULT "default"   /* the account's own; always there, if empty (RFC 6134 §2.5) */
#define ADDRESSBOOK_SUFFIX ".addresses" /* of a file with one for everybody */

/** addressbook_name - append the name of the book that a list's name stands for. False: it is no address book. */
bool addressbook_name(struct sv list, struct buf *out);
/** addressbook_entry - a line without remark and blanks; empty: it has none. */
struct sv addressbook_entry(struct sv line);

/* The books that a run asks, read when first asked for. */
struct addressbooks;
/** Append the text of a book; false: there is none of that name. */
typedef bool addressbook_load_fn(void *arg, struct sv name, struct buf *out);
struct addressbooks *addressbooks_new(addressbook_load_fn *load, void *arg);
void addressbooks_free(struct addressbooks **books);

/* What struct sieve_host wants to know; @list as the script has it. */
bool addressbooks_has_list(struct addressbooks *books, struct sv list);
bool addressbooks_has(struct addressbooks *books, struct sv list, struct sv value);
/** addressbooks_member - the entries by number; empty: there are no more. */
struct sv addressbooks_member(struct addressbooks *books, struct sv list, size_t number);

#endif
