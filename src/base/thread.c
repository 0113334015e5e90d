/* thread.c: a new thread inherits the mask of the one that makes it. */
#include "base/thread.h"

#include <signal.h>

int thread_start(pthread_t *ret_thread, void *(*main)(void *), void *arg)
{
	sigset_t all, old;
	int e;

	(void)sigfillset(&all);
	e = pthread_sigmask(SIG_SETMASK, &all, &old);
	if (e != 0)
		return -e;
	e = pthread_create(ret_thread, NULL, main, arg);
	(void)pthread_sigmask(SIG_SETMASK, &old, NULL);
	return -e;
}
