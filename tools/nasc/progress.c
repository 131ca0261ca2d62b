/* Draws progress. On a terminal at most ten times a second, and the line of a finished epoch stays; elsewhere ten lines
 * an epoch, chosen by step number, so that two logs of one run have the same lines. */
#include "progress.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LINE = 256, BAR_MOST = 30, BAR_LEAST = 6, GROUPS = 10 };

progress_bar progress_open(bool quiet, const volatile sig_atomic_t *interrupted)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool terminal = isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
    return (progress_bar){.to = stderr,
                          .quiet = quiet,
                          .terminal = terminal,
                          .colour = terminal && !(no_color && *no_color),
                          .interrupted = interrupted};
}

static int64_t steps_done(const struct progress_state *s)
{
    return (int64_t)s->epoch * s->steps + s->step;
}

/* Appends to a line of `size` bytes that holds `length`; what does not fit is cut. */
static int add(char *to, size_t size, int length, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int more = vsnprintf(to + length, size - (size_t)length, format, args);
    va_end(args);
    return more < 0 ? length : length + more < (int)size ? length + more : (int)size - 1;
}

static int add_time(char *to, size_t size, int length, double seconds)
{
    long s = seconds < 3.6e8 ? lround(seconds) : 360000000;
    if (s >= 3600)
        return add(to, size, length, "  %ld:%02ld:%02ld left", s / 3600, s / 60 % 60, s % 60);
    return add(to, size, length, "  %ld:%02ld left", s / 60, s % 60);
}

int progress_line(char *to, size_t size, const struct progress_state *s, double steps_per_second)
{
    int length = add(to, size, 0, "%s", s->phase);
    if (s->epochs > 1)
        length = add(to, size, length, " epoch %d/%d", s->epoch + 1, s->epochs);
    length = add(to, size, length, "  step %d/%d", s->step, s->steps);
    if (!isnan(s->loss))
        length = add(to, size, length, "  loss %.4f", s->loss);
    if (!isnan(s->accuracy))
        length = add(to, size, length, "  accuracy %.2f %%", 100 * s->accuracy);
    if (steps_per_second > 0) {
        if (steps_per_second >= 1)
            length = add(to, size, length, "  %.1f steps/s", steps_per_second);
        else
            length = add(to, size, length, "  %.2f s/step", 1 / steps_per_second);
        int64_t left = (int64_t)(s->epochs > 1 ? s->epochs : 1) * s->steps - steps_done(s);
        length = add_time(to, size, length, (double)left / steps_per_second);
    }
    return length;
}

static int terminal_columns(FILE *to)
{
    struct winsize size;
    return ioctl(fileno(to), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

/* The bar fills what the text leaves of the terminal's line. */
static void draw(progress_bar *bar, const struct progress_state *s, const char *line, int length)
{
    int columns = terminal_columns(bar->to), room = columns - length - 4;
    int width = room > BAR_MOST ? BAR_MOST : room;
    fputs("\r\033[K", bar->to);
    if (width >= BAR_LEAST) {
        int full = s->steps > 0 ? (int)((int64_t)width * s->step / s->steps) : 0;
        fprintf(bar->to, "%s[%.*s%.*s]%s ", bar->colour ? "\033[32m" : "", full, "##############################",
                width - full, "------------------------------", bar->colour ? "\033[0m" : "");
    }
    fprintf(bar->to, "%.*s", columns - 1, line);
}

/* Steps a second since this phase began here; what a resumed run did before does not count. */
static double rate(progress_bar *bar, const struct progress_state *s, double now)
{
    int64_t done = steps_done(s);
    if (!bar->phase || strcmp(bar->phase, s->phase) != 0 || done < bar->first_done) {
        bar->phase = s->phase;
        bar->first_done = done;
        bar->first_time = now;
        bar->drawn_time = -1;
    }
    return now > bar->first_time ? (double)(done - bar->first_done) / (now - bar->first_time) : 0;
}

bool progress_show(progress_bar *bar, const struct progress_state *s, double now)
{
    bool go_on = !bar->interrupted || !*bar->interrupted;
    if (bar->quiet)
        return go_on;
    char line[LINE];
    int length = progress_line(line, sizeof line, s, rate(bar, s, now));
    bool last = s->step == s->steps;
    int group = (s->steps + GROUPS - 1) / GROUPS;
    if (!bar->terminal) {
        if (last || (group > 0 && s->step % group == 0))
            fprintf(bar->to, "%s\n", line);
    } else if (last || bar->drawn_time < 0 || now - bar->drawn_time >= 0.1) {
        draw(bar, s, line, length);
        bar->drawn_time = now;
        bar->open_line = !last;
        fputs(last ? "\n" : "", bar->to);
        fflush(bar->to);
    }
    return go_on;
}

double clock_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool report(void *user, const struct progress_state *state)
{
    return progress_show(user, state, clock_seconds());
}

/* Above the bar, which the next report draws anew. */
static void warn(void *user, const char *where, const char *what)
{
    const progress_bar *bar = user;
    fprintf(bar->to, "%snasc: %s: %s; left out\n", bar->open_line ? "\r\033[K" : "", where, what);
}

struct progress progress_reporter(progress_bar *bar)
{
    return (struct progress){.report = report, .warn = warn, .user = bar};
}

void progress_close(progress_bar *bar)
{
    if (bar->open_line)
        fputc('\n', bar->to);
    bar->open_line = false;
}
