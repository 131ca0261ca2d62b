/* Other programs: the C compiler, and what it makes. */
#ifndef NASC_PROCESS_H
#define NASC_PROCESS_H

#include "base/base.h"

#include <sys/types.h>

enum { PROCESS_WORDS_MAX = 32 };

/* The words of $CC, which may hold options too, or else those of `otherwise`, into `word`; how many. */
int process_compiler(arena *a, const char *otherwise, char *word[PROCESS_WORDS_MAX]);
/* Starts word[0], found in PATH, with nothing to read and all that it says going into the file `log`. */
bool process_start(char *const word[], const char *log, pid_t *child, nasc_diag *d);
/* Waits for `child`, or for any where it is -1: then that becomes *child. The exit status, 128 + a signal's number. */
bool process_wait(pid_t *child, int *status, nasc_diag *d);
/* What went wrong: the first error that `log` tells of, else its first line, else the exit status. */
const char *process_complaint(arena *a, const char *log, int status);
/* A new folder for files that nobody is to see, in $TMPDIR or /tmp, into `path`. */
bool folder_temporary(char *path, size_t size, nasc_diag *d);

#endif
