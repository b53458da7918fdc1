/* A disk as slow as the one that a server has: every fsync takes SLOW_FSYNC_US microseconds more.
   Compiled and put before the C library by store_throughput.py. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdlib.h>
#include <time.h>

static int slowly(const char *name, int file) {
    int (*real)(int) = dlsym(RTLD_NEXT, name);
    int result = real(file);
    long us = atol(getenv("SLOW_FSYNC_US"));
    struct timespec pause = {us / 1000000, us % 1000000 * 1000};
    nanosleep(&pause, NULL);
    return result;
}

int fsync(int file) { return slowly("fsync", file); }
int fdatasync(int file) { return slowly("fdatasync", file); }
