#include "common/idna.h"

#include <stdlib.h>

#include <idn2.h>

#include "common/banned.h"

struct sv idna_to_ascii(struct arena *a, struct sv domain)
{
	struct sv out = SV_NONE;
	char *z = sv_copy_z(domain), *ascii = NULL;

	/* NFC and UTS 46 mapping without the transitional rules: "ss" and sharp s are different names. */
	if (idn2_to_ascii_8z(z, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK)
		out = arena_copy(a, sv_z(ascii));
	idn2_free(ascii);
	free(z);
	return out;
}
