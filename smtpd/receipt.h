/* smtpd/receipt.h - NOTIFY=SUCCESS (RFC 3461 §4.1) of recipients who are our own: the sender is told that the message lies in
 * the mailbox. Of strangers it is told to those whose address is proven (outlet.h), and not of junk. Blocks: jobs only. */
#ifndef SMTPD_RECEIPT_H
#define SMTPD_RECEIPT_H

#include "smtpd/outlet.h"

/** receipt_send - after outlets_commit(): one notice for all whose mail was delivered and who were asked about. What cannot be
 * sent is logged; the mail is delivered either way. */
void receipt_send(const struct outlet_source *source, const struct outlet_result *results, const struct log_ctx *log);

#endif
