// SPDX-License-Identifier: BSD-3-Clause
#include "lib/ebpf/preload/netlink.h"

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/netlink.h>
#include <linux/rtnetlink.h>

#include "lib/ebpf/preload/supervised.h"

namespace crema::preload {
namespace {

using ebpf::supervise::kNetlinkBytesMax;
using ebpf::supervise::NetlinkHandling;

/// An answer that has not been read yet.
struct Pending {
    ino_t socket;
    std::uint32_t sequence;
    bool instead;            // of the kernel's next message, else before it
    std::uint8_t* messages;  // from malloc
    std::uint32_t bytes;
    std::uint32_t read;  // of them
};

constexpr int kPendingMax = 64;

pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
Pending g_pending[kPendingMax];       // oldest first, under g_lock
std::atomic<int> g_pending_count{0};  // changed under g_lock

class Lock {
  public:
    Lock() { ::pthread_mutex_lock(&g_lock); }

    ~Lock() { ::pthread_mutex_unlock(&g_lock); }

    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;
};

/// What a process inherits by fork is read by whoever gets there first, so only one may have it.
[[gnu::constructor]] void forget_in_children() {
    (void)::pthread_atfork([] { ::pthread_mutex_lock(&g_lock); },
                           [] { ::pthread_mutex_unlock(&g_lock); },
                           [] {
                               g_pending_count.store(0);
                               ::pthread_mutex_unlock(&g_lock);
                           });
}

int option_of(int socket, int level, int option) {
    int value = -1;
    socklen_t length = sizeof value;
    return ::syscall(SYS_getsockopt, socket, level, option, &value, &length) == 0 ? value : -1;
}

bool is_route_socket(int socket) {
    return option_of(socket, SOL_SOCKET, SO_DOMAIN) == AF_NETLINK &&
           option_of(socket, SOL_SOCKET, SO_PROTOCOL) == NETLINK_ROUTE;
}

bool inode_of(int socket, ino_t& inode) {
    struct stat status {};

    const bool known = ::fstat(socket, &status) == 0;
    inode = status.st_ino;
    return known;
}

void remove_pending(int index) {
    std::free(g_pending[index].messages);
    const int count = g_pending_count.load(std::memory_order_relaxed) - 1;
    for (int i = index; i < count; ++i) {
        g_pending[i] = g_pending[i + 1];
    }
    g_pending_count.store(count, std::memory_order_release);
}

/// An answer that nobody reads makes room for newer ones.
bool add_pending(int socket,
                 std::uint32_t sequence,
                 bool instead,
                 const std::uint8_t* messages,
                 std::uint32_t bytes) {
    Pending entry{.socket = 0,
                  .sequence = sequence,
                  .instead = instead,
                  .messages = static_cast<std::uint8_t*>(std::malloc(bytes)),
                  .bytes = bytes,
                  .read = 0};
    if (entry.messages == nullptr || !inode_of(socket, entry.socket)) {
        std::free(entry.messages);
        return false;
    }
    std::memcpy(entry.messages, messages, bytes);
    const Lock lock;
    if (g_pending_count.load(std::memory_order_relaxed) == kPendingMax) {
        remove_pending(0);
    }
    const int count = g_pending_count.load(std::memory_order_relaxed);
    g_pending[count] = entry;
    g_pending_count.store(count + 1, std::memory_order_release);
    return true;
}

/// The kernel does nothing about it and says so, with this sequence number.
bool send_nothing(int socket, std::uint32_t sequence) {
    const nlmsghdr message = {.nlmsg_len = sizeof message,
                              .nlmsg_type = NLMSG_NOOP,
                              .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
                              .nlmsg_seq = sequence,
                              .nlmsg_pid = 0};
    const sockaddr_nl kernel = {.nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
    return ::syscall(SYS_sendto, socket, &message, sizeof message, 0, &kernel, sizeof kernel) ==
           static_cast<long>(sizeof message);
}

/// False: the bytes are not a whole message that may be about links.
bool read_header(const void* data, std::size_t size, nlmsghdr& header) {
    if (size > kNetlinkBytesMax || !looks_like_request(data, size)) {
        return false;
    }
    std::memcpy(&header, data, sizeof header);
    return header.nlmsg_len <= size;
}

/// Copies to the caller's pieces; returns how much there was room for.
std::size_t scatter(const msghdr& message, const std::uint8_t* from, std::size_t bytes) {
    std::size_t done = 0;
    for (std::size_t i = 0; i < message.msg_iovlen && done < bytes; ++i) {
        const iovec& piece = message.msg_iov[i];
        const std::size_t now = piece.iov_len < bytes - done ? piece.iov_len : bytes - done;
        std::memcpy(piece.iov_base, from + done, now);
        done += now;
    }
    return done;
}

/// As if the kernel had sent it.
void sign(msghdr& message) {
    if (message.msg_name != nullptr) {
        const sockaddr_nl kernel = {
            .nl_family = AF_NETLINK, .nl_pad = 0, .nl_pid = 0, .nl_groups = 0};
        std::memcpy(message.msg_name, &kernel,
                    message.msg_namelen < sizeof kernel ? message.msg_namelen : sizeof kernel);
        message.msg_namelen = sizeof kernel;
    }
    message.msg_controllen = 0;
}

/// The next message of the kernel, as far as its header. False: none, or an error.
bool peek(int socket, int flags, nlmsghdr& header) {
    return ::syscall(SYS_recvfrom, socket, &header, sizeof header,
                     MSG_PEEK | (flags & MSG_DONTWAIT), nullptr,
                     nullptr) == static_cast<long>(sizeof header);
}

/// Index of the oldest answer for the socket; -1: none.
int first_pending(ino_t socket, std::uint32_t sequence) {
    const int count = g_pending_count.load(std::memory_order_relaxed);
    for (int i = 0; i < count; ++i) {
        if (g_pending[i].socket == socket && g_pending[i].sequence == sequence) {
            return i;
        }
    }
    return -1;
}

/// Hands out the next message of an answer, under g_lock.
ssize_t deliver(int index, int socket, const nlmsghdr& kernels, msghdr& message, int flags) {
    Pending& answer = g_pending[index];
    std::uint8_t* const at = answer.messages + answer.read;
    nlmsghdr header;
    std::memcpy(&header, at, sizeof header);
    header.nlmsg_pid = kernels.nlmsg_pid;
    std::memcpy(at, &header, sizeof header);
    const std::size_t length = header.nlmsg_len;
    const std::size_t copied = scatter(message, at, length);
    sign(message);
    message.msg_flags = copied < length ? MSG_TRUNC : 0;
    if ((flags & MSG_PEEK) == 0) {
        answer.read += NLMSG_ALIGN(header.nlmsg_len);
        if (answer.read >= answer.bytes) {
            if (answer.instead) {
                nlmsghdr gone;
                (void)::syscall(SYS_recvfrom, socket, &gone, sizeof gone, MSG_DONTWAIT, nullptr,
                                nullptr);
            }
            remove_pending(index);
        }
    }
    return static_cast<ssize_t>((flags & MSG_TRUNC) != 0 ? length : copied);
}

}  // namespace

bool looks_like_request(const void* data, std::size_t size) {
    nlmsghdr header;
    if (data == nullptr || size < sizeof header) {
        return false;
    }
    std::memcpy(&header, data, sizeof header);
    const bool is_link = header.nlmsg_type == RTM_NEWLINK || header.nlmsg_type == RTM_SETLINK ||
                         header.nlmsg_type == RTM_GETLINK;
    return is_link && (header.nlmsg_flags & NLM_F_REQUEST) != 0 &&
           header.nlmsg_len >= sizeof header;
}

NetlinkHandling ask_netlink(const void* request,
                            std::size_t request_bytes,
                            int socket,
                            std::uint8_t* reply,
                            std::uint32_t& bytes) {
    ebpf::supervise::NetlinkAttr attr{};
    attr.request = reinterpret_cast<std::uint64_t>(request);
    attr.request_bytes = static_cast<std::uint32_t>(request_bytes);
    attr.reply = reinterpret_cast<std::uint64_t>(reply);
    attr.reply_room = bytes;
    attr.capped = option_of(socket, SOL_NETLINK, NETLINK_CAP_ACK) == 1 ? 1 : 0;
    attr.extended = option_of(socket, SOL_NETLINK, NETLINK_EXT_ACK) == 1 ? 1 : 0;
    const int saved = errno;
    const long result = ::syscall(
        SYS_bpf, static_cast<int>(ebpf::supervise::PrivateCommand::netlink), &attr, sizeof attr);
    errno = saved;
    bytes = attr.reply_bytes;
    return result > 0 ? static_cast<NetlinkHandling>(result) : NetlinkHandling::kernel;
}

bool send_request(int socket, const void* data, std::size_t size, int flags, ssize_t& sent) {
    nlmsghdr header;
    if (!read_header(data, size, header)) {
        return false;
    }
    const int saved = errno;
    const bool is_route = is_route_socket(socket);
    errno = saved;
    if (!is_route) {
        return false;
    }
    std::uint8_t reply[kNetlinkBytesMax];
    std::uint32_t bytes = sizeof reply;
    const NetlinkHandling handling = ask_netlink(data, header.nlmsg_len, socket, reply, bytes);
    if (handling == NetlinkHandling::kernel) {
        return false;
    }
    const bool instead = handling == NetlinkHandling::instead;
    if (bytes != 0 && !add_pending(socket, header.nlmsg_seq, instead, reply, bytes)) {
        errno = ENOBUFS;
        sent = -1;
        return true;
    }
    if (!instead) {
        return false;
    }
    // What lies behind this message goes its own way.
    const bool told = bytes == 0 || send_nothing(socket, header.nlmsg_seq);
    sent = told ? static_cast<ssize_t>(size) : -1;
    const std::size_t next = NLMSG_ALIGN(header.nlmsg_len);
    if (told && next < size) {
        const ssize_t rest =
            ::send(socket, static_cast<const std::uint8_t*>(data) + next, size - next, flags);
        sent = rest < 0 ? rest : sent;
    }
    return true;
}

bool receive_answer(int socket, msghdr* message, int flags, ssize_t& got) {
    if (g_pending_count.load(std::memory_order_acquire) == 0 || (flags & MSG_ERRQUEUE) != 0) {
        return false;
    }
    const int saved = errno;
    ino_t inode = 0;
    nlmsghdr next;
    if (!is_route_socket(socket) || !inode_of(socket, inode) || !peek(socket, flags, next)) {
        errno = saved;
        return false;
    }
    const Lock lock;
    const int index = first_pending(inode, next.nlmsg_seq);
    if (index < 0) {
        return false;
    }
    const bool refused = !g_pending[index].instead && next.nlmsg_type == NLMSG_ERROR;
    if (refused) {
        remove_pending(index);  // the kernel makes no such list
        return false;
    }
    got = deliver(index, socket, next, *message, flags);
    errno = saved;
    return true;
}

}  // namespace crema::preload
