// Preloaded into a process: after FAIL_AFTER calls of FAIL_CALL (pread or pwrite) on a database or its log, all of them
// fail with EIO.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int fails(const char *call, int fd) {
    static long calls;
    const char *failing = getenv("FAIL_CALL");
    char link[64], path[4096];
    if (!failing || strcmp(failing, call)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0) return 0;
    path[n] = 0;
    return strstr(path, ".db") && __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED) > atol(getenv("FAIL_AFTER"));
}

#define FAILING(name, call, buffer)                                                                                        \
    ssize_t name(int fd, buffer bytes, size_t n, off64_t at) {                                                             \
        ssize_t (*real)(int, buffer, size_t, off64_t) = dlsym(RTLD_NEXT, #name);                                           \
        if (!fails(call, fd)) return real(fd, bytes, n, at);                                                               \
        errno = EIO;                                                                                                       \
        return -1;                                                                                                         \
    }

FAILING(pread, "pread", void *)
FAILING(pread64, "pread", void *)
FAILING(pwrite, "pwrite", const void *)
FAILING(pwrite64, "pwrite", const void *)
