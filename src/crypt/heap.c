/* heap.c: memory for OpenSSL that is never swapped, never dumped, and wiped when it is freed.
 *
 * OpenSSL keeps expanded key schedules, GHASH tables and HMAC states in its own allocations, which no struct secret can
 * reach; so its allocator is replaced as a whole. Its calls are many and small, and freed blocks are reused soon:
 *
 *   chunk    1 MiB, mmap'ed, mlock'ed, MADV_DONTDUMP; never given back
 *   run      64 KiB of a chunk, handed to one shard, cut from its start into blocks
 *   shard    a lock, the rest of its run, a list of free blocks per size class; a thread always allocates from one shard
 *   block    a head of 16 bytes, then the user's; freed to the shard it came from
 *
 * Size classes (head included) are 2^k and 3·2^(k-1), 32 bytes to 32 KiB; anything larger is a mapping of its own, locked,
 * and unmapped when freed. When memory cannot be locked (RLIMIT_MEMLOCK), an allocation fails: it never falls back to
 * memory that is not. Locks are not inherited by fork(2): a program that goes on working in a child installs the heap
 * there. The heap is process-wide because CRYPTO_set_mem_functions() is. */
#include "crypt/heap.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include <openssl/crypto.h>

#include "base/secret.h"

#define CHUNK_LEN ((size_t)1 << 20)
#define RUN_LEN ((size_t)64 << 10)
#define BLOCK_MIN_SHIFT 5                              /* 32 bytes */
#define BLOCK_MAX_SHIFT 15                             /* 32 KiB */
#define BLOCK_MAX ((size_t)1 << BLOCK_MAX_SHIFT)
#define CLASSES (2 * (BLOCK_MAX_SHIFT - BLOCK_MIN_SHIFT) + 1)
#define CLASS_LARGE UINT32_MAX
#define SHARDS 8
#define PAGE 4096
#define ALLOC_MAX ((size_t)1 << 40)

struct head {
	uint32_t shard;
	uint32_t class;                 /* CLASS_LARGE: its own mapping */
	size_t len;                     /* the block's, head included */
};
_Static_assert(sizeof(struct head) == 16, "keeps blocks aligned for any type");

struct free_block {
	struct free_block *next;
};

struct shard {
	pthread_mutex_t m;
	uint8_t *run;                          /* lock: m */
	size_t run_left;                       /* lock: m */
	struct free_block *free[CLASSES];      /* lock: m */
};

static struct {
	pthread_mutex_t m;
	uint8_t *chunk;                        /* lock: m */
	size_t chunk_left;                     /* lock: m */
	atomic_uint threads;
	struct shard shards[SHARDS];
} heap = { .m = PTHREAD_MUTEX_INITIALIZER, .shards = { [0 ... SHARDS - 1] = { .m = PTHREAD_MUTEX_INITIALIZER } } };

static __thread unsigned heap_my_shard; /* 1 more than the index; 0: not chosen yet */

/* Class c is 2^k for even c, 3·2^(k-1) for odd c. */
static size_t class_len(uint32_t class)
{
	size_t base = (size_t)1 << (BLOCK_MIN_SHIFT + class / 2);

	return class % 2 ? base + base / 2 : base;
}

/* The smallest class of at least len bytes; len <= BLOCK_MAX. */
static uint32_t class_of(size_t len)
{
	unsigned k;

	if (len <= (size_t)1 << BLOCK_MIN_SHIFT)
		return 0;
	/* 2^k < len <= 2^(k+1) */
	k = 63 - (unsigned)__builtin_clzll(len - 1);
	if (len <= ((size_t)3 << (k - 1)))
		return 2 * (k - BLOCK_MIN_SHIFT) + 1;
	return 2 * (k + 1 - BLOCK_MIN_SHIFT);
}

/* len bytes (whole pages) of locked memory, NULL when there is none to be had. */
static void *locked_map(size_t len)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return NULL;
	if (mlock(p, len) == 0 && madvise(p, len, MADV_DONTDUMP) == 0)
		return p;
	(void)munmap(p, len);
	return NULL;
}

/* Make sure the chunk has a run left. lock: heap.m */
static bool chunk_ready(void)
{
	if (heap.chunk_left >= RUN_LEN)
		return true;
	heap.chunk = locked_map(CHUNK_LEN);
	heap.chunk_left = heap.chunk ? CHUNK_LEN : 0;
	return heap.chunk != NULL;
}

static uint8_t *run_take(void)
{
	uint8_t *run = NULL;

	pthread_mutex_lock(&heap.m);
	if (chunk_ready()) {
		run = heap.chunk;
		heap.chunk += RUN_LEN;
		heap.chunk_left -= RUN_LEN;
	}
	pthread_mutex_unlock(&heap.m);
	return run;
}

static uint32_t my_shard(void)
{
	if (heap_my_shard == 0)
		heap_my_shard = 1 + atomic_fetch_add_explicit(&heap.threads, 1, memory_order_relaxed) % SHARDS;
	return heap_my_shard - 1;
}

static struct head *block_take(uint32_t class)
{
	uint32_t i = my_shard();
	struct shard *s = &heap.shards[i];
	size_t len = class_len(class);
	struct head *h = NULL;

	pthread_mutex_lock(&s->m);
	if (s->free[class]) {
		struct free_block *b = s->free[class];

		s->free[class] = b->next;
		b->next = NULL;
		h = (struct head *)(void *)b - 1;
	} else {
		if (s->run_left < len) {
			/* The rest of the old run is lost: less than half of one, and only for the largest classes. */
			s->run = run_take();
			s->run_left = s->run ? RUN_LEN : 0;
		}
		if (s->run) {
			h = (struct head *)(void *)s->run;
			*h = (struct head){ .shard = i, .class = class, .len = len };
			s->run += len;
			s->run_left -= len;
		}
	}
	pthread_mutex_unlock(&s->m);
	return h;
}

static struct head *large_take(size_t len)
{
	struct head *h;

	len = (len + PAGE - 1) / PAGE * PAGE;
	h = locked_map(len);
	if (h)
		*h = (struct head){ .class = CLASS_LARGE, .len = len };
	return h;
}

void *heap_alloc(size_t n)
{
	struct head *h;

	if (n == 0 || n > ALLOC_MAX)
		return NULL;
	n += sizeof(*h);
	h = n > BLOCK_MAX ? large_take(n) : block_take(class_of(n));
	return h ? h + 1 : NULL;
}

void heap_release(void *p)
{
	struct free_block *b = p;
	struct shard *s;
	struct head *h;

	if (!p)
		return;
	h = (struct head *)p - 1;
	secret_wipe(p, h->len - sizeof(*h));
	if (h->class == CLASS_LARGE) {
		(void)munmap(h, h->len);
		return;
	}
	s = &heap.shards[h->shard];
	pthread_mutex_lock(&s->m);
	b->next = s->free[h->class];
	s->free[h->class] = b;
	pthread_mutex_unlock(&s->m);
}

void *heap_resize(void *p, size_t n)
{
	size_t room;
	void *q;

	if (!p)
		return heap_alloc(n);
	if (n == 0) {
		heap_release(p);
		return NULL;
	}
	room = ((struct head *)p - 1)->len - sizeof(struct head);
	if (n <= room)
		return p;
	q = heap_alloc(n);
	if (!q)
		return NULL;
	memcpy(q, p, room);
	heap_release(p);
	return q;
}

/* The same in OpenSSL's shape: it says who asks. */
static void *openssl_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return heap_alloc(n);
}

static void *openssl_realloc(void *p, size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return heap_resize(p, n);
}

static void openssl_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	heap_release(p);
}

int heap_install(void)
{
	bool ready;

	pthread_mutex_lock(&heap.m);
	ready = chunk_ready();
	pthread_mutex_unlock(&heap.m);
	if (!ready)
		return -ENOMEM;
	if (CRYPTO_set_mem_functions(openssl_malloc, openssl_realloc, openssl_free) != 1)
		return -EBUSY;
	return 0;
}
