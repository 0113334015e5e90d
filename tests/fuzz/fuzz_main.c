/* fuzz_main.c: what stands in for libFuzzer in make check, with any compiler: replays tests/fuzz/corpus/NAME for the
 * program fuzz_NAME, or the files of the command line. An empty corpus is an error: such a test could not fail. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/fileio.h"

#define INPUT_MAX (4 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static int replay(int dirfd, const char *name)
{
	uint8_t *buf = NULL, *exact;
	size_t len;
	int r;

	r = fileio_read_at(dirfd, name, INPUT_MAX, &buf, &len);
	if (r < 0) {
		(void)fprintf(stderr, "%s: %s\n", name, err_text(r));
		return r;
	}
	/* Exactly as long as the input, so that a sanitizer sees one byte too far. */
	exact = malloc(len ? len : 1);
	if (!exact)
		abort();
	memcpy(exact, buf, len);
	free(buf);
	(void)printf("# %s\n", name);
	(void)fflush(stdout); /* so that the last line names the input, should it crash */
	(void)LLVMFuzzerTestOneInput(exact, len);
	free(exact);
	(void)printf("ok - %s\n", name);
	return 0;
}

static int replay_corpus(const char *path)
{
	DIR *d = opendir(path);
	const struct dirent *e;
	int n = 0, r = 0;

	if (!d) {
		perror(path);
		return 1;
	}
	while (r == 0 && (e = readdir(d))) {
		if (e->d_name[0] == '.')
			continue;
		r = replay(dirfd(d), e->d_name);
		n++;
	}
	(void)closedir(d);
	if (n == 0)
		(void)fprintf(stderr, "%s: no inputs\n", path);
	return r < 0 || n == 0;
}

int main(int argc, char **argv)
{
	const char *base = strrchr(argv[0], '/');
	const char *top = getenv("top_srcdir");
	char path[4096];
	int i, r = 0;

	for (i = 1; i < argc && r == 0; i++)
		r = replay(AT_FDCWD, argv[i]);
	if (argc > 1)
		return r < 0;
	base = base ? base + 1 : argv[0];
	if (strncmp(base, "fuzz_", 5) != 0)
		return 99;
	(void)snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", top ? top : ".", base + 5);
	(void)LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	return replay_corpus(path);
}
