/* doctor_work.h: what engines do to a filesystem, as steps: doctor_steps.c does them in a scratch directory, doctor_work.c says which engine needs which. A step is 0, or -errno;
 * -EBADMSG: it went through, but not as it must (what was written is not what is read, a lock did not hold). */
#ifndef COFFER_TOOLS_DOCTOR_WORK_H
#define COFFER_TOOLS_DOCTOR_WORK_H

#include "tools/doctor.h"

/* An open directory with nothing in it; each step removes what it made. */
int doctor_step_pages(int dir, size_t page);                /* written at random places, flushed, read back */
int doctor_step_neighbour(int dir);                         /* a small overwrite leaves the bytes beside it, through another descriptor too */
int doctor_step_record_locks(int dir);                      /* fcntl(2): shared and exclusive ranges, between processes */
int doctor_step_whole_lock(int dir);                        /* fcntl(2) on a whole file */
int doctor_step_flock(int dir);
int doctor_step_shared_memory(int dir);                     /* MAP_SHARED of a file, both ways between processes */
int doctor_step_mapped_read(int dir);                       /* MAP_SHARED, read only; readable after its file was removed */
int doctor_step_journal(int dir);                           /* made, flushed, its directory flushed, removed */
int doctor_step_append(int dir);                            /* O_APPEND, fdatasync */
int doctor_step_truncate(int dir);                          /* cut, grown again: zeros */
int doctor_step_allocate(int dir);                          /* posix_fallocate, zeros, sync_file_range */
int doctor_step_replace(int dir);                           /* a flushed file renamed over another */
int doctor_step_exchange(int dir);                          /* renameat2(RENAME_EXCHANGE) of directories */
int doctor_step_hard_link(int dir);
int doctor_step_symlink(int dir);
int doctor_step_part(int dir);                              /* a directory of flushed files renamed, then removed with all in it */
int doctor_step_direct(int dir);                            /* O_DIRECT */
int doctor_step_private(int dir);                           /* owner and mode 0700 as they were set */
int doctor_step_open_removed(int dir);                      /* a removed file that is open: read, written, flushed */
int doctor_step_flush_readonly(int dir);                    /* fsync of a descriptor that is open for reading */

#endif
