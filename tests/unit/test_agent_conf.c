/* test_agent_conf.c: coffer.conf: what it says, each fault with its line, and what is not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent_conf.h"
#include "base/fileio.h"

static struct agent_conf conf;
static struct ini_error error;

static int parse(const char *text)
{
	memset(&error, 0, sizeof(error));
	return agent_conf_parse(text, strlen(text), &conf, &error);
}

static void nothing_said_is_the_default(void **state)
{
	struct audit_conf audit;

	(void)state;
	audit_conf_default(&audit);
	assert_int_equal(parse(""), 0);
	assert_int_equal(conf.log_level, LOG_LEVEL_INFO);
	assert_true(conf.audit.required);
	assert_int_equal(conf.audit.retain_ms, audit.retain_ms);
	assert_string_equal(conf.audit.dir, "");
	assert_int_equal(parse("[agent]\n[audit]\n# nothing\n"), 0);
}

static void what_is_said_holds(void **state)
{
	(void)state;
	assert_int_equal(parse("[agent]\nlog-level=debug\nmetrics=off\n[audit]\ndir=/var/log/coffer\nrequired=no\nanchor-file=/far/anchors\nretain=30d\n"), 0);
	assert_int_equal(conf.log_level, LOG_LEVEL_DEBUG);
	assert_string_equal(conf.audit.dir, "/var/log/coffer");
	assert_string_equal(conf.audit.anchor_file, "/far/anchors");
	assert_false(conf.audit.required);
	assert_int_equal(conf.audit.retain_ms, 30ull * 86400 * 1000);
	assert_int_equal(conf.metrics.kind, METRICS_OFF);
	assert_int_equal(parse("[agent]\nmetrics=127.0.0.1:9441\n"), 0);
	assert_int_equal(conf.metrics.kind, METRICS_TCP);
	assert_int_equal(conf.metrics.port, 9441);
	assert_int_equal(parse("[agent]\nmetrics=textfile:/run/coffer-metrics/coffer.prom\n"), 0);
	assert_int_equal(parse("[agent]\nmetrics=unix:/run/coffer/metrics.sock\n"), 0);
	assert_int_equal(conf.metrics.kind, METRICS_UNIX);
	assert_string_equal(conf.metrics.path, "/run/coffer/metrics.sock");
}

static void refused(const char *text, unsigned line, const char *why)
{
	struct agent_conf before = conf;

	assert_int_equal(parse(text), -EUCLEAN);
	assert_int_equal(error.line, line);
	if (!strstr(error.text, why))
		fail_msg("%s: not %s", error.text, why);
	assert_memory_equal(&conf, &before, sizeof(conf));
}

static void each_fault_is_told_with_its_line(void **state)
{
	char *large = malloc(INI_BYTES_MAX + 2), text[5000];

	(void)state;
	refused("[agent]\nlog-level=loud\n", 2, "one of");
	refused("[agent]\nmetrics=0.0.0.0:9000\n", 2, "127.0.0.1:PORT");
	refused("[agent]\nmetrics=127.0.0.1:0\n", 2, "127.0.0.1:PORT");
	refused("[agent]\nmetrics=127.0.0.1:65536\n", 2, "127.0.0.1:PORT");
	refused("[agent]\nmetrics=127.0.0.1:90x\n", 2, "127.0.0.1:PORT");
	refused("[agent]\nmetrics=unix:relative\n", 2, "unix:/PATH");
	refused("[agent]\nmetrics=textfile:coffer.prom\n", 2, "textfile:/PATH.prom");
	refused("[agent]\nmetrics=textfile:/run/coffer.txt\n", 2, "textfile:/PATH.prom");
	refused("[agent]\nmetrics=textfile:/run/.prom\n", 2, "textfile:/PATH.prom");
	refused("[agent]\nlog-level=info\nlog-level=info\n", 3, "log-level");
	refused("[audit]\n\ndir=var\n", 3, "absolute path");
	refused("[audit]\nanchor-file=a\n", 2, "absolute path");
	refused("[audit]\nrequired=perhaps\n", 2, "required");
	refused("[audit]\nretain=long\n", 2, "retain");
	refused("[audit]\nsize=1\n", 2, "size");
	refused("[tenant]\n", 1, "tenant");
	(void)snprintf(text, sizeof(text), "[audit]\ndir=/%04500d\n", 0);
	refused(text, 2, "longer");
	memset(large, '\n', INI_BYTES_MAX + 1);
	large[INI_BYTES_MAX + 1] = '\0';
	refused(large, 0, "larger");
	free(large);
}

static void write_conf(const char *dir, const char *text, mode_t mode)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/coffer.conf", dir);
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(fileio_write_full(fd, text, strlen(text)), 0);
	assert_int_equal(fchmod(fd, mode), 0);
	(void)close(fd);
}

static void a_file_is_read_if_it_is_there_and_nobody_elses(void **state)
{
	char dir[] = "/tmp/coffer-conf-XXXXXX", path[128];

	(void)state;
	assert_non_null(mkdtemp(dir));
	(void)snprintf(path, sizeof(path), "%s/coffer.conf", dir);
	assert_int_equal(agent_conf_load(dir, &conf), 0);
	write_conf(dir, "[agent]\nlog-level=err\n", 0644);
	assert_int_equal(agent_conf_load(dir, &conf), 0);
	assert_int_equal(conf.log_level, LOG_LEVEL_ERR);
	write_conf(dir, "[agent]\nlog-level=err\n", 0666);
	assert_int_equal(agent_conf_load(dir, &conf), -EBADMSG);
	write_conf(dir, "[agent\n", 0644);
	assert_int_equal(agent_conf_load(dir, &conf), -EBADMSG);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(agent_conf_load(dir, &conf), -EBADMSG);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_said_is_the_default),
		cmocka_unit_test(what_is_said_holds),
		cmocka_unit_test(each_fault_is_told_with_its_line),
		cmocka_unit_test(a_file_is_read_if_it_is_there_and_nobody_elses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
