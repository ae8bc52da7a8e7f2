// Preloaded into a process: the disk and the clock fail by rules, which may change while it runs.
//
// $DISK/rules has one a line: CALL END ACTION [FROM TO]. CALL is pread, pwrite, fsync, ftruncate, unlink or open; END is what
// the names of its files end in, or * for all; ACTION is an errno, `kill`, `ignore` (a sync that does nothing) or `wait:MS`, which ends
// early when the rules change; FROM and TO are the calls since the rules changed, from 1. `clock now SECONDS` shifts it.
//
// $DISK/synced/ has what a power cut would leave of each file: what was written is there once a sync of it has succeeded.
// After a failed one it never is, as in a kernel that marks pages clean then.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REAL(type, name, ...) ((type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name))

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static char rules[4096];
static long counts[64];

static int open_really(const char *path, int flags) { return REAL(int, "open", const char *, int, ...)(path, flags, 0600); }

static void read_rules(void) {
    char path[4096], now[sizeof rules] = {0};
    snprintf(path, sizeof path, "%s/rules", getenv("DISK"));
    int fd = open_really(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t n = REAL(ssize_t, "pread", int, void *, size_t, off_t)(fd, now, sizeof now - 1, 0);
    close(fd);
    if (n < 0 || !strcmp(now, rules)) return;
    strcpy(rules, now);
    memset(counts, 0, sizeof counts);
}

static int ends_in(const char *path, const char *end) {
    size_t n = strlen(path), m = strlen(end);
    return n >= m && !strcmp(path + n - m, end);
}

static int is_ours(const char *path) { return ends_in(path, ".db") || ends_in(path, ".db-wal"); }

// Takes the action that a rule has for this call: 0 go on, an errno to fail with, -1 do nothing and say that it was done.
static int action(const char *call, const char *path) {
    char what[64] = "", line[256];
    pthread_mutex_lock(&lock);
    read_rules();
    char *from = rules;
    for (int i = 0; *from && i < 64; i++) {
        size_t n = strcspn(from, "\n");
        snprintf(line, sizeof line, "%.*s", (int)n, from);
        from += n + (from[n] == '\n');
        char its_call[16], end[32], act[64];
        long first = 1, last = 1L << 60;
        if (sscanf(line, "%15s %31s %63s %ld %ld", its_call, end, act, &first, &last) < 3) continue;
        if (strcmp(call, its_call) || (strcmp(end, "*") && !ends_in(path, end))) continue;
        counts[i]++;
        if (!*what && first <= counts[i] && counts[i] <= last) strcpy(what, act);
    }
    char before[sizeof rules];
    strcpy(before, rules);
    pthread_mutex_unlock(&lock);
    if (!*what) return 0;
    if (!strcmp(what, "kill")) raise(SIGKILL);
    if (!strcmp(what, "ignore")) return -1;
    if (strncmp(what, "wait:", 5)) return atoi(what);
    for (long left = atol(what + 5); left > 0; left -= 5) {
        usleep(5000);
        pthread_mutex_lock(&lock);
        read_rules();
        int is_over = strcmp(before, rules);
        pthread_mutex_unlock(&lock);
        if (is_over) break;
    }
    return 0;
}

static int path_of(int fd, char path[4096]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, 4095);
    path[n < 0 ? 0 : n] = 0;
    return is_ours(path);
}

// What was written and not synced, by the end of the file's name.
struct range { off_t at; size_t length; };
static struct { struct range *ranges; size_t count, room; } unsynced[2];

static void was_written(const char *path, off_t at, size_t length) {
    int file = ends_in(path, "-wal");
    pthread_mutex_lock(&lock);
    if (unsynced[file].count == unsynced[file].room) {
        unsynced[file].room = unsynced[file].room * 2 + 64;
        unsynced[file].ranges = realloc(unsynced[file].ranges, unsynced[file].room * sizeof(struct range));
    }
    unsynced[file].ranges[unsynced[file].count++] = (struct range){at, length};
    pthread_mutex_unlock(&lock);
}

static void place_of_synced(const char *path, char place[4096]) {
    snprintf(place, 4096, "%s/synced/%s", getenv("DISK"), strrchr(path, '/') + 1);
}

static void was_synced(const char *path, int fd, int is_done) {
    int file = ends_in(path, "-wal");
    pthread_mutex_lock(&lock);
    if (is_done) {
        char place[4096], *bytes = malloc(1 << 20);
        struct stat now;
        place_of_synced(path, place);
        int copy = open_really(place, O_RDWR | O_CREAT | O_CLOEXEC);
        for (size_t i = 0; i < unsynced[file].count; i++) {
            struct range range = unsynced[file].ranges[i];
            ssize_t n = REAL(ssize_t, "pread", int, void *, size_t, off_t)(fd, bytes, range.length, range.at);
            if (n > 0 && REAL(ssize_t, "pwrite", int, const void *, size_t, off_t)(copy, bytes, n, range.at) != n) abort();
        }
        if (!fstat(fd, &now) && REAL(int, "ftruncate", int, off_t)(copy, now.st_size)) abort();
        close(copy);
        free(bytes);
    }
    unsynced[file].count = 0;
    pthread_mutex_unlock(&lock);
}

static ssize_t write_at(int fd, const void *bytes, size_t n, off_t at) {
    char path[4096];
    int failed = path_of(fd, path) ? action("pwrite", path) : 0;
    if (failed) return errno = failed, -1;
    ssize_t written = REAL(ssize_t, "pwrite", int, const void *, size_t, off_t)(fd, bytes, n, at);
    if (written > 0 && is_ours(path)) was_written(path, at, written);
    return written;
}

static ssize_t read_at(int fd, void *bytes, size_t n, off_t at) {
    char path[4096];
    int failed = path_of(fd, path) ? action("pread", path) : 0;
    if (failed) return errno = failed, -1;
    return REAL(ssize_t, "pread", int, void *, size_t, off_t)(fd, bytes, n, at);
}

static int sync_file(int fd, const char *call) {
    char path[4096];
    if (!path_of(fd, path)) return REAL(int, call, int)(fd);
    int failed = action("fsync", path);
    if (failed < 0) return 0;
    int synced = failed ? -1 : REAL(int, call, int)(fd);
    was_synced(path, fd, synced == 0);
    if (failed) errno = failed;
    return synced;
}

static int truncate_to(int fd, off_t length) {
    char path[4096];
    int failed = path_of(fd, path) ? action("ftruncate", path) : 0;
    if (failed) return errno = failed, -1;
    return REAL(int, "ftruncate", int, off_t)(fd, length);
}

static int open_at(const char *path, int flags, mode_t mode) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_CREAT;
    int failed = getenv("DISK") && writes && is_ours(path) ? action("open", path) : 0;
    if (failed) return errno = failed, -1;
    return REAL(int, "open", const char *, int, ...)(path, flags, mode);
}

static mode_t mode_of(int flags, va_list more) { return flags & O_CREAT ? va_arg(more, mode_t) : 0; }

#define OPEN(name)                                                                                                         \
    int name(const char *path, int flags, ...) {                                                                           \
        va_list more;                                                                                                      \
        va_start(more, flags);                                                                                             \
        mode_t mode = mode_of(flags, more);                                                                                \
        va_end(more);                                                                                                      \
        return open_at(path, flags, mode);                                                                                 \
    }

OPEN(open)
OPEN(open64)
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at) { return write_at(fd, bytes, n, at); }
ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at) { return write_at(fd, bytes, n, at); }
ssize_t pread(int fd, void *bytes, size_t n, off_t at) { return read_at(fd, bytes, n, at); }
ssize_t pread64(int fd, void *bytes, size_t n, off_t at) { return read_at(fd, bytes, n, at); }
int fsync(int fd) { return sync_file(fd, "fsync"); }
int fdatasync(int fd) { return sync_file(fd, "fdatasync"); }
int ftruncate(int fd, off_t length) { return truncate_to(fd, length); }
int ftruncate64(int fd, off_t length) { return truncate_to(fd, length); }

int unlink(const char *path) {
    if (is_ours(path)) {
        char place[4096];
        int failed = action("unlink", path);
        if (failed) return errno = failed, -1;
        place_of_synced(path, place);
        REAL(int, "unlink", const char *)(place);
    }
    return REAL(int, "unlink", const char *)(path);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = REAL(int, "clock_gettime", clockid_t, struct timespec *)(clock, time);
    if (clock == CLOCK_REALTIME && !failed) {
        pthread_mutex_lock(&lock);
        read_rules();
        char *shift = strstr(rules, "clock now ");
        if (shift) time->tv_sec += atol(shift + strlen("clock now "));
        pthread_mutex_unlock(&lock);
    }
    return failed;
}
