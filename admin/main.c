#include "admin/sendmail.h"
#include "admin/verbs.h"

#include "common/banned.h"

int main(int argc, char **argv)
{
	if (argc && sendmail_is_called(argv[0]))
		return sendmail_main(argc, argv);
	return cli_main(all_verbs, argc, argv);
}
