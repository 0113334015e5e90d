/* thread.h: threads that take no signals, so that those of a process go to the thread that handles them. */
#ifndef COFFER_BASE_THREAD_H
#define COFFER_BASE_THREAD_H

#include "base/err.h"

#include <pthread.h>

/* pthread_create(3) with all signals blocked in the new thread. -errno. */
int thread_start(pthread_t *ret_thread, void *(*main)(void *), void *arg) must_check;

#endif
