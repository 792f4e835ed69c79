// SPDX-License-Identifier: BSD-3-Clause
//
// See failing_memory.h. The functions below replace those of libc in every program that links this
// file, so nothing in them may allocate.
#include "tests/support/failing_memory.h"

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

std::atomic<std::uint64_t> g_blocks{0};

struct Plan {
    crema::test::Refuses refuses = crema::test::Refuses::nothing;
    bool counts = false;
    std::uint64_t at = 0;
    std::uint64_t seen = 0;
};

[[gnu::tls_model("initial-exec")]] constinit thread_local Plan t_plan;

/// Counts a call; true: it must fail.
[[maybe_unused]] bool is_refused() {
    Plan& plan = t_plan;
    if (!plan.counts) {
        return false;
    }
    const std::uint64_t number = plan.seen++;
    switch (plan.refuses) {
        case crema::test::Refuses::one:
            return number == plan.at;
        case crema::test::Refuses::all_from_there:
            return number >= plan.at;
        default:
            return false;
    }
}

}  // namespace

namespace crema::test {

void start_refusing(Refuses refuses, std::uint64_t at) {
    t_plan = {.refuses = refuses, .counts = true, .at = at, .seen = 0};
}

std::uint64_t stop_refusing() {
    t_plan.counts = false;
    return t_plan.seen;
}

std::uint64_t blocks_in_use() {
    return g_blocks.load();
}

std::uint64_t mapped_bytes() {
    // Without streams: what they allocate must not change what is measured.
    static char text[1 << 20];
    const int fd = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    std::size_t used = 0;
    for (ssize_t got = 1; fd >= 0 && got > 0 && used < sizeof text - 1;) {
        got = ::read(fd, text + used, sizeof text - 1 - used);
        used += got > 0 ? static_cast<std::size_t>(got) : 0;
    }
    ::close(fd);
    text[used] = '\0';
    std::uint64_t bytes = 0;
    for (char* line = text; *line != '\0';) {
        char* const end = std::strchr(line, '\n');
        if (end == nullptr) {
            break;
        }
        *end = '\0';
        const bool grows =
            std::strstr(line, "[heap]") != nullptr || std::strstr(line, "[stack]") != nullptr;
        if (!grows) {  // FIRST-LAST ..., in hexadecimal digits
            char* dash = nullptr;
            const std::uint64_t first = std::strtoul(line, &dash, 16);
            bytes += *dash == '-' ? std::strtoul(dash + 1, nullptr, 16) - first : 0;
        }
        line = end + 1;
    }
    return bytes;
}

}  // namespace crema::test

#if !defined(__SANITIZE_ADDRESS__)

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming):
// glibc's own names of what is replaced
extern "C" {
void* __libc_malloc(std::size_t bytes);
void* __libc_calloc(std::size_t count, std::size_t bytes);
void* __libc_realloc(void* block, std::size_t bytes);
void* __libc_memalign(std::size_t alignment, std::size_t bytes);
void __libc_free(void* block);

static void* noted(void* block) {
    if (block != nullptr) {
        g_blocks.fetch_add(1, std::memory_order_relaxed);
    }
    return block;
}

static void* no_memory() {
    errno = ENOMEM;
    return nullptr;
}

void* malloc(std::size_t bytes) {
    return is_refused() ? no_memory() : noted(__libc_malloc(bytes));
}

void* calloc(std::size_t count, std::size_t bytes) {
    return is_refused() ? no_memory() : noted(__libc_calloc(count, bytes));
}

void* realloc(void* block, std::size_t bytes) {
    if (is_refused()) {
        return no_memory();
    }
    void* const moved = __libc_realloc(block, bytes);
    if (block == nullptr) {
        return noted(moved);
    }
    if (bytes == 0 && moved == nullptr) {
        g_blocks.fetch_sub(1, std::memory_order_relaxed);
    }
    return moved;
}

void* memalign(std::size_t alignment, std::size_t bytes) {
    return is_refused() ? no_memory() : noted(__libc_memalign(alignment, bytes));
}

void* aligned_alloc(std::size_t alignment, std::size_t bytes) {
    return memalign(alignment, bytes);
}

int posix_memalign(void** block, std::size_t alignment, std::size_t bytes) {
    *block = memalign(alignment, bytes);
    return *block != nullptr ? 0 : ENOMEM;
}

void free(void* block) {
    if (block != nullptr) {
        g_blocks.fetch_sub(1, std::memory_order_relaxed);
        const int error = errno;
        __libc_free(block);
        errno = error;
    }
}

void* mmap(void* at, std::size_t bytes, int protection, int flags, int fd, off_t offset) {
    if (is_refused()) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return reinterpret_cast<void*>(::syscall(SYS_mmap, at, bytes, protection, flags, fd, offset));
}

int mprotect(void* at, std::size_t bytes, int protection) {
    if (is_refused()) {
        errno = ENOMEM;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_mprotect, at, bytes, protection));
}

int memfd_create(const char* name, unsigned flags) {
    if (is_refused()) {
        errno = ENOMEM;
        return -1;
    }
    return static_cast<int>(::syscall(SYS_memfd_create, name, flags));
}
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

#endif
