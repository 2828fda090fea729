/* A stand-in for libnvidia-ml.so.1 with two cards. Who holds the first is in the environment: STAND_IN_PID. */
#include <stdlib.h>
#include <string.h>

typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned pid; unsigned long long used; unsigned gpu, compute; } process;

static int cards[2] = {0, 1};

int nvmlInit_v2(void) { return getenv("STAND_IN_NO_DRIVER") ? 9 : 0; }
int nvmlShutdown(void) { return 0; }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned at, void **card) { *card = &cards[at]; return 0; }
int nvmlDeviceGetName(void *card, char *name, unsigned length) { strncpy(name, "Stand-in 9000", length); return 0; }
int nvmlDeviceGetUUID(void *card, char *uuid, unsigned length) {
    strncpy(uuid, *(int *)card ? "GPU-1111" : "GPU-0000", length);
    return 0;
}
int nvmlDeviceGetMemoryInfo_v2(void *card, memory_v2 *memory) {
    if (*(int *)card) return 3; /* not supported */
    memory->total = 24ULL << 30; memory->reserved = 0; memory->used = 6ULL << 30; memory->free = 18ULL << 30;
    return 0;
}
static int processes(void *card, unsigned *count, process *all, unsigned long long used) {
    const char *pid = getenv("STAND_IN_PID");
    unsigned there = pid && !*(int *)card ? 2 : 0;
    if (*count < there || !all) { *count = there; return there ? 7 : 0; } /* insufficient size */
    *count = there;
    if (there) {
        all[0] = (process){(unsigned)atoi(pid), used, 0xffffffff, 0xffffffff};
        all[1] = (process){4194305, ~0ULL, 0xffffffff, 0xffffffff}; /* no pid is so high, and its memory is not known */
    }
    return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *card, unsigned *count, process *all) {
    return processes(card, count, all, 5ULL << 30);
}
int nvmlDeviceGetGraphicsRunningProcesses_v3(void *card, unsigned *count, process *all) {
    return *(int *)card ? 3 : processes(card, count, all, 1ULL << 30);
}
