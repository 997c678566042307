/* System calls on paths below a root are counted; the n-th one fails, or brings a signal, or is the last one.

   Built by harness.py and preloaded into the processes under test, which arm it through ctypes. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { OFF, KILL_BEFORE, KILL_AFTER, FAIL_ONCE, FAIL_FROM, COUNT, SIGNAL };

static char root[PATH_MAX];
static int mode = OFF, code, report = -1;
static long at, count;

void fault_arm(const char *path, int how, long n, int error, int report_to) {
    strncpy(root, path, sizeof root - 1);
    count = 0, at = n, code = error, report = report_to, mode = how;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

static int below(const char *path) { return strncmp(path, root, strlen(root)) == 0; }

static int fd_below(int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return below(path);
}

static int path_below(int folder, const char *path) {
    return path[0] == '/' ? below(path) : folder != AT_FDCWD && fd_below(folder);
}

static void die(void) {
    if (REAL(write)(report, "F", 1)) {}
    raise(SIGKILL);
}

/* Whether this call must fail; a call to be killed after is flagged in *last. */
static int hit(int concerned, int *last) {
    *last = 0;
    if (mode == OFF || !concerned) return 0;
    long n = ++count;
    if (mode == COUNT) { if (REAL(write)(report, "F", 1)) {} return 0; }
    if (mode == FAIL_FROM ? n < at : n != at) return 0;
    if (mode == KILL_BEFORE) die();
    if (mode == KILL_AFTER) return *last = 1, 0;
    if (REAL(write)(report, "F", 1)) {}
    if (mode == SIGNAL) return raise(code), 0;
    errno = code;
    return 1;
}

#define CALL(concerned, real)                                   \
    do {                                                        \
        int last, saved = mode == OFF ? 0 : (concerned);        \
        if (hit(saved, &last)) return -1;                       \
        __typeof__(real) result = real;                         \
        if (last) die();                                        \
        return result;                                          \
    } while (0)

#define MODE(flags, mode) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { va_list rest; va_start(rest, flags); mode = va_arg(rest, mode_t); va_end(rest); }

int open64(const char *path, int flags, ...) {
    MODE(flags, permissions)
    CALL(path_below(AT_FDCWD, path), REAL(open64)(path, flags, permissions));
}

int open(const char *path, int flags, ...) {
    MODE(flags, permissions)
    CALL(path_below(AT_FDCWD, path), REAL(open)(path, flags, permissions));
}

int openat64(int folder, const char *path, int flags, ...) {
    MODE(flags, permissions)
    CALL(path_below(folder, path), REAL(openat64)(folder, path, flags, permissions));
}

/* A write that the process does not survive leaves half of its bytes. */
ssize_t write(int fd, const void *data, size_t size) {
    int last;
    if (hit(mode != OFF && fd_below(fd), &last)) return -1;
    ssize_t done = REAL(write)(fd, data, last ? size / 2 : size);
    if (last) die();
    return done;
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    int last;
    if (hit(mode != OFF && fd_below(fd), &last)) return -1;
    ssize_t done = REAL(pwrite64)(fd, data, last ? size / 2 : size, offset);
    if (last) die();
    return done;
}

ssize_t read(int fd, void *data, size_t size) { CALL(fd_below(fd), REAL(read)(fd, data, size)); }
int fsync(int fd) { CALL(fd_below(fd), REAL(fsync)(fd)); }
int ftruncate64(int fd, off64_t size) { CALL(fd_below(fd), REAL(ftruncate64)(fd, size)); }
int rename(const char *old, const char *new) { CALL(path_below(AT_FDCWD, new), REAL(rename)(old, new)); }
int unlink(const char *path) { CALL(path_below(AT_FDCWD, path), REAL(unlink)(path)); }
int unlinkat(int folder, const char *path, int flags) {
    CALL(path_below(folder, path), REAL(unlinkat)(folder, path, flags));
}
int rmdir(const char *path) { CALL(path_below(AT_FDCWD, path), REAL(rmdir)(path)); }
int mkdir(const char *path, mode_t permissions) { CALL(path_below(AT_FDCWD, path), REAL(mkdir)(path, permissions)); }
