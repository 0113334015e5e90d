/* mem.h: how the process uses the heap. */
#ifndef COFFER_BASE_MEM_H
#define COFFER_BASE_MEM_H

/* For a process of many threads that hand small objects to each other and live for months: before the first thread. Best effort. */
void mem_init(void);
/* Give freed pages back to the host. Walks the whole heap and stops every allocation meanwhile: some 10 ms for a million objects. */
void mem_trim(void);

#endif
