/* A disk that fails: loaded into a process with LD_PRELOAD, it counts the writes and syncs of files below
 * FAIL_BELOW, and lets those from number FAIL_FROM to FAIL_UPTO fail with the error number FAIL_WITH.
 * A failing write may write half of its bytes first (FAIL_HALF=1), as a disk that fills up does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_long calls;

static long number(const char *name) {
	const char *text = getenv(name);
	return text ? atol(text) : 0;
}

/* The error of this call; 0: it may go on. */
static int fails(int fd) {
	const char *below = getenv("FAIL_BELOW");
	char link[64], path[4096];
	if (!below) return 0;
	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	ssize_t length = readlink(link, path, sizeof path - 1);
	if (length < 0) return 0;
	path[length] = 0;
	if (strncmp(path, below, strlen(below)) != 0) return 0;
	long call = atomic_fetch_add(&calls, 1) + 1;
	if (call < number("FAIL_FROM") || call > number("FAIL_UPTO")) return 0;
	return (int)number("FAIL_WITH");
}

#define NEXT(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define FAIL(why) do { errno = (why); return -1; } while (0)

ssize_t write(int fd, const void *bytes, size_t length) {
	int why = fails(fd);
	if (why && number("FAIL_HALF") && length > 1) return NEXT(write)(fd, bytes, length / 2);
	if (why) FAIL(why);
	return NEXT(write)(fd, bytes, length);
}

ssize_t pwrite64(int fd, const void *bytes, size_t length, off64_t at) {
	int why = fails(fd);
	if (why && number("FAIL_HALF") && length > 1) NEXT(pwrite64)(fd, bytes, length / 2, at);
	if (why) FAIL(why);
	return NEXT(pwrite64)(fd, bytes, length, at);
}

ssize_t pwrite(int fd, const void *bytes, size_t length, off_t at) {
	int why = fails(fd);
	if (why && number("FAIL_HALF") && length > 1) NEXT(pwrite)(fd, bytes, length / 2, at);
	if (why) FAIL(why);
	return NEXT(pwrite)(fd, bytes, length, at);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
	int why = fails(fd);
	if (why) FAIL(why);
	return NEXT(writev)(fd, parts, count);
}

int fsync(int fd) {
	int why = fails(fd);
	if (why) FAIL(why);
	return NEXT(fsync)(fd);
}

int fdatasync(int fd) {
	int why = fails(fd);
	if (why) FAIL(why);
	return NEXT(fdatasync)(fd);
}

int sync_file_range(int fd, off64_t at, off64_t length, unsigned int flags) {
	int why = fails(fd);
	if (why) FAIL(why);
	return NEXT(sync_file_range)(fd, at, length, flags);
}

int ftruncate64(int fd, off64_t length) {
	int why = fails(fd);
	if (why) FAIL(why);
	return NEXT(ftruncate64)(fd, length);
}
