/* cmd_mount_helper.c: the names that mount(8) and umount(8) call (mount.coffer(8)): their arguments, their exit bits.
 *
 *   mount.coffer SPEC DIR [-sfnv] [-o OPTIONS]... [-t TYPE]      also as mount.fuse.coffer
 *   coffer SPEC DIR -o OPTIONS                                   by mount.fuse3, for "mount -t fuse" and "coffer#SPEC"
 *   umount.fuse.coffer DIR [-flnrv] [-t TYPE]                    also as umount.coffer; for "umount -c", as systemd does, and -l, -f: a plain
 *                                                                umount(8) asks the kernel for the type, hears "fuse", and does without us
 *
 * mount.fuse3 adds dev and suid by itself when root calls; whoever wants them there says mount -t coffer. */
#include "tools/cmd.h"
#include "tools/mount_link.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

enum { BIT_USAGE = 1, BIT_SYSTEM = 2, BIT_INTERRUPTED = 8, BIT_FAILED = 32 };

static int bits_of(int code)
{
	switch (code) {
	case EXIT_CODE_OK:
		return 0;
	case EXIT_CODE_USAGE:
		return BIT_USAGE;
	case EXIT_CODE_NO_RESOURCE:
	case EXIT_CODE_HOST_LACKS:
		return BIT_SYSTEM;
	case EXIT_CODE_INTERRUPTED:
		return BIT_INTERRUPTED;
	default:
		return BIT_FAILED;
	}
}

/* A word of the command line that is not understood. */
static int not_understood(const char *helper, int opt)
{
	if (opt == 'N')
		(void)cmd_fail(EXIT_CODE_USAGE, helper, "-N: not possible; enter the namespace before: nsenter --mount=FILE mount ...");
	else
		(void)cmd_fail(EXIT_CODE_USAGE, helper, "an argument that mount(8) does not give: -%c", opt == '?' ? optopt : opt);
	return BIT_USAGE;
}

static int mount_args(struct mounting *m, bool *ret_verbose, int argc, char **argv)
{
	int opt;

	opterr = 0;
	for (opt = getopt(argc, argv, "sfnvo:t:N:"); opt != -1; opt = getopt(argc, argv, "sfnvo:t:N:")) {
		switch (opt) {
		case 's':
			m->o.sloppy = true;
			break;
		case 'f':
			m->fake = true;
			break;
		case 'v':
			*ret_verbose = true;
			break;
		case 'n': /* no mtab has been written for long */
		case 't':
			break;
		case 'o':
			if (m->ngiven == MOUNT_GIVEN_MAX) {
				(void)cmd_fail(EXIT_CODE_USAGE, "mount.coffer", "-o: at most %d times", MOUNT_GIVEN_MAX);
				return BIT_USAGE;
			}
			m->given[m->ngiven++] = optarg;
			break;
		default:
			return not_understood("mount.coffer", opt);
		}
	}
	if (argc - optind == 2)
		return 0;
	(void)cmd_fail(EXIT_CODE_USAGE, "mount.coffer", "needs SPEC and DIR");
	return BIT_USAGE;
}

int cmd_mount_helper(bool by_fuse, int argc, char **argv)
{
	struct cmd_global g = { .config = CMD_CONFIG_DIR };
	struct mounting m = MOUNTING_INIT(&g);
	bool verbose = false;
	int r;

	mount_options_init(&m.o);
	r = mount_args(&m, &verbose, argc, argv);
	if (r != 0)
		return r;
	if (by_fuse)
		m.given[m.ngiven < MOUNT_GIVEN_MAX ? m.ngiven++ : m.ngiven - 1] = "nodev,nosuid";
	r = mounting_run(&m, argv[optind], argv[optind + 1]);
	if (r == 0 && verbose)
		(void)printf("coffer: %s: %s at %s\n", argv[optind], m.fake ? "would be mounted" : "mounted", m.mountpoint);
	mounting_done(&m);
	return bits_of(r);
}

int cmd_umount_helper(int argc, char **argv)
{
	AUTO_FREE char *dir = NULL, *source = NULL;
	bool verbose = false;
	int opt, r, flags = 0;

	opterr = 0;
	for (opt = getopt(argc, argv, "flnrvt:N:"); opt != -1; opt = getopt(argc, argv, "flnrvt:N:")) {
		if (opt == 'N' || opt == '?')
			return not_understood("umount.coffer", opt);
		flags |= opt == 'l' ? MNT_DETACH : opt == 'f' ? MNT_FORCE : 0;
		verbose = verbose || opt == 'v';
	}
	if (argc - optind != 1) {
		(void)cmd_fail(EXIT_CODE_USAGE, "umount.coffer", "needs one DIR");
		return BIT_USAGE;
	}
	dir = cmd_absolute(argv[optind]);
	source = dir ? cmd_mount_source(dir) : NULL;
	if (!source)
		r = cmd_fail(EXIT_CODE_MOUNT_POINT, argv[optind], "no coffer volume is mounted there");
	else
		r = cmd_unmount(argv[optind], dir, source, flags);
	if (r == 0 && verbose)
		(void)printf("coffer: %s: unmounted\n", argv[optind]);
	return bits_of(r);
}
