#include "smtpd/relay/relay_private.h"

#include "common/banned.h"

const struct control_verb relay_verbs[] = {
	{ NULL, NULL, NULL, false },
};
