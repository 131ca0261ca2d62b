/* Starting other programs and waiting for them. */
#include "emit/process.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { COMPILER_WORDS_MAX = 16 };

int process_compiler(arena *a, const char *otherwise, char *word[PROCESS_WORDS_MAX])
{
    const char *cc = getenv("CC");
    char *rest = arena_strdup(a, cc && *cc ? cc : otherwise), *state;
    int count = 0;
    for (char *w = strtok_r(rest, " ", &state); w && count < COMPILER_WORDS_MAX; w = strtok_r(NULL, " ", &state))
        word[count++] = w;
    return count;
}

bool process_start(char *const word[], const char *log, pid_t *child, nasc_diag *d)
{
    posix_spawn_file_actions_t actions;
    if (posix_spawn_file_actions_init(&actions) != 0)
        return diag_memory(d);
    int failed = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    failed |= posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    failed |= posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    int error = failed ? ENOMEM : posix_spawnp(child, word[0], &actions, NULL, word, environ);
    posix_spawn_file_actions_destroy(&actions);
    return !error || diag_fail(d, DIAG_DEVICE, word[0], "cannot be run: %s", strerror(error));
}

bool process_wait(pid_t *child, int *status, nasc_diag *d)
{
    pid_t ended;
    while ((ended = waitpid(*child, status, 0)) < 0)
        if (errno != EINTR)
            return diag_fail(d, DIAG_DEVICE, "", "cannot wait for a program: %s", strerror(errno));
    *child = ended;
    *status = WIFEXITED(*status) ? WEXITSTATUS(*status) : 128 + WTERMSIG(*status);
    return true;
}

const char *process_complaint(arena *a, const char *log, int status)
{
    nasc_diag ignored = {0};
    size_t size;
    char *said = file_read(a, log, &size, &ignored);
    if (!said || size == 0)
        return arena_printf(a, "exit status %d", status);
    char *error = strstr(said, "error: ");
    said = error ? error : said;
    said[strcspn(said, "\n")] = 0;
    return said;
}

bool folder_temporary(char *path, size_t size, nasc_diag *d)
{
    const char *base = getenv("TMPDIR");
    if (!base || !*base)
        base = "/tmp";
    int length = snprintf(path, size, "%s/nasc-XXXXXX", base);
    errno = ENAMETOOLONG;
    if (length < (int)size && mkdtemp(path)) /* mode 0700 */
        return true;
    path[0] = 0;
    return diag_fail(d, DIAG_IO, base, "cannot make a temporary folder: %s", strerror(errno));
}
