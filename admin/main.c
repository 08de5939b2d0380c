#include "admin/verbs.h"

#include "common/banned.h"

int main(int argc, char **argv)
{
	return cli_main(all_verbs, argc, argv);
}
