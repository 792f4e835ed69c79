// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/supervise/trap.h"

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <utility>
#include <vector>

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

namespace crema::ebpf::supervise {
namespace {

#if defined(__x86_64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_X86_64;
constexpr std::uint32_t kOtherAbiBpf = 0x40000000U | __NR_bpf;  // x32
#elif defined(__aarch64__)
constexpr std::uint32_t kArchitecture = AUDIT_ARCH_AARCH64;
constexpr std::uint32_t kOtherAbiBpf = __NR_bpf;  // there is no second one
#else
#error "the number of this architecture in seccomp filters is not known here"
#endif

constexpr sock_filter load_word(std::size_t at) {
    return BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(at));
}

constexpr sock_filter skip_if_equal(std::uint32_t value, std::uint8_t equal, std::uint8_t other) {
    return BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, equal, other);
}

constexpr sock_filter answer(std::uint32_t what) {
    return BPF_STMT(BPF_RET | BPF_K, what);
}

/// bpf(2) and perf_event_open(2) of this architecture go to the supervisor, which lets the kernel
/// have events that are none of BPF; bpf(2) of other ABIs is not there. Programs of other
/// architectures (32 bits) have other numbers: theirs are the 32-bit ones of x86 and arm.
constexpr std::uint32_t kBpfOfX86 = 357, kBpfOfArm = 386;

}  // namespace

Result<UniqueFd> trap_bpf_calls() {
    std::array filter = {
        load_word(offsetof(seccomp_data, arch)),
        skip_if_equal(kArchitecture, 0, 6),
        load_word(offsetof(seccomp_data, nr)),
        skip_if_equal(__NR_bpf, 1, 0),
        skip_if_equal(__NR_perf_event_open, 0, 1),
        answer(SECCOMP_RET_USER_NOTIF),
        skip_if_equal(kOtherAbiBpf, 4, 0),
        answer(SECCOMP_RET_ALLOW),
        load_word(offsetof(seccomp_data, nr)),
        skip_if_equal(kBpfOfX86, 1, 0),
        skip_if_equal(kBpfOfArm, 0, 1),
        answer(SECCOMP_RET_ERRNO | ENOSYS),
        answer(SECCOMP_RET_ALLOW),
    };
    const sock_fprog program{.len = static_cast<unsigned short>(filter.size()),
                             .filter = filter.data()};
    // Without WAIT_KILLABLE_RECV (kernels before 5.19) a signal in the middle of a call makes it
    // start again after it was served.
    constexpr unsigned long kWaitKillable = 1UL << 5;
    const auto install = [&](unsigned long flags) {
        return static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                          SECCOMP_FILTER_FLAG_NEW_LISTENER | flags, &program));
    };
    int listener = install(kWaitKillable);
    if (listener < 0 && errno == EACCES) {
        if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
            return fail(errno, "no_new_privs cannot be set (errno {})", errno);
        }
        listener = install(kWaitKillable);
    }
    if (listener < 0 && errno == EINVAL) {
        listener = install(0);
    }
    if (listener < 0) {
        const int code = errno;
        return fail(code, "bpf(2) calls cannot be taken over: {}",
                    code == EBUSY ? "this process is supervised already"
                                  : "seccomp(2) refuses the filter, errno " + std::to_string(code));
    }
    return UniqueFd(listener);
}

namespace {

/// A message with one byte and room for one descriptor.
struct Message {
    char byte = 'd';
    iovec vector{.iov_base = &byte, .iov_len = 1};
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control{};
    msghdr header{};

    Message() {
        header.msg_iov = &vector;
        header.msg_iovlen = 1;
        header.msg_control = control.data();
        header.msg_controllen = control.size();
    }

    Message(const Message&) = delete;
    Message& operator=(const Message&) = delete;
    ~Message() = default;
};

/// All that came with a message. Those that are not wanted are ours to close, too: the room for one
/// takes a second one, by its alignment.
std::vector<UniqueFd> descriptors_of(msghdr& header) {
    std::vector<UniqueFd> passed;
    for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr;
         part = CMSG_NXTHDR(&header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const std::size_t bytes = part->cmsg_len - CMSG_LEN(0);
        for (std::size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + at, sizeof fd);
            passed.emplace_back(fd);
        }
    }
    return passed;
}

}  // namespace

Status send_descriptor(int socket, int fd) {
    Message message;
    cmsghdr* part = CMSG_FIRSTHDR(&message.header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(part), &fd, sizeof fd);
    if (::sendmsg(socket, &message.header, MSG_NOSIGNAL) != 1) {
        return fail(errno, "a descriptor cannot be passed (errno {})", errno);
    }
    return {};
}

Result<UniqueFd> receive_descriptor(int socket) {
    Message message;
    const ssize_t bytes = ::recvmsg(socket, &message.header, MSG_CMSG_CLOEXEC);
    if (bytes < 0) {
        return fail(errno, "no descriptor came (errno {})", errno);
    }
    if (bytes == 0) {
        return fail(ECONNRESET, "the other side left before it passed a descriptor");
    }
    std::vector<UniqueFd> passed = descriptors_of(message.header);
    if (passed.empty()) {
        return fail(EPROTO, "the message carries no descriptor");
    }
    if (passed.size() != 1) {
        return fail(EPROTO, "the message carries more than one descriptor");
    }
    return std::move(passed.front());
}

}  // namespace crema::ebpf::supervise
