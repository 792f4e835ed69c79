// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/syscall/user_memory.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <sys/uio.h>
#include <unistd.h>

#include "lib/base/caller.h"

namespace crema::ebpf::syscall {
namespace {

using Transfer =
    ssize_t (*)(pid_t, const iovec*, unsigned long, const iovec*, unsigned long, unsigned long);

/// Moves bytes between `local` and `remote`. 1: done. 0: the sandbox forbids the call, nothing was
/// moved, and the memory is ours to touch. -EFAULT.
int transfer(Transfer move, void* local, std::uint64_t remote, std::size_t bytes) {
    auto* ours = static_cast<std::uint8_t*>(local);
    while (bytes > 0) {
        const iovec here{.iov_base = ours, .iov_len = bytes};
        const iovec there{.iov_base = reinterpret_cast<void*>(remote), .iov_len = bytes};
        const ssize_t moved = move(caller::current(), &here, 1, &there, 1, 0);
        if (moved <= 0) {
            const bool forbidden = moved < 0 && (errno == EPERM || errno == ENOSYS);
            return forbidden && !caller::is_other_process() ? 0 : -EFAULT;
        }
        ours += moved;
        remote += static_cast<std::uint64_t>(moved);
        bytes -= static_cast<std::size_t>(moved);
    }
    return 1;
}

}  // namespace

int copy_in(void* to, std::uint64_t from, std::size_t bytes) {
    if (bytes == 0) {
        return 0;
    }
    if (from == 0) {
        return -EFAULT;
    }
    const int done = transfer(process_vm_readv, to, from, bytes);
    if (done == 0) {
        std::memcpy(to, reinterpret_cast<const void*>(from), bytes);
    }
    return std::min(done, 0);
}

int copy_out(std::uint64_t to, const void* from, std::size_t bytes) {
    if (bytes == 0) {
        return 0;
    }
    if (to == 0) {
        return -EFAULT;
    }
    const int done = transfer(process_vm_writev, const_cast<void*>(from), to, bytes);
    if (done == 0) {
        std::memcpy(reinterpret_cast<void*>(to), from, bytes);
    }
    return std::min(done, 0);
}

int copy_in_string(std::string& to, std::uint64_t from, std::size_t bytes_max) {
    to.clear();
    const auto page = static_cast<std::uint64_t>(getpagesize());
    std::array<char, 256> chunk{};
    while (to.size() < bytes_max) {
        // Never across the end of a page: the string may end just before an unmapped one.
        const std::size_t now =
            std::min({chunk.size(), bytes_max - to.size(),
                      static_cast<std::size_t>(page - (from + to.size()) % page)});
        if (const int err = copy_in(chunk.data(), from + to.size(), now); err != 0) {
            return err;
        }
        const std::size_t letters = ::strnlen(chunk.data(), now);
        to.append(chunk.data(), letters);
        if (letters != now) {
            break;
        }
    }
    return 0;
}

int check_zero(std::uint64_t from, std::size_t bytes) {
    std::array<std::uint8_t, 256> chunk{};
    while (bytes > 0) {
        const std::size_t now = std::min(bytes, chunk.size());
        if (const int err = copy_in(chunk.data(), from, now); err != 0) {
            return err;
        }
        if (std::any_of(chunk.begin(), chunk.begin() + static_cast<std::ptrdiff_t>(now),
                        [](std::uint8_t byte) { return byte != 0; })) {
            return -E2BIG;
        }
        from += now;
        bytes -= now;
    }
    return 0;
}

}  // namespace crema::ebpf::syscall
